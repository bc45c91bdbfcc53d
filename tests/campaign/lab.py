"""Three regions on one machine, with a service in front of a database, and users.

  east us-east-1      primary at first: PostgreSQL, the service, an etcd member, an aggregator, an agent with a guard
  west us-west-2      the standby: the same
  eu   eu-central-1   the third failure domain: an etcd member, an aggregator as witness, the second name server
  dns                 the first name server, outside of all regions
  out                 the users and three canaries

Each lies behind the router (box.py), which knows of latency nothing: there is no netem in every kernel.
"""
import os
import shutil
import signal
import sys
import time

from box import Place, Router, run
from servers import NAME, NAME_SERVERS, Etcd, Postgres, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
PYTHON = "/usr/bin/python3"
PORT = 8080
REGIONS = {"east": "us-east-1", "west": "us-west-2", "eu": "eu-central-1"}
PLACE_OF = {v: k for k, v in REGIONS.items()}


class Lab:
    def __init__(self, name, folder, synchronous=True, every=0.1, names="knot"):
        self.name, self.folder, self.synchronous, self.every = name, folder, synchronous, every
        self.router = Router(self)
        self.east, self.west = Place(self, "east", 1), Place(self, "west", 2)
        self.eu = Place(self, "eu", 3, more=("10.0.3.53",))
        self.out = Place(self, "out", 4, more=("10.0.4.11", "10.0.4.12"))
        self.dns = Place(self, "dns", 5, more=("10.0.5.53",))
        self.places = (self.east, self.west, self.eu, self.out, self.dns)
        self.databases = {p.name: Postgres(p, synchronous) for p in (self.east, self.west)}
        self.ca = f"{folder}/ca"
        self.etcd = Etcd(self.ca, (self.east, self.west, self.eu))
        self.names = NAME_SERVERS[names](self.dns, self.eu)
        self.programs = None  # set by programs.py: what of SecureBase stands in each region
        self.runs = 0

    def place(self, region):
        return getattr(self, PLACE_OF.get(region, region))

    def other(self, place):
        return self.west if place is self.east else self.east

    # ---- up and down ----

    def up(self):
        self.down()
        os.makedirs(self.folder)
        os.chmod(self.folder, 0o755)
        run("sh", f"{TOP}/packaging/devca.sh", self.ca, f"server:{','.join(p.address for p in self.etcd.places)}")
        self.router.up()
        for p in self.places:
            p.up()
        for p in self.etcd.places:
            self.etcd.start(p)
        self.out.start("canaries", [PYTHON, f"{HERE}/canary.py", *self.out.more])
        self.databases["east"].create()
        self.databases["west"].follow(self.databases["east"])
        self.names.start(self.east.address)
        for p in (self.east, self.west):
            self.serve(p)
        wait_for(lambda: self.etcd.leader(self.eu), 30, "etcd has a leader")
        wait_for(lambda: self.health(self.east) == "primary" and self.health(self.west) == "standby", 20, "both regions are well")
        return self

    def down(self):
        """Takes away everything that bears this lab's name, also what an earlier process left behind."""
        for p in self.places:
            p.kill()
        for p in self.places:
            p.down()
        self.router.down()
        shutil.rmtree(self.folder, ignore_errors=True)

    def serve(self, place):
        place.start("service", [PYTHON, f"{HERE}/service.py", REGIONS[place.name], place.address, PORT,
                                self.databases[place.name].dsn, 8125, f"{place.folder}/lease"])

    def revive(self, place):
        """After everything in a region was killed: what its machines start by themselves. The database does not: it may come
        back only as a standby, by `Postgres.follow`."""
        if "etcd" not in place.programs or not place.programs["etcd"].alive():
            self.etcd.start(place)
        if not place.programs["service"].alive():
            self.serve(place)

    # ---- looking ----

    def health(self, place):
        """The role that the region's service says, asked from `out`; None when it is not well."""
        out = self.out.enter("curl", "-s", "-m", "2", f"http://{place.address}:{PORT}/health", check=False)
        return (out.stdout.split('"role": "')[1].split('"')[0] or None) if '"role": "' in out.stdout else None

    def primary(self):
        """The database that is primary by its own word; None when there is not exactly one."""
        are = [d for d in self.databases.values() if d.recovering() is False]
        return are[0] if len(are) == 1 else None

    # ---- users ----

    def users(self):
        """Starts one user by name and a stubborn one for each region; returns their records' files by name."""
        self.runs += 1
        files = {}
        for name, how in (("user", ["by-name", NAME, *self.names.addresses]), ("east", ["by-address", self.east.address]),
                          ("west", ["by-address", self.west.address])):
            files[name] = f"{self.folder}/user-{name}-{self.runs}.jsonl"
            every = self.every if name == "user" else max(0.25, self.every)
            self.out.start(f"user-{name}", [PYTHON, f"{HERE}/client.py", f"{name}{self.runs}", files[name], PORT, every, *how])

        def served():
            with open(files["user"], encoding="utf-8") as f:
                return '"ok": true' in f.read()
        wait_for(served, 30, "the user by name is served")
        return files

    def users_end(self):
        users = [p for n, p in self.out.programs.items() if n.startswith("user-")]
        for p in users:
            p.send(signal.SIGTERM)
        for p in users:
            p.stop(10)


def main():
    lab = Lab("sblab", "/var/tmp/sblab")
    began = time.monotonic()
    if sys.argv[1:] == ["down"]:
        lab.down()
    else:
        lab.up()
        run("ip", "netns")
    print(f"{time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
