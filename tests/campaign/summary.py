"""The campaign's results as a table: successes with the Wilson interval, times by phase, losses, second writers.

usage: summary.py RESULTS [BUILD]    of that build of the aggregator alone
"""
import json
import os
import sys

from measure import percentile, wilson

# The phases of an RTO: name, from, to (points of the plan, seconds after the death; None: the death itself).
PHASES = (("detect", None, "suspect_at"), ("confirm and decide", "suspect_at", "began"), ("fence", "began", "fenced_at"),
          ("promote", "fenced_at", "writable_at"), ("warm, test, switch", "writable_at", "switched_at"),
          ("validate", "switched_at", "valid_at"))


def read(path):
    if not os.path.exists(path):
        return []
    out = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            try:
                out.append(json.loads(line))
            except ValueError:
                continue
    return out


def share(good, n):
    low, high = wilson(good, n)
    return f"{good} of {n}, 95 % interval {100 * low:.1f} to {100 * high:.1f} %"


def figures(values):
    v = [x for x in values if x is not None]
    return f"median {percentile(v, 0.5):.1f}  p99 {percentile(v, 0.99):.1f}  most {max(v):.1f}  (n {len(v)})" if v else "-"


def span(run, a, b):
    p = run.get("phases", {})
    start = 0.0 if a is None else p.get(a)
    return None if start is None or b not in p else round(p[b] - start, 2)


def deaths(runs, title):
    out = [f"{title}: {share(sum(r['outcome'] == 'success' for r in runs), len(runs))}"]
    ordered = [r for r in runs if r["outcome"] == "success" and "ordered" in r]
    if ordered:
        out.append(f"  {len(ordered)} of them by an order of a person, after a minute; from it to the end  "
                   f"{figures([span(r, 'asked', 'ended') for r in ordered])} s")
    good = [r for r in runs if r["outcome"] == "success" and "ordered" not in r]
    if not good:
        return out
    out.append(f"  from death to decision        {figures([span(r, None, 'began') for r in good])} s")
    for name, a, b in PHASES:
        out.append(f"    {name:<27} {figures([span(r, a, b) for r in good])} s")
    out.append(f"  until users are served (RTO)  {figures([r.get('outage') for r in good])} s, as the user by name saw it")
    out.append(f"  acknowledged writes           {sum(r.get('acknowledged', 0) for r in runs)}, lost "
               f"{sum(r.get('lost', 0) for r in runs)}, by two writers {sum(r.get('overlaps', 0) for r in runs)}")
    return out


def backs(runs):
    b = [r["back"] for r in runs if r.get("back")]
    if not b:
        return []
    good = [x for x in b if x["outcome"] == "success"]
    out = [f"failback: {share(len(good), len(b))}"]
    if good:
        out += [f"  the old primary rebuilt       {figures([x['rebuild'] for x in good])} s",
                f"  the planned move home         {figures([x['seconds'] for x in good])} s",
                f"  users see                     {figures([x['outage'] for x in good])} s",
                f"  all its work                  {figures([x['work'] for x in good])} s",
                f"  acknowledged writes           {sum(x['acknowledged'] for x in good)}, lost {sum(x['lost'] for x in b if 'lost' in x)}"
                f", by two writers {sum(x.get('overlaps', 0) for x in b)}"]
    return out


def table(results):
    out = []
    whole = [r for r in results if r["outcome"] != "broken"]
    death = [r for r in whole if r["kind"] == "death"]
    stay = [r for r in whole if r["kind"] == "stay"]
    if death:
        out += deaths(death, "deaths of the primary region")
        for mode, word in ((True, "synchronous"), (False, "asynchronous")):
            some = [r for r in death if r["synchronous"] == mode]
            if some:
                out += deaths(some, f"- {word} replication")
        for fault in sorted({r["fault"] for r in death}):
            out += deaths([r for r in death if r["fault"] == fault], f"- {fault}")
        out += backs(death)
    boundary = [r for r in whole if r["kind"] == "boundary"]
    if boundary:
        out += deaths(boundary, "deaths with the controller killed at a line of the journal")
        out.append(f"  lines after which it was killed: {' '.join(str(r['number']) for r in boundary if r.get('killed', {}).get('at'))}")
        out += backs(boundary)
    if stay:
        out.append(f"faults that must not move anything: {share(sum(r['outcome'] == 'success' for r in stay), len(stay))}")
        for fault in sorted({r["fault"] for r in stay}):
            some = [r for r in stay if r["fault"] == fault]
            out.append(f"  {fault:<14} {sum(r['outcome'] == 'success' for r in some)} of {len(some)}; users' longest gap "
                       f"{figures([r.get('outage') for r in some])} s; lost {sum(r.get('lost', 0) for r in some)}")
    builds = sorted({r.get("build", "") for r in whole})
    if len(builds) > 1:
        out += [f"build {b}: {len([r for r in whole if r.get('build', '') == b])} runs, "
                f"{len([r for r in whole if r.get('build', '') == b and r['outcome'] != 'success'])} that failed" for b in builds]
    broken = [r for r in results if r["outcome"] == "broken"]
    if broken:
        out.append(f"runs that the campaign itself could not carry out: {len(broken)}")
        out += [f"  {r['key']}: {r.get('why', '')[:160]}" for r in broken]
    return "\n".join(out) or "no results yet"


if __name__ == "__main__":
    print(table([r for r in read(sys.argv[1]) if len(sys.argv) < 3 or r.get("build") == sys.argv[2]]))
