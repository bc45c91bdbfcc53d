"""A user of the service: writes numbered rows all the time, and keeps a record of what was acknowledged, when and by whom.

usage: client.py NAME LOG PORT EVERY by-name DOMAIN SERVER…     resolves, honouring the record's time to live
       client.py NAME LOG PORT EVERY by-address ADDRESS         never asks again: the stubborn user

Each row has a number of its own and is sent once: what was not acknowledged may be there or not. One JSON line for each:
{"seq", "sent", "done", "ok", "region", "address", "why"}; times of CLOCK_MONOTONIC, which all processes of a machine share.
A request that is not answered within 2 s is given up. TERM ends it.
"""
import http.client
import json
import signal
import sys
import time

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

NAME, LOG, PORT, EVERY, HOW = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
PATIENCE = 2.0
over = False


def end(*_):
    global over
    over = True


class Names:
    """A stub resolver with a cache: asks the authoritative servers in turn, keeps an answer as long as it says."""

    def __init__(self, domain, servers):
        self.domain, self.servers, self.until, self.address = domain, servers, 0.0, None

    def look(self):
        now = time.monotonic()
        if now < self.until:
            return self.address
        query = dns.message.make_query(self.domain, dns.rdatatype.A)
        for server in self.servers:
            try:
                answer = dns.query.udp(query, server, timeout=0.7)
                for rrset in answer.answer:
                    if rrset.rdtype == dns.rdatatype.A:
                        self.address, self.until = rrset[0].address, now + rrset.ttl
                        return self.address
            except (dns.exception.DNSException, OSError):
                continue
        if self.address is None:
            raise OSError("no name server answers")
        self.until = now + 1.0  # goes on with the old answer, as resolvers do when nobody answers
        return self.address


class Fixed:
    def __init__(self, address):
        self.address = address

    def look(self):
        return self.address


def main():
    names = Names(sys.argv[6], sys.argv[7:]) if HOW == "by-name" else Fixed(sys.argv[6])
    line, to, seq = None, None, 0
    with open(LOG, "a", encoding="utf-8", buffering=1) as log:
        while not over:
            sent, seq = time.monotonic(), seq + 1
            row = {"seq": seq, "sent": round(sent, 4), "ok": False}
            try:
                row["address"] = address = names.look()
                if line is None or address != to:
                    if line:
                        line.close()
                    line, to = http.client.HTTPConnection(address, PORT, timeout=PATIENCE), address
                line.request("POST", f"/write?client={NAME}&seq={seq}", body=b"")
                response = line.getresponse()
                answer = json.loads(response.read())
                row["ok"] = response.status == 200
                row["region"] = answer.get("region")
                if not row["ok"]:
                    row["why"] = answer.get("why", str(response.status))
            except (OSError, http.client.HTTPException, ValueError) as e:
                row["why"] = f"{type(e).__name__} {e}"
                if line:
                    line.close()
                line = None
            row["done"] = round(time.monotonic(), 4)
            log.write(json.dumps(row) + "\n")
            time.sleep(max(0.0, sent + EVERY - time.monotonic()) if row["ok"] else
                       max(0.02, sent + max(EVERY, 0.2) - time.monotonic()))
        log.write(json.dumps({"end": True, "done": time.monotonic()}) + "\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    main()
