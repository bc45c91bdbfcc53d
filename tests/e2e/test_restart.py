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
