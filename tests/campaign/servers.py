"""The real servers of a lab, each started, asked and repaired the way an operator would: etcd, PostgreSQL, name servers."""
import json
import os
import shutil
import time

from box import run

HERE = os.path.dirname(os.path.abspath(__file__))
PG = "/usr/lib/postgresql/15/bin"
ZONE, NAME = "example.test", "app.example.test"
TSIG_NAME, TSIG_SECRET = "move", "bGFib3JhdG9yeS1zZWNyZXQtb2YtMzItYnl0ZXMhISE="
TTL = 5
PDNS_SCHEMAS = ("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql", "/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql")


class Ended(Exception):
    """A program that was waited for has ended."""


def wait_for(what, seconds, why, every=0.1):
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            last = what()
            if last:
                return last
        except (OSError, RuntimeError, ValueError, KeyError, IndexError) as e:
            last = e
        time.sleep(every)
    raise RuntimeError(f"{why}: not within {seconds} s (last: {last!r})")


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def documented(*marks):
    """The SQL of docs/postgresql.md, block by block: the one with each mark. What people are told to run is what is run here."""
    with open(os.path.join(HERE, "../../docs/postgresql.md"), encoding="utf-8") as f:
        blocks = [b.split("```")[0] for b in f.read().split("```sql\n")[1:]]
    return [next(b for b in blocks if mark in b) for mark in marks]


class Etcd:
    """One member in each of three places. Ticks as for members in different regions."""

    def __init__(self, ca, places):
        self.ca, self.places = ca, places
        self.cluster = ",".join(f"{p.name}=http://{p.address}:2380" for p in places)
        self.endpoints = [f"https://{p.address}:2379" for p in places]

    def start(self, place):
        peer, client = f"http://{place.address}:2380", f"https://{place.address}:2379"
        return place.start("etcd", [
            "etcd", "--name", place.name, "--data-dir", f"{place.folder}/etcd", "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--listen-client-urls", client, "--advertise-client-urls", client,
            "--cert-file", f"{self.ca}/server.pem", "--key-file", f"{self.ca}/server.key", "--initial-cluster", self.cluster,
            "--initial-cluster-token", "lab", "--enable-v2=false",
            "--heartbeat-interval", 300, "--election-timeout", 3000, "--pre-vote", "--snapshot-count", 5000, "--logger", "zap",
            "--log-level", "warn"], env={"GOMAXPROCS": 1})

    def ctl(self, place, *argv, check=True):
        return place.enter("etcdctl", "--cacert", f"{self.ca}/ca.pem", "--endpoints", ",".join(self.endpoints),
                           "--command-timeout=3s", *argv, check=check)

    def leader(self, place):
        """The place whose member leads, asked from `place`; None."""
        for p in self.places:
            out = place.enter("etcdctl", "--cacert", f"{self.ca}/ca.pem", "--endpoints", f"https://{p.address}:2379",
                              "--command-timeout=1s", "endpoint", "status", "-w", "json", check=False)
            try:
                status = json.loads(out.stdout)[0]["Status"]
            except (ValueError, IndexError, KeyError):
                continue
            if status["header"]["member_id"] == status.get("leader"):
                return p
        return None


class Postgres:
    """A region's database. It is its own master of what it is: primary, or standby by standby.signal."""

    def __init__(self, place, synchronous):
        self.place, self.synchronous = place, synchronous
        self.data, self.socket = f"{place.folder}/pg", f"{place.folder}/pg-socket"
        self.hba = f"{place.folder}/pg-etc/pg_hba.conf"  # beside the data, as Debian has it: a rebuild does not touch it
        self.port = 5432
        self.dsn = f"host={place.address} port={self.port} user=app dbname=app"

    def as_postgres(self, *argv, check=True, timeout=120):
        return self.place.enter("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--", *argv, check=check,
                                timeout=timeout)

    def folder(self):
        os.makedirs(self.place.folder, exist_ok=True)
        for d in (self.data, self.socket, os.path.dirname(self.hba)):
            os.makedirs(d, exist_ok=True)
            shutil.chown(d, "postgres", "postgres")
            os.chmod(d, 0o700)

    def configure(self):
        with open(f"{self.data}/postgresql.auto.conf", "w", encoding="utf-8") as f:
            f.write(f"listen_addresses = '{self.place.address},127.0.0.1'\nport = {self.port}\n"
                    f"unix_socket_directories = '{self.socket}'\nhba_file = '{self.hba}'\n"
                    "wal_level = replica\nwal_log_hints = on\nhot_standby = on\nmax_wal_senders = 10\nmax_connections = 100\n"
                    "wal_keep_size = '256MB'\nshared_buffers = '32MB'\nmax_wal_size = '512MB'\nmin_wal_size = '256MB'\n"
                    "wal_receiver_timeout = '6s'\nwal_sender_timeout = '6s'\nwal_receiver_status_interval = '1s'\n"
                    "wal_retrieve_retry_interval = '1s'\nhot_standby_feedback = off\nautovacuum = off\n"
                    "tcp_keepalives_idle = 5\ntcp_keepalives_interval = 2\ntcp_keepalives_count = 3\n"
                    "log_line_prefix = '%m [%p] %a '\nlog_connections = off\nrestart_after_crash = on\n"
                    "synchronous_commit = on\nsynchronous_standby_names = ''\n")
        run("chown", "postgres:postgres", f"{self.data}/postgresql.auto.conf")

    def rules(self):
        write(self.hba, "local all postgres peer\nhost all postgres 10.0.0.0/16 trust\nhost all securebase 10.0.0.0/16 trust\n"
              "host replication repl 10.0.0.0/16 trust\nhost all app 10.0.0.0/16 trust\n")
        run("chown", "postgres:postgres", self.hba)

    def create(self):
        self.folder()
        self.as_postgres(f"{PG}/initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale",
                         "--no-sync")
        self.configure()
        self.rules()
        self.start()
        self.sql("create role app login; create role repl login replication", db="postgres")
        self.sql("create database app owner app", db="postgres")
        role, tables, synchronous = documented("grant app_owner", "create schema securebase", "alter system on parameter")
        self.sql(role.replace("app_owner", "app"), db="postgres")
        self.sql(tables)
        self.sql(synchronous)
        self.sql("create table writes (client text, seq bigint, region text, at timestamptz default clock_timestamp(),"
                 " primary key (client, seq)); create table alive (at timestamptz, region text);"
                 " insert into alive values (now(), ''); alter table writes owner to app; alter table alive owner to app")

    def start(self, wait=20):
        p = self.place.start("postgres", [f"{PG}/postgres", "-D", self.data], user="postgres", cwd=self.data, slow=True)

        def up():
            if not p.alive():
                raise Ended(f"{self.place.name}: PostgreSQL ended: {p.tail(5)}")
            return self.sql("select 1", db="postgres") == "1"
        if wait:
            wait_for(up, wait, f"{self.place.name}: PostgreSQL is up")
        return p

    def alive(self):
        p = self.place.programs.get("postgres")
        return p is not None and p.alive()

    def stop(self):
        if "postgres" in self.place.programs:
            self.place.programs["postgres"].stop(20, 2)  # fast shutdown

    def sql(self, text, db="app", check=True, timeout=20):
        """By its socket: what was printed, unaligned."""
        out = run("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--", "psql", "-XAtq", "-h", self.socket,
                  "-p", self.port, "-U", "postgres", "-d", db, "-c", text, check=check, timeout=timeout)
        return out.stdout.strip() if out.returncode == 0 else None

    def recovering(self):
        """True as standby, False as primary, None when it does not answer."""
        return {"t": True, "f": False}.get(self.sql("select pg_is_in_recovery()", check=False))

    def follow(self, primary, rewind=False):
        """Makes this one a standby of `primary`: by pg_rewind when it can be, else anew. Returns which it was."""
        self.stop()
        how = "basebackup"
        if rewind and os.path.exists(f"{self.data}/PG_VERSION"):
            primary.sql("checkpoint", db="postgres")  # else its control file may tell the timeline before its promotion
            out = self.as_postgres(f"{PG}/pg_rewind", "-D", self.data, "--no-sync", "--source-server",
                                   f"host={primary.place.address} port={primary.port} user=postgres dbname=postgres",
                                   check=False)
            how = "rewind" if out.returncode == 0 else "basebackup"
            with open(f"{self.place.folder}/rewind.log", "a", encoding="utf-8") as f:
                f.write(out.stdout + out.stderr + "\n")
        if how == "rewind":
            try:
                return self.join(primary, how)
            except (RuntimeError, Ended) as e:
                with open(f"{self.place.folder}/rewind.log", "a", encoding="utf-8") as f:
                    f.write(f"rewound, but does not follow: {e}\n")
                self.stop()
        shutil.rmtree(self.data, ignore_errors=True)
        self.folder()
        self.as_postgres(f"{PG}/pg_basebackup", "-D", self.data, "-h", primary.place.address, "-p", primary.port, "-U", "repl",
                         "-X", "stream", "--no-sync", "-c", "fast")
        return self.join(primary, "basebackup")

    def join(self, primary, how):
        self.configure()
        if not os.path.exists(self.hba):
            self.rules()
        with open(f"{self.data}/postgresql.auto.conf", "a", encoding="utf-8") as f:
            f.write(f"primary_conninfo = 'host={primary.place.address} port={primary.port} user=repl"
                    f" application_name={self.place.name} connect_timeout=3'\n")
        with open(f"{self.data}/standby.signal", "w", encoding="utf-8"):
            pass
        run("chown", "postgres:postgres", f"{self.data}/standby.signal")
        self.start()
        wait_for(lambda: primary.sql("select count(*) from pg_stat_replication where state = 'streaming'") == "1", 30,
                 f"{self.place.name} streams")
        primary.protect(self.place.name)
        return how

    def protect(self, standby):
        """As a primary with a standby that streams: waits for it, by its name, when the lab is a synchronous one."""
        names = standby if self.synchronous else ""
        self.sql(f"alter system set synchronous_standby_names = '{names}'", db="postgres")
        self.sql("select pg_reload_conf()", db="postgres")

    def unprotect(self):
        self.sql("alter system set synchronous_standby_names = ''", db="postgres")
        self.sql("select pg_reload_conf()", db="postgres")

    def promote(self):
        return self.sql("select pg_promote(true, 60)", db="postgres", timeout=70)


class Names:
    """The zone's first server, outside of the regions, which takes changes; and a second one that follows it: Knot. A kind
    of server is made by start_first; what takes changes for SecureBase is told by action()."""

    kind = "knot"

    def __init__(self, first, second):
        self.places = (first, second)
        self.addresses = [first.more[0], second.more[0]]

    def zone(self, active):
        return (f"$ORIGIN {ZONE}.\n$TTL {TTL}\n@ SOA ns1 hostmaster 1 2 2 600 {TTL}\n@ NS ns1\n@ NS ns2\n"
                f"ns1 A {self.addresses[0]}\nns2 A {self.addresses[1]}\napp A {active}\n")

    def start(self, active):
        self.start_one(0, active)
        self.start_one(1)
        wait_for(lambda: all(self.answers(place=self.places[0])), 20, "both name servers answer")

    def start_one(self, i, active=None):
        folder = f"{self.places[i].folder}/names"
        os.makedirs(folder, exist_ok=True)
        return self.start_first(folder, active) if i == 0 else self.knot(1, folder)

    def start_first(self, folder, active):
        if active:
            write(f"{folder}/{ZONE}.zone", self.zone(active))
        return self.knot(0, folder)

    def knot(self, i, folder):
        # every address of the other's place: what it asks from is its first one
        other, net = self.addresses[1 - i], f"10.0.{self.places[1 - i].number}.0/24"
        acl = "[update, transfer]" if i == 0 else "[notified]"
        zone = "notify: other" if i == 0 else "master: other"
        write(f"{folder}/knot.conf",
              f"server:\n    rundir: {folder}\n    listen: {self.addresses[i]}@53\n    udp-workers: 1\n    tcp-workers: 1\n"
              f"    background-workers: 1\nlog:\n  - target: stderr\n    any: info\ndatabase:\n    storage: {folder}\n"
              f"key:\n  - id: {TSIG_NAME}\n    algorithm: hmac-sha256\n    secret: {TSIG_SECRET}\n"
              f"remote:\n  - id: other\n    address: {other}@53\n"
              f"acl:\n  - id: update\n    key: {TSIG_NAME}\n    action: [update, transfer, query]\n"
              f"  - id: transfer\n    address: {net}\n    action: transfer\n"
              f"  - id: notified\n    address: {net}\n    action: notify\n"
              f"zone:\n  - domain: {ZONE}\n    storage: {folder}\n    file: {ZONE}.zone\n    {zone}\n    acl: {acl}\n"
              "    zonefile-sync: -1\n    zonefile-load: whole\n    journal-content: changes\n")
        return self.places[i].start(f"names{i + 1}", ["knotd", "-c", f"{folder}/knot.conf"])

    def answers(self, place):
        return [ask(place, a) for a in self.addresses]

    def point(self, place, address):
        """By hand: what an operator does."""
        text = (f"server {self.addresses[0]}\nzone {ZONE}.\nkey hmac-sha256:{TSIG_NAME} {TSIG_SECRET}\n"
                f"update delete {NAME}. A\nupdate add {NAME}. {TTL} A {address}\nsend\n")
        place.enter("knsupdate", stdin=text, timeout=20)

    def action(self, secret):
        """Options of the action that changes the name; secret: file of the key."""
        return {"type": "dns-update", "name_servers": " ".join(self.addresses), "zone": ZONE, "name": NAME, "ttl": f"{TTL}s",
                "tsig_name": TSIG_NAME, "tsig_secret": f"file:{secret}"}


class Bind(Names):
    kind = "bind"

    def start_first(self, folder, active):
        if active:
            write(f"{folder}/{ZONE}.zone", self.zone(active))
        write(f"{folder}/named.conf",
              f'options {{ directory "{folder}"; listen-on {{ {self.addresses[0]}; }}; listen-on-v6 {{ none; }}; recursion no;\n'
              f'  pid-file "{folder}/named.pid"; session-keyfile "{folder}/session.key"; dnssec-validation no;\n'
              f'  notify explicit; notify-delay 1; also-notify {{ {self.addresses[1]}; }}; allow-transfer {{ any; }}; }};\ncontrols {{ }};\n'
              f'key "{TSIG_NAME}" {{ algorithm hmac-sha256; secret "{TSIG_SECRET}"; }};\n'
              f'zone "{ZONE}" {{ type primary; file "{folder}/{ZONE}.zone"; allow-update {{ key "{TSIG_NAME}"; }}; }};\n')
        return self.places[0].start("names1", ["named", "-g", "-n", "1", "-c", f"{folder}/named.conf"])


class PowerDns(Names):
    kind = "powerdns"

    def start_first(self, folder, active):
        base = f"{folder}/zones.db"
        write(f"{folder}/pdns.conf",
              f"launch=gsqlite3\ngsqlite3-database={base}\nlocal-address={self.addresses[0]}\nsocket-dir={folder}\n"
              f"primary=yes\nallow-axfr-ips=10.0.0.0/16\nalso-notify={self.addresses[1]}\nquery-cache-ttl=0\n"
              f"cache-ttl=0\nnegquery-cache-ttl=0\nzone-cache-refresh-interval=0\nxfr-cycle-interval=2\ndnsupdate=no\napi=yes\n"
              f"api-key={TSIG_SECRET}\nwebserver=yes\nwebserver-address={self.addresses[0]}\nwebserver-port=8081\n"
              "webserver-allow-from=10.0.0.0/16\nreceiver-threads=1\ndistributor-threads=1\nguardian=no\ndaemon=no\nsecurity-poll-suffix=\n")
        if active:
            schema = next(f for f in PDNS_SCHEMAS if os.path.exists(f))
            with open(schema, encoding="ascii") as f:
                run("sqlite3", base, stdin=f.read())
            write(f"{folder}/{ZONE}.zone", self.zone(active))
            run("pdnsutil", f"--config-dir={folder}", "load-zone", ZONE, f"{folder}/{ZONE}.zone")
            run("pdnsutil", f"--config-dir={folder}", "set-kind", ZONE, "primary")
            run("pdnsutil", f"--config-dir={folder}", "set-meta", ZONE, "SOA-EDIT-API", "INCREASE")
        return self.places[0].start("names1", ["pdns_server", f"--config-dir={folder}"])

    def point(self, place, address):
        body = {"rrsets": [{"name": f"{NAME}.", "type": "A", "ttl": TTL, "changetype": "REPLACE",
                            "records": [{"content": address, "disabled": False}]}]}
        place.enter("curl", "-sfS", "-X", "PATCH", "-H", f"X-API-Key: {TSIG_SECRET}", "-d", json.dumps(body),
                    f"http://{self.addresses[0]}:8081/api/v1/servers/localhost/zones/{ZONE}.")

    def action(self, secret):
        return {"type": "powerdns", "url": f"http://{self.addresses[0]}:8081", "zone": ZONE, "name": NAME, "ttl": f"{TTL}s",
                "api_key": f"file:{secret}", "agree": " ".join(self.addresses)}


NAME_SERVERS = {n.kind: n for n in (Names, Bind, PowerDns)}


def ask(place, server):
    """The address that a server gives for the service's name, asked from a place; None."""
    code = ("import dns.message, dns.query, sys\n"
            f"q = dns.message.make_query('{NAME}', 'A')\n"
            f"a = dns.query.udp(q, '{server}', timeout=1)\n"
            "print([r[0].address for r in a.answer if r.rdtype == 1][0])")
    out = place.enter("/usr/bin/python3", "-c", code, check=False)
    return out.stdout.strip() or None
