"""The reading side: over TLS by role, over the unix socket, and what a page is however it is asked for."""
import gzip
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

import securebase_wire as w
import support
from support import get, parse_page, wait_for
from wire_client import FLAT, TOOK, Subject, context, now

SECTION = ("percentile took", {"metric": TOOK, "by": "host", "windows": "1m", "quantiles": "0.5 1"})
WIDE = w.schema_bytes(*[w.series(f"wide_{i}", labels={"device": f"d{i % 7}"}) for i in range(500)])


def run_sbctl(*args):
    return subprocess.run([os.path.join(support.BUILD, "sbctl"), *args], capture_output=True, text=True, check=False, timeout=60)


def curl(g, path, *args):
    """(status, body) over the unix socket."""
    out = subprocess.run(["curl", "-s", "-g", "-w", "\n%{http_code}", "--unix-socket", g.socket, *args, "http://localhost" + path],
                         capture_output=True, text=True, check=True, timeout=60).stdout
    body, _, status = out.rpartition("\n")
    return int(status), body


def secure(g, certificate, method, path, headers=None):
    """(status, body) over TLS."""
    c = http.client.HTTPSConnection("127.0.0.1", g.http_port, context=context(g.ca, certificate), timeout=60)
    try:
        c.request(method, path, headers=headers or {})
        r = c.getresponse()
        return r.status, r.read()
    finally:
        c.close()


def forget(agent, number, **more):
    query = {"agent": agent, "reason": "retired", "request_id": number, **more}
    return "/api/v1/agents/forget?" + urllib.parse.urlencode(query)


def audit(g):
    """The journal of acts; of an aggregator that has stopped, for it holds the file alone."""
    with sqlite3.connect(f"file:{g.state}/control.db?mode=ro", uri=True) as db:
        return db.execute("SELECT who, what, reason, request_id FROM audit ORDER BY id").fetchall()


@pytest.fixture
def tls(aggregator, ca):
    """An aggregator that is read over TLS."""
    g = aggregator(start=False, sections=[SECTION],
                   http={"ca": f"{ca}/ca.pem", "cert": f"{ca}/server.pem", "key": f"{ca}/server.key"})
    support.Process.start(g)
    wait_for(lambda: curl(g, "/readyz")[0] == 200, 30, why="ready")
    return g


@pytest.fixture
def plain(aggregator):
    """An aggregator that is read on loopback, and an agent with a batch."""
    g = aggregator(sections=[SECTION])
    s = Subject(g)
    s.good()
    s.visible(1)
    yield g, s
    s.close()


# ---- who may -------------------------------------------------------------------------------------------------------------

def test_roles_over_tls(tls):
    g = tls
    s = Subject(g)
    s.good()
    for path in "/metrics", "/metrics/hosts", "/api/v1/agents", "/", "/readyz":
        for role in "viewer", "operator":
            assert secure(g, f"role-{role}", "GET", path)[0] == 200, (path, role)
        for other in f"agent-{s.agent}", "role-relay":
            status, body = secure(g, other, "GET", path)
            assert status == 403 and b"viewer" in body, (path, other, status, body)
        for host in "evil.example", "127.0.0.1.evil.example":
            assert secure(g, "role-viewer", "GET", path, {"Host": host})[0] == 403
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        secure(g, None, "GET", "/metrics")
    with pytest.raises((OSError, http.client.HTTPException)):
        get(f"http://127.0.0.1:{g.http_port}/metrics")
    # acting is for the operator
    for certificate in "role-viewer", f"agent-{s.agent}", "role-relay":
        status, body = secure(g, certificate, "POST", forget(s.agent, "no"))
        assert status == 403, (certificate, status, body)
    assert json.loads(curl(g, "/api/v1/agents")[1])["agents"][0]["id"] == s.agent
    s.close()
    assert wait_for(lambda: secure(g, "role-operator", "POST", forget(s.agent, "yes"))[0] == 200)
    assert json.loads(curl(g, "/api/v1/agents")[1])["agents"] == []
    assert g.stop() == 0
    [(who, what, reason, number)] = audit(g)
    assert who == "role operator from 127.0.0.1" and s.agent in what and (reason, number) == ("retired", "yes")


def test_sbctl_over_tls(tls, ca):
    g = tls
    s = Subject(g)
    s.good()
    s.close()
    url = f"https://127.0.0.1:{g.http_port}"

    def ask(certificate, *args, at=url):
        own = ["--cert", f"{ca}/{certificate}.pem", "--key", f"{ca}/{certificate}.key"] if certificate else []
        return run_sbctl("--url", at, "--ca", f"{ca}/ca.pem", *own, *args)

    for at in url, f"https://localhost:{g.http_port}", url + "/":
        out = ask("role-viewer", "agents", at=at)
        assert out.returncode == 0 and s.agent in out.stdout, (at, out)
    for args in ("status",), ("top", "--once"), ("percentiles", TOOK), ("--json", "agents"):
        out = ask("role-viewer", *args)
        assert out.returncode == 0 and out.stdout and not out.stderr, out
    out = ask("role-viewer", "agents", "forget", s.agent, "--reason", "r")
    assert out.returncode == 1 and "operator" in out.stderr and not out.stdout, out
    out = ask("role-relay", "agents")
    assert out.returncode == 1 and "viewer" in out.stderr, out
    out = ask(None, "agents")
    assert out.returncode == 1 and out.stderr, out
    out = run_sbctl("--url", url, "--cert", f"{ca}/role-viewer.pem", "--key", f"{ca}/role-viewer.key", "agents")  # not trusted
    assert out.returncode == 1 and "certificate" in out.stderr, out
    out = ask("role-viewer", "agents", at=f"http://127.0.0.1:{g.http_port}")
    assert out.returncode == 1 and out.stderr, out
    out = ask("role-operator", "agents", "forget", s.agent, "--reason", "r")
    assert out.returncode == 0 and f"{s.agent} is forgotten" in out.stdout, out
    assert s.agent not in ask("role-viewer", "agents").stdout


def test_another_address_than_loopback_needs_certificates(aggregator, ca):
    g = aggregator(start=False, http={"listen": "0.0.0.0:9871"})
    check = g.argv + ["--check-config"]
    out = subprocess.run(check, capture_output=True, text=True, check=False, timeout=60)
    assert out.returncode == 78 and "[http] listen" in out.stderr, out
    dict(g.sections)["http"].update({"ca": f"{ca}/ca.pem", "cert": f"{ca}/server.pem", "key": f"{ca}/server.key"})
    g.write()
    assert subprocess.run(check, capture_output=True, text=True, check=False, timeout=60).returncode == 0
    dict(g.sections)["http"]["ca"] = None  # whose clients may read?
    g.write()
    out = subprocess.run(check, capture_output=True, text=True, check=False, timeout=60)
    assert out.returncode == 78 and "ca, cert and key" in out.stderr, out


def test_the_unix_socket(plain):
    g, s = plain
    mode = os.stat(g.socket)
    assert stat.S_ISSOCK(mode.st_mode) and stat.S_IMODE(mode.st_mode) == 0o660
    assert set(parse_page(curl(g, "/metrics")[1])) == set(g.metrics())
    assert parse_page(curl(g, "/metrics/hosts")[1]) == g.metrics("/metrics/hosts")
    for args in ("status",), ("agents",), ("top", "--once"), ("percentiles", TOOK, "--by", "host", "--window", "1m"):
        assert support.sbctl(g, *args).stdout
    assert s.agent in support.sbctl(g, "agents").stdout
    assert g.stop() == 0
    assert not os.path.exists(g.socket)
    out = support.sbctl(g, "status", check=False)
    assert out.returncode == 1 and "running" in out.stderr, out


# ---- forgetting ----------------------------------------------------------------------------------------------------------

def test_an_agent_is_forgotten_once_per_request_and_comes_back(plain):
    g, s = plain
    assert get(g.url + "/api/v1/agents/forget?agent=x")[0] in (404, 405)
    request = urllib.request.Request(g.url + forget(s.agent, "a"), method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:  # loopback is for reading
        urllib.request.urlopen(request, timeout=60)
    assert refused.value.code == 403
    for path in (forget("", "a"), forget(s.agent, ""), forget(s.agent, "a", reason=""), forget(s.agent, "a", reason="x" * 256),
                 forget(s.agent, "x" * 128), "/api/v1/agents/forget"):
        assert curl(g, path, "-X", "POST")[0] in (400, 404), path
    assert curl(g, forget("nobody", "b"), "-X", "POST")[0] == 404
    assert s.entry() and s.host_lines()
    other = Subject(g)
    other.good()
    other.visible(1)
    for _ in range(3):
        status, body = curl(g, forget(s.agent, "c"), "-X", "POST")
        assert (status, json.loads(body)) == (200, {"done": True})
        assert s.entry() is None and not s.host_lines()
        assert not any(f'instance="{s.agent}"' in k for k in g.metrics())
    assert other.entry() and other.host_lines()
    for restart in range(2):  # nor does it come back from a file: the journal's, or roll-ups that are older than the act
        g.kill()
        g.start()
        assert s.entry() is None and not s.host_lines()
        assert other.entry() and other.host_lines()
        if restart == 0:
            s.close()
            s.epoch, s.seq = s.epoch + 1, 1
            s.definitions(s.resource)
            s.good()
            s.visible(1)
            assert g.stop() == 0
            g.start()
            assert s.entry() and s.host_lines()
            assert curl(g, forget(s.agent, "e"), "-X", "POST")[0] == 200
    s.close()
    s.epoch, s.seq = s.epoch + 1, 1
    s.definitions(s.resource)
    s.good()
    assert s.visible(1)["batches"] == 1 and s.host_lines()
    out = support.sbctl(g, "--request-id", "d", "agents", "forget", s.agent, "--reason", "again; it's gone")
    assert "is forgotten" in out.stdout and s.entry() is None
    other.close()
    assert g.stop() == 0
    acts = [(reason, number) for who, what, reason, number in audit(g) if s.agent in what and who == f"uid {os.getuid()}"]
    assert [a for a in acts if a[1] in "cde"] == [("retired", "c"), ("retired", "e"), ("again; it's gone", "d")]


# ---- how a page is asked for ---------------------------------------------------------------------------------------------

def test_head_is_get_without_a_body(plain):
    g, _ = plain
    c = http.client.HTTPConnection("127.0.0.1", g.http_port, timeout=60)
    for path in "/metrics/hosts", "/api/v1/agents", "/", "/readyz", "/nothing":
        c.request("GET", path)
        r = c.getresponse()
        body, headers, status = r.read(), dict(r.headers), r.status
        c.request("HEAD", path)
        r = c.getresponse()
        assert r.status == status and not r.read(), path
        for h in "Content-Type", "Content-Length":
            if path in ("/metrics/hosts", "/readyz", "/nothing") or h == "Content-Type":  # others tell the time
                assert r.headers[h] == headers[h], (path, h)
        assert status == 404 or int(headers["Content-Length"]) == len(body) > 0
    c.close()


def test_gzip(plain):
    g, s = plain
    assert s.definitions(WIDE).status == 200
    s.good([w.block(WIDE, now(), [[i] for i in range(500)], dt=0)])
    s.visible(2)
    whole = get(g.url + "/metrics/hosts")
    assert "Content-Encoding" not in whole[1] and len(whole[2]) > 20000
    for accept in "gzip", "GZIP", "deflate, gzip;q=0.5", "*", "br;q=1.0, *;q=0.1":
        status, headers, body = get(g.url + "/metrics/hosts", {"Accept-Encoding": accept})
        assert status == 200 and headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in headers["Vary"], accept
        assert len(body) < len(whole[2]) / 4 and gzip.decompress(body) == whole[2]
        assert int(headers["Content-Length"]) == len(body)
    for accept in "identity", "gzip;q=0", "deflate", "*;q=0", "gzipped", "":
        status, headers, body = get(g.url + "/metrics/hosts", {"Accept-Encoding": accept})
        assert "Content-Encoding" not in headers and body == whole[2], accept
    # openmetrics as well
    wanted = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "gzip"}
    body = gzip.decompress(get(g.url + "/metrics/hosts", wanted)[2])
    assert body.endswith(b"# EOF\n")


def samples(text):
    return [line for line in text.decode().splitlines() if line and line[0] != "#"]


def test_parts_of_the_page_are_the_page(plain):
    g, s = plain
    others = [Subject(g) for _ in range(3)]
    for o in (s, *others):
        assert o.definitions(WIDE).status == 200
        o.good([w.block(WIDE, now(), [[i] for i in range(500)], dt=0)])
        o.visible(o.seq - 1)
    whole = samples(get(g.url + "/metrics/hosts")[2])
    assert len(whole) >= 2000 and len(set(whole)) == len(whole)

    def part(*params):
        query = urllib.parse.urlencode(params)
        status, _, body = get(g.url + "/metrics/hosts?" + query)
        assert status == 200, body
        return samples(body)

    for n in 1, 2, 3, 7:
        parts = [part(("shard", f"{i}/{n}")) for i in range(n)]
        assert sorted(x for p in parts for x in p) == sorted(whole), n
        assert all(p == [x for x in whole if x in set(p)] for p in parts)  # in the order of the page
        assert min(map(len, parts)) > len(whole) / n / 2, [len(p) for p in parts]
    by_agent = [part(("match[]", f'{{instance="{o.agent}"}}')) for o in (s, *others)]
    assert sorted(x for p in by_agent for x in p) == sorted(whole)
    # several selectors are a union: what two of them take stands there once
    two = part(("match[]", 'wide_7'), ("match[]", '{__name__=~"wide_[0-9]",device!="d1"}'))
    want = [x for x in whole if re.match(r"wide_7\{", x) or (re.match(r"wide_\d\{", x) and 'device="d1"' not in x)]
    assert two == want and len(want) == 4 * 8, (len(two), len(want))
    # a shard of a selection
    parts = [part(("match[]", '{device=~"d[12]"}'), ("shard", f"{i}/2")) for i in range(2)]
    assert sorted(x for p in parts for x in p) == sorted(x for x in whole if re.search('device="d[12]"', x))
    assert part(("match[]", 'nothing_of_the_kind')) == []
    for bad in (("match[]", "{"), ("match[]", ""), ("match[]", '{a=~"("}'), ("shard", "2/2"), ("shard", "0/0"), ("shard", "1"),
                ("shard", "")):
        status, _, body = get(g.url + "/metrics/hosts?" + urllib.parse.urlencode([bad]))
        assert status == 400 and json.loads(body)["reason"] == "parameter", (bad, status, body)
    for o in others:
        o.close()


def test_too_many_series_for_a_page(aggregator):
    g = aggregator(http={"hosts_max_series": "600"})
    s = Subject(g)
    assert s.definitions(WIDE).status == 200
    s.good([w.block(WIDE, now(), [[i] for i in range(500)], dt=0)])
    s.visible(1)
    assert len(samples(get(g.url + "/metrics/hosts")[2])) == 500
    other = Subject(g)
    other.good([w.block(WIDE, now(), [[i] for i in range(500)], dt=0)])
    other.visible(1)
    status, _, body = get(g.url + "/metrics/hosts")
    answer = json.loads(body)
    assert status == 503 and answer["reason"] == "limit", answer
    for word in "hosts_max_series", "600", "match[]", "shard", "remote write":
        assert word in answer["error"], answer
    # a part fits, and the aggregator's own page was never in question
    assert len(samples(get(g.url + f"/metrics/hosts?match[]={{instance=%22{s.agent}%22}}")[2])) == 500
    assert get(g.url + "/metrics")[0] == 200
    dict(g.sections)["http"]["hosts_max_series"] = "1000"
    g.write()
    g.signal(signal.SIGHUP)
    wait_for(lambda: get(g.url + "/metrics/hosts")[0] == 200, why="the new limit")
    for x in s, other:
        x.close()


def test_a_slow_reader_holds_nobody_up(plain):
    g, s = plain
    names = [w.series(f"long_{i}", labels={"path": "x" * 400}) for i in range(4000)]
    big = w.schema_bytes(*names)
    assert s.definitions(big).status == 200
    s.good([w.block(big, now(), [[1]] * 4000, dt=0)])
    s.visible(2)
    page = get(g.url + "/metrics/hosts")[2]
    assert len(page) > 1 << 20
    slow = []
    for _ in range(20):
        c = socket.socket()
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.settimeout(60)
        c.connect(("127.0.0.1", g.http_port))
        c.sendall(b"GET /metrics/hosts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        slow.append(c)
    half = socket.create_connection(("127.0.0.1", g.http_port))
    half.sendall(b"GET /metrics HTTP/1.1\r\nHost: localho")  # and one that does not finish its question
    results = []

    def read():
        for path in "/metrics", "/metrics/hosts", "/api/v1/agents", "/":
            results.append(get(g.url + path, timeout=60)[0])

    threads = [threading.Thread(target=read) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [200] * 24
    s.good([w.block(FLAT, now(), [[1]], dt=0)])
    s.visible(3)
    half.close()
    for c in slow:  # whose pages are whole all the same
        got = b""
        while True:
            some = c.recv(1 << 20)
            if not some:
                break
            got += some
        c.close()
        assert got.endswith(page), len(got)


def test_host_and_origin(aggregator):
    g = aggregator(http={"hosts": "monitor.example.com other.example"})

    def ask(host=None, origin=None, path="/metrics"):
        c = http.client.HTTPConnection("127.0.0.1", g.http_port, timeout=60)
        c.putrequest("GET", path, skip_host=True)
        for name, value in ("Host", host), ("Origin", origin):
            if value is not None:
                c.putheader(name, value)
        c.endheaders()
        status = c.getresponse().status
        c.close()
        return status

    port = g.http_port
    for host in ("localhost", f"localhost:{port}", "LOCALHOST", f"127.0.0.1:{port}", "[::1]", f"[::1]:{port}",
                 "monitor.example.com",
                 f"Other.Example:{port}", "monitor.example.com:443"):
        assert ask(host) == 200, host
        assert ask(host, path="/readyz") == 200, host
    for host in ("", "evil.example", "localhost.evil.example", "example.com", "monitor.example.com.evil.example", "localhost:x",
                 "localhost:99999", "[::1", "127.0.0.2", "localhost@evil.example", f"evil.example:{port}"):
        assert ask(host) in (400, 403), host
    assert ask(None) in (400, 403)  # RFC 9112, 3.2: no HTTP/1.1 without one
    for origin in f"http://localhost:{port}", "http://127.0.0.1", "https://monitor.example.com":
        assert ask("localhost", origin) == 200, origin
    for origin in "null", "", "http://evil.example", "ftp://localhost", "http://localhost.evil.example", "localhost":
        assert ask("localhost", origin) == 403, origin
    before = g.metrics()["securebase_aggregator_http_refused_total"]
    assert ask("evil.example") == 403
    assert g.metrics()["securebase_aggregator_http_refused_total"] == before + 1
