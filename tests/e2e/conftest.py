"""Fixtures: everything that a test starts is stopped by pid when the test ends, and its log is shown when the test failed."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import support  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for p in getattr(item, "started", []):
            report.sections.append((p.name, p.tail(40)))


@pytest.fixture(scope="session")
def ca(tmp_path_factory):
    """A CA with a server certificate for loopback, agents web-1 to web-3, and the roles."""
    return support.authority(str(tmp_path_factory.mktemp("ca")), "server:localhost,127.0.0.1", "agent:web-1", "agent:web-2",
                             "agent:web-3", "role:relay", "role:viewer", "role:operator", "role:peer")


@pytest.fixture
def started(request):
    """A list of processes; append to it what must not outlive the test."""
    request.node.started = processes = []
    yield processes
    for p in reversed(processes):
        if p.alive():
            p.kill()


@pytest.fixture
def aggregator(tmp_path, ca, started):
    """aggregator(section=values, …) makes and starts one."""
    def make(start=True, **options):
        a = support.Aggregator(tmp_path, ca, **options)
        started.append(a)
        return a.start() if start else a
    return make


@pytest.fixture
def agent(tmp_path, ca, started):
    """agent(endpoints, name="web-1", …) makes and starts one."""
    def make(endpoints, start=True, **options):
        a = support.Agent(tmp_path, ca, endpoints, **options)
        started.append(a)
        return a.start() if start else a
    return make


@pytest.fixture
def prometheus(tmp_path, started):
    """prometheus(jobs) makes and starts one."""
    def make(jobs, **options):
        p = support.Prometheus(tmp_path, jobs, **options)
        started.append(p)
        return p.start()
    return make
