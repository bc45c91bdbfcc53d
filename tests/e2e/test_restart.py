"""What the aggregator keeps over restarts, reloads and stops, and what its pages must never hold."""
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse

import support
from support import get, wait_for
from wire_client import COUNTER, GAUGE, TOOK, Client, Subject, now

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
