#!/usr/bin/python3
"""The lab's head office, branches and lines, seen with plain programs; and that nothing of them outlives their maker."""

import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab"))

if os.geteuid() != 0:
    sys.exit("needs root for network namespaces")

from sites import HEAD_ADDRESS, Sites  # noqa: E402
from standin import net, wan  # noqa: E402

PORT = 7802
BYTES = 3_000_000
SERVE = f"""
import socket
listener = socket.create_server(("{HEAD_ADDRESS}", {PORT}))
print("ready", flush=True)
while True:
    client = listener.accept()[0]
    client.sendall(b"canary" + bytes({BYTES} - 6))
    client.close()
"""
FETCH = f"""
import socket
client = socket.create_connection(("{HEAD_ADDRESS}", {PORT}), timeout=60)
count = 0
while data := client.recv(1 << 16):
    count += len(data)
print(count)
"""


class Parts(unittest.TestCase):
    """What needs no network."""

    def packet(self, protocol=6, source=40000, destination=PORT, options=0):
        head = bytes([0x45 + options]) + bytes(8) + bytes([protocol]) + bytes(10 + 4 * options)
        return head + struct.pack(">HH", source, destination) + bytes(16)

    def test_port_of_the_head_office_is_told(self):
        self.assertEqual(wan.server_port(self.packet(), True), PORT)
        self.assertEqual(wan.server_port(self.packet(), False), 40000)
        self.assertEqual(wan.server_port(self.packet(options=3), True), PORT)

    def test_other_packets_have_no_port(self):
        for packet in (b"", b"\x45", self.packet(protocol=17), b"\x60" + bytes(60), self.packet()[:21]):
            self.assertIsNone(wan.server_port(packet, True))

    def test_branches_share_no_address(self):
        plans = [net.plan(number) for number in range(net.BRANCHES_MAX)]
        for name in ("admin", "router", "prefix", "prefix6", "admin6"):
            self.assertEqual(len({getattr(place, name) for place in plans}), net.BRANCHES_MAX)
        with self.assertRaises(ValueError):
            net.plan(net.BRANCHES_MAX)


class Lines(unittest.TestCase):
    """Two branches, and what their lines do to what passes."""

    @classmethod
    def setUpClass(cls):
        central = {"pc-0001.oslo.test": "10.52.9.9"}
        cls.sites = cls.enterClassContext(Sites(["lyon", "oslo"], targets=4, central=central))
        cls.server = cls.sites.head.popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.server.communicate)
        cls.addClassCleanup(cls.server.kill)
        cls.server.stdout.readline()

    def setUp(self):
        self.addCleanup(self.sites.link, "lyon", cut=False, loss=0, rate=0, delay_ms=0, jitter_ms=0)

    def fetch(self, name, timeout=60):
        done = self.sites[name].run([sys.executable, "-c", FETCH], timeout=timeout)
        self.assertEqual(done.stdout.strip(), str(BYTES), done.stderr)

    def ping(self, name, count=1, wait_ms=5000):
        """(how many answered, milliseconds of the fastest)"""
        done = self.sites[name].run(["fping", "-q", "-c", str(count), "-p", "50", "-t", str(wait_ms), HEAD_ADDRESS])
        said = re.search(r"= \d+/(\d+)/.*?(?:avg/max = ([\d.]+)/|$)", done.stderr)
        return int(said.group(1)), float(said.group(2) or 0)

    def test_counters_tell_bytes_by_port_of_each_line(self):
        before = self.sites.counters()
        self.fetch("lyon")
        after = self.sites.counters()

        def came(name, way):
            ports = [counters[name][way]["ports"].get(str(PORT), 0) for counters in (before, after)]
            return ports[1] - ports[0]

        self.assertGreater(came("lyon", "down"), BYTES)
        self.assertLess(came("lyon", "down"), BYTES * 1.1)
        self.assertGreater(came("lyon", "up"), 0)
        self.assertEqual(came("oslo", "down"), 0)

    def test_delay_counts_both_ways(self):
        self.sites.link("lyon", delay_ms=60)
        self.assertGreaterEqual(self.ping("lyon")[1], 120)

    def test_loss_loses_some_and_tcp_gets_over_it(self):
        self.sites.link("lyon", loss=0.3)
        answered, _ = self.ping("lyon", 60, 2000)
        self.assertTrue(0 < answered < 60, answered)
        self.sites.link("lyon", loss=0.01)
        self.fetch("lyon")

    def test_rate_bounds_what_passes(self):
        self.sites.link("lyon", rate=2_000_000)
        began = time.monotonic()
        self.fetch("lyon")
        self.assertGreater(time.monotonic() - began, BYTES / 2_000_000 - 0.6)  # its queue holds half a second

    def test_cut_line_is_silent_and_the_other_is_not(self):
        self.sites.link("lyon", cut=True)
        self.assertEqual(self.ping("lyon", 2, 300)[0], 0)
        self.assertEqual(self.ping("oslo")[0], 1)
        self.sites.link("lyon", cut=False)
        self.assertEqual(self.ping("lyon")[0], 1)

    def test_capture_holds_what_passes(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "packets")
            self.sites.capture(path)
            self.fetch("oslo")
            self.sites.capture(None)
            self.assertIn(b"canary", path.read_bytes())
            size = path.stat().st_size
            self.fetch("oslo")
            self.assertEqual(path.stat().st_size, size)

    def test_each_place_has_its_own_dns(self):
        def found(place, name):
            done = place.run(["getent", "ahostsv4", name])
            return done.stdout.split()[0] if done.returncode == 0 else None

        self.assertEqual(found(self.sites["lyon"], "pc-0001.lyon.test"), "10.51.1.1")
        self.assertEqual(found(self.sites["oslo"], "pc-0001.oslo.test"), "10.52.1.1")
        self.assertIsNone(found(self.sites["lyon"], "pc-0001.oslo.test"))
        self.assertEqual(found(self.sites.head, "pc-0001.oslo.test"), "10.52.9.9")
        self.assertIsNone(found(self.sites.head, "pc-0001.lyon.test"))

    def test_machines_are_reached_from_their_branch_alone(self):
        try_it = ("import socket, sys\ntry:\n    socket.create_connection((sys.argv[1], 445), timeout=20); print('open')\n"
                  "except OSError:\n    print('closed')\n")

        def tried(place, address):
            return place.run([sys.executable, "-c", try_it, address]).stdout.strip()

        self.assertEqual(tried(self.sites["lyon"], "10.51.1.1"), "open")
        self.assertEqual(tried(self.sites["oslo"], "10.52.1.1"), "open")
        self.assertEqual(tried(self.sites.head, "10.51.1.1"), "closed")
        if net.has_ipv6():
            self.assertEqual(tried(self.sites["oslo"], net.address6("10.52.1.1")), "open")


class Life(unittest.TestCase):
    """Whoever makes the sites takes them along."""

    def left(self, words):
        """Processes that have one of WORDS in their command line."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                said = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if any(word.encode() in said for word in words):
                found.append((int(pid), said))
        return found

    def test_killed_maker_leaves_no_process(self):
        with tempfile.TemporaryDirectory(prefix="sites-", dir="/tmp") as folder:
            program = (
                f"import sys, time; sys.path.insert(0, {str(HERE.parent / 'lab')!r})\n"
                f"from sites import Sites\nwith Sites(['a', 'b'], targets=2, directory={folder + '/s'!r}) as sites:\n"
                "    sleeper = sites.head.popen(['sleep', '61234'])\n"
                "    print(sites._wan.pid, flush=True); time.sleep(600)\n"
            )
            maker = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
            pid = int(maker.stdout.readline())
            self.assertTrue(os.path.exists(f"/proc/{pid}/exe"))
            self.assertGreater(len(self.left([folder])), 5)
            maker.send_signal(signal.SIGKILL)
            maker.wait()
            maker.stdout.close()
            deadline = time.monotonic() + 60
            while self.left([folder, "61234"]) or os.path.exists(f"/proc/{pid}/exe"):
                self.assertLess(time.monotonic(), deadline, self.left([folder, "61234"]))
                time.sleep(0.05)


if __name__ == "__main__":
    unittest.main(verbosity=2)
