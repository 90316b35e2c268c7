#!/usr/bin/python3
"""Whole pushes: the real programs against the lab, and what the machines say afterwards.

Usage: test_push.py [unittest arguments]     Needs root. $PUSHER_BIN: folder of the programs (build/dev/bin).
"""

import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from pushing import Admin, PushCase, SUCCESS, conserved, rows_by_name  # noqa: E402


class Repeats(PushCase):
    """The same push again, the same name again, crashes in between."""

    TARGETS = 30

    def test_second_push_of_the_same_name_overwrites(self):
        first = self.package(b"first version " * 100)
        done, report = self.admin.push(first, [self.target_file()])
        self.assert_report(done, report)
        self.assertEqual(done.returncode, 0, done.stderr)
        second = self.package(b"second, and longer than the first " * 4000)
        done, report = self.admin.push(second, [self.target_file()])
        self.assertEqual(done.returncode, 0, done.stderr)
        before = {t["host"]: len(self.lab.check(t["host"], second)["tasks"]) for t in self.lab.targets}
        for target in self.lab.targets:
            self.assert_machine(target, second, tasks=before[target["host"]])
            self.assertGreaterEqual(before[target["host"]], 2)
        # The very same push again: from the same desk, and from one that lost its state.
        push = report["push"]["id"]
        for desk in (self.admin, Admin(self.lab, self.folder / "another")):
            again, same = desk.push(second, [self.target_file()], "--push-id", push)
            self.assertEqual(again.returncode, 0, again.stderr)
            self.assertEqual(same["push"]["id"], push)
            self.assertEqual(same["totals"]["succeeded"], len(self.lab.targets))
            for target in self.lab.targets:
                self.assert_machine(target, second, tasks=before[target["host"]])

    def crash(self, daemon, times):
        package = self.package(os.urandom(3 << 20), name=f"crash-{daemon}.exe")
        known = {t["host"]: len(self.lab.check(t["host"], package)["tasks"]) for t in self.lab.targets}
        process = self.admin.popen(*self.admin.push_arguments(package, [self.target_file()], "-o", "json"))
        killed = set()
        deadline = time.monotonic() + 120
        while process.poll() is None and len(killed) < times and time.monotonic() < deadline:
            for pid in set(self.admin.daemons(daemon)) - killed:
                if self.copied(package) == 0 and not killed:
                    continue  # not yet in the middle
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            time.sleep(0.02)
        out, said = process.communicate(timeout=240)
        self.assertEqual(len(killed), times, said)
        self.assertEqual(process.returncode, 0, said)
        report = json.loads(out)
        self.assertEqual(conserved(report), [])
        self.assertEqual(report["totals"]["succeeded"], len(self.lab.targets), said)
        for target in self.lab.targets:
            self.assert_machine(target, package, tasks=known[target["host"]] + 1)

    def copied(self, package):
        return sum(os.path.exists(f"{self.lab.drive(t['host'])}/SPDISTRO/{package.name}") for t in self.lab.targets)

    def test_killed_relay_push_finishes_and_nothing_is_scheduled_twice(self):
        self.crash("pusher-relay", 2)

    def test_killed_coordinator_push_finishes_and_nothing_is_scheduled_twice(self):
        self.crash("pusher-coordinator", 2)

    def intents(self):
        """Rows of the relay's table of intents, read from a copy: the relay lets nobody else in."""
        copy = self.folder / "copy"
        copy.mkdir(exist_ok=True)
        for name in ("journal.db", "journal.db-wal"):
            for path in self.admin.state.rglob(name):
                (copy / name).write_bytes(path.read_bytes())
        try:
            with contextlib.closing(sqlite3.connect(copy / "journal.db")) as database:
                return database.execute("SELECT count(*) FROM intent").fetchone()[0]
        except sqlite3.Error:
            return 0  # half a page was copied

    def test_intent_is_journalled_while_the_scheduler_thinks(self):
        package = self.package(name="intent.exe")
        host = self.names()[3]
        self.lab.fault(host, "scheduler-slow:2")
        process = self.admin.popen(*self.admin.push_arguments(package, [host]))
        seen = 0
        while process.poll() is None:
            seen = max(seen, self.intents())
            time.sleep(0.1)
        _, said = process.communicate(timeout=60)
        self.lab.fault(host, None)
        self.assertEqual(process.returncode, 0, said)
        self.assertEqual(seen, 1)
        self.assertEqual(self.intents(), 0)

    def test_task_is_closed_to_the_account_it_runs_as(self):
        for number, account in enumerate(("local-service", "network-service")):
            package = self.package(name=f"as-{account}.exe")
            done, report = self.admin.push(package, [self.names()[5 + number]], "--run-as", account)
            self.assertEqual(done.returncode, 0, done.stderr)
            facts = self.lab.check(report["targets"][0]["target"], package)
            self.assertTrue(facts["tasks_closed"], facts)

    def test_interrupted_push_says_how_to_go_on_and_resumes(self):
        package = self.package(os.urandom(8 << 20), name="interrupted.exe")
        process = self.admin.popen(*self.admin.push_arguments(package, [self.target_file()], "-o", "json"))
        deadline = time.monotonic() + 60
        while self.copied(package) == 0 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, said)
        self.assertIn("--resume", said)
        self.assertEqual(self.admin.daemons("pusher-relay") + self.admin.daemons("pusher-coordinator"), [])
        push = self.admin.report()["push"]["id"]
        lab = self.lab.data
        done = self.admin.run("push", "--resume", push, package, "--user", lab["account"], "--password-file",
                              lab["password_file"], "-y", "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["totals"]["succeeded"], len(self.lab.targets))
        for target in self.lab.targets:
            self.assertEqual(len([t for t in self.lab.check(target["host"], package)["tasks"] if push in t["path"]]), 1)


class Refusals(PushCase):
    """What is wrong with the account or the machine is said as it is."""

    TARGETS = 6

    def push_as(self, user, *options):
        package = self.package()
        return self.admin.run("push", package, "-t", self.target_file(), "--user", user, "--password-file",
                              f"{self.lab.data['directory']}/passwords/{user}", "-y", "-o", "json", *options)

    def test_account_without_rights_is_access_denied(self):
        done = self.push_as("plainuser")
        self.assertEqual(done.returncode, 3, done.stderr)
        for row in json.loads(done.stdout)["targets"]:
            self.assertEqual((row["stage"], row["reason"], row["code"]), ("access", "ACCESS_DENIED", "0xC0000022"))

    def test_disabled_account_is_named(self):
        done = self.push_as("disabled")
        reasons = {row["reason"] for row in json.loads(done.stdout)["targets"]}
        self.assertLessEqual(reasons, {"ACCOUNT_DISABLED", "CREDENTIAL_BRAKE"})
        self.assertIn("ACCOUNT_DISABLED", reasons)

    def test_names_nobody_knows_fail_at_resolve(self):
        package = self.package()
        done, report = self.admin.push(package, ["pc-0001", "no-such-machine", "10.50.255.254"])
        rows = rows_by_name(report)
        self.assertEqual((rows["no-such-machine"]["stage"], rows["no-such-machine"]["reason"]),
                         ("resolve", "NXDOMAIN"))
        self.assertIn(rows["pc-0001"]["state"], SUCCESS)
        self.assertEqual(done.returncode, 3)


class FailureThreshold(PushCase):
    """Every machine lacks its share: the push stops while there is something left to stop."""

    TARGETS, FAULTS = 24, "no-share*24"

    def test_push_stops_once_more_have_failed_than_may(self):
        package = self.package()
        done, report = self.admin.push(package, [self.target_file()], "--max-fail", "3")
        self.assert_report(done, report)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("--max-fail", done.stderr)
        for row in report["targets"]:
            if row["reason"] == "MAX_FAIL":
                self.assert_row(row, None, "MAX_FAIL")
            else:
                self.assert_row(row, "access", "BAD_SHARE")
        totals = report["totals"]
        # 16 at a time, and one in the place of each that failed before the fourth.
        self.assertGreaterEqual(totals["failed"], 4, totals)
        self.assertLessEqual(totals["attempted"], 16 + 3, totals)
        self.assertEqual(totals["attempted"], totals["failed"], totals)
        again = self.admin.run("report")
        self.assertEqual(again.returncode, 5, again.stderr)
        self.assertIn(f"stopped at {totals['failed']} failures: {totals['never_attempted']} targets were not tried",
                      again.stdout)

    def test_threshold_that_is_not_reached_changes_nothing(self):
        done, report = self.admin.push(self.package(), [self.target_file()], "--max-fail", "100%")
        self.assert_report(done, report)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(report["totals"]["failed"], 24, report["totals"])


class WrongPassword(PushCase):
    """A mistyped password must lock no account."""

    TARGETS = 30

    def test_wrong_password_is_tried_three_times_at_most(self):
        package = self.package()
        secret = self.folder / "password"
        secret.write_text("mistyped\n", encoding="utf-8")
        secret.chmod(0o600)
        done = self.admin.run("push", package, "-t", self.target_file(), "--user", self.lab.data["account"],
                              "--password-file", secret, "-y", "-o", "json")
        report = json.loads(done.stdout)
        self.assertEqual(conserved(report), [])
        reasons = [row["reason"] for row in report["targets"]]
        self.assertEqual(set(reasons), {"LOGON_FAILURE", "CREDENTIAL_BRAKE"})
        self.assertLessEqual(reasons.count("LOGON_FAILURE"), 3)
        for row in report["targets"]:
            self.assert_row(row, "access", row["reason"])
        logs = pathlib.Path(self.lab.directory, "log").glob("smbd*")
        refused = [line for log in logs for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
                   if "Auth:" in line and "NT_STATUS_WRONG_PASSWORD" in line]
        self.assertEqual(len(refused), reasons.count("LOGON_FAILURE"), refused)


if __name__ == "__main__":
    unittest.main(verbosity=2)
