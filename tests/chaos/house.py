"""An organisation whose programs are going to be broken: coordinator, relays and desk of branchcase.py, each daemon on a
disk that can be full or fail, started again when it ends, and watched for how it ended.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

from branchcase import Organisation  # noqa: E402
from disk import Disk  # noqa: E402

LEASE_MS, HEARTBEAT_MS = 4000, 800  # five heartbeats: PROTOCOL.md, Clones
SMALL_DISK_BYTES = 112 << 20  # a relay takes no package where less than 64 MiB would be left
RESERVE_BYTES = 4 << 20
CACHE_BYTES = 4 << 20
SESSIONS = 8
GROUP_FIRST = 41000  # of relays: what a relay sends is told by its group
START_AGAIN_S = 0.3
STOPPED_BY_DISK_S = 30  # after its disk was healed a daemon may still end because of it
UNHEALTHY = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "Assertion ", "assertion failed", "stack smashing",
             "corrupted size", "double free")


class Failure(Exception):
    """What was expected, and what was there instead."""


def sanitizers(program):
    """Libraries that have to be loaded before any other."""
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    return [line.split("=>")[1].split()[0] for line in said.splitlines() if "libasan" in line and "=>" in line]


class Keeper:
    """Keeps one daemon going, and knows who is breaking it."""

    def __init__(self, house, name, daemon, state, root_pid, number):
        self.house, self.name, self.daemon, self.state = house, name, daemon, pathlib.Path(state)
        self.is_relay = number > 0
        self.group = GROUP_FIRST + number
        self.disk = Disk(house.folder / f"{name}.order", house.preload)
        self.root_pid = root_pid
        self.small = False  # its disk can be full
        self.fault = None  # who breaks it; nobody else may meanwhile
        self.excused_until = 0.0  # until then it may end by itself
        self.ended = []  # exit statuses that were its own doing
        self.up_at = 0.0  # when it is to be started again
        self.stopped = False
        daemon._environment = daemon._environment | self.disk.environment(self.state)
        daemon.start = self.start

    @property
    def folder(self):
        """The state folder as it is seen from here."""
        return pathlib.Path(f"/proc/{self.root_pid}/root{self.state}")

    def mount(self, place):
        self.state.mkdir(mode=0o700)
        options = f"size={SMALL_DISK_BYTES},mode=700"
        done = place.run(["mount", "-t", "tmpfs", "-o", options, "state", str(self.state)])
        if done.returncode != 0:
            raise Failure(f"no small disk for {self.name}: {done.stderr}")
        self.small = True

    def start(self):
        self.stopped = False
        with open(self.daemon.log, "ab") as log:
            self.daemon.process = self.daemon._place.popen(
                self.daemon.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.daemon._environment,
                group=self.group)

    def kill(self):
        """As by kill -9; by then it may have killed itself."""
        self.daemon.kill()

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.daemon.pid, signal.SIGSTOP)
        self.stopped = True

    def go_on(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.daemon.pid, signal.SIGCONT)
        self.stopped = False

    def excuse(self, for_s=STOPPED_BY_DISK_S):
        self.excused_until = max(self.excused_until, time.monotonic() + for_s)

    def look(self, now):
        """Starts it again where nobody else does; it ended by itself: that must have had a reason."""
        if self.daemon.alive() or self.fault and self.fault.owns_end:
            return
        status = self.daemon.process.returncode
        if self.up_at == 0.0:
            self.ended.append(status)
            said = self.daemon.said()[-1500:]
            if status < 0:
                raise Failure(f"{self.name} must never end by a signal; it ended by signal {-status}: {said}")
            if now > self.excused_until and not self.fault:
                raise Failure(f"{self.name} must not end by itself; its status is {status}: {said}")
            self.up_at = now + START_AGAIN_S
        elif now >= self.up_at:
            self.up_at = 0.0
            self.start()

    # -- its store, while nobody has it open ----------------------------------------------------------------------

    @contextlib.contextmanager
    def opened_copy(self):
        """A copy of the store, as the next process will find it, recovered by SQLite."""
        name = "journal.db" if self.is_relay else "store.db"
        folder = self.house.folder / f"{self.name}.copy"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for ending in ("", "-wal", "-journal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(self.folder / (name + ending), folder / (name + ending))
        with contextlib.closing(sqlite3.connect(folder / name)) as database:
            yield database
        shutil.rmtree(folder, ignore_errors=True)

    def check_store(self):
        """After its process was killed: the store holds together."""
        with self.opened_copy() as database:
            said = [row[0] for row in database.execute("PRAGMA integrity_check(5)")]
        if said != ["ok"]:
            raise Failure(f"{self.name}: the store of a killed process must be whole; integrity_check: {said}")

    @contextlib.contextmanager
    def held(self):
        """Its files don't change meanwhile."""
        was_stopped = self.stopped
        if self.daemon.alive() and not was_stopped:
            self.stop()
        try:
            yield self
        finally:
            if self.daemon.alive() and not was_stopped:
                self.go_on()

    def complaints(self):
        """What a sanitizer or an assertion said."""
        return [line for line in self.daemon.said().splitlines() if any(word in line for word in UNHEALTHY)]


class House(Organisation):
    """The organisation with its keepers: `coordinator_keeper`, `relay_keepers`."""

    def __init__(self, sites, folder, relays, preload):
        super().__init__(sites, folder, relays, ("--lease-ms", LEASE_MS, "--heartbeat-ms", HEARTBEAT_MS))
        self.preload = preload
        self.coordinator.command += ["--disk-reserve", str(RESERVE_BYTES)]
        self.head = Keeper(self, "coordinator", self.coordinator, self.state, sites.head._pid, 0)
        self.relay_keepers = []
        for number, relay in enumerate(self.relays, 1):
            at = relay.command.index("--sessions")
            relay.command[at + 1] = str(SESSIONS)
            relay.command += ["--disk-reserve", str(RESERVE_BYTES), "--cache-max", str(CACHE_BYTES)]
            pid = relay.branch.data["processes"]["admin"]["pid"]
            self.relay_keepers.append(Keeper(self, relay.name, relay, relay.state, pid, number))

    @property
    def keepers(self):
        return [self.head, *self.relay_keepers]

    def mount_small_disks(self):
        """Under the coordinator, and under the first relay of each site."""
        self.head.mount(self.sites.head)
        for keeper in self.relay_keepers:
            if keeper.name.endswith("-1"):
                keeper.mount(keeper.daemon.branch)

    def look(self, now):
        for keeper in self.keepers:
            keeper.look(now)

    def complaints(self):
        return [f"{keeper.name}: {line}" for keeper in self.keepers for line in keeper.complaints()]

    def keep_files(self):
        """What is on disks that go with their namespaces is brought into the folder."""
        for keeper in self.keepers:
            if keeper.small:
                target = self.folder / f"{keeper.name}.state"
                with contextlib.suppress(OSError, shutil.Error):
                    shutil.copytree(keeper.folder, target, ignore=shutil.ignore_patterns("reserve", "filler", "*.key"))
        for branch in self.sites:
            with contextlib.suppress(OSError):
                shutil.copyfile(f"{branch.directory}/scheduler/tasks.db", self.folder / f"{branch.name}.tasks.db")
