"""The gate dynamodb against servers with the documented behaviour of DynamoDB (20120810) and CloudWatch."""
import json
import re
import time

import botocore.serialize
import botocore.session
import pytest

import fake_aws
import fake_rds
from actions import Actions

MODEL = botocore.session.get_session().get_service_model("dynamodb")


class Region(fake_rds.Rds):
    def __init__(self, region):
        self.status, self.replicas, self.points = "ACTIVE", ["us-east-1", "us-west-2"], [(65, 850.5)]
        super().__init__(region, None)

    def signed_for(self, h):
        scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request", h.headers["Authorization"]).groups()
        self.service, self.headers = scope[1], h.headers
        if scope[0] != self.region or scope[1] not in ("dynamodb", "monitoring"):
            self.faults.append(f"signed for {scope}")
        return self.service, self.region

    def dispatch(self, method, path, query, body):
        if self.service == "monitoring":
            return super().dispatch(method, path, query, body)
        made = botocore.serialize.create_serializer("json").serialize_to_request(json.loads(body), MODEL.operation_model("DescribeTable"))
        if (made["headers"]["X-Amz-Target"], made["headers"]["Content-Type"]) != (self.headers["X-Amz-Target"], self.headers["Content-Type"]):
            self.faults.append(f"headers {self.headers}")
        if json.loads(body) != {"TableName": "orders"}:
            return 400, json.dumps({"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "message": "no table"}).encode()
        return 200, json.dumps({"Table": {"TableName": "orders", "TableStatus": self.status, "Replicas": [
            {"RegionName": r, "ReplicaStatus": "ACTIVE"} for r in self.replicas]}}).encode()

    def statistics(self, params):
        dims = {d["Name"]: d["Value"] for d in params["Dimensions"]}
        points = "".join(f"<member><Timestamp>{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() - age))}</Timestamp>"
                         f"<Maximum>{v}</Maximum></member>" for age, v in self.points)
        if dims != {"TableName": "orders", "ReceivingRegion": "us-west-2"}:
            points = ""
        return self.answer("GetMetricStatistics", f"<Label>x</Label><Datapoints>{points}</Datapoints>")


def test_a_gate(tmp_path):
    east, west = Region("us-east-1"), Region("us-west-2")
    a = Actions(tmp_path)
    urls = f"east={east.url} west={west.url}"
    options = {"type": "dynamodb", "step": "gate", "table": "orders", "replicas": "east=us-east-1 west=us-west-2", "aws_endpoints": urls,
               "cloudwatch_endpoints": urls, "access_key_id": a.secret("id", fake_aws.KEY), "secret_key": a.secret("secret", fake_aws.SECRET)}
    a.add("table", **options)
    try:
        assert a.check() == ""
        r = a.run("table", "precheck")
        assert r["class"] == "ok", r
        r = a.run("table", "probe")
        assert r["class"] == "ok" and r["have_lag"] and r["lag_ms"] == 851 and 60_000 <= r["lag_age_ms"] < 120_000 and r["receiving"], r
        west.status = "CREATING"
        assert a.run("table", "probe")["class"] == "not_applied"
        west.status, west.replicas = "ACTIVE", ["us-west-2", "eu-west-1"]
        assert a.run("table", "precheck")["class"] == "denied"
        west.replicas = ["us-east-1"]
        east.close()  # measured there: no figure, and the gate stays open
        r = a.run("table", "probe")
        assert r["class"] == "ok" and not r["have_lag"], r
        west.script = lambda method, path: (400, "ThrottlingException", "slowly")
        assert a.run("table", "probe")["class"] == "throttled"
        west.script = lambda method, path: None
        assert a.run("table", "probe", to="south")["class"] == "denied"
        a.add("table", **dict(options, table="nobody"))
        assert a.run("table", "precheck")["class"] == "denied"
        a.add("table", **dict(options, table="a b"))
        assert "a table's name" in a.check()
        a.add("table", **dict(options, step="switch"))
        assert a.check() != ""
    finally:
        west.close()
    assert not east.faults and not west.faults
