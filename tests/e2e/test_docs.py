"""docs/metrics.md against what the programs show: every family of ours stands there with its type, labels and sentence.

METRICS_PAGE=write writes the tables anew.
"""
import glob
import os
import re
import subprocess

import moves_kit
import pytest
import support

PAGE = os.path.join(support.TOP, "docs/metrics.md")
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
GROUPS = [
    ("What an agent says of its host", "securebase_host_"),
    ("Probes", "securebase_probe_"),
    ("Guards", "securebase_guard_"),
    ("Objectives", "securebase_slo_"),
    ("Applications and caches, beside their exporters' own names", "securebase_app_"),
    ("The agent itself", "securebase_agent_"),
    ("The aggregator itself", "securebase_aggregator_"),
    ("The rest", "securebase_"),
]
# Of the scrape or the resource, not of the metric.
COMMON = {"instance", "job", "region", "env", "host", "tenant", "le"}


def families(text):
    """{name: (type, labels, help)} of a text page."""
    out = {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, _, sentence = line[7:].partition(" ")
            out[name] = ["", set(), sentence.replace("\\n", " ").replace("\\\\", "\\")]
        elif line.startswith("# TYPE "):
            out[line.split()[2]][0] = line.split()[3]
        elif line:
            name = line.split("{")[0].split(" ")[0]
            base = name if name in out else re.sub(r"_(bucket|sum|count)$", "", name)
            out[base][1] |= set(re.findall(r'([a-zA-Z_]\w*)="', line)) - COMMON
    return out


def tables(found):
    lines, done = [], set()
    for title, prefix in GROUPS:
        names = sorted(n for n in found if n.startswith(prefix) and n not in done)
        done |= set(names)
        if names:
            lines += [f"### {title}", "", "| name | type | labels | meaning |", "|---|---|---|---|"]
            lines += [f"| `{n}` | {found[n][0]} | {' '.join(f'`{x}`' for x in sorted(found[n][1]))} | {found[n][2]} |"
                      for n in names]
            lines.append("")
    return "\n".join(lines)


@pytest.fixture
def outside(tmp_path):
    o = moves_kit.Outside(tmp_path)
    yield o
    o.close()


def test_every_metric_of_ours_is_documented(aggregator, agent, started, tmp_path, outside):
    redis_port = support.free_port()
    redis = support.Process("redis", ["redis-server", "--port", redis_port, "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path],
                            tmp_path)
    started.append(redis.start())
    a = aggregator(sections=[("receiver log", {"type": "log"}),
                             ("percentile api", {"metric": "api_seconds", "by": "service", "windows": "1m"}),
                             ("slo api", {"kind": "latency", "metric": "api_seconds", "threshold": "300ms", "by": "service",
                                          "objective": "99%", "service": "shop"}),
                             ("alert busy", {"metric": "node_load1", "statistic": "last", "window": "1m", "above": "1000"}),
                             ("receiver log", {"type": "log"}), ("route all", {"receivers": "log"}),
                             ("peer west", {"url": "http://127.0.0.1:1", "region": "us-west-2"}),
                             *moves_kit.everything(outside)],
                   aggregator={"voter": "east"})
    g = agent([a.endpoint], sections=[
        ("redis main", {"address": f"127.0.0.1:{redis_port}", "interval": "1s"}),
        ("probe web", {"type": "http", "url": f"{a.url}/healthz", "interval": "1s"}),
        moves_kit.GUARD])
    g.statsd("api:12|ms|#service:shop")

    moves_kit.wait_ready(a)  # and then a move, whose phases are told
    support.sbctl(a, "drill", "run", "hourly", "--reason", "looked at")
    support.sbctl(a, "failover", "switchover", "--to", "us-west-2", "--reason", "measured")

    def all_there():
        hosts = a.metrics("/metrics/hosts")
        page = a.metrics()
        return all(any(k.startswith(name) for k in where) for where, name in (
            (hosts, "securebase_probe_runs_total"), (hosts, "redis_up"), (hosts, "securebase_host_disk_util"),
            (hosts, "securebase_host_cpu_util"), (hosts, "securebase_guard_fences_total"), (page, "api_seconds"), (page, "securebase_slo_burn_rate"),
            (page, "securebase_peer_up"), (page, "securebase_action_runs_total"),
            (page, 'securebase_failover_last_duration_seconds{phase="validate"'), (page, "securebase_replication_lag_seconds"),
            (page, "securebase_failover_guard_age_seconds"), (page, "securebase_drills_total"), (page, "securebase_canary_up"),
            (page, "securebase_failover_ready")))
    support.wait_for(all_there, 40, why="a probe, a cache and a timer")
    found = {}
    for path in ("/metrics/hosts", "/metrics"):
        found.update(families(support.get(a.url + path)[2].decode()))
    fresh = tables({n: f for n, f in found.items() if n.startswith("securebase_")})
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    before, _, rest = page.partition(BEGIN + "\n")
    kept, _, after = rest.partition(END)
    if os.environ.get("METRICS_PAGE") == "write":
        with open(PAGE, "w", encoding="utf-8") as f:
            f.write(before + BEGIN + "\n" + fresh + END + after)
        return
    missing = [l for l in fresh.splitlines() if l.startswith("| `") and not told(l, kept)]
    assert not missing, "docs/metrics.md lacks, or says otherwise (METRICS_PAGE=write mends it):\n" + "\n".join(missing)


def told(row, kept):
    """The row stands there; labels that happen not to be seen in this run may stand there too."""
    name, kind, labels, sentence = [x.strip() for x in row.strip("| ").split(" | ")] if row.count(" | ") == 3 else (None,) * 4
    for line in kept.splitlines():
        cells = [x.strip() for x in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0] == name:
            return cells[1] == kind and cells[3] == sentence and set(labels.split()) <= set(cells[2].split())
    return row in kept


def commands(text):
    """The sbctl commands that a page tells people to type: in blocks, and in `code` of sentences."""
    inside, found = False, []
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
        elif inside and line.startswith("sbctl "):
            found.append(line)
        elif not inside:
            found += re.findall(r"`(sbctl [^`]*)`", line)
    return found


def test_every_command_of_a_runbook_exists():
    usage = subprocess.run([os.path.join(support.BUILD, "sbctl"), "--help"], capture_output=True, text=True, check=True).stdout
    known = {line.split()[0]: line for line in usage.splitlines() if re.match(r"  [a-z][a-z-]* ", line)}
    orders = subprocess.run([os.path.join(support.BUILD, "sbctl"), "failover", "help"], capture_output=True, text=True, check=False)
    known["failover"] += orders.stderr  # as its line says: it has too many for one
    asked = {}
    for page in [*glob.glob(os.path.join(support.TOP, "docs/runbooks/*.md")), os.path.join(support.TOP, "docs/incidents.md")]:
        with open(page, encoding="utf-8") as f:
            for c in commands(f.read()):
                asked.setdefault(" ".join(c.split()[1:3]), os.path.basename(page))
    assert len(asked) > 10
    bad = []
    for c, page in sorted(asked.items()):
        verb, _, what = c.partition(" ")
        usage = known.get(verb, "")
        choice = "|" in usage or "forget" in usage  # the second word is one of those that stand there
        if not usage or choice and re.fullmatch(r"[a-z-]+", what) and what not in usage:
            bad.append(f"{page}: sbctl {c}")
    assert not bad, "\n".join(bad)
