"""Something that is told: a web server of the test's own that keeps what is posted, and answers as it is told to."""
import http.server
import json
import threading
import time


class Hook:
    """Keeps (time, path, document) of each POST. `status` is what it answers."""

    def __init__(self):
        self.got, self.status, self.lock = [], 200, threading.Lock()
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with hook.lock:
                    hook.got.append((time.time(), self.path, json.loads(body)))
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/told"

    def messages(self, tell=None, path=None):
        with self.lock:
            return [d for _, p, d in self.got if (tell is None or d.get("tell") == tell) and (path is None or p == path)]

    def alerts(self, tell, rule):
        """Messages of this kind that tell of an alert of this rule."""
        return [m for m in self.messages(tell) if any(a["rule"] == rule for a in m["alerts"])]

    def clear(self):
        with self.lock:
            self.got.clear()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
