"""A client of the batch protocol on one TLS connection, for tests: it sends what it is told, right or wrong."""
import http.client
import itertools
import ssl
import time

import securebase_wire as w
import support
from support import wait_for

NUMBER = itertools.count(1)


class Answer:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.bytes = response.read()
        self.type = self.headers.get("Content-Type")
        self.body = w.unpack(self.bytes) if self.type == w.TYPE_ANSWER else None

    @property
    def reason(self):
        return (self.body or {}).get("reason")

    def __repr__(self):
        return f"<{self.status} {self.type} {self.body if self.body is not None else self.bytes[:200]!r}>"


def context(ca, certificate):
    c = ssl.create_default_context(cafile=f"{ca}/ca.pem")
    if certificate:
        c.load_cert_chain(f"{ca}/{certificate}.pem", f"{ca}/{certificate}.key")
    return c


class Client:
    def __init__(self, server, certificate, agent=None):
        self.server, self.certificate, self.agent = server, certificate, agent
        self.context = context(server.ca, certificate)
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def connect(self):
        if not self.connection:
            self.connection = http.client.HTTPSConnection("127.0.0.1", self.server.ingest_port, context=self.context, timeout=90)
            self.connection.connect()
        return self.connection

    def send(self, method, path, body=b"", headers=(), length=None):
        """One request, exactly as told; the connection is kept when the server keeps it."""
        c = self.connect()
        try:
            c.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers:
                c.putheader(name, value)
            if length is not False:
                c.putheader("Content-Length", str(len(body)) if length is None else length)
            try:
                c.endheaders(body)
            except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                pass  # it has answered before it read all: the answer is what counts
            response = c.getresponse()
            answer = Answer(response)
        except Exception:
            self.close()
            raise
        if response.will_close or answer.headers.get("Connection", "").lower() == "close":
            self.close()
        return answer

    def post(self, path, body, content_type, *more):
        return self.send("POST", path, body, [("Content-Type", content_type), *more])

    def batch(self, body, *more):
        return self.post("/v1/batches", body, w.TYPE_BATCH, *more)

    def definitions(self, *values):
        return self.post("/v1/definitions", w.frame(w.definitions_payload(*values)), w.TYPE_DEFINITIONS)


def now():
    return time.time_ns() // 1_000_000


GAUGE, COUNTER, TOOK = "thing", "things_total", "took_seconds"
SCHEMA = w.schema_bytes(w.series(GAUGE, w.GAUGE, 1, 100, {"device": "a"}), w.series(COUNTER, w.COUNTER, labels={"device": "a"}),
                        w.series(TOOK, w.SKETCH, labels={"device": "a"}))
FLAT = w.schema_bytes(w.series("flat", w.GAUGE))


def sketch(*values, scale=6):
    s = w.Sketch(scale)
    for v in values or (0.25, 1.5):
        s.add(v)
    return s


class Subject(Client):
    """An agent of its own: an identity, a resource, an epoch and the next seq."""
    latest = {}  # by server: who sent a good batch last

    def __init__(self, server, known=True):
        agent = f"t-{next(NUMBER)}"
        support.authority(server.ca, f"agent:{agent}")
        super().__init__(server, f"agent-{agent}", agent)
        self.resource = w.resource_bytes(host=agent, region="us-east-1", env="test")
        self.epoch, self.seq = now(), 1
        if known:
            answer = self.definitions(self.resource, SCHEMA, FLAT)
            assert answer.status == 200, answer

    def block(self, back=0, thing=150, things=5, took=None, **override):
        """One tick, `back` seconds ago, of SCHEMA."""
        return w.block(SCHEMA, now() - 1000 * back, [[thing], [things], [took or sketch()]], dt=0, **override)

    def root(self, blocks=None, **override):
        """A good batch, whose keys can be given other values, or w.DROP."""
        out = w.batch([self.block()] if blocks is None else blocks, agent=self.agent, epoch=self.epoch, seq=self.seq, low=1,
                      sealed=now(), resource=self.resource)
        out.update(override)
        return out

    def body(self, *blocks, **override):
        return w.frame(w.pack(self.root(*blocks, **override)))

    def good(self, *blocks, **override):
        """Sends the next batch, which has to be taken."""
        answer = self.batch(self.body(*blocks, **override))
        assert answer.status == 200 and answer.body["duplicate"] is False, answer
        self.seq = max(self.seq, override.get("seq", self.seq)) + 1
        Subject.latest[self.server] = self
        return answer

    def settle(self):
        """Waits until what was acknowledged last, to whomever, is visible: what came before is too."""
        last = Subject.latest.get(self.server)
        if last:
            last.visible(last.seq - 1)

    def entry(self):
        return self.server.agents().get(self.agent)

    def host_lines(self):
        """This agent's lines of the page of hosts."""
        return {k: v for k, v in self.server.metrics("/metrics/hosts").items() if f'instance="{self.agent}"' in k}

    def visible(self, seq):
        return wait_for(lambda: (self.entry() or {}).get("seq", 0) >= seq and self.entry(), 20, why=f"seq {seq} visible")
