"""The shipped alert rules on the real programs: each looks at something that is really sent, and a fault of the real world is
told by the rule that is for it."""
import glob
import os
import shutil
import subprocess

import moves_kit
import pytest
import support

RULES = sorted(glob.glob(os.path.join(support.TOP, "conf/alerts.d/*.ini")))
# Of exporters that do not run here, and of a second aggregator.
FOREIGN = ("memcached_", "pg_", "mysql_", "aws_", "node_timex_", "securebase_peer_")


def missing_here():
    """What this machine has not, so that nothing can be said of it."""
    with open("/proc/meminfo", encoding="ascii") as f:
        if "SwapTotal:             0 kB" in f.read():
            yield "securebase_host_swap_"
    if not os.path.exists("/proc/pressure/irq") and not os.path.exists("/proc/pressure/cpu"):
        yield "node_pressure_"
    if not any(speed(d) > 0 for d in os.listdir("/sys/class/net")):
        yield "securebase_host_network_"
    if not os.path.exists("/proc/diskstats") or not open("/proc/diskstats", encoding="ascii").read().strip():
        yield from ("node_disk_", "securebase_host_disk_")


def speed(device):
    try:
        with open(f"/sys/class/net/{device}/speed", encoding="ascii") as f:
            return int(f.read())
    except (OSError, ValueError):
        return 0


def install(aggregator):
    folder = os.path.join(os.path.dirname(aggregator.file), "aggregator.d")
    os.makedirs(folder)
    for file in RULES:
        shutil.copy(file, folder)


def redis(tmp_path, started, name, *more):
    port = support.free_port()
    folder = tmp_path / name
    folder.mkdir()
    p = support.Process(name, ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder, *more], folder)
    started.append(p.start())
    return port


@pytest.fixture
def outside(tmp_path):
    o = moves_kit.Outside(tmp_path)
    yield o
    o.close()


def test_every_rule_looks_at_something(aggregator, agent, ca, tmp_path, started, outside):
    main = redis(tmp_path, started, "main")
    copy = redis(tmp_path, started, "copy", "--replicaof", "127.0.0.1", main)
    a = aggregator(start=False, aggregator={"voter": "east"}, sections=[
        *moves_kit.everything(outside), ("receiver book", {"type": "log"}), ("route all", {"receivers": "book"}),
        ("rota primary", {"people": "ada=book grace=book", "start": "2026-01-05", "zone": "UTC"})])
    install(a)
    a.start()
    g = agent([a.endpoint], ship={"batch": "1s"}, sections=[
        ("redis main", {"address": f"127.0.0.1:{main}", "interval": "1s"}),
        ("redis copy", {"address": f"127.0.0.1:{copy}", "interval": "1s"}),
        ("probe web", {"type": "http", "url": f"{a.endpoint}/healthz", "ca": f"{ca}/ca.pem", "interval": "1s"}), moves_kit.GUARD])
    skipped = FOREIGN + tuple(missing_here())

    left = []

    def seen():
        g.statsd("http.requests:20|c|#service:shop,code:200", "http.requests:2|c|#service:shop,code:500",
                 "http.request:20|ms|#service:shop")
        subprocess.run(["redis-cli", "-p", str(main), "get", "nothing"], capture_output=True, check=True)
        rules = a.api("rules")["rules"]
        assert len(rules) >= 45
        left[:] = [f"{r['alert']}: {r['metric']}" for r in rules
                   if not r["groups"] and r.get("metric") and not r["metric"].startswith(skipped)]
        return not left

    try:
        support.wait_for(seen, 60, every=0.5, why="every rule to have series")
    finally:
        assert not left


def test_a_silent_agent_and_a_dead_cache_are_told(aggregator, agent, tmp_path, started):
    """Holds of minutes cut to seconds by a later file, as an administrator would change them."""
    port = redis(tmp_path, started, "main")
    a = aggregator(start=False, aggregator={"stale_after": "5s"}, sections=[
        ("receiver book", {"type": "log"}), ("route all", {"receivers": "book", "wait": "0s"})])
    install(a)
    with open(os.path.join(os.path.dirname(a.file), "aggregator.d/zz-site.ini"), "w", encoding="utf-8") as f:
        f.write("[alert redis-down]\nfor = 2s\n[alert agent-absent]\nfor = 2s\nsuppress_wait = 0s\n"
                "[alert region-agents-lost]\nfor = 10m\n")
    a.start()
    g = agent([a.endpoint], ship={"batch": "1s"}, sections=[("redis main", {"address": f"127.0.0.1:{port}", "interval": "1s"})])
    support.wait_for(lambda: a.metrics("/metrics/hosts").get(next(
        (k for k in a.metrics("/metrics/hosts") if k.startswith("redis_up{")), "")) == 1, 30, why="the cache is up")

    def firing(rule):
        return [x for x in a.api("alerts")["alerts"] if x["alert"] == rule and x["state"] == "firing"]

    assert not firing("redis-down") and not firing("agent-absent")
    started[0].kill()
    support.wait_for(lambda: firing("redis-down"), 30, why="redis-down")
    assert firing("redis-down")[0]["labels"]["server"] == "main"
    assert a.api("incidents", state="active")["incidents"][0]["labels"]["service"] == "cache"
    g.kill()
    support.wait_for(lambda: firing("agent-absent"), 60, why="agent-absent")
    assert firing("redis-down"), "nothing is known any more, and so nothing is over"
    assert "Agent web-1 in us-east-1 is silent" in a.output()
