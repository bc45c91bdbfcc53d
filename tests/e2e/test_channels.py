"""Channels against real servers: a real Alertmanager, mail over TLS, HTTP services that behave and misbehave."""
import contextlib
import email
import email.policy
import hashlib
import hmac
import json
import os
import subprocess
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

import receivers
from receivers import Alertmanager, MailServer, Service, Teller, answer, closed, echo, garbage, giant, server_context, silent, trickle
from support import authority, free_port, wait_for

ALERT = {"rule": "high-errors", "labels": {"alertname": "high-errors", "service": "checkout", "severity": "critical"},
         "severity": "critical", "summary": "25% fail", "description": "for 2m", "runbook": "https://runbooks.example.com/x",
         "id": "00112233445566778899aabbccddeeff"}


@pytest.fixture
def services():
    """services(…) makes one and ends it with the test."""
    with contextlib.ExitStack() as stack:
        def make(kind=Service, *args, **more):
            s = kind(*args, **more)
            stack.callback(s.close)
            return s
        yield make


@pytest.fixture
def teller(tmp_path):
    with contextlib.ExitStack() as stack:
        def make(**options):
            t = Teller(tmp_path, options)
            stack.callback(t.close)
            return t
        yield make


# ---- webhooks: the signature, and every way in which a service can fail ---------------------------------------------------

def test_webhook_is_signed(tmp_path, ca, services, teller):
    s = services(context=server_context(ca))
    t = teller(hook={"type": "webhook", "url": s.url + "/in?x=1", "ca": f"{ca}/ca.pem",
                     "secret": receivers.secret(tmp_path, "secret", "sesame"),
                     "authorization": receivers.secret(tmp_path, "auth", "Bearer abc")})
    assert t.tell("hook", title="down", dedup_key="k", alerts=[ALERT])["outcome"] == "delivered"
    r = s.next()
    assert r["path"] == "/in?x=1" and r["headers"]["Authorization"] == "Bearer abc"
    stamp = r["headers"]["X-Securebase-Timestamp"]
    mac = hmac.new(b"sesame", b"v1:" + stamp.encode() + b":" + r["body"], hashlib.sha256).hexdigest()
    assert r["headers"]["X-Securebase-Signature"] == "v1=" + mac
    assert abs(int(stamp) - r["at"]) < 60
    told = json.loads(r["body"])
    assert told["title"] == "down" and told["alerts"][0]["summary"] == "25% fail" and told["status"] == "firing"


def test_answers(services, teller):
    s = services()
    t = teller(hook={"type": "webhook", "url": s.url, "timeout": "2s"})
    for act, outcome, said in [
            (answer(204), "delivered", "status 204"),
            (answer(429, b"slow down", Retry_After="17"), "retry", "status 429: slow down"),
            (answer(500, b"oops\n"), "retry", "status 500: oops"),
            (answer(400, b"no such field"), "never", "status 400: no such field"),
            (answer(302, b"", Location="http://127.0.0.1:1/"), "never", "status 302"),
            (answer(401), "denied", "status 401"),
            (silent(), "retry", "timeout: "),
            (trickle(), "retry", "timeout: "),
            (giant(200), "delivered", "status 200, and an answer that is too large"),
            (giant(500), "retry", "too_large: "),
            (closed(), "retry", ": "),
            (garbage(), "retry", ": ")]:
        s.script[:] = [act, act]  # a kept connection that turns out dead is tried once more
        r = t.tell("hook", title="x")
        assert r["outcome"] == outcome and said in r["text"], (act, r)
        s.script[:] = []
    assert t.metrics()["securebase_aggregator_notify_attempts_total{outcome=delivered,receiver=hook}"] == 2
    assert [r["retry_after"] for r in t.results.values() if "429" in r.get("text", "")] == [17]


def test_nobody_there(tmp_path, ca, services, teller):
    other = authority(str(tmp_path / "other"), "server:localhost,127.0.0.1")
    wrong_host = authority(str(tmp_path / "host"), "server:example.com")
    stranger, elsewhere = services(context=server_context(other)), services(context=server_context(wrong_host))
    plain = services()
    t = teller(refused={"type": "webhook", "url": f"http://127.0.0.1:{free_port()}/"},
               name={"type": "webhook", "url": "http://no-such-host.invalid/"},
               stranger={"type": "webhook", "url": stranger.url, "ca": f"{ca}/ca.pem"},
               system={"type": "webhook", "url": stranger.url},
               elsewhere={"type": "webhook", "url": elsewhere.url, "ca": f"{wrong_host}/ca.pem"},
               plain={"type": "webhook", "url": plain.url.replace("http:", "https:"), "ca": f"{ca}/ca.pem"})
    for name, why in [("refused", "connect: "), ("name", "dns: "), ("stranger", "certificate: "), ("system", "certificate: "),
                      ("elsewhere", "certificate: "), ("plain", "tls: ")]:
        r = t.tell(name, title="x")
        assert r["outcome"] == "retry" and r["text"].startswith(why), (name, r)
    assert not stranger.requests and not elsewhere.requests


def test_secrets_are_never_shown(tmp_path, services, teller):
    """A service that says what it was sent: neither the result nor the log has it."""
    s = services(default=echo(400))
    secrets = {"auth": "Bearer c0ffee-c0ffee", "key": "0123456789abcdef0123456789abcdef", "genie": "9f8e7d6c-genie",
               "url": s.url + "/services/T0/B0/hushhush"}
    files = {k: receivers.secret(tmp_path, k, v) for k, v in secrets.items()}
    t = teller(hook={"type": "webhook", "url": s.url, "authorization": files["auth"]},
               hidden={"type": "webhook", "secret_url": files["url"]},
               slack={"type": "slack", "secret_url": files["url"]},
               genie={"type": "opsgenie", "api_key": files["genie"], "url": s.url},
               gone={"type": "slack", "secret_url": receivers.secret(tmp_path, "gone", "http://hush-hush.invalid/T0/hushhush")})
    said = [t.tell(name, title="x")["text"] for name in ("hook", "hidden", "slack", "genie", "gone")]
    assert "***" in said[0] and "GenieKey ***" in said[3]
    for text in [*said, t.output()]:
        for word in [*secrets.values(), "hushhush", "T0/B0"]:
            assert word not in text, text


def test_one_that_hangs_delays_nobody(services, teller):
    s, good = services(default=silent()), services()
    t = teller(hangs={"type": "webhook", "url": s.url, "timeout": "60s"},
               slow={"type": "command", "command": "/bin/sleep 50", "timeout": "60s"},
               quick={"type": "command", "command": "/bin/true"}, good={"type": "webhook", "url": good.url})
    waiting = [t.send("hangs", title="x") for _ in range(20)] + [t.send("slow", title="x") for _ in range(20)]
    assert t.tell("good", title="x")["outcome"] == "delivered"
    assert t.tell("quick", title="x")["outcome"] == "delivered"
    assert not any(w in t.results for w in waiting)
    m = t.metrics()
    assert m["securebase_aggregator_notify_under_way{receiver=hangs}"] == 8
    assert m["securebase_aggregator_notify_waiting{receiver=hangs}"] == 12
    assert m["securebase_aggregator_notify_under_way{receiver=slow}"] == 2


def test_queue_has_an_end(services, teller):
    s = services(default=silent())
    t = teller(hangs={"type": "webhook", "url": s.url, "timeout": "60s"})
    orders = [t.send("hangs", title="x") for _ in range(520)]
    assert [t.result(n)["error"] for n in orders[512:]] == ["limit"] * 8
    assert t.metrics()["securebase_aggregator_notify_refused_total{receiver=hangs}"] == 8
    assert t.tell("nobody", title="x")["error"] == "notfound"


def test_reload(tmp_path, services, teller):
    a, b = services(), services()
    a.script += [silent()]
    t = teller(hook={"type": "webhook", "url": a.url, "timeout": "50s"}, gone={"type": "webhook", "url": a.url})
    first = t.send("hook", title="under way")
    a.next()
    t.write({"hook": {"type": "webhook", "url": b.url}})
    assert "error" not in t.result(t.order(reload=True))
    assert t.tell("hook", title="x")["outcome"] == "delivered" and b.next()
    assert t.tell("gone", title="x")["error"] == "notfound"
    t.write({"hook": {"type": "webhook", "url": a.url, "secret": f"file:{tmp_path}/no-such-file"}})
    assert "hook" in t.result(t.order(reload=True))["error"]
    assert t.tell("hook", title="x")["outcome"] == "delivered" and b.next()
    a.open.set()  # the one under way ends by its own receiver, which has left
    assert t.result(first)["outcome"] == "retry"
    assert t.metrics()["securebase_aggregator_notify_attempts_total{outcome=delivered,receiver=hook}"] == 2


def test_check_config(tmp_path, aggregator):
    """--check-config judges what is written; --online also opens each receiver, and shows no secret."""
    a = aggregator(start=False, sections=[
        ("receiver good", {"type": "webhook", "url": "http://127.0.0.1:1/",
                           "secret": receivers.secret(tmp_path, "good", "sesame-sesame")}),
        ("receiver bad", {"type": "pagerduty", "routing_key": receivers.secret(tmp_path, "bad", "hush-hush-hush")}),
        ("receiver gone", {"type": "slack", "secret_url": f"file:{tmp_path}/gone"})])
    os.makedirs(a.state, exist_ok=True)
    check = [*a.argv, "--check-config"]
    assert subprocess.run(check, capture_output=True, text=True, check=False).returncode == 0
    r = subprocess.run([*check, "--online"], capture_output=True, text=True, check=False)
    assert r.returncode == 78
    failed = [line for line in r.stdout.splitlines() if line.startswith("FAILS") and "receiver" in line]
    assert len(failed) == 2 and "[receiver bad]" in failed[0] and "[receiver gone]" in failed[1], r.stdout
    assert "hush-hush" not in r.stdout + r.stderr and "sesame" not in r.stdout + r.stderr
    a.sections[-1] = ("receiver gone", {"type": "slack"})
    a.write()
    r = subprocess.run(check, capture_output=True, text=True, check=False)
    assert r.returncode == 78 and "needs `secret_url`" in r.stderr + r.stdout


def test_stop_ends(services, teller):
    """What hangs gets five seconds, then ends without an answer; the process ends in order."""
    s = services(default=silent())
    t = teller(hangs={"type": "webhook", "url": s.url, "timeout": "60s"},
               slow={"type": "command", "command": "/bin/sleep 600", "timeout": "60s"})
    for _ in range(12):
        t.send("hangs", title="x")
    t.send("slow", title="x")
    s.next()
    t.order(stop=True)
    assert t.child.wait(60) == 0
    assert not t.results


# ---- Alertmanager ---------------------------------------------------------------------------------------------------------

def test_alertmanager(tmp_path, started, services, teller):
    hook = services()
    one, two = Alertmanager(tmp_path, hook.url, "am-1"), Alertmanager(tmp_path, hook.url, "am-2")
    started += [one.start(), two.start()]
    one.ready()
    two.ready()
    t = teller(am={"type": "alertmanager", "url": f"{one.url} {two.url}/"})
    other = dict(ALERT, labels=dict(ALERT["labels"], instance="b", **{"dc-name": "x"}), summary="\u00fc <&>")
    assert t.tell("am", dedup_key="k", alerts=[ALERT, other], link="https://console.example.com/a b")["outcome"] == "delivered"
    for am in (one, two):
        alerts = sorted(am.alerts(), key=lambda a: a["labels"].get("instance", ""))
        assert [a["labels"] for a in alerts] == [
            ALERT["labels"], {**ALERT["labels"], "instance": "b", "dc_name": "x"}]
        assert alerts[1]["annotations"] == {"summary": "\u00fc <&>", "description": "for 2m",
                                            "runbook_url": "https://runbooks.example.com/x"}
        assert all(a["status"]["state"] == "active" for a in alerts)
    groups = [json.loads(hook.next()["body"]) for _ in range(2)]  # each replica tells its own: they don't know each other
    for g in groups:
        assert g["status"] == "firing" and len(g["alerts"]) == 2 and g["groupLabels"] == {
            "alertname": "high-errors", "service": "checkout"}

    two.stop()
    r = t.tell("am", tell="resolve", dedup_key="k", alerts=[dict(ALERT, firing=False), dict(other, firing=False)])
    assert r["outcome"] == "delivered" and r["text"].startswith("1 of 2 have taken it; "), r
    g = json.loads(hook.next()["body"])
    assert g["status"] == "resolved" and [a["status"] for a in g["alerts"]] == ["resolved"] * 2
    wait_for(lambda: not one.alerts(), why="nothing is active")

    assert t.tell("am", tell="test", title="a test")["outcome"] == "delivered"
    assert [a["labels"]["alertname"] for a in one.alerts()] == ["SecureBaseTest"]
    one.stop()
    r = t.tell("am", dedup_key="k", alerts=[ALERT])
    assert r["outcome"] == "retry" and r["text"].startswith("0 of 2"), r


# ---- mail -----------------------------------------------------------------------------------------------------------------

def mail_options(tmp_path, ca, server, tls, password="open sesame", **more):
    return {"type": "email", "server": server.address, "tls": tls, "from": "alerts@example.org", "to": "ops@example.com",
            "ca": f"{ca}/ca.pem", "username": "ann", "password": receivers.secret(tmp_path, f"password-{len(password)}", password), **more}


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_mail(tmp_path, ca, services, teller, tls):
    s = services(MailServer, ca, tls)
    t = teller(mail=mail_options(tmp_path, ca, s, tls, to="ops@example.com ann@example.net", helo="agg-1.example.org"))
    text = "caf\u00e9 = 1\n.\n..hidden\n" + "long " * 300 + "\ntrailing \n\u20ac"
    for kind in ("trigger", "resolve"):
        assert t.tell("mail", tell=kind, dedup_key="checkout/1", title="St\u00f6rung: checkout " + "\u00e4" * 60, text=text,
                      link="https://console.example.com/")["outcome"] == "delivered"
    first, second = [email.message_from_bytes(m["content"], policy=email.policy.default) for m in s.mails]
    assert s.mails[0]["tls"] and s.mails[0]["user"] and s.mails[0]["helo"] == "agg-1.example.org"
    assert s.mails[0]["to"] == ["ops@example.com", "ann@example.net"] and s.mails[0]["from"] == "alerts@example.org"
    assert first["Subject"] == "St\u00f6rung: checkout " + "\u00e4" * 60
    assert first.get_content().replace("\r\n", "\n") == text + "\nConsole: https://console.example.com/\n\n-- \nus-east-1/test\n"
    assert first["Message-ID"] != second["Message-ID"]
    assert first["References"] == second["References"] == first["In-Reply-To"]
    assert first["Auto-Submitted"] == "auto-generated" and second["X-Securebase-Status"] == "resolved"
    assert not first.defects and first["Date"].datetime


def test_mail_refusals(tmp_path, ca, services, teller):
    s = services(MailServer, ca, "starttls")
    other = authority(str(tmp_path / "other"), "server:localhost,127.0.0.1")
    strange = services(MailServer, other, "starttls")
    both = "ops@example.com gone@example.com"
    t = teller(good=mail_options(tmp_path, ca, s, "starttls", to=both), wrong=mail_options(tmp_path, ca, s, "starttls", "let me in"),
               strange=mail_options(tmp_path, ca, strange, "starttls"),
               gone=dict(mail_options(tmp_path, ca, s, "starttls"), server=f"127.0.0.1:{free_port()}"),
               none={"type": "email", "server": s.address, "tls": "none", "from": "a@example.org", "to": "ops@example.com"})
    assert t.tell("wrong", title="x")["outcome"] == "denied"
    r = t.tell("strange", title="x")
    assert r["outcome"] == "retry" and "certificate" in r["text"], r
    assert t.tell("gone", title="x")["outcome"] == "retry"
    assert t.tell("none", title="x")["outcome"] == "denied"  # 530 Must issue a STARTTLS command first
    assert not s.mails and not strange.mails

    s.refuse = {"gone@example.com": "550 no such mailbox"}
    r = t.tell("good", title="x")
    assert r["outcome"] == "delivered" and r["text"].endswith("refused a recipient: server: 550 no such mailbox "), r
    assert s.mails[-1]["to"] == ["ops@example.com"] and "not for everybody" in t.output()
    s.refuse = {a: "550 no such mailbox" for a in both.split()}
    r = t.tell("good", title="x")
    assert r["outcome"] == "never" and "550" in r["text"], r
    s.refuse = {a: "451 greylisted" for a in both.split()}
    assert t.tell("good", title="x")["outcome"] == "retry"
    s.refuse = {}
    s.reply["DATA"] = "452 disk full"
    r = t.tell("good", title="x")
    assert r["outcome"] == "retry" and "452" in r["text"], r
    s.reply["DATA"] = "554 looks like spam"
    assert t.tell("good", title="x")["outcome"] == "never"
    assert "let me in" not in t.output() and "open sesame" not in t.output()


def test_mail_to_a_server_that_ignores_quit(tmp_path, ca, services, teller):
    """It has the mail: that it does not say good bye makes no failed attempt of it."""
    s = services(MailServer, ca, "starttls")
    s.reply["QUIT"] = "never"
    t = teller(mail=dict(mail_options(tmp_path, ca, s, "starttls"), timeout="60s"))
    orders = [t.send("mail", title=str(i)) for i in range(6)]  # two at a time
    assert [t.result(n)["outcome"] for n in orders] == ["delivered"] * 6
    assert len(s.mails) == 6


def test_mail_plain(tmp_path, ca, services, teller):
    """starttls is never left out because the server does not offer it."""
    with_tls = services(MailServer, ca, "tls")
    t = teller(mail=dict(mail_options(tmp_path, ca, with_tls, "starttls"), timeout="3s"))
    assert t.tell("mail", title="x")["outcome"] == "retry"
    assert not with_tls.mails


# ---- AWS --------------------------------------------------------------------------------------------------------------------

def test_sns(tmp_path, ca, services, teller):
    s = services(context=server_context(ca), default=answer(200, b"<PublishResponse/>"))
    key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    t = teller(sns={"type": "sns", "url": s.url, "ca": f"{ca}/ca.pem", "topic": "arn:aws:sns:eu-west-1:123456789012:alerts",
                    "access_key_id": receivers.secret(tmp_path, "id", "AKIDEXAMPLE"),
                    "secret_key": receivers.secret(tmp_path, "key", key),
                    "session_token": receivers.secret(tmp_path, "token", "TOKEN/x==")})
    assert t.tell("sns", title="down: caf\u00e9", text="a&b=c+d \u20ac", dedup_key="k")["outcome"] == "delivered"
    r = s.next()
    form = urllib.parse.parse_qs(r["body"].decode(), strict_parsing=True)
    assert form["Action"] == ["Publish"] and form["Subject"] == ["down: caf?"] and form["Message"] == ["a&b=c+d \u20ac"]
    assert form["MessageAttributes.entry.1.Value.StringValue"] == ["firing"]

    # as the service judges it: signed anew by botocore over what came
    signed = r["headers"]["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    request = botocore.awsrequest.AWSRequest(
        "POST", s.url + r["path"], data=r["body"], headers={k: v for k, v in r["headers"].items() if k.lower() in signed})
    request.context["timestamp"] = r["headers"]["X-Amz-Date"]
    auth = botocore.auth.SigV4Auth(botocore.credentials.Credentials("AKIDEXAMPLE", key, "TOKEN/x=="), "sns", "eu-west-1")
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    assert r["headers"]["Authorization"].endswith("Signature=" + signature), canonical

    for status, code, outcome in [(403, "SignatureDoesNotMatch", "denied"), (400, "Throttling", "retry"),
                                  (400, "InvalidParameter", "never"), (404, "NotFound", "denied")]:
        s.script[:] = [answer(status, f"<Error><Code>{code}</Code></Error>".encode())]
        assert t.tell("sns", title="x")["outcome"] == outcome


# ---- the others by recorded requests ------------------------------------------------------------------------------------------

def test_pagers(tmp_path, services, teller):
    s = services(default=answer(202, b"{}"))
    t = teller(pd={"type": "pagerduty", "url": s.url, "routing_key": receivers.secret(tmp_path, "rk", "0123456789abcdef" * 2)},
               og={"type": "opsgenie", "url": s.url + "/jsm/ops/integration", "api_key": receivers.secret(tmp_path, "ak", "key-key-key")},
               slack={"type": "slack", "secret_url": receivers.secret(tmp_path, "su", s.url + "/services/T/B/X")})
    for kind in ("trigger", "acknowledge", "resolve"):
        assert t.tell("pd", tell=kind, title="x", dedup_key="k", alerts=[ALERT])["outcome"] == "delivered"
        r = s.next()
        assert r["path"] == "/v2/enqueue" and json.loads(r["body"])["event_action"] == kind
        assert json.loads(r["body"])["dedup_key"] == "k"
    assert t.tell("pd", tell="change", title="deployed")["outcome"] == "delivered"
    assert s.next()["path"] == "/v2/change/enqueue"
    r = t.tell("pd", tell="heartbeat", title="x")
    assert r["outcome"] == "never" and "heartbeat" in r["text"]
    for kind, path in [("trigger", "/v2/alerts"), ("acknowledge", "/v2/alerts/a%2Fb/acknowledge?identifierType=alias"),
                       ("resolve", "/v2/alerts/a%2Fb/close?identifierType=alias")]:
        assert t.tell("og", tell=kind, title="x", dedup_key="a/b")["outcome"] == "delivered"
        assert s.next()["path"] == "/jsm/ops/integration" + path
    s.script += [answer(429, b"", Retry_After="1")]
    r = t.tell("pd", title="x", dedup_key="k")
    assert r["outcome"] == "retry" and r["retry_after"] == 60  # minutes, whatever it says
    s.next()
    assert t.tell("slack", title="<x>", text="a & b")["outcome"] == "delivered"
    r = s.next()
    assert r["path"] == "/services/T/B/X" and json.loads(r["body"])["text"] == "&lt;x&gt;"


def test_command(tmp_path, teller):
    script = tmp_path / "page.sh"
    script.write_text("#!/bin/sh\ncat > \"$1\"\n")
    os.chmod(script, 0o755)
    t = teller(run={"type": "command", "command": f"{script} {tmp_path}/got.json"})
    assert t.tell("run", title="x; rm -rf $HOME", dedup_key="k", alerts=[ALERT])["outcome"] == "delivered"
    with open(tmp_path / "got.json", encoding="utf-8") as f:
        assert json.load(f)["title"] == "x; rm -rf $HOME"
