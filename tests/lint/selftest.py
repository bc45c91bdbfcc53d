#!/usr/bin/env python3
"""Breaks each rule of lint.py in a small tree of its own and sees it refused: selftest.py CC

A rule that nothing can break is no rule. The same tree without what is planted has to pass.
"""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))

CLEAN = {
    "common/base/sum.h": "/* Sums. */\nint sum(int a, int b);\n",
    "common/base/sum.c": '/* Sums. */\n#include "common/base/sum.h"\n\nint sum(int a, int b)\n{\n    return a + b;\n}\n',
    "aggregator/ingest/take_in.h": "/* The inside of ingest. */\nint take(void);\n",
    "aggregator/ingest/take.h": "/* Takes in. */\nint take(void);\n",
    "tests/unit/kit.h": "/* A kit. */\n",
    "aggregator/ingest/take_io.c": '/* Takes in. */\n#include <time.h>\n\n#include "aggregator/ingest/take_in.h"\n\n'
                                   "int take(void)\n{\n    return (int)time(NULL);\n}\n",
    "aggregator/expose/show.c": '/* Shows. */\n#include "common/base/sum.h"\n\nint show(void);\nint show(void)\n{\n'
                                "    return sum(1, 2);\n}\n",
}


def function(body, head="", includes=""):
    return f"/* Planted. */\n{includes}{head}int planted(int n);\nint planted(int n)\n{{\n{body}    return n;\n}}\n"


# What is planted: a file, its text, and the words that lint has to answer with.
PLANTED = [
    ("a clock read", "common/base/planted.c", function("    n += (int)time(NULL);\n", includes="#include <time.h>\n\n"),
     "common/base/planted.c: pure: needs time,"),
    ("a clock read by way of a file that may", "aggregator/expose/planted.c",
     function("    n += take();\n", head="int take(void);\n"), "pure: calls take of aggregator/ingest/take_io.c"),
    ("a line to stderr", "aggregator/series/planted.c",
     function('    (void)fprintf(stderr, "%d", n);\n', includes="#include <stdio.h>\n\n"), "pure: needs stderr,"),
    ("memory from nowhere", "aggregator/series/planted.c",
     function("    void *volatile p = malloc((size_t)n);\n\n    n += !p;\n", includes="#include <stdlib.h>\n\n"), "pure: needs malloc,"),
    ("the environment", "agent/ship/planted.c",
     function('    n += !getenv("HOME");\n', includes="#include <stdlib.h>\n\n"), "pure: needs getenv,"),
    ("a writable static in a function", "agent/ship/planted.c", function("    static int count;\n\n    n += count++;\n"),
     "state: 4 bytes of writable file-level data"),
    ("a writable static of a thread, in a file that may touch the world", "agent/ship/planted_io.c",
     function("    n += count++;\n", head="static _Thread_local int count = 3;\n"), "state: 4 bytes"),
    ("a banned call", "agent/ship/planted_io.c",
     function('    n += atoi("7");\n', includes="#include <stdlib.h>\n\n"), "planted_io.c:7: banned: calls atoi"),
    ("a banned call that the compiler hardens", "agent/ship/planted_io.c",
     function("    char t[8];\n\n    strcat(strcpy(t, n ? \"a\" : \"b\"), getenv(\"X\"));\n    n += t[0];\n",
              includes="#include <stdlib.h>\n#include <string.h>\n\n"), "planted_io.c:10: banned: calls strcat"),
    ("a name that another program has", "agent/ship/planted.c",
     "/* Planted. */\nint show(void);\nint show(void)\n{\n    return 1;\n}\n", "show.c: names: show is defined in agent/ship/planted.c as well"),
    ("an include back up the road", "aggregator/series/planted_io.c",
     '/* Planted. */\n#include "aggregator/ingest/take.h"\n\nint planted;\n', "includes: aggregator/ingest/take.h lies back up the road"),
    ("an include from the other daemon", "agent/ship/planted_io.c",
     '/* Planted. */\n#include "aggregator/ingest/take.h"\n', "includes: agent/ may not include"),
    ("an include from a daemon into common", "common/net/planted_io.c",
     '/* Planted. */\n#include "aggregator/ingest/take.h"\n', "includes: common/ may not include"),
    ("an include of the inside of a room", "aggregator/planted_io.c",
     '/* Planted. */\n#include "aggregator/ingest/take_in.h"\n', "includes: aggregator/ingest/take_in.h is the inside of another room"),
    ("an include by a path that says nothing", "aggregator/expose/planted_io.c",
     '/* Planted. */\n#include "../ingest/take.h"\n', "includes: ../ingest/take.h is not a path from the top"),
    ("an include of a test", "agent/ship/planted_io.c",
     '/* Planted. */\n#include "tests/unit/kit.h"\n', "includes: agent/ may not include tests/"),
    ("#if in a function", "agent/ship/planted.c", function("#if __linux__\n    n++;\n#endif\n"), "#if: inside a function"),
    ("a function without end", "agent/ship/planted.c", function("    n++;\n" * 101), "size: a function of"),
    ("a file without end", "agent/ship/planted.c", "/* Planted. */\n" + "/* and on */\n" * 701, "size: 703 lines"),
    ("a wide line", "agent/ship/planted.h", f"/* Planted{'.' * 121} */\n", "size: 134 columns"),
    ("a file without its purpose", "agent/ship/planted.h", "int planted(int n);\n", "opening: a file opens with its purpose"),
    ("a promise", "agent/ship/planted.h", "/* Planted. " + "TO" + "DO: the rest */\n", "unsaid: a note to do it later"),
    ("a line out of form", "agent/ship/planted.h", "/* Planted. */\nint   planted(int n) ;\n", "format: run clang-format"),
]


class Tree:
    """A small tree with its objects."""

    def __init__(self, folder, cc):
        self.folder, self.cc = folder, cc
        shutil.copy(os.path.join(TOP, ".clang-format"), folder)

    def put(self, path, text):
        full, obj = os.path.join(self.folder, path), os.path.join(self.folder, "build/obj", path[:-2] + ".o")
        os.makedirs(os.path.dirname(full), exist_ok=True)
        os.makedirs(os.path.dirname(obj), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)
        if path.endswith(".c"):
            subprocess.run([*self.cc, "-std=c11", "-O2", "-D_GNU_SOURCE", "-w", "-I.", "-c", "-o", obj, path], cwd=self.folder,
                           check=True)

    def lint(self):
        """(exit status, what was said)"""
        r = subprocess.run([sys.executable, os.path.join(HERE, "lint.py"), "build"], cwd=self.folder, capture_output=True,
                           text=True, check=False)
        return r.returncode, r.stdout + r.stderr


def faults(tree):
    """What was planted and not refused, in words."""
    for path, text in CLEAN.items():
        tree.put(path, text)
    status, said = tree.lint()
    if status != 0:
        yield f"a clean tree was refused:\n{said}"
    formatter = shutil.which("clang-format-14") or shutil.which("clang-format")
    for what, path, text, words in PLANTED:
        if words.startswith("format") and not formatter:
            continue
        tree.put(path, text)
        status, said = tree.lint()
        if status != 1 or words not in said:
            yield f'{what} was not refused with "{words}" (status {status}):\n{said}'
        os.remove(os.path.join(tree.folder, path))


def main():
    with tempfile.TemporaryDirectory(prefix="lint-") as folder:
        bad = list(faults(Tree(folder, sys.argv[1].split())))
    print("\n".join(bad) if bad else f"lint: each of {len(PLANTED)} planted faults is refused")
    sys.exit(1 if bad else 0)


main()
