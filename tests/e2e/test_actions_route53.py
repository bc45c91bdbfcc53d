"""The driver route53 against a server with the documented behaviour, which checks each request by AWS's own library."""
import random
import shutil

import pytest

import fake_aws
from actions import Actions
from name_servers import Knot

NAME, MARK = ("app.example.test.", "A"), ("_fo.app.example.test.", "TXT")


@pytest.fixture
def route53():
    server = fake_aws.Route53()
    server.records = {
        ("example.test.", "SOA"): {"ttl": 900, "values": ["ns1. admin. 1 7200 900 1209600 86400"]},
        NAME: {"ttl": 30, "values": ["192.0.2.1"]},
        ("app.example.test.", "MX"): {"ttl": 30, "values": ["10 mail.example.test."]},
        ("slow.example.test.", "A"): {"ttl": 300, "values": ["192.0.2.1"]},
        ("foreign.example.test.", "A"): {"ttl": 30, "values": ["203.0.113.9"]},
        ("six.example.test.", "AAAA"): {"ttl": 30, "values": ["2001:db8:0::1"]},
        ("alias.example.test.", "A"): {"alias": ("Z3LB", "east-lb.example.net.", False)},
        ("www.example.test.", "CNAME"): {"ttl": 30, "values": ["East.example.net"]},
        ("\\052.wild.example.test.", "A"): {"ttl": 30, "values": ["192.0.2.1"]},
        ("other.example.test.", "A"): {"ttl": 30, "values": ["192.0.2.1"]},
        ("_fo.other.example.test.", "TXT"): {"ttl": 30, "values": ['"v=spf1 -all"']},
        ("weighted.example.test.", "A"): {"ttl": 30, "values": ["192.0.2.1"]},
    }
    server.extra[("weighted.example.test.", "A")] = "<SetIdentifier>a</SetIdentifier><Weight>1</Weight>"
    yield server
    server.close()
    assert not server.faults


@pytest.fixture
def actions(tmp_path):
    return Actions(tmp_path)


def add(actions, server, title="dns", host="app", **options):
    values = {"type": "route53", "step": "switch", "zone": server.zone, "name": f"{host}.example.test", "url": server.url,
              "values": "east=192.0.2.1 west=198.51.100.1 west=198.51.100.2",
              "access_key_id": actions.secret("id", fake_aws.KEY), "secret_key": actions.secret("secret", fake_aws.SECRET)}
    return actions.add(title, **dict(values, **options))


def changes(server):
    return [r for r in server.requests if r[0] == "POST"]


def test_a_move_and_back(route53, actions):
    add(actions, route53, session_token=actions.secret("token", fake_aws.TOKEN))
    before = dict(route53.records)
    r = actions.run("dns", "precheck")
    assert (r["class"], r["seen"]) == ("ok", "A 192.0.2.1 ttl 30"), r
    assert route53.records == before
    assert actions.run("dns", "probe")["class"] == "not_applied"
    route53.in_sync_after = 2
    r = actions.run("dns", "apply", deadline_ms=20000)
    assert r["class"] == "ok" and "on all servers" in r["text"], r
    assert route53.records[NAME] == {"ttl": 30, "values": ["198.51.100.1", "198.51.100.2"]}
    assert route53.records[MARK] == {"ttl": 30, "values": ['"epoch=7 token=1.100 plan=p-7"']}
    assert {k: v for k, v in route53.records.items() if k not in (NAME, MARK)} == {k: v for k, v in before.items() if k != NAME}
    r = actions.run("dns", "probe")
    assert (r["class"], r["found"]) == ("ok", "1.100")
    assert r["seen"] == "A 198.51.100.1 198.51.100.2 ttl 30 epoch=7 token=1.100"
    assert actions.run("dns", "verify")["class"] == "ok"
    n = len(changes(route53))
    assert actions.run("dns", "apply")["class"] == "already"
    assert len(changes(route53)) == n
    r = actions.run("dns", "undo", deadline_ms=20000)
    assert r["class"] == "ok", r
    assert route53.records[NAME]["values"] == ["192.0.2.1"]


def test_older_writers_are_refused(route53, actions):
    add(actions, route53)
    assert actions.run("dns", "apply", epoch=8, token="2.5", plan="p-8")["class"] == "ok"
    n = len(changes(route53))
    for order in ({"epoch": 8, "token": "2.4"}, {"epoch": 8, "token": "1.900"}, {"epoch": 7, "token": "2.5"}):
        for op in ("precheck", "probe", "apply", "undo", "verify"):
            r = actions.run("dns", op, **order)
            assert (r["class"], r["found"]) == ("conflict", "2.5"), (op, order, r)
    assert len(changes(route53)) == n
    assert actions.run("dns", "probe", epoch=8, token="2.6")["class"] == "ok"
    assert actions.run("dns", "apply", epoch=8, token="2.6", plan="p-8")["class"] == "ok"
    assert route53.records[MARK]["values"] == ['"epoch=8 token=2.6 plan=p-8"']


def test_other_kinds_of_records(route53, actions):
    add(actions, route53, "six", "six", record="AAAA", values="east=2001:db8::1 west=2001:db8::2")
    add(actions, route53, "alias", "alias",
        values="east=alias:Z3LB:east-lb.example.net west=alias:Z4LB:dualstack.west-lb.example.net:evaluate")
    add(actions, route53, "www", "www", record="CNAME", values="east=east.example.net west=west.example.net.")
    add(actions, route53, "wild", "*.wild")
    for name in ("six", "alias", "www", "wild"):
        assert actions.run(name, "precheck")["class"] == "ok", name
        assert actions.run(name, "apply")["class"] == "ok", name
        assert actions.run(name, "probe")["class"] == "ok", name
        assert actions.run(name, "verify")["class"] == "ok", name
    assert route53.records[("alias.example.test.", "A")] == {"alias": ("Z4LB", "dualstack.west-lb.example.net.", True)}
    assert route53.records[("www.example.test.", "CNAME")]["values"] == ["west.example.net."]
    assert route53.records[("\\052.wild.example.test.", "A")]["values"] == ["198.51.100.1", "198.51.100.2"]
    assert ("_fo.\\052.wild.example.test.", "TXT") in route53.records
    for name in ("six", "alias", "www", "wild"):
        assert actions.run(name, "undo")["class"] == "ok"
    assert route53.records[("alias.example.test.", "A")] == {"alias": ("Z3LB", "east-lb.example.net.", False)}


def test_blockers(route53, actions):
    for name in ("slow", "foreign", "other", "weighted", "none"):
        add(actions, route53, name, name)
    add(actions, route53, "clash", "www")
    add(actions, route53, "dns")
    for name, op, kind, said in [("slow", "precheck", "denied", "300 s"), ("foreign", "precheck", "conflict", "no region"),
                                 ("other", "apply", "denied", "somebody else"), ("weighted", "apply", "denied", "routing policy"),
                                 ("none", "precheck", "denied", "no such record"), ("clash", "apply", "denied", "CNAME")]:
        r = actions.run(name, op)
        assert r["class"] == kind and said in r["text"], (name, r)
    r = actions.run("dns", "apply", to="north")
    assert r["class"] == "denied" and "empty record" in r["text"]
    for key in (NAME, MARK):
        route53.protections = {key}
        r = actions.run("dns", "precheck")
        assert r["class"] == "denied" and "protection" in r["text"], r
        r = actions.run("dns", "apply")
        assert r["class"] == "denied" and "is protected" in r["text"], r
    route53.protections = set()
    assert actions.run("dns", "precheck")["class"] == "ok"
    assert route53.records[NAME]["values"] == ["192.0.2.1"]


def test_rights(route53, actions):
    """That changes are denied is found out before they are needed."""
    add(actions, route53)
    add(actions, route53, "zone", zone="ZNOTTHERE")
    denied = (403, "AccessDenied", "User: x is not authorized to perform: route53:ChangeResourceRecordSets")
    for what in ("POST", "GET"):
        route53.script = lambda method, path, what=what: denied if method == what else None
        r = actions.run("dns", "precheck")
        assert r["class"] == "denied" and "AccessDenied" in r["text"], r
        assert actions.run("dns", "apply")["class"] == "denied"
    route53.script = lambda method, path: (403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
    assert actions.run("dns", "probe")["class"] == "denied"
    route53.script = lambda method, path: (404, "UnknownOperationException", "") if "protection" in path else None
    assert actions.run("dns", "precheck")["class"] == "ok", "a partition without protections"
    r = actions.run("zone", "apply")
    assert r["class"] == "denied" and "NoSuchHostedZone" in r["text"], r


@pytest.mark.parametrize("act,change,question", [
    ((400, "Throttling", "Rate exceeded"), "throttled", "throttled"),
    ((400, "PriorRequestNotComplete", "The request was rejected because Route 53 was still processing a prior request."),
     "throttled", "throttled"),
    ((429, "TooManyRequests", ""), "throttled", "throttled"),
    ((503, "ServiceUnavailable", ""), "retry", "retry"),
    ((500, "InternalFailure", ""), "unknown", "retry"),
    ("close", "unknown", "retry"),
    ("hang", "unknown", "retry"),
    ((400, "InvalidInput", "no"), "denied", "denied")])
def test_faults(route53, actions, act, change, question):
    add(actions, route53)
    route53.script = lambda method, path: act if method == "POST" else None
    r = actions.run("dns", "apply", deadline_ms=2500)
    assert r["class"] == change, r
    assert change != "throttled" or r["retry_after"] >= 2
    assert route53.records[NAME]["values"] == ["192.0.2.1"]
    assert actions.run("dns", "precheck", deadline_ms=2500)["class"] == question
    route53.script = lambda method, path: act if method == "GET" else None
    for op in ("apply", "probe", "verify"):
        assert actions.run("dns", op, deadline_ms=2500)["class"] == question, op
    assert fake_aws.SECRET not in str(r)


def test_a_lost_answer(route53, actions):
    add(actions, route53)
    route53.script = lambda method, path: "lose" if method == "POST" else None
    assert actions.run("dns", "apply")["class"] == "unknown"
    route53.script = lambda method, path: None
    assert actions.run("dns", "probe")["class"] == "ok"
    assert actions.run("dns", "apply")["class"] == "already"


def test_a_change_that_takes_its_time(route53, actions):
    add(actions, route53)
    route53.in_sync_after = 1000
    r = actions.run("dns", "apply", deadline_ms=4000)
    assert r["class"] == "ok" and "not yet on all servers" in r["text"], r
    assert actions.run("dns", "probe")["class"] == "ok"


def test_somebody_is_faster(route53, actions):
    """Between our reading and our batch another one has written: an older one loses, a newer one is found."""
    add(actions, route53)
    for token, kind in (("1.99", ("ok",)), ("1.101", ("conflict",))):
        route53.records[NAME] = {"ttl": 30, "values": ["192.0.2.1"]}
        route53.records.pop(MARK, None)
        once = []

        def interfere(method, path):
            if method == "POST" and not once:
                once.append(True)
                route53.records[NAME] = {"ttl": 30, "values": ["198.51.100.1"]}
                route53.records[MARK] = {"ttl": 30, "values": [f'"epoch=7 token={token} plan=p-7"']}

        route53.script = interfere
        r = actions.run("dns", "apply")
        assert r["class"] in kind, r
        assert once
    assert route53.records[MARK]["values"] == ['"epoch=7 token=1.101 plan=p-7"']


def test_many_writers(route53, actions):
    add(actions, route53, values="east=192.0.2.1 west=198.51.100.1 north=203.0.113.1")
    route53.delay = 0.02
    regions = ["east", "west", "north"]
    tokens = random.Random(3).sample(range(1, 17), 16)
    children = [(t, actions.begin("dns", "apply", epoch=t, token=f"1.{t}", plan=f"p-{t}", to=regions[t % 3], deadline_ms=30000))
                for t in tokens]
    results = {t: actions.end(c) for t, c in children}
    assert {r["class"] for r in results.values()} <= {"ok", "conflict", "retry"}, results
    newest = max(t for t, r in results.items() if r["class"] == "ok")
    assert route53.records[MARK]["values"] == [f'"epoch={newest} token=1.{newest} plan=p-{newest}"']
    assert route53.records[NAME]["values"] == [{"east": "192.0.2.1", "west": "198.51.100.1",
                                                "north": "203.0.113.1"}[regions[newest % 3]]]
    for t, r in results.items():
        assert r["class"] != "conflict" or int(r["found"].split(".")[1]) > t


def test_name_servers_agree(route53, actions, tmp_path, started):
    if not shutil.which("knotd"):
        pytest.skip("knotd is not installed")
    knot = Knot(tmp_path / "knot", started).start()
    add(actions, route53, agree=knot.address)
    from name_servers import SECRET
    actions.add("there", type="dns-update", step="switch", name_servers=knot.address, zone="example.test", name="app.example.test",
                values="west=198.51.100.1", tsig_name="mover", tsig_secret=actions.secret("key", SECRET))
    assert actions.run("dns", "apply")["class"] == "ok"
    r = actions.run("dns", "verify")
    assert r["class"] == "progress" and knot.address in r["text"], r
    assert actions.run("there", "apply")["class"] == "ok"
    assert actions.run("dns", "verify")["class"] == "ok"


def test_configuration(actions, route53):
    for options, said in [({"zone": "example.test"}, "the id of a hosted zone"),
                          ({"values": "east=192.0.2.300"}, "expected REGION= and a value"),
                          ({"values": "east=alias:Z1"}, "expected REGION= and a value"),
                          ({"values": "east=alias:Z1:a.example:sometimes"}, "expected REGION= and a value"),
                          ({"values": "east=alias:Z1:a.example east=192.0.2.1"}, "expected REGION= and a value"),
                          ({"record": "CNAME", "values": "east=a.example east=b.example"}, "expected REGION= and a value"),
                          ({"token_name": "app.example.test"}, "another name"),
                          ({"ttl": "2m"}, "at most `ttl_most`"),
                          ({"secret_key": None}, "needs `secret_key`"),
                          ({"name": "a..b"}, "expected a name")]:
        add(actions, route53, **options)
        assert said in actions.check(), (options, actions.check())
    add(actions, route53, zone="/hostedzone/Z2EXAMPLE")
    assert actions.check() == ""
