#!/usr/bin/python3
"""Every reason in reason.def has come out of the product in a test that held it to be right: see reasons.py.

Usage: ctest -R integration.reasons: runs the tests that keep the record, then this. Needs $PUSHER_REASONS, which ctest sets.
"""

import os
import pathlib
import unittest

import reasons


class Reasons(unittest.TestCase):
    """The record against the table."""

    @classmethod
    def setUpClass(cls):
        files = pathlib.Path(os.environ["PUSHER_REASONS"]).glob("*.txt")
        cls.seen = {word: path.stem for path in files for word in path.read_text(encoding="ascii").split()}
        cls.table = reasons.table()

    def test_table_is_read_whole(self):
        rows = reasons.DEFINITIONS.read_text(encoding="utf-8").count("\nREASON(")
        self.assertEqual(len(self.table), rows)

    def test_every_reason_was_produced(self):
        self.assertEqual(sorted(set(self.table) - set(self.seen)), [])

    def test_record_knows_no_others(self):
        self.assertEqual(sorted(set(self.seen) - set(self.table)), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
