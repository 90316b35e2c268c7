#!/usr/bin/python3
"""Private mode: `pusher` with its own daemons, against loopback addresses where nobody serves SMB.

Usage: test_cli_private.py [unittest arguments]     $PUSHER_BIN: folder of the programs (build/dev/bin).
"""

import csv
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PUSHER_BIN", ROOT / "build" / "dev" / "bin")).resolve()
MANY = ("-y", "-t", "127.1.0.0/19")  # refused at once, so it takes this many to be in the midst of a push for long
MANY_COUNT = 8190
NOBODY = 65534


class PrivateMode(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="priv-")
        self.addCleanup(folder.cleanup)
        self.addCleanup(self.end_all)
        self.folder = pathlib.Path(folder.name)
        self.state = self.folder / "state"
        self.bin = BIN
        self.who = {}  # who runs pusher, for subprocess; nothing: we
        self.environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("PUSHER_", "XDG_"))
        } | {"XDG_STATE_HOME": str(self.state), "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}
        self.package = self.folder / "setup.exe"
        self.package.write_bytes(b"MZ" + os.urandom(300000))
        self.password = self.folder / "pw"
        self.password.write_text("secret\n", encoding="ascii")
        self.password.chmod(0o600)
        self.running = []

    def words(self, *arguments):
        return [str(self.bin / "pusher"), *map(str, arguments)]

    def account(self):
        return ("--user", "u", "--password-file", self.password)

    def run_pusher(self, *arguments):
        return subprocess.run(self.words(*arguments), env=self.environment, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=120, check=False, **self.who)

    def push(self, *arguments):
        return self.run_pusher("push", self.package, *self.account(), "--ping", "skip", *arguments)

    def start_push(self, *arguments):
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            self.words("push", self.package, *self.account(), "--ping", "skip", "-o", "json", *arguments, "--", "/S"),
            env=self.environment, stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            **self.who)
        self.running.append(process)
        return process

    def daemons(self, name=""):
        """Our daemons (they run with this test's state folder)."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            program = os.path.basename(words[0]).decode(errors="replace")
            if program.startswith(f"pusher-{name}") and any(str(self.state).encode() in w for w in words[1:]):
                found.append(int(pid))
        return found

    def end_all(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for pid in self.daemons():
            os.kill(pid, signal.SIGKILL)

    def wait_until(self, condition, what, timeout_s=30):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.05)
        self.fail(f"not within {timeout_s} s: {what}")

    def newest(self):
        done = self.run_pusher("report", "-o", "json")
        self.assertIn("targets", done.stdout, done.stderr)
        return json.loads(done.stdout)

    def wait_for_rows(self, count):
        """Until the relay's journal shows that work goes on."""
        journal = self.state / "pusher" / "private" / "relay" / "journal.db-wal"
        self.wait_until(lambda: journal.exists() and journal.stat().st_size > 4096 * count, "rows in the journal")

    def finish(self, process, status):
        out, said = process.communicate(timeout=120)
        self.assertEqual(process.returncode, status, said)
        report = json.loads(out)
        totals = report["totals"]
        self.assertEqual(totals["submitted"], len(report["targets"]))
        self.assertEqual(totals["pending"], 0)
        return report, said

    def test_push_ends_with_one_row_each_and_no_daemons(self):
        done = self.push("-t", "127.0.0.1", "-t", "no-such-host.invalid", "-o", "json", "--", "/S")
        self.assertIn(done.returncode, (3, 4), done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual([row["target"] for row in report["targets"]], ["127.0.0.1", "no-such-host.invalid"])
        self.assertEqual(report["targets"][0]["reason"], "PORT_CLOSED")
        self.assertEqual(report["push"]["state"], "closed")
        self.assertEqual(list((self.state / "pusher" / "private" / "jobs").iterdir()), [])
        self.assertEqual(self.daemons(), [])
        again = self.newest()
        self.assertEqual(again["targets"], report["targets"])
        why = self.run_pusher("why", "127.0.0.1")
        self.assertEqual(why.returncode, 0)
        for word in ("PORT_CLOSED", "cause:", "remedy:", "resolve", "access"):
            self.assertIn(word, why.stdout)
        self.assertEqual(self.run_pusher("why", "pc9").returncode, 2)
        self.assertIn(report["push"]["id"][:8], self.run_pusher("list").stdout)
        self.assertIn(report["push"]["sha256"], self.run_pusher("show", report["push"]["id"][:6]).stdout)
        self.assertIn("100%", self.run_pusher("status").stdout)
        self.assertEqual(self.run_pusher("show", "ffff").returncode, 2)
        self.assertEqual(self.run_pusher("cancel", report["push"]["id"]).returncode, 2)
        self.assertEqual(self.daemons(), [])

    def test_cleanup_of_nothing_or_of_an_open_push_is_refused(self):
        done = self.push("-t", "127.0.0.1", "-o", "json", "--", "/S")
        closed = json.loads(done.stdout)["push"]["id"]
        nothing = self.run_pusher("cleanup", closed, *self.account())
        self.assertEqual(nothing.returncode, 6, nothing.stderr)
        self.assertIn("touched no target", nothing.stderr)
        unknown = self.run_pusher("cleanup", "ffff", *self.account())
        self.assertEqual(unknown.returncode, 2, unknown.stderr)
        process = self.start_push(*MANY)
        self.wait_for_rows(1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
        stopped = self.newest()["push"]
        self.assertEqual(stopped["state"], "stopped")
        still = self.run_pusher("cleanup", stopped["id"], *self.account())
        self.assertEqual(still.returncode, 2, still.stderr)
        self.assertIn(f"pusher cancel {stopped['id'][:8]}", still.stderr)
        rival = self.run_pusher("cleanup", closed, *self.account())
        self.assertEqual(rival.returncode, 2, rival.stderr)
        self.assertIn("not over and has to do with setup.exe", rival.stderr)
        self.assertEqual(self.daemons(), [])

    def test_only_unreachable_is_status_4_and_no_report_prints_nothing(self):
        done = self.push("-t", "127.0.0.1", "--no-report", "-q", "--", "/S")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (4, "", ""))

    def test_same_push_id_is_the_same_push(self):
        push = "0123456789abcdef0123456789abcdef"
        first = json.loads(self.push("-t", "127.0.0.1", "--push-id", push, "-o", "json").stdout)
        done = self.push("-t", "127.0.0.1", "--push-id", push, "-o", "json")
        self.assertIn("exists already", done.stderr)
        self.assertEqual(json.loads(done.stdout)["targets"], first["targets"])
        self.assertEqual(self.run_pusher("list").stdout.count("setup.exe"), 1)
        other = self.push("-t", "127.0.0.1", "-t", "127.0.0.2", "--push-id", push)
        self.assertEqual(other.returncode, 2, other.stderr)
        self.assertIn("another package or pool", other.stderr)
        other = self.push("-t", "127.0.0.2", "--push-id", push)
        self.assertEqual(other.returncode, 2, other.stderr)
        self.assertIn("other targets", other.stderr)
        other = self.push("-t", "127.0.0.1", "--push-id", push, "--", "/S")
        self.assertEqual(other.returncode, 2, other.stderr)
        self.assertIn("another way", other.stderr)

    def test_verbose_names_the_state_folder(self):
        done = self.push("-t", "127.0.0.1", "-v")
        self.assertIn(f"logs: {self.state}/pusher/private", done.stderr)
        self.assertIn("relay is live", done.stderr)

    def test_every_format_tells_the_same_rows(self):
        done = self.push("-t", "127.0.0.1", "-t", "127.0.0.2", "-o", "json")
        report = json.loads(done.stdout)
        self.assertEqual(len(report["targets"]), 2)
        lines = self.run_pusher("report", "-o", "jsonl")
        self.assertEqual([json.loads(line) for line in lines.stdout.splitlines()], report["targets"])
        self.assertEqual(lines.returncode, done.returncode)
        raw = subprocess.run(self.words("report", "-o", "csv"), env=self.environment, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, timeout=60, check=False).stdout
        self.assertEqual(raw.count(b"\r\n"), 3)
        rows = list(csv.DictReader(io.StringIO(raw.decode(), newline="")))
        for row, target in zip(rows, report["targets"], strict=True):
            for name in ("target", "address", "site", "relay", "state", "stage", "reason", "code"):
                self.assertEqual(row[name] or None, target[name], name)
        wide = self.run_pusher("report", "-o", "wide", "--site", "nowhere").stdout
        self.assertIn("0 rows fit the filter", wide)
        push = report["push"]
        listed = json.loads(self.run_pusher("list", "-o", "json").stdout)["pushes"]
        shown = [json.loads(self.run_pusher(command, push["id"], "-o", "json").stdout) for command in ("show", "status")]
        for found in listed + shown:
            self.assertEqual({name: found["push"][name] for name in push}, push)
            self.assertEqual(found["totals"], report["totals"])
        refused = self.run_pusher("list", "-o", "csv")
        self.assertEqual((refused.returncode, refused.stdout), (2, ""), refused.stderr)

    def test_report_that_cannot_be_written_is_status_1(self):
        self.push("-t", "127.0.0.1")
        reports = [("report", "-o", word) for word in ("table", "wide", "json", "jsonl", "csv")]
        lists = [("list",), ("list", "-o", "json"), ("status", "-o", "json"), ("why", "127.0.0.1")]
        for arguments in reports + lists:
            with self.subTest(arguments=arguments), open("/dev/full", "w", encoding="ascii") as full:
                done = subprocess.run(self.words(*arguments), env=self.environment, stdin=subprocess.DEVNULL,
                                      stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("cannot write", done.stderr)
        self.assertEqual(self.daemons(), [])

    def test_closed_standard_output_is_status_1_and_nothing_is_written_elsewhere(self):
        self.push("-t", "127.0.0.1")
        for command in ("list", "report -o json"):
            with self.subTest(command=command):
                done = subprocess.run(["sh", "-c", f'exec "$0" {command} >&-', BIN / "pusher"], env=self.environment,
                                      stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("cannot write", done.stderr)
        self.assertEqual(self.newest()["totals"]["submitted"], 1)

    @unittest.skipIf(os.geteuid() != 0, "takes the right to ping away, so it must have it")
    def test_ping_not_allowed_is_told_with_its_remedy_in_the_report(self):
        bare = ["setpriv", "--inh-caps=-net_raw", "--bounding-set=-net_raw"]
        low, high = map(int, pathlib.Path("/proc/sys/net/ipv4/ping_group_range").read_text(encoding="ascii").split())
        if low <= 0 <= high:
            self.skipTest("everybody may ping here")
        done = subprocess.run(bare + self.words("push", self.package, *self.account(), "-t", "127.0.0.1"),
                              env=self.environment, stdin=subprocess.DEVNULL, text=True, capture_output=True,
                              timeout=120, check=False)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("PING_NOT_ALLOWED", done.stdout)
        self.assertIn("setcap cap_net_raw+ep", done.stdout)

    def test_secrets_stay_in_memory(self):
        self.password.write_text("Sup3rS3cretWord\n", encoding="ascii")
        self.push("-t", "127.0.0.1")
        for path in self.state.rglob("*"):
            if path.is_file():
                self.assertNotIn(b"Sup3rS3cretWord", path.read_bytes(), path)
                self.assertEqual(path.stat().st_mode & 0o077, 0, path) if not path.name.endswith(".pub") else None

    def test_interrupted_push_stops_says_how_to_go_on_and_resumes(self):
        process = self.start_push(*MANY)
        self.wait_for_rows(3)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130, said)
        self.assertEqual(self.daemons(), [])
        report = self.newest()
        self.assertEqual(report["push"]["state"], "stopped")
        self.assertGreater(report["totals"]["pending"], 0)
        self.assertIn(f"pusher push --resume {report['push']['id']} --user u --password-file {self.password} ", said)
        self.assertIn("goes back into the queue", said)
        other = self.folder / "other.exe"
        other.write_bytes(b"MZ other")
        wrong = self.run_pusher("push", "--resume", report["push"]["id"], other, *self.account())
        self.assertEqual(wrong.returncode, 2, wrong.stderr)
        self.assertIn("not the package", wrong.stderr)
        done = self.run_pusher("push", "--resume", report["push"]["id"][:6], *self.account(), "-o", "json")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertEqual(json.loads(done.stdout)["totals"]["unreachable"], MANY_COUNT)
        over = self.run_pusher("push", "--resume", report["push"]["id"], *self.account())
        self.assertEqual(over.returncode, 2, over.stderr)

    def test_timeout_is_status_9_and_cancel_ends_the_rest(self):
        done = self.push(*MANY, "--timeout", "2s", "--", "/S")
        self.assertEqual(done.returncode, 9, done.stderr)
        self.assertIn("--resume", done.stderr)
        push = self.newest()["push"]["id"]
        done = self.run_pusher("cancel", push)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = self.newest()
        self.assertGreater(report["totals"]["cancelled"], 0)
        self.assertEqual(report["totals"]["pending"], 0)
        again = self.run_pusher("push", "--resume", push, *self.account())
        self.assertEqual(again.returncode, 2, again.stderr)

    def test_killed_daemons_come_back_and_the_push_finishes(self):
        process = self.start_push(*MANY)
        for name in ("relay", "coordinator"):
            self.wait_for_rows(3)
            self.wait_until(lambda wanted=name: self.daemons(wanted), f"{name} runs")
            os.kill(self.daemons(name)[0], signal.SIGKILL)
            time.sleep(0.5)
        report, said = self.finish(process, 4)
        self.assertEqual(report["totals"]["unreachable"], MANY_COUNT)
        for name in ("relay", "coordinator"):
            self.assertIn(f"pusher-{name} ended (signal 9)", said)
        self.assertEqual(self.daemons(), [])

    def test_killed_command_takes_its_daemons_along_and_the_push_can_go_on(self):
        process = self.start_push(*MANY)
        self.wait_for_rows(3)
        process.kill()
        process.communicate()
        self.wait_until(lambda: not self.daemons(), "daemons gone")
        report = self.newest()
        self.assertEqual(report["push"]["state"], "open")
        # Nobody heard the relay since this coordinator came up, a moment ago.
        self.assertRegex(self.run_pusher("report").stdout, "0 relays live, 1 stale 00:00:0")
        other = self.push("-t", "127.0.2.1")
        self.assertIn(f"push {report['push']['id'][:8]} (setup.exe) is open and goes on", other.stderr)
        done = self.run_pusher("push", "--resume", report["push"]["id"], *self.account(), "-o", "json")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertEqual(json.loads(done.stdout)["totals"]["unreachable"], MANY_COUNT)

    def become_nobody_with_a_relay_that_may_ping(self):
        """As README.md tells users without rights: the file capability is on pusher-relay alone."""
        self.folder.chmod(0o755)
        self.bin = self.folder / "bin"
        self.bin.mkdir(mode=0o755)
        for name in ("pusher", "pusher-coordinator", "pusher-relay"):
            shutil.copy(BIN / name, self.bin / name)
            (self.bin / name).chmod(0o755)
        subprocess.run(["setcap", "cap_net_raw+ep", self.bin / "pusher-relay"], check=True)
        self.state.mkdir()
        for path in (self.state, self.package, self.password):
            os.chown(path, NOBODY, NOBODY)
        self.who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}

    @unittest.skipIf(os.geteuid() != 0, "gives a file a capability and becomes somebody else")
    def test_killed_command_takes_a_relay_with_file_capabilities_along(self):
        self.become_nobody_with_a_relay_that_may_ping()
        process = self.start_push(*MANY)
        self.wait_for_rows(3)
        relay, = self.daemons("relay")
        status = pathlib.Path(f"/proc/{relay}/status").read_text(encoding="ascii")
        self.assertRegex(status, r"CapEff:\s0*2000\b", "not started with its capability: this shows nothing")
        process.kill()
        process.communicate()
        self.wait_until(lambda: not self.daemons(), "daemons gone")

    def test_second_push_takes_over_from_a_killed_first_one(self):
        first = self.start_push(*MANY)
        self.wait_for_rows(2)
        second = self.start_push("-t", "127.0.1.1-127.0.1.10")
        self.wait_until(lambda: self.run_pusher("list").stdout.count("setup.exe") == 2, "both pushes known")
        self.assertEqual(len(self.daemons()), 2)
        first.kill()
        first.communicate()
        report, said = self.finish(second, 4)
        self.assertEqual(report["totals"]["unreachable"], 10)
        self.assertIn("taken over", said)

    def test_two_pushes_at_once_both_finish(self):
        pushes = [self.start_push("-t", f"127.0.{n}.1-127.0.{n}.5") for n in (1, 2, 3)]
        for process in pushes:
            report, _ = self.finish(process, 4)
            self.assertEqual(report["totals"]["unreachable"], 5)
        self.assertEqual(self.daemons(), [])

    def test_daemon_that_cannot_start_is_status_7_with_its_words(self):
        self.push("-t", "127.0.0.1")
        key = self.state / "pusher" / "private" / "coordinator" / "curve.key"
        key.chmod(0o644)
        done = self.push("-t", "127.0.0.1", "-q")
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn("coordinator.log", done.stderr)
        self.assertIn("curve.key", done.stderr)
        self.assertEqual(self.daemons(), [])

    def test_damaged_store_or_journal_is_said_with_its_whole_remedy_and_left_alone(self):
        self.push("-t", "127.0.0.1")
        for path in ("coordinator/store.db", "relay/journal.db"):
            with self.subTest(path=path):
                database = self.state / "pusher" / "private" / path
                good = database.read_bytes()
                database.write_bytes(b"no database")
                done = self.push("-t", "127.0.0.1", "-q")
                self.assertEqual(done.returncode, 7, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertIn(f"{database} is damaged", done.stderr)
                self.assertRegex(done.stderr, "begin with an empty one|open pushes is lost")
                self.assertEqual(database.read_bytes(), b"no database")
                database.write_bytes(good)


if __name__ == "__main__":
    unittest.main(verbosity=2)
