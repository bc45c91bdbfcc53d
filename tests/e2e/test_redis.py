"""The Redis collector against a real server: with a password, without one that it wants or gone."""
import os
import shutil
import subprocess

import pytest

import support

AGENT = os.path.join(support.BUILD, "securebase-agent")
SERVER, CLIENT = shutil.which("redis-server"), shutil.which("redis-cli")
pytestmark = pytest.mark.skipif(not SERVER or not CLIENT, reason="redis is not installed")


@pytest.fixture
def redis(tmp_path, started):
    """A server on a unix socket and a port, with a password; returns (port, socket, command)."""
    port, path = support.free_port(), str(tmp_path / "redis.sock")
    server = support.Process("redis", [SERVER, "--port", port, "--bind", "127.0.0.1", "--unixsocket", path, "--save", "",
                                       "--requirepass", "sesame", "--dir", tmp_path], tmp_path)
    started.append(server)
    server.start()

    def command(*words):
        return subprocess.run([CLIENT, "-s", path, "--no-auth-warning", "-a", "sesame", *words], capture_output=True, text=True,
                              check=True, timeout=60).stdout.strip()

    support.wait_for(lambda: os.path.exists(path) and command("PING") == "PONG", why="redis")
    return port, path, command, server


def sample(tmp_path, *instances, status=0):
    """Values of --test redis as {(name, labels): value}; it ends with 1 when an instance fails."""
    sections = [("agent", {"id": "r", "region": "test", "env": "test"})]
    file = tmp_path / "agent.ini"
    file.write_text(support.ini(sections + [(f"redis {name}", options) for name, options in instances]))
    r = subprocess.run([AGENT, "-c", str(file), "--test", "redis"], capture_output=True, text=True, timeout=60, check=False)
    assert r.returncode == status, r.stderr
    values = {}
    for line in r.stdout.splitlines():
        if not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            values[series] = float(value)
    return values


def test_answers(redis, tmp_path):
    port, path, command, _ = redis
    secret = tmp_path / "password"
    secret.write_text("sesame\n")
    secret.chmod(0o600)
    command("MSET", "a", "1", "b", "2", "c", "3")
    command("EXPIRE", "a", "1000")
    command("GET", "a")
    command("GET", "nothing")
    good = {"password": f"file:{secret}"}
    v = sample(tmp_path, ("tcp", {"address": f"127.0.0.1:{port}", **good}), ("named", {"address": f"localhost:{port}", **good}),
               ("unix", {"address": f"unix:{path}", "commands": "no", **good}))
    for server in ("tcp", "named", "unix"):
        assert v[f'redis_up{{server="{server}"}}'] == 1
        assert v[f'redis_db_keys{{db="db0",server="{server}"}}'] == 3
        assert v[f'redis_db_keys_expiring{{db="db0",server="{server}"}}'] == 1
        assert v[f'redis_keyspace_hits_total{{server="{server}"}}'] == 1
        assert v[f'redis_keyspace_misses_total{{server="{server}"}}'] == 1
        assert v[f'securebase_app_redis_reply_seconds_count{{server="{server}"}}'] == 1
        assert v[f'node_scrape_collector_success{{collector="redis {server}"}}'] == 1
    assert v['redis_commands_total{cmd="get",server="tcp"}'] == 2
    assert not [k for k in v if k.startswith("redis_commands_total") and 'server="unix"' in k]
    info = dict(l.split(":", 1) for l in command("INFO").splitlines() if ":" in l)
    assert v['redis_memory_max_bytes{server="tcp"}'] == float(info["maxmemory"])
    assert any(k.startswith("redis_instance_info{") and f'redis_version="{info["redis_version"].strip()}"' in k for k in v)


def test_refused_and_gone(redis, tmp_path):
    port, _, _, server = redis
    wrong = tmp_path / "wrong"
    wrong.write_text("guess\n")
    wrong.chmod(0o600)
    v = sample(tmp_path, ("none", {"address": f"127.0.0.1:{port}"}),
               ("wrong", {"address": f"127.0.0.1:{port}", "password": f"file:{wrong}"}), status=1)
    for name in ("none", "wrong"):
        assert v[f'redis_up{{server="{name}"}}'] == 0
        assert v[f'securebase_app_redis_failures_total{{reason="denied",server="{name}"}}'] == 2
    server.stop()
    v = sample(tmp_path, ("gone", {"address": f"127.0.0.1:{port}"}), ("lost", {"address": "no-such-host.invalid:6379", "timeout": "10s"}), status=1)
    assert v['redis_up{server="gone"}'] == 0
    assert v['securebase_app_redis_failures_total{reason="connect",server="gone"}'] == 2
    assert v['redis_up{server="lost"}'] == 0
    assert v['securebase_app_redis_failures_total{reason="resolve",server="lost"}'] == 2
