"""The drivers webhook and inverted-health against HTTP servers that answer as they are told, and command from a configuration."""
import http.server
import json
import socket
import threading
import time
import urllib.parse

import pytest

import support
from actions import Actions
from receivers import server_context


class Server:
    """answers: (status, body) or "close", "hang", or a function of (method, path, headers, body) giving one of them."""

    def __init__(self, context=None):
        self.answer, self.requests = (200, b""), []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                owner.requests.append((self.command, self.path, self.headers, body))
                act = owner.answer(*owner.requests[-1]) if callable(owner.answer) else owner.answer
                if act == "hang":
                    time.sleep(20)
                if act in ("close", "hang"):
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(act[0])
                for k, v in (act[2] if len(act) > 2 else {}).items():
                    self.send_header(k, v)
                self.end_headers()
                self.wfile.write(act[1])

            do_POST = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if context else 'http'}://localhost:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server():
    s = Server()
    yield s
    s.close()


@pytest.fixture
def actions(tmp_path):
    return Actions(tmp_path)


def test_webhook_says_what_it_wants(server, actions):
    actions.add("hook", type="webhook", step="promote", url=server.url + "?x=1", authorization=actions.secret("a", "Bearer sesame"))
    r = actions.run("hook", "apply", planned="yes")
    assert (r["class"], r["text"]) == ("ok", "apply: status 200"), r
    method, path, headers, body = server.requests[0]
    assert (method, path, headers["Idempotency-Key"], headers["Authorization"]) == ("POST", "/hook?x=1", "app/7/a", "Bearer sesame")
    order = json.loads(body)
    assert order.pop("time").endswith("Z")
    assert 0 < order.pop("deadline_ms") <= 5000
    assert order == {"op": "apply", "action": "hook", "service": "app", "from": "east", "to": "west", "plan": "p-7", "epoch": 7,
                     "token": "1.100", "key": "app/7/a", "planned": True, "drill": False, "accept_loss": False}
    assert actions.run("hook", "probe")["class"] == "ok"
    method, path, headers, body = server.requests[1]
    assert method == "GET" and headers["Authorization"] == "Bearer sesame" and body == b""
    assert dict(urllib.parse.parse_qsl(path.split("?", 1)[1])) == {
        "x": "1", "op": "probe", "action": "hook", "service": "app", "from": "east", "to": "west", "plan": "p-7", "epoch": "7",
        "token": "1.100", "key": "app/7/a"}


@pytest.mark.parametrize("answer,change,question", [
    ((204, b""), "ok", "ok"), ((202, b""), "progress", "progress"), ((404, b""), "denied", "not_applied"),
    ((409, b"newer"), "conflict", "conflict"), ((412, b""), "conflict", "conflict"), ((401, b""), "denied", "denied"),
    ((422, b"what?"), "denied", "denied"), ((301, b""), "denied", "denied"), ((429, b"", {"Retry-After": "7"}), "throttled", "throttled"),
    ((503, b"", {"Retry-After": "3"}), "retry", "retry"), ((500, b""), "unknown", "retry"), ((504, b""), "unknown", "retry"),
    ("close", "unknown", "retry"), ("hang", "unknown", "retry"),
    ((200, b'{"class": "already", "text": "done long ago", "token": "3.4"}'), "already", "ok"),
    ((200, b'{"class": "perhaps"}'), "denied", "denied"),
    ((500, b'{"class": "ok", "text": "sesame is the word"}'), "unknown", "retry"),
    ((200, b"x" * 3_000_000), "ok", "ok")])
def test_webhook_classes(server, actions, answer, change, question):
    server.answer = answer
    actions.add("hook", type="webhook", step="warm", url=server.url, authorization=actions.secret("a", "Bearer sesame"))
    r = actions.run("hook", "apply", deadline_ms=1500)
    assert r["class"] == change, r
    assert "sesame" not in str(r)
    if answer[0] in (429, 503):
        assert r["retry_after"] == int(answer[2]["Retry-After"])
    r = actions.run("hook", "probe", deadline_ms=1500)
    assert r["class"] == question, r


def test_webhook_that_is_not_there(actions, ca):
    actions.add("gone", type="webhook", step="warm", url=f"http://127.0.0.1:{support.free_port()}/")
    for op in ("apply", "probe"):
        assert actions.run("gone", op)["class"] == "retry"
    secure = Server(server_context(ca))
    try:
        actions.add("unknown", type="webhook", step="warm", url=secure.url)
        actions.add("known", type="webhook", step="warm", url=secure.url, ca=f"{ca}/ca.pem")
        r = actions.run("unknown", "apply")
        assert r["class"] == "denied" and "certificate" in r["text"], r
        assert not secure.requests
        assert actions.run("known", "apply")["class"] == "ok"
    finally:
        secure.close()


def test_webhook_configuration(actions):
    for options, said in [({"url": "http://example.com/"}, "expected https://, since a secret is sent there"),
                          ({"url": "https://a@example.com/"}, "without a user"),
                          ({"url": None}, "needs `url`"), ({"values": "a=b"}, "has no such option")]:
        actions.add("hook", **dict({"type": "webhook", "step": "warm", "url": "https://example.com/",
                                    "authorization": actions.secret("a", "Bearer sesame")}, **options))
        assert said in actions.check(), actions.check()


# ---- endpoints that health checks ask ----

@pytest.fixture
def endpoints(actions):
    """Three aggregators' public endpoints: east is the primary, and on."""
    made = {region: Server() for region in ("east", "west", "north")}
    for s in made.values():
        s.answer = (503, b"on\n")
    actions.add("inverted", type="inverted-health", home="east",
                pages=" ".join(f"{region}={s.url}" for region, s in made.items()))
    yield made
    for s in made.values():
        s.close()


def test_endpoints_follow_the_record(endpoints, actions):
    assert actions.run("inverted", "precheck")["class"] == "ok"
    assert actions.run("inverted", "probe")["class"] == "not_applied"
    assert actions.run("inverted", "apply")["class"] == "progress"
    endpoints["west"].answer = (200, b"off\n")
    r = actions.run("inverted", "verify")
    assert r["class"] == "progress" and "east north" in r["text"], r
    endpoints["north"].answer = (200, b"off\n")
    endpoints["east"].close()  # with its region
    endpoints["east"] = Server()
    for op in ("verify", "probe"):
        r = actions.run("inverted", op)
        assert r["class"] == "ok" and "2 of 3" in r["seen"] and "east" in r["seen"], r
    assert actions.run("inverted", "apply")["class"] == "already"
    assert actions.run("inverted", "undo")["class"] == "progress"
    for region in ("west", "north"):
        endpoints[region].answer = (503, b"on\n")
    assert actions.run("inverted", "undo")["class"] == "already"
    assert actions.run("inverted", "verify", to="east", **{"from": "west"})["class"] == "ok"


def test_endpoints_before_a_move(endpoints, actions):
    endpoints["east"].answer = "close"
    r = actions.run("inverted", "precheck")
    assert r["class"] == "ok" and "2 of 3" in r["text"], r  # the one that goes with its region stops nobody
    endpoints["west"].answer = endpoints["north"].answer = "close"
    endpoints["east"].answer = (503, b"")
    r = actions.run("inverted", "precheck")
    assert r["class"] == "retry" and "no endpoint outside of east" in r["text"], r
    endpoints["west"].answer = (404, b"")
    r = actions.run("inverted", "precheck")
    assert r["class"] == "denied" and "west (status 404)" in r["text"], r
    endpoints["west"].answer = (200, b"off\n")
    assert actions.run("inverted", "precheck")["class"] == "retry"
    actions.sections["inverted"]["pages"] = "west=https://one.example.com/fo/v1/app/primary-off"
    assert "at least two" in actions.check()
    actions.sections["inverted"]["pages"] = "west=ftp://a/ east=https://b/"
    assert "expected REGION=https://" in actions.check()


def test_pages_of_a_real_aggregator(aggregator, ca, actions):
    """The public listener answers as the driver expects it: home is active, so the primary is on."""
    port = support.free_port()
    aggregator(aggregator={"voter": "east"}, public={"listen": f"127.0.0.1:{port}", "cert": f"{ca}/server.pem",
                                                     "key": f"{ca}/server.key"},
               sections=[("voter east", {"region": "us-east-1"}),
                         ("failover app", {"regions": "us-east-1 us-west-2", "automation": "observe", "boot": "1s", "public": "yes",
                                           "probes": "us-east-1=http://127.0.0.1:1/ us-west-2=http://127.0.0.1:1/"}),
                         ("action tidy", {"type": "command", "service": "app", "step": "tidy", "command": "/bin/true"})])
    pages = [f"{region}=https://{host}:{port}/fo/v1/app/primary-off" for region, host in (("us-east-1", "localhost"),
                                                                                        ("us-west-2", "127.0.0.1"))]
    actions.add("inverted", type="inverted-health", home="us-east-1", ca=f"{ca}/ca.pem", pages=" ".join(pages))
    move = {"from": "us-east-1", "to": "us-west-2"}
    support.wait_for(lambda: actions.run("inverted", "precheck", **move)["class"] == "ok", why="both pages answer")
    assert actions.run("inverted", "probe", **move)["class"] == "not_applied"
    assert actions.run("inverted", "apply", **move)["class"] == "progress"
    assert actions.run("inverted", "undo", **move)["class"] == "already"
    actions.sections["inverted"]["pages"] = " ".join(p.replace("/app/", "/other/") for p in pages)
    r = actions.run("inverted", "precheck", **move)
    assert r["class"] == "denied" and "404" in r["text"], r
