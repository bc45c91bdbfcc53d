"""The measuring tools measured: failovers by hand in a lab without SecureBase, whose truth is known.

  right    the primary is killed, the standby promoted, the name pointed at it: no loss, no second writer, an outage as long
           as the hand was slow
  careless asynchronous, the link to the standby cut a while before the primary dies, and the standby promoted while the old
           primary still serves: losses and two writers must be SEEN

usage: byhand.py NAME FOLDER [knot|bind|powerdns] [--keep]
"""
import sys
import time

from box import able
from lab import Lab
from measure import Record
from servers import NAME_SERVERS, wait_for


def right(lab):
    files = lab.users()
    time.sleep(5)
    killed = time.monotonic()
    lab.east.kill()
    time.sleep(3)
    lab.databases["west"].promote()
    lab.names.point(lab.out, lab.west.address)
    wait_for(lambda: lab.health(lab.west) == "primary", 10, "west serves")
    time.sleep(8)
    ended = time.monotonic()
    lab.users_end()
    r = Record(files, lab.runs)
    outage, since, _ = r.outage()
    lost, total = r.lost(lab.databases["west"])
    result = {"outage": round(outage, 2), "since_kill": round(since - killed, 2), "lost": sum(map(len, lost.values())),
              "acknowledged": total, "overlaps": r.overlaps("us-east-1", "us-west-2"), "by_west": len(r.acks("user", "us-west-2")),
              "seconds": round(ended - killed, 1)}
    print("right", result)
    assert 3 < outage < 15 and abs(since - killed) < 1, "the outage is what the hand took"
    assert not lost and result["overlaps"][0] == 0 and result["by_west"] > 20
    return result


def back(lab):
    """The old primary becomes a standby, and primary again."""
    lab.revive(lab.east)
    how = lab.databases["east"].follow(lab.databases["west"], rewind=True)
    print("rebuilt by", how)
    lab.databases["west"].unprotect()
    lab.databases["west"].stop()
    lab.databases["east"].promote()
    lab.names.point(lab.out, lab.east.address)
    lab.databases["west"].follow(lab.databases["east"], rewind=True)
    wait_for(lambda: lab.health(lab.east) == "primary" and lab.health(lab.west) == "standby", 20, "home again")


def careless(lab):
    for d in lab.databases.values():
        d.synchronous = False
    lab.databases["east"].unprotect()
    files = lab.users()
    time.sleep(4)
    lab.router.cut(lab.east, lab.west)  # asynchronous: east goes on by itself
    time.sleep(4)
    lab.databases["west"].promote()
    time.sleep(3)
    lab.names.point(lab.out, lab.west.address)
    time.sleep(8)
    lab.users_end()
    lab.router.heal()
    r = Record(files, lab.runs)
    lost, total = r.lost(lab.databases["west"])
    result = {"lost": sum(map(len, lost.values())), "acknowledged": total, "overlaps": r.overlaps("us-east-1", "us-west-2")}
    print("careless", result)
    assert result["lost"] > 20 and result["overlaps"][0] > 10, "losses and a second writer are seen"
    return result


def main():
    why = able()
    if why:
        sys.exit(f"byhand: {why}")
    kind = next((k for k in NAME_SERVERS if k in sys.argv), "knot")
    lab = Lab(sys.argv[1], sys.argv[2], names=kind)
    try:
        lab.up()
        right(lab)
        back(lab)
        careless(lab)
    finally:
        if "--keep" not in sys.argv:
            lab.down()


if __name__ == "__main__":
    main()
