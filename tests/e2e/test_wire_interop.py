"""The Python of docs/protocol.md and the C codec agree: on random batches both ways, to the byte where the form is canonical, and
on which malformed form gets which reason."""
import json
import math
import os
import random
import struct
import subprocess

import pytest

import securebase_wire as w

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(TOP, os.environ.get("BUILD", "build"), "tests", "wire_tool")


def tool(verb, data, *args):
    p = subprocess.run([TOOL, verb, *args], input=data, stdout=subprocess.PIPE, check=False, timeout=60)
    assert p.returncode in (0, 1), p
    return p.returncode, p.stdout


def read(verb, data, *args):
    rc, out = tool(verb, data, *args)
    return rc, json.loads(out)


def bits(x):
    return "0x%016x" % struct.unpack("<Q", struct.pack("<d", x))


class Maker:
    """Random documents of a seed."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def labels(self):
        names = self.r.sample(["device", "code", "_x", "zone", "service", "A1"], self.r.randrange(4))
        return {n: self.r.choice(["a", "\u00e9\u20ac\U0001f600", "x" * 500, "with \"quotes\" \\"]) for n in names}

    def schema(self):
        rows = []
        for i in range(self.r.randint(1, 20)):
            rows.append(w.series("m%d:_%d" % (i, self.r.randrange(9)), self.r.randrange(4), self.r.choice([1, 3, 1024, 2**32 - 1]),
                                 self.r.choice([1, 7, 100, 1000]), self.labels(), self.r.choice(["", "Help\n"])))
        return rows

    def sketch(self):
        s = w.Sketch(self.r.choice([-4, -1, 0, 3, 6, 8]))
        for _ in range(self.r.choice([0, 1, 5, 60])):
            v = self.r.choice([self.r.lognormvariate(0, 2), -self.r.expovariate(1), 0.0, 2.0 ** self.r.randrange(-20, 20),
                               math.ldexp(self.r.random() + 1, self.r.randrange(-140, 1000))])
            s.add(v, self.r.choice([1, 1, 2, 100]))
        return s

    def column(self, kind, n):
        gone = self.r.choice([0, 0, 0.3, 1])
        if kind == w.SKETCH:
            values = [self.sketch() for _ in range(n)]
        elif self.r.random() < 0.7:
            bound = 2 ** self.r.choice([4, 10, 31, 62, 63])
            values = [self.r.randrange(0 if kind == w.COUNTER else -bound, bound)]
            for _ in range(n - 1):
                values.append(values[-1] if self.r.random() < 0.6 else
                              self.r.randrange(0 if kind == w.COUNTER else -bound, bound))
        elif kind == w.COUNTER:
            values = [self.r.choice([0.0, self.r.random() * 1e9, 1.7e308]) for _ in range(n)]
        else:
            values = [struct.unpack("<d", self.r.randbytes(8))[0] for _ in range(n)]
        return [None if self.r.random() < gone else v for v in values]

    def block(self, schema, rows):
        n = self.r.choice([1, 1, 2, 7, 8, 9, 30])
        jitter = [self.r.randrange(-400, 400) for _ in range(n)] if self.r.random() < 0.4 else None
        return dict(schema=schema, t0=self.r.randrange(10**12, 2 * 10**12), dt=self.r.randrange(1000, 9000),
                    columns=[self.column(row[1], n) for row in rows], jitter=jitter,
                    start=self.r.choice([None, -5, 1700000000000]))

    @staticmethod
    def encode(b):
        return w.block(b["schema"], b["t0"], b["columns"], dt=b["dt"], start=b["start"], jitter=b["jitter"])


def as_json(batch, blocks):
    """For the tool to write: all numbers as strings."""
    def value(v):
        if v is None:
            return None
        if isinstance(v, w.Sketch):
            return v.encode().hex()
        return str(v) if isinstance(v, int) else bits(v)

    out = dict(agent=batch["agent"], epoch=str(batch["epoch"]), seq=str(batch["seq"]), low=str(batch["low"]),
               sealed=str(batch["sealed"]), resource=batch["resource"].hex(), blocks=[], events=[])
    for b in blocks:
        columns = []
        for col in b["columns"]:
            real = any(isinstance(v, float) for v in col)
            columns.append(dict(mode="1" if real else "0", values=[value(v) for v in col]))
        out["blocks"].append(dict(schema=w.hash16(b["schema"]).hex(), t0=str(b["t0"]), dt=str(b["dt"]),
                                  n=str(len(b["columns"][0])), start=None if b["start"] is None else str(b["start"]),
                                  jitter=None if b["jitter"] is None else list(map(str, b["jitter"])), columns=columns))
    for e in batch.get("events", []):
        out["events"].append(dict(e, t=str(e["t"])))
    return json.dumps(out).encode()


def flat(decoded):
    """A decoded batch in the form that the tool prints."""
    def value(v):
        return None if v is None else v.encode().hex() if isinstance(v, w.Sketch) else bits(v)

    return dict(agent=decoded["agent"], epoch=str(decoded["epoch"]), seq=str(decoded["seq"]), low=str(decoded["low"]),
                sealed=str(decoded["sealed"]), resource=decoded["resource"].hex(),
                blocks=[dict(schema=b["schema"].hex(), start=None if b["start"] is None else str(b["start"]),
                             times=list(map(str, b["times"])), columns=[[value(v) for v in c] for c in b["columns"]])
                        for b in decoded["blocks"]],
                events=[dict(e, t=str(e["t"])) for e in decoded["events"]])


@pytest.mark.parametrize("seed", range(60))
def test_random_batches(seed, tmp_path):
    m = Maker(seed)
    schemas, paths = {}, []
    for i in range(m.r.randint(1, 3)):
        rows = m.schema()
        data = w.schema_bytes(*rows)
        rc, back = read("read-definition", data)
        assert (rc, back) == (0, rows)
        assert tool("write-definition", json.dumps(rows).encode()) == (0, data)  # one canonical form
        schemas[w.hash16(data)] = data
        paths.append(tmp_path / str(i))
        paths[-1].write_bytes(data)
    made = [m.block(data, w.unpack(data)) for data in schemas.values()]
    events = [w.event(m.r.randrange(-2**63, 2**63), "rollback", "n\u00e9", "t" * m.r.randrange(9), m.labels())
              for _ in range(m.r.randrange(3))]
    root = w.batch([m.encode(b) for b in made], epoch=m.r.randint(1, 2**64 - 1), seq=9, low=m.r.randint(1, 9),
                   sealed=m.r.randrange(-2**63, 2**63), events=events)
    payload = w.pack(root)

    rc, back = read("read-batch", w.frame(payload), *paths)  # Python writes, C reads
    assert rc == 0, back
    assert back == flat(w.decode_batch(w.frame(payload), schemas))
    rc, body = tool("write-batch", as_json(root, made), *paths)  # C writes, Python reads: the same bytes
    assert rc == 0, body
    assert w.unframe(body) == payload


def test_resource_and_request():
    r = w.resource_bytes(node_role="web")
    s = w.schema_bytes(w.series("a"))
    assert read("read-definition", r) == (0, dict(host="web-1", region="eu", env="prod", node_role="web"))
    assert tool("write-definition", json.dumps(w.unpack(r)).encode()) == (0, r)
    rc, back = read("read-request", w.frame(w.definitions_payload(r, s)))
    assert rc == 0 and w.unpack(r) in back and w.unpack(s) in back
    rc, back = read("read-request", w.frame(w.pack({b"x" * 16: r})))
    assert (rc, back["reason"], back["status"]) == (1, "definition", 400)


def test_page_example():
    """The example sketch and batch of the page, built here."""
    s = w.Sketch()
    s.add(0.25)
    s.add(0.3125, 2)
    s.add(-1.0)
    s.add(0.0)
    schema = w.schema_bytes(w.series("node_load1", w.GAUGE, 1, 100, help="1m load"),
                            w.series("demo_total", w.COUNTER, labels={"code": "200"}), w.series("demo_seconds", w.SKETCH))
    b = w.block(schema, 1700000000000, [[52, 52, 49], [1000, 1003, 1009], [None, s, None]], start=1699990000000)
    payload = w.pack(w.batch([b], seq=7, low=5, sealed=1700000003000))
    with open(os.path.join(TOP, "docs", "protocol.md"), encoding="utf-8") as f:
        page = f.read()
    for name, want in (("sketch", s.encode()), ("batch", payload), ("schema", schema), ("schema-hash", w.hash16(schema)),
                       ("resource", w.resource_bytes())):
        lines = page.split("```hex %s\n" % name)[1].split("```")[0].splitlines()
        assert bytes.fromhex("".join(line.split("#")[0] for line in lines)) == want, name


SCHEMA = w.schema_bytes(w.series("g"), w.series("c", w.COUNTER), w.series("s", w.SKETCH))


def good_block(**override):
    s = w.Sketch()
    s.add(1.5)
    return w.block(SCHEMA, 1700000000000, [[1, 2], [3.5, 4.5], [s, s]], **override)


def sketch_block(**override):
    s = w.Sketch()
    s.add(1.5, 3)
    s.add(2.5)
    return w.block(SCHEMA, 0, [[1], [2], [s.encode(**override)]])


EMPTY = w.Sketch()
FORMS = [
    ("ok", w.batch([good_block()])),
    ("ok", w.batch([good_block()], zzz=[None, 1.5, {"a": w.Raw(b"\xd4\x01\x02")}])),
    ("ok", w.batch([sketch_block()])),
    ("version", w.batch([good_block()], v=2)),
    ("malformed", w.batch([good_block()], v=w.DROP)),
    ("malformed", w.batch([good_block()], v="1")),
    ("malformed", w.batch([good_block()], agent="../x")),
    ("malformed", w.batch([good_block()], low=2)),
    ("malformed", w.batch([good_block(schema=b"x")])),
    ("malformed", w.batch([good_block()], zzz={1: 2})),
    ("malformed", w.batch([good_block()], zzz=w.Pairs([("a", 1), ("a", 2)]))),
    ("malformed", w.batch([good_block()], zzz=w.Raw(b"\xa1\xff"))),
    ("limit", w.batch([good_block()], zzz=[[[[[]]]]])),
    ("limit", w.batch([good_block()] * 65)),
    ("limit", w.batch([good_block()], zzz={"k%d" % i: i for i in range(257)})),
    ("definitions", w.batch([good_block(schema=b"x" * 16, n="bad")])),
    ("block", w.batch([good_block(n="bad")])),
    ("block", w.batch([good_block()] * 2)),
    ("block", w.batch([good_block(dt=0)])),
    ("block", w.batch([good_block(ints=b"")])),
    ("block", w.batch([good_block(ints=b"\0\0\0")])),
    ("block", w.batch([good_block(mode=b"\0\2")])),
    ("block", w.batch([good_block(present=b"\3\3\7")])),
    ("block", w.batch([good_block(jitter=b"\0")])),
    ("limit", w.batch([good_block(n=3601)])),
    ("limit", w.batch([good_block(n=0)])),
    ("limit", w.batch([good_block(dt=3600001)])),
    ("sketch", w.batch([good_block(sketches=b"")])),
    ("sketch", w.batch([sketch_block(scale=9)])),
    ("sketch", w.batch([sketch_block(scale=-5)])),
    ("sketch", w.batch([sketch_block(count=5)])),
    ("sketch", w.batch([sketch_block(sum=math.nan)])),
    ("sketch", w.batch([sketch_block(min=math.inf)])),
    ("sketch", w.batch([sketch_block(min=9.0)])),
    ("sketch", w.batch([sketch_block(count=4, pos=w.varint(2) + w.zigzag(5) + w.varint(4) + w.zigzag(-4))])),
    ("sketch", w.batch([sketch_block(count=4, pos=w.varint(1) + w.zigzag(1024 * 64) + w.varint(4))])),
    ("sketch", w.batch([sketch_block(count=4, pos=w.varint(1) + w.zigzag(-128 * 64 - 1) + w.varint(4))])),
    ("ok", w.batch([sketch_block(count=4, pos=w.varint(1) + w.zigzag(1024 * 64 - 1) + w.varint(4))])),
    ("ok", w.batch([sketch_block(count=4, pos=w.varint(1) + w.zigzag(-128 * 64) + w.varint(4))])),
    ("sketch", w.batch([sketch_block(count=0, pos=b"\0")])),
    ("sketch", w.batch([w.block(SCHEMA, 0, [[1], [2], [EMPTY.encode(sum=1.0)]])])),
    ("ok", w.batch([w.block(SCHEMA, 0, [[1], [2], [EMPTY]])])),
    ("event", w.batch(events=[w.event(1, "notes")])),
    ("event", w.batch(events=[w.event(1, labels={"job": "x"})])),
    ("event", w.batch(events=[w.event("1")])),
    ("limit", w.batch(events=[w.event(1, text="x" * 8193)])),
    ("limit", w.batch(events=[w.event(1)] * 257)),
]


@pytest.mark.parametrize("which", range(len(FORMS)))
def test_forms(which, tmp_path):
    want, root = FORMS[which]
    path = tmp_path / "schema"
    path.write_bytes(SCHEMA)
    rc, back = read("read-batch", w.frame(w.pack(root)), str(path))
    assert (back["reason"] if rc else "ok") == want, back


@pytest.mark.parametrize("seed", range(10))
def test_sketch_against_order_statistics(seed):
    """Merged in any order, the quantiles stay within (b - 1) / (b + 1) of the exact ones."""
    r = random.Random(seed)
    values = sorted(r.choice([1, -1]) * r.lognormvariate(0, 3) for _ in range(500))
    s, parts = w.Sketch(), [w.Sketch() for _ in range(5)]
    for v in values:
        s.add(v)
        r.choice(parts).add(v)
    r.shuffle(parts)
    for p in parts[1:]:
        parts[0].merge(p)
    assert (parts[0].pos, parts[0].neg, parts[0].count) == (s.pos, s.neg, 500)
    for q in (0, 0.001, 0.5, 0.9, 0.999, 1):
        exact = values[max(1, math.ceil(q * 500)) - 1]
        assert abs(s.quantile(q) - exact) <= abs(exact) * 0.00542
    assert w.Sketch.decode(s.encode()).pos == s.pos


@pytest.mark.parametrize("seed", range(20))
def test_sketch_of_the_same_values(seed):
    """Both record the same values, bounds and their neighbours among them: the same slots, the same quantiles."""
    r = random.Random(seed)
    values = []
    for _ in range(400):
        bound = 2.0 ** (r.randrange(-500, 500) / 64) if seed % 2 else 2.0 ** r.randrange(-10, 10)
        v = r.choice([bound, math.nextafter(bound, 0), math.nextafter(bound, math.inf), r.lognormvariate(0, 2), 0.0,
                      2.0 ** -128, 5e-324])
        values.append((r.choice([1, 1, -1]) * v, r.randrange(1, 9)))
    if seed > 15:
        values += [(1e300, 1), (1e-30, 1)]  # so wide that the scale has to fall
    s = w.Sketch()
    for v, weight in values:
        s.add(v, weight)
    asked = [r.random() for _ in range(20)] + [0.0, 0.5, 0.9, 1.0]
    data = dict(values=[[bits(v), str(n)] for v, n in values], q=[bits(q) for q in asked])
    rc, back = read("write-sketch", json.dumps(data).encode())
    assert rc == 0
    theirs = w.Sketch.decode(bytes.fromhex(back["sketch"]))
    for name in ("scale", "zero", "pos", "neg", "min", "max", "count"):
        assert getattr(theirs, name) == getattr(s, name), name
    for q, got in zip(asked, back["q"]):
        got = struct.unpack("<d", struct.pack("<Q", int(got, 16)))[0]
        assert math.isclose(got, s.quantile(q), rel_tol=1e-12, abs_tol=1e-300), q


def test_answers():
    rc, a = read("read-answer", w.answer_ok(2**64 - 1, 3, -1, True, {"future": 2, "kind_conflict": 1}), "200")
    assert rc == 0 and a["epoch"] == str(2**64 - 1) and a["duplicate"] and a["refused"]["kind_conflict"] == "1"
    rc, a = read("read-answer", w.answer_need(b"x" * 16), "409")
    assert rc == 0 and a["need"] == [(b"x" * 16).hex()]
    rc, a = read("read-answer", w.answer_refusal("overload"), "503")
    assert rc == 0 and a["reason"] == "overload"
    assert tool("read-answer", b"<html>", "200")[0] == 1
