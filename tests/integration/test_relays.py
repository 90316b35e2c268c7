#!/usr/bin/python3
"""How relays come in and go: the real coordinator, relays and `pusher` over loopback, without targets.

Usage: test_relays.py [unittest arguments]     $PUSHER_BIN: folder of the programs (build/dev/bin).
"""

import contextlib
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PUSHER_BIN", ROOT / "build" / "dev" / "bin")).resolve()
PATIENCE_S = 60  # far beyond what anything here takes
PASSWORD = "canary-Pa55-of-berlin"


class Relays(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="relays-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("PUSHER_", "XDG_"))
        } | {"HOME": str(self.folder), "LC_ALL": "C.UTF-8",
             "PUSHER_COORDINATOR": f"ipc://{self.folder}/control.sock"}
        self.running = []
        self.addCleanup(self.end_all)
        self.endpoints = ["tcp://127.0.0.1:*", "tcp://127.0.0.1:*"]

    # ---- programs ----

    def start(self, program, *arguments, log):
        with open(self.folder / log, "ab") as out:
            process = subprocess.Popen([BIN / program, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       env=self.environment, start_new_session=True)
        self.running.append(process)
        return process

    def end(self, process, number=signal.SIGTERM):
        if process.poll() is None:
            process.send_signal(number)
        process.wait(PATIENCE_S)
        if process in self.running:
            self.running.remove(process)

    def end_all(self):
        for process in list(self.running):
            self.end(process, signal.SIGKILL)

    def run_program(self, program, *arguments, said=None):
        heard = {"stdin": subprocess.DEVNULL} if said is None else {"input": said}
        return subprocess.run([BIN / program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=2 * PATIENCE_S, check=False, env=self.environment, start_new_session=True,
                              **heard)

    def pusher(self, *arguments, status=0):
        done = self.run_program("pusher", *arguments)
        self.assertEqual(done.returncode, status, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout if status == 0 else done.stderr

    def until(self, condition, what):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.05)
        logs = "".join(f"--- {path.name}\n{path.read_text()[-4000:]}" for path in sorted(self.folder.glob("*.log")))
        return self.fail(f"never: {what}\n{logs}")

    # ---- coordinator ----

    def start_coordinator(self, *options):
        log = self.folder / "coordinator.log"
        seen = log.stat().st_size if log.exists() else 0
        self.coordinator = self.start("pusher-coordinator", "run", "--state", str(self.folder / "coordinator"),
                                      "--control", self.environment["PUSHER_COORDINATOR"],
                                      "--relays", self.endpoints[0], "--packages", self.endpoints[1],
                                      "--lease-ms", "3000", "--heartbeat-ms", "300", *options, log=log.name)

        def bound():
            return re.search(r"relays at (\S+), packages at (\S+),", log.read_text()[seen:])

        self.endpoints = list(self.until(bound, "the coordinator listens").groups())

    def set_up_coordinator(self):
        done = self.run_program("pusher-coordinator", "init", "--state", str(self.folder / "coordinator"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.start_coordinator()
        self.pusher("key", "new", "--no-passphrase")
        self.pusher("policy", "init")
        self.pusher("site", "add", "berlin", "--subnet", "10.1.0.0/16")
        self.pusher("site", "add", "oslo", "--subnet", "10.2.0.0/16")

    # ---- relays ----

    def token(self, site="berlin", *options):
        return self.pusher("relay", "token", site, *options)

    def enroll(self, name, token, status=0):
        done = self.run_program("pusher-relay", "enroll", "--state", str(self.folder / name), "--coordinator",
                                self.endpoints[0], "--name", name, "--token-file", "-", "--timeout", "20", said=token)
        self.assertEqual(done.returncode != 0, status != 0, f"{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def fingerprint(self, name):
        done = self.run_program("pusher-relay", "status", "--state", str(self.folder / name))
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.search(r"fingerprint +([0-9a-f ]+?)\n", done.stdout).group(1)

    def run_relay(self, name):
        return self.start("pusher-relay", "run", "--state", str(self.folder / name), log=f"{name}.log")

    def row(self, name):
        rows = json.loads(self.pusher("relay", "list", "-o", "json"))["relays"]
        named = [row for row in rows if row["relay"] == name]
        return named[-1] if named else None

    def policy(self):
        return json.loads(self.pusher("policy", "show", "-o", "json"))["policy"]

    def approved(self, name, site="berlin"):
        self.enroll(name, self.token(site))
        self.pusher("relay", "approve", name, "--fingerprint", self.fingerprint(name))

    def live(self, name, wanted=True):
        return self.until(lambda: self.row(name)["live"] == wanted, f"{name} is {'' if wanted else 'not '}live")

    # ---- tests ----

    def test_relay_lives_from_token_to_revocation(self):
        self.set_up_coordinator()
        self.assertIn("no site paris", self.pusher("relay", "token", "paris", status=2))
        shown = self.enroll("b1", self.token())
        self.assertIn(self.fingerprint("b1"), shown)
        self.assertEqual(self.row("b1")["standing"], "pending")

        self.assertIn("no relay b2", self.pusher("relay", "approve", "b2", status=2))
        self.assertIn("--fingerprint", self.pusher("relay", "approve", "b1", status=2))
        self.assertIn("another one",
                      self.pusher("relay", "approve", "b1", "--fingerprint", "0123 " * 8, status=8))
        fingerprint = self.fingerprint("b1")
        self.assertIn("no part of site", self.pusher("relay", "approve", "b1", "--fingerprint", fingerprint,
                                                     "--subnet", "10.2.0.0/24", status=2))
        self.assertIn("pusher relay approve", self.pusher("relay", "drain", "b1", status=2))
        self.assertEqual(self.row("b1")["standing"], "pending")
        self.pusher("relay", "approve", "b1", "--fingerprint", fingerprint.upper().replace(" ", ":"),
                    "--subnet", "10.1.7.0/24")
        self.assertEqual(self.row("b1")["standing"], "active")

        relay = self.run_relay("b1")
        self.live("b1")
        first = self.row("b1")["certificate_serial"]
        # A renewal gives what it had: more of the site's subnets is for an operator to say.
        self.assertIn("more subnets", self.pusher("relay", "approve", "b1", "-y", "--expires", "30d", status=2))
        self.assertEqual(self.row("b1")["certificate_serial"], first)
        self.pusher("relay", "approve", "b1", "-y", "--expires", "30d", "--subnet", "10.1.7.0/24")
        self.assertGreater(self.row("b1")["certificate_serial"], first)

        self.pusher("relay", "drain", "b1")
        self.assertEqual(self.row("b1")["standing"], "draining")
        self.assertTrue(self.row("b1")["live"])
        self.pusher("relay", "activate", "b1")
        self.assertEqual(self.row("b1")["standing"], "active")

        self.assertIn("-y", self.pusher("relay", "revoke", "b1", status=2))
        self.assertEqual(self.policy()["revoked"], [])
        self.pusher("relay", "revoke", "b1", "-y")
        self.assertEqual(self.policy()["revoked"], [self.row("b1")["key"]])
        version = self.policy()["version"]
        self.pusher("relay", "revoke", "b1", "-y")
        self.assertEqual(self.policy()["version"], version)
        self.assertEqual(self.row("b1")["standing"], "revoked")
        self.live("b1", False)
        heard = self.row("b1")["silent_ms"]
        self.until(lambda: self.row("b1")["silent_ms"] > heard + 1000, "nothing of a revoked relay counts")
        self.end(relay)
        self.run_relay("b1")
        self.until(lambda: (self.folder / "b1.log").read_text().lower().count("refus") > 0, "it is refused")
        self.assertIn("revoked", self.pusher("relay", "activate", "b1", status=2))
        self.assertIn("revoked", self.pusher("relay", "approve", "b1", "-y", status=2))
        self.assertFalse(self.row("b1")["live"])

    def test_revoked_relay_stays_revoked_at_a_coordinator_that_forgets_it(self):
        """As one in wrong hands would: the signed policy says so to everybody else."""
        self.set_up_coordinator()
        self.approved("b1")
        self.pusher("relay", "revoke", "b1", "-y", "--no-sign")
        self.assertEqual(self.policy()["revoked"], [])
        key = self.folder / ".config/pusher/operator.key"
        key.rename(self.folder / "away.key")
        self.assertIn("not revoked by the policy", self.pusher("relay", "revoke", "b1", "-y", status=2))
        (self.folder / "away.key").rename(key)
        self.pusher("relay", "revoke", "b1", "-y")
        self.end(self.coordinator)
        with contextlib.closing(sqlite3.connect(self.folder / "coordinator" / "store.db")) as store:
            store.execute("UPDATE relay SET standing = 1")
            store.commit()
        self.start_coordinator()
        self.assertEqual(self.row("b1")["standing"], "active")
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o600)
        refusal = self.pusher("cred", "set", "berlin", "--user", "LAB\\admin", "--password-file", str(password), status=2)
        self.assertIn("the policy revokes it", refusal)
        self.assertIn("b1 is revoked", self.pusher("relay", "approve", "b1", "-y", status=2))
        self.run_relay("b1")
        self.until(lambda: "b1 is revoked by policy 2" in (self.folder / "b1.log").read_text(), "the relay refuses it itself")

    def test_what_is_not_set_up_says_what_to_do(self):
        nowhere = str(self.folder / "nowhere")
        done = self.run_program("pusher-coordinator", "run", "--state", nowhere, "--control", f"ipc://{nowhere}.sock",
                                "--relays", "tcp://127.0.0.1:*", "--packages", "tcp://127.0.0.1:*")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(f"pusher-coordinator init --state {nowhere}", done.stderr)
        self.assertEqual(self.run_program("pusher-relay", "init", "--state", str(self.folder / "b1")).returncode, 0)
        done = self.run_program("pusher-relay", "status", "--state", str(self.folder / "b1"))
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("pusher-relay enroll", done.stderr)
        self.set_up_coordinator()
        refusal = self.pusher("site", "add", "pa ris", "--subnet", "10.5.0.0/16", status=2)
        self.assertIn("site: a name has 1 to 63 letters", refusal)

    def test_token_is_good_for_one_relay_and_a_while(self):
        self.set_up_coordinator()
        token = self.token()
        self.enroll("b1", token)
        self.assertIn("used", self.enroll("b2", token, status=1))
        self.assertIsNone(self.row("b2"))
        short = self.token("berlin", "--valid", "1s")
        kept = self.token()
        end = time.monotonic() + 1.2  # of the token's own life
        self.end(self.coordinator, signal.SIGKILL)
        self.start_coordinator()
        while time.monotonic() < end:
            time.sleep(0.05)
        self.enroll("b2", token, status=1)
        self.enroll("b2", short, status=1)
        self.assertIsNone(self.row("b2"))
        self.enroll("b2", kept)
        self.assertEqual(self.row("b2")["standing"], "pending")
        self.assertEqual(self.row("b1")["standing"], "pending")

    def test_name_belongs_to_one_relay(self):
        self.set_up_coordinator()
        self.approved("b1")
        shutil.move(self.folder / "b1", self.folder / "first")
        self.assertIn("another name", self.enroll("b1", self.token(), status=1))
        self.pusher("relay", "revoke", "b1", "-y")
        shutil.rmtree(self.folder / "b1", ignore_errors=True)
        self.enroll("b1", self.token())
        self.assertEqual(self.row("b1")["standing"], "pending")

    def test_copy_of_a_relay_is_noticed_and_both_are_stopped(self):
        self.set_up_coordinator()
        self.approved("b1")
        self.end(self.run_relay("b1"))
        shutil.copytree(self.folder / "b1", self.folder / "copy")
        self.run_relay("b1")
        self.live("b1")
        self.run_relay("copy")
        self.until(lambda: self.row("b1")["standing"] == "cloned", "the copy is noticed")
        self.live("b1", False)
        self.assertIn("cloned", self.pusher("relay", "activate", "b1", status=2))
        self.end(self.coordinator, signal.SIGKILL)
        self.start_coordinator()
        self.assertEqual(self.row("b1")["standing"], "cloned")

    def test_relays_are_known_after_a_crash_of_the_coordinator(self):
        self.set_up_coordinator()
        self.approved("b1")
        self.approved("o1", "oslo")
        self.run_relay("b1")
        self.run_relay("o1")
        self.live("b1")
        self.pusher("relay", "drain", "o1")
        self.end(self.coordinator, signal.SIGKILL)
        self.start_coordinator()
        self.live("b1")
        self.live("o1")
        self.assertEqual(self.row("o1")["standing"], "draining")
        self.assertEqual(self.row("o1")["site"], "oslo")

    def test_account_of_a_site_is_sealed_to_each_relay_and_clear_nowhere(self):
        self.set_up_coordinator()
        password = self.folder / "password"
        password.write_text(PASSWORD + "\n")
        password.chmod(0o600)
        account = ("--user", "CORP\\deploy", "--password-file", str(password))
        self.assertIn("no approved relay", self.pusher("cred", "set", "berlin", *account, status=2))
        self.approved("b1")
        self.approved("b2")
        self.pusher("cred", "set", "berlin", *account)
        self.enroll("b3", self.token())
        done = self.run_program("pusher", "relay", "approve", "b3", "--fingerprint", self.fingerprint("b3"))
        self.assertIn("cred set berlin", done.stderr)
        rows = json.loads(self.pusher("cred", "list", "berlin", "-o", "json"))["credentials"]
        self.assertEqual([(row["relay"], row["account"]) for row in rows],
                         [("b1", "CORP\\deploy"), ("b2", "CORP\\deploy"), ("b3", None)])
        self.pusher("cred", "set", "berlin", *account)
        again = json.loads(self.pusher("cred", "list", "-o", "json"))["credentials"]
        self.assertGreater(again[0]["set"], rows[0]["set"])
        self.assertIsNotNone(again[2]["account"])
        password.unlink()
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                self.assertNotIn(PASSWORD.encode(), path.read_bytes(), path)
        self.pusher("cred", "rm", "berlin")
        self.assertIn("no credential", self.pusher("cred", "rm", "berlin", status=2))
        rows = json.loads(self.pusher("cred", "list", "-o", "json"))["credentials"]
        self.assertEqual({row["account"] for row in rows}, {None})

    def test_account_goes_to_relays_that_operators_of_now_vouched_for(self):
        self.set_up_coordinator()
        password = self.folder / "password"
        password.write_text(PASSWORD + "\n")
        password.chmod(0o600)
        account = ("--user", "CORP\\deploy", "--password-file", str(password))
        other = str(self.folder / "other.key")
        self.pusher("key", "new", "--no-passphrase", "--key", other)
        public = self.pusher("key", "show", "--public", "--key", other).strip()
        self.pusher("key", "trust", public)
        self.enroll("b1", self.token())
        self.pusher("relay", "approve", "b1", "--fingerprint", self.fingerprint("b1"), "--key", other)
        self.approved("b2")
        self.pusher("key", "distrust", public)
        done = self.run_program("pusher", "cred", "set", "berlin", *account)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("pusher relay approve b1", done.stderr)
        self.assertIn("sealed to 1 relay", done.stderr)
        self.assertEqual([row["relay"] for row in json.loads(self.pusher("cred", "list", "-o", "json"))["credentials"]],
                         ["b2"])
        self.pusher("relay", "approve", "b1", "--fingerprint", self.fingerprint("b1"))
        self.pusher("cred", "set", "berlin", *account)

        # A coordinator that counts a relay of another site to this one gets nothing sealed to it.
        self.end(self.coordinator)
        store = sqlite3.connect(self.folder / "coordinator" / "store.db")
        store.execute("UPDATE relay SET site = (SELECT no FROM site WHERE name = 'oslo') WHERE name = 'b1'")
        store.commit()
        store.close()
        self.start_coordinator()
        refusal = self.pusher("cred", "set", "oslo", *account, status=8)
        self.assertIn("nothing is sealed", refusal)
        self.assertIn("its certificate says berlin", refusal)

    def on_terminal(self, program, *words, keys):
        """Runs it on a terminal of its own; types each of `keys` when it asks. Returns status and what was shown."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(BIN / program, [program, *map(str, words)], self.environment)
        shown = b""
        try:
            while True:
                shown += os.read(terminal, 4096)
                if keys and re.search(rb"(key|\[y/N\]|one\)|deploy|go on):? $", shown):
                    os.write(terminal, keys.pop(0))
        except OSError:  # EIO: it ended
            pass
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()

    def test_ctrl_c_at_a_question_ends_the_command(self):
        self.set_up_coordinator()
        self.enroll("b1", self.token())
        self.assertEqual(self.on_terminal("pusher", "relay", "approve", "b1", keys=[b"\x03"])[0], 130)
        self.assertEqual(self.row("b1")["standing"], "pending")
        self.assertEqual(self.on_terminal("pusher", "relay", "approve", "b1", keys=[b"n\n"])[0], 8)
        self.assertEqual(self.on_terminal("pusher", "relay", "approve", "b1", keys=[b"y\n"])[0], 0)
        status, shown = self.on_terminal("pusher", "cred", "set", "berlin", "--user", "deploy", keys=[b"\x03"])
        self.assertEqual(status, 130, shown)
        status, shown = self.on_terminal("pusher-relay", "enroll", "--state", self.folder / "b2", "--name", "b2",
                                         "--coordinator", self.endpoints[0], keys=[b"\x03"])
        self.assertEqual(status, 130, shown)
        package = self.folder / "setup.exe"
        package.write_bytes(b"MZ")
        push = ("pusher", "push", package, "-t", "10.1.3.0/24", "--user", "deploy")
        status, shown = self.on_terminal(*push, keys=[b"25\n"])
        self.assertEqual(status, 2, shown)
        self.assertIn("not confirmed", shown)
        self.assertIn(self.on_terminal(*push, keys=[b"\x03"])[0], (130, -signal.SIGINT))
        status, shown = self.on_terminal(*push, keys=[b"254\n", b"\x03"])
        self.assertEqual(status, 130, shown)
        self.assertEqual(json.loads(self.pusher("list", "-o", "json"))["pushes"], [])

    def test_coordinators_key_is_changed_without_losing_a_relay(self):
        self.set_up_coordinator()
        state = self.folder / "coordinator"
        self.approved("b1")
        self.run_relay("b1")
        self.live("b1")
        old = (state / "curve.pub").read_text().strip()
        done = self.run_program("pusher-coordinator", "rotate-key", "--state", str(state))
        self.assertEqual(done.returncode, 0, done.stderr)
        new = done.stdout.strip()
        self.assertNotEqual(new, old)
        finish = ("rotate-key", "--state", str(state), "--finish")
        self.assertIn("end it first", self.run_program("pusher-coordinator", *finish).stderr)
        self.end(self.coordinator)
        self.assertIn("doesn't name the new key", self.run_program("pusher-coordinator", *finish).stderr)
        self.start_coordinator()
        self.live("b1")
        self.pusher("policy", "coordinator-key", "add", str(state / "curve.next.pub"))
        self.until(lambda: "policy version 2" in (self.folder / "b1.log").read_text(), "the relay hears of policy 2")
        self.end(self.coordinator)
        done = self.run_program("pusher-coordinator", *finish)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((state / "curve.pub").read_text().strip(), new)
        self.start_coordinator()
        self.live("b1")
        self.pusher("policy", "coordinator-key", "rm", old)
        self.until(lambda: "policy version 3" in (self.folder / "b1.log").read_text(), "the relay hears of policy 3")

    def test_control_socket_may_belong_to_a_group(self):
        done = self.run_program("pusher-coordinator", "init", "--state", str(self.folder / "coordinator"))
        self.assertEqual(done.returncode, 0, done.stderr)
        socket = self.folder / "control.sock"
        for options, mode in (((), 0o600), (("--control-mode", "0660"), 0o660), (("--control-group", "root"), 0o660),
                              (("--control-group", "root", "--control-mode", "0600"), 0o600)):
            with self.subTest(options=options):
                self.start_coordinator(*options)
                self.assertEqual(stat.S_IMODE(socket.stat().st_mode), mode)
                self.end(self.coordinator)
        for options in (("--control-mode", "0666"), ("--control-group", "no-such-group"), ("--finish",)):
            with self.subTest(options=options):
                done = self.run_program("pusher-coordinator", "run", "--state", str(self.folder / "coordinator"),
                                        "--control", self.environment["PUSHER_COORDINATOR"], "--relays",
                                        self.endpoints[0], "--packages", self.endpoints[1], *options)
                self.assertEqual(done.returncode, 2, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
