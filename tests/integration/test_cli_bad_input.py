#!/usr/bin/python3
"""Bad input to `pusher`: one clear line on standard error, the right exit status, and nothing started.

Usage: test_cli_bad_input.py [unittest arguments]     $PUSHER_BIN: folder of the programs (build/dev/bin).
"""

import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PUSHER_BIN", ROOT / "build" / "dev" / "bin")).resolve()


class BadInput(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cli-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.state = self.folder / "state"
        self.state.mkdir()
        self.environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("PUSHER_", "XDG_"))
        } | {"XDG_STATE_HOME": str(self.state), "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}
        self.package = self.write("setup.exe", b"MZ")
        self.password = self.write("pw", b"secret\n", 0o600)

    def write(self, name, content, mode=0o644):
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(mode)
        return str(path)

    def run_pusher(self, *arguments, **options):
        options = {"stdin": subprocess.DEVNULL, "env": self.environment} | options
        return subprocess.run([BIN / "pusher", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=60, check=False, start_new_session=True, **options)

    def push(self, *arguments, package=None, **options):
        return self.run_pusher("push", package or self.package, *arguments, "--user", "u", "--password-file",
                               self.password, **options)

    def assert_refused(self, done, status, *words):
        """One line with these words, and no trace of anything having been started."""
        said = done.stderr
        self.assertEqual(done.returncode, status, said)
        self.assertEqual(said.count("\n"), 1, said)
        self.assertTrue(said.startswith("pusher: "), said)
        for word in words:
            self.assertIn(word, said)
        self.assertEqual(done.stdout, "")
        self.assertEqual(list(self.state.iterdir()), [], "state was made")
        self.assertEqual(self.daemons(), [])

    def daemons(self):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if str(self.state).encode() in words:
                found.append(pid)
        return found

    # ---- targets ----

    def test_unknown_host_syntax_names_the_item(self):
        for item in ("pc 1", "http://pc1", "10.1.2", "10.1.2.300", "-pc1", "pc1:445", "pc\x1b[31m", "[::1]:445", "fe80::1"):
            with self.subTest(item=item):
                done = self.push("-t", item)
                self.assert_refused(done, 2, "-t")
                self.assertNotIn("\x1b", done.stderr)

    def test_cidr_too_wide(self):
        for item in ("10.0.0.0/8", "0.0.0.0/0", "2001:db8::/64", "10.0.0.0-10.255.255.255"):
            with self.subTest(item=item):
                self.assert_refused(self.push("-t", item), 2, item, "too wide")

    def test_target_file_is_empty(self):
        self.assert_refused(self.push("-t", "@" + self.write("t", b"")), 2, "/t:1:", "empty")
        self.assert_refused(self.push("-t", "@" + self.write("t", b"# none\n\n")), 2, "/t:2:", "no target")

    def test_target_file_is_missing_or_a_directory(self):
        self.assert_refused(self.push("-t", f"@{self.folder}/missing"), 2, "target file", "missing: No such file")
        self.assert_refused(self.push("-t", f"@{self.folder}"), 2, "directory")

    def test_target_file_with_a_bad_line_names_the_line(self):
        path = self.write("t", b"pc1\n# x\npc2;desk\npc 3\n")
        self.assert_refused(self.push("-t", "@" + path), 2, "/t:4:", "pc 3")

    def test_target_file_is_no_text(self):
        self.assert_refused(self.push("-t", "@" + self.write("t", "pc1\n".encode("utf-16"))), 2, "/t:1:", "UTF-16")
        self.assert_refused(self.push("-t", "@" + self.write("t", bytes(range(256)) * 8)), 2, "/t:1:")

    def test_standard_input_is_empty_or_bad(self):
        self.assert_refused(self.push("-t", "-"), 2, "standard input:1:")
        self.assert_refused(self.push("-t", "-", "--exclude", "-"), 2, "only once")
        self.assert_refused(self.push("-t", "-", stdin=None, input="pc1\npc/2\n"), 2, "standard input:2:")

    def test_no_target_is_left(self):
        self.assert_refused(self.push("-t", "pc1", "--exclude", "PC1"), 6, "no target is left")

    def test_many_targets_without_a_terminal_need_a_yes(self):
        self.assert_refused(self.push("-t", "10.0.0.0/24"), 2, "254 targets", "-y")

    # ---- package ----

    def test_package_is_missing_empty_or_a_folder_without_a_command(self):
        for package, word in ((f"{self.folder}/missing.exe", "missing.exe"), (self.write("e.exe", b""), "empty"),
                              (str(self.folder), "is a folder: say what it runs")):
            with self.subTest(package=package):
                self.assert_refused(self.push("-t", "pc1", package=package), 2, word)

    def test_package_that_is_no_file_here_is_looked_for_at_the_coordinator(self):
        nobody = self.environment | {"PUSHER_COORDINATOR": "ipc:///nonexistent/control.sock"}
        words = ("-t", "pc1", "--user", "u", "--password-file", self.password)
        self.assert_refused(self.run_pusher("push", "missing.exe", *words, env=nobody), 7, "no coordinator answers")
        self.assert_refused(self.run_pusher("push", "./missing.exe", *words, env=nobody), 2, "there is no package")

    def test_package_has_a_name_that_windows_cannot_hold(self):
        for name in ("CON.exe", "nul", "a:b.exe", "x.exe.", "x .exe ", "a|b.exe", ".pusher-x.exe", "aux.msi"):
            with self.subTest(name=name):
                self.assert_refused(self.push("-t", "pc1", package=self.write(name, b"MZ")), 2)

    # ---- options ----

    def test_unknown_option_or_command(self):
        self.assert_refused(self.push("-t", "pc1", "--frobnicate"), 2, "--frobnicate")
        self.assert_refused(self.push("-t", "pc1", "-Z"), 2, "-Z")
        self.assert_refused(self.run_pusher("frobnicate"), 2, "unknown command 'frobnicate'")
        self.assert_refused(self.run_pusher("--frobnicate"), 2, "unknown option '--frobnicate'")
        self.assert_refused(self.run_pusher("report", "--frobnicate"), 2, "--frobnicate")

    def test_verbs_of_relay_and_cred(self):
        for words, status, said in (
                (["relay"], 2, "token, list, approve, drain, activate, revoke"),
                (["relay", "x"], 2, "no such verb"),
                (["relay", "token"], 2, "usage: pusher relay token SITE"),
                (["relay", "token", "berlin", "--valid", "2h"], 2, "an hour at most"),
                (["relay", "token", "berlin", "--valid", "soon"], 2, "--valid"),
                (["relay", "list", "-o", "csv"], 2, "table, json"),
                (["relay", "list", "berlin"], 2, "one word too many"),
                (["relay", "approve"], 2, "usage: pusher relay approve"),
                (["relay", "approve", "b1", "--subnet", "10.0.0.1/8"], 2, "10.0.0.0/8 is meant"),
                (["relay", "approve", "b1", "--expires", "0d"], 2, "--expires"),
                (["relay", "revoke", "b1", "b2"], 2, "one word too many"),
                (["relay", "drain", "b1", "-y"], 2, "unknown option"),
                (["relay", "drain", "b1"], 2, "PUSHER_COORDINATOR"),
                (["relay", "list", "--coordinator", "ipc:///tmp/nobody-listens"], 7,
                 "no coordinator answers"),
                (["cred"], 2, "set, list, rm"),
                (["cred", "x"], 2, "no such verb"),
                (["cred", "set", "berlin"], 2, "--user is needed"),
                (["cred", "set", "berlin", "--user", ""], 2, "--user has 1 to"),
                (["cred", "set", "berlin", "--user", "x\ny"], 2, "control character"),
                (["cred", "set", "b" * 64, "--user", "x"], 2, "at most 63"),
                (["cred", "set", "berlin", "--password", "x"], 2, "--password-file"),
                (["cred", "rm"], 2, "usage: pusher cred rm SITE"),
                (["cred", "rm", "--", "berlin"], 2, "nothing may follow --")):
            with self.subTest(words=words):
                self.assert_refused(self.run_pusher(*words), status, said)

    def test_what_comes_later_says_so(self):
        for option in (("--tz", "site"), ("-o", "html"), ("-t", "pool:all"),
                       ("-t", "ldap:OU=PCs")):
            with self.subTest(option=option):
                self.assert_refused(self.push("-t", "pc1", *option), 2, "not in this version")
        for command in ("plan", "preflight", "diff", "pool",
                        "config", "doctor", "completion"):
            with self.subTest(command=command):
                self.assert_refused(self.run_pusher(command, "x"), 2, "not in this version")

    def test_words_of_pause_resume_and_retry(self):
        for words, says in ((("pause",), "pusher pause PUSH"), (("pause", "xyz"), "is no push"), (("resume",), "no push"),
                            (("resume", "--user", "u"), "no push"), (("resume", "7f3", "--user", "u"), "first 4 digits"),
                            (("resume", "7f3a"), "--user"), (("resume", "7f3a", "--user", "u", "--wait"), "no --wait"),
                            (("retry",), "no push"), (("retry", "7f3a"), "--only"), (("retry", "7f3"), "first 4 digits"),
                            (("retry", "7f3a", "7f3b"), "one push"),
                            (("retry", "7f3a", "--only", "scheduled"), "--only 'scheduled'"),
                            (("retry", "7f3a", "--only", "NO_REASON"), "--only 'NO_REASON'"),
                            (("retry", "7f3a", "--only", "failed", "--only", "NO_REPLY"), "not both"),
                            (("retry", "7f3a", "--only", "NO_REPLY", "--only", "failed"), "not both"),
                            (("retry", "7f3a", "--only", "failed", "--until", "2020-01-01T00:00:00Z"), "needs a coordinator"),
                            (("retry", "7f3a", "--only", "failed", "--", "x"), "nothing may follow"),
                            (("cleanup", "7f3a", "--user", "u", "--detach"), "--detach")):
            with self.subTest(words=words):
                self.assert_refused(self.run_pusher(*words), 2, says)

    def test_what_only_a_coordinator_can_do_says_so(self):
        for option in (("--site", "lyon"), ("--detach",)):
            with self.subTest(option=option):
                self.assert_refused(self.push("-t", "pc1", *option), 2, option[0], "configured coordinator")

    def test_options_with_a_coordinator_are_checked_before_it_is_looked_for(self):
        environment = self.environment | {"PUSHER_COORDINATOR": "ipc:///nonexistent/control.sock"}
        for words, says in ((("push", self.package, "-t", "pc1", "--password-file", self.password), "needs --user"),
                            (("push", self.package, "-t", "pc1", "--site", ""), "--site"),
                            (("push", self.package, "-t", "pc1", "--site", "x" * 300), "--site"),
                            (("push", "--resume", "7f3a", "--site", "lyon"), "no --site"),
                            (("retry", "7f3a", "--only", "failed", "--until", "2020-01-01T00:00:00Z"), "in the past"),
                            (("retry", "7f3a", "--only", "failed", "--password-file", self.password), "needs --user")):
            with self.subTest(words=words):
                self.assert_refused(self.run_pusher(*words, env=environment), 2, says)

    def test_package_commands_that_make_no_sense(self):
        empty = self.folder / "empty"
        empty.mkdir()
        for words, said in ((("package",), "add, list, rm or verify"), (("package", "frob"), "'frob'"),
                            (("package", "add"), "usage: pusher package add FILE"),
                            (("package", "add", str(self.folder / "none")), "there is no package"),
                            (("package", "add", str(empty)), "is a folder without files"),
                            (("package", "add", self.package, "--name", "CON"), "Windows takes it for a device"),
                            (("package", "add", self.package, "-o", "json"), "-o json: not for this command"),
                            (("package", "list", "--name", "x"), "--name: not for this command"),
                            (("package", "list", "x"), "one word too many"),
                            (("package", "list", "-o", "csv"), "-o csv: not for this command"),
                            (("package", "rm"), "usage: pusher package rm NAME|DIGEST"),
                            (("package", "rm", ""), "names nothing"),
                            (("package", "rm", "a", "b"), "one word too many"),
                            (("package", "verify", "--", "x"), "nothing may follow --")):
            with self.subTest(words=words):
                self.assert_refused(self.run_pusher(*words), 2, said)

    def test_password_on_the_command_line_is_sent_to_the_file(self):
        done = self.push("-t", "pc1", "--password=Secret1")
        self.assert_refused(done, 2, "--password-file")
        self.assertNotIn("Secret1", done.stderr)

    def test_closed_standard_streams_are_no_crash_and_no_success(self):
        for redirection, status in ((">&-", 1), (">&- 2>&-", 1), ("<&-", 0), ("2>&-", 0)):
            with self.subTest(redirection=redirection):
                line = f'exec "$0" push "$1" -t pc1 --user u --password-file "$2" --dry-run {redirection}'
                done = subprocess.run(["sh", "-c", line, BIN / "pusher", self.package, self.password], timeout=60,
                                      env=self.environment, check=False, capture_output=True)
                self.assertEqual(done.returncode, status, done.stderr)

    def test_missing_words(self):
        self.assert_refused(self.run_pusher("push"), 2, "no package")
        self.assert_refused(self.run_pusher("push", self.package, "--user", "u"), 2, "no targets")
        self.assert_refused(self.run_pusher("push", self.package, "-t", "pc1"), 2, "--user")
        self.assert_refused(self.run_pusher("why"), 2, "pusher why HOST")
        self.assert_refused(self.run_pusher("show"), 2, "pusher show PUSH")
        self.assert_refused(self.run_pusher("cleanup"), 2, "pusher cleanup PUSH")
        self.assert_refused(self.run_pusher("cleanup", "7f3a"), 2, "--user")
        for words, says in ((("7f3",), "first 4 digits"), (("7f3a", "7f3b"), "one push"), (("xyzw",), "no push"),
                            (("7f3a", "--wait"), "--wait"), (("7f3a", "--", "x"), "nothing may follow"),
                            (("7f3a", "--ping", "maybe"), "--ping"), (("7f3a", "--timeout", "5"), "--timeout")):
            with self.subTest(words=words):
                self.assert_refused(self.run_pusher("cleanup", "--user", "u", *words), 2, says)

    def test_values_that_make_no_sense(self):
        for option in (("--deadline", "5"), ("--timeout", "soon"), ("--at", "tomorrow"), ("--until", "2020-01-01T00:00:00Z"),
                       ("--ping", "maybe"), ("--run-as", "root"), ("--push-id", "xyz"), ("--color", "red"), ("--detach",),
                       ("--tz", "CET"), ("--tz", "target"), ("--at", "2099-01-01T00:00:00"), ("--success-codes", "0"),
                       ("--success-codes", "zero", "--wait"), ("--cleanup",)):
            with self.subTest(option=option):
                self.assert_refused(self.push("-t", "pc1", *option), 2, option[0])

    def test_arguments_that_would_arrive_changed_are_refused_by_name(self):
        script = self.write("setup.cmd", b"exit /b 0")
        for package, words, says in (
                (script, ("--", "a&b"), "character &"), (script, ("--", "100%"), "character %"),
                (self.package, ("--wait", "--", "caf\xe9"), "not ASCII"), (self.package, ("--", "a\nb"), "0x0A"),
                (self.package, ("--wait", "--", "x" * 8180), "8191 characters"),
                (self.package, ("--command", ""), "--command"), (self.package, ("--", b"\xff"), "UTF-8")):
            with self.subTest(package=package, words=words):
                done = self.run_pusher("push", package, "-t", "pc1", "--user", "u", "--password-file", self.password, *words)
                self.assert_refused(done, 2, says)

    # ---- password ----

    def test_password_file_is_readable_by_others(self):
        for mode in (0o644, 0o640, 0o604, 0o666):
            with self.subTest(mode=oct(mode)):
                path = self.write("open", b"secret\n", mode)
                done = self.run_pusher("push", self.package, "-t", "pc1", "--user", "u", "--password-file", path)
                self.assert_refused(done, 2, "chmod 600")
                self.assertNotIn("secret", done.stderr)

    def test_password_file_is_missing_empty_or_no_text(self):
        for content in (b"", b"\n", b"\r\n", b"\xef\xbb\xbf\r\n", b"\xff\xfe\n", b"x" * 5000):
            with self.subTest(content=content[:8]):
                path = self.write("odd", content, 0o600)
                done = self.run_pusher("push", self.package, "-t", "pc1", "--user", "u", "--password-file", path)
                self.assert_refused(done, 2, "odd")
        done = self.run_pusher("push", self.package, "-t", "pc1", "--user", "u", "--password-file", "/nonexistent/pw")
        self.assert_refused(done, 2, "/nonexistent/pw")

    def test_no_password_and_no_terminal(self):
        done = self.run_pusher("push", self.package, "-t", "pc1", "--user", "u")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("--password-file", done.stderr.splitlines()[-1])
        self.assertEqual(list(self.state.iterdir()), [])

    # ---- coordinator ----

    def test_coordinator_that_makes_no_sense_is_named(self):
        for endpoint, says in (("tcp://10.0.0.1:4711", "not in this version"), ("control.sock", "is no coordinator"),
                               ("ipc://" + "/x" * 100, "at most")):
            with self.subTest(endpoint=endpoint):
                self.assert_refused(self.run_pusher("list", "--coordinator", endpoint), 2, "--coordinator", says)
                environment = self.environment | {"PUSHER_COORDINATOR": endpoint}
                self.assert_refused(self.run_pusher("list", env=environment), 2, "PUSHER_COORDINATOR", says)

    def test_coordinator_that_nobody_is_is_unreachable(self):
        nobody = f"ipc://{self.folder}/control.sock"
        self.assert_refused(self.run_pusher("list", "--coordinator", nobody), 7, "no coordinator answers", "no such file")
        self.write("control.sock", b"")
        self.assert_refused(self.run_pusher("status", env=self.environment | {"PUSHER_COORDINATOR": nobody}), 7,
                            "nobody listens", "PUSHER_COORDINATOR")

    def test_coordinator_option_wins_over_the_environment(self):
        environment = self.environment | {"PUSHER_COORDINATOR": "ipc:///nonexistent/control.sock"}
        self.assert_refused(self.run_pusher("list", "--coordinator", "", env=environment), 0, "no push yet")

    # ---- state ----

    def test_state_path_too_long_for_sockets_names_the_remedy(self):
        deep = self.folder / ("d" * 90)
        environment = self.environment | {"XDG_STATE_HOME": str(deep)}
        done = self.push("-t", "pc1", "-q", env=environment)
        self.assert_refused(done, 2, "too long", "XDG_STATE_HOME")
        self.assertFalse(deep.exists())

    def test_nothing_was_pushed_yet(self):
        for arguments, status in ((("list",), 0), (("report",), 2), (("report", "7f3a"), 2), (("why", "pc1"), 2),
                                  (("status",), 2),
                                  (("cleanup", "7f3a", "--user", "u", "--password-file", self.password), 2)):
            with self.subTest(arguments=arguments):
                self.assert_refused(self.run_pusher(*arguments), status, "no push yet")

    def test_state_that_cannot_be_looked_at_is_not_taken_for_none(self):
        loop = self.folder / "loop"
        loop.symlink_to("loop")
        for arguments in (("list",), ("report",)):
            with self.subTest(arguments=arguments):
                done = self.run_pusher(*arguments, env=self.environment | {"XDG_STATE_HOME": str(loop)})
                self.assert_refused(done, 1, "state folder", "XDG_STATE_HOME")

    def test_dry_run_prints_the_pool_and_starts_nothing(self):
        done = self.push("-t", "10.0.0.0/30", "-t", "PC1", "-t", "pc1", "--exclude", "10.0.0.2", "--dry-run")
        self.assertEqual(done.returncode, 0, done.stderr)
        names = [line for line in done.stdout.splitlines() if not line.startswith("#")]
        self.assertEqual(names, ["10.0.0.1", "PC1"])
        done = self.push("-t", "pc1", "--wait", "--success-codes", "0,0x80070642", "--dry-run")
        self.assertIn("# waits for its end; success is 0, 0x80070642\n", done.stdout)
        self.assertEqual(list(self.state.iterdir()), [])

    def test_help_and_version_end_well(self):
        for arguments in (("--help",), ("--version",), ("help", "push"), ("push", "--help"), ("report", "-h"),
                          ("help", "exit"), ("version",), ("why", "--help"), ("cancel", "--version"), ("help", "cleanup"), ("cleanup", "--version")):
            with self.subTest(arguments=arguments):
                done = self.run_pusher(*arguments)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertTrue(done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
