"""Real PostgreSQL servers on loopback: a primary and standbys that stream from it, each in a folder of its own."""
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import psycopg2

from support import free_port, wait_for

BIN = sorted(glob.glob("/usr/lib/postgresql/*/bin") + glob.glob("/usr/pgsql-*/bin"))[-1]
PASSWORD = "Quai-7-Nord"

# The page of the documentation has the statements that make the role and the tables: they are what is run here.
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def documented(heading):
    """The first block of SQL below that heading of docs/postgresql.md."""
    with open(os.path.join(TOP, "docs/postgresql.md"), encoding="utf-8") as f:
        text = f.read()
    return text.split(f"## {heading}\n", 1)[1].split("```sql\n", 1)[1].split("```", 1)[0]


def as_postgres(*argv):
    """PostgreSQL does not run as root."""
    if os.getuid() == 0:
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *argv]
    return list(argv)


class Server:
    def __init__(self, name, port=None):
        self.name, self.port = name, port or free_port()
        self.home = tempfile.mkdtemp(prefix=f"sb-pg-{name}-")
        self.data = os.path.join(self.home, "data")
        self.log = os.path.join(self.home, "log")
        if os.getuid() == 0:
            os.chown(self.home, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)
        self.process = None

    def run(self, *argv):
        subprocess.run(as_postgres(*argv), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/",
                       env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})

    def configure(self, **options):
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as f:
            f.writelines(f"{k} = '{v}'\n" for k, v in options.items())

    def initialise(self, **options):
        self.run(f"{BIN}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
        with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="utf-8") as f:
            f.write("local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n"
                    "host all all 127.0.0.1/32 scram-sha-256\n")
        self.configure(listen_addresses="127.0.0.1", port=self.port, unix_socket_directories=self.home, fsync="off",
                       wal_level="replica", hot_standby="on", max_wal_senders=8, wal_keep_size="256MB", shared_buffers="16MB",
                       wal_receiver_timeout="4s", wal_sender_timeout="4s", wal_retrieve_retry_interval="200ms", wal_log_hints="on",
                       max_connections=60, log_line_prefix="%m [%p] ", **options)
        return self

    def follow(self, primary):
        """Becomes a copy of the primary that streams from it under its own name."""
        self.run(f"{BIN}/pg_basebackup", "-D", self.data, "-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres", "--no-sync",
                 "-c", "fast", "-X", "stream")
        self.configure(port=self.port, unix_socket_directories=self.home, synchronous_standby_names="")
        self.point(primary)
        return self

    def copy(self, other):
        """Becomes a copy of a server that is stopped, on a port of its own."""
        subprocess.run(["cp", "-a", "--reflink=auto", other.data, self.data], check=True)
        self.configure(port=self.port, unix_socket_directories=self.home)
        return self

    def point(self, primary):
        self.configure(primary_conninfo=f"host=127.0.0.1 port={primary.port} user=postgres application_name={self.name} "
                       "connect_timeout=3")
        open(os.path.join(self.data, "standby.signal"), "w", encoding="utf-8").close()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(as_postgres(f"{BIN}/postgres", "-D", self.data), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd="/", start_new_session=True,
                                            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})

        def there():
            assert self.process.poll() is None, self.tail()
            try:
                return self.one("select 1", database="postgres") == 1
            except psycopg2.Error:
                return False
        wait_for(there, 20, why=f"{self.name} answers")
        return self

    def stop(self, how=signal.SIGINT):
        """SIGINT: fast; SIGTERM: smart; SIGQUIT: immediate."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)
        self.process = None

    def crash(self):
        """As if the machine had died: the whole group at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        for pid in self.children():
            os.kill(pid, signal.SIGKILL)
        self.process.wait(60)
        self.process = None

    def children(self):
        out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False)
        return [int(p) for p in out.stdout.split()]

    def freeze(self, on=True):
        """The whole server stands still and answers nobody; or goes on."""
        how = signal.SIGSTOP if on else signal.SIGCONT
        for pid in [self.process.pid, *self.children()]:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                pass

    def discard(self):
        if self.process and self.process.poll() is None:
            self.freeze(False)
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.home, ignore_errors=True)

    def connect(self, database="app", user="postgres", password=None):
        c = psycopg2.connect(host="127.0.0.1", port=self.port, user=user, password=password, dbname=database, connect_timeout=5)
        c.autocommit = True
        return c

    def query(self, sql, values=(), database="app"):
        c = self.connect(database)
        try:
            with c.cursor() as cursor:
                cursor.execute(sql, values or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            c.close()

    def one(self, sql, values=(), database="app"):
        return self.query(sql, values, database)[0][0]

    def uri(self, user="securebase", database="app"):
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def caught_up(self, standby):
        end = self.one("select pg_current_wal_flush_lsn()", database="postgres")
        wait_for(lambda: standby.one("select pg_last_wal_replay_lsn() >= %s::pg_lsn", (end,), database="postgres"), 20,
                 why="the standby has replayed")

    def tail(self, lines=30):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                return "".join(f.readlines()[-lines:])
        except OSError:
            return ""


def make_service(primary):
    """The service's database with its own owner, and what the documentation says."""
    primary.query("create role app_owner login", database="postgres")
    primary.query("create database app owner app_owner", database="postgres")
    primary.query(documented("The role").replace("CHOOSE-ONE", PASSWORD), database="postgres")
    primary.query(documented("The tables"), database="app")


class Writer(threading.Thread):
    """A client that writes numbers as fast as it can, connects again whenever it is thrown out, and remembers what was
    acknowledged and when."""

    def __init__(self, server, user="app_owner"):
        super().__init__(daemon=True)
        self.server, self.user = server, user
        self.acknowledged = []  # (number, monotonic time at which the answer was there)
        self.refused = 0
        self.ends = threading.Event()
        self.start()

    def run(self):
        n, c = 0, None
        while not self.ends.is_set():
            try:
                if c is None:
                    c = psycopg2.connect(host="127.0.0.1", port=self.server.port, user="postgres" if self.user is None else self.user,
                                         password=PASSWORD, dbname="app", connect_timeout=2)
                    c.autocommit = True
                with c.cursor() as cursor:
                    n += 1
                    cursor.execute("insert into written (n) values (%s)", (n,))
                    self.acknowledged.append((n, time.monotonic()))
            except psycopg2.Error:
                self.refused += 1
                c = None
                time.sleep(0.005)

    def end(self):
        self.ends.set()
        self.join(10)
        return self.acknowledged


class Proxy:
    """Stands between a client and a server. Once `trigger` has gone through towards the server, nothing comes back any more:
    what was asked is done, and the client never hears of it."""

    def __init__(self, server, trigger, cut=False):
        self.server, self.trigger, self.cut, self.tripped = server, trigger, cut, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self.server.port))
            threading.Thread(target=self.forward, args=(client, upstream, True), daemon=True).start()
            threading.Thread(target=self.forward, args=(upstream, client, False), daemon=True).start()

    def forward(self, a, b, outward):
        try:
            while data := a.recv(65536):
                if outward and self.trigger in data:
                    self.tripped = True
                if outward or not self.tripped:
                    b.sendall(data)
                elif self.cut:
                    b.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        for s in (a, b):
            if outward or not self.tripped or self.cut:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def uri(self):
        return f"postgresql://securebase@127.0.0.1:{self.port}/app?sslmode=disable"

    def close(self):
        self.listener.close()
