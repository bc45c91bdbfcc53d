"""What the aggregator shows, read by the real Prometheus, promtool and a strict reader of the formats, and held against
/proc and Debian's node_exporter on the same host."""
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

import exposition
import support
from latencies import exact, packed, values
from support import get, wait_for
from test_node_exporter_parity import FLAGS

SHOP = ("percentile shop", {"metric": "took", "by": "service", "windows": "1m 1h", "quantiles": "0.5 0.99",
                            "buckets": "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1"})

# Node Exporter Full, rows "Quick" and "Basic": without one of these a user's first screen has a hole.
FIRST_SCREEN = """node_uname_info node_boot_time_seconds node_time_seconds node_load1 node_cpu_seconds_total
node_memory_MemTotal_bytes node_memory_MemFree_bytes node_memory_MemAvailable_bytes node_memory_Buffers_bytes
node_memory_Cached_bytes node_memory_SReclaimable_bytes node_memory_SwapTotal_bytes node_memory_SwapFree_bytes
node_filesystem_avail_bytes node_filesystem_size_bytes node_network_receive_bytes_total node_network_transmit_bytes_total
node_pressure_cpu_waiting_seconds_total node_pressure_memory_waiting_seconds_total node_pressure_io_waiting_seconds_total
node_pressure_irq_stalled_seconds_total""".split()
if not os.path.exists("/proc/pressure/irq"):  # a kernel without it has nothing to show
    FIRST_SCREEN.remove("node_pressure_irq_stalled_seconds_total")


@pytest.fixture
def pair(aggregator, agent, tmp_path):
    """An aggregator and an agent whose first batches are visible, and the path of its StatsD socket."""
    path = os.path.join(str(tmp_path), "statsd")
    g = aggregator(sections=[SHOP], aggregator={"stale_after": "5s"})
    a = agent([g.endpoint], ship={"batch": "1s"}, statsd={"listen": f"unixgram:{path}"})
    wait_for(lambda: any(k.startswith("node_load1{") for k in g.metrics("/metrics/hosts")), 30, why="the first batch")
    return g, a, path


@pytest.fixture
def node_exporter(tmp_path, started):
    port = support.free_port()
    p = support.Process("node_exporter", [shutil.which("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}",
                                          *FLAGS[1:]], tmp_path)  # with the defaults of the release whose names we keep
    started.append(p)
    p.start()
    p.url = f"http://127.0.0.1:{port}/metrics"
    wait_for(lambda: get(p.url)[0] == 200, why="node_exporter")
    return p


def statsd(path, *lines):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(path)
        for line in lines:
            s.send(line.encode())


def shop_count(g):
    return g.metrics().get('took_count{percentile="shop",service="a"}', 0)


def tell(g, path, n=2000, seed=0):
    texts = values("lognormal", n, seed)
    before = shop_count(g)
    statsd(path, *packed("took", texts, "service:a"))
    wait_for(lambda: shop_count(g) >= before + n, why=f"{n} values")
    return list(map(float, texts))


def complaints(page):
    out = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False, timeout=60)
    text = (out.stdout + out.stderr).decode()
    assert out.returncode in (0, 3), text  # 3: style; anything else: not read at all
    return {line for line in text.splitlines() if line}


def test_promtool_has_nothing_to_say(pair, node_exporter):
    g, _, path = pair
    tell(g, path)
    theirs = complaints(get(node_exporter.url)[2])
    for page in "/metrics", "/metrics/hosts":
        status, headers, body = get(g.url + page)
        assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        ours = complaints(body)
        assert not [c for c in ours if c.startswith("securebase_")], ours
        assert ours <= theirs, ours - theirs


def test_both_formats_are_read_strictly(pair):
    g, _, path = pair
    tell(g, path)
    openmetrics = {"Accept": "application/openmetrics-text; version=1.0.0"}
    for page in "/metrics", "/metrics/hosts":
        text = exposition.read(get(g.url + page)[2].decode())
        status, headers, body = get(g.url + page, openmetrics)
        assert status == 200 and headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        parsed = exposition.read(body.decode(), openmetrics=True)
        # the same families, but for the names of counters
        names = {n[:-len("_total")] if k == "counter" and n.endswith("_total") else n for n, (k, _) in text.items()}
        assert names == set(parsed), names ^ set(parsed)


@pytest.mark.parametrize("native", [False, True], ids=["text", "protobuf"])
def test_prometheus_reads_both_pages(pair, prometheus, native):
    g, _, path = pair
    told = sorted(tell(g, path, 20000))
    p = prometheus(support.jobs(g), flags=["--enable-feature=native-histograms"] if native else [])
    wait_for(lambda: len(p.query("up == 1")) == 2, 30, why="both pages scraped")
    assert p.value('node_load1{instance="web-1",job="node"}') >= 0
    assert p.value('securebase_agent_up{instance="web-1",region="us-east-1"}') == 1
    assert p.query("securebase_build_info")
    assert not p.query('{exported_instance!=""}') and not p.query('{exported_job!=""}')
    if not native:
        assert p.value('took_count{percentile="shop",service="a"}') == len(told)
        q = p.value('histogram_quantile(0.9, took_bucket{percentile="shop"})')
        bounds = [0] + [float(b) for b in SHOP[1]["buckets"].split()]
        want = exact(told, 0.9)
        slot = next(i for i in range(1, len(bounds)) if bounds[i - 1] < want <= bounds[i])
        assert bounds[slot - 1] <= q <= bounds[slot]
        return
    assert p.value('histogram_count(took{percentile="shop"})') == len(told)
    assert p.value('histogram_sum(took{percentile="shop"})') == pytest.approx(sum(told))
    schema = g.api("percentiles", metric="took")["percentiles"][0]["groups"][0]["since_start"]["schema"]
    b = 2.0 ** 2.0 ** -schema
    for q in 0.5, 0.9, 0.99:
        got, want = p.value(f'histogram_quantile({q}, took{{percentile="shop"}})'), exact(told, q)
        assert want / b <= got <= want * b, (q, got, want, schema)


def host_page(g):
    return g.metrics("/metrics/hosts")


def first_screen(page):
    """{(name, labels of its own): value} of the first screen's names."""
    out = {}
    for key, value in page.items():
        name, _, rest = key.partition("{")
        if name in FIRST_SCREEN:
            own = exposition.labels(rest.rstrip("}"))
            for k in "instance", "job", "host", "region", "env", "device_error":
                own.pop(k, None)
            out[name, frozenset(own.items())] = value
    return out


def theirs(node_exporter):
    return first_screen(support.parse_page(get(node_exporter.url)[2].decode()))


def sampled_after(g, name, moment):
    """Whether the newest value of a host metric is younger than a moment."""
    at = [s["time"] for s in g.api("series", match=name)["series"]]
    return at and all(support_time(t) > moment for t in at)


def support_time(text):
    import datetime
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def proc_numbers(file, pattern):
    with open(file, encoding="ascii") as f:
        return float(re.search(pattern, f.read(), re.M).group(1))


def test_the_first_screen_of_a_node_exporter_dashboard(pair, node_exporter):
    g, _, _ = pair
    before, moment = theirs(node_exporter), time.time()
    wait_for(lambda: all(sampled_after(g, n, moment) for n in FIRST_SCREEN if n != "node_pressure_irq_stalled_seconds_total"),
             30, why="values younger than node_exporter's")
    ours = first_screen(host_page(g))
    after = theirs(node_exporter)
    assert {n for n, _ in ours} == set(FIRST_SCREEN)
    # Debian's node_exporter is older than the one whose names we keep: it knows no pressure of interrupts. What came or went
    # meanwhile (mounts of other tests) may be on either page.
    compared = {k for k in ours if k[0] != "node_pressure_irq_stalled_seconds_total"}
    assert set(before) & set(after) <= compared <= set(before) | set(after)
    memory = before["node_memory_MemTotal_bytes", frozenset()]
    bad = []
    for key, value in ours.items():
        if key not in before or key not in after:
            continue
        low, high = before[key], after[key]
        if key[0].endswith("_total") or key[0] == "node_time_seconds":
            ok = low - 1e-6 <= value <= high + 1e-6  # rounding: theirs and ours divide differently
        elif key[0] in ("node_uname_info", "node_memory_MemTotal_bytes", "node_memory_SwapTotal_bytes",
                        "node_filesystem_size_bytes"):
            ok = value == low
        elif key[0] == "node_boot_time_seconds":
            ok = abs(value - low) <= 1
        elif key[0] == "node_load1":
            ok = min(low, high) - 1 <= value <= max(low, high) + 1
        elif key[0].startswith("node_memory_"):
            ok = min(low, high) - memory / 20 <= value <= max(low, high) + memory / 20
        else:  # bytes left on a file system
            ok = abs(value - low) <= max(low, 2 ** 30) / 20
        if not ok:
            bad.append((key, low, value, high))
    assert not bad, bad


def test_values_are_those_of_proc(pair):
    g, _, _ = pair
    page = {k: v for k, v in first_screen(host_page(g)).items()}
    none = frozenset()
    kb = proc_numbers("/proc/meminfo", r"^MemTotal: +(\d+) kB")
    assert page["node_memory_MemTotal_bytes", none] == kb * 1024
    assert page["node_boot_time_seconds", none] == proc_numbers("/proc/stat", r"^btime (\d+)")
    uname = [dict(k[1]) for k in page if k[0] == "node_uname_info"]
    u = os.uname()
    assert [(x["nodename"], x["release"], x["machine"], x["sysname"], x["version"]) for x in uname] == [
        (u.nodename, u.release, u.machine, u.sysname, u.version)]
    s = os.statvfs("/")
    size = [v for k, v in page.items() if k[0] == "node_filesystem_size_bytes" and dict(k[1])["mountpoint"] == "/"]
    assert size == [s.f_blocks * s.f_frsize]
    cpus = {dict(k[1])["cpu"] for k in page if k[0] == "node_cpu_seconds_total"}
    modes = {dict(k[1])["mode"] for k in page if k[0] == "node_cpu_seconds_total"}
    assert len(cpus) == len(re.findall(r"^cpu\d+ ", open("/proc/stat", encoding="ascii").read(), re.M))
    assert modes == {"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"}


def histogram_lines(g):
    return {k: v for k, v in g.metrics().items() if k.startswith(("took_bucket{", "took_count{"))}


def test_histograms_never_fall_over_restarts(pair):
    g, _, path = pair
    tell(g, path)
    last = histogram_lines(g)
    for turn, end in enumerate(("kill", "stop", "kill")):
        statsd(path, *packed("took", values("pareto", 500, turn), "service:a"))
        getattr(g, end)()
        g.start()
        now = histogram_lines(g)  # the first page after readiness
        assert set(now) == set(last) and all(now[k] >= last[k] for k in last), (end, last, now)
        wait_for(lambda turn=turn: shop_count(g) >= 2000 + 500 * (turn + 1), why="what came meanwhile")
        last = histogram_lines(g)
    assert shop_count(g) == 3500


def test_an_absent_agent_leaves(pair, prometheus):
    g, a, path = pair
    tell(g, path, 100)
    a.kill()
    up = 'securebase_agent_up{instance="web-1",region="us-east-1"}'
    wait_for(lambda: g.metrics()[up] == 0, 30, why="the agent to be absent")
    wait_for(lambda: not [k for k in host_page(g) if 'instance="web-1"' in k], why="its series to leave")
    assert shop_count(g) == 100  # what it brought stays counted
    assert g.agents()["web-1"]["up"] is False
    a.start()
    wait_for(lambda: g.metrics()[up] == 1, why="the agent to be back")
    wait_for(lambda: [k for k in host_page(g) if k.startswith("node_load1{")], why="its series to be back")


def test_access(pair):
    g, a, _ = pair
    assert get(g.url + "/readyz")[0] == 200
    assert get(g.url + "/healthz")[0] == 200
    for path in "/metrics", "/metrics/hosts", "/api/v1/status", "/":
        assert get(g.url + path, {"Host": "evil.example"})[0] == 403, path
        assert get(g.url + path, {"Host": f"localhost:{g.http_port}"})[0] == 200, path
    assert get(g.url + "/api/v1/agents", {"Origin": "http://evil.example"})[0] == 403
    assert get(g.url + "/nothing")[0] == 404
    request = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", g.url + "/metrics"],
                             capture_output=True, text=True, check=True)
    assert request.stdout == "405"
    a.signal(signal.SIGTERM)


def test_what_was_acknowledged_is_visible_within_a_second(pair):
    """From the answer to the first page that shows it; the middle of nine, for the machine may be busy with other things."""
    from wire_client import Subject
    g, _, _ = pair
    s = Subject(g)
    took = []
    for _ in range(9):
        s.good()
        at, seq = time.monotonic(), s.seq - 1
        wait_for(lambda seq=seq: s.entry() and s.entry()["seq"] >= seq, why="the batch on the page")
        took.append(time.monotonic() - at)
    s.close()
    assert sorted(took)[len(took) // 2] <= 1.0, took
