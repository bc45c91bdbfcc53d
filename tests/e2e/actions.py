"""One operation of one action through tests/tools/action_tool.c."""
import json
import os
import subprocess

import support

TOOL = os.path.join(support.BUILD, "tests", "action_tool")


class Actions:
    """add(name, **options) for each action; run(name, op, **order) gives the result; begin() a process."""

    def __init__(self, folder):
        self.folder, self.sections = str(folder), {}
        self.file = os.path.join(self.folder, "actions.ini")

    def add(self, name, /, **options):
        self.sections[name] = dict({"service": "app"}, **options)
        return name

    def secret(self, name, text):
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as f:
            f.write(text + "\n")
        return "file:" + path

    def write(self):
        text = support.ini([(f"action {n}", o) for n, o in self.sections.items()])
        with open(self.file + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.replace(self.file + ".new", self.file)  # others may be reading it

    def begin(self, name, op, /, **order):
        self.write()
        words = [f"{k}={v}" for k, v in order.items()]
        return subprocess.Popen([TOOL, self.file, name, op, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def end(child):
        out, err = child.communicate(timeout=60 * support.PATIENCE)
        assert child.returncode == 0, err
        return json.loads(out)

    def run(self, name, op, /, **order):
        return self.end(self.begin(name, op, **order))

    def check(self):
        """What a start would say of the file: "" when it is good."""
        self.write()
        r = subprocess.run([TOOL, self.file, "check"], capture_output=True, text=True, timeout=60, check=False)
        assert r.returncode == (78 if r.stderr else 0), r.stderr
        return r.stderr
