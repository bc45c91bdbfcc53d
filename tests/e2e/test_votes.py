"""Evidence from the real programs: a region dies, and those outside of it say so, each by what it sees itself, and hear it
of each other; whose own network is ill says nothing."""
import http.server
import json
import shutil
import threading
import time

import support

REGIONS = {"east": "us-east-1", "west": "us-west-2", "eye": "eu-west-1"}


class Site(http.server.ThreadingHTTPServer):
    """Answers GET on a port of this machine until it is closed."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"ok\n")

        def log_message(self, *args):
            pass

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class Cluster:
    """An aggregator in each of two regions and a witness in a third, which vote on one service."""

    def __init__(self, tmp_path, ca, started, **failover):
        self.sites = {n: Site() for n in ("east", "west", *(f"{a}-{c}" for a in REGIONS for c in ("one", "two", "three")))}
        ports = {n: support.free_port() for n in REGIONS}
        self.at = {}
        for name, region in REGIONS.items():
            sections = [(f"voter {n}", {"region": r, "leads": "yes" if n == "west" else "no"}) for n, r in REGIONS.items()]
            sections += [(f"canary {c}", {"url": self.sites[f"{name}-{c}"].url}) for c in ("one", "two", "three")]
            sections += [(f"peer {n}", {"url": f"https://localhost:{ports[n]}", "region": r, "ca": f"{ca}/ca.pem",
                                        "cert": f"{ca}/role-peer.pem", "key": f"{ca}/role-peer.key"})
                         for n, r in REGIONS.items() if n != name]
            sections.append(("failover app", {"regions": "us-east-1 us-west-2", "probes": " ".join(
                f"{REGIONS[n]}={self.sites[n].url}/health" for n in ("east", "west")), "boot": "5s", **failover}))
            self.at[name] = support.Aggregator(tmp_path, ca, sections=sections, name=name, ingest_port=ports[name], aggregator={
                "region": region, "voter": name, "role": "witness" if name == "eye" else "full"})
            started.append(self.at[name])
            self.at[name].start()

    def verdict(self, name, region):
        """As the page says, made anew each second."""
        page = self.at[name].metrics()
        return [v for v in ("unknown", "up", "degraded", "down")
                if page[f'securebase_region_health{{region="{region}",service="app",verdict="{v}"}}'] == 1][0]

    def service(self, name):
        return self.at[name].api("failover")["services"][0]

    def close(self):
        for s in self.sites.values():
            s.close()


def test_a_region_dies(tmp_path, ca, started):
    c = Cluster(tmp_path, ca, started)
    try:
        for name in REGIONS:
            for region in ("us-east-1", "us-west-2"):
                support.wait_for(lambda n=name, r=region: c.verdict(n, r) == "up", 60, why=f"{name} sees {region}")
        support.wait_for(lambda: c.at["west"].metrics()['securebase_failover_quorum{service="app"}'] == 1, 20)
        voters = {r["region"]: r.get("voter") for r in c.at["west"].api("regions")["regions"]}
        assert voters["eu-west-1"] == "eye" and voters["us-east-1"] == "east"

        began = time.monotonic()
        c.at["east"].kill()
        c.sites.pop("east").close()
        for name in ("west", "eye"):
            support.wait_for(lambda n=name: c.verdict(n, "us-east-1") == "down", 30, why=f"{name} sees it dead")
            print(f"{name}: down after {time.monotonic() - began:.1f} s")
            assert c.verdict(name, "us-west-2") == "up"
        # the decider has heard both
        support.wait_for(lambda: c.service("west")["state"] in ("CONFIRM", "GATE", "BLOCKED"), 30, why="both are heard")
        print(f"west: {c.service('west')['state']} after {time.monotonic() - began:.1f} s")

        # the witness's own network: it says nothing, and without a majority nobody is sure
        for k in ("eye-one", "eye-two"):
            c.sites.pop(k).close()
        support.wait_for(lambda: c.at["eye"].metrics()['securebase_voter_self_ok{service="app"}'] == 0, 30)
        assert c.verdict("eye", "us-east-1") == "unknown"
        support.wait_for(lambda: c.at["west"].metrics()['securebase_failover_quorum{service="app"}'] == 0, 30)
        # a vote counts only from where its voter stands, and only if it can be read
        west = c.at["west"]
        for extra in ({"voter": "east", "boot": "1"}, {"voter": "eye", "boot": "none"}):
            word = {"region": "eu-west-1", "sent": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "failover": [], **extra}
            status, _ = support.post(ca, west.ingest_port, "/v1/peer", "role-peer", json.dumps(word), "application/json")
            assert status == 200
        support.wait_for(lambda: west.metrics()["securebase_peer_strange_votes_total"] == 2, 20)
        evidence = c.service("eye")["evidence"]
        assert not evidence["self_ok"] and [k["good"] for k in evidence["canaries"]].count(False) == 2
    finally:
        c.close()


def test_a_voter_starts_while_a_region_is_dead(tmp_path, ca, started):
    """It has not heard the dead one itself. What a process before it has stored tells it that there was somebody; of one that
    nobody ever heard it says nothing, however its probes fail."""
    c = Cluster(tmp_path, ca, started, probe_interval="1s")
    try:
        support.wait_for(lambda: c.verdict("eye", "us-east-1") == "up", 60)
        support.wait_for(lambda: c.at["eye"].metrics()['securebase_peer_up{peer="east",region="us-east-1"}'] == 1, 20)
        c.at["east"].kill()
        c.sites.pop("east").close()
        support.wait_for(lambda: c.verdict("eye", "us-east-1") == "down", 30)
        c.at["eye"].stop()
        c.at["eye"].start()
        support.wait_for(lambda: c.verdict("eye", "us-east-1") == "down", 60)

        c.at["west"].stop()
        shutil.rmtree(c.at["west"].state)  # as if it were new
        c.at["west"].start()
        support.wait_for(lambda: c.verdict("west", "us-west-2") == "up", 60)
        time.sleep(25)  # twice as long as it takes to miss somebody
        assert c.verdict("west", "us-east-1") == "degraded"
    finally:
        c.close()
