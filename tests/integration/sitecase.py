"""A coordinator with sites and enrolled relays, set up by the commands that an administrator types.

    desk = SiteDesk(folder, place)          # place: where programs run: a Lab, or anything with its run() and popen()
    desk.set_up({"lyon": ["10.50.0.0/16"]}) # coordinator, key, policy, site, a relay that is approved and lets itself be seen
    desk.push("setup.exe", ["pc-0001"], "--user", ...)

$PUSHER_BIN: folder of the programs (build/dev/bin).
"""

import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE_S = 300  # for what comes sooner or later, on any machine
PASSPHRASE = "Correct-horse-battery-7!"
FINGERPRINT = r"[0-9a-f]{4}(?: [0-9a-f]{4}){7}"  # of a relay's keys and name, as people compare it


def wait_for(condition, what, timeout_s=PATIENCE_S, pause_s=0.05):
    """Until CONDITION() is true; its value."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {timeout_s} s: {what() if callable(what) else what}")
        time.sleep(pause_s)
    return value


class Here:
    """This machine, or any other place that a prefix leads to, such as ["ip", "netns", "exec", NAME]."""

    def __init__(self, prefix=()):
        self.prefix = list(prefix)

    def run(self, command, timeout=PATIENCE_S, **options):
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True} | options
        return subprocess.run(self.prefix + command, timeout=timeout, check=False, **options)

    def popen(self, command, **options):
        return subprocess.Popen(self.prefix + command, **options)


def free_ports(count, address="127.0.0.1"):
    """Ports that nobody has now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind((address, 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class SiteDesk:
    """An operator's desk: a coordinator, relays of sites, and everything that `pusher` needs."""

    def __init__(self, folder, place=None, relay_place=None, address="127.0.0.1", lease_ms=10_000, heartbeat_ms=1_000):
        """PLACE: of coordinator and desk. RELAY_PLACE: of relays, if elsewhere. ADDRESS: where relays find the coordinator."""
        self.folder = pathlib.Path(folder)
        self.place = place or Here()
        self.relay_place = relay_place or self.place
        self.bin = pathlib.Path(os.environ.get("PUSHER_BIN", ROOT / "build" / "dev" / "bin")).resolve()
        self.home = self.folder / "home"
        self.home.mkdir(mode=0o700, parents=True)
        self.control = f"ipc://{self.folder}/control.sock"
        self.relays_at, self.packages_at = (f"tcp://{address}:{port}" for port in free_ports(2))
        self.timing = ["--lease-ms", str(lease_ms), "--heartbeat-ms", str(heartbeat_ms)]
        self.environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("PUSHER_", "XDG_"))
        } | {"HOME": str(self.home), "LC_ALL": "C.UTF-8"}
        self.sign = ("--passphrase-file", str(self.secret("passphrase", PASSPHRASE)))
        self.relay_options = ()
        self.processes = {}

    def secret(self, name, text):
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text + "\n", encoding="utf-8")
        return path

    # ---- the desk's commands ----

    def command(self, *words):
        return [str(self.bin / "pusher"), *map(str, words)]

    def options(self, options):
        """No terminal: nothing can be asked."""
        environment = self.environment | {"PUSHER_COORDINATOR": self.control}
        return {"env": environment, "start_new_session": True} | options

    def run(self, *words, timeout=PATIENCE_S, **options):
        return self.place.run(self.command(*words), timeout=timeout, **self.options(options))

    def popen(self, *words, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        return self.place.popen(self.command(*words), **self.options(options))

    def must(self, *words, **options):
        """Runs a command that has to succeed; what it prints."""
        done = self.run(*words, **options)
        if done.returncode != 0:
            raise AssertionError(f"pusher {' '.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}\n"
                                 + self.trouble())
        return done.stdout

    def push(self, package, targets, *options):
        """(finished process, its report as a dict or None)"""
        rest = [word for target in targets for word in ("-t", target)]
        done = self.run("push", package, *rest, "-y", "-o", "json", *self.sign, *options)
        try:
            return done, json.loads(done.stdout)
        except json.JSONDecodeError:
            return done, None

    def report(self, push=""):
        return json.loads(self.run("report", *([push] if push else []), "-o", "json").stdout)

    # ---- daemons ----

    def log(self, name):
        return self.folder / f"{name}.log"

    def said(self, name):
        return self.log(name).read_text(encoding="utf-8", errors="replace") if self.log(name).exists() else ""

    def trouble(self):
        return "\n".join(f"{name}: ...{self.said(name)[-1500:]}" for name in self.processes)

    def start(self, name, place, words):
        with open(self.log(name), "ab") as log:
            self.processes[name] = place.popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log,
                                               stderr=log, env=self.environment)

    def alive(self, name):
        return self.processes[name].poll() is None

    def kill(self, name):
        self.processes[name].kill()
        self.processes[name].wait()

    def end(self):
        """Ends everything that this desk started."""
        for name in self.processes:
            self.kill(name)

    def start_coordinator(self, *options):
        self.start("coordinator", self.place,
                   [self.bin / "pusher-coordinator", "run", "--state", self.folder / "coordinator", "--control", self.control,
                    "--relays", self.relays_at, "--packages", self.packages_at, *self.timing, *options])
        path = pathlib.Path(self.control.removeprefix("ipc://"))
        wait_for(lambda: not self.alive("coordinator") or (path.exists() and self.run("list").returncode == 0), self.trouble)
        if not self.alive("coordinator"):
            raise AssertionError(self.said("coordinator"))

    def start_relay(self, name):
        self.start(name, self.relay_place,
                   [self.bin / "pusher-relay", "run", "--state", self.folder / name, "--verbose", *self.relay_options])

    def wait_live(self, *names):
        wait_for(lambda: set(names) <= self.live(), self.trouble, pause_s=0.3)

    # ---- setting up ----

    def set_up_coordinator(self):
        """Coordinator, operator's key, first policy."""
        done = self.place.run([str(self.bin / "pusher-coordinator"), "init", "--state", str(self.folder / "coordinator")],
                              env=self.environment)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        self.start_coordinator()
        self.must("key", "new", *self.sign)
        self.must("policy", "init", *self.sign)

    def enroll(self, name, site):
        """Token, enrolment, approval of the fingerprint that the relay shows."""
        token = self.secret(f"{name}.token", self.must("relay", "token", site).split()[-1])
        done = self.relay_place.run(
            [str(self.bin / "pusher-relay"), "enroll", "--state", str(self.folder / name), "--name", name, "--coordinator",
             self.relays_at, "--packages", self.packages_at, "--token-file", str(token)], env=self.environment)
        if done.returncode != 0:
            raise AssertionError(f"{name} does not enroll: {done.stdout}{done.stderr}\n{self.trouble()}")
        fingerprint = re.search(FINGERPRINT, done.stdout + done.stderr).group(0)
        self.must("relay", "approve", name, "--fingerprint", fingerprint, *self.sign)

    def live(self):
        """Names of the relays that answer."""
        done = self.run("relay", "list", "-o", "json")
        return {row["relay"] for row in json.loads(done.stdout)["relays"] if row["live"]} if done.returncode == 0 else set()

    def set_up(self, sites, relays_each=1, relay_options=()):
        """SITES: {name: its subnets}. Each gets RELAYS_EACH relays, called NAME-1 and so on."""
        self.relay_options = relay_options
        self.set_up_coordinator()
        names = []
        for site, subnets in sites.items():
            self.must("site", "add", site, *(word for subnet in subnets for word in ("--subnet", subnet)))
            for number in range(relays_each):
                names.append(f"{site}-{number + 1}")
                self.enroll(names[-1], site)
        for name in names:
            self.start_relay(name)
        self.wait_live(*names)


def desk_for(case, place=None, **options):
    """A desk for all tests of a class, in a folder of its own; ended with the class."""
    folder = case.enterClassContext(tempfile.TemporaryDirectory(prefix="desk-", dir="/tmp"))
    desk = SiteDesk(folder, place, **options)
    case.addClassCleanup(desk.end)
    return desk
