"""The driver aurora against servers with the documented behaviour of RDS and CloudWatch, one for each region."""
import pytest

import fake_aws
import fake_rds
from actions import Actions
from fake_rds import EAST, WEST


@pytest.fixture
def world():
    w = fake_rds.World()
    w.east, w.west = fake_rds.Rds("us-east-1", w), fake_rds.Rds("us-west-2", w)
    yield w
    for server in (w.east, w.west):
        server.close()
        assert not server.faults


@pytest.fixture
def actions(tmp_path, world):
    a = Actions(tmp_path)
    urls = f"east={world.east.url} west={world.west.url}"
    a.options = {"type": "aurora", "step": "promote", "global_cluster": "shop", "clusters": f"east={EAST} west={WEST}",
                 "rds_endpoints": urls, "cloudwatch_endpoints": urls, "access_key_id": a.secret("id", fake_aws.KEY),
                 "secret_key": a.secret("secret", fake_aws.SECRET), "session_token": a.secret("token", fake_aws.TOKEN)}
    a.add("db", **a.options)
    return a


def test_an_unplanned_failover(actions, world):
    r = actions.run("db", "precheck")
    assert r["class"] == "ok", r
    r = actions.run("db", "probe")
    assert r["class"] == "not_applied" and r["have_lag"] and r["lag_ms"] == 121 and 65_000 <= r["lag_age_ms"] <= 90_000, r
    assert r["receiving"] and not r["synchronous"] and not r["writable"], r
    world.east.close()
    world.east_is_dead = True
    r = actions.run("db", "apply")
    assert r["class"] == "denied" and not world.calls, r  # the order lets no data go
    r = actions.run("db", "apply", accept_loss="yes")
    assert r["class"] == "progress", r
    assert world.calls == [("us-west-2", "FailoverGlobalCluster", "true")]
    assert world.tags[WEST] == {"securebase-app": "epoch=7 token=1.100 plan=p-7"}
    r = actions.run("db", "apply", accept_loss="yes")
    assert r["class"] == "progress" and len(world.calls) == 1, r  # under way: not asked for twice
    r = actions.run("db", "probe")
    assert (r["class"], r["writable"]) == ("ok", True), r
    assert actions.run("db", "apply", accept_loss="yes")["class"] == "already"
    assert len(world.calls) == 1


def test_a_planned_move_and_back(actions, world):
    assert actions.run("db", "apply", planned="yes")["class"] == "progress"
    assert world.calls == [("us-west-2", "SwitchoverGlobalCluster", None)]
    assert actions.run("db", "probe")["class"] == "progress"
    assert actions.run("db", "probe")["class"] == "ok"
    back = {"from": "west", "to": "east", "epoch": 8, "token": "1.120", "plan": "p-8", "planned": "yes"}
    assert actions.run("db", "apply", **back)["class"] == "progress"
    assert world.calls[1] == ("us-east-1", "SwitchoverGlobalCluster", None)
    assert actions.run("db", "probe", **back)["class"] == "progress"
    assert actions.run("db", "probe", **back)["class"] == "ok"
    # somebody who slept through both
    r = actions.run("db", "apply", planned="yes")
    assert (r["class"], r["found"]) == ("conflict", "1.120"), r
    assert len(world.calls) == 2 and world.writer == EAST


def test_catching_up_changes_nothing(actions, world):
    """A planned move waits for a catch-up before it promotes; the switchover does the waiting, so being connected is enough."""
    actions.add("ready", **dict(actions.options, step="catchup"))
    assert actions.run("ready", "precheck", planned="yes")["class"] == "ok"
    for op in ("apply", "verify"):
        r = actions.run("ready", op, planned="yes")
        assert r["class"] == "ok" and "connected" in r["text"], r
    assert world.calls == [] and world.writer == EAST


def test_lost_answers_and_faults(actions, world):
    def lose(form):
        return lambda method, path: "lose" if form in world.west.requests[-1][3] else None
    world.west.script = lose(b"SwitchoverGlobalCluster")
    r = actions.run("db", "apply", planned="yes")
    assert r["class"] == "unknown", r
    world.west.script = lambda method, path: None
    assert actions.run("db", "probe")["class"] == "progress"
    assert actions.run("db", "probe")["class"] == "ok"
    world.writer, world.tags = EAST, {}
    for status, code, kind in [(400, "Throttling", "throttled"), (400, "InvalidGlobalClusterStateFault", "retry"),
                               (400, "InvalidDBClusterStateFault", "retry"), (403, "AccessDenied", "denied"), (500, "InternalFailure", "unknown"),
                               (400, "ExpiredToken", "denied")]:
        def script(method, path, fault=(status, code, "no")):
            return fault if b"FailoverGlobalCluster" in world.west.requests[-1][3] else None
        world.west.script = script
        r = actions.run("db", "apply", accept_loss="yes")
        assert r["class"] == kind, (code, r)
    world.west.script = lambda method, path: "hang"
    assert actions.run("db", "probe", deadline_ms=1500)["class"] == "retry"


def test_what_stands_in_the_way(actions, world):
    world.sync = "pending-resync"
    assert actions.run("db", "precheck")["class"] == "retry"
    world.sync, world.status = "connected", "modifying"
    assert actions.run("db", "precheck")["class"] == "retry"
    world.status, world.moving, world.turns = "failing-over", ["pending", EAST], 99
    world.writer = WEST
    r = actions.run("db", "apply", accept_loss="yes")
    assert r["class"] == "conflict" and not world.calls, r
    world.moving, world.status, world.writer = None, "available", "arn:aws:rds:eu-west-1:123456789012:cluster:app-third"
    assert actions.run("db", "probe")["class"] == "conflict"
    world.members = [EAST]
    assert actions.run("db", "probe")["class"] == "denied"
    actions.add("other", **dict(actions.options, global_cluster="nobody"))
    assert actions.run("other", "precheck")["class"] == "denied"


def test_no_figure_is_no_lag(actions, world):
    world.lag = []
    assert not actions.run("db", "probe")["have_lag"]
    world.lag = [(10, "-1"), (20, "junk")]
    assert not actions.run("db", "probe")["have_lag"]
    world.lag = [(500, 40.0)]
    r = actions.run("db", "probe")
    assert r["have_lag"] and not r["receiving"], r


def test_what_a_start_refuses(actions):
    assert actions.check() == ""
    for key, value, said in [("clusters", "east=app-east", "expected an ARN"), ("clusters", "arn:aws:rds", "REGION=VALUE"),
                             ("rds_endpoints", "east=rds.example", "https"), ("step", "fence", "cannot serve")]:
        actions.add("db", **dict(actions.options, **{key: value}))
        assert said in actions.check(), key
