"""What the aggregator keeps over restarts, reloads and stops, and what its pages must never hold."""
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

import securebase_wire as w
import support
from support import get, wait_for
from wire_client import TOOK, Subject, now

SECTION = ("percentile took", {"metric": TOOK, "by": "host", "windows": "1m", "quantiles": "0.5 1"})
QUICK = {"persist": "200ms"}


def persisted(a):
    """All that was applied is part of the roll-ups written down."""
    page = a.metrics()
    position = page["securebase_aggregator_journal_position"]
    return position > 0 and page["securebase_aggregator_persisted_position"] == position


def test_every_series_once(aggregator):
    a = aggregator(sections=[SECTION])
    s = Subject(a)
    s.good()
    s.visible(1)
    for path in ("/metrics", "/metrics/hosts"):
        keys = [line.rpartition(" ")[0] for line in get(a.url + path)[2].decode().splitlines() if line[:1] not in ("", "#")]
        assert len(keys) == len(set(keys)), sorted(k for k in set(keys) if keys.count(k) > 1)


def test_verify_store_tells_good_files(aggregator):
    a = aggregator(sections=[SECTION])
    s = Subject(a)
    s.good()
    s.visible(1)
    verify = [os.path.join(support.BUILD, "securebase-aggregator"), "verify-store", "-c", a.file]
    running = subprocess.run(verify, capture_output=True, text=True, check=False, timeout=60)
    assert running.returncode == 1 and "good" not in running.stdout
    assert a.stop() == 0
    out = subprocess.run(verify, capture_output=True, text=True, check=False, timeout=60)
    assert out.returncode == 0 and out.stdout.count(": good") == 3, out.stdout + out.stderr


def test_check_config_knows_percentiles(aggregator):
    a = aggregator(start=False, sections=[("percentile took", {"metric": "9bad", "windows": "1m"})])
    out = subprocess.run(a.argv + ["--check-config"], capture_output=True, text=True, check=False, timeout=60)
    assert out.returncode == 78 and "9bad" in out.stdout + out.stderr


def test_absent_agent_stays_absent_over_a_restart(aggregator):
    """An agent that has gone is 0 until agent_ttl, whoever restarts meanwhile; what it did before is not forgotten."""
    a = aggregator(aggregator={"stale_after": "5s"}, ingest=dict(QUICK, keep="1s"))
    s = Subject(a)
    s.good()
    s.good(events=[])
    s.good([s.block(back=0)], seq=3)
    before = s.visible(3)
    wait_for(lambda: persisted(a), why="all written down")
    up = f'securebase_agent_up{{instance="{s.agent}",region="us-east-1"}}'
    wait_for(lambda: a.metrics()[up] == 0, 20, why="the agent absent")
    # so long ago that no batch of it is replayed, to be on the safe side: the journal has been pruned
    a.kill()
    a.start()
    s.close()
    assert a.metrics().get(up) == 0
    after = s.entry()
    for key in ("first_seen", "last_received", "last_sealed", "epoch", "seq", "batches", "values", "refused", "env", "region"):
        assert after[key] == before[key], key
    s.good()
    assert s.visible(4)["batches"] == before["batches"] + 1
    assert a.metrics()[up] == 1


def test_stop_while_asked(aggregator):
    """Stopping while scrapes and acts are under way harms nothing."""
    for _ in range(5):
        a = aggregator(sections=[SECTION])
        s = Subject(a)
        s.good()
        over = threading.Event()

        def scrape(a=a, over=over):
            while not over.is_set():
                try:
                    get(a.url + "/metrics", timeout=5)
                except Exception:  # pylint: disable=broad-except
                    pass

        threads = [threading.Thread(target=scrape) for _ in range(4)]
        for t in threads:
            t.start()
        time.sleep(0.5)
        support.sbctl(a, "agents", "forget", s.agent, "--reason", "gone", check=False)
        status = a.stop()
        over.set()
        for t in threads:
            t.join()
        assert status == 0, a.tail()


def test_repeated_act_is_done(aggregator):
    """A request id that the audit knows already does not make an act that failed look done."""
    a = aggregator()
    s = Subject(a)
    s.good()
    s.visible(1)

    def forget():
        path = "/api/v1/agents/forget?" + urllib.parse.urlencode({"agent": s.agent, "reason": "r", "request_id": "one"})
        return subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "--unix-socket", a.socket,
                               "http://localhost" + path], capture_output=True, text=True, check=True).stdout

    assert forget() == "200" and s.entry() is None
    s.epoch += 1
    s.seq = 1
    s.good()
    s.visible(1)
    assert forget() == "200" and s.entry() is None


def test_refused_reload_changes_nothing(aggregator, ca, tmp_path):
    """A reload is taken as a whole or not at all: here the reading listener's files are wrong, so the other parts keep theirs."""
    mine = tmp_path / "files"
    mine.mkdir()
    for name in ("ca.pem", "server.pem", "server.key"):
        shutil.copy(f"{ca}/{name}", mine / name)
    a = aggregator(start=False, http={"ca": mine / "ca.pem", "cert": mine / "server.pem", "key": mine / "server.key"},
                   sections=[SECTION])
    support.Process.start(a)
    wait_for(lambda: support.sbctl(a, "status", check=False).returncode == 0, 30, why="ready")
    s = Subject(a)
    s.good()
    s.close()
    (mine / "server.pem").write_text("nothing")
    a.sections = [x for x in a.sections if x[0] != "percentile took"]
    a.write()
    a.signal(signal.SIGHUP)
    wait_for(lambda: "reload refused" in a.output(), 20, why="reload refused")
    out = support.sbctl(a, "--json", "percentiles", TOOK)
    assert '"took"' in out.stdout, out.stdout


def test_promtool_has_no_complaint(aggregator):
    a = aggregator(sections=[SECTION])
    s = Subject(a)
    s.good()
    s.visible(1)
    for path in ("/metrics", "/metrics/hosts"):
        out = subprocess.run(["promtool", "check", "metrics"], input=get(a.url + path)[2], capture_output=True, check=False, timeout=60)
        ours = [line for line in (out.stdout + out.stderr).decode().splitlines() if line.startswith("securebase_")]
        assert not ours, ours
    page = a.metrics()
    assert page["securebase_aggregator_batch_seconds_count"] == 1
    assert page['securebase_aggregator_batch_seconds_bucket{le="+Inf"}'] == 1
    assert page['securebase_aggregator_store_commit_seconds_count{store="journal"}'] >= 1


def test_slow_readers_hold_little(aggregator):
    """Readers that never take their pages do not fill the memory: beyond a bound, pages are put off."""
    a = aggregator(sections=[SECTION])
    for _ in range(24):
        s = Subject(a)
        names = [w.series(f"wide_{i}", w.GAUGE, labels={"path": "x" * 400}) for i in range(4000)]
        schema = w.schema_bytes(*names)
        assert s.definitions(schema).status == 200
        s.good([w.block(schema, now(), [[1]] * 4000, dt=0)])
        s.close()
    size = len(get(a.url + "/metrics/hosts")[2])
    assert size > 40 << 20
    slow = []
    try:
        for _ in range(8):
            c = socket.create_connection(("127.0.0.1", a.http_port))
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            c.sendall(b"GET /metrics/hosts HTTP/1.1\r\nHost: localhost\r\n\r\n")
            slow.append(c)
        status, _, body = wait_for(lambda: (lambda r: r[0] == 503 and r)(get(a.url + "/metrics")), 20, why="pages put off")
        assert status == 503 and b"slow" in body, (status, body[:200])
    finally:
        for c in slow:
            c.close()
    sending = "securebase_aggregator_http_sending_bytes"
    wait_for(lambda: a.metrics()[sending] < 1 << 20, 20, why="the pages let go")
    assert a.metrics()["securebase_aggregator_http_shed_total"] >= 1


def test_forgotten_agent_stays_forgotten(aggregator):
    """Its batches are still in the journal; a restart fills the page from them, but not with who was forgotten."""
    a = aggregator(ingest=QUICK)
    gone, kept = Subject(a), Subject(a)
    gone.good()
    kept.good()
    gone.visible(1)
    kept.visible(1)
    wait_for(lambda: persisted(a), why="all written down")
    support.sbctl(a, "agents", "forget", gone.agent, "--reason", "decommissioned")
    assert set(a.agents()) == {kept.agent}
    taken = a.metrics()["securebase_aggregator_persists_total"]
    wait_for(lambda: a.metrics()["securebase_aggregator_persists_total"] > taken + 1, why="written down")
    gone.close()
    kept.close()
    a.kill()
    a.start()
    assert set(a.agents()) == {kept.agent} and kept.host_lines() and not gone.host_lines()
    gone.epoch += 1
    gone.seq = 1
    gone.good()
    assert gone.visible(1)["batches"] == 1
