#!/usr/bin/env python3
"""Runs the end-to-end tests, a pytest for each file, three at a time: they wait far more than they work. Arguments go to
each pytest; with files among them, only those are run. Prints the output of what failed, and a line for each file."""
import concurrent.futures
import glob
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
AT_ONCE = 3
# The longest first.
FIRST = ["test_failover.py", "test_delivery.py", "test_protocol_out.py", "test_percentiles.py"]


def run(file, more):
    start = time.monotonic()
    out = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5",
                          "--durations-min=5", file, *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         check=False)
    return file, out.returncode, out.stdout, time.monotonic() - start


def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # who is started in the background begins with it ignored
    files = [a for a in sys.argv[1:] if a.endswith(".py")]
    more = [a for a in sys.argv[1:] if not a.endswith(".py")]
    if not files:
        files = sorted(glob.glob(os.path.join(HERE, "test_*.py")),
                       key=lambda f: (FIRST + [os.path.basename(f)]).index(os.path.basename(f)))
    failed, start = [], time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for done in concurrent.futures.as_completed([pool.submit(run, f, more) for f in files]):
            file, status, output, took = done.result()
            good = status == 0 or (status == 5 and more)  # 5: nothing of this file was asked for
            failed += [] if good else [file]
            print("" if good else output, end="")
            print(f"{os.path.basename(file)}: {output.strip().splitlines()[-1].strip('= ')} ({took:.0f} s)", flush=True)
    print(f"end to end: {len(files) - len(failed)} of {len(files)} files are good, {time.monotonic() - start:.0f} s")
    sys.exit(1 if failed else 0)


main()
