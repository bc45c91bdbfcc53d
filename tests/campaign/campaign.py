"""Runs of faults in a lab, one after the other, each with its result as a JSON line. What is in the file is not run again.

usage: campaign.py [options]            all runs of the list that are not there yet
       campaign.py --summary RESULTS    the table
       campaign.py --down [--name N]    takes away what a campaign that was killed has left

  --results FILE    default build/campaign/results.jsonl
  --name NAME       of the lab (default sbc): several run side by side under different names,
  --folder FOLDER   of the lab, on a disk (default /var/tmp/NAME)
                    and share the list and the results
  --cycles N        default 4: each one death of each kind, and as many faults that must not move anything as there are kinds,
                    twice
  --boundaries N    besides, N deaths in each of which the leading aggregator is killed right after the Kth line of the journal
  --names KIND      knot, bind or powerdns (default: in turn, lab by lab)
  --mode sync|async|both   replication (default both, cycle by cycle)
  --only WORD,…     kinds, or faults
  --until HH:MM     begins no run later (UTC)
  --most SECONDS    the same, from now
"""
import argparse
import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
import time
import traceback

import summary
from box import able
from case import Death, Stay, ready
from faults import DEATHS, STAYS
from lab import TOP, Lab
from programs import BUILD, Programs
from servers import NAME_SERVERS, Ended


def plan(cycles, mode, boundaries=0):
    """[(key, kind, fault, number, synchronous)] in the order in which they are run: deaths and stays mixed, modes in turn."""
    out = []
    for cycle in range(cycles):
        synchronous = mode == "sync" or (mode == "both" and cycle % 2 == 0)
        word = "sync" if synchronous else "async"
        stays = [(f, 2 * cycle + i) for i in range(2) for f in STAYS]
        deaths = [(f, cycle) for f in DEATHS]
        for i, (fault, number) in enumerate(deaths):
            out.append((f"{word}/death/{fault}/{number}", "death", fault, number, synchronous))
            for f, n in stays[i * len(stays) // len(deaths):(i + 1) * len(stays) // len(deaths)]:
                out.append((f"{word}/stay/{f}/{n}", "stay", f, n, synchronous))
    word = "async" if mode == "async" else "sync"
    out += [(f"{word}/boundary/kill/{k}", "boundary", "kill", k, word == "sync") for k in range(1, boundaries + 1)]
    return out


def done(path):
    """Keys with a result; a run that broke (by the campaign's own fault) is tried three times."""
    keys, broken = set(), {}
    for r in summary.read(path):
        if r["outcome"] == "broken":
            broken[r["key"]] = broken.get(r["key"], 0) + 1
        else:
            keys.add(r["key"])
    return keys | {k for k, n in broken.items() if n >= 3}


def keep(path, result):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a", encoding="utf-8") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.write(json.dumps(result) + "\n")


def build_id():
    """Of the aggregator that is tried: the beginning of its SHA-256."""
    with open(os.path.join(BUILD, "securebase-aggregator"), "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()[:12]


class Campaign:
    def __init__(self, args):
        self.args, self.lab, self.labs = args, None, 0

    def fresh(self, synchronous):
        if self.lab:
            self.lab.down()
        kind = self.args.names or tuple(NAME_SERVERS)[self.labs % len(NAME_SERVERS)]
        self.labs += 1
        self.lab = Lab(self.args.name, self.args.folder or f"/var/tmp/{self.args.name}", synchronous, names=kind)
        self.lab.up()
        Programs(self.lab).start()
        ready(self.lab)

    def save(self, key):
        """Logs of a run that did not go as it should, beside the results."""
        to = os.path.join(os.path.dirname(self.args.results), "logs", key.replace("/", "-") + time.strftime("-%H%M%S"))
        for p in self.lab.places if self.lab else ():
            os.makedirs(f"{to}/{p.name}", exist_ok=True)
            for name in os.listdir(p.folder) if os.path.isdir(p.folder) else ():
                if name.endswith((".log", ".ini", ".jsonl")):
                    shutil.copy(f"{p.folder}/{name}", f"{to}/{p.name}/{name}")
        if self.lab:
            for name in os.listdir(self.lab.folder):
                if name.endswith(".jsonl"):
                    shutil.copy(f"{self.lab.folder}/{name}", f"{to}/{name}")
            for p in self.lab.etcd.places:
                with open(f"{to}/{p.name}/explain.txt", "w", encoding="utf-8") as f:
                    for args in (("failover", "explain", "app"), ("--json", "failover", "status", "app")):
                        said = self.lab.programs.sbctl(p, *args) if self.lab.programs else None
                        f.write(said.stdout + said.stderr + "\n" if said else "")
            out = self.lab.etcd.ctl(self.lab.out, "get", "--prefix", "/securebase", check=False)
            with open(f"{to}/etcd.txt", "w", encoding="utf-8") as f:
                f.write(out.stdout)
        return to

    def one(self, key, kind, fault, number, synchronous):
        began = time.time()
        result = {"key": key, "kind": kind, "fault": fault, "number": number, "synchronous": synchronous,
                  "began": round(began, 1), "lab": self.args.name, "build": build_id()}
        try:
            if self.lab is None or self.lab.synchronous != synchronous:
                self.fresh(synchronous)
            else:
                ready(self.lab)
        except (RuntimeError, OSError, Ended) as e:
            result.update(outcome="broken", why=f"before the fault: {e}"[-500:])
            result["logs"] = self.save(key)
            self.lab.down()
            self.lab = None
            return result
        case = None
        try:
            if kind == "stay":
                run = Stay(self.lab, fault, number)
            else:
                run = Death(self.lab, fault, number, number if kind == "boundary" else 0)
            more, case = run.run()
            result.update(more, names=self.lab.names.kind)
            if kind != "stay" and result["outcome"] == "success":
                result["back"] = self.back(run, case)
        except (RuntimeError, OSError, Ended, KeyError, IndexError, TypeError, ValueError) as e:
            result.update(outcome="broken", why=f"{type(e).__name__} {e}"[-500:])
            traceback.print_exc()
        result["seconds"] = round(time.time() - began, 1)
        if result["outcome"] != "success" or (result.get("back") or {}).get("outcome", "success") != "success":
            result["logs"] = self.save(key)
            self.lab.down()
            self.lab = None
        return result

    @staticmethod
    def back(run, case):
        try:
            out = run.back(case)
            bad = out["lost"] or out["overlaps"]
            return dict(out, outcome="failure" if bad else "success")
        except (RuntimeError, OSError, Ended, KeyError) as e:
            traceback.print_exc()
            return {"outcome": "failure", "why": str(e)[-500:]}

    def claim(self, runs):
        """The next run that nobody has done or is doing: of the lab's own mode while there is one, so that it can go on."""
        folder = os.path.join(os.path.dirname(self.args.results), "claims")
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            over = done(self.args.results)
            for same in (True, False):
                for r in runs:
                    file = f"{folder}/{r[0].replace('/', '-')}"
                    if r[0] in over or (same and self.lab and self.lab.synchronous != r[4]) or held(file):
                        continue
                    with open(file, "w", encoding="ascii") as f:
                        f.write(str(os.getpid()))
                    return r, file
        return None, None

    def run(self, until):
        only = set(filter(None, self.args.only.split(",")))
        runs = [r for r in plan(self.args.cycles, self.args.mode, self.args.boundaries) if not only or {r[1], r[2]} & only]
        try:
            while not until or time.time() < until:
                r, file = self.claim(runs)
                if r is None:
                    break
                print(f"{time.strftime('%H:%M:%S')} {r[0]}", flush=True)
                try:
                    result = self.one(*r)
                    keep(self.args.results, result)
                finally:
                    os.unlink(file)
                print(f"{time.strftime('%H:%M:%S')}   {result['outcome']} {result.get('why', '')[:160]}"
                      f" {json.dumps(result.get('phases', {}))} outage {result.get('outage')}"
                      f" back {json.dumps(result.get('back', {}))[:300]}", flush=True)
        finally:
            if self.lab:
                self.lab.down()


def held(file):
    """Whether a process that lives has claimed it."""
    try:
        with open(file, encoding="ascii") as f:
            os.kill(int(f.read()), 0)
        return True
    except (OSError, ValueError):
        return False


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("--results", default=os.path.join(TOP, "build/campaign/results.jsonl"))
    p.add_argument("--name", default="sbc")
    p.add_argument("--folder")
    p.add_argument("--cycles", type=int, default=4)
    p.add_argument("--boundaries", type=int, default=0)
    p.add_argument("--names", choices=tuple(NAME_SERVERS))
    p.add_argument("--mode", default="both", choices=("sync", "async", "both"))
    p.add_argument("--only", default="")
    p.add_argument("--until")
    p.add_argument("--most", type=float)
    p.add_argument("--down", action="store_true")
    p.add_argument("--summary")
    args = p.parse_args()
    if args.summary:
        print(summary.table(summary.read(args.summary)))
        return
    why = able()
    if why:
        sys.exit(f"campaign: {why}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the lab goes too
    if args.down:
        Lab(args.name, args.folder or f"/var/tmp/{args.name}").down()
        return
    until = time.time() + args.most if args.most else None
    if args.until:
        day = time.gmtime()
        h, m = (int(x) for x in args.until.split(":"))
        until = time.time() + (h - day.tm_hour) * 3600 + (m - day.tm_min) * 60 - day.tm_sec
    Campaign(args).run(until)
    print(summary.table(summary.read(args.results)))


if __name__ == "__main__":
    main()
