"""Kills the leading aggregator at a journal boundary: right after the Nth line that the store has committed since the death.

The journal's lines are written in the transactions that commit intents and results, so that after the Nth one the world is
at one of the points between "intended" and "known". What a new holder has to finish differs at each of them; the outside
state at the end must not.
"""
import os
import signal
import subprocess
import threading
import time

from programs import PREFIX, SERVICE


class Boundary:
    """Watches from its making on; end() tells what it did: {"line", "text", "place", "at"}, or None when there was no Nth."""

    def __init__(self, programs, nth, back_after=3.0):
        self.programs, self.nth, self.back_after = programs, nth, back_after
        self.done, self.lines = None, []
        out = programs.lab.out
        self.watch = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{out.ns}", "--", "etcdctl", "--cacert", f"{programs.lab.ca}/ca.pem", "--endpoints",
             ",".join(programs.lab.etcd.endpoints[1:]),
             "watch", "--prefix", f"{PREFIX}/{SERVICE}/journal/"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.pids = {p.name: p.programs["aggregator"] for p in programs.lab.etcd.places}
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        holder = None
        for text in self.watch.stdout:  # PUT, key, value
            text = text.rstrip("\n")
            if not text.startswith("{"):
                continue
            self.lines.append(text)
            holder = holder or self.programs.leader()
            if len(self.lines) == self.nth and holder and self.done is None:
                os.kill(self.pids[holder.name].pid, signal.SIGKILL)
                self.done = {"line": self.nth, "text": text[:400], "place": holder.name, "at": round(time.time(), 3)}
                threading.Timer(self.back_after, self.back, [holder]).start()

    def back(self, place):
        self.pids[place.name].child.wait()
        self.programs.start_aggregator(place)

    def end(self):
        self.watch.terminate()
        self.watch.wait()
        self.thread.join(5)
        return dict(self.done or {}, lines=len(self.lines))
