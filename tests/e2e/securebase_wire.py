"""The batch protocol in Python, written from docs/protocol.md alone: nothing here knows the C code.

Documents are ordinary dictionaries until pack(), so that a test can break any field: leave a key out (DROP), give another
value, a value that is packed already (Raw), or a map as a list of pairs (Pairs), where keys may repeat or be no strings.
"""
import functools
import hashlib
import math
import struct
from fractions import Fraction

import msgpack
import zstandard

TYPE_BATCH = "application/vnd.securebase.batch"
TYPE_DEFINITIONS = "application/vnd.securebase.definitions"
TYPE_ANSWER = "application/vnd.securebase.answer"
GAUGE, COUNTER, SKETCH, UNTYPED = range(4)
MASK = 2**64 - 1


class Malformed(Exception):
    """What a decoder refuses."""


class Raw(bytes):
    """A value that is msgpack already."""


class Pairs(list):
    """A map as a list of (key, value), written as it stands."""


DROP = object()


# ---- msgpack -----------------------------------------------------------------------------------------------------------

def _head(short, short_max, forms, n):
    if n <= short_max:
        return bytes([short | n])
    for code, size in forms:
        if n < 256**size:
            return bytes([code]) + n.to_bytes(size, "big")
    raise ValueError("too long")


def pack(value):
    """Canonical msgpack: sorted keys, smallest integers."""
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, dict):
        key = (lambda kv: kv[0].encode() if isinstance(kv[0], str) else kv[0])
        value = Pairs(sorted(((k, v) for k, v in value.items() if v is not DROP), key=key))
    if isinstance(value, Pairs):
        return _head(0x80, 15, ((0xDE, 2), (0xDF, 4)), len(value)) + b"".join(pack(k) + pack(v) for k, v in value)
    if isinstance(value, (list, tuple)):
        return _head(0x90, 15, ((0xDC, 2), (0xDD, 4)), len(value)) + b"".join(map(pack, value))
    return msgpack.packb(value, use_bin_type=True)


def _pairs(pairs):
    out = {}
    for k, v in pairs:
        if k in out:
            raise Malformed("a key twice")
        out[k] = v
    return out


def unpack(data):
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=False, object_pairs_hook=_pairs)
    except (ValueError, msgpack.UnpackException) as e:
        raise Malformed(str(e)) from e


# ---- frames ------------------------------------------------------------------------------------------------------------

def frame(payload, level=1, checksum=True, size=True):
    return zstandard.ZstdCompressor(level=level, write_checksum=checksum, write_content_size=size,
                                    write_dict_id=False).compress(payload)


def unframe(body):
    p = zstandard.get_frame_parameters(body)
    if not p.has_checksum or p.dict_id or p.content_size in (None, zstandard.CONTENTSIZE_UNKNOWN):
        raise Malformed("not the frame that the protocol wants")
    if p.content_size > 8 << 20 or len(body) > 1 << 20:
        raise Malformed("too large")
    d = zstandard.ZstdDecompressor().decompressobj()
    out = d.decompress(body)
    if d.unused_data or len(out) != p.content_size:
        raise Malformed("not exactly one frame")
    return out


# ---- varints -----------------------------------------------------------------------------------------------------------

def varint(v):
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7F | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def zigzag(v):
    """v: a signed 64-bit value, or any whole number modulo 2^64."""
    v &= MASK
    signed = v - 2**64 if v >> 63 else v
    return varint(signed << 1 if signed >= 0 else (-signed << 1) - 1)


class Bytes:
    """Reads from the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if self.at + n > len(self.data):
            raise Malformed("short")
        self.at += n
        return self.data[self.at - n:self.at]

    def varint(self):
        v = 0
        for i in range(10):
            c = self.take(1)[0]
            v |= (c & 0x7F) << 7 * i
            if c < 0x80:
                if v > MASK:
                    break
                return v
        raise Malformed("varint")

    def zigzag(self):
        u = self.varint()
        return u >> 1 if u % 2 == 0 else -(u >> 1) - 1

    def double(self):
        return struct.unpack("<d", self.take(8))[0]

    def end(self):
        if self.at != len(self.data):
            raise Malformed("too long")


# ---- sketches ----------------------------------------------------------------------------------------------------------

@functools.lru_cache(maxsize=1 << 18)
def sketch_index(v, scale):
    """Index of v > 0, in whole numbers."""
    m, e = math.frexp(v)
    mantissa, e = int(m * 2**53), e - 1  # mantissa / 2^52 in [1, 2)
    if scale <= 0:
        return (e - (mantissa == 2**52)) >> -scale
    power = mantissa ** (2**scale)
    return (e << scale) + (power - 1).bit_length() - 52 * 2**scale - 1


def bucket_bounds(index, scale):
    """Lower and upper bound as floats."""
    def bound(i):
        whole, part = divmod(i, 2**scale) if scale > 0 else (i * 2**-scale, 0)
        return math.ldexp(2 ** (part / 2**scale), whole) if whole < 1024 else math.inf
    lower, upper = bound(index), bound(index + 1)
    return lower, min(upper, 1.7976931348623157e308)


class Sketch:
    MAX_SLOTS = 2048

    def __init__(self, scale=6):
        self.scale = scale
        self.zero = 0
        self.pos, self.neg = {}, {}
        self.sum = self.min = self.max = 0.0

    @property
    def count(self):
        return self.zero + sum(self.pos.values()) + sum(self.neg.values())

    def add(self, v, weight=1):
        if not math.isfinite(v):
            raise ValueError(v)
        self.min = min(self.min, v) if self.count else v
        self.max = max(self.max, v) if self.count else v
        self.sum += v * weight
        if abs(v) <= 2.0**-128:
            self.zero += weight
        else:
            slots, i = (self.pos if v > 0 else self.neg), sketch_index(abs(v), self.scale)
            slots[i] = slots.get(i, 0) + weight
        self._narrow()

    def _narrow(self):
        while any(s and max(s) - min(s) + 1 > self.MAX_SLOTS for s in (self.pos, self.neg)):
            self.downscale(self.scale - 1)

    def downscale(self, scale):
        by = self.scale - scale
        if by <= 0:
            return
        for name in ("pos", "neg"):
            out = {}
            for i, c in getattr(self, name).items():
                out[i >> by] = out.get(i >> by, 0) + c
            setattr(self, name, out)
        self.scale = scale

    def merge(self, other):
        o = other.copy()
        if o.count:
            self.min = min(self.min, o.min) if self.count else o.min
            self.max = max(self.max, o.max) if self.count else o.max
        self.downscale(min(self.scale, o.scale))
        o.downscale(self.scale)
        for mine, theirs in ((self.pos, o.pos), (self.neg, o.neg)):
            for i, c in theirs.items():
                mine[i] = mine.get(i, 0) + c
        self.zero += o.zero
        self.sum += o.sum
        self._narrow()

    def copy(self):
        s = Sketch(self.scale)
        s.zero, s.pos, s.neg, s.sum, s.min, s.max = self.zero, dict(self.pos), dict(self.neg), self.sum, self.min, self.max
        return s

    def quantile(self, q):
        if not self.count:
            return math.nan
        if q <= 0:
            return self.min
        if q >= 1:
            return self.max
        rank = max(1, math.ceil(q * self.count))  # the float64 product: 0.9 of 500 is 450
        walk = [(c, -1, i) for i, c in sorted(self.neg.items(), reverse=True)]
        walk += [(self.zero, 0, 0)] + [(c, 1, i) for i, c in sorted(self.pos.items())]
        for c, sign, i in walk:
            rank -= c
            if rank <= 0 and c:
                lower, upper = bucket_bounds(i, self.scale) if sign else (0.0, 1.0)
                return min(max(sign * 2 * lower / (1 + lower / upper), self.min), self.max)
        raise AssertionError("rank beyond count")

    @staticmethod
    def _range(slots):
        if not slots:
            return varint(0)
        low, n = min(slots), max(slots) - min(slots) + 1
        out, before = varint(n) + zigzag(low), None
        for i in range(low, low + n):
            c = slots.get(i, 0)
            out += varint(c) if before is None else zigzag(c - before)
            before = c
        return out

    def encode(self, **override):
        f = dict(scale=self.scale, count=self.count, sum=self.sum, min=self.min, max=self.max, zero=self.zero,
                 pos=None, neg=None)
        f.update(override)
        return (zigzag(f["scale"]) + varint(f["count"]) + struct.pack("<ddd", f["sum"], f["min"], f["max"]) +
                varint(f["zero"]) + (self._range(self.pos) if f["pos"] is None else f["pos"]) +
                (self._range(self.neg) if f["neg"] is None else f["neg"]))

    @classmethod
    def read(cls, r):
        s = cls(r.zigzag())
        count = r.varint()
        s.sum, s.min, s.max = r.double(), r.double(), r.double()
        s.zero = r.varint()
        if not -4 <= s.scale <= 8:
            raise Malformed("scale")
        for slots in (s.pos, s.neg):
            n = r.varint()
            if n > cls.MAX_SLOTS:
                raise Malformed("slots")
            if not n:
                continue
            offset, c = r.zigzag(), r.varint()
            low, high = Fraction(2) ** s.scale * -128, Fraction(2) ** s.scale * 1024
            if not low <= offset <= offset + n - 1 < high:
                raise Malformed("index")
            counts = [c]
            for _ in range(n - 1):
                counts.append((counts[-1] + r.zigzag()) & MASK)
            if not counts[0] or not counts[-1]:
                raise Malformed("an outer slot is 0")
            slots.update({offset + i: c for i, c in enumerate(counts) if c})
        if s.count != count or count > MASK:
            raise Malformed("count")
        if not (math.isfinite(s.min) and math.isfinite(s.max) and s.min <= s.max) or math.isnan(s.sum):
            raise Malformed("min, max or sum")
        if not count and (s.sum or s.min or s.max):
            raise Malformed("an empty sketch with content")
        return s

    @classmethod
    def decode(cls, data):
        r = Bytes(data)
        s = cls.read(r)
        r.end()
        return s


# ---- definitions -------------------------------------------------------------------------------------------------------

def hash16(data):
    return hashlib.sha256(data).digest()[:16]


def series(name, kind=GAUGE, mul=1, div=1, labels=None, help=""):
    return [name, kind, mul, div, labels or {}, help]


def resource_bytes(host="web-1", region="eu", env="prod", **more):
    return pack(dict(host=host, region=region, env=env, **more))


def schema_bytes(*list_of_series):
    return pack(list(list_of_series))


def definitions_payload(*values):
    return pack({hash16(v): v for v in values})


# ---- batches -----------------------------------------------------------------------------------------------------------

def _bits(x):
    return struct.unpack("<Q", struct.pack("<d", x))[0]


def block(schema, t0, columns, /, dt=1000, start=None, jitter=None, **override):
    """schema: the bytes of a definition. columns: for each series a list of one value a tick: int (all of a column: mode 0),
    float (mode 1), Sketch or encoded sketch, None where absent. Any key of the block can be given another value."""
    rows = unpack(schema)
    n = len(columns[0])
    mode, ints, reals, sketches, present, holes = b"", b"", b"", b"", b"", False
    for (_, kind, *_rest), col in zip(rows, columns):
        there = [v for v in col if v is not None]
        holes = holes or len(there) < n
        bits = sum(1 << i for i, v in enumerate(col) if v is not None)
        present += bits.to_bytes((n + 7) // 8, "little")
        if kind == SKETCH:
            sketches += b"".join(v.encode() if isinstance(v, Sketch) else v for v in there)
        elif all(isinstance(v, int) for v in there):
            mode += b"\0"
            ints += b"".join(zigzag(v - b) for v, b in zip(there, [0] + there))
        else:
            mode += b"\1"
            reals += b"".join(struct.pack("<Q", _bits(v) ^ b) for v, b in zip(there, [0] + [_bits(v) for v in there]))
    out = dict(schema=hash16(schema), t0=t0, dt=dt, n=n, mode=mode, ints=ints, reals=reals, sketches=sketches)
    if holes:
        out["present"] = present
    if start is not None:
        out["start"] = start
    if jitter is not None:
        out["jitter"] = jitter if isinstance(jitter, bytes) else b"".join(map(zigzag, jitter))
    out.update(override)
    return out


def event(t, kind="note", name="", text="", labels=None, **override):
    return dict(dict(t=t, kind=kind, name=name, text=text, labels=labels or {}), **override)


def batch(blocks=(), agent="web-1", epoch=1700000000000, seq=1, low=1, sealed=1700000000000, resource=None, events=None,
          **override):
    """The root, a dictionary; resource: the bytes of the definition."""
    out = dict(v=1, agent=agent, epoch=epoch, seq=seq, low=low, sealed=sealed,
               resource=hash16(resource_bytes() if resource is None else resource), blocks=list(blocks))
    if events:
        out["events"] = list(events)
    out.update(override)
    return out


def batch_body(*args, **kwargs):
    return frame(pack(batch(*args, **kwargs)))


def _times(b):
    jitter = [0] * b["n"]
    if "jitter" in b:
        r = Bytes(b["jitter"])
        jitter = [r.zigzag() for _ in range(b["n"])]
        r.end()
    times = [b["t0"] + i * b["dt"] + j for i, j in enumerate(jitter)]
    if any(abs(j) > 60000 for j in jitter) or any(x >= y for x, y in zip(times, times[1:])):
        raise Malformed("times")
    return times


def decode_block(b, schema):
    """{times, start, columns}: a value, None or a Sketch for each series and tick; integers are scaled."""
    rows, n = unpack(schema), b["n"]
    stride = (n + 7) // 8
    ints, reals, sketches, mode = Bytes(b["ints"]), Bytes(b["reals"]), Bytes(b["sketches"]), Bytes(b["mode"])
    columns = []
    for j, (_, kind, mul, div, *_rest) in enumerate(rows):
        bits = 2**n - 1
        if "present" in b:
            bits = int.from_bytes(b["present"][j * stride:(j + 1) * stride], "little")
        if bits >> n:
            raise Malformed("padding")
        m = 0 if kind == SKETCH else mode.take(1)[0]
        col, before = [], 0
        for i in range(n):
            if not bits >> i & 1:
                col.append(None)
            elif kind == SKETCH:
                col.append(Sketch.read(sketches))
            elif m == 0:
                before = (before + ints.zigzag()) & MASK
                col.append(float(before - 2**64 if before >> 63 else before) * mul / div)
            else:
                before ^= struct.unpack("<Q", reals.take(8))[0]
                col.append(struct.unpack("<d", struct.pack("<Q", before))[0])
        if kind == COUNTER and any(v is not None and not (0 <= v < math.inf) for v in col):
            raise Malformed("counter")
        columns.append(col)
    if "present" in b and len(b["present"]) != stride * len(rows):
        raise Malformed("present")
    for r in (ints, reals, sketches, mode):
        r.end()
    return dict(times=_times(b), start=b.get("start"), columns=columns)


def decode_batch(body, schemas):
    """schemas: bytes by hash. The root with its blocks decoded."""
    root = unpack(unframe(body))
    if root.get("v") != 1:
        raise Malformed("version")
    root["blocks"] = [dict(decode_block(b, schemas[b["schema"]]), schema=b["schema"]) for b in root["blocks"]]
    root.setdefault("events", [])
    return root


# ---- answers -----------------------------------------------------------------------------------------------------------

def answer_ok(epoch, seq, time, duplicate=False, refused=None, **override):
    return pack(dict(dict(epoch=epoch, seq=seq, time=time, duplicate=duplicate, refused=refused or {}), **override))


def answer_need(*hashes):
    return pack(dict(need=list(hashes)))


def answer_refusal(reason, error="no", **override):
    return pack(dict(dict(reason=reason, error=error), **override))
