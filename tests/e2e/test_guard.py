"""Guards: the real agent and its helper, real fences, and everything that can be done to the two processes. For most of it, what
an aggregator would say comes from a small server here (guard_kit.Says), so that the test holds the other end of each word; the
last ones have real aggregators and an etcd."""
import http.client
import json
import os
import signal
import ssl
import subprocess
import time

import etcds
import guard_kit
import pytest
import support
from guard_kit import LEASE, Guarded, HAProxy, Postgres, Says, Writer, away, deny, serve
from support import wait_for


@pytest.fixture
def says(request):
    """says(answer, …): servers that stand in for as many aggregators."""
    made = []

    def make(*answers):
        made.extend(Says(a) for a in answers)
        return made[-len(answers):]
    yield make
    for s in made:
        s.close()


@pytest.fixture
def guarded(tmp_path, ca, started):
    """guarded(servers, fence) makes and starts an agent with a guard; its helpers end with the test."""
    made = []

    def make(servers, fence, start=True, **options):
        a = Guarded(tmp_path, ca, [s.url for s in servers], fence, **options)
        made.append(a)
        started.append(a)
        return a.start() if start else a
    yield make
    for a in made:
        if a.alive():
            a.signal(signal.SIGCONT)
            a.kill()
        a.kill_helpers()


@pytest.fixture
def switch(tmp_path):
    """A service that a command fences: it runs while the file `runs` is there."""
    runs, log = tmp_path / "runs", tmp_path / "orders"
    for name, body in (("fence", f"rm -f {runs}"), ("release", f"touch {runs}"), ("prove", f"test ! -e {runs}")):
        f = tmp_path / name
        f.write_text(f"#!/bin/sh\necho $(date +%s.%N) {name} $(cat) >> {log}\n{body}\n")
        f.chmod(0o755)
    runs.touch()
    log.touch()

    class Switch:
        fence = {"command": tmp_path / "fence", "release_command": tmp_path / "release", "prove_command": tmp_path / "prove"}

        @staticmethod
        def on():
            return runs.exists()

        @staticmethod
        def turn_on():
            runs.touch()

        @staticmethod
        def orders():
            return log.read_text(encoding="utf-8")
    return Switch


def fenced(agent):
    return lambda: agent.phase() == "fenced"


def serving(agent):
    return lambda: agent.phase() == "serving"


def test_a_life_with_one_aggregator(says, guarded, switch):
    """Serves, is denied, is proven fenced, and goes on when it may; `guard check` says what a unit may do."""
    a, = says(serve(7))
    agent = guarded([a], switch.fence)
    wait_for(serving(agent))
    assert agent.may_start()
    q = a.last()
    assert (q["guard"], q["agent"], q["service"], q["region"], q["serving"]) == ("app", "web-1", "app", "us-east-1", True)
    a.answer = deny(8)
    wait_for(lambda: a.first(lambda q: not q["serving"] and q["fenced_epoch"] == 8), why="the proof is reported")
    assert not switch.on()
    assert agent.kept["state"] == "1" and agent.kept["fenced_epoch"] == "8"
    assert not agent.may_start()
    assert '"do":"fence"' in switch.orders() and '"epoch":8' in switch.orders() and '"reason":"denied"' in switch.orders()
    # what bears an older epoch is nothing, whatever it says
    a.answer = serve(7)
    seen = len(a.questions)
    wait_for(lambda: len(a.questions) >= seen + 4)
    assert agent.phase() == "fenced" and not switch.on() and not agent.may_start()
    a.answer = serve(9)
    wait_for(serving(agent))
    assert switch.on() and agent.may_start()
    assert agent.verb("guard", "list").stdout == "app\tapp\n"
    assert "service app in us-east-1: serving" in agent.verb("guard", "status").stdout
    assert "no such guard" in agent.verb("guard", "check", "other").stderr
    assert agent.guard()["fences"]["denied"] == 1 and agent.guard()["releases"] == 1


def test_it_is_started_behind_the_guards_back(says, guarded, switch):
    """A fence is looked at again and again: what was started by hand is stopped."""
    a, = says(deny(3))
    agent = guarded([a], switch.fence)
    wait_for(fenced(agent))
    switch.turn_on()
    wait_for(lambda: agent.guard()["broken"], why="it is noticed")
    assert agent.guard()["may_write"]
    wait_for(lambda: agent.guard()["fences"]["broken"] == 1 and agent.phase() == "fenced", 30)
    assert not switch.on()


def test_the_lease_lapses(says, guarded, switch):
    """Nobody answers: it fences at the end of the lease, not before, and not after."""
    a, b = says(serve(5), serve(5))
    agent = guarded([a, b], switch.fence)
    wait_for(serving(agent))
    a.answer = b.answer = None
    last = time.monotonic()  # no question that is answered was sent after this
    wait_for(lambda: not switch.on())
    assert LEASE / 1000 - 1 <= time.monotonic() - last
    wait_for(fenced(agent))
    g = agent.guard()
    assert g["fences"]["lapsed"] == 1 and g["fenced_epoch"] == 5
    # and comes back by itself when somebody has read that it may
    a.answer = away(5)
    time.sleep(2)
    assert agent.phase() == "fenced"  # promises let nothing begin
    b.answer = serve(5)
    wait_for(serving(agent))
    assert switch.on()


def test_the_store_is_away(says, guarded, switch):
    """All aggregators promise: the service goes on, for longer than any lease. One falls silent: it ends."""
    three = says(serve(5), serve(5), serve(5))
    agent = guarded(three, switch.fence)
    wait_for(serving(agent))
    for s in three:
        s.answer = away(5)
    end = time.monotonic() + 3 * LEASE / 1000
    while time.monotonic() < end:
        assert switch.on() and agent.phase() in ("serving", "doubt")
        time.sleep(0.2)
    three[1].answer = None
    wait_for(lambda: not switch.on())
    wait_for(fenced(agent))


def test_one_of_them_knows_a_later_epoch(says, guarded, switch):
    three = says(serve(5), serve(5), serve(5))
    agent = guarded(three, switch.fence)
    wait_for(serving(agent))
    for s, epoch in zip(three, (5, 6, 5)):
        s.answer = away(epoch)
    wait_for(fenced(agent))
    assert not switch.on()


def test_the_agent_is_killed(says, guarded, switch):
    """kill -9: the helper fences at the deadline, writes it down, and ends; the next agent finds it so."""
    a, = says(serve(4))
    agent = guarded([a], switch.fence)
    wait_for(serving(agent))
    agent.kill()
    assert switch.on()  # the lease goes on for its time: an agent that is started again at once finds it running
    wait_for(lambda: not switch.on())
    wait_for(lambda: not agent.helpers(), why="the helper ends")
    assert agent.kept["state"] == "1" and agent.kept["fenced_epoch"] == "4"
    a.answer = deny(5)
    agent.start()
    wait_for(fenced(agent))
    wait_for(lambda: a.first(lambda q: not q["serving"] and q["fenced_epoch"] == 5))
    assert not switch.on()


def test_the_agent_is_started_again_in_time(says, guarded, switch):
    """kill -9 and a new agent within the lease: nothing is fenced, and there is one helper."""
    a, = says(serve(4, lease=20000))
    agent = guarded([a], switch.fence)
    wait_for(serving(agent))
    before = agent.helpers()
    agent.kill()
    agent.start()
    wait_for(lambda: serving(agent)() and len(agent.helpers()) == 1 and agent.helpers() != before)
    assert switch.on() and "fence" not in switch.orders()


def test_the_configuration_is_read_anew(says, guarded, switch):
    """HUP: what a guard is stays as it was; it goes on, and says that it would need a restart."""
    a, = says(serve(4))
    agent = guarded([a], switch.fence)
    wait_for(serving(agent))
    agent.sections = [(n, dict(v, service="other", interval="1s") if n == "guard app" else v) for n, v in agent.sections]
    agent.write()
    agent.signal(signal.SIGHUP)
    wait_for(lambda: "guard app" in agent.output() and "restart" in agent.output(), why="it says so")
    before = a.last()["seq"]
    wait_for(lambda: a.last()["seq"] > before + 3)
    assert a.last()["service"] == "app" and agent.phase() == "serving" and agent.may_start()
    assert "fence" not in switch.orders()


def test_the_helper_is_killed(says, guarded, switch):
    """The agent starts another one, which goes on with the lease."""
    a, = says(serve(4, lease=20000))
    agent = guarded([a], switch.fence)
    wait_for(serving(agent))
    before = agent.helpers()
    agent.kill_helpers()
    wait_for(lambda: serving(agent)() and agent.helpers() and agent.helpers() != before)
    assert "fence" not in switch.orders()


def test_the_agent_hangs(says, guarded, switch):
    """SIGSTOP of the agent for longer than the lease."""
    a, = says(serve(4))
    agent = guarded([a], switch.fence)
    wait_for(serving(agent))
    agent.signal(signal.SIGSTOP)
    wait_for(lambda: not switch.on())
    wait_for(lambda: agent.kept["state"] == "1")
    a.answer = deny(5)
    agent.signal(signal.SIGCONT)
    wait_for(lambda: a.first(lambda q: not q["serving"] and q["fenced_epoch"] == 5))


def test_both_sleep(says, guarded, switch):
    """Agent and helper stand still, as in a machine that is suspended, while the world goes on. What lies in the sockets when
    they wake is older than the lease: the first thing that is done is the fence."""
    a, = says(serve(4))
    agent = guarded([a], switch.fence)
    wait_for(serving(agent))
    helper, = agent.helpers()
    os.kill(helper, signal.SIGSTOP)
    time.sleep(1)  # the agent goes on telling it of leases
    agent.signal(signal.SIGSTOP)
    time.sleep(LEASE / 1000 + 1)
    assert switch.on()
    a.answer = deny(5)
    os.kill(helper, signal.SIGCONT)
    wait_for(lambda: not switch.on())
    assert '"reason":"lapsed"' in switch.orders() and "release" not in switch.orders()
    agent.signal(signal.SIGCONT)
    wait_for(lambda: a.first(lambda q: not q["serving"] and q["fenced_epoch"] == 5))
    assert "release" not in switch.orders()


def test_the_service_looks_at_its_lease(says, guarded, switch, tmp_path):
    """By the function that docs/guard.md shows: a lease while confirmed, none when denied, none for what slept through its end,
    before anybody has fenced anything."""
    with open(os.path.join(support.TOP, "docs", "guard.md"), encoding="utf-8") as f:
        shown = f.read().split("```python\n")[1].split("```")[0]
    names = {}
    exec(shown, names)  # pylint: disable=exec-used
    path = str(tmp_path / "lease")

    def may():
        return names["may_write"](path)

    a, = says(None)
    assert not may()  # no guard yet
    agent = guarded([a], dict(switch.fence, lease_file=path))
    wait_for(lambda: agent.phase() == "unknown")
    assert switch.on() and not may() and os.stat(path).st_mode & 0o777 == 0o644
    a.answer = serve(4)
    wait_for(may)
    a.answer = deny(5)
    wait_for(lambda: not may())
    wait_for(fenced(agent))
    assert not may()
    a.answer = serve(6)
    wait_for(may)
    wait_for(serving(agent))
    helper, = agent.helpers()
    os.kill(helper, signal.SIGSTOP)
    agent.freeze()
    wait_for(lambda: not may())
    assert switch.on()  # nobody has fenced, and the service knows
    a.answer = None
    os.kill(helper, signal.SIGCONT)
    wait_for(lambda: not switch.on())
    agent.signal(signal.SIGCONT)
    with open(path, encoding="ascii") as f:
        until, boot, again = f.read().split()
    assert until == again and int(until) == 0
    for wrong in ("", f"{10**18} {boot} {10**18 - 1}\n", f"{10**18} {boot[::-1]} {10**18}\n", f"{10**18} {boot}\n"):
        with open(path, "w", encoding="ascii") as f:
            f.write(wrong)
        assert not may(), wrong


def test_both_are_killed(says, guarded, switch):
    """kill -9 of both: nobody is left to fence. What starts next sees that the lease has ended, and fences before it asks."""
    a, = says(serve(4))
    agent = guarded([a], switch.fence)
    wait_for(serving(agent))
    agent.kill()
    agent.kill_helpers()
    time.sleep(LEASE / 1000 + 0.5)
    assert switch.on()
    a.answer = None
    agent.start()
    wait_for(lambda: not switch.on())
    assert '"reason":"started"' in switch.orders()
    wait_for(fenced(agent))


def reboot(agent):
    """What a machine that is started anew finds: no process, and a lease of another boot."""
    agent.kill()
    agent.kill_helpers()
    wait_for(lambda: not agent.helpers())
    path = os.path.join(agent.folder, "state", "guard-app.state")
    with open(path, "r+b") as f:
        f.seek(1024)
        f.write(b"\0" * 512)


def test_reboot_while_fenced(says, guarded, switch):
    """The fence survives: it is carried out again before anything is asked, and no answer of an older epoch lets it go."""
    a, = says(serve(4))
    agent = guarded([a], switch.fence)
    wait_for(serving(agent))
    a.answer = deny(5)
    wait_for(fenced(agent))
    reboot(agent)
    switch.turn_on()  # something starts it with the machine
    a.answer = serve(4)
    agent.start()
    wait_for(lambda: not switch.on())
    wait_for(fenced(agent))
    assert not agent.may_start() and "release" not in switch.orders()
    a.answer = serve(5)
    wait_for(serving(agent))
    assert switch.on()


def test_reboot_while_serving(says, guarded, switch):
    """It does not serve before it has read that it may; nobody answers for ten seconds: it fences."""
    a, = says(serve(4))
    agent = guarded([a], switch.fence)
    wait_for(serving(agent))
    reboot(agent)
    a.answer = None
    agent.start()
    wait_for(lambda: agent.phase() == "unknown")
    assert not agent.may_start()
    wait_for(lambda: not switch.on(), 30)
    wait_for(fenced(agent))


STEP = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *t)
{
    int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int rc = real(id, t);
    if (id == CLOCK_REALTIME && access(getenv("STEP_FILE"), F_OK) == 0)
        t->tv_sec += 3600;
    return rc;
}
"""


def test_the_wall_clock_is_set(says, guarded, switch, tmp_path):
    """An hour forth and back: no lease is longer or shorter for it."""
    (tmp_path / "step.c").write_text(STEP)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "step.so", tmp_path / "step.c", "-ldl"], check=True)
    step = tmp_path / "step"
    a, = says(serve(4))
    agent = guarded([a], switch.fence, start=False)
    agent.env.update(LD_PRELOAD=str(tmp_path / "step.so"), STEP_FILE=str(step))
    agent.start()
    wait_for(serving(agent))
    for there in (True, False):
        step.touch() if there else step.unlink()
        end = time.monotonic() + 2 * LEASE / 1000
        while time.monotonic() < end:
            assert agent.phase() in ("serving", "doubt")
            time.sleep(0.2)
    assert "fence" not in switch.orders()
    step.touch()
    assert "the clock or the loop did not run on evenly" in agent.output()  # the step was felt
    a.answer = None
    wait_for(fenced(agent))
    assert agent.guard()["fences"]["lapsed"] == 1


def test_a_fence_that_fails(says, guarded, tmp_path, switch):
    """It is tried until it is proven; until then it counts as writing."""
    broken = tmp_path / "broken"
    broken.touch()
    (tmp_path / "fence").write_text(f"#!/bin/sh\ntest ! -e {broken} && rm -f {tmp_path}/runs\n")
    a, = says(deny(3))
    agent = guarded([a], switch.fence)
    wait_for(lambda: agent.guard()["failures"] >= 3)
    assert agent.phase() == "fencing" and agent.guard()["may_write"] and "status 1" in agent.guard()["trouble"]
    assert a.first(lambda q: not q["serving"]) is None
    broken.unlink()
    wait_for(lambda: a.first(lambda q: not q["serving"] and q["fenced_epoch"] == 3))
    assert not switch.on()


def test_a_helper_that_runs_by_itself(says, guarded, switch, started, tmp_path):
    """As securebase-guard@app.service does it: with other rights than the agent, and on through the agent's restarts."""
    a, = says(serve(4))
    sock = tmp_path / "guard.sock"
    agent = guarded([a], dict(switch.fence, helper=sock), start=False)
    os.makedirs(os.path.join(agent.folder, "state"), 0o750)
    helper = support.Process("helper", [*agent.argv, "guard", "helper", "app"], agent.folder)
    started.append(helper)
    agent.start()
    wait_for(lambda: a.questions)
    assert not agent.guard()["helper"] and not agent.may_start()
    helper.start()
    wait_for(serving(agent))
    with open(f"/proc/{helper.pid}/status", encoding="ascii") as f:
        rights = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    assert rights["NoNewPrivs"] == "1" and int(rights["CapEff"], 16) == 0 and int(rights["CapBnd"], 16) == 0
    agent.kill()
    wait_for(lambda: not switch.on())
    assert helper.alive()
    agent.start()
    wait_for(serving(agent))
    assert switch.on()


# ---- real servers ----

@pytest.fixture
def postgres():
    db = Postgres().start()
    db.sql("create table t (n int)")
    yield db
    db.stop()


def never_after(writer, db, moment):
    """No write was acknowledged after that moment, and every one that was is there."""
    acked = writer.end()
    assert len(acked) > 20
    assert not [n for t, n in acked if t > moment]
    there = {int(n) for n in db.sql("select n from t")}
    assert {n for _, n in acked} <= there


def test_postgresql_is_cut(says, guarded, postgres):
    a, = says(serve(4))
    postgres.sql("create role securebase login")
    agent = guarded([a], {"postgresql": postgres.data, "postgresql_keep": "securebase"})
    wait_for(serving(agent))
    looks = postgres.connect(user="securebase")
    looks.autocommit = True
    writer = Writer(postgres)
    writer.start()
    wait_for(lambda: len(writer.acked) > 50)
    a.answer = deny(5)
    moment = wait_for(lambda: a.first(lambda q: not q["serving"] and q["fenced_epoch"] == 5))
    time.sleep(1)
    assert writer.failures
    assert "securebase-guard" in postgres.hba() and "host replication all 127.0.0.1/32 trust" in postgres.hba()
    # replication goes on, for the standby that is to have everything
    r = subprocess.run([os.path.join(guard_kit.BIN, "psql"), "-At",
                        f"host=127.0.0.1 port={postgres.port} user={postgres.user} dbname=postgres replication=true", "-c",
                        "IDENTIFY_SYSTEM"], capture_output=True, text=True, check=False)
    assert r.returncode == 0, r.stderr
    # and who has to see how far the log has come is neither sent away nor kept out
    with looks.cursor() as k:
        k.execute("select pg_current_wal_lsn()")
    postgres.connect(user="securebase").close()
    never_after(writer, postgres, moment)
    # and it may again
    a.answer = serve(6)
    wait_for(serving(agent))
    assert "securebase-guard" not in postgres.hba()
    wait_for(lambda: postgres.connect().close() is None)


def test_postgresql_that_says_more_than_was_asked(says, guarded, postgres):
    """A warning beside an answer (of a session that is gone just then, say) is no failed cut: the server is not stopped."""
    a, = says(serve(4))
    postgres.sql(f"alter role {postgres.user} set client_min_messages = debug5")
    with open(os.path.join(postgres.data, "postmaster.pid"), encoding="ascii") as f:
        pid = f.readline()
    agent = guarded([a], {"postgresql": postgres.data})
    wait_for(serving(agent))
    a.answer = deny(5)
    wait_for(lambda: a.first(lambda q: not q["serving"] and q["fenced_epoch"] == 5))
    assert "securebase-guard" in postgres.hba()
    with open(os.path.join(postgres.data, "postmaster.pid"), encoding="ascii") as f:
        assert f.readline() == pid
    a.answer = serve(6)
    wait_for(serving(agent))
    wait_for(lambda: postgres.connect().close() is None)


def test_postgresql_when_the_agent_dies(says, guarded, postgres):
    """The lease ends while a client writes: after what the contract allows, nothing is acknowledged any more."""
    a, = says(serve(4))
    agent = guarded([a], {"postgresql": postgres.data})
    wait_for(serving(agent))
    writer = Writer(postgres)
    writer.start()
    wait_for(lambda: len(writer.acked) > 50)
    agent.kill()
    killed = time.monotonic()
    wait_for(lambda: agent.kept["state"] == "1")
    moment = time.monotonic()
    time.sleep(1)
    never_after(writer, postgres, moment)
    assert writer.acked[-1][0] > killed  # it did serve on until the lease ended
    # started anew it is cut as well, whoever starts it
    postgres.run("pg_ctl", "-D", postgres.data, "-w", "-m", "immediate", "restart", "-l", os.path.join(postgres.folder, "log"))
    with pytest.raises(Exception, match="reject"):
        postgres.connect()


def test_postgresql_that_does_not_take_its_rules(says, guarded, postgres):
    """A postmaster that stands still cannot be cut; it is stopped for good while there is time."""
    a, = says(serve(4))
    agent = guarded([a], {"postgresql": postgres.data, "fence_timeout": "4s"})
    wait_for(serving(agent))
    with open(os.path.join(postgres.data, "postmaster.pid"), encoding="ascii") as f:
        pid = int(f.readline())
    os.kill(pid, signal.SIGSTOP)
    a.answer = deny(5)
    wait_for(lambda: agent.guard()["failures"] >= 1, 40)
    assert a.first(lambda q: not q["serving"]) is None  # nobody knows, so nothing is claimed
    os.kill(pid, signal.SIGCONT)
    wait_for(lambda: a.first(lambda q: not q["serving"] and q["fenced_epoch"] == 5), 40)


def test_postgresql_is_stopped(says, guarded, postgres):
    a, = says(serve(4))
    agent = guarded([a], {"postgresql": postgres.data, "postgresql_mode": "stop"})
    wait_for(serving(agent))
    a.answer = deny(5)
    wait_for(fenced(agent))
    assert not os.path.exists(os.path.join(postgres.data, "postmaster.pid"))


def test_a_standby_is_left_open(says, guarded, postgres):
    """It writes nothing, and whoever promotes it has to get in."""
    postgres.run("pg_ctl", "-D", postgres.data, "-w", "-m", "fast", "stop")
    with open(os.path.join(postgres.data, "standby.signal"), "w", encoding="ascii"):
        pass
    os.chown(os.path.join(postgres.data, "standby.signal"), os.stat(postgres.data).st_uid, -1)
    postgres.start()
    a, = says(deny(5))
    agent = guarded([a], {"postgresql": postgres.data})
    wait_for(lambda: a.first(lambda q: not q["serving"] and q["fenced_epoch"] == 5))
    assert "securebase-guard" not in postgres.hba()
    postgres.connect().close()
    # promoted without leave: it is noticed, and cut
    postgres.run("pg_ctl", "-D", postgres.data, "-w", "promote")
    wait_for(lambda: "securebase-guard" in postgres.hba(), 30)
    wait_for(fenced(agent))


def test_haproxy(says, guarded, started, tmp_path):
    proxy = HAProxy(tmp_path)
    started.append(proxy)
    proxy.start()
    a, = says(serve(4))
    agent = guarded([a], {"haproxy": proxy.socket, "servers": "app"})
    wait_for(serving(agent))
    ask = lambda: support.get(f"http://127.0.0.1:{proxy.port}/")[0]
    assert ask() == 501  # what is behind it has no GET, and answered
    a.answer = deny(5)
    wait_for(lambda: a.first(lambda q: not q["serving"] and q["fenced_epoch"] == 5))
    assert proxy.states() == {"web0": 1, "web1": 1} and ask() == 503
    proxy.say("set server app/web1 state ready")
    wait_for(lambda: agent.guard()["fences"]["broken"] == 1 and agent.phase() == "fenced", 30)
    assert ask() == 503
    a.answer = serve(6)
    wait_for(serving(agent))
    assert proxy.states() == {"web0": 0, "web1": 0} and ask() == 501
    proxy.close()


def test_wrong_configurations(guarded, says, tmp_path):
    """Each mistake is told with its place, and stops the start."""
    a, = says(serve())
    for options, word in (({}, "at least one fence"), ({"haproxy": "/run/x"}, "haproxy and servers go together"),
                          ({"unit": "app"}, "a unit with its suffix"), ({"command": "fence"}, "an absolute path"),
                          ({"command": "/bin/true", "capabilities": "everything"}, "names of capabilities"),
                          ({"command": "/bin/true", "interval": "7s"}, "interval"),
                          ({"command": "/bin/true", "prove_command": "true"}, "an absolute path")):
        agent = guarded([a], options, start=False)
        out = agent.verb("--check-config")
        assert out.returncode == 78 and word in out.stderr, (options, out.stderr)


# ---- real aggregators ----

def region(tmp_path, ca, started, name, where, ports, cluster, more=None, actions=()):
    """One of the aggregators `east`, `west`, `eye`, which lead and vote about the service app together."""
    places = {"east": "us-east-1", "west": "us-west-2", "eye": "eu-west-1"}
    a = support.Aggregator(
        tmp_path, ca, name=name, ingest_port=ports[name],
        aggregator={"region": where, "voter": name, "role": "witness" if name == "eye" else "full"},
        sections=[("coordination", {"type": "etcd", "endpoints": " ".join(cluster.urls)})]
        + [(f"voter {n}", {"region": r}) for n, r in places.items()]
        + [(f"peer {n}", {"url": f"https://localhost:{ports[n]}", "region": r, "ca": f"{ca}/ca.pem",
                          "cert": f"{ca}/role-peer.pem", "key": f"{ca}/role-peer.key"}) for n, r in places.items() if n != name]
        + [("failover app", {"regions": "us-east-1 us-west-2", "guards": "us-east-1=web-1/app us-west-2=web-2/app",
                             "serving": "5s", "contract": "20s", **(more or {})}), *actions])
    started.append(a)
    return a.start()


def post(ca, who, port, question, kind="application/json"):
    context = ssl.create_default_context(cafile=f"{ca}/ca.pem")
    context.load_cert_chain(f"{ca}/{who}.pem", f"{ca}/{who}.key")
    c = http.client.HTTPSConnection("localhost", port, context=context, timeout=20 * support.PATIENCE)
    c.request("POST", "/v1/guard", question if isinstance(question, (str, bytes)) else json.dumps(question),
              {"Content-Type": kind})
    r = c.getresponse()
    status, body = r.status, r.read()
    c.close()
    return status, json.loads(body) if r.getheader("Content-Type", "").startswith("application/json") else body


QUESTION = {"version": 1, "guard": "app", "agent": "web-1", "service": "app", "region": "us-east-1", "boot": "0a", "seq": 1,
            "serving": True, "fenced_epoch": 0, "seen_epoch": 0}


def test_the_path(aggregator, ca):
    """Who may ask, and what is taken; of a service that it does not know an aggregator says nothing."""
    a = aggregator()
    port = a.ingest_port
    for who in ("role-relay", "role-peer", "agent-web-2"):
        status, body = post(ca, who, port, QUESTION)
        assert status == 403 and b"its own agent" in body, who
    assert post(ca, "agent-web-1", port, b"{}")[0] in (400, 422)
    assert post(ca, "agent-web-1", port, dict(QUESTION, version=2))[0] == 422
    assert post(ca, "agent-web-1", port, dict(QUESTION, guard="../x"))[0] == 400
    assert post(ca, "agent-web-1", port, QUESTION, kind="text/plain")[0] == 415
    assert post(ca, "agent-web-1", port, b" " * 5000)[0] == 413
    assert post(ca, "agent-web-1", port, QUESTION)[0] == 503
    m = a.metrics()
    assert m['securebase_aggregator_refused_guards_total{reason="identity"}'] == 3


def test_with_real_aggregators(tmp_path, ca, started, guarded, switch):
    """Three aggregators and an etcd: the guard of the active region serves and the other does not; etcd goes away, and all
    promise; one of them goes too, and the lease ends; both come back."""
    cluster = etcds.Cluster(tmp_path / "etcd", started).start()
    ports = {n: support.free_port() for n in ("east", "west", "eye")}
    where = {"east": "us-east-1", "west": "us-west-2", "eye": "eu-west-1"}
    all_three = [region(tmp_path, ca, started, n, where[n], ports, cluster) for n in ports]
    urls = [f"https://localhost:{p}" for p in ports.values()]

    class At:
        def __init__(self, url):
            self.url = url
    agent = guarded([At(u) for u in urls], switch.fence)
    wait_for(serving(agent), 60)
    assert agent.may_start()
    other = guard_kit.Guarded(tmp_path, ca, urls, {"command": "/bin/true"}, name="web-2", agent={"region": "us-west-2"})
    started.append(other)
    other.start()
    wait_for(lambda: other.phase() == "fenced", 30)
    assert not other.may_start() and "may not serve in us-west-2" in other.verb("guard", "check", "app").stderr

    for m in cluster.members:
        m.pause()
    wait_for(lambda: all("away, with a promise" in e["said"] for e in agent.guard()["endpoints"]), 40)
    end = time.monotonic() + 12
    while time.monotonic() < end:
        assert switch.on() and agent.phase() in ("serving", "doubt"), agent.guard()
        time.sleep(0.3)
    all_three[2].signal(signal.SIGSTOP)
    wait_for(lambda: not switch.on(), 30)
    wait_for(fenced(agent), 30)
    all_three[2].signal(signal.SIGCONT)
    for m in cluster.members:
        m.go_on()
    wait_for(serving(agent), 60)
    assert switch.on()
    other.kill()
    other.kill_helpers()


def test_a_move_waits_for_the_proof(tmp_path, ca, started, guarded, switch):
    """An operator moves the service: nobody opens the other region before its old one is proven fenced, and the guards change
    places."""
    cluster = etcds.Cluster(tmp_path / "etcd", started).start()
    ports = {n: support.free_port() for n in ("east", "west", "eye")}
    where = {"east": "us-east-1", "west": "us-west-2", "eye": "eu-west-1"}
    health = {r: support.free_port() for r in ("us-east-1", "us-west-2")}
    for r, p in health.items():
        folder = tmp_path / r
        folder.mkdir()
        started.append(support.Process(f"health-{r}", ["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", p,
                                                       "-d", folder], folder).start())
    opened = tmp_path / "opened"
    open_it = tmp_path / "open"
    open_it.write_text(f"""#!/bin/sh
case $(cat) in
*precheck*) exit 0 ;;
*apply*)
    if [ -e {tmp_path}/runs ]; then touch {tmp_path}/overlap; fi
    touch {opened} ;;
esac
test -e {opened} || exit 4
""")
    open_it.chmod(0o755)
    quick = {"boot": "1s", "target_up": "0s", "up_after": "0s", "probe_successes": "1", "probe_interval": "1s", "validate": "1s",
             "lock_delay": "0s", "warm": "1s", "fence": "60s",
             "probes": " ".join(f"{r}=http://127.0.0.1:{p}/" for r, p in health.items())}
    actions = [("action open", {"type": "command", "service": "app", "step": "promote", "command": open_it}),
               ("action send", {"type": "command", "service": "app", "step": "switch", "command": "/bin/true"})]
    three = {n: region(tmp_path, ca, started, n, where[n], ports, cluster, more=quick, actions=actions) for n in ports}
    urls = [f"https://localhost:{p}" for p in ports.values()]

    class At:
        def __init__(self, url):
            self.url = url
    old = guarded([At(u) for u in urls], switch.fence)
    new = guard_kit.Guarded(tmp_path, ca, urls, {"command": "/bin/true"}, name="web-2", agent={"region": "us-west-2"})
    started.append(new)
    new.start()
    wait_for(serving(old), 60)
    wait_for(lambda: new.phase() == "fenced", 30)

    def sbctl(*words):
        return subprocess.run([os.path.join(support.BUILD, "sbctl"), "--socket", three["west"].socket, *words],
                              capture_output=True, text=True, check=False, timeout=60)

    # refused while votes and readiness are young
    wait_for(lambda: sbctl("failover", "start", "app", "--to", "us-west-2", "--accept-data-loss", "60", "--reason",
                           "a test").returncode == 0, 60, every=1)
    wait_for(opened.exists, 60)
    assert not switch.on() and not (tmp_path / "overlap").exists()
    wait_for(lambda: new.phase() == "serving", 30)
    assert old.phase() == "fenced" and not old.may_start() and new.may_start()
    status = json.loads(sbctl("failover", "status", "app", "--json").stdout)
    assert '"fenced":"proof"' in json.dumps(status, separators=(",", ":"))
    new.kill()
    new.kill_helpers()
