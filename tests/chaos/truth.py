"""What has to hold whatever breaks: everything is held against what the machines themselves know (branchtruth.py)."""

import collections
import contextlib
import sqlite3

from branchtruth import Machines, untruths
from house import Failure

SUCCESS = ("scheduled", "succeeded")
OPEN = ("queued", "running", "scheduled", "unknown_effect")  # may yet change, "scheduled" where its end is waited for
# enum target_state, as stores and journals have it.
STATES = ("queued", "running", "scheduled", "succeeded", "failed", "unreachable", "cancelled", "expired", "unknown_effect",
          "never_attempted")
# What a machine that is well gives when nobody has time for it; anything else it must not give.
SLOWNESS = ("NO_REPLY", "DNS_TIMEOUT", "CONNECT_TIMEOUT", "CONN_LOST")


class Truth:
    """Keeps what was once said, and finds what isn't so."""

    def __init__(self, house, disks_fail):
        self.disks_fail = disks_fail
        self.house, self.sites = house, house.sites
        self.expected = {}
        for branch in self.sites:
            for target in branch.targets:
                self.expected[target["fqdn"]] = self.expected[target["address"]] = target["expected"]
        self.lost = self.duplicate = self.double = 0
        self.unknown = set()  # (push id, target): nobody could tell until the end
        self.slow = collections.Counter()
        self.acknowledged = self.refused = 0

    # -- while a push is open -------------------------------------------------------------------------------------

    def check_seen(self, push, report):
        """Who was told of an end is never told another one."""
        for row in report["targets"]:
            now = (row["state"], row["stage"], row["reason"])
            before = push.seen.get(row["target"])
            if before and before != now:
                raise Failure(f"push {push.number}, {row['target']}: a row that has ended must not change; it was {before} "
                              f"and is {now}, {row['detail']}")
            if row["state"] not in OPEN or row["state"] == "scheduled" and not push.waits:
                push.seen[row["target"]] = now
        known = {row["target"] for row in report["targets"]}
        if len(known) != len(report["targets"]):
            self.duplicate += 1
            raise Failure(f"push {push.number}: every target must have one row; there are {len(report['targets'])} for "
                          f"{len(known)} targets")

    def check_acknowledged(self):
        """The coordinator is dead: what it has acknowledged to relays is in its store."""
        with self.house.head.opened_copy() as store:
            rows = {(push, no): (generation, STATES[state]) for push, no, generation, state in store.execute(
                "SELECT p.id, t.no, t.generation, t.state FROM target t JOIN push p ON p.key = t.push")}
        for keeper in self.house.relay_keepers:
            with keeper.held(), contextlib.suppress(sqlite3.OperationalError), keeper.opened_copy() as journal:
                outcomes = journal.execute("SELECT push, generation, target_no, body FROM outcome WHERE acked = 1").fetchall()
            for push, generation, number, body in outcomes:
                self._check_stored(keeper, rows.get((push, number)), push, generation, number, body)

    def _check_stored(self, keeper, row, push, generation, number, body):
        state = STATES[first_number(body)]
        if state not in SUCCESS or row and row[0] > generation:
            return  # a failure may be overtaken by another relay's word
        self.acknowledged += 1
        if not row or row[0] != generation or row[1] not in SUCCESS:
            self.lost += 1
            raise Failure(f"{keeper.name} was told that its outcome of target {number} of push {push.hex()} is safe ({state}); "
                          f"the store of the coordinator that died has {row}")

    # -- once it is closed ----------------------------------------------------------------------------------------

    def check_closed(self, push, report, package):
        """The report of a closed push, against every machine."""
        self.check_seen(push, report)
        problems = untruths(self.sites, report, push.names, package)
        machines = Machines(self.sites, push.id)
        for machine in machines.all():
            self.double += len(machines.runs(machine)) > 1
            self.duplicate += len(machines.registered(machine)) > 1
        self.lost += sum("no row" in problem or "no end" in problem or "no task" in problem for problem in problems)
        for row in report["targets"]:
            problem = self.unexpected(push, row)
            if problem:
                problems.append(f"{row['target']}: {problem}: {row['detail']}")
        if problems:
            raise Failure(f"push {push.number} ({push.id}): the report must be what the machines know; {len(problems)} problems: "
                          + "; ".join(problems[:8]))

    def unexpected(self, push, row):
        """What the lab's faults don't explain about a row; None when all is well."""
        expected, state = self.expected[row["target"]], row["state"]
        self.unknown.discard((push.id, row["target"]))
        if state == "unknown_effect":
            self.unknown.add((push.id, row["target"]))
            return None
        if push.cancelled and state in ("cancelled", "expired") or state in SUCCESS and not expected:
            return None
        if self.disks_fail and (row["stage"], row["reason"]) == ("copy", "INTERNAL"):
            self.refused += 1  # the relay could not keep the package on its own disk: it says so, and can be retried
            return None
        if expected:
            same = (expected["stage"], expected["reason"]) == (row["stage"], row["reason"])
            return None if same else f"must be {expected}, is {state} at {row['stage']}, {row['reason']}"
        if row["reason"] in SLOWNESS:
            self.slow[row["reason"]] += 1
            return None
        return f"is well, and must not be {state} at {row['stage']}, {row['reason']}"


def first_number(body):
    """The number in field 1 of a message: an outcome's state, which is left out when it is 0."""
    if not body or body[0] != 0x08:
        return 0
    value = shift = 0
    for byte in body[1:]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value
    return value
