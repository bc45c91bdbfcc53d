"""The agent's own page and its verbs for trying things: what a Prometheus on the host reads without any aggregator."""
import re
import socket
import subprocess

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
        out = subprocess.run([*a.argv, "--check-config"], capture_output=True, text=True, timeout=20, check=False)
        assert out.returncode == 78 and "loopback" in out.stderr, out
