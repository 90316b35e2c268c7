"""A push without a configured coordinator: the command has a private coordinator and relay, which die with it. It is killed, and
said again, as it was or with --resume, until its report is there.
"""

import contextlib
import json
import os
import random
import subprocess

from branchtruth import Machines, row_untruth, sums_untruths
from house import Failure

AGAIN_S = 0.3
TRIES_MAX = 30  # without being killed
CRASHES = (-4, -6, -7, -8, -11)  # SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV


class PrivatePush:
    """One push from a branch's own desk."""

    def __init__(self, world, number):
        self.world, self.number, self.branch = world, number, next(iter(world.house.sites))
        self.chance = random.Random(f"{world.seed}/private/{number}")
        self.id = self.chance.randbytes(16).hex()
        self.package = world.folder / f"private-{number}.exe"
        self.package.write_bytes(b"MZ" + self.chance.randbytes(5000))
        self.names = [target["fqdn"] for target in self.chance.sample(self.branch.targets, 12)]
        self.process = None
        self.again_at, self.tries, self.kills = 0.0, 0, 0
        self.said_file = world.folder / f"private-{number}.err"
        self.report_file = world.folder / f"private-{number}.out"
        self.report = None

    def _words(self):
        lab = self.branch.data
        account = ["--user", lab["account"], "--password-file", lab["password_file"], "-y", "-o", "json"]
        if self.kills and self.chance.random() < 0.4 and self.tries == 0:
            return ["push", "--resume", self.id, *account]
        rest = [word for name in self.names for word in ("-t", name)]
        return ["push", str(self.package), *rest, "--push-id", self.id, *account, "--", "/S"]

    def start(self):
        environment = self.world.house.environment | {"XDG_STATE_HOME": str(self.world.folder / "private")}
        with open(self.report_file, "wb") as out, open(self.said_file, "wb") as err:
            self.process = self.branch.popen([str(self.world.house.bin / "pusher"), *self._words()], env=environment,
                                             stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self.tries += 1

    def kill(self):
        """As by kill -9; False when it has ended."""
        if not self.process or self.process.poll() is not None:
            return False
        self.process.kill()
        self.kills, self.tries = self.kills + 1, 0
        return True

    def step(self, now):
        """True once it is over, and true."""
        if not self.process:
            if now >= self.again_at:
                self.start()
            return False
        status = self.process.poll()
        if status is None:
            return False
        self.process, self.again_at = None, now + AGAIN_S
        said = self.said_file.read_text(encoding="utf-8", errors="replace")[-1500:]
        if status in CRASHES:
            raise Failure(f"private push {self.number}: the command must never end by a signal; {status}: {said}")
        report = None
        with contextlib.suppress(json.JSONDecodeError):
            report = json.loads(self.report_file.read_text(encoding="utf-8"))
        if report and report["push"]["state"] == "closed":
            self._check(report)
            return True
        if self.tries > TRIES_MAX:
            raise Failure(f"private push {self.number}: said again {self.tries} times, it must end; status {status}: {said}")
        return False

    def _check(self, report):
        self.report = report
        problems = sums_untruths(report)
        machines = Machines([self.branch], self.id)
        if sorted(row["target"] for row in report["targets"]) != sorted(self.names):
            problems.append(f"rows of {[row['target'] for row in report['targets']]}, asked for {self.names}")
        for row in report["targets"]:
            machine = machines.find(row["target"])
            said = row_untruth(row, machines.tasks(machine), machines.registered(machine), machines.runs(machine))
            said = said or self.world.truth.unexpected(self, row)
            if said:
                problems.append(f"{row['target']}: {said}: {row['detail']}")
        if problems:
            raise Failure(f"private push {self.number} ({self.id}): the report must be what the machines know: "
                          + "; ".join(problems[:8]))

    cancelled = False

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()

    def tidy(self):
        for target in self.branch.targets:
            with contextlib.suppress(OSError):
                os.unlink(f"{self.branch.drive(target['address'])}/SPDISTRO/{self.package.name}")
        for path in self.world.folder.glob(f"private-{self.number}.*"):
            path.unlink()
