"""Running the real programs inside the lab, and holding a report against what the lab's faults predict."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))

from lablib import Lab  # noqa: E402,F401  pylint: disable=wrong-import-position,unused-import

SUCCESS = ("scheduled", "succeeded")


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


def differences(lab, report):
    """Every row that isn't what the lab's faults predict, as sentences; empty when all is as it must be."""
    problems = conserved(report) + lab.check_report(report)
    for row in report["targets"]:
        if row["state"] not in SUCCESS and not (row["reason"] and row["detail"]):
            problems.append(f"{row['target']}: no reason or no sentence: {row}")
    return problems
