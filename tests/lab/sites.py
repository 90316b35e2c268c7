"""An organisation on one machine: a head office, and branches that reach it over thin lines.

    with Sites(["lyon", "oslo"], targets=40) as sites:
        sites.head.run(["pusher-coordinator", ...])                  # at the head office, which is at 10.48.0.1
        sites["lyon"].run(["pusher-relay", "run", ...])              # at the branch, next to its machines
        sites.link("lyon", delay_ms=40, rate=2_000_000)              # its line; cut=True: nothing passes any more
        sites.counters()["lyon"]["down"]["ports"]["7802"]            # bytes that came from that port

Each branch is a Lab of its own (lablib.py): relays' host, DNS server, smbd, Task Scheduler, targets, in its own namespaces
with its own addresses. All of it dies with the process that made it, however that ends. Needs root and /dev/net/tun.
"""

import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from lablib import Lab, LabError  # noqa: E402
from standin import kernel, net, wan  # noqa: E402

HEAD_ADDRESS = wan.HEAD_ADDRESS
RELAY_HOSTS = 2  # addresses at which relays of one branch can let in their peers


class Branch(Lab):
    """A Lab that is one of several: it has a name, and its hosts are told apart by its zone."""

    def __init__(self, name, number, **options):
        super().__init__(branch=number, zone=f"{name}.test", **options)
        self.name, self.number = name, number
        self.place = net.plan(number)
        self.subnets = [self.place.prefix] + ([self.place.prefix6] if net.has_ipv6() else [])
        first = self.place.admin.rpartition(".")[0]
        self.relay_addresses = [self.place.admin] + [f"{first}.{10 + more}" for more in range(RELAY_HOSTS - 1)]

    def up(self, watch_pid=0):
        super().up(watch_pid)
        for more in self.relay_addresses[1:]:
            self.run(["ip", "address", "add", f"{more}/24", "dev", "lab1"])
        return self

    def owns(self, row):
        """Whether a row of a report is about a machine of this branch."""
        name = row["target"].lower()
        return name.endswith(f".{self.data['zone']}") or any(name == t["address"] for t in self.targets)


class Head:
    """The head office: its namespaces are those of the process that carries the lines."""

    def __init__(self, process):
        self._pid = process.pid

    def enter(self):
        here = os.getcwd()
        kernel.setns(f"/proc/{self._pid}/ns/net", kernel.CLONE_NEWNET)
        kernel.setns(f"/proc/{self._pid}/ns/mnt", kernel.CLONE_NEWNS)
        os.chdir(here)

    def _prepare(self):
        kernel.die_with_parent()
        self.enter()

    def popen(self, command, **options):
        """subprocess.Popen at the head office; the process dies with this one."""
        return subprocess.Popen(command, preexec_fn=self._prepare, **options)

    def run(self, command, timeout=120, **options):
        """subprocess.run at the head office, output captured as text."""
        options = {"capture_output": True, "text": True} | options
        return subprocess.run(command, preexec_fn=self._prepare, timeout=timeout, check=False, **options)


class Sites:
    """NAMES: the branches; TARGETS: in each; CENTRAL: {name: address} that the head office's DNS server knows.

    DIRECTORY: where all of it is while it runs, at most 50 characters."""

    def __init__(self, names, targets=10, subnets=2, central=None, directory=None, **options):
        self.directory = directory or tempfile.mkdtemp(prefix="sites-", dir="/tmp")
        self.branches = {
            name: Branch(name, number, directory=f"{self.directory}/{name}", targets=targets, subnets=subnets, **options)
            for number, name in enumerate(names, 1)
        }
        self._central = central or {}
        self._lock = threading.Lock()
        self._wan = None
        self.head = None

    def __getitem__(self, name):
        return self.branches[name]

    def __iter__(self):
        return iter(self.branches.values())

    def up(self):
        os.makedirs(self.directory, exist_ok=True)
        os.chmod(self.directory, 0o711)  # smbd walks to the drives as other users
        try:
            with concurrent.futures.ThreadPoolExecutor() as pool:
                list(pool.map(lambda branch: branch.up(watch_pid=os.getpid()), self))
            self._start_wan()
        except BaseException:
            self.down()
            raise
        return self

    def _start_wan(self):
        with open(f"{self.directory}/wan.log", "ab") as log:
            self._wan = subprocess.Popen(
                [sys.executable, "-m", "standin.wan"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                cwd="/", env=dict(os.environ, PYTHONPATH=HERE, PYTHONDONTWRITEBYTECODE="1"),
                preexec_fn=kernel.die_with_parent,
            )
        self._ask(
            directory=self.directory, names=self._central,
            links=[{"name": b.name, "branch": b.number, "pid": b.data["processes"]["admin"]["pid"]} for b in self],
        )
        self.head = Head(self._wan)

    def down(self):
        if self._wan:
            self._wan.kill()
            self._wan.communicate()
            self._wan = None
        for branch in self:
            branch.down()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.up()

    def __exit__(self, *_):
        self.down()

    def _ask(self, **request):
        with self._lock:
            try:
                self._wan.stdin.write(json.dumps(request) + "\n")
                self._wan.stdin.flush()
                said = self._wan.stdout.readline()
            except OSError:
                said = ""
        if not said:
            with open(f"{self.directory}/wan.log", encoding="utf-8", errors="replace") as log:
                raise LabError(f"the lines ended: {log.read()[-2000:]}")
        answer = json.loads(said)
        if "error" in answer:
            raise LabError(answer["error"])
        return answer

    def link(self, name, **settings):
        """Changes a branch's line: cut (True, or one way: "up" or "down"), loss (0 to 1), rate (bytes a second, 0: as fast as it goes), delay_ms, jitter_ms."""
        self._ask(do="set", link=name, **settings)

    def counters(self):
        """What passed each line since the start, both ways, seen from the branch: {name: {"up": {...}, "down": {...}}}."""
        return self._ask(do="counters")

    def capture(self, path):
        """Keeps every packet of every line from here on in the file PATH (None: no more)."""
        self._ask(do="capture", path=path and os.path.abspath(path))
