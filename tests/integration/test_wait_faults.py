#!/usr/bin/python3
"""A push that waits, to 200 machines, 40 of them broken, with every kind of end on those that get that far.

Usage: test_wait_faults.py [unittest arguments]     Needs root. $PUSHER_BIN: folder of the programs (build/dev/bin).
"""

import json
import pathlib
import sys
import time
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from pushing import PushCase, differences, rows_by_name  # noqa: E402

PATIENCE_S = 240  # for what takes seconds on an idle machine
SCRIPT_FILES = (".pusher-*.cmd", ".pusher-*.out", ".pusher-*.end")


class TwoHundredWait(PushCase):
    """The faults as ever, and the ends."""

    TARGETS, SUBNETS, FAULTS = 200, 2, "default"
    RUN_TIMEOUT_S = 5
    ENDS = (  # on machines without a fault: behaviour; state, reason, exit code
        ({"exit_code": 3010}, ("succeeded", None, 3010)),
        ({"exit_code": 1603, "output": "fatal"}, ("failed", "EXIT_CODE", 1603)),
        ({"seconds": 3600}, ("failed", "RUN_TIMEOUT", None)),
        ({"exit_code": 1618}, ("failed", "INSTALLER_BUSY", 1618)),
        ({"never": True}, ("failed", "NOT_STARTED", None)),  # the last one
    )

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4 * 3600))
        desk = cls.make_desk()
        cls.pushed = desk.folder / "package.exe"
        cls.pushed.write_bytes(b"MZ" + b"\x90" * 5000)
        names = desk.folder / "targets.txt"
        names.write_text("".join(f"{t['host']}\n" for t in cls.lab.targets), encoding="utf-8")
        cls.done, cls.report = cls.push(desk, cls.pushed, [f"@{names}"], "--wait", "--run-timeout", f"{cls.RUN_TIMEOUT_S}s",
                                        "--until", until, "--", "/S")

    @classmethod
    def make_desk(cls):
        sound = [t["host"] for t in cls.lab.targets if not t["fault"]][-len(cls.ENDS):]
        cls.ends = {host: expected for host, (_, expected) in zip(sound, cls.ENDS, strict=True)}
        cls.never = sound[-1]
        for host, (behaviour, _) in zip(sound, cls.ENDS):
            cls.lab.behave(host, **behaviour)
        return super().make_desk()

    @classmethod
    def push(cls, desk, *words):
        """As Admin.push; meanwhile the clock of the machine that never starts the task runs past --until."""
        with open(desk.folder / "out", "w+", encoding="utf-8") as out, open(desk.folder / "said", "w+", encoding="utf-8") as said:
            process = desk.popen(*desk.push_arguments(*words[:2], "-o", "json", *words[2:]), stdout=out, stderr=said)
            deadline = time.monotonic() + PATIENCE_S
            while not cls.lab.check(cls.never)["tasks"] and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.2)
            cls.lab.fault(cls.never, "clock:21600")
            status = process.wait(timeout=PATIENCE_S)
            cls.lab.fault(cls.never, None)
            out.seek(0)
            said.seek(0)
            return types.SimpleNamespace(returncode=status, stderr=said.read()), json.loads(out.read())

    def test_every_row_is_as_predicted(self):
        self.assert_report(self.done, self.report)
        others = [t["host"] for t in self.lab.targets if t["host"] not in self.ends]
        rows = rows_by_name(self.report)
        self.assertEqual(differences(self.lab, dict(self.report, targets=[rows[name] for name in others], totals=dict(
            self.report["totals"], submitted=len(others), succeeded=self.report["totals"]["succeeded"] - 1,
            failed=self.report["totals"]["failed"] - len(self.ends) + 1)), others), [])
        for name, expected in self.ends.items():
            row = rows[name]
            self.assertEqual((row["state"], row["reason"], row["exit_code"]), expected, row)
            if expected[1]:
                self.assert_row(row, "schedule", expected[1])
        for name in others:
            if not rows[name]["reason"]:
                self.assertEqual((rows[name]["state"], rows[name]["exit_code"]), ("succeeded", 0), rows[name])
        good = sum(1 for t in self.lab.targets if t["expected"] is None)
        self.assertEqual((self.report["totals"]["submitted"], self.report["totals"]["succeeded"]),
                         (self.TARGETS, good - len(self.ends) + 1))
        self.assertEqual((self.done.returncode, self.report["totals"]["reboot"]), (3, 1), self.done.stderr)

    def test_every_machine_agrees(self):
        """As ever; and no script is left where it is known that none will run."""
        facts = self.lab.check_all(self.pushed, ran=True, allow=SCRIPT_FILES)
        wrong = [(f["host"], f["fault"], f["problems"]) for f in facts if f["problems"] and f["host"] != self.never]
        self.assertEqual(wrong, [])
        for found in facts:
            left = [file["name"] for file in found["files"] if file["name"].startswith(".pusher-")]
            if left:  # for a task that may be there
                self.assertEqual((found["expected"] or {}).get("state"), "unknown_effect", (found["host"], left))
            if not found["expected"]:
                self.assertEqual(len(found["runs"]), int(found["host"] != self.never), found["host"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
