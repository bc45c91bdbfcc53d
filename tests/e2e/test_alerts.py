"""From a breach to a page: agent, aggregator, rule, route, receiver; what an operator does about it; what a restart, a kill
and a reload leave of it."""
import json
import os
import signal
import statistics
import subprocess
import threading
import time

import pytest

import support
from hook import Hook

RULES = [
    ("alert errors", {"metric": "requests_total", "match": "code=500", "by": "service", "statistic": "rate", "window": "20s",
                      "above": "0.5", "severity": "critical", "summary": "errors of ${service}: ${value}"}),
    ("alert waits", {"metric": "requests_total", "by": "service", "statistic": "rate", "window": "1m", "above": "0.5",
                     "for": "5m", "severity": "warning"}),
]


@pytest.fixture
def hook():
    h = Hook()
    yield h
    h.close()


def telling(hook, *more):
    route = {"receivers": "hook", "wait": "0s", "interval": "1s", "group_by": "alertname service instance"}
    return [("receiver hook", {"type": "webhook", "url": hook.url}), ("route all", route),
            ("notify", {"console": "http://127.0.0.1:1"}), ("incidents", {"resolve_after": "1s"}), *more]


class Load(threading.Thread):
    """Requests of a service, some of them failing, until told to stop."""

    def __init__(self, agent, service="checkout", bad=3, good=3):
        super().__init__(daemon=True)
        self.agent, self.service, self.bad, self.good, self.over = agent, service, bad, good, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.5):
            ok, failed = (f"|c|#service:{self.service},code:{code}" for code in (200, 500))
            self.agent.statsd(*[f"requests:1{ok}"] * self.good, *[f"requests:1{failed}"] * self.bad, f"requests:0{failed}")

    def stop(self):
        self.over.set()
        self.join()


def ctl(aggregator, *words, good=True):
    r = subprocess.run([os.path.join(support.BUILD, "sbctl"), "--socket", aggregator.socket, *words], capture_output=True,
                       text=True, check=False)
    assert (r.returncode == 0) == good, r
    return r.stdout if good else r.stderr


def state(aggregator, rule):
    found = [a for a in aggregator.api("alerts")["alerts"] if a["alert"] == rule]
    return found[0]["state"] if found else None


@pytest.fixture
def watched(tmp_path, ca, started, hook):
    """An aggregator with these rules, an agent, and the hook that is told."""
    a = support.Aggregator(tmp_path, ca, sections=RULES + telling(hook))
    started.append(a)
    a.start()
    g = support.Agent(tmp_path, ca, [a.endpoint], ship={"batch": "1s"})
    started.append(g)
    return a, g.start()


def test_a_breach_is_told_acknowledged_and_resolved(watched, hook):
    aggregator, agent = watched
    load = Load(agent)
    support.wait_for(lambda: hook.alerts("trigger", "errors"), 30)
    message = hook.alerts("trigger", "errors")[0]
    assert message["severity"] == "critical" and message["group"]["service"] == "checkout"
    assert message["alerts"][0]["summary"].startswith("errors of checkout: ")
    assert state(aggregator, "errors") == "firing"
    firing = 'securebase_alerts{alert="errors",severity="critical",state="firing"}'
    support.wait_for(lambda: aggregator.metrics()[firing] == 1, 10)

    # why, by the tool
    why = json.loads(ctl(aggregator, "--json", "explain", "errors"))
    assert why["state"] == "firing" and why["decisions"][0]["to"] == "firing" and why["notices"]["firing"]
    assert "checkout" in ctl(aggregator, "alerts") and "errors" in ctl(aggregator, "rules")

    # the incident, and a person who takes it
    incident = aggregator.api("incidents")["incidents"][0]
    assert incident["state"] == "open" and incident["labels"]["service"] == "checkout"
    ctl(aggregator, "incident", "ack", incident["id"], "--reason", "on it")
    shown = json.loads(ctl(aggregator, "--json", "incident", "show", incident["id"]))
    assert shown["state"] == "acknowledged" and shown["owner"].startswith("uid ")
    kinds = [line["kind"] for line in shown["timeline"]]
    assert kinds[0] == "opened" and "notification" in kinds and "acknowledged" in kinds
    assert json.loads(ctl(aggregator, "--json", "explain", "errors"))["notices"]["acknowledged"]["reason"] == "on it"

    # it ends when the errors do
    load.bad = 0
    support.wait_for(lambda: hook.alerts("resolve", "errors"), 90)
    assert hook.alerts("resolve", "errors")[0]["dedup_key"] == message["dedup_key"]
    support.wait_for(lambda: aggregator.api("incidents")["incidents"][0]["state"] == "resolved", 30)
    text = ctl(aggregator, "incident", "postmortem", incident["id"])
    assert text.startswith("# Incident") and "on it" in text
    load.stop()


def test_a_silence_and_a_maintenance_keep_quiet(watched, hook):
    aggregator, agent = watched
    preview = ctl(aggregator, "silence", "add", "service=checkout", "--for", "1h", "--reason", "deploying")
    assert preview.startswith("It matches 0 of what fires now.")
    load = Load(agent)
    support.wait_for(lambda: state(aggregator, "errors") == "firing", 30)
    why = json.loads(ctl(aggregator, "--json", "explain", "errors"))["notices"]
    assert why["groups"][0]["stopped_by"] == "silenced", why
    assert not hook.messages("trigger")
    silence = aggregator.api("silences")["silences"][0]
    assert silence["matches_now"] >= 1 and silence["reason"] == "deploying"
    ctl(aggregator, "silence", "end", silence["id"], "--reason", "done")
    support.wait_for(lambda: hook.alerts("trigger", "errors"), 30)
    load.stop()
    assert "MATCH" in ctl(aggregator, "silence", "list")
    assert "--reason" in ctl(aggregator, "silence", "add", "service=checkout", "--for", "1h", good=False)
    assert "400" in ctl(aggregator, "silence", "add", "service=~.*", "--for", "1h", "--reason", "x", good=False)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_is_pending_and_firing_outlives_a_restart(watched, hook, how):
    aggregator, agent = watched
    load = Load(agent)
    support.wait_for(lambda: state(aggregator, "errors") == "firing" and state(aggregator, "waits") == "pending" and
                     hook.alerts("trigger", "errors"), 40)
    time.sleep(1)  # for what was told to be known as told
    before = {a["alert"]: a for a in aggregator.api("alerts")["alerts"]}
    told = len(hook.alerts("trigger", "errors"))
    if how == "kill":
        aggregator.kill()
    else:
        assert aggregator.stop() == 0
    aggregator.start()
    support.wait_for(lambda: state(aggregator, "errors") == "firing" and state(aggregator, "waits") == "pending", 30)
    after = {a["alert"]: a for a in aggregator.api("alerts")["alerts"]}
    assert after["errors"]["epoch"] == before["errors"]["epoch"]
    assert after["waits"]["since"] == before["waits"]["since"]
    time.sleep(3)
    assert len(hook.alerts("trigger", "errors")) == told, "told again"
    assert not hook.alerts("resolve", "errors")
    incidents = aggregator.api("incidents")["incidents"]
    assert len([i for i in incidents if i["state"] != "resolved"]) == 1
    load.stop()


def test_a_message_that_was_not_taken_is_sent_again_after_a_kill(watched, hook):
    aggregator, agent = watched
    hook.status = 503
    load = Load(agent)
    support.wait_for(lambda: hook.alerts("trigger", "errors"), 40)
    key = hook.alerts("trigger", "errors")[0]["dedup_key"]
    aggregator.kill()
    hook.clear()
    hook.status = 200
    aggregator.start()
    support.wait_for(lambda: hook.alerts("trigger", "errors"), 60)
    assert hook.alerts("trigger", "errors")[0]["dedup_key"] == key
    load.stop()


def test_a_reload_changes_rules_and_refuses_mistakes(watched, hook):
    aggregator, agent = watched
    load = Load(agent)
    support.wait_for(lambda: state(aggregator, "errors") == "firing", 40)
    rules = [dict(s) for _, s in aggregator.sections]
    sections = list(aggregator.sections)

    def reload(changed):
        done = aggregator.metrics()
        aggregator.sections = changed
        aggregator.write()
        aggregator.signal(signal.SIGHUP)
        name = "securebase_aggregator_config_reloads_total"
        support.wait_for(lambda: sum(aggregator.metrics()[f'{name}{{result="{r}"}}'] - done[f'{name}{{result="{r}"}}']
                                     for r in ("done", "refused")) == 1, 20)

    assert rules
    reload(sections + [("alert broken", {"metric": "x", "statistic": "median", "above": "1"})])
    assert "broken" in aggregator.output() and state(aggregator, "errors") == "firing"
    added = ("alert busy", {"metric": "requests_total", "by": "service", "statistic": "rate", "window": "1m", "above": "0.1",
                            "severity": "info"})
    reload(sections + [added])
    support.wait_for(lambda: state(aggregator, "busy") == "firing", 40)
    assert state(aggregator, "errors") == "firing"
    reload([s for s in sections if s[0] != "alert errors"])
    support.wait_for(lambda: state(aggregator, "errors") is None, 20)
    assert state(aggregator, "busy") is None and aggregator.alive()
    load.stop()


def test_an_agent_that_is_gone_fires(tmp_path, ca, started, hook):
    rule = ("alert agent-down", {"metric": "securebase_agent_up", "statistic": "last", "window": "1m", "below": "1",
                                 "severity": "error"})
    a = support.Aggregator(tmp_path, ca, sections=[rule] + telling(hook), aggregator={"stale_after": "5s"})
    started.append(a)
    a.start()
    g = support.Agent(tmp_path, ca, [a.endpoint])
    started.append(g)
    g.start()
    support.wait_for(lambda: g.id in a.agents(), 20)
    g.kill()
    support.wait_for(lambda: hook.alerts("trigger", "agent-down"), 60)
    assert hook.alerts("trigger", "agent-down")[0]["alerts"][0]["labels"]["instance"] == g.id


def test_time_from_breach_to_page(tmp_path, ca, started, hook):
    """Printed, not judged: how long it takes from the first failing request to the message at the receiver."""
    rule = ("alert errors", {"metric": "failures_total", "by": "service", "statistic": "increase", "window": "30s",
                             "above": "0", "severity": "critical"})
    a = support.Aggregator(tmp_path, ca, sections=[rule] + telling(hook))
    started.append(a)
    a.start()
    g = support.Agent(tmp_path, ca, [a.endpoint], ship={"batch": "1s"})
    started.append(g)
    g.start()
    services, begun = [f"s{i}" for i in range(20)], {}
    for s in services:
        g.statsd(f"failures:0|c|#service:{s}")
    support.wait_for(lambda: len([x for x in a.api("series", match="failures_total")["series"]]) == len(services), 30)
    for s in services:
        begun[s] = time.time()
        g.statsd(f"failures:1|c|#service:{s}")
        time.sleep(0.37)
    support.wait_for(lambda: {m["group"].get("service") for m in hook.alerts("trigger", "errors")} >= set(services), 60)
    took = sorted(t - begun[d["alerts"][0]["labels"]["service"]] for t, _, d in hook.got
                  if d["tell"] == "trigger" and len(d["alerts"]) == 1)
    assert len(took) == len(services)
    print(f"\nbreach to page, {len(took)} alerts, agent interval 1 s, batch 1 s: p50 {statistics.median(took):.2f} s, "
          f"p99 {took[-1]:.2f} s")
