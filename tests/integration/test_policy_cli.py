#!/usr/bin/python3
"""pusher key, policy and never-touch against a real coordinator: what they do, and what they refuse.

Usage: test_policy_cli.py [unittest arguments]     $PUSHER_BIN: folder of the programs (build/dev/bin).
"""

import contextlib
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import termios
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PUSHER_BIN", ROOT / "build" / "dev" / "bin")).resolve()
START_S = 60  # for a coordinator to listen, on a slow machine


class Policies(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="policy-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.control = self.folder / "control.sock"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("PUSHER_", "XDG_"))} | {
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "PUSHER_COORDINATOR": f"ipc://{self.control}",
        }
        self.process = None
        self.addCleanup(self.stop)

    # ---- the coordinator ----

    def start(self, name="coordinator"):
        state = self.folder / name
        subprocess.run([BIN / "pusher-coordinator", "init", "--state", state], check=True, timeout=60)
        with open(self.folder / f"{name}.log", "ab") as log:
            self.process = subprocess.Popen(
                [BIN / "pusher-coordinator", "run", "--state", state, "--control", f"ipc://{self.control}",
                 "--relays", f"ipc://{state}/relay.sock", "--packages", f"ipc://{state}/package.sock"],
                stderr=log)
        deadline = time.monotonic() + START_S
        while not self.listens():
            self.assertIsNone(self.process.poll(), "the coordinator ended")
            self.assertLess(time.monotonic(), deadline, "the coordinator does not listen")
            time.sleep(0.05)
        return state

    def listens(self):
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as one:
            return one.connect_ex(str(self.control)) == 0

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=60)
            self.process = None

    # ---- the tool ----

    def pusher(self, *words, **environment):
        return subprocess.run([BIN / "pusher", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120, check=False, start_new_session=True,
                              env=self.environment | environment)

    def good(self, *words, **environment):
        done = self.pusher(*words, **environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def refused(self, status, said, *words, **environment):
        """One clear line, the right status, nothing on standard output."""
        done = self.pusher(*words, **environment)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("pusher: "), done.stderr)
        self.assertIn(said, done.stderr)
        self.assertEqual(done.stdout, "")

    def key(self, name):
        """A key without a passphrase, and the file of its public half."""
        path = self.folder / f"{name}.key"
        self.good("key", "new", "--no-passphrase", "--key", path)
        public = self.folder / f"{name}.pub"
        public.write_text(self.good("key", "show", "--public", "--key", path))
        return path, public

    def policy(self, **environment):
        return json.loads(self.good("policy", "show", "-o", "json", **environment))["policy"]

    # ---- cases ----

    def test_operators_come_and_go_by_signed_successors(self):
        state = self.start()
        anna, anna_public = self.key("anna")
        ben, ben_public = self.key("ben")
        self.refused(2, "has no policy yet", "policy", "show")
        self.good("policy", "init", "--coordinator-key", state / "curve.pub", "--key", anna)
        self.assertEqual(self.policy()["coordinators"], [(state / "curve.pub").read_text().strip()])
        self.refused(2, "has a policy (version 1)", "policy", "init", "--key", anna)
        self.refused(8, "no operator of policy 1", "key", "trust", ben_public, "--key", ben)
        self.good("key", "trust", ben_public, "--key", anna)
        self.refused(2, "already", "key", "trust", ben_public, "--key", anna)
        self.assertEqual(self.policy()["operators"],
                         [anna_public.read_text().strip(), ben_public.read_text().strip()])
        self.refused(2, "this is your own key", "key", "distrust", anna_public, "--key", anna)
        self.good("key", "distrust", anna_public.read_text()[:8], "--key", ben)
        self.refused(8, "no operator of policy 3", "never-touch", "add", "dc1", "--key", anna)
        self.refused(8, "last key", "key", "distrust", ben_public, "--key", ben, "--force")
        self.good("key", "trust", anna_public, "--key", ben)
        self.good("key", "distrust", ben_public, "--key", ben, "--force")
        self.assertEqual(self.policy()["version"], 5)
        self.assertEqual(self.policy()["signed_by"], ben_public.read_text().strip())
        # What the coordinator has outlives it.
        self.stop()
        self.start()
        self.assertEqual(self.policy()["operators"], [anna_public.read_text().strip()])

    def test_the_coordinators_key_is_asked_for_and_rotated(self):
        state = self.start()
        anna, _ = self.key("anna")
        _, other = self.key("other")
        done = self.pusher("policy", "init", "--key", anna)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("says that its key is", done.stderr)
        first = (state / "curve.pub").read_text().strip()
        self.assertEqual(self.policy()["coordinators"], [first])
        self.refused(8, "last key", "policy", "coordinator-key", "rm", first, "--key", anna)
        self.good("policy", "coordinator-key", "add", other, "--key", anna)
        self.assertEqual(self.policy()["coordinators"], [first, other.read_text().strip()])
        self.refused(2, "doesn't name this coordinator's key", "policy", "coordinator-key", "rm", first,
                     "--key", anna)
        self.good("policy", "coordinator-key", "rm", other, "--key", anna)
        self.assertEqual(self.policy()["coordinators"], [first])

    def test_never_touch_entries_are_added_listed_and_removed(self):
        self.start()
        anna, _ = self.key("anna")
        self.good("policy", "init", "--key", anna)
        self.good("never-touch", "add", "dc*", "10.0.0.0/24", "2001:db8::5", "*.VIP.example.", "--key", anna)
        self.assertEqual(self.good("never-touch", "list").split(),
                         ["dc*", "*.VIP.example", "10.0.0.0/24", "2001:db8::5/128"])
        said = self.good("never-touch", "add", "DC*", "10.0.0.0/24", "--key", anna)
        self.assertEqual(said, "policy 2 stays: nothing is to change\n")
        self.good("never-touch", "rm", "*.vip.example", "2001:db8::5/128", "--key", anna)
        self.assertEqual(self.good("never-touch", "list").split(), ["dc*", "10.0.0.0/24"])
        for bad, why in (("*", "every name"), ("**.?", "every name"), ("0.0.0.0/0", "everything"), ("::/0", "everything"),
                         ("10.0.0.*", "looks like addresses"), ("10.0.0.1-9", "looks like addresses"),
                         ("10.0.0.1/24", "bits below the prefix"), ("10.0.0.0/33", "prefix"), ("a b", "neither"),
                         ("fe80::1%eth0", "not an address"), ("", "no pattern"), ("x" * 256, "no pattern")):
            self.refused(2, why, "never-touch", "add", bad, "--key", anna)
        self.assertEqual(self.policy()["version"], 3)

    def test_an_older_or_another_policy_is_refused(self):
        state = self.start()
        anna, _ = self.key("anna")
        self.good("policy", "init", "--key", anna)
        self.stop()
        shutil.copytree(state, self.folder / "old", ignore=shutil.ignore_patterns("*.sock"))
        self.start()
        self.good("never-touch", "add", "dc1", "--key", anna)
        self.stop()
        # A stolen coordinator that forgets: version 2 is gone.
        self.start("old")
        for words in (("policy", "show"), ("never-touch", "add", "x", "--key", anna)):
            self.refused(8, "no policy 2, which this account saw before", *words)
        self.stop()
        # One that has another version 2, rightly signed.
        self.start("old")
        elsewhere = {"XDG_STATE_HOME": str(self.folder / "elsewhere")}
        self.policy(**elsewhere)
        self.good("never-touch", "add", "dc2", "--key", anna, **elsewhere)
        self.refused(8, "is not the one that this account saw before", "policy", "show")
        self.stop()
        # One that begins anew, with the attacker as an operator and the victim beside him.
        mallory, _ = self.key("mallory")
        self.start("new")
        self.good("policy", "init", "--key", mallory, **elsewhere | {"XDG_STATE_HOME": str(self.folder / "third")})
        self.refused(8, "which this account saw before", "policy", "show")
        self.stop()
        # The true one again.
        self.start()
        self.assertEqual(self.policy()["version"], 2)

    def test_who_sees_a_policy_first_must_look_before_signing(self):
        self.start()
        anna, _ = self.key("anna")
        self.good("policy", "init", "--key", anna)
        other = {"XDG_STATE_HOME": str(self.folder / "other")}
        self.refused(8, "for the first time", "never-touch", "add", "x", "--key", anna, **other)
        done = self.pusher("policy", "show", **{"XDG_STATE_HOME": str(self.folder / "third")})
        self.assertEqual(done.returncode, 0)
        self.assertIn("first sight", done.stderr)
        self.good("never-touch", "add", "x", "--key", anna, **other)

    def test_damaged_memory_says_so(self):
        self.start()
        anna, _ = self.key("anna")
        self.good("policy", "init", "--key", anna)
        (memory,) = (self.folder / "state/pusher/policy").iterdir()
        memory.write_text("version 7\n")
        self.refused(2, "is damaged", "policy", "show")

    def test_passphrase_opens_the_key_and_stays_out_of_sight(self):
        self.start()
        right = self.write("right", "canary-3141\n", 0o600)
        wrong = self.write("wrong", "canary-3142\n", 0o600)
        said = self.good("key", "new", "--passphrase-file", right)
        self.assertIn("with a passphrase", said)
        key = self.folder / "config/pusher/operator.key"
        self.assertEqual(key.stat().st_mode & 0o7777, 0o600)
        self.assertNotIn("canary", key.read_text())
        self.assertIn("with a passphrase", self.good("key", "show"))
        self.refused(8, "passphrase is wrong", "policy", "init", "-q", "--passphrase-file", wrong)
        self.refused(2, "no terminal to ask for the passphrase: give --passphrase-file FILE", "policy", "init", "-q")
        self.good("policy", "init", "--passphrase-file", right, "-q")
        self.assertEqual(self.good("key", "show", "--public", "--key", key).strip(), self.policy()["signed_by"])
        self.stop()
        for path in self.folder.rglob("*"):
            if path.is_file() and path.name not in ("right", "wrong"):
                self.assertNotIn(b"canary", path.read_bytes(), path)

    def on_terminal(self, *words, keys):
        """Runs it on a terminal of its own; types each of `keys` when asked. Returns status and what was shown."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(BIN / "pusher", ["pusher", *map(str, words)], self.environment)
        shown = b""
        try:
            while True:
                shown += os.read(terminal, 4096)
                if keys and re.search(rb"(phrase [^\r\n]*|again): $", shown):
                    os.write(terminal, keys.pop(0))
        except OSError:  # EIO: it ended
            pass
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()

    def test_passphrase_is_typed_without_echo(self):
        self.start()
        status, shown = self.on_terminal("key", "new", keys=[b"canary-1\n", b"canary-2\n"])
        self.assertEqual(status, 2, shown)
        self.assertIn("two different passphrases", shown)
        status, shown = self.on_terminal("key", "new", keys=[b"canary-1\n", b"\x03"])
        self.assertEqual(status, 130, shown)
        self.assertFalse((self.folder / "config/pusher/operator.key").exists())
        status, shown = self.on_terminal("key", "new", keys=[b"canary-1\n", b"canary-1\n"])
        self.assertEqual(status, 0, shown)
        self.assertNotIn("canary", shown)
        status, shown = self.on_terminal("policy", "init", keys=[b"\x03"])
        self.assertEqual(status, 130, shown)
        status, shown = self.on_terminal("policy", "init", keys=[b"canary-1\n"])
        self.assertEqual(status, 0, shown)
        self.assertNotIn("canary", shown)
        self.assertEqual(self.policy()["version"], 1)

    def test_a_signal_at_a_passphrase_leaves_the_terminal_as_it_was(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(BIN / "pusher", ["pusher", "key", "new"], self.environment)
        shown = b""
        while not re.search(rb"phrase [^\r\n]*: $", shown):
            shown += os.read(terminal, 4096)
        self.assertFalse(termios.tcgetattr(terminal)[3] & termios.ECHO)
        os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(OSError):  # EIO: it ended
            while os.read(terminal, 4096):
                pass
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), -signal.SIGTERM)
        self.assertTrue(termios.tcgetattr(terminal)[3] & termios.ECHO)
        os.close(terminal)

    def write(self, name, text, mode):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def test_keys_that_others_could_read_are_refused(self):
        anna, public = self.key("anna")
        for mode in (0o644, 0o640, 0o660, 0o700):
            anna.chmod(mode)
            self.refused(8, f"mode {mode:04o}, must be 0600 (chmod 600)", "key", "show", "--key", anna)
        anna.chmod(0o600)
        whole = anna.read_text()
        anna.write_text(whole[:-10])
        self.refused(2, "holds no operator key", "key", "show", "--key", anna)
        loose = self.write("loose", "secret\n", 0o644)
        self.refused(2, "chmod 600", "key", "new", "--key", self.folder / "n.key", "--passphrase-file", loose)
        self.assertFalse((self.folder / "n.key").exists())
        self.refused(2, "is there already", "key", "new", "--key", anna)
        self.assertEqual(public.read_text().count("\n"), 1)

    def test_bad_words_are_refused_before_anything_is_asked(self):
        nobody = {"PUSHER_COORDINATOR": f"ipc://{self.folder}/nobody.sock"}
        self.refused(2, "needs a command", "key")
        self.refused(2, "needs a command", "never-touch")
        self.refused(2, "unknown command 'paint'", "policy", "paint")
        self.refused(2, "unknown command 'coordinator-key'", "policy", "coordinator-key")
        self.refused(2, "usage: pusher key trust FILE", "key", "trust")
        self.refused(2, "usage: pusher key trust FILE", "key", "trust", "a", "b")
        self.refused(2, "usage: pusher never-touch add", "never-touch", "add")
        self.refused(2, "usage: pusher policy show", "policy", "show", "x")
        self.refused(2, "unknown option '--force'", "key", "trust", "a", "--force")
        self.refused(2, "-o json: not for this command", "key", "trust", "a", "-o", "json")
        self.refused(2, "exclude each other", "key", "new", "--no-passphrase", "--passphrase-file", "x")
        self.refused(2, "no operator's key", "key", "show")
        self.refused(2, "none is configured", "policy", "show", PUSHER_COORDINATOR="")
        self.refused(7, "no coordinator answers", "policy", "show", **nobody)

    def test_public_keys_are_read_from_digits_or_files(self):
        self.start()
        anna, public = self.key("anna")
        self.good("policy", "init", "--key", anna)
        junk = self.write("junk", "hello\n", 0o600)
        self.refused(2, "holds no public key (one line", "key", "trust", junk, "--key", anna)
        self.refused(2, "but a secret one", "key", "trust", anna, "--key", anna)
        self.refused(2, "neither a public key", "key", "trust", "missing", "--key", anna)
        self.refused(2, "no operator's key begins", "key", "distrust", "0123456789", "--key", anna)
        self.good("key", "trust", "ab" * 32, "--key", anna)
        self.refused(2, "no such key", "key", "distrust", "cd" * 32, "--key", anna)
        self.assertEqual(self.policy()["operators"], [public.read_text().strip(), "ab" * 32])

    def test_every_command_has_help(self):
        for words in (("key",), ("policy",), ("never-touch",), ("key", "new"), ("key", "show"), ("key", "trust"),
                      ("key", "distrust"), ("policy", "init"), ("policy", "show"), ("policy", "coordinator-key", "add"),
                      ("policy", "coordinator-key", "rm"), ("never-touch", "add"), ("never-touch", "rm"),
                      ("never-touch", "list")):
            said = self.good(*words, "--help")
            self.assertIn(f"Usage: pusher {' '.join(words)}", said)


if __name__ == "__main__":
    unittest.main()
