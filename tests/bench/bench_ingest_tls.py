#!/usr/bin/env python3
"""What a real aggregator takes over TLS with its real journal: bench_ingest_tls.py BUILD

load_tls posts batches of 724 series and 10 ticks of many agents through a relay's certificate, while /metrics, /metrics/hosts
(gzip) and the API are read: once a second during the flood, else every ten seconds but for /metrics. Two loads:
  flood    16 connections, each posting as soon as it is answered: what the aggregator can take, loader on the same processors
  steady   a connection for each agent, every agent a batch every 10 s, as a fleet does; the time of an answer counts from when
           its request was due
Processor time is the aggregator's CPU clock; "commits" are those of the journal, each one fsync for a group of batches; the
delay of the decide thread is the worst of all its ticks since the start. BENCH_SCALE (1) scales agents and rounds.
"""
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
os.environ["BUILD"] = BUILD
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import support  # noqa: E402  (it reads BUILD)

SCALE = float(os.environ.get("BENCH_SCALE", "1"))
SECTIONS = [("percentile io", {"metric": "load_bytes_3", "by": "device", "windows": "1m 5m"})]


def cpu(pid):
    """Seconds of processor time of a whole process: the clock that clock_getcpuclockid(3) names."""
    return time.clock_gettime((~pid << 3) | 2)


def resident(pid):
    """(now, most ever) in MiB."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        kb = {line.split(":")[0]: int(line.split()[1]) for line in f if line.startswith(("VmRSS", "VmHWM"))}
    return kb["VmRSS"] / 1024, kb["VmHWM"] / 1024


def threads(pid):
    """Seconds of processor time of each thread, by name."""
    out = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="utf-8") as f:
            ran = int(f.read().split()[0]) / 1e9
        with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as f:
            name = f.read().strip()
        out[name, task] = ran
    return out


class Reader(threading.Thread):
    """Reads one page again and again over a kept connection; keeps how long each took."""

    def __init__(self, port, path, every):
        super().__init__(daemon=True)
        self.port, self.path, self.every, self.ms, self.bytes, self.bad = port, path, every, [], 0, {}
        self.over = threading.Event()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.over.is_set():
            begin = time.monotonic()
            try:
                connection.request("GET", self.path, headers={"Accept-Encoding": "gzip"})
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as e:
                self.bad[type(e).__name__] = self.bad.get(type(e).__name__, 0) + 1
                connection.close()
            else:
                if answer.status == 200:
                    self.ms.append((time.monotonic() - begin) * 1e3)
                    self.bytes = len(body)
                else:
                    self.bad[answer.status] = self.bad.get(answer.status, 0) + 1
            self.over.wait(max(0, self.every - (time.monotonic() - begin)))


def load(name, agents, connections, rounds, rate, busy, every):
    """every: seconds between two reads of each page; None: nobody reads."""
    folder = tempfile.mkdtemp(prefix="bench-ingest-", dir=os.environ.get("BENCH_DIR"))
    aggregator = None
    try:
        ca = support.authority(os.path.join(folder, "ca"), "server:127.0.0.1", "role:relay")
        aggregator = support.Aggregator(folder, ca, sections=SECTIONS).start()
        idle = resident(aggregator.pid)[0]
        with subprocess.Popen([os.path.join(BUILD, "bench/load_tls"), str(aggregator.ingest_port), ca, str(agents),
                               str(connections), str(rounds), str(rate), str(busy)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as loader:
            line = loader.stderr.readline()
            if line != "first round\n":
                sys.exit(f"load_tls: {line}{loader.stderr.read()}")
            reading = [Reader(aggregator.http_port, *p) for p in (("/metrics", 1), ("/metrics/hosts", every),
                                                                  ("/api/v1/agents", every))] if every else []
            page, before = aggregator.metrics(), threads(aggregator.pid)
            for r in reading:
                r.start()
            spent = cpu(aggregator.pid)
            out, said = loader.communicate("\n")
            spent = cpu(aggregator.pid) - spent
        for r in reading:
            r.over.set()
            r.join()
        if loader.returncode != 0:
            print(f"{name}: {said.strip()}")
        after, by_thread = aggregator.metrics(), threads(aggregator.pid)
        show(name, json.loads(out), spent, page, after, idle, resident(aggregator.pid), reading, agents,
             connections)
        print("         processor time by thread: " + ", ".join(
            f"{n} {by_thread[n, t] - before.get((n, t), 0):.2f} s" for n, t in sorted(by_thread)
            if by_thread[n, t] - before.get((n, t), 0) > 0.02))
    finally:
        if aggregator:
            aggregator.stop()
        shutil.rmtree(folder, ignore_errors=True)


def show(name, result, spent, page, after, idle, memory, reading, agents, connections):
    first, rest = result["first"], result["rest"]

    def grown(key):
        return after.get(key, 0) - page.get(key, 0)
    commits = grown('securebase_aggregator_store_commits_total{store="journal"}')
    series = after["securebase_aggregator_series"]
    print(f"{name}: {agents} agents over {connections} connections, {series:.0f} series, {result['refused']} not answered 200")
    print(f"         first round {first['batches'] / first['seconds']:.0f} batches/s; then {rest['batches']} batches in "
          f"{rest['seconds']:.1f} s: {rest['batches'] / rest['seconds']:.0f} batches/s, "
          f"{rest['samples'] / rest['seconds'] / 1e6:.2f} M samples/s, {rest['bytes'] / rest['samples']:.3f} B/sample")
    print(f"         answer p50 {rest['p50']:.1f} ms, p90 {rest['p90']:.1f}, p99 {rest['p99']:.1f}, max {rest['max']:.1f}")
    print(f"         aggregator {spent / rest['samples'] * 1e9:.0f} ns CPU/sample ({rest['samples'] / spent / 1e6:.1f} M samples/CPU-s), "
          f"{spent / rest['seconds'] * 100:.0f} % of a processor; {commits:.0f} journal commits, "
          f"{rest['batches'] / max(commits, 1):.1f} batches each")
    print(f"         RSS {idle:.0f} MiB idle, {memory[0]:.0f} at the end, {memory[1]:.0f} at most: "
          f"{(memory[1] - idle) * 1048576 / series:.0f} B/series")
    print(f"         decide thread woken late by at most {after['securebase_aggregator_decide_delay_seconds_max'] * 1e3:.0f} ms, "
          f"{after['securebase_aggregator_decide_late_ticks_total']:.0f} ticks late by more than 1 s")
    for r in reading:
        if r.ms:
            print(f"         {r.path}: {len(r.ms)} reads, median {statistics.median(r.ms):.0f} ms, max {max(r.ms):.0f}, "
                  f"{r.bytes / 1e6:.2f} MB gzip" + (f", refused {r.bad}" if r.bad else ""))
        elif r.bad:
            print(f"         {r.path}: no answer, {r.bad}")


def main():
    print(f"724 series x 10 ticks a batch; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)
    n = max(16, int(500 * SCALE))
    rounds = max(3, int(36 * SCALE))
    load("flood", n, 16, rounds, 0, 30, 1)
    load("flood, no reader", n, 16, rounds, 0, 30, None)
    load("steady", n, n, 4, n / 10, 30, 10)


main()
