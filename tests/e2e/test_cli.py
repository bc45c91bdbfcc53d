"""The three command lines called wrongly: each says what was found and what is allowed, on stderr, with the right status."""
import os
import re
import subprocess

import pytest

import support


def call(*argv):
    program = os.path.join(support.BUILD, argv[0])
    return subprocess.run([program, *argv[1:]], capture_output=True, text=True, timeout=60, check=False)


WRONG = [
    (["sbctl"], "a command is expected: status, agents, top, percentiles, slo, alerts"),
    (["sbctl", "fail"], 'found "fail", expected status, agents, top, percentiles'),
    (["sbctl", "--frob"], "unrecognized option"),
    (["sbctl", "status", "x"], 'found "x", expected no argument'),
    (["sbctl", "--by", "service", "status"], "--by goes with percentiles"),
    (["sbctl", "--once", "agents"], "--once goes with top"),
    (["sbctl", "--interval", "5", "status"], "--interval goes with top"),
    (["sbctl", "--reason", "gone", "percentiles"], "--reason goes with agents"),
    (["sbctl", "--json", "top"], "--json does not go with top"),
    (["sbctl", "--interval", "5x", "top"], 'found "5x", expected 1 to 3600 seconds'),
    (["sbctl", "--url", "host:9871", "status"], 'found "host:9871", expected http:// or https://'),
    (["sbctl", "--url", "http://192.0.2.1:9871", "--token", "file:/dev/null", "status"], "unencrypted"),
    (["sbctl", "--token", "file:/dev/null", "status"], "go with --url"),
    (["sbctl", "--url", "https://127.0.0.1:1", "--token", "secret", "status"], "expected file:PATH"),
    (["sbctl", "agents", "forget", "web-1"], "--reason TEXT is needed"),
    (["sbctl", "percentiles", "a", "b"], "expected one METRIC at most"),
    (["securebase-agent", "fail"], 'found "fail", expected status [--json], spool stat|verify|dead|drop, or guard list|'),
    (["securebase-agent", "spool"], 'found "spool", expected status'),
    (["securebase-agent", "spool", "verify", "--json"], "expected status [--json]"),
    (["securebase-agent", "a", "b", "c"], 'found "a b", expected status'),
    (["securebase-agent", "--once", "--format", "xml"], 'found "xml", expected prom, json or table'),
    (["securebase-agent", "--format", "json"], "--format goes with --once and --test"),
    (["securebase-agent", "--json"], "--once takes --format=json"),
    (["securebase-aggregator", "fail"], 'found "fail", expected verify-store'),
    (["securebase-aggregator", "--online"], "--online goes with --check-config"),
]


@pytest.mark.parametrize("argv,said", WRONG, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_a_wrong_call_is_refused(argv, said):
    r = call(*argv)
    assert r.returncode == 2, r
    assert said in r.stderr and not r.stdout, r


@pytest.mark.parametrize("program", ["sbctl", "securebase-agent", "securebase-aggregator"])
def test_help_and_version(program):
    r = call(program, "--help")
    assert r.returncode == 0 and r.stdout.startswith(f"Usage: {program} ") and not r.stderr
    assert max(map(len, r.stdout.splitlines())) <= 120
    assert call(program, "-h").stdout == r.stdout
    assert re.match(rf"{program} [0-9.]+ \(revision \S+, OpenSSL \S+, libevent \S+\)\n$", call(program, "--version").stdout)


@pytest.mark.parametrize("program", ["securebase-agent", "securebase-aggregator"])
def test_an_absent_configuration_is_named(program, tmp_path):
    r = call(program, "-c", str(tmp_path / "x.ini"))
    assert r.returncode == 78 and f"{tmp_path}/x.ini: cannot be opened" in r.stderr and "--print-example" in r.stderr


def test_a_secret_that_cannot_be_read_stops_before_the_start(tmp_path):
    ini, secret = tmp_path / "a.ini", tmp_path / "secret"
    ini.write_text(f"[agent]\nregion = r\nenv = e\n[ship]\nendpoints = http://127.0.0.1:1\ntoken = file:{secret}\n"
                   f"[redis main]\naddress = 127.0.0.1:1\npassword = file:{tmp_path}/none\n")
    secret.write_text("hunter2\n")
    secret.chmod(0o644)
    r = call("securebase-agent", "-c", str(ini), "--check-config")
    assert r.returncode == 78
    assert f"a.ini:6: [ship] token: {secret}: everybody may read it (mode 0644)" in r.stderr
    assert f"a.ini:9: [redis main] password: {tmp_path}/none: " in r.stderr
    assert "hunter2" not in r.stderr + r.stdout
    secret.chmod(0o600)
    ini.write_text(ini.read_text().replace("/none", "/secret"))
    r = call("securebase-agent", "-c", str(ini), "--check-config")
    assert r.returncode == 0, r.stderr
    assert "hunter2" not in call("securebase-agent", "-c", str(ini), "--print-config").stdout


def test_nobody_listens(tmp_path):
    r = call("sbctl", "--socket", str(tmp_path / "no.sock"), "status")
    assert r.returncode == 1 and f"{tmp_path}/no.sock: nobody listens there" in r.stderr


def test_once_needs_no_configuration():
    r = call("securebase-agent", "--once")
    assert r.returncode == 0 and "node_load1 " in r.stdout
    assert ("sampling with defaults" in r.stderr) == (not os.path.exists("/etc/securebase/agent.ini"))
