"""The driver arc against five endpoints with the documented behaviour."""
import pytest

import fake_arc
import fake_aws
from actions import Actions

PANEL = "arn:aws:route53-recovery-control::123456789012:controlpanel/0123/routingcontrol/"
EAST, WEST, RULE = PANEL + "e", PANEL + "w", "arn:aws:route53-recovery-control::123456789012:controlpanel/0123/safetyrule/s"


@pytest.fixture
def cluster():
    c = type("Cluster", (), {})()
    c.states, c.rules = {EAST: "On", WEST: "Off"}, []
    c.all = [fake_arc.Endpoint(r, c.states, c.rules) for r in fake_arc.REGIONS]
    yield c
    for e in c.all:
        e.close()
        assert not e.faults


@pytest.fixture
def actions(tmp_path, cluster):
    a = Actions(tmp_path)
    a.options = {"type": "arc", "endpoints": "\n  ".join(f"{e.region}={e.url}/v1" for e in cluster.all), "override_rules": RULE,
                 "controls": f"east={EAST}\n  west={WEST}", "access_key_id": a.secret("id", fake_aws.KEY),
                 "secret_key": a.secret("secret", fake_aws.SECRET)}
    a.add("switch", step="switch", **a.options)
    a.add("fence", step="fence", **a.options)
    return a


def updates(cluster):
    return sum(b"UpdateRoutingControlStateEntries" in r[3] for e in cluster.all for r in e.requests)


def test_a_switch_and_back(actions, cluster):
    assert actions.run("switch", "precheck")["class"] == "ok"
    assert actions.run("switch", "probe")["class"] == "not_applied"
    assert actions.run("fence", "apply")["class"] == "ok"
    assert cluster.states == {EAST: "Off", WEST: "Off"}
    assert actions.run("switch", "apply")["class"] == "ok"
    assert cluster.states == {EAST: "Off", WEST: "On"}
    assert actions.run("switch", "apply")["class"] == "already"
    assert updates(cluster) == 2
    r = actions.run("switch", "undo")
    assert r["class"] == "ok" and r["seen"] == "east on, west off", r


def test_endpoints_that_are_away(actions, cluster):
    cluster.all[0].close()
    cluster.all[1].script = lambda method, path: (503, "EndpointTemporarilyUnavailableException", "not now")
    cluster.all[2].script = lambda method, path: (429, "ThrottlingException", "slowly")
    cluster.all[3].script = lambda method, path: "hang"
    r = actions.run("switch", "apply", deadline_ms=12000)
    assert r["class"] == "ok", r
    assert cluster.states == {EAST: "Off", WEST: "On"} and updates(cluster) == 1
    cluster.all[4].script = lambda method, path: "close"
    assert actions.run("switch", "probe", deadline_ms=6000)["class"] == "retry"
    cluster.all[0].faults.clear()


def test_an_answer_that_is_lost_is_asked_for_elsewhere(actions, cluster):
    def lose(method, path):
        return "lose" if b"UpdateRoutingControlStateEntries" in cluster.all[0].requests[-1][3] else None
    cluster.all[0].script = lose
    assert actions.run("switch", "apply")["class"] == "ok"
    assert updates(cluster) == 2 and cluster.states[WEST] == "On"
    for e in cluster.all:
        e.script = lambda method, path, e=e: "lose" if b"UpdateRoutingControlStateEntries" in e.requests[-1][3] else None
    assert actions.run("switch", "undo")["class"] == "unknown"
    assert actions.run("switch", "probe")["class"] == "not_applied"  # it was done all the same


def test_safety_rules(actions, cluster):
    cluster.rules.append(RULE)
    r = actions.run("switch", "apply", planned="yes")
    assert r["class"] == "conflict" and "safety rule" in r["text"], r
    assert cluster.states[EAST] == "On"
    assert actions.run("switch", "apply")["class"] == "ok"  # an unplanned move overrides it


def test_what_is_not_there(actions, cluster):
    del cluster.states[WEST]
    r = actions.run("switch", "precheck")
    assert r["class"] == "denied" and "ResourceNotFoundException" in r["text"], r
    r = actions.run("switch", "apply", to="south")
    assert r["class"] == "denied" and "south" in r["text"], r
    assert actions.check() == ""
    actions.add("switch", **dict(actions.options, step="switch", controls="east=x"))
    assert "expected REGION=arn" in actions.check()
