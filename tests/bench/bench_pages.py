#!/usr/bin/env python3
"""From breach to page: bench_pages.py BUILD

Ten agents post 1000 series each, all under a rule, in batches of 1 s and then of 10 s (ten ticks), to a real aggregator over
TLS. Every few seconds one series breaches; the page is a POST to a webhook on loopback. Shown, in ms:
  arrival   from the posting of the batch that completes the `for` time to the arrival of the page
  breach    from the first tick above the threshold to the arrival of the page (the batch's own age is in it)
BENCH_SCALE (1) scales the number of breaches.
"""
import http.server
import json
import os
import statistics
import sys
import tempfile
import threading
import time

BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
os.environ["BUILD"] = BUILD
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import securebase_wire as w  # noqa: E402  (it reads BUILD)
import support  # noqa: E402
import wire_client  # noqa: E402

SCALE = float(os.environ.get("BENCH_SCALE", "1"))
AGENTS, SERIES, LOW, HIGH = 10, 1000, 1, 9
SCHEMA = w.schema_bytes(*[w.series("load_level", w.GAUGE, labels={"part": str(i)}) for i in range(SERIES)])


class Pager:
    """Keeps when each firing series was paged."""

    def __init__(self):
        self.seen, self.messages = {}, 0
        pager = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                now = time.time()
                pager.messages += 1
                for alert in body.get("alerts", []):
                    labels = alert.get("labels", {})
                    if alert["firing"]:
                        pager.seen.setdefault((labels.get("instance"), labels.get("part")), now)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Source(wire_client.Subject):
    def start(self):
        self.high = {}
        self.posted = {}
        answer = self.definitions(self.resource, SCHEMA)
        assert answer.status == 200, answer
        return self

    def tick(self, t, ticks):
        columns = [[HIGH if i in self.high else LOW] * ticks for i in range(SERIES)]
        at = time.time()
        self.good([w.block(SCHEMA, t - 1000 * (ticks - 1), columns, dt=1000 if ticks > 1 else 0)])
        return at


def run(server, pager, ticks, breaches, hold):
    sources = [Source(server).start() for _ in range(AGENTS)]
    arrival, breach, missed = [], [], 0
    waiting = {}
    n = 0
    begin = time.time()
    due = begin
    warm = 3
    while n < breaches or waiting or any(len(s.posted) < len(s.high) for s in sources):
        due += ticks
        time.sleep(max(0, due - time.time()))
        if warm:
            warm -= 1
        elif n < breaches:
            s = sources[n % AGENTS]
            part = n
            s.high[part] = None
            n += 1
        for s in sources:
            t = int(time.time() * 1000)
            fresh = [p for p in s.high if s.high[p] is None]
            for p in fresh:
                s.high[p] = (t - 1000 * (ticks - 1)) / 1000
            at = s.tick(t, ticks)
            for p, first in s.high.items():
                key = (s.agent, str(p))
                if key not in waiting and key not in s.posted and t / 1000 - first >= hold:
                    waiting[key] = (first, at)
                    s.posted[key] = at
        for key in list(waiting):
            first, at = waiting[key]
            if key in pager.seen:
                arrival.append((pager.seen[key] - at) * 1000)
                breach.append((pager.seen[key] - first) * 1000)
                del waiting[key]
            elif time.time() - at > 60:
                missed += 1
                del waiting[key]
    for s in sources:
        s.close()
    return arrival, breach, missed


def row(name, values):
    values = sorted(values)
    pick = lambda q: values[min(len(values) - 1, int(q * len(values)))]
    print(f"  {name:8} n {len(values):4}   p50 {statistics.median(values):8.0f}   p99 {pick(0.99):8.0f}   most {values[-1]:8.0f}  ms")


def main():
    print(f"{AGENTS * SERIES} series under one rule")
    for ticks, hold, breaches in ((1, 0, int(60 * SCALE)), (1, 10, int(30 * SCALE)), (10, 0, int(12 * SCALE))):
        with tempfile.TemporaryDirectory() as folder:
            pager = Pager()
            ca = support.authority(os.path.join(folder, "ca"), "server:127.0.0.1")
            server = support.Aggregator(folder, ca, sections=[
                ("alert load", {"metric": "load_level", "by": "*", "statistic": "last", "window": "30s", "above": "5",
                                "for": f"{hold}s", "severity": "critical", "summary": "part ${part} is at ${value}"}),
                ("receiver pager", {"type": "webhook", "url": f"http://127.0.0.1:{pager.port}/page"}),
                ("route all", {"receivers": "pager", "wait": "0s", "group_by": "*"}),
            ])
            server.start()
            try:
                arrival, breach, missed = run(server, pager, ticks, max(2, breaches), hold)
            finally:
                server.stop()
        print(f"batch {ticks} s, for {hold} s: {len(arrival)} pages, {missed} missed")
        if arrival:
            row("arrival", arrival)
            row("breach", breach)


main()
