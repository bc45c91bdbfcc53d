"""Two aggregators that see the same alert: one speaks; cut off from each other both do, with one dedup key; healed, one."""
import selectors
import socket
import threading

import pytest

import support
from hook import Hook

RULE = ("alert errors", {"metric": "requests_total", "match": "code=500", "by": "service region", "statistic": "rate",
                         "window": "1m", "above": "0.3", "severity": "critical"})


class Wire:
    """A way to a port of this machine that can be cut."""

    def __init__(self, port):
        self.to, self.whole, self.over = port, True, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while not self.over:
            try:
                a, _ = self.listener.accept()
            except OSError:
                return
            if not self.whole:
                a.close()
                continue
            try:
                b = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                a.close()
                continue
            self.pairs.append((a, b))
            threading.Thread(target=self.carry, args=(a, b), daemon=True).start()

    @staticmethod
    def carry(a, b):
        with selectors.DefaultSelector() as s:
            s.register(a, selectors.EVENT_READ, b)
            s.register(b, selectors.EVENT_READ, a)
            try:
                while True:
                    for key, _ in s.select():
                        data = key.fileobj.recv(65536)
                        if not data:
                            return
                        key.data.sendall(data)
            except (OSError, ValueError):
                pass
            finally:
                a.close()
                b.close()

    def cut(self):
        self.whole = False
        for a, b in self.pairs:
            for s in (a, b):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.pairs.clear()

    def heal(self):
        self.whole = True

    def close(self):
        self.over = True
        self.cut()
        self.listener.close()


class Two:
    """East and west, each with an agent that says the same of region us-east-1, and a hook each."""

    def __init__(self, tmp_path, ca, started):
        ports = {"east": support.free_port(), "west": support.free_port()}
        regions = {"east": "us-east-1", "west": "us-west-2"}
        self.wires = {n: Wire(p) for n, p in ports.items()}
        self.hooks = {n: Hook() for n in ports}
        self.at, self.agents = {}, {}
        for name, other in (("east", "west"), ("west", "east")):
            sections = [RULE, ("receiver hook", {"type": "webhook", "url": self.hooks[name].url}),
                        ("route all", {"receivers": "hook", "wait": "0s", "interval": "1s", "group_by": "alertname service"}),
                        ("notify", {"peer_wait": "20s", "peer_lost": "12s"}),
                        (f"peer {other}", {"url": f"https://localhost:{self.wires[other].port}", "region": regions[other],
                                           "ca": f"{ca}/ca.pem", "cert": f"{ca}/role-peer.pem", "key": f"{ca}/role-peer.key"})]
            self.at[name] = support.Aggregator(tmp_path, ca, sections=sections, name=name, ingest_port=ports[name],
                                               aggregator={"region": regions[name]})
            started.append(self.at[name])
            self.at[name].start()
        for name, agent in (("east", "web-1"), ("west", "web-2")):
            self.agents[name] = support.Agent(tmp_path, ca, [self.at[name].endpoint], name=agent, ship={"batch": "1s"})
            started.append(self.agents[name])
            self.agents[name].start()
        self.over = threading.Event()
        self.services = {}
        threading.Thread(target=self.load, daemon=True).start()

    def load(self):
        while not self.over.wait(0.5):
            for service in list(self.services):
                for a in self.agents.values():
                    a.statsd(*[f"requests:1|c|#service:{service},code:500"] * 2)

    def up(self, name):
        return {r["region"]: r["up"] for r in self.at[name].api("regions")["regions"] if not r["own"]}

    def firing(self, name, service):
        return any(a["labels"].get("service") == service and a["state"] == "firing"
                   for a in self.at[name].api("alerts")["alerts"])

    def told(self, name, service):
        return [m for m in self.hooks[name].messages("trigger")
                if any(a["labels"].get("service") == service for a in m["alerts"])]

    def close(self):
        self.over.set()
        for x in (*self.wires.values(), *self.hooks.values()):
            x.close()


@pytest.fixture
def two(tmp_path, ca, started):
    t = Two(tmp_path, ca, started)
    yield t
    t.close()


def test_who_speaks(two):
    for name, other in (("east", "us-west-2"), ("west", "us-east-1")):
        support.wait_for(lambda n=name, o=other: two.up(n) == {o: True}, 30)
    # the page is made anew each second
    support.wait_for(lambda: two.at["east"].metrics()['securebase_peer_up{peer="west",region="us-west-2"}'] == 1, 20)
    page = two.at["east"].metrics()
    assert abs(page['securebase_peer_skew_seconds{peer="west",region="us-west-2"}']) < 5

    # both see it; the region's own aggregator tells it, and the other hears that it did
    two.services["one"] = True
    support.wait_for(lambda: two.firing("east", "one") and two.firing("west", "one"), 40)
    support.wait_for(lambda: two.told("east", "one"), 20)
    support.wait_for(lambda: two.at["west"].api("regions")["regions"][1]["told"] >= 1, 20)
    assert not two.told("west", "one")

    # cut: nobody knows of the other, so both tell, with one key
    for w in two.wires.values():
        w.cut()
    support.wait_for(lambda: two.up("east") == {"us-west-2": False} and two.up("west") == {"us-east-1": False}, 40)
    two.services["two"] = True
    support.wait_for(lambda: two.told("east", "two") and two.told("west", "two"), 60)
    assert two.told("east", "two")[0]["dedup_key"] == two.told("west", "two")[0]["dedup_key"]

    # healed: one speaks
    for w in two.wires.values():
        w.heal()
    support.wait_for(lambda: two.up("east") == {"us-west-2": True} and two.up("west") == {"us-east-1": True}, 60)
    two.services["three"] = True
    support.wait_for(lambda: two.firing("west", "three") and two.told("east", "three"), 60)
    support.wait_for(lambda: two.at["west"].api("regions")["regions"][1]["heard_seconds"] < 5, 20)
    assert not two.told("west", "three")

    # the speaker dies: the other tells what it has not told
    two.at["east"].kill()
    two.services["four"] = True
    support.wait_for(lambda: two.told("west", "four"), 90)


def test_a_stranger_is_no_peer(aggregator, ca):
    a = aggregator()
    import http.client
    import ssl
    for name, status in (("agent-web-1", 403), ("role-peer", 200)):
        context = ssl.create_default_context(cafile=f"{ca}/ca.pem")
        context.load_cert_chain(f"{ca}/{name}.pem", f"{ca}/{name}.key")
        c = http.client.HTTPSConnection("localhost", a.ingest_port, context=context, timeout=20)
        c.request("POST", "/v1/peer", b"{}", {"Content-Type": "application/json"})
        assert c.getresponse().status == status
        c.close()
    support.wait_for(lambda: a.metrics()["securebase_peer_strange_words_total"] == 1, 10)
