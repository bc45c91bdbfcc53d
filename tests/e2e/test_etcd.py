"""The authority between regions against real etcd: who holds, who has lost, and what is said when etcd cannot say."""
import collections
import http.server
import itertools
import os
import random
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

import support
from etcds import Cluster, Voter, member_certificate
from support import PATIENCE, wait_for


@pytest.fixture
def etcd(tmp_path, started):
    return Cluster(tmp_path, started).start()


@pytest.fixture
def voter(tmp_path, started, etcd):
    return lambda name, boot=1, **options: Voter(tmp_path, started, name, etcd.urls, boot, **options)


def test_acquire_keep_store_read_resign(voter):
    east, west = voter("east"), voter("west")
    first = east.acquire()
    assert first["outcome"] == "ok" and first["resigned"], "nobody ever held it"
    assert first["token"] > 0 and first["token_store"] == 0
    assert west.acquire()["holder"] == "east host"
    assert west.keep()["outcome"] == "lost" and west.resign()["outcome"] == "lost"
    assert east.keep()["outcome"] == "ok"
    assert west.read()["known"] is False and west.read()["token"] == first["token"]
    stored = east.store(0, "one", "line-1")
    assert stored["outcome"] == "ok" and stored["rev"] > first["token"]
    assert east.store(0, "two", "line-2")["outcome"] == "conflict"
    again = east.store(0, "one", "line-1")
    assert (again["outcome"], again["rev"]) == ("ok", stored["rev"]), "asked twice, done once"
    second = east.store(stored["rev"], "two", "line-2")
    assert second["outcome"] == "ok"
    read = west.read()
    assert (read["record"], read["rev"], read["holder"]) == ("two", second["rev"], "east host")
    assert west.journal()["lines"] == ["line-2", "line-1"]
    assert west.journal(1)["lines"] == ["line-2"]
    assert east.resign()["outcome"] == "ok"
    assert east.keep()["outcome"] == "lost"
    assert east.store(second["rev"], "three", token=(0, first["token"]))["outcome"] == "lost"
    taken = west.acquire()
    assert taken["outcome"] == "ok" and taken["resigned"] and taken["token"] > first["token"]
    west.kill()
    north = voter("north", lease_ms=15000)
    assert north.acquire()["outcome"] == "held", "its lease has not ended"


def test_a_paused_holder_is_refused(voter, etcd):
    east, west = voter("east", lease_ms=2000), voter("west", lease_ms=2000)
    first = east.acquire()
    rev = east.store(0, "one")["rev"]
    east.signal(19)
    taken = wait_for(lambda: (a := west.acquire())["outcome"] == "ok" and a, 30, why="the lease ends")
    assert taken["token"] > first["token"] and not taken["resigned"], "it did not give it up"
    east.signal(18)
    assert east.store(rev, "stale")["outcome"] == "lost"
    assert east.keep()["outcome"] == "lost"
    assert west.read()["record"] == "one"
    assert west.store(rev, "two")["outcome"] == "ok"


def test_a_watch_hints(voter, etcd):
    east, west = voter("east"), voter("west")
    assert east.acquire()["outcome"] == "ok"
    assert west.acquire()["outcome"] == "held"
    rev = 0

    def changed():
        nonlocal rev
        rev = east.store(rev, "one", "line")["rev"]
        return not west.hints.empty()
    wait_for(changed, 20, every=0.5, why="a hint")
    # The watch's member dies, and what lies between is compacted away: there are hints again.
    for m in etcd.members[:1]:
        m.kill()
    for i in range(3):
        rev = wait_for(lambda: (a := east.store(rev, f"r{i}"))["outcome"] == "ok" and a, 10)["rev"]
    etcd.ctl("compact", str(rev), members=etcd.members[1:])
    wait_for(lambda: west.read()["record"] == "r2", 10)
    wait_for(lambda: not west.hints.empty(), 20, why="a hint from another member")
    while not west.hints.empty():
        west.hints.get()
    east.store(rev, "last")
    assert west.hints.get(timeout=30) == "app"


def test_two_contenders_never_hold_at_once(voter):
    """Both try all the time, and give up or fall silent at random. By their own deadlines (sent + lease), and by the tokens
    that their stores were taken with, there is one holder at a time."""
    lease, rng = 2.0, random.Random(4)
    voters = [voter("east", lease_ms=2000), voter("west", lease_ms=2000)]
    spans, writes, until, rev = [], [], time.monotonic() + 25, 0
    held = {}
    while time.monotonic() < until:
        for v in rng.sample(voters, 2):
            now = time.monotonic()
            if v in held and rng.random() < 0.8:
                a = v.keep()
            elif v in held and rng.random() < 0.5:
                held.pop(v)
                a = v.resign()
                spans[-1] = spans[-1] if a["outcome"] != "ok" else (*spans[-1][:2], min(spans[-1][2], now))
                continue
            elif v in held:
                held.pop(v)  # says nothing for a while: its lease runs out
                continue
            else:
                a = v.acquire()
            if a["outcome"] == "ok":
                sent = time.monotonic() - a["sent_ms"] / 1000
                if v in held:
                    spans[-1] = (*spans[-1][:2], sent + lease)
                else:
                    spans.append((a["token"], sent, sent + lease))
                held = {v: a["token"]}
                r = v.read()
                w = v.store(r["rev"], f"{v.name}-{a['token']}")
                if w["outcome"] == "ok":
                    assert w["rev"] > rev
                    rev = w["rev"]
                    writes.append(a["token"])
            elif a["outcome"] == "lost":
                held.pop(v, None)
        time.sleep(rng.random() * 0.2)
    assert len({t for t, _, _ in spans}) >= 3, "it changed hands"
    assert writes == sorted(writes), "tokens never go back"
    for (t1, _, end), (t2, begin, _) in zip(spans, spans[1:]):
        assert t2 >= t1 and (t1 == t2 or begin >= end - 0.001), (t1, end, t2, begin)


def outage(holder, seen, seconds):
    """Stores and keeps for so long; returns (the longest time without a store that was taken, slowest call, outcomes)."""
    end, last, worst, slowest, outcomes = time.monotonic() + seconds, time.monotonic(), 0, 0, collections.Counter()
    while time.monotonic() < end:
        a = holder.store(seen, f"r{time.monotonic_ns()}")
        outcomes[a["outcome"]] += 1
        slowest = max(slowest, a["ms"])
        if a["outcome"] == "ok":
            seen, last = a["rev"], time.monotonic()
        elif a["outcome"] == "away":
            settled = holder.read()
            seen = settled["rev"] if settled["outcome"] == "ok" else seen
        worst = max(worst, time.monotonic() - last)
        k = holder.keep()
        outcomes["keep " + k["outcome"]] += 1
        slowest = max(slowest, k["ms"])
        time.sleep(0.02)
    return worst, slowest, outcomes, seen


@pytest.mark.parametrize("how", ["follower -9", "leader -9", "leader STOP"])
def test_a_member_goes(etcd, started, tmp_path, how):
    leader = etcd.leader()
    gone = leader if how.startswith("leader") else etcd.others(leader)[0]
    # The one that goes is the one that is asked first.
    v = Voter(tmp_path, started, "east", [gone.url] + [m.url for m in etcd.others(gone)])
    assert v.acquire()["outcome"] == "ok"
    seen = outage(v, 0, 1)[3]
    if how.endswith("-9"):
        gone.kill()
    else:
        gone.pause()
    worst, slowest, outcomes, seen = outage(v, seen, 8)
    print(f"{how}: {worst:.2f} s without a store, slowest call {slowest:.0f} ms, {dict(outcomes)}")
    assert not outcomes["keep lost"] and not outcomes["lost"] and not outcomes["conflict"], "nobody else was there"
    assert outcomes["ok"] > 20 and slowest < 1000 * (1 + PATIENCE)
    if how.endswith("STOP"):
        gone.go_on()
        assert outage(v, seen, 2)[2]["keep lost"] == 0
    assert v.keep()["outcome"] == "ok", "it is still the holder"


def test_without_a_quorum_nothing_is_said(etcd, voter):
    east, west = voter("east"), voter("west")
    token = east.acquire()["token"]
    rev = east.store(0, "one")["rev"]
    for m in etcd.members[1:]:
        m.pause()
    for ask in (east.keep, lambda: east.store(rev, "two"), east.read, west.acquire, west.read, lambda: east.journal(3)):
        a = ask()
        if "outcome" in a:
            assert a["outcome"] == "away" and a["why"], a
            assert a["ms"] < 1000 * (1 + PATIENCE)
        else:
            assert a["code"] != 0
    for m in etcd.members[1:]:
        m.go_on()
    again = wait_for(lambda: (a := east.keep())["outcome"] != "away" and a, 20)
    assert (again["outcome"], again["token"]) == ("ok", token)
    # What became of the store whose answer was lost is settled by storing the same again.
    a = wait_for(lambda: (a := east.store(rev, "two"))["outcome"] != "away" and a, 10)
    assert a["outcome"] == "ok" and west.read()["record"] == "two"


def test_the_leader_is_brought_near(etcd, started, tmp_path):
    """By whoever is asked to: to its own first endpoint. Calls go on meanwhile, and nobody loses a lease."""
    led = etcd.leader()
    near, far = etcd.others(led)
    holder = Voter(tmp_path, started, "holder", [led.url, near.url, far.url])
    token = holder.acquire()["token"]
    west = Voter(tmp_path, started, "west", [near.url, far.url, led.url])
    west.place()
    wait_for(lambda: etcd.leader() is near, 20, why="the nearest leads")
    wait_for(lambda: "etcd's leader is the nearest member now" in west.output(), why="it is said")
    assert (holder.keep()["outcome"], holder.keep()["token"]) == ("ok", token)
    # where the nearest leads already, where it is away, and where nobody wants it, it stays
    Voter(tmp_path, started, "same", [near.url, far.url, led.url]).place()
    Voter(tmp_path, started, "no", [far.url, near.url, led.url], place_leader="no").place()
    away = Voter(tmp_path, started, "away", ["http://127.0.0.1:9", near.url, led.url])
    away.place()
    assert away.acquire()["outcome"] == "held"
    time.sleep(1)
    assert etcd.leader() is near
    # one that has not caught up is not made the leader: what etcd says is said
    far.pause()
    paused = Voter(tmp_path, started, "paused", [far.url, near.url, led.url])
    paused.place()
    time.sleep(2)
    assert etcd.leader_of(etcd.others(far)) is near
    far.go_on()


def test_all_members_die_and_return(etcd, voter):
    east = voter("east")
    assert east.acquire()["outcome"] == "ok"
    rev = east.store(0, "one")["rev"]
    for m in etcd.members:
        m.kill()
    a = east.keep()
    assert a["outcome"] == "away" and a["ms"] < 1000 * (1 + PATIENCE)
    for m in etcd.members:
        m.start()
    etcd.ready()
    assert wait_for(lambda: (a := east.keep())["outcome"] != "away" and a, 20)["outcome"] == "ok", "its lease has outlived it"
    assert east.store(rev, "two")["outcome"] == "ok"


def test_a_store_restored_from_a_snapshot(etcd, voter, started, tmp_path):
    east = voter("east")
    early = east.acquire()["token"]
    rev = east.store(0, "one", "line-1")["rev"]
    snapshot = str(tmp_path / "snapshot")
    etcd.ctl("snapshot", "save", snapshot, members=etcd.members[:1])
    for i in range(5):
        rev = east.store(rev, f"later-{i}")["rev"]
    for m in etcd.members:
        m.kill()
    fresh = Cluster(tmp_path / "again", started, n=1)
    one = fresh.members[0]
    peer = one.argv[one.argv.index("--initial-advertise-peer-urls") + 1]
    fresh.ctl("snapshot", "restore", snapshot, "--name", "m0", "--data-dir", one.data, "--initial-cluster", f"m0={peer}",
              "--initial-advertise-peer-urls", peer)
    fresh.start()
    # As the runbook says: before anybody is let in, the store's epoch is raised.
    fresh.ctl("put", "/securebase/store-epoch", "1")
    old = Voter(tmp_path, started, "east", fresh.urls, boot=2)
    new = wait_for(lambda: (a := old.acquire())["outcome"] == "ok" and a, 30, every=0.5, why="the old lease ends")
    assert (new["token_store"], new["token"] > early) == (1, True)
    assert old.read()["record"] == "one" and old.journal()["lines"] == ["line-1"]
    assert old.store(old.read()["rev"], "two")["outcome"] == "ok"
    # Raised under a holder: it has lost, in whatever it asks for.
    seen = old.read()["rev"]
    fresh.ctl("put", "/securebase/store-epoch", "2")
    assert old.store(seen, "three")["outcome"] == "lost"
    assert old.keep()["outcome"] == "lost"
    # Its lease is revoked without waiting for that: until then its own key stands in its way.
    again = wait_for(lambda: (a := old.acquire())["outcome"] == "ok" and a, 30, every=0.1, why="the old lease is revoked")
    assert again["token_store"] == 2
    # What is no number is no reason to go on.
    fresh.ctl("put", "/securebase/store-epoch", "two")
    for ask in (old.acquire, old.read):
        assert ask()["outcome"] == "away"


class Proxy(http.server.BaseHTTPRequestHandler):
    """Between us and a member: `mend(path, status, body)` may change an answer, or lose it (None)."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked[self.path] += 1
        if self.path == "/v3/watch":  # endless: not through here
            self.send_error(503)
            return
        if getattr(self.server, "before", None):
            self.server.before(self.path)
        request = urllib.request.Request(self.server.target + self.path, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as r:
                status, answer = r.status, r.read()
        except urllib.error.HTTPError as e:
            status, answer = e.code, e.read()
        mended = self.server.mend(self.path, status, answer)
        if mended is None:
            self.close_connection = True
            return
        status, answer = mended
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


@pytest.fixture
def proxy(etcd):
    """proxy(mend) stands before the first member."""
    made = []

    def make(mend):
        s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        s.daemon_threads = True
        s.target, s.mend, s.asked = etcd.urls[0], mend, collections.Counter()
        s.url = f"http://127.0.0.1:{s.server_address[1]}"
        threading.Thread(target=s.serve_forever, daemon=True).start()
        made.append(s)
        return s
    yield make
    for s in made:
        s.shutdown()
        s.server_close()


def test_answers_that_are_lost(etcd, voter, proxy, tmp_path, started):
    """The transaction is done and its answer lost, once for each: asked again, by us or by whoever called, it is found done."""
    lose, lost = set(), collections.Counter()

    def mend(path, status, body):
        if path in lose:
            lose.discard(path)
            lost[path] += 1
            return None
        return status, body
    p, watcher = proxy(mend), voter("north")
    v = Voter(tmp_path, started, "east", [p.url])
    lose.add("/v3/lease/grant")
    assert v.acquire()["outcome"] == "ok"
    assert v.resign()["outcome"] == "ok"

    # Each of the transactions of acquire in turn.
    for nth in range(1, 3):
        at = p.asked["/v3/kv/txn"] + nth

        def before(path, at=at):
            if path == "/v3/kv/txn" and p.asked[path] == at:
                lose.add(path)
        p.before = before
        a = wait_for(lambda: (a := v.acquire())["outcome"] != "away" and a, 10)
        assert a["outcome"] == "ok" and a["token"] == watcher.read()["token"]
        assert a["resigned"], "known though the answer was lost"
        lose.add("/v3/kv/txn")
        p.before = None
        assert v.resign()["outcome"] == "ok", "the second found that the first had done it"
        assert watcher.read()["token"] == 0
    v.acquire()
    lose.add("/v3/kv/txn")
    a = v.store(0, "one", "line-1")
    assert a["outcome"] == "ok" and watcher.read()["rev"] == a["rev"], "once, not twice"
    assert watcher.journal()["lines"] == ["line-1"]
    lose.add("/v3/kv/txn")
    lose.add("/v3/lease/keepalive")
    assert v.keep()["outcome"] == "ok"
    assert sum(lost.values()) >= 6


def test_answers_that_come_too_late(etcd, voter, proxy, tmp_path, started):
    """Nothing comes within the time of the whole call: away. What was done meanwhile is found by the next one."""
    slow = threading.Event()

    def mend(path, status, body):
        if slow.is_set():
            time.sleep(1.5)
        return status, body
    p = proxy(mend)
    v, watcher = Voter(tmp_path, started, "east", [p.url]), voter("north")
    slow.set()
    a = v.acquire()
    assert a["outcome"] == "away" and a["ms"] < 1000 * (1 + PATIENCE)
    slow.clear()
    a = wait_for(lambda: (a := v.acquire())["outcome"] == "ok" and a, 20, why="acquired")
    slow.set()
    assert v.store(0, "one", "line")["outcome"] == "away"
    assert v.keep()["outcome"] == "away"
    slow.clear()
    wait_for(lambda: watcher.read()["record"] == "one", 10)
    assert v.store(0, "one", "line")["outcome"] == "ok"
    assert v.store(0, "other", "line")["outcome"] == "conflict"
    assert v.keep()["outcome"] == "ok"


GARBAGE = [(200, b"<html>It works!</html>"), (200, b"{}"), (200, b"[1]"), (200, b""), (200, b'{"header":{"revision":"9"},"succeeded":true}'),
           (200, b'{"result":{"header":{"revision":"9","raft_term":"2"},"ID":"1"}}'), (502, b"Bad Gateway"), (404, b"not here"),
           (200, b'{"error":"a thing that nobody thought of","code":77}'), (301, b""), (200, b"\x00" * 3000), (401, b"{}")]


def test_garbage_is_away(etcd, proxy, voter, tmp_path, started):
    answers = itertools.cycle(GARBAGE)
    garble = threading.Event()
    p = proxy(lambda path, status, body: next(answers) if garble.is_set() else (status, body))
    v = Voter(tmp_path, started, "east", [p.url])
    assert v.acquire()["outcome"] == "ok"
    rev = v.store(0, "one")["rev"]
    garble.set()
    for _ in range(3):
        for ask in (v.keep, v.read, lambda: v.store(rev, "two")):
            assert ask()["outcome"] == "away"
    garble.clear()
    assert v.keep()["outcome"] == "ok"
    # With a member that talks sense behind it, nobody notices.
    garble.set()
    v2 = Voter(tmp_path, started, "west", [p.url, *etcd.urls])
    assert v2.acquire()["outcome"] == "held"
    assert v2.read()["record"] in ("one", "two")


def test_authentication(etcd, tmp_path, started):
    for args in (["user", "add", "root:secret"], ["user", "add", "sb:pass word"], ["role", "add", "root"],
                 ["user", "grant-role", "root", "root"], ["role", "add", "sb"],
                 ["role", "grant-permission", "--prefix=true", "sb", "readwrite", "/securebase/"],
                 ["user", "grant-role", "sb", "sb"], ["auth", "enable"]):
        etcd.ctl(*args)
    secret, wrong = tmp_path / "secret", tmp_path / "wrong"
    secret.write_text("pass word\n")
    wrong.write_text("nothing\n")
    for f in (secret, wrong):
        f.chmod(0o600)
    nobody = Voter(tmp_path, started, "nobody", etcd.urls)
    a = nobody.acquire()
    assert a["outcome"] == "away" and "user name is empty" in a["why"], a
    stranger = Voter(tmp_path, started, "stranger", etcd.urls, user="sb", password=f"file:{wrong}")
    assert stranger.acquire()["outcome"] == "away"
    v = Voter(tmp_path, started, "east", etcd.urls, user="sb", password=f"file:{secret}")
    assert v.acquire()["outcome"] == "ok"
    rev = v.store(0, "one", "line")["rev"]
    # Every member forgets its tokens when it starts: we authenticate again.
    for m in etcd.members:
        m.kill()
        m.start()
        wait_for(lambda: etcd.ctl("get", "ready", "--command-timeout=1s", user="root:secret"), 30)
    assert wait_for(lambda: (a := v.keep())["outcome"] != "away" and a, 10)["outcome"] == "ok"
    assert v.store(rev, "two")["outcome"] == "ok"
    # The rights change: the tokens of before are old.
    etcd.ctl("user", "add", "more:more", user="root:secret")
    assert wait_for(lambda: (a := v.keep())["outcome"] != "away" and a, 10)["outcome"] == "ok"
    # Elsewhere it may do nothing, and that is not "lost".
    other = Voter(tmp_path, started, "east", etcd.urls, boot=2, user="sb", password=f"file:{secret}", prefix="/other")
    a = other.acquire()
    assert a["outcome"] == "away" and "permission denied" in a["why"], a


def test_tls_with_client_certificates(tmp_path, started, ca):
    etcd = Cluster(tmp_path, started, tls=member_certificate(ca, str(tmp_path))).start()
    ours = {"ca": f"{ca}/ca.pem", "cert": f"{ca}/role-peer.pem", "key": f"{ca}/role-peer.key"}
    v = Voter(tmp_path, started, "east", etcd.urls, **ours)
    assert v.acquire()["outcome"] == "ok"
    assert v.store(0, "one")["outcome"] == "ok"
    bare = Voter(tmp_path, started, "bare", etcd.urls, ca=ours["ca"])
    a = bare.read()
    assert a["outcome"] == "away" and a["why"], a
    other = support.authority(str(tmp_path / "other-ca"), "role:peer")
    doubt = Voter(tmp_path, started, "doubt", etcd.urls, ca=f"{other}/ca.pem", cert=ours["cert"], key=ours["key"])
    a = doubt.read()
    assert a["outcome"] == "away" and "certificate" in a["why"], a


def test_local(tmp_path, started):
    """The control store of one machine: the same meaning, and tokens that grow over restarts."""
    folder = tmp_path
    v = Voter(folder, started, "east", [])
    first = v.acquire()
    assert first["outcome"] == "ok" and first["resigned"]
    assert v.keep()["outcome"] == "ok" and v.keep()["token"] == first["token"]
    assert v.read()["known"] is False
    one = v.store(0, "one", "line-1")
    assert one["outcome"] == "ok" and one["rev"] > first["token"]
    assert v.store(0, "two", "line-2")["outcome"] == "conflict"
    assert v.store(0, "one", "line-1")["rev"] == one["rev"]
    two = v.store(one["rev"], "two", "line-2")
    assert v.store(two["rev"], "x", token=(0, first["token"] - 1))["outcome"] == "lost"
    assert v.journal()["lines"] == ["line-2", "line-1"] and v.journal(1)["lines"] == ["line-2"]
    v.kill()
    again = Voter(folder, started, "east", [])  # the same folder
    assert again.keep()["outcome"] == "lost" and again.read()["record"] == "two"
    second = again.acquire()
    assert second["token"] > two["rev"] and not second["resigned"]
    assert again.store(two["rev"], "three", token=(0, first["token"]))["outcome"] == "lost"
    assert again.resign()["outcome"] == "ok" and again.keep()["outcome"] == "lost"
    assert again.store(two["rev"], "three", token=(0, second["token"]))["outcome"] == "lost"
    assert again.acquire()["resigned"]
    # A damaged entry is "away", not "nothing there".
    for f in os.listdir(again.folder):
        if f.endswith("record"):
            with open(os.path.join(again.folder, f), "w", encoding="ascii") as out:
                out.write("2 nonsense\n")
    assert again.read()["outcome"] == "away" and again.acquire()["outcome"] == "away"


@pytest.mark.parametrize("options, says", [
    ("type = etcd", "needs at least one"),
    ("type = etcd\nendpoints = http://etcd.example.com:2379", "only https leaves this machine"),
    ("type = etcd\nendpoints = https://e:2379\nuser = sb", "belong together"),
    ("type = etcd\nendpoints = https://e:2379\ncert = /x", "belong together"),
    ("type = etcd\nendpoints = https://e:2379\nprefix = nothing/", "expected a slash"),
    ("endpoints = https://e:2379", "belongs to type = etcd"),
])
def test_a_wrong_configuration(tmp_path, options, says):
    (tmp_path / "c.ini").write_text("[coordination]\n" + options + "\n")
    out = subprocess.run([os.path.join(support.BUILD, "tests", "authority_tool"), str(tmp_path / "c.ini"), "v", "1", "15000"],
                         capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert out.returncode == 1 and says in out.stderr, out.stderr
