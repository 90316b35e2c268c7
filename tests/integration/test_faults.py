#!/usr/bin/python3
"""Broken, strange and hostile machines: whole pushes to everything that the lab can make of a target.

Usage: test_faults.py [unittest arguments]     Needs root. $PUSHER_BIN: folder of the programs (build/dev/bin).
"""

import json
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from pushing import REASONS, SUCCESS, PushCase, conserved, differences, healthy, rows_by_name  # noqa: E402

from standin import faults  # noqa: E402

# What a wrong password looks like is for Alone: three of them before the first success stop the account.
BAD_LOGONS = ("null-session", "account-locked", "account-disabled", "account-expired", "password-must-change")
EVERY_FAULT = [
    *(name for name in faults.FAULTS if name not in BAD_LOGONS), *faults.DEFAULT_NAMES,
    "clock:-86400", "timezone:-300", "small-fragments:64", "scheduler-error:0x80041322", "rpc-fault:0x000006F7",
]


def spread(names, target_count):
    """Faults evenly over all targets but the first ten, which prove the password."""
    rest = target_count - 10
    return [f"pc-{11 + i * rest // len(names):04}={name}" for i, name in enumerate(names)]


# Long enough for lines that are cut after 20,000 bytes; begins like a program, which a virus scanner looks for.
PROGRAM = b"MZ" + bytes(range(256)) * 250


class AllFaults(PushCase):
    """One push to 200 machines, with everything that can be wrong with one; each test looks at another side of it.

    A subclass may push otherwise (PUSH_OPTIONS) and expect other things of what the healthy ones do (SUCCEEDED).
    """

    TARGETS, SUBNETS = 200, 2
    FAULTS = spread(EVERY_FAULT, TARGETS)
    PUSH_OPTIONS = ("--", "/S")
    SUCCEEDED = "scheduled"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.desk = cls.make_desk()
        cls.pushed = cls.desk.folder / "package.exe"
        cls.pushed.write_bytes(PROGRAM)
        names = cls.desk.folder / "targets.txt"
        names.write_text("".join(f"{t['host']}\n" for t in cls.lab.targets), encoding="utf-8")
        cls.prepare()
        command = cls.desk.push_arguments(cls.pushed, [f"@{names}"], "-o", "json", *cls.PUSH_OPTIONS)
        with open(cls.desk.folder / "out", "w+", encoding="utf-8") as out, open(
            cls.desk.folder / "said", "w+", encoding="utf-8"
        ) as said:
            process = cls.desk.popen(*command, stdout=out, stderr=said)
            cls.meanwhile(process)
            cls.status = process.wait(timeout=400)
            out.seek(0)
            said.seek(0)
            cls.report, cls.said = json.loads(out.read() or "null"), said.read()

    @classmethod
    def prepare(cls):
        """Before the push."""

    @classmethod
    def meanwhile(cls, process):
        """While it runs."""

    def fault_of(self, row):
        return next(t["fault"] for t in self.lab.targets if t["host"] == row["target"])

    def rows_with(self, *names):
        found = [row for row in self.report["targets"] if self.fault_of(row) in names]
        self.assertGreaterEqual({self.fault_of(row) for row in found}, set(names))
        return found

    def test_every_row_is_as_predicted(self):
        self.assertIsNotNone(self.report, self.said)
        self.assertEqual(differences(self.lab, self.report), [])
        self.assertEqual(self.status, 3, self.said)
        good = [t for t in self.lab.targets if t["expected"] is None]
        totals = self.report["totals"]
        self.assertEqual((totals["submitted"], totals["succeeded"]), (self.TARGETS, len(good)))
        self.assertGreater(sum(1 for t in self.lab.targets if t["expected"]), 40)
        for row in self.report["targets"]:
            if not row["reason"]:
                self.assertEqual(row["state"], self.SUCCEEDED, row)

    def test_every_machine_agrees(self):
        """Right bytes, closed folder, one task and one start where the row says success; none of it where it doesn't."""
        facts = self.lab.check_all(self.pushed, ran=True, wait_s=120)
        self.assertEqual([(f["host"], f["fault"], f["problems"]) for f in facts if f["problems"]], [])
        self.assertEqual(sum(len(f["runs"]) for f in facts), self.report["totals"]["succeeded"])
        for target in healthy(self.lab)[:5]:
            self.assert_machine(target, self.pushed, tasks=1, runs=1)

    def test_slow_and_strange_servers_are_served(self):
        for row in self.rows_with("slow", "scheduler-slow", "interim", "one-credit", "small-fragments", "session-lost",
                                  "hung-up", "answer-dropped", "package-read-only", "clock", "timezone", "on-battery"):
            self.assertIn(row["state"], SUCCESS, row)

    def test_servers_of_every_policy_are_served(self):
        for row in self.rows_with("must-sign", "must-encrypt", "no-encrypt", "smb-2.1", "smb-3.0", "smb-3.0.2", "smb-3.1.1",
                                  "guest-sessions"):
            self.assertIn(row["state"], SUCCESS, row)
        for fault, reason in (("smb1-only", "DIALECT_REFUSED"), ("guest-session", "LOGON_FAILURE")):
            for row in self.rows_with(fault):
                self.assertEqual((row["state"], row["stage"], row["reason"]), ("failed", "access", reason))

    def test_tampering_is_refused_before_anything_is_written(self):
        tampered = [row.name for row in faults.FAULTS.values() if row.tamper and row.reason == "SIGNING_REFUSED"]
        self.assertGreater(len(tampered), 15)
        for row in self.rows_with(*tampered):
            self.assertEqual((row["state"], row["reason"]), ("failed", "SIGNING_REFUSED"), row)
            found = self.lab.check(row["target"], self.pushed)
            self.assertEqual(found["tasks"], [], row)
            self.assertEqual([file["name"] for file in found["files"]],
                             [self.pushed.name] if row["stage"] == "schedule" else [], row)
            self.assertEqual(found["path"]["exists"], row["stage"] != "access", row)

    def test_answer_that_is_not_believed_is_read_back(self):
        """The task is there, the word of it was not signed: asked again, and not registered twice."""
        for row in self.rows_with("unsigned-once", "answer-dropped"):
            self.assertIn(row["state"], SUCCESS, row)
            calls = self.lab.check(row["target"])["calls"]
            self.assertEqual(calls["SchRpcRegisterTask"], 1, calls)
            self.assertGreaterEqual(calls["SchRpcRetrieveTask"], 1, calls)

    def test_why_gives_code_cause_and_remedy(self):
        explained = {}
        for row in self.report["targets"]:
            if row["reason"]:
                explained.setdefault(row["reason"], row)
        self.assertGreaterEqual(len(explained), 25)
        for reason, row in explained.items():
            with self.subTest(reason=reason):
                said = self.desk.run("why", row["target"])
                self.assertEqual(said.returncode, 0, said.stderr)
                words = " ".join(said.stdout.split())
                for part in (reason, row["stage"], row["target"], row["code"] or "", REASONS[reason]["cause"],
                             REASONS[reason]["remedy"]):
                    self.assertIn(part, words)


class AllFaultsWaited(AllFaults):
    """The same with --wait: the packages end in every way there is, on healthy machines."""

    PUSH_OPTIONS = ("--wait", "--run-timeout", "10s", "--", "/S")
    SUCCEEDED = "succeeded"
    ENDS = (  # how the package ends, and what the row must say then
        ({}, (None, 0)), ({"exit_code": 3010}, (None, 3010)), ({"exit_code": 1641}, (None, 1641)),
        ({"exit_code": 1603}, ("EXIT_CODE", 1603)), ({"exit_code": 1618}, ("INSTALLER_BUSY", 1618)),
        ({"seconds": 3600}, ("RUN_TIMEOUT", None)), ({"never": True}, ("NOT_STARTED", None)),
    )

    @classmethod
    def prepare(cls):
        hosts = [t["host"] for t in healthy(cls.lab)[: 3 * len(cls.ENDS)]]
        cls.ends = {host: cls.ENDS[i % len(cls.ENDS)] for i, host in enumerate(hosts)}
        for host, (behaviour, (reason, _)) in cls.ends.items():
            cls.lab.behave(host, **behaviour)
        cls.never = [host for host, (behaviour, _) in cls.ends.items() if behaviour.get("never")]

    @classmethod
    def meanwhile(cls, process):
        """Once they are registered, the clocks of those that never start run past the end of their trigger."""
        while process.poll() is None and not all(cls.lab.check(host)["tasks"] for host in cls.never):
            time.sleep(0.2)
        for host in cls.never:
            cls.lab.fault(host, "clock:172800")

    def row_of(self, target):
        return next(row for row in self.report["targets"] if row["target"] == target["host"])

    def test_every_row_is_as_predicted(self):
        self.assertIsNotNone(self.report, self.said)
        for host, (_, (reason, code)) in self.ends.items():
            target = next(t for t in self.lab.targets if t["host"] == host)
            row = self.row_of(target)
            self.assertEqual((row["reason"], row["exit_code"]), (reason, code), row)
            if reason:
                self.assert_row(row, "schedule", reason)
        others = [t["host"] for t in self.lab.targets if t["host"] not in self.ends]
        rows = [row for row in self.report["targets"] if row["target"] in others]
        self.assertEqual(self.lab.check_report(self.report | {"targets": rows}, others), [])
        self.assertEqual(conserved(self.report), [])
        self.assertEqual(self.status, 3, self.said)
        self.assertEqual(self.report["totals"]["pending"], 0)

    def test_every_machine_agrees(self):
        """One task, and one start but where there can be none; no script is left where it is known that none will run."""
        for found in self.lab.check_all(self.pushed, allow=(".pusher-*",)):
            row = self.row_of(found)
            left = [file["name"] for file in found["files"] if file["name"].startswith(".pusher-")]
            if left:  # for a task that may be there
                self.assertEqual(row["state"], "unknown_effect", (row, left))
            if found["host"] not in self.never:
                self.assertEqual(found["problems"], [], (found["host"], found["fault"]))
            if row["exit_code"] is not None:
                self.assertEqual([file["name"] for file in found["files"]], [self.pushed.name], found["host"])
                self.assertEqual(len(found["runs"]), 1, found["host"])
        for host in self.never:
            self.assertEqual(self.lab.check(host)["runs"], [])

    # The other sides are those of the push without --wait.
    test_tampering_is_refused_before_anything_is_written = None
    test_answer_that_is_not_believed_is_read_back = None
    test_why_gives_code_cause_and_remedy = None


class DeadFirst(PushCase):
    """Most machines of the list are dead or hang, each stage in its own way; the healthy ones stand at its end."""

    DEAD = ("host-down", "name-timeout", "port-filtered", "frozen", "stopped")
    HANGING = ("stall", "slow:3000", "scheduler-slow:6")
    FIRST = (*DEAD * 14, *HANGING * 3)
    TARGETS = len(FIRST) + 5
    FAULTS = [f"pc-{1 + i:04}={name}" for i, name in enumerate(FIRST)]

    def test_healthy_machines_wait_for_none_of_the_others(self):
        """None is held up by more than the window of the other's stage. What they take by themselves shows how fast this
        machine is just now."""
        alone, report = self.admin.push(self.package(PROGRAM, "alone.exe"), [t["host"] for t in healthy(self.lab)])
        self.assertEqual(alone.returncode, 0, alone.stderr)
        usual = max(row["elapsed_ms"] for row in report["targets"])
        done, report = self.admin.push(self.package(PROGRAM), [self.target_file()])
        self.assert_report(done, report)
        self.assertEqual(differences(self.lab, report), [])
        ends = {}
        for row, target in zip(report["targets"], self.lab.targets):
            self.assertEqual(row["target"], target["host"])
            ends.setdefault(target["fault"], []).append(row["elapsed_ms"])  # all begin together
        for name in self.DEAD + self.HANGING:
            self.assertLess(max(ends[None]), usual + min(ends[name]), f"{name}: {ends}")


class Alone(PushCase):
    """Machines that get a push of their own: what they answer would stop the account, or needs an option."""

    TARGETS = len(BAD_LOGONS) + 2
    FAULTS = [f"pc-{i + 1:04}={name}" for i, name in enumerate((*BAD_LOGONS, "other-bytes", "unsafe-path"))]

    def host(self, fault):
        return next(t["host"] for t in self.lab.targets if t["fault"] == fault)

    def test_account_that_may_not_log_on_is_told_why(self):
        package = self.package()
        for fault in BAD_LOGONS:
            with self.subTest(fault=fault):
                done, report = self.admin.push(package, [self.host(fault)])
                self.assert_report(done, report)
                self.assertEqual(differences(self.lab, report, [self.host(fault)]), [])
                self.assertEqual(done.returncode, 3, done.stderr)
                self.assertFalse(self.lab.check(self.host(fault))["path"]["exists"])

    def test_bytes_that_read_back_otherwise_are_a_mismatch(self):
        host = self.host("other-bytes")
        done, report = self.admin.push(self.package(), [host], "--verify")
        self.assert_row(report["targets"][0], "copy", "HASH_MISMATCH")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(self.lab.check(host)["tasks"], [])

    def test_unsafe_folder_is_set_aside_when_asked(self):
        host, package = self.host("unsafe-path"), self.package()
        done, report = self.admin.push(package, [host], "--replace-path")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(report["targets"][0]["state"], SUCCESS)
        self.assert_machine(self.lab.targets[self.names().index(host)], package)
        self.assertEqual(len(self.lab.check(host)["renamed_aside"]), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
