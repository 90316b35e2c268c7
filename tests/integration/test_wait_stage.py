"""Waiting for the exit code, at the stage: every way in which a script can end, the looks before that, and what is cleaned up
after it."""

import collections
import contextlib
import os
import re
import secrets
import sqlite3
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lab"))

from impacket.smbconnection import SMBConnection  # noqa: E402
import pushing  # noqa: E402
from lablib import Lab  # noqa: E402
from standin import checks, ntacl, program  # noqa: E402

if os.geteuid() != 0:
    sys.exit("needs root for network namespaces")

PROBE = os.path.join(os.environ.get("PUSHER_BIN", os.path.join(HERE, "..", "..", "build", "dev", "bin")), "stage_probe")
FIELDS = "target stage verdict reason kind code tries bytes name_check address ms detail".split()
End = collections.namedtuple("End", [*FIELDS, "exit", "starts_in_ms", "output_size"])
START_WAIT_S = 120  # a task starts 15 s after it was registered; the rest is for slow machines


class WaitCase(unittest.TestCase):
    """One lab for the tests of a class, and the probe run in it."""

    OPTIONS = {"targets": 4}

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab(**cls.OPTIONS))
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="waits-"))
        cls.package = f"{cls.folder}/package.exe"
        with open(cls.package, "wb") as file:
            file.write(b"MZ" + secrets.token_bytes(70_000))

    @classmethod
    def probe(cls, targets, *options, push):
        """The last row of each target."""
        user = cls.lab.data["account"]
        done = cls.lab.run(
            [PROBE, "--user", user, "--password-file", f"{cls.lab.directory}/passwords/{user}", "--package", cls.package,
             "--push", push, "--output", cls.folder, *options, *targets], timeout=150)
        if done.returncode or done.stderr:
            raise AssertionError(f"stage_probe: {done.returncode} {done.stderr}")
        rows, exits = {}, {}
        for line in done.stdout.splitlines():
            fields = line.split("\t")
            if fields[1] == "exit":
                exits[fields[0]] = fields[2:]
            else:
                rows[fields[0]] = fields
        return {name: End(*row, *exits.get(name, ["-", "0", "0"])) for name, row in rows.items()}

    @classmethod
    def look(cls, target, *options, push):
        return cls.probe([target], "--wait", "--await", *options, push=push)[target]

    def ended(self, end, verdict, reason, exit_code, code=None):
        self.assertEqual((end.stage, end.verdict, end.reason, end.exit), ("schedule", verdict, reason, exit_code), end)
        if code is not None:
            self.assertEqual(f"{end.kind} {end.code}".strip(), code, end)

    def files(self, host):
        return sorted(os.listdir(f"{self.lab.drive(host)}/SPDISTRO"))

    def output(self, host):
        with open(f"{self.folder}/{host}", "rb") as file:
            return file.read()

    def hold(self, host, name):
        """Keeps a file open on the target; returns what lets it go."""
        address = self.lab.address(host)
        with self.lab.network():
            client = SMBConnection(address, address)
        client.login(self.lab.data["account"], self.lab.data["password"])
        client.openFile(client.connectTree("C$"), f"SPDISTRO\\{name}")
        self.addCleanup(client.close)
        return client.close

    @classmethod
    def database(cls):
        return contextlib.closing(sqlite3.connect(f"{cls.lab.directory}/scheduler/tasks.db", timeout=10))

    @classmethod
    def wait_until_ended(cls, hosts):
        """Until the tasks of all these have run and do not run any more."""
        addresses = [cls.lab.address(host) for host in hosts]
        deadline = time.monotonic() + START_WAIT_S
        while True:
            with cls.database() as database:
                rows = database.execute(
                    f"SELECT DISTINCT target FROM tasks WHERE last_run IS NOT NULL AND running IS NULL AND target IN"
                    f" ({','.join('?' * len(addresses))})", addresses).fetchall()
            if len(rows) == len(addresses):
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"only {rows} of {addresses} ended")
            time.sleep(0.2)

    def task(self, host, push):
        return next(task for task in self.lab.check(host)["tasks"] if push in task["path"])


class Ends(WaitCase):
    """All targets are given the same push at once, each with another end; every test looks at its own ones."""

    PUSH = secrets.token_hex(16)
    BEHAVIOUR = {
        "pc-0001": {"output": "all went well\r\n"},
        "pc-0002": {"exit_code": 3010},
        "pc-0003": {"exit_code": 1603, "output": "no\r\n"},
        "pc-0004": {"exit_code": 1618},
        "pc-0005": {"exit_code": -1073741819},
        "pc-0006": {"exit_code": 255},
        "pc-0007": {"exit_code": 0, "end": 5},  # the script and the scheduler differ
        "pc-0008": {"exit_code": 0, "end": "none"},
        "pc-0009": {"exit_code": 1, "end": "none"},
        "pc-0010": {"killed": True, "output": "so far\r\n"},
        "pc-0011": {"output_bytes": 65535},
        "pc-0012": {"output_bytes": 65536},
        "pc-0013": {"output_bytes": 65537},
        "pc-0014": {"output_bytes": 1_000_000},
        "pc-0015": {"output": "unreadable"},
        "pc-0016": {"exit_code": 267014},  # a package may end with the number that says "terminated"
        "pc-0017": {},  # the package is changed before it is removed
        "pc-0018": {},  # the package is in use when it is to be removed
        "pc-0019": {},
        "pc-0020": {},  # connection breaks in mid-clean-up
        "pc-0021": {},  # an earlier look got as far as the exit code
        "pc-0022": {},  # the scheduler is silent when the task is to be disabled
    }
    NEVER = ["pc-0023", "pc-0024", "pc-0025"]
    OPTIONS = {"targets": 25}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for host, behaviour in cls.BEHAVIOUR.items():
            cls.lab.behave(host, **behaviour)
        for host in cls.NEVER:
            cls.lab.behave(host, never=True)
        hosts = [*cls.BEHAVIOUR, *cls.NEVER]
        cls.first = cls.probe(hosts, "--wait", push=cls.PUSH)
        cls.early = cls.look("pc-0023", push=cls.PUSH)
        cls.wait_until_ended(cls.BEHAVIOUR)

    def look_at(self, host, *options):
        return self.look(host, *options, push=self.PUSH)

    def file(self, host, suffix):
        return f"{self.lab.drive(host)}/SPDISTRO/.pusher-{self.PUSH}-1.{suffix}"

    def test_registering_tells_when_it_starts(self):
        for end in self.first.values():
            self.ended(end, "passed", "-", "-")
            self.assertTrue(0 < int(end.starts_in_ms) < 20_000, end)
            self.assertRegex(end.detail, "^starts 20")

    def test_look_before_the_start_waits(self):
        self.ended(self.early, "waiting", "NOT_STARTED", "-")
        self.assertLess(int(self.early.starts_in_ms), 20_000)
        self.assertRegex(self.early.detail, "has not started; it may start from")

    def test_task_that_never_starts_waits_until_its_end(self):
        end = self.look_at("pc-0023")
        self.ended(end, "waiting", "NOT_STARTED", "-")
        self.assertEqual(len(self.files("pc-0023")), 4)

    def test_success_is_told_and_cleaned_up(self):
        end = self.look_at("pc-0001")
        self.ended(end, "passed", "-", "0", "exit 0")
        self.assertEqual(end.detail, "ended with 0")
        self.assertEqual(self.output("pc-0001"), b"all went well\r\n")
        self.assertEqual(self.files("pc-0001"), ["package.exe"])
        task = self.task("pc-0001", self.PUSH)
        self.assertFalse(task["enabled"])
        again = self.look_at("pc-0001")  # as after a crash before the outcome was journalled
        self.ended(again, "passed", "-", "0")
        self.assertRegex(again.detail, "output cannot be read")

    def test_success_set_decides(self):
        self.ended(self.look_at("pc-0002", "--success", "0", "--success", "3010"), "passed", "-", "3010")
        self.ended(self.look_at("pc-0002"), "failed", "EXIT_CODE", "3010", "exit 3010")

    def test_codes_that_fail(self):
        self.ended(self.look_at("pc-0003"), "failed", "EXIT_CODE", "1603", "exit 1603")
        self.assertEqual(self.output("pc-0003"), b"no\r\n")
        self.ended(self.look_at("pc-0004"), "failed", "INSTALLER_BUSY", "1618", "exit 1618")
        end = self.look_at("pc-0005")
        self.ended(end, "failed", "EXIT_CODE", "3221225477")
        self.assertRegex(end.detail, "0xC0000005")
        self.ended(self.look_at("pc-0006"), "failed", "EXIT_CODE", "255")
        self.ended(self.look_at("pc-0016"), "failed", "EXIT_CODE", "267014")

    def test_script_and_scheduler_that_differ_are_no_success(self):
        end = self.look_at("pc-0007")
        self.ended(end, "failed", "EXIT_CODE", "5")
        self.assertRegex(end.detail, "script says it ended with 5, the Task Scheduler says 0")
        self.assertEqual(self.files("pc-0007"), ["package.exe"])

    def test_missing_exit_code_is_no_success(self):
        with open(self.file("pc-0009", "end"), "wb") as file:
            file.write(b"1 or so\r\n")  # is none
        for host in ("pc-0008", "pc-0009"):
            end = self.look_at(host)
            self.ended(end, "failed", "EXIT_CODE", "-")
            self.assertRegex(end.detail, "left no exit code")
            again = self.look_at(host)  # it does not get better by looking again
            self.ended(again, "failed", "EXIT_CODE", "-")

    def test_killed_by_the_time_limit(self):
        end = self.look_at("pc-0010")
        self.ended(end, "failed", "RUN_TIMEOUT", "-", "hresult 0x00041306")
        self.assertEqual(self.output("pc-0010"), b"so far\r\n")
        self.assertEqual(self.files("pc-0010"), ["package.exe"])

    def test_last_64_kib_of_the_output_are_kept(self):
        whole = b"".join(b"line %07d\r\n" % number for number in range(1_000_000 // 14 + 1))
        for host, size in (("pc-0011", 65535), ("pc-0012", 65536), ("pc-0013", 65537), ("pc-0014", 1_000_000)):
            with self.subTest(size=size):
                end = self.look_at(host)
                self.ended(end, "passed", "-", "0")
                self.assertEqual(self.output(host), whole[:size][-65536:])
                self.assertEqual(end.output_size, str(min(size, 65536)))
                self.assertEqual("are kept" in end.detail, size > 65536, end.detail)

    def test_unreadable_output_takes_nothing_from_the_result(self):
        os.unlink(self.file("pc-0015", "out"))
        os.mkdir(self.file("pc-0015", "out"))
        end = self.look_at("pc-0015")
        self.ended(end, "passed", "-", "0")
        self.assertRegex(end.detail, "its output cannot be read")
        self.assertRegex(end.detail, "its output stays")
        os.rmdir(self.file("pc-0015", "out"))

    def test_package_of_others_stays(self):
        path = f"{self.lab.drive('pc-0017')}/SPDISTRO/package.exe"
        with open(path, "r+b") as file:
            file.write(b"XX")
        end = self.look_at("pc-0017", "--cleanup", "--verify")
        self.ended(end, "passed", "-", "0")
        self.assertRegex(end.detail, "package.exe stays .other bytes")
        with open(path, "ab") as file:  # the size tells without reading
            file.write(b"more")
        self.assertRegex(self.look_at("pc-0017", "--cleanup").detail, "package.exe stays .other bytes")
        self.assertEqual(self.files("pc-0017"), ["package.exe"])

    def test_package_in_use_stays(self):
        self.hold("pc-0018", "package.exe")
        end = self.look_at("pc-0018", "--cleanup")
        self.ended(end, "passed", "-", "0")
        self.assertRegex(end.detail, "package.exe stays .in use")
        self.assertEqual(self.files("pc-0018"), ["package.exe"])

    def test_package_goes_when_asked(self):
        for options in (["--cleanup", "--verify"], ["--cleanup"]):
            self.ended(self.look_at("pc-0019", *options), "passed", "-", "0")
            self.assertEqual(self.files("pc-0019"), [])

    def test_connection_cut_anywhere_loses_no_result(self):
        """However far a look comes, the next one tells the same; a look that knows the result tells it."""
        for cut in range(3000, 9000, 400):
            self.lab.fault("pc-0020", f"cut:{cut}")
            end = self.look_at("pc-0020")
            self.lab.fault("pc-0020", None)
            self.assertIn(end.verdict, ("passed", "unknown", "failed"), end)
            if end.stage == "schedule" and end.verdict != "unknown":
                self.ended(end, "passed", "-", "0")
        self.ended(self.look_at("pc-0020"), "passed", "-", "0")
        self.assertEqual(self.files("pc-0020"), ["package.exe"])

    def test_look_after_half_a_clean_up_believes_the_disabled_task(self):
        os.unlink(self.file("pc-0021", "out"))
        os.unlink(self.file("pc-0021", "end"))
        with self.database() as database, database:
            database.execute("UPDATE tasks SET enabled=0 WHERE target=?", (self.lab.address("pc-0021"),))
        self.ended(self.look_at("pc-0021"), "passed", "-", "0")
        self.assertEqual(self.files("pc-0021"), ["package.exe"])

    def test_scheduler_silent_in_the_clean_up_loses_no_result(self):
        self.lab.fault("pc-0022", "answer-dropped:19")  # SchRpcEnableTask
        end = self.look_at("pc-0022")
        self.lab.fault("pc-0022", None)
        self.ended(end, "passed", "-", "0")
        self.assertRegex(end.detail, "not all was cleaned up")
        self.ended(self.look_at("pc-0022"), "passed", "-", "0")
        self.assertEqual(self.files("pc-0022"), ["package.exe"])

    def test_look_that_cannot_ask_is_unknown(self):
        self.lab.fault("pc-0024", "answer-dropped:16")  # SchRpcGetLastRunInfo
        end = self.look_at("pc-0024")
        self.lab.fault("pc-0024", None)
        self.assertEqual((end.verdict, end.reason), ("unknown", "RPC_UNAVAILABLE"), end)
        with self.database() as database, database:
            database.execute("DELETE FROM tasks WHERE target=?", (self.lab.address("pc-0024"),))
        end = self.look_at("pc-0024")
        self.assertEqual((end.verdict, end.reason), ("unknown", "SCHEDULER_REFUSED"), end)
        self.assertRegex(end.detail, "not there any more")

    def test_looking_again_never_writes_the_script_anew(self):
        """A second SCHEDULE, as of a relay that does not know that it registered, leaves a script alone that may run."""
        before = os.stat(self.file("pc-0025", "cmd"))
        again = self.probe(["pc-0025"], "--wait", push=self.PUSH)["pc-0025"]
        self.ended(again, "passed", "-", "-")
        self.assertRegex(again.detail, "^already registered; starts")
        after = os.stat(self.file("pc-0025", "cmd"))
        self.assertEqual((before.st_mtime_ns, before.st_ino), (after.st_mtime_ns, after.st_ino))


class Refusals(WaitCase):
    """Pushes that end without a task: no script is left where that is certain."""

    OPTIONS = {"targets": 10}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.truncate(cls.package, 1000)

    def push(self, host, push, *options):
        return self.probe([host], "--wait", *options, push=push)[host]

    def test_refused_registration_leaves_no_script(self):
        faults = (
            ("task-denied", "ACCESS_DENIED"), ("task-malformed", "BAD_TASK"), ("task-infected", "AV_BLOCKED"),
            ("scheduler-error", "SCHEDULER_REFUSED"), ("folder-conflict", "NAME_CONFLICT"),
            ("rpc-fault", "SCHEDULER_REFUSED"),
        )
        for number, (fault, reason) in enumerate(faults, 1):
            host = f"pc-{number:04}"
            with self.subTest(fault=fault):
                self.lab.fault(host, fault)
                end = self.push(host, secrets.token_hex(16))
                self.ended(end, "failed", reason, "-")
                self.assertEqual(self.files(host), ["package.exe"])
                self.assertEqual(self.lab.check(host)["tasks"], [])

    def test_end_before_the_start_leaves_no_script(self):
        end = self.push("pc-0007", secrets.token_hex(16), "--end", "1000")
        self.ended(end, "failed", "EXPIRED", "-")
        self.assertEqual(self.files("pc-0007"), ["package.exe"])

    def test_script_that_a_task_may_run_stays(self):
        """Nobody knows whether there is a task; or there is one, which will not start by itself."""
        for host, fault, verdict, reason, tasks in (
            ("pc-0008", "call-dropped", "unknown", "RPC_UNAVAILABLE", 0),
            ("pc-0009", "scheduler-error:0x0004131B", "failed", "SCHEDULER_REFUSED", 0),
        ):
            with self.subTest(fault=fault):
                push = secrets.token_hex(16)
                self.lab.fault(host, fault)
                self.ended(self.push(host, push), verdict, reason, "-")
                self.assertEqual(
                    self.files(host), [*(f".pusher-{push}-1.{suffix}" for suffix in ("cmd", "end", "out")), "package.exe"])
                self.assertEqual(len(self.lab.check(host)["tasks"]), tasks)

    def test_connection_cut_while_the_script_goes_is_no_doubt(self):
        """Wherever it breaks: an end that was known by then is told; nothing was registered, so nothing is unknown."""
        reasons = set()
        for cut in range(4000, 16000, 800):
            self.lab.fault("pc-0010", f"cut:{cut}")
            end = self.push("pc-0010", secrets.token_hex(16), "--end", "1000")
            reasons.add(end.reason)
            self.assertEqual(end.verdict, "failed", end)
        self.assertEqual(reasons, {"CONN_LOST", "EXPIRED"})


class Times(WaitCase):
    """Starts and ends: running, over before it began, time limit, the target's own time."""

    OPTIONS = {"targets": 4}

    def test_running_waits_and_ends(self):
        push = secrets.token_hex(16)
        self.lab.behave("pc-0001", seconds=6, exit_code=7)
        self.lab.behave("pc-0002", seconds=3600)
        self.probe(["pc-0001", "pc-0002"], "--wait", "--run-timeout", "5", push=push)
        seen = set()
        deadline = time.monotonic() + START_WAIT_S
        while time.monotonic() < deadline:
            end = self.look("pc-0001", "--run-timeout", "5", push=push)
            seen.add((end.verdict, end.reason))
            if end.verdict != "waiting":
                break
        self.ended(end, "failed", "RUN_TIMEOUT", "-")
        self.assertEqual(
            seen, {("waiting", "NOT_STARTED"), ("waiting", "RUN_TIMEOUT"), ("failed", "RUN_TIMEOUT")})
        self.wait_until_ended(["pc-0002"])
        self.ended(self.look("pc-0002", push=push), "failed", "RUN_TIMEOUT", "-")

    def test_end_that_passed_is_not_started(self):
        push = secrets.token_hex(16)
        self.lab.behave("pc-0003", never=True)
        ends = str(int(time.time()) + 30)
        self.probe(["pc-0003"], "--wait", "--end", ends, push=push)
        deadline = time.monotonic() + START_WAIT_S
        end = None
        while time.monotonic() < deadline:
            end = self.look("pc-0003", "--end", ends, push=push)
            if end.verdict != "waiting":
                break
            self.assertEqual(end.reason, "NOT_STARTED")
            time.sleep(1)
        self.ended(end, "failed", "NOT_STARTED", "-")
        self.assertRegex(end.detail, "may not start after")
        self.assertEqual(self.files("pc-0003"), ["package.exe"])

    def test_times_of_the_target_have_no_zone(self):
        push = secrets.token_hex(16)
        start = int(time.time()) + 7 * 86400
        end = self.probe(["pc-0004"], "--wait", "--target-zone", "--start", str(start), "--end", str(start + 3600),
                         push=push)["pc-0004"]
        self.ended(end, "passed", "-", "-")
        self.assertRegex(end.detail, r"^starts \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d by the target's clock")
        # the east is reached first
        self.assertAlmostEqual(int(end.starts_in_ms) / 1000, 7 * 86400 - 14 * 3600, delta=120)
        look = self.look("pc-0004", push=push)
        self.ended(look, "waiting", "NOT_STARTED", "-")

    def test_start_in_the_target_s_own_time(self):
        """On a machine east of here a time without a zone comes hours earlier."""
        push = secrets.token_hex(16)
        self.lab.fault("pc-0004", "timezone:600")
        self.addCleanup(self.lab.fault, "pc-0004", None)
        start = int(time.time()) + 600 * 60 + 20
        options = ["--target-zone", "--start", str(start), "--end", str(start + 3600)]
        self.probe(["pc-0004"], "--wait", *options, push=push)
        self.wait_until_ended(["pc-0004"])
        self.ended(self.look("pc-0004", *options, push=push), "passed", "-", "0")


class Accounts(WaitCase):
    """Who may read the script and fill its files, and tasks that don't come to run."""

    OPTIONS = {"targets": 7}

    def test_files_are_for_the_account_alone(self):
        accounts = {
            "system": (None, "pc-0001"), "local-service": ("LS", "pc-0002"), "network-service": ("NS", "pc-0003"),
            "user": ("BU", "pc-0004"),
        }
        looks = {}
        for account, (sid, host) in accounts.items():
            push = secrets.token_hex(16)
            self.lab.behave(host, logged_on=True)
            self.ended(self.probe([host], "--wait", "--run-as", account, push=push)[host], "passed", "-", "-")
            task = self.task(host, push)
            folder = f"{self.lab.drive(host)}/SPDISTRO"
            for suffix, mask in (("cmd", "0x001200a9"), ("out", "0x0012019f"), ("end", "0x0012019f")):
                with self.subTest(account=account, file=suffix):
                    text = ntacl.read(f"{folder}/.pusher-{push}-1.{suffix}")["sddl"]
                    aces = re.findall(r"\(A;;([^;]*);;;([^)]*)\)", text)
                    others = [(mask, sid) for mask, sid in aces if sid not in ("SY", "BA")]
                    self.assertRegex(text, "D:P")
                    self.assertEqual(others, [] if sid is None else [(mask, sid)], text)
            self.assertEqual(task["logon_type"], 4 if account == "user" else 5)  # [MS-TSCH] 2.3.9
            looks[host] = (account, push)
        self.wait_until_ended(looks)
        for host, (account, push) in looks.items():
            self.ended(self.look(host, "--run-as", account, push=push), "passed", "-", "0")

    def test_nobody_logged_on_waits(self):
        push = secrets.token_hex(16)
        self.lab.behave("pc-0005", logged_on=False)
        self.probe(["pc-0005"], "--wait", "--run-as", "user", push=push)
        self.ended(self.look("pc-0005", "--run-as", "user", push=push), "waiting", "NOT_STARTED", "-")

    def test_refused_start_waits_for_another(self):
        """A scheduler that says so itself: 0x800710E0, nobody logged on, or a condition of the machine."""
        push = secrets.token_hex(16)
        self.lab.behave("pc-0006", exit_code=0x800710E0, end="none")
        self.lab.behave("pc-0007", exit_code=0x80070002, end="none")
        hosts = ["pc-0006", "pc-0007"]
        self.probe(hosts, "--wait", push=push)
        self.wait_until_ended(hosts)
        self.ended(self.look("pc-0006", push=push), "waiting", "NOT_STARTED", "-")
        end = self.look("pc-0007", push=push)
        self.ended(end, "failed", "NOT_STARTED", "-", "hresult 0x80070002")
        self.assertRegex(end.detail, "could not start it: ERROR_FILE_NOT_FOUND")


class CleanUp(WaitCase):
    """A push of its own that removes what another left."""

    OPTIONS = {"targets": 8}

    def push(self, host, *options, push):
        """With a start so late that it doesn't come."""
        end = self.probe([host], "--start", str(int(time.time()) + 3600), *options, push=push)[host]
        self.ended(end, "passed", "-", "-")

    def clean(self, host, push, *options):
        rows = self.lab.run(
            [PROBE, "--user", self.lab.data["account"], "--password-file", self.lab.data["password_file"], "--package",
             self.package, "--push", secrets.token_hex(16), "--cleanup-of", push, *options, host])
        self.assertEqual((rows.returncode, rows.stderr), (0, ""))
        return [dict(zip(FIELDS, line.split("\t"))) for line in rows.stdout.splitlines()]

    def cleaned(self, host, push, *options):
        rows = self.clean(host, push, *options)
        self.assertEqual([row["verdict"] for row in rows], ["passed"] * 6, rows)
        return rows

    def test_everything_goes_and_the_task_stays_disabled(self):
        push = secrets.token_hex(16)
        self.push("pc-0001", "--wait", push=push)
        with open(f"{self.lab.drive('pc-0001')}/SPDISTRO/.pusher-{push}-1.tmp", "wb") as file:
            file.write(b"of a crash")
        rows = self.cleaned("pc-0001", push)
        self.assertEqual(self.files("pc-0001"), [])
        self.assertRegex(rows[4]["detail"], "^removed its output, package.exe, the script, its exit code")
        self.assertRegex(rows[5]["detail"], "removed its output, package.exe.*; the task is disabled")
        self.assertFalse(self.task("pc-0001", push)["enabled"])
        again = self.cleaned("pc-0001", push)
        self.assertRegex(again[4]["detail"], "^nothing to remove")
        self.assertFalse(self.task("pc-0001", push)["enabled"])
        self.assertEqual(checks.Database(self.lab.directory).get("runs", self.lab.address("pc-0001")), [])

    def test_nothing_there_is_a_pass_and_makes_nothing(self):
        rows = self.cleaned("pc-0002", secrets.token_hex(16))
        self.assertRegex(rows[3]["detail"], "nothing to do")
        self.assertRegex(rows[5]["detail"], "there is no task")
        self.assertFalse(os.path.exists(f"{self.lab.drive('pc-0002')}/SPDISTRO"))

    def test_other_bytes_under_the_name_stay(self):
        push = secrets.token_hex(16)
        self.push("pc-0003", push=push)
        path = f"{self.lab.drive('pc-0003')}/SPDISTRO/package.exe"
        with open(path, "r+b") as file:
            file.write(b"XX")
        rows = self.cleaned("pc-0003", push, "--verify")
        self.assertRegex(rows[5]["detail"], "package.exe stays .other bytes: not this push's")
        self.assertEqual(self.files("pc-0003"), ["package.exe"])

    def test_unsafe_folder_is_left_alone(self):
        self.lab.fault("pc-0004", "unsafe-path")
        for options in ([], ["--replace-path"]):  # which --resume may add
            rows = self.clean("pc-0004", secrets.token_hex(16), *options)
            self.assertEqual(
                (rows[-1]["stage"], rows[-1]["verdict"], rows[-1]["reason"]), ("path", "failed", "UNSAFE_PATH"))
        self.assertEqual(self.lab.check("pc-0004")["renamed_aside"], [])

    def test_task_of_others_is_left_alone(self):
        push = secrets.token_hex(16)
        self.push("pc-0005", push=push)
        with self.database() as database, database:
            database.execute("UPDATE tasks SET xml=replace(xml, 'Pusher job', 'Other work') WHERE target=?",
                             (self.lab.address("pc-0005"),))
        rows = self.clean("pc-0005", push)
        self.assertEqual((rows[-1]["stage"], rows[-1]["verdict"], rows[-1]["reason"]),
                         ("schedule", "failed", "NAME_CONFLICT"))
        self.assertTrue(self.task("pc-0005", push)["enabled"])

    def test_package_in_use_fails_and_can_be_repeated(self):
        push = secrets.token_hex(16)
        self.push("pc-0006", "--wait", push=push)
        let_go = self.hold("pc-0006", f".pusher-{push}-1.out")
        rows = self.clean("pc-0006", push)
        self.assertEqual((rows[-1]["stage"], rows[-1]["verdict"], rows[-1]["reason"]),
                         ("copy", "failed", "SHARING_VIOLATION"))
        self.assertEqual(len(self.files("pc-0006")), 4)  # it may be running: nothing was touched
        let_go()
        deadline = time.monotonic() + 30
        while self.clean("pc-0006", push)[-1]["verdict"] != "passed" and time.monotonic() < deadline:
            time.sleep(0.2)
        self.assertEqual(self.files("pc-0006"), [])


class Really(WaitCase):
    """The script run by Wine's cmd, from the push to the exit code."""

    OPTIONS = {"targets": 2, "wine": True}

    def test_program_ends_and_tells(self):
        push = secrets.token_hex(16)
        arguments = '/S "a & b" & 100% ^ (c) <d> "'
        hosts = ["pc-0001", "pc-0002"]
        program.write(self.package, exit_code=3010)
        options = ["--wait", "--arguments", arguments]
        for end in self.probe(hosts, *options, push=push).values():
            self.ended(end, "passed", "-", "-")
        self.wait_until_ended(hosts)
        for host in hosts:
            end = self.look(host, "--arguments", arguments, "--success", "3010", "--cleanup", push=push)
            self.ended(end, "passed", "-", "3010", "exit 3010")
            self.assertEqual(self.output(host).decode(), f'"C:\\SPDISTRO\\package.exe" {arguments}\r\n')
            self.assertEqual(self.files(host), [])

    def test_script_from_the_command_line_to_the_exit_code(self):
        script = f"{self.folder}/set up.cmd"
        with open(script, "w", encoding="ascii", newline="\r\n") as file:
            file.write("@echo off\necho got %*\nexit 3010\n")
        admin = pushing.Admin(self.lab, f"{self.folder}/state")
        _, report = admin.push(script, ["pc-0001"], "--wait", "--success-codes", "0,3010", "--", 'a "b (c)" d=e')
        row = report["targets"][0]
        self.assertEqual((row["state"], row["reason"], row["exit_code"]), ("succeeded", None, 3010), row)
        _, refused = admin.push(script, ["pc-0001"], "--wait", "--", "100%")
        self.assertIsNone(refused)


if __name__ == "__main__":
    unittest.main(verbosity=2)
