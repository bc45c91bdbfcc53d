"""What a lab is made of, below its programs: network namespaces joined by a router, and processes that belong to a place.

A place is a network namespace and a control group: everything that was started in it, with all its children, can be killed,
stopped and woken together, and is gone when the place is gone. The router is a namespace of its own; what passes between
places is decided there (nft), so that nothing inside a place knows of a fault but by its effects. Nothing of it is connected
to the machine's own network, so that several labs can use the same addresses side by side. Needs root.
"""
import os
import shutil
import signal
import subprocess
import time

# The second hierarchy is where cgroup v2 lies beside v1.
CGROUP = next((d for d in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") if os.path.exists(d + "/cgroup.procs")
               and os.path.exists(d + "/cgroup.controllers")), None)
BLKIO = "/sys/fs/cgroup/blkio"


def run(*argv, check=True, timeout=60, stdin=None):
    out = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False, timeout=timeout, input=stdin)
    if check and out.returncode != 0:
        raise RuntimeError(f"{' '.join(str(a) for a in argv)}: {out.returncode}: {out.stderr.strip()} {out.stdout.strip()}")
    return out


def able():
    """None, or why no lab can be made here."""
    if os.geteuid() != 0:
        return "needs root (network namespaces)"
    for program in ("ip", "nft", "nsenter", "setpriv"):
        if not shutil.which(program):
            return f"{program} is not installed"
    if not CGROUP:
        return "no cgroup v2 hierarchy"
    probe = f"{CGROUP}/sbable{os.getpid()}"
    try:
        os.mkdir(probe)
        os.rmdir(probe)
    except OSError as e:
        return f"cgroups cannot be made: {e}"
    out = run("ip", "netns", "add", f"sbable{os.getpid()}", check=False)
    if out.returncode != 0:
        return f"network namespaces cannot be made: {out.stderr.strip()}"
    run("ip", "netns", "del", f"sbable{os.getpid()}")
    return None


class Program:
    """One program in a place, its output in a file."""

    def __init__(self, place, name, argv, user=None, env=None, cwd=None, slow=False):
        self.place, self.name, self.argv, self.user, self.env, self.cwd = place, name, argv, user, env, cwd
        self.slow = slow
        self.log = f"{place.folder}/{name}.log"
        self.child = None

    def start(self):
        into = [f"{self.place.group}/cgroup.procs"]
        if self.slow and self.place.blkio:
            into.append(f"{self.place.blkio}/cgroup.procs")
        join = "".join(f"echo 0 > {g}; " for g in into)
        argv = ["sh", "-c", join + 'exec "$@"', "sh", "nsenter", f"--net=/run/netns/{self.place.ns}", "--"]
        if self.user:
            argv += ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", "--"]
        argv += [str(a) for a in self.argv]
        env = dict(os.environ, **{k: str(v) for k, v in (self.env or {}).items()})
        with open(self.log, "ab") as log:
            log.write(f"--- start {time.time():.3f}\n".encode())
            log.flush()
            self.child = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env,
                                          cwd=self.cwd or self.place.folder, start_new_session=True)
        return self

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def send(self, number):
        if self.alive():
            self.child.send_signal(number)

    def kill(self):
        self.send(signal.SIGKILL)
        if self.child:
            self.child.wait()

    def stop(self, seconds=10, number=signal.SIGTERM):
        self.send(number)
        if self.child:
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()

    def tail(self, lines=20):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                return "".join(f.readlines()[-lines:])
        except OSError:
            return ""


class Place:
    """A namespace behind the router, 10.0.N.10 and more addresses, and its control groups."""

    def __init__(self, lab, name, number, more=()):
        self.name, self.number = name, number
        self.ns, self.folder = f"{lab.name}-{name}", f"{lab.folder}/{name}"
        self.address = f"10.0.{number}.10"
        self.group = f"{CGROUP}/{lab.name}-{name}"
        self.blkio = f"{BLKIO}/{lab.name}-{name}" if os.path.exists(BLKIO + "/blkio.throttle.write_bps_device") else None
        self.router, self.more = lab.name + "-net", more
        self.programs = {}

    def up(self):
        os.makedirs(self.folder, exist_ok=True)
        os.makedirs(self.group, exist_ok=True)
        if self.blkio:
            os.makedirs(self.blkio, exist_ok=True)
        far = f"to-{self.name}"
        run("ip", "netns", "add", self.ns)
        run("ip", "-n", self.router, "link", "add", far, "type", "veth", "peer", "name", "eth0", "netns", self.ns)
        run("ip", "-n", self.router, "addr", "add", f"10.0.{self.number}.1/24", "dev", far)
        run("ip", "-n", self.router, "link", "set", far, "up")
        for a in (self.address, *self.more):
            run("ip", "-n", self.ns, "addr", "add", f"{a}/24", "dev", "eth0")
        for dev in ("lo", "eth0"):
            run("ip", "-n", self.ns, "link", "set", dev, "up")
        run("ip", "-n", self.ns, "route", "add", "default", "via", f"10.0.{self.number}.1")

    def down(self):
        self.kill()
        run("ip", "netns", "del", self.ns, check=False)
        for group in (self.group, self.blkio):
            for _ in range(50):
                try:
                    if group and os.path.exists(group):
                        os.rmdir(group)
                    break
                except OSError:
                    time.sleep(0.05)

    def start(self, name, argv, **options):
        self.programs[name] = p = Program(self, name, argv, **options).start()
        return p

    def enter(self, *argv, **options):
        """Runs to its end in this place's network."""
        return run("nsenter", f"--net=/run/netns/{self.ns}", "--", *argv, **options)

    def pids(self):
        try:
            with open(f"{self.group}/cgroup.procs", encoding="ascii") as f:
                return [int(p) for p in f.read().split()]
        except OSError:
            return []

    def each(self, number):
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        """kill -9 of everything here, at once."""
        try:
            with open(f"{self.group}/cgroup.kill", "w", encoding="ascii") as f:
                f.write("1")
        except OSError:
            self.each(signal.SIGKILL)
        end = time.monotonic() + 10
        while self.pids() and time.monotonic() < end:
            for p in self.programs.values():
                p.alive()  # reaps
            time.sleep(0.02)
        for p in self.programs.values():
            p.alive()

    def pause(self):
        """SIGSTOP to everything here; twice, for children born meanwhile."""
        self.each(signal.SIGSTOP)
        self.each(signal.SIGSTOP)

    def wake(self):
        self.each(signal.SIGCONT)

    def disk(self, bytes_per_second):
        """So much may programs started with slow=True write to the disk; None: as fast as it can."""
        if not self.blkio:
            raise RuntimeError("no blkio throttling here")
        device = os.stat(self.folder).st_dev
        with open(f"{self.blkio}/blkio.throttle.write_bps_device", "w", encoding="ascii") as f:
            f.write(f"{os.major(device)}:{os.minor(device)} {bytes_per_second or 0}\n")


class Router:
    """Between the places. Faults are rules of its forward chain; heal() takes all of them away."""

    def __init__(self, lab):
        self.ns = lab.name + "-net"
        self.rules = []

    def up(self):
        run("ip", "netns", "add", self.ns)
        run("ip", "-n", self.ns, "link", "set", "lo", "up")
        run("ip", "netns", "exec", self.ns, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.heal()

    def down(self):
        run("ip", "netns", "del", self.ns, check=False)

    def apply(self):
        text = "table inet fault\ndelete table inet fault\ntable inet fault {\nchain forward {\n" \
            "type filter hook forward priority 0\n" + "".join(r + "\n" for r in self.rules) + "}\n}\n"
        run("ip", "netns", "exec", self.ns, "nft", "-f", "-", stdin=text)

    def heal(self):
        self.rules = []
        self.apply()

    def drop(self, source=None, target=None, percent=100, more=""):
        """Packets from place to place (None: any), that share of them."""
        rule = f"ip saddr 10.0.{source.number}.0/24 " if source else ""
        rule += f"ip daddr 10.0.{target.number}.0/24 " if target else ""
        rule += more + " " if more else ""
        rule += f"numgen random mod 100 < {percent} " if percent < 100 else ""
        self.rules.append(rule + "counter drop")
        self.apply()

    def cut(self, one, other=None, percent=100):
        """Both ways between two places, or a place and all others."""
        self.drop(one, other, percent)
        self.drop(other, one, percent)
