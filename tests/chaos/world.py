"""The run: an organisation, pushes that overlap, and one fault after the other until so many cycles are over."""

import collections
import contextlib
import json
import pathlib
import random
import sqlite3
import time

import faults
from branchtruth import VALIDATE_ONLY
from house import Failure, House
from private import PrivatePush
from pushes import Push
from sites import Sites
from truth import Truth

RELAYS = {"lyon": 2, "oslo": 2}
TARGETS = 120  # of each site
BROKEN_MACHINES = "host-down*3,port-closed*4,no-share*3,read-only*2"
OPEN_PUSHES = 3
FOLDER = "\\Pusher\\"
TICK_S = 0.03
PAUSE_S = (0.3, 1.9)  # from one fault to the next
FAULTS_AT_ONCE = 3
QUICK_FROM = 0.6  # of the cycles: later pushes don't wait for the packages' ends, or the run would
LAST_LOOKED_AT = 50  # pushes whose reports are held against the machines once more at the very end
PATIENCE_S = 600  # for everything to come to its end once all is well, on any machine


class World:
    """All of it, once entered."""

    def __init__(self, seed, kinds, cycles, until, folder, preload, say):
        self.seed, self.kinds, self.cycles, self.until = seed, kinds, cycles, until
        self.folder, self.preload, self.say = pathlib.Path(folder), preload, say
        self.sizes = (25, 70)
        self.sites = self.house = self.truth = None
        self.names = []
        self.cut = set()  # names of branches whose line is broken
        self.pushes, self.closed = [], []
        self.private, self.private_count, self.private_closed = None, 0, 0
        self.active = []
        self.begun = collections.Counter()
        self.cycle = 0
        self.target_count = 0
        self.started_at = time.monotonic()
        self.log = open(self.folder / "run.log", "w", encoding="utf-8", buffering=1)

    def note(self, text):
        self.log.write(f"{time.monotonic() - self.started_at:7.2f} {text}\n")

    # -- life -----------------------------------------------------------------------------------------------------

    def __enter__(self):
        self.sites = Sites(RELAYS, targets=TARGETS, faults=BROKEN_MACHINES)
        self.sites.up()
        try:
            self.house = House(self.sites, self.folder, RELAYS, self.preload)
            self.house.mount_small_disks()
            self.house.set_up()
        except BaseException:
            self.__exit__()
            raise
        self.truth = Truth(self.house, disks_fail=bool({"full", "fsync"} & set(self.kinds)))
        self.names = [target for branch in self.sites for target in branch.targets]
        self.note("the organisation is up")
        return self

    def __exit__(self, *_):
        for push in filter(None, [*self.pushes, self.private]):
            push.close()
        if self.house:
            self.house.end()
            self.house.keep_files()
        self.sites.down()
        self.log.close()

    # -- the run --------------------------------------------------------------------------------------------------

    def run(self):
        """Until so many faults are over and every push is closed. Raises Failure."""
        chance = random.Random(f"{self.seed}/pauses")
        next_at = time.monotonic() + 1
        while not self._enough():
            now = self._tick()
            if now >= next_at and len(self.active) < FAULTS_AT_ONCE:
                if self._begin(now):
                    next_at = now + chance.uniform(*PAUSE_S)
                else:
                    next_at = now + 0.2
            self._keep_pushing(now)
        self._until(lambda: not self.active, "the last faults heal")
        self._until(lambda: not self.pushes and not self.private, "every push closes once all is well")
        self._until(self._all_live, "every relay is let in again")
        self._last_look()

    def _enough(self):
        return self.cycle >= self.cycles or self.until and time.monotonic() > self.until

    def _begin(self, now):
        fault = faults.make(self, self.cycle + 1, self.kinds, self.seed)
        if not fault.begin(now):
            return False
        self.cycle += 1
        self.begun[fault.kind] += 1
        self.active.append(fault)
        self.note(f"cycle {self.cycle}: {fault.what}")
        if self.cycle % 10 == 0:
            self.say(f"{self.cycle} cycles, {len(self.closed)} pushes closed, {len(self.pushes)} open, {now - self.started_at:.0f} s")
        return True

    def _tick(self):
        time.sleep(TICK_S)
        now = time.monotonic()
        for fault in list(self.active):
            if fault.step(now):
                self.active.remove(fault)
                self.note(f"cycle {fault.cycle} is over: {fault.what}")
        self.house.look(now)
        for push in list(self.pushes):
            if push.step(now):
                self._close(push)
        if self.private and self.private.step(now):
            self._close_private()
        return now

    def _keep_pushing(self, now):
        if len(self.pushes) < OPEN_PUSHES:
            self.begin_push(now)

    def begin_push(self, now):
        number = len(self.pushes) + len(self.closed) + 1
        push = Push(self, number, quick=self.cycle >= QUICK_FROM * self.cycles)
        self.pushes.append(push)
        self.note(f"push {number} ({push.id}) to {len(push.names)} targets"
                  f"{', waits' if push.waits else ''}{', detached' if push.detached else ''} {push.plan}")
        push.step(now)
        return push

    def command_to_kill(self, chance):
        """A push whose command is under way; a new one where there is none, or for its first moments."""
        under_way = [push for push in self.pushes if push.command and not push.command.over()]
        if not under_way or chance.random() < 0.3:
            return self.begin_push(time.monotonic())
        return chance.choice(under_way)

    def private_to_kill(self):
        """The push from a branch's own desk; a new one where none is under way."""
        if not self.private:
            self.private_count += 1
            self.private = PrivatePush(self, self.private_count)
            self.private.start()
            self.note(f"private push {self.private_count} ({self.private.id}) to {len(self.private.names)} targets")
        return self.private

    def _close_private(self):
        push, self.private = self.private, None
        self.private_closed += 1
        self.target_count += len(push.names)
        self.note(f"private push {push.number} is closed and true, after {push.kills} kills")
        push.tidy()

    def _close(self, push):
        self.pushes.remove(push)
        self.closed.append(push)
        self.target_count += len(push.names)
        totals = {key: value for key, value in push.report["totals"].items() if value}
        self.note(f"push {push.number} is closed and true: {totals}")
        push.close()
        push.tidy()

    def _until(self, condition, what):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                raise Failure(f"not in {PATIENCE_S} s: {what}; open: "
                              + "; ".join(f"push {p.number} ({p.id}) {p.report and p.report['totals']}" for p in self.pushes))
            self._tick()

    def _all_live(self):
        return {relay.name for relay in self.house.relays} <= set(self.house.live())

    def _last_look(self):
        """At the very end: nobody did anything afterwards, every store is whole, nothing complained."""
        for push in self.closed[-LAST_LOOKED_AT:]:
            self._look_again(push)
        self._look_at_machines()
        for keeper in self.house.keepers:
            keeper.kill()
            keeper.check_store()
        self.truth.check_acknowledged()
        complaints = self.house.complaints()
        if complaints:
            raise Failure("no program may complain: " + "; ".join(complaints[:5]))
        cores = [str(path) for keeper in self.house.keepers for path in keeper.folder.glob("core*")]
        if cores:
            raise Failure(f"no core files: {cores}")

    def _look_at_machines(self):
        """Whatever push it was of: one task and one start at a machine."""
        for branch in self.sites:
            with contextlib.closing(sqlite3.connect(f"{branch.directory}/scheduler/tasks.db", timeout=30)) as database:
                for table, what, more in (
                    ("calls", "registered", f"WHERE name = 'SchRpcRegisterTask' AND result = 0 AND (flags & {VALIDATE_ONLY}) = 0"),
                    ("runs", "started", ""),
                ):
                    for target, push, count in database.execute(
                            f"SELECT target, substr(path, {len(FOLDER) + 1}, 32) AS push, count(*) AS n FROM {table} {more} "
                            "GROUP BY target, push HAVING n > 1"):
                        self.truth.duplicate += what == "registered"
                        self.truth.double += what == "started"
                        raise Failure(f"{target}: the task of a push must be {what} once; that of {push} was {count} times")

    def _look_again(self, push):
        done = self.house.pusher("report", push.id, "-o", "json")
        try:
            report = json.loads(done.stdout)
        except json.JSONDecodeError:
            raise Failure(f"push {push.number}: its report must still be there; {done.stderr}") from None
        self.truth.check_closed(push, report, None)

    def summary(self):
        words = {"kill": "kills", "stop": "stops", "cut": "partitions", "full": "full disks", "fsync": "failed syncs"}
        done = ", ".join(f"{self.begun[kind]} {words[kind]}" for kind in words if self.begun[kind])
        truth = self.truth
        unknown = len(truth.unknown) if truth else 0
        return (f"{self.cycle} cycles ({done or 'none'}) over {len(self.closed) + self.private_closed} pushes and {self.target_count} targets: "
                f"{truth.lost if truth else 0} lost, {truth.duplicate if truth else 0} duplicate, "
                f"{truth.double if truth else 0} double start"
                + (f", {unknown} unknown" if unknown else "")
                + (f", {truth.refused} that their relay's disk failed" if truth and truth.refused else "")
                + f", {time.monotonic() - self.started_at:.0f} s")
