"""A whole organisation run with the real programs: a coordinator at the head office, enrolled relays in the branches, an
operator's desk, and pushes to every machine while something breaks.

    class Case(BranchCase):
        RELAYS = {"lyon": 2, "oslo": 2, "graz": 1}
        TARGETS = 500

Needs root. $PUSHER_BIN: folder of the programs (build/dev/bin).
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from branchtruth import Machines, untruths  # noqa: E402
from pushing import programs  # noqa: E402  it sets the path to the lab's modules
from sites import HEAD_ADDRESS, Sites  # noqa: E402

RELAY_PORT, PACKAGE_PORT, SERVE_PORT = 7801, 7802, 7810
PATIENCE_S = 600  # for what comes sooner or later, on any machine
SESSIONS = 16  # of each relay: hundreds of machines here are one smbd
FINGERPRINT = r"[0-9a-f]{4}(?: [0-9a-f]{4}){7}"  # of a relay's keys and name, as people compare it
PASSPHRASE = "Correct-horse-battery-9!"


def wait_for(condition, what, timeout_s=PATIENCE_S, pause_s=0.05):
    """Until CONDITION() is true; its value."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {timeout_s} s: {what() if callable(what) else what}")
        time.sleep(pause_s)
    return value


class Daemon:
    """A program that can be killed and started again, with all it says in one file."""

    def __init__(self, place, command, log, environment):
        self._place, self._environment = place, environment
        self.command = [str(word) for word in command]
        self.log = pathlib.Path(log)
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = self._place.popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             env=self._environment)
        return self

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """As by kill -9."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def end(self):
        """As by systemctl stop: (its status, or None when it had to be killed)"""
        if not self.alive():
            return self.process and self.process.returncode
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def said(self):
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


class Relay(Daemon):
    """A relay of a branch, with its state folder there."""

    def __init__(self, organisation, branch, number):
        self.name, self.branch = f"{branch.name}-{number}", branch
        self.state = organisation.folder / self.name
        self.bin = organisation.bin
        self.serve = ["--serve", f"tcp://{branch.relay_addresses[number - 1]}:{SERVE_PORT + number}"]
        super().__init__(
            branch, [self.bin / "pusher-relay", "run", "--state", self.state, "--sessions", SESSIONS, "--verbose",
                     *self.serve],
            organisation.folder / f"{self.name}.log", organisation.environment)

    def enroll_command(self, token_file):
        return [str(self.bin / "pusher-relay"), "enroll", "--state", str(self.state), "--name", self.name, "--coordinator",
                f"tcp://{HEAD_ADDRESS}:{RELAY_PORT}", "--token-file", str(token_file)]

    def enroll(self, token_file):
        """What it says, with the fingerprint that it shows."""
        done = self.branch.run(self.enroll_command(token_file), env=self._environment)
        if done.returncode != 0:
            raise AssertionError(f"{self.name} does not enroll: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr


class Organisation:
    """Coordinator, relays and the operator's desk; RELAYS: how many in which branch; TIMES: options of the coordinator."""

    def __init__(self, sites, folder, relays, times=()):
        self.sites, self.folder, self.bin = sites, pathlib.Path(folder), programs()
        self.home = self.folder / "home"
        self.home.mkdir(mode=0o700)
        self.state = self.folder / "coordinator"
        self.control = f"ipc://{self.folder}/control.sock"
        self.environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("PUSHER_", "XDG_"))
        } | {"HOME": str(self.home), "LC_ALL": "C.UTF-8"}
        self.coordinator = Daemon(
            sites.head,
            [self.bin / "pusher-coordinator", "run", "--state", self.state, "--control", self.control, "--relays",
             f"tcp://{HEAD_ADDRESS}:{RELAY_PORT}", "--packages", f"tcp://{HEAD_ADDRESS}:{PACKAGE_PORT}", *times],
            self.folder / "coordinator.log", self.environment)
        self.relays = [Relay(self, sites[name], number + 1) for name, count in relays.items() for number in range(count)]
        self.passphrase = self.secret("passphrase", PASSPHRASE)
        self.sign = ("--passphrase-file", self.passphrase)

    def secret(self, name, text):
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text + "\n", encoding="utf-8")
        return path

    # -- the operator's desk --------------------------------------------------------------------------------------

    def command(self, *words):
        return [str(self.bin / "pusher"), *map(str, words)]

    def pusher_environment(self):
        return self.environment | {"PUSHER_COORDINATOR": self.control}

    def pusher(self, *words, timeout=PATIENCE_S, **options):
        return self.sites.head.run(self.command(*words), timeout=timeout, env=self.pusher_environment(), **options)

    def must(self, *words, **options):
        """Runs a command of the desk; what it prints."""
        self.show("head office", self.command(*words))
        done = self.pusher(*words, **options)
        if done.returncode != 0:
            raise AssertionError(f"pusher {' '.join(map(str, words))}: {done.returncode}: {done.stdout}{done.stderr}\n"
                                 f"coordinator: {self.coordinator.said()[-2000:]}")
        return done.stdout

    def popen(self, *words, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        return self.sites.head.popen(self.command(*words), env=self.pusher_environment(), **options)

    def show(self, place, command):
        """Called with each command before it runs: for those who want to see."""

    # -- set up ---------------------------------------------------------------------------------------------------

    def set_up(self):
        """From nothing to relays that are let in, by the commands that an administrator types."""
        self.start_head_office()
        for branch in self.sites:
            subnets = [word for subnet in branch.subnets for word in ("--subnet", subnet)]
            self.must("site", "add", branch.name, *subnets, "--name", f"*.{branch.data['zone']}")
        for relay in self.relays:
            self.enroll(relay)
        for branch in self.sites:
            self.must("cred", "set", branch.name, "--user", branch.data["account"], "--password-file",
                      branch.data["password_file"], *self.sign)
        for relay in self.relays:
            self.show(relay.branch.name, relay.command)
            relay.start()
        self.wait_live(self.relays)

    def start_head_office(self):
        init = [str(self.bin / "pusher-coordinator"), "init", "--state", str(self.state)]
        self.show("head office", init)
        done = self.sites.head.run(init, env=self.environment)
        if done.returncode != 0:
            raise AssertionError(f"pusher-coordinator init: {done.stderr}")
        self.show("head office", self.coordinator.command)
        self.start_coordinator()
        self.show("head office", ["export", f"PUSHER_COORDINATOR={self.control}"])
        self.must("key", "new", *self.sign)
        self.must("policy", "init", *self.sign)

    def start_coordinator(self):
        self.coordinator.start()
        path = pathlib.Path(self.control.removeprefix("ipc://"))
        wait_for(lambda: not self.coordinator.alive() or path.exists() and self.pusher("list").returncode == 0,
                 self.coordinator.said)
        if not self.coordinator.alive():
            raise AssertionError(f"the coordinator ended: {self.coordinator.said()}")

    def enroll(self, relay):
        """Token, enrolment, approval of the fingerprint that the relay shows."""
        token = self.must("relay", "token", relay.branch.name).split()[-1]
        token_file = self.secret(f"{relay.name}.token", token)
        self.show(relay.branch.name, relay.enroll_command(token_file))
        said = relay.enroll(token_file)
        fingerprint = re.search(FINGERPRINT, said).group(0)
        self.must("relay", "approve", relay.name, "--fingerprint", fingerprint, *self.sign)

    def listed(self):
        """The rows of `pusher relay list`."""
        done = self.pusher("relay", "list", "-o", "json")
        return json.loads(done.stdout)["relays"] if done.returncode == 0 else []

    def live(self):
        """{name of each relay that is let in and answers: its row}"""
        return {row["relay"]: row for row in self.listed() if row["live"]}

    def wait_live(self, relays):
        names = {relay.name for relay in relays}
        wait_for(lambda: names <= set(self.live()),
                 lambda: f"live: {sorted(self.live())}; " + "; ".join(r.said()[-500:] for r in relays), pause_s=0.3)

    def end(self):
        for daemon in (*self.relays, self.coordinator):
            daemon.kill()


class Push:
    """A push under way from the desk."""

    def __init__(self, case, package, names, *options):
        self.case, self.package, self.names = case, package, names
        self.id = os.urandom(16).hex()
        targets = case.folder / f"{package.stem}.targets"
        targets.write_text("".join(f"{name}\n" for name in names), encoding="ascii")
        self.words = ("push", package, "-t", f"@{targets}", "--push-id", self.id, "-y", "-o", "json",
                      *case.organisation.sign, *options, "--", "/S")
        self.process = None

    def start(self):
        self.said = open(self.case.folder / f"{self.package.stem}.said", "w+b")
        self.case.addCleanup(self.said.close)
        self.process = self.case.organisation.popen(*self.words, stdout=subprocess.DEVNULL, stderr=self.said)
        self.case.addCleanup(self._stop)
        return self

    def _stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def what_it_said(self):
        self.said.seek(0)
        return self.said.read()[-3000:].decode("utf-8", "replace")

    def registered(self, branches=None):
        """Registrations so far at the machines of BRANCHES, or all."""
        return Machines(branches or self.case.sites, self.id).registered_count()

    def wait_registered(self, count, branches=None):
        wait_for(lambda: self.registered(branches) >= count,
                 lambda: f"{self.registered(branches)} of {count} registered\n{self.what_it_said()}\n" + self.case.trouble())

    def report(self):
        """Asks again where the coordinator is being started."""
        done = self.case.organisation.pusher("report", self.id, "-o", "json")
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            return None

    def wait_closed(self):
        """The merged report once the push is over."""
        report = None

        def closed():
            nonlocal report
            report = self.report()
            return report and report["push"]["state"] == "closed"

        wait_for(closed, lambda: f"{report and report['totals']}\n{report and report['relays']}\n" + self.case.trouble(),
                 pause_s=0.5)
        return report


class BranchCase(unittest.TestCase):
    """One organisation for the class; each test pushes a package of its own to the same machines."""

    RELAYS = {"lyon": 2, "oslo": 2, "graz": 1}
    TARGETS = 500
    TIMES = ("--lease-ms", "20000", "--heartbeat-ms", "4000")  # so that a lease runs out within a test

    @classmethod
    def setUpClass(cls):
        cls.sites = Sites(cls.RELAYS, targets=cls.TARGETS, central=cls.central())
        cls.enterClassContext(cls.sites)
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="branch-", dir="/tmp")))
        cls.organisation = Organisation(cls.sites, cls.folder, cls.RELAYS, cls.TIMES)
        cls.addClassCleanup(cls.organisation.end)
        cls.prepare()
        cls.organisation.set_up()

    @classmethod
    def prepare(cls):
        """Before anything is set up."""

    @classmethod
    def central(cls):
        """What the head office's DNS server knows of the branches."""
        return {}

    def relay(self, name):
        return next(relay for relay in self.organisation.relays if relay.name == name)

    def names(self, branches=None):
        return [target["fqdn"] for branch in branches or self.sites for target in branch.targets]

    def push(self, *options, names=None, size=50_000):
        """A push of a new package to all machines, or to NAMES; it is not started yet."""
        package = self.folder / f"package-{os.urandom(4).hex()}.exe"
        package.write_bytes(b"MZ" + os.urandom(size))
        return Push(self, package, names or self.names(), *options)

    def trouble(self):
        """What the programs complain about, for the message of a test that fails."""
        lines = []
        for daemon in (self.organisation.coordinator, *self.organisation.relays):
            last = [line for line in daemon.said().splitlines() if "outcome" not in line][-8:]
            lines.append(f"{daemon.log.name} ({'alive' if daemon.alive() else 'ended'}): " + "\n  ".join(last))
        return "\n".join(lines)

    def assert_true(self, report, push):
        """Every target in exactly one row, no task registered twice, nothing reported that didn't happen."""
        problems = untruths(self.sites, report, push.names, push.package)
        self.assertEqual(problems[:10], [], f"{len(problems)} problems\n{self.trouble()}")

    def tidy(self, package):
        """Takes a push's package from the machines: there are hundreds."""
        for branch in self.sites:
            for target in branch.targets:
                with contextlib.suppress(OSError):
                    os.unlink(f"{branch.drive(target['address'])}/SPDISTRO/{package.name}")
