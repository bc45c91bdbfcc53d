"""The shipped Grafana dashboards, rules and scrape configuration against a real Prometheus that scrapes the real programs.

Every expression of every panel is asked with its variables filled in as Grafana would, and has to return something: a
metric that was renamed empties a panel in silence otherwise.
"""
import glob
import hashlib
import json
import os
import re
import subprocess

import pytest

import moves_kit
import support

DASHBOARDS = sorted(glob.glob(os.path.join(support.TOP, "conf/grafana/dashboards/*.json")))
PERCENTILE = ("percentile api", {"metric": "http_request_seconds", "by": "service", "windows": "1m 5m", "quantiles": "0.5 0.99",
                                 "buckets": "0.01 0.1 1"})


JUDGED = [("slo checkout", {"kind": "availability", "good": "http_requests_total", "good_match": 'code!~"5.."',
                            "total": "http_requests_total", "by": "service region tenant", "objective": "99.9%"}),
          ("alert errors", {"metric": "http_requests_total", "match": "code=500", "by": "service region", "statistic": "rate",
                            "window": "1m", "above": "0.1", "severity": "critical", "summary": "errors of ${service}"}),
          ("receiver book", {"type": "log"}), ("route all", {"receivers": "book", "wait": "0s"})]


def load(file):
    with open(file, encoding="utf-8") as f:
        return json.load(f)


def panels(board):
    for p in board["panels"]:
        yield p
        yield from p.get("panels", [])


def label_values(prometheus, query):
    """What Grafana asks for a variable with label_values(selector, label)."""
    selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", query).groups()
    return sorted({r["metric"].get(label, "") for r in prometheus.query(f"last_over_time({selector}[5m])")} - {""})


def fill(text, values):
    """$name and ${name} by their values; Grafana's own for the interval."""
    values = dict(values, __rate_interval="1m", __interval="15s")
    return re.sub(r"\$\{?(\w+)\}?", lambda m: values[m.group(1)], text)


@pytest.mark.parametrize("file", DASHBOARDS, ids=os.path.basename)
def test_form(file):
    board = load(file)
    assert re.fullmatch(r"securebase-[a-z-]+", board["uid"])
    assert "id" not in board, "the id is the server's; the uid is ours"
    ids = [p["id"] for p in panels(board)]
    assert len(ids) == len(set(ids))
    known = {v["name"] for v in board["templating"]["list"]} | {"__rate_interval"}
    taken = set()
    for p in panels(board):
        g = p["gridPos"]
        for cell in ((x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])):
            assert cell not in taken and cell[0] < 24, f"{p['title']} lies over another panel"
            taken.add(cell)
        for t in p.get("targets", []):
            assert t["datasource"]["uid"] == "${datasource}", p["title"]
            assert set(re.findall(r"\$\{?(\w+)\}?", t["expr"])) <= known, t["expr"]
            for window in re.findall(r"\[([^\]]*)\]", t["expr"]):
                assert window == "$__rate_interval", t["expr"]


@pytest.fixture
def outside(tmp_path):
    o = moves_kit.Outside(tmp_path)
    yield o
    o.close()


def settled(prometheus):
    """Two scrapes at least, so that a rate has something to stand on, and percentiles are there."""
    return (prometheus.query("rate(securebase_aggregator_values_total[1m])")
            and prometheus.query('securebase_percentile{quantile="0.99"}')
            and prometheus.query("rate(node_network_receive_bytes_total[1m])")
            and prometheus.query('rate({__name__=~".+_bucket",percentile="api"}[1m])')
            and prometheus.query('rate(securebase_slo_events_total{result="bad"}[1m])')
            and prometheus.query('securebase_alerts{alert="errors",state="firing"} > 0')
            and prometheus.query("rate(securebase_notifications_total[1m])")
            and prometheus.query("securebase_failover_ready") and prometheus.query("securebase_failover_leading == 1"))


def test_every_panel_shows_something(aggregator, agent, prometheus, tmp_path, outside):
    secret = tmp_path / "token"
    secret.write_text("of a tenant")
    secret.chmod(0o600)
    token = ("token web-1", {"hash": hashlib.sha256(b"of a tenant").hexdigest(), "agent": "web-1", "tenant": "acme"})
    a = aggregator(ingest={"auth": "token", "ca": None}, aggregator={"voter": "east"},
                   sections=[PERCENTILE, token] + JUDGED + moves_kit.everything(outside))
    sender = agent([a.endpoint], ship={"token": f"file:{secret}", "cert": None, "key": None, "batch": "1s"}, sections=[moves_kit.GUARD])
    moves_kit.wait_ready(a)
    support.sbctl(a, "failover", "switchover", "--to", "us-west-2", "--reason", "something to show")
    moves_kit.wait_state(a, "HOLD", "STEADY")
    p = prometheus(support.jobs(a))

    def ready():
        sender.statsd(*(f"http.request:{ms}|ms|#service:shop" for ms in (3, 8, 20, 40, 250)),
                      "http.requests:20|c|#service:shop,code:200", "http.requests:5|c|#service:shop,code:500")
        return settled(p)

    support.wait_for(ready, 60, every=0.5, why="series in Prometheus")
    empty = []
    for file in DASHBOARDS:
        board, values = load(file), {"datasource": "x"}
        for v in board["templating"]["list"]:
            if v["type"] != "query":
                continue
            found = label_values(p, fill(v["query"]["query"], values))
            assert found, f"variable {v['name']} offers nothing"
            values[v["name"]] = v.get("allValue", ".*") if v["includeAll"] else found[0]
        for panel in panels(board):
            for t in panel.get("targets", []):
                if not p.query(fill(t["expr"], values)):
                    empty.append(f"{panel['title']}: {fill(t['expr'], values)}")
    assert not empty, "\n".join(empty)


def test_every_metric_of_the_rules_is_there(aggregator, agent, prometheus):
    a = aggregator()
    agent([a.endpoint])
    p = prometheus(support.jobs(a))
    text = open(os.path.join(support.TOP, "conf/prometheus/rules/securebase.yml"), encoding="utf-8").read()
    names = set(re.findall(r"\bsecurebase_\w+", " ".join(re.findall(r"expr: (.*)", text))))
    assert names
    support.wait_for(lambda: all(p.query(n) for n in names), 30, why=f"a series of each of {sorted(names)}")


def promtool(*args):
    out = subprocess.run(["promtool", *args], cwd=support.TOP, capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stdout + out.stderr


def test_promtool_agrees():
    promtool("check", "config", "conf/prometheus/scrape.yml")
    promtool("check", "rules", "conf/prometheus/rules/securebase.yml")
    promtool("test", "rules", "tests/packaging/rules_test.yml")


def test_scrape_configuration_works_as_it_stands(aggregator, agent, tmp_path, started):
    """scrape.yml itself, with nothing but the port changed."""
    a = aggregator()
    agent([a.endpoint])
    p = support.Prometheus(tmp_path, [])
    text = open(os.path.join(support.TOP, "conf/prometheus/scrape.yml"), encoding="utf-8").read()
    assert text.count("127.0.0.1:9871") == 2
    text = text.replace("127.0.0.1:9871", f"127.0.0.1:{a.http_port}").replace("interval: 10s", "interval: 1s")
    with open(os.path.join(p.folder, "prometheus.yml"), "w", encoding="utf-8") as f:
        f.write(text.replace("interval: 15s", "interval: 1s"))
    started.append(p)
    p.start()
    support.wait_for(lambda: p.query('node_load1{job="node",instance="web-1"}'), 30, why="a host metric under its host's name")
    support.wait_for(lambda: p.query('securebase_agent_up{job="securebase",instance="web-1"}'), 30, why="the agent's line")
    assert not p.query('{__name__=~".+",exported_instance!=""}')
