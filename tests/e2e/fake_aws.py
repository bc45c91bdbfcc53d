"""A server that answers as Route 53 does by its API reference, and checks that every request is one that AWS's own library
would have made: the signature, and the body's shape. Only what tests need: record sets, changes, protections."""
import datetime
import http.server
import re
import socket
import threading
import time
import urllib.parse
import xml.etree.ElementTree as et

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.serialize
import botocore.session

NS = "https://route53.amazonaws.com/doc/2013-04-01/"
KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a-session-token"
MODEL = botocore.session.get_session().get_service_model("route53")


def plain(tag):
    return tag.split("}")[-1]


def tree(e):
    """(name, text, children) for comparing, without namespaces."""
    return plain(e.tag), (e.text or "").strip() if not len(e) else "", [tree(c) for c in e]


def params(e, shape):
    """An element as the parameters of botocore."""
    if shape.type_name == "structure":
        return {plain(c.tag): params(c, shape.members[plain(c.tag)]) for c in e}
    if shape.type_name == "list":
        return [params(c, shape.member) for c in e]
    if shape.type_name in ("long", "integer"):
        return int(e.text)
    return e.text == "true" if shape.type_name == "boolean" else e.text or ""


class Route53:
    """records: {(name, type): {"ttl", "values" | "alias"}}; `script` is asked with each request's (method, path) and may give
    something to do instead: a (status, code, message), "hang", "close" (before it is done), "lose" (after)."""

    def __init__(self, zone="Z2EXAMPLE"):
        self.zone, self.records, self.protections, self.requests = zone, {}, set(), []
        self.faults, self.changes, self.in_sync_after, self.extra = [], {}, 1, {}
        self.script = lambda method, path: None
        self.delay, self.lock = 0, threading.Lock()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                owner.serve(self, b"")

            def do_POST(self):
                owner.serve(self, self.rfile.read(int(self.headers["Content-Length"])))

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    # ---- a request ----

    def serve(self, h, body):
        path, _, query = h.path.partition("?")
        self.requests.append((h.command, path, query, body))
        self.check_signature(h, path, query, body)
        act = self.script(h.command, path)
        if act == "close":
            h.connection.shutdown(socket.SHUT_RDWR)
            return
        if act == "hang":
            time.sleep(30)
            return
        status, answer = self.error(*act) if isinstance(act, tuple) else self.dispatch(h.command, path, query, body)
        if act == "lose":
            h.connection.shutdown(socket.SHUT_RDWR)
            return
        try:
            h.send_response(status)
            h.send_header("Content-Type", "text/xml")
            h.send_header("Content-Length", str(len(answer)))
            h.end_headers()
            h.wfile.write(answer)
        except OSError:
            pass

    def dispatch(self, method, path, query, body):
        q = dict(urllib.parse.parse_qsl(query))
        head = f"/2013-04-01/hostedzone/{self.zone}/"
        if method == "GET" and path.startswith("/2013-04-01/change/"):
            return self.change(path.rsplit("/", 1)[1])
        if not path.startswith(head):
            return self.error(404, "NoSuchHostedZone", f"No hosted zone found with ID: {path.split('/')[3]}")
        if method == "GET" and path == head + "rrset":
            return self.list(q)
        if method == "GET" and path == head + "rrsetprotection":
            return self.list_protections(q)
        if method == "POST" and path == head + "rrset/":
            self.check_shape(body)
            with self.lock:
                time.sleep(self.delay)
                return self.batch(et.fromstring(body))
        return self.error(404, "UnknownOperationException", "no such operation")

    # ---- what AWS's library would have sent ----

    def check_signature(self, h, path, query, body):
        when = h.headers["X-Amz-Date"]
        url = f"http://{h.headers['Host']}{path}" + (f"?{query}" if query else "")
        signed = re.search(r"SignedHeaders=([^,]+)", h.headers["Authorization"]).group(1).split(";")
        headers = {k: v for k, v in h.headers.items()
                   if k.lower() in signed and k.lower() not in ("host", "x-amz-date", "x-amz-security-token")}
        request = botocore.awsrequest.AWSRequest(h.command, url, headers=headers, data=body)
        keys = botocore.credentials.Credentials(KEY, SECRET, h.headers.get("X-Amz-Security-Token"))
        auth = botocore.auth.SigV4Auth(keys, *self.signed_for(h))

        class Clock(datetime.datetime):
            @classmethod
            def utcnow(cls):
                return datetime.datetime.strptime(when, "%Y%m%dT%H%M%SZ")

            @classmethod
            def now(cls, tz=None):
                return datetime.datetime.strptime(when, "%Y%m%dT%H%M%SZ").replace(tzinfo=tz)

        with self.lock:
            old, botocore.auth.datetime.datetime = botocore.auth.datetime.datetime, Clock
            try:
                auth.add_auth(request)
            finally:
                botocore.auth.datetime.datetime = old
        if request.headers["Authorization"] != h.headers["Authorization"]:
            self.faults.append(f"signature of {h.command} {h.path}: {h.headers['Authorization']}, "
                               f"expected {request.headers['Authorization']}")
        skew = abs(datetime.datetime.strptime(when, "%Y%m%dT%H%M%SZ").timestamp() - time.mktime(time.gmtime()))
        if skew > 300:
            self.faults.append(f"a time stamp of {when}")

    def signed_for(self, h):
        """(service, region) that the signature has to be for."""
        return "route53", "us-east-1"

    def check_shape(self, body):
        """The same parameters through botocore's serialiser give the same document."""
        operation = MODEL.operation_model("ChangeResourceRecordSets")
        root = et.fromstring(body)
        batch = params(root[0], operation.input_shape.members["ChangeBatch"])
        made = botocore.serialize.create_serializer("rest-xml").serialize_to_request(
            {"HostedZoneId": self.zone, "ChangeBatch": batch}, operation)
        if tree(et.fromstring(made["body"])) != tree(root):
            self.faults.append(f"shape: {body!r}, expected {made['body']!r}")
        if root.tag != f"{{{NS}}}ChangeResourceRecordSetsRequest":
            self.faults.append(f"root {root.tag}")

    # ---- answers ----

    @staticmethod
    def error(status, code, message):
        return status, (f'<?xml version="1.0"?>\n<ErrorResponse xmlns="{NS}"><Error><Type>Sender</Type><Code>{code}</Code>'
                        f"<Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>").encode()

    @staticmethod
    def invalid(messages):
        said = "".join(f"<Message>{m}</Message>" for m in messages)
        return 400, (f'<?xml version="1.0"?>\n<InvalidChangeBatch xmlns="{NS}"><Messages>{said}</Messages>'
                     f"<RequestId>1</RequestId></InvalidChangeBatch>").encode()

    def change(self, change):
        if change not in self.changes:
            return self.error(404, "NoSuchChange", "no such change")
        self.changes[change] += 1
        status = "INSYNC" if self.changes[change] >= self.in_sync_after else "PENDING"
        return 200, (f'<?xml version="1.0"?>\n<GetChangeResponse xmlns="{NS}"><ChangeInfo><Id>/change/{change}</Id>'
                     f"<Status>{status}</Status><SubmittedAt>2026-11-24T06:00:00Z</SubmittedAt></ChangeInfo>"
                     f"</GetChangeResponse>").encode()

    @staticmethod
    def order(name):
        return ".".join(reversed(name.rstrip(".").split(".")))

    def list(self, q):
        start = (self.order(q["name"]), q.get("type", ""))
        sets = sorted(self.records, key=lambda k: (self.order(k[0]), k[1]))
        sets = [k for k in sets if (self.order(k[0]), k[1]) >= start][:int(q.get("maxitems", 100))]
        out = "".join(self.show(k) for k in sets)
        return 200, (f'<?xml version="1.0"?>\n<ListResourceRecordSetsResponse xmlns="{NS}"><ResourceRecordSets>{out}'
                     f"</ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>20</MaxItems>"
                     f"</ListResourceRecordSetsResponse>").encode()

    def show(self, key):
        r = self.records[key]
        if "alias" in r:
            zone, name, evaluate = r["alias"]
            rest = (f"<AliasTarget><HostedZoneId>{zone}</HostedZoneId><DNSName>{name}</DNSName><EvaluateTargetHealth>"
                    f"{'true' if evaluate else 'false'}</EvaluateTargetHealth></AliasTarget>")
        else:
            values = "".join("<ResourceRecord><Value>" + v.replace("&", "&amp;") + "</Value></ResourceRecord>"
                             for v in r["values"])
            rest = f"<TTL>{r['ttl']}</TTL><ResourceRecords>{values}</ResourceRecords>"
        return (f"<ResourceRecordSet><Name>{key[0]}</Name><Type>{key[1]}</Type>{self.extra.get(key, '')}{rest}"
                f"</ResourceRecordSet>")

    def list_protections(self, q):
        out = "".join(f"<ResourceRecordSetProtection><RecordName>{n}</RecordName><RecordType>{t}</RecordType>"
                      f"</ResourceRecordSetProtection>" for n, t in sorted(self.protections)
                      if (self.order(n), t) >= (self.order(q["name"]), q["type"]))
        return 200, (f'<?xml version="1.0"?>\n<ListResourceRecordSetProtectionsResponse xmlns="{NS}">'
                     f"<ResourceRecordSetProtections>{out}</ResourceRecordSetProtections>"
                     f"</ListResourceRecordSetProtectionsResponse>").encode()

    def batch(self, root):
        """All or nothing."""
        fresh, wrong = dict(self.records), []
        for change in root.iter(f"{{{NS}}}Change"):
            action, s = change[0].text, params(change[1], MODEL.shape_for("ResourceRecordSet"))
            key = (s["Name"].lower().rstrip(".") + ".", s["Type"])
            if "AliasTarget" in s:
                a = s["AliasTarget"]
                r = {"alias": (a["HostedZoneId"], a["DNSName"].lower().rstrip(".") + ".", a["EvaluateTargetHealth"])}
            else:
                r = {"ttl": s["TTL"], "values": [v["Value"] for v in s["ResourceRecords"]]}
            what = f"[name='{key[0]}', type='{key[1]}']"
            if key in self.protections:
                wrong.append(f"The resource record set {what} is protected")
            elif action == "UPSERT":
                self.faults.append("an UPSERT")
            elif action == "CREATE" and key in fresh:
                wrong.append(f"Tried to create resource record set {what} but it already exists")
            elif action == "CREATE" and not r.get("values", True):
                wrong.append("an empty set")
            elif action == "CREATE":
                fresh[key] = r
            elif key not in fresh:
                wrong.append(f"Tried to delete resource record set {what} but it was not found")
            elif dict(fresh[key], values=sorted(fresh[key].get("values", []))) != dict(r, values=sorted(r.get("values", []))):
                wrong.append(f"Tried to delete resource record set {what} but the values provided do not match the current values")
            else:
                del fresh[key]
        if wrong:
            return self.invalid(wrong)
        self.records = fresh
        change = f"C{len(self.changes) + 1:08d}"
        self.changes[change] = 0
        return 200, (f'<?xml version="1.0"?>\n<ChangeResourceRecordSetsResponse xmlns="{NS}"><ChangeInfo><Id>/change/{change}</Id>'
                     f"<Status>PENDING</Status><SubmittedAt>2026-11-24T06:00:00Z</SubmittedAt></ChangeInfo>"
                     f"</ChangeResourceRecordSetsResponse>").encode()
