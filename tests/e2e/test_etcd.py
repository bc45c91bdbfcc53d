"""The authority between regions against real etcd: who holds, who has lost, and what is said when etcd cannot say."""
import pytest

from etcds import Cluster, Voter
from support import wait_for


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
