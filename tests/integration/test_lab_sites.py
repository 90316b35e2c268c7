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
import types
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab"))

if os.geteuid() != 0:
    sys.exit("needs root for network namespaces")

import branchtruth  # noqa: E402
from sites import HEAD_ADDRESS, Sites  # noqa: E402
from standin import net, spec, taskstore, wan  # noqa: E402

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


class Checkers(unittest.TestCase):
    """What holds reports against machines must see a lie."""

    PUSH = "00112233445566778899aabbccddeeff"

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="truth-")
        self.addCleanup(folder.cleanup)
        self.branches = []
        for name, number in (("lyon", 1), ("oslo", 2)):
            targets, _ = spec.make_targets(3, 1, net.plan(number).prefix, f"{name}.test")
            branch = types.SimpleNamespace(name=name, directory=f"{folder.name}/{name}", targets=targets)
            branch.drive = lambda address, root=branch.directory: f"{root}/{address}"
            os.makedirs(f"{branch.directory}/scheduler")
            branch.store = taskstore.Store(f"{branch.directory}/scheduler/tasks.db")
            self.addCleanup(branch.store.db.close)
            self.branches.append(branch)
        self.package = pathlib.Path(folder.name, "package.exe")
        self.package.write_bytes(b"MZ")
        self.names = [target["fqdn"] for branch in self.branches for target in branch.targets]
        self.rows = [self.row(branch, target) for branch in self.branches for target in branch.targets]
        for branch in self.branches:
            for target in branch.targets:
                self.register(branch, target)
                os.makedirs(f"{branch.drive(target['address'])}/SPDISTRO")
                pathlib.Path(branch.drive(target["address"]), "SPDISTRO", "package.exe").write_bytes(b"MZ")

    def row(self, branch, target):
        return {"target": target["fqdn"], "address": target["address"], "site": branch.name, "relay": f"{branch.name}-1",
                "state": "scheduled", "stage": "schedule", "reason": None, "detail": None}

    def register(self, branch, target, generation=1, result=0, flags=2, task=True):
        path = f"\\Pusher\\{self.PUSH}-{generation}"
        branch.store.add_call(target["address"], "10.49.1.1", "pushadmin", "SchRpcRegisterTask", path, flags, result, {})
        if task:
            branch.store.set_task(target["address"], path, xml="")

    def sums(self, rows):
        counted = {part: 0 for part in branchtruth.PARTS}
        for row in rows:
            counted["succeeded" if row["state"] == "scheduled" else row["state"]] += 1
        return counted | {"submitted": len(rows)}

    def report(self):
        def of(site):
            return [row for row in self.rows if row["site"] == site]

        sites = sorted({row["site"] for row in self.rows})
        return {
            "push": {"id": self.PUSH, "state": "closed"}, "totals": self.sums(self.rows), "targets": self.rows,
            "sites": [self.sums(of(site)) | {"site": site} for site in sites],
            "relays": [{"relay": f"{site}-1", "site": site, "totals": self.sums(of(site))} for site in sites],
        }

    def untruths(self, report=None):
        return branchtruth.untruths(self.branches, report or self.report(), self.names, self.package)

    def lie(self, number=0, **changes):
        self.rows[number] |= changes

    def test_truth_passes(self):
        self.assertEqual(self.untruths(), [])

    def test_failure_with_and_without_a_task(self):
        self.lie(state="failed", stage="access", reason="BAD_SHARE", detail="no share")
        self.assertRegex(self.untruths()[0], "there is a task")
        self.branches[0].store.db.execute("DELETE FROM tasks WHERE target = ?", ("10.51.1.1",))
        self.assertRegex(self.untruths()[0], "there is a task")  # it was there once
        self.branches[0].store.db.execute("DELETE FROM calls WHERE target = ?", ("10.51.1.1",))
        self.assertEqual(self.untruths(), [])

    def test_success_without_a_task(self):
        self.branches[1].store.db.execute("DELETE FROM tasks WHERE target = ?", ("10.52.1.2",))
        self.assertEqual(len(self.untruths()), 1)

    def test_second_registration(self):
        first = self.branches[0].targets[0]
        self.register(self.branches[0], first, result=0x800700B7, task=False)  # "exists" is no registration
        self.register(self.branches[0], first, flags=3, task=False)  # nor is a validation
        self.assertEqual(self.untruths(), [])
        self.register(self.branches[0], first)
        self.assertRegex(self.untruths()[0], "registered 2 times")
        self.register(self.branches[1], self.branches[1].targets[0], generation=2)
        self.assertEqual(len(self.untruths()), 2)

    def test_unknown_effect_may_be_either(self):
        self.lie(state="unknown_effect", stage="schedule", reason="RELAY_LOST", detail="lost")
        self.assertEqual(self.untruths(), [])

    def test_row_that_has_no_end(self):
        report = self.report()
        report["targets"][0]["state"] = "running"
        self.assertTrue(any("has no end" in problem for problem in self.untruths(report)))

    def test_rows_missing_twice_and_invented(self):
        del self.rows[0]
        self.rows[1] = self.rows[0]
        self.rows.append(self.rows[-1] | {"target": "nobody.lyon.test"})
        problems = "\n".join(self.untruths())
        for said in ("no row", "2 rows", "nobody asked", "no such machine", "has a task"):
            self.assertIn(said, problems)

    def test_wrong_site_address_and_bytes(self):
        self.lie(0, site="oslo")
        self.lie(1, address="10.51.1.3")
        pathlib.Path(self.branches[1].drive("10.52.1.1"), "SPDISTRO", "package.exe").write_bytes(b"MY")
        problems = "\n".join(self.untruths())
        for said in ("not in oslo", "but it is 10.51.1.2", "has other bytes"):
            self.assertIn(said, problems)

    def test_sums_that_differ_from_the_rows(self):
        for change in (lambda r: r["totals"].update(failed=1), lambda r: r["sites"][0].update(succeeded=2),
                       lambda r: r["relays"][1]["totals"].update(submitted=4, failed=1), lambda r: r["relays"].pop()):
            report = self.report()
            change(report)
            self.assertTrue(self.untruths(report))

    def test_push_that_is_open(self):
        self.assertTrue(self.untruths(self.report() | {"push": {"id": self.PUSH, "state": "open"}}))


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
