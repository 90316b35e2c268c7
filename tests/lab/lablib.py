"""The lab for tests and for the command line.

    with Lab(targets=4, faults="no-share=pc-0002") as lab:
        lab.run(["pusher", ...])

A lab made by a `with` dies with the process that made it, however that ends. Needs root.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from standin import checks, kernel, spec  # noqa: E402  pylint: disable=wrong-import-position


TOKEN = "LAB_TOKEN"  # tells the processes that were started inside a lab from all others


class LabError(Exception):
    """Says what could not be done."""


class Lab:
    """A running lab, or one to be started, at a directory."""

    def __init__(self, directory=None, targets=4, subnets=1, faults="none", package_name="package.exe", **options):
        self._temporary = directory is None
        self.directory = os.path.abspath(directory) if directory else None
        self._make = {
            "targets": targets, "subnets": subnets, "fault_spec": faults, "package_name": package_name, **options
        }
        self.data = None

    @classmethod
    def attach(cls, directory):
        """The lab that is running at DIRECTORY."""
        lab = cls(directory)
        try:
            lab.data = spec.load(lab.directory)
        except OSError as error:
            raise LabError(f"{directory}: no lab here ({error.strerror})") from error
        return lab

    # -- life -----------------------------------------------------------------------------------------------------

    def up(self, watch_pid=0):
        """Starts everything; returns when every server answers. WATCH_PID: the process the lab dies with."""
        if os.geteuid() != 0:
            raise LabError("the lab needs root (network namespaces, port 445)")
        if self.directory is None:
            self.directory = tempfile.mkdtemp(prefix="lab-", dir="/tmp")
        if os.path.exists(f"{self.directory}/lab.json"):
            if self._alive(spec.load(self.directory)):
                raise LabError(f"{self.directory}: a lab is running here already")
            self._remove_files()
        try:
            lab = spec.make(self.directory, **self._make)
        except ValueError as error:
            raise LabError(str(error)) from error
        os.makedirs(f"{self.directory}/log", exist_ok=True)
        # smbd walks to the drives as other users before "force user" takes effect
        os.chmod(self.directory, 0o711)
        spec.save(lab)
        ready, ours = os.pipe()
        with open(f"{self.directory}/log/supervisor.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "standin.supervisor", self.directory, str(ours), str(watch_pid)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(ours,), start_new_session=True,
                cwd="/", env=dict(os.environ, PYTHONPATH=HERE, PYTHONDONTWRITEBYTECODE="1"),
            )
        os.close(ours)
        said = os.read(ready, 4096).decode(errors="replace")
        os.close(ready)
        if said != "ok":
            process.wait()
            raise LabError(f"{said or 'the lab did not start'} (see {self.directory}/log)")
        self._process = process
        self.data = spec.load(self.directory)
        return self

    def down(self, keep=False):
        """Ends every process of the lab and removes its files (KEEP: leaves them); fine when it is down already."""
        try:
            data = spec.load(self.directory)
        except OSError:
            return
        self._kill_commands(data)
        for name in ("supervisor", "target", "admin"):
            self._kill(data.get("processes", {}).get(name))
        for name in ("supervisor", "target", "admin"):
            self._wait_gone(data.get("processes", {}).get(name))
        if getattr(self, "_process", None):
            self._process.wait()
        if keep:
            return
        self._remove_files()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        try:
            return self.up(watch_pid=os.getpid())
        except BaseException:
            if self._temporary and self.directory and not os.environ.get("LAB_KEEP"):
                shutil.rmtree(self.directory, ignore_errors=True)
            raise

    def __exit__(self, *_):
        self.down(keep=bool(os.environ.get("LAB_KEEP")))

    def _remove_files(self):
        for name in (
            "smbd", "targets", "hosts", "np", "nopipe", "dns", "etc", "log", "scheduler", "passwords",
            "password", "resolv.conf", "wine", "control.sock", "line.json", "tamper.json", "lab.json",
        ):
            path = f"{self.directory}/{name}"
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
            elif os.path.lexists(path):
                os.unlink(path)

    @staticmethod
    def _alive(data):
        process = data.get("processes", {}).get("supervisor")
        return bool(process) and kernel.start_time(process["pid"]) == process["start_time"]

    @staticmethod
    def _kill(process):
        if process and kernel.start_time(process["pid"]) == process["start_time"]:
            os.kill(process["pid"], signal.SIGKILL)

    @staticmethod
    def _wait_gone(process):
        for _ in range(200):
            if not process or kernel.start_time(process["pid"]) != process["start_time"]:
                return
            try:  # a zombie is gone enough
                with open(f"/proc/{process['pid']}/stat", encoding="ascii", errors="replace") as stat:
                    if stat.read().rpartition(")")[2].split()[0] == "Z":
                        return
            except OSError:
                return
            time.sleep(0.02)

    @staticmethod
    def _kill_commands(data):
        """Ends what was started with `lab run` and is still there: it has the lab's token in its environment.

        Not told by its network namespace: the numbers of namespaces are used again, maybe by another lab.
        """
        if not data.get("token"):
            return
        mark = f"{TOKEN}={data['token']}".encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as environment:
                    if mark in environment.read().split(b"\0") and int(pid) != os.getpid():
                        os.kill(int(pid), signal.SIGKILL)
            except OSError:
                continue

    # -- use ------------------------------------------------------------------------------------------------------

    def _enter(self, side):
        process = self.data["processes"][side]
        if kernel.start_time(process["pid"]) != process["start_time"]:
            raise LabError(f"{self.directory}: the lab is not running")
        here = os.getcwd()
        base = f"/proc/{process['pid']}/ns"
        kernel.setns(f"{base}/net", kernel.CLONE_NEWNET)
        if side == "target":
            kernel.setns(f"{base}/pid", kernel.CLONE_NEWPID)
        kernel.setns(f"{base}/mnt", kernel.CLONE_NEWNS)
        os.chdir(here)

    def execute(self, command, side="admin"):
        """Becomes COMMAND inside the lab; does not return."""
        self._enter(side)
        os.environ[TOKEN] = self.data["token"]
        os.execvp(command[0], command)

    def popen(self, command, side="admin", **options):
        """subprocess.Popen inside the lab; the process dies with this one."""

        def prepare():
            kernel.die_with_parent()
            self._enter(side)

        options["env"] = dict(options.get("env") or os.environ, **{TOKEN: self.data["token"]})
        return subprocess.Popen(command, preexec_fn=prepare, **options)

    def run(self, command, side="admin", timeout=120, **options):
        """subprocess.run inside the lab, output captured as text."""
        options = {"capture_output": True, "text": True} | options

        def prepare():
            kernel.die_with_parent()
            self._enter(side)

        options["env"] = dict(options.get("env") or os.environ, **{TOKEN: self.data["token"]})
        return subprocess.run(command, preexec_fn=prepare, timeout=timeout, check=False, **options)

    @contextlib.contextmanager
    def network(self):
        """This thread's new sockets are on the admin's side of the lab's network (names are still the host's)."""
        with open("/proc/thread-self/ns/net", "rb") as own:
            kernel.setns(f"/proc/{self.data['processes']['admin']['pid']}/ns/net", kernel.CLONE_NEWNET)
            try:
                yield
            finally:
                kernel.setns(f"/proc/self/fd/{own.fileno()}", kernel.CLONE_NEWNET)

    def control(self, **request):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            try:
                client.connect(f"{self.directory}/control.sock")
            except OSError as error:
                raise LabError(f"{self.directory}: the lab is not running ({error.strerror})") from error
            client.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(client.makefile("rb").readline())
        if "error" in answer:
            raise LabError(answer["error"])
        return answer

    def fault(self, address, text):
        """Changes one target's fault while the lab runs; None makes it healthy."""
        answer = self.control(do="fault", address=self.address(address), fault=text)
        self.data = spec.load(self.directory)
        return answer["target"]

    def status(self):
        return self.control(do="status")

    def address(self, host):
        """The address of a target given by name, full name or address."""
        for target in self.data["targets"]:
            if host.lower() in (target["address"], target["host"], target["fqdn"]):
                return target["address"]
        raise LabError(f"no target called {host}")

    @property
    def targets(self):
        return self.data["targets"]

    def drive(self, host):
        """The target's C: as this process can read it, tmpfs of the disk-full fault included."""
        root = f"/proc/{self.data['processes']['target']['pid']}/root"
        return f"{root}{self.directory}/hosts/{self.address(host)}/C"

    def facts(self):
        """checks.facts of every target."""
        database = checks.Database(self.directory)
        return [checks.facts(self, target, database) for target in self.targets]

    def check(self, host, package=None):
        """checks.facts and checks.summary of one target, asked about the file PACKAGE."""
        target = next(row for row in self.targets if row["address"] == self.address(host))
        found = checks.facts(self, target)
        name, digest = (os.path.basename(package), checks.sha256(package)) if package else (None, None)
        return found | checks.summary(found, name, digest)

    def check_all(self, package=None, ran=False, wait_s=0, allow=(), pushes=1):
        """Facts of every target, each with its `problems` after one push (or more) of the file PACKAGE.

        RAN: the package must have been started; WAIT_S: how long starts that are still due may take.
        """
        name = os.path.basename(package) if package else None
        digest = checks.sha256(package) if package else None
        deadline = time.monotonic() + wait_s
        while True:
            found = self.facts()
            for row in found:
                row["problems"] = checks.problems(row, name, digest, ran, allow, pushes)
            due = [row for row in found if row["expected"] is None and len(row["tasks"]) > len(row["runs"])]
            if not (ran and due) or time.monotonic() >= deadline:
                return found
            time.sleep(0.5)

    def check_report(self, report, hosts=None):
        """What a JSON report says otherwise than the faults predict; HOSTS: the targets pushed to, if not all."""
        wanted = None if hosts is None else {self.address(host) for host in hosts}
        return checks.report_problems(
            [target for target in self.targets if wanted is None or target["address"] in wanted], report
        )

    def wait_for_runs(self, count, timeout_s=30):
        """Until COUNT starts are recorded in the whole lab; the rows of all that are."""
        deadline = time.monotonic() + timeout_s
        while True:
            runs = [run for rows in checks.Database(self.directory).rows["runs"].values() for run in rows]
            if len(runs) >= count or time.monotonic() >= deadline:
                return runs
            time.sleep(0.1)

    def behave(self, host, **behaviour):
        """How programs end on a target, as in behaviour.json: exit_code=3, seconds=2, never=True..."""
        path = f"{self.directory}/hosts/{self.address(host)}/behaviour.json"
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(behaviour, file)
        os.replace(f"{path}.new", path)
