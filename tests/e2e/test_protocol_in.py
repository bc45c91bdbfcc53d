"""The batch protocol from outside: a client written from docs/protocol.md against the real aggregator, over TLS.

Every rule of the page is broken alone, with its status and its reason; every limit is tried at its value and one beyond.
After each refusal nothing has changed, and the next good batch of the same number is taken.
"""
import http.client
import math
import os
import socket
import ssl

import pytest

import securebase_wire as w
import support
from support import wait_for
from wire_client import COUNTER, FLAT, GAUGE, SCHEMA, TOOK, Client, Subject, now, sketch

DAY = 86_400_000


@pytest.fixture(scope="module")
def server(tmp_path_factory, ca):
    """One aggregator for the whole page."""
    s = support.Aggregator(tmp_path_factory.mktemp("in"), ca, sections=[
        ("percentile took", {"metric": TOOK, "by": "host", "windows": "1h", "quantiles": "0.5 1"})])
    s.start()
    yield s
    s.kill()


@pytest.fixture(scope="module")
def subject(server):
    """The agent of the refusal tables."""
    s = Subject(server)
    s.good(events=[w.event(now(), name="begun")])
    s.visible(1)
    yield s
    s.close()


@pytest.fixture
def fresh(server):
    s = Subject(server)
    yield s
    s.close()


@pytest.fixture
def relay(server):
    c = Client(server, "role-relay")
    yield c
    c.close()


def counted(s):
    """How many values of the sketch metric of this agent were counted."""
    return s.server.metrics().get(f'{TOOK}_count{{percentile="took",host="{s.agent}"}}', 0)


def state(s):
    """What a refusal may not change."""
    s.settle()
    page = s.server.metrics()
    kept = ("securebase_aggregator_series", "securebase_aggregator_values_total", "securebase_aggregator_metric_names",
            "securebase_aggregator_values_refused_total", "securebase_aggregator_series_lost_total", TOOK)
    entry = s.entry()
    return entry, s.host_lines(), {k: v for k, v in page.items() if k.split("{")[0] in kept or k.startswith(TOOK)}


def refused(s, answer, status, reason, before):
    assert (answer.status, answer.type) == (status, w.TYPE_ANSWER), answer
    assert answer.reason == reason, answer
    assert set(answer.body) == {"error", "reason"} and answer.body["error"], answer
    assert state(s) == before
    s.good()


# ---- taken ---------------------------------------------------------------------------------------------------------------

def test_a_batch_is_taken_and_shown(fresh):
    t = now()
    answer = fresh.batch(fresh.body([w.block(SCHEMA, t - 3000, [[100, 101, 152], [5, 5, 9], [sketch(1, 2), None, sketch(3)]],
                                             dt=1000, start=t - 60_000, jitter=[0, -7, 9])]),
                         ("X-Securebase-Sent", str(now())))
    assert answer.status == 200 and answer.type == w.TYPE_ANSWER, answer
    assert answer.body.keys() == {"epoch", "seq", "time", "duplicate", "refused"}
    told = {k: answer.body[k] for k in ("epoch", "seq", "duplicate", "refused")}
    assert told == dict(epoch=fresh.epoch, seq=1, duplicate=False, refused={})
    assert abs(answer.body["time"] - now()) < 60_000
    entry = fresh.visible(1)
    assert entry["epoch"] == fresh.epoch and entry["batches"] == 1 and entry["values"] == 8 and entry["up"]
    assert entry["region"] == "us-east-1" and entry["env"] == "test" and abs(entry["skew_seconds"]) < 30
    lines = {k.split("{")[0]: v for k, v in fresh.host_lines().items()}
    assert lines[GAUGE] == 1.52 and lines[COUNTER] == 9
    assert counted(fresh) == 3


def test_values_are_scaled_by_multiplication_then_division(fresh):
    schema = w.schema_bytes(w.series("scaled", mul=3, div=7), w.series("exact", w.UNTYPED), w.series("wide", w.UNTYPED))
    assert fresh.definitions(schema).status == 200
    fresh.good([w.block(schema, now(), [[10], [0.1], [-2 ** 63]], dt=0)])
    fresh.visible(1)
    lines = {k.split("{")[0]: v for k, v in fresh.host_lines().items()}
    assert lines == {"scaled": 10.0 * 3 / 7, "exact": 0.1, "wide": -2.0 ** 63}


def test_special_gauges(fresh):
    schema = w.schema_bytes(w.series("nan"), w.series("up"), w.series("down", w.UNTYPED))
    assert fresh.definitions(schema).status == 200
    fresh.good([w.block(schema, now(), [[math.nan], [math.inf], [-math.inf]], dt=0)])
    fresh.visible(1)
    lines = {k.split("{")[0]: v for k, v in fresh.host_lines().items()}
    assert math.isnan(lines["nan"]) and lines["up"] == math.inf and lines["down"] == -math.inf


def test_any_form_of_a_valid_document_is_taken(fresh):
    """Unsorted maps, wide integers, unknown keys, no blocks, parameters in the content type, a query."""
    root = fresh.root([])
    root["blocks"] = []
    wide = w.Pairs([(k, w.Raw(b"\xcf" + v.to_bytes(8, "big")) if isinstance(v, int) else v)
                    for k, v in reversed(list(root.items()))])
    wide.append(("unknown", {"a": [1, 2, {"b": None, "c": 1.5, "d": b"\xff"}]}))
    wide.append(("extension", w.Raw(b"\xd4\x05\x00")))
    answer = fresh.post("/v1/batches?x=1&y", w.frame(w.pack(wide)), "Application/VND.securebase.BATCH; v=1")
    assert answer.status == 200, answer
    for level in (-5, 19):
        fresh.seq += 1
        assert fresh.batch(w.frame(w.pack(fresh.root()), level=level)).status == 200
    assert fresh.visible(3)


def test_varints_need_not_be_shortest(fresh):
    block = w.block(FLAT, now(), [[1]], dt=0, ints=b"\x82\x80\x80\x80\x80\x80\x80\x80\x80\x00")
    fresh.good([block])
    fresh.visible(1)
    assert [v for k, v in fresh.host_lines().items() if k.startswith("flat{")] == [1]


def test_later_block_holds_and_sketches_add(fresh):
    other = w.schema_bytes(w.series(GAUGE, labels={"device": "a"}), w.series(TOOK, w.SKETCH, labels={"device": "a"}),
                           w.series("more"))
    assert fresh.definitions(other).status == 200
    t = now()
    fresh.good([w.block(SCHEMA, t, [[100], [1], [sketch(1)]], dt=0), w.block(other, t, [[7], [sketch(2, 3)], [1]], dt=0)])
    fresh.visible(1)
    assert {v for k, v in fresh.host_lines().items() if k.startswith(GAUGE + "{")} == {7}
    assert counted(fresh) == 3


def test_events_alone_are_a_batch(fresh):
    answer = fresh.good([], events=[w.event(now(), k, "n" * 200, "t" * 8192, {"host": "x"}) for k in
                                    ("deployment", "rollback", "config", "service_check", "audit", "violation", "note")])
    assert answer.body["refused"] == {}


# ---- the same batch, numbers, epochs -------------------------------------------------------------------------------------

def test_a_repeat_is_a_duplicate_and_counts_once(fresh):
    body = fresh.body()
    first = fresh.batch(body)
    fresh.visible(1)
    before = state(fresh)
    for _ in range(3):
        again = fresh.batch(body)
        assert again.status == 200 and again.body["duplicate"] is True, again
        assert (again.body["epoch"], again.body["seq"]) == (first.body["epoch"], 1)
    assert counted(fresh) == 2
    assert state(fresh)[1:] == before[1:]


def test_other_bytes_under_the_same_number_are_a_conflict(fresh):
    fresh.good()
    fresh.visible(1)
    before = state(fresh)
    answer = fresh.batch(fresh.body(seq=1))
    assert (answer.status, answer.reason) == (422, "conflict"), answer
    assert state(fresh) == before


def test_the_first_refusals_are_told_again(fresh):
    body = fresh.body([fresh.block(back=-3600), fresh.block(back=8 * 86400), fresh.block()],
                      events=[w.event(now() + 3600_000), w.event(now())])
    first = fresh.batch(body)
    assert first.body["refused"] == {"future": 4, "too_old": 3}, first
    again = fresh.batch(body)
    assert again.body["duplicate"] is True and again.body["refused"] == first.body["refused"]
    assert counted(fresh) == 2


def test_kind_conflict_is_counted_by_value(fresh, server):
    name = f"kind_of_{fresh.agent}".replace("-", "_")
    one, two = w.schema_bytes(w.series(name, w.GAUGE)), w.schema_bytes(w.series(name, w.COUNTER), w.series("beside"))
    other = Subject(server)
    assert fresh.definitions(one).status == 200 and other.definitions(two).status == 200
    fresh.good([w.block(one, now(), [[1]], dt=0)])
    answer = other.batch(other.body([w.block(two, now() - 1000, [[1, 2], [3, 4]])]))
    assert answer.status == 200 and answer.body["refused"] == {"kind_conflict": 2}, answer
    other.visible(1)
    assert [k.split("{")[0] for k in other.host_lines()] == ["beside"]
    other.close()


def test_out_of_order_each_is_taken_once(fresh):
    bodies = {i: fresh.body(seq=i) for i in range(1, 7)}
    for n, seq in enumerate((1, 4, 6, 2, 5, 3), 1):
        answer = fresh.batch(bodies[seq])
        assert answer.status == 200 and answer.body["duplicate"] is False and answer.body["seq"] == seq
        wait_for(lambda n=n: counted(fresh) == 2 * n, why=f"{n} batches")
    for seq in bodies:
        assert fresh.batch(bodies[seq]).body["duplicate"] is True
    assert counted(fresh) == 12 and fresh.entry()["batches"] == 6


def test_low_closes_holes(fresh, relay):
    late = fresh.body(seq=3)
    fresh.good(seq=1)
    fresh.good(seq=6, low=6)
    assert counted(fresh) == 4
    answer = fresh.batch(late)  # its spool said that it would not come
    assert answer.status == 200 and answer.body["duplicate"] is True, answer
    assert counted(fresh) == 4
    answer = relay.batch(late)  # another road may be slower: it is taken, once
    assert answer.status == 200 and answer.body["duplicate"] is False, answer
    wait_for(lambda: counted(fresh) == 6, why="the late batch")
    assert relay.batch(late).body["duplicate"] is True
    assert fresh.batch(late).body["duplicate"] is True
    assert counted(fresh) == 6


def test_low_leaves_holes_above_it_open(fresh):
    late = {i: fresh.body(seq=i) for i in (2, 4)}
    fresh.good(seq=1)
    fresh.good(seq=3)
    fresh.good(seq=5, low=4)
    assert fresh.batch(late[2]).body["duplicate"] is True
    assert fresh.batch(late[4]).body["duplicate"] is False


def test_epochs(fresh, relay):
    old, new = fresh.epoch, fresh.epoch + 5
    body = {(e, s): fresh.body(epoch=e, seq=s) for e in (old, new) for s in (1, 2)}
    assert fresh.batch(body[old, 1]).status == 200
    assert fresh.batch(body[new, 1]).body["duplicate"] is False
    fresh.visible(1)
    wait_for(lambda: fresh.entry()["epoch"] == new, why="the new epoch")
    for number in ((old, 2), (old, 1)):
        answer = fresh.batch(body[number])
        assert (answer.status, answer.type, answer.body) == (410, w.TYPE_ANSWER, {"epoch": new}), answer
    assert counted(fresh) == 4
    answer = relay.batch(body[old, 2])
    assert answer.status == 200 and answer.body["duplicate"] is False and answer.body["epoch"] == old, answer
    assert relay.batch(body[old, 2]).body["duplicate"] is True
    assert relay.batch(body[old, 1]).body["duplicate"] is True
    wait_for(lambda: counted(fresh) == 6, why="the relayed batch")
    assert fresh.entry()["epoch"] == new
    assert fresh.batch(body[new, 2]).body["duplicate"] is False


def test_missing_definitions_are_asked_for_all_at_once(server):
    s = Subject(server, known=False)
    schemas = [w.schema_bytes(w.series(f"need_{s.agent}_{i}".replace("-", "_"))) for i in range(3)]
    body = s.body([w.block(x, now(), [[1]], dt=0) for x in schemas])
    for _ in range(2):
        answer = s.batch(body)
        assert (answer.status, answer.type) == (409, w.TYPE_ANSWER) and set(answer.body) == {"need"}
        assert sorted(answer.body["need"]) == sorted(map(w.hash16, [s.resource, *schemas]))
    assert s.entry() is None
    answer = s.definitions(schemas[0], s.resource)
    assert answer.status == 200 and set(answer.body) == {"time"}, answer
    assert sorted(s.batch(body).body["need"]) == sorted(map(w.hash16, schemas[1:]))
    assert s.definitions(*schemas).status == 200
    answer = s.batch(body)
    assert answer.status == 200 and answer.body["duplicate"] is False
    s.visible(1)
    assert len(s.host_lines()) == 3
    s.close()


def test_any_agent_knows_what_one_has_defined(fresh, server):
    other = Subject(server, known=False)
    assert other.definitions(other.resource).status == 200
    other.good([other.block()])  # SCHEMA came from others
    other.close()


def test_everything_is_remembered_over_kill_9(tmp_path, ca, started):
    s = support.Aggregator(tmp_path, ca, sections=[("percentile took", {"metric": TOOK, "by": "host", "windows": "1h"})])
    started.append(s)
    s.start()
    a = Subject(s)
    bodies = {i: a.body(seq=i) for i in (1, 2, 3, 4)}
    for seq in (1, 3):
        assert a.batch(bodies[seq]).status == 200
    s.kill()
    a.close()
    s.start()
    assert counted(a) == 4
    for seq, duplicate in ((1, True), (3, True), (2, False), (2, True), (4, False)):
        answer = a.batch(bodies[seq])
        assert answer.status == 200 and answer.body["duplicate"] is duplicate, (seq, answer)
    wait_for(lambda: counted(a) == 8, why="all four")
    answer = a.batch(a.body(seq=2))
    assert (answer.status, answer.reason) == (422, "conflict"), answer
    assert a.batch(a.body(epoch=a.epoch - 1, seq=1)).status == 410
    a.close()


# ---- who may -------------------------------------------------------------------------------------------------------------

def test_only_the_agent_itself_or_a_relay(fresh, server, relay):
    before = state(fresh)
    for certificate in ("agent-web-1", "role-viewer", "role-operator"):
        c = Client(server, certificate)
        answer = c.batch(fresh.body())
        assert (answer.status, answer.reason) == (403, "identity"), (certificate, answer)
        if certificate != "agent-web-1":
            answer = c.definitions(FLAT)
            assert (answer.status, answer.reason) == (403, "identity"), (certificate, answer)
        c.close()
    assert state(fresh) == before
    assert relay.batch(fresh.body()).body["duplicate"] is False


def test_several_identities_in_one_certificate(server):
    support.authority(server.ca, "agent:both-1+agent:both-2")
    c = Client(server, "agent-both-1+agent-both-2")
    for agent in "both-1", "both-2":
        r = w.resource_bytes(host=agent)
        assert c.definitions(r, FLAT).status == 200
        answer = c.batch(w.batch_body([w.block(FLAT, now(), [[1]], dt=0)], agent=agent, epoch=now(), resource=r))
        assert answer.status == 200, (agent, answer)
    assert c.batch(w.batch_body([], agent="both-3", epoch=now())).status == 403
    c.close()


def test_no_certificate_is_401(server, subject):
    before = state(subject)
    c = Client(server, None)
    for answer in (c.batch(subject.body()), c.definitions(FLAT), c.batch(b"")):
        assert (answer.status, answer.type, answer.reason) == (401, w.TYPE_ANSWER, "unauthorized"), answer
    c.close()
    assert state(subject) == before


def test_another_authority_is_not_let_in(server, subject, tmp_path):
    before = state(subject)
    other = support.authority(str(tmp_path / "other"), f"agent:{subject.agent}")
    c = Client(server, None)
    c.context.load_cert_chain(f"{other}/agent-{subject.agent}.pem", f"{other}/agent-{subject.agent}.key")
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        c.batch(subject.body())
    assert state(subject) == before


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # that old TLS is old
def test_plain_http_and_old_tls_get_nothing(server, subject):
    with socket.create_connection(("127.0.0.1", server.ingest_port)) as s:
        s.sendall(b"POST /v1/batches HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        s.settimeout(20)
        try:
            assert not s.recv(100).startswith(b"HTTP")
        except ConnectionError:
            pass
    c = Client(server, subject.certificate)
    c.context.minimum_version = ssl.TLSVersion.TLSv1
    c.context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        c.batch(b"")


# ---- requests ------------------------------------------------------------------------------------------------------------

BATCH, DEFS = ("Content-Type", w.TYPE_BATCH), ("Content-Type", w.TYPE_DEFINITIONS)
REQUESTS = {
    # name: method, path, headers, length (None: right; False: none), status, reason
    "path": ("POST", "/v1/batch", [BATCH], None, 404, "not_found"),
    "path_below": ("POST", "/v1/batches/1", [BATCH], None, 404, "not_found"),
    "root": ("POST", "/", [BATCH], None, 404, "not_found"),
    "metrics_are_elsewhere": ("GET", "/metrics", [], False, 404, "not_found"),
    "get": ("GET", "/v1/batches", [], False, 405, "method"),
    "put": ("PUT", "/v1/batches", [BATCH], None, 405, "method"),
    "delete": ("DELETE", "/v1/definitions", [], False, 405, "method"),
    "no_length": ("POST", "/v1/batches", [BATCH], False, 411, "length"),
    "no_type": ("POST", "/v1/batches", [], None, 415, "type"),
    "other_type": ("POST", "/v1/batches", [("Content-Type", "application/json")], None, 415, "type"),
    "longer_type": ("POST", "/v1/batches", [("Content-Type", w.TYPE_BATCH + "2")], None, 415, "type"),
    "type_of_the_other": ("POST", "/v1/batches", [DEFS], None, 415, "type"),
    "type_of_the_other_2": ("POST", "/v1/definitions", [BATCH], None, 415, "type"),
    "encoding": ("POST", "/v1/batches", [BATCH, ("Content-Encoding", "zstd")], None, 415, "type"),
    "gzip": ("POST", "/v1/definitions", [DEFS, ("Content-Encoding", "gzip")], None, 415, "type"),
    "announced_too_large": ("POST", "/v1/batches", [BATCH], str((1 << 20) + 1), 413, "too_large"),
    "announced_huge": ("POST", "/v1/definitions", [DEFS], str(1 << 40), 413, "too_large"),
    "path_before_length": ("POST", "/v2/batches", [BATCH], False, 404, "not_found"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_request(subject, name):
    method, path, headers, length, status, reason = REQUESTS[name]
    before = state(subject)
    answer = subject.send(method, path, subject.body() if length is None else b"", headers, length)
    if path in ("/v1/batches", "/v1/definitions"):
        refused(subject, answer, status, reason, before)
    else:
        assert answer.status == status and state(subject) == before
        subject.good()


def test_chunked_is_411(subject):
    before = state(subject)
    body = subject.body()
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    answer = subject.send("POST", "/v1/batches", chunks, [BATCH, ("Transfer-Encoding", "chunked")], length=False)
    subject.close()
    refused(subject, answer, 411, "length", before)


@pytest.mark.parametrize("lengths", [["x"], ["-1"], ["+5"], ["5", "6"], ["0x10"], ["99999999999999999999999"], [""]],
                         ids=["word", "negative", "plus", "two", "hex", "enormous", "empty"])
def test_a_malformed_length_is_refused(subject, lengths):
    before = state(subject)
    answer = subject.send("POST", "/v1/batches", b"", [BATCH] + [("Content-Length", n) for n in lengths], length=False)
    assert answer.status in (400, 411, 413), answer
    subject.close()
    assert state(subject) == before
    subject.good()


def test_a_body_cut_short_changes_nothing(subject):
    before = state(subject)
    body = subject.body()
    c = subject.connect()
    c.putrequest("POST", "/v1/batches")
    c.putheader("Content-Type", w.TYPE_BATCH)
    c.putheader("Content-Length", str(len(body)))
    c.endheaders(body[:-5])
    subject.close()
    assert state(subject) == before
    subject.good()


def test_many_requests_on_one_connection(fresh):
    fresh.good()
    first = fresh.connection.sock
    for _ in range(50):
        fresh.good()
    assert fresh.connection.sock is first


# ---- frames --------------------------------------------------------------------------------------------------------------

def header(body):
    """(descriptor, where the dictionary id would stand)."""
    return body[4], 5 if body[4] & 0x20 else 6


def with_dictionary(body, size, value):
    d, at = header(body)
    return body[:4] + bytes([d | {1: 1, 2: 2, 4: 3}[size]]) + body[5:at] + value.to_bytes(size, "little") + body[at:]


def with_size(body, change):
    """The content size of a frame changed, in its own field."""
    d, at = header(body)
    n, add = {0: (1, 0), 1: (2, 256), 2: (4, 0), 3: (8, 0)}[d >> 6]
    size = int.from_bytes(body[at:at + n], "little") + change
    return body[:at] + size.to_bytes(n, "little") + body[at + n:]


def flip(body, at):
    at %= len(body)
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]


SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
BOMB = w.frame(bytes(100 << 20))
FRAMES = {
    "empty": lambda b: (b"", "frame"),
    "noise": lambda b: (os.urandom(500), "frame"),
    "plain_msgpack": lambda b: (w.unframe(b), "frame"),
    "two": lambda b: (b + b, "frame"),
    "an_empty_one_behind": lambda b: (b + w.frame(b""), "frame"),
    "skippable_before": lambda b: (SKIPPABLE + b, "frame"),
    "skippable_behind": lambda b: (b + SKIPPABLE, "frame"),
    "skippable_alone": lambda b: (SKIPPABLE, "frame"),
    "no_content_size": lambda b: (w.frame(w.unframe(b), size=False), "frame"),
    "no_checksum": lambda b: (w.frame(w.unframe(b), checksum=False), "frame"),
    "dictionary": lambda b: (with_dictionary(b, 1, 7), "frame"),
    "dictionary_4": lambda b: (with_dictionary(b, 4, 70000), "frame"),
    "dictionary_0": lambda b: (with_dictionary(b, 2, 0), "frame"),
    "reserved_bit": lambda b: (b[:4] + bytes([b[4] | 8]) + b[5:], "frame"),
    "a_byte_behind": lambda b: (b + b"\0", "frame"),
    "a_byte_short": lambda b: (b[:-1], "frame"),
    "header_alone": lambda b: (b[:6], "frame"),
    "magic_alone": lambda b: (b[:4], "frame"),
    "checksum_wrong": lambda b: (flip(b, -1), "frame"),
    "content_damaged": lambda b: (flip(b, len(b) // 2), "frame"),
    "size_too_small": lambda b: (with_size(b, -1), "frame"),
    "size_too_large": lambda b: (with_size(b, 1), "frame"),
    "bomb": lambda b: (BOMB, "too_large"),
    "bomb_that_lies": lambda b: (with_size(BOMB, -(100 << 20) + 1000), "frame"),
    "gzip": lambda b: (__import__("gzip").compress(w.unframe(b)), "frame"),
}


@pytest.mark.parametrize("path,kind", [("/v1/batches", w.TYPE_BATCH), ("/v1/definitions", w.TYPE_DEFINITIONS)],
                         ids=["batch", "definitions"])
@pytest.mark.parametrize("name", FRAMES)
def test_frame(subject, path, kind, name):
    good = subject.body() if path == "/v1/batches" else w.frame(w.definitions_payload(FLAT))
    body, reason = FRAMES[name](good)
    before = state(subject)
    refused(subject, subject.post(path, body, kind), 413 if reason == "too_large" else 400, reason, before)


# ---- documents -----------------------------------------------------------------------------------------------------------

def packed_root(s, **override):
    return w.pack(s.root(**override))


def raw_block(s, **override):
    return s.root([dict(s.block(), **override)])


def nested(depth):
    """A value of `depth` containers."""
    v = 1
    for _ in range(depth):
        v = [v]
    return v


def many_keys(n):
    return {f"k{i:03d}": 0 for i in range(n)}


def ticks(n, dt=1000, **override):
    """A block of FLAT that ends now."""
    return w.block(FLAT, now() - (n - 1) * dt, [[0] * n], dt=dt, **override)


def one(took, **override):
    """A block with one sketch as given, as bytes."""
    return lambda s: s.root([w.block(SCHEMA, now(), [[1], [1], [took]], dt=0, **override)])


def events(*e, n=None, **override):
    return lambda s: s.root(events=list(e) if e else [w.event(now(), **override)] * (n or 1))


def spaced(n):
    """n blocks of one tick each, at different times."""
    return [w.block(FLAT, now() - 1000 * i, [[i]], dt=0) for i in range(n)]


POS = w.varint(1) + w.zigzag(0) + w.varint(2)  # a range of one slot at index 0 with count 2
NONE = w.varint(0)


def crafted(scale=6, count=2, sum=2.5, min=1.1, max=1.4, zero=0, pos=POS, neg=NONE):
    return w.Sketch(6).encode(scale=scale, count=count, sum=sum, min=min, max=max, zero=zero, pos=pos, neg=neg)


def slots(offset, counts):
    out, before = w.varint(len(counts)) + w.zigzag(offset), None
    for c in counts:
        out += w.varint(c) if before is None else w.zigzag(c - before)
        before = c
    return out


DOCUMENTS = {
    # what it is: function of the subject to a root or to the packed bytes, status, reason
    "nothing": (lambda s: b"", 400, "malformed"),
    "reserved_byte": (lambda s: b"\xc1", 400, "malformed"),
    "root_array": (lambda s: w.pack([1]), 400, "malformed"),
    "root_number": (lambda s: w.pack(7), 400, "malformed"),
    "root_short": (lambda s: packed_root(s)[:-1], 400, "malformed"),
    "bytes_behind": (lambda s: packed_root(s) + b"\0", 400, "malformed"),
    "claims_of_elements": (lambda s: w.pack(s.root(x=w.Raw(b"\xdd\xff\xff\xff\xff"))), 400, "malformed"),
    "claims_of_bytes": (lambda s: w.pack(s.root(x=w.Raw(b"\xc6\xff\xff\xff\xff"))), 400, "malformed"),
    "key_twice": (lambda s: w.Pairs([*s.root().items(), ("seq", s.seq)]), 400, "malformed"),
    "unknown_key_twice": (lambda s: w.Pairs([*s.root().items(), ("x", 1), ("x", 1)]), 400, "malformed"),
    "key_twice_deep": (lambda s: s.root(x=[w.Pairs([("a", 1), ("a", 2)])]), 400, "malformed"),
    "key_twice_in_block": (lambda s: s.root([w.Pairs([*s.block().items(), ("n", 1)])]), 400, "malformed"),
    "key_a_number": (lambda s: w.Pairs([*s.root().items(), (1, 1)]), 400, "malformed"),
    "key_nil": (lambda s: w.Pairs([*s.root().items(), (None, 1)]), 400, "malformed"),
    "key_bin": (lambda s: w.Pairs([*s.root().items(), (b"x", 1)]), 400, "malformed"),
    "keys_bin": (lambda s: w.Pairs([(k.encode(), v) for k, v in s.root().items()]), 400, "malformed"),
    "text_not_utf8": (lambda s: s.root(x=w.Raw(b"\xa1\xff")), 400, "malformed"),
    "text_overlong": (lambda s: s.root(x=w.Raw(b"\xa2\xc0\x80")), 400, "malformed"),
    "text_surrogate": (lambda s: s.root(x=w.Raw(b"\xa3\xed\xa0\x80")), 400, "malformed"),
    "text_beyond_unicode": (lambda s: s.root(x=w.Raw(b"\xa4\xf4\x90\x80\x80")), 400, "malformed"),
    "key_not_utf8": (lambda s: w.Pairs([*s.root().items(), (w.Raw(b"\xa1\xff"), 1)]), 400, "malformed"),
    "agent_not_utf8": (lambda s: s.root(agent=w.Raw(b"\xa1\xff")), 400, "malformed"),
    "six_deep": (lambda s: s.root(x=nested(5)), 400, "limit"),
    "very_deep": (lambda s: s.root(x=w.Raw(b"\x91" * 100000 + b"\0")), 400, "limit"),
    "257_keys": (lambda s: s.root(x=many_keys(257)), 400, "limit"),
    "257_keys_in_the_root": (lambda s: dict(s.root(), **many_keys(257 - len(s.root()))), 400, "limit"),
    # the root
    "v_missing": (lambda s: s.root(v=w.DROP), 400, "malformed"),
    "v_text": (lambda s: s.root(v="1"), 400, "malformed"),
    "v_negative": (lambda s: s.root(v=-1), 400, "malformed"),
    "v_0": (lambda s: s.root(v=0), 422, "version"),
    "v_2": (lambda s: s.root(v=2), 422, "version"),
    "v_2_and_nothing_else": (lambda s: {"v": 2}, 422, "version"),
    **{f"{k}_missing": (lambda s, k=k: s.root() | {k: w.DROP}, 400, "malformed")
       for k in ("agent", "epoch", "seq", "low", "sealed", "resource", "blocks")},
    **{f"{k}_nil": (lambda s, k=k: s.root() | {k: None}, 400, "malformed")
       for k in ("agent", "epoch", "seq", "low", "sealed", "resource", "blocks", "events")},
    **{f"{k}_0": (lambda s, k=k: s.root(**{k: 0}), 400, "malformed") for k in ("epoch", "seq", "low")},
    **{f"{k}_negative": (lambda s, k=k: s.root(**{k: -5}), 400, "malformed") for k in ("epoch", "seq", "low")},
    **{f"{k}_float": (lambda s, k=k: s.root(**{k: 1.0}), 400, "malformed") for k in ("epoch", "seq", "low", "sealed", "v")},
    "low_above_seq": (lambda s: s.root(low=s.seq + 1), 400, "malformed"),
    "sealed_beyond_int64": (lambda s: s.root(sealed=2 ** 63), 400, "malformed"),
    "agent_empty": (lambda s: s.root(agent=""), 400, "malformed"),
    "agent_129": (lambda s: s.root(agent="a" * 129), 400, "malformed"),
    "agent_dot": (lambda s: s.root(agent=".a"), 400, "malformed"),
    "agent_slash": (lambda s: s.root(agent="a/b"), 400, "malformed"),
    "agent_bin": (lambda s: s.root(agent=s.agent.encode()), 400, "malformed"),
    "resource_15": (lambda s: dict(s.root(), resource=bytes(15)), 400, "malformed"),
    "resource_17": (lambda s: dict(s.root(), resource=bytes(17)), 400, "malformed"),
    "resource_text": (lambda s: dict(s.root(), resource="x" * 16), 400, "malformed"),
    "blocks_map": (lambda s: s.root() | {"blocks": {}}, 400, "malformed"),
    "block_array": (lambda s: s.root([[1]]), 400, "malformed"),
    "block_without_schema": (lambda s: raw_block(s, schema=w.DROP), 400, "malformed"),
    "schema_17": (lambda s: raw_block(s, schema=bytes(17)), 400, "malformed"),
    "schema_text": (lambda s: raw_block(s, schema="x" * 16), 400, "malformed"),
    "events_map": (lambda s: s.root(events={}), 400, "malformed"),
    "65_blocks": (lambda s: s.root(spaced(65)), 400, "limit"),
    "257_events": (events(n=257), 400, "limit"),
    "epoch_in_two_days": (lambda s: s.root(epoch=now() + 2 * DAY), 422, "epoch"),
    "epoch_most": (lambda s: s.root(epoch=2 ** 64 - 1), 422, "epoch"),
    "version_before_epoch": (lambda s: s.root(v=9, epoch=0), 422, "version"),
    "another_agent": (lambda s: s.root(agent="web-1"), 403, "identity"),
    "another_agent_with_a_bad_block": (lambda s: dict(raw_block(s, n="x"), agent="web-1"), 403, "identity"),
    "resource_is_a_schema": (lambda s: dict(s.root(), resource=w.hash16(SCHEMA)), 400, "definition"),
    "schema_is_a_resource": (lambda s: raw_block(s, schema=w.hash16(s.resource)), 400, "definition"),
    # blocks
    **{f"{k}_missing": (lambda s, k=k: raw_block(s, **{k: w.DROP}), 400, "block")
       for k in ("t0", "dt", "n", "mode", "ints", "reals", "sketches")},
    **{f"{k}_text": (lambda s, k=k: raw_block(s, **{k: "x"}), 400, "block")
       for k in ("t0", "dt", "n", "mode", "ints", "reals", "sketches", "start", "jitter", "present")},
    "dt_0_of_two_ticks": (lambda s: s.root([ticks(2, dt=0)]), 400, "block"),
    "dt_negative": (lambda s: raw_block(s, dt=-1), 400, "block"),
    "dt_33_bits": (lambda s: raw_block(s, dt=2 ** 32), 400, "block"),
    "n_0": (lambda s: s.root([w.block(FLAT, now(), [[]], dt=0)]), 400, "limit"),
    "n_3601": (lambda s: s.root([ticks(3601, dt=100)]), 400, "limit"),
    "n_enormous": (lambda s: raw_block(s, n=2 ** 63, dt=1), 400, "limit"),
    "an_hour_and_more": (lambda s: s.root([ticks(2, dt=3_600_001)]), 400, "limit"),
    "times_beyond_int64": (lambda s: s.root([w.block(FLAT, 2 ** 63 - 1, [[1, 2]], dt=1)]), 400, "block"),
    "t0_beyond_int64": (lambda s: raw_block(s, t0=2 ** 63), 400, "block"),
    "jitter_short": (lambda s: s.root([ticks(2, jitter=[0])]), 400, "block"),
    "jitter_long": (lambda s: s.root([ticks(2, jitter=[0, 0, 0])]), 400, "block"),
    "jitter_empty": (lambda s: s.root([ticks(2, jitter=[])]), 400, "block"),
    "jitter_beyond_a_minute": (lambda s: s.root([ticks(1, dt=0, jitter=[60001])]), 400, "block"),
    "jitter_beyond_minus_a_minute": (lambda s: s.root([ticks(1, dt=0, jitter=[-60001])]), 400, "block"),
    "jitter_to_the_same_time": (lambda s: s.root([ticks(2, jitter=[1000, 0])]), 400, "block"),
    "jitter_backwards": (lambda s: s.root([ticks(3, jitter=[0, 1500, 0])]), 400, "block"),
    "mode_short": (lambda s: raw_block(s, mode=b"\0"), 400, "block"),
    "mode_long": (lambda s: raw_block(s, mode=b"\0\0\0"), 400, "block"),
    "mode_2": (lambda s: raw_block(s, mode=b"\0\2"), 400, "block"),
    "present_short": (lambda s: raw_block(s, present=b"\1\1"), 400, "block"),
    "present_long": (lambda s: raw_block(s, present=b"\1\1\1\0"), 400, "block"),
    "present_padding": (lambda s: raw_block(s, present=b"\1\3\1"), 400, "block"),
    "present_says_less": (lambda s: raw_block(s, present=b"\1\0\1"), 400, "block"),
    "ints_short": (lambda s: raw_block(s, ints=w.zigzag(1)), 400, "block"),
    "ints_cut": (lambda s: raw_block(s, ints=w.zigzag(1) + b"\x80"), 400, "block"),
    "ints_long": (lambda s: raw_block(s, ints=w.zigzag(1) * 3), 400, "block"),
    "ints_11_bytes": (lambda s: raw_block(s, ints=b"\x80" * 10 + b"\0" + w.zigzag(1)), 400, "block"),
    "ints_65_bits": (lambda s: raw_block(s, ints=b"\xff" * 9 + b"\2" + w.zigzag(1)), 400, "block"),
    "reals_short": (lambda s: raw_block(s, mode=b"\1\0", ints=w.zigzag(1), reals=bytes(7)), 400, "block"),
    "reals_long": (lambda s: raw_block(s, reals=bytes(8)), 400, "block"),
    "counter_negative": (lambda s: s.root([s.block(things=-1)]), 400, "block"),
    "counter_below_0_later": (lambda s: s.root([w.block(SCHEMA, now() - 1000, [[1, 1], [3, -1], [sketch(), None]])]), 400, "block"),
    "counter_nan": (lambda s: s.root([s.block(things=math.nan)]), 400, "block"),
    "counter_inf": (lambda s: s.root([s.block(things=math.inf)]), 400, "block"),
    "same_schema_same_tick": (lambda s: s.root([w.block(FLAT, now() // 1000 * 1000, [[1]], dt=0)] * 2), 400, "block"),
    "same_schema_crossing": (lambda s: s.root([w.block(FLAT, 5_000_000_000, [[1, 2, 3]]),
                                               w.block(FLAT, 5_000_000_500, [[1, 2]], dt=500)]), 400, "block"),
    "a_bad_block_behind_good_ones": (lambda s: s.root([s.block(), ticks(2), s.block(things=-1, back=1)]), 400, "block"),
    # sketches
    "sketch_absent": (lambda s: raw_block(s, sketches=b""), 400, "sketch"),
    "sketch_cut": (lambda s: raw_block(s, sketches=sketch().encode()[:-1]), 400, "sketch"),
    "sketch_long": (lambda s: raw_block(s, sketches=sketch().encode() + b"\0"), 400, "sketch"),
    "scale_9": (one(crafted(scale=9)), 400, "sketch"),
    "scale_minus_5": (one(crafted(scale=-5)), 400, "sketch"),
    "count_too_small": (one(crafted(count=1)), 400, "sketch"),
    "count_too_large": (one(crafted(count=3)), 400, "sketch"),
    "count_overflows": (one(crafted(count=1, pos=slots(0, [2 ** 63, 2 ** 63, 1]))), 400, "sketch"),
    "zero_count_overflows": (one(crafted(count=1, zero=2 ** 64 - 1)), 400, "sketch"),
    "sum_nan": (one(crafted(sum=math.nan)), 400, "sketch"),
    "min_nan": (one(crafted(min=math.nan)), 400, "sketch"),
    "max_inf": (one(crafted(max=math.inf)), 400, "sketch"),
    "min_above_max": (one(crafted(min=1.4, max=1.1)), 400, "sketch"),
    "first_slot_0": (one(crafted(pos=slots(0, [0, 2]))), 400, "sketch"),
    "last_slot_0": (one(crafted(pos=slots(0, [2, 0]))), 400, "sketch"),
    "2049_slots": (one(crafted(count=2049, pos=slots(0, [1] * 2049))), 400, "sketch"),
    "slots_enormous": (one(crafted(pos=w.varint(2 ** 60) + w.zigzag(0) + w.varint(2))), 400, "sketch"),
    "index_too_low": (one(crafted(pos=slots(-128 * 64 - 1, [2]))), 400, "sketch"),
    "index_too_high": (one(crafted(pos=slots(1024 * 64, [2]))), 400, "sketch"),
    "index_runs_too_high": (one(crafted(pos=slots(1024 * 64 - 1, [1, 1]))), 400, "sketch"),
    "index_too_high_negative_range": (one(crafted(pos=NONE, neg=slots(1024 * 64, [2]))), 400, "sketch"),
    "empty_with_sum": (one(crafted(count=0, sum=1.0, min=0.0, max=0.0, pos=NONE)), 400, "sketch"),
    "empty_with_min": (one(crafted(count=0, sum=0.0, min=-1.0, max=0.0, pos=NONE)), 400, "sketch"),
    # events
    **{f"event_{k}_missing": (lambda s, k=k: events(**{k: w.DROP})(s), 400, "event")
       for k in ("kind", "name", "text", "labels")},
    "event_t_missing": (lambda s: events(dict(w.event(0), t=w.DROP))(s), 400, "event"),
    "event_t_text": (lambda s: events(w.event("now"))(s), 400, "event"),
    "event_no_map": (lambda s: events(7)(s), 400, "event"),
    "event_kind_unknown": (events(kind="party"), 400, "event"),
    "event_kind_number": (events(kind=1), 400, "event"),
    "event_name_201": (events(name="n" * 201), 400, "limit"),
    "event_text_8193": (events(text="t" * 8193), 400, "limit"),
    "event_33_labels": (events(labels={f"l{i}": "x" for i in range(33)}), 400, "limit"),
    "event_label_reserved": (events(labels={"instance": "x"}), 400, "event"),
    "event_label_syntax": (events(labels={"a-b": "x"}), 400, "event"),
    "event_label_empty": (events(labels={"a": w.Raw(b"\xa0")}), 400, "event"),
    "event_label_nul": (events(labels={"a": "x\0"}), 400, "event"),
    "event_label_number": (events(labels={"a": 1}), 400, "event"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document(subject, name):
    make, status, reason = DOCUMENTS[name]
    payload = make(subject)
    if not isinstance(payload, bytes):
        payload = w.pack(payload)
    before = state(subject)
    refused(subject, subject.batch(w.frame(payload)), status, reason, before)


LIMITS = {
    # at the limit: taken
    "five_deep": lambda s: s.root(x=nested(4)),
    "256_keys": lambda s: s.root(x=many_keys(256)),
    "256_keys_in_the_root": lambda s: dict(s.root(), **many_keys(256 - len(s.root()))),
    "64_blocks": lambda s: s.root(spaced(64)),
    "256_events": events(n=256),
    "3600_ticks": lambda s: s.root([ticks(3600, dt=1000)]),
    "an_hour": lambda s: s.root([ticks(2, dt=3_600_000)]),
    "jitter_a_minute": lambda s: s.root([ticks(1, dt=0, jitter=[-60000])]),
    "jitter_but_one": lambda s: s.root([ticks(2, jitter=[999, 0])]),
    "event_name_and_text": events(name="n" * 200, text="t" * 8192, labels={f"l{i}": "x" for i in range(32)}),
    "event_label_lengths": events(labels={"l" * 100: "x" * 500}),
    "scale_8": one(crafted(scale=8)),
    "scale_minus_4": one(crafted(scale=-4, pos=slots(0, [2]))),
    "2048_slots": one(crafted(count=2048, pos=slots(0, [1] * 2048))),
    "2048_slots_on_both_sides": one(crafted(count=4096, pos=slots(0, [1] * 2048), neg=slots(-2048, [1] * 2048), min=-2.0)),
    "index_lowest": one(crafted(pos=slots(-128 * 64, [2]), min=2.0 ** -127, max=2.0 ** -127)),
    "index_highest": one(crafted(pos=slots(1024 * 64 - 1, [2]), min=1e308, max=1.7e308)),
    "sum_infinite": one(crafted(sum=math.inf)),
    "sketch_empty": one(w.Sketch(6).encode()),
    "low_is_seq": lambda s: s.root(low=s.seq),
    "sealed_least": lambda s: s.root(sealed=-2 ** 63),
    "start_least": lambda s: s.root([s.block(start=-2 ** 63)]),
    "nobody_present": lambda s: s.root([w.block(SCHEMA, now(), [[None], [None], [None]], dt=0)]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_at_the_limit(fresh, name):
    answer = fresh.batch(w.frame(w.pack(LIMITS[name](fresh))))
    assert answer.status == 200 and answer.body["duplicate"] is False, answer


def test_an_agent_id_of_128(server):
    name = "a" * 128
    support.authority(server.ca, f"agent:{name}")
    c = Client(server, f"agent-{name}")
    assert c.definitions(w.resource_bytes(), FLAT).status == 200
    assert c.batch(w.batch_body([ticks(1)], agent=name, epoch=now())).status == 200
    c.close()


def test_an_epoch_a_day_ahead(fresh):
    assert fresh.batch(fresh.body(epoch=now() + DAY - 60_000)).status == 200


def grid(s, n_series, n_ticks):
    schema = w.schema_bytes(*(w.series(f"grid_{i}") for i in range(n_series)))
    assert s.definitions(schema).status == 200
    return w.block(schema, now() - 1000 * (n_ticks - 1), [[0] * n_ticks] * n_series)


def test_values_present(fresh):
    full = grid(fresh, 512, 2048)  # 2^20
    before = state(fresh)
    answer = fresh.batch(fresh.body([full, ticks(1)]))
    assert (answer.status, answer.reason) == (400, "limit"), answer
    assert state(fresh) == before
    assert fresh.good([full]).body["refused"] == {}
    assert fresh.visible(1)["values"] == 1 << 20


def padded(s, size, noise=True):
    """A root that packs to exactly `size` bytes, by an unknown key."""
    empty = len(w.pack(s.root([], x=w.Raw(b"\xc6" + bytes(4)))))
    n = size - empty
    pad = os.urandom(n) if noise else bytes(n)
    return w.pack(s.root([], x=w.Raw(b"\xc6" + n.to_bytes(4, "big") + pad)))


def test_inflated_size(fresh):
    answer = fresh.batch(w.frame(padded(fresh, (8 << 20) + 1, noise=False)))
    assert (answer.status, answer.reason) == (413, "too_large"), answer
    answer = fresh.batch(w.frame(padded(fresh, 8 << 20, noise=False)))
    assert answer.status == 200, answer


def test_body_size(fresh):
    least = len(w.frame(padded(fresh, 1 << 20))) - (1 << 20)  # what the frame adds
    body = w.frame(padded(fresh, (1 << 20) - least))
    above = w.frame(padded(fresh, (1 << 20) - least + 1))
    assert (len(body), len(above)) == (1 << 20, (1 << 20) + 1)
    answer = fresh.batch(above)
    assert (answer.status, answer.reason) == (413, "too_large"), answer
    answer = fresh.batch(body)
    assert answer.status == 200, answer


# ---- definitions ---------------------------------------------------------------------------------------------------------

def schema(*rows):
    return w.pack(list(rows))


def row(name="ok", kind=0, mul=1, div=1, labels=None, help=""):
    return [name, kind, mul, div, {} if labels is None else labels, help]


def resource(**labels):
    return w.pack(dict(dict(host="h", region="r", env="e"), **labels))


DEFINITIONS = {
    # a value that is no definition: 400 and its reason
    "nothing": (b"", "definition malformed"),
    "a_number": (w.pack(7), "definition"),
    "a_text": (w.pack("x"), "definition"),
    "not_msgpack": (b"\xc1", "definition malformed"),
    "bytes_behind": (schema(row()) + b"\0", "definition malformed"),
    "cut": (schema(row())[:-1], "definition malformed"),
    "five_deep": (w.pack([row(labels={"a": [[1]]})]), "limit definition"),
    "series_none": (schema(), "limit"),
    "series_4097": (schema(*(row(f"s{i}") for i in range(4097))), "limit"),
    "series_no_array": (schema({}), "definition"),
    "five_fields": (schema(row()[:5]), "definition"),
    "seven_fields": (schema(row() + [1]), "definition"),
    "name_empty": (schema(row("")), "definition"),
    "name_syntax": (schema(row("a-b")), "definition"),
    "name_digit": (schema(row("1a")), "definition"),
    "name_201": (schema(row("n" * 201)), "limit"),
    "name_number": (schema(row(5)), "definition"),
    "name_of_ours": (schema(row("securebase_aggregator_x")), "definition"),
    "name_of_ours_2": (schema(row("securebase_x")), "definition"),
    "kind_4": (schema(row(kind=4)), "definition"),
    "kind_negative": (schema(row(kind=-1)), "definition"),
    "kind_text": (schema(row(kind="gauge")), "definition"),
    "mul_0": (schema(row(mul=0)), "definition"),
    "div_0": (schema(row(div=0)), "definition"),
    "mul_33_bits": (schema(row(mul=2 ** 32)), "definition"),
    "div_float": (schema(row(div=1.0)), "definition"),
    "labels_array": (schema(row(labels=["a"])), "definition"),
    "labels_33": (schema(row(labels={f"l{i}": "x" for i in range(33)})), "limit"),
    "label_name_101": (schema(row(labels={"l" * 101: "x"})), "limit"),
    "label_value_501": (schema(row(labels={"l": "x" * 501})), "limit"),
    "label_value_empty": (schema(row(labels={"l": ""})), "definition"),
    "label_value_nul": (schema(row(labels={"l": "a\0b"})), "definition"),
    "label_value_number": (schema(row(labels={"l": 1})), "definition"),
    "label_name_syntax": (schema(row(labels={"a.b": "x"})), "definition"),
    "label_name_empty": (schema(row(labels={"": "x"})), "definition"),
    "label_name_underscores": (schema(row(labels={"__a": "x"})), "definition"),
    **{f"label_{name}": (schema(row(labels={name: "x"})), "definition")
       for name in ("instance", "job", "le", "quantile", "window", "percentile", "metric", "tenant")},
    "label_twice": (schema(row(labels=w.Pairs([("a", "x"), ("a", "y")]))), "definition malformed"),
    "help_1025": (schema(row(help="h" * 1025)), "limit"),
    "help_nil": (schema(row(help=None)), "definition"),
    "help_not_utf8": (schema(row(help=w.Raw(b"\xa1\xff"))), "definition malformed"),
    "series_twice": (schema(row(labels={"a": "1", "b": "2"}), row(labels=w.Pairs([("b", "2"), ("a", "1")]))), "definition"),
    "two_kinds": (schema(row(labels={"a": "1"}), row(kind=1, labels={"a": "2"})), "definition"),
    "resource_empty": (w.pack({}), "definition"),
    **{f"resource_without_{k}": (w.pack({n: "x" for n in ("host", "region", "env") if n != k}), "definition")
       for k in ("host", "region", "env")},
    "resource_number": (resource(rack=7), "definition"),
    "resource_value_empty": (resource(rack=""), "definition"),
    "resource_label_reserved": (resource(tenant="x"), "definition"),
    "resource_33_labels": (resource(**{f"l{i}": "x" for i in range(30)}), "limit"),
    "resource_value_501": (resource(rack="x" * 501), "limit"),
    "resource_twice": (w.pack(w.Pairs([("host", "h"), ("region", "r"), ("env", "e"), ("host", "i")])), "definition malformed"),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_definition(subject, name):
    """The whole request is refused: the good one beside it is not taken either."""
    value, reasons = DEFINITIONS[name]
    beside = w.schema_bytes(w.series("beside_" + name))
    before = state(subject)
    answer = subject.definitions(value, beside)
    assert answer.status == 400 and answer.reason in reasons.split(), answer
    still = subject.batch(subject.body([w.block(beside, now(), [[1]], dt=0)]))
    assert (still.status, (still.body or {}).get("need")) == (409, [w.hash16(beside)]), still
    assert state(subject) == before
    subject.good()


DEFINITION_REQUESTS = {
    "none": (w.pack({}), "malformed"),
    "array": (w.pack([]), "malformed"),
    "key_is_text": (w.pack({"x" * 16: FLAT}), "malformed"),
    "key_of_15": (w.pack({bytes(15): FLAT}), "malformed definition"),
    "value_is_text": (w.pack({bytes(16): "x"}), "malformed"),
    "value_is_a_map": (w.pack({bytes(16): {}}), "malformed"),
    "key_is_not_the_hash": (w.pack({bytes(16): FLAT}), "definition"),
    "key_of_another": (w.pack({w.hash16(SCHEMA): FLAT}), "definition"),
    "twice": (w.pack(w.Pairs([(w.hash16(FLAT), FLAT)] * 2)), "malformed"),
    "257": (w.definitions_payload(*(resource(rack=str(i)) for i in range(257))), "limit"),
    "bytes_behind": (w.definitions_payload(FLAT) + b"\0", "malformed"),
}


@pytest.mark.parametrize("name", DEFINITION_REQUESTS)
def test_definition_request(subject, name):
    payload, reasons = DEFINITION_REQUESTS[name]
    before = state(subject)
    answer = subject.post("/v1/definitions", w.frame(payload), w.TYPE_DEFINITIONS)
    assert answer.status == 400 and answer.type == w.TYPE_ANSWER and answer.reason in reasons.split(), answer
    assert state(subject) == before
    subject.good()


DEFINITIONS_AT_THE_LIMIT = {
    "series_4096": schema(*(row(f"s{i}") for i in range(4096))),
    "longest": schema(row("n" * 200, 3, 2 ** 32 - 1, 2 ** 32 - 1, {"l" * 100: "x" * 500}, "h" * 1024)),
    "labels_32": schema(row(labels={f"l{i}": "\u00e9" for i in range(32)})),
    "prefixes": schema(*(row(f"securebase_{p}_x") for p in ("agent", "host", "probe", "cgroup", "app"))),
    "colons": schema(row(":a:b:")),
    "resource_32": resource(**{f"l{i}": "x" * 500 for i in range(29)}),
    "same_name_other_labels": schema(row(labels={"a": "1"}), row(labels={"a": "2"}), row()),
}


@pytest.mark.parametrize("name", DEFINITIONS_AT_THE_LIMIT)
def test_definition_at_the_limit(fresh, name):
    answer = fresh.definitions(DEFINITIONS_AT_THE_LIMIT[name])
    assert answer.status == 200 and set(answer.body) == {"time"}, answer


def test_a_series_may_not_use_a_label_of_its_resource(fresh):
    clash = w.schema_bytes(w.series("clash", labels={"host": "x"}))
    assert fresh.definitions(clash).status == 200
    before = state(fresh)
    answer = fresh.batch(fresh.body([w.block(clash, now(), [[1]], dt=0)]))
    refused(fresh, answer, 400, "definition", before)


def test_256_definitions_in_a_request_and_4096_of_an_agent(fresh):
    taken = 3
    answer = None
    for i in range(17):
        values = [resource(rack=f"{fresh.agent}-{i}-{k}") for k in range(256)]
        answer = fresh.definitions(*values)
        if answer.status != 200:
            break
        taken += 256
    assert 4096 - 256 < taken <= 4096
    assert (answer.status, answer.reason) == (429, "quota") and int(answer.headers["Retry-After"]) >= 1, answer
    fresh.good()  # what it has defined still serves


def test_64_epochs(fresh):
    for i in range(64):
        assert fresh.batch(fresh.body([], epoch=fresh.epoch + i)).status == 200
    answer = fresh.batch(fresh.body([], epoch=fresh.epoch + 64))
    assert (answer.status, answer.reason) == (429, "quota") and int(answer.headers["Retry-After"]) >= 1, answer
    assert fresh.batch(fresh.body([], epoch=fresh.epoch + 63, seq=2)).status == 200


def test_1024_holes(fresh):
    """Each odd number leaves a hole; when there are too many the oldest is closed, and counted lost."""
    late = {i: fresh.body(seq=i) for i in (2, 4, 2050)}
    for seq in range(1, 2052, 2):  # holes 2, 4 … 2050: 1025
        assert fresh.batch(fresh.body([], seq=seq)).status == 200
    assert fresh.batch(late[2]).body["duplicate"] is True  # closed
    assert fresh.batch(late[4]).body["duplicate"] is False
    assert fresh.batch(late[2050]).body["duplicate"] is False


def test_refusals_are_counted_by_reason(server, subject):
    def total(reason):
        return server.metrics()[f'securebase_aggregator_refused_batches_total{{reason="{reason}"}}']
    for reason, body in (("frame", b"x"), ("malformed", w.frame(b"\xc1")), ("version", subject.body(v=2)),
                         ("block", subject.body([subject.block(things=-1)]))):
        before = total(reason)
        assert subject.batch(body).reason == reason
        wait_for(lambda reason=reason, before=before: total(reason) == before + 1, why=f"{reason} counted")
