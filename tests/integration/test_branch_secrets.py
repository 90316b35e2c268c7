#!/usr/bin/python3
"""Where the secrets of head office and branches must not turn up: stores, logs, temporary files, command lines,
environments, what is printed, what crosses the lines.

Usage: test_branch_secrets.py [unittest arguments]     Needs root and /dev/net/tun. $PUSHER_BIN: the programs (build/dev/bin).

The secrets: the accounts of the sites, the account of one push, the passphrase and the secret half of the operator's key,
the secret halves of every daemon's keys, the enrolment tokens. Each search is tried on something that does hold one.
"""

import contextlib
import ctypes
import os
import pathlib
import re
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from branchcase import PASSPHRASE, BranchCase  # noqa: E402
from test_secrets import Search, forms  # noqa: E402


def file_secret(path):
    """The secret half in a daemon's key file."""
    return bytes.fromhex(re.search(r"^secret ([0-9a-f]{64})$", path.read_text(encoding="ascii"), re.M).group(1))


def wrapped_secret(path, passphrase):
    """The secret half in an operator's key file: argon2id, then a secretbox."""
    words = dict(line.split(" ", 1) for line in path.read_text(encoding="ascii").splitlines())
    passes, kib, salt = words["argon2id"].split()
    nonce, box = bytes.fromhex(words["wrapped"][:48]), bytes.fromhex(words["wrapped"][48:])
    sodium = ctypes.CDLL("libsodium.so.23")
    key, seed = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
    made = sodium.crypto_pwhash(key, ctypes.c_ulonglong(32), passphrase.encode(), ctypes.c_ulonglong(len(passphrase)),
                                bytes.fromhex(salt), ctypes.c_ulonglong(int(passes)), ctypes.c_size_t(int(kib) * 1024), 2)
    opened = sodium.crypto_secretbox_open_easy(seed, box, ctypes.c_ulonglong(len(box)), nonce, key.raw)
    if made != 0 or opened != 0:
        raise AssertionError(f"{path} does not open")
    return seed.raw


class Watch(threading.Thread):
    """Command lines and environments of all our programs, for as long as it runs."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self._folder = str(folder).encode()
        self.seen, self.programs = set(), set()
        self._over = threading.Event()

    def run(self):
        while not self._over.is_set():
            for pid in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError):
                    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
                    name = os.path.basename(words.split(b"\0")[0])
                    if not name.startswith(b"pusher") or self._folder not in words:
                        continue
                    self.programs.add(name)
                    self.seen |= {words, pathlib.Path(f"/proc/{pid}/environ").read_bytes()}
            time.sleep(0.02)

    def end(self):
        self._over.set()
        self.join(60)
        return b"\0".join(self.seen)


class Secrets(BranchCase):
    """Everything that is typed from the first command to a finished push, then a look everywhere."""

    RELAYS = {"lyon": 2, "oslo": 1}
    TARGETS = 8

    @classmethod
    def prepare(cls):
        cls.began = time.time() - 2
        cls.packets = cls.folder / "packets"
        cls.sites.capture(cls.packets)
        cls.watch = Watch(cls.folder)
        cls.watch.start()
        cls.addClassCleanup(cls.watch.end)

    def secrets(self):
        """(passwords, {where it may be: secret key})"""
        organisation = self.organisation
        accounts = [branch.data["password"] for branch in self.sites]
        accounts += [row["password"] for row in self.sites["lyon"].data["accounts"] if row["user"] == "pushadmin2"]
        keys = {path: file_secret(path) for state in (organisation.state, *(relay.state for relay in organisation.relays))
                for path in state.rglob("*.key")}
        (operator,) = organisation.home.rglob("operator.key")
        keys[operator] = wrapped_secret(operator, PASSPHRASE)
        return [PASSPHRASE, *accounts], keys

    def push_twice(self):
        """By the sites' accounts, and by one that is sealed for the push; whatever the commands print."""
        push = self.push("-v").start()
        self.assert_true(push.wait_closed(), push)
        push.process.wait(120)
        lyon = self.sites["lyon"]
        words = ("--user", "pushadmin2", "--password-file", f"{lyon.directory}/passwords/pushadmin2")
        other = self.push("-v", *words, names=self.names([lyon])).start()
        report = other.wait_closed()
        self.assert_true(report, other)
        self.assertEqual(report["totals"]["succeeded"], self.TARGETS, report["reasons"])
        other.process.wait(120)
        said = push.what_it_said() + other.what_it_said()
        for words in (["report", "-o", "json"], ["report", "-o", "csv"], ["list"], ["show"], ["relay", "list"],
                      ["relay", "list", "-o", "json"], ["site", "list"], ["cred", "list", "lyon"], ["key", "show"]):
            done = self.organisation.pusher(*words)
            said += done.stdout + done.stderr
        return said.encode()

    def test_secrets_are_where_they_belong_and_nowhere_else(self):
        self.organisation.sites.head.run(["/usr/bin/python3", "-c", (
            "import socket, sys\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
            ".sendto(bytes.fromhex(sys.argv[1]), ('10.48.1.2', 9))"), forms(PASSPHRASE)["UTF-16 in hex"].hex()])
        said = self.push_twice()
        self.sites.capture(None)
        watched = self.watch.end()
        passwords, keys = self.secrets()
        tokens = [path.read_text(encoding="ascii").strip() for path in self.folder.glob("*.token")]
        self.assertEqual(len(tokens), len(self.organisation.relays))
        self.assertGreaterEqual(len(keys), 2 + 2 * len(self.organisation.relays))
        search = Search(passwords + tokens, keys.values())

        planted = search.in_bytes(forms(PASSPHRASE)["UTF-16 in hex"])
        packets = self.packets.read_bytes()
        self.assertGreater(len(packets), 100_000)
        self.assertEqual(search.in_bytes(packets), planted, "on a line")
        self.assertEqual(self.watch.programs, {b"pusher", b"pusher-coordinator", b"pusher-relay"})
        self.assertGreater(len(watched), 1000)
        self.assertEqual(search.in_bytes(watched), [], "in a command line or an environment")
        self.assertEqual(search.in_bytes(said), [], "in what is printed")

        mine = {str(self.organisation.passphrase), str(self.packets), *map(str, self.folder.glob("*.token"))}
        found = search.in_files(self.folder)
        allowed = mine | {str(path) for path in keys}
        self.assertEqual({path: names for path, names in found.items() if path not in allowed}, {})
        self.assertLessEqual(mine, set(found))  # it does look there
        numbers = {path: number for number, path in enumerate(keys)}
        for path in set(keys) & {pathlib.Path(path) for path in found}:
            self.assertEqual(set(found[str(path)]), {f"hex of key {numbers[path]}"}, path)
        elsewhere = search.in_files(tempfile.gettempdir(), since=self.began, apart=[str(self.folder), self.sites.directory])
        self.assertEqual(elsewhere, {})

    def test_nothing_may_dump_core(self):
        for daemon in (self.organisation.coordinator, *self.organisation.relays):
            limits = pathlib.Path(f"/proc/{daemon.pid}/limits").read_text(encoding="ascii")
            self.assertRegex(limits, r"Max core file size +0 +0 ")
        self.assertEqual([path for path in self.folder.rglob("core*") if path.is_file()], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
