#!/usr/bin/env python3
"""What the running agent costs next to node_exporter and next to reading the same files and no more: bench_agent.py BUILD

All at once, on the same machine, over the same windows of time:
  agent            as configured by default: every collector, 1 s, a batch every 10 s, over TLS to a real aggregator
  agent, same 9    the same with the nine collectors that node_exporter runs below, and nothing else
  node_exporter    nine collectors, scraped once a second over one kept connection with gzip
  bare pread       a C loop that reads the nine collectors' files once a second and drops them

Processor time is the process's CPU clock (ended threads are in it); memory is smaps_rollup at the end of the last window: RSS
counts every page once for each process, PSS shares them out, USS is what no other process maps, and dirty is what is no file's:
the memory that would come back were the process ended. BENCH_SECONDS (60) is cut into three windows; medians, (min-max).
"""
import gzip
import http.client
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time

BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
os.environ["BUILD"] = BUILD
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import support  # noqa: E402  (it reads BUILD)

SECONDS = max(12, int(os.environ.get("BENCH_SECONDS", "60")))  # no less than a batch
WINDOWS = 3
WARM = 13  # the first batch and its definitions are through
NINE = "cpu stat meminfo loadavg vmstat pressure diskstats filesystem netdev".split()
FILES = ["/proc/stat", "/proc/meminfo", "/proc/loadavg", "/proc/vmstat", "/proc/pressure/cpu", "/proc/pressure/io",
         "/proc/pressure/memory", "/proc/diskstats", "/proc/self/mountinfo", "/proc/net/dev"]
PEER = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")


def cpu(pid):
    """Seconds of processor time of a whole process: the clock that clock_getcpuclockid(3) names."""
    return time.clock_gettime((~pid << 3) | 2)


def tasks(pid):
    """(context switches, threads)."""
    switches = threads = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="utf-8") as f:
            switches += sum(int(line.split()[1]) for line in f if "ctxt_switches" in line)
        threads += 1
    return switches, threads


def memory(pid):
    sums = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
        for line in f:
            word = line.split()
            if len(word) == 3 and word[2] == "kB":
                sums[word[0].rstrip(":")] = int(word[1]) / 1024
    return {"RSS": sums["Rss"], "PSS": sums["Pss"], "USS": sums["Private_Clean"] + sums["Private_Dirty"],
            "dirty": sums["Private_Dirty"]}


class Shipping:
    """An agent with an aggregator to itself, which counts what it gets."""

    def __init__(self, name, folder, ca, nine):
        self.aggregator = support.Aggregator(folder, ca, name=f"aggregator-{name}").start()
        sections = [(f"collector {c}", {"enabled": "no"}) for c in ("time", "uname")] if nine else []
        self.agent = support.Agent(folder, ca, [self.aggregator.endpoint], name=name, sections=sections, ship={"batch": "10s"})
        self.agent.argv[0] = shutil.copy(self.agent.argv[0], self.agent.folder)  # text pages of its own: USS tells the truth
        self.agent.start()
        self.pid = self.agent.pid

    def sent(self):
        """(values taken, bytes of bodies)."""
        page = self.aggregator.metrics()
        return page["securebase_aggregator_values_total"], page["securebase_aggregator_received_bytes_total"]

    def per_tick(self):
        return len([k for k in self.aggregator.metrics("/metrics/hosts") if not k.startswith("securebase_agent_")])

    def stop(self):
        self.agent.stop()
        self.aggregator.stop()


class Peer(support.Process):
    """node_exporter, and who scrapes it."""

    def __init__(self, folder):
        self.port = support.free_port()
        super().__init__("node_exporter", [PEER, f"--web.listen-address=127.0.0.1:{self.port}", "--web.disable-exporter-metrics",
                                           "--collector.disable-defaults", *[f"--collector.{c}" for c in NINE]], folder)
        self.values = self.bytes = self.series = 0
        self.over = threading.Event()

    def start(self):
        super().start()
        support.wait_for(lambda: support.get(f"http://127.0.0.1:{self.port}/metrics")[0] == 200, why="node_exporter")
        self.thread = threading.Thread(target=self.scrape, daemon=True)
        self.thread.start()
        return self

    def scrape(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self.over.wait(1 - time.time() % 1):
            connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            body = answer.read()
            self.series = sum(1 for line in gzip.decompress(body).splitlines() if line and not line.startswith(b"#"))
            self.values += self.series
            self.bytes += len(body)

    def sent(self):
        return self.values, self.bytes

    def per_tick(self):
        return self.series

    def stop(self, seconds=15):
        self.over.set()
        self.thread.join()
        super().stop(seconds)


class Bare(support.Process):
    def __init__(self, folder):
        super().__init__("bare", [os.path.join(BUILD, "bench/bare_read"), *FILES], folder)

    def sent(self):
        return 0, 0

    def per_tick(self):
        return 0


def measure(contenders, window):
    rows = {name: {"cpu": [], "switches": []} for name in contenders}
    first = {name: c.sent() for name, c in contenders.items()}
    begin = time.monotonic()
    for _ in range(WINDOWS):
        at = time.monotonic()
        before = {n: (cpu(c.pid), tasks(c.pid)[0], time.monotonic()) for n, c in contenders.items()}
        time.sleep(max(0, at + window - time.monotonic()))
        for n, c in contenders.items():
            took = time.monotonic() - before[n][2]
            rows[n]["cpu"].append((cpu(c.pid) - before[n][0]) / took)
            rows[n]["switches"].append((tasks(c.pid)[0] - before[n][1]) / took * 60)
    for n, c in contenders.items():
        rows[n].update(memory(c.pid), threads=tasks(c.pid)[1])
    for n, c in contenders.items():
        values, sent = (now - then for now, then in zip(c.sent(), first[n]))
        rows[n].update(values=values / (time.monotonic() - begin), bytes=sent / values if values else 0, series=c.per_tick())
    return rows


def spread(values, form):
    return f"{form.format(statistics.median(values))} ({form.format(min(values))}-{form.format(max(values))})"


def show(rows):
    print(f"{'':16} {'CPU s/min':>26} {'ms/tick':>8} {'us/sample':>10} {'switches/min':>18} {'RSS MiB':>8} {'PSS':>6} {'USS':>6} "
          f"{'dirty':>6} {'threads':>8} {'series':>7} {'B/sample':>9}")
    for name, r in rows.items():
        second = statistics.median(r["cpu"])
        each = f"{second * 1e6 / r['series']:.2f}" if r["series"] else "-"
        print(f"{name:16} {spread([c * 60 for c in r['cpu']], '{:.4f}'):>26} {second * 1e3:8.3f} {each:>10} "
              f"{spread(r['switches'], '{:.0f}'):>18} {r['RSS']:8.1f} {r['PSS']:6.1f} {r['USS']:6.1f} {r['dirty']:6.1f} "
              f"{r['threads']:8d} {r['series']:7d} {r['bytes']:9.3f}")
    peer = rows.get("node_exporter")
    for name in ("agent", "agent, same 9"):
        if peer:
            ratio = {k: peer[k] / rows[name][k] for k in ("RSS", "PSS", "USS", "dirty", "bytes")}
            per = [statistics.median(r["cpu"]) for r in (peer, rows[name])]
            print(f"node_exporter / {name}: CPU {per[0] / per[1]:.1f}, CPU per sample "
                  f"{per[0] / peer['series'] / (per[1] / rows[name]['series']):.1f}, "
                  + ", ".join(f"{k} {v:.1f}" for k, v in ratio.items()))


def main():
    with tempfile.TemporaryDirectory(prefix="bench-agent-") as folder:
        ca = support.authority(os.path.join(folder, "ca"), "server:127.0.0.1", "agent:default", "agent:nine")
        running = {}
        try:
            running["agent"] = Shipping("default", folder, ca, nine=False)
            running["agent, same 9"] = Shipping("nine", folder, ca, nine=True)
            if PEER:
                running["node_exporter"] = Peer(folder).start()
            running["bare pread"] = Bare(folder).start()
            time.sleep(WARM)
            window = max(1, SECONDS / WINDOWS)
            rows = measure(running, window)
            print(f"{WINDOWS} windows of {window:.0f} s after {WARM} s; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} "
                  f"processors; median (min-max)")
            show(rows)
            if not PEER:
                print("node_exporter is not installed: no comparison")
        finally:
            for c in running.values():
                c.stop()


main()
