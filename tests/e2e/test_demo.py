"""make demo, as somebody tries it who has just cloned: it shows something, ends when told, and leaves nothing behind."""
import glob
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

import support
from support import wait_for

DIRECTLY = [sys.executable, os.path.join(support.TOP, "tests/demo/demo.py")]


@pytest.fixture
def room(tmp_path):
    """Where its temporary folder goes; short, for sockets have short names."""
    folder = tempfile.mkdtemp(prefix="d", dir="/tmp")
    yield folder
    left, still = os.listdir(folder), processes(folder)
    shutil.rmtree(folder)
    assert not left and not still, (left, still)


def processes(folder):
    """The command lines that name a folder."""
    out = []
    for file in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(file, "rb") as f:
                line = f.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if folder in line:
            out.append(line)
    return out


def environment(room, seconds, **more):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return dict(env, TMPDIR=room, DEMO_SECONDS=str(seconds), TERM="xterm", PYTHONUNBUFFERED="1", **more)


def demo(room, seconds, *args, **more):
    return subprocess.run(["make", "-s", "demo", f"BUILD={os.environ.get('BUILD', 'build')}", *args], cwd=support.TOP, text=True,
                          env=environment(room, seconds, **more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, check=False)


def without_redis(tmp_path):
    """A folder of links to all programs but Redis, for PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for d in os.environ["PATH"].split(os.pathsep):
        for name in os.listdir(d) if os.path.isdir(d) else ():
            if not name.startswith("redis") and not os.path.lexists(folder / name):
                os.symlink(os.path.join(d, name), folder / name)
    return str(folder)


@pytest.mark.parametrize("redis,seconds", [(True, 6), (False, 2)], ids=["redis", "no redis"])
def test_without_a_terminal(room, tmp_path, redis, seconds):
    out = demo(room, seconds, **({} if redis else {"PATH": without_redis(tmp_path)}))
    assert out.returncode == 0, out.stderr
    assert not out.stderr, out.stderr
    for what in "console", "metrics", "API", "the service", "sbctl":
        assert re.search(rf"^ *{what} +\S+", out.stdout, re.M), (what, out.stdout)
    assert len(re.findall(r"http://127\.0\.0\.1:\d+/", out.stdout)) >= 5
    summaries = out.stdout.split("sbctl ", 1)[1]
    frames = 2 if seconds > 5 else 1
    assert summaries.count("http_request_seconds") == frames, out.stdout
    assert len(re.findall(r"^demo\b.* up ", summaries, re.M)) == frames, out.stdout
    assert bool(re.search(r"^redis +demo\b", summaries, re.M)) == redis, out.stdout


def test_with_a_terminal(room):
    """top fills the screen, and the screen is given back."""
    me, child = pty.openpty()
    p = subprocess.Popen(DIRECTLY, cwd=support.TOP, env=environment(room, 3), stdin=child, stdout=child, stderr=child,
                         start_new_session=True)
    os.close(child)
    shown = read_all(me, p)
    assert p.wait(60) == 0, shown
    assert "console" in shown and "demo" in shown.split("sbctl ", 1)[1], shown
    assert "\x1b[?1049h" in shown and shown.rindex("\x1b[?1049l") > shown.rindex("\x1b[?1049h"), shown[-2000:]
    assert "Traceback" not in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_an_end_by_signal(room, number):
    p = subprocess.Popen(DIRECTLY, cwd=support.TOP, env=environment(room, 0), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        line = ""
        while "watching" not in line:
            line = p.stdout.readline()
            assert line, "it ended"
        p.send_signal(number)
        rest = p.communicate(timeout=60)[0]
    finally:
        p.kill()
    assert p.returncode == 0 and "Traceback" not in rest, (p.returncode, rest)
    wait_for(lambda: not processes(room), why="all of its processes to end")


def read_all(fd, p, seconds=60):
    """All that comes from a terminal until nobody holds its other end."""
    out, end = b"", time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            if select.select([fd], [], [], 1)[0]:
                some = os.read(fd, 65536)
                if not some:
                    break
                out += some
    except OSError:  # EIO: the other end is closed
        pass
    finally:
        os.close(fd)
        if time.monotonic() >= end:
            p.kill()
    return out.decode(errors="replace")
