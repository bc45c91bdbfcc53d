"""The driver dns-update against real name servers: Knot, BIND and PowerDNS."""
import os
import random
import shutil
import signal
import struct

import pytest

import support
from actions import Actions
from name_servers import OTHER_SECRET, SECRET, Bind, Knot, PowerDns, Proxy

SERVERS = {"knot": (Knot, "knotd"), "bind": (Bind, "named"), "pdns": (PowerDns, "pdns_server")}


@pytest.fixture(params=sorted(SERVERS))
def server(request, tmp_path, started):
    made, program = SERVERS[request.param]
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    return made(tmp_path / request.param, started).start()


@pytest.fixture
def knot(tmp_path, started):
    if not shutil.which("knotd"):
        pytest.skip("knotd is not installed")
    return Knot(tmp_path / "knot", started).start()


@pytest.fixture
def actions(tmp_path):
    return Actions(tmp_path)


def add(actions, server, title="dns", host="app", secret=SECRET, **options):
    values = {"type": "dns-update", "step": "switch", "name_servers": server.address, "zone": "example.test",
              "name": f"{host}.example.test", "values": "east=192.0.2.1 west=198.51.100.1", "tsig_name": "mover",
              "tsig_secret": actions.secret(title + ".key", secret)}
    return actions.add(title, **dict(values, **options))


def test_a_move_and_back(server, actions):
    add(actions, server)
    before = server.serial()
    r = actions.run("dns", "precheck")
    assert r["class"] == "ok", r
    assert r["seen"] == "A 192.0.2.1 ttl 30"
    assert server.serial() == before and server.mark("app") is None, "a precheck changes nothing"
    assert actions.run("dns", "probe")["class"] == "not_applied"
    assert actions.run("dns", "verify")["class"] == "not_applied"
    r = actions.run("dns", "apply")
    assert r["class"] == "ok", r
    assert server.values("app") == ["198.51.100.1"]
    assert server.mark("app") == "epoch=7 token=1.100 plan=p-7"
    assert server.ask("app", "A") and server.serial() > before
    r = actions.run("dns", "probe")
    assert (r["class"], r["seen"], r["found"]) == ("ok", "A 198.51.100.1 ttl 30 epoch=7 token=1.100", "1.100")
    assert actions.run("dns", "verify")["class"] == "ok"
    serial = server.serial()
    assert actions.run("dns", "apply")["class"] == "already"
    assert server.serial() == serial, "what is so already is not written again"
    r = actions.run("dns", "undo")
    assert r["class"] == "ok", r
    assert server.values("app") == ["192.0.2.1"]
    assert actions.run("dns", "undo")["class"] == "already"
    assert actions.run("dns", "probe")["class"] == "not_applied"


def test_older_writers_are_refused(server, actions):
    add(actions, server)
    assert actions.run("dns", "apply", epoch=8, token="2.5", plan="p-8")["class"] == "ok"
    serial = server.serial()
    for order in ({"epoch": 8, "token": "2.4"}, {"epoch": 8, "token": "1.900"}, {"epoch": 7, "token": "2.5"}):
        for op in ("apply", "undo"):
            r = actions.run("dns", op, **order)
            assert r["class"] == "conflict", (op, order, r)
            assert r["found"] == "2.5"
        assert actions.run("dns", "precheck", **order)["class"] == "conflict"
        assert actions.run("dns", "probe", **order)["class"] == "conflict"
    assert server.serial() == serial
    assert actions.run("dns", "apply", epoch=9, token="2.5", plan="p-9", to="east", **{"from": "west"})["class"] == "ok"
    assert server.values("app") == ["192.0.2.1"]
    # the same epoch goes on under a later holder: what is there holds, and is marked anew
    assert actions.run("dns", "probe", epoch=9, token="2.6", plan="p-9", to="east")["class"] == "ok"
    assert actions.run("dns", "apply", epoch=9, token="2.6", plan="p-9", to="east")["class"] == "ok"
    assert server.mark("app") == "epoch=9 token=2.6 plan=p-9"


def test_other_types(server, actions):
    add(actions, server, "six", "six", record="AAAA", values="east=2001:db8::1 west=2001:db8::2 west=2001:db8::3")
    add(actions, server, "alias", "alias", record="CNAME", values="east=EAST.example.net west=west.example.net")
    add(actions, server, "new", "new")
    for name in ("six", "alias"):
        assert actions.run(name, "precheck")["class"] == "ok"
        assert actions.run(name, "apply")["class"] == "ok"
        assert actions.run(name, "verify")["class"] == "ok"
    assert server.values("six", "AAAA") == ["2001:db8::2", "2001:db8::3"]
    assert server.values("alias", "CNAME") == ["west.example.net."]
    assert actions.run("six", "undo")["class"] == "ok"
    assert actions.run("alias", "undo")["class"] == "ok"
    assert server.values("six", "AAAA") == ["2001:db8::1"]
    assert [v.lower() for v in server.values("alias", "CNAME")] == ["east.example.net."]
    r = actions.run("new", "precheck")
    assert r["class"] == "denied" and "no such record" in r["text"], r
    assert actions.run("new", "apply")["class"] == "ok", "what was not there is made under the condition that it is not"
    assert server.values("new") == ["198.51.100.1"]


def test_blockers(server, actions):
    add(actions, server, "slow", "slow")
    add(actions, server, "foreign", "foreign")
    add(actions, server, "other", "other")
    add(actions, server, "clash", "alias")
    add(actions, server, "nowhere")
    r = actions.run("slow", "precheck")
    assert r["class"] == "denied" and "3600 s" in r["text"] and "60 s" in r["text"], r
    assert actions.run("foreign", "precheck")["class"] == "conflict"
    for op in ("precheck", "apply"):
        assert "somebody else" in actions.run("other", op)["text"]
        assert "CNAME" in actions.run("clash", op)["text"]
    serial = server.serial()
    for op in ("precheck", "apply", "probe", "verify"):
        r = actions.run("nowhere", op, to="north")
        assert r["class"] == "denied" and "empty record" in r["text"], r
    assert actions.run("nowhere", "undo", **{"from": "north"})["class"] == "denied"
    assert server.serial() == serial


def test_rights(server, actions):
    add(actions, server, "secret", secret=OTHER_SECRET)
    add(actions, server, "key", tsig_name="nobody")
    add(actions, server, "algorithm", tsig_algorithm="hmac-sha512")
    add(actions, server, "zone", zone="example.org", name="app.example.org")
    actions.write()
    for name in ("secret", "key", "algorithm", "zone"):
        for op in ("precheck", "apply"):
            r = actions.run(name, op)
            assert r["class"] == "denied", (name, op, r)
            assert SECRET not in str(r) and OTHER_SECRET not in str(r)
    if server.kind != "pdns":  # its keys are for zones, not for names
        add(actions, server, "name", "locked")
        r = actions.run("name", "precheck")
        assert r["class"] == "denied", "rights on the very name are found out before they are needed"
        assert actions.run("name", "apply")["class"] == "denied"
        assert server.values("locked") == ["192.0.2.1"]


def test_a_server_that_is_down(server, actions):
    add(actions, server)
    server.process.stop()
    for op in ("precheck", "probe", "apply", "verify", "undo"):
        assert actions.run("dns", op, deadline_ms=3000)["class"] == "retry", op


def test_a_server_that_hangs(server, actions):
    add(actions, server)
    server.process.freeze()
    for op in ("apply", "probe", "verify"):  # the question before the update had no answer: nothing was sent that changes
        r = actions.run("dns", op, deadline_ms=1500)
        assert r["class"] == "retry", (op, r)
    server.process.signal(signal.SIGCONT)
    support.wait_for(server.up)
    assert actions.run("dns", "apply")["class"] == "ok"


def is_update_answer(data):
    """The flags behind length and id: an answer of opcode 5."""
    return len(data) >= 6 and struct.unpack("!H", data[4:6])[0] >> 11 & 15 == 5


def test_a_lost_answer(server, actions):
    add(actions, server)
    proxy = Proxy(server.port)
    actions.sections["dns"]["name_servers"] = proxy.address
    proxy.lose = is_update_answer
    r = actions.run("dns", "apply")
    assert r["class"] == "unknown", r
    proxy.lose = False
    support.wait_for(lambda: server.values("app") == ["198.51.100.1"])
    assert actions.run("dns", "probe")["class"] == "ok"
    assert actions.run("dns", "apply")["class"] == "already", "a repetition is harmless"
    proxy.lose = is_update_answer
    assert actions.run("dns", "undo")["class"] == "unknown"
    proxy.lose = False
    support.wait_for(lambda: server.values("app") == ["192.0.2.1"])
    assert actions.run("dns", "probe")["class"] == "not_applied"


def test_stopped_between_question_and_update(knot, actions):
    """The server hangs as soon as it has answered the questions: the update is on its way, its outcome unknown."""
    add(actions, knot)
    proxy = Proxy(knot.port)
    actions.sections["dns"]["name_servers"] = proxy.address
    answers = []

    def stop_after_two(data):
        answers.append(data)
        if len(answers) == 2:
            knot.process.signal(signal.SIGSTOP)
        return False

    proxy.lose = stop_after_two
    r = actions.run("dns", "apply", deadline_ms=2000)
    assert r["class"] == "unknown", r
    knot.process.signal(signal.SIGCONT)
    proxy.lose = False
    support.wait_for(knot.up)
    # it may have taken what still lay in its socket, or not: the probe settles it, and the next apply is right in both cases
    seen = actions.run("dns", "probe")["class"]
    assert seen in ("ok", "not_applied")
    assert actions.run("dns", "apply")["class"] in ("ok", "already")
    assert knot.values("app") == ["198.51.100.1"]


def test_many_writers(server, actions):
    """Writers of many plans at once, each with a token of its own: none that is older writes over a newer one, and in the end
    the newest that was taken stands, whole."""
    rng = random.Random(4711)
    add(actions, server, values="east=192.0.2.1 west=198.51.100.1 north=203.0.113.1 south=203.0.113.2")
    tokens = list(range(1, 25))
    rng.shuffle(tokens)
    regions = ["east", "west", "north", "south"]
    children = [(t, actions.begin("dns", "apply", epoch=t, token=f"1.{t}", plan=f"p-{t}", to=regions[t % 4], deadline_ms=30000))
                for t in tokens]
    results = {t: actions.end(c) for t, c in children}
    assert {r["class"] for r in results.values()} <= {"ok", "conflict", "retry"}, results
    taken = [t for t, r in results.items() if r["class"] == "ok"]
    newest = max(taken)
    assert server.mark("app") == f"epoch={newest} token=1.{newest} plan=p-{newest}"
    values = {"east": "192.0.2.1", "west": "198.51.100.1", "north": "203.0.113.1", "south": "203.0.113.2"}
    assert server.values("app") == [values[regions[newest % 4]]]
    for t, r in results.items():
        if r["class"] == "conflict":
            assert int(r["found"].split(".")[1]) > t
    # a later attempt of each older one is refused, the newest is there already
    again = {t: actions.run("dns", "apply", epoch=t, token=f"1.{t}", plan=f"p-{t}", to=regions[t % 4]) for t in (1, newest)}
    assert again[newest]["class"] == "already"
    assert newest == 1 or again[1]["class"] == "conflict"


def test_all_servers_have_to_agree(tmp_path, started, actions):
    if not shutil.which("knotd") or not shutil.which("named"):
        pytest.skip("two name servers are not installed")
    first, second = Knot(tmp_path / "k", started).start(), Bind(tmp_path / "b", started).start()
    dead = support.free_port()
    add(actions, first, name_servers=f"{first.address} {second.address} 127.0.0.1:{dead}")
    add(actions, second, "second")
    assert actions.run("dns", "apply")["class"] == "ok"
    r = actions.run("dns", "verify")
    assert r["class"] == "progress" and second.address in r["text"], r
    assert actions.run("dns", "probe")["class"] == "ok"
    assert actions.run("second", "apply")["class"] == "ok"
    r = actions.run("dns", "verify")
    assert r["class"] == "ok" and str(dead) in r["text"] and "2 of 3" in r["text"], r
    # the one for updates is gone: another proves that the change was made, but not that it was not
    first.process.stop()
    assert actions.run("dns", "probe")["class"] == "ok"
    assert actions.run("dns", "probe", to="east", epoch=8, token="1.101")["class"] == "retry"
    assert actions.run("dns", "verify")["class"] == "ok"


def test_udp(server, actions):
    add(actions, server, transport="udp")
    assert actions.run("dns", "precheck")["class"] == "ok"
    assert actions.run("dns", "apply")["class"] == "ok"
    assert actions.run("dns", "verify")["class"] == "ok"
    server.process.freeze()
    assert actions.run("dns", "undo", deadline_ms=1000)["class"] == "retry"
    server.process.signal(signal.SIGCONT)


def test_configuration(tmp_path, actions):
    class Nowhere:
        address = "127.0.0.1:53"

    for options, said in [
            ({"values": "east=192.0.2.1 west=here"}, 'values: found "west=here", expected REGION= and an address'),
            ({"values": "192.0.2.1"}, "expected REGION=VALUE"),
            ({"name_servers": "ns1.example.test"}, "expected an address, not a name"),
            ({"name": "app.example.org"}, "expected a name within the zone"),
            ({"name": "example.test", "record": "CNAME", "values": "east=a.example.net"}, "cannot be an alias"),
            ({"record": "CNAME", "values": "east=a.example.net east=b.example.net"}, "one name"),
            ({"token_name": "app.example.test"}, "expected another name"),
            ({"ttl": "5m"}, "ttl: expected at most `ttl_most`"),
            ({"tsig_secret": None}, "tsig_secret"),
            ({"tsig_name": None}, "needs `tsig_name`"),
            ({"values": None}, "needs `values`"),
            ({"step": "promote"}, "cannot serve the step promote")]:
        add(actions, Nowhere, "dns", "app", **options)
        assert said in actions.check(), (options, actions.check())
    add(actions, Nowhere, "dns", "app", secret="not base64!")
    assert actions.check() == ""
    child = actions.begin("dns", "probe")
    assert "it is not base64" in child.communicate(timeout=60)[1] and child.returncode == 1
    assert os.path.exists(actions.file)


# ---- the API of PowerDNS ----

@pytest.fixture
def pdns(tmp_path, started):
    if not shutil.which("pdns_server"):
        pytest.skip("pdns_server is not installed")
    server = PowerDns(tmp_path / "pdns", started).start()

    def api():
        return support.get(f"http://127.0.0.1:{server.api}/api/v1/servers", {"X-API-Key": server.api_key})[0] == 200

    support.wait_for(api)
    return server


def add_api(actions, server, title="api", host="app", key=None, port=None, **options):
    values = {"type": "powerdns", "step": "switch", "url": f"http://127.0.0.1:{port or server.api}", "zone": "example.test",
              "name": f"{host}.example.test", "values": "east=192.0.2.1 west=198.51.100.1",
              "api_key": actions.secret(title + ".key", key or server.api_key)}
    return actions.add(title, **dict(values, **options))


def test_api(pdns, actions):
    add_api(actions, pdns, agree=pdns.address)
    add_api(actions, pdns, "six", "six", record="AAAA", values="east=2001:DB8::1 west=2001:db8::2 west=2001:db8::3")
    add_api(actions, pdns, "alias", "alias", record="CNAME", values="east=east.example.net west=west.example.net")
    before = pdns.serial()
    r = actions.run("api", "precheck")
    assert (r["class"], r["seen"]) == ("ok", "A 192.0.2.1 ttl 30"), r
    assert pdns.serial() == before and pdns.mark("app") is None
    assert actions.run("api", "probe")["class"] == "not_applied"
    assert actions.run("api", "apply")["class"] == "ok"
    assert pdns.values("app") == ["198.51.100.1"]
    assert pdns.mark("app") == "epoch=7 token=1.100 plan=p-7"
    for op in ("probe", "verify"):
        assert actions.run("api", op)["class"] == "ok"
    serial = pdns.serial()
    assert actions.run("api", "apply")["class"] == "already"
    for order in ({"epoch": 6}, {"token": "1.99"}, {"token": "0.500"}):
        for op in ("precheck", "probe", "apply", "undo"):
            r = actions.run("api", op, **order)
            assert (r["class"], r["found"]) == ("conflict", "1.100"), r
    assert pdns.serial() == serial
    assert actions.run("api", "undo")["class"] == "ok"
    assert pdns.values("app") == ["192.0.2.1"]
    for name, kind, there in (("six", "AAAA", ["2001:db8::2", "2001:db8::3"]), ("alias", "CNAME", ["west.example.net."])):
        assert actions.run(name, "precheck")["class"] == "ok"
        assert actions.run(name, "apply")["class"] == "ok"
        assert pdns.values(name, kind) == there
        assert actions.run(name, "verify")["class"] == "ok"


def test_api_and_updates_know_each_other(pdns, actions):
    """One token for both ways to the same record."""
    add_api(actions, pdns)
    add(actions, pdns)
    assert actions.run("dns", "apply", epoch=9, token="2.1", plan="p-9")["class"] == "ok"
    assert actions.run("api", "apply")["class"] == "conflict"
    assert actions.run("api", "apply", epoch=9, token="2.1", plan="p-9")["class"] == "already"
    assert actions.run("api", "apply", epoch=10, token="2.2", plan="p-10", to="east")["class"] == "ok"
    assert actions.run("dns", "apply", epoch=9, token="2.1", plan="p-9")["class"] == "conflict"


def test_api_blockers_and_rights(pdns, actions):
    add_api(actions, pdns, "slow", "slow")
    add_api(actions, pdns, "other", "other")
    add_api(actions, pdns, "clash", "alias")
    add_api(actions, pdns, "key", key="not the key of this server")
    add_api(actions, pdns, "zone", zone="example.org", name="app.example.org")
    add_api(actions, pdns, "server", api_server="elsewhere")
    add_api(actions, pdns, "nowhere")
    assert "3600 s" in actions.run("slow", "precheck")["text"]
    assert "somebody else" in actions.run("other", "apply")["text"]
    assert "CNAME" in actions.run("clash", "apply")["text"]
    for name in ("slow", "other", "clash", "key", "zone", "server"):
        r = actions.run(name, "precheck")
        assert r["class"] == "denied" and "not the key" not in str(r), (name, r)
    assert actions.run("key", "apply")["class"] == "denied"
    assert "empty record" in actions.run("nowhere", "apply", to="north")["text"]
    assert pdns.values("app") == ["192.0.2.1"]


def test_api_gone_or_silent(pdns, actions):
    proxy = Proxy(pdns.api)
    add_api(actions, pdns, port=proxy.port)
    seen = []

    def lose_third(data):  # of the change: two questions come before it
        seen.append(data)
        return len(seen) == 3

    proxy.lose = lose_third
    r = actions.run("api", "apply")
    assert r["class"] == "unknown", r
    proxy.lose = False
    support.wait_for(lambda: pdns.values("app") == ["198.51.100.1"])
    assert actions.run("api", "probe")["class"] == "ok"
    assert actions.run("api", "apply")["class"] == "already"
    pdns.process.freeze()
    for op in ("precheck", "probe", "undo", "verify"):
        assert actions.run("api", op, deadline_ms=1500)["class"] == "retry", op
    pdns.process.signal(signal.SIGCONT)
    support.wait_for(pdns.up)
    pdns.process.stop()
    add_api(actions, pdns)
    assert actions.run("api", "undo", deadline_ms=3000)["class"] == "retry"


def test_api_many_writers(pdns, actions):
    """Without compare and swap on the server, what is promised is less: whoever says ok has seen his own mark stand, and a
    later attempt of an older one finds the newer."""
    add_api(actions, pdns, values="east=192.0.2.1 west=198.51.100.1 north=203.0.113.1")
    regions = ["east", "west", "north"]
    children = [(t, actions.begin("api", "apply", epoch=t, token=f"1.{t}", plan=f"p-{t}", to=regions[t % 3], deadline_ms=30000))
                for t in random.Random(5).sample(range(1, 13), 12)]
    results = {t: actions.end(c) for t, c in children}
    assert {r["class"] for r in results.values()} <= {"ok", "conflict", "retry"}, results
    assert actions.run("api", "apply", epoch=13, token="1.13", plan="p-13", to="west")["class"] == "ok"
    assert {actions.run("api", "apply", epoch=t, token=f"1.{t}", plan=f"p-{t}")["class"] for t in (1, 7, 12)} == {"conflict"}
    assert pdns.values("app") == ["198.51.100.1"]


def test_answers_that_were_changed_on_the_way(knot, actions):
    """Whatever single bit of an answer is another, before the record that signs it or in the signature: nothing is believed."""
    rng = random.Random(1977)
    add(actions, knot)
    proxy = Proxy(knot.port)
    actions.sections["dns"]["name_servers"] = proxy.address
    turn = {"update": False}

    def mangle(data):
        signature = data.rfind(b"\x05mover")
        if len(data) < 14 or signature < 0 or is_update_answer(data) != turn["update"]:
            return data
        at = rng.choice([rng.randrange(2, signature), signature + 40 + rng.randrange(20)])
        turn["done"] = True
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]

    proxy.change = mangle
    for i in range(80):
        turn.update(update=i % 2 == 1, done=False)
        before = knot.mark("app")
        r = actions.run("dns", "apply", epoch=i + 1, plan=f"p-{i}", token=f"1.{i + 1}", to="west" if i % 2 else "east",
                        deadline_ms=1500)
        assert turn["done"]
        if turn["update"]:  # it was taken; that the answer says so is not believed, and no other answer either
            assert r["class"] in ("unknown", "denied"), (i, r)
        else:  # nothing was sent on what was read so
            assert r["class"] in ("retry", "denied"), (i, r)
            assert knot.mark("app") == before
    proxy.change = None
    assert actions.run("dns", "apply", epoch=100, token="1.100", plan="p-100")["class"] == "ok"
    assert knot.mark("app") == "epoch=100 token=1.100 plan=p-100"
