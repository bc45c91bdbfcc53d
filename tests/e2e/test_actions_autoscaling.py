"""The driver autoscaling against a server with the documented behaviour of EC2 Auto Scaling (2011-01-01)."""
import pytest

import fake_aws
import fake_rds
from actions import Actions

fake_rds.MODELS["autoscaling"] = fake_rds.model("autoscaling")


class AutoScaling(fake_rds.Rds):
    """`groups`: {name: {"desired", "most", "serving", "suspended"}}."""

    def __init__(self, region):
        self.groups, self.calls = {}, []
        super().__init__(region, None)

    def DescribeAutoScalingGroups(self, form):  # noqa: N802
        out = ""
        for name, g in self.groups.items():
            if name != form["AutoScalingGroupNames.member.1"]:
                continue
            instances = "".join(f"<member><InstanceId>i-{i}</InstanceId><LifecycleState>{s}</LifecycleState><HealthStatus>{h}</HealthStatus>"
                                "</member>" for i, (s, h) in enumerate(g["instances"]))
            suspended = "".join(f"<member><ProcessName>{p}</ProcessName></member>" for p in g["suspended"])
            out += (f"<member><AutoScalingGroupName>{name}</AutoScalingGroupName><MinSize>0</MinSize><MaxSize>{g['most']}</MaxSize>"
                    f"<DesiredCapacity>{g['desired']}</DesiredCapacity><Instances>{instances}</Instances>"
                    f"<SuspendedProcesses>{suspended}</SuspendedProcesses></member>")
        return self.answer("DescribeAutoScalingGroups", f"<AutoScalingGroups>{out}</AutoScalingGroups>")

    def SetDesiredCapacity(self, form):  # noqa: N802
        g, n = self.groups[form["AutoScalingGroupName"]], int(form["DesiredCapacity"])
        self.calls.append((form["AutoScalingGroupName"], n))
        if n > g["most"]:
            return self.error(400, "ValidationError", "New SetDesiredCapacity value is above max value")
        g["desired"] = n
        return 200, b"<SetDesiredCapacityResponse><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></SetDesiredCapacityResponse>"


@pytest.fixture
def west():
    server = AutoScaling("us-west-2")
    server.groups = {"web": {"desired": 2, "most": 20, "instances": [("InService", "Healthy")] * 2, "suspended": ["AZRebalance"]},
                     "api": {"desired": 9, "most": 20, "instances": [("InService", "Healthy")] * 9, "suspended": []}}
    yield server
    server.close()
    assert not server.faults


@pytest.fixture
def actions(tmp_path, west):
    a = Actions(tmp_path)
    a.options = {"type": "autoscaling", "step": "warm", "groups": "west=web:12 west=api:6 east=web:12", "aws_regions": "west=us-west-2",
                 "aws_endpoints": f"west={west.url}", "access_key_id": a.secret("id", fake_aws.KEY),
                 "secret_key": a.secret("secret", fake_aws.SECRET)}
    a.add("scale", **a.options)
    return a


def test_groups_grow(actions, west):
    web = west.groups["web"]
    assert actions.run("scale", "precheck")["class"] == "ok"
    assert actions.run("scale", "probe")["class"] == "not_applied"
    r = actions.run("scale", "apply")
    assert r["class"] == "progress" and "2 of 12" in r["text"], r
    assert west.calls == [("web", 12)]
    web["instances"] = [("InService", "Healthy")] * 11 + [("Pending", "Healthy"), ("InService", "Unhealthy")]
    assert actions.run("scale", "probe")["class"] == "progress"
    web["instances"] = [("InService", "Healthy")] * 12
    assert actions.run("scale", "probe")["class"] == "ok"
    assert actions.run("scale", "apply")["class"] == "already"
    web["desired"], web["instances"] = 18, [("InService", "Healthy")] * 18  # somebody wants more: it is left
    assert actions.run("scale", "apply")["class"] == "already" and web["desired"] == 18
    assert west.calls == [("web", 12)]


def test_what_stands_in_the_way(actions, west):
    west.groups["web"]["most"] = 4
    r = actions.run("scale", "precheck")
    assert r["class"] == "denied" and "may have 4" in r["text"], r
    assert actions.run("scale", "apply")["class"] == "denied"
    west.groups["web"].update(most=20, suspended=["Launch"])
    assert "Launch" in actions.run("scale", "precheck")["text"]
    west.groups["web"]["suspended"] = []

    def fault(*what):
        west.script = lambda method, path: what if b"SetDesiredCapacity" in west.requests[-1][3] else None
    for status, code, kind in [(400, "ScalingActivityInProgress", "retry"), (500, "ResourceContention", "retry"),
                               (400, "Throttling", "throttled"), (500, "InternalFailure", "unknown"), (403, "AccessDenied", "denied")]:
        fault(status, code, "no")
        assert actions.run("scale", "apply")["class"] == kind, code
    del west.groups["web"]
    west.script = lambda method, path: None
    assert actions.run("scale", "precheck")["class"] == "denied"
    assert actions.check() == ""
    actions.add("scale", **dict(actions.options, groups="west=web"))
    assert "REGION=group:instances" in actions.check()
