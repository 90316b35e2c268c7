#!/usr/bin/python3
"""300 hostile targets beside 40 healthy machines: the healthy ones are served, the others' rows are true, the relay stands.

Usage: test_hostile.py [unittest arguments]     Needs root. $PUSHER_BIN: folder of the programs (build/dev/bin).
tests/run-hostile does the same for longer, with other seeds.
"""

import pathlib
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from hostilecase import Trial  # noqa: E402
from pushing import Lab  # noqa: E402

SEED = 11
HEALTHY, HOSTILE = 40, 300
CLEANED = 60  # hostile ones that a push of its own goes to, to be cleaned up afterwards
MEMORY_KB = 150_000  # more than before, at most: generous, since freed memory is not given back at once


class Hostile(unittest.TestCase):
    """One push to all of them, and beside it another one to some of them that is cleaned up while the first goes on."""

    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="hostile-", dir="/tmp"))
        lab = cls.enterClassContext(Lab(targets=HEALTHY + HOSTILE, subnets=2, package_name="package.exe"))
        cls.trial = trial = cls.enterClassContext(Trial(folder, lab, SEED, HEALTHY))
        trial.push("first.exe", targets=trial.healthy[:2])  # what is opened once and stays open
        cls.pids, cls.before = trial.daemons(), trial.look()
        cls.files = {name: trial.files(name) for name in cls.pids}
        cls.cleaned = trial.quick(CLEANED)
        beside = threading.Thread(target=cls.push_and_clean)
        beside.start()
        cls.all = trial.push("package.exe", targets=[t for t in lab.targets if t not in cls.cleaned])
        beside.join()
        cls.after = trial.wait_files(cls.before)

    @classmethod
    def push_and_clean(cls):
        targets = cls.trial.healthy[:3] + cls.cleaned
        cls.some = cls.trial.push("other.exe", targets=targets)
        cls.cleaning = cls.trial.clean_up(cls.some)

    def test_every_row_is_true(self):
        self.assertEqual(self.trial.judge(self.all), [])
        self.assertEqual(self.trial.judge(self.some), [])
        self.assertEqual(self.trial.judge(self.cleaning), [])

    def test_targets_did_mean_ill(self):
        """Else nothing was shown."""
        did = [event for event in self.all.events if "strike" in event]
        self.assertGreater(len({event["address"] for event in did}), HOSTILE // 3)
        self.assertGreater(len({event["strike"] for event in did}), 40)
        reasons = {row["reason"] for row in self.all.report["targets"]}
        self.assertGreaterEqual(reasons, {"CONN_LOST", "PROTOCOL_ERROR", "SIGNING_REFUSED"})
        self.assertGreater(self.all.report["totals"]["failed"], HOSTILE // 5)

    def test_healthy_machines_have_it_all(self):
        self.assertEqual(self.trial.machines(self.all.package), [])

    def test_healthy_ones_wait_for_nobody(self):
        order = self.trial.order(self.all)
        healthy = {target["host"] for target in self.trial.healthy}
        self.assertEqual(healthy & set(order), healthy)
        last = max(at for at, host in enumerate(order) if host in healthy)
        self.assertLess(last, len(order) - 1, order[-10:])

    def test_daemons_stand(self):
        self.assertEqual(self.trial.said_badly(), [])
        self.assertEqual(self.trial.daemons(), self.pids)
        for name, (files, memory_kb) in self.before.items():
            self.assertLessEqual(self.after[name][0], files, f"{name}: {self.trial.files(name)}, before {self.files[name]}")
            self.assertLess(self.after[name][1], memory_kb + MEMORY_KB, f"{name}: resident memory")


if __name__ == "__main__":
    unittest.main(verbosity=2)
