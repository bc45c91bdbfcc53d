"""The service that a lab protects: one small HTTP server in front of the region's own database.

  GET /health        200 when this region could serve: as primary, a row was written and committed within the last 2 s; as
                     standby, the database answers. {"role": "primary" | "standby" | "none", "region": …}
  POST /write?client=C&seq=N   one numbered row; 200 {"region": …} after its commit, else 503
  GET /read          what is there: {"n": …}

It never acknowledges what is not replicated as configured: a commit whose wait for the standby was cancelled comes with a
warning of the server, and is refused here (PostgreSQL reports it as committed). It does not cancel commits by a time-out
of its own, for the same reason: after 1.8 s it says that it does not know. And it acknowledges nothing for which its guard
has no lease (docs/guard.md), once there is a guard: what wakes after a pause has none.

usage: service.py REGION ADDRESS PORT DSN STATSD-PORT LEASE-FILE
"""
import json
import queue
import socket
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2

REGION, ADDRESS, PORT, DSN = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
STATSD, LEASE = int(sys.argv[5]), sys.argv[6]
FRESH = 2.0
LONG = 1.8
idle, room = queue.SimpleQueue(), threading.BoundedSemaphore(40)
health = {"role": "none", "was": "none", "at": 0.0, "why": "not looked yet"}
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def told(code, seconds):
    """One event of the objective. What a standby refuses is none: nobody has been sent there."""
    if STATSD and health["was"] != "standby":
        line = f"requests_total:1|c|#service:checkout,code:{code}\nrequest_seconds:{seconds:.4f}|h|#service:checkout"
        try:
            udp.sendto(line.encode(), ("127.0.0.1", STATSD))
        except OSError:
            pass


def connect(application):
    c = psycopg2.connect(DSN, connect_timeout=2, application_name=application, keepalives_idle=2, keepalives_interval=1,
                         keepalives_count=3)
    c.autocommit = True
    return c


def watch():
    """Keeps `health`: a committed row each half second where we are primary."""
    c = None
    while True:
        try:
            c = c or connect("health")
            with c.cursor() as q:
                q.execute("select pg_is_in_recovery()")
                standby = q.fetchone()[0]
                if standby:
                    q.execute("select count(*) from alive")
                else:
                    q.execute("update alive set at = clock_timestamp(), region = %s", (REGION,))
                refuse_unreplicated(c)
            if not standby and not may_write(LEASE):
                raise RuntimeError("the guard has no lease")
            role = "standby" if standby else "primary"
            health.update(role=role, was=role, at=time.monotonic(), why="")
        except (psycopg2.Error, RuntimeError) as e:
            health.update(why=str(e).strip().split("\n")[0])
            c = closed(c)
        time.sleep(0.5)


def closed(c):
    try:
        if c:
            c.close()
    except psycopg2.Error:
        pass


def refuse_unreplicated(c):
    for notice in c.notices:
        if "synchronous replication" in notice:
            raise RuntimeError(notice.strip())
    c.notices.clear()


def may_write(path):
    """As docs/guard.md shows it, but true while there has never been a guard."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
        boot = f.read().strip()
    for _ in range(10):
        try:
            with open(path, encoding="ascii") as f:
                words = f.read().split()
        except FileNotFoundError:
            return True
        if len(words) == 3 and words[0] == words[2]:
            now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
            return words[1] == boot and now < int(words[0])
    return False


def write(client, seq):
    try:
        c = idle.get_nowait()
    except queue.Empty:
        c = connect("service")
    try:
        with c.cursor() as q:
            q.execute("insert into writes (client, seq, region) values (%s, %s, %s) on conflict do nothing",
                      (client, seq, REGION))
        refuse_unreplicated(c)
        if not may_write(LEASE):
            raise RuntimeError("the guard has no lease")
    except (psycopg2.Error, RuntimeError):
        closed(c)
        raise
    idle.put(c)


def within(seconds, client, seq):
    """The write in a thread of its own: (code, why). One that takes longer is refused, whatever becomes of it: as behind any load
    balancer, users who wait in vain are events, and bad ones."""
    said = []

    def work():
        try:
            write(client, seq)
            said.append((200, ""))
        except (psycopg2.Error, RuntimeError) as e:
            said.append((503, str(e).strip().split("\n")[0]))
        finally:
            room.release()
    if not room.acquire(blocking=False):
        return 503, "too many writes are waiting"
    t = threading.Thread(target=work, daemon=True)
    t.start()
    t.join(seconds)
    return said[0] if said else (503, f"not committed within {seconds} s")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answer(self, code, **what):
        body = json.dumps(dict(what, region=REGION)).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/health"):
            age = time.monotonic() - health["at"]
            good = age < FRESH
            self.answer(200 if good else 503, role=health["role"] if good else "none", why=health["why"], age=round(age, 2))
        elif self.path.startswith("/read"):
            try:
                with connect("read") as c, c.cursor() as q:
                    q.execute("select count(*) from writes")
                    self.answer(200, n=q.fetchone()[0])
            except psycopg2.Error as e:
                self.answer(503, why=str(e).strip())
        else:
            self.answer(404)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(path.query))
        began = time.monotonic()
        code, why = within(LONG, query["client"], int(query["seq"]))
        told(code, time.monotonic() - began)
        self.answer(code, **({"why": why} if why else {}))

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    threading.Thread(target=watch, daemon=True).start()
    Server((ADDRESS, PORT), Handler).serve_forever()
