#!/usr/bin/env python3
"""Turns over one guard of the core at a time and lets the simulator find out: mutate.py BUILD [--named] [WORD]

Every mutation is one change of a source file of the core: an operand of a condition is left out, a condition is made
constant, a timer ends at an eighth of its time, a comparison is turned round. The file alone is compiled anew, linked before
the libraries, and seeds are run until an invariant breaks. --named takes the named guards alone (each gate, each fence, each
token); WORD those whose name or file has it in them. SEEDS=N (each), PROCESSES=N, SKIP=N (of the list) in the environment.

Prints one line for each: caught by which invariant at which seed, or SURVIVED. A survivor is no fault by itself: a guard may
be there twice, or may guard what the model has not; but every named guard has to be caught or to be excused here. Exit
status 1 when a named guard survives without an excuse.
"""
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

FILES = "core core_command core_gate core_lease core_page core_plan core_run core_step core_take core_when gates table tally vote".split()
HOME = "aggregator/failover/"

# name, file, what stands there, what it becomes, why it may survive ("" it may not)
NAMED = [
    ("fence before promote", "core_step", "(t->s->record.plan.fenced != 0 || !t->c->fence_required) &&", "", "no row leads to the last look without a rung"),
    ("fence before last look", "core_step", "if (rung == 0 && !optional)", "if (0)", ""),
    ("contract waits", "core_plan", ">= t->c->t.contract", ">= t->c->t.contract / 8", ""),
    ("contract needs guards", "core_plan", "p->kind == FO_FAILOVER && fo_bit(t->c->guarded, p->from) && s->state", "p->kind == FO_FAILOVER && s->state", "seldom: an unguarded region that is cut off, and its fence within it"),
    ("contract not for planned moves", "core_plan", "if (p->kind == FO_FAILOVER && fo_bit", "if (fo_bit",
     "a planned move asks for another rung than 2 once more"),
    ("proof is of this plan", "core_plan", "s->fenced_epoch >= p->epoch", "1", ""),
    ("proof is of the old region", "core_plan", "s->fenced_region == p->from", "1", ""),
    ("only a proving fence proves", "core_plan", "t->c->actions[i].required && t->c->actions[i].proves &&\n            fo_phase_now", "1 &&\n            fo_phase_now",
     ""),
    ("planned: F1 alone", "core_step", "return (rung != 2) && fo_step_over", "return fo_step_over", "fo_fenced gives no contract to planned moves"),
    ("a holder's proof is its own", "core_lease", "s->rung = 0;", "", "seldom: seen at one seed of ten thousand"),
    ("deadline of effects", "core_lease", "int64_t room = t->s->deadline - t->now - FO_SECOND;", "int64_t room = 60000;", ""),
    ("margin of the lease", "core_lease", "+ t->c->t.lease - t->c->t.margin", "+ t->c->t.lease", ""),
    ("deadline counts from sent", "core_lease", "int64_t until = e->u.lease.sent", "int64_t until = t->now", ""),
    ("lock delay", "core_lease", "t->now + t->c->t.lock_delay", "t->now", "tokens at targets and idempotent drivers stop what it stops"),
    ("token of the keep", "core_lease", "|| fencing_cmp(e->u.lease.token, s->token) != 0", "", "answers of an older lease of the same process are rare"),
    ("record is ours before effects", "core_run", "fencing_cmp(s->record.token, s->token) == 0", "1", "no row leads out of RESUME before the record is claimed"),
    ("intent before effect", "core_run", "t->c->actions[i].step == step && t->s->record.plan.phase[i] == FO_INTENT", "t->c->actions[i].step == step", ""),
    ("promise holds effects", "core_run", "t->now < s->promised_until))", "0))", "the contract begins anew with each holder, and last look asks as well"),
    ("tilt holds effects", "core_run", "timeout == 0 || s->tilted)", "timeout == 0)", ""),
    ("unknown outcome is probed", "core_run", "case ACTION_UNKNOWN:\n        r->op = ACTION_PROBE;", "case ACTION_UNKNOWN:\n        r->op = ACTION_APPLY;",
     "apply is idempotent at every target"),
    ("higher token is the end", "core_step", "(t->s->sticky & FO_BIT(FO_R_TOKEN_HIGHER)) != 0", "0",
     "conflict of the same answer ends the step too"),
    ("majority for DOWN", "tally", "if (out->n[region][FO_DOWN] >= most &&", "if (out->n[region][FO_DOWN] >= 1 &&", "the voters who see a target as well have to be a majority"),
    ("two domains for DOWN", "tally", "out->down_elsewhere[region] >= 2 &&", "", ""),
    ("two classes for DOWN", "tally", "two_classes(out->classes[region], region == active) &&", "",
     "a voter does not say DOWN on one hard class but users"),
    ("target UP by the same voters", "tally", "with_target(c, w, n, region, active) >= most", "1", "the gate asks for a target that is UP"),
    ("veto of users", "tally", "!vetoed(c, w, n, region, active))", "1)", "in this world users in a dead or cut off region are never well by its own voter and DOWN by all others"),
    ("majority for UP", "tally", "if (out->n[region][FO_UP] >= most)", "if (out->n[region][FO_UP] >= 1)", ""),
    ("votes grow old", "tally", "now - h->at <= least", "1", ""),
    ("self check", "tally", "w[i].heard && heard[i].vote.self_ok", "w[i].heard", "a voter that does not trust itself says UNKNOWN of everything as well"),
    ("probes alone are not DOWN", "vote", "(s->probes_down && (s->beats.silent || s->users == USERS_HURT || s->users_elsewhere || s->database))", "s->probes_down", "two classes are asked for when votes are counted"),
    ("a run of failed probes", "vote", "c->down_probes", "1", "the second class and the time of confirmation ask for more"),
    ("tilt silences the voter", "vote", "v->tilt_until = until > v->tilt_until ? until : v->tilt_until;", "", "the core holds still while its own clock is in doubt"),
    ("gate: quorum", "gates", "if (!s->tally.quorum)", "if (0)", "hard_down asks for a majority by itself"),
    ("gate: fail static", "gates", "if (s->tally.fail_static)", "if (0)", "excluded by hard_down"),
    ("gate: lease", "gates", "if (!s->leading || now + 2 * FO_SECOND >= s->deadline)", "if (0)", "quiet asks for the lease as well"),
    ("gate: tilt", "gates", "if (now < s->tilt_until)", "if (0)", "nothing is held to be down in tilt"),
    ("gate: promise", "gates", "if (now < s->promised_until)", "if (0)", ""),
    ("gate: lock", "gates", "if (fo_in_force(&s->record.lock, wall))", "if (0)", ""),
    ("gate: plan live", "gates", "if (s->record.status != FO_STEADY_STATUS && s->record.status != FO_HOLD_STATUS)", "if (0)",
     "the states before a plan leave when the record says otherwise"),
    ("gate: not down", "gates", "if (!fo_bit(s->tally.hard_down, rec->active))", "if (0)", ""),
    ("gate: automation", "gates", "if (fo_mode(s, c, wall) != FO_AUTO)", "if (0)", ""),
    ("gate: auto_ok", "gates", "mode == FO_AUTO && !c->auto_ok ? FO_PROPOSE : mode", "mode", ""),
    ("gate: maintenance", "gates", "if (fo_in_force(&rec->maintenance, wall))", "if (0)", ""),
    ("gate: hold", "gates", "if (rec->hold_until > wall)", "if (0)", ""),
    ("gate: budget of a day", "gates", "if (moves_within(rec, DAY, wall) >= c->budget_day)", "if (0)", ""),
    ("gate: budget of a week", "gates", "if (moves_within(rec, WEEK, wall) >= c->budget_week)", "if (0)", ""),
    ("gate: must not", "gates", "if (fo_in_force(&s->record.must_not, wall) && s->record.must_not.region == to)", "if (0)", "fo_target passes over it as well"),
    ("gate: target up", "gates", "if (!fo_bit(s->tally.up, to))", "if (0)", "fo_target takes only what is UP"),
    ("gate: target young", "gates", "(s->up_since[to] == 0 || now - s->up_since[to] < c->t.target_up)", "0", ""),
    ("gate: readiness old", "gates", "if (f->ready_at == 0 || now - f->ready_at > c->t.ready_age)", "if (0)", ""),
    ("gate: lag unknown", "gates", "return c->accept_unknown_lag || accepted >= 0 ? 0 : FO_BIT(FO_R_LAG_UNKNOWN);", "return 0;", ""),
    ("gate: RPO", "gates", "return loss <= c->t.rpo || loss <= accepted ? 0 : FO_BIT(FO_R_RPO);", "return 0;", ""),
    ("gate: no fence", "gates", "if (c->fence_required && !fo_can_fence(c, s->record.active, kind))", "if (0)", "without a fence the plan is taken back at FENCE"),
    ("gate: velocity", "gates", "if (s->facts.others_moving + 1U > most)", "if (0)", ""),
    ("gate: flap", "gates", "if (flapping(rec, wall))", "if (0)", ""),
    ("gate: home young", "gates", "if (home && (s->up_since[0] == 0 || now - s->up_since[0] < c->t.failback_green))", "if (0)", ""),
    ("gate: blocking alarm", "gates", "if ((home || kind == FO_DRILL) && s->facts.blocking_alarm)", "if (0)", ""),
    ("gate: window", "gates", "if ((home || kind == FO_DRILL) && !s->facts.in_window)", "if (0)", ""),
    ("no way back by itself", "gates", "FO_BIT(FO_R_LEFT)", "0", ""),
    ("boot keeps quiet", "core_when", "return t->now - t->s->started >= t->c->t.boot;", "return true;", ""),
    ("confirm holds", "core_when", "return held(t, t->s->since, t->c->t.confirm);", "return true;", ""),
    ("no return: writer stays", "core_plan", "r->writer = r->plan.to;", "r->writer = r->plan.from;", ""),
    ("prepare stops the writer", "core_plan", "r->writer = FO_NONE;", "", ""),
    ("abort only before no return", "core_step", "!t->s->record.plan.past_no_return && fo_plan_is_live", "fo_plan_is_live", ""),
    ("undo gives the budget back", "core_plan", "give_back(r, r->plan.began);", "(void)give_back;", ""),
    ("undo unfences", "core_plan", "r->writer = r->plan.was_fenced ? FO_NONE : r->plan.from;", "", ""),
    ("what cannot be undone is told", "core_run", "t->s->record.plan.phase[i] == FO_UNDOING && t->s->runs[i].settled == FO_FAILED", "0", ""),
    ("last look", "core_step", "t->s->record.plan.fenced_at != 0 && fo_last_look(t) == 0;", "t->s->record.plan.fenced_at != 0;", ""),
    ("loss at last look", "core_plan", "(r & bind) | fo_loss_may(s, t->c, p->to, p->accepted_loss_ms, fenced_by(t))", "(r & bind)", ""),
    ("switched only to what is UP", "core_plan", "return fo_bit(t->s->tally.up, t->s->record.plan.to);", "return true;", ""),
    ("caught up is lag 0", "core_step", "(none || blind || told_caught_up(t))", "1", ""),
]


def arguments():
    words = [a for a in sys.argv[2:] if not a.startswith("-")]
    return sys.argv[1], "--named" in sys.argv, words[0] if words else ""


@functools.cache
def source(name):  # as it is at the beginning
    with open(f"{HOME}{name}.c", encoding="utf-8") as f:
        return f.read()


def closing(text, at):
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return i
    return -1


def operands(text, start, end):
    """Operands of && or || at the top of text[start:end], as (from, to, neutral value)."""
    cuts, depth, op, i = [start], 0, None, start
    while i < end:
        c = text[i]
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif depth == 0 and text[i:i + 2] in ("&&", "||"):
            if op is not None and text[i:i + 2] != op:
                return []
            op = text[i:i + 2]
            cuts += [i, i + 2]
            i += 1
        elif depth == 0 and c in "?":
            return []
        i += 1
    cuts.append(end)
    if op is None:
        return []
    return [(cuts[k], cuts[k + 1], "1" if op == "&&" else "0") for k in range(0, len(cuts), 2)]


def automatic(name):
    """Every mutation that can be found by shape: (name, file, position, length, replacement)."""
    text = source(name)
    bare = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)
    out = []

    def add(what, start, end, new):
        line = text.count("\n", 0, start) + 1
        old = " ".join(text[start:end].split())
        if not re.search(r"FO_REGIONS|FO_VOTERS|FO_ACTIONS|n_regions|n_actions|VOTE_|cap\b", old):
            out.append((f"{name}.c:{line} {what}: {old[:60]}", name, start, end - start, new))

    for m in re.finditer(r"\bif \(", bare):
        end = closing(bare, m.end() - 1)
        parts = operands(bare, m.end(), end)
        for a, b, neutral in parts:
            add("without", a, b, f" {neutral} ")
        if not parts:
            add("never", m.end(), end, "0")
            add("always", m.end(), end, "1")
    for m in re.finditer(r"\breturn ([^;]*?(?:&&|\|\|)[^;]*);|= ([^;=]*?(?:&&|\|\|)[^;]*);", bare):
        k = 1 if m.group(1) else 2
        for a, b, neutral in operands(bare, m.start(k), m.end(k)):
            add("without", a, b, f" {neutral} ")
    for m in re.finditer(r"[ct]->(?:c->)?t\.(\w+)\b", bare):
        if not bare[m.end():].lstrip().startswith("="):
            add(f"timer {m.group(1)}/8", m.start(), m.end(), f"({text[m.start():m.end()]} / 8)")
    return out


def named():
    out, gone = [], 0
    for name, file, old, new, excuse in NAMED:
        text = source(file)
        m = re.search(r"\s+".join(re.escape(word) for word in old.split()), text)
        if not m:
            print(f"{name}: `{old}` does not stand in {file}.c any more")
            gone += 1
            continue
        out.append((name, file, m.start(), m.end() - m.start(), new, excuse))
    if gone:
        sys.exit(2)
    return out


def flags(build):
    """As make compiles: asked from make itself."""
    got = subprocess.run(["make", "-n", "-B", "V=1", f"{build}/obj/{HOME}gates.o"], capture_output=True, text=True, check=True).stdout
    line = [x for x in got.splitlines() if f"-o {build}/obj/{HOME}gates.o" in x][-1]
    words = [f"-I{os.path.abspath(w[2:])}" if w.startswith("-I") and w != "-I." else w for w in line.split(" -MMD")[0].split()]
    return words + ["-w"]


def try_one(build, cc, folder, index, mutant):
    name, file, at, length, new = mutant[:5]
    text = source(file)
    src, obj, exe = (f"{folder}/{index}{x}" for x in (".c", ".o", ""))
    with open(src, "w", encoding="utf-8") as f:
        f.write(text[:at] + new + text[at + length:])
    done = subprocess.run(cc + ["-c", "-o", obj, src], capture_output=True, text=True, check=False, cwd=f"{folder}/tree")
    if done.returncode:
        return name, "does not compile", ""
    others = [os.path.join(folder, "kept", n) for n in os.listdir(f"{folder}/kept") if n != f"core-{file}.o"]
    subprocess.run([cc[0], "-o", exe, obj, *others, "-pie", "-lcrypto", "-lm"], check=True)
    seeds = os.environ.get("SEEDS", "3000")
    result, seed = "SURVIVED", ""
    for extra in (["-n", seeds, "-b", "1"], ["-k", "1", "-n", "6", "-b", "1"]):
        try:
            done = subprocess.run([exe, "-q", "-j", "1", *extra], capture_output=True, text=True, check=False, timeout=600)
        except subprocess.TimeoutExpired:
            result = "never ends"
            break
        m = re.search(r"seed (\d+): invariant (\d+)", done.stdout)
        if m:
            result, seed = f"invariant {m.group(2)}", m.group(1)
            break
        if done.returncode:
            result = f"dies ({done.returncode})"
            break
    for f in (src, obj, exe):
        if os.path.exists(f):
            os.unlink(f)
    return name, result, seed


def main():
    build, only_named, word = arguments()
    mutants = named()
    if not only_named:
        mutants += [m for f in FILES for m in automatic(f)]
    mutants = [m for m in mutants if word in m[0] or word == m[1]][int(os.environ.get("SKIP", "0")):]
    cc = flags(build)
    survived = bad = 0
    keep = {f"{build}/obj/{HOME}{n}.o": f"core-{n}.o" for n in FILES + ["names", "record"]}
    for top in ("tests/sim", "common/base", "common/config", "aggregator/actions"):
        for n in sorted(os.listdir(top)):
            if n.endswith(".c") and (top in ("tests/sim", "common/base") or n in ("text.c", "names.c")):
                keep[f"{build}/obj/{top}/{n[:-2]}.o"] = f"{top.replace('/', '-')}-{n[:-2]}.o"
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(int(os.environ.get("PROCESSES", "2"))) as pool:
        os.mkdir(f"{folder}/kept")  # as they are now: the tree may be built anew meanwhile
        for one, name in keep.items():
            shutil.copy(one, f"{folder}/kept/{name}")
        for top in ("aggregator", "common"):
            shutil.copytree(top, f"{folder}/tree/{top}", ignore=lambda where, names: [
                n for n in names if not n.endswith(".h") and not os.path.isdir(os.path.join(where, n))])
        jobs = [pool.submit(try_one, build, cc, folder, i, m) for i, m in enumerate(mutants)]
        for job, m in zip(jobs, mutants):
            name, result, seed = job.result()
            excuse = m[5] if len(m) > 5 else ""
            if result == "SURVIVED":
                survived += 1
                bad += len(m) > 5 and not excuse
            where = f" at seed {seed}" if seed else ""
            print(f"{result:16} {name}{where}{': ' + excuse if excuse and result == 'SURVIVED' else ''}", flush=True)
    print(f"sim-mutate: {len(mutants)} mutations, {len(mutants) - survived} caught, {survived} survived; {bad} of them named and without an excuse")
    return 1 if bad else 0


sys.exit(main())
