"""Real name servers on loopback with one zone, example.test, and a key that may move its names; and a proxy before them that
loses answers. For tests of drivers that change DNS."""
import base64
import os
import shutil
import socket
import subprocess
import threading

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rdatatype

import support

SECRET = base64.b64encode(b"securebase-test-key-of-32-bytes!").decode()
OTHER_SECRET = base64.b64encode(b"another-test-key-with-32-bytes!!").decode()
ZONE = """$ORIGIN example.test.
$TTL 300
@ IN SOA ns1 admin 1 3600 600 86400 30
@ IN NS ns1
ns1 IN A 127.0.0.1
app 30 IN A 192.0.2.1
six 30 IN AAAA 2001:db8::1
alias 30 IN CNAME east.example.net.
slow 3600 IN A 192.0.2.1
foreign 30 IN A 203.0.113.99
other 30 IN A 192.0.2.1
_fo.other 30 IN TXT "v=spf1 -all"
stage 30 IN A 192.0.2.1
locked 30 IN A 192.0.2.1
"""
NAMES = ["app", "six", "alias", "slow", "foreign", "other", "stage", "empty", "new"]  # that the key may change


class NameServer:
    """start() has to make self.process; ask() goes by TCP, past everything."""

    def __init__(self, folder, started):
        self.folder, self.started, self.port = str(folder), started, support.free_port()
        os.makedirs(self.folder, exist_ok=True)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        return path

    def run(self, argv):
        self.process = support.Process(self.kind, argv, self.folder)
        self.started.append(self.process)
        self.process.start()
        support.wait_for(self.up, why=self.kind)
        return self

    def up(self):
        try:
            return self.serial() > 0
        except (dns.exception.DNSException, EOFError) as e:
            raise OSError(str(e)) from e

    def ask(self, name, kind):
        q = dns.message.make_query(f"{name}.example.test." if name else "example.test.", kind)
        q.flags &= ~dns.flags.RD
        r = dns.query.tcp(q, "127.0.0.1", port=self.port, timeout=10)
        return [rr for s in r.answer for rr in s if s.rdtype == dns.rdatatype.from_text(kind)]

    def values(self, name, kind="A"):
        return sorted(rr.to_text() for rr in self.ask(name, kind))

    def mark(self, name):
        texts = [b"".join(rr.strings).decode() for rr in self.ask("_fo." + name, "TXT")]
        assert len(texts) < 2, texts
        return texts[0] if texts else None

    def serial(self):
        return self.ask("", "SOA")[0].serial


class Knot(NameServer):
    kind = "knot"

    def start(self):
        self.write("example.test.zone", ZONE)
        rules = "\n".join(f"  - id: u{i}\n    key: mover\n    action: update\n    update-owner: name\n"
                          f"    update-owner-match: equal\n    update-owner-name: [{n}, _fo.{n}]" for i, n in enumerate(NAMES))
        conf = self.write("knot.conf", f"""server:
  listen: 127.0.0.1@{self.port}
  rundir: {self.folder}
  background-workers: 1
  udp-workers: 1
  tcp-workers: 2
database:
  storage: {self.folder}
log:
  - target: stderr
    any: info
key:
  - id: mover
    algorithm: hmac-sha256
    secret: {SECRET}
acl:
{rules}
template:
  - id: default
    storage: {self.folder}
zone:
  - domain: example.test
    file: example.test.zone
    acl: [{", ".join(f"u{i}" for i in range(len(NAMES)))}]
""")
        return self.run([shutil.which("knotd"), "-c", conf])


class Bind(NameServer):
    kind = "bind"

    def start(self):
        self.write("example.test.zone", ZONE)
        grants = "".join(f"grant mover name {p}{n}.example.test. {t};" for n in NAMES
                         for p, t in (("", "A AAAA CNAME"), ("_fo.", "TXT")))
        conf = self.write("named.conf", f"""options {{
  directory "{self.folder}"; pid-file "{self.folder}/named.pid"; session-keyfile "{self.folder}/session.key";
  lock-file none; listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no;
  allow-transfer {{ none; }}; dnssec-validation no; notify no;
}};
controls {{ }};
key mover {{ algorithm hmac-sha256; secret "{SECRET}"; }};
zone "example.test" {{ type primary; file "example.test.zone"; update-policy {{ {grants} }}; }};
""")
        return self.run([shutil.which("named"), "-g", "-n", "1", "-c", conf])


class PowerDns(NameServer):
    kind = "pdns"
    api_key = "an-api-key-of-the-tests"

    def start(self):
        self.api = support.free_port()
        db = os.path.join(self.folder, "pdns.db")
        self.write("example.test.zone", ZONE)
        self.write("pdns.conf", f"""launch=gsqlite3
gsqlite3-database={db}
gsqlite3-pragma-synchronous=0
local-address=127.0.0.1
local-port={self.port}
socket-dir={self.folder}
daemon=no
guardian=no
disable-syslog=yes
dnsupdate=yes
allow-dnsupdate-from=127.0.0.0/8
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
zone-metadata-cache-ttl=0
webserver=yes
webserver-address=127.0.0.1
webserver-port={self.api}
webserver-allow-from=127.0.0.0/8
api=yes
api-key={self.api_key}
""")
        with open("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql", encoding="ascii") as f:
            subprocess.run(["sqlite3", db], stdin=f, check=True, stdout=subprocess.DEVNULL)
        for words in (["load-zone", "example.test", os.path.join(self.folder, "example.test.zone")],
                      ["import-tsig-key", "mover", "hmac-sha256", SECRET],
                      ["set-meta", "example.test", "TSIG-ALLOW-DNSUPDATE", "mover"],
                      ["set-kind", "example.test", "native"]):
            subprocess.run(["pdnsutil", "--config-dir=" + self.folder, *words], check=True, capture_output=True)
        return self.run([shutil.which("pdns_server"), "--config-dir=" + self.folder])


class Proxy:
    """Before a TCP server: passes requests on and, while `lose` is set, closes both ends when the answer comes. With `hold`
    it passes nothing until it is released; `change` makes another answer of each."""

    def __init__(self, port):
        self.target, self.lose, self.requests, self.hold, self.change = port, False, 0, None, None
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, socket.create_connection(("127.0.0.1", self.target)) as server:
            threading.Thread(target=self.pump, args=(client, server), daemon=True).start()
            while data := server.recv(65536):
                if self.lose and self.lose(data):
                    return
                data = self.change(data) if self.change else data
                try:
                    client.sendall(data)
                except OSError:
                    return

    def pump(self, client, server):
        try:
            while data := client.recv(65536):
                self.requests += 1
                if self.hold:
                    self.hold.wait(60)
                server.sendall(data)
        except OSError:
            pass

    def close(self):
        self.socket.close()
