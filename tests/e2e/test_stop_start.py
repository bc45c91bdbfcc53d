"""An aggregator that is stopped and started again and again while agents report: its pages go on where they were."""
import http.client
import os
import subprocess
import threading
import time

import exposition
import support
from latencies import packed, values
from support import get, parse_page, wait_for
from test_percentiles import send, start_agents

SECTION = ("percentile took", {"metric": "took", "by": "instance", "windows": "1h", "quantiles": "0.5 1", "buckets": "0.01 0.1 1"})
STOPS = 5


class Traffic(threading.Thread):
    """Tells an agent values until told to stop."""

    def __init__(self, path, seed):
        super().__init__(daemon=True)
        self.path, self.seed, self.told, self.over = path, seed, 0, threading.Event()

    def run(self):
        texts = values("lognormal", 1000, self.seed)
        while not self.over.wait(0.02):
            send(self.path, packed("took", texts[:50], ""))
            self.told += 50


def never_falling(page):
    """What counts: of the percentiles, of histograms, of agents' batches."""
    return {k: v for k, v in page.items() if k.startswith(("securebase_percentile_values{", "took_bucket{", "took_count{"))}


def series(page):
    """The series of a page of hosts, without what comes and goes with the machine the tests run on."""
    return {k for k in page if k.startswith(("node_load", "node_memory_Mem", "node_boot_time", "node_cpu_seconds"))}


def beginning(g):
    """Starts it; returns what /readyz and the pages said from the first moment on, until ready."""
    support.Process.start(g)
    said, end = [], time.monotonic() + 60
    while not said or said[-1][0] != 200:
        assert time.monotonic() < end and g.alive(), (said[-5:], g.tail())
        try:
            page = get(g.url + "/metrics")[0]  # asked first: what follows is newer
            said.append((get(g.url + "/readyz")[0], page))
        except (OSError, http.client.HTTPException):  # nobody listens yet
            assert not said, (said, g.tail())
    return said


def test_pages_go_on_where_they_were(aggregator, agent, tmp_path):
    g = aggregator(sections=[SECTION])
    agents = start_agents(g, agent, tmp_path)
    traffic = [Traffic(path, i) for i, (_, path) in enumerate(agents)]
    for t in traffic:
        t.start()

    def each_has_reported():
        page = g.metrics()
        return sum(k.startswith("took_count{") and v > 0 for k, v in page.items()) == 2
    wait_for(each_has_reported, 30, why="values of both agents")
    for turn in range(STOPS):
        before, hosts = never_falling(g.metrics()), g.metrics("/metrics/hosts")
        known = g.agents()
        assert len(series(hosts)) > 20 and len(before) == 2 * (1 + 5), before
        assert g.stop() == 0, g.tail()
        said = beginning(g)
        assert {s for s, _ in said[:-1]} <= {503} and {p for _, p in said[:-1]} <= {503}, said
        now, shown = never_falling(g.metrics()), g.metrics("/metrics/hosts")
        assert set(now) == set(before) and all(now[k] >= before[k] for k in before), (turn, before, now)
        assert series(hosts) <= series(shown), series(hosts) - series(shown)
        after = g.agents()
        for name in known:
            for key in "epoch", "seq", "batches", "values", "last_received":
                assert after[name][key] >= known[name][key], (name, key)
            assert after[name]["first_seen"] == known[name]["first_seen"] and after[name]["up"]
        last = {n: after[n]["seq"] for n in known}
        wait_for(lambda last=last: all(g.agents()[n]["seq"] > last[n] for n in last), 30, why="both to report again")
    for t in traffic:
        t.over.set()
    for t in traffic:
        t.join()
    told = sum(t.told for t in traffic)
    wait_for(lambda: sum(v for k, v in g.metrics().items() if k.startswith("took_count{")) >= told, 60, why=f"{told} values")
    page = g.metrics()
    assert sum(v for k, v in page.items() if k.startswith("took_count{")) == told
    assert sum(v for k, v in page.items() if k.startswith("securebase_percentile_values{")) == told
    assert page["securebase_aggregator_batches_missing"] == 0


def test_not_ready_while_the_journal_is_replayed(aggregator, ca):
    """Of a journal that takes a while; no page shows half of it."""
    g = aggregator(sections=[("percentile io", {"metric": "load_bytes_3", "by": "device", "windows": "1h"})],
                   ingest={"persist": "1h"})
    out = subprocess.run([os.path.join(support.BUILD, "bench/load_tls"), str(g.ingest_port), ca, "60", "6", "30", "0", "100"],
                         input="\n", capture_output=True, text=True, timeout=120, check=False)
    assert out.returncode == 0, out.stderr
    wait_for(lambda: sum(a["batches"] for a in g.api("agents", limit=1000)["agents"]) == 60 * 30, why="all batches")
    hosts = get(g.url + "/metrics/hosts")[2]
    g.kill()
    said = beginning(g)
    assert len(said) > 1 and set(said[:-1]) == {(503, 503)}, said[-10:]
    assert get(g.url + "/metrics/hosts")[2] == hosts
    page = parse_page(get(g.url + "/metrics")[2].decode())
    assert page["securebase_aggregator_replayed_batches_total"] == 60 * 30
    exposition.read(hosts.decode())
