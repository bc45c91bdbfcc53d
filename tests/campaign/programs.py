"""What of SecureBase stands in the regions of a lab: aggregators that look, vote and lead, agents with guards; and what they
say. The values of detection, confirmation, lease and fence are the defaults of the programs: no option names them here.
SCALED holds the others, which would only make a run long.
"""
import json
import os
import subprocess
import time

from box import run
from lab import PLACE_OF, PORT, REGIONS, TOP
from servers import TSIG_SECRET, wait_for

BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
SERVICE = "app"
SCALED = {  # production value in the comment
    "hold": "10s",            # 30m
    "target_up": "10s",       # 10m
    "failback_green": "10s",  # 60m
    "up_after": "10s",        # 120s: age of a region that was down
    "probe_successes": "4",   # 20: the same
    "budget_day": "100",      # 1
    "budget_week": "100",     # 2
    "validate": "5s",         # 3m
}
PREFIX = "/securebase/lab"


def ini(sections):
    lines = []
    for name, options in sections:
        lines += [f"[{name}]"] + [f"{k} = {v}" for k, v in options.items() if v is not None] + [""]
    return "\n".join(lines)


class Programs:
    def __init__(self, lab, automation="auto", build=BUILD, scaled=None, extra=()):
        self.lab, self.automation, self.build = lab, automation, build
        self.scaled, self.extra = dict(SCALED, **(scaled or {})), extra
        self.ca = lab.ca
        self.env = {}  # by place: for the clock
        lab.programs = self

    # ---- configuration ----

    def certificates(self):
        run("sh", f"{TOP}/packaging/devca.sh", self.ca, "role:peer",
            *(f"agent:{self.agent(p)}" for p in (self.lab.east, self.lab.west)))

    @staticmethod
    def agent(place):
        return f"db-{place.name}"

    def aggregator_ini(self, place):
        lab, ca = self.lab, self.ca
        client = {"ca": f"{ca}/ca.pem", "cert": f"{ca}/role-peer.pem", "key": f"{ca}/role-peer.key"}
        both = (lab.east, lab.west)
        nearest = sorted(lab.etcd.endpoints, key=lambda e: place.address not in e)
        regions = " ".join(REGIONS[p.name] for p in both)
        hosts = " ".join(f"{REGIONS[p.name]}=postgresql://securebase@{p.address}:5432/app" for p in both)
        postgres = {"type": "postgresql", "service": SERVICE, "hosts": hosts,
                    "synchronous": " ".join(f"{REGIONS[p.name]}={p.name}" for p in both) if lab.synchronous else None,
                    "clear_synchronous": "yes"}
        sections = [
            ("aggregator", {"region": REGIONS[place.name], "state_dir": f"{place.folder}/aggregator", "voter": place.name,
                            "role": "witness" if place is lab.eu else "full"}),
            ("ingest", {"listen": f"{place.address}:9870", "auth": "mtls", "ca": f"{ca}/ca.pem", "cert": f"{ca}/server.pem",
                        "key": f"{ca}/server.key"}),
            ("http", {"listen": "127.0.0.1:9871", "socket": f"{place.folder}/ctl.sock"}),
            ("coordination", {"type": "etcd", "endpoints": " ".join(nearest), "prefix": PREFIX, "ca": f"{ca}/ca.pem"}),
            ("slo checkout", {"kind": "availability", "good": "requests_total", "good_match": "service=checkout code=200",
                              "total": "requests_total", "total_match": "service=checkout", "by": "region",
                              "objective": "99%"}),
            (f"failover {SERVICE}", {
                "regions": regions, "automation": self.automation, "users": "checkout", "database": "lag",
                "probes": " ".join(f"{REGIONS[p.name]}=http://{p.address}:{PORT}/health" for p in both),
                "guards": " ".join(f"{REGIONS[p.name]}={self.agent(p)}/{SERVICE}" for p in both), **self.scaled}),
            ("action lag", dict(postgres, step="gate")),
            ("action caught-up", dict(postgres, step="catchup", on="switchover drill")),
            ("action promote", dict(postgres, step="promote", timeout="30s", patience="2m")),
            ("action write-test", dict(postgres, step="test")),
            ("action name", {**lab.names.action(f"{self.ca}/tsig"), "service": SERVICE, "step": "switch",
                             "values": " ".join(f"{REGIONS[p.name]}={p.address}" for p in both)}),
        ]
        sections += [(f"voter {p.name}", {"region": REGIONS[p.name], "leads": "no" if p is lab.eu else None})
                     for p in lab.etcd.places]
        sections += [(f"canary c{i}", {"url": f"tcp://{a}:7"}) for i, a in enumerate(lab.out.more)]
        sections += [("canary dns", {"url": f"tcp://{lab.names.addresses[0]}:53"})]
        sections += [(f"peer {p.name}", dict(client, url=f"https://{p.address}:9870", region=REGIONS[p.name]))
                     for p in lab.etcd.places if p is not place]
        return ini(sections + list(self.extra))

    def agent_ini(self, place):
        lab, ca = self.lab, self.ca
        endpoints = [place, lab.other(place), lab.eu]
        urls = " ".join(f"https://{p.address}:9870" for p in endpoints)
        tls = {"ca": f"{ca}/ca.pem", "cert": f"{ca}/agent-{self.agent(place)}.pem", "key": f"{ca}/agent-{self.agent(place)}.key"}
        return ini([
            ("agent", {"id": self.agent(place), "region": REGIONS[place.name], "env": "lab", "interval": "1s",
                       "state_dir": f"{place.folder}/agent", "socket": f"{place.folder}/agent.sock"}),
            ("ship", dict(tls, endpoints=urls, batch="2s")),
            ("statsd", {"listen": "udp://127.0.0.1:8125"}),
            (f"guard {SERVICE}", dict(self.guard(place), service=SERVICE, endpoints=urls)),
        ])

    def guard(self, place):
        database = self.lab.databases[place.name]
        return {"postgresql": database.data, "postgresql_hba": database.hba, "postgresql_keep": "securebase",
                "lease_file": f"{place.folder}/lease"}

    def write(self):
        self.certificates()
        for path, text in ((f"{self.ca}/tsig", TSIG_SECRET), ):
            with open(path, "w", encoding="ascii") as f:
                os.fchmod(f.fileno(), 0o600)
                f.write(text)
        for p in self.lab.etcd.places:
            self.file(f"{p.folder}/aggregator.ini", self.aggregator_ini(p))
        for p in (self.lab.east, self.lab.west):
            self.file(f"{p.folder}/agent.ini", self.agent_ini(p))

    @staticmethod
    def file(path, text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    # ---- starting ----

    def start_aggregator(self, place):
        return place.start("aggregator", [f"{self.build}/securebase-aggregator", "-c", f"{place.folder}/aggregator.ini"],
                           env=self.env.get(place.name), slow=True)

    def start_agent(self, place):
        return place.start("agent", [f"{self.build}/securebase-agent", "-c", f"{place.folder}/agent.ini"])

    def start(self):
        self.write()
        for p in self.lab.etcd.places:
            self.start_aggregator(p)
        # a guard stops what nobody confirms: it comes when there is a record, 60 s after the first aggregators
        wait_for(self.record, 120, "there is a record", every=0.5)
        for p in (self.lab.east, self.lab.west):
            self.start_agent(p)

    def revive(self, place):
        """What an init system would start again."""
        if place in self.lab.etcd.places and not place.programs["aggregator"].alive():
            self.start_aggregator(place)
        if place is not self.lab.eu and not place.programs["agent"].alive():
            self.start_agent(place)

    # ---- what they say ----

    def sbctl(self, place, *argv, timeout=20):
        return subprocess.run([f"{self.build}/sbctl", "--socket", f"{place.folder}/ctl.sock", *argv], capture_output=True,
                              text=True, check=False, timeout=timeout)

    def record(self):
        """The committed record, as etcd has it; None when nobody answers. Its plan's lines stand below "plan"."""
        out = self.lab.etcd.ctl(self.lab.out, "get", f"{PREFIX}/{SERVICE}/record", "--print-value-only", check=False)
        if not out.stdout.startswith("securebase-failover-record"):
            return None
        r, plan, actions = {"epoch": 0, "status": "steady"}, {}, {}
        for line in out.stdout.splitlines():
            key, _, value = line.partition(" ")
            value = int(value) if value.lstrip("-").isdigit() else value
            if key == "action":
                name, phase, tries = value.split(" ")
                actions[name] = {"phase": phase, "tries": int(tries)}
            elif key.startswith("plan."):
                plan[key[5:]] = value
            else:
                r[key] = value
        return dict(r, plan=plan, actions=actions)

    def leader(self):
        """The place whose aggregator leads; None."""
        out = self.lab.etcd.ctl(self.lab.out, "get", f"{PREFIX}/{SERVICE}/leader", "--print-value-only", check=False)
        name = out.stdout.split(" ")[0].strip()
        return getattr(self.lab, name) if name in REGIONS else None

    def writer(self):
        r = self.record()
        return getattr(self.lab, PLACE_OF[r["writer"]]) if r and r.get("writer") in PLACE_OF else None

    def wait_steady(self, place, seconds=180):
        """Until the record says that `place` is active and writes, nothing is under way, and all voters are heard."""
        def steady():
            r = self.record()
            return r and r["active"] == r["writer"] == REGIONS[place.name] and r["status"] == "steady"
        wait_for(steady, seconds, f"{place.name} is steady", every=0.5)
        return time.monotonic()

    def failback(self, home):
        return self.order(home, "failback", SERVICE, "--reason", "rebuilt")

    def start_move(self, to):
        return self.order(to, "start", SERVICE, "--to", REGIONS[to.name], "--reason", "users are hurt")

    def order(self, to, *words):
        """An order of `sbctl failover`, given where somebody takes it."""
        said = None
        for p in (self.lab.other(to), to, self.lab.eu):
            said = self.sbctl(p, "failover", *words)
            if said.returncode == 0:
                break
        return said

    def wait_able(self, target, seconds=240):
        """Until nothing but the good health of the active region stands in the way of a failover to `target`, as the leader
        sees it."""
        def gates():
            leader = self.leader() or self.lab.eu
            out = self.sbctl(leader, "--json", "failover", "plan", SERVICE, "--to", REGIONS[target.name])
            said = json.loads(out.stdout)
            said = said.get("plan", said)
            stand = {b["reason"] for b in said["blockers"]} - {"not_down"}
            if stand:
                raise RuntimeError(" ".join(sorted(stand)))
            return True
        wait_for(gates, seconds, f"{target.name} could take over", every=1)
