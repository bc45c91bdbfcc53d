"""A cluster of real etcd members on loopback, each with a folder and ports of its own, and the tool that drives our side."""
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import threading

from support import BUILD, PATIENCE, Process, free_port, wait_for

QUIET = ["--logger", "zap", "--log-outputs", "stderr", "--log-level", "warn"]


def member_certificate(ca, folder):
    """A folder with a certificate for members, of the development CA. It serves and it calls: with --client-cert-auth a
    member's gateway calls the member itself, and shows this very certificate."""
    os.makedirs(folder, exist_ok=True)
    subprocess.run(f"""
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=etcd -keyout member.key -out member.csr
        printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' > member.ext
        openssl x509 -req -in member.csr -CA {ca}/ca.pem -CAkey {ca}/ca.key -set_serial 4711 -days 2 -extfile member.ext -out member.pem
        cp {ca}/ca.pem {ca}/role-peer.pem {ca}/role-peer.key .
        """, shell=True, check=True, cwd=folder, capture_output=True)
    return folder


class Member(Process):
    """One member. `tls`: a folder of member_certificate; then clients need a certificate of its CA."""

    def __init__(self, folder, name, client, peer, cluster, tls=None, more=()):
        folder = os.path.join(str(folder), name)
        os.makedirs(folder, exist_ok=True)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{client}"
        self.data = os.path.join(folder, "data")
        argv = [shutil.which("etcd"), "--name", name, "--data-dir", self.data, "--listen-client-urls", self.url,
                "--advertise-client-urls", self.url, "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}", "--initial-cluster", cluster,
                "--initial-cluster-state", "new", "--heartbeat-interval", "100", "--election-timeout", "1000", *QUIET, *more]
        if tls:
            argv += ["--cert-file", f"{tls}/member.pem", "--key-file", f"{tls}/member.key", "--trusted-ca-file",
                     f"{tls}/ca.pem", "--client-cert-auth"]
        super().__init__(name, argv, folder, env={"ETCDCTL_API": "3"})

    def pause(self):
        self.freeze()

    def go_on(self):
        self.signal(signal.SIGCONT)


class Cluster:
    def __init__(self, folder, started, n=3, tls=None, more=()):
        self.folder, self.tls, self.started = str(folder), tls, started
        self.ports = [(free_port(), free_port()) for _ in range(n)]
        cluster = ",".join(f"m{i}=http://127.0.0.1:{peer}" for i, (_, peer) in enumerate(self.ports))
        self.members = [Member(folder, f"m{i}", client, peer, cluster, tls, more) for i, (client, peer) in enumerate(self.ports)]

    def start(self):
        for m in self.members:
            self.started.append(m.start())
        return self.ready()

    def ready(self):
        wait_for(lambda: self.ctl("put", "ready", "1", "--command-timeout=1s"), 30, why="etcd ready")
        return self

    @property
    def urls(self):
        return [m.url for m in self.members]

    def ctl(self, *args, members=None, user=None):
        """etcdctl at the members given (all), its output."""
        argv = [shutil.which("etcdctl"), "--endpoints", ",".join(m.url for m in members or self.members), *args]
        if self.tls:
            argv += ["--cacert", f"{self.tls}/ca.pem", "--cert", f"{self.tls}/role-peer.pem", "--key",
                     f"{self.tls}/role-peer.key"]
        if user:
            argv += ["--user", user]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20 * PATIENCE,
                              env=dict(os.environ, ETCDCTL_API="3")).stdout

    def leader(self):
        return self.leader_of(self.members)

    def leader_of(self, members):
        """The member that leads, asked of those that are up."""
        def find():
            for m in members:
                if not m.alive():
                    continue
                status = json.loads(self.ctl("endpoint", "status", "-w", "json", "--command-timeout=2s", members=[m]))[0]["Status"]
                if status["header"]["member_id"] == status["leader"]:
                    return m
            return None
        return wait_for(find, 20, why="a leader")

    def others(self, *but):
        return [m for m in self.members if m not in but]


class Voter(Process):
    """authority_tool: one aggregator's side. Every answer is kept, with the order in which it came."""

    def __init__(self, folder, started, name, urls, boot=1, lease="15s", lease_ms=15000, **options):
        folder = os.path.join(str(folder), f"voter-{name}-{boot}")
        os.makedirs(folder, exist_ok=True)
        file = os.path.join(folder, "c.ini")
        with open(file, "w", encoding="utf-8") as f:
            f.write("[coordination]\n")
            if urls:
                f.write(f"type = etcd\nendpoints = {' '.join(urls)}\n")
            f.writelines(f"{k} = {v}\n" for k, v in options.items())
        super().__init__(name, [os.path.join(BUILD, "tests", "authority_tool"), file, name, boot, lease_ms], folder)
        self.numbers, self.hints, self.waiting = itertools.count(1), queue.Queue(), {}
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=folder,
                                          text=True)
        started.append(self)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.child.stdout:
            answer = json.loads(line)
            if "changed" in answer:
                self.hints.put(answer["changed"])
            else:
                self.waiting[answer["id"]].put(answer)

    def send(self, *words):
        """Begins a call; returns what collects its answer."""
        number = str(next(self.numbers))
        self.waiting[number] = answers = queue.Queue()
        self.child.stdin.write(" ".join([number, *map(str, words)]) + "\n")
        self.child.stdin.flush()
        return lambda: answers.get(timeout=20 * PATIENCE)

    def ask(self, *words):
        return self.send(*words)()

    def acquire(self, service="app"):
        a = self.ask("acquire", service)
        if a["outcome"] == "ok":
            self.token = (a["token_store"], a["token"])
        return a

    def keep(self, service="app"):
        return self.ask("keep", service)

    def read(self, service="app"):
        return self.ask("read", service)

    def resign(self, service="app"):
        return self.ask("resign", service)

    def store(self, seen, record, line="-", token=None, service="app"):
        return self.ask("store", service, *(token or self.token), seen, record, line)

    def place(self):
        return self.ask("place")

    def journal(self, n=100, service="app"):
        return self.ask("journal", service, n)
