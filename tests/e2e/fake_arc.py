"""The five endpoints of a cluster of Application Recovery Controller, by its API reference: JSON 1.0. Each request is checked
as AWS's own library would have made it."""
import json
import re

import botocore.serialize
import botocore.session

import fake_aws

MODEL = botocore.session.get_session().get_service_model("route53-recovery-cluster")
REGIONS = ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"]


class Endpoint(fake_aws.Route53):
    """`states` is shared by all: {arn: "On" | "Off"}; `rules`: ARNs of safety rules that forbid every change."""

    def __init__(self, region, states, rules):
        self.region, self.states, self.rules = region, states, rules
        super().__init__()
        inner = self.serve

        def serve(h, body):
            self.headers = h.headers
            inner(h, body)
        self.serve = serve

    def signed_for(self, h):
        scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request", h.headers["Authorization"]).groups()
        if scope != (self.region, "route53-recovery-cluster"):
            self.faults.append(f"signed for {scope}")
        return "route53-recovery-cluster", self.region

    @staticmethod
    def error(status, code, message):
        return status, json.dumps({"__type": f"com.amazonaws.route53recoverycluster#{code}", "message": message}).encode()

    def dispatch(self, method, path, query, body):
        target, form = self.headers["X-Amz-Target"], json.loads(body)
        operation = MODEL.operation_model(target.split(".")[1])
        made = botocore.serialize.create_serializer("json").serialize_to_request(form, operation)
        expected = (made["headers"]["X-Amz-Target"], made["headers"]["Content-Type"], json.loads(made["body"]), "/v1")
        if (target, self.headers["Content-Type"], form, path) != expected:
            self.faults.append(f"request {target} {self.headers['Content-Type']} {form} {path}, expected {expected}")
        if target.endswith("GetRoutingControlState"):
            if form["RoutingControlArn"] not in self.states:
                return self.error(404, "ResourceNotFoundException", "no such control")
            return 200, json.dumps({"RoutingControlArn": form["RoutingControlArn"],
                                    "RoutingControlState": self.states[form["RoutingControlArn"]]}).encode()
        if set(self.rules) - set(form.get("SafetyRulesToOverride", [])):
            return self.error(409, "ConflictException", "a safety rule forbids it")
        self.states.update({e["RoutingControlArn"]: e["RoutingControlState"] for e in form["UpdateRoutingControlStateEntries"]})
        return 200, b"{}"
