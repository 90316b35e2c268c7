"""The process that is the lab: it owns the namespaces, and with it everything in them ends.

    supervisor (host) -+- admin holder: network and mount namespace for "lab run"
                       +- init: first process of a PID namespace with its own network and mounts;
                          starts dnsmasq, smbd, the scheduler, listens on DIR/control.sock

Killing the supervisor in any way kills init (PR_SET_PDEATHSIG), and a PID namespace whose first process is gone takes
all others along; mounts and interfaces vanish with the namespaces. So nothing can be left behind but files.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback

if __package__ in (None, ""):
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    __package__ = "standin"  # pylint: disable=redefined-builtin

from standin import dns, drives, faults, kernel, line, net, smbd, spec, tamper

BETWEEN = {"line": line.PORT, "tamper": tamper.PORT}  # programs that stand before smbd
HERE = os.path.dirname(os.path.abspath(__file__))


def _log(text):
    print(text, file=sys.stderr, flush=True)


def _hold_admin(directory, ready):
    """The admin namespace: stays until killed."""
    kernel.die_with_parent()
    kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWNS)
    kernel.private_mounts()
    kernel.bind(f"{directory}/resolv.conf", "/etc/resolv.conf")
    os.write(ready, b"1")
    os.close(ready)
    while True:
        signal.pause()


class Init:
    """First process of the target namespace."""

    def __init__(self, lab, admin_pid):
        self.lab = lab
        self.directory = lab["directory"]
        self.admin_pid = admin_pid
        self.place = net.plan(lab["branch"])
        self.targets = {target["address"]: target for target in lab["targets"]}
        self.children = {}
        self.holders = {}
        self.instances = {}  # name -> smbd.Instance
        self.running = False

    def set_up(self):
        kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS)
        kernel.private_mounts()
        net.set_up(self.admin_pid, self.lab["subnets"], self.place)
        kernel.mount("proc", "/proc", "proc")
        socket.sethostname("standin")
        folder = smbd.write_passwd(self.directory, self.lab["accounts"], self.lab["targets"])
        for name in ("passwd", "group", "nsswitch.conf", "hosts"):
            if os.path.exists(f"/etc/{name}"):
                kernel.bind(f"{folder}/{name}", f"/etc/{name}")
        self._add_instance("default", 445, {}, 0)
        for target in self.lab["targets"]:
            drives.create(self.directory, target["address"])
            smbd.write_target(self.directory, target)
        for target in self.lab["targets"]:
            if target["fault"]:
                self._drive_and_share(target, target["fault"])
        self._write_fault_tables()
        self._restart_dns()
        for instance in self.instances.values():
            self._start_instance(instance)
        self.running = True
        self._start("scheduler", [sys.executable, "-m", "standin.scheduler", self.directory])
        for name in self._between_wanted():
            self._start_between(name)
        self._wait_for_ports()
        self._stop_instances()
        net.add_targets(list(self.targets))
        for row in faults.FAULTS.values():
            if row.nft_set:
                net.set_members(
                    row.nft_set,
                    [a for a, t in self.targets.items() if t["fault"] and faults.split(t["fault"])[0] is row],
                )
        self._start_holder()

    def _add_instance(self, name, port, options, clock_s, host=None, account=None):
        accounts = [account_row | (account or {}) for account_row in self.lab["accounts"]]
        instance = smbd.Instance(self.directory, name, port, options, clock_s, host)
        instance.write(accounts)
        self.instances[name] = instance
        return instance

    def _instance_for(self, target, row, argument):
        """The smbd that a fault asks for; it is started when first needed, and stays."""
        if row.instance is None and not row.account and not row.stopped:
            return self.instances["default"]
        options = row.instance or {}
        clock_s = int(argument or 3600) if row.name == "clock" else 0
        host = target["host"] if row.name == "long-name" else None
        kind = (options, clock_s, host, row.account, row.stopped)
        for instance in self.instances.values():
            if instance.kind == kind:
                return instance
        name = f"clock{clock_s:+d}" if clock_s else host or row.name
        instance = self._add_instance(name, 4450 + len(self.instances), options, clock_s, host, row.account)
        instance.kind = kind
        if self.running:
            self._start_instance(instance)
            self._wait_for_ports()
            self._stop_instances()
        return instance

    def _start_instance(self, instance):
        self._start(f"smbd-{instance.name}", instance.command(), instance.environment(), instance.host)

    def _stop_instances(self):
        """The kernel goes on accepting for those that are stopped, and nobody answers."""
        for pid, name in self.children.items():
            instance = self.instances.get(name.removeprefix("smbd-"))
            if instance and instance.kind and instance.kind[-1] and not instance.stopped:
                os.kill(pid, signal.SIGSTOP)
                instance.stopped = True

    def _start(self, name, command, more=None, host=None):
        def prepare():
            if host:
                kernel.unshare(kernel.CLONE_NEWUTS)
                socket.sethostname(host)

        log = open(f"{self.directory}/log/{name}.log", "ab")
        environment = dict(os.environ, PYTHONPATH=os.path.dirname(HERE), PYTHONDONTWRITEBYTECODE="1", **(more or {}))
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=environment, preexec_fn=prepare
        )
        log.close()
        self.children[process.pid] = name

    def _wait_for_ports(self):
        """Until every server accepts; the processes are ours, so a fixed patience is enough."""
        ports = [instance.port for instance in self.instances.values() if not instance.stopped]
        ports += [port for name, port in BETWEEN.items() if name in self.children.values()]
        wanted = [("127.0.0.1", port) for port in ports] + [(self.place.router, 53)]
        pipe = f"{self.directory}/np/np/atsvc"
        for _ in range(400):
            self.reap()
            wanted = [place for place in wanted if not net.accepts(place)]
            if not wanted and os.path.exists(pipe):
                return
            select.select([], [], [], 0.05)
        raise RuntimeError(f"no answer from {wanted or pipe}; see {self.directory}/log")

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self.children.pop(pid, None)
            if name and name not in self.holders:
                _log(f"{name} (pid {pid}) ended: {os.waitstatus_to_exitcode(status)}")

    # -- faults ---------------------------------------------------------------------------------------------------

    def _argument(self, row, argument):
        if row.drive == "package-held":
            return argument or self.lab["package_name"]
        return argument

    def _drive_and_share(self, target, text):
        row, argument = faults.split(text)
        options = dict(row.target)
        if row.name == "wrong-name" and argument:
            options["netbios name"] = argument
        if row.share or options:
            smbd.write_target(self.directory, target, row.share, options)
        if row.drive:
            drives.apply(self.directory, target["address"], row.drive, self._argument(row, argument))
        port = self._instance_for(target, row, argument).port
        between = _between(row)
        if between:
            self._start_between(between)
            port = BETWEEN[between]
        if port != 445:
            net.use_instance(target["address"], port)

    def _restart_dns(self):
        for pid in [pid for pid, name in self.children.items() if name == "dnsmasq"]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            del self.children[pid]
        self._start("dnsmasq", dns.write(self.lab))
        if self.running:  # whoever asks next gets its answer, not a closed port
            self._wait_for_ports()

    def _between_wanted(self):
        rows = [faults.split(target["fault"])[0] for target in self.lab["targets"] if target["fault"]]
        return {name for name in map(_between, rows) if name}

    def _start_between(self, name):
        """The programs between client and smbd run once there is work for them."""
        if self.running and name not in self.children.values():
            self._start(name, [sys.executable, "-m", f"standin.{name}", self.directory])
            self._wait_for_ports()

    def _write_fault_tables(self):
        """What the scheduler, the relay for bad lines and the one that tampers read."""
        table, lines, tampered = {}, {}, {}
        for address, target in self.targets.items():
            if target["fault"]:
                row, argument = faults.split(target["fault"])
                if row.scheduler or row.name == "clock":
                    table[address] = [row.name, argument]
                if row.line:
                    lines[address] = [row.name, argument]
                if row.tamper:
                    kind, _, its_argument = row.tamper.partition(":")
                    port = self._instance_for(target, row, argument).port
                    tampered[address] = [kind, argument or its_argument or None, port]
        for name, rows in (("scheduler/faults", table), ("line", lines), ("tamper", tampered)):
            path = f"{self.directory}/{name}.json"
            with open(f"{path}.new", "w", encoding="ascii") as file:
                json.dump(rows, file)
            os.replace(f"{path}.new", path)

    def _start_holder(self):
        """One process keeps all held packages open; it is replaced when the set changes."""
        for name, pid in list(self.holders.items()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            del self.holders[name]
        held = []
        for address, target in self.targets.items():
            row, argument = faults.split(target["fault"]) if target["fault"] else (None, None)
            if row and row.drive == "package-held":
                held.append(f"{address}={row.name}={self._argument(row, argument)}")
        if not held:
            return
        ready, ours = os.pipe()
        os.set_inheritable(ours, True)
        log = open(f"{self.directory}/log/holder.log", "ab")
        environment = dict(os.environ, PYTHONPATH=os.path.dirname(HERE), PYTHONDONTWRITEBYTECODE="1")
        process = subprocess.Popen(
            [sys.executable, "-m", "standin.holder", self.directory, str(ours), *held],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=environment, pass_fds=(ours,),
        )
        log.close()
        os.close(ours)
        self.children[process.pid] = "holder"
        self.holders["holder"] = process.pid
        if os.read(ready, 1) != b"1":
            raise RuntimeError(f"holding the package open failed; see {self.directory}/log/holder.log")
        os.close(ready)

    def set_fault(self, address, text):
        """Takes the old fault away and makes the new one (None: healthy), while everything runs."""
        target = self.targets[address]
        if text:
            faults.split(text)
        if target["fault"]:
            row, argument = faults.split(target["fault"])
            target["fault"] = None
            if row.drive == "package-held":
                self._start_holder()
            if row.nft_set:
                net.set_member(row.nft_set, address, False)
            net.use_instance(address, 445)
            if row.share or row.target:
                smbd.write_target(self.directory, target)
            if row.dns:
                self._restart_dns()
            if row.drive:
                drives.revert(self.directory, address, row.drive, self._argument(row, argument))
        target["fault"], target["expected"] = text, None
        if text:
            row, argument = faults.split(text)
            target["expected"] = row.expected(argument)
            self._drive_and_share(target, text)
            if row.nft_set:
                net.set_member(row.nft_set, address, True)
            if row.drive == "package-held":
                self._start_holder()
            if row.dns:
                self._restart_dns()
        self._write_fault_tables()

    # -- control socket -------------------------------------------------------------------------------------------

    def serve(self, listener):
        listener.settimeout(0.5)
        while True:
            self.reap()
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(10)
                try:
                    request = json.loads(connection.makefile("rb").readline())
                    answer = self._answer(request)
                except Exception as error:  # the caller is told; the lab goes on
                    traceback.print_exc()
                    answer = {"error": str(error)}
                try:
                    connection.sendall(json.dumps(answer).encode() + b"\n")
                except OSError:
                    pass

    def _answer(self, request):
        verb = request["do"]
        if verb == "status":
            return {"running": sorted(self.children.values()), "targets": list(self.targets.values())}
        if verb == "fault":
            if request["address"] not in self.targets:
                raise ValueError(f"no target at {request['address']}")
            self.set_fault(request["address"], request["fault"])
            return {"target": self.targets[request["address"]]}
        raise ValueError(f"unknown request {verb!r}")


def _between(row):
    """The program that connections to a target with this fault go through, None for smbd itself."""
    return "line" if row.line else "tamper" if row.tamper else None


def _be_init(lab, admin_pid, report):
    kernel.die_with_parent()
    try:
        init = Init(lab, admin_pid)
        listener = socket.socket(socket.AF_UNIX)
        init.set_up()
        path = f"{lab['directory']}/control.sock"
        if os.path.exists(path):
            os.unlink(path)
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen(64)
    except Exception as error:
        traceback.print_exc()
        os.write(report, str(error).encode()[:4000] or b"unknown")
        os._exit(1)
    os.write(report, b"ok")
    os.close(report)
    init.serve(listener)


def main(directory, report, watched):
    """Runs until killed, or until the process WATCHED is gone (0: nobody is watched)."""
    lab = spec.load(directory)
    for folder in ("log", "hosts", "scheduler"):
        os.makedirs(f"{directory}/{folder}", exist_ok=True)
    watch = os.pidfd_open(watched) if watched else None
    dns.write(lab)
    ready, ours = os.pipe()
    admin = os.fork()
    if admin == 0:
        os.close(ready)
        os.close(report)
        _hold_admin(directory, ours)
    os.close(ours)
    if os.read(ready, 1) != b"1":
        os.write(report, b"the admin namespace could not be made")
        return 1
    os.close(ready)
    inner, inner_report = os.pipe()
    kernel.unshare(kernel.CLONE_NEWPID)
    init = os.fork()
    if init == 0:
        os.close(inner)
        os.close(report)
        _be_init(lab, admin, inner_report)
    os.close(inner_report)
    said = os.read(inner, 4096) or b"the target namespace ended at once"
    if said == b"ok":
        lab["processes"] = {
            name: {"pid": pid, "start_time": kernel.start_time(pid)}
            for name, pid in (("supervisor", os.getpid()), ("admin", admin), ("target", init))
        }
        spec.save(lab)
    os.write(report, said)
    os.close(report)
    if said != b"ok":
        return 1
    init_fd = os.pidfd_open(init)
    select.select([init_fd] + ([watch] if watch is not None else []), [], [])
    for pid in (init, admin):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
