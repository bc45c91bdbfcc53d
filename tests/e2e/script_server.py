"""An aggregator in Python that answers by script: it decodes every request by the page's codec, keeps all that it saw, and
holds each batch against what an agent may send.

    s = ScriptServer(ca)
    s.script += [status(503, retry_after=2), lost()]      # the next two batch requests; then ok()
"""
import contextlib
import http.server
import socket
import ssl
import threading
import time

import securebase_wire as w


class Request:
    def __init__(self, handler, body):
        self.at = time.monotonic()
        self.wall = time.time() * 1000
        self.path, self.method, self.headers, self.body = handler.path, handler.command, handler.headers, body
        self.identity = [v for k, v in (handler.connection.getpeercert() or {}).get("subjectAltName", ()) if k == "URI"]
        self.root = w.unpack(w.unframe(body)) if self.path == "/v1/batches" else None

    @property
    def number(self):
        return self.root["epoch"], self.root["seq"]

    @property
    def content(self):
        """What stays the same when it is numbered anew."""
        return {k: v for k, v in self.root.items() if k not in ("epoch", "seq", "low")}


# ---- answers ------------------------------------------------------------------------------------------------------------

def send(h, status, body, content_type, *headers, length=None):
    h.send_response(status)
    if content_type:
        h.send_header("Content-Type", content_type)
    for k, v in headers:
        h.send_header(k, v)
    h.send_header("Content-Length", str(len(body) if length is None else length))
    h.end_headers()
    h.wfile.write(body)
    h.wfile.flush()


def ok(duplicate=False, refused=None, settles=True, content_type=w.TYPE_ANSWER, status=200, **override):
    """200 as the page says; settles: whether an agent may take it for an acknowledgement."""
    def answer(server, h, r):
        e, s = r.number
        body = w.answer_ok(**dict(dict(epoch=e, seq=s, time=int(time.time() * 1000), duplicate=duplicate, refused=refused),
                                  **override))
        if settles:
            server.settled.append(r)
        send(h, status, body, content_type)
    return answer


def status(code, reason=None, retry_after=None, settles=False, body=None, content_type=w.TYPE_ANSWER, headers=()):
    def answer(server, h, r):
        if settles:
            server.settled.append(r)
        more = [("Retry-After", str(retry_after))] if retry_after is not None else []
        send(h, code, w.answer_refusal(reason or "unavailable") if body is None else body, content_type, *more, *headers)
    return answer


def dead(code, reason):
    return status(code, reason, settles=True)


def superseded(epoch):
    return status(410, body=w.pack({"epoch": epoch}))


def lost():
    """The body is taken, the connection ends."""
    def answer(server, h, r):
        h.close_connection = True
    return answer


def cut():
    def answer(server, h, r):
        send(h, 200, w.answer_ok(*r.number, 0)[:10], w.TYPE_ANSWER, length=len(w.answer_ok(*r.number, 0)))
        h.close_connection = True
    return answer


def late(event, then):
    """Answers when the event is set."""
    def answer(server, h, r):
        event.wait(60)
        then(server, h, r)
    return answer


class ScriptServer:
    def __init__(self, ca, port=0, certificate="server", agent="web-1"):
        self.script, self.requests, self.settled, self.known = [], [], [], {}
        self.wrong, self.connections = [], set()
        self.agent = agent
        self.lock = threading.Lock()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    r = Request(self, body)
                    with server.lock:
                        server.requests.append(r)
                        act = server.judge(r)
                    act(server, self, r)
                except (ConnectionError, ssl.SSLError):
                    self.close_connection = True
                except Exception as e:  # shown by the test: a handler's thread must not swallow it
                    server.wrong.append(repr(e))
                    self.close_connection = True

            def do_GET(self):
                server.wrong.append(f"GET {self.path}")
                self.close_connection = True

            do_PUT = do_GET

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def get_request(self):
                s, a = super().get_request()
                s = server.context.wrap_socket(s, server_side=True, do_handshake_on_connect=False)
                server.connections.add(s)
                return s, a

            def shutdown_request(self, request):
                server.connections.discard(request)
                super().shutdown_request(request)

            def handle_error(self, request, address):
                pass  # a handshake that failed

        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{ca}/{certificate}.pem", f"{ca}/{certificate}.key")
        self.context.load_verify_locations(f"{ca}/ca.pem")
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.http = Server(("127.0.0.1", port), Handler)
        self.port = self.http.server_port
        self.endpoint = f"https://127.0.0.1:{self.port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        """Ends the listener and the kept connections, as the death of a process would."""
        self.http.shutdown()
        self.http.server_close()
        for s in list(self.connections):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def judge(self, r):
        """The answer that is due; called under the lock."""
        if r.path == "/v1/definitions":
            return self.define
        if self.script:
            return self.script.pop(0)
        missing = sorted({h for h in [r.root["resource"], *(b["schema"] for b in r.root["blocks"])] if h not in self.known})
        if missing:
            return status(409, body=w.answer_need(*missing))
        return ok()

    def define(self, _server, h, r):
        given = w.unpack(w.unframe(r.body))
        for k, v in given.items():
            if w.hash16(v) != k:
                self.wrong.append("a definition under another's hash")
            w.unpack(v)
        self.known.update(given)
        send(h, 200, w.pack({"time": int(time.time() * 1000)}), w.TYPE_ANSWER)

    @property
    def batches(self):
        with self.lock:
            return [r for r in self.requests if r.path == "/v1/batches"]

    def check(self):
        """What holds for every agent at any time."""
        assert not self.wrong, self.wrong
        bodies, open_, low, last = {}, None, {}, {}
        settled = [(id(r)) for r in self.settled]
        for r in self.batches:
            epoch, seq = r.number
            assert bodies.setdefault(r.number, r.body) == r.body, f"{r.number} was sent with other bytes"
            assert r.identity == [f"securebase://agent/{self.agent}"] and r.root["agent"] == self.agent
            assert r.headers["Content-Type"] == w.TYPE_BATCH and "Content-Encoding" not in r.headers
            assert "Transfer-Encoding" not in r.headers
            assert abs(int(r.headers["X-Securebase-Sent"]) - r.wall) < 10_000
            assert 1 <= r.root["low"] <= seq
            assert low.setdefault(epoch, 0) <= r.root["low"], "low fell"
            low[epoch] = r.root["low"]
            if open_ is not None and open_[0] == epoch:
                assert seq == open_[1], f"{r.number} came while {open_} was not settled"
            assert seq >= last.get(epoch, 0), f"{r.number} came after {last[epoch]}"
            last[epoch] = seq
            open_ = None if id(r) in settled else r.number
