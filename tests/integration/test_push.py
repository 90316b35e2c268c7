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

from impacket.smb3structs import FILE_SHARE_READ  # noqa: E402
from impacket.smbconnection import SMBConnection  # noqa: E402

from sitecase import wait_for  # noqa: E402
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


class Folders(PushCase):
    """A package of several files."""

    TARGETS = 5

    FILES = {
        "setup.exe": b"MZ setup",
        "data/empty": b"",
        "data/big.cab": os.urandom(3 << 20),
        "data/de/messages.txt": "Grüße".encode(),
        "data-2/x": b"x" * 70000,
    }

    def suite(self, name="suite"):
        root = self.folder / name
        for path, content in self.FILES.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        return root

    def push_suite(self, suite, targets, *options):
        return self.admin.push(suite, targets, "--command", rf"C:\SPDISTRO\{suite.name}\setup.exe", *options)

    def drive(self, host):
        return pathlib.Path(self.lab.drive(host), "SPDISTRO")

    def assert_suite(self, host, name="suite"):
        root = self.drive(host) / name
        found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        self.assertEqual({p: len(c) for p, c in found.items()}, {p: len(c) for p, c in self.FILES.items()})
        self.assertTrue(found == self.FILES)
        self.assertEqual([p.name for p in self.drive(host).iterdir()], [name])

    def tasks(self, report, host):
        push = report["push"]["id"]
        return [t for t in self.lab.check(host, None)["tasks"] if push in t["path"]]

    def test_every_file_is_there_before_the_task(self):
        for options in ((), ("--verify",)):
            suite = self.suite()
            done, report = self.push_suite(suite, self.names()[:2], *options)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assert_report(done, report)
            for host in self.names()[:2]:
                self.assert_suite(host)
                self.assertEqual(len(self.tasks(report, host)), 1)
                # The next time there is something to overwrite.
                (self.drive(host) / "suite" / "setup.exe").write_bytes(b"older, and longer than the new one")
                (self.drive(host) / "suite" / "data" / "big.cab").write_bytes(b"")
        done, report = self.push_suite(self.suite(), self.names()[:2])
        self.assertEqual(done.returncode, 0, done.stderr)
        for host in self.names()[:2]:
            self.assert_suite(host)
        # What a clean-up can't know to be the push's own stays, and is said to.
        lab = self.lab.data
        done = self.admin.run("cleanup", report["push"]["id"], "--user", lab["account"], "--password-file",
                              lab["password_file"], "-y", "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        for row in json.loads(done.stdout)["targets"]:
            self.assertIn("suite stays (a folder", row["detail"])
        for host in self.names()[:2]:
            self.assert_suite(host)

    def test_file_in_use_or_in_the_way_is_named(self):
        host = self.names()[2]
        done, report = self.push_suite(self.suite(), [host])
        self.assertEqual(done.returncode, 0, done.stderr)
        with self.lab.network():
            client = SMBConnection(self.lab.address(host), self.lab.address(host))
            client.login(self.lab.data["account"], self.lab.data["password"])
            tree = client.connectTree("C$")
            handle = client.openFile(tree, r"SPDISTRO\suite\data\de\messages.txt", shareMode=FILE_SHARE_READ)
        done, report = self.push_suite(self.suite(), [host])
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assert_row(report["targets"][0], "copy", "SHARING_VIOLATION", "0xC0000043")
        self.assertIn("data/de/messages.txt", report["targets"][0]["detail"])
        self.assertEqual(self.tasks(report, host), [])
        client.closeFile(tree, handle)
        client.getSMBServer().close_session()
        # A file where a folder has to be.
        other = self.names()[3]
        done, report = self.push_suite(self.suite(), [other])
        self.assertEqual(done.returncode, 0, done.stderr)
        (self.drive(other) / "suite" / "data" / "de" / "messages.txt").unlink()
        (self.drive(other) / "suite" / "data" / "de").rmdir()
        (self.drive(other) / "suite" / "data" / "de").write_bytes(b"")
        done, report = self.push_suite(self.suite(), [other])
        self.assert_row(report["targets"][0], "copy", "NOT_A_DIRECTORY")
        self.assertIn("data/de/messages.txt", report["targets"][0]["detail"])
        self.assertEqual(self.tasks(report, other), [])

    def test_connection_cut_in_the_middle_leaves_whole_files_and_no_task(self):
        host = self.names()[4]
        suite = self.suite("cut")
        self.lab.fault(host, "cut:1500000")
        self.addCleanup(self.lab.fault, host, None)
        done, report = self.push_suite(suite, [host])
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assert_row(report["targets"][0], "copy", "CONN_LOST")
        self.assertEqual(self.tasks(report, host), [])
        root = self.drive(host) / "cut"
        found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        self.assertTrue(found == {"data-2/x": self.FILES["data-2/x"]}, sorted(found))  # what comes before the big one
        self.lab.fault(host, None)
        done, report = self.push_suite(suite, [host])
        self.assertEqual(done.returncode, 0, done.stderr)
        found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        self.assertTrue(found == self.FILES, sorted(found))
        # A file server that still has to see that its client is gone deletes the temporary file when it does.
        wait_for(lambda: not list(self.drive(host).glob(".pusher-*")), "a temporary file stays")

    def test_folder_without_a_command_is_refused(self):
        for name in ("suite", "suite.msi"):  # whose name would say how to run it, were it a file
            done = self.admin.run(*self.admin.push_arguments(self.suite(name), self.names()))
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(rf"--command 'C:\SPDISTRO\{name}\setup.exe'", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
