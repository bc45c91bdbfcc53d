"""Who is let in where batches come in: tokens, tenants, revoked and expired certificates, names in certificates, and the
exchange of files by HUP while agents are connected."""
import hashlib
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

import securebase_wire as w
import support
from support import get, wait_for
from wire_client import FLAT, NUMBER, SCHEMA, Client, Subject, now

NOT_LET_IN = (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)


def token_section(name, token, **more):
    return (f"token {name}", {"hash": hashlib.sha256(token.encode()).hexdigest(), **more})


def reload(process, text="configuration reloaded"):
    """HUP, and waits for what is said of it."""
    before = process.output().count(text)
    process.signal(signal.SIGHUP)
    wait_for(lambda: process.output().count(text) > before, why=f"{process.name}: {text}")


class Bearer(Subject):
    """An agent that shows a token; `authorization` replaces the whole header, None leaves it out."""

    def __init__(self, server, token, agent, **more):  # pylint: disable=super-init-not-called
        Client.__init__(self, server, None, agent)
        self.authorization = f"Bearer {token}"
        self.resource = w.resource_bytes(host=agent, region="us-east-1", env="test", **more)
        self.epoch, self.seq = now(), 1

    def post(self, path, body, content_type, *more):
        shown = [("Authorization", self.authorization)] if self.authorization is not None else []
        return super().post(path, body, content_type, *shown, *more)

    def introduce(self):
        answer = self.definitions(self.resource, SCHEMA, FLAT)
        assert answer.status == 200, answer
        return self


# ---- tokens --------------------------------------------------------------------------------------------------------------

def test_tokens_stand_for_an_agent_or_for_the_role_relay(aggregator):
    secret = {n: f"{n} of {time.time_ns()}" for n in ("one", "two", "relay")}
    g = aggregator(ingest={"auth": "token", "ca": None}, sections=[
        token_section("first", secret["one"], agent="one"), token_section("second", secret["two"], agent="two"),
        token_section("road", secret["relay"], role="relay")])
    one, two = Bearer(g, secret["one"], "one").introduce(), Bearer(g, secret["two"], "two").introduce()
    good = one.authorization
    digest = hashlib.sha256(secret["one"].encode()).hexdigest()
    for shown in (None, "", "Bearer", "Bearer ", "Bearer wrong", good + "x", good[:-1], f"Bearer {digest}",
                  f"Basic {secret['one']}", secret["one"]):
        one.authorization = shown
        for answer in one.batch(one.body()), one.definitions(FLAT):
            assert (answer.status, answer.reason) == (401, "unauthorized"), (shown, answer)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    one.authorization = two.authorization
    answer = one.batch(one.body())
    assert (answer.status, answer.reason) == (403, "identity"), answer
    assert not g.agents()
    one.authorization = good.replace("Bearer", "bEARER")  # RFC 9110, 11.1: the scheme's case does not count
    one.good()
    two.good()
    one.authorization = f"Bearer {secret['relay']}"
    one.good()
    two.authorization = one.authorization
    two.good()
    assert one.visible(2) and two.visible(2)
    assert set(g.agents()) == {"one", "two"}
    for c in one, two:
        c.close()


def test_a_certificate_is_no_token(aggregator, ca):
    g = aggregator(ingest={"auth": "token"}, sections=[token_section("first", "secret", agent="web-1")])
    c = Client(g, "agent-web-1")
    assert c.definitions(FLAT).status == 401
    c.close()


def test_the_tenant_is_that_of_the_token(aggregator):
    """It is a label of all that came with the token, and no payload can say otherwise."""
    g = aggregator(ingest={"auth": "token", "ca": None}, sections=[
        token_section("a", "secret a", agent="a", tenant="acme"), token_section("b", "secret b", agent="b"),
        token_section("road", "secret road", role="relay", tenant="rover")])
    a = Bearer(g, "secret a", "a").introduce()
    for forged in (w.resource_bytes(host="a", tenant="other"), w.schema_bytes(w.series("flat", labels={"tenant": "other"})),
                   w.schema_bytes(w.series("flat", labels={"instance": "b"}))):
        answer = a.definitions(forged)
        assert answer.status == 400, answer
    a.good()
    b = Bearer(g, "secret b", "b").introduce()
    b.good()
    a.visible(1)
    b.visible(1)
    agents = g.agents()
    assert agents["a"]["tenant"] == "acme" and "tenant" not in agents["b"]
    assert a.host_lines() and all('tenant="acme"' in k for k in a.host_lines())
    assert b.host_lines() and not any("tenant=" in k for k in b.host_lines())
    assert g.metrics()['securebase_agent_up{instance="a",region="us-east-1",tenant="acme"}'] == 1
    c = Bearer(g, "secret road", "c").introduce()
    c.good()
    c.visible(1)
    assert c.host_lines() and all('tenant="rover"' in k for k in c.host_lines())
    for x in a, b, c:
        x.close()


def same_batches(g, agent):
    """Every batch that the agent made has come, once."""
    agent.stop()
    made = [line for line in g.agents().values() if line["id"] == agent.id][0]
    page = g.metrics()
    assert page["securebase_aggregator_batches_missing"] == 0
    assert page['securebase_aggregator_missing_batches_total{reason="closed"}'] == 0
    assert page['securebase_aggregator_missing_batches_total{reason="lost"}'] == 0
    assert made["batches"] == made["seq"], made


def secret_file(path, text):
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def test_an_agent_ships_with_a_token_and_both_ends_change_it(aggregator, agent, tmp_path):
    g = aggregator(ingest={"auth": "token", "ca": None}, sections=[token_section("web", "first secret", agent="web-1")])
    file = secret_file(tmp_path / "token", "first secret")
    a = agent([g.endpoint], ship={"batch": "1s", "cert": None, "key": None, "token": f"file:{file}"})
    wait_for(lambda: g.agents().get("web-1"), why="a first batch")
    # the server first: the old token stands for nobody now, and the agent keeps what it makes
    g.sections[-1] = token_section("web", "second secret", agent="web-1")
    g.write()
    reload(g)
    wait_for(lambda: a.totals()["spooled"]["batches"] >= 3, why="batches kept")
    assert a.totals()["trouble"], a.totals()
    assert not a.totals()["dropped"]["batches"]
    secret_file(tmp_path / "token", "second secret")
    reload(a)
    wait_for(lambda: a.totals()["spooled"]["batches"] <= 1, 60, why="the spool to empty")
    # the agent first, to a token that is taken beside the old one
    g.sections.append(token_section("next", "third secret", agent="web-1"))
    g.write()
    reload(g)
    secret_file(tmp_path / "token", "third secret")
    reload(a)
    del g.sections[-2]
    g.write()
    reload(g)
    seq = g.agents()["web-1"]["seq"]
    wait_for(lambda: g.agents()["web-1"]["seq"] >= seq + 3, why="batches under the third token")
    for secret in "first secret", "second secret":
        b = Bearer(g, secret, "web-1")
        assert b.definitions(FLAT).status == 401
        b.close()
    for log in a.output(), g.output():
        assert not any(f"{n} secret" in log for n in ("first", "second", "third"))
    same_batches(g, a)


# ---- certificates --------------------------------------------------------------------------------------------------------

class Authority:
    """An authority of the test's own, of which certificates can be revoked, expire, or bear a common name alone."""

    def __init__(self, folder, *names):
        self.dir = support.authority(str(folder), "server:localhost,127.0.0.1", *names)
        self.crl = os.path.join(self.dir, "crl.pem")
        for name, text in (("index.txt", ""), ("crlnumber", "01\n"), ("openssl.cnf", f"""
[ca]
default_ca = here
[here]
dir = {self.dir}
database = {self.dir}/index.txt
new_certs_dir = {self.dir}
crlnumber = {self.dir}/crlnumber
certificate = {self.dir}/ca.pem
private_key = {self.dir}/ca.key
rand_serial = yes
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
unique_subject = no
[any]
commonName = supplied
""")):
            with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
                f.write(text)
        self.list()

    def openssl(self, *args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=self.dir, timeout=60)

    def ca(self, *args):
        self.openssl("ca", "-batch", "-config", "openssl.cnf", *args)

    def list(self):
        self.ca("-gencrl", "-out", self.crl)

    def revoke(self, name):
        self.ca("-revoke", f"{name}.pem")
        self.list()

    def issue(self, name, cn, uri=None, ends=None):
        """A client certificate NAME.pem; ends: seconds from now, may be past."""
        extensions = ["extendedKeyUsage=clientAuth", "basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"]
        if uri:
            extensions.append(f"subjectAltName=URI:{uri}")
        with open(os.path.join(self.dir, f"{name}.ext"), "w", encoding="utf-8") as f:
            f.write("\n".join(extensions) + "\n")
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                     "-out", f"{name}.csr", "-subj", f"/CN={cn}")
        when = []
        if ends is not None:
            when = ["-startdate", stamp(time.time() - 7200), "-enddate", stamp(time.time() + ends)]
        self.ca("-in", f"{name}.csr", "-out", f"{name}.pem", "-notext", "-extfile", f"{name}.ext", *when)


def stamp(seconds):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(seconds))


def resume(g, certificate, session, version):
    """(session, resumed) of one request over a new connection; raises what the handshake or the request raises."""
    c = ssl.create_default_context(cafile=f"{g.ca}/ca.pem")
    c.load_cert_chain(f"{g.ca}/{certificate}.pem", f"{g.ca}/{certificate}.key")
    if session:
        c = session[0]  # a session belongs to its context
    else:
        c.minimum_version = c.maximum_version = version
    with socket.create_connection(("127.0.0.1", g.ingest_port), timeout=60) as raw:
        with c.wrap_socket(raw, server_hostname="127.0.0.1", session=session and session[1]) as s:
            body = w.frame(w.definitions_payload(FLAT))
            s.sendall(f"POST /v1/definitions HTTP/1.1\r\nHost: x\r\nContent-Type: {w.TYPE_DEFINITIONS}\r\n"
                      f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = s.recv(65536)
            if not answer:
                raise ConnectionResetError("closed without an answer")
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            return (c, s.session), s.session_reused


def test_a_revoked_certificate_is_refused_after_hup(aggregator, tmp_path):
    """On a new connection, on a resumed one, and on one that stands; others are not held up by it."""
    own = Authority(tmp_path / "own", "agent:bad", "agent:good", "role:relay")
    g = aggregator(ingest={"ca": f"{own.dir}/ca.pem", "cert": f"{own.dir}/server.pem", "key": f"{own.dir}/server.key",
                           "crl": own.crl})
    g.ca = own.dir
    versions = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    sessions = {(n, v): resume(g, f"agent-{n}", None, v)[0] for n in ("bad", "good") for v in versions}
    for (n, v), session in sessions.items():
        sessions[n, v], resumed = resume(g, f"agent-{n}", session, v)
        assert resumed, (n, v)
    standing = {n: Client(g, f"agent-{n}") for n in ("bad", "good")}
    for c in standing.values():
        assert c.definitions(FLAT).status == 200
    connections = {n: c.connection.sock for n, c in standing.items()}
    own.revoke("agent-bad")
    for n in standing:  # nothing is read before HUP
        assert standing[n].definitions(FLAT).status == 200
    reload(g)
    for v in versions:
        with pytest.raises(NOT_LET_IN):
            resume(g, "agent-bad", sessions["bad", v], v)
        with pytest.raises(NOT_LET_IN):
            resume(g, "agent-bad", None, v)
        resume(g, "agent-good", sessions["good", v], v)
    with pytest.raises(NOT_LET_IN):
        standing["bad"].definitions(FLAT)
    assert standing["good"].definitions(FLAT).status == 200
    assert standing["good"].connection.sock is connections["good"]
    standing["good"].close()


def test_a_list_that_cannot_be_read_keeps_the_old_one(aggregator, tmp_path):
    own = Authority(tmp_path / "own", "agent:bad")
    own.revoke("agent-bad")
    g = aggregator(ingest={"ca": f"{own.dir}/ca.pem", "cert": f"{own.dir}/server.pem", "key": f"{own.dir}/server.key",
                           "crl": own.crl})
    g.ca = own.dir
    for broken in b"", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", None:
        os.remove(own.crl)
        if broken is not None:
            with open(own.crl, "wb") as f:
                f.write(broken)
        reload(g, "reload refused")
        with pytest.raises(NOT_LET_IN):
            resume(g, "agent-bad", None, ssl.TLSVersion.TLSv1_3)


def test_a_common_name_counts_where_it_is_said_to(aggregator, tmp_path):
    own = Authority(tmp_path / "own")
    own.issue("only-cn", "named")
    own.issue("both", "named", uri="securebase://agent/other")
    files = {"ca": f"{own.dir}/ca.pem", "cert": f"{own.dir}/server.pem", "key": f"{own.dir}/server.key"}
    g = aggregator(ingest=files)
    g.ca = own.dir

    def may(certificate, agent):
        c = Client(g, certificate, agent)
        c.resource = w.resource_bytes(host=agent)
        defined = c.definitions(c.resource, FLAT).status
        status = c.batch(w.batch_body([w.block(FLAT, now(), [[1]], dt=0)], agent=agent, epoch=now(), seq=next(NUMBER),
                                      resource=c.resource)).status
        c.close()
        assert status in (200, 403) and (defined == 200 or status == 403), (defined, status)
        return status == 200

    questions = [("only-cn", "named"), ("only-cn", "other"), ("both", "named"), ("both", "other")]
    assert [may(*q) for q in questions] == [False, False, False, True]
    dict(g.sections)["ingest"]["identity"] = "cn"
    g.write()
    reload(g)
    assert [may(*q) for q in questions] == [True, False, True, True]


def test_an_expired_certificate_is_refused(aggregator, tmp_path):
    own = Authority(tmp_path / "own")
    own.issue("agent-late", "late", uri="securebase://agent/late", ends=-60)
    files = {"ca": f"{own.dir}/ca.pem", "cert": f"{own.dir}/server.pem", "key": f"{own.dir}/server.key"}
    g = aggregator(ingest=files)
    g.ca = own.dir
    c = Client(g, "agent-late")
    with pytest.raises(NOT_LET_IN):
        c.definitions(FLAT)
    assert not g.agents()
    # one that expires while its connection stands is refused there
    own.issue("agent-soon", "soon", uri="securebase://agent/soon", ends=4)
    c = Client(g, "agent-soon")
    assert c.definitions(FLAT).status == 200
    sock = c.connection.sock

    def refused():
        assert c.connection is not None and c.connection.sock is sock
        try:
            assert c.definitions(FLAT).status == 200
        except NOT_LET_IN:
            return True
        return False
    wait_for(refused, 30, why="the certificate's end to count")
    with pytest.raises(NOT_LET_IN):
        c.definitions(FLAT)


def test_certificates_are_exchanged_while_agents_are_connected(aggregator, agent, ca, tmp_path):
    """A new connection sees the new certificate, those that stand go on, and no batch is lost or counted twice."""
    mine = tmp_path / "files"
    support.authority(str(ca), "server-other:localhost,127.0.0.1", "agent:web-1+agent:web-9")
    mine.mkdir()

    def put(server, client):
        for to, source in (("server", server), ("client", client)):
            for end in "pem", "key":
                shutil.copy(f"{ca}/{source}.{end}", mine / f"{to}.new")
                os.replace(mine / f"{to}.new", mine / f"{to}.{end}")

    def seen():
        c = ssl.create_default_context(cafile=f"{ca}/ca.pem")
        with socket.create_connection(("127.0.0.1", g.ingest_port), timeout=60) as raw:
            with c.wrap_socket(raw, server_hostname="127.0.0.1") as s:
                return s.getpeercert(True)

    put("server", "agent-web-1")
    g = aggregator(ingest={"cert": mine / "server.pem", "key": mine / "server.key"})
    agents = [agent([g.endpoint], name="web-1", ship={"batch": "1s", "cert": mine / "client.pem", "key": mine / "client.key"}),
              agent([g.endpoint], name="web-2", ship={"batch": "1s"})]
    s = Subject(g)
    s.good()
    sock = s.connection.sock
    wait_for(lambda: {"web-1", "web-2"} <= set(g.agents()), why="first batches")
    for turn in range(4):
        server, client = (("server-other", "agent-web-1+agent-web-9"), ("server", "agent-web-1"))[turn % 2]
        put(server, client)
        before = {n: g.agents()[n]["seq"] for n in ("web-1", "web-2")}
        reload(g)
        reload(agents[0])
        with open(f"{ca}/{server}.pem", encoding="ascii") as f:
            assert seen() == ssl.PEM_cert_to_DER_cert(f.read())
        s.good()
        assert s.connection.sock is sock
        wait_for(lambda before=before: all(g.agents()[n]["seq"] > before[n] for n in before), why="batches of both")
    s.close()
    for a in agents:
        same_batches(g, a)


# ---- nobody is asked -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("listen", ["0.0.0.0:9870", "[::]:9870", "192.0.2.1:9870", "127.0.0.1.example.com:9870",
                                    "localhost.example.com:9870"])
def test_without_authentication_only_on_loopback(aggregator, listen):
    g = aggregator(start=False, ingest={"auth": "none", "ca": None, "cert": None, "key": None, "listen": listen})
    out = subprocess.run(g.argv + ["--check-config"], capture_output=True, text=True, check=False, timeout=60)
    assert out.returncode == 78 and "loopback" in out.stderr, (out.returncode, out.stderr)


@pytest.mark.parametrize("url", ["http://192.0.2.1:9870", "http://127.0.0.1.example.com:9870", "http://localhost.example.com:9870",
                                 "http://localhost@192.0.2.1:9870", "http://[2001:db8::1]:9870"])
def test_an_agent_speaks_plainly_to_loopback_only(agent, url):
    a = agent([url], start=False)
    out = subprocess.run(a.argv + ["--check-config"], capture_output=True, text=True, check=False, timeout=60)
    assert out.returncode == 78 and "[ship] endpoints" in out.stderr, (out.returncode, out.stderr)


def test_plain_http_on_loopback(aggregator, agent):
    g = aggregator(ingest={"auth": "none", "ca": None, "cert": None, "key": None})
    a = agent([f"http://127.0.0.1:{g.ingest_port}"], ship={"batch": "1s", "ca": None, "cert": None, "key": None})
    wait_for(lambda: g.agents().get("web-1", {}).get("seq", 0) >= 2, why="batches")
    assert get(f"http://127.0.0.1:{g.ingest_port}/v1/batches")[0] == 405
    same_batches(g, a)
