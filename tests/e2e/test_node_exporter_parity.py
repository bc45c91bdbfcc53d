"""Host metrics against node_exporter (Debian's prometheus-node-exporter): the same names, types, labels and values.

On fixture trees both read the same files, so values are equal. On the live host a scrape before and one after ours bound
every counter. Debian's 1.5 differs from the release whose names we carry in a few defaults, which are set by flags here.
"""
import collections
import os
import re
import shutil
import subprocess

import pytest

import support

AGENT = os.path.join(support.BUILD, "securebase-agent")
FIXTURES = os.path.join(support.TOP, "tests", "collectors")
PEER = shutil.which("prometheus-node-exporter") or "prometheus-node-exporter"

# Fixtures with nothing broken in them: with broken files theirs shows nothing, or falls over, while we show what can be read.
# Theirs fills the numbers of absent processors with zeros, which later releases do not.
WHOLE = "cpu cpu-256 stat loadavg loadavg-large meminfo vmstat pressure diskstats netdev".split()
COLLECTORS = "cpu stat meminfo loadavg vmstat pressure diskstats filesystem netdev uname time".split()
# What theirs shows besides, from sources of other collectors of ours or of none: sysfs and udev, netlink, time zones.
NOT_OURS = re.compile(r"node_(disk_info|disk_filesystem_info|disk_ata_.*|disk_device_mapper_info|cpu_(info|flag_info|bug_info|"
                      r"core_throttles_total|package_throttles_total|frequency_hertz|isolated|online)|time_zone_offset_seconds|"
                      r"time_clocksource_.*|network_receive_nohandler_total|filesystem_mount_info|softirqs_total|"
                      r"pressure_irq_stalled_seconds_total|exporter_build_info|scrape_collector_.*)$")
FLAGS = [
    "--collector.disable-defaults",
    "--no-collector.netdev.netlink",
    "--collector.netdev.device-exclude=^$",
    r"--collector.diskstats.device-exclude=^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$",
    "--collector.filesystem.mount-points-exclude="
    "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
    "--collector.filesystem.fs-types-exclude="
    "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|"
    "pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$",
]

LINE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
Page = collections.namedtuple("Page", "types values")


def parse(text):
    types, values = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            types[name] = kind
        elif line and not line.startswith("#"):
            m = LINE.match(line)
            assert m, line
            labels = frozenset((k, v) for k, v in LABEL.findall(m.group(2) or "") if v)
            key = (m.group(1), labels)
            assert key not in values, f"twice: {line}"
            values[key] = float(m.group(3))
    return Page(types, values)


class Peer:
    """A node_exporter of our own on a free port, with some of its collectors."""

    def __init__(self, folder, collectors, *more):
        port = support.free_port()
        self.url = f"http://127.0.0.1:{port}/metrics"
        self.process = support.Process("node_exporter", [PEER, f"--web.listen-address=127.0.0.1:{port}", *FLAGS,
                                                         *[f"--collector.{c}" for c in collectors], *more], folder)

    def __enter__(self):
        self.process.start()
        support.wait_for(lambda: self.process.alive() and self.scrape(), why="node_exporter's page")
        return self

    def __exit__(self, *_):
        self.process.stop()

    def scrape(self):
        _, _, body = support.get(self.url)
        return parse("\n".join(l for l in body.decode().splitlines() if re.match(r"(# TYPE )?node_", l)))


def ours(tmp_path, *flags):
    ini = tmp_path / "agent.ini"
    ini.write_text("[agent]\nid = parity\nregion = test\nenv = test\n")
    r = subprocess.run([AGENT, "-c", str(ini), *flags], capture_output=True, text=True, timeout=60, check=False)
    assert r.returncode == 0, r.stderr
    return parse(r.stdout)


def shown(page):
    """Series that both have to have."""
    return {k: v for k, v in page.values.items() if k[0].startswith("node_") and not NOT_OURS.match(k[0])}


def success(page, collector):
    return page.values.get(("node_scrape_collector_success", frozenset({("collector", collector)})))


@pytest.mark.parametrize("name", WHOLE)
def test_fixture(name, tmp_path):
    collector, tree = name.split("-")[0], os.path.join(FIXTURES, name)
    sysfs = os.path.join(tree, "sys")
    if not os.path.isdir(sysfs):
        sysfs = str(tmp_path)
    with Peer(tmp_path, [collector], f"--path.procfs={tree}/proc", f"--path.sysfs={sysfs}", f"--path.rootfs={tree}") as peer:
        theirs = peer.scrape()
    mine = ours(tmp_path, "--root", tree, "--test", collector, "--format=prom")
    assert success(mine, collector) == 1 and success(theirs, collector) == 1
    a, b = shown(theirs), shown(mine)
    assert set(a) == set(b), (sorted(map(str, set(a) - set(b))), sorted(map(str, set(b) - set(a))))
    for key in a:
        assert b[key] == pytest.approx(a[key], rel=1e-12, abs=1e-12), key
        assert mine.types[key[0]] == theirs.types[key[0]], key


def test_live(tmp_path):
    with Peer(tmp_path, COLLECTORS) as peer:
        before = peer.scrape()
        mine = ours(tmp_path, "--once", "--format=prom")
        after = peer.scrape()
    for c in COLLECTORS:
        assert success(mine, c) == success(after, c), c
    a, b, z = shown(before), shown(mine), shown(after)
    stable = set(a) & set(z)
    missing = {k for k in stable if k not in b}
    assert not missing, sorted(map(str, missing))
    extra = {k for k in b if k not in a and k not in z}
    assert not extra, sorted(map(str, extra))
    for key in stable:
        name = key[0]
        assert mine.types[name] == after.types[name], name
        if mine.types[name] == "counter":
            slack = 0.05 if name.startswith("node_cpu_") else 1e-6  # idle and iowait may step back; rounding
            assert a[key] - slack <= b[key] <= z[key] + slack, key
        elif a[key] == z[key] and re.match(r"node_(boot_time|uname|memory_(MemTotal|SwapTotal|Hugepagesize|VmallocTotal)|"
                                           r"filesystem_(size|files$|readonly|device_error))", name):
            assert b[key] == a[key], key
    assert before.values[("node_time_seconds", frozenset())] <= mine.values[("node_time_seconds", frozenset())]
    assert mine.values[("node_time_seconds", frozenset())] <= after.values[("node_time_seconds", frozenset())]
