"""What the schedulers of all targets know, in one SQLite file that anybody may look into: DIR/scheduler/tasks.db.

Times are seconds since 1970 (real numbers, UTC). A row of `calls` is one RPC call, a row of `runs` one start.
"""

import json
import sqlite3
import time

SCHEMA = """
CREATE TABLE IF NOT EXISTS folders (
    target TEXT, path TEXT COLLATE NOCASE, sddl TEXT, PRIMARY KEY (target, path));
CREATE TABLE IF NOT EXISTS tasks (
    target TEXT, path TEXT COLLATE NOCASE, sddl TEXT, xml TEXT, sent TEXT, logon_type INTEGER, enabled INTEGER,
    registered REAL, registered_by TEXT, client TEXT, last_run REAL, last_result INTEGER, running TEXT,
    PRIMARY KEY (target, path));
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, target TEXT, path TEXT, instance TEXT, reason TEXT, started REAL, ended REAL,
    command TEXT, arguments TEXT, directory TEXT, file TEXT, sha256 TEXT, result INTEGER);
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, time REAL, target TEXT, client TEXT, user TEXT, name TEXT, path TEXT, flags INTEGER,
    result INTEGER, facts TEXT);
CREATE INDEX IF NOT EXISTS runs_by_target ON runs (target);
CREATE INDEX IF NOT EXISTS calls_by_target ON calls (target);
"""

# [MS-TSCH] leaves the root's descriptor to the system: administrators own it, users may add to it
ROOT_SDDL = "O:BAG:SYD:(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;OICI;0x1301bf;;;AU)"


class Store:
    """All targets' tasks; folder paths start and tasks' paths continue with a backslash, the root is one alone."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=OFF")
        self.db.executescript(SCHEMA)

    def folder(self, target, path):
        """Its descriptor's SDDL, None when there is no such folder."""
        if path == "\\":
            row = self.db.execute("SELECT sddl FROM folders WHERE target=? AND path=?", (target, path)).fetchone()
            return row["sddl"] if row else ROOT_SDDL
        row = self.db.execute("SELECT sddl FROM folders WHERE target=? AND path=?", (target, path)).fetchone()
        return row["sddl"] if row else None

    def set_folder(self, target, path, sddl):
        self.db.execute("INSERT OR REPLACE INTO folders VALUES (?,?,?)", (target, path, sddl))

    def delete_folder(self, target, path):
        self.db.execute("DELETE FROM folders WHERE target=? AND path=?", (target, path))

    def folders_in(self, target, path):
        return self._children("folders", target, path)

    def tasks_in(self, target, path):
        return self._children("tasks", target, path)

    def _children(self, table, target, path):
        prefix = path.rstrip("\\") + "\\"
        rows = self.db.execute(f"SELECT path FROM {table} WHERE target=? ORDER BY path", (target,))
        names = [row["path"][len(prefix) :] for row in rows if row["path"].lower().startswith(prefix.lower())]
        return [name for name in names if name and "\\" not in name]

    def task(self, target, path):
        return self.db.execute("SELECT * FROM tasks WHERE target=? AND path=?", (target, path)).fetchone()

    def tasks(self):
        return self.db.execute("SELECT * FROM tasks").fetchall()

    def set_task(self, target, path, **columns):
        names = ", ".join(columns)
        marks = ", ".join("?" for _ in columns)
        self.db.execute(
            f"INSERT OR REPLACE INTO tasks (target, path, {names}) VALUES (?, ?, {marks})",
            (target, path, *columns.values()),
        )

    def change_task(self, target, path, **columns):
        sets = ", ".join(f"{name}=?" for name in columns)
        self.db.execute(
            f"UPDATE tasks SET {sets} WHERE target=? AND path=?", (*columns.values(), target, path)
        )

    def delete_task(self, target, path):
        self.db.execute("DELETE FROM tasks WHERE target=? AND path=?", (target, path))

    def add_run(self, **columns):
        names = ", ".join(columns)
        marks = ", ".join("?" for _ in columns)
        return self.db.execute(f"INSERT INTO runs ({names}) VALUES ({marks})", tuple(columns.values())).lastrowid

    def end_run(self, run_id, ended, result):
        self.db.execute("UPDATE runs SET ended=?, result=? WHERE id=?", (ended, result, run_id))

    def add_call(self, target, client, user, name, path, flags, result, facts):
        self.db.execute(
            "INSERT INTO calls (time, target, client, user, name, path, flags, result, facts)"
            " VALUES (?,?,?,?,?,?,?,?,?)",
            (time.time(), target, client, user, name, path, flags, result, json.dumps(facts)),
        )
