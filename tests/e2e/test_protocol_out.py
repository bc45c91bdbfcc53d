"""What an agent sends, and what it makes of each answer: a real agent against a server that decodes with the page's own
codec and answers by script (script_server.py)."""
import os
import signal
import threading
import time

import pytest

import securebase_wire as w
import support
from script_server import ScriptServer, cut, dead, late, lost, ok, send, status, superseded
from support import wait_for


@pytest.fixture
def server(ca):
    s = ScriptServer(ca)
    yield s
    s.close()
    s.check()


@pytest.fixture
def ship(agent):
    """ship(server, …) starts web-1 with batches of a second."""
    def make(*servers, **options):
        options["ship"] = dict({"batch": "1s"}, **options.get("ship", {}))
        return agent([s if isinstance(s, str) else s.endpoint for s in servers], **options)
    return make


@pytest.fixture
def fleet(ca, ship):
    """fleet(scripts): for each script a server that answers by it, and an agent of its own, all at the same time."""
    servers = []

    def make(*scripts):
        pairs = []
        for i, script in enumerate(scripts, 1):
            s = ScriptServer(ca, agent=f"web-{i}")
            servers.append(s)
            s.script += script
            pairs.append((s, ship(s, name=f"web-{i}")))
        return pairs
    yield make
    for s in servers:
        s.close()
        s.check()


def settled(server, n, seconds=30):
    return wait_for(lambda: len(server.settled) >= n and server.settled[:n], seconds, why=f"{n} batches settled")


def numbers(requests):
    return [r.number for r in requests]


def same_again(server, i=0, seconds=30):
    """Waits for the request after batch request i; it has to be the same bytes. Returns the pause between them."""
    wait_for(lambda: len(server.batches) > i + 1, seconds, why="the batch again")
    first, second = server.batches[i:i + 2]
    assert first.body == second.body
    return second.at - first.at


def test_what_an_agent_sends(server, ship):
    a = ship(server)
    settled(server, 5)
    roots = [w.decode_batch(r.body, server.known) for r in server.settled]
    assert [r["seq"] for r in roots] == list(range(1, len(roots) + 1))
    assert len({r["epoch"] for r in roots}) == 1 and abs(roots[0]["epoch"] - time.time() * 1000) < 60_000
    # the first one was taken after its definitions had been asked for: the same bytes
    first = [r for r in server.batches if r.number == server.settled[0].number]
    assert len(first) == 2 and first[0].body == first[1].body
    names, ticks = {}, {}
    for r in roots:
        assert abs(r["sealed"] - time.time() * 1000) < 60_000
        resource = w.unpack(server.known[r["resource"]])
        assert resource["env"] == "test" and resource["region"] == "us-east-1" and resource["host"]
        for b in r["blocks"]:
            rows = w.unpack(server.known[b["schema"]])
            names.update({row[0]: row[1] for row in rows})
            assert not [x for row in rows for x in row[4] if x in resource]
            assert b["times"][-1] <= r["sealed"] + 1000
            for i, row in enumerate(rows):  # a collector may be late for its tick; each value comes once, in order
                seen = ticks.setdefault((row[0], tuple(sorted(row[4].items()))), [])
                there = [t for t, v in zip(b["times"], b["columns"][i]) if v is not None]
                assert not seen or not there or there[0] > seen[-1], f"{row} at {there}, after {seen[-1]}"
                seen += there
    assert names["node_load1"] == w.GAUGE and names["node_cpu_seconds_total"] == w.COUNTER
    assert {"node_uname_info", "node_memory_MemTotal_bytes", "securebase_host_cpu_utilization_ratio"} <= set(names)
    assert wait_for(lambda: a.totals()["spooled"]["batches"] == 0, why="an empty spool") and not a.totals()["trouble"]
    # low follows what was acknowledged
    assert [r["low"] for r in roots][0] == 1 and roots[-1]["low"] >= roots[-1]["seq"] - 1
    assert a.alive()


def test_what_is_written_is_canonical(server, ship):
    """Maps in order of their keys, smallest integers: packing again what was read gives the same bytes."""
    ship(server)
    for r in settled(server, 3):
        payload = w.unframe(r.body)
        assert w.pack(w.unpack(payload)) == payload
    for value in server.known.values():
        assert w.pack(w.unpack(value)) == value


def test_retry_after_is_honoured(fleet):
    pairs = fleet([status(429, "quota", retry_after=3), status(429, "quota", retry_after=2)],
                  [status(503, "overload", retry_after=3), status(503, "unavailable", retry_after=2)])
    for server, _ in pairs:
        settled(server, 2)
        assert same_again(server, 0) >= 2.95 and same_again(server, 1) >= 1.95


def write_stranger(h):
    send(h, 200, b"<html><body>It works!</body></html>", "text/html")


UNKNOWN = {
    "lost": lost(),
    "cut": cut(),
    "html": lambda server, h, r: write_stranger(h),
    "no_type": ok(settles=False, content_type=None),
    "json": ok(settles=False, content_type="application/json"),
    "a_longer_type": ok(settles=False, content_type=w.TYPE_ANSWER + "s"),
    "created": ok(settles=False, status=201),
    "another_seq": ok(settles=False, seq=77),
    "another_epoch": ok(settles=False, epoch=1),
    "not_msgpack": status(200, body=b"\xc1"),
    "empty": status(200, body=b""),
    "keys_missing": status(200, body=w.pack({"epoch": 1})),
    "moved": status(301, body=b"", content_type="text/html", headers=[("Location", "/v1/elsewhere")]),
    "temporary_redirect": status(307, body=b"", content_type=None, headers=[("Location", "https://127.0.0.1:1/v1/batches")]),
    "bad_gateway": status(502, body=b"<html>", content_type="text/html"),
    "teapot": status(418, "malformed"),
    "internal": status(500, "unavailable"),
    "bad_request_of_a_proxy": status(400, body=b"<html>bad", content_type="text/html"),
    "not_found_of_a_proxy": status(404, body=b"<html>no such host", content_type="text/html"),
    "gone_of_a_proxy": status(410, body=b"gone", content_type="text/plain"),
    "conflict_of_a_proxy": status(409, body=b"{}", content_type="application/json"),
}


def test_what_is_no_answer_is_no_acknowledgement(fleet):
    """Each of them, with a good answer between (which ends the growth of pauses): the same batch comes again."""
    parts = [list(UNKNOWN)[i::3] for i in range(3)]
    pairs = fleet(*([act for name in part for act in (UNKNOWN[name], ok())] for part in parts))
    for part, (server, a) in zip(parts, pairs):
        settled(server, len(part) + 1, 60)
        batches = server.batches
        for i, name in enumerate(part):
            assert batches[2 * i].body == batches[2 * i + 1].body, name
        assert numbers(server.settled) == [(batches[0].number[0], s) for s in range(1, len(server.settled) + 1)]
        t = a.totals()
        assert t["delivered"]["batches"] <= len(server.settled) and not t["dropped"]["batches"], t


DEAD = [(400, "malformed"), (400, "block"), (404, "not_found"), (405, "method"), (411, "length"), (413, "too_large"),
        (415, "type"), (422, "conflict"), (422, "version"), (422, "epoch"), (400, "a_reason_of_tomorrow")]


def test_what_will_never_be_taken_is_given_up_and_counted(fleet):
    parts = [DEAD[i::3] for i in range(3)]
    for part, (server, a) in zip(parts, fleet(*([dead(*d) for d in part] for part in parts))):
        settled(server, len(part) + 2, 60)
        batches = server.batches
        assert numbers(batches[:len(part) + 1]) == [(batches[0].number[0], s) for s in range(1, len(part) + 2)]
        t = wait_for(lambda a=a: a.totals()["delivered"]["batches"] >= 1 and a.totals(), why="a delivered batch")
        assert t["dropped"]["by"]["dead_letter"]["batches"] == len(part)
        assert t["dropped"]["by"]["dead_letter"]["values"] > 0
        balanced(t)


def balanced(t):
    for unit in "batches", "values":
        parts = t["delivered"][unit] + t["spooled"][unit] + t["memory"][unit] + t["dropped"][unit]
        assert t["produced"][unit] == parts + (t["refused"] if unit == "values" else 0), (unit, t)


def test_not_let_in_keeps_everything_and_says_so(fleet):
    refusals = [(401, "unauthorized"), (403, "identity")]
    for (code, reason), (server, a) in zip(refusals, fleet(*([status(*r)] * 3 for r in refusals))):
        wait_for(lambda server=server: len(server.batches) >= 3, why="three tries")
        assert "not let in" in a.output() and str(code) in a.output() and reason in a.output()
        settled(server, 4)
        assert len({r.body for r in server.batches[:4]}) == 1
        assert [s for _, s in numbers(server.settled)] == list(range(1, len(server.settled) + 1))
        assert not a.totals()["dropped"]["batches"]


def test_refusals_are_added_up(server, ship):
    settled_first = [ok(refused={"quota": 1, "future": 2}), ok(refused={"kind_conflict": 3, "tomorrow": 1, "too_old": 1})]
    server.script += settled_first
    a = ship(server)
    settled(server, 4)
    t = wait_for(lambda: a.totals()["delivered"]["batches"] >= 2 and a.totals(), why="two delivered")
    by = {k: v for k, v in t["refused_by"].items() if v}
    assert by == {"quota": 1, "future": 2, "kind_conflict": 3, "too_old": 1, "unknown": 1}
    balanced(t)


def test_a_duplicate_is_an_acknowledgement(server, ship):
    server.script += [lost(), ok(duplicate=True)]
    ship(server)
    settled(server, 3)
    assert [s for _, s in numbers(server.settled)][:3] == [1, 2, 3]


def test_a_slow_answer_is_waited_for(server, ship):
    gate = threading.Event()
    server.script += [late(gate, ok())]
    a = ship(server)
    wait_for(lambda: server.batches, why="a first batch")
    produced = a.totals()["produced"]["batches"]
    wait_for(lambda: a.totals()["produced"]["batches"] >= produced + 2, why="further batches sealed meanwhile")
    assert len(server.batches) == 1, "asked again while the answer is awaited"
    gate.set()
    settled(server, 4)


def test_an_answer_that_never_comes_is_given_up(server, ship):
    gate = threading.Event()
    server.script += [late(gate, ok(settles=False))]
    ship(server, ship={"timeout": "2s"})
    settled(server, 2)
    gate.set()
    assert server.batches[0].body == server.batches[1].body


def test_superseded_before_anything_was_acknowledged(server, ship):
    """A new epoch above the one that is known, numbered from 1, with the same content."""
    highest = int(time.time() * 1000) + 3_600_000
    server.script += [lost(), superseded(highest)]
    ship(server)
    settled(server, 3)
    old, new = server.batches[1], server.settled[0]
    assert new.number == (highest + 1, 1) and new.root["low"] == 1
    assert new.content == old.content
    assert [n for n in numbers(server.settled)[:3]] == [(highest + 1, s) for s in (1, 2, 3)]


def test_superseded_by_an_older_clock_takes_the_time(server, ship):
    server.script += [superseded(5)]
    ship(server)
    settled(server, 1)
    epoch, seq = server.settled[0].number
    assert seq == 1 and abs(epoch - time.time() * 1000) < 60_000 and epoch >= server.batches[0].number[0]


def test_superseded_after_an_acknowledgement_stops(server, ship):
    """Then this spool is a copy: nothing more is sent, and that is said."""
    a = ship(server)
    settled(server, 1)
    with server.lock:
        server.script += [superseded(int(time.time() * 1000) + 1000)] * 50
    wait_for(lambda: "copy" in a.output(), why="the complaint")
    sent = len(server.batches)
    if a.alive():
        t = a.totals()
        wait_for(lambda: a.totals()["produced"]["batches"] >= t["produced"]["batches"] + 3, why="sealing to go on")
    assert len(server.batches) == sent
    last = server.batches[-1].number
    a.stop() if a.alive() else None
    # a restart asks again, with the same batch: nothing was thrown away
    a.start()
    wait_for(lambda: len(server.batches) > sent, why="the same batch after a restart")
    assert server.batches[-1].number == last


def test_the_second_endpoint_and_back(ca, server, ship):
    port = support.free_port()
    ship(f"https://127.0.0.1:{port}", server, ship={"failback": "2s"})
    settled(server, 3)
    first = ScriptServer(ca, port=port)
    try:
        settled(first, 2, 60)
        numbers_at_both = [s for _, s in numbers(server.settled) + numbers(first.settled)]
        assert numbers_at_both == list(range(1, len(numbers_at_both) + 1))
        first.check()
    finally:
        first.close()
    at = len(server.settled)
    settled(server, at + 2, 60)


def test_another_authority_or_name_is_not_trusted(ca, ship, tmp_path):
    """An agent gives nothing to a server that cannot prove who it is."""
    other = support.authority(str(tmp_path / "other"), "server:localhost,127.0.0.1", "agent:web-1")
    support.authority(ca, "server-elsewhere:elsewhere.example,192.0.2.1")
    stranger, misnamed = ScriptServer(other), ScriptServer(ca, certificate="server-elsewhere")
    good = ScriptServer(ca)
    stranger.context.verify_mode = misnamed.context.verify_mode = __import__("ssl").CERT_NONE
    try:
        ship(stranger, misnamed, good)
        settled(good, 2)
        assert not stranger.requests and not misnamed.requests
        good.check()
    finally:
        for s in stranger, misnamed, good:
            s.close()


def test_numbers_go_on_over_a_restart(fleet):
    pairs = fleet([ok(), lost(), lost()], [ok(), lost(), lost()])
    for end, (server, a) in zip(("stop", "kill"), pairs):
        wait_for(lambda server=server: len(server.batches) >= 2, why="a batch without an answer")
        getattr(a, end)()
        a.start()
    for server, _ in pairs:
        settled(server, 5)
        got = numbers(server.settled)
        assert got == [(got[0][0], s) for s in range(1, len(got) + 1)]


def test_a_spool_that_was_removed_begins_a_new_epoch(server, ship):
    a = ship(server)
    settled(server, 2)
    a.stop()
    before = server.settled[-1].number
    for name in os.listdir(a.state):
        path = os.path.join(a.state, name)
        if os.path.isfile(path):
            os.remove(path)
    at = len(server.settled)
    a.start()
    settled(server, at + 2)
    epoch, seq = server.settled[at].number
    assert epoch > before[0] and seq == 1


def test_term_while_an_answer_is_awaited(server, ship):
    """Ends in time, with status 0, and the batch is there afterwards."""
    gate = threading.Event()
    server.script += [ok(), late(gate, lost())]
    a = ship(server)
    wait_for(lambda: len(server.batches) >= 2, why="a batch on its way")
    a.signal(signal.SIGTERM)
    assert a.child.wait(45) == 0
    gate.set()
    a.start()
    settled(server, 4)
    got = numbers(server.settled)
    assert got == [(got[0][0], s) for s in range(1, len(got) + 1)]
