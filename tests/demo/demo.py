#!/usr/bin/env python3
"""make demo: an aggregator, an agent, Redis where there is one, and a small service, all on free loopback ports, with TLS.

Shows `sbctl top` where there is a terminal, a summary every five seconds where not. DEMO_SECONDS=N ends it by itself; an
interrupt ends it at once. Everything it made, but for the certificates, is under a temporary folder and goes with it.
"""
import http.server
import math
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import support  # noqa: E402


class Shop(http.server.BaseHTTPRequestHandler):
    """Answers in a time that is log-normal, with one request in fifty slow and one in two hundred failing."""

    statsd = None
    redis_port = None

    def cached(self):
        """Looks a page up in Redis, and puts it there when it was not."""
        key = f"page:{min(int(random.paretovariate(0.8)), 500)}"
        with socket.create_connection(("127.0.0.1", self.redis_port), 2) as s:
            s.sendall(f"GET {key}\r\n".encode())
            if s.recv(4096).startswith(b"$-1"):
                s.sendall(f"SETEX {key} 30 page\r\n".encode())
                s.recv(4096)

    def do_GET(self):
        if self.redis_port and self.path != "/health":
            self.cached()
        took = min(random.lognormvariate(math.log(0.008), 0.5), 0.5)
        if random.random() < 0.02:
            took += random.uniform(0.05, 0.25)
        time.sleep(took)
        status = 500 if random.random() < 0.005 and self.path != "/health" else 200
        body = b"ok\n" if status == 200 else b"no\n"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.statsd(f"http.request:{took * 1000:.3f}|ms|#service:shop,code:{status}", "http.requests:1|c|#service:shop")

    def log_message(self, *args):
        pass


def serve_shop(agent, redis_port):
    Shop.statsd = staticmethod(agent.statsd)
    Shop.redis_port = redis_port
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def buy(port, stop):
    """A customer."""
    while not stop.wait(random.expovariate(12)):
        try:
            support.get(f"http://127.0.0.1:{port}/")
        except OSError:
            pass


def start_redis(folder):
    program = shutil.which("redis-server")
    if not program:
        return None, None
    port = support.free_port()
    redis = support.Process("redis", [program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder], folder)
    return redis.start(), port


def summary(aggregator):
    print(subprocess.run([os.path.join(support.BUILD, "sbctl"), "--socket", aggregator.socket, "top", "--once"],
                         capture_output=True, text=True, check=False).stdout, flush=True)


def urls(aggregator, shop_port):
    print(f"""
SecureBase Monitor is watching this machine.
  console      {aggregator.url}/
  metrics      {aggregator.url}/metrics   {aggregator.url}/metrics/hosts
  API          {aggregator.url}/api/v1/status
  the service  http://127.0.0.1:{shop_port}/
  sbctl        {support.BUILD}/sbctl --socket {aggregator.socket} top
""", flush=True)


def sections(shop_port, redis_port):
    out = [("probe shop", {"type": "http", "url": f"http://127.0.0.1:{shop_port}/health", "interval": "5s", "timeout": "2s"})]
    if redis_port:
        out.append(("redis demo", {"address": f"127.0.0.1:{redis_port}", "interval": "1s"}))
    return out


PERCENTILES = [
    ("percentile shop", {"metric": "http_request_seconds", "by": "service", "windows": "1m 5m", "quantiles": "0.5 0.9 0.95 0.99",
                         "buckets": "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1"}),
    ("percentile redis", {"metric": "securebase_app_redis_reply_seconds", "by": "server", "windows": "5m",
                          "quantiles": "0.5 0.9 0.95 0.99"}),
    ("percentile cpu", {"metric": "securebase_host_cpu_utilization_ratio", "by": "region", "windows": "1m",
                        "quantiles": "0.5 0.95"}),
]


def show(aggregator, seconds):
    end = time.monotonic() + seconds if seconds else None
    if sys.stdout.isatty() and sys.stdin.isatty():
        top = subprocess.Popen([os.path.join(support.BUILD, "sbctl"), "--socket", aggregator.socket, "top"])
        try:
            top.wait(seconds)
        except subprocess.TimeoutExpired:
            top.send_signal(signal.SIGTERM)
            top.wait()
        return
    while end is None or time.monotonic() < end:
        time.sleep(min(5, max(0, end - time.monotonic())) if end else 5)
        summary(aggregator)


def arrived(aggregator, agent):
    assert agent.alive(), "the agent ended"
    return aggregator.agents().get("demo")


def main():
    seconds = float(os.environ.get("DEMO_SECONDS", "0") or 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    started, stop = [], threading.Event()
    folder = tempfile.mkdtemp(prefix="securebase-demo-")
    ca = support.authority(os.path.join(support.BUILD, "demo-ca"), "server:localhost,127.0.0.1", "agent:demo")
    try:
        redis, redis_port = start_redis(folder)
        started += [redis] if redis else []
        aggregator = support.Aggregator(folder, ca, sections=PERCENTILES)
        started.append(aggregator)
        aggregator.start()
        agent = support.Agent(folder, ca, [aggregator.endpoint], name="demo", agent={"env": "demo"})
        shop = serve_shop(agent, redis_port)
        agent.sections += sections(shop.server_port, redis_port)
        agent.write()
        started.append(agent)
        agent.start()
        for _ in range(3):
            threading.Thread(target=buy, args=(shop.server_port, stop), daemon=True).start()
        urls(aggregator, shop.server_port)
        support.wait_for(lambda: arrived(aggregator, agent), 30, why="the first batch")
        show(aggregator, seconds)
    except KeyboardInterrupt:
        pass
    except AssertionError as e:
        print(f"demo: {e}", file=sys.stderr)
        for p in started:
            print(f"--- {p.name}\n{p.tail()}", file=sys.stderr)
        sys.exit(1)
    finally:
        stop.set()
        for p in reversed(started):
            try:
                p.stop()
            except AssertionError as e:
                print(f"demo: {e}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)


main()
