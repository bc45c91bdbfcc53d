"""Objectives against Prometheus: the same month of counters, judged by ours on virtual time and by promtool with rules in the
shape that Sloth generates, compared point by point.

The month has outages, partial ones, nights with hardly any traffic and minutes with none, counters that begin anew, data that
comes hours late, and restarts of the aggregator. SLO_DAYS=30 (make slo-month) is the long form.
"""
import json
import math
import os
import random
import re
import shutil
import subprocess

import pytest

import support

TOOL = os.path.join(support.BUILD, "tests/slo_tool")
MINUTE = 60_000
BEGIN = 1_793_577_600_000  # 2026-11-02T00:00:00Z
DAYS = int(os.environ.get("SLO_DAYS", "8"))
EVERY = int(os.environ.get("SLO_EVERY", "30"))  # minutes between points
SAMPLES = 5  # minutes between promtool's samples: it takes no more than 10 000 into a query, which 30 days of minutes are
OBJECTIVE = 0.9995
WINDOWS = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
LENGTHS = {"5m": 5, "30m": 30, "1h": 60, "2h": 120, "6h": 360, "1d": 1440, "3d": 4320, "7d": 7 * 1440, "30d": 30 * 1440}

INI = """
[slo month]
good = http_requests_total
good_match = code!~"5.."
total = http_requests_total
objective = 99.95%
period = 30d
[slo week]
bad = http_requests_total
bad_match = code=~"5.."
total = http_requests_total
objective = 99.95%
period = 7d
"""


class Month:
    """What happened: by minute, events good and bad, and when each minute's data came in."""

    def __init__(self, days, seed):
        rng = random.Random(seed)
        self.n = days * 1440
        self.good, self.bad, self.arrives, self.resets, self.restarts = [], [], [], set(), set()
        outages = [(rng.randrange(self.n), rng.choice([2, 7, 25, 90]), rng.choice([1.0, 0.3, 0.02])) for _ in range(2 * days)]
        silent = [(rng.randrange(self.n), rng.choice([3, 12, 45, 200])) for _ in range(days)]
        late = [(rng.randrange(self.n), rng.choice([5, 40]), rng.choice([30, 300, 2000])) for _ in range(days)]
        for m in range(self.n):
            night = m % 1440 < 300
            total = rng.choice([0, 0, 1, 3]) if night else round(400 + 300 * math.sin(m / 1440 * 2 * math.pi)) + rng.randrange(40)
            share = max([s for at, n, s in outages if at <= m < at + n], default=0.0002)
            if any(at <= m < at + n for at, n in silent):
                total = 0
            bad = sum(rng.random() < share for _ in range(total)) if 0 < share < 1 else total if share else 0
            self.good.append(total - bad)
            self.bad.append(bad)
            self.arrives.append(m + max([after for at, n, after in late if at <= m < at + n], default=1))
            if rng.random() < 0.002:
                self.restarts.add(m)
        self.choose_resets(rng)

    def choose_resets(self, rng):
        """When the counters begin anew: where Prometheus can see it, which compares one sample with the next."""
        sums = [0, 0]
        for m in range(0, self.n, SAMPLES):
            grows = [sum(v[m:m + SAMPLES]) for v in (self.good, self.bad)]
            if rng.random() < 0.02 and all(s > g for s, g in zip(sums, grows)):
                self.resets.add(m)
                sums = [0, 0]
            sums = [s + g for s, g in zip(sums, grows)]

    def commands(self):
        arriving = {}
        for m in range(self.n):
            arriving.setdefault(self.arrives[m], []).append(m)
        for now in range(1, self.n + 1):
            for m in arriving.get(now, []):
                # as the last ten seconds of its minute
                yield f"c {BEGIN + m * MINUTE + 50_000} http_requests_total code=200 {self.good[m]}\n"
                yield f"c {BEGIN + m * MINUTE + 50_000} http_requests_total code=500 {self.bad[m]}\n"
            if now in self.restarts:
                yield "r\n"
            yield f"s {BEGIN + now * MINUTE}\n"
            if now % EVERY == 0:
                yield "p\n"

    def known(self, now, window):
        """Good and total of the window that ends now, of what has come in by then; None while something comes just now."""
        minutes_ = range(max(0, now - LENGTHS[window]), now)
        if any(now - 2 < self.arrives[m] <= now and self.arrives[m] > m + 1 for m in minutes_):
            return None
        here = [m for m in minutes_ if self.arrives[m] <= now]
        return sum(self.good[m] for m in here), sum(self.good[m] + self.bad[m] for m in here)

    def unsettled(self, now, window):
        """Whether a minute of the window that ends now has not come in, or only within the last minute."""
        first = max(0, now - LENGTHS[window])
        return any(self.arrives[m] > now - 1 and self.arrives[m] > m + 1 for m in range(first, now))

    def series(self, values):
        """A counter that begins anew at each reset, as promtool reads it."""
        out, sum_ = [0], 0
        for m, v in enumerate(values, 1):
            sum_ = v if m - 1 in self.resets else sum_ + v
            if m % SAMPLES == 0:
                out.append(sum_)
        return " ".join(map(str, out))


def ours(month, folder):
    ini = folder / "slo.ini"
    ini.write_text(INI)
    out = subprocess.run([TOOL, str(ini), str(BEGIN)], input="".join(month.commands()), capture_output=True, text=True, check=True)
    points = [json.loads(line) for line in out.stdout.splitlines()]
    return {(p["t"] - BEGIN) // MINUTE: p for p in points}


def rules(period):
    """In the shape of Sloth's: recordings by window, meta recordings, for an objective over `period`."""
    windows = [w for w in WINDOWS + [period] if LENGTHS[w] <= LENGTHS[period]]
    labels = 'sloth_id: "shop-requests", sloth_service: "shop", sloth_slo: "requests"'
    out = ["groups:", "- name: sloth-slo-sli-recordings-shop-requests", "  rules:"]
    for w in windows:
        out += [f"  - record: slo:sli_error:ratio_rate{w}",
                f'    expr: sum(rate(http_requests_total{{code=~"5.."}}[{w}])) / sum(rate(http_requests_total[{w}]))',
                f"    labels: {{{labels}, sloth_window: \"{w}\"}}"]
    out += ["- name: sloth-slo-meta-recordings-shop-requests", "  rules:",
            "  - record: slo:error_budget:ratio", f"    expr: vector(1 - {OBJECTIVE})", f"    labels: {{{labels}}}",
            "  - record: slo:period_burn_rate:ratio",
            f"    expr: slo:sli_error:ratio_rate{period} / on(sloth_id, sloth_slo, sloth_service) group_left slo:error_budget:ratio",
            "  - record: slo:period_error_budget_remaining:ratio", "    expr: 1 - slo:period_burn_rate:ratio"]
    return "\n".join(out) + "\n", windows


def theirs(month, period, points, folder):
    """{(window, minute): error ratio, or NaN}, and {minute: remaining}, by promtool. It only says what it found where that is
    not what was expected, so nothing is."""
    text, windows = rules(period)
    (folder / "rules.yml").write_text(text)
    test = ["rule_files: [rules.yml]", f"evaluation_interval: {EVERY}m", 
            "group_eval_order: [sloth-slo-sli-recordings-shop-requests, sloth-slo-meta-recordings-shop-requests]", "tests:",
            f"- interval: {SAMPLES}m", "  input_series:"]
    for code, values in (("200", month.good), ("500", month.bad)):
        test += [f"  - series: 'http_requests_total{{code=\"{code}\"}}'", f"    values: '{month.series(values)}'"]
    test.append("  promql_expr_test:")
    for m in points:
        for w in windows:
            test += [f"  - {{expr: 'slo:sli_error:ratio_rate{w}', eval_time: {m}m, exp_samples: []}}"]
        test += [f"  - {{expr: 'slo:period_error_budget_remaining:ratio', eval_time: {m}m, exp_samples: []}}"]
    (folder / "test.yml").write_text("\n".join(test) + "\n")
    out = subprocess.run(["promtool", "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True, check=False)
    found, remaining = {}, {}
    asked = None
    for line in (out.stdout + out.stderr).splitlines():
        m = re.match(r'\s*expr: "([^"]+)", time: ([0-9wdhms]+),', line)
        if m:
            asked = (m.group(1), minutes(m.group(2)))
        m = re.match(r"\s*got:.* (\S+)$", line)
        if m and asked:
            value = float(m.group(1))
            if asked[0].startswith("slo:sli_error:ratio_rate"):
                found[asked[0].removeprefix("slo:sli_error:ratio_rate"), asked[1]] = value
            else:
                remaining[asked[1]] = value
            asked = None
    assert len(remaining) == len(points), (len(remaining), len(points), out.stdout[-2000:], out.stderr[-2000:])
    return windows, found, remaining


def minutes(duration):
    units = {"w": 7 * 1440, "d": 1440, "h": 60, "m": 1, "s": 1 / 60}
    return round(sum(int(n) * units[u] for n, u in re.findall(r"(\d+)([wdhms])", duration)))


def near(a, b):
    if a is None or math.isnan(b):
        return a is None and math.isnan(b)
    return abs(a - b) <= 1e-9 * max(1, abs(b))


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
@pytest.mark.parametrize("slo,period", [("week", "7d")] + ([("month", "30d")] if DAYS >= 30 else []))
def test_burns_are_those_of_sloths_rules(slo, period, tmp_path):
    month = Month(DAYS, seed=DAYS)
    points = ours(month, tmp_path)
    windows, found, remaining = theirs(month, period, sorted(points), tmp_path)
    compared, nothing, waiting, counted = 0, 0, 0, 0
    for m, p in sorted(points.items()):
        for i, w in enumerate(windows):
            mine = p[slo]["windows"][7 if w == period else i]
            known = month.known(m, w) if m % (4 * EVERY) == 0 else None
            assert known in (None, (mine["good"], mine["total"])), (w, m, known, mine)
            counted += known is not None
            if month.unsettled(m, w):
                waiting += 1
                continue
            mine = mine["burn"]
            ratio = found[w, m]
            assert near(mine, ratio / (1 - OBJECTIVE)), (w, m, mine, ratio / (1 - OBJECTIVE), p[slo])
            compared += 1
            nothing += mine is None
        if not month.unsettled(m, period):
            assert near(p[slo]["remaining"], remaining[m]), (m, p[slo]["remaining"], remaining[m])
    print(f"{slo}: {compared} burns are equal at {len(points)} points of {DAYS} days, {nothing} of them without data; "
          f"{waiting} left out while data was under way; {counted} windows hold just what had come in by then; {len(month.resets)} counter resets, {len(month.restarts)} restarts")
    assert compared > 2 * len(points) and nothing


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_ours_under_sloths_names(tmp_path):
    """conf/prometheus/rules/slo-sloth.yml: each window under its name, with the labels that dashboards ask for."""
    rules_file = os.path.join(support.TOP, "conf/prometheus/rules/slo-sloth.yml")
    names = 'sloth_id="checkout", sloth_slo="checkout", sloth_service="shop", slo="checkout", service="shop", region="east"'
    (tmp_path / "test.yml").write_text(f"""
rule_files: ["{rules_file}"]
evaluation_interval: 1m
tests:
- interval: 1m
  input_series:
  - {{series: 'securebase_slo_compliance_ratio{{slo="checkout",service="shop",region="east",window="1h"}}', values: '0.75x10'}}
  - {{series: 'securebase_slo_compliance_ratio{{slo="checkout",service="shop",region="east",window="period"}}', values: '0.5x10'}}
  - {{series: 'securebase_slo_burn_rate{{slo="checkout",service="shop",region="east",window="period"}}', values: '3x10'}}
  - {{series: 'securebase_slo_objective_ratio{{slo="checkout"}}', values: '0.75x10'}}
  promql_expr_test:
  - expr: 'slo:sli_error:ratio_rate1h'
    eval_time: 5m
    exp_samples: [{{labels: 'slo:sli_error:ratio_rate1h{{{names}, window="1h", sloth_window="1h"}}', value: 0.25}}]
  - expr: 'slo:sli_error:ratio_rate30d'
    eval_time: 5m
    exp_samples: [{{labels: 'slo:sli_error:ratio_rate30d{{{names}, window="period", sloth_window="30d"}}', value: 0.5}}]
  - expr: 'slo:period_burn_rate:ratio'
    eval_time: 5m
    exp_samples: [{{labels: 'slo:period_burn_rate:ratio{{{names}, window="period"}}', value: 3}}]
  - expr: 'slo:error_budget:ratio'
    eval_time: 5m
    exp_samples: [{{labels: 'slo:error_budget:ratio{{sloth_id="checkout", sloth_slo="checkout", slo="checkout"}}', value: 0.25}}]
""")
    subprocess.run(["promtool", "check", "rules", rules_file], check=True)
    subprocess.run(["promtool", "test", "rules", "test.yml"], cwd=tmp_path, check=True)


@pytest.mark.parametrize("name", sorted(os.listdir(os.path.join(support.TOP, "conf/slos.d"))))
def test_shipped_examples_are_good(name, tmp_path):
    with open(os.path.join(support.TOP, "conf/slos.d", name), encoding="utf-8") as f:
        text = f.read()
    (tmp_path / "a.ini").write_text(f"[aggregator]\nregion = east\nstate_dir = {tmp_path}/state\n[ingest]\n"
                                    f"listen = 127.0.0.1:9870\nauth = none\n{text}")
    program = os.path.join(support.BUILD, "securebase-aggregator")
    out = subprocess.run([program, "-c", str(tmp_path / "a.ini"), "--check-config"], capture_output=True, text=True, check=False)
    assert out.returncode == 0 and "warning" not in out.stderr, out.stderr
    shown = subprocess.run([program, "-c", str(tmp_path / "a.ini"), "--print-config"], capture_output=True, text=True, check=True)
    for alert in re.findall(r"^\[slo ([a-z-]+)\]", text, re.M):
        made = f"[alert slo-{alert}-page-fast]" in shown.stdout
        assert made == ("alerts = no" not in text.split(f"[slo {alert}]")[1].split("[slo")[0])
