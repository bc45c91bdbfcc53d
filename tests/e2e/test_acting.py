"""Who may act, and how: by the unix socket or by TLS with the role operator, journalled first, once by request id; nobody
else, no foreign page, no link that is old or forged, and never by a GET."""
import http.client
import json
import socket
import sqlite3
import ssl
import urllib.parse

import pytest

import support
from hook import Hook

RULE = ("alert loaded", {"metric": "node_load1", "by": "instance", "statistic": "last", "window": "1m", "above": "-1",
                         "severity": "critical", "summary": "<script>alert(1)</script>"})


def local(aggregator, method, path, body=None):
    c = http.client.HTTPConnection("localhost", timeout=30)
    c.sock = socket.socket(socket.AF_UNIX)
    c.sock.connect(aggregator.socket)
    c.request(method, "/api/v1/" + path, json.dumps(body) if body is not None else None)
    r = c.getresponse()
    text = r.read()
    c.close()
    return r.status, json.loads(text)


def remote(port, ca, identity, method, path, body=None, headers=None):
    context = ssl.create_default_context(cafile=f"{ca}/ca.pem")
    if identity:
        context.load_cert_chain(f"{ca}/{identity}.pem", f"{ca}/{identity}.key")
    c = http.client.HTTPSConnection("localhost", port, context=context, timeout=30)
    c.request(method, "/api/v1/" + path, json.dumps(body) if body is not None else None, headers or {})
    r = c.getresponse()
    text = r.read()
    c.close()
    return r.status, json.loads(text)


def audit(aggregator):
    """What the journal of acts holds, of an aggregator that has stopped."""
    db = sqlite3.connect(f"file:{aggregator.state}/control.db?mode=ro", uri=True)
    rows = db.execute("SELECT who, what, reason, request_id FROM audit ORDER BY id").fetchall()
    db.close()
    return rows


SILENCE = {"match": "service=checkout", "for": "1h", "reason": "deploying", "request_id": "r-1"}


def test_once_by_request_id_and_journalled(aggregator):
    a = aggregator()
    first = local(a, "POST", "silences", SILENCE)
    assert first[0] == 200 and first[1]["id"]
    assert local(a, "POST", "silences", SILENCE) == first
    assert len(a.api("silences")["silences"]) == 1
    a.kill()
    a.start()
    assert local(a, "POST", "silences", SILENCE) == first
    assert [s["id"] for s in a.api("silences")["silences"]] == [first[1]["id"]]
    assert local(a, "DELETE", f"silences/{first[1]['id']}?reason=done&request_id=r-2")[0] == 200
    assert local(a, "DELETE", "silences/none?reason=done&request_id=r-3")[0] == 404
    assert a.stop() == 0
    rows = audit(a)
    assert [r[3] for r in rows] == ["r-1", "r-2", "r-3"]
    assert rows[0][0].startswith("uid ") and rows[0][1].startswith("silence add") and rows[0][2] == "deploying"
    assert "service=checkout" in rows[0][1]


def test_what_lacks_something_is_refused(aggregator):
    a = aggregator()
    for missing in ("reason", "request_id"):
        body = {k: v for k, v in SILENCE.items() if k != missing}
        status, answer = local(a, "POST", "silences", body)
        assert status == 400 and "request_id" in answer["error"], answer
    assert local(a, "POST", "silences", dict(SILENCE, match=""))[0] == 400
    assert local(a, "POST", "silences", dict(SILENCE, request_id="r-9", **{"for": "5 parsecs"}))[0] == 400
    assert local(a, "POST", "incidents/none/ack", {"reason": "x", "request_id": "r-10"})[0] == 404
    assert local(a, "POST", "slos", {"reason": "x", "request_id": "r-11"})[0] == 405
    assert local(a, "POST", "silences/x/y/z", {"reason": "x", "request_id": "r-12"})[0] == 404
    assert a.api("silences")["silences"] == []


def test_plain_tcp_reads_and_does_not_act(aggregator):
    a = aggregator()
    c = http.client.HTTPConnection("127.0.0.1", a.http_port, timeout=30)
    c.request("POST", "/api/v1/silences", json.dumps(SILENCE))
    assert c.getresponse().status == 403
    c.close()
    assert support.get(a.url + "/api/v1/silences", {"Origin": "https://evil.example"})[0] == 403
    assert support.get(a.url + "/api/v1/silences", {"Host": "evil.example"})[0] == 403
    assert support.get(a.url + "/api/v1/silences")[0] == 200


def test_roles(aggregator, ca):
    a = aggregator(start=False, http={"ca": f"{ca}/ca.pem", "cert": f"{ca}/server.pem", "key": f"{ca}/server.key"})
    support.Process.start(a)
    support.wait_for(lambda: remote(a.http_port, ca, "role-viewer", "GET", "silences")[0] == 200, 30)
    assert remote(a.http_port, ca, "role-viewer", "POST", "silences", SILENCE)[0] == 403
    assert remote(a.http_port, ca, "agent-web-1", "GET", "silences")[0] == 403
    assert remote(a.http_port, ca, "role-operator", "POST", "silences", SILENCE,
                  {"Origin": "https://evil.example"})[0] == 403
    assert remote(a.http_port, ca, "role-operator", "POST", "silences", SILENCE)[0] == 200
    silences = remote(a.http_port, ca, "role-viewer", "GET", "silences")[1]["silences"]
    assert len(silences) == 1 and "operator" in silences[0]["owner"]


@pytest.fixture
def linked(tmp_path, ca, started):
    """An aggregator whose alert was told, and the link to acknowledge it."""
    hook = Hook()
    a = support.Aggregator(tmp_path, ca)
    a.sections += [RULE, ("receiver hook", {"type": "webhook", "url": hook.url}),
                   ("route all", {"receivers": "hook", "wait": "0s", "interval": "1s", "group_by": "alertname service"}), ("notify", {"console": a.url})]
    a.write()
    started.append(a)
    a.start()
    g = support.Agent(tmp_path, ca, [a.endpoint], ship={"batch": "1s"})
    started.append(g)
    g.start()
    support.wait_for(lambda: hook.messages("trigger"), 40)
    yield a, hook.messages("trigger")[0]["ack_link"]
    hook.close()


def post(url, form):
    parts = urllib.parse.urlsplit(url)
    c = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    c.request("POST", f"{parts.path}?{parts.query}", urllib.parse.urlencode(form),
              {"Content-Type": "application/x-www-form-urlencoded"})
    r = c.getresponse()
    text = r.read().decode()
    c.close()
    return r.status, text


def acknowledged(aggregator):
    return aggregator.api("alerts/explain", alert="loaded")["notices"].get("acknowledged")


def test_a_signed_link_shows_on_get_and_acts_on_post(linked):
    a, link = linked
    status, headers, body = support.get(link)
    page = body.decode()
    assert status == 200 and "<form method=\"post\"" in page and "loaded" in page
    assert "<script>" not in page and headers["X-Frame-Options"] == "DENY"
    assert not acknowledged(a)
    forged = link[:-1] + ("0" if link[-1] != "0" else "1")
    assert support.get(forged)[0] == 403 and post(forged, {"who": "x"})[0] == 403
    old = urllib.parse.urlsplit(link)
    query = dict(urllib.parse.parse_qsl(old.query))
    query["until"] = str(int(query["until"]) + 1000)
    assert post(old._replace(query=urllib.parse.urlencode(query)).geturl(), {"who": "x"})[0] == 403
    assert not acknowledged(a)
    status, page = post(link, {"who": "Ada", "note": "I am on it"})
    assert status == 200 and "Acknowledged" in page
    support.wait_for(lambda: acknowledged(a), 10)
    assert acknowledged(a)["by"].startswith("Ada") and acknowledged(a)["reason"] == "I am on it"
    assert post(link, {"who": "Ada"})[0] == 200  # again: the same act
    assert a.stop() == 0
    assert [r[0] for r in audit(a)] == ["Ada (signed link)"]


def test_pages_escape_what_came_from_outside(linked):
    a, _ = linked
    for path in ("/alerts", "/slos", "/incidents"):
        status, headers, body = support.get(a.url + path)
        assert status == 200 and headers["Content-Type"].startswith("text/html"), path
        assert b"<script>" not in body
    assert b"&lt;script&gt;" in support.get(a.url + "/incidents")[2]
