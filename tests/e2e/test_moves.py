"""Moves between regions by the real programs: planned ones with the controller killed at every operation, a region that dies,
proposals, locks, drills, the journal. The outside is a command; the real servers are in tests/campaign."""
import json
import shlex
import signal

import moves_kit
import pytest
import support
from moves_kit import ask, change, state, status, wait_ready, wait_state
from support import sbctl


@pytest.fixture
def outside(tmp_path):
    o = moves_kit.Outside(tmp_path)
    yield o
    o.close()


@pytest.fixture
def alone(tmp_path, ca, started, outside):
    """One aggregator, in the standby region (or where it is said), with the embedded authority."""
    def make(region="us-west-2", **failover):
        sections = [("voter west", {"region": region})]
        sections += change(outside.sections(), "failover app", **failover)
        a = support.Aggregator(tmp_path, ca, sections=sections, name="west",
                               aggregator={"region": region, "voter": "west"},
                               public={"listen": f"127.0.0.1:{support.free_port()}"})
        started.append(a)
        return a.start()
    return make


def public(aggregator):
    listen = dict(aggregator.sections)["public"]["listen"]
    return support.get(f"http://{listen}/fo/v1/app/primary-off")[0]


def journal(aggregator):
    return [json.loads(line) for line in ask(aggregator, "journal", "export").splitlines()]


def test_there_and_back(alone, outside):
    west = alone()
    wait_ready(west)
    assert public(west) == 503
    text = ask(west, "failover", "plan", "--kind", "switchover")
    assert "possible now" in text and "promote" in text and "dns" in text
    assert outside.done() == []  # a plan is without effect

    sbctl(west, "failover", "switchover", "--to", "us-west-2", "--reason", "maintenance of the east")
    wait_state(west, "HOLD")
    assert outside.done() == [("fence", "apply"), ("promote", "apply"), ("dns", "apply")]
    s = status(west)
    assert (s["active"], s["writer"], s["epoch"]) == ("us-west-2", "us-west-2", 1)
    assert s["plan"]["fenced"] == "proof" and s["plan"]["who"].startswith("uid")
    assert public(west) == 200
    code, _, page = support.get(west.url + "/failover")
    assert code == 200 and b"<h2>app: " in page and b"Users go to us-west-2" in page and b"maintenance of the east" in page
    support.wait_for(lambda: "users go to us-west-2, us-west-2 writes, led from here" in ask(west, "status"), 10)
    support.wait_for(lambda: b"<td>us-west-2</td><td>us-west-2</td><td>this aggregator</td>" in support.get(west.url + "/")[2], 10)
    support.wait_for(
        lambda: west.metrics()['securebase_failover_last_duration_seconds{phase="validate",service="app"}'] >= 1, 10)
    assert west.metrics()['securebase_failover_active{region="us-west-2",service="app"}'] == 1

    wait_state(west, "STEADY")
    outside.forget("fence")  # a new life of the file for the other direction
    wait_ready(west)
    sbctl(west, "failover", "failback", "--reason", "the east is well again")
    wait_state(west, "HOLD")
    s = status(west)
    assert (s["active"], s["epoch"]) == ("us-east-1", 2)
    assert public(west) == 503

    lines = journal(west)
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert "the chain holds" in ask(west, "journal", "verify")
    intents = [line for line in lines if line["phase"] == "INTENT"]
    assert {line["step"] for line in intents} >= {"fence", "promote", "switch"}


def test_a_damaged_journal_is_noticed(alone, tmp_path):
    west = alone()
    wait_ready(west)
    sbctl(west, "failover", "lock", "--reason", "a line", "--for", "1h")
    sbctl(west, "failover", "unlock", "--reason", "another")
    text = ask(west, "journal", "export")
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text(text, encoding="utf-8")
    lines = text.splitlines(keepends=True)
    bad.write_text("".join(lines[:1] + [lines[1].replace('"epoch":0', '"epoch":9', 1)] + lines[2:]), encoding="utf-8")
    assert "holds" in ask(west, "journal", "verify", str(good))
    r = sbctl(west, "journal", "verify", str(bad), check=False)
    assert r.returncode == 1 and "line 2" in r.stderr


def arrived(aggregator, region):
    s = status(aggregator)
    return s["active"] == region and s["state"] in ("HOLD", "STEADY")


OPERATIONS = 6  # of a plan here: each of three actions is applied and verified


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_controller_dies_at_each_operation(alone, outside, when):
    """Whatever is left half done ends in the same outside state, and nothing that was done is done again."""
    west = alone(region="eu-west-1", **moves_kit.QUICK)  # outside of both: it decides at once wherever users are
    target = {"us-east-1": "us-west-2", "us-west-2": "us-east-1"}
    at, reached = "us-east-1", 0
    for n in range(1, OPERATIONS + 3):
        wait_state(west, "STEADY", seconds=60)
        wait_ready(west)
        outside.forget("fence", "count", "diary")
        outside.write("kill", f"{when} {n}")
        to = target[at]
        sbctl(west, "failover", "switchover", "--to", to, "--reason", f"dies {when} {n}", check=False)
        support.wait_for(lambda: not west.alive() or arrived(west, to), 30)
        if not west.alive():
            reached += 1
            west.start()
        support.wait_for(lambda: state(west) in ("HOLD", "STEADY", "BLOCKED", "STUCK"), 60)
        s = status(west)
        if s["active"] == at:  # taken back before the point of no return: nothing is left of it
            assert not s["plan"]["past_no_return"], s
            assert outside.read("fence") in ("", "free")
            assert outside.read("promote") in ("", at) and outside.read("dns") in ("", at)
            continue
        assert (s["active"], s["writer"]) == (to, to), s
        assert (outside.read("promote"), outside.read("dns")) == (to, to)
        assert outside.read("fence") == f"fenced {at}"
        done = outside.done()
        assert len(done) == len(set(done)), done  # nothing twice
        tokens = [tuple(map(int, str(d["token"]).split("."))) for d in outside.diary() if d["what"] == "done"]
        assert tokens == sorted(tokens)
        at = to
        sbctl(west, "failover", "ack", "--reason", "seen", check=False)
    assert reached >= OPERATIONS - 1, reached
    assert "the chain holds" in ask(west, "journal", "verify")


def test_orders_that_are_refused_say_why_and_what_helps(alone, outside):
    west = alone(failback_green="1h")
    wait_ready(west)
    r = sbctl(west, "failover", "approve", "--reason", "what?", check=False)
    assert r.returncode == 1 and "nothing" in r.stderr.lower()
    r = sbctl(west, "failover", "switchover", "--to", "mars", "--reason", "x", check=False)
    assert "us-east-1" in r.stderr and "us-west-2" in r.stderr
    r = sbctl(west, "failover", "switchover", "--to", "us-west-2", check=False)
    assert r.returncode == 2 and "--reason" in r.stderr
    r = sbctl(west, "failover", "lock", "--reason", "x", "--for", "48h", check=False)
    assert "24h" in r.stderr
    r = sbctl(west, "failover", "break-glass", "--to", "us-west-2", "--reason", "x", check=False)
    assert "--confirm app" in r.stderr
    assert outside.done() == []


def test_a_lock_holds_until_it_is_taken_away(alone, outside):
    west = alone()
    wait_ready(west)
    sbctl(west, "failover", "lock", "--reason", "nobody touches it", "--for", "1h")
    r = sbctl(west, "failover", "switchover", "--to", "us-west-2", "--reason", "try", check=False)
    assert r.returncode == 1 and "locked" in r.stderr
    assert [x["kind"] for x in status(west)["suppressions"]] == ["lock"]
    sbctl(west, "failover", "unlock", "--reason", "done")
    assert status(west)["suppressions"] == []
    wait_ready(west)
    sbctl(west, "failover", "switchover", "--to", "us-west-2", "--reason", "now")
    wait_state(west, "HOLD")


def test_a_reload_that_changes_what_indices_mean_begins_anew(alone, outside):
    """An action more in front of the others, then a service less: what was known of either is not taken for the other."""
    west = alone()
    wait_ready(west)
    whole = west.sections
    at = [n for n, _ in whole].index("action fence")
    first = ("action early", {"type": "command", "service": "app", "step": "warm", "required": "no",
                              "command": f"{outside.command} {outside.folder} early"})
    west.sections = whole[:at] + [first] + whole[at:]
    west.write()
    west.signal(signal.SIGHUP)
    support.wait_for(lambda: "[action early]: added" in west.output(), 20)
    wait_ready(west)
    assert "early" in ask(west, "failover", "plan", "--kind", "switchover")
    sbctl(west, "failover", "switchover", "--to", "us-west-2", "--reason", "after a reload")
    wait_state(west, "HOLD")
    assert outside.done() == [("fence", "apply"), ("promote", "apply"), ("early", "apply"), ("dns", "apply")]
    wait_state(west, "STEADY")
    west.sections = [s for s in whole if not s[0].startswith(("failover", "action"))]
    west.write()
    west.signal(signal.SIGHUP)
    support.wait_for(lambda: west.api("failover")["services"] == [], 20)
    west.sections = whole
    west.write()
    west.signal(signal.SIGHUP)
    support.wait_for(lambda: state(west) == "STEADY", 40)
    assert status(west)["active"] == "us-west-2"
    assert "the chain holds" in ask(west, "journal", "verify")
    assert west.stop() == 0


def test_a_step_that_is_denied_leaves_everything_as_it_was(alone, outside):
    """Before the point of no return a plan that cannot go on is taken back; behind it a human is needed, and is told how."""
    west = alone()
    wait_ready(west)
    outside.write("answer-fence-apply", "denied")
    sbctl(west, "failover", "switchover", "--to", "us-west-2", "--reason", "fails at the fence")
    wait_state(west, "BLOCKED", "STEADY")
    s = status(west)
    assert (s["active"], s["writer"]) == ("us-east-1", "us-east-1")
    assert ("promote", "apply") not in outside.done()

    outside.forget("answer-fence-apply")
    wait_state(west, "STEADY", seconds=60)
    wait_ready(west)
    outside.write("answer-dns-apply", "denied")
    sbctl(west, "failover", "switchover", "--to", "us-west-2", "--reason", "fails at the switch")
    wait_state(west, "STUCK")
    s = status(west)
    assert s["writer"] == "us-west-2"
    assert s["reasons"] and s["reasons"][0]["command"].startswith("sbctl failover")
    outside.forget("answer-dns-apply")
    sbctl(west, *s["reasons"][0]["command"].split()[1:], "--reason", "mended")  # the very command that it names
    wait_state(west, "HOLD")
    assert outside.read("dns") == "us-west-2"


def test_a_drill_goes_there_and_comes_back(tmp_path, ca, started, outside):
    sections = [("voter west", {"region": "us-west-2"})] + outside.sections()
    # this fence is of one file: what is fenced on the way out is free again on the way back
    sections = [s for s in sections if s[0] != "action fence"]
    sections = change(sections, "failover app", fence_required="no")
    sections += [("drill full", {"service": "app", "kind": "full", "stay": "0s", "schedule": "0 3 1 1 *"}),
                 ("drill look", {"service": "app", "schedule": "*/30 * * * *"})]
    west = support.Aggregator(tmp_path, ca, sections=sections, name="west", aggregator={"region": "us-west-2", "voter": "west"})
    started.append(west)
    west.start()
    wait_ready(west)
    assert "full" in ask(west, "drill", "list")
    sbctl(west, "drill", "run", "look", "--reason", "is all ready?")

    def outcome(name):
        return {d["drill"]: d["last_outcome"] for d in west.api("drills")["drills"]}[name]
    support.wait_for(lambda: outcome("look") == "good", 30)
    assert outside.done() == []
    sbctl(west, "drill", "run", "full", "--reason", "the month's")
    support.wait_for(lambda: outcome("full") == "good", 60)
    assert outside.done() == [("promote", "apply"), ("dns", "apply")] * 2
    assert status(west)["active"] == "us-east-1"
    report = json.loads(ask(west, "--json", "drill", "report"))
    assert (report["full"], report["good"], report["evaluations"]) == (1, 1, 1)
    assert report["wilson_low"] < 0.5 < report["wilson_high"]
    assert "interval" in ask(west, "drill", "report", "full")


# ---- three aggregators ----

@pytest.fixture
def three(tmp_path, ca, started, outside):
    """East votes, west votes and leads (the embedded authority), eye is a witness."""
    def make(known=True, **failover):
        names = {"east": "us-east-1", "west": "us-west-2", "eye": "eu-west-1"}
        ports, reading = ({n: support.free_port() for n in names} for _ in range(2))
        made = {}
        for name, region in names.items():
            sections = [(f"voter {n}", {"region": r, "leads": "yes" if n == "west" else "no"}) for n, r in names.items()]
            sections += [(f"peer {n}", {"url": f"https://localhost:{ports[n]}", "region": names[n], "ca": f"{ca}/ca.pem",
                                        **({"reading": f"http://127.0.0.1:{reading[n]}"} if known else {}),
                                        "cert": f"{ca}/role-peer.pem", "key": f"{ca}/role-peer.key"})
                         for n in names if n != name]
            settings = dict(failover)
            if name != "west":
                settings.pop("automation", None)  # who may not lead cannot be asked to
            sections += change(outside.sections(), "failover app", **settings)
            role = {"role": "witness"} if name == "eye" else {}
            a = support.Aggregator(tmp_path, ca, sections=sections, name=name, ingest_port=ports[name], http_port=reading[name],
                                   aggregator=dict({"region": region, "voter": name}, **role))
            started.append(a)
            made[name] = a.start()
        return made
    return make


def votes(aggregator):
    return {v["voter"]: v["regions"].get("us-east-1", {}).get("verdict") for v in status(aggregator)["votes"]}


def kill_the_east(three_of, outside):
    outside.doors["us-east-1"].shut()
    three_of["east"].kill()


def test_an_order_asked_elsewhere_says_the_command_for_the_leader(three, outside):
    a = three()
    support.wait_for(lambda: status(a["west"])["leading"], 40)
    support.wait_for(lambda: status(a["east"])["holder"].startswith("west"), 40)
    r = sbctl(a["east"], "failover", "lock", "--reason", "it's late", "--for", "1h", check=False)
    assert r.returncode == 1 and "west" in r.stderr and "us-west-2" in r.stderr
    command = [line for line in r.stderr.splitlines() if line.startswith("  sbctl ")][0]
    words = shlex.split(command)
    assert words == ["sbctl", "--url", f"http://127.0.0.1:{a['west'].http_port}", "failover", "lock", "app", "--for", "1h",
                     "--reason", "it's late"]
    sbctl(a["west"], *words[3:])
    assert [s["kind"] for s in status(a["west"])["suppressions"]] == ["lock"]


def test_an_order_asked_elsewhere_where_no_address_is_known(three):
    a = three(known=False)
    support.wait_for(lambda: status(a["east"])["holder"].startswith("west"), 40)
    r = sbctl(a["east"], "failover", "lock", "--reason", "late", "--for", "1h", check=False)
    assert r.returncode == 1 and "west in us-west-2" in r.stderr and "null" not in r.stderr and "--url" not in r.stderr, r.stderr


def test_a_region_dies_and_the_service_moves_by_itself(three, outside):
    a = three(automation="auto")
    west = a["west"]
    support.wait_for(lambda: set(votes(west).values()) == {"up"}, 40)
    kill_the_east(a, outside)
    wait_state(west, "HOLD", seconds=90)
    assert outside.done() == [("fence", "apply"), ("promote", "apply"), ("dns", "apply")]
    s = status(west)
    assert (s["active"], s["plan"]["kind"], s["plan"]["automatic"]) == ("us-west-2", "failover", True)
    support.wait_for(
        lambda: 0 < west.metrics()['securebase_failover_last_duration_seconds{phase="total",service="app"}'] < 90, 10)
    # the dead region comes back: nothing moves by itself
    outside.doors["us-east-1"].open()
    a["east"].start()
    support.wait_for(lambda: votes(west)["eye"] == "up", 40)
    wait_state(west, "STEADY")
    assert status(west)["active"] == "us-west-2"
    assert any(line["row"] for line in journal(west))


def test_one_voter_alone_moves_nothing(three, outside):
    """The door of the east is shut, but its aggregator speaks: one class of evidence. And a dead aggregator alone is none."""
    a = three(automation="auto")
    west = a["west"]
    support.wait_for(lambda: set(votes(west).values()) == {"up"}, 40)
    a["east"].kill()
    support.wait_for(lambda: status(west)["votes"][0]["age_seconds"] > 15, 40)
    assert state(west) in ("STEADY", "SUSPECT")
    assert outside.done() == []
    assert status(west)["active"] == "us-east-1"


def test_a_proposal_waits_for_somebody(three, outside):
    a = three(automation="propose")
    west = a["west"]
    support.wait_for(lambda: set(votes(west).values()) == {"up"}, 40)
    kill_the_east(a, outside)
    wait_state(west, "BLOCKED", seconds=60)
    s = status(west)
    assert "automation" in [r["reason"] for r in s["reasons"]]
    assert outside.done() == []
    support.wait_for(lambda: west.metrics()['securebase_failover_page{service="app",severity="critical"}'] == 1, 10)
    text = ask(west, "failover", "explain")
    assert "eye" in text and "down" in text
    command = [r["command"] for r in s["reasons"] if r["reason"] == "automation"][0]
    sbctl(west, *command.split()[1:], "--reason", "go")
    wait_state(west, "HOLD", seconds=60)
    assert outside.read("dns") == "us-west-2"


def test_what_the_primary_last_said_outlives_the_controller(tmp_path, ca, started, outside):
    """The deciders are restarted in the middle of an outage: the primary cannot be asked any more, and what it said last counts."""
    said = tmp_path / "said"
    said.write_text('{"class": "ok", "lag_ms": 40, "lag_age_ms": 0, "synchronous": true, "receiving": true}', encoding="utf-8")
    lag = tmp_path / "lag"
    lag.write_text(f"#!/bin/sh\nexec cat {said}\n", encoding="utf-8")
    lag.chmod(0o755)
    sections = [("voter west", {"region": "us-west-2"})]
    sections += change(outside.sections(), "failover app", database="lag")
    sections += [("action lag", {"type": "command", "service": "app", "step": "gate", "figures": "yes", "command": str(lag)})]
    west = support.Aggregator(tmp_path, ca, sections=sections, name="west", aggregator={"region": "us-west-2", "voter": "west"})
    started.append(west)
    west.start()

    def target():
        return status(west)["targets"][0]
    support.wait_for(lambda: target()["synchronous"] and target()["loss_seconds"] == 0, 20)
    said.write_text('{"class": "retry", "text": "the primary does not answer"}', encoding="utf-8")
    west.kill()
    west.start()
    support.wait_for(lambda: status(west)["known"], 20)
    t = target()
    assert t["synchronous"] and t["loss_seconds"] == 0 and t["lag_seconds"] == 0.04, t
    assert 0 < t["lag_age_seconds"] < 60
