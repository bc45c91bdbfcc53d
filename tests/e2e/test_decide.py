"""The thread that decides is not held up: neither by a flood of batches, nor by readers of the largest pages."""
import http.client
import os
import subprocess
import threading
import time

import support

AGENTS, CONNECTIONS, ROUNDS = 60, 12, 50
TICK = 0.1  # s between two looks at the clock
PREFIX = "securebase_aggregator_"


class Reader(threading.Thread):
    """Reads a page again and again until told to stop."""

    def __init__(self, port, path):
        super().__init__(daemon=True)
        self.port, self.path, self.pages, self.bytes, self.other = port, path, 0, 0, []
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                c.request("GET", self.path, headers={"Accept-Encoding": "gzip"} if self.pages % 2 else {})
                answer = c.getresponse()
                self.bytes = max(self.bytes, len(answer.read()))
            except (OSError, http.client.HTTPException) as e:
                self.other.append(repr(e))
                continue
            finally:
                c.close()
            if answer.status == 200:
                self.pages += 1
            else:
                self.other.append(answer.status)


def test_decisions_are_not_held_up_by_batches_or_readers(aggregator, ca, capsys):
    g = aggregator(sections=[("percentile io", {"metric": "load_bytes_3", "by": "device", "windows": "1m 5m"})])
    pipe = subprocess.PIPE
    loader = subprocess.Popen([os.path.join(support.BUILD, "bench/load_tls"), str(g.ingest_port), ca, str(AGENTS),
                               str(CONNECTIONS), str(ROUNDS), "0", "30"], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    readers = [Reader(g.http_port, path) for path in ("/metrics", "/metrics/hosts", "/metrics/hosts", "/api/v1/agents")]
    try:
        line = loader.stderr.readline()
        assert line == "first round\n", line + loader.stderr.read()
        before, begin = g.metrics(), time.monotonic()
        for r in readers:
            r.start()
        _, said = loader.communicate("\n", timeout=120)
    finally:
        loader.kill()
        for r in readers:
            r.over.set()
    for r in readers:
        r.join()
    took = time.monotonic() - begin
    after = g.metrics()
    assert loader.returncode == 0, said
    assert len(g.api("agents", limit=1000)["agents"]) == AGENTS
    for r in readers:
        assert r.pages and not r.other, (r.path, r.pages, r.other[:5])
    assert readers[1].bytes > 1 << 20
    ticks = after[PREFIX + "decide_ticks_total"] - before[PREFIX + "decide_ticks_total"]
    worst = after[PREFIX + "decide_delay_seconds_max"]
    with capsys.disabled():
        print(f"\ndecide: {ticks:.0f} ticks in {took:.1f} s of flood and {sum(r.pages for r in readers)} pages; woken late by "
              f"{worst * 1e3:.1f} ms at worst")
    assert ticks >= took / TICK / 2, (ticks, took)
    assert worst >= after[PREFIX + "decide_delay_seconds_recent"] >= 0
    assert after[PREFIX + "batches_missing"] == 0
