#!/usr/bin/env python3
"""What the running agent costs, next to node_exporter on the same machine in the same run: bench_agent.py BUILD [SECONDS]

Both sample the same collectors once a second: node_exporter is scraped over one kept connection with gzip; the agent samples,
seals a batch every ten seconds and spools it (its endpoint refuses the connection, so each batch reaches the disk as well).
Each runs twice, for a short while and for SECONDS longer; the difference of the processor times that wait4(2) tells, ended
threads among them, is what the steady state costs. Memory is smaps_rollup just before the end.
"""
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 60
WARM = 3
COLLECTORS = "cpu stat meminfo loadavg vmstat pressure diskstats filesystem netdev uname time".split()
PEER = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def memory(pid):
    sums = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
        for line in f:
            word = line.split()
            if len(word) == 3 and word[2] == "kB":
                sums[word[0].rstrip(":")] = int(word[1]) / 1024
    return sums["Rss"], sums["Pss"], sums["Private_Clean"] + sums["Private_Dirty"]


def finish(child):
    """Stops a child; (processor seconds of its life, memory just before)."""
    mem = memory(child.pid)
    child.send_signal(signal.SIGTERM)
    _, _, usage = os.wait4(child.pid, 0)
    child.returncode = 0
    return usage.ru_utime + usage.ru_stime, mem


def run_agent(seconds, folder):
    state = tempfile.mkdtemp(dir=folder)
    ini = os.path.join(state, "agent.ini")
    with open(ini, "w", encoding="utf-8") as f:
        f.write(f"[agent]\nid = bench\nregion = bench\nenv = bench\nstate_dir = {state}/state\n"
                f"socket = {state}/agent.sock\n"
                f"[ship]\nendpoints = http://127.0.0.1:{free_port()}\n[statsd]\nlisten =\n")
    with open(os.path.join(state, "log"), "wb") as log:
        child = subprocess.Popen([os.path.join(BUILD, "securebase-agent"), "-c", ini], stdout=log, stderr=log)
    time.sleep(seconds)
    if child.poll() is not None:
        with open(os.path.join(state, "log"), encoding="utf-8") as f:
            sys.exit(f"the agent ended:\n{f.read()}")
    return finish(child)


def run_peer(seconds, _folder):
    port = free_port()
    child = subprocess.Popen([PEER, f"--web.listen-address=127.0.0.1:{port}", "--collector.disable-defaults",
                              "--web.disable-exporter-metrics", *[f"--collector.{c}" for c in COLLECTORS]],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + seconds
    time.sleep(0.5)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    while time.monotonic() < end:
        begin = time.monotonic()
        connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
        connection.getresponse().read()
        time.sleep(max(0, 1 - (time.monotonic() - begin)))
    return finish(child)


def measure(name, run, folder):
    short, _ = run(WARM, folder)
    whole, mem = run(WARM + SECONDS, folder)
    cost = max(0, whole - short) / SECONDS
    print(f"{name:24} {cost * 60:12.4f} {cost * 1e3:10.3f} {mem[0]:9.1f} {mem[1]:9.1f} {mem[2]:9.1f}", flush=True)
    return cost, mem


def main():
    print(f"{'':24} {'CPU s/min':>12} {'ms/tick':>10} {'RSS MiB':>9} {'PSS':>9} {'USS':>9}   ({SECONDS} s, 1 tick a second)")
    with tempfile.TemporaryDirectory() as folder:
        ours, mem = measure("securebase-agent", run_agent, folder)
        if not PEER:
            print("node_exporter is not installed: no comparison")
            return
        theirs, peer_mem = measure("node_exporter", run_peer, folder)
    print(f"{'ratio':24} {ours / theirs if theirs else float('nan'):12.2f} {'':10} {mem[0] / peer_mem[0]:9.2f} "
          f"{mem[1] / peer_mem[1]:9.2f} {mem[2] / peer_mem[2]:9.2f}")


main()
