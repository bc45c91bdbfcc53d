"""The driver `postgresql` against real servers: a primary in the east, a standby in the west that streams from it."""
import json
import os
import subprocess
import time

import psycopg2
import pytest

import postgres
from support import BUILD, wait_for


@pytest.fixture(scope="module")
def template():
    """A pair that has streamed once, and is stopped: what each test begins with a copy of."""
    east, west = postgres.Server("east").initialise().start(), postgres.Server("west")
    postgres.make_service(east)
    east.query("create table written (n bigint primary key, at timestamptz default clock_timestamp())")
    east.query("alter table written owner to app_owner")
    east.query(f"alter role app_owner password '{postgres.PASSWORD}'")
    west.follow(east).start()
    wait_for(lambda: east.query("select state from pg_stat_replication") == [("streaming",)], why="it streams")
    east.stop()
    west.stop()
    yield east, west
    east.discard()
    west.discard()


class Pair:
    """east is the primary, west its standby."""

    def __init__(self, folder, template, synchronous=False):
        self.folder = str(folder)
        self.east, self.west = postgres.Server("east").copy(template[0]), postgres.Server("west").copy(template[1])
        if synchronous:
            self.east.configure(synchronous_standby_names="west")
        self.west.point(self.east)
        self.east.start()
        self.west.start()
        wait_for(lambda: self.east.query("select state from pg_stat_replication") == [("streaming",)], why="it streams")
        self.path = os.path.join(self.folder, "actions.ini")
        self.secret = os.path.join(self.folder, "password")
        with open(self.secret, "w", encoding="utf-8") as f:
            f.write(postgres.PASSWORD + "\n")
        os.chmod(self.secret, 0o600)
        self.write()

    def write(self, **more):
        steps = ["fence", "catchup", "promote", "test", "validate", "tidy", "gate"]
        with open(self.path, "w", encoding="utf-8") as f:
            for step in steps:
                f.write(f"[action {step}]\ntype = postgresql\nservice = app\nstep = {step}\n"
                        f"hosts = east={self.east.uri()} west={self.west.uri()}\ndatabase_password = file:{self.secret}\n"
                        "synchronous = west=west east=east\n")
                f.writelines(f"{k} = {v}\n" for k, v in more.items())

    def run(self, action, op, **keys):
        keys.setdefault("deadline_ms", 15000)  # machines are slow and shared
        argv = [os.path.join(BUILD, "tests", "action_tool"), self.path, action, op] + [f"{k}={v}" for k, v in keys.items()]
        out = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
        assert out.returncode == 0, out.stderr
        assert postgres.PASSWORD not in out.stdout + out.stderr
        return json.loads(out.stdout)

    def discard(self):
        self.east.discard()
        self.west.discard()


@pytest.fixture
def pair(tmp_path, template):
    p = Pair(tmp_path, template)
    yield p
    p.discard()


@pytest.fixture
def synchronous(tmp_path, template):
    p = Pair(tmp_path, template, synchronous=True)
    yield p
    p.discard()


def test_promotion(pair):
    r = pair.run("promote", "precheck")
    assert r["class"] == "ok", r
    assert pair.run("promote", "probe")["class"] == "not_applied"
    assert pair.run("test", "precheck")["class"] == "ok"
    assert pair.run("test", "apply")["class"] == "retry"  # a standby takes no writes
    pair.east.stop()
    r = pair.run("promote", "apply", deadline_ms=20000)
    assert r["class"] == "ok" and r["writable"], r
    assert pair.west.one("select pg_is_in_recovery()") is False
    row = pair.west.query("select service, epoch, store, rev, plan, timeline from securebase.epoch")
    assert row == [("app", 7, 1, 100, "p-7", 2)]
    r = pair.run("promote", "probe")
    assert (r["class"], r["found"], r["writable"]) == ("ok", "1.100", True), r
    # a second time, and by a later holder of the same plan: nothing but a newer token
    assert pair.run("promote", "apply")["class"] == "already"
    assert pair.run("promote", "apply", token="1.101")["class"] == "already"
    # the holder stays in office over several plans: one token, and the newest epoch is looked at
    assert pair.run("promote", "verify", epoch=8, token="1.101")["class"] == "not_applied"
    assert pair.run("promote", "apply", epoch=8, token="1.101")["class"] == "already"
    assert pair.run("promote", "verify", epoch=8, token="1.101")["class"] == "ok"
    assert pair.west.one("select max(epoch) from securebase.epoch") == 8
    # whoever holds an older token is refused
    r = pair.run("promote", "apply")
    assert (r["class"], r["found"]) == ("conflict", "1.101"), r
    assert pair.run("promote", "probe")["class"] == "conflict"
    assert pair.run("promote", "verify", epoch=8, token="1.101")["class"] == "ok"
    assert pair.run("test", "apply", token="1.101")["writable"]
    assert pair.run("test", "probe", token="1.101")["class"] == "ok"
    assert pair.run("promote", "undo", token="1.101")["class"] == "denied"


def test_figures(pair):
    r = pair.run("gate", "probe")
    assert r["class"] == "ok" and r["have_lag"] and r["receiving"] and not r["writable"] and not r["synchronous"], r
    beats = pair.east.query("select service, region, seq from securebase.heartbeat")
    assert beats == [("app", "east", 1)]
    pair.east.caught_up(pair.west)
    time.sleep(2)
    r = pair.run("gate", "probe")
    assert (r["have_lag"], r["lag_ms"], r["lag_age_ms"]) == (True, 0, 0), r  # idle for 2 s, and behind by nothing


def test_replay_that_is_paused_loses_nothing(pair):
    """What was received counts: a promotion replays all of it first."""
    pair.run("gate", "probe")
    pair.east.caught_up(pair.west)
    pair.west.query("select pg_wal_replay_pause()")
    wait_for(lambda: pair.west.one("select pg_get_wal_replay_pause_state()") == "paused", why="the replay is paused")
    pair.east.query("insert into written (n) select generate_series(1, 1000)")
    end = pair.east.one("select pg_current_wal_flush_lsn()")
    wait_for(lambda: pair.west.one("select pg_last_wal_receive_lsn() >= %s::pg_lsn", (end,)), why="it is received")
    r = pair.run("gate", "probe")
    assert (r["have_lag"], r["lag_ms"]) == (True, 0) and "replay is paused" in r["seen"], r
    assert " 0 bytes to replay" not in r["seen"], r
    assert "paused" in pair.run("promote", "precheck")["text"]
    assert pair.run("catchup", "precheck")["class"] == "retry"
    r = pair.run("catchup", "apply", deadline_ms=1500)
    assert r["class"] == "progress" and "paused" in r["seen"], r
    pair.east.crash()
    assert pair.run("promote", "apply", deadline_ms=20000)["class"] == "ok"
    assert pair.west.one("select count(*) from written") == 1000


def test_a_standby_that_hears_nothing(pair):
    """Its primary goes on: the lag grows by the primary's clock, and with the primary gone the figure grows old instead."""
    pair.run("gate", "probe")
    pair.east.query("checkpoint")
    pair.east.caught_up(pair.west)
    pair.west.query("checkpoint")
    pair.west.query("alter system set primary_conninfo = ''")
    pair.west.query("select pg_reload_conf()")
    wait_for(lambda: not pair.west.query("select 1 from pg_stat_wal_receiver"), why="the walreceiver has ended")
    first = pair.run("gate", "probe")
    assert first["have_lag"] and not first["receiving"] and first["lag_age_ms"] == 0, json.dumps(first)
    began = time.monotonic()
    time.sleep(1.5)
    pair.east.query("insert into written (n) values (1)")
    second = pair.run("gate", "probe")
    assert second["lag_ms"] >= first["lag_ms"] + 1500, (first, second)
    assert second["lag_ms"] <= first["lag_ms"] + (time.monotonic() - began) * 1000 + 1000, (first, second)
    pair.east.crash()
    third = pair.run("gate", "probe")
    assert (third["have_lag"], third["lag_ms"], third["receiving"]) == (True, 0, False), third
    assert third["lag_age_ms"] >= second["lag_ms"], (second, third)
    # one that has just been started and hears nobody knows nothing: that is no lag of 0
    pair.write(schema="elsewhere")  # without the heartbeats
    pair.west.stop()
    pair.west.start()
    r = pair.run("gate", "probe")
    assert r["class"] == "not_applied" and not r["have_lag"], r


def test_synchronous(synchronous):
    pair = synchronous
    wait_for(lambda: pair.east.one("select sync_state from pg_stat_replication") == "sync", why="it is read")
    r = pair.run("gate", "probe")
    assert r["synchronous"] and r["primary_asked"] and r["lag_ms"] == 0, r
    pair.east.freeze()
    r = pair.run("gate", "probe", deadline_ms=8000)
    assert r["have_lag"] and not r["synchronous"] and not r["primary_asked"], r  # nobody can tell: what was told last holds
    pair.east.freeze(False)
    for names in ("first 1 (west, other)", "any 1 (west, other)", "*", "first 1 (*)"):
        pair.east.query(f"alter system set synchronous_standby_names = '{names}'")
        pair.east.query("select pg_reload_conf()")
        wait_for(lambda n=names: pair.east.one("show synchronous_standby_names") == n, why="it is read")
        assert not pair.run("gate", "probe")["synchronous"], names
    pair.east.query("alter system set synchronous_standby_names = 'any 1 (west)'")
    pair.east.query("select pg_reload_conf()")
    wait_for(lambda: pair.east.one("select sync_state from pg_stat_replication") == "quorum", why="it is read")
    assert pair.run("gate", "probe")["synchronous"]
    pair.east.query("alter role app_owner set synchronous_commit = off")
    assert not pair.run("gate", "probe")["synchronous"]
    pair.east.query("alter role app_owner reset synchronous_commit")
    pair.west.stop()
    r = pair.run("fence", "apply", deadline_ms=10000)  # the fence waits for no standby
    assert r["class"] == "ok", r


def test_fence_with_writers(pair):
    assert pair.run("fence", "precheck")["class"] == "ok"
    assert pair.run("fence", "probe")["class"] == "not_applied"
    writers = [postgres.Writer(pair.east) for _ in range(8)]
    wait_for(lambda: sum(len(w.acknowledged) for w in writers) > 200, why="they write")
    super_writer = pair.east.connect()  # a superuser's session, idle in a transaction
    with super_writer.cursor() as c:
        c.execute("begin")
    r = pair.run("fence", "apply", deadline_ms=10000)
    assert r["class"] == "denied" and "postgres" in r["text"], r  # which our role may not end: no proof
    super_writer.close()
    r = pair.run("fence", "apply", deadline_ms=10000)
    proven = time.monotonic()
    assert r["class"] in ("ok", "already"), r
    time.sleep(1)
    refused = sum(w.refused for w in writers)
    assert refused > 8
    late = [w for writer in writers for w in writer.end() if w[1] > proven]
    assert late == [], late
    assert pair.run("fence", "probe")["class"] == "ok"
    assert pair.run("fence", "apply")["class"] == "already"
    with pytest.raises(psycopg2.OperationalError):
        pair.east.connect()  # superusers neither
    # it holds over a restart
    pair.east.stop()
    r = pair.run("fence", "probe")
    assert r["class"] == "retry", r  # nobody answers: that is no proof
    pair.east.start()
    assert pair.run("fence", "probe")["class"] == "ok"
    # undo: not by whoever came before
    r = pair.run("fence", "undo", token="1.99")
    assert (r["class"], r["found"]) == ("conflict", "1.100"), r
    assert pair.run("fence", "undo")["class"] == "ok"
    assert pair.run("fence", "undo")["class"] == "already"
    assert pair.run("fence", "probe")["class"] == "not_applied"
    assert pair.east.one("select count(*) from written") >= 200


def test_planned_move(pair):
    """Fence, catch up, promote, test; nothing is lost, though the fence itself is replicated."""
    pair.east.query("comment on database app is 'the shop'")
    writers = [postgres.Writer(pair.east) for _ in range(4)]
    wait_for(lambda: sum(len(w.acknowledged) for w in writers) > 100, why="they write")
    assert pair.run("fence", "apply", planned="yes", deadline_ms=10000)["class"] == "ok"
    acknowledged = {n for w in writers for n, _ in w.end()}
    assert pair.run("catchup", "apply", planned="yes", deadline_ms=10000)["class"] == "ok"
    assert pair.run("catchup", "probe", planned="yes")["class"] == "ok"
    r = pair.run("gate", "probe")
    assert r["have_lag"] and r["lag_ms"] == 0, r  # through the maintenance database
    with pytest.raises(psycopg2.OperationalError):
        pair.west.connect()
    assert pair.run("promote", "probe")["class"] == "not_applied"
    assert pair.run("promote", "apply", planned="yes", deadline_ms=20000)["class"] == "ok"
    assert pair.run("promote", "probe")["class"] == "ok"
    assert pair.run("test", "apply")["class"] == "ok"
    assert {n for n, in pair.west.query("select n from written")} >= acknowledged
    comment = pair.west.one("select shobj_description(oid, 'pg_database') from pg_database where datname = 'app'")
    assert comment == "the shop [securebase epoch=7 token=1.100 plan=p-7 open]"
    # the old side is closed still, and what is left to do is said
    assert pair.run("fence", "probe")["class"] == "ok"
    r = pair.run("tidy", "apply")
    assert r["class"] == "denied" and "pg_rewind" in r["text"], r
    # back: somebody who slept through it may not close the new primary
    back = {"from": "west", "to": "east", "epoch": 6, "token": "1.50"}
    r = pair.run("fence", "apply", **back)
    assert (r["class"], r["found"]) == ("conflict", "1.100"), r
    assert pair.west.one("select 1") == 1
    pair.east.stop()
    pair.west.query("checkpoint")  # else pg_rewind reads the old timeline in its control file, and does nothing
    pair.east.run(f"{postgres.BIN}/pg_rewind", "-D", pair.east.data, "--source-server",
                  f"host=127.0.0.1 port={pair.west.port} user=postgres dbname=app", "--no-sync")
    pair.east.configure(port=pair.east.port, unix_socket_directories=pair.east.home)
    pair.east.point(pair.west)
    pair.east.start()
    for _ in range(40):
        r = pair.run("tidy", "probe")
        if r["class"] == "ok":
            break
        time.sleep(0.25)
    assert r["class"] == "ok", (r, pair.east.tail())
    assert pair.run("tidy", "apply")["class"] == "already"


def test_a_promotion_whose_answer_is_lost(pair):
    """The server does it, and we do not hear of it: unknown, and the probe tells; what is missing is made up for."""
    pair.east.stop()
    pair.west.query("select pg_wal_replay_pause()")
    r = pair.run("promote", "apply", deadline_ms=4000, epoch=9, token="1.200")
    assert r["class"] in ("ok", "progress", "unknown", "retry"), r  # retry: too little time was left to begin
    # somebody promotes by hand: ours to complete, since no higher token stands there
    wait_for(lambda: pair.west.one("select pg_is_in_recovery()") is False or pair.west.one("select pg_promote()"), why="it is open")
    pair.west.query("delete from securebase.epoch")
    pair.west.query("comment on database app is null")
    r = pair.run("promote", "probe", epoch=9, token="1.200")
    assert r["class"] == "not_applied" and "without the row" in r["text"], r
    assert pair.run("promote", "apply", epoch=9, token="1.200")["class"] == "already"
    assert pair.run("promote", "probe", epoch=9, token="1.200")["class"] == "ok"


def test_a_frozen_server(pair):
    """It takes connections by its kernel, and says nothing."""
    pair.west.freeze()
    began = time.monotonic()
    r = pair.run("promote", "apply", deadline_ms=3000)
    assert r["class"] == "retry", r  # nothing was sent but a greeting
    assert pair.run("promote", "probe", deadline_ms=3000)["class"] == "retry"
    assert time.monotonic() - began < 20
    pair.west.freeze(False)
    pair.east.freeze()
    r = pair.run("fence", "probe", deadline_ms=2000)
    assert r["class"] == "retry", r
    r = pair.run("promote", "probe", deadline_ms=15000)  # a dead primary does not cost us the standby's figures
    assert r["class"] == "not_applied" and r["have_lag"], r
    pair.east.freeze(False)


def test_commits_that_wait_for_the_lost_side(pair):
    """synchronous_standby_names as it was copied from the primary: the promotion is no proof of a write."""
    pair.west.configure(synchronous_standby_names="east")
    pair.west.query("select pg_reload_conf()")
    wait_for(lambda: pair.west.one("show synchronous_standby_names") == "east", why="it is read")
    assert "synchronous_standby_names" in pair.run("promote", "precheck")["text"]
    pair.east.stop()
    assert pair.run("promote", "apply", deadline_ms=20000)["class"] == "ok"
    r = pair.run("promote", "verify", deadline_ms=2500)
    assert r["class"] == "retry" and "synchronous_standby_names" in r["text"] and not r["writable"], r["text"]
    r = pair.run("test", "apply", deadline_ms=2500)
    assert r["class"] in ("unknown", "retry") and not r["writable"], r  # retry: behind the row of the one before
    # with leave to empty it
    for right in ("grant alter system on parameter synchronous_standby_names to securebase",
                  "grant execute on function pg_reload_conf() to securebase"):
        pair.west.query("set synchronous_commit = local; " + right)
    pair.write(clear_synchronous="yes")
    assert pair.run("promote", "apply", deadline_ms=5000)["class"] == "already"
    assert pair.run("promote", "verify", deadline_ms=5000)["class"] == "ok"


def test_rights(pair):
    pair.write(clear_synchronous="yes")  # asked for before the move, not found out behind the point of no return
    r = pair.run("promote", "precheck")
    assert r["class"] == "denied" and "clear_synchronous" in r["text"], r
    pair.write()
    pair.east.query("revoke app_owner from securebase", database="postgres")
    pair.east.query("revoke execute on function pg_promote(boolean, integer) from securebase")
    pair.east.caught_up(pair.west)
    r = pair.run("fence", "precheck")
    assert r["class"] == "denied" and "owner" in r["text"], r
    r = pair.run("promote", "precheck")
    assert r["class"] == "denied" and "pg_promote" in r["text"], r
    assert pair.run("fence", "apply")["class"] == "denied"
    assert pair.run("promote", "apply")["class"] == "denied"
    pair.west.query("select pg_wal_replay_resume()")
    with open(pair.secret, "w", encoding="utf-8") as f:
        f.write("wrong\n")
    r = pair.run("promote", "probe")
    assert r["class"] == "denied" and "password" in r["text"], r


def test_another_system(pair, tmp_path):
    other = postgres.Server("other").initialise().start()
    try:
        postgres.make_service(other)
        other.query(f"alter role securebase password '{postgres.PASSWORD}'", database="postgres")
        west, pair.west = pair.west, other
        pair.write()
        pair.west = west
        r = pair.run("gate", "probe")
        assert r["class"] == "conflict" and not r["have_lag"], r
        assert pair.run("promote", "precheck")["class"] == "conflict"
        assert pair.run("catchup", "apply")["class"] == "conflict"
    finally:
        other.discard()


def test_what_a_start_refuses(tmp_path):
    path = tmp_path / "x.ini"

    def said(hosts, more="", step="promote"):
        path.write_text(f"[action db]\ntype = postgresql\nservice = app\nstep = {step}\nhosts = {hosts}\n{more}")
        out = subprocess.run([os.path.join(BUILD, "tests", "action_tool"), str(path), "check"], capture_output=True, text=True,
                             check=False)
        assert out.returncode in (0, 78), out.stderr
        return out.stderr
    good = "east=postgresql://fo@10.0.0.1/app west=postgresql://fo@10.0.0.2:5433/app"
    assert said(good) == ""
    assert "database_password" in said("east=postgresql://fo:secret@10.0.0.1/app")
    assert "secret" not in said("east=postgresql://fo:secret@10.0.0.1/app").replace("database_password", "")
    assert "one host" in said("east=postgresql://fo@/app?host=10.0.0.1%2C10.0.0.9")
    assert "database" in said("east=postgresql://fo@10.0.0.1/")
    assert "same database" in said("east=postgresql://fo@10.0.0.1/app west=postgresql://fo@10.0.0.2/other")
    assert "REGION=VALUE" in said("postgresql://fo@10.0.0.1/app")
    assert "another database" in said(good, "maintenance_database = app\n")
    assert "plain name" in said(good, "schema = a.b\n")
    assert "switch" in said(good, step="switch")


def test_data_is_compared(pair):
    pair.east.query("create table orders (id bigserial primary key, what text not null)")
    pair.east.query("insert into orders (what) select md5(i::text) from generate_series(1, 20000) i")
    pair.east.query("create table words (w text primary key)")
    pair.write(tables="public.orders")
    r = pair.run("validate", "precheck")
    assert r["class"] == "denied" and "may not read" in r["text"], r
    pair.east.query("grant select on orders, orders_id_seq, words to securebase")
    pair.east.caught_up(pair.west)
    assert pair.run("validate", "precheck")["class"] == "ok"
    rows = pair.east.query("select of, chunk, low, high, n, at from securebase.sample order by chunk")
    assert [r[:5] for r in rows] == [("public.orders", i, 1 + 2500 * i, 500 + 2500 * i, 500) for i in range(8)]
    assert pair.run("validate", "precheck")["class"] == "ok"
    assert rows == pair.east.query("select of, chunk, low, high, n, at from securebase.sample order by chunk")  # young enough
    pair.run("gate", "probe")
    pair.east.query("insert into orders (what) values ('later')")
    pair.east.caught_up(pair.west)
    pair.east.crash()
    assert pair.run("promote", "apply", deadline_ms=20000)["class"] == "ok"
    r = pair.run("validate", "apply")
    assert r["class"] == "ok" and "8 runs" in r["text"] and "ms before it was opened" in r["seen"], r
    assert pair.run("validate", "probe")["class"] == "ok"
    pair.west.query("select setval('orders_id_seq', 19000)")
    r = pair.run("validate", "probe")
    assert r["class"] == "conflict" and "sequence" in r["text"], r
    pair.west.query("select setval('orders_id_seq', 30000)")
    pair.west.query("update orders set what = 'x' where id = 2700")
    pair.west.query("delete from orders where id = 17600")
    r = pair.run("validate", "probe")
    assert r["class"] == "conflict" and "2 of 8" in r["text"] and "public.orders" in r["text"], r
    pair.write(tables="public.words")
    assert "primary key" in pair.run("validate", "probe")["text"]


def test_what_only_the_old_side_has(pair):
    """An asynchronous standby that was cut off: the old primary comes back with writes beyond the fork, and they are seen."""
    pair.west.query("alter system set primary_conninfo = ''")
    pair.west.query("select pg_reload_conf()")
    wait_for(lambda: not pair.west.query("select 1 from pg_stat_wal_receiver"), why="the walreceiver has ended")
    pair.east.query("insert into written (n) select generate_series(1, 1000)")
    assert pair.run("promote", "apply", deadline_ms=20000)["class"] == "ok"
    assert pair.west.one("select count(*) from written") == 0
    fork = pair.west.one("select lsn from securebase.epoch")
    lost = pair.east.one("select (pg_current_wal_flush_lsn() - %s::pg_lsn)::bigint", (fork,))
    r = pair.run("tidy", "probe")
    assert r["class"] == "not_applied" and f"{lost} bytes of log beyond the fork" in r["seen"] and lost > 50_000, (r, lost)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("trigger", [b"pg_promote(true", b"securebase.epoch as e"])
def test_answers_that_are_dropped(pair, trigger, cut):
    """Behind a proxy that lets the order through and its answer not: unknown; and what is true settles it."""
    proxy = postgres.Proxy(pair.west, trigger, cut)
    direct = pair.west.uri
    pair.west.uri = proxy.uri
    pair.write()
    pair.east.stop()
    r = pair.run("promote", "apply", deadline_ms=8000)
    assert r["class"] == "unknown", r
    proxy.close()
    pair.west.uri = direct
    pair.write()
    wait_for(lambda: pair.west.one("select pg_is_in_recovery()") is False, why="it was promoted all the same")
    r = pair.run("promote", "probe")
    assert r["class"] in ("ok", "not_applied"), r
    if r["class"] == "not_applied":
        assert "without the row" in r["text"] and trigger.startswith(b"pg_promote"), r
    assert pair.run("promote", "apply")["class"] == "already"
    assert pair.run("promote", "probe")["class"] == "ok"
    assert pair.west.query("select epoch, rev from securebase.epoch") == [(7, 100)]


def test_a_fence_whose_answer_is_dropped(pair):
    proxy = postgres.Proxy(pair.east, b"allow_connections false")
    direct = pair.east.uri
    pair.east.uri = proxy.uri
    pair.write()
    r = pair.run("fence", "apply", deadline_ms=4000)
    assert r["class"] == "unknown", r
    proxy.close()
    pair.east.uri = direct
    pair.write()
    # the transaction was not committed when the answer was lost: whichever it is, the probe knows
    assert pair.run("fence", "probe")["class"] == "not_applied"
    assert pair.run("fence", "apply", deadline_ms=10000)["class"] == "ok"


def test_tls(pair, ca):
    """With `ca` the certificate and the name in it are checked."""
    pair.west.stop()
    for name in ("server.pem", "server.key"):
        path = os.path.join(pair.west.data, name)
        with open(f"{ca}/{name}", "rb") as f, open(path, "wb") as out:
            out.write(f.read())
        os.chmod(path, 0o600)
        st = os.stat(pair.west.data)
        os.chown(path, st.st_uid, st.st_gid)
    pair.west.configure(ssl="on", ssl_cert_file="server.pem", ssl_key_file="server.key")
    pair.west.start()
    pair.write(ca=f"{ca}/ca.pem")
    assert pair.run("test", "precheck")["class"] == "ok"
    r = pair.run("fence", "precheck")  # the east has none: no connection without it
    assert r["class"] == "denied" and "SSL" in r["text"], r
    other = os.path.join(pair.folder, "other.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=other", "-keyout", os.devnull, "-out", other], check=True, capture_output=True)
    pair.write(ca=other)
    r = pair.run("test", "precheck")
    assert r["class"] == "denied" and "certificate verify failed" in r["text"], r
