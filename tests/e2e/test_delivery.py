"""Real agents and a real aggregator, with outages, kills and full disks between them: what was taken in is counted once, and
whatever is given up is counted by reason.

On the agent, at every moment: produced = delivered + spooled + in memory + dropped by reason + refused by reason. What an
agent was told is known to have been read by it when its socket's queue is empty (SIOCOUTQ), and to be on disk when as
many batches as that takes have been sealed and none is in memory.
"""
import fcntl
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import termios
import threading

import pytest

import support
from support import wait_for
from test_protocol_out import balanced

SECTION = ("percentile took", {"metric": "took", "windows": "1h", "quantiles": "0.5 1", "buckets": "1 2"})


class Told:
    """A StatsD client on a unix datagram socket that waits rather than loses, and counts what it said."""

    def __init__(self, agent, path, name="took"):
        self.agent, self.path, self.name = agent, path, name
        self.values = self.requests = 0
        self.socket = None

    def say(self, values=1, value="1.5", requests=1):
        if not self.socket:
            wait_for(self.connect, why="the agent's StatsD socket")
        while values > 0:
            n = min(values, 400)
            self.socket.send(f"{self.name}:{':'.join([value] * n)}|d".encode())
            self.values += n
            values -= n
        if requests:
            self.socket.send(f"asked:{requests}|c".encode())
            self.requests += requests

    def connect(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            s.connect(self.path)
        except OSError:
            s.close()
            raise
        self.socket = s
        return True

    def read(self):
        """Waits until the agent has read all of it."""
        def empty():
            return struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0\0\0\0"))[0] == 0
        wait_for(empty, why="the agent to read its socket")

    def sealed(self):
        """Waits until all of it is in batches, on disk."""
        self.read()
        before = self.agent.totals()["produced"]["batches"]

        def done():
            t = self.agent.totals()
            balanced(t)
            return t["produced"]["batches"] >= before + 3 and not t["memory"]["batches"]
        wait_for(done, why="what was told to be on disk")

    def again(self):
        """The agent was started anew."""
        if self.socket:
            self.socket.close()
        self.socket = None


@pytest.fixture
def road(aggregator, agent, tmp_path):
    """(aggregator, agent, what it is told), running."""
    path = os.path.join(str(tmp_path), "statsd")
    g = aggregator(sections=[SECTION])
    a = agent([g.endpoint], ship={"batch": "1s"}, statsd={"listen": f"unixgram:{path}"})
    wait_for(lambda: g.agents().get("web-1"), why="a first batch")
    return g, a, Told(a, path)


def counted(g):
    return int(g.metrics().get('took_count{percentile="took"}', 0))


def asked(g):
    return [v for k, v in g.metrics("/metrics/hosts").items() if k.startswith("asked_total{")]


def nothing_missing(g):
    """No batch is waited for any more, and none was given up by the aggregator itself; returns how many their agents have
    said would not come."""
    wait_for(lambda: g.metrics()["securebase_aggregator_batches_missing"] == 0, why="`low` to close the holes")
    page = g.metrics()
    assert page['securebase_aggregator_missing_batches_total{reason="lost"}'] == 0
    return page['securebase_aggregator_missing_batches_total{reason="closed"}']


def nothing_lost(g):
    assert nothing_missing(g) == 0


def all_there(g, told, seconds=60):
    wait_for(lambda: counted(g) >= told.values, seconds, why=f"{told.values} values at the aggregator")
    assert counted(g) == told.values
    balanced(told.agent.totals())


def in_step(g, a, seconds=30):
    """Waits until the agent has nothing left to deliver but what it is just making."""
    def ok():
        t = a.totals()
        balanced(t)
        return t["spooled"]["batches"] + t["memory"]["batches"] <= 1
    wait_for(ok, seconds, why="the spool to empty")


def test_an_aggregator_that_is_away_for_a_while(road):
    g, a, told = road
    told.say(100)
    told.sealed()
    g.kill()
    for _ in range(4):
        told.say(250)
        told.sealed()
    away = a.totals()
    assert away["spooled"]["batches"] >= 8 and not away["dropped"]["batches"]
    g.start()
    all_there(g, told)
    in_step(g, a)
    wait_for(lambda: asked(g) == [told.requests], why="the counter's total")
    nothing_lost(g)
    entry, t = g.agents()["web-1"], a.totals()
    assert not any(entry["refused"].values()) and not t["refused"] and not t["dropped"]["batches"]
    assert entry["batches"] == entry["seq"], "each number was taken once"


def test_a_full_spool_drops_the_oldest_and_says_so(aggregator, agent, tmp_path):
    path = os.path.join(str(tmp_path), "statsd")
    g = aggregator(sections=[SECTION])
    a = agent([g.endpoint], ship={"batch": "1s"}, statsd={"listen": f"unixgram:{path}"}, spool={"max_bytes": "1MiB"})
    told = Told(a, path)
    told.say(10)
    told.sealed()
    wait_for(lambda: counted(g) == 10, why="the first values")
    g.kill()
    told.again()
    # Values spread widely, in many series: their sketches do not compress, so the spool fills quickly.
    noise = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    noise.connect(path)

    def full():
        for series in range(250):
            texts = ":".join(format(2.0 ** random.uniform(-15, 15), ".4g") for _ in range(400))
            noise.send(f"noise:{texts}|d|#n:{series}".encode())
        t = a.totals()
        balanced(t)
        assert t["spooled"]["batches"] == 0 or t["bytes"] <= t["max_bytes"], t
        return t["dropped"]["by"]["spool_full"]["batches"] >= 3
    wait_for(full, 60, every=0.2, why="the spool to overflow")
    noise.close()
    g.start()
    in_step(g, a)
    t = a.totals()
    dropped = t["dropped"]["by"]["spool_full"]
    assert dropped["batches"] >= 3 and dropped["values"] > 0
    assert t["dropped"]["batches"] == dropped["batches"]
    told.say(5)
    wait_for(lambda: counted(g) == 15, why="the road to be open again")
    entry = wait_for(lambda: g.agents()["web-1"], why="the entry")
    # The oldest went: what came through are all the others, and the holes are closed by `low`, not waited for.
    assert entry["seq"] - entry["batches"] == dropped["batches"]
    assert nothing_missing(g) == dropped["batches"]


def test_an_agent_that_is_killed_loses_nothing_that_was_spooled(road):
    g, a, told = road
    for turn in range(3):
        down = turn % 2 == 0
        if down:
            g.kill()
        told.say(300)
        told.sealed()
        a.kill()
        told.again()
        a.start()
        if down:
            g.start()
        wait_for(lambda: counted(g) >= told.values, 30, why=f"turn {turn}: {told.values} values")
        assert counted(g) == told.values
    told.say(7, requests=11)
    all_there(g, told)
    in_step(g, a)
    wait_for(lambda: asked(g) == [11], why="the counter since the last start")
    nothing_lost(g)
    entry = g.agents()["web-1"]
    assert entry["batches"] == entry["seq"]


class Traffic(threading.Thread):
    """Tells without end until it is stopped."""

    def __init__(self, told):
        super().__init__(daemon=True)
        self.told, self.over, self.error = told, threading.Event(), None

    def run(self):
        try:
            while not self.over.wait(0.02):
                self.told.say(50)
        except Exception as e:
            self.error = e

    def end(self):
        self.over.set()
        self.join()
        assert not self.error, self.error


def test_an_aggregator_that_is_killed_again_and_again(road):
    g, a, told = road
    traffic = Traffic(told)
    traffic.start()
    before = 0
    for turn in range(5):
        wait_for(lambda: counted(g) > before, 30, why=f"turn {turn}: something new")
        g.kill()
        g.start()
        now = counted(g)
        assert now >= before, "an acknowledged value is gone"
        before = now
        balanced(a.totals())
    traffic.end()
    all_there(g, told)
    in_step(g, a)
    wait_for(lambda: asked(g) == [told.requests], why="the counter's total")
    nothing_lost(g)
    assert g.agents()["web-1"]["batches"] == g.agents()["web-1"]["seq"]


def test_both_are_stopped_while_busy(road):
    """What the agent has read when TERM comes is sealed and kept, and both end with 0."""
    g, a, told = road
    for first in (a, g), (g, a):
        traffic = Traffic(told)
        begun = told.values
        traffic.start()
        wait_for(lambda begun=begun: told.values > begun + 2000 and counted(g) > begun, why="some traffic")
        traffic.end()
        told.read()
        for p in first:
            p.signal(signal.SIGTERM)
        for p in first:
            assert p.child.wait(45) == 0, p.tail()
        told.again()
        g.start()
        a.start()
        wait_for(lambda: counted(g) >= told.values, 30, why=f"{told.values} values")
        assert counted(g) == told.values
    in_step(g, a)
    t = a.totals()
    assert not t["dropped"]["batches"] and not t["dropped"]["values"], t
    nothing_lost(g)


class Limit:
    """A disk that is full for one process: no file of it may grow (RLIMIT_FSIZE), which writes report as EFBIG."""

    def __init__(self, g, tmp_path):
        self.g = g

    def fill(self):
        _, hard = resource.prlimit(self.g.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.g.pid, resource.RLIMIT_FSIZE, (4096, hard))

    def free(self):
        _, hard = resource.prlimit(self.g.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.g.pid, resource.RLIMIT_FSIZE, (hard, hard))

    def close(self):
        pass


class Tmpfs:
    """A small file system that is filled to the last byte: ENOSPC. It is mounted in a mount name space of its own, which a
    process holds: nobody else sees it, and it goes with that process."""

    def __init__(self, g, tmp_path):
        self.g = g
        os.makedirs(g.state, mode=0o750, exist_ok=True)
        mount = f"mount -t tmpfs -o size=64m,mode=0750 none {g.state} && echo mounted && exec sleep 600"
        self.holder = support.Process("holder", ["unshare", "-m", "sh", "-c", mount], tmp_path).start()
        wait_for(lambda: "mounted" in self.holder.output(), why="the file system")
        g.argv = ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", *g.argv]
        self.ballast = f"/proc/{self.holder.pid}/root{g.state}/ballast"

    def fill(self):
        with open(self.ballast, "wb", buffering=0) as f:
            try:
                while f.write(bytes(4096)):
                    pass
            except OSError:
                pass

    def free(self):
        os.remove(self.ballast)

    def close(self):
        self.holder.kill()


def may_mount():
    """Whether this process may make a mount name space and mount in it."""
    out = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return out.returncode == 0


@pytest.mark.parametrize("way", [Limit] + ([Tmpfs] if may_mount() else []))
def test_a_full_disk_under_the_journal(aggregator, agent, tmp_path, way):
    """Nothing is acknowledged that could not be stored; the agent keeps it; room again, and all is there once."""
    path = os.path.join(str(tmp_path), "statsd")
    g = aggregator(start=False, sections=[SECTION])
    disk = way(g, tmp_path)
    try:
        g.start()
        a = agent([g.endpoint], ship={"batch": "1s"}, statsd={"listen": f"unixgram:{path}"})
        told = Told(a, path)
        told.say(100)
        told.sealed()
        wait_for(lambda: counted(g) == 100, why="the first values")
        in_step(g, a)
        disk.fill()

        def held():
            told.say(500)
            t = a.totals()
            balanced(t)
            return t["spooled"]["batches"] >= 3 and "503" in t["trouble"]
        wait_for(held, 60, every=0.2, why="503 from the aggregator")
        assert g.alive(), g.tail()
        assert support.get(g.url + "/metrics")[0] == 200
        disk.free()
        all_there(g, told, 90)
        in_step(g, a, 90)
        nothing_lost(g)
        g.kill()
        g.start()
        assert counted(g) == told.values
    finally:
        if g.alive():
            g.kill()
        disk.close()


def test_two_aggregators_one_agent_counts_once_at_the_one_in_use(aggregator, agent, tmp_path):
    """The second takes over while the first is away; together they have each batch once."""
    path = os.path.join(str(tmp_path), "statsd")
    first = aggregator(name="first", sections=[SECTION])
    second = aggregator(name="second", sections=[SECTION])
    a = agent([first.endpoint, second.endpoint], ship={"batch": "1s"}, statsd={"listen": f"unixgram:{path}"})
    told = Told(a, path)
    told.say(100)
    wait_for(lambda: counted(first) == 100, why="values at the first")
    told.sealed()
    in_step(first, a)
    first.stop()  # in good order: nothing is under way
    told.say(50)
    wait_for(lambda: counted(second) == 50, why="values at the second")
    in_step(second, a)
    assert a.totals()["dropped"]["batches"] == 0
    first.start()
    assert counted(first) + counted(second) == told.values


def test_the_spool_can_be_looked_at_and_verified(road):
    g, a, told = road
    g.kill()
    told.say(10)
    told.sealed()
    run = [a.argv[0], "-c", a.file, "spool"]
    out = subprocess.run(run + ["verify"], capture_output=True, text=True, check=False, timeout=60)
    assert out.returncode == 0, out
    out = subprocess.run(run + ["stat"], capture_output=True, text=True, check=False, timeout=60)
    assert out.returncode == 0 and str(a.totals()["epoch"]) in out.stdout, out
    g.start()
    all_there(g, told)


def test_verify_store(road):
    g, _, told = road
    told.say(10)
    told.sealed()
    run = [g.argv[0], "-c", g.file, "verify-store"]
    wait_for(lambda: counted(g) == 10, why="values")
    out = subprocess.run(run, capture_output=True, text=True, check=False, timeout=60)
    assert out.returncode == 1 and "in use" in out.stderr, "it refuses while one runs"
    g.kill()
    out = subprocess.run(run, capture_output=True, text=True, check=False, timeout=60)
    assert out.returncode == 0, out
