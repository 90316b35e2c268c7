"""Hundreds of targets that mean ill beside healthy ones, in one push after the other; and what has to hold of every one.

    with Trial(folder, lab, seed=7, healthy=40) as trial:
        round_ = trial.push("package.exe")
        problems = trial.judge(round_)

The hostile ones are tests/bench/light's light_target with --hostile SEED: what each does wrong follows from seed and
address. It logs what it did and which tasks it was asked to register, and every row of the report is held against that.
$PUSHER_BIN: folder of the programs (build/dev/bin).
"""

import collections
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import subprocess

from pushing import REASONS, conserved
from sitecase import SiteDesk, wait_for

PORT = 4499  # connections to a hostile target's port 445 are led there
SUBNETS = ["10.50.0.0/16", "fd50::/16"]
HEALTHY_FIRST = 5  # of the healthy ones: the password has proved itself before anybody lies about it
TERMINAL = ("scheduled", "succeeded", "failed", "unreachable", "unknown_effect")
# What a target can have brought about by what it says, or leaves unsaid. All else would be our own doing.
ITS_OWN = {
    "CONN_LOST", "PROTOCOL_ERROR", "SIGNING_REFUSED", "LOGON_FAILURE", "ACCESS_DENIED", "NAME_MISMATCH", "DIALECT_REFUSED",
    "BAD_SHARE", "RPC_UNAVAILABLE", "SCHEDULER_REFUSED", "BAD_TASK", "NAME_CONFLICT", "DISK_FULL", "SHARING_VIOLATION",
    "HASH_MISMATCH", "UNSAFE_PATH", "NOT_A_DIRECTORY", "AV_BLOCKED", "NTLM_BLOCKED", "ACCOUNT_LOCKED", "ACCOUNT_DISABLED",
    "PASSWORD_EXPIRED", "CLOCK_SKEW", "NOT_STARTED", "RUN_TIMEOUT", "EXIT_CODE", "INSTALLER_BUSY", "CONNECT_TIMEOUT",
    "PORT_CLOSED", "EXPIRED",
}
BAD_WORDS = re.compile(r"(AddressSanitizer|LeakSanitizer|UndefinedBehavior|runtime error|Assertion|panic|Segmentation)")


@dataclasses.dataclass
class Round:
    """One push, and what its targets say that they did."""

    done: subprocess.CompletedProcess
    report: dict | None
    events: list
    package: pathlib.Path
    targets: list
    kind: str  # "push", "wait" or "cleanup"


class Trial:
    """A lab's targets, most of them hostile, and a desk with one coordinator and one relay."""

    def __init__(self, folder, lab, seed, healthy=40, strike=None):
        self.lab, self.seed, self.strike = lab, seed, strike
        self.folder = pathlib.Path(folder)
        self.desk = SiteDesk(self.folder / "desk", lab)
        self.desk.environment["ASAN_OPTIONS"] = ":".join(  # else what is freed counts as resident
            filter(None, [os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=8"]))
        targets = lab.targets
        last = healthy - HEALTHY_FIRST
        self.healthy = targets[:HEALTHY_FIRST] + targets[len(targets) - last:]
        self.hostile = targets[HEALTHY_FIRST: len(targets) - last]
        self.log = self.folder / "hostile.log"
        self.server = None
        self.before = {}

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self.desk.end)
            self.desk.set_up({"lyon": SUBNETS}, relay_options=("--read-back", "4"))
            stack.callback(self.end_hostile)
            self.start_hostile()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    # ---- the hostile ones ----

    def start_hostile(self):
        names = self.folder / "hostile.list"
        names.write_text("".join(f"{t['address']} {t['netbios']}\n" for t in self.hostile), encoding="utf-8")
        self.log.write_text("", encoding="utf-8")
        only = ["--only", self.strike] if self.strike else []
        with open(self.folder / "light.err", "ab") as said:
            self.server = self.lab.popen(
                [str(self.desk.bin / "light_target"), "--port", str(PORT), "--password-file", self.lab.data["password_file"],
                 "--hostile", str(self.seed), "--log", str(self.log), *only, str(names)],
                side="target", stdout=subprocess.PIPE, stderr=said, text=True)
        if self.server.stdout.readline() != "ready\n":
            raise AssertionError("light_target did not start")
        led = ", ".join(f"{t['address']} : {t['address']} . {PORT}" for t in self.hostile)
        done = self.lab.run(["nft", "-f", "-"], side="target", input=f"add element ip lab instance {{ {led} }}\n")
        if done.returncode != 0:
            raise AssertionError(f"nft: {done.stderr}")

    def sow(self, seed):
        """The same targets, with the ill will of another seed."""
        self.end_hostile()
        self.seed = seed
        self.start_hostile()

    def quick(self, count):
        """Hostile ones whose doing shows at once, the last COUNT of them."""
        slow = {event["address"] for event in self.events() if event.get("slow")}
        return [target for target in self.hostile if target["address"] not in slow][-count:]

    def end_hostile(self):
        if self.server is None:
            return
        taken = ", ".join(t["address"] for t in self.hostile)
        self.lab.run(["nft", "-f", "-"], side="target", input=f"delete element ip lab instance {{ {taken} }}\n")
        self.server.terminate()
        self.server.stdout.read()
        self.server.wait()
        self.server.stdout.close()
        self.server = None

    def events(self):
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines() if line.endswith("}")]

    # ---- pushes ----

    def push(self, name, *options, content=None, targets=None, timeout=900):
        package = self.folder / name
        package.write_bytes(content or b"MZ" + hashlib.sha256(name.encode()).digest() * 150)
        names = self.folder / f"{name}.txt"
        targets = targets or self.lab.targets
        names.write_text("".join(f"{t['host']}\n" for t in targets), encoding="utf-8")
        before = len(self.events())
        account = ("--user", self.lab.data["account"], "--password-file", self.lab.data["password_file"])
        done = self.desk.run("push", package, "-t", f"@{names}", "-y", "-o", "json", *account, *options, *self.desk.sign,
                             timeout=timeout)
        return self.round(done, before, package, targets, "wait" if "--wait" in options else "push")

    def round(self, done, before, package, targets, kind):
        try:
            report = json.loads(done.stdout)
        except json.JSONDecodeError:
            report = None
        events = [event for event in self.events()[before:] if "plan" not in event]
        return Round(done, report, events, package, targets, kind)

    def clean_up(self, pushed, *options):
        """`pusher cleanup` of that round."""
        push = pushed.report["push"]["id"]
        before = len(self.events())
        account = ("--user", self.lab.data["account"], "--password-file", self.lab.data["password_file"])
        done = self.desk.run("cleanup", push, "-y", "-o", "json", *account, *options, *self.desk.sign)
        return self.round(done, before, pushed.package, pushed.targets, "cleanup")

    # ---- the relay and the coordinator as processes ----

    def daemons(self):
        return {name: process.pid for name, process in self.desk.processes.items()}

    def look(self):
        """{daemon: (open files, resident kilobytes)}; not counted: packages, since a relay keeps that of a push with an
        unknown effect until the effect is known."""
        found = {}
        for name, pid in self.daemons().items():
            status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
            files = [path for path in self.files(name) if "/cache/" not in path]
            found[name] = (len(files), int(re.search(r"VmRSS:\s+(\d+)", status).group(1)))
        return found

    def files(self, name):
        """What a daemon has open."""
        folder = f"/proc/{self.desk.processes[name].pid}/fd"
        found = []
        for entry in os.listdir(folder):
            with contextlib.suppress(OSError):  # closed meanwhile
                found.append(os.readlink(f"{folder}/{entry}"))
        return sorted(found)

    def wait_files(self, before):
        """Until each daemon has no more files open than BEFORE: connections take leave for two seconds."""
        def settled():
            now = self.look()
            return all(now[name][0] <= files for name, (files, _) in before.items())
        with contextlib.suppress(AssertionError):  # then the caller finds it, and says more
            wait_for(settled, "fewer open files", timeout_s=60, pause_s=0.2)
        return self.look()

    # ---- judging ----

    def judge(self, round_):
        """Everything that is wrong, as sentences."""
        if round_.report is None:
            return [f"no report; status {round_.done.returncode}: {round_.done.stderr[-2000:]}{self.desk.trouble()}"]
        events = collections.defaultdict(list)
        for event in round_.events:
            events[event["address"]].append(event)
        rows = {row["target"]: row for row in round_.report["targets"]}
        problems = conserved(round_.report) + self.said_badly()
        for target in self.hostile:
            if target["host"] in rows:
                row, did = rows[target["host"]], events[target["address"]]
                problems += [f"{self.name(target)}: {problem}: {row}; it did {did}" for problem in lies(row, did, round_.kind)]
        good = "scheduled" if round_.kind == "push" else "succeeded"
        for target in self.healthy:
            if target["host"] in rows and rows[target["host"]]["state"] != good:
                problems.append(f"healthy {target['host']}: {rows[target['host']]}")
        return problems

    def name(self, target):
        return f"{target['host']} ({target['address']})"

    def said_badly(self):
        """Daemons that died or were started again, or said what only a defect makes them say."""
        problems = [f"{name} ended" for name in self.desk.processes if not self.desk.alive(name)]
        for name in self.desk.processes:
            found = BAD_WORDS.search(self.desk.said(name))
            if found:
                problems.append(f"{name}: {self.desk.said(name)[max(0, found.start() - 200):][:3000]}")
        if self.server.poll() is not None:
            problems.append(f"light_target ended: {(self.folder / 'light.err').read_text(errors='replace')[-2000:]}")
        return problems

    def machines(self, package, targets=None):
        """What is wrong on the healthy machines (of TARGETS): the package is there, and one task of it."""
        problems = []
        for target in self.healthy:
            if targets is not None and target not in targets:
                continue
            facts = self.lab.check(target["host"], package)
            tasks = [task for task in facts["tasks"] if package.name in json.dumps(task)]
            if not (facts["package_ok"] and facts["folder_closed"] and facts["tasks_closed"]) or len(tasks) != 1:
                problems.append(f"{target['host']}: {facts}")
        return problems

    def order(self, round_):
        """Hosts in the order in which the relay said that they ended."""
        names = [t["host"] for t in round_.targets]
        push = round_.report["push"]["id"]
        said = re.findall(rf"push {push[:8]} target (\d+): (\w+) ", self.desk.said("lyon-1"))
        return [names[int(number)] for number, state in said if state in TERMINAL]


def lies(row, did, kind):
    """What is wrong with the row of a target that did these things."""
    problems = []
    asked = any("task" in event for event in did)
    good = row["state"] in ("scheduled", "succeeded")
    if row["state"] not in TERMINAL:
        problems.append("not ended")
    if not good and row["state"] in TERMINAL:
        if row["reason"] not in ITS_OWN:
            problems.append(f"{row['reason']} is no target's doing")
        elif row["state"] not in (REASONS[row["reason"]]["state"], "unknown_effect"):
            problems.append("state and reason do not go together")
        if not row["detail"] or not row["detail"].isprintable():
            problems.append("no sentence for people")
    if "minor status" in (row["detail"] or "") and row["code"] is not None:
        problems.append("a number of GSSAPI's is called a status of Windows")
    if good and not asked and kind != "cleanup":
        problems.append("success, and nobody asked it to register a task")
    if row["state"] in ("failed", "unreachable") and asked and not refused(did, row, kind):
        problems.append("failed, and its task may start")
    return problems


def refused(did, row, kind):
    """Whether the target itself said, legibly and after it was asked for a task, that there is none, or none of ours; or,
    when waited for, how it ended."""
    if kind == "wait" and row["reason"] in ("EXIT_CODE", "NOT_STARTED", "RUN_TIMEOUT", "INSTALLER_BUSY"):
        return True
    first = next(at for at, event in enumerate(did) if "task" in event)
    if row["reason"] == "PROTOCOL_ERROR":
        return False  # nothing legible
    return any("fault" in event or event.get("strike") in LEGIBLE for event in did[first:])


# Strikes at the inside of an answer of the Task Scheduler after which it may still be read, and say something else.
LEGIBLE = {"stub-bits", "stub-field", "stub-fields", "stub-noise", "hresult", "xml-huge", "xml-entities", "sddl-endless"}
