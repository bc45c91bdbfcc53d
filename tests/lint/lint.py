#!/usr/bin/env python3
"""The rules of the house, checked on sources and objects: lint.py BUILD

 pure      every object not made from *_io.c, main.c or a driver needs only symbols of ours and of allowed.txt
 state     no writable data outside main.c
 banned    calls that no file may make
 names     one file alone defines a symbol, over all programs: the tests link them together
 includes  by full path; down the road or into common/, never back up; the inside of a room from that room alone
 #if       none inside functions
 size      no file of more than 700 lines, no function of more than 100 (tests excepted), no line of more than 132
 opening   every file begins with what it is for
 unsaid    no note to do it later
 format    clang-format, where it is installed

Prints the largest files and functions at the end: a prompt to look. Exit status 1 when a rule is broken. Works on the folder
that it is run in; tests/lint/selftest.py breaks each rule and sees it refused.
"""
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOMS = ("common/", "agent/", "aggregator/")
DRIVERS = ("aggregator/notify/", "aggregator/actions/")
BANNED = """strcpy strcat sprintf vsprintf gets strtok atoi atof atol atoll strncpy strncat setjmp longjmp system popen
rand srand random tmpnam tempnam mktemp localtime gmtime ctime asctime alloca stpcpy getwd""".split()
# Rooms in the order of the road. A file may include from its own room, from rooms behind it, and from common/.
ROAD = ["agent/guard", "agent/collectors", "agent/inputs", "agent/ship",
        "aggregator/ingest", "aggregator/store", "aggregator/series", "aggregator/slo", "aggregator/alert", "aggregator/failover",
        "aggregator/incident", "aggregator/notify", "aggregator/actions", "aggregator/expose", "aggregator/export"]
FILE_MOST, FUNCTION_MOST, WIDTH_MOST = 700, 100, 132
# Headers that a room keeps to itself.
INSIDE = re.compile(r"(_in|_private|_internal)\.h$")
# What sbctl needs of the aggregator's pure rooms to try rules without one.
SHARED = ("aggregator/alert/", "aggregator/notify/notice.h", "aggregator/failover/journal.h")
COMMON = ["common/probe", "common/daemon", "common/net", "common/config", "common/wire", "common/sketch", "common/base"]

faults = []


def fault(rule, where, text):
    faults.append(f"{where}: {rule}: {text}")


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def sources():
    out = []
    for top in ROOMS + ("tests/",):
        for folder, _, names in os.walk(top):
            out += [os.path.join(folder, n) for n in names if n.endswith((".c", ".h"))]
    return sorted(out)


def touches_the_world(path):
    base = os.path.basename(path)
    if base.endswith("_io.c") or base == "main.c":
        return True
    if not path.startswith(DRIVERS) or not os.path.exists(path):
        return False
    with open(path, encoding="utf-8") as f:  # of the drivers' folders only the drivers themselves
        return re.search(r"^const struct (channel|action_driver) \w+ = \{", f.read(), re.M) is not None


def symbols(obj):
    undefined, defined = set(), set()
    for line in run("nm", obj).splitlines():
        parts = line.split()
        if parts[0] == "U" or parts[0] == "w":
            undefined.add(parts[1].split("@")[0])
        elif len(parts) == 3 and parts[1] in "TDRBVWiC":
            defined.add(parts[2])
    return undefined, defined


def writable(obj):
    total = 0
    for line in run("size", "-A", obj).splitlines():
        parts = line.split()
        if len(parts) >= 2 and re.match(r"\.(data|bss|tdata|tbss)(\.|$)", parts[0]) and ".rel.ro" not in parts[0]:
            total += int(parts[1])
    return total


def allowed():
    words = set()
    with open(os.path.join(HERE, "allowed.txt"), encoding="utf-8") as f:
        for line in f:
            words.update(line.split("#")[0].split())
    return words


def check_objects(build):
    ok = allowed()
    files = [p for p in sources() if p.endswith(".c") and p.startswith(ROOMS)]
    objects = {p: os.path.join(build, "obj", p[:-2] + ".o") for p in files}
    missing = [p for p, o in objects.items() if not os.path.exists(o)]
    if missing:
        sys.exit(f"lint: not built: {' '.join(missing)} (run make all unit first)")
    table = {p: symbols(o) for p, o in objects.items()}
    pure = [p for p in files if not touches_the_world(p)]
    # What a pure file may call: allowed libc and libraries, and what other pure files define. A function of an _io file is the
    # world, however it is named.
    ours_pure = set().union(*[table[p][1] for p in pure]) if pure else set()
    ours_world = {}
    for p in files:
        if p not in pure:
            for s in table[p][1]:
                ours_world[s] = p
    for p in pure:
        for s in sorted(table[p][0]):
            plain = re.sub(r"^__(.*)_chk$", r"\1", s)
            heap = plain in ("malloc", "calloc", "realloc", "free") and p == "common/base/mem.c"
            generated = re.match(r"io__prometheus__client__|__(asan|ubsan|tsan|sanitizer|gcov|llvm)_", s)
            if s in ours_pure or plain in ok or heap or generated:
                continue
            if s in ours_world:
                fault("pure", p, f"calls {s} of {ours_world[s]}")
            else:
                fault("pure", p, f"needs {s}, which is not in tests/lint/allowed.txt")
    homes = {}
    for p in files:
        for s in table[p][1] - {"main"}:
            if homes.setdefault(s, p) != p:
                fault("names", p, f"{s} is defined in {homes[s]} as well")
    for p in files:
        if os.path.basename(p) != "main.c" and writable(objects[p]):
            fault("state", p, f"{writable(objects[p])} bytes of writable file-level data")
        for s in table[p][0]:
            if re.sub(r"^__(.*)_chk$", r"\1", s) in BANNED:
                fault("banned", p, f"calls {s}, as its object has it")
    return pure, len(files)


def room_of(path):
    return "/".join(path.split("/")[:2])


def check_includes(path, lines):
    top = path.split("/")[0]
    for n, line in enumerate(lines, 1):
        m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not m or m.group(1) == "version.h":
            continue
        target = m.group(1)
        other = target.split("/")[0]
        where = f"{path}:{n}"
        if not target.startswith(ROOMS + ("tests/",)) or ".." in target:
            fault("includes", where, f"{target} is not a path from the top")
            continue
        if INSIDE.search(target) and os.path.dirname(path) != os.path.dirname(target):
            fault("includes", where, f"{target} is the inside of another room")
        if target.startswith("tests/") and top != "tests":
            fault("includes", where, f"{top}/ may not include {target}")
        if top == "tests" or other == "common" and top != "common":
            continue
        if other != top:
            fault("includes", where, f"{top}/ may not include {target}")
        a, b = room_of(path), room_of(target)
        for order in (ROAD, COMMON):
            if a in order and b in order and order.index(b) < order.index(a):
                fault("includes", where, f"{target} lies back up the road")
        if path.startswith("aggregator/ctl/") != target.startswith("aggregator/ctl/") and top == "aggregator":
            if not (path.startswith("aggregator/ctl/") and target.startswith(SHARED)):
                fault("includes", where, "sbctl and the aggregator share nothing but common/ and the rules of alerts")


def functions(lines):
    """Yields (first line, length) of each function, by the house style: { and } in the first column."""
    start = None
    for n, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = n
        elif line.startswith("}") and start:
            yield start, n - start + 1
            start = None


def check_calls(path, lines):
    """By the source as well: a compiler may make another call of the one that was written (strtol of atoi)."""
    blank = lambda m: re.sub(r"[^\n]", " ", m.group(0))
    code = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, "\n".join(lines), flags=re.S)
    for m in re.finditer(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(", code):
        fault("banned", f"{path}:{code[:m.start()].count(chr(10)) + 1}", f"calls {m.group(1)}")


def check_lines(path, lines):
    if not lines[0].startswith("/*"):
        fault("opening", f"{path}:1", "a file opens with its purpose")
    for n, line in enumerate(lines, 1):
        if len(line) > WIDTH_MOST:
            fault("size", f"{path}:{n}", f"{len(line)} columns; at most {WIDTH_MOST}")
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
            fault("unsaid", f"{path}:{n}", "a note to do it later")


def check_text(files):
    largest_files, largest_functions = [], []
    for path in files:
        with open(path, encoding="utf-8") as f:
            lines = f.read().split("\n")
        check_includes(path, lines)
        check_lines(path, lines)
        if path.startswith(ROOMS):
            check_calls(path, lines)
        if not path.endswith(".c") or not path.startswith(ROOMS):
            continue
        largest_files.append((len(lines), path))
        if len(lines) > FILE_MOST:
            fault("size", path, f"{len(lines)} lines; at most {FILE_MOST}")
        inside = list(functions(lines))
        for start, length in inside:
            largest_functions.append((length, f"{path}:{start - 1}"))
            if length > FUNCTION_MOST:
                fault("size", f"{path}:{start - 1}", f"a function of {length} lines; at most {FUNCTION_MOST}")
        for n, line in enumerate(lines, 1):
            if re.match(r"\s*#\s*if", line) and any(s <= n < s + length for s, length in inside):
                fault("#if", f"{path}:{n}", "inside a function")
    return largest_files, largest_functions


def check_format(files):
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not tool:
        print("lint: clang-format is not installed: format not checked")
        return
    r = subprocess.run([tool, "--dry-run", "-Werror", *files], capture_output=True, text=True, check=False)
    bad = sorted({l.split(":")[0] for l in r.stderr.splitlines() if "error:" in l})
    for path in bad:
        fault("format", path, "run clang-format -i on it")


def main():
    pure, total = check_objects(sys.argv[1])
    files = [p for p in sources() if not p.endswith("_table.h")]
    largest_files, largest_functions = check_text(files)
    check_format(files)
    print(f"lint: {len(pure)} of {total} files are pure")
    if "-v" in sys.argv:
        print("\n".join("  " + p for p in pure))
    print("largest files:     " + ", ".join(f"{p} {n}" for n, p in sorted(largest_files, reverse=True)[:5]))
    print("largest functions: " + ", ".join(f"{p} {n}" for n, p in sorted(largest_functions, reverse=True)[:5]))
    for f in faults:
        print(f)
    print(f"lint: {len(faults)} faults")
    sys.exit(1 if faults else 0)


main()
