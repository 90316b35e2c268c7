"""The table of reasons, and the record of those that tests have seen come out of the product.

A test that holds a row against what it must be says `saw(reason)`. With $PUSHER_REASONS, a folder that ctest names, each program
of tests keeps the words in a file of its own there; test_reasons.py compares all of them with reason.def at the end.
"""

import os
import pathlib
import re
import sys

DEFINITIONS = pathlib.Path(__file__).resolve().parents[2] / "common" / "model" / "reason.def"
_TEXT = r'"((?:[^"\\]|\\.)*)"'
_ROW = re.compile(rf"^REASON\((\w+), (\w+), ([01]),\s*{_TEXT},\s*{_TEXT}\)", re.M)


def table():
    """{reason: {"state": ..., "cause": ..., "remedy": ...}} as reason.def has it."""
    text = DEFINITIONS.read_text(encoding="utf-8")
    return {
        name: {"state": state.lower(), "cause": re.sub(r"\\(.)", r"\1", cause), "remedy": re.sub(r"\\(.)", r"\1", remedy)}
        for name, state, _, cause, remedy in _ROW.findall(text)
    }


def _record():
    """This program's own file, emptied when the program begins; None outside of ctest."""
    folder = os.environ.get("PUSHER_REASONS")
    if not folder:
        return None
    path = pathlib.Path(folder, pathlib.Path(sys.argv[0]).stem + ".txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("", encoding="ascii")
    return path


_RECORD = _record()
_SEEN = set()


def saw(reason):
    """A test held a row with this reason to be right."""
    if _RECORD is not None and reason not in _SEEN:
        _SEEN.add(reason)
        with open(_RECORD, "a", encoding="ascii") as file:
            file.write(f"{reason}\n")
