"""`automation = auto` stands only where its conditions hold: the configuration check of the real program, one condition after
the other taken away from a section that has them all. Each is refused by name, in the line where `automation` stands."""
import re
import subprocess

import pytest

FENCE = ("action off", {"type": "command", "service": "app", "step": "fence", "required": "yes", "command": "/bin/true",
                        "proves": "yes"})
PROMOTE = ("action up", {"type": "command", "service": "app", "step": "promote", "command": "/bin/true"})
APP = {"regions": "us-east-1 us-west-2", "automation": "auto", "users": "checkout",
       "probes": "us-east-1=tcp://127.0.0.1:1 us-west-2=tcp://127.0.0.1:2"}
CHECKOUT = ("slo checkout", {"good": 'requests_total{code!~"5.."}', "total": "requests_total", "objective": "99.9%", "by": "region"})
VOTERS = {"east": "us-east-1", "west": "us-west-2", "eye": "eu-west-1"}


def sections_of(app=None, voters=None, leads="west", more=(FENCE, PROMOTE, CHECKOUT)):
    """Sections of west's aggregator; `app` replaces options of [failover app], None takes one out."""
    chosen = {k: v for k, v in {**APP, **(app or {})}.items() if v is not None}
    return [(f"voter {n}", {"region": r, "leads": "yes" if n in leads else "no"}) for n, r in (voters or VOTERS).items()] + [
        ("failover app", chosen), *more]


def checked(aggregator, sections):
    a = aggregator(start=False, sections=sections, aggregator={"region": "us-west-2", "voter": "west"})
    return a, subprocess.run([a.argv[0], "-c", a.file, "--check-config"], capture_output=True, text=True, check=False, timeout=60)


def test_all_of_them_hold(aggregator):
    _, out = checked(aggregator, sections_of())
    assert out.returncode == 0, out.stderr


CASES = {
    "two voters": (dict(voters={"east": "us-east-1", "west": "us-west-2"}), "three voters in three failure domains"),
    "two failure domains": (dict(voters={"east": "us-east-1", "west": "us-west-2", "eye": "us-west-2"}),
                            "three voters in three failure domains"),
    "no fence": (dict(more=(PROMOTE, CHECKOUT)), "no way to fence home"),
    "a fence without proof": (dict(more=((FENCE[0], {**FENCE[1], "proves": "no"}), PROMOTE, CHECKOUT)), "no way to fence home"),
    "two leaders, one store": (dict(leads=("west", "eye")), "exactly one voter may lead"),
    "no probes": (dict(app={"probes": None}), "no probes"),
    "probes alone": (dict(app={"users": None, "regions": "us-east-1 us-west-2 ap-south-1"}), "probes alone speak of a region"),
}


@pytest.mark.parametrize("name", CASES)
def test_one_does_not(aggregator, name):
    change, words = CASES[name]
    a, out = checked(aggregator, sections_of(**change))
    assert out.returncode == 78, (out.returncode, out.stderr)
    with open(a.file, encoding="utf-8") as f:
        line = f.read().splitlines().index("automation = auto") + 1
    assert re.search(rf"aggregator\.ini:{line}: .*automation.*auto is not allowed: .*{words}", out.stderr), out.stderr
    # proposing asks for none of that
    change = {**change, "app": {**change.get("app", {}), "automation": "propose"}}
    _, out = checked(aggregator, sections_of(**change))
    assert out.returncode == 0, out.stderr


def test_a_voter_in_each_region_is_a_second_class(aggregator):
    _, out = checked(aggregator, sections_of(app={"users": None}))
    assert out.returncode == 0, out.stderr


def test_without_writers_no_fence_is_needed(aggregator):
    _, out = checked(aggregator, sections_of(app={"fence_required": "no"}, more=(PROMOTE, CHECKOUT)))
    assert out.returncode == 0, out.stderr
