"""The driver lambda against a server with the documented behaviour (2015-03-31, 2019-09-30)."""
import json
import re
import urllib.parse

import botocore.serialize
import botocore.session
import pytest

import fake_aws
from actions import Actions

MODEL = botocore.session.get_session().get_service_model("lambda")


class Lambda(fake_aws.Route53):
    """`functions`: {name: {"state", "sha", "asked", "there", "status"}}, all behind the alias `live`."""

    def __init__(self, region):
        self.region, self.functions, self.puts = region, {}, []
        super().__init__()
        handler = self.server.RequestHandlerClass
        handler.do_PUT = lambda h: self.serve(h, h.rfile.read(int(h.headers["Content-Length"])))

    def signed_for(self, h):
        return "lambda", self.region

    @staticmethod
    def error(status, code, message):
        return status, json.dumps({"__type": code, "Type": "User", "Message": message}).encode()

    def dispatch(self, method, path, query, body):
        names = {"configuration": "GetFunctionConfiguration",
                 "provisioned-concurrency": ("Put" if method == "PUT" else "Get") + "ProvisionedConcurrencyConfig"}
        name, what = re.match(r"/[0-9-]+/functions/([^/]+)/([a-z-]+)$", path).groups()
        params = dict(urllib.parse.parse_qsl(query), FunctionName=name, **(json.loads(body) if body else {}))
        made = botocore.serialize.create_serializer("rest-json").serialize_to_request(params, MODEL.operation_model(names[what]))
        if (made["method"], made["url_path"], made["query_string"]) != (method, path, dict(urllib.parse.parse_qsl(query))) or \
                json.loads(made["body"] or b"{}") != json.loads(body or b"{}"):
            self.faults.append(f"request {method} {path}?{query} {body!r}, expected {made}")
        f = self.functions.get(name)
        if f is None or params["Qualifier"] != "live":
            return self.error(404, "ResourceNotFoundException", "Function not found")
        if what == "configuration":
            return 200, json.dumps({"FunctionName": name, "State": f["state"], "CodeSha256": f["sha"]}).encode()
        if method == "PUT":
            self.puts.append((name, params["ProvisionedConcurrentExecutions"]))
            f.update(asked=params["ProvisionedConcurrentExecutions"], status="IN_PROGRESS")
            return 202, json.dumps({"RequestedProvisionedConcurrentExecutions": f["asked"], "Status": "IN_PROGRESS"}).encode()
        if not f["asked"]:
            return self.error(404, "ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found")
        return 200, json.dumps({"RequestedProvisionedConcurrentExecutions": f["asked"], "AvailableProvisionedConcurrentExecutions": f["there"],
                                "Status": f["status"]}).encode()


@pytest.fixture
def world():
    w = type("World", (), {})()
    w.east, w.west = Lambda("us-east-1"), Lambda("us-west-2")
    for server, n in ((w.east, 50), (w.west, 0)):
        server.functions = {"checkout": {"state": "Active", "sha": "abc=", "asked": n, "there": n, "status": "READY"},
                            "mail": {"state": "Active", "sha": "def=", "asked": 0, "there": 0, "status": ""}}
    yield w
    for server in (w.east, w.west):
        server.close()
        assert not server.faults


@pytest.fixture
def actions(tmp_path, world):
    a = Actions(tmp_path)
    a.options = {"type": "lambda", "step": "warm", "functions": "east=checkout/live:50 west=checkout/live:50 west=mail/live:0",
                 "aws_regions": "east=us-east-1 west=us-west-2", "aws_endpoints": f"east={world.east.url} west={world.west.url}",
                 "access_key_id": a.secret("id", fake_aws.KEY), "secret_key": a.secret("secret", fake_aws.SECRET)}
    a.add("warm", **a.options)
    return a


def test_concurrency(actions, world):
    checkout = world.west.functions["checkout"]
    assert actions.run("warm", "precheck")["class"] == "ok"
    assert actions.run("warm", "probe")["class"] == "not_applied"
    assert actions.run("warm", "apply")["class"] == "progress"
    assert world.west.puts == [("checkout", 50)]
    checkout["there"] = 49
    assert actions.run("warm", "probe")["class"] == "progress"
    checkout.update(there=50, status="READY")
    assert actions.run("warm", "probe")["class"] == "ok"
    assert actions.run("warm", "apply")["class"] == "already"
    checkout.update(asked=80, there=80)  # somebody wants more: it is left
    assert actions.run("warm", "apply")["class"] == "already"
    checkout.update(asked=50, there=10, status="FAILED")
    assert actions.run("warm", "probe")["class"] == "not_applied"
    assert actions.run("warm", "apply")["class"] == "progress"
    assert world.west.puts == [("checkout", 50)] * 2 and not world.east.puts


def test_what_stands_in_the_way(actions, world):
    world.west.functions["checkout"]["sha"] = "old="
    r = actions.run("warm", "precheck")
    assert r["class"] == "denied" and "other code" in r["text"], r
    world.east.close()  # a region that is away stands in nobody's way
    assert actions.run("warm", "precheck")["class"] == "ok"
    world.west.functions["mail"]["state"] = "Pending"
    assert actions.run("warm", "precheck")["class"] == "retry"
    assert actions.run("warm", "probe")["class"] == "not_applied"
    world.west.functions["mail"]["state"] = "Active"

    def fault(*what):
        world.west.script = lambda method, path: what if method == "PUT" else None
    for status, code, kind in [(429, "TooManyRequestsException", "throttled"), (409, "ResourceConflictException", "retry"),
                               (500, "ServiceException", "unknown"), (403, "AccessDeniedException", "denied")]:
        fault(status, code, "no")
        assert actions.run("warm", "apply")["class"] == kind, code
    world.west.script = lambda method, path: None
    del world.west.functions["mail"]
    assert actions.run("warm", "precheck")["class"] == "denied"
    assert actions.check() == ""
    for value in ("west=checkout:50", "west=check out/live:5", "west=../x/live:5", "west=checkout/live:x"):
        actions.add("warm", **dict(actions.options, functions=value))
        assert "REGION=function/alias:concurrency" in actions.check(), value
