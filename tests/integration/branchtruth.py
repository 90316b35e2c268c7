"""Holding a merged report against what every machine of every branch knows, and against its own sums.

    for problem in untruths(sites, report, names): print(problem)

The schedulers' database tells which tasks a machine has, and each registration that ever succeeded there: a task that
was registered twice shows even when the first was taken away meanwhile.
"""

import collections
import contextlib
import hashlib
import os
import sqlite3

PARTS = ("succeeded", "failed", "unreachable", "cancelled", "expired", "unknown_effect", "pending", "never_attempted")
SUCCESS = ("scheduled", "succeeded")
PENDING = ("queued", "running")
VALIDATE_ONLY = 0x1  # [MS-TSCH] 3.2.5.4.2 flags


class Machines:
    """What the machines of some branches know about one push, read behind the servers' backs."""

    def __init__(self, branches, push):
        prefix = f"\\Pusher\\{push}-%"
        self._tasks, self._registered, self._runs = (collections.defaultdict(list) for _ in range(3))
        self._by_name = {}
        for branch in branches:
            with contextlib.closing(sqlite3.connect(f"{branch.directory}/scheduler/tasks.db", timeout=30)) as database:
                for table, found, more in (
                    ("tasks", self._tasks, ""),
                    ("runs", self._runs, ""),
                    ("calls", self._registered,
                     f" AND name = 'SchRpcRegisterTask' AND result = 0 AND (flags & {VALIDATE_ONLY}) = 0"),
                ):
                    for target, path in database.execute(
                            f"SELECT target, path FROM {table} WHERE path LIKE ?{more}", (prefix,)):
                        found[target].append(path)
            for target in branch.targets:
                machine = {"branch": branch, "address": target["address"], "host": target["host"]}
                self._by_name[target["fqdn"]] = self._by_name[target["address"]] = machine

    def find(self, name):
        """The machine that a target's name means; None when there is none."""
        return self._by_name.get(name.lower())

    def all(self):
        return {machine["address"]: machine for machine in self._by_name.values()}.values()

    def tasks(self, machine):
        return self._tasks[machine["address"]]

    def registered(self, machine):
        return self._registered[machine["address"]]

    def runs(self, machine):
        return self._runs[machine["address"]]

    def registered_count(self):
        """Registrations of the push at all machines so far."""
        return sum(map(len, self._registered.values()))


def row_untruth(row, tasks, registered, runs):
    """What is wrong about a terminal row, given the machine's tasks of this push, its registrations and its starts."""
    state = row["state"]
    if len(registered) > len(set(registered)) or len(registered) > 1:
        return f"registered {len(registered)} times: {registered}"
    if len(tasks) > 1 or len(runs) > 1:
        return f"{len(tasks)} tasks, {len(runs)} starts"
    if state in PENDING:
        return f"has no end: {state}"
    if state in SUCCESS:
        return None if len(tasks) == 1 and len(registered) == 1 else f"{state}, but no task is there"
    if state == "unknown_effect":
        return None
    return f"{state} at {row['stage']}, {row['reason']}, but there is a task" if tasks or registered else None


def _part(state):
    return "succeeded" if state in SUCCESS else "pending" if state in PENDING else state


def sums_untruths(report):
    """The conservation law in total, per site and per relay, and each sum against the rows themselves."""
    rows = report["targets"]
    problems = []

    def compare(what, totals, own):
        if totals["submitted"] != sum(totals[part] for part in PARTS):
            problems.append(f"{what}: the law doesn't hold: {totals}")
        counted = collections.Counter(_part(row["state"]) for row in own)
        if totals["submitted"] != len(own) or any(totals[part] != counted[part] for part in PARTS):
            problems.append(f"{what}: says {totals}, its rows say {dict(counted)}")

    compare("in total", report["totals"], rows)
    for site in report["sites"]:
        compare(f"site {site['site']}", site, [row for row in rows if (row["site"] or "-") == site["site"]])
    for relay in report["relays"]:
        compare(f"relay {relay['relay']}", relay["totals"],
                [row for row in rows if ((row["site"] or "-"), row["relay"]) == (relay["site"], relay["relay"])])
    for name in ("sites", "relays"):
        whole = sum((part.get("totals") or part)["submitted"] for part in report[name])
        if whole != report["totals"]["submitted"]:
            problems.append(f"the {name} have {whole} targets together")
    return problems


def _package_untruth(machine, package, digest):
    path = f"{machine['branch'].drive(machine['address'])}/SPDISTRO/{package.name}"
    if not os.path.isfile(path):
        return f"{package.name} is not there"
    with open(path, "rb") as file:
        return None if hashlib.file_digest(file, "sha256").digest() == digest else f"{package.name} has other bytes"


def untruths(sites, report, names, package=None):
    """Everything in a closed push's report that isn't so; NAMES: the targets that were asked for."""
    problems = sums_untruths(report)
    if report["push"]["state"] != "closed":
        problems.append(f"the push is {report['push']['state']}")
    counted = collections.Counter(row["target"] for row in report["targets"])
    problems += [f"{name}: {count} rows" for name, count in counted.items() if count != 1]
    problems += [f"{name}: no row" for name in set(names) - set(counted)]
    problems += [f"{name}: nobody asked for it" for name in set(counted) - set(names)]
    machines = Machines(sites, report["push"]["id"])
    digest = hashlib.sha256(package.read_bytes()).digest() if package else None
    asked = set()
    for row in report["targets"]:
        machine = machines.find(row["target"])
        if machine is None:
            if row["state"] in SUCCESS:
                problems.append(f"{row['target']}: {row['state']}, and there is no such machine")
            continue
        asked.add(machine["address"])
        said = row_untruth(row, *(list(f(machine)) for f in (machines.tasks, machines.registered, machines.runs)))
        if not said and row["site"] != machine["branch"].name:
            said = f"is in {machine['branch'].name}, not in {row['site']}"
        if not said and row["state"] in SUCCESS:
            if row["address"] != machine["address"]:
                said = f"{row['state']} at {row['address']}, but it is {machine['address']}"
            elif package:
                said = _package_untruth(machine, package, digest)
        if not said and row["state"] not in SUCCESS and not (row["reason"] and row["detail"]):
            said = f"{row['state']} without a reason or a sentence"
        if said:
            problems.append(f"{row['target']}: {said}")
    problems += [f"{machine['address']}: nobody named it, and it has a task" for machine in machines.all()
                 if machine["address"] not in asked and machines.registered(machine)]
    return problems
