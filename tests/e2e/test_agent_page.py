"""The agent's own page and its verbs for trying things: what a Prometheus on the host reads without any aggregator."""
import re
import socket
import subprocess
import time

import pytest

import exposition
import support
from support import get, wait_for
from test_prometheus import FIRST_SCREEN, complaints, node_exporter  # noqa: F401 (a fixture)


@pytest.fixture
def page(agent):
    """An agent whose aggregator is away, with a page, after its first batch."""
    port = support.free_port()
    a = agent(["https://127.0.0.1:1"], ship={"batch": "1s"}, http={"listen": f"127.0.0.1:{port}"})
    a.url = f"http://127.0.0.1:{port}"
    wait_for(lambda: b"securebase_agent_batches_produced_total" in get(a.url + "/metrics")[2], why="a first batch on the page")
    return a


def test_a_drop_in_for_node_exporter(page, node_exporter):  # noqa: F811
    page.statsd("jobs:3|g|#queue:a\"b", "took:12|ms", "done:2|c")
    wait_for(lambda: b"jobs{" in get(page.url + "/metrics")[2], why="StatsD on the page")
    status, headers, body = get(page.url + "/metrics")
    assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = exposition.read(body.decode())
    assert set(FIRST_SCREEN) <= set(families)
    assert 'jobs{queue="a\\"b"} 3\n' in body.decode() and "\ndone_total 2\n" in body.decode()
    assert not [n for n in families if n.startswith("took")], "a distribution of one interval is no summary"
    ours = complaints(body)
    assert ours <= complaints(get(node_exporter.url)[2]), ours
    # what node_exporter has under the same name has the same type and the same labels, and names no other series
    theirs = get(node_exporter.url)[2].decode()
    types = dict(re.findall(r"^# TYPE (node_\S+) (\S+)$", theirs, re.M))
    for name in set(types) & set(families):
        assert families[name][0] == types[name], name
    for name in "node_load1", "node_memory_MemTotal_bytes", "node_cpu_seconds_total", "node_boot_time_seconds":
        assert series(name, body.decode()) == series(name, theirs), name


def series(name, text):
    return set(re.findall(rf"^({name}(?:{{.*}})?) ", text, re.M))


def test_a_prometheus_reads_it(page, prometheus):
    p = prometheus([{"job_name": "node", "static_configs": [{"targets": [page.url[7:]]}]}])
    wait_for(lambda: p.seen('up{job="node"}') == 1, 30, why="a scrape")
    wait_for(lambda: p.seen("count(rate(node_cpu_seconds_total[30s]))"), 30, why="rates")
    assert p.value("node_memory_MemTotal_bytes") > 0


def test_values_go_on_over_a_sealing(page):
    """Between two batches nothing leaves the page."""
    for _ in range(30):
        text = get(page.url + "/metrics")[2].decode()
        assert "node_load1 " in text and "securebase_agent_up" not in text and "\nsecurebase_agent_ticks_total " in text


def test_access(page):
    host = page.url[7:]
    assert get(page.url + "/healthz")[2] == b"ok\n"
    assert get(page.url + "/")[0] == 404
    for name, status in (("localhost", 200), (host, 200), ("[::1]:1", 200), ("evil.example.com", 403),
                         ("localhost.evil.example.com", 403), ("127.0.0.1.evil.example.com", 403)):
        assert get(page.url + "/metrics", {"Host": name})[0] == status, name
    with socket.create_connection(host.split(":")) as s:
        s.sendall(b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 405 ")
    with socket.create_connection(host.split(":")) as s:
        s.sendall(b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := s.recv(65536):
            answer += part
        assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\n")


def test_only_loopback(agent):
    for address in "0.0.0.0:9872", "[::]:9872", "127.0.0.1.example.com:9872":
        a = agent(["https://127.0.0.1:1"], start=False, http={"listen": address})
        out = subprocess.run([*a.argv, "--check-config"], capture_output=True, text=True, timeout=60, check=False)
        assert out.returncode == 78 and "loopback" in out.stderr, out


# ---- --test: one thing by itself -------------------------------------------------------------------------------------------

def attempt(a, name, *more):
    return subprocess.run([*a.argv, "--test", name, *more], capture_output=True, text=True, timeout=60, check=False)


def test_what_is_tried_fails_with_a_reason_and_1(agent):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    a = agent([], start=False, sections=[("probe gone", {"url": f"http://127.0.0.1:{port}/"}),
                                         ("redis gone", {"address": f"127.0.0.1:{port}"})])
    for name, words in (("probe gone", "connect"), ("probe", "connect"), ("redis gone", "no connection"), ("redis", "no connection"),
                        ("probe other", "no [probe other]"), ("nothing", "no collector")):
        out = attempt(a, name)
        assert out.returncode == 1 and words in out.stdout + out.stderr, out
    out = attempt(a, "cpu")
    assert out.returncode == 0 and "node_cpu_seconds_total" in out.stdout and not out.stderr, out


def test_a_probe_is_tried(agent, aggregator):
    g = aggregator()
    a = agent([], start=False, sections=[("probe good", {"url": g.url + "/healthz"}),
                                         ("probe odd", {"url": g.url + "/healthz", "status": "404"})])
    out = attempt(a, "probe good")
    assert out.returncode == 0 and "probe good: good, status 200, from 127.0.0.1" in out.stdout, out
    out = attempt(a, "probe")
    assert out.returncode == 1 and "probe odd: FAILED, status: status 200" in out.stdout and "1 of 2" in out.stderr, out


def test_statsd_is_tried(agent):
    a = agent([], start=False)
    tried = subprocess.Popen([*a.argv, "--test", "statsd"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(100):  # until it has come: it listens for five seconds
            if tried.poll() is not None:
                break
            a.statsd("took:12|ms|#path:x", "wrong")
            time.sleep(0.1)
        out, err = tried.communicate(timeout=60)
    finally:
        tried.kill()
    assert tried.returncode == 1 and 'took_seconds_count{path="x"}' in out and "format" in err, (out, err)


def test_the_list_names_all_sorts(agent):
    out = subprocess.run([agent([], start=False).argv[0], "--list"], capture_output=True, text=True, timeout=60, check=True).stdout
    for words in "[collector cpu]", "[redis NAME]", "[statsd]", "[probe NAME]":
        assert words in out
