"""Starting tasks: when their triggers are due, and what "running" the package means here.

Nothing is executed, unless the lab was made with `wine` and the task is that of a push which waits. The command and its
arguments are matched to files on the target's drive; what was there at that moment is recorded with its SHA-256, and hosts/ADDRESS/behaviour.json decides how the program ends:

    {"exit_code": 0, "seconds": 0, "output": "text"}       all optional; {"programs": {"setup.exe": {...}}} per file

The task of a push that waits runs a script, which is read as cmd would (script.py): it starts the package, and leaves
output and exit code in files. There also count "output_bytes": N, "end": "none" or a number (what the script leaves instead
of the exit code), "killed": true (the scheduler ends it after "seconds"), "never": true (the trigger starts nothing).

"logged_on": true there means that a user is: tasks of a group, or with LogonType InteractiveToken, start only then.
"""

import asyncio
import hashlib
import json
import os
import re
import time
import uuid
from datetime import timedelta, timezone

from . import script, taskxml

HAS_NOT_RUN = 0x41303
RUNNING = 0x41301
FILE_NOT_FOUND = 0x80070002
TERMINATED = 0x41306  # SCHED_S_TASK_TERMINATED
NOT_RECOGNIZED = 9009  # cmd: no such program
PRODUCT_MISSING = 1619  # msiexec: the package could not be opened

SYSTEM_PROGRAMS = {"cmd", "msiexec", "powershell", "pwsh", "wscript", "cscript", "rundll32", "reg", "wusa"}
_DRIVE_PATH = re.compile(r"(?i)c:\\[^\"<>|*?]+?\.[a-z0-9]{1,8}(?=[\"\s,;&)]|$)")


def _expand(text, host):
    values = {"windir": "C:\\Windows", "systemroot": "C:\\Windows", "systemdrive": "C:", "computername": host,
              "temp": "C:\\Windows\\Temp", "tmp": "C:\\Windows\\Temp"}
    return re.sub(r"%(\w+)%", lambda m: values.get(m.group(1).lower(), m.group()), text)


def find_on_drive(drive, windows_path):
    """The file behind C:\\..., found without regard to case; None when there is none."""
    here = drive
    for part in windows_path[3:].split("\\"):
        if not part:
            continue
        try:
            here = next(f"{here}/{name}" for name in os.listdir(here) if name.lower() == part.lower())
        except (OSError, StopIteration):
            return None
    return here


class Runner:
    """The clock and the processes of all targets."""

    def __init__(self, store, directory, hosts, catch_up_s=600, wine=False):
        self.store = store
        self.directory = directory
        self.hosts = hosts  # address -> NetBIOS name
        self.catch_up_s = catch_up_s  # how late a missed start is made up: the service's own delay is 10 minutes
        self.offsets = {}  # address -> seconds by which the target's clock is ahead
        self.zones = {}  # address -> minutes by which local time is ahead of UTC
        self.on_battery = set()
        self._due = {}  # (target, path) -> asyncio handle
        self._running = {}  # instance -> (target, path, run id, how its script ends)
        self._wine = script.Wine(f"{directory}/wine") if wine else None
        self._tasks = set()  # of asyncio, until they are done

    def now(self, target):
        return time.time() + self.offsets.get(target, 0.0)

    def zone(self, target):
        return timezone(timedelta(minutes=self.zones.get(target, 0)))

    # -- triggers -------------------------------------------------------------------------------------------------

    def arm(self, target, path):
        """Computes the task's next start, or its removal, anew; call it after every change of the task."""
        handle = self._due.pop((target, path), None)
        if handle:
            handle.cancel()
        task = self.store.task(target, path)
        if task is None:
            return
        definition = taskxml.parse(task["sent"])
        starts = list(self._starts(task, definition)) if task["enabled"] else []
        if starts:
            self._later(target, path, min(starts), self._fire)
            return
        removal = self._removal(target, definition)
        if removal is not None:
            self._later(target, path, removal, self._expire)

    def _later(self, target, path, when, what):
        wait = max(0.0, when - self.now(target))
        self._due[(target, path)] = asyncio.get_running_loop().call_later(wait, what, target, path)

    def _removal(self, target, definition):
        """When DeleteExpiredTaskAfter takes the task away: that long after the last trigger's end."""
        after = definition.value("Settings/DeleteExpiredTaskAfter")
        triggers = definition.find("Triggers")
        ends = [trigger.value("EndBoundary") for trigger in (triggers.children if triggers else [])]
        if after is None or not ends or None in ends:
            return None
        return max(taskxml.instant(end, self.zone(target)).timestamp() for end in ends) + taskxml.seconds(after)

    def _expire(self, target, path):
        self._due.pop((target, path), None)
        task = self.store.task(target, path)
        if task and not task["running"]:
            self.store.delete_task(target, path)

    def _starts(self, task, definition):
        """When the TimeTriggers that will fire do so next (target's time)."""
        triggers = definition.find("Triggers")
        when_available = taskxml.is_true(definition.value("Settings/StartWhenAvailable"), False)
        for trigger in triggers.children if triggers else []:
            if trigger.name != "TimeTrigger" or not taskxml.is_true(trigger.value("Enabled"), True):
                continue
            zone = self.zone(task["target"])
            begin = taskxml.instant(trigger.value("StartBoundary"), zone).timestamp()
            end = trigger.value("EndBoundary")
            until = taskxml.instant(end, zone).timestamp() if end else float("inf")
            now = self.now(task["target"])
            if task["last_run"] is not None and task["last_run"] >= begin:
                continue
            if begin >= max(now, task["registered"]):
                if begin <= until:
                    yield begin
            elif when_available and now <= until:
                yield max(begin, task["registered"]) + self.catch_up_s

    def next_start(self, target, path):
        """When the task will start by itself (target's time), or None."""
        task = self.store.task(target, path)
        if task is None or not task["enabled"]:
            return None
        return min(self._starts(task, taskxml.parse(task["sent"])), default=None)

    def _fire(self, target, path):
        self._due.pop((target, path), None)
        self.start(target, path, "trigger")
        self.arm(target, path)

    # -- running --------------------------------------------------------------------------------------------------

    def start(self, target, path, reason):
        """Starts the task now; the instance's GUID, or None when it may not start."""
        task = self.store.task(target, path)
        if task is None:
            return None
        definition = taskxml.parse(task["sent"])
        policy = definition.value("Settings/MultipleInstancesPolicy", "IgnoreNew")
        if task["running"] and policy != "Parallel":
            return None
        mains_only = taskxml.is_true(definition.value("Settings/DisallowStartIfOnBatteries"), True)
        if reason == "trigger" and mains_only and target in self.on_battery:
            return None
        if reason == "trigger" and self._behaviour(target, None).get("never"):
            return None
        interactive = definition.value("Principals/Principal/GroupId") is not None or definition.value(
            "Principals/Principal/LogonType"
        ) in ("InteractiveToken", "InteractiveTokenOrPassword")
        if interactive and not self._behaviour(target, None).get("logged_on"):
            return None
        instance = str(uuid.uuid4())
        ended = self._begin(target, path, reason, instance, definition)
        if ended is None:
            return instance
        seconds, result, run_id, finish = ended
        limit = taskxml.seconds(definition.value("Settings/ExecutionTimeLimit", "PT72H"))
        if limit and seconds > limit:
            seconds, result, finish = limit, TERMINATED, None
        self._running[instance] = (target, path, run_id, finish)
        self.store.change_task(target, path, last_run=self.now(target), last_result=RUNNING, running=instance)
        if isinstance(finish, script.Script):
            task = asyncio.get_running_loop().create_task(self._really(instance, finish))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif seconds <= 0:
            self.end(instance, result)
        else:
            asyncio.get_running_loop().call_later(seconds, self.end, instance, result)
        return instance

    def _begin(self, target, path, reason, instance, definition):
        """Records the start of the first Exec action; (seconds, result, run id, how a script ends or None)."""
        drive = f"{self.directory}/hosts/{target}/C"
        host = self.hosts.get(target, target)
        action = definition.find("Actions/Exec")
        command = _expand((action.value("Command") if action else "").strip('"'), host)
        arguments = _expand(action.value("Arguments", "") if action else "", host)
        directory = action.value("WorkingDirectory", "") if action else ""
        wrapped = self._script(drive, host, command, arguments)
        if wrapped:
            command, arguments = wrapped.command, wrapped.arguments
        file, missing = self._program(drive, command, arguments, directory)
        digest = None
        if file:
            with open(file, "rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
        run_id = self.store.add_run(
            target=target, path=path, instance=instance, reason=reason, started=self.now(target), command=command,
            arguments=arguments, directory=directory, file=os.path.relpath(file, drive) if file else None,
            sha256=digest,
        )
        if wrapped and self._wine:
            return 0, 0, run_id, wrapped
        if missing is not None:
            missing = NOT_RECOGNIZED if wrapped and missing == FILE_NOT_FOUND else missing
            return 0, missing, run_id, wrapped.write_end if wrapped else None
        behaviour = self._behaviour(target, os.path.basename(file) if file else None)
        if wrapped:
            return *self._wrapped(wrapped, behaviour), run_id, self._wrapped_end(wrapped, behaviour)
        self._redirect(drive, host, arguments, behaviour)
        return float(behaviour.get("seconds", 0)), int(behaviour.get("exit_code", 0)) & 0xFFFFFFFF, run_id, None

    @staticmethod
    def _script(drive, host, command, arguments):
        """The script of a push that waits, when that is what the task runs."""
        call = script.CALL.match(arguments)
        if call is None or not command.lower().endswith("\\cmd.exe"):
            return None
        file = find_on_drive(drive, call.group(1))
        if file is None:
            return None
        return script.Script(os.path.dirname(file), os.path.basename(file), lambda text: _expand(text, host))

    @staticmethod
    def _wrapped(wrapped, behaviour):
        """The package starts: what it prints is there at once; (seconds, result)."""
        output = behaviour.get("output", "").encode()
        count = int(behaviour.get("output_bytes", len(output)))
        pattern = b"".join(b"line %07d\r\n" % number for number in range(count // 14 + 1))
        wrapped.write_output(output if count == len(output) else pattern[:count])
        code = TERMINATED if behaviour.get("killed") else int(behaviour.get("exit_code", 0)) & 0xFFFFFFFF
        return float(behaviour.get("seconds", 0)), code

    @staticmethod
    def _wrapped_end(wrapped, behaviour):
        """What the script does when the package has ended; None when it does not get that far."""

        def finish(code):
            said = behaviour.get("end", code)
            if said != "none":
                wrapped.write_end(int(said) & 0xFFFFFFFF)

        return None if behaviour.get("killed") else finish

    async def _really(self, instance, wrapped):
        self.end(instance, await self._wine.run(wrapped))

    @staticmethod
    def _program(drive, command, arguments, directory):
        """(the package's file or None, result when it can't start or None)."""
        base = command.replace("/", "\\").rpartition("\\")[2].lower()
        name = base[:-4] if base.endswith(".exe") else base
        on_drive = command if re.match(r"(?i)c:\\", command) else None
        if on_drive is None and directory and name not in SYSTEM_PROGRAMS:
            on_drive = directory.rstrip("\\") + "\\" + command
        if name in SYSTEM_PROGRAMS and not (on_drive and find_on_drive(drive, on_drive)):
            for mentioned in _DRIVE_PATH.findall(arguments):
                if "\\windows\\temp\\" in mentioned.lower():
                    continue
                file = find_on_drive(drive, mentioned)
                if file is None:
                    return None, PRODUCT_MISSING if name == "msiexec" else 1
                return file, None
            return None, None
        file = find_on_drive(drive, on_drive) if on_drive else None
        if file is None or not os.path.isfile(file):
            return None, FILE_NOT_FOUND
        return file, None

    def _behaviour(self, target, program):
        try:
            with open(f"{self.directory}/hosts/{target}/behaviour.json", encoding="utf-8") as file:
                behaviour = json.load(file)
        except (OSError, ValueError):
            return {}
        own = behaviour.get("programs", {}).get(program or "", {})
        return behaviour | own

    @staticmethod
    def _redirect(drive, host, arguments, behaviour):
        """cmd.exe's "COMMAND > FILE": writes the output a command would have left."""
        match = re.search(r"(?i)/c\s+(.*?)\s*>\s*\"?(c:\\[^\"\s]+)\"?", arguments)
        if not match:
            return
        command, target = match.group(1).strip(), match.group(2)
        known = {"whoami": "nt authority\\system", "hostname": host}
        output = behaviour.get("output")
        if output is None and command.lower().startswith("echo "):
            output = command[5:]
        if output is None:
            output = known.get(command.lower(), "")
        folder = find_on_drive(drive, target.rpartition("\\")[0] + "\\")
        if folder:
            with open(f"{folder}/{target.rpartition(chr(92))[2]}", "w", encoding="utf-8", newline="") as file:
                file.write(output + "\r\n")

    def end(self, instance, result, stopped=False):
        """The instance ends with RESULT; nothing when it has ended already."""
        found = self._running.pop(instance, None)
        if found is None:
            return
        target, path, run_id, finish = found
        if callable(finish) and not stopped:
            finish(result)
        self.store.end_run(run_id, self.now(target), result)
        task = self.store.task(target, path)
        if task and task["running"] == instance:
            self.store.change_task(target, path, last_result=result, running=None)

    def stop(self, target, path):
        """Ends the task's instances; how many there were."""
        mine = [guid for guid, (t, p, *_) in self._running.items() if t == target and p.lower() == path.lower()]
        for guid in mine:
            self.end(guid, TERMINATED, stopped=True)
        return len(mine)

    def instances(self, target, path=None):
        return [
            (guid, p) for guid, (t, p, *_) in self._running.items()
            if t == target and (path is None or p.lower() == path.lower())
        ]

    def forget(self, target, path):
        handle = self._due.pop((target, path), None)
        if handle:
            handle.cancel()
