"""A strict reader of the two text formats, written from their specifications, to hold our pages against."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"^({NAME})(?:\{{(.*)\}})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",), "unknown": ("",),
            "untyped": ("",)}


def labels(text):
    out, at = {}, 0
    while at < len(text or ""):
        m = LABEL.match(text, at)
        assert m, f"malformed labels: {text}"
        assert m.group(1) not in out, f"a label twice: {text}"
        out[m.group(1)] = m.group(2).replace(r"\n", "\n").replace(r"\"", '"').replace("\\\\", "\\")
        at = m.end()
    return out


def read(page, openmetrics=False):
    """{name: (type, {frozenset(labels): value} by sample name)}; asserts what the format demands."""
    assert page.endswith("\n"), "the last line has no end"
    lines = page[:-1].split("\n")
    if openmetrics:
        assert lines.pop() == "# EOF"
    families, open_, seen = {}, None, set()
    for line in lines:
        assert line, "an empty line"
        if line.startswith("# "):
            word, name, rest = line[2:].split(" ", 2)
            assert word in ("HELP", "TYPE"), line
            if open_ != name:
                assert name not in families, f"{name} stands in two places"
                families[name] = [None, None, {}]
                open_ = name
            at = 0 if word == "TYPE" else 1
            assert families[name][at] is None and not families[name][2], line
            families[name][at] = rest
            continue
        m = SAMPLE.match(line)
        assert m, f"no sample: {line}"
        kind, _, samples = families[open_]
        suffixes = SUFFIXES[kind] if openmetrics or kind != "counter" else ("",)
        assert m.group(1) in [open_ + s for s in suffixes], f"{line} stands under {open_} {kind}"
        key = (m.group(1), frozenset(labels(m.group(2)).items()))
        assert key not in seen, f"{line} twice"
        seen.add(key)
        samples[key] = float(m.group(3))
    for name, (kind, help_, samples) in families.items():
        assert kind and help_ is not None, name
        if kind == "histogram":
            histogram(name, samples)
        if openmetrics:
            assert kind != "counter" or not name.endswith("_total")
    return {n: (k, s) for n, (k, _, s) in families.items()}


def histogram(name, samples):
    """Buckets ascend, do not fall, and the last is +Inf and the count."""
    groups = {}
    for (sample, label), value in samples.items():
        rest = frozenset(x for x in label if x[0] != "le")
        if sample == name + "_bucket":
            groups.setdefault(rest, []).append((float(dict(label)["le"]), value))
        else:
            groups.setdefault(rest, [])
    for rest, buckets in groups.items():
        bounds = [b for b, _ in buckets]
        counts = [c for _, c in buckets]
        assert bounds == sorted(bounds) and bounds[-1] == float("inf"), (name, rest)
        assert counts == sorted(counts), (name, rest)
        assert counts[-1] == samples[(name + "_count", rest)], (name, rest)
        assert (name + "_sum", rest) in samples
