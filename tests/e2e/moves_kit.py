"""A service in two regions whose outside is two files: which region writes, and to which users are sent. Its actions are a
command that keeps a diary of everything it was asked."""
import json
import os
import socket
import threading

import support

COMMAND = '''#!/usr/bin/python3
import json, os, signal, sys
folder, name = sys.argv[1:3]
order = json.load(sys.stdin)
op, to, back = order["op"], order["to"], order["from"]
state = os.path.join(folder, name)
now = open(state).read() if os.path.exists(state) else back
if name == "fence":  # what is fenced is the old region
    want, was = "fenced " + back, "free"
    now = open(state).read() if os.path.exists(state) else "free"
else:
    want, was = to, back

def diary(what):
    with open(os.path.join(folder, "diary"), "a") as f:
        f.write(json.dumps({"name": name, "op": op, "what": what, "epoch": order["epoch"], "token": order["token"],
                            "key": order["key"]}) + "\\n")

def put(text):
    with open(state + ".new", "w") as f:
        f.write(text)
    os.rename(state + ".new", state)

def maybe_kill(when):
    """The controller dies at the nth operation of a plan, before or after its effect."""
    try:
        wanted, n = open(os.path.join(folder, "kill")).read().split()
    except OSError:
        return
    if wanted != when or op == "precheck" or order["plan"] == "dry":
        return
    count = os.path.join(folder, "count")
    at = int(open(count).read()) + 1 if os.path.exists(count) else 1
    open(count, "w").write(str(at))
    if at == int(n):
        os.unlink(os.path.join(folder, "kill"))
        diary("kills the controller")
        os.kill(os.getppid(), signal.SIGKILL)

answer = os.path.join(folder, "answer-" + name + "-" + op)
diary("asked")
maybe_kill("before")
if os.path.exists(answer):
    said = open(answer).read()
elif op == "precheck":
    said = "ok"
elif op in ("probe", "verify"):
    said = "ok" if now == want else "not_applied"
else:
    said = "already" if now == (want if op == "apply" else was) else "ok"
    if said == "ok":
        put(want if op == "apply" else was)
        diary("done")
maybe_kill("after")
print(json.dumps({"class": said, "text": op + ": it is " + now, "seen": now, "writable": name == "promote" and now == want}))
'''


# For plans that are run again and again: everybody makes up his mind at once.
QUICK = {"probe_fast": "200ms", "probe_timeout": "500ms", "probe_successes": "1", "up_after": "0s", "boot": "1s",
         "suspect_clear": "1s", "hold": "1s", "validate": "500ms"}


class Door:
    """Something that answers connections, or does not."""

    def __init__(self):
        self.port = support.free_port()
        self.socket = None
        self.open()

    def open(self):
        if self.socket:
            return
        s = self.socket = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", self.port))
        s.listen(64)

        def answer():
            while True:
                try:
                    s.accept()[0].close()
                except OSError:
                    return
        threading.Thread(target=answer, daemon=True).start()

    def shut(self):
        if self.socket:
            self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()
            self.socket = None


class Outside:
    def __init__(self, folder):
        self.folder = os.path.join(str(folder), "outside")
        os.makedirs(self.folder)
        self.command = os.path.join(self.folder, "command")
        with open(self.command, "w", encoding="utf-8") as f:
            f.write(COMMAND)
        os.chmod(self.command, 0o755)
        self.doors = {"us-east-1": Door(), "us-west-2": Door()}

    def close(self):
        for d in self.doors.values():
            d.shut()

    def read(self, name):
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.write(text)

    def forget(self, *names):
        for n in names:
            try:
                os.unlink(os.path.join(self.folder, n))
            except FileNotFoundError:
                pass

    def diary(self):
        return [json.loads(line) for line in self.read("diary").splitlines()]

    def done(self):
        """Effects in order: ("fence", "apply"), …"""
        return [(d["name"], d["op"]) for d in self.diary() if d["what"] == "done"]

    def sections(self, service="app"):
        words = f"{self.command} {self.folder} "
        probes = " ".join(f"{r}=tcp://127.0.0.1:{d.port}" for r, d in self.doors.items())
        return [
            (f"failover {service}", {
                "regions": "us-east-1 us-west-2", "probes": probes, "probe_interval": "1s", "probe_fast": "500ms",
                "probe_timeout": "1s", "probe_successes": "3", "up_after": "2s", "boot": "2s", "target_up": "0s",
                "confirm": "3s", "suspect_clear": "2s", "hold": "3s", "validate": "1s", "failback_green": "0s",
                "lock_delay": "0s", "retry": "100ms", "public": "yes"}),
            ("action fence", {"type": "command", "service": service, "step": "fence", "proves": "yes",
                              "command": words + "fence"}),
            ("action promote", {"type": "command", "service": service, "step": "promote", "command": words + "promote"}),
            ("action dns", {"type": "command", "service": service, "step": "switch", "command": words + "dns"}),
        ]


LAG = """#!/bin/sh
cat > /dev/null
echo '{"class": "ok", "text": "follows", "lag_ms": 0, "lag_age_ms": 0, "receiving": true}'
"""


def everything(outside, agent="web-1"):
    """Sections of an aggregator at home (voter east, region us-east-1) with all that there is of failover: actions, the guard
    `app` on an agent, a lag that is read, a canary, drills."""
    lag = os.path.join(outside.folder, "lag-of")
    with open(lag, "w", encoding="utf-8") as f:
        f.write(LAG)
    os.chmod(lag, 0o755)
    sections = [s for s in outside.sections() if s[0] != "action fence"]
    sections = change(sections, "failover app", guards=f"us-east-1={agent}/app", database="lag", fence_required="no")
    return [("voter east", {"region": "us-east-1"}), ("canary door", {"url": f"tcp://127.0.0.1:{outside.doors['us-west-2'].port}"}),
            *sections,
            ("action lag", {"type": "command", "service": "app", "step": "gate", "figures": "yes", "command": lag}),
            ("drill hourly", {"service": "app", "schedule": "5 * * * *"}), ("drill monthly", {"service": "app", "kind": "full"})]


GUARD = ("guard app", {"service": "app", "command": "/bin/true", "interval": "1s"})


def change(sections, name, **values):
    """The sections with other values in one of them."""
    return [(n, dict(v, **values) if n == name else v) for n, v in sections]


def status(aggregator, service="app"):
    return [s for s in aggregator.api("failover")["services"] if s["service"] == service][0]


def state(aggregator, service="app"):
    return status(aggregator, service)["state"]


def wait_state(aggregator, *states, seconds=30):
    support.wait_for(lambda: state(aggregator) in states, seconds, why=f"{states}")


def wait_ready(aggregator, kind="switchover", seconds=40):
    """Until nothing stands in the way of a move."""
    def possible():
        code, _, body = support.get(f"{aggregator.url}/api/v1/failover/app/plan?kind={kind}")
        return code == 200 and json.loads(body)["possible"]
    support.wait_for(possible, seconds, why="a move is possible")


def ask(aggregator, *args):
    """What sbctl prints."""
    return support.sbctl(aggregator, *args).stdout
