#!/usr/bin/python3
"""Accounts and passwords in all forms, logged on with for real: what Samba lets in, and what it counts.

Usage: test_accounts.py [unittest arguments]     Needs root. $PUSHER_BIN: folder of the programs (build/dev/bin).
"""

import json
import os
import pathlib
import sys
import tempfile
import unicodedata
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from pushing import Admin, Lab, conserved  # noqa: E402


class AccountCase(unittest.TestCase):
    """One lab for the class, a desk for each test."""

    TARGETS = 3

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(targets=cls.TARGETS)
        cls.lab.up(watch_pid=os.getpid())
        cls.addClassCleanup(cls.lab.down)
        cls.passwords = {row["user"]: row["password"] for row in cls.lab.data["accounts"]}

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="accounts-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.admin = Admin(self.lab, self.folder / "state")
        self.package = self.folder / "package.exe"
        self.package.write_bytes(b"MZ" + bytes(2000))

    def push(self, user, password, targets=("pc-0001",)):
        """The report's rows. PASSWORD: the file's content."""
        secret = self.folder / "secret"
        secret.touch(mode=0o600)
        secret.write_bytes(password if isinstance(password, bytes) else password.encode())
        words = [x for target in targets for x in ("-t", target)]
        done = self.admin.run("push", self.package, *words, "--user", user, "--password-file", secret, "-y", "-o", "json")
        self.assertIn(done.returncode, (0, 3), done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(conserved(report), [])
        return report["targets"]

    def counted(self, what):
        """Lines of the servers' audit of logons that say WHAT."""
        logs = pathlib.Path(self.lab.directory, "log").glob("smbd*")
        return [line for log in logs for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
                if "Auth:" in line and what in line]


class Forms(AccountCase):
    """How an account may be written, and how its password may lie in the file."""

    def outcome(self, user, password):
        (row,) = self.push(user, password)
        return row["reason"] or row["state"]

    def test_every_form_that_names_the_account_logs_on(self):
        password = self.passwords["pushadmin"] + "\n"
        for user in ("pushadmin", ".\\pushadmin", "LAB\\pushadmin", "PC-0001\\pushadmin", "lab.test\\PushAdmin"):
            with self.subTest(user=user):
                self.assertEqual(self.outcome(user, password), "scheduled")
        # With an empty domain and the realm in the name; a machine of a domain would know it, Samba alone doesn't.
        self.assertEqual(self.outcome("pushadmin@lab.test", password), "LOGON_FAILURE")
        self.assertTrue(self.counted("[pushadmin@lab.test]"))

    def test_password_file_of_other_systems_logs_on(self):
        password = self.passwords["pushadmin"].encode()
        for name, content in {"CRLF": password + b"\r\n", "no end": password, "BOM": b"\xef\xbb\xbf" + password + b"\n",
                              "more lines": password + b"\nsecond\n"}.items():
            with self.subTest(name):
                self.assertEqual(self.outcome("pushadmin", content), "scheduled")
        self.assertEqual(self.outcome("pushadmin", password + b" \n"), "LOGON_FAILURE")

    def test_names_and_passwords_beyond_ascii_log_on(self):
        password = self.passwords["jürgen"]
        self.assertFalse(password.isascii() or unicodedata.is_normalized("NFC", password))
        for user in ("jürgen", "JÜRGEN", "LAB\\jürgen"):
            with self.subTest(user=user):
                self.assertEqual(self.outcome(user, password), "scheduled")

    def test_password_beyond_ascii_written_otherwise_is_refused(self):
        password = self.passwords["jürgen"]
        for name, wrong in {"composed": unicodedata.normalize("NFC", password), "case": password.swapcase()}.items():
            with self.subTest(name):
                self.assertEqual(self.outcome("jürgen", wrong), "LOGON_FAILURE")


class Brake(AccountCase):
    """What an account is spared: counted at the servers."""

    TARGETS = 100

    def names(self):
        return [target["host"] for target in self.lab.targets]

    def reasons(self, user, password):
        rows = self.push(user, password, self.names())
        return [row["reason"] for row in rows]

    def test_wrong_password_is_tried_three_times_on_a_hundred_machines(self):
        before = len(self.counted("NT_STATUS_WRONG_PASSWORD"))
        reasons = self.reasons("LAB\\pushadmin2", "mistyped")
        self.assertEqual(set(reasons), {"LOGON_FAILURE", "CREDENTIAL_BRAKE"})
        tried = len(self.counted("NT_STATUS_WRONG_PASSWORD")) - before
        self.assertEqual(tried, reasons.count("LOGON_FAILURE"))
        self.assertLessEqual(tried, 3)

    def test_locked_account_is_tried_once(self):
        before = len(self.counted("NT_STATUS_ACCOUNT_LOCKED_OUT"))
        reasons = self.reasons("locked", self.passwords["locked"])
        self.assertEqual(reasons.count("ACCOUNT_LOCKED"), 1, set(reasons))
        self.assertEqual(reasons.count("CREDENTIAL_BRAKE"), self.TARGETS - 1)
        self.assertEqual(len(self.counted("NT_STATUS_ACCOUNT_LOCKED_OUT")) - before, 1)

    def test_local_account_goes_on_where_passwords_are_mixed(self):
        other = self.names()[-4:]  # one more than stops an account that nobody lets in
        for name in other:
            self.lab.fault(name, "other-password")
        reasons = self.reasons(".\\pushadmin", self.passwords["pushadmin"])
        for name in other:
            self.lab.fault(name, None)
        self.assertEqual(reasons.count("LOGON_FAILURE"), len(other), set(reasons))
        self.assertEqual(reasons.count(None) + reasons.count(""), self.TARGETS - len(other))


if __name__ == "__main__":
    unittest.main(verbosity=2)
