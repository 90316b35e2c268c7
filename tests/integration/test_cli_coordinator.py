#!/usr/bin/python3
"""The operator's tool with a configured coordinator: one site, one enrolled relay, the lab's machines.

Usage: test_cli_coordinator.py [unittest arguments]     Needs root. $PUSHER_BIN: folder of the programs (build/dev/bin).
"""

import json
import os
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from branchtruth import Machines, row_untruth  # noqa: E402
from pushing import PushCase, conserved, rows_by_name  # noqa: E402
from sitecase import desk_for, wait_for  # noqa: E402

SUBNETS = ["10.50.0.0/16", "fd50::/16"]


class Coordinator(PushCase):
    """One coordinator and one relay for all tests; each pushes a package of its own."""

    TARGETS = 6

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.desk = desk_for(cls, cls.lab)
        cls.desk.set_up({"lyon": SUBNETS})
        cls.account = ("--user", cls.lab.data["account"], "--password-file", cls.lab.data["password_file"])

    def state(self, push):
        return json.loads(self.desk.must("status", push, "-o", "json"))["push"]["state"]

    def wait_state(self, push, state):
        wait_for(lambda: self.state(push) == state, lambda: f"{self.state(push)}\n{self.desk.trouble()}", pause_s=0.2)

    def detached(self, package, targets, *options):
        """Starts a push and leaves it; its id."""
        rest = [word for target in targets for word in ("-t", target)]
        return self.desk.must("push", package, *rest, "-y", "--detach", *self.desk.sign, *options).strip()

    def assert_pushed(self, done, report, package, names):
        self.assert_report(done, report)
        self.assertEqual(done.returncode, 0, done.stderr + self.desk.trouble())
        self.assertEqual(report["totals"]["succeeded"], len(names))
        self.assertEqual({(r["site"], r["relay"]) for r in report["targets"]}, {("lyon", "lyon-1")})
        self.assertEqual([(r["relay"], r["totals"]["succeeded"]) for r in report["relays"]], [("lyon-1", len(names))])
        for target in self.lab.targets:
            if target["host"] in names:
                self.assertTrue(self.lab.check(target["host"], package)["package_ok"])

    def test_push_with_an_account_reaches_every_machine(self):
        package = self.package(name="account.exe")
        done, report = self.desk.push(package, self.names(), *self.account)
        self.assert_pushed(done, report, package, self.names())
        shown = self.desk.must("show", report["push"]["id"])
        self.assertIn("closed", shown)
        self.assertIn(" 100%  6/6", self.desk.must("status", report["push"]["id"]))

    def test_push_of_a_package_that_lies_at_the_coordinator(self):
        package = self.package(name="brought.exe")
        digest = self.desk.must("package", "add", package).split()[0]
        done, report = self.desk.push(digest, self.names(), *self.account)
        self.assert_pushed(done, report, package, self.names())
        self.assertIn(digest, done.stderr)
        for word in ("brought.exe", digest[:12]):  # the coordinator could say any digest: somebody has to vouch for it
            with self.subTest(word=word):
                done, report = self.desk.push(word, self.names(), *self.account)
                self.assertEqual((done.returncode, report), (2, None), done.stderr)
                self.assertIn(digest, done.stderr)
                self.assertIn("name the package by all 64 digits of its SHA-256", done.stderr)
        shown = self.desk.must("push", "brought.exe", "-t", self.names()[0], *self.account, "--dry-run")
        self.assertIn(f"# brought.exe  sha256 {digest}", shown)
        for word in ("neither.exe", "f" * 64):
            with self.subTest(word=word):
                done, report = self.desk.push(word, self.names(), *self.account)
                self.assertEqual((done.returncode, report), (2, None), done.stderr)
                self.assertIn(f"no package {word}: no file here, and none at the coordinator", done.stderr)

    def test_push_with_the_stored_account(self):
        package = self.package(name="stored.exe")
        done, report = self.desk.push(package, self.names())
        self.assertEqual((done.returncode, report), (2, None), done.stderr)
        self.assertIn("no account is stored for lyon", done.stderr)
        self.assertIn("pusher cred set lyon", done.stderr)
        self.desk.must("cred", "set", "lyon", *self.account, *self.desk.sign)
        self.addCleanup(self.desk.must, "cred", "rm", "lyon")
        done, report = self.desk.push(package, self.names(), "--site", "lyon")
        self.assert_pushed(done, report, package, self.names())

    def without_relay(self):
        """Nothing happens until the relay is started again."""
        self.desk.kill("lyon-1")
        self.addCleanup(lambda: self.desk.alive("lyon-1") or self.with_relay())

    def with_relay(self):
        self.desk.start_relay("lyon-1")
        self.desk.wait_live("lyon-1")

    def test_paused_push_stands_still_and_goes_on(self):
        package = self.package(name="paused.exe")
        self.without_relay()
        push = self.detached(package, self.names(), *self.account)
        self.assertEqual(self.state(push), "open")
        self.desk.must("pause", push)
        self.desk.kill("coordinator")  # it stands still over a restart
        self.desk.start_coordinator()
        self.with_relay()
        self.assertEqual(self.state(push), "stopped")
        self.assertEqual(self.desk.report(push)["totals"]["pending"], len(self.names()))
        done = self.desk.run("resume", push, *self.account, "--deadline", "1h", "-o", "json", *self.desk.sign)
        self.assertEqual(done.returncode, 0, done.stderr + self.desk.trouble())
        self.assert_pushed(done, json.loads(done.stdout), package, self.names())
        done = self.desk.run("resume", push, *self.account, *self.desk.sign)
        self.assertEqual(done.returncode, 2)
        self.assertIn("is over", done.stderr)
        self.assertEqual(self.desk.run("pause", push).returncode, 2)

    def test_store_put_back_denies_nothing_that_was_done(self):
        """After the copy was made the relay registered everything, and may have been told to forget it."""
        package = self.package(name="put-back.exe")
        self.without_relay()
        push = self.detached(package, self.names(), *self.account)
        self.desk.kill("coordinator")
        state = self.desk.folder / "coordinator"
        copy = {path.name: path.read_bytes() for path in state.glob("store.db*")}
        self.assertIn("store.db", copy)
        self.desk.start_coordinator()
        self.with_relay()
        self.wait_state(push, "closed")

        self.desk.kill("coordinator")
        for path in state.glob("store.db*"):
            path.unlink()
        for name, content in copy.items():
            (state / name).write_bytes(content)
            (state / name).chmod(0o600)
        self.desk.start_coordinator("--restored")
        self.desk.wait_live("lyon-1")
        self.assertIn("the store is an old copy", self.desk.said("coordinator"))
        self.assertIn(f"push {push} is stopped", self.desk.said("coordinator"))
        self.assertNotIn("see --restored", self.desk.said("coordinator"))
        done = self.desk.run("resume", push, *self.account, "--deadline", "1h", "--detach", *self.desk.sign)
        if done.returncode != 0:  # what had been registered was known before
            self.assertIn("is over", done.stderr)
        self.wait_state(push, "closed")
        report = self.desk.report(push)
        self.assertEqual(conserved(report), [])
        machines = Machines([self.lab], report["push"]["id"])
        rows = rows_by_name(report)
        for target in self.lab.targets:
            row = rows[target["host"]]
            self.assertIn(row["state"], ("scheduled", "unknown_effect"), row)
            self.assertIsNone(row_untruth(row, machines.tasks(target), machines.registered(target), machines.runs(target)))

    def test_interrupted_push_goes_on_without_the_command(self):
        package = self.package(name="interrupted.exe")
        self.without_relay()
        process = self.desk.popen("push", package, "-t", self.target_file(), "-y", *self.account, *self.desk.sign)
        said = ""
        while "started" not in said and process.poll() is None:
            said += process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130, said + rest)
        self.assertIn("the push goes on; look with: pusher status", rest)
        push = self.desk.report()["push"]["id"]
        self.with_relay()
        self.wait_state(push, "closed")
        report = self.desk.report(push)
        self.assertEqual(conserved(report), [])
        self.assertEqual(report["totals"]["succeeded"], len(self.names()))

    def test_time_out_of_the_command_leaves_the_push_to_be_cancelled(self):
        self.without_relay()
        done = self.desk.run("push", self.package(name="timed.exe"), "-t", self.target_file(), "-y", "--timeout", "1s",
                             *self.account, *self.desk.sign)
        self.assertEqual(done.returncode, 9, done.stderr)
        self.assertIn("the push goes on", done.stderr)
        push = self.desk.report()["push"]["id"]
        self.assertEqual(self.state(push), "open")
        self.desk.must("cancel", push)
        self.with_relay()  # what it had before it was killed is its to give back
        self.wait_state(push, "closed")
        report = self.desk.report(push)
        self.assertEqual(report["totals"]["cancelled"], len(self.names()))
        self.assertEqual([row for row in report["targets"] if not (row["reason"] and row["detail"])], [])

    def test_retry_is_the_next_generation_of_those_who_failed(self):
        package = self.package(name="retried.exe")
        bad = self.names()[2]
        self.lab.fault(bad, "no-share")
        self.addCleanup(self.lab.fault, bad, None)
        done, report = self.desk.push(package, self.names(), *self.account)
        self.assertEqual(done.returncode, 3, done.stderr + self.desk.trouble())
        push = report["push"]["id"]
        self.assertEqual(rows_by_name(report)[bad]["state"], "failed")
        done = self.desk.run("retry", push, "--only", "unreachable", *self.account, *self.desk.sign)
        self.assertEqual(done.returncode, 6, done.stderr)
        self.lab.fault(bad, None)
        done = self.desk.run("retry", push, "--only", "failed", "-o", "json", *self.account, *self.desk.sign)
        self.assertEqual(done.returncode, 0, done.stderr + self.desk.trouble())
        again = json.loads(done.stdout)
        self.assertEqual(again["push"]["id"], push)
        self.assertEqual(conserved(again), [])
        self.assertEqual(again["totals"]["succeeded"], len(self.names()))
        self.assertEqual(json.loads(self.desk.must("show", push, "-o", "json"))["push"]["generation"], 2)
        for target in self.lab.targets:
            tasks = [t for t in self.lab.check(target["host"], package)["tasks"] if push in str(t)]
            self.assertEqual(len(tasks), 1, target["host"])

    def test_cleanup_with_the_operators_key(self):
        package = self.package(name="cleaned.exe")
        done, report = self.desk.push(package, self.names(), *self.account)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.desk.run("cleanup", report["push"]["id"], "-y", "-o", "json", *self.account, *self.desk.sign)
        self.assertEqual(done.returncode, 0, done.stderr + self.desk.trouble())
        self.assertEqual(json.loads(done.stdout)["totals"]["succeeded"], len(self.names()))
        for name in self.names():
            self.assertFalse(os.path.exists(f"{self.lab.drive(name)}/SPDISTRO/{package.name}"))

    def test_folder_goes_whole_and_is_said_to_stay(self):
        suite = self.folder / "suite"
        files = {"setup.exe": b"MZ", "data/big.cab": os.urandom(1 << 20), "data/de/empty": b""}
        for path, content in files.items():
            (suite / path).parent.mkdir(parents=True, exist_ok=True)
            (suite / path).write_bytes(content)
        digest = self.desk.must("package", "add", suite).strip()
        rows = json.loads(self.desk.must("package", "list", "-o", "json"))["packages"]
        self.assertEqual([(r["name"], r["directory"]) for r in rows if r["sha256"] == digest], [("suite", True)])
        known = len(rows)
        # The same bytes, made anew.
        done, report = self.desk.push(suite, self.names(), "--command", r"C:\SPDISTRO\suite\setup.exe", *self.account)
        self.assertEqual(done.returncode, 0, done.stderr + self.desk.trouble())
        self.assertEqual(len(json.loads(self.desk.must("package", "list", "-o", "json"))["packages"]), known)
        done = self.desk.run("cleanup", report["push"]["id"], "-y", "-o", "json", *self.account, *self.desk.sign)
        self.assertEqual(done.returncode, 0, done.stderr + self.desk.trouble())
        for row in json.loads(done.stdout)["targets"]:
            self.assertIn("suite stays (a folder", row["detail"])
        for name in self.names():
            root = pathlib.Path(self.lab.drive(name), "SPDISTRO", "suite")
            found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
            self.assertTrue(found == files, sorted(found))

    # ---- what is refused ----

    def assert_refused(self, done, status, *words):
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        for word in words:
            self.assertIn(word, done.stderr)

    def push_words(self, *options, target="10.50.0.200"):
        return ("push", self.package(), "-t", target, "-y", *self.account, *options)

    def test_wrong_passphrase_key_or_mode_is_denied(self):
        desk = self.desk
        wrong = desk.secret("wrong", "not-the-passphrase-1")
        self.assert_refused(desk.run(*self.push_words("--passphrase-file", wrong)), 8, "passphrase")
        self.assert_refused(desk.run(*self.push_words("--passphrase-file", "/nonexistent/file")), 2, "/nonexistent/file")
        self.assert_refused(desk.run(*self.push_words("--key", "/nonexistent/key")), 2, "/nonexistent/key")
        self.assert_refused(desk.run(*self.push_words()), 2, "passphrase")  # nobody to ask
        key = pathlib.Path(desk.home, ".config", "pusher", "operator.key")
        key.chmod(0o644)
        try:
            self.assert_refused(desk.run(*self.push_words(*desk.sign)), 8, "operator.key")
        finally:
            key.chmod(0o600)
        stranger = self.folder / "stranger.key"
        desk.must("key", "new", "--key", stranger, *desk.sign)
        self.assert_refused(desk.run(*self.push_words("--key", stranger, *desk.sign)), 8, "no operator")

    def test_sites_and_targets_that_make_no_sense(self):
        desk = self.desk
        self.assert_refused(desk.run(*self.push_words("--site", "nowhere", *desk.sign)), 2, "no site nowhere")
        self.assert_refused(desk.run("pause", "abcdef01"), 2, "abcdef01")
        self.assert_refused(desk.run("resume", "abcdef01", *desk.sign), 2, "abcdef01")
        self.assert_refused(desk.run("retry", "abcdef01", "--only", "failed", *desk.sign), 2, "abcdef01")
        self.assert_refused(desk.run("cancel", "abcdef01"), 2, "abcdef01")

    def test_address_of_no_site_is_a_row_of_its_own(self):
        package = self.package(name="nowhere.exe")
        done, report = self.desk.push(package, [self.names()[0], "192.0.2.9"], *self.account)
        self.assert_report(done, report)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assert_row(rows_by_name(report)["192.0.2.9"], None, "NOT_IN_ANY_SITE")
        done = self.desk.run(*self.push_words(*self.desk.sign, target="192.0.2.9"))
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertIn("pusher site which 192.0.2.9", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
