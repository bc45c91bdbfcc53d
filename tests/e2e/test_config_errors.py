"""Typical mistakes in agent.ini and aggregator.ini: --check-config of the real programs ends with 78 and says file, line,
section, key, what was found and what is allowed; a reload of a broken file keeps the old configuration.

A mistake is written as a change to a good file: (key to replace or None, the wrong line) and the words that the complaint
must hold. Words in angle brackets in the place column say where: <line> the wrong line, <file> any line of the file.
"""
import os
import re
import signal
import subprocess

import pytest

import support
from support import wait_for

AGENT = [
    # name, section, line (replaces the key's line when the key is there), words
    ("duration", "agent", "interval = 5 parsecs", ["[agent] interval", "5 parsecs", "duration", "from "]),
    ("bounds", "ship", "batch = 40d", ["[ship] batch", "40d", "from ", " to "]),
    ("size", "spool", "max_bytes = 64 apples", ["[spool] max_bytes", "64 apples", "size"]),
    ("yes_or_no", "collector cpu", "enabled = perhaps", ["[collector cpu] enabled", "perhaps", "yes"]),
    ("key_typo", "agent", "intervall = 1s", ["intervall", "interval"]),
    ("section_typo", "shipp", "batch = 1s", ["shipp", "ship"]),
    ("collector_typo", "collector cpuu", "enabled = yes", ["collector cpuu"]),
    ("no_section", None, "interval = 1s", ["interval", "section"]),
    ("not_an_option", "agent", "what is this", ["[agent]", "key = value"]),
    ("plain_http_elsewhere", "ship", "endpoints = http://192.0.2.1:9870", ["[ship] endpoints", "loopback"]),
    ("not_a_url", "ship", "endpoints = 127.0.0.1:9870", ["[ship] endpoints", "127.0.0.1:9870", "http"]),
    ("id", "agent", "id = web/1", ["[agent] id", "web/1"]),
    ("reserved_label", "labels", "instance = here", ["[labels] instance"]),
    ("statsd_address", "statsd", "listen = tcp://127.0.0.1:8125", ["[statsd] listen", "tcp://127.0.0.1:8125", "udp"]),
]
AGENT_ABSENT = [("agent", "region"), ("agent", "env"), ("ship", "endpoints"), ("ship", "ca")]

AGGREGATOR = [
    ("choice", "aggregator", "role = boss", ["[aggregator] role", "boss", "full"]),
    ("address", "ingest", "listen = 9870", ["[ingest] listen", "9870", "host:port"]),
    ("whole_number", "http", "hosts_max_series = many", ["[http] hosts_max_series", "many", "whole number"]),
    ("public_page", "http", "listen = 0.0.0.0:9871", ["[http] listen", "0.0.0.0:9871", "loopback"]),
    ("public_without_tls", "ingest", "auth = none\nlisten = 0.0.0.0:9870", ["[ingest]", "loopback"]),
    ("auth", "ingest", "auth = trust", ["[ingest] auth", "trust", "mtls", "none"]),
    ("duration", "aggregator", "stale_after = 1 fortnight", ["[aggregator] stale_after", "1 fortnight", "duration"]),
    ("age_without_unit", "ingest", "max_age = 7", ["[ingest] max_age", "7", "duration"]),
    ("quantile", "percentile api", "metric = a\nquantiles = 0.5 1.5", ["[percentile api] quantiles", "1.5"]),
    ("quantile_order", "percentile api", "metric = a\nquantiles = 0.9 0.5", ["[percentile api] quantiles", "ascending"]),
    ("window", "percentile api", "metric = a\nwindows = 1m bogus", ["[percentile api] windows", "bogus"]),
    ("by_reserved", "percentile api", "metric = a\nby = le", ["[percentile api] by", "le"]),
    ("buckets", "percentile api", "metric = a\nbuckets = 1 0.5", ["[percentile api] buckets", "ascending"]),
    ("key_typo", "percentile api", "metric = a\nquantile = 0.5", ["quantile", "quantiles"]),
    ("lease_too_short", "coordination", "lease = 6s", ["[coordination] lease", "6s", "from 10"]),
    ("section_typo", "ingets", "listen = 127.0.0.1:1", ["ingets", "ingest"]),
]
AGGREGATOR_ABSENT = [("aggregator", "region"), ("ingest", "cert"), ("ingest", "ca")]


def check(process):
    return subprocess.run([process.argv[0], "-c", process.file, "--check-config"], capture_output=True, text=True,
                          check=False, timeout=60)


def spoil(process, section, text):
    """Puts lines into a section in place of those with the same keys; returns the numbers of the lines put in."""
    keys = {line.split("=")[0].strip() for line in text.splitlines()}
    with open(process.file, encoding="utf-8") as f:
        lines = f.read().splitlines()
    out, here, done, numbers = [], None, False, []

    def put():
        for line in text.splitlines():
            out.append(line)
            numbers.append(len(out))

    if section is None:
        put()
        done = True
    for line in lines:
        if line.startswith("["):
            here = line.strip("[]")
            out.append(line)
            if here == section:
                put()
                done = True
        elif not (here == section and line.split("=")[0].strip() in keys):
            out.append(line)
    if not done:
        out.append(f"[{section}]")
        numbers.append(len(out))
        put()
    with open(process.file, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")
    return numbers


def complaint(process, lines, words):
    """The run ends with 78 and has one line of complaint that names one of the lines and holds all the words."""
    out = check(process)
    assert out.returncode == 78, (out.returncode, out.stderr)
    name = re.escape(os.path.basename(process.file))
    for line in out.stderr.splitlines():
        place = re.search(name + r":(\d+): ", line)
        if place and int(place.group(1)) in lines and all(w in line for w in words):
            return
    raise AssertionError(f"no line of the report names {lines} and holds {words}:\n{out.stderr}")


@pytest.fixture
def good_agent(agent):
    return agent(["https://127.0.0.1:9870"], start=False)


@pytest.fixture
def good_aggregator(aggregator):
    return aggregator(start=False)


def test_good_files_are_good(good_agent, good_aggregator):
    for p in good_agent, good_aggregator:
        out = check(p)
        assert out.returncode == 0, out.stderr


@pytest.mark.parametrize("name,section,text,words", AGENT, ids=[m[0] for m in AGENT])
def test_agent(good_agent, name, section, text, words):
    complaint(good_agent, spoil(good_agent, section, text), words)


@pytest.mark.parametrize("name,section,text,words", AGGREGATOR, ids=[m[0] for m in AGGREGATOR])
def test_aggregator(good_aggregator, name, section, text, words):
    complaint(good_aggregator, spoil(good_aggregator, section, text), words)


def remove(process, section, key):
    """Takes an option out; returns the numbers of the lines that may be blamed: the section's header."""
    with open(process.file, encoding="utf-8") as f:
        lines = f.read().splitlines()
    out, here, header = [], None, 0
    for line in lines:
        if line.startswith("["):
            here = line.strip("[]")
        if here == section and line.split("=")[0].strip() == key:
            continue
        out.append(line)
        if line == f"[{section}]":
            header = len(out)
    with open(process.file, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")
    end = next((i for i in range(header, len(out)) if out[i].startswith("[")), len(out))
    return range(header, end + 1)


@pytest.mark.parametrize("section,key", AGENT_ABSENT)
def test_agent_absent(good_agent, section, key):
    complaint(good_agent, remove(good_agent, section, key), [f"[{section}]", key])


@pytest.mark.parametrize("section,key", AGGREGATOR_ABSENT)
def test_aggregator_absent(good_aggregator, section, key):
    complaint(good_aggregator, remove(good_aggregator, section, key), [f"[{section}]", key])


def test_all_mistakes_are_told_at_once(good_agent):
    first = spoil(good_agent, "agent", "interval = 5 parsecs")
    second = spoil(good_agent, "ship", "batch = soon")
    out = check(good_agent)
    assert out.returncode == 78
    assert f":{first[0]}: " in out.stderr and f":{second[0]}: " in out.stderr, out.stderr


def test_a_file_that_is_not_there():
    for program in "securebase-agent", "securebase-aggregator":
        out = subprocess.run([os.path.join(support.BUILD, program), "-c", "/nonexistent/x.ini", "--check-config"],
                             capture_output=True, text=True, check=False, timeout=60)
        assert out.returncode == 78 and "/nonexistent/x.ini" in out.stderr, (program, out)


def test_a_line_that_is_too_long_is_not_cut(good_agent):
    lines = spoil(good_agent, "labels", "note = " + "x" * 5000)
    out = check(good_agent)
    assert out.returncode == 78 and f":{lines[-1]}: " in out.stderr, out.stderr


def test_a_broken_file_keeps_the_old_configuration_aggregator(aggregator):
    a = aggregator(sections=[("percentile api", {"metric": "x_seconds", "windows": "1m"})])
    good = open(a.file, encoding="utf-8").read()
    before = a.api("percentiles")["percentiles"]
    lines = spoil(a, "percentile api", "windows = 1m bogus")
    a.signal(signal.SIGHUP)
    wait_for(lambda: f":{lines[0]}" in a.output() and "bogus" in a.output(), why="the complaint in the log")
    assert a.alive() and support.get(a.url + "/readyz")[0] == 200
    assert a.api("percentiles")["percentiles"] == before
    with open(a.file, "w", encoding="utf-8") as f:
        f.write(good + "\n[percentile more]\nmetric = y_seconds\n")
    a.signal(signal.SIGHUP)
    wait_for(lambda: [p["percentile"] for p in a.api("percentiles")["percentiles"]] == ["api", "more"],
             why="the mended file to be taken")


def test_a_broken_file_keeps_the_old_configuration_agent(aggregator, agent):
    g = aggregator()
    a = agent([g.endpoint], ship={"batch": "1s"})
    seen = wait_for(lambda: g.agents().get("web-1"), why="a first batch")
    lines = spoil(a, "agent", "interval = 5 parsecs")
    a.signal(signal.SIGHUP)
    wait_for(lambda: f":{lines[0]}" in a.output() and "5 parsecs" in a.output(), why="the complaint in the log")
    wait_for(lambda: g.agents()["web-1"]["seq"] >= seen["seq"] + 3, why="further batches")
    assert a.alive() and g.agents()["web-1"]["epoch"] == seen["epoch"]
