"""Pushes from the desk that overlap, so that there is always work under way: some wait, some are paused, cancelled,
detached or retried. A push is looked at all the time, and held against the machines when it is closed.
"""

import contextlib
import json
import os
import random
import subprocess

from house import Failure

LOOK_EVERY_S = 1.5
AGAIN_S = 0.5
TAKEN_ALREADY = ("is over", "was cancelled", "is cancelled", "nothing is left", "nothing to retry", "is not over")


class Asked:
    """A command of the desk that runs; its output goes to files, so that nobody waits for anybody."""

    def __init__(self, house, path, words):
        self.words = words
        self.out, self.err = open(f"{path}.out", "w+b"), open(f"{path}.err", "w+b")
        self.process = house.popen(*words, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err)

    def over(self):
        return self.process.poll() is not None

    def status(self):
        return self.process.returncode

    def said(self):
        self.err.seek(0)
        return self.err.read().decode("utf-8", "replace")

    def document(self):
        """What it printed, as JSON; None when there is none."""
        self.out.seek(0)
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(self.out.read())
        return None

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.out.close()
        self.err.close()


class Push:
    """One push, from the command until its report is found to be true."""

    def __init__(self, world, number, quick):
        """QUICK: one that doesn't wait for the packages' ends."""
        self.world, self.house, self.number = world, world.house, number
        chance = random.Random(f"{world.seed}/push/{number}")
        self.id = chance.randbytes(16).hex()
        self.package = world.folder / f"push-{number}.exe"
        self.package.write_bytes(b"MZ" + chance.randbytes(chance.randrange(2000, 40000)))
        names = chance.sample(world.names, min(len(world.names), chance.randrange(*world.sizes)))
        self.names = [target["fqdn"] if chance.random() < 0.7 else target["address"] for target in names]
        (world.folder / f"push-{number}.targets").write_text("".join(f"{name}\n" for name in self.names), encoding="ascii")
        self.waits = not quick and chance.random() < 0.25
        self.detached = chance.random() < 0.2
        self.plan = []  # (when, what) an operator does meanwhile
        what = chance.choices(["nothing", "cancel", "pause"], [60, 15, 25])[0]
        when = chance.uniform(0.2, 4)
        if what == "cancel":
            self.plan = [(when, "cancel")]
        elif what == "pause":
            self.plan = [(when, "pause"), (when + chance.uniform(0.5, 4), "resume")]
        self.retries = 1 if chance.random() < 0.3 else 0
        # A killed command is repeated although the push goes on without it, as it was or with --resume.
        self.command_again = chance.choices([None, "push", "resume"], [40, 35, 25])[0]
        self.command = self.look = self.order = None
        self.taken = False  # the coordinator has said that it has the push
        self.paused = self.cancelled = self.done = False
        self.due = {"command": 0.0, "look": 0.0, "order": 0.0}
        self.started_at = self.settled_at = None
        self.seen, self.report, self.retried = {}, None, False

    # -- the operator ---------------------------------------------------------------------------------------------

    def path(self, what):
        return self.world.folder / f"push-{self.number}.{what}"

    def _push_words(self):
        if self.taken and self.command_again == "resume":
            return ["push", "--resume", self.id, "-y", "--no-report", *self.house.sign]
        words = ["push", self.package, "-t", f"@{self.path('targets')}", "--push-id", self.id, "-y", "--no-report",
                 *self.house.sign]
        return words + (["--wait"] if self.waits else []) + (["--detach"] if self.detached else []) + ["--", "/S"]

    def start_command(self):
        self.command = Asked(self.house, self.path("command"), self._push_words())

    def kill(self):
        """As by kill -9; False when there is none."""
        if not self.command or self.command.over():
            return False
        self.command.process.kill()
        return True

    def _step_command(self, now):
        if self.command and self.command.over():
            status, said = self.command.status(), self.command.said()
            self.command.close()
            self.command = None
            self.due["command"] = now + AGAIN_S
            if status < 0 and status != -9:
                raise Failure(f"push {self.number}: the command must never end by a signal; {status}: {said[-1500:]}")
            self._check_known(said)
            if status == 2 and not any(words in said for words in TAKEN_ALREADY):
                raise Failure(f"push {self.number}: the command must be understood; it says {said[-1500:]}")
        state = self.report and self.report["push"]["state"]
        if state == "stopped":
            self.command_again = "resume"  # one that was killed had stopped it, to sign it anew
        if not self.command and now >= self.due["command"] and not self.paused and not self.cancelled and (
                not self.taken or self.command_again and not self.retried):
            self.start_command()
            if self.taken:
                self.command_again = None
                self.report = None if state == "stopped" else self.report

    def _check_known(self, said):
        """A coordinator that has once said that it has the push has it ever after."""
        if "no push begins with" in said:
            self.world.truth.lost += len(self.names)
            raise Failure(f"push {self.number}: the coordinator had taken it over, and knows nothing of it: {said[-1500:]}")

    def _step_orders(self, now):
        """Pause, resume, cancel, retry: each again until the coordinator has taken it."""
        if self.order:
            if not self.order.over():
                return
            self._order_ended(now)
        elif self.taken and self.plan and now >= self.started_at + self.plan[0][0] and now >= self.due["order"]:
            what = self.plan[0][1]
            words = {"cancel": ["cancel", self.id], "pause": ["pause", self.id],
                     "resume": ["resume", self.id, "--detach", *self.house.sign],
                     "retry": ["retry", self.id, "--only", "failed", "--only", "unreachable", "-y", "--detach",
                               *self.house.sign]}[what]
            if what == "cancel":
                self.cancelled = True  # from here on it may have been heard
            if what == "pause":
                self.paused = True
            self.order = Asked(self.house, self.path(what), words)

    def _order_ended(self, now):
        status, said, what = self.order.status(), self.order.said(), self.plan[0][1]
        self.order.close()
        self.order = None
        self.due["order"] = now + AGAIN_S
        if status < 0:
            raise Failure(f"push {self.number}: {what} must never end by a signal; {status}: {said[-1500:]}")
        closed = self.report and self.report["push"]["state"] == "closed"
        if status != 0 and not closed and not any(words in said for words in TAKEN_ALREADY):
            return  # the coordinator is away: again
        if what == "resume":
            self.paused = False
        self.plan.pop(0)

    # -- looking --------------------------------------------------------------------------------------------------

    def _step_look(self, now):
        if self.plan and self.plan[0][1] == "retry":
            return  # rows are about to become open again
        if self.look and self.look.over():
            report, status = self.look.document(), self.look.status()
            said = self.look.said()
            self.look.close()
            self.look = None
            self.due["look"] = now + LOOK_EVERY_S
            if status < 0:
                raise Failure(f"push {self.number}: report must never end by a signal; {status}: {said[-1500:]}")
            if report:
                self._take(report, now)
            elif self.taken:
                self._check_known(said)
        elif not self.look and now >= self.due["look"]:
            self.look = Asked(self.house, self.path("report"), ["report", self.id, "-o", "json"])

    def _take(self, report, now):
        if not self.taken:
            self.taken, self.started_at = True, now
        if report["push"]["id"] != self.id:
            raise Failure(f"push {self.number}: asked for {self.id}, told of {report['push']['id']}")
        self.report = report
        self.world.truth.check_seen(self, report)

    def _bad_rows(self):
        return any(row["state"] in ("failed", "unreachable") for row in self.report["targets"])

    def step(self, now):
        """One round; True once it is closed, and true."""
        self._step_command(now)
        self._step_look(now)
        self._step_orders(now)
        closed = self.report and self.report["push"]["state"] == "closed"
        if not closed or self.order or self.look:
            return False
        self.plan, self.paused = [], False
        if self.retries and not self.cancelled and self._bad_rows():
            self.retries, self.retried = 0, True
            self.plan, self.report = [(0, "retry")], None
            self.seen = {name: row for name, row in self.seen.items() if row[0] not in ("failed", "unreachable")}
            return False
        return self._finish(now)

    def _finish(self, now):
        """Some rows may be known better a moment later: not before nobody is owed a word."""
        if self.settled_at is None:
            self.settled_at = now
            self.due["look"] = 0.0
            return False
        if self.command:
            if not self.command.over():
                return False
            self.command.close()
            self.command = None
        self.world.truth.check_closed(self, self.report, self.package)
        self.done = True
        return True

    def close(self):
        for asked in (self.command, self.look, self.order):
            if asked:
                asked.close()
        self.command = self.look = self.order = None

    def tidy(self):
        """Takes the package from the machines, and its files from here."""
        for branch in self.house.sites:
            for target in branch.targets:
                with contextlib.suppress(OSError):
                    os.unlink(f"{branch.drive(target['address'])}/SPDISTRO/{self.package.name}")
        for path in self.world.folder.glob(f"push-{self.number}.*"):
            path.unlink()
