"""The driver `haproxy` against two real load balancers, one on a unix socket, one on TCP."""
import http.client
import http.server
import json
import os
import socket
import subprocess
import threading
import time

import pytest

from support import BUILD, free_port, wait_for


class Backend:
    """Says its name to whoever asks; `slow` answers take half a minute."""

    def __init__(self, name):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                if self.path == "/slow":
                    time.sleep(30)
                body = outer.name.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.name = name
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Haproxy:
    def __init__(self, folder, name, east, west, tcp):
        self.port, self.control = free_port(), free_port()
        self.socket = f"127.0.0.1:{self.control}" if tcp else f"unix:{folder}/{name}.sock"
        listen = f"ipv4@127.0.0.1:{self.control}" if tcp else f"{folder}/{name}.sock mode 600"
        path = os.path.join(folder, name + ".cfg")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"""global
  stats socket {listen} level admin
defaults
  mode http
  timeout connect 1s
  timeout client 40s
  timeout server 40s
frontend f
  bind 127.0.0.1:{self.port}
  default_backend app
backend app
  server east1 127.0.0.1:{east.port} check inter 100ms
  server west1 127.0.0.1:{west.port} check inter 100ms disabled
backend other
  server east1 127.0.0.1:{east.port}
""")
        self.process = subprocess.Popen(["haproxy", "-db", "-f", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.ask() == "east", why="it passes on")

    def ask(self, path="/", timeout=5):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            c.request("GET", path)
            r = c.getresponse()
            return r.read().decode() if r.status == 200 else r.status
        finally:
            c.close()

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def world(tmp_path):
    w = type("World", (), {})()
    w.east, w.west = Backend("east"), Backend("west")
    w.all = [Haproxy(str(tmp_path), "one", w.east, w.west, False), Haproxy(str(tmp_path), "two", w.east, w.west, True)]
    w.path = str(tmp_path / "actions.ini")
    with open(w.path, "w", encoding="utf-8") as f:
        for step in ("fence", "warm", "switch"):
            f.write(f"[action {step}]\ntype = haproxy\nservice = app\nstep = {step}\n"
                    f"sockets = {' '.join(h.socket for h in w.all)}\nservers = east=app/east1 west=app/west1\n")
        f.write(f"[action wrong]\ntype = haproxy\nservice = app\nstep = switch\nsockets = {w.all[0].socket}\n"
                "servers = east=app/nobody west=nowhere/west1\n")

    def run(action, op, **keys):
        argv = [os.path.join(BUILD, "tests", "action_tool"), w.path, action, op] + [f"{k}={v}" for k, v in keys.items()]
        out = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert out.returncode == 0, out.stderr
        return json.loads(out.stdout)
    w.run = run
    yield w
    for h in w.all:
        h.stop()


def test_a_move_and_back(world):
    assert world.run("switch", "precheck")["class"] == "ok"
    assert world.run("fence", "probe")["class"] == "not_applied"
    # a request is under way when the fence comes
    ended = []

    def slow():
        try:
            ended.append(world.all[0].ask("/slow", 40))
        except (OSError, http.client.HTTPException) as e:
            ended.append(e)
    t = threading.Thread(target=slow)
    t.start()
    time.sleep(0.5)
    r = world.run("fence", "apply")
    assert r["class"] == "ok", r
    t.join(10)
    assert ended and ended[0] != "east"  # cut off, and not half a minute later
    assert [h.ask() for h in world.all] == [503, 503]
    assert world.run("fence", "apply")["class"] == "already"
    assert world.run("fence", "probe")["found"] == "1.100"
    wait_for(lambda: world.run("warm", "apply")["class"] in ("ok", "already"), why="checks pass in the west")
    assert [h.ask() for h in world.all] == [503, 503]  # checked, and no traffic yet
    r = world.run("switch", "apply")
    assert r["class"] == "ok", r
    assert [h.ask() for h in world.all] == ["west", "west"]
    assert world.run("switch", "probe")["class"] == "ok"
    assert world.run("fence", "probe")["class"] == "ok"  # the switch does not soften the fence
    r = world.run("switch", "apply", token="1.99")
    assert (r["class"], r["found"]) == ("conflict", "1.100"), r
    assert world.run("switch", "undo")["class"] == "ok"
    assert [h.ask() for h in world.all] == ["east", "east"]


def test_a_switch_to_nobody(world):
    world.west.server.shutdown()
    world.west.server.server_close()
    r = world.run("warm", "apply")
    assert r["class"] == "progress" and "no server of west is up" in r["text"], r


def test_what_does_not_answer(world):
    world.all[1].stop()
    r = world.run("switch", "apply")
    assert r["class"] == "retry" and "no connection" in r["text"], r
    assert world.all[0].ask() == "east"  # all are asked before any is told
    r = world.run("wrong", "precheck")
    assert r["class"] == "denied" and "app/nobody" in r["text"], r


def test_a_load_balancer_that_stands_still(world, tmp_path):
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen()
    with open(world.path, "a", encoding="utf-8") as f:
        f.write(f"[action silent]\ntype = haproxy\nservice = app\nstep = switch\n"
                f"sockets = 127.0.0.1:{silent.getsockname()[1]}\nservers = east=app/east1 west=app/west1\n")
    began = time.monotonic()
    r = world.run("silent", "apply", deadline_ms=1000)
    assert r["class"] == "retry" and "within the time" in r["text"], r  # it asked first
    assert time.monotonic() - began < 15
