"""Percentiles over hosts against exact order statistics: two agents are told 10^6 latencies between them, by StatsD over a
unix datagram socket (which holds the sender back instead of losing), and a real Prometheus reads what the aggregator makes
of them.

The bound: at scale s a slot is (L, U] with U = L · 2^(2^-s), and the estimate 2L ÷ (1 + L/U) is off by at most
(b − 1) ÷ (b + 1) of whatever value in it is meant. A spread of 2^32 fits 2048 slots at scale 6: 0.542 %.
"""
import os
import socket

import pytest

import support
from latencies import QUANTILES, SHAPES, exact, packed, values, wide
from support import wait_for

EACH = 100_000  # of each shape, to each agent


def section(name, metric, by="", **more):
    return (f"percentile {name}", {"metric": metric, "by": by or None, "windows": "1h",
                                   "quantiles": " ".join(map(str, QUANTILES)), **more})


def start_agents(aggregator, agent, tmp_path, names=("web-1", "web-2")):
    agents = []
    for name in names:
        path = os.path.join(str(tmp_path), name + ".statsd")
        a = agent([aggregator.endpoint], name=name, ship={"batch": "1s"}, statsd={"listen": f"unixgram:{path}"})
        wait_for(lambda path=path: os.path.exists(path), why="the agent's StatsD socket")
        agents.append((a, path))
    return agents


def send(path, lines):
    """Blocks while the agent's queue is full: nothing is lost on the way."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(path)
        for line in lines:
            s.send(line.encode())


def count(aggregator, name, percentile):
    return sum(v for k, v in aggregator.metrics().items()
               if k.startswith(name + "_count{") and f'percentile="{percentile}"' in k)


def read(prometheus, percentile, q, more=""):
    return prometheus.value(f'securebase_percentile{{percentile="{percentile}",quantile="{q}",window="1h"{more}}}')


@pytest.mark.parametrize("killed", [False, True], ids=["steady", "kill9"])
def test_a_million_latencies(aggregator, agent, prometheus, tmp_path, killed):
    a = aggregator(sections=[section("all", "took"), section("shape", "took", by="shape")])
    agents = start_agents(a, agent, tmp_path)
    told = {s: [] for s in SHAPES}
    for i, shape in enumerate(SHAPES):
        for host, (_, path) in enumerate(agents):
            texts = values(shape, EACH, host)
            send(path, packed("took", texts, f"shape:{shape}"))
            told[shape] += map(float, texts)
        if killed and i in (1, 3):
            wait_for(lambda: count(a, "took", "all") > 0, why="the first values")
            a.kill()
            a.start()
    total = 2 * EACH * len(SHAPES)
    wait_for(lambda: count(a, "took", "all") >= total, 60, why=f"{total} values")
    p = prometheus(support.jobs(a))
    wait_for(lambda: p.seen('took_count{percentile="all"}') == total, 30, why="a scrape with all values")
    wait_for(lambda: p.seen('securebase_percentile_values{percentile="all",window="1h"}') == total, why="the window")
    everything = sorted(v for s in told.values() for v in s)
    worst = {}
    for q in QUANTILES:
        for shape, sent in told.items():
            got, want = read(p, "shape", q, f',shape="{shape}"'), exact(sorted(sent), q)
            worst[shape, q] = abs(got / want - 1)
        worst["all", q] = abs(read(p, "all", q) / exact(everything, q) - 1)
    assert max(worst.values()) <= 0.0055, {k: v for k, v in worst.items() if v > 0.0055}
    for shape, sent in told.items():
        assert p.value(f'took_count{{percentile="shape",shape="{shape}"}}') == len(sent)
    assert p.value('took_sum{percentile="all"}') == pytest.approx(sum(everything), rel=1e-9)
    assert count(a, "took", "all") == total and count(a, "took", "shape") == total


def test_a_spread_beyond_the_finest_scale(aggregator, agent, prometheus, tmp_path):
    """What spreads by 2^60 is kept coarser, says so, and keeps the bound of that scale."""
    a = aggregator(sections=[section("wide", "wide")])
    told = []
    for host, (_, path) in enumerate(start_agents(a, agent, tmp_path)):
        texts = wide(EACH, host)
        send(path, packed("wide", texts, ""))
        told += map(float, texts)
    wait_for(lambda: count(a, "wide", "wide") >= len(told), 60, why="all values")
    p = prometheus(support.jobs(a))
    wait_for(lambda: p.seen('securebase_percentile_values{percentile="wide",window="1h"}') == len(told), 30, why="a scrape")
    schema = a.api("percentiles", metric="wide")["percentiles"][0]["groups"][0]["since_start"]["schema"]
    assert schema < 6
    b = 2.0 ** 2.0 ** -schema
    told.sort()
    for q in QUANTILES:
        assert abs(read(p, "wide", q) / exact(told, q) - 1) <= (b - 1) / (b + 1) + 1e-9, (q, schema)
    # The window itself is as fine as 2048 slots allow: 2^60 at scale 5.
    b = 2.0 ** 2.0 ** -5
    for q in QUANTILES:
        assert abs(read(p, "wide", q) / exact(told, q) - 1) <= (b - 1) / (b + 1) + 1e-9, q
