"""Running the real programs inside the lab, and holding a report against what the lab's faults predict."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))

import reasons  # noqa: E402  pylint: disable=wrong-import-position
from lablib import Lab  # noqa: E402,F401  pylint: disable=wrong-import-position,unused-import

PACKAGE = "package.exe"
SUCCESS = ("scheduled", "succeeded")
REASONS = reasons.table()


def programs():
    """The folder of the programs under test: $PUSHER_BIN, else the sanitized build."""
    return pathlib.Path(os.environ.get("PUSHER_BIN", ROOT / "build" / "dev" / "bin")).resolve()


class Admin:
    """An admin's desk inside a lab: own state folder, the push account's password file."""

    def __init__(self, lab, state, bin_dir=None):
        self.lab = lab
        self.state = pathlib.Path(state)
        self.bin = pathlib.Path(bin_dir).resolve() if bin_dir else programs()
        self.state.mkdir(parents=True, exist_ok=True)
        self.environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("PUSHER_", "XDG_"))
        } | {"XDG_STATE_HOME": str(self.state), "HOME": str(self.state), "LC_ALL": "C.UTF-8"}

    def command(self, *arguments):
        return [str(self.bin / "pusher"), *map(str, arguments)]

    def push_arguments(self, package, targets, *options):
        lab = self.lab.data
        rest = [x for target in targets for x in ("-t", target)]
        return ("push", package, *rest, "--user", lab["account"], "--password-file", lab["password_file"], "-y",
                *options)

    def run(self, *arguments, timeout=300, **options):
        return self.lab.run(self.command(*arguments), timeout=timeout, env=self.environment, **options)

    def popen(self, *arguments, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        return self.lab.popen(self.command(*arguments), env=self.environment, **options)

    def push(self, package, targets, *options, **run_options):
        """Runs a push; returns (finished process, its report as a dict or None)."""
        done = self.run(*self.push_arguments(package, targets, "-o", "json", *options), **run_options)
        try:
            return done, json.loads(done.stdout)
        except json.JSONDecodeError:
            return done, None

    def report(self, *arguments):
        done = self.run("report", *arguments, "-o", "json")
        return json.loads(done.stdout)

    def daemons(self, name):
        """Process ids of our own daemons called NAME (they run with this desk's state folder)."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words and words[0].endswith(name.encode()) and any(str(self.state).encode() in w for w in words[1:]):
                found.append(int(pid))
        return found


def conserved(report):
    """Empty, or what is wrong with the report's sums."""
    totals = report["totals"]
    parts = ("succeeded", "failed", "unreachable", "cancelled", "expired", "unknown_effect", "pending",
             "never_attempted")
    problems = []
    if totals["submitted"] != sum(totals[p] for p in parts):
        problems.append(f"totals don't add up: {totals}")
    if len(report["targets"]) != totals["submitted"]:
        problems.append(f"{len(report['targets'])} rows for {totals['submitted']} targets")
    names = [row["target"] for row in report["targets"]]
    if len(set(names)) != len(names):
        problems.append("a target has two rows")
    return problems


def differences(lab, report, hosts=None):
    """Every row that isn't what the lab's faults predict (of HOSTS, if not of all), as sentences; empty when all is as it
    must be."""
    problems = conserved(report) + lab.check_report(report, hosts)
    expected = {target["host"]: target["expected"] or {} for target in lab.targets}
    for row in report["targets"]:
        if row["state"] in SUCCESS:
            continue
        if not (row["reason"] and row["detail"]):
            problems.append(f"{row['target']}: no reason or no sentence: {row}")
        elif row["state"] != expected.get(row["target"], {}).get("state", REASONS[row["reason"]]["state"]):
            problems.append(f"{row['target']}: {row['state']} does not go with {row['reason']}")
    if not problems:
        for row in report["targets"]:
            if row["reason"]:
                reasons.saw(row["reason"])
    return problems


def healthy(lab):
    """Targets with no fault at all, not even one that a push gets over."""
    return [t for t in lab.targets if t["fault"] is None]


def rows_by_name(report):
    return {row["target"]: row for row in report["targets"]}


class PushCase(unittest.TestCase):
    """One lab for the class; each test has its own desk (state folder) and package."""

    TARGETS, SUBNETS, FAULTS = 10, 1, "none"

    @classmethod
    def setUpClass(cls):
        faults = cls.FAULTS if isinstance(cls.FAULTS, str) else ",".join(cls.FAULTS)
        cls.lab = Lab(targets=cls.TARGETS, subnets=cls.SUBNETS, faults=faults, package_name=PACKAGE)
        cls.lab.up(watch_pid=os.getpid())
        cls.addClassCleanup(cls.lab.down)

    @classmethod
    def make_desk(cls):
        """An admin's desk for all tests of the class, with a `folder` for files."""
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="push-"))
        desk = Admin(cls.lab, pathlib.Path(folder, "state"))
        desk.folder = pathlib.Path(folder)
        return desk

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="push-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.admin = Admin(self.lab, self.folder / "state")

    def package(self, content=b"MZ" + b"\x90" * 5000, name=PACKAGE):
        path = self.folder / name
        path.write_bytes(content)
        return path

    def names(self):
        return [t["host"] for t in self.lab.targets]

    def target_file(self, names=None):
        path = self.folder / "targets.txt"
        path.write_text("# lab\n" + "".join(n + "\n" for n in names or self.names()), encoding="utf-8")
        return f"@{path}"

    def assert_report(self, done, report):
        self.assertIsNotNone(report, f"no report; status {done.returncode}; said:\n{done.stderr}")
        self.assertEqual(conserved(report), [])

    def assert_row(self, row, stage, reason, code=None):
        """The row of a target that left the pool; CODE: the number beside the reason."""
        self.assertEqual((row["state"], row["stage"], row["reason"]), (REASONS[reason]["state"], stage, reason), row)
        self.assertTrue(row["detail"], row)
        if code is not None:
            self.assertEqual(row["code"], code, row)
        reasons.saw(reason)

    def assert_machine(self, target, package, tasks=1, runs=None):
        """The machine's own word: right bytes, closed folder, exactly these tasks; nothing else in the folder."""
        facts = self.lab.check(target["host"], package)
        where = f"{target['host']}: {json.dumps(facts)}"
        self.assertTrue(facts["package_ok"], where)
        self.assertEqual(facts["leftovers"], [], where)
        self.assertTrue(facts["folder_closed"], where)
        self.assertEqual(len(facts["tasks"]), tasks, where)
        self.assertTrue(facts["tasks_closed"], where)
        if runs is not None:
            self.assertEqual(len(facts["runs"]), runs, where)
