"""The other ends of channels: an HTTP service that answers by script, a mail server with TLS, a real Alertmanager; and the
tool that sends notifications through the aggregator's own channels."""
import asyncio
import contextlib
import http.server
import json
import os
import queue
import ssl
import subprocess
import threading
import time
import warnings

import aiosmtpd.controller
import aiosmtpd.smtp

from support import BUILD, PATIENCE, Process, free_port, get, ini, wait_for


def server_context(ca, name="server"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{ca}/{name}.pem", f"{ca}/{name}.key")
    return context


# ---- answers ------------------------------------------------------------------------------------------------------------

def answer(status, body=b"", **headers):
    def act(h, _request, _service):
        h.send_response(status)
        for k, v in headers.items():
            h.send_header(k.replace("_", "-"), v)
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)
    return act


def silent():
    """The request is taken; nothing ever comes back."""
    def act(h, _request, service):
        service.open.wait(120)
        h.close_connection = True
    return act


def trickle():
    """A byte now and then, for ever."""
    def act(h, _request, service):
        h.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not service.open.wait(0.1):
            h.wfile.write(b"X-More: 1\r\n")
            h.wfile.flush()
        h.close_connection = True
    return act


def giant(status):
    """Megabytes of an answer."""
    def act(h, _request, service):
        h.send_response(status)
        h.end_headers()
        for _ in range(100_000):
            h.wfile.write(b"x" * 10_000)
        h.close_connection = True
    return act


def closed():
    def act(h, _request, _service):
        h.close_connection = True
    return act


def garbage():
    def act(h, _request, _service):
        h.wfile.write(b"\x00\xff SSH-2.0 what\r\n\r\n")
        h.close_connection = True
    return act


def echo(status):
    """Says what it was sent, secrets and all."""
    def act(h, request, _service):
        said = " ".join([request["path"], *request["headers"].values()]).encode()
        answer(status, said)(h, request, _service)
    return act


class Service:
    """s = Service(); s.script += [answer(503)]; then answer(200) for ever. s.requests is what came."""

    def __init__(self, context=None, default=answer(200, b"ok")):
        self.requests, self.script, self.default = [], [], default
        self.arrived, self.open, self.lock = queue.Queue(), threading.Event(), threading.Lock()
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = {"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body,
                           "at": time.time()}
                with service.lock:
                    service.requests.append(request)
                    act = service.script.pop(0) if service.script else service.default
                service.arrived.put(request)
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    act(self, request, service)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def get_request(self):
                s, a = super().get_request()
                return (context.wrap_socket(s, server_side=True, do_handshake_on_connect=False) if context else s), a

            def handle_error(self, request, address):
                pass  # a handshake that failed, a client that went away

        self.http = Server(("127.0.0.1", 0), Handler)
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def next(self):
        return self.arrived.get(timeout=20 * PATIENCE)

    def close(self):
        self.open.set()
        self.http.shutdown()
        self.http.server_close()


# ---- mail ---------------------------------------------------------------------------------------------------------------

class MailServer:
    """aiosmtpd: STARTTLS (tls="starttls") or TLS from the start (tls="tls"), with the user ann and a password."""

    def __init__(self, ca, tls, password="open sesame", auth_required=True, certificate="server"):
        self.mails, self.refuse, self.reply = [], {}, {}
        server = self
        context = server_context(ca, certificate)

        class Handler:
            async def handle_RCPT(self, _server, _session, envelope, address, _options):
                if address in server.refuse:
                    return server.refuse[address]
                envelope.rcpt_tos.append(address)
                return "250 OK"

            async def handle_QUIT(self, _server, _session, _envelope):
                if "QUIT" in server.reply:
                    await asyncio.sleep(600)
                return "221 bye"

            async def handle_DATA(self, _server, session, envelope):
                if "DATA" in server.reply:
                    return server.reply["DATA"]
                server.mails.append({"from": envelope.mail_from, "to": list(envelope.rcpt_tos), "content": envelope.content,
                                     "tls": session.ssl is not None or tls == "tls", "helo": session.host_name,
                                     "user": session.authenticated})
                return "250 taken"

        def authenticate(_server, _session, _envelope, _mechanism, data):
            good = data.login == b"ann" and data.password == password.encode()
            return aiosmtpd.smtp.AuthResult(success=good, handled=good, auth_data=b"ann")

        def factory():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of TLS from the start it does not know that it is TLS
                return aiosmtpd.smtp.SMTP(
                    Handler(), hostname="mx.test", authenticator=authenticate, auth_required=auth_required, loop=self.loop,
                    auth_require_tls=tls == "starttls", tls_context=context if tls == "starttls" else None,
                    require_starttls=tls == "starttls")

        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(
            self.loop.create_server(factory, "127.0.0.1", 0, ssl=context if tls == "tls" else None))
        self.address = f"127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def close(self):
        async def end():
            self.server.close()
            others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for t in others:
                t.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            self.loop.stop()
        asyncio.run_coroutine_threadsafe(end(), self.loop)
        self.thread.join()


# ---- Alertmanager -----------------------------------------------------------------------------------------------------------

class Alertmanager(Process):
    def __init__(self, folder, webhook, name="alertmanager"):
        folder = os.path.join(str(folder), name)
        os.makedirs(folder)
        self.url = f"http://127.0.0.1:{free_port()}"
        config = {"route": {"receiver": "hook", "group_by": ["alertname", "service"], "group_wait": "1s", "group_interval": "1s",
                            "repeat_interval": "1h"},
                  "receivers": [{"name": "hook", "webhook_configs": [{"url": webhook, "send_resolved": True}]}]}
        file = os.path.join(folder, "alertmanager.yml")
        with open(file, "w", encoding="utf-8") as f:
            json.dump(config, f)  # YAML's subset
        super().__init__(name, ["prometheus-alertmanager", f"--config.file={file}", f"--storage.path={folder}/data",
                                f"--web.listen-address={self.url[7:]}", "--cluster.listen-address="], folder)

    def ready(self):
        wait_for(lambda: get(self.url + "/-/ready")[0] == 200, 30, why=f"{self.name} ready")
        return self

    def alerts(self):
        status, _, body = get(self.url + "/api/v2/alerts")
        assert status == 200, body
        return json.loads(body)


# ---- the tool -----------------------------------------------------------------------------------------------------------------

class Teller:
    """t = Teller(folder, {"a": {"type": "webhook", …}}); n = t.send("a", title="x"); t.result(n)["outcome"]"""

    def __init__(self, folder, receivers):
        self.folder = str(folder)
        self.file = os.path.join(self.folder, "receivers.ini")
        self.write(receivers)
        self.log = os.path.join(self.folder, "teller.log")
        self.lines, self.results, self.ended, self.change = 0, {}, False, threading.Condition()
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen([os.path.join(BUILD, "tests", "tell_tool"), self.file], stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, stderr=log, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def write(self, receivers):
        with open(self.file, "w", encoding="utf-8") as f:
            f.write(ini([(f"receiver {name}", options) for name, options in receivers.items()]))

    def secret(self, name, text):
        return secret(self.folder, name, text)

    def read(self):
        for line in self.child.stdout:
            r = json.loads(line)
            with self.change:
                self.results[r["line"]] = r
                self.change.notify_all()
        with self.change:
            self.ended = True
            self.change.notify_all()

    def order(self, **what):
        self.lines += 1
        self.child.stdin.write(json.dumps(what) + "\n")
        self.child.stdin.flush()
        return self.lines

    def send(self, receiver, **n):
        return self.order(receiver=receiver, **n)

    def result(self, line, seconds=30):
        with self.change:
            assert self.change.wait_for(lambda: line in self.results or self.ended, seconds * PATIENCE) and line in self.results, \
                f"no result of line {line}: {self.output()}"
            return self.results[line]

    def tell(self, receiver, **n):
        return self.result(self.send(receiver, **n))

    def metrics(self):
        return self.result(self.order(metrics=True))

    def output(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read()

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()


def secret(folder, name, text):
    path = os.path.join(str(folder), name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text + "\n")
    os.chmod(path, 0o600)
    return f"file:{path}"
