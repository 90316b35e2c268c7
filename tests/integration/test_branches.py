#!/usr/bin/python3
"""Three branches, five relays, 1,500 machines: one push and one merged report, whatever breaks meanwhile.

Usage: test_branches.py [CLASS | CLASS.test]     Needs root and /dev/net/tun. $PUSHER_BIN: the programs (build/dev/bin).

Every test pushes a package of its own to all machines, and holds each row of the report against what the machine knows.
Nothing is timed: things are broken once so many tasks are registered, and the tests wait for what must come.
"""

import contextlib
import pathlib
import shutil
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from branchcase import PACKAGE_PORT, SESSIONS, BranchCase, Daemon, wait_for  # noqa: E402

MINUTE_S = 60
STATE_BYTES = 256 << 20  # of the file system that is going to be full
RESERVE_BYTES = 64 << 20  # that a relay holds back there


class Merged(BranchCase):
    """Nothing breaks: the report, the lines, and who resolved the names."""

    PACKAGE_BYTES = 2_000_000

    @classmethod
    def central(cls):
        # The head office knows these names, but an address where nobody is: it serves for routing alone.
        return {f"pc-{number:04d}.oslo.test": "10.52.255.250" for number in range(1, cls.TARGETS + 1)}

    def test_one_push_gives_one_merged_report_and_each_line_carries_the_package_once(self):
        graz = [target["address"] for target in self.sites["graz"].targets]
        push = self.push(names=self.names([self.sites["lyon"], self.sites["oslo"]]) + graz, size=self.PACKAGE_BYTES)
        before = self.sites.counters()
        push.start()
        busiest = 0
        while push.process.poll() is None:
            for branch in self.sites:
                open_now = branch.run(["ss", "-Htn", "state", "established", "dport", "=", ":445"]).stdout.count("\n")
                busiest = max(busiest, open_now / len([r for r in self.organisation.relays if r.branch is branch]))
            time.sleep(0.5)
        self.assertEqual(push.process.returncode, 0, push.what_it_said() + self.trouble())
        report = push.wait_closed()
        self.assert_true(report, push)
        self.assertEqual(report["totals"]["succeeded"], len(push.names), report["reasons"])
        self.assertEqual({(site["site"], site["submitted"]) for site in report["sites"]},
                         {(branch.name, self.TARGETS) for branch in self.sites})
        self.assertEqual({relay["relay"] for relay in report["relays"] if relay["totals"]["submitted"]},
                         {relay.name for relay in self.organisation.relays})
        after = self.sites.counters()
        for branch in self.sites:
            carried = [counters[branch.name]["down"]["ports"].get(str(PACKAGE_PORT), 0) for counters in (before, after)]
            relays = [relay for relay in self.organisation.relays if relay.branch is branch]
            copies = 1 if all(relay.serve for relay in relays) else len(relays)  # else each fetches its own
            with self.subTest(line=branch.name):
                self.assertGreater(carried[1] - carried[0], self.PACKAGE_BYTES)
                self.assertLess(carried[1] - carried[0], copies * self.PACKAGE_BYTES * 1.2)
        self.assertGreater(busiest, 0)
        # As many sessions, four times as many on their way to one, and those that are taking leave; else all at once.
        self.assertLess(busiest, 9 * SESSIONS)


class Broken(BranchCase):
    """Programs killed, a line cut, a relay that stays away, a disk that is full."""

    @classmethod
    def prepare(cls):
        state = cls.organisation.folder / "oslo-1"
        state.mkdir(mode=0o700)
        mounted = cls.sites["oslo"].run(["mount", "-t", "tmpfs", "-o", f"size={STATE_BYTES},mode=700", "state", str(state)])
        if mounted.returncode != 0:
            raise AssertionError(mounted.stderr)

    def in_the_middle(self, push):
        """Starts the push and waits until each branch has done a part of it."""
        push.start()
        for branch in self.sites:
            push.wait_registered(self.TARGETS // 10, [branch])
        self.assertLess(push.registered(), len(push.names) * 9 // 10, "too late to break anything")
        return push

    def assert_all_done(self, push):
        report = push.wait_closed()
        self.assert_true(report, push)
        self.assertEqual(report["totals"]["succeeded"], len(push.names), report["reasons"])
        self.organisation.wait_live(self.organisation.relays)
        self.tidy(push.package)
        return report

    def test_killed_coordinator(self):
        push = self.in_the_middle(self.push())
        self.organisation.coordinator.kill()
        self.organisation.start_coordinator()
        self.assert_all_done(push)

    def test_killed_relay_that_comes_back(self):
        push = self.in_the_middle(self.push())
        for relay in (self.relay("lyon-1"), self.relay("graz-1")):
            relay.kill()
            relay.start()
        self.assert_all_done(push)

    def test_killed_coordinator_and_relay(self):
        push = self.in_the_middle(self.push())
        killed = [self.relay("oslo-2"), self.relay("graz-1")]
        for daemon in (self.organisation.coordinator, *killed):
            daemon.kill()
        for relay in killed:
            relay.start()
        self.organisation.start_coordinator()
        self.assert_all_done(push)

    def test_branch_cut_off_for_a_minute(self):
        push = self.in_the_middle(self.push())
        self.sites.link("lyon", cut=True)
        self.addCleanup(self.sites.link, "lyon", cut=False)
        healed_at = time.monotonic() + MINUTE_S
        others = [self.sites["oslo"], self.sites["graz"]]
        push.wait_registered(len(others) * self.TARGETS, others)
        # Past the lease, too: what the branch had was taken back.
        wait_for(lambda: not {"lyon-1", "lyon-2"} & set(self.organisation.live()), self.trouble, pause_s=0.5)
        wait_for(lambda: time.monotonic() > healed_at, "a minute")
        self.assertNotEqual(push.report()["push"]["state"], "closed")
        self.sites.link("lyon", cut=False)
        self.assert_all_done(push)

    def test_relay_that_never_comes_back(self):
        push = self.in_the_middle(self.push())
        relay = self.relay("lyon-1")
        relay.kill()
        self.addCleanup(lambda: relay.alive() or relay.start())
        report = push.wait_closed()
        self.assert_true(report, push)
        self.assertEqual(report["totals"]["succeeded"], len(push.names), report["reasons"])
        done = {row["relay"]: row["totals"]["submitted"] for row in report["relays"]}
        self.assertEqual(done.get("lyon-1", 0) + done["lyon-2"], self.TARGETS)
        self.assertGreater(done["lyon-2"], done.get("lyon-1", 0))

    def folder_of(self, relay):
        """The relay's state folder as it is seen from here: its file system is mounted at the branch alone."""
        return pathlib.Path(f"/proc/{relay.branch.data['processes']['admin']['pid']}/root{relay.state}")

    def fill(self, relay, leave=0):
        """Every byte of the disk under a relay's state folder but LEAVE, once; the file to remove."""
        filler = self.folder_of(relay) / "filler"
        with contextlib.suppress(OSError), open(filler, "ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1) if not leave else (1 << 20,):
                with contextlib.suppress(OSError):
                    while shutil.disk_usage(filler.parent).free > leave and file.write(b"\0" * size):
                        pass
        return filler

    def test_full_disk_of_a_relay_stops_new_work_only(self):
        relay = self.relay("oslo-1")
        reserve = self.folder_of(relay) / "reserve"
        wait_for(reserve.exists, self.trouble)  # it is taken back when there is room again
        push = self.in_the_middle(self.push())
        filler = self.fill(relay, leave=RESERVE_BYTES // 8)
        self.addCleanup(filler.unlink, missing_ok=True)
        wait_for(lambda: not reserve.exists(), self.trouble)
        report = push.wait_closed()
        self.assert_true(report, push)
        self.assertEqual(report["totals"]["succeeded"], len(push.names), report["reasons"])
        self.assertTrue(relay.alive(), relay.said()[-2000:])
        self.tidy(push.package)
        filler.unlink()
        wait_for(reserve.exists, self.trouble)
        self.organisation.wait_live([relay])

    def test_disk_without_a_byte_left_loses_no_row(self):
        relay = self.relay("oslo-1")
        push = self.in_the_middle(self.push())
        filler = self.fill(relay)
        self.addCleanup(filler.unlink, missing_ok=True)

        def closed():
            self.fill(relay)  # what is given up is taken, too
            report = push.report()
            return report and report["push"]["state"] == "closed"

        wait_for(closed, self.trouble, pause_s=0.2)
        report = push.report()
        self.assert_true(report, push)
        self.assertEqual(report["totals"]["succeeded"] + report["totals"]["unknown_effect"], len(push.names),
                         report["reasons"])
        self.tidy(push.package)
        filler.unlink()

        def back():
            if not relay.alive():
                relay.start()
            return relay.name in self.organisation.live()

        wait_for(back, self.trouble, pause_s=0.5)


class Standing(BranchCase):
    """What an operator takes back in the middle of a push holds there and then."""

    RELAYS = {"lyon": 2, "oslo": 2, "graz": 2}
    TARGETS = 250

    def in_the_middle(self, push):
        push.start()
        push.wait_registered(self.TARGETS // 10, [self.sites["lyon"]])
        return push

    def standing(self, name):
        return {row["relay"]: row["standing"] for row in self.organisation.listed()}[name]

    def test_revoked_relay_registers_nothing_more_and_its_twin_does_the_rest(self):
        push = self.in_the_middle(self.push())
        relay = self.relay("lyon-1")
        self.organisation.must("relay", "revoke", relay.name, "-y", *self.organisation.sign)
        report = push.wait_closed()
        self.assert_true(report, push)
        self.assertEqual(report["totals"]["succeeded"], len(push.names), report["reasons"])
        self.assertEqual(self.standing(relay.name), "revoked")
        later = self.push(names=self.names([self.sites["lyon"]])).start()
        report = later.wait_closed()
        self.assert_true(report, later)
        self.assertEqual({row["relay"] for row in report["targets"]}, {"lyon-2"})

    def test_drained_relay_ends_what_it_has_and_gets_nothing_more(self):
        push = self.in_the_middle(self.push())
        self.organisation.must("relay", "drain", "oslo-1")
        report = push.wait_closed()
        self.assert_true(report, push)
        self.assertEqual(report["totals"]["succeeded"], len(push.names), report["reasons"])
        later = self.push(names=self.names([self.sites["oslo"]])).start()
        report = later.wait_closed()
        self.assert_true(report, later)
        self.assertEqual({row["relay"] for row in report["targets"]}, {"oslo-2"})

    def test_second_process_with_a_copied_state_stops_both(self):
        push = self.in_the_middle(self.push(names=self.names([self.sites["lyon"], self.sites["graz"]])))
        relay = self.relay("graz-1")
        relay.kill()
        shutil.copytree(relay.state, relay.state.with_name("copied"))
        copy = Daemon(relay.branch, [word.replace(str(relay.state), str(relay.state.with_name("copied")))
                                     for word in relay.command if word not in relay.serve],
                      self.folder / "copied.log", self.organisation.environment)
        self.addCleanup(copy.kill)
        relay.start()
        copy.start()
        wait_for(lambda: self.standing(relay.name) == "cloned", self.trouble, pause_s=0.3)
        report = push.wait_closed()
        self.assert_true(report, push)
        self.assertEqual(report["totals"]["succeeded"], len(push.names), report["reasons"])
        count = push.registered()
        self.assertEqual(count, len(push.names))


if __name__ == "__main__":
    unittest.main(verbosity=2)
