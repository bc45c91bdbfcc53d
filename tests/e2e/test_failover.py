"""One death of a region, one fault that must not move anything, and the way home: the campaign's short form, in network
namespaces, with real etcd, PostgreSQL, Knot, agents with guards and aggregators. `make campaign` is the long form.

Detection, confirmation, lease and fence have their production values; the rest is scaled so that it takes three minutes.
Needs root and the servers that packaging/deps.sh --tests installs.
"""
import os
import shutil
import sys

import pytest
import support

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../campaign"))
import box  # noqa: E402

MISSING = box.able() or next((f"{p} is not installed" for p in ("etcd", "knotd", "psql", "knsupdate") if not shutil.which(p)), None)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=str(MISSING))

SCALED = {"boot": "15s", "hold": "3s", "target_up": "5s", "failback_green": "3s", "up_after": "5s", "probe_successes": "2",
          "validate": "2s"}


@pytest.fixture
def lab():
    import case
    import lab as labs
    import programs
    name = f"sbe{os.getpid()}"
    one = labs.Lab(name, f"/var/tmp/{name}", synchronous=True)
    try:
        one.up()
        programs.Programs(one, scaled=SCALED).start()
        case.ready(one)
        yield one
    finally:
        one.down()


def logs(lab):
    return "\n".join(p.programs["aggregator"].tail(25) for p in (lab.west, lab.east) if "aggregator" in p.programs)


def test_a_region_dies(lab):
    import case
    case.SETTLE, case.WATCH = 4, 15

    stayed, _ = case.Stay(lab, "short_pause", 2).run()
    assert stayed["outcome"] == "success", (stayed, logs(lab))

    death = case.Death(lab, "kill", 0)
    moved, what = death.run()
    assert moved["outcome"] == "success", (moved, logs(lab))
    assert moved["lost"] == 0 and moved["overlaps"] == 0 and moved["acknowledged"] > 20
    assert moved["phases"]["fenced_at"] >= moved["phases"]["began"]

    home = death.back(what)
    assert home["lost"] == 0 and home["overlaps"] == 0, home
    support.wait_for(lambda: (lab.health(lab.east), lab.health(lab.west)) == ("primary", "standby"), 20)
