"""The past: steps of 10 seconds by the time at which values were taken, kept over restarts, read back by the API.

A counter's events are counted once whatever happens to the aggregator; what a spool brings late is put where it belongs; and
percentiles over a window of the past are those of all its values, within the resolution of the sketches."""
import random
import signal
from datetime import datetime, timezone

import pytest

from support import get, wait_for
from wire_client import COUNTER, GAUGE, TOOK, Subject, now, sketch

STEP = 10_000
NEVER = {"statistic": "last", "above": "1e300", "by": "device", "window": "5m"}
SECTIONS = [("alert events", {"metric": COUNTER, **NEVER}), ("alert things", {"metric": GAUGE, **NEVER}),
            ("percentile took", {"metric": TOOK, "by": "device"})]


def floor(ms, to=STEP):
    return ms // to * to


def w_time(ms):
    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def tell(s, t, thing=1, things=0, values=(0.5,), **override):
    block = s.block(thing=thing, things=things, took=sketch(*values))
    block["t0"] = t
    s.good([block], **override)


def steps(a, metric, begin, end, **more):
    """{start in ms: step} of the one group of a metric in [begin, end)."""
    answer = a.api("history", **{"metric": metric, "by": "device", "from": w_time(begin), "to": w_time(end), "step": "10s", **more})
    assert len(answer["groups"]) == 1, answer
    assert answer["groups"][0]["labels"] == {"device": "a"}
    return {round(datetime.fromisoformat(x["time"].replace("Z", "+00:00")).timestamp() * 1000): x
            for x in answer["groups"][0]["steps"]}


def total(a, begin, end):
    return sum(x["increase"] for x in steps(a, COUNTER, begin, end).values())


@pytest.mark.parametrize("end", ["stop", "kill9"])
def test_no_step_is_lost(aggregator, end):
    """Batches, each a second of event time further, over ends of every kind: as many events as were told."""
    a = aggregator(sections=SECTIONS, ingest={"persist": "300ms"})
    s, rng = Subject(a), random.Random(end)
    begin = floor(now()) - 200_000
    count, samples = 5, 0
    for i in range(120):
        count += rng.randrange(4) if i else 0
        tell(s, begin + 1500 * i + 1, thing=i, things=count)
        samples += 1
        if i in (20, 21, 60, 95):
            if end == "stop":
                a.stop()
            else:
                a.signal(signal.SIGKILL)
                wait_for(lambda: not a.alive(), why="killed")
            a.start()
            s.close()
    got = steps(a, COUNTER, begin, begin + 300_000)
    assert sum(x["increase"] for x in got.values()) == count - 5
    assert sum(x["count"] for x in got.values()) == samples
    things = steps(a, GAUGE, begin, begin + 300_000)
    assert sum(x["count"] for x in things.values()) == samples
    for at, x in things.items():  # each step holds its values and no other
        mine = [i for i in range(120) if at < begin + 1500 * i + 1 <= at + STEP]
        assert x["count"] == len(mine) and x["series"] == 1
        assert [round(x[k] * 100, 6) for k in ("sum", "min", "max", "last")] == [sum(mine), mine[0], mine[-1], mine[-1]]


def test_what_comes_late(aggregator):
    """A batch out of a spool, after the one behind it and a kill: the events go to where they came about."""
    a = aggregator(sections=SECTIONS, ingest={"persist": "300ms"})
    s = Subject(a)
    t = floor(now()) - 600_000
    tell(s, t, things=100, seq=1)
    tell(s, t + 120_000, things=160, seq=3)
    assert total(a, t, t + 120_000) == 60
    assert {x["increase"] for x in steps(a, COUNTER, t, t + 120_000).values()} == {5}  # evenly, for want of better
    a.signal(signal.SIGKILL)
    wait_for(lambda: not a.alive(), why="killed")
    a.start()
    s.close()
    tell(s, t + 60_000, things=112, seq=2)
    assert total(a, t, t + 60_000) == 12
    assert total(a, t + 60_000, t + 120_000) == 48
    assert {x["increase"] for x in steps(a, COUNTER, t + 60_000, t + 120_000).values()} == {8}


def test_percentiles_of_the_past(aggregator):
    """Over a window in the middle of what was told, half of it before a restart: against the exact order statistics."""
    a = aggregator(sections=SECTIONS, ingest={"persist": "300ms"})
    s, rng = Subject(a), random.Random(4)
    t = floor(now(), 60_000) - 1_200_000
    told = {}
    for i in range(40):
        told[i] = [rng.lognormvariate(-2, 1) for _ in range(50)]
        tell(s, t + 20_000 * i + 5, values=told[i])
        if i == 20:
            a.stop()
            a.start()
            s.close()
    inside = sorted(v for i in range(9, 30) for v in told[i])  # from t + 180 s on, before t + 600 s
    answer = a.api("history", **{"metric": TOOK, "by": "device", "from": w_time(t + 180_000), "to": w_time(t + 600_000),
                                 "step": "420s", "quantiles": "0,0.5,0.9,0.99,1", "le": "0.1 0.5"})
    assert answer["kind"] == "sketch" and len(answer["groups"][0]["steps"]) == 1
    x = answer["groups"][0]["steps"][0]
    assert x["count"] == len(inside)
    for q, got in x["quantiles"].items():
        exact = inside[max(1, -(-int(float(q) * 1000 * len(inside)) // 1000)) - 1]
        assert abs(got - exact) <= 0.00542 * exact + 1e-12, q
    for le, got in x["le"].items():
        assert sum(v <= float(le) * 2 ** (-1 / 64) for v in inside) <= got <= sum(v <= float(le) for v in inside), le


def test_questions_that_cannot_be_answered(aggregator):
    a = aggregator(sections=SECTIONS)
    for query, word in (("", "metric"), ("metric=x&from=-1h&to=-2h", "window"), ("metric=x&step=soon", "step"),
                        ("metric=x&from=-7d&step=10s", ""), ("metric=x&match=a", ""), ("metric=x&quantiles=2", "quantiles")):
        status, _, body = get(f"{a.url}/api/v1/history?{query}")
        if query.startswith("metric=x&from=-7d"):
            assert status == 200, body  # coarser than was asked for: that is all that is kept of it
        else:
            assert status == 400 and word in body.decode(), (query, status, body)
    assert a.api("history", metric="nobody_asks")["groups"] == []
