"""Rules tried before they judge: sbctl test-rules on written series, sbctl replay on what an aggregator has stored."""
import json
import os
import subprocess
import time

import support

SBCTL = os.path.join(support.BUILD, "sbctl")
RULE = """[alert hot]
metric = temperature
above = {}
for = 1m
summary = ${{host}} is at ${{value}}
"""
TEST = """[test hot]
rules = hot.ini
interval = 10s

[series a]
metric = temperature
labels = host=a
values = 20x6 90x20

[expect quiet]
at = 1m
alert = hot
state = none

[expect fires]
at = 3m
alert = hot
labels = host=a
summary = a is at 90
"""


def sbctl(*words):
    return subprocess.run([SBCTL, *words], capture_output=True, text=True, check=False)


def test_rules_on_written_series(tmp_path):
    file = tmp_path / "hot-test.ini"
    (tmp_path / "hot.ini").write_text(RULE.format(80))
    file.write_text(TEST)
    r = sbctl("test-rules", str(file))
    assert r.returncode == 0 and "1 tests, 2 expectations, 0 not met" in r.stdout, r
    (tmp_path / "hot.ini").write_text(RULE.format(95))
    r = sbctl("test-rules", str(file))
    assert r.returncode == 1 and "[expect fires] at 3m, alert hot: expected 1 firing, found none" in r.stderr, r
    r = sbctl("--json", "test-rules", str(file))
    assert r.returncode == 1 and json.loads(r.stdout)[0]["failed"] == 1, r
    (tmp_path / "hot.ini").write_text("[alert hot]\nmetric = temperature\n")
    r = sbctl("test-rules", str(file))
    assert r.returncode == 1 and "has no condition" in r.stderr, r
    r = sbctl("test-rules", str(tmp_path / "none.ini"))
    assert r.returncode == 1 and "No such file" in r.stderr, r


def test_replay_says_what_other_rules_would_have_done(tmp_path, ca, started):
    rules = ("alert depth", {"metric": "queue_depth", "by": "queue", "above": "50"})
    a = support.Aggregator(tmp_path, ca, sections=[rules])
    started.append(a)
    a.start()
    g = support.Agent(tmp_path, ca, [a.endpoint], ship={"batch": "1s"})
    started.append(g)
    g.start()
    for value in (10, 70, 70, 10):
        for _ in range(6):
            g.statsd(f"queue.depth:{value}|g|#queue:mail")
            time.sleep(1)
    support.wait_for(lambda: [x for x in a.api("history?metric=queue_depth&by=queue&from=-5m&step=10s")["groups"]
                              if len(x["steps"]) >= 2])
    old, new = tmp_path / "old.ini", tmp_path / "new.ini"
    text = "[alert depth]\nmetric = queue_depth\nby = queue\nabove = {}\n"
    old.write_text(text.format(50))
    new.write_text(text.format(90))
    r = sbctl("--socket", a.socket, "replay", "--rules", str(new), "--from", "2m", str(old))
    assert r.returncode == 0, r
    found = json.loads(r.stdout)
    assert found["before"]["firings"] == 1 and found["after"]["firings"] == 0, found
    assert [x["labels"]["queue"] for x in found["only_before"]] == ["mail"] and not found["only_after"], found
    r = sbctl("--socket", a.socket, "replay", "--rules", str(new))
    assert r.returncode == 2 and "--from" in r.stderr, r
