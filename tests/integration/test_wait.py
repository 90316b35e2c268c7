#!/usr/bin/python3
"""Pushes that wait for the exit code, from the command line to the machines and back.

Usage: test_wait.py [unittest arguments]     Needs root. $PUSHER_BIN: folder of the programs (build/dev/bin).
"""

import csv
import io
import json
import os
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from pushing import Lab, PushCase, conserved, rows_by_name  # noqa: E402

PATIENCE_S = 240  # for anything that takes half a minute on an idle machine


class Scenario:
    """A push of its own desk, driven step by step so that several run beside each other."""

    def __init__(self, case, name, hosts, options, behaviour):
        self.case, self.name, self.hosts, self.options = case, name, hosts, options
        self.desk = case.make_desk()
        self.package = self.desk.folder / f"{name}.exe"
        self.package.write_bytes(b"MZ" + name.encode() * 1000)
        for host in hosts:
            case.lab.behave(host, **behaviour.get(host, {}))
        self.said, self.out = self.desk.folder / "said", self.desk.folder / "out"
        self.process = self.report = self.status = None

    def start(self, *arguments):
        words = arguments or self.desk.push_arguments(self.package, self.hosts, "-o", "json", *self.options)
        with open(self.out, "wb") as out, open(self.said, "wb") as said:
            self.process = self.desk.popen(*words, stdout=out, stderr=said)

    def until(self, condition, what):
        """Steps until the condition holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name}: never {what}; said:\n{self.words()}")
            yield

    def words(self):
        return self.said.read_text(encoding="utf-8")

    def ended(self):
        yield from self.until(lambda: self.process.poll() is not None, "ended")
        self.status = self.process.returncode
        text = self.out.read_text(encoding="utf-8")
        self.report = json.loads(text) if text else None

    def facts(self, host):
        return self.case.lab.check(host, self.package)

    def registered(self):
        return all(self.facts(host)["tasks"] for host in self.hosts)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def drive(scenarios):
    """Runs the steps of all of them in turn."""
    steps = dict(scenarios)
    while steps:
        for name, step in list(steps.items()):
            if next(step, StopIteration) is StopIteration:
                del steps[name]
        time.sleep(0.1)


class Waits(PushCase):
    """Pushes at once: one with every kind of end, one whose daemons are killed, one that is interrupted and goes on, and
    one that is interrupted and cancelled."""

    TARGETS = 16
    ENDS = {
        "pc-0001": {"output": "all went well\r\n"},
        "pc-0002": {"exit_code": 3010},
        "pc-0003": {"exit_code": 1603, "output": "no \x1b[2J\r\nénd"},
        "pc-0004": {"exit_code": 1618},
        "pc-0005": {"seconds": 3600},
        "pc-0006": {"never": True},
        "pc-0007": {"seconds": 3},
        "pc-0008": {"exit_code": 1641, "output_bytes": 100_000},
        "pc-0009": {"exit_code": -2147023293},  # 0x80070643
    }
    KILLED = ("pc-0010", "pc-0011", "pc-0012")
    STOPPED = ("pc-0013", "pc-0014", "pc-0015")
    CANCELLED = ("pc-0016",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 900))
        cls.every = Scenario(cls, "every", list(cls.ENDS),
                             ("--wait", "--run-timeout", "8s", "--until", until, "--", "/S", "100%", "a&b"), cls.ENDS)
        cls.killed = Scenario(cls, "killed", cls.KILLED, ("--wait", "--", "/S"),
                              {host: {"seconds": 4} for host in cls.KILLED})
        cls.stopped = Scenario(cls, "stopped", cls.STOPPED, ("--wait", "--cleanup", "--", "/S"),
                               {host: {"seconds": 15} for host in cls.STOPPED})
        cls.cancelled = Scenario(cls, "cancelled", cls.CANCELLED, ("--wait", "--", "/S"),
                                 {host: {"seconds": 60} for host in cls.CANCELLED})
        for scenario in (cls.every, cls.killed, cls.stopped, cls.cancelled):
            cls.addClassCleanup(scenario.close)
        drive({"every": cls.run_every(), "killed": cls.run_killed(), "stopped": cls.run_stopped(),
               "cancelled": cls.run_cancelled()})

    @classmethod
    def run_every(cls):
        scenario = cls.every
        scenario.start()
        yield from scenario.until(scenario.registered, "registered everywhere")
        cls.lab.fault("pc-0007", "host-down")  # as if it restarted
        # The clock of the one that never starts runs past --until.
        cls.lab.fault("pc-0006", "clock:3600")
        yield from scenario.until(lambda: cls.lab.check("pc-0003")["runs"], "started")
        cls.watched = scenario.desk.run("status").stdout
        for _ in range(50):
            yield
        cls.lab.fault("pc-0007", None)
        yield from scenario.ended()

    @classmethod
    def run_killed(cls):
        scenario = cls.killed
        scenario.start()
        yield from scenario.until(scenario.registered, "registered everywhere")
        for daemon in ("pusher-relay", "pusher-coordinator"):
            seen = []
            yield from scenario.until(lambda name=daemon, pids=seen: pids.extend(scenario.desk.daemons(name)) or pids,
                                      f"{daemon} runs")
            os.kill(seen[0], signal.SIGKILL)
            yield from scenario.until(lambda name=daemon: f"{name} ended (signal 9)" in scenario.words(), f"{daemon} missed")
        yield from scenario.ended()

    @classmethod
    def run_stopped(cls):
        scenario = cls.stopped
        scenario.start()
        yield from scenario.until(scenario.registered, "registered everywhere")
        yield from scenario.until(lambda: "awaiting 3" in scenario.desk.run("status").stdout, "awaited everywhere")
        scenario.process.send_signal(signal.SIGINT)
        yield from scenario.ended()
        cls.interrupted = (scenario.status, scenario.words(), scenario.desk.report())
        lab = cls.lab.data
        scenario.start("push", "--resume", cls.interrupted[2]["push"]["id"], "--user", lab["account"], "--password-file",
                       lab["password_file"], "-o", "json")
        yield from scenario.ended()

    @classmethod
    def run_cancelled(cls):
        scenario = cls.cancelled
        scenario.start()
        yield from scenario.until(scenario.registered, "registered")
        yield from scenario.until(lambda: "awaiting 1" in scenario.desk.run("status").stdout, "awaited")
        scenario.process.send_signal(signal.SIGINT)
        yield from scenario.ended()
        scenario.report = scenario.desk.report()
        cls.cancelling = scenario.desk.run("cancel", scenario.report["push"]["id"])
        scenario.report = scenario.desk.report()

    # ---- every kind of end ----

    def test_exit_codes_decide(self):
        report = self.every.report
        self.assertEqual((self.every.status, conserved(report)), (3, []), self.every.words())
        rows = rows_by_name(report)
        expected = {
            "pc-0001": ("succeeded", None, 0), "pc-0002": ("succeeded", None, 3010),
            "pc-0003": ("failed", "EXIT_CODE", 1603), "pc-0004": ("failed", "INSTALLER_BUSY", 1618),
            "pc-0005": ("failed", "RUN_TIMEOUT", None), "pc-0006": ("failed", "NOT_STARTED", None),
            "pc-0007": ("succeeded", None, 0), "pc-0008": ("succeeded", None, 1641),
            "pc-0009": ("failed", "EXIT_CODE", 0x80070643),
        }
        self.assertEqual({name: (row["state"], row["reason"], row["exit_code"]) for name, row in rows.items()}, expected)
        for name, (state, reason, _) in expected.items():
            if reason:
                self.assert_row(rows[name], "schedule", reason)
            self.assertEqual(rows[name]["state"], state)
        self.assertEqual((report["totals"]["reboot"], report["push"]["wait"], report["push"]["state"]), (2, True, "closed"))
        for name in self.ENDS:
            facts = self.every.facts(name)
            self.assertEqual(len(facts["runs"]), 0 if name == "pc-0006" else 1, facts)
            self.assertEqual(len(facts["tasks"]), 1, facts)
            self.assertEqual(os.listdir(f"{self.lab.drive(name)}/SPDISTRO"), ["every.exe"])

    def test_live_view_counts_what_is_awaited(self):
        self.assertRegex(self.watched, r"awaiting \d")
        self.assertNotIn("ETA", self.watched)
        self.assertNotIn("ETA", self.every.words())

    def test_arguments_reach_the_package_as_they_stand(self):
        (run,) = self.every.facts("pc-0001")["runs"]
        self.assertEqual(run["arguments"], "/S 100% a&b")

    def test_report_groups_by_exit_code_and_names_reboots(self):
        table = self.every.desk.run("report").stdout
        for words in ("EXIT_CODE 1603", "EXIT_CODE 0x80070643", "fatal error during installation",
                      "reboot needed: 2 (3010, 1641): pc-0002, pc-0008", "complete: 9 submitted = 4 succeeded + 5 failed"):
            self.assertIn(words, table)
        rows = list(csv.DictReader(io.StringIO(self.every.desk.run("report", "-o", "csv").stdout)))
        self.assertEqual({row["target"]: (row["exit_code"], row["reboot"]) for row in rows}["pc-0002"], ("3010", "true"))
        failed = self.every.desk.run("report", "--failed", "-o", "jsonl").stdout.splitlines()
        self.assertEqual(len(failed), 5)

    def test_why_shows_what_the_package_printed(self):
        said = self.every.desk.run("why", "pc-0003").stdout
        for words in ("exit code 1603", "ended with 1603", "  | no \\x1b[2J\n  | énd\n", "cause:", "remedy:"):
            self.assertIn(words, said)
        told = json.loads(self.every.desk.run("why", "pc-0003", "-o", "json").stdout)
        self.assertEqual(told["target"]["output"], "no \x1b[2J\r\nénd")
        self.assertEqual((told["target"]["output_encoding"], told["target"]["output_cut"]), ("utf-8", False))
        told = json.loads(self.every.desk.run("why", "pc-0008", "-o", "json").stdout)
        self.assertEqual((len(told["target"]["output"]), told["target"]["output_cut"]), (65536, True))
        for host, words in (("pc-0005", "--run-timeout"), ("pc-0006", "never ran"), ("pc-0004", "another installation")):
            self.assertIn(words, self.every.desk.run("why", host).stdout)

    # ---- clean-up ----

    def test_zz_cleanup_removes_what_is_left(self):
        """After the tests that look at what is there."""
        desk, push = self.every.desk, self.every.report["push"]["id"]
        lab = self.lab.data
        self.lab.fault("pc-0006", None)
        before = {host: self.every.facts(host)["tasks"][0]["path"] for host in self.ENDS}
        done = desk.run("cleanup", push, "--user", lab["account"], "--password-file", lab["password_file"], "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"cleanup of push {push[:8]} (every.exe) on 9 of its 9 targets", done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual((conserved(report), report["push"]["cleanup_of"]), ([], push))
        for row in report["targets"]:
            self.assertEqual(row["state"], "succeeded", row)
            self.assertIn("every.exe", row["detail"])
        for host, path in before.items():
            self.assertEqual(os.listdir(f"{self.lab.drive(host)}/SPDISTRO"), [], host)
            (task,) = self.every.facts(host)["tasks"]
            self.assertEqual((task["path"], bool(task["enabled"])), (path, False))
        table = desk.run("report").stdout
        self.assertIn(f"cleanup of {push[:8]}", table)
        self.assertIn("9 rows", table)
        self.assertIn(f"every.exe (cleanup of {push[:8]})", desk.run("list").stdout)
        self.assertIn(f"cleanup of    {push}", desk.run("show", report["push"]["id"]).stdout)
        again = desk.run("cleanup", report["push"]["id"], "--user", lab["account"], "--password-file", lab["password_file"])
        self.assertEqual(again.returncode, 2, again.stderr)
        self.assertIn("is a cleanup itself", again.stderr)

    # ---- crashes and interruptions ----

    def test_killed_daemons_lose_no_end_and_start_nothing_twice(self):
        scenario = self.killed
        self.assertEqual((scenario.status, conserved(scenario.report)), (0, []), scenario.words())
        for daemon in ("relay", "coordinator"):
            self.assertIn(f"pusher-{daemon} ended (signal 9)", scenario.words())
        for row in scenario.report["targets"]:
            self.assertEqual((row["state"], row["exit_code"]), ("succeeded", 0), row)
        for host in self.KILLED:
            facts = scenario.facts(host)
            self.assertEqual((len(facts["runs"]), len(facts["tasks"])), (1, 1), facts)

    def test_interrupted_push_waits_on_when_it_is_resumed(self):
        status, said, report = self.interrupted
        self.assertEqual((status, report["push"]["state"]), (130, "stopped"), said)
        self.assertEqual(report["totals"]["pending"], 3, said)
        self.assertIn("3 of these are scheduled and will run all the same", said)
        self.assertIn(f"--resume {report['push']['id']}", said)
        scenario = self.stopped
        self.assertEqual((scenario.status, conserved(scenario.report)), (0, []), scenario.words())
        for row in scenario.report["targets"]:
            self.assertEqual((row["state"], row["exit_code"]), ("succeeded", 0), row)
        for host in self.STOPPED:
            facts = scenario.facts(host)
            self.assertEqual((len(facts["runs"]), len(facts["tasks"])), (1, 1), facts)
            self.assertEqual(os.listdir(f"{self.lab.drive(host)}/SPDISTRO"), [], "--cleanup was signed once")

    def test_cancelled_push_does_not_guess_how_it_ended(self):
        self.assertEqual((self.cancelling.returncode, conserved(self.cancelled.report)), (0, []), self.cancelling.stderr)
        (row,) = self.cancelled.report["targets"]
        self.assertEqual((row["state"], row["stage"], row["reason"]), ("unknown_effect", "schedule", "CANCELLED"), row)
        self.assertIn("its end was not awaited", row["detail"])
        self.assertEqual(self.cancelled.report["push"]["state"], "closed")
        self.assertEqual(self.cancelled.desk.run("report").returncode, 4)


class Wine(PushCase):
    """The script run by a real cmd, Wine's."""

    TARGETS = 2

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(targets=cls.TARGETS, wine=True)
        cls.lab.up(watch_pid=os.getpid())
        cls.addClassCleanup(cls.lab.down)

    def test_exit_code_and_output_come_from_cmd(self):
        package = self.package(b"@echo off\r\necho said %1 %2\r\nexit 7\r\n", name="setup.cmd")
        done, report = self.admin.push(package, self.names(), "--wait", "--success-codes", "7", "--", "/S", "two words")
        self.assert_report(done, report)
        self.assertEqual(done.returncode, 0, done.stderr)
        for row in report["targets"]:
            self.assertEqual((row["state"], row["exit_code"]), ("succeeded", 7), row)
            self.assertIn('said /S "two words"', self.admin.run("why", row["target"]).stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
