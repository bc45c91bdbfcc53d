"""The driver cloudfront against a server with the documented behaviour (2020-05-31): ETags, If-Match, deployment."""
import re
import xml.etree.ElementTree as et

import botocore.serialize
import botocore.session
import pytest

import fake_aws
from actions import Actions

NS = "http://cloudfront.amazonaws.com/doc/2020-05-31/"
MODEL = botocore.session.get_session().get_service_model("cloudfront")


def origin(name):
    return (f"<Origin><Id>{name}</Id><DomainName>{name}.example.com</DomainName><OriginPath/><CustomHeaders><Quantity>0</Quantity></CustomHeaders>"
            "</Origin>")


def behaviour(tag, target, path=""):
    return (f"<{tag}>{path}<TargetOriginId>{target}</TargetOriginId><ViewerProtocolPolicy>https-only</ViewerProtocolPolicy>"
            f"<Compress>true</Compress></{tag}>")


def config(comment="the shop &amp; more", default="east", rest=("east", "media", "east")):
    items = "".join(behaviour("CacheBehavior", t, f"<PathPattern>/{i}/*</PathPattern>") for i, t in enumerate(rest))
    said = f"<Comment>{comment}</Comment>" if comment is not None else "<Comment/>"
    return (f'<?xml version="1.0"?>\n<DistributionConfig xmlns="{NS}"><CallerReference>one</CallerReference><Aliases><Quantity>0</Quantity></Aliases>'
            f"<DefaultRootObject>east</DefaultRootObject><Origins><Quantity>3</Quantity><Items>{origin('east')}{origin('west')}{origin('media')}"
            f"</Items></Origins>{behaviour('DefaultCacheBehavior', default)}<CacheBehaviors><Quantity>{len(rest)}</Quantity><Items>{items}</Items>"
            f"</CacheBehaviors>{said}<PriceClass>PriceClass_100</PriceClass><Enabled>true</Enabled></DistributionConfig>").encode()


class CloudFront(fake_aws.Route53):
    def __init__(self):
        self.config, self.version, self.status, self.looks = config(), 1, "Deployed", 0
        super().__init__()
        inner = self.serve

        def serve(h, body):
            self.handler = h
            h.do_PUT = None
            inner(h, body)
        self.serve = serve
        handler = self.server.RequestHandlerClass
        handler.do_PUT = lambda h: self.serve(h, h.rfile.read(int(h.headers["Content-Length"])))
        ended = handler.end_headers

        def end_headers(h):
            h.send_header("ETag", f"E{self.version}")
            ended(h)
        handler.end_headers = end_headers

    def signed_for(self, h):
        return "cloudfront", "us-east-1"

    def dispatch(self, method, path, query, body):
        if path == "/2020-05-31/distribution/E1" and method == "GET":
            self.looks += 1
            self.status = "Deployed" if self.looks > 1 else self.status
            return 200, f'<?xml version="1.0"?>\n<Distribution xmlns="{NS}"><Id>E1</Id><Status>{self.status}</Status></Distribution>'.encode()
        if path != "/2020-05-31/distribution/E1/config":
            return self.error(404, "NoSuchDistribution", "The specified distribution does not exist.")
        if method == "GET":
            return 200, self.config
        if self.handler.headers.get("If-Match") != f"E{self.version}":
            return self.error(412, "PreconditionFailed", "The request failed because it didn't meet the preconditions")
        self.check(body)
        self.config, self.status, self.looks = body, "InProgress", 0
        self.version += 1
        return 200, f'<?xml version="1.0"?>\n<Distribution xmlns="{NS}"><Id>E1</Id><Status>InProgress</Status></Distribution>'.encode()

    def check(self, body):
        """What AWS's library makes of the same parameters; and nothing but targets and comment has changed."""
        operation = MODEL.operation_model("UpdateDistribution")
        root = et.fromstring(body)
        made = botocore.serialize.create_serializer("rest-xml").serialize_to_request(
            {"Id": "E1", "IfMatch": f"E{self.version}", "DistributionConfig": fake_aws.params(root, operation.input_shape.members["DistributionConfig"])},
            operation)
        if fake_aws.tree(et.fromstring(made["body"])) != fake_aws.tree(root) or made["url_path"] != "/2020-05-31/distribution/E1/config":
            self.faults.append(f"shape: {body!r}, expected {made['body']!r}")
        if made["headers"].get("If-Match") != self.handler.headers["If-Match"] or len(root.findall(f".//{{{NS}}}Comment")) != 1:
            self.faults.append("If-Match, or comments")
        if len(fake_aws.tree(root)[2]) != len(fake_aws.tree(et.fromstring(self.config))[2]):
            self.faults.append("parts are missing")

    def targets(self):
        return re.findall(rb"<TargetOriginId>([^<]*)<", self.config)

    def comment(self):
        return et.fromstring(self.config).find(f"{{{NS}}}Comment").text


@pytest.fixture
def cdn():
    server = CloudFront()
    yield server
    server.close()
    assert not server.faults


@pytest.fixture
def actions(tmp_path, cdn):
    a = Actions(tmp_path)
    a.options = {"type": "cloudfront", "step": "switch", "distribution": "E1", "origins": "east=east west=west", "url": cdn.url,
                 "access_key_id": a.secret("id", fake_aws.KEY), "secret_key": a.secret("secret", fake_aws.SECRET)}
    a.add("cdn", **a.options)
    return a


def test_a_move_and_back(actions, cdn):
    before = cdn.config
    assert actions.run("cdn", "precheck")["class"] == "ok"
    assert actions.run("cdn", "probe")["class"] == "not_applied"
    assert cdn.config == before
    assert actions.run("cdn", "apply")["class"] == "progress"
    assert cdn.targets() == [b"west", b"west", b"media", b"west"]
    assert cdn.comment() == "the shop & more [securebase epoch=7 token=1.100 plan=p-7]"
    assert cdn.config.replace(b"<TargetOriginId>west", b"<TargetOriginId>east").replace(
        b" [securebase epoch=7 token=1.100 plan=p-7]", b"") == before
    assert actions.run("cdn", "probe")["class"] == "progress"
    r = actions.run("cdn", "probe")
    assert (r["class"], r["found"]) == ("ok", "1.100"), r
    assert cdn.version == 2
    assert actions.run("cdn", "apply")["class"] in ("already", "progress") and cdn.version == 2
    r = actions.run("cdn", "apply", token="1.99", epoch=6)
    assert (r["class"], r["found"]) == ("conflict", "1.100"), r
    assert actions.run("cdn", "undo")["class"] == "progress"
    assert cdn.targets() == [b"east", b"east", b"media", b"east"] and cdn.version == 3


def test_somebody_else_writes(actions, cdn):
    def meanwhile(method, path):
        if method == "PUT":
            cdn.version += 1
    cdn.script = meanwhile
    r = actions.run("cdn", "apply")
    assert r["class"] == "retry" and "PreconditionFailed" in r["text"], r
    assert cdn.targets()[0] == b"east"
    cdn.script = lambda method, path: "lose" if method == "PUT" else None
    assert actions.run("cdn", "apply")["class"] == "unknown"
    cdn.script = lambda method, path: None
    assert actions.run("cdn", "probe")["class"] == "progress"


def test_comments(actions, cdn):
    cdn.config = config(comment=None)
    assert actions.run("cdn", "apply")["class"] == "progress"
    assert cdn.comment() == "[securebase epoch=7 token=1.100 plan=p-7]"
    cdn.config = config(comment="x" * 90)
    assert actions.run("cdn", "apply", plan="p" * 60)["class"] == "progress"  # without its plan
    assert cdn.comment() == "x" * 90 + " [securebase epoch=7 token=1.100]"
    assert actions.run("cdn", "probe")["found"] == "1.100"
    cdn.config = config(comment="x" * 120)
    r = actions.run("cdn", "precheck")
    assert r["class"] == "denied" and "no room" in r["text"], r


def test_what_stands_in_the_way(actions, cdn):
    actions.add("other", **dict(actions.options, origins="east=east west=nowhere"))
    assert actions.run("other", "precheck")["class"] == "denied"
    cdn.config = config(default="media", rest=("media",))
    assert actions.run("cdn", "precheck")["class"] == "conflict"
    cdn.script = lambda method, path: (403, "AccessDenied", "no")
    assert actions.run("cdn", "precheck")["class"] == "denied"
    cdn.script = lambda method, path: None
    cdn.config = b"<html>"
    assert actions.run("cdn", "probe")["class"] == "retry"
    actions.add("third", **dict(actions.options, distribution="E9"))
    assert "NoSuchDistribution" in actions.run("third", "precheck")["text"]
    del actions.sections["third"], actions.sections["other"]
    assert actions.check() == ""
    for key, value in [("distribution", "E1/x"), ("origins", "east=a&b"), ("origins", "a")]:
        actions.add("cdn", **dict(actions.options, **{key: value}))
        assert actions.check() != "", key
