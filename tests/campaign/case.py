"""One run: inject, wait, measure, put right. A run leaves a lab in which everything stands as at its beginning, or says that
it could not, and the lab is made anew."""
import time

from boundary import Boundary
from faults import DEATHS, ORDERED, STAYS, Case
from lab import PLACE_OF, REGIONS
from measure import Record
from programs import SERVICE
from servers import Ended, wait_for

PHASES = ("suspect_at", "asked", "began", "fence_said", "fenced_at", "writable_at", "switched_at", "valid_at", "ended")
DEATH_MOST = 240
WATCH = 60
SETTLE = 8


def phases(record, injected):
    """Seconds from the moment of death to each point of the plan, by the plan's own clock; absent ones are left out."""
    plan = record.get("plan") or {}
    return {p: round(plan[p] / 1000 - injected, 2) for p in PHASES if plan.get(p)}


def moved(record, old, new, epoch):
    """The service stands in the new region, and the plan has ended well."""
    return (record and record["epoch"] > epoch and record["writer"] == record["active"] == REGIONS[new.name]
            and record["status"] in ("hold", "steady") and REGIONS[old.name] != record["writer"])


def record_now(programs):
    r = programs.record()
    if r is None:
        raise RuntimeError("etcd does not give the record")
    return r


class Death:
    """The primary region dies: the service has to come up in the other one, and come back in a planned move."""

    def __init__(self, lab, fault, number, boundary=0):
        self.lab, self.programs, self.fault, self.number, self.boundary = lab, lab.programs, fault, number, boundary

    def run(self):
        lab, programs = self.lab, self.programs
        old = programs.writer()
        case = Case(lab, old, self.number)
        new, epoch = case.standby, record_now(programs)["epoch"]
        files = lab.users()
        time.sleep(SETTLE)
        out = {"from": old.name, "to": new.name, "outcome": "failure"}
        killer = Boundary(programs, self.boundary) if self.boundary else None
        injected, mono = time.time(), time.monotonic()
        DEATHS[self.fault](case)
        out["injected"] = round(injected, 3)
        try:
            if self.fault in ORDERED:
                self.by_order(out, new, lambda: moved(programs.record(), old, new, epoch), mono)
            wait_for(lambda: moved(programs.record(), old, new, epoch), DEATH_MOST, f"moved to {new.name}", every=0.5)
            out["outcome"] = "success"
        except RuntimeError as e:
            out["why"] = str(e)[-300:]
        finally:
            if killer:
                out["killed"] = killer.end()
        record = programs.record() or {}
        out["phases"], out["status"] = phases(record, injected), record.get("status")
        if out["outcome"] == "success":
            self.outside(out, new)
        time.sleep(SETTLE)
        case.heal()
        time.sleep(SETTLE + 4 if self.fault != "kill" else 1)  # what wakes, wakes now, and is asked by the stubborn user
        end = time.monotonic()
        lab.users_end()
        out["notes"] = case.notes
        self.data(out, Record(files, lab.runs), old, new, mono, end)
        return out, case

    def by_order(self, out, new, has_moved, mono):
        """Somebody looks on for a minute; where automation only doubts, they order the move."""
        try:
            wait_for(has_moved, WATCH, "moved by itself", every=0.5)
            return
        except RuntimeError:
            pass
        seen = self.programs.sbctl(self.lab.eu, "failover", "status", SERVICE)
        out["seen"] = seen.stdout.strip()[:600]
        said = None
        for _ in range(20):
            said = self.programs.start_move(new)
            if said.returncode == 0:
                out["ordered"] = round(time.monotonic() - mono, 2)
                return
            time.sleep(2)
        raise RuntimeError(f"start refused: {said.stdout.strip()} {said.stderr.strip()}"[-400:])

    def outside(self, out, new):
        """What is true outside, whatever the record says."""
        lab = self.lab
        try:
            wait_for(lambda: all(a == new.address for a in lab.names.answers(lab.out)), 15, "both name servers lead there")
            wait_for(lambda: lab.health(new) == "primary", 15, "the service there writes")
        except RuntimeError as e:
            out["outcome"], out["why"] = "failure", f"outside: {e}"

    def data(self, out, users, old, new, mono, end):
        gap, since, until = users.outage(mono, end)
        out["outage"] = round(gap, 2)
        if since:
            out["outage_from"], out["outage_to"] = round(since - mono, 2), round(until - mono, 2)
        if out["outcome"] == "success":
            lost, out["acknowledged"] = users.lost(self.lab.databases[new.name])
            out["lost"] = sum(map(len, lost.values()))
            out["lost_rows"] = {u: [[r["seq"], round(r["done"] - mono, 2), r["region"]] for r in rs[:20]]
                                for u, rs in lost.items()}
            out["overlaps"], out["overlap_seconds"] = users.overlaps(REGIONS[old.name], REGIONS[new.name])
            lost_allowed = 0 if self.lab.synchronous else None
            if out["overlaps"] or (lost_allowed == 0 and out["lost"]):
                out["outcome"], out["why"] = "failure", "two writers" if out["overlaps"] else "acknowledged writes are lost"

    def back(self, case):
        """Rebuilds the old primary as a standby, and moves home by plan. Measured."""
        lab, programs, old, new = self.lab, self.programs, case.primary, case.standby
        out, began = {}, time.monotonic()
        for name in ("service", "postgres"):
            old.programs[name].kill()
        lab.revive(old)
        out["rebuilt_by"] = lab.databases[old.name].follow(lab.databases[new.name], rewind=True)
        programs.revive(old)
        out["rebuild"] = round(time.monotonic() - began, 2)
        wait_for(lambda: lab.health(old) == "standby", 30, f"{old.name} is a standby")
        programs.wait_steady(new)
        epoch = record_now(programs)["epoch"]
        files = lab.users()
        asked, said = time.monotonic(), None
        while True:  # until its gates are open: the region that was down has to be up for long enough
            said = programs.failback(old)
            if said.returncode == 0:
                break
            if time.monotonic() - asked > 240:
                raise RuntimeError(f"failback refused: {said.stdout.strip()} {said.stderr.strip()}"[-400:])
            time.sleep(3)
        out["waited"] = round(time.monotonic() - asked, 2)
        mono, wall = time.monotonic(), time.time()
        wait_for(lambda: moved(programs.record(), new, old, epoch), 300, f"moved back to {old.name}", every=0.5)
        out["seconds"] = round(time.monotonic() - mono, 2)
        out["phases"] = phases(record_now(programs), wall)
        time.sleep(SETTLE)
        end = time.monotonic()
        lab.users_end()
        users = Record(files, lab.runs)
        gap, _, _ = users.outage(mono, end)
        lost, out["acknowledged"] = users.lost(lab.databases[old.name])
        out["outage"], out["lost"] = round(gap, 2), sum(map(len, lost.values()))
        out["overlaps"], out["overlap_seconds"] = users.overlaps(REGIONS[new.name], REGIONS[old.name])
        again = time.monotonic()
        out["standby_by"] = lab.databases[new.name].follow(lab.databases[old.name], rewind=True)
        out["standby"] = round(time.monotonic() - again, 2)
        out["work"] = round(out["rebuild"] + out["seconds"] + out["standby"], 2)
        programs.wait_steady(old)
        return out


class Stay:
    """A fault after which nothing may move."""

    def __init__(self, lab, fault, number):
        self.lab, self.programs, self.fault, self.number = lab, lab.programs, fault, number

    def run(self):
        lab, programs = self.lab, self.programs
        primary = programs.writer()
        case = Case(lab, primary, self.number)
        before = record_now(programs)
        files = lab.users()
        time.sleep(SETTLE)
        mono = time.monotonic()
        STAYS[self.fault](case)
        time.sleep(WATCH)
        case.heal()
        time.sleep(SETTLE)
        after = wait_for(programs.record, 60, "etcd gives the record", every=1)
        end = time.monotonic()
        lab.users_end()
        users = Record(files, lab.runs)
        gap, _, _ = users.outage(mono, end)
        lost, total = users.lost(lab.databases[primary.name])
        stayed = all(after[k] == before[k] for k in ("epoch", "active", "writer"))
        return {"from": primary.name, "notes": case.notes, "outage": round(gap, 2), "acknowledged": total,
                "lost": sum(map(len, lost.values())), "by_other": len(users.acks(region=REGIONS[case.standby.name])),
                "outcome": "success" if stayed and not lost else "failure", "status": after["status"],
                "why": "" if stayed else f"epoch {before['epoch']} -> {after['epoch']}, writer {after['writer']}"}, case


def ready(lab):
    """Clean: home writes, the standby streams, everything answers, voters are heard. Raises what is missing."""
    programs = lab.programs
    for p in lab.places:
        for name, program in p.programs.items():
            if not name.startswith("user-") and not program.alive():
                raise Ended(f"{p.name}: {name} has ended: {program.tail(4)}")
    wait_for(lambda: lab.health(lab.east) == "primary" and lab.health(lab.west) == "standby", 60, "both regions are well")
    wait_for(lambda: all(a == lab.east.address for a in lab.names.answers(lab.out)), 30, "the name leads home")
    wait_for(lambda: lab.etcd.leader(lab.out), 30, "etcd has a leader")
    wait_for(lambda: lab.databases["east"].sql("select count(*) from pg_stat_replication where state = 'streaming'") == "1",
             30, "the standby streams")
    programs.wait_steady(lab.east)
    programs.wait_able(lab.west)


assert set(PLACE_OF) == set(REGIONS.values())
