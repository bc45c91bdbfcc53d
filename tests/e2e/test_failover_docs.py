"""The pages on failover against the real programs: the table of reasons against the source, every command that a page tells people to
type, and what the runbook says they print, state by state.

FAILOVER_PAGE=write writes the table of reasons in docs/failover.md anew.
"""
import os
import re
import shlex
import subprocess

import moves_kit
import pytest
import support
from etcds import Cluster
from moves_kit import change, state, status, wait_ready, wait_state
from support import sbctl
from test_docs import commands

PAGES = ["failover", "DISASTER_RECOVERY_PLAN", "DR_RUNBOOK", "FAILBACK_PROCEDURE", "evidence", "coordination", "guard", "actions",
         "postgresql", "runbooks/failover"]
# What a page leaves to its reader.
PLACEHOLDERS = {"SERVICE": "app", "REGION": "us-west-2", "TEXT": "because", "SECONDS": "60", "DRILL": "monthly", "NAME": "checkout",
                "ACTION": "dns", "YYYY-MM": "2026-11", "N": "1", "FINGERPRINT": "0123456789abcdef", "ALERT": "failover-critical"}
ORDERS = {"start", "switchover", "failback", "approve", "abort", "resume", "retry-step", "skip-step", "ack", "lock", "unlock",
          "must-not", "maintenance", "automation", "fence", "unfence", "break-glass"}


def page(name):
    with open(os.path.join(support.TOP, "docs", name + ".md"), encoding="utf-8") as f:
        return f.read()


def words(command):
    command = command.split(" > ")[0].split(" | ")[0]
    return [PLACEHOLDERS.get(w, w) for w in shlex.split(command)[1:]]


def is_order(args):
    return args[0] == "failover" and len(args) > 1 and args[1] in ORDERS or args[0] == "drill" and args[1:2] in (["run"], ["abort"])


# ---- reasons ----

def source(file):
    with open(os.path.join(support.TOP, "aggregator/failover", file), encoding="utf-8") as f:
        return f.read()


def reasons():
    """[(name, text, command, overruled)] in the order of the source."""
    asked = source("core_gate.c").split("asked_away =", 1)[1].split(";", 1)[0]
    overruled = set(re.findall(r"FO_BIT\((FO_R_\w+)\)", asked))
    found = re.findall(r'\[(FO_R_\w+)\] = \{((?:\s*"[^"]*",?)+)\}', source("names.c"))
    out = []
    for key, strings in found:
        name, text, command = re.findall(r'"([^"]*)"', strings) if strings.count('"') == 6 else joined(strings)
        out.append((name, text, command, key in overruled))
    return out[1:]


def joined(strings):
    """Adjacent literals are one."""
    return re.findall(r'"([^"]*)"', re.sub(r'"\s+"', "", strings))


def test_the_reasons_of_the_page_are_those_of_the_source():
    rows = ["| reason | meaning | what helps | asked |", "|---|---|---|---|"]
    for name, text, command, overruled in reasons():
        rows.append(f"| `{name}` | {text} | {f'`{command}`' if command else ''} | {'overruled' if overruled else ''} |")
    table = "\n".join(rows) + "\n"
    assert len(rows) > 45
    text = page("failover")
    before, _, rest = text.partition("<!-- reasons: begin -->\n")
    kept, _, after = rest.partition("<!-- reasons: end -->")
    if os.environ.get("FAILOVER_PAGE") == "write":
        with open(os.path.join(support.TOP, "docs/failover.md"), "w", encoding="utf-8") as f:
            f.write(before + "<!-- reasons: begin -->\n" + table + "<!-- reasons: end -->" + after)
        return
    assert kept == table, "FAILOVER_PAGE=write mends it"


def test_every_reason_a_runbook_reader_may_meet_is_told():
    """Reasons of gates and of plans that are stuck; those that answer commands alone explain themselves."""
    told = set(re.findall(r"`(\w+)`", page("DR_RUNBOOK") + page("FAILBACK_PROCEDURE")))
    missing = {r[0] for r in reasons()} - told - {"one_region", "busy", "no_plan", "too_late", "invalid", "cap", "blocking_alarm", "window"}
    assert not missing


def test_every_state_is_in_the_runbook():
    states = re.findall(r'\[FO_S_\w+\] = \{"(\w+)"', source("names.c"))
    moving = {"PREPARE", "FENCE", "CATCHUP", "LASTLOOK", "PROMOTE", "WARM", "TEST", "SWITCH", "VALIDATE", "TIDY"}
    missing = [s for s in states if s not in moving and not re.search(rf"\b{s}\b", page("DR_RUNBOOK"))]
    assert len(states) == 23 and not missing


# ---- commands ----

@pytest.fixture
def outside(tmp_path):
    o = moves_kit.Outside(tmp_path)
    yield o
    o.close()


def test_every_command_is_one(tmp_path, ca, started, outside):
    """Whatever comes of it in the state that the service is in: it is understood, and its parameters are ones that exist."""
    sections = [("voter west", {"region": "us-west-2"})] + outside.sections()
    sections += [("drill monthly", {"service": "app", "kind": "full"}),
                 ("receiver book", {"type": "log"}), ("route all", {"receivers": "book"}),
                 ("rota primary", {"people": "ada=book", "start": "2026-01-05", "zone": "UTC"})]
    west = support.Aggregator(tmp_path, ca, sections=sections, name="west", aggregator={"region": "us-west-2", "voter": "west"})
    started.append(west)
    west.start()
    wait_ready(west)
    for name in ("east.ndjson", "west.ndjson"):
        (tmp_path / name).write_text(sbctl(west, "journal", "export").stdout, encoding="utf-8")
    asked = {}
    for name in PAGES:
        text = page(name).replace("\n$ sbctl ", "\nsbctl ")
        for c in commands(text):
            if not c.startswith("sbctl failover:"):  # what it says
                asked.setdefault(c, name)
    for _, _, command, _ in reasons():
        if command:
            asked.setdefault(command, "names.c")
    assert len(asked) > 60
    bad = []
    for command, name in asked.items():
        args = words(command)
        if len(args) < 1 or args[-1] in ("…",):
            continue
        if is_order(args) and "--reason" not in args:
            args += ["--reason", "as the page says"]
        if args == ["top"]:
            args += ["--once"]
        args = [str(tmp_path / a) if a.endswith(".ndjson") else a for a in args]
        r = sbctl(west, *args, check=False)
        if len(command.split()) == 3 and "is needed" in r.stderr:
            continue  # named in a sentence, not to be typed
        unknown = re.search(r" 400: | 404: there is no such order|expected|usage|is needed", r.stderr, re.I)
        if r.returncode not in (0, 1) or unknown:
            bad.append(f"{name}: {command}: {r.returncode} {r.stderr.strip()}")
    assert not bad, "\n".join(bad)


# ---- the example ----

AGENT_INI = "[agent]\nid = db-1\nregion = us-east-1\nenv = prod\n[ship]\nendpoints = http://127.0.0.1:9870\n"
AGGREGATOR_INI = "[ingest]\nauth = none\nlisten = 127.0.0.1:9870\n"


@pytest.mark.parametrize("file, program, base, change", [
    ("app.ini", "securebase-aggregator", AGGREGATOR_INI, None),
    ("app.ini", "securebase-aggregator", AGGREGATOR_INI, ("automation = propose", "automation = auto")),
    ("guard.agent.ini", "securebase-agent", AGENT_INI, None)])
def test_the_example_is_a_configuration(tmp_path, file, program, base, change):
    with open(os.path.join(support.TOP, "conf/failover.d", file), encoding="utf-8") as f:
        text = f.read()
    if change:
        assert change[0] in text
        text = text.replace(*change)
    ini = tmp_path / "whole.ini"
    ini.write_text(f"{base}\n{text}", encoding="utf-8")
    r = subprocess.run([os.path.join(support.BUILD, program), "-c", str(ini), "--check-config"], capture_output=True, text=True, check=False)
    assert r.returncode == 0, r.stdout + r.stderr


# ---- what they print, state by state ----

def shown(section):
    """[(command, [line])] of the console blocks below a heading of the runbook."""
    text = page("DR_RUNBOOK").split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    out = []
    for block in re.findall(r"```console\n(.*?)```", text, re.S):
        lines = block.splitlines()
        assert lines[0].startswith("$ sbctl ")
        out.append((lines[0][2:], [line for line in lines[1:] if line]))
    return out


def plain(line):
    line = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", line)
    line = re.sub(r"\d+(\.\d+)? (s|min|h)\b", "AGE", line)
    line = re.sub(r"\bepoch \d+|\bplan \d+", "NUMBER", line)
    return " ".join(line.split())


def follow(aggregator, section, only=None):
    """Types each command of the section's console blocks, and holds what it prints against what the page says."""
    blocks = [b for b in shown(section) if not only or only in b[0]]
    assert blocks, (section, only)
    for command, lines in blocks:
        r = sbctl(aggregator, *words(command), check=False)
        got = [plain(x) for x in (r.stdout + r.stderr).splitlines()]
        for line in lines:
            assert plain(line) in got, f"{section}: {command}\nthe page says: {line}\nit prints:\n{r.stdout}{r.stderr}"


class Night:
    """Three aggregators, as in the runbook. The leader is in the west."""

    def __init__(self, folder, ca, started, outside, fence=True):
        names = {"east": "us-east-1", "west": "us-west-2", "eye": "eu-west-1"}
        ports = {n: support.free_port() for n in names}
        self.outside, self.made = outside, {}
        for name, region in names.items():
            sections = [(f"voter {n}", {"region": r, "leads": "yes" if n == "west" else "no"}) for n, r in names.items()]
            sections += [(f"peer {n}", {"url": f"https://localhost:{ports[n]}", "region": names[n], "ca": f"{ca}/ca.pem",
                                        "cert": f"{ca}/role-peer.pem", "key": f"{ca}/role-peer.key"}) for n in names if n != name]
            sections += [s for s in change(outside.sections(), "failover app", hold="10m", confirm="2s")
                         if fence or s[0] != "action fence"]
            role = {"role": "witness"} if name == "eye" else {}
            a = support.Aggregator(folder, ca, sections=sections, name=name, ingest_port=ports[name],
                                   aggregator=dict({"region": region, "voter": name}, **role))
            started.append(a)
            self.made[name] = a.start()
        self.west = self.made["west"]
        support.wait_for(lambda: set(self.votes()) == {"up"}, 40)

    def votes(self):
        return [v["regions"]["us-east-1"]["verdict"] for v in status(self.west)["votes"]]

    def falls(self):
        """Home dies, and the service is not moved."""
        self.outside.doors["us-east-1"].shut()
        self.made["east"].kill()
        wait_state(self.west, "BLOCKED", seconds=60)
        support.wait_for(lambda: self.votes().count("down") == 2, 20)
        return self.west


@pytest.fixture
def night(tmp_path, ca, started, outside):
    return lambda **how: Night(tmp_path, ca, started, outside, **how)


@pytest.mark.skipif(os.geteuid() != 0, reason="break-glass is root's")
def test_the_night(night, outside):
    """From BLOCKED to the end, by the runbook's own commands."""
    west = night().falls()
    follow(west, "The first two minutes")
    follow(west, "Blocked", "readiness")
    follow(west, "Blocked", "abort")
    outside.write("answer-dns-apply", "denied")
    follow(west, "Blocked", "approve")
    wait_state(west, "STUCK")
    follow(west, "Stuck", "status")
    outside.forget("answer-dns-apply")
    follow(west, "Stuck", "retry-step")
    wait_state(west, "HOLD")
    follow(west, "After it", "status")
    follow(west, "After it", "ack")
    support.wait_for(lambda: status(west)["leading"], 60)
    follow(west, "Break glass")
    wait_state(west, "HOLD")
    assert status(west)["plan"]["fenced"] == "operator"


def test_nobody_can_fence(night, outside):
    """No guard, no action that proves: it stops before anything is touched, until somebody vouches for it."""
    west = night(fence=False).falls()
    sbctl(west, "failover", "approve", "--reason", "not enough", check=False)
    wait_state(west, "BLOCKED")
    assert outside.done() == []
    follow(west, "No way to fence")
    wait_state(west, "HOLD", seconds=60)
    assert status(west)["plan"]["fenced"] == "operator" and outside.read("dns") == "us-west-2"


def test_users_are_hurt_and_probes_are_good(tmp_path, ca, started, outside, agent):
    sections = [("voter west", {"region": "us-west-2"})] + change(outside.sections(), "failover app", users="checkout", gray_page="2s")
    sections += [("slo checkout", {"kind": "availability", "good": "http_requests_total", "good_match": 'code!~"5.."',
                                   "total": "http_requests_total", "by": "service region", "objective": "99.9%"})]
    west = support.Aggregator(tmp_path, ca, sections=sections, name="west", aggregator={"region": "us-west-2", "voter": "west"})
    started.append(west)
    west.start()
    home = agent([west.endpoint], ship={"batch": "1s"})

    def gray():
        home.statsd("http.requests:30|c|#service:shop,code:500", "http.requests:3|c|#service:shop,code:200")
        return state(west) == "GRAY"
    support.wait_for(gray, 60, every=0.5)
    assert outside.done() == []
    follow(west, "Gray")
    wait_state(west, "HOLD", seconds=60)
    assert outside.read("dns") == "us-west-2"


def test_too_few_are_heard(night, outside):
    n = night()
    n.made["eye"].kill()
    n.made["east"].kill()
    support.wait_for(lambda: not status(n.west)["quorum"], 60)
    follow(n.west, "Too few voters")
    r = sbctl(n.west, "failover", "start", "app", "--to", "us-west-2", "--reason", "people cannot overrule that", check=False)
    assert r.returncode == 1 and "voters" in r.stderr and outside.done() == []


def test_against_the_votes_and_called_off(tmp_path, ca, started, outside):
    west = support.Aggregator(tmp_path, ca, sections=[("voter west", {"region": "us-west-2"})] + outside.sections(), name="west",
                              aggregator={"region": "us-west-2", "voter": "west"})
    started.append(west)
    west.start()
    wait_ready(west)
    outside.write("answer-fence-apply", "retry")  # it takes its time, so that somebody can call it off
    sbctl(west, "failover", "switchover", "--to", "us-west-2", "--reason", "begun by mistake")
    wait_state(west, "FENCE")
    follow(west, "A move is under way", "abort")
    outside.forget("answer-fence-apply")
    wait_state(west, "STEADY", seconds=60)
    assert outside.read("promote") in ("", "us-east-1")
    wait_ready(west)
    follow(west, "Steady, and users complain")
    wait_state(west, "HOLD", seconds=60)
    follow(west, "A move is under way", "journal")


def test_the_authority_away_and_back(tmp_path, ca, started, outside):
    etcd = Cluster(tmp_path, started, n=1).start()
    west = support.Aggregator(tmp_path, ca, sections=[("voter west", {"region": "us-west-2"})] + outside.sections(), name="west",
                              aggregator={"region": "us-west-2", "voter": "west"},
                              coordination={"type": "etcd", "endpoints": " ".join(etcd.urls)})
    started.append(west)
    west.start()
    wait_ready(west)
    etcd.members[0].stop()
    wait_state(west, "FROZEN", seconds=40)
    follow(west, "Frozen")
    r = sbctl(west, "failover", "switchover", "--to", "us-west-2", "--reason", "now?", check=False)
    assert r.returncode == 1 and outside.done() == []
    etcd.members[0].start()
    wait_state(west, "STEADY", seconds=60)
    # the same store in a later life: whoever acquired before has lost, and takes it up again
    assert etcd.ctl("put", "/securebase/store-epoch", "1")
    support.wait_for(lambda: sbctl(west, "failover", "lock", "--reason", "of the new life", "--for", "1m", check=False).returncode == 0, 60)
    assert state(west) == "STEADY" and [s["kind"] for s in status(west)["suppressions"]] == ["lock"]
