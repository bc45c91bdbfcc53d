"""Starts the real programs on loopback, each in a folder of its own and on free ports, and stops them by pid.

Used by the end-to-end tests and by the demo; needs nothing but Python's standard library.
"""
import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))


# Every deadline here is as many times what its test says: a deadline costs nothing while things work, and machines are slow
# and shared.
PATIENCE = 3


def below_ephemeral():
    """Ports that the kernel gives to nobody by itself: neither to a client's end of a connection nor to port 0."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        return range(10_000, int(f.read().split()[0]))


claimed = []  # sockets: see claim


def free_port(kind=socket.SOCK_STREAM):
    """A port that nobody has, and that no other caller of this function gets while this process lives. It lies where no
    connection can come upon it before the program that is to have it is there, or while that one is away."""
    for port in random.sample(below_ephemeral(), min(1000, len(below_ephemeral()))):
        with socket.socket(socket.AF_INET, kind) as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            if claim(port):
                return port
    raise AssertionError("no free port")


def claim(port):
    """Whether the port is this process's from now on, among all that ask here: who has the name has the port. An abstract
    name leaves nothing behind."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0securebase-test-port-{port}")
    except OSError:
        name.close()
        return False
    claimed.append(name)
    return True


def wait_for(what, seconds=20, every=0.05, why=None):
    """Calls what() until it gives something true; returns that. Fails with `why` when PATIENCE times `seconds` are over.
    What fails because a program is not there yet counts as not true; anything else that is raised ends the wait."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            last = what()
            if last:
                return last
        except (OSError, http.client.HTTPException, ValueError, KeyError, IndexError, subprocess.CalledProcessError) as e:
            last = e
        time.sleep(every)
    raise AssertionError(f"{why or what.__name__} did not come true within {seconds} s (last: {last!r})")


def get(url, headers=None, timeout=20 * PATIENCE):
    """(status, headers, body) of a GET, whatever the status."""
    request = urllib.request.Request(url, headers=headers or {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as r:
            return r.status, r.headers, r.read()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read()


def post(ca, port, path, who, body, kind):
    """(status, body) of a POST to an ingest port, by the certificate `who` of the CA's folder."""
    context = ssl.create_default_context(cafile=f"{ca}/ca.pem")
    context.load_cert_chain(f"{ca}/{who}.pem", f"{ca}/{who}.key")
    c = http.client.HTTPSConnection("localhost", port, context=context, timeout=20 * PATIENCE)
    c.request("POST", path, body, {"Content-Type": kind})
    r = c.getresponse()
    out = r.status, r.read()
    c.close()
    return out


def authority(folder, *names):
    """A development CA with certificates (packaging/devca.sh); returns the folder."""
    subprocess.run(["sh", os.path.join(TOP, "packaging/devca.sh"), folder, *names], check=True, cwd=TOP)
    return folder


def ini(sections):
    """An ini text from [(section, {key: value})]."""
    lines = []
    for name, options in sections:
        lines.append(f"[{name}]")
        lines += [f"{k} = {v}" for k, v in options.items() if v is not None]
        lines.append("")
    return "\n".join(lines)


class Process:
    """A program in the background with its output in a file."""

    def __init__(self, name, argv, folder, env=None):
        self.name, self.argv, self.folder = name, [str(a) for a in argv], str(folder)
        self.env = dict(os.environ, **(env or {}))
        self.log = os.path.join(self.folder, name + ".log")
        self.child = None

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                                          env=self.env)
        return self

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def freeze(self):
        """SIGSTOP, and waits until each of its threads stands: on a busy machine one may answer for a while yet."""
        self.signal(signal.SIGSTOP)

        def stands():
            tasks = f"/proc/{self.child.pid}/task"
            states = [open(f"{tasks}/{t}/stat", encoding="ascii").read().rpartition(")")[2].split()[0] for t in os.listdir(tasks)]
            return set(states) == {"T"}
        wait_for(stands, 20)

    def kill(self):
        """kill -9, at once."""
        if self.alive():
            self.child.kill()
        return self.child.wait()

    def stop(self, seconds=15):
        """TERM, then KILL; returns the exit status."""
        if self.child is None:
            return None
        if self.alive():
            self.child.terminate()
        try:
            return self.child.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(f"{self.name} did not stop within {seconds * PATIENCE} s: {self.tail()}") from None

    def output(self):
        if not os.path.exists(self.log):
            return ""
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def tail(self, lines=25):
        return "\n".join(self.output().splitlines()[-lines:])


class Aggregator(Process):
    """A securebase-aggregator with TLS on a free port and its own state."""

    def __init__(self, folder, ca, sections=(), name="aggregator", ingest_port=None, http_port=None, **options):
        folder = os.path.join(str(folder), name)
        os.makedirs(folder, exist_ok=True)
        self.ca = ca
        self.ingest_port = ingest_port or free_port()
        self.http_port = http_port or free_port()
        self.socket = os.path.join(folder, "ctl.sock")
        self.state = os.path.join(folder, "state")
        self.file = os.path.join(folder, "aggregator.ini")
        merged = {
            "aggregator": {"region": "us-east-1", "state_dir": self.state},
            "ingest": {"listen": f"127.0.0.1:{self.ingest_port}", "auth": "mtls", "ca": f"{ca}/ca.pem",
                       "cert": f"{ca}/server.pem", "key": f"{ca}/server.key"},
            "http": {"listen": f"127.0.0.1:{self.http_port}", "socket": self.socket},
        }
        for section, values in options.items():
            merged.setdefault(section, {}).update(values)
        self.sections = list(merged.items()) + list(sections)
        self.write()
        super().__init__(name, [os.path.join(BUILD, "securebase-aggregator"), "-c", self.file], folder)

    def write(self):
        with open(self.file, "w", encoding="utf-8") as f:
            f.write(ini(self.sections))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def endpoint(self):
        return f"https://127.0.0.1:{self.ingest_port}"

    def start(self, wait=True):
        super().start()
        if wait:
            self.ready()
        return self

    def ready(self, seconds=30):
        def ok():
            assert self.alive(), f"{self.name} ended: {self.tail()}"
            return get(self.url + "/readyz")[0] == 200
        wait_for(ok, seconds, why=f"{self.name} ready")
        return self

    def api(self, what, **params):
        query = "?" + urllib.parse.urlencode(params, doseq=True) if params else ""
        status, _, body = get(f"{self.url}/api/v1/{what}{query}")
        assert status == 200, body
        return json.loads(body)

    def metrics(self, path="/metrics"):
        """{'name{labels}' as written: value} of a text page."""
        status, _, body = get(self.url + path)
        assert status == 200, body
        return parse_page(body.decode())

    def agents(self):
        return {a["id"]: a for a in self.api("agents")["agents"]}


class Agent(Process):
    """A securebase-agent that reports to the endpoints given."""

    def __init__(self, folder, ca, endpoints, name="web-1", sections=(), **options):
        folder = os.path.join(str(folder), "agent-" + name)
        os.makedirs(folder, exist_ok=True)
        self.id = name
        self.statsd_port = free_port(socket.SOCK_DGRAM)
        self.state = os.path.join(folder, "state")
        self.socket = os.path.join(folder, "agent.sock")
        self.file = os.path.join(folder, "agent.ini")
        merged = {
            "agent": {"id": name, "region": "us-east-1", "env": "test", "interval": "1s", "state_dir": self.state,
                      "socket": self.socket},
            "ship": {"endpoints": " ".join(endpoints), "ca": f"{ca}/ca.pem", "cert": f"{ca}/agent-{name}.pem",
                     "key": f"{ca}/agent-{name}.key", "batch": "2s"},
            "statsd": {"listen": f"udp://127.0.0.1:{self.statsd_port}"},
        }
        for section, values in options.items():
            merged.setdefault(section, {}).update(values)
        self.sections = list(merged.items()) + list(sections)
        self.write()
        super().__init__("agent-" + name, [os.path.join(BUILD, "securebase-agent"), "-c", self.file], folder)

    def write(self):
        with open(self.file, "w", encoding="utf-8") as f:
            f.write(ini(self.sections))

    def start(self, wait=True):
        super().start()
        if wait:
            self.ready()
        return self

    def ready(self, seconds=20):
        """Waits until it answers on its socket."""
        def ok():
            assert self.alive(), f"{self.name} ended: {self.tail()}"
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(self.socket)
            return True
        wait_for(ok, seconds, why=f"{self.name} ready")
        return self

    def status(self):
        out = subprocess.run([os.path.join(BUILD, "securebase-agent"), "-c", self.file, "status", "--json"],
                             capture_output=True, text=True, check=True, timeout=20 * PATIENCE)
        return json.loads(out.stdout)

    def totals(self):
        """The spool's counters: what `status --json` says, with the sums over reasons; `held`: requests that delivered
        nothing."""
        whole = self.status()
        s = whole["spool"]
        dropped = {u: sum(c[u] for c in s["dropped"].values()) for u in ("batches", "values")}
        return {"produced": s["produced"], "delivered": s["delivered"], "spooled": s["spooled"], "memory": s["in_memory"],
                "dropped": dict(dropped, by=s["dropped"]), "refused": sum(s["refused"].values()), "refused_by": s["refused"],
                "bytes": s["bytes"], "max_bytes": s["max_bytes"], "epoch": s["epoch"], "low": s["low"],
                "next_seq": s["next_seq"], "state": whole["ship"]["state"], "trouble": whole["ship"]["trouble"]}

    def statsd(self, *lines):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto("\n".join(lines).encode(), ("127.0.0.1", self.statsd_port))


class Prometheus(Process):
    """Debian's Prometheus, scraping what it is told."""

    def __init__(self, folder, jobs, name="prometheus", interval="1s", flags=()):
        folder = os.path.join(str(folder), name)
        os.makedirs(folder, exist_ok=True)
        self.port = free_port()
        file = os.path.join(folder, "prometheus.yml")
        config = {"global": {"scrape_interval": interval, "scrape_timeout": interval}, "scrape_configs": jobs}
        with open(file, "w", encoding="utf-8") as f:
            json.dump(config, f)  # JSON is YAML
        super().__init__(name, [shutil.which("prometheus") or "prometheus", f"--config.file={file}",
                                f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{self.port}",
                                *flags], folder)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        super().start()
        wait_for(lambda: get(self.url + "/-/ready")[0] == 200, 60, why="Prometheus ready")
        return self

    def query(self, expr):
        status, _, body = get(self.url + "/api/v1/query?" + urllib.parse.urlencode({"query": expr}))
        answer = json.loads(body)
        assert status == 200 and answer["status"] == "success", answer
        return answer["data"]["result"]

    def seen(self, expr):
        """As value, or None while there is no such series: for waiting."""
        result = self.query(expr)
        return self.value(expr) if result else None

    def value(self, expr):
        """The value of an expression that gives one series."""
        result = self.query(expr)
        assert len(result) == 1, (expr, result)
        return float(result[0]["value"][1])


def jobs(aggregator):
    """The two scrape jobs of conf/prometheus, for one aggregator."""
    target = [{"targets": [f"127.0.0.1:{aggregator.http_port}"]}]
    return [{"job_name": "securebase", "honor_labels": True, "static_configs": target},
            {"job_name": "securebase-hosts", "metrics_path": "/metrics/hosts", "honor_labels": True,
             "static_configs": target}]


def parse_page(text):
    out = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.rpartition(" ")
            out[key] = float(value)
    return out


def sbctl(aggregator, *args, check=True):
    out = subprocess.run([os.path.join(BUILD, "sbctl"), "--socket", aggregator.socket, *args], capture_output=True,
                         text=True, check=False, timeout=30 * PATIENCE)
    assert not check or out.returncode == 0, out.stderr
    return out
