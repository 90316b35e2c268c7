#!/usr/bin/python3
"""Packages on their way to a site: over the line once, from relay to relay, with results beside them.

A coordinator, two relays of a site that is 127.0.0.0/8, and machines where port 445 takes a connection and says nothing, so
that a push stays open while its package travels. Once they are gone every target gets its row.

Usage: test_packages.py [unittest arguments]     Needs root. $PUSHER_BIN: folder of the programs (build/dev/bin).
Runs in namespaces of its own for network, processes and mounts: whatever ends it, nothing stays.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from pushing import conserved  # noqa: E402
from sitecase import SiteDesk, wait_for  # noqa: E402

MEGABYTE = 1 << 20
APART = "PUSHER_TEST_APART"
FOLDERS = "/mnt"  # of the tests: in memory, seen here only
RELAYS = ("lyon-1", "lyon-2")
SITE = {"lyon": ["127.0.0.0/8"]}
POOL = "127.1.0.1-127.1.1.250"  # the silent ones, of which each relay gets some
OFF = "127.2.0.1-127.2.0.40"  # nobody there: a row at once
MUTE = """
import signal, socket
there = [socket.create_server((f"127.1.{i}.{j}", 445), backlog=8) for i in range(2) for j in range(1, 255)]
print("ready", flush=True)
signal.pause()
"""


class Desk(SiteDesk):
    """Its relays serve their peers."""

    def start_relay(self, name):
        self.start(name, self.relay_place, [self.bin / "pusher-relay", "run", "--state", self.folder / name, "--verbose",
                                            "--serve", "tcp://127.0.0.1:*"])


@unittest.skipUnless(os.environ.get(APART), "needs root, and to be run as a program")
class Packages(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=FOLDERS)
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.mute = subprocess.Popen([sys.executable, "-c", MUTE], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.silence_ends)
        self.assertEqual(self.mute.stdout.readline(), "ready\n")
        self.desk = Desk(self.folder)
        self.addCleanup(self.desk.end)

    def silence_ends(self):
        """Machines are gone: connections break, new ones are refused."""
        self.mute.kill()
        self.mute.wait()
        self.mute.stdout.close()

    def set_up(self, rate):
        self.desk.set_up(SITE, relays_each=len(RELAYS))
        self.desk.must("site", "set", "lyon", "--wan-rate", rate)

    def package(self, megabytes, name="setup.bin"):
        path = self.folder / name
        content = os.urandom(megabytes * MEGABYTE)
        path.write_bytes(content)
        return path, len(content), hashlib.sha256(content).hexdigest()

    def begin(self, package, targets=POOL):
        """Starts a push and leaves it; its id."""
        password = self.desk.secret("password", "no matter")
        return self.desk.must("push", package, "-t", targets, "-y", "--detach", "--user", "u", "--password-file", password,
                              "--ping", "skip", "--command", "C:\\SPDISTRO\\setup.bin", *self.desk.sign).strip()

    def stored(self, relay, digest):
        """(bytes of the package at the relay, whether it is whole)"""
        cache = self.folder / relay / "cache"
        for name, whole in ((digest, True), (f"{digest}.part", False)):
            try:
                return (cache / name).stat().st_size, whole
            except FileNotFoundError:
                continue
        return 0, False

    def sent(self):
        """Package bytes over the line, as the coordinator counts them."""
        return json.loads(self.desk.must("site", "list", "-o", "json"))["sites"][0]["package_bytes_sent"]

    def closed(self, push):
        return json.loads(self.desk.must("status", push, "-o", "json"))["push"]["state"] == "closed"

    def wait_whole(self, digest, relays=RELAYS):
        wait_for(lambda: all(self.stored(relay, digest)[1] for relay in relays), self.desk.trouble, timeout_s=600)

    def wait_ended(self, push):
        """Until the push is over, with a row for each target."""
        wait_for(lambda: self.closed(push), self.desk.trouble, timeout_s=600, pause_s=0.5)
        report = self.desk.report(push)
        self.assertEqual(conserved(report), [])
        self.assertEqual((report["totals"]["pending"], report["totals"]["succeeded"]), (0, 0))
        return report

    def follower(self):
        """The relay that fetches from the other."""
        return next((name for name in RELAYS if "fetching a package from relay" in self.desk.said(name)), None)

    def test_package_crosses_the_line_once(self):
        path, size, digest = self.package(24)
        self.set_up("6M")
        push = self.begin(path)
        self.wait_whole(digest)
        self.assertIsNotNone(self.follower(), self.desk.trouble())
        sent = self.sent()
        self.assertGreaterEqual(sent, size)
        self.assertLess(sent, size * 1.5, self.desk.trouble())  # a second time it is 2
        self.assertIn(f"{sent / MEGABYTE:.0f}", self.desk.must("site", "list", "-v"))
        self.silence_ends()
        self.wait_ended(push)

    def test_killed_source_leaves_its_peer_to_go_on(self):
        path, size, digest = self.package(24)
        self.set_up("512K")
        push = self.begin(path)
        wait_for(lambda: all(self.stored(relay, digest)[0] > 2 * MEGABYTE for relay in RELAYS) and self.follower(),
                 self.desk.trouble)
        peer = self.follower()
        source = next(name for name in RELAYS if name != peer)
        before = self.stored(peer, digest)[0]
        self.desk.kill(source)
        there, whole = self.stored(source, digest)
        self.assertFalse(whole, "it was killed too late to show anything")
        self.desk.must("site", "set", "lyon", "--wan-rate", "none")
        self.wait_whole(digest, [peer])
        # Twice: what only the dead one had, and what was under way to it (16 pieces of 128 KiB at most).
        self.assertLess(self.sent(), size + max(there - before, 0) + 4 * MEGABYTE, "it began anew")
        self.silence_ends()
        report = self.wait_ended(push)
        self.assertEqual({row["relay"] for row in report["targets"]} - {source, None}, {peer})

    def test_killed_coordinator_does_not_send_the_package_anew(self):
        path, size, digest = self.package(24)
        self.set_up("512K")
        push = self.begin(path)
        wait_for(lambda: all(self.stored(relay, digest)[0] > 2 * MEGABYTE for relay in RELAYS) and self.follower(),
                 self.desk.trouble)
        self.desk.kill("coordinator")
        there = min(self.stored(relay, digest)[0] for relay in RELAYS)
        self.desk.start_coordinator()
        self.desk.must("site", "set", "lyon", "--wan-rate", "3M")
        self.wait_whole(digest)
        self.assertLess(self.sent(), (size - there) * 1.5, self.desk.trouble())
        self.silence_ends()
        self.wait_ended(push)

    def test_results_do_not_wait_behind_package_bytes(self):
        small, _, small_digest = self.package(1, "small.bin")
        big, size, big_digest = self.package(40, "big.bin")
        self.set_up("8M")
        first = self.begin(small)
        self.wait_whole(small_digest)
        self.desk.must("cancel", first)
        self.wait_ended(first)
        self.desk.must("site", "set", "lyon", "--wan-rate", "64K")
        slow = self.begin(big)
        wait_for(lambda: any(self.stored(relay, big_digest)[0] for relay in RELAYS), self.desk.trouble)
        report = self.wait_ended(self.begin(small, OFF))
        self.assertEqual(report["totals"]["submitted"], 40)
        self.assertEqual([self.stored(relay, big_digest)[1] for relay in RELAYS], [False, False], "it came too fast")
        self.assertLess(self.sent(), size)
        self.assertFalse(self.closed(slow))
        self.desk.must("site", "set", "lyon", "--wan-rate", "none")
        self.wait_whole(big_digest)
        self.silence_ends()
        self.wait_ended(slow)


if __name__ == "__main__":
    if os.geteuid() == 0 and APART not in os.environ:
        os.execvpe("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
                               sys.executable, "-B", *sys.argv], os.environ | {APART: "1"})
    if APART in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", FOLDERS], check=True)
    unittest.main()
