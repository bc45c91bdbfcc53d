"""What the tests of guards stand on: a small server that says what an aggregator would say, agents with a guard, and the real
servers that are fenced."""
import glob
import http.server
import json
import os
import pwd
import signal
import socket
import subprocess
import tempfile
import threading
import time

import support

LEASE = 3000  # ms; production has 20 000
BIN = "/usr/lib/postgresql/15/bin"


class Says(http.server.ThreadingHTTPServer):
    """Stands in for one aggregator: answers every question with what `answer` is at that moment, None: not at all."""
    daemon_threads = True

    def __init__(self, answer=None, port=0):
        self.answer, self.questions, self.lock = answer, [], threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # the other side has gone: it may

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self):
        self.shutdown()
        self.server_close()

    def last(self):
        with self.lock:
            return self.questions[-1] if self.questions else {}

    def first(self, good, after=0.0):
        """When the first question came for which good(question) holds, by time.monotonic(); None: it has not come."""
        with self.lock:
            for q in self.questions:
                if q["at"] > after and good(q):
                    return q["at"]
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/v1/guard":
            self.reply(503, b"")
            return
        q = dict(json.loads(body), at=time.monotonic())
        with self.server.lock:
            self.server.questions.append(q)
        answer = self.server.answer
        if answer is None:
            time.sleep(5)  # a hole in the network: the guard has given up long before
            return
        self.reply(200, json.dumps(answer).encode())

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


def serve(epoch=1, lease=LEASE):
    return {"version": 1, "authority": "held", "serve": True, "epoch": epoch, "writer": "us-east-1", "lease_ms": lease,
            "promise_ms": 0, "why": ""}


def deny(epoch=2, writer=None):
    return {"version": 1, "authority": "held", "serve": False, "epoch": epoch, "writer": writer, "lease_ms": 0, "promise_ms": 0,
            "why": ""}


def away(epoch=1, promise=LEASE):
    return {"version": 1, "authority": "away", "serve": False, "epoch": epoch, "writer": None, "lease_ms": 0,
            "promise_ms": promise, "why": "the store does not answer"}


class Guarded(support.Agent):
    """An agent with one guard, `app`."""

    def __init__(self, folder, ca, endpoints, fence, **options):
        guard = {"service": "app", "endpoints": " ".join(endpoints), "interval": "500ms", **fence}
        super().__init__(folder, ca, ["http://127.0.0.1:9"], sections=[("guard app", guard)], **options)

    def verb(self, *words, timeout=60):
        return subprocess.run([self.argv[0], "-c", self.file, *words], capture_output=True, text=True, timeout=timeout,
                              check=False)

    def guard(self):
        out = self.verb("guard", "status", "--json")
        assert out.returncode == 0, out.stderr
        return json.loads(out.stdout)["guards"][0]

    def phase(self):
        return self.guard()["state"]

    def may_start(self):
        return self.verb("guard", "check", "app").returncode == 0

    def helpers(self):
        """Process ids of the helpers that work by this configuration."""
        found = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, "rb") as f:
                    words = f.read().decode(errors="replace").split("\0")
            except OSError:
                continue
            if "helper" in words and self.file in words:
                found.append(int(path.split("/")[2]))
        return found

    @property
    def kept(self):
        """What the state file says: {'state': '1', 'fenced_epoch': …, 'deadline': …}."""
        out, turn = {}, -1
        with open(os.path.join(self.folder, "state", "guard-app.state"), encoding="ascii", errors="replace") as f:
            for line in f.read().splitlines():
                words = dict(w.split("=", 1) for w in line.split() if "=" in w)
                if line.startswith("guard ") and int(words["turn"]) > turn:
                    turn = int(words["turn"])
                    out.update(words)
                elif line.startswith("lease "):
                    out.update(words)
        return out

    def kill_helpers(self, number=signal.SIGKILL):
        for pid in self.helpers():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass


class Postgres:
    """A PostgreSQL of its own, as the user postgres or nobody."""

    def __init__(self):
        self.user = next(u for u in ("postgres", "nobody") if any(p.pw_name == u for p in pwd.getpwall()))
        entry = pwd.getpwnam(self.user)
        self.folder = tempfile.mkdtemp(prefix="sbguard-pg-")
        os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        self.data, self.port = os.path.join(self.folder, "data"), support.free_port()
        self.run("initdb", "-D", self.data, "-A", "trust", "--no-sync")
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="ascii") as f:
            f.write(f"port={self.port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories='{self.folder}'\n"
                    "fsync=off\nwal_level=replica\nmax_wal_senders=4\n")
        with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="ascii") as f:
            f.write("local all all trust\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n")

    def run(self, program, *args, check=True):
        return subprocess.run(["setpriv", f"--reuid={self.user}", f"--regid={pwd.getpwnam(self.user).pw_gid}", "--clear-groups",
                               os.path.join(BIN, program), *args], check=check, capture_output=True, text=True, cwd=self.folder)

    def start(self):
        self.run("pg_ctl", "-D", self.data, "-w", "-l", os.path.join(self.folder, "log"), "start")
        return self

    def stop(self):
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "stop", check=False)
        subprocess.run(["rm", "-rf", self.folder], check=False)

    def hba(self):
        with open(os.path.join(self.data, "pg_hba.conf"), encoding="ascii") as f:
            return f.read()

    def connect(self, **more):
        import psycopg2
        return psycopg2.connect(**{"host": "127.0.0.1", "port": self.port, "user": self.user, "dbname": "postgres",
                                   "connect_timeout": 3, **more})

    def sql(self, text):
        """By the superuser over the unix socket, which a cut leaves open: the lines that it says."""
        return self.run("psql", "-qAtX", "-h", self.folder, "-p", str(self.port), "-d", "postgres", "-c", text).stdout.split()


class Writer(threading.Thread):
    """A client that never gives up: inserts numbers one by one and notes when each was acknowledged."""

    def __init__(self, db):
        super().__init__(daemon=True)
        self.db, self.acked, self.failures, self.going = db, [], 0, True

    def run(self):
        import psycopg2
        n, c = 0, None
        while self.going:
            try:
                if c is None:
                    c = self.db.connect()
                    c.autocommit = True
                with c.cursor() as k:
                    k.execute("insert into t values (%s)", (n,))
                self.acked.append((time.monotonic(), n))
            except psycopg2.Error:
                self.failures += 1
                c = None
                time.sleep(0.005)
            n += 1

    def end(self):
        self.going = False
        self.join(20)
        return self.acked


class HAProxy(support.Process):
    """Two servers behind a port; both answer with their name."""

    def __init__(self, folder):
        folder = os.path.join(str(folder), "haproxy")
        os.makedirs(folder, exist_ok=True)
        self.port, self.socket = support.free_port(), os.path.join(folder, "admin.sock")
        self.behind = [Says(serve()), Says(serve())]
        servers = "".join(f"  server web{i} {s.url[7:]}\n" for i, s in enumerate(self.behind))
        file = os.path.join(folder, "haproxy.cfg")
        with open(file, "w", encoding="ascii") as f:
            f.write(f"global\n  stats socket {self.socket} level admin\ndefaults\n  mode http\n  timeout connect 2s\n"
                    f"  timeout client 5s\n  timeout server 5s\nfrontend in\n  bind 127.0.0.1:{self.port}\n"
                    f"  default_backend app\nbackend app\n{servers}")
        super().__init__("haproxy", ["haproxy", "-W", "-db", "-f", file], folder)

    def start(self):
        super().start()
        support.wait_for(lambda: os.path.exists(self.socket) and self.states(), why="haproxy ready")
        return self

    def say(self, line):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.socket)
            s.sendall(line.encode() + b"\n")
            out = b""
            while True:
                block = s.recv(65536)
                if not block:
                    return out.decode()
                out += block

    def states(self):
        """{server: in maintenance}."""
        lines = self.say("show servers state app").splitlines()
        return {w[3]: int(w[6]) & 1 for w in (line.split() for line in lines) if len(w) > 6 and w[0].isdigit()}

    def close(self):
        for s in self.behind:
            s.close()
