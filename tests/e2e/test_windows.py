"""Sliding windows of percentiles, with windows of seconds: what enters, what leaves and when, over restarts and reloads.

A window W is made of cells of W/30; what was measured at t belongs to it until a moment between t + W and t + W + W/30. Each
look at a page is held against what both ends of the look allow, so that nothing depends on how long anything takes; SLACK is for
the aggregator's clock, which it reads once a turn.
"""
import math
import signal

import pytest

import securebase_wire as w
from support import wait_for
from wire_client import GAUGE, TOOK, Subject, now, sketch

SECTION = ("percentile took", {"metric": TOOK, "windows": "10s 30s", "quantiles": "0 0.5 1", "buckets": "0.1 1 10"})
WINDOWS = {"10s": 10_000, "30s": 30_000}
SLACK = 1000
HOST = w.schema_bytes(w.series(GAUGE, w.GAUGE, 1, 100, {"device": "a"}))
AHEAD = w.schema_bytes(w.series(TOOK, w.SKETCH, labels={"device": "ahead"}))


def reload(g):
    before = g.output().count("configuration reloaded")
    g.write()
    g.signal(signal.SIGHUP)
    wait_for(lambda: g.output().count("configuration reloaded") > before, why="reloaded")


def sample(page, name, percentile, **more):
    """The value of the one series with these labels, None when there is none."""
    wanted = [f'{k}="{v}"' for k, v in dict(percentile=percentile, **more).items()]
    found = [v for k, v in page.items() if k.startswith(name + "{") and all(x in k for x in wanted)]
    assert len(found) <= 1, (name, wanted, found)
    return found[0] if found else None


def values(page, window, percentile="took"):
    return sample(page, "securebase_percentile_values", percentile, window=window) or 0


def count(page, percentile="took"):
    return sample(page, TOOK + "_count", percentile) or 0


class Told:
    """What was measured when, and what a page may therefore say."""

    def __init__(self, g):
        self.g, self.all = g, []

    def tell(self, s, back, *numbers):
        block = s.block(back=back, took=sketch(*numbers))
        s.good([block])
        self.all.append((block["t0"], numbers))

    def bounds(self, window, before, after):
        """(least, most) number of values in a window, looked at between two times."""
        width = WINDOWS[window]
        least = sum(len(v) for t, v in self.all if after + SLACK <= t + width)
        most = sum(len(v) for t, v in self.all if before <= t + width + width // 30 + SLACK)
        return least, most

    def look(self):
        """A page that is as it has to be: the numbers of the two windows."""
        before = now()
        page = self.g.metrics()
        after = now()
        got = {}
        for window in WINDOWS:
            got[window] = values(page, window)
            least, most = self.bounds(window, before, after)
            assert least <= got[window] <= most, (window, got[window], least, most)
            there = sample(page, "securebase_percentile", "took", window=window, quantile="1")
            assert (there is None) == (got[window] == 0), (window, there)
        assert count(page) == sum(len(v) for _, v in self.all)
        return got


def test_values_leave_their_window_and_stay_in_the_histogram(aggregator):
    """Also over a restart in between, of both kinds."""
    g = aggregator(sections=[SECTION])
    s = Subject(g)
    told = Told(g)
    told.tell(s, 45, *[100.0] * 5)  # before both
    told.tell(s, 24, *[0.05] * 7)   # late: the long one alone
    told.tell(s, 2, *[5.0] * 11)
    told.tell(s, 0, *[0.5] * 3)
    s.visible(4)
    assert count(g.metrics()) == 26
    page = g.metrics()
    assert sample(page, TOOK + "_bucket", "took", le="0.1") == 7 and sample(page, TOOK + "_bucket", "took", le="10") == 21
    if told.look() == {"10s": 14, "30s": 21}:
        page = g.metrics()
        assert sample(page, "securebase_percentile", "took", window="30s", quantile="0") == pytest.approx(0.05, rel=0.0055)
    restarts = [g.kill, g.stop]
    seen = []

    def over():
        got = told.look()
        if not seen or seen[-1] != got:
            seen.append(got)
        if restarts and len(seen) >= 2:
            restarts.pop()()
            g.start()
            told.look()
        return got["10s"] == 0 and not restarts
    wait_for(over, 30, why="the short window to empty")
    s.close()
    assert {"10s": 0, "30s": 14} in seen, seen  # what was 24 s old has left the long window, the rest has not
    page = g.metrics()
    assert sample(page, TOOK + "_bucket", "took", le="+Inf") == 26
    assert sample(page, "securebase_percentile", "took", window="10s", quantile="0.5") is None


def test_late_batches_belong_to_when_they_were_measured(aggregator):
    """In any order, by several hands, and after newer ones; what lies ahead of the clock counts at its receipt."""
    g = aggregator(sections=[SECTION])
    hosts = [Subject(g) for _ in range(3)]
    told = Told(g)
    for i, back in enumerate((0, 28, 3, 15, 9, 20, 1, 12, 29, 40, 5, 3600)):
        told.tell(hosts[i % 3], back, *[0.25] * (i + 1))
        told.look()
    assert hosts[0].definitions(AHEAD).status == 200
    hosts[0].good([w.block(AHEAD, now() + 60_000, [[sketch(1, 2)]], dt=0)])  # a clock that is ahead by a minute
    told.all.append((now(), (1, 2)))
    told.look()
    for s in hosts:
        s.close()


def test_a_changed_section_begins_anew_and_others_go_on(aggregator):
    other = ("percentile other", dict(SECTION[1]))
    g = aggregator(sections=[SECTION, other])
    s = Subject(g)
    s.good([s.block(took=sketch(*[0.5] * 8))])
    s.visible(1)
    before = g.metrics()
    assert [count(before, p) for p in ("took", "other")] == [8, 8]
    other[1]["buckets"] = "0.2 2"
    reload(g)
    page = g.metrics()
    assert [count(page, p) for p in ("took", "other")] == [8, 0]
    assert values(page, "30s", "other") == 0 and sample(page, "securebase_percentile", "other", window="30s", quantile="1") is None
    assert {k: v for k, v in page.items() if k.startswith(TOOK) and 'percentile="took"' in k} == {
        k: v for k, v in before.items() if k.startswith(TOOK) and 'percentile="took"' in k}
    reload(g)  # a reload that changes nothing changes nothing
    assert [count(g.metrics(), p) for p in ("took", "other")] == [8, 0]
    s.good([s.block(took=sketch(*[0.5] * 3))])
    s.visible(2)
    page = g.metrics()
    assert [count(page, p) for p in ("took", "other")] == [11, 3]
    assert sample(page, TOOK + "_bucket", "other", le="0.2") == 0 and sample(page, TOOK + "_bucket", "other", le="2") == 3
    assert sample(page, TOOK + "_bucket", "other", le="1") is None
    for end in g.stop, g.kill:  # what was gathered before does not come back
        end()
        g.start()
        assert [count(g.metrics(), p) for p in ("took", "other")] == [11, 3]
    g.sections.remove(other)
    reload(g)
    assert count(g.metrics()) == 11 and not any('percentile="other"' in k for k in g.metrics())
    g.sections.append(other)
    reload(g)
    assert [count(g.metrics(), p) for p in ("took", "other")] == [11, 0]
    s.close()


def test_a_gauge_percentile_is_an_order_statistic_of_means(aggregator):
    quantiles = "0 0.1 0.33 0.34 0.5 0.66 0.67 0.9 1"
    g = aggregator(sections=[("percentile load", {"metric": GAUGE, "windows": "1h 24h", "quantiles": quantiles}),
                             ("percentile host", {"metric": GAUGE, "by": "host", "windows": "1h", "quantiles": "0.5"})])
    told = {}
    for i, numbers in enumerate(([100, 200, 600], [50], [700, 0, 200, 100, 4])):
        s = Subject(g)
        assert s.definitions(HOST).status == 200
        t = now() - 1000 * len(numbers)
        s.good([w.block(HOST, t, [numbers])])
        if i == 1:  # and one that reports another time, with a hole and what is no number
            s.good([w.block(HOST, t + 500, [[None, 70, None, 30]], dt=100), w.block(HOST, t + 950, [[float("nan"), 0.3]], dt=10)])
            numbers = [50, 70, 30, 30]  # a real number is not scaled
        s.visible(s.seq - 1)
        s.close()
        told[s.agent] = sum(numbers) / 100 / len(numbers)
    means = sorted(told.values())
    page = g.metrics()
    for window in "1h", "24h":
        assert sample(page, "securebase_percentile_values", "load", window=window) == 3
        for q in quantiles.split():
            got = sample(page, "securebase_percentile", "load", window=window, quantile=q)
            assert got == pytest.approx(means[max(1, math.ceil(float(q) * 3)) - 1], rel=1e-12), (window, q)
    for host, mean in told.items():
        assert sample(page, "securebase_percentile", "host", host=host) == pytest.approx(mean, rel=1e-12)
    assert not any(k.startswith(GAUGE + "_count") for k in page)  # no histogram of means
    g.stop()
    g.start()
    again = g.metrics()
    assert {k: v for k, v in again.items() if k.startswith("securebase_percentile")} == {
        k: v for k, v in page.items() if k.startswith("securebase_percentile")}


def test_no_percentiles_of_a_counter(aggregator):
    g = aggregator(sections=[SECTION, ("percentile wrong", {"metric": "things_total", "windows": "1m"})])
    s = Subject(g)
    s.good()
    s.visible(1)
    s.close()
    page = g.metrics()
    refused = "securebase_aggregator_percentile_refused"
    assert page[f'{refused}{{percentile="wrong"}}'] == 1 and page[f'{refused}{{percentile="took"}}'] == 0
    assert not any(k.startswith("securebase_percentile") and "wrong" in k for k in page)
    assert count(page) == 2
    g.stop()
    g.start()
    assert g.metrics()[f'{refused}{{percentile="wrong"}}'] == 1
