"""The driver kubernetes against a server that answers as the API server does by its reference: merge patches that carry a
resourceVersion, status that follows the spec, pods that end slowly."""
import http.server
import json
import re
import ssl
import threading
import time
import urllib.parse

import pytest

from actions import Actions


class Api:
    """`objects`: {(namespace, kind, name): object}. A deployment's pods follow its replicas when `settle` is called."""

    def __init__(self, folder):
        self.objects, self.pods, self.requests, self.version = {}, {}, [], 100
        self.token, self.script, self.lock = "a-token", lambda method, path: None, threading.Lock()
        self.before_patch = None
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                owner.serve(self, None)

            def do_PATCH(self):  # noqa: N802
                owner.serve(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add(self, name, replicas, kind="deployments"):
        self.version += 1
        self.objects[("shop", kind, name)] = {
            "metadata": {"name": name, "resourceVersion": str(self.version), "generation": 1, "annotations": {"other": "kept"}},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name, "tier": "x y"}}},
            "status": {"observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas}}
        self.pods[name] = replicas

    def settle(self, name, kind="deployments", ready=None, pods=None):
        o = self.objects[("shop", kind, name)]
        n = o["spec"]["replicas"]
        o["status"] = {"observedGeneration": o["metadata"]["generation"]}
        if n:  # zero values are left out
            o["status"].update(replicas=n, readyReplicas=n if ready is None else ready)
        self.pods[name] = n if pods is None else pods

    def serve(self, h, body):
        path, _, query = h.path.partition("?")
        self.requests.append((h.command, h.path, body))
        status, answer = self.script(h.command, path) or self.answer(h, path, dict(urllib.parse.parse_qsl(query)), body)
        data = json.dumps(answer).encode()
        try:
            h.send_response(status)
            h.send_header("Content-Length", str(len(data)))
            h.end_headers()
            h.wfile.write(data)
        except OSError:
            pass

    @staticmethod
    def failure(code, reason, message):
        return code, {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}

    def answer(self, h, path, query, body):
        if h.headers.get("Authorization") != f"Bearer {self.token}":
            return self.failure(401, "Unauthorized", "Unauthorized")
        if path == "/api/v1/namespaces/shop/pods":
            name = re.match(r"app=(.*),tier=x y$", query["labelSelector"]).group(1)
            return 200, {"kind": "PodList", "items": [{"metadata": {"name": f"{name}-{i}"}} for i in range(self.pods[name])]}
        m = re.match(r"/apis/apps/v1/namespaces/([^/]+)/([^/]+)/([^/]+)$", path)
        o = self.objects.get(m.groups()) if m else None
        if o is None:
            return self.failure(404, "NotFound", f"{path} not found")
        if h.command == "GET":
            return 200, o
        assert h.headers["Content-Type"] == "application/merge-patch+json" and query == {"fieldManager": "securebase"}
        if self.before_patch:
            self.before_patch()
        with self.lock:
            if body["metadata"].get("resourceVersion", o["metadata"]["resourceVersion"]) != o["metadata"]["resourceVersion"]:
                return self.failure(409, "Conflict", "the object has been modified; please apply your changes to the latest version")
            self.version += 1
            o["metadata"]["annotations"].update(body["metadata"]["annotations"])
            o["metadata"].update(resourceVersion=str(self.version), generation=o["metadata"]["generation"] + 1)
            o["spec"]["replicas"] = body["spec"]["replicas"]
        return 200, o


@pytest.fixture
def world(tmp_path, ca):
    w = type("World", (), {})()
    w.east, w.west = Api(ca), Api(ca)
    for api, n in ((w.east, 12), (w.west, 2)):
        api.add("web", n)
        api.add("db", 3, "statefulsets")
    a = w.actions = Actions(tmp_path)
    a.options = {"type": "kubernetes", "apis": f"east={w.east.url} west={w.west.url}", "ca": f"{ca}/ca.pem",
                 "authorization": a.secret("authorization", "Bearer a-token"),
                 "workloads": "east=shop/deployments/web:12\n  west=shop/deployments/web:12\n  west=shop/statefulsets/db:3"}
    a.add("warm", step="warm", **a.options)
    a.add("fence", step="fence", **a.options)
    yield w
    for api in (w.east, w.west):
        api.server.shutdown()
        api.server.server_close()


def test_capacity(world):
    run, west = world.actions.run, world.west
    assert run("warm", "precheck")["class"] == "ok"
    assert run("warm", "probe")["class"] == "not_applied"
    r = run("warm", "apply")
    assert r["class"] == "progress" and "2 of 12" in r["text"], r
    web = west.objects[("shop", "deployments", "web")]
    assert web["spec"]["replicas"] == 12
    assert web["metadata"]["annotations"] == {"other": "kept", "securebase/app": "epoch=7 token=1.100 plan=p-7"}
    west.settle("web", ready=11)
    assert run("warm", "probe")["class"] == "progress"
    west.settle("web")
    assert run("warm", "probe")["class"] == "ok"
    assert run("warm", "apply")["class"] == "already"
    web["spec"]["replicas"] = 30  # somebody has more: it is left
    west.settle("web")
    assert run("warm", "apply")["class"] == "already" and web["spec"]["replicas"] == 30
    assert run("warm", "undo")["class"] == "already" and web["spec"]["replicas"] == 30
    assert not any(r[0] == "PATCH" for r in world.east.requests)


def test_fence(world):
    run, east = world.actions.run, world.east
    assert run("fence", "probe")["class"] == "not_applied"
    assert run("fence", "apply")["class"] == "progress"
    east.settle("web", pods=1)  # one is terminating and may still write
    r = run("fence", "probe")
    assert r["class"] == "progress" and "1 pods are left" in r["text"], r
    east.settle("web")
    assert run("fence", "probe")["class"] == "ok"
    assert run("fence", "apply")["class"] == "already"
    r = run("fence", "undo", token="1.99")
    assert (r["class"], r["found"]) == ("conflict", "1.100"), r
    assert run("fence", "undo")["class"] in ("progress", "ok")
    east.settle("web")
    assert east.objects[("shop", "deployments", "web")]["spec"]["replicas"] == 12
    assert run("fence", "undo")["class"] == "already"
    r = run("fence", "apply", epoch=6, token="1.50")  # whoever slept through it
    assert (r["class"], r["found"]) == ("conflict", "1.100"), r


def test_somebody_else_writes_in_the_same_moment(world):
    def meanwhile():
        world.west.before_patch = None
        world.west.objects[("shop", "deployments", "web")]["metadata"]["resourceVersion"] = "999999"
    world.west.before_patch = meanwhile
    r = world.actions.run("warm", "apply")
    assert r["class"] == "retry" and "modified" in r["text"], r
    assert world.west.objects[("shop", "deployments", "web")]["spec"]["replicas"] == 2
    assert world.actions.run("warm", "apply")["class"] == "progress"


def test_faults(world):
    run = world.actions.run
    world.west.script = lambda method, path: (503, {"message": "etcd is away"}) if method == "PATCH" else None
    assert run("warm", "apply")["class"] == "retry"
    world.west.script = lambda method, path: (500, {"message": "who knows"}) if method == "PATCH" else None
    assert run("warm", "apply")["class"] == "unknown"
    world.west.script = lambda method, path: (time.sleep(20) or (200, {})) if method == "GET" else None
    assert run("warm", "probe", deadline_ms=1500)["class"] == "retry"
    world.west.script = lambda method, path: None
    world.west.token = "another"
    r = run("warm", "probe")
    assert r["class"] == "denied" and "a-token" not in json.dumps(r), r
    world.west.token = "a-token"
    del world.west.objects[("shop", "statefulsets", "db")]
    assert run("warm", "precheck")["class"] == "denied"
    world.east.objects[("shop", "deployments", "web")]["spec"]["selector"]["matchExpressions"] = [{"key": "a", "operator": "Exists"}]
    assert run("fence", "precheck")["class"] == "denied"
    # a cluster that this action does not know: of capacity nothing is asked, of a fence nothing is proved
    assert run("warm", "probe", to="south")["class"] == "ok"
    assert run("fence", "probe", **{"from": "south"})["class"] == "denied"


def test_what_a_start_refuses(world):
    a = world.actions
    assert a.check() == ""
    for key, value, said in [("workloads", "west=shop/deployments/web", "namespace/deployments/name:replicas"),
                             ("workloads", "west=shop/daemonsets/web:3", "namespace/deployments/name:replicas"),
                             ("workloads", "west=shop/deployments/../x:3", "namespace/deployments/name:replicas"),
                             ("workloads", "south=shop/deployments/web:3", "`apis` has none"),
                             ("apis", "east=http://10.0.0.1:6443 west=https://10.0.0.2", "https")]:
        a.add("warm", step="warm", **dict(a.options, **{key: value}))
        assert said in a.check(), (key, value, a.check())
