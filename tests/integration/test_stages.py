"""The relay's six stages against the lab: every fault ends in its stage and reason, success leaves exactly what it should,
failure leaves nothing, and what is repeated happens once."""

import collections
import contextlib
import os
import secrets
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lab")]

import reasons  # noqa: E402
from lablib import Lab  # noqa: E402
from standin import faults  # noqa: E402

if os.geteuid() != 0:
    sys.exit("needs root for network namespaces")

# Sends echo replies with every likely sequence number, but without the cookie. Arguments: source, destination, identifier.
FORGER = """
import socket, struct, sys, time
source, destination, identifier = sys.argv[1], sys.argv[2], int(sys.argv[3])
def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
raw.bind((source, 0))
for _ in range(20):
    for sequence in range(8):
        body = struct.pack("!BBHHH", 0, 0, 0, identifier, sequence) + bytes(16)
        raw.sendto(body[:2] + struct.pack("!H", checksum(body)) + body[4:], (destination, 0))
    time.sleep(0.05)
print("sent")
"""

# A DNS server that answers everything with one RCODE. Arguments: RCODE, then the command to run beside it.
REFUSER = """
import socket, subprocess, sys, threading
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
def serve():
    while True:
        query, client = server.recvfrom(600)
        server.sendto(query[:2] + bytes([0x81, 0x80 | int(sys.argv[1])]) + query[4:], client)
threading.Thread(target=serve, daemon=True).start()
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""

# Stands at 127.0.0.1:445 in front of a machine while the command runs. Arguments: hang-up (at once) or break (after the first
# answer), which the first connection gets, the machine's address, the command. Says what the client sent to the first one.
MIDDLEMAN = """
import contextlib, socket, subprocess, sys, threading
server = socket.create_server(("127.0.0.1", 445))
def forward(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
def everything(client):
    sent = b""
    while data := client.recv(65536):
        sent += data
    return sent
def serve():
    first = server.accept()[0]
    if sys.argv[1] == "silent":
        return everything(first)
    machine = socket.create_connection((sys.argv[2], 445))
    machine.sendall(first.recv(65536))
    first.sendall(machine.recv(65536))
    if sys.argv[1] == "break":
        first.recv(65536)
    first.shutdown(socket.SHUT_WR)
    print("first", len(everything(first)) if sys.argv[1] == "hang-up" else "", sep="\\t", flush=True)
    while True:
        client, machine = server.accept()[0], socket.create_connection((sys.argv[2], 445))
        threading.Thread(target=forward, args=(client, machine), daemon=True).start()
        threading.Thread(target=forward, args=(machine, client), daemon=True).start()
threading.Thread(target=serve, daemon=True).start()
sys.exit(subprocess.run(sys.argv[3:]).returncode)
"""

PROBE = os.path.join(os.environ.get("PUSHER_BIN", os.path.join(HERE, "..", "..", "build", "dev", "bin")), "stage_probe")
FIELDS = "target stage verdict reason kind code tries bytes name_check address ms detail".split()
End = collections.namedtuple("End", FIELDS)
STAGES = ["resolve", "ping", "access", "path", "copy", "schedule"]


class StageCase(unittest.TestCase):
    """One lab for the tests of a class, and the probe run in it."""

    OPTIONS = {"targets": 4}

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab(**cls.OPTIONS))
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="stages-"))
        cls.package = f"{cls.folder}/package.exe"
        cls.write_package(400_000)

    @classmethod
    def write_package(cls, size):
        with open(cls.package, "wb") as file:
            file.write(b"MZ" + secrets.token_bytes(size - 2))

    def push(self, targets, *options, **more):
        """Every stage that ended, as End rows in order."""
        return [End(*row) for row in self.push_rows(targets, *options, **more)]

    def push_rows(self, targets, *options, push=None, user=None, prefix=(), package=None):
        """What the probe says, split."""
        user = user or self.lab.data["account"]
        done = self.lab.run(
            [*prefix, PROBE, "--user", user, "--password-file", f"{self.lab.directory}/passwords/{user}", "--package",
             package or self.package, "--push", push or secrets.token_hex(16), *options, *targets],
            timeout=150,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def push_one(self, target, *options, **more):
        """The last row."""
        return self.push([target], *options, **more)[-1]

    def passed(self, end, stage="schedule"):
        self.assertEqual((end.stage, end.verdict, end.reason), (stage, "passed", "-"), end)

    def failed(self, end, stage, reason, code=None, state=None):
        verdict = "unknown" if state == "unknown_effect" else "failed"
        self.assertEqual((end.stage, end.verdict, end.reason), (stage, verdict, reason), end)
        if code is not None:
            self.assertEqual(f"{end.kind} {end.code}".strip(), code, end)
        reasons.saw(reason)

    def database(self):
        return contextlib.closing(sqlite3.connect(f"{self.lab.directory}/scheduler/tasks.db", timeout=10))


# test_faults.py waits the half minute that a line takes which falls silent in mid-copy, and for what is read back later.
FAULTS = [name for name in faults.FAULTS if name not in ("stall", "unsigned-once")]


class Faults(StageCase):
    """Everything that the lab can do to a target, at once."""

    OPTIONS = {"targets": len(FAULTS) + 8, "faults": ",".join(FAULTS)}

    def test_every_fault_ends_in_its_stage_and_reason(self):
        ends = self.push([target["host"] for target in self.lab.targets])
        rows = collections.defaultdict(list)
        for end in ends:
            rows[end.target].append(end)
        for target in self.lab.targets:
            with self.subTest(fault=target["fault"] or "none", target=target["host"]):
                last = rows[target["host"]][-1]
                if target["expected"] is None:
                    self.passed(last)
                    self.assertEqual([end.stage for end in rows[target["host"]]], STAGES)
                    self.assertEqual(rows[target["host"]][-2].bytes, str(os.path.getsize(self.package)))
                    self.assertEqual(last.name_check, "1")
                    continue
                self.failed(last, **target["expected"])
                self.assertNotEqual(last.detail, "")
        for found in self.lab.check_all(self.package):
            with self.subTest(fault=found["fault"], target=found["host"]):
                self.assertEqual(found["problems"], [])

    def test_dead_hosts_delay_nobody(self):
        dead = [f"10.50.1.{n}" for n in range(len(self.lab.targets) + 2, 250)]
        healthy = [target["host"] for target in self.lab.targets if not target["fault"]]
        ends = self.push(dead + healthy, "--last", "copy")
        order = [end.target for end in ends if end.stage == "copy" or end.verdict != "passed"]
        self.assertEqual(len(order), len(dead) + len(healthy))
        self.assertEqual(set(order[: len(healthy)]), set(healthy))
        self.assertEqual({end.reason for end in ends if end.verdict == "failed"}, {"NO_REPLY"})


class Repeats(StageCase):
    """Second pushes, the same push again, names that are taken."""

    OPTIONS = {"targets": 16}

    def facts(self, target):
        return self.lab.check(target, self.package)

    def test_second_push_overwrites(self):
        self.passed(self.push_one("pc-0001"))
        self.write_package(1_000_003)
        self.passed(self.push_one("pc-0001", "--verify"))
        facts = self.facts("pc-0001")
        self.assertTrue(facts["package_ok"] and facts["folder_closed"] and facts["tasks_closed"], facts)
        self.assertEqual(facts["leftovers"], [])
        self.assertEqual(len(facts["tasks"]), 2)

    def test_same_push_again_schedules_once(self):
        push = secrets.token_hex(16)
        first = self.push_one("pc-0002", push=push)
        again = self.push_one("pc-0002", push=push)
        self.passed(again)
        self.assertRegex(again.detail, "^already registered; " + first.detail)
        self.passed(self.push_one("pc-0002", "--read-back", push=push))
        self.assertEqual(len(self.facts("pc-0002")["tasks"]), 1)
        self.passed(self.push_one("pc-0002", "--generation", "2", push=push))
        self.assertEqual(len(self.facts("pc-0002")["tasks"]), 2)

    def test_read_back_finding_nothing_registers(self):
        self.passed(self.push_one("pc-0003", "--read-back"))
        self.assertEqual(len(self.facts("pc-0003")["tasks"]), 1)

    def test_look_first_finding_nothing_goes_on_in_the_same_session(self):
        push = secrets.token_hex(16)
        rows = self.push(["pc-0013"], "--look-first", push=push)
        self.assertEqual([row.stage for row in rows],
                         ["resolve", "ping", "access", "schedule", "path", "copy", "schedule"])
        self.assertEqual(rows[3].reason, "CANCELLED")
        self.passed(rows[-1])
        facts = self.facts("pc-0013")
        self.assertEqual(len(facts["tasks"]), 1)
        again = self.push(["pc-0013"], "--look-first", push=push)
        self.assertEqual([row.stage for row in again], ["resolve", "ping", "access", "schedule"])
        self.passed(again[-1])
        self.assertEqual(len(self.facts("pc-0013")["tasks"]), 1)

    def test_look_under_stop_finds_or_leaves_alone(self):
        push = secrets.token_hex(16)
        self.failed(self.push_one("pc-0012", "--read-back", "--look-only", push=push), "schedule", "CANCELLED")
        self.assertEqual(len(self.facts("pc-0012")["tasks"]), 0)
        self.passed(self.push_one("pc-0012", push=push))
        self.passed(self.push_one("pc-0012", "--read-back", "--look-only", push=push))
        self.assertEqual(len(self.facts("pc-0012")["tasks"]), 1)

    def test_task_that_exists_and_cannot_be_read_is_no_failure(self):
        push = secrets.token_hex(16)
        self.passed(self.push_one("pc-0010", push=push))
        self.lab.fault("pc-0010", "answer-dropped:2")  # SchRpcRetrieveTask
        end = self.push_one("pc-0010", push=push)
        self.lab.fault("pc-0010", None)
        self.assertEqual((end.stage, end.verdict), ("schedule", "unknown"), end)
        self.passed(self.push_one("pc-0010", push=push))

    def test_registered_without_a_trigger_is_no_success(self):
        self.lab.fault("pc-0011", "scheduler-error:0x0004131B")
        end = self.push_one("pc-0011")
        self.lab.fault("pc-0011", None)
        self.failed(end, "schedule", "SCHEDULER_REFUSED", "hresult 0x0004131B")

    def test_package_is_readable_for_the_account_that_runs_it(self):
        self.write_package(4000)
        for host, account, readers in (
            ("pc-0013", "system", []), ("pc-0014", "local-service", ["S-1-5-19"]),
            ("pc-0015", "network-service", ["S-1-5-20"]), ("pc-0016", "user", ["S-1-5-32-545"]),
        ):
            with self.subTest(account=account):
                self.passed(self.push_one(host, "--run-as", account))
                facts = self.facts(host)
                self.assertTrue(facts["package_ok"] and facts["folder_closed"], facts)
                descriptor = next(f["descriptor"] for f in facts["files"] if f["name"] == "package.exe")
                self.assertEqual((descriptor["readers"], descriptor["owner"]), (readers, "S-1-5-32-544"))
                self.assertTrue(descriptor["protected"])

    def test_task_with_another_job_is_a_conflict(self):
        push = secrets.token_hex(16)
        self.passed(self.push_one("pc-0004", push=push))
        other = self.push_one("pc-0004", "--arguments", "/other", push=push)
        self.failed(other, "schedule", "NAME_CONFLICT")
        self.assertRegex(other.detail, "not ours")
        self.assertEqual(len(self.facts("pc-0004")["tasks"]), 1)

    def test_task_of_another_owner_is_a_conflict(self):
        push = secrets.token_hex(16)
        self.passed(self.push_one("pc-0005", push=push))
        with self.database() as database, database:
            database.execute(
                "UPDATE tasks SET sddl='O:S-1-5-21-1-2-3-1001G:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)' WHERE target=?",
                (self.lab.address("pc-0005"),),
            )
        self.failed(self.push_one("pc-0005", push=push), "schedule", "NAME_CONFLICT")

    def test_old_file_read_only_is_replaced(self):
        self.passed(self.push_one("pc-0006", "--last", "copy"), "copy")
        account = f"{self.lab.data['account']}%{self.lab.data['password']}"
        done = self.lab.run(
            ["smbclient", "//pc-0006/C$", "-U", account, "-c", "setmode SPDISTRO\\package.exe +r"]
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        self.write_package(5000)
        self.passed(self.push_one("pc-0006"))
        self.assertTrue(self.facts("pc-0006")["package_ok"])

    def test_folder_in_place_of_the_file_is_refused(self):
        self.passed(self.push_one("pc-0007", "--last", "path"), "path")
        os.mkdir(f"{self.lab.drive('pc-0007')}/SPDISTRO/package.exe")
        self.failed(self.push_one("pc-0007"), "copy", "ACCESS_DENIED")
        self.assertEqual(os.listdir(f"{self.lab.drive('pc-0007')}/SPDISTRO"), ["package.exe"])

    def test_unsafe_folder_is_set_aside_when_asked(self):
        for host, fault in (("pc-0008", "unsafe-path"), ("pc-0009", "path-is-file")):
            self.lab.fault(host, fault)
            self.assertEqual(self.push_one(host).stage, "path")
            self.passed(self.push_one(host, "--replace-path"))
            facts = self.facts(host)
            self.assertTrue(facts["package_ok"] and facts["folder_closed"], facts)
            self.assertEqual(len(facts["renamed_aside"]), 1)

    def test_temporary_file_of_a_crash_is_swept(self):
        push = secrets.token_hex(16)
        self.passed(self.push_one("pc-0010", "--last", "path", push=push), "path")
        folder = f"{self.lab.drive('pc-0010')}/SPDISTRO"
        for other in (push, secrets.token_hex(16), secrets.token_hex(16)):
            with open(f"{folder}/.pusher-{other}-1.tmp", "wb") as file:
                file.write(b"x" * 2_000_000)
        self.passed(self.push_one("pc-0010", push=push))
        self.assertEqual(os.listdir(folder), ["package.exe"])

    def test_big_package_is_whole(self):
        self.write_package(20_000_000)
        self.passed(self.push_one("pc-0011", "--verify"))
        self.assertTrue(self.facts("pc-0011")["package_ok"])

    def test_start_asked_for_is_kept(self):
        end = self.push_one("pc-0012", "--start", "4102444800", "--end", "4102448400")
        self.assertRegex(end.detail, "^starts 2100-01-01T00:00:00Z")
        late = self.push_one("pc-0012", "--end", "1000")
        self.failed(late, "schedule", "EXPIRED")


class Cuts(StageCase):
    """Connections that break after any number of bytes, and targets that are given up in the middle."""

    OPTIONS = {"targets": 32}

    def test_cut_anywhere_registers_once(self):
        push = secrets.token_hex(16)
        hosts = [target["host"] for target in self.lab.targets]
        self.write_package(3000)
        for number, host in enumerate(hosts):
            self.lab.fault(host, f"cut:{1500 + number * 400}")
        ends = self.push(hosts, push=push)
        last = {end.target: end for end in ends}
        self.assertEqual(set(last), set(hosts))
        self.assertGreater(sum(end.verdict == "unknown" for end in ends), 0)
        for end in last.values():
            self.assertIn(end.reason, ("-", "CONN_LOST"), end)
        for host in hosts:
            tasks = len(self.lab.check(host, self.package)["tasks"])
            self.assertLessEqual(tasks, 1)
            if last[host].verdict == "passed":
                self.assertEqual(tasks, 1, last[host])
            elif last[host].verdict == "failed":
                self.assertEqual(tasks, 0, last[host])
            self.lab.fault(host, None)
        for end in self.push(hosts, "--read-back", push=push):
            self.assertEqual(end.verdict, "passed", end)
        for host in hosts:
            facts = self.lab.check(host, self.package)
            self.assertEqual((len(facts["tasks"]), facts["leftovers"], facts["package_ok"]), (1, [], True), host)

    def leftovers(self, hosts):
        found = []
        for host in hosts:
            folder = f"{self.lab.drive(host)}/SPDISTRO"
            if os.path.isdir(folder):
                found += [f"{host}: {name}" for name in os.listdir(folder) if name != "package.exe"]
        return found

    def test_targets_dropped_at_any_time_leave_no_temporary_file(self):
        self.write_package(3_000_000)
        hosts = [target["host"] for target in self.lab.targets]
        for after_ms in (1, 20, 60, 150, 300):
            self.push([*hosts, "10.50.1.250", "host.slow.test"], "--drop-after", str(after_ms))
            # A file server that still has to see that its client is gone, deletes the file when it does.
            self.assertTrue(self.eventually(lambda: not self.leftovers(hosts), 60), self.leftovers(hosts))
        self.passed(self.push_one("pc-0001"))
        self.assertTrue(self.eventually(lambda: not self.leftovers(hosts), 60), self.leftovers(hosts))

    def test_copy_given_up_half_way_leaves_nothing(self):
        self.write_package(3_000_000)
        hosts = ["pc-0031", "pc-0032"]
        for host in hosts:
            self.lab.fault(host, "slow")
            self.addCleanup(self.lab.fault, host, None)
        with self.lab.popen([
            PROBE, "--user", "pushadmin", "--password-file", self.lab.data["password_file"], "--package", self.package,
            "--drop-after", "4000", "--last", "copy", *hosts,
        ], stdout=subprocess.DEVNULL) as probe:
            self.assertTrue(self.eventually(lambda: len(self.leftovers(hosts)) == 2))
            self.assertEqual(probe.wait(), 0)
        self.assertTrue(self.eventually(lambda: not self.leftovers(hosts)), self.leftovers(hosts))
        for host in hosts:
            self.assertEqual(os.listdir(f"{self.lab.drive(host)}/SPDISTRO"), [])

    @staticmethod
    def eventually(true, timeout_s=20):
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if true():
                return True
            time.sleep(0.05)
        return False


class Slow(StageCase):
    """A machine that answers every question in time, and takes for ever: 700 bytes a second."""

    OPTIONS = {"targets": 2, "faults": "pc-0002=slow:700"}

    def test_copy_that_crawls_ends_with_its_budget(self):
        """2,048 bytes a second are taken to be the least; the product grants two minutes besides."""
        self.write_package(12_000)
        ends = self.push(["pc-0001", "pc-0002"], "--patience", "1000", "--last", "copy")
        rows = {end.target: end for end in ends}
        self.passed(rows["pc-0001"], "copy")
        self.failed(rows["pc-0002"], "copy", "CONN_LOST")
        self.assertIn("not done in time", rows["pc-0002"].detail)


class Dialects(StageCase):
    """Every dialect and protection that the lab's servers speak, and what a push costs there."""

    WAYS = {None: 15, "smb-3.0.2": 16, "smb-3.0": 16, "smb-2.1": 16, "no-encrypt": 15}
    OPTIONS = {"targets": 6, "faults": ",".join(way for way in (*WAYS, "one-credit") if way)}

    def counts(self, host):
        """Requests, messages and round trips of a whole push; the servers may answer apart, so the least of some tries."""
        found = []
        for _ in range(5):
            *ends, said = self.push_rows([host], "--counts")
            self.passed(End(*ends[-1]))
            self.assertEqual(said[0], "counts")
            found.append(tuple(int(number) for number in said[1:]))
        return min(found, key=lambda counts: counts[2])

    def test_push_takes_few_round_trips(self):
        self.write_package(4096)
        for target in self.lab.targets:
            if target["fault"] == "one-credit":
                continue
            with self.subTest(fault=target["fault"]):
                requests, messages, trips = self.counts(target["host"])
                self.assertLessEqual(trips, self.WAYS[target["fault"]])
                self.assertLess(messages, requests - 8)  # compounds, as docs/BENCHMARKS.md has them

    def test_one_credit_takes_one_request_at_a_time(self):
        host = next(target["host"] for target in self.lab.targets if target["fault"] == "one-credit")
        for size in (4096, 300_000):
            self.write_package(size)
            requests, messages, _ = self.counts(host)
            self.assertEqual(messages, requests)
            facts = self.lab.check(host, self.package)
            self.assertEqual((facts["package_ok"], facts["leftovers"]), (True, []))


class Doors(StageCase):
    """Names, pings and accounts: what comes before the first byte is written."""

    OPTIONS = {"targets": 4, "faults": "pc-0003=no-ping,pc-0004=wrong-name"}

    def test_accounts_that_may_not_push(self):
        for user, reason in (
            ("plainuser", "ACCESS_DENIED"), ("disabled", "ACCOUNT_DISABLED"), ("locked", "ACCOUNT_LOCKED"),
            ("expired", "ACCOUNT_DISABLED"), ("mustchange", "PASSWORD_EXPIRED"),
        ):
            with self.subTest(user=user):
                self.failed(self.push_one("pc-0001", user=user), "access", reason)
        self.assertFalse(os.path.exists(f"{self.lab.drive('pc-0001')}/SPDISTRO"))

    def test_wrong_password_is_a_logon_failure(self):
        wrong = f"{self.folder}/wrong"
        with open(wrong, "w", encoding="ascii") as file:
            file.write("Wrong-1\n")
        end = self.push_one("pc-0001", "--password-file", wrong)
        self.failed(end, "access", "LOGON_FAILURE", "ntstatus 0xC000006D")
        self.assertEqual(end.tries, "1")

    def test_names_that_do_not_resolve(self):
        ends = {end.target: end for end in self.push(["nosuch", "nosuch.lab.test", "bad..name", "host.slow.test"])}
        self.failed(ends["nosuch"], "resolve", "NXDOMAIN", "dns 3")
        self.failed(ends["nosuch.lab.test"], "resolve", "NXDOMAIN", "dns 3")
        self.failed(ends["bad..name"], "resolve", "NXDOMAIN")
        self.failed(ends["host.slow.test"], "resolve", "DNS_TIMEOUT")

    def test_dns_servers_that_refuse_tell_their_code(self):
        path = f"{self.lab.directory}/resolv.conf"
        with open(path, encoding="ascii") as file:
            before = file.read()
        try:
            with open(path, "w", encoding="ascii") as file:  # in place: the lab has it mounted
                file.write("nameserver 127.0.0.1\n")
            self.failed(self.push_one("pc-0001.lab.test"), "resolve", "DNS_TIMEOUT", "errno 111")
            for rcode in ("2", "5"):
                end = self.push_one("pc-0001.lab.test", prefix=["/usr/bin/python3", "-c", REFUSER, rcode])
                self.failed(end, "resolve", "DNS_TIMEOUT", f"dns {rcode}")
        finally:
            with open(path, "w", encoding="ascii") as file:
                file.write(before)

    def test_slow_names_hold_no_name_up(self):
        slow = [f"host{n}.slow.test" for n in range(150)]
        ends = self.push([*slow, "pc-0001", "pc-0002"], "--last", "resolve")
        self.assertEqual({end.target for end in ends[:2]}, {"pc-0001", "pc-0002"})
        self.assertEqual([end.reason for end in ends[2:]], ["DNS_TIMEOUT"] * 150)

    def test_address_is_taken_as_it_is(self):
        end = self.push_one(self.lab.address("pc-0002"))
        self.passed(end)
        self.assertEqual(end.name_check, "0")

    def test_other_machine_is_pushed_to_by_address_only(self):
        self.failed(self.push_one("pc-0004"), "access", "NAME_MISMATCH")
        self.assertFalse(os.path.exists(f"{self.lab.drive('pc-0004')}/SPDISTRO"))
        self.passed(self.push_one(self.lab.address("pc-0004")))

    def test_ping_may_be_preferred_or_skipped(self):
        self.failed(self.push_one("pc-0003"), "ping", "NO_REPLY")
        self.passed(self.push_one("pc-0003", "--ping", "prefer"))
        self.passed(self.push_one("pc-0003", "--ping", "skip"))

    def test_ping_reply_without_the_cookie_is_nobodys(self):
        command = [PROBE, "--user", "pushadmin", "--last", "ping", "pc-0003"]
        with self.lab.popen(command, stdout=subprocess.PIPE, text=True) as probe:
            forger = self.lab.run(
                ["/usr/bin/python3", "-c", FORGER, self.lab.address("pc-0003"), self.lab.data["admin_address"],
                 str(probe.pid & 0xFFFF)],
                side="target",
            )
            self.assertEqual(forger.stdout, "sent\n", forger.stderr)
            last = End(*probe.communicate()[0].splitlines()[-1].split("\t"))
        self.failed(last, "ping", "NO_REPLY")

    def test_ping_without_a_socket_names_the_remedy(self):
        bare = ["setpriv", "--inh-caps=-net_raw", "--bounding-set=-net_raw"]
        end = self.push_one("pc-0001", prefix=bare)
        self.failed(end, "ping", "PING_NOT_ALLOWED")
        self.passed(self.push_one("pc-0001", "--ping", "skip", prefix=bare))
        self.passed(self.push_one("pc-0001", "--ping", "prefer", prefix=bare))

    def test_ping_by_datagram_socket(self):
        self.lab.fault("pc-0002", "host-unreachable")
        self.addCleanup(self.lab.fault, "pc-0002", None)
        allow = ["sh", "-c", 'echo "0 0" >/proc/sys/net/ipv4/ping_group_range && exec "$@"', "sh"]
        ends = {end.target: end for end in self.push(
            ["pc-0001", "pc-0002", "pc-0003"], "--last", "ping", prefix=allow) if end.stage == "ping"}
        self.lab.run(["sh", "-c", 'echo "1 0" >/proc/sys/net/ipv4/ping_group_range'])
        self.passed(ends["pc-0001"], "ping")
        self.failed(ends["pc-0002"], "ping", "HOST_UNREACHABLE", "icmp 3/1")
        self.failed(ends["pc-0003"], "ping", "NO_REPLY")


class Held(StageCase):
    """A logon that has to be allowed first."""

    def lines(self, *command):
        user = self.lab.data["account"]
        secret = f"{self.lab.directory}/passwords/{user}"
        done = self.lab.run([*command[:-1], PROBE, "--user", user, "--password-file", secret, "--last", "access", "--hold",
                             "300", *command[-1]], timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return [line.split("\t") for line in done.stdout.splitlines()]

    def through_middleman(self, way, *options):
        machine = self.lab.address("pc-0001")
        lines = self.lines("/usr/bin/python3", "-c", MIDDLEMAN, way, machine,
                           [*options, "--ping", "skip", "127.0.0.1"])
        return lines, End(*lines[-1])

    def test_logon_waits_and_goes_on(self):
        lines = self.lines(["pc-0001", "pc-0002"])
        self.assertEqual(sorted(line[0] for line in lines if line[1] == "connected"), ["pc-0001", "pc-0002"])
        for line in lines[-2:]:
            self.passed(End(*line), "access")

    def test_connection_lost_while_waiting_is_made_again(self):
        lines, end = self.through_middleman("hang-up")
        self.passed(end, "access")
        self.assertIn(["first", "0"], lines)  # nothing was sent but NEGOTIATE
        self.assertEqual([line[1] for line in lines].count("connected"), 1)

    def test_second_try_asks_again(self):
        lines, end = self.through_middleman("break")
        self.passed(end, "access")
        self.assertEqual(end.tries, "2")
        self.assertEqual([line[1] for line in lines].count("connected"), 2)

    def test_silent_machine_asks_for_no_logon(self):
        lines = self.through_middleman("silent", "--drop-after", "1500")[0]
        self.assertEqual([line for line in lines if line[1] == "connected"], [])

    def test_dropped_while_waiting(self):
        self.assertEqual([line[1] for line in self.lines(["--drop-after", "100", "pc-0003"])][2:], ["connected"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
