"""Faults: what is done to a lab, and how it is taken away.

DEATHS end what the primary region is to its users; the service has to come up in the other one. STAYS are faults after which
everything has to stay where it is. Each is a function of a Case, which returns after it has begun; `case.later(f)` tells what
takes it away. `case.primary` and `case.standby` are places, `case.number` counts the runs of that fault, for variants.
"""

import os
import time

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"



class Case:
    def __init__(self, lab, primary, number=0):
        self.lab, self.primary, self.standby, self.number = lab, primary, lab.other(primary), number
        self.programs = lab.programs
        self.undo, self.notes = [], []

    def later(self, what):
        self.undo.append(what)

    def note(self, text):
        self.notes.append(text)

    def heal(self):
        for what in reversed(self.undo):
            what()
        self.undo = []

    def restart(self, place, name):
        """The program is started again when the fault is taken away, if it is not there."""
        def start():
            if place.programs[name].alive():
                return
            if name == "etcd":
                self.lab.etcd.start(place)
            elif name == "aggregator":
                self.programs.start_aggregator(place)
            elif name == "agent":
                self.programs.start_agent(place)
            elif name == "service":
                self.lab.serve(place)
            elif name == "postgres":
                self.lab.databases[place.name].start()
        self.later(start)


# ---- the region dies ----

def kill(c):
    """kill -9 of everything in the primary region at one moment."""
    c.primary.kill()


def cut(c):
    """The primary region is cut from everything, users included, and goes on by itself."""
    c.lab.router.cut(c.primary)
    c.later(c.lab.router.heal)


def pause(c):
    """SIGSTOP of everything in the primary region, which wakes when the other one serves."""
    c.primary.pause()
    c.later(c.primary.wake)


def disk(c):
    """The disk below the primary's database and aggregator takes 1 KiB each second: a commit lasts eight seconds or more."""
    c.primary.disk(1024)
    c.later(lambda: c.primary.disk(None))


def one_way(c):
    """Nothing that the primary region sends arrives anywhere (even runs), or nothing reaches it (odd runs)."""
    if c.number % 2 == 0:
        c.lab.router.drop(source=c.primary)
        c.note("outbound")
    else:
        c.lab.router.drop(target=c.primary)
        c.note("inbound")
    c.later(c.lab.router.heal)


def loss(c):
    """30 % of the packets from and to the primary region are lost, in both directions. Most users are served, slowly: no
    automation moves for that, people do."""
    c.lab.router.cut(c.primary, None, percent=30)
    c.later(c.lab.router.heal)


def service(c):
    """Database and service are killed and stay away; agent, guard, aggregator and etcd of the region live: the fence can be
    proven."""
    for name in ("service", "postgres"):
        c.primary.programs[name].kill()


DEATHS = {"kill": kill, "cut": cut, "pause": pause, "disk": disk, "one_way": one_way, "loss": loss, "service": service}
ORDERED = ("loss",)  # deaths that a person has to call so


# ---- nothing may move ----

def voter(c):
    """One aggregator is killed: of the standby, the witness, the primary, in turn."""
    place = (c.standby, c.lab.eu, c.primary)[c.number % 3]
    c.note(place.name)
    place.programs["aggregator"].kill()
    c.restart(place, "aggregator")


def link(c):
    """One link between two places is cut. Not that of the replication where commits wait for it."""
    links = [(c.primary, c.lab.eu), (c.standby, c.lab.eu), (c.standby, c.lab.out), (c.standby, c.lab.dns), (c.primary, c.lab.dns)]
    if not c.lab.synchronous:
        links.append((c.primary, c.standby))
    one, other = links[c.number % len(links)]
    c.note(f"{one.name}-{other.name}")
    c.lab.router.cut(one, other)
    c.later(c.lab.router.heal)


def etcd_quorum(c):
    """Two of the three etcd members are killed: nobody can decide, the service goes on."""
    places = [c.standby, c.lab.eu] if c.number % 2 == 0 else [c.primary, c.standby]
    for p in places:
        p.programs["etcd"].kill()
        c.restart(p, "etcd")
    c.note(" ".join(p.name for p in places))


def etcd_leader(c):
    """etcd's leader is killed."""
    place = c.lab.etcd.leader(c.lab.out)
    if place is None:
        raise RuntimeError("etcd has no leader to kill")
    c.note(place.name)
    place.programs["etcd"].kill()
    c.restart(place, "etcd")


def monitor(c):
    """Aggregators are restarted in order, one after the other (even runs), or the leading one is killed and comes back."""
    if c.number % 2 == 0:
        for p in c.lab.etcd.places:
            p.programs["aggregator"].stop()
            c.programs.start_aggregator(p)
            time.sleep(3)
        c.note("all in turn")
    else:
        place = c.programs.leader() or c.standby
        place.programs["aggregator"].kill()
        time.sleep(2)
        c.programs.start_aggregator(place)
        c.note(f"leader {place.name}")


def standby(c):
    """The standby is in trouble: its database is killed, all of it is killed, or it is paused."""
    which = c.number % 3
    c.note(("database", "region", "paused")[which])
    if which == 0:
        c.standby.programs["postgres"].kill()
        c.restart(c.standby, "postgres")
    elif which == 1:
        c.standby.kill()
        for name in ("agent", "aggregator", "service", "postgres", "etcd"):
            c.restart(c.standby, name)
    else:
        c.standby.pause()
        c.later(c.standby.wake)


def short_pause(c):
    """The primary region is stopped for less than the time of confirmation, and wakes."""
    seconds = (3, 6, 8)[c.number % 3]
    c.primary.pause()
    time.sleep(seconds)
    c.primary.wake()
    c.note(f"{seconds} s")


def names(c):
    """A name server dies: the first, which takes updates, or the second."""
    place, name = ((c.lab.dns, "names1"), (c.lab.eu, "names2"))[c.number % 2]
    c.note(name)
    place.programs[name].kill()
    c.later(lambda: c.lab.names.start_one(0 if name == "names1" else 1))


def agents(c):
    """Agents are killed: the standby's stays away, the primary's is started again after 2 s, as an init system does."""
    c.standby.programs["agent"].kill()
    c.restart(c.standby, "agent")
    if c.number % 2 == 0:
        c.primary.programs["agent"].kill()
        time.sleep(2)
        c.programs.start_agent(c.primary)
        c.note("both")


def clock(c):
    """The wall clock of one aggregator steps by five minutes, forward or back: it is started anew under libfaketime, and its
    clock steps when it has looked on for 70 s."""
    place = (c.standby, c.lab.eu)[c.number // 2 % 2]
    offset = ("+300", "-300")[c.number % 2]
    c.note(f"{place.name} {offset} s")
    file = f"{place.folder}/clock"
    set_clock(file, "+0")
    place.programs["aggregator"].stop()
    c.programs.env[place.name] = {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": file, "FAKETIME_CACHE_DURATION": 1,
                                  "FAKETIME_DONT_FAKE_MONOTONIC": 1, "FAKETIME_XRESET": 1}
    c.programs.start_aggregator(place)
    del c.programs.env[place.name]
    time.sleep(70)
    set_clock(file, offset)

    def over():
        place.programs["aggregator"].stop()
        c.programs.start_aggregator(place)
    c.later(over)


def set_clock(file, offset):
    with open(file + ".new", "w", encoding="ascii") as f:
        f.write(offset + "\n")
    os.rename(file + ".new", file)


STAYS = {"voter": voter, "link": link, "etcd_quorum": etcd_quorum, "etcd_leader": etcd_leader, "monitor": monitor,
         "standby": standby, "short_pause": short_pause, "names": names, "agents": agents, "clock": clock}

