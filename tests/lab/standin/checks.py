"""What a push left on the targets, read behind the servers' backs: files, descriptors, tasks, starts, and calls.

`facts` only tells; `problems` compares with what a correct push leaves, given the target's fault.
"""

import fnmatch
import hashlib
import json
import os
import sqlite3

from . import ntacl, sddl, taskxml

FOLDER = "SPDISTRO"
UNIX_ROOT = "S-1-22-1-0"  # who owns a file here where Windows makes Administrators the owner of what its members make
READ_EXECUTE = 0x1200A9
SAFE_SIDS = {
    "S-1-5-18", "S-1-5-32-544", "SY", "BA",
    "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",  # TrustedInstaller
}


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Database:
    """The schedulers' database, grouped by target; ADDRESS: of this target only."""

    def __init__(self, directory, address=None):
        self._address = address
        self.db = sqlite3.connect(f"{directory}/scheduler/tasks.db", timeout=10)
        self.db.row_factory = sqlite3.Row
        self.rows = {name: self._by_target(name) for name in ("folders", "tasks", "runs", "calls")}
        self.db.close()

    def _by_target(self, table):
        grouped = {}
        only, values = ("WHERE target=?", (self._address,)) if self._address else ("", ())
        for row in self.db.execute(f"SELECT * FROM {table} {only} ORDER BY rowid", values):
            grouped.setdefault(row["target"], []).append(dict(row))
        return grouped

    def get(self, table, address):
        return self.rows[table].get(address, [])


def _descriptor(path, owners=frozenset(), readers=False):
    """The stored descriptor and whether it keeps everybody but SYSTEM and Administrators (and OWNERS) out.

    READERS: others may read and execute, no more; they are told.
    """
    stored = ntacl.read(path)
    if stored is None:
        return {"sddl": None, "safe": False, "why": "no Windows descriptor was stored"}
    allowed = [ace for ace in stored["aces"] if ace["type"] == 0]
    # A file may be read and run by the account that its task runs as; nobody else may change anything.
    may = {ace["sid"] for ace in allowed if not (readers and ace["mask"] == READ_EXECUTE)}
    others = sorted(may - SAFE_SIDS)
    why = None
    if stored["owner"] not in SAFE_SIDS | owners:
        why = f"owner is {stored['owner']}"
    elif others:
        why = f"access for {', '.join(others)}"
    elif not stored["aces"]:
        why = "nobody has access"
    return {
        "sddl": stored["sddl"], "owner": stored["owner"], "protected": stored["protected"], "safe": why is None,
        "why": why, "readers": sorted({ace["sid"] for ace in allowed} - SAFE_SIDS),
    }


def _sddl_problem(text):
    parsed = sddl.parse(text)
    if parsed["owner"] not in SAFE_SIDS:
        return f"owner is {parsed['owner']}"
    others = {sid for kind, _, _, sid in parsed["dacl"] or [] if kind == "A"} - SAFE_SIDS
    return f"access for {', '.join(sorted(others))}" if others else None


def _task(row):
    definition = taskxml.parse(row["sent"])
    action = definition.find("Actions/Exec")
    triggers = definition.find("Triggers")
    settings = definition.find("Settings")
    return {
        "path": row["path"],
        "sddl": row["sddl"],
        "registered": row["registered"],
        "registered_by": row["registered_by"],
        "logon_type": row["logon_type"],
        "enabled": bool(row["enabled"]),
        "last_run": row["last_run"],
        "last_result": row["last_result"],
        "running": bool(row["running"]),
        "description": definition.value("RegistrationInfo/Description"),
        "command": action.value("Command") if action else None,
        "arguments": action.value("Arguments") if action else None,
        "working_directory": action.value("WorkingDirectory") if action else None,
        "user_id": definition.value("Principals/Principal/UserId"),
        "run_level": definition.value("Principals/Principal/RunLevel"),
        "triggers": [
            {"type": t.name, "start": t.value("StartBoundary"), "end": t.value("EndBoundary")}
            for t in (triggers.children if triggers else [])
        ],
        "settings": {child.name: child.text.strip() for child in settings.children} if settings else {},
    }


def facts(lab, target, database=None):
    """Everything about one target (a row of lab.targets) as plain data."""
    address = target["address"]
    database = database or Database(lab.directory, address)
    folder = f"{lab.drive(address)}/{FOLDER}"
    found = {key: target[key] for key in ("address", "host", "fault", "expected")}
    found["path"] = {"exists": os.path.lexists(folder), "is_directory": os.path.isdir(folder)}
    files = []
    if found["path"]["is_directory"]:
        found["path"] |= _descriptor(folder)
        for name in sorted(os.listdir(folder)):
            full = f"{folder}/{name}"
            if os.path.isfile(full):
                size, digest = os.path.getsize(full), sha256(full)
            else:
                size, digest = None, None
            descriptor = _descriptor(full, {UNIX_ROOT}, readers=True)
            files.append({"name": name, "size": size, "sha256": digest, "descriptor": descriptor})
    found["files"] = files
    found["renamed_aside"] = sorted(
        name for name in os.listdir(lab.drive(address)) if name.upper().startswith(FOLDER) and name != FOLDER
    )
    found["folders"] = {row["path"]: row["sddl"] for row in database.get("folders", address)}
    found["tasks"] = [_task(row) for row in database.get("tasks", address)]
    told = ("path", "reason", "started", "ended", "command", "arguments", "file", "sha256", "result")
    found["runs"] = [{key: row[key] for key in told} for row in database.get("runs", address)]
    calls = {}
    for row in database.get("calls", address):
        calls[row["name"]] = calls.get(row["name"], 0) + 1
    found["calls"] = calls
    found["logins"] = [
        {key: said.get(key) for key in ("user", "level", "auth_type", "mic", "mech_list_mic", "header_sign")}
        for said in (json.loads(row["facts"]) for row in database.get("calls", address))
        if said.get("request_fragments", 0) <= 1
    ]
    return found


def summary(found, package=None, digest=None):
    """The questions asked most, answered: package_ok, folder_closed, tasks_closed, leftovers.

    Leftovers are files that are neither the package nor named by any task of the target.
    """
    folder = f"C:\\{FOLDER}\\".lower()
    words = " ".join(f"{task['command']} {task['arguments']}" for task in found["tasks"]).lower()
    copied = next((f for f in found["files"] if f["name"] == package), None)
    descriptors = [task["sddl"] for task in found["tasks"]] + list(found["folders"].values())
    return {
        "package_ok": copied is not None and copied["sha256"] == digest and copied["descriptor"]["safe"],
        "folder_closed": bool(found["path"].get("safe") and found["path"].get("protected")),
        "tasks_closed": all(_sddl_problem(text) is None for text in descriptors),
        "leftovers": [
            f["name"] for f in found["files"] if f["name"] != package and folder + f["name"].lower() not in words
        ],
    }


def problems(found, package=None, digest=None, ran=False, allow=(), pushes=1):
    """What is wrong about one target's facts after PUSHES pushes of PACKAGE (its name), the last with this digest.

    RAN: the start times have passed, so each push must have started the package exactly once. ALLOW: patterns of
    further file names that may be in SPDISTRO.
    """
    fault = (found["fault"] or "").partition(":")[0]
    stage = found["expected"]["stage"] if found["expected"] else None
    wrong = []
    others = [
        f["name"] for f in found["files"]
        if f["name"] != package and not any(fnmatch.fnmatch(f["name"], pattern) for pattern in allow)
    ]
    if others and fault != "unsafe-path":
        wrong.append(f"left in {FOLDER}: {', '.join(others)}")
    copied = next((f for f in found["files"] if f["name"] == package), None)
    if stage is None:
        wrong += _success_problems(found, package, digest, copied)
        if len(found["tasks"]) != pushes:
            wrong.append(f"{len(found['tasks'])} tasks instead of {pushes}")
        if len(found["runs"]) > pushes or (ran and len(found["runs"]) != pushes):
            wrong.append(f"started {len(found['runs'])} times instead of {pushes}")
        if digest and pushes == 1:
            wrong += [
                f"what was started was {run['file'] or 'missing'}, not the package"
                for run in found["runs"] if run["sha256"] != digest
            ]
        return wrong
    if found["tasks"]:
        wrong.append(f"{len(found['tasks'])} tasks on a target that failed")
    if found["runs"]:
        wrong.append("a package was started on a target that failed")
    if stage in ("resolve", "ping", "access") and found["path"]["exists"]:
        wrong.append(f"{FOLDER} was made although the target failed at {stage}")
    if stage == "copy" and copied and (not fault.startswith("package-") or copied["sha256"] == digest):
        wrong.append(f"{package} is there although the copy failed")
    if stage == "schedule" and (copied is None or (digest and copied["sha256"] != digest)):
        wrong.append(f"{package} was not copied")
    return wrong


def _success_problems(found, package, digest, copied):
    wrong = []
    if not found["path"]["is_directory"]:
        return [f"no folder {FOLDER}"]
    if not found["path"]["safe"]:
        wrong.append(f"{FOLDER}: {found['path']['why']}")
    if not found["path"].get("protected"):
        wrong.append(f"{FOLDER}: the DACL is not protected from inheritance")
    if copied is None:
        wrong.append(f"{package} is missing")
    else:
        if digest and copied["sha256"] != digest:
            wrong.append(f"{package} has other bytes")
        if not copied["descriptor"]["safe"]:
            wrong.append(f"{package}: {copied['descriptor']['why']}")
    for task in found["tasks"]:
        said = _sddl_problem(task["sddl"])
        if said:
            wrong.append(f"task {task['path']}: {said}")
    for path, text in found["folders"].items():
        said = _sddl_problem(text)
        if said:
            wrong.append(f"folder {path}: {said}")
    if any(login["level"] != 6 for login in found["logins"]):
        wrong.append("a call below PKT_PRIVACY")
    return wrong


def report_problems(targets, report):
    """What a JSON report (schema 1) says otherwise than the targets' faults predict, one sentence each."""
    wrong, rows = [], {}
    for row in report.get("targets", []):
        rows.setdefault(str(row.get("target", "")).lower(), []).append(row)
    known = set()
    for target in targets:
        names = {target["address"], target["host"], target["fqdn"]}
        known |= names
        mine = [row for name in names for row in rows.get(name, [])]
        if len(mine) != 1:
            wrong.append(f"{target['host']}: {len(mine)} rows instead of one")
            continue
        row, expected = mine[0], target["expected"]
        said = f"{row.get('state')} at {row.get('stage')}, reason {row.get('reason')}"
        if expected is None:
            if row.get("state") not in ("scheduled", "succeeded") or row.get("reason"):
                wrong.append(f"{target['host']} ({target['fault'] or 'healthy'}): {said} instead of success")
        elif (row.get("stage"), row.get("reason")) != (expected["stage"], expected["reason"]):
            wrong.append(
                f"{target['host']} ({target['fault']}): {said} instead of {expected['reason']} at {expected['stage']}"
            )
        elif expected.get("state", row.get("state")) != row.get("state"):
            wrong.append(f"{target['host']} ({target['fault']}): {said} instead of {expected['state']}")
        elif expected.get("code") and row.get("code") != expected["code"].split()[-1]:
            wrong.append(f"{target['host']} ({target['fault']}): code {row.get('code')} instead of {expected['code']}")
    wrong += [f"{name}: a row for something that is no target" for name in sorted(set(rows) - known)]
    return wrong
