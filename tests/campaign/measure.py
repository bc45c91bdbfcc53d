"""What the users' records say: outage, lost acknowledged writes, two writers at once. And intervals and percentiles.

An acknowledgement is (moment, region, number). Lost: acknowledged by anybody and absent in the database that writes at the
end. Two writers: the old region acknowledges anything after the new one's first acknowledgement. Since the users include
stubborn ones that always ask one region, a region that goes on acknowledging cannot hide.
"""
import json
import math


def rows(path):
    out = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            try:
                row = json.loads(line)
            except ValueError:
                continue  # the last line of a client that was killed
            if "seq" in row:
                out.append(row)
    return out


class Record:
    """The records of one run's users, {user: path}."""

    def __init__(self, files, run):
        self.rows = {user: rows(path) for user, path in files.items()}
        self.client = {user: f"{user}{run}" for user in files}

    def acks(self, user=None, region=None):
        """(done, sent, region, user, seq), in order of time."""
        out = [(r["done"], r["sent"], r["region"], u, r["seq"]) for u, rs in self.rows.items() for r in rs
               if r["ok"] and user in (None, u) and region in (None, r["region"])]
        return sorted(out)

    def outage(self, since=None, until=None):
        """The longest time in which the user by name had nothing acknowledged: (seconds, from, to)."""
        at = [a[0] for a in self.acks("user") if (since is None or a[0] >= since - 5) and (until is None or a[0] <= until)]
        gaps = [(b - a, a, b) for a, b in zip(at, at[1:])]
        if until is not None and at:
            gaps.append((until - at[-1], at[-1], until))
        return max(gaps, default=(0.0, None, None))

    def overlaps(self, old, new):
        """In a record of one move from region to region: how many acknowledgements the old region gave after the first of
        the new one, and how long after it the last came, in seconds. (0, 0.0) when there was one writer at a time."""
        first = min((a[0] for a in self.acks(region=new)), default=None)
        late = [a[0] for a in self.acks(region=old) if first is not None and a[0] > first]
        return len(late), round(max(late) - first, 3) if late else 0.0

    def lost(self, database):
        """Numbers acknowledged that are not in the database, by user; how many were acknowledged."""
        lost, total = {}, 0
        for user, client in self.client.items():
            acked = {r["seq"]: r for r in self.rows[user] if r["ok"]}
            total += len(acked)
            text = database.sql(f"select seq from writes where client = '{client}'")
            there = {int(s) for s in text.split()} if text else set()
            gone = sorted(set(acked) - there)
            if gone:
                lost[user] = [acked[s] for s in gone]
        return lost, total


def wilson(good, n, z=1.959964):
    """The 95 % interval of a share."""
    if n == 0:
        return 0.0, 1.0
    p = good / n
    mid, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (mid - half) / (1 + z * z / n)), min(1.0, (mid + half) / (1 + z * z / n))


def percentile(values, q):
    """By the nearest rank."""
    v = sorted(values)
    return v[max(0, math.ceil(q * len(v)) - 1)] if v else None
