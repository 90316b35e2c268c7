#!/usr/bin/python3
"""`pusher site` against a real coordinator, which asks a DNS server of the test: where targets would go, and why.

Needs no privileges: everything is on the loopback interface and in a temporary folder. $PUSHER_BIN names the programs' folder.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from reasons import saw, table

BIN = pathlib.Path(os.environ.get("PUSHER_BIN", pathlib.Path(__file__).resolve().parents[2] / "build" / "dev" / "bin"))
WAIT_S = 120

A, AAAA = 1, 28


class NameServer(threading.Thread):
    """A DNS server on a UDP port of its own: the addresses it was given, NXDOMAIN for all else, silence for `silent` names."""

    def __init__(self, names, silent=()):
        super().__init__(daemon=True)
        self.names, self.silent = {name.lower(): addresses for name, addresses in names.items()}, set(silent)
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.start()

    def run(self):
        while True:
            try:
                question, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            if not question:
                return
            answer = self.answer(question)
            if answer is not None:
                self.socket.sendto(answer, peer)

    def answer(self, question):
        """RFC 1035 4.1: the same question, with its answers."""
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode("ascii"))
            at += 1 + question[at]
        kind = struct.unpack_from(">H", question, at + 1)[0]
        name = ".".join(labels).lower()
        self.asked.append(name)
        if name in self.silent:
            return None
        records = []
        for address in self.names.get(name, ()):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            if kind == (AAAA if family == socket.AF_INET6 else A):
                data = socket.inet_pton(family, address)
                records.append(struct.pack(">HHHIH", 0xC00C, kind, 1, 60, len(data)) + data)
        flags = 0x8180 if name in self.names else 0x8183
        return question[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + question[12 : at + 5] + b"".join(records)

    def stop(self):
        self.socket.sendto(b"", self.socket.getsockname())
        self.join(WAIT_S)
        self.socket.close()


class Coordinator:
    """pusher-coordinator with sites, in a folder of its own."""

    def __init__(self, folder, dns):
        self.folder, self.dns = folder, dns
        self.control = f"ipc://{folder}/control.sock"
        self.process = None
        subprocess.run([BIN / "pusher-coordinator", "init", "--state", f"{folder}/state"], check=True, timeout=WAIT_S)
        self.start()

    def start(self):
        with open(f"{self.folder}/coordinator.log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [BIN / "pusher-coordinator", "run", "--state", f"{self.folder}/state", "--control", self.control]
                + ["--relays", f"ipc://{self.folder}/relay.sock", "--packages", f"ipc://{self.folder}/package.sock"]
                + ["--dns", self.dns],
                stderr=log,
            )
        end = time.monotonic() + WAIT_S
        while self.pusher("site", "list").returncode != 0:
            assert self.process.poll() is None and time.monotonic() < end, self.log()
            time.sleep(0.05)

    def log(self):
        return pathlib.Path(self.folder, "coordinator.log").read_text(encoding="utf-8")

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(WAIT_S)

    def pusher(self, *words, stdin=None):
        return subprocess.run(
            [BIN / "pusher", *words],
            env={**os.environ, "PUSHER_COORDINATOR": self.control, "XDG_STATE_HOME": self.folder, "HOME": self.folder},
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )


NAMES = {
    "a.corp.test": ["10.1.0.1"],
    "b.corp.test": ["10.2.0.1", "2001:db8:2::1"],
    "both.corp.test": ["10.1.0.9", "10.1.7.9"],
    "outside.corp.test": ["10.9.0.1"],
    "lyo-far.corp.test": ["10.9.0.2"],
    "six.corp.test": ["2001:db8:2::7"],
}


# Names that keep a push in state routing: a server that is silent about all of them is given up 40 names every 250 ms, and then
# each after 6 s. That leaves more than 20 s for what is done meanwhile.
MUTE = [f"mute-{number}.corp.test" for number in range(3000)]


class SitesCase(unittest.TestCase):
    """A coordinator and a name server for each test."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pusher-sites-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.names = NameServer(NAMES, silent={"mute.corp.test", *MUTE})
        self.addCleanup(self.names.stop)
        self.coordinator = Coordinator(self.folder, self.names.endpoint)
        self.addCleanup(self.coordinator.stop)

    def site(self, *words, status=0, stdin=None):
        """Runs `pusher site`; returns standard output, or standard error when it has to fail."""
        ran = self.coordinator.pusher("site", *words, stdin=stdin)
        self.assertEqual(ran.returncode, status, f"{words}: {ran.stdout}{ran.stderr}{self.coordinator.log()}")
        return ran.stderr if status not in (0, 3) else ran.stdout

    def describe(self):
        self.site("add", "lyon", "--subnet", "10.1.0.0/16", "--name", "lyo-*", "--wan-rate", "500K")
        self.site("add", "nice", "--subnet=10.2.0.0/16", "--subnet=10.1.7.0/24", "--subnet=2001:db8:2::/48")

    def routes(self, *targets, status=0, stdin=None):
        """{target: (site, by, match, reason)}"""
        rows = json.loads(self.site("which", *targets, "-o", "json", status=status, stdin=stdin))["routes"]
        return {row["target"]: (row["site"], row["by"], row["match"], row["reason"]) for row in rows}


class Sites(SitesCase):
    """Sites come, change and go."""

    def test_described_sites_are_listed_and_survive_a_kill(self):
        self.describe()
        before = json.loads(self.site("list", "-o", "json"))["sites"]
        self.coordinator.stop(signal.SIGKILL)
        self.coordinator.start()
        self.assertEqual(json.loads(self.site("list", "-o", "json"))["sites"], before)
        lyon, nice = before
        self.assertEqual((lyon["site"], lyon["subnets"], lyon["patterns"]), ("lyon", ["10.1.0.0/16"], ["lyo-*"]))
        self.assertEqual((lyon["wan_rate"], lyon["default"], lyon["relays"], lyon["live"]), (512000, False, 0, 0))
        self.assertEqual(nice["subnets"], ["10.1.7.0/24", "10.2.0.0/16", "2001:db8:2::/48"])
        table = self.site("list")
        self.assertIn("10.1.7.0/24 10.2.0.0/16 2001:db8:2::/48", table)
        self.assertIn("0/0", table)

    def test_set_replaces_what_is_given_and_leaves_the_rest(self):
        self.describe()
        self.site("set", "lyon", "--subnet", "10.3.0.0/16", "--default")
        lyon = json.loads(self.site("list", "-o", "json"))["sites"][0]
        self.assertEqual((lyon["subnets"], lyon["patterns"]), (["10.3.0.0/16"], ["lyo-*"]))
        self.assertEqual((lyon["wan_rate"], lyon["default"]), (512000, True))
        self.site("set", "lyon", "--name", "none", "--wan-rate", "none", "--no-default")
        lyon = json.loads(self.site("list", "-o", "json"))["sites"][0]
        self.assertEqual((lyon["subnets"], lyon["patterns"]), (["10.3.0.0/16"], []))
        self.assertEqual((lyon["wan_rate"], lyon["default"]), (0, False))
        self.assertIn("no site oslo", self.site("set", "oslo", "--default", status=2))

    def test_removed_site_takes_nothing_any_more(self):
        self.describe()
        self.site("rm", "nice")
        self.assertEqual(self.routes("10.1.7.9"), {"10.1.7.9": ("lyon", "subnet", "10.1.0.0/16", None)})
        self.assertIn("no site nice", self.site("rm", "nice", status=2))

    def test_what_cannot_be_is_refused(self):
        self.describe()
        for words, said in (
            (("add", "lyon"), "there is a site lyon already"),
            (("add", "oslo", "--subnet", "10.2.0.0/16"), "10.2.0.0/16 belongs to site nice"),
            (("add", "oslo", "--subnet", "10.2.0.1/16"), "10.2.0.0/16 is meant?"),
            (("add", "oslo", "--subnet", "10.2.0.0/33"), "the prefix must be 0 to 32"),
            (("add", "oslo", "--subnet", "house"), "not an address or subnet"),
            (("add", "oslo", "--name", "a b"), "not a pattern of host names"),
            (("add", "oslo", "--name", ""), "not a pattern of host names"),
            (("add", "oslo", "--wan-rate", "fast"), "bytes per second"),
            (("add", "oslo", "--wan-rate", "0"), "bytes per second"),
            (("add", "a/b"), "site"),
            (("add", "-"), "site"),
            (("add", "x" * 64), "1 to 63 characters"),
            (("add",), "usage: pusher site add"),
            (("add", "oslo", "bergen"), "one word too many"),
            (("which",), "usage: pusher site which"),
            (("which", "bad name"), "bad name"),
            (("lint", "-o", "csv"), "not for this command"),
            (("shake",), "unknown command 'site shake'"),
            (("list", "--subnet", "10.0.0.0/8"), "unknown option"),
        ):
            with self.subTest(words=words):
                self.assertIn(said, self.site(*words, status=2))
        self.site("set", "lyon", "--default")
        self.assertIn("the default site is lyon", self.site("add", "oslo", "--default", status=2))
        self.assertEqual([site["site"] for site in json.loads(self.site("list", "-o", "json"))["sites"]], ["lyon", "nice"])

    def test_private_mode_has_no_sites(self):
        ran = subprocess.run(
            [BIN / "pusher", "site", "list"],
            env={"PATH": os.environ["PATH"], "HOME": self.folder, "XDG_STATE_HOME": self.folder},
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        self.assertEqual(ran.returncode, 2)
        self.assertIn("PUSHER_COORDINATOR", ran.stderr)


class Routes(SitesCase):
    """Where targets would go."""

    def test_addresses_and_names_go_by_longest_prefix_then_pattern(self):
        self.describe()
        self.assertEqual(
            self.routes(
                *("10.1.0.1", "10.1.7.9", "a.corp.test", "b.corp.test", "both.corp.test", "six.corp.test"),
                *("lyo-far.corp.test", "LYO-unknown"),
            ),
            {
                "10.1.0.1": ("lyon", "subnet", "10.1.0.0/16", None),
                "10.1.7.9": ("nice", "subnet", "10.1.7.0/24", None),
                "a.corp.test": ("lyon", "subnet", "10.1.0.0/16", None),
                "b.corp.test": ("nice", "subnet", "10.2.0.0/16", None),
                "both.corp.test": ("nice", "subnet", "10.1.7.0/24", None),
                "six.corp.test": ("nice", "subnet", "2001:db8:2::/48", None),
                "lyo-far.corp.test": ("lyon", "pattern", "lyo-*", None),
                "LYO-unknown": ("lyon", "pattern", "lyo-*", None),
            },
        )

    def test_what_belongs_nowhere_says_why(self):
        self.describe()
        self.assertEqual(
            self.routes("10.9.0.1", "outside.corp.test", "unknown.corp.test", "mute.corp.test", status=3),
            {
                "10.9.0.1": (None, "nowhere", None, None),
                "outside.corp.test": (None, "nowhere", None, None),
                "unknown.corp.test": (None, "unresolved", None, "NXDOMAIN"),
                "mute.corp.test": (None, "unresolved", None, "DNS_TIMEOUT"),
            },
        )
        table = self.site("which", "10.9.0.1", "unknown.corp.test", status=3)
        self.assertIn("NOT_IN_ANY_SITE", table)
        self.assertIn("NXDOMAIN", table)

    def test_default_site_takes_the_rest(self):
        self.describe()
        self.site("add", "rest", "--default")
        self.assertEqual(
            self.routes("10.9.0.1", "unknown.corp.test"),
            {"10.9.0.1": ("rest", "default", None, None), "unknown.corp.test": ("rest", "default", None, None)},
        )

    def test_nobody_asks_for_a_name_whose_address_decides_nothing(self):
        self.site("add", "lyon", "--name", "*.corp.test")
        self.assertEqual(self.routes("a.corp.test"), {"a.corp.test": ("lyon", "pattern", "*.corp.test", None)})
        self.assertEqual(self.names.asked, [])

    def test_thousand_names_are_looked_up(self):
        self.describe()
        self.names.names.update({f"pc-{i}.corp.test": [f"10.{1 + i % 2}.1.{i % 250}"] for i in range(1000)})
        routes = self.routes("-", stdin="".join(f"pc-{i}.corp.test\n" for i in range(1000)))
        self.assertEqual(len(routes), 1000)
        self.assertEqual({site for site, *_ in routes.values()}, {"lyon", "nice"})
        self.assertEqual(routes["pc-7.corp.test"][0], "nice")


class Lint(SitesCase):
    """What is odd about the sites."""

    def test_nothing_described_is_nothing_odd(self):
        self.assertEqual(self.site("lint"), "")

    def test_site_without_relay_and_nested_subnet_are_told(self):
        self.describe()
        said = self.site("lint", status=3)
        self.assertIn("error: site lyon has no relay", said)
        self.assertIn("remark: 10.1.7.0/24 of site nice lies in 10.1.0.0/16 of site lyon", said)

    def test_unmapped_targets_are_told(self):
        self.describe()
        said = self.site("lint", "-t", "10.9.0.0/30", "-t", "a.corp.test", "-t", "unknown.corp.test", status=3)
        self.assertIn("error: target 10.9.0.1: NOT_IN_ANY_SITE", said)
        self.assertIn("error: target 10.9.0.2: NOT_IN_ANY_SITE", said)
        self.assertIn("error: target unknown.corp.test: NXDOMAIN", said)
        self.assertNotIn("a.corp.test:", said.replace("unknown", ""))
        found = json.loads(self.site("lint", "-t", "10.9.0.1", "-o", "json", status=3))
        self.assertEqual([row["target"] for row in found["unmapped"]], ["10.9.0.1"])
        self.assertIn("no_relay", [row["kind"] for row in found["findings"]])
        self.assertFalse(found["more"])


class Pushes(SitesCase):
    """What becomes of the targets of a push. Each site has a relay that is approved and doesn't run, so rows wait there."""

    def setUp(self):
        super().setUp()
        self.describe()
        self.write("passphrase", "open sesame\n")
        self.write("password", "secret\n")
        self.write("setup.exe", "MZ")
        self.sign("key", "new")
        self.sign("policy", "init", "--coordinator-key", f"{self.folder}/state/curve.pub")
        for site in ("lyon", "nice"):
            self.enrol(site)

    def write(self, name, text):
        path = pathlib.Path(self.folder, name)
        path.write_text(text, encoding="ascii")
        path.chmod(0o600)

    def run_ok(self, *words):
        ran = self.coordinator.pusher(*words)
        self.assertEqual(ran.returncode, 0, f"{words}: {ran.stdout}{ran.stderr}{self.coordinator.log()}")
        return ran.stdout

    def sign(self, *words):
        """A command that an operator's key is needed for."""
        return self.run_ok(*words, "--key", f"{self.folder}/operator.key", "--passphrase-file", f"{self.folder}/passphrase")

    def enrol(self, site):
        self.write("token", self.run_ok("relay", "token", site))
        enrolled = subprocess.run(
            [BIN / "pusher-relay", "enroll", "--state", f"{self.folder}/relay-{site}", "--name", f"{site}-1"]
            + ["--coordinator", f"ipc://{self.folder}/relay.sock", "--packages", f"ipc://{self.folder}/package.sock"]
            + ["--token-file", f"{self.folder}/token"],
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        said = enrolled.stdout + enrolled.stderr
        self.assertEqual(enrolled.returncode, 0, said)
        fingerprint = re.search(r"[0-9a-f]{4}( [0-9a-f]{4}){3,}", said)
        self.assertIsNotNone(fingerprint, said)
        self.sign("relay", "approve", f"{site}-1", "--fingerprint", fingerprint[0])

    def push(self, *targets, words=()):
        """Commits a push and leaves it to the coordinator; returns its id."""
        push = os.urandom(16).hex()
        named = [word for target in targets for word in ("-t", target)]
        self.sign("push", f"{self.folder}/setup.exe", *named, "--user", ".\\admin", "--password-file", f"{self.folder}/password",
                  "--push-id", push, "--detach", "-y", *words)  # fmt: skip
        return push

    def state(self, push):
        return json.loads(self.run_ok("status", push, "-o", "json"))["push"]["state"]

    def wait_state(self, push, state):
        end = time.monotonic() + WAIT_S
        while self.state(push) != state:
            self.assertLess(time.monotonic(), end, f"{self.state(push)}, not {state}: {self.coordinator.log()}")
            time.sleep(0.05)

    def push_mute(self, *targets):
        """A push whose routing goes on for a while."""
        self.write("mute", "".join(f"{name}\n" for name in MUTE))
        push = self.push(*targets, f"@{self.folder}/mute")
        self.assertEqual(self.state(push), "routing")
        return push

    def rows(self, push):
        """{target: (site, state, reason)}; every row's state is its reason's, and no relay has any of them."""
        ran = self.coordinator.pusher("report", push, "-o", "json")
        found = {}
        for row in json.loads(ran.stdout)["targets"]:
            found[row["target"]] = (row["site"], row["state"], row["reason"])
            self.assertIsNone(row["relay"])
            if row["reason"] is not None:
                self.assertEqual(row["state"], table()[row["reason"]]["state"])
                self.assertEqual(row["stage"], "resolve" if row["reason"] in ("NXDOMAIN", "DNS_TIMEOUT") else None)
        return found

    def assert_rows(self, push, expected):
        self.assertEqual(self.rows(push), expected, self.coordinator.log())
        for _, _, reason in expected.values():
            if reason is not None:
                saw(reason)

    EVERYWHERE = {
        "10.1.0.1": ("lyon", "queued", None),
        "10.9.0.1": (None, "never_attempted", "NOT_IN_ANY_SITE"),
        "a.corp.test": ("lyon", "queued", None),
        "b.corp.test": ("nice", "queued", None),
        "both.corp.test": ("nice", "queued", None),
        "outside.corp.test": (None, "never_attempted", "NOT_IN_ANY_SITE"),
        "lyo-unknown": ("lyon", "queued", None),
        "unknown.corp.test": (None, "failed", "NXDOMAIN"),
    }

    def test_targets_go_to_their_sites_or_say_why_not(self):
        push = self.push(*self.EVERYWHERE)
        self.wait_state(push, "open")
        self.assert_rows(push, self.EVERYWHERE)

    def test_site_that_is_named_takes_all_and_nobody_asks(self):
        push = self.push("10.9.0.1", "unknown.corp.test", words=("--site", "nice"))
        self.wait_state(push, "open")
        self.assert_rows(push, {name: ("nice", "queued", None) for name in ("10.9.0.1", "unknown.corp.test")})
        self.assertEqual(self.names.asked, [])

    def test_kill_while_names_are_looked_up_loses_nothing(self):
        push = self.push_mute(*self.EVERYWHERE)
        self.coordinator.stop(signal.SIGKILL)
        self.names.silent.clear()
        self.names.names.update({name: ["10.1.3.3"] for name in MUTE})
        self.coordinator.start()
        self.wait_state(push, "open")
        self.assert_rows(push, {**self.EVERYWHERE, **{name: ("lyon", "queued", None) for name in MUTE}})

    def test_silent_name_server_ends_its_names_alone(self):
        push = self.push("a.corp.test", "mute.corp.test")
        self.wait_state(push, "open")
        self.assert_rows(push, {"a.corp.test": ("lyon", "queued", None), "mute.corp.test": (None, "unreachable", "DNS_TIMEOUT")})

    def test_cancel_while_names_are_looked_up_ends_every_row(self):
        push = self.push_mute("10.1.0.1")
        self.coordinator.pusher("cancel", push)
        self.wait_state(push, "closed")
        self.assertEqual({state for _, state, _ in self.rows(push).values()}, {"cancelled"})

    def test_pause_while_names_are_looked_up_holds(self):
        push = self.push_mute("10.1.0.1")
        self.run_ok("pause", push)
        self.assertEqual(self.state(push), "stopped")
        self.coordinator.stop(signal.SIGKILL)
        self.names.silent.clear()
        self.coordinator.start()
        self.assertEqual(self.state(push), "stopped")
        self.sign("resume", push, "--detach", "--user", ".\\admin", "--password-file", f"{self.folder}/password")
        self.wait_state(push, "open")
        self.assert_rows(push, {"10.1.0.1": ("lyon", "queued", None), **{name: (None, "failed", "NXDOMAIN") for name in MUTE}})

    def test_never_touched_names_and_addresses_end_before_any_relay(self):
        self.sign("never-touch", "add", "a.corp.test", "10.2.0.0/24")
        push = self.push("a.corp.test", "b.corp.test", "10.1.0.1")
        self.wait_state(push, "open")
        self.assert_rows(
            push,
            {
                "a.corp.test": (None, "never_attempted", "NEVER_TOUCH"),
                "b.corp.test": (None, "never_attempted", "NEVER_TOUCH"),
                "10.1.0.1": ("lyon", "queued", None),
            },
        )

    def test_sites_that_are_needed_stay(self):
        self.assertIn("site lyon has 1 relays", self.site("rm", "lyon", status=2))
        push = self.push("10.1.0.1")
        self.wait_state(push, "open")
        self.coordinator.pusher("relay", "revoke", "lyon-1", "-y")
        self.assertIn("open pushes have targets in site lyon", self.site("rm", "lyon", status=2))
        self.coordinator.pusher("cancel", push)
        self.wait_state(push, "closed")
        self.site("rm", "lyon")

    def test_change_of_sites_is_for_later_pushes(self):
        push = self.push_mute("10.1.0.1")
        self.site("set", "lyon", "--subnet", "10.3.0.0/16")
        self.wait_state(push, "open")
        self.assertEqual(self.rows(push)["10.1.0.1"], ("lyon", "queued", None))
        later = self.push("10.1.0.1", "10.3.0.1")
        self.wait_state(later, "open")
        self.assertEqual(self.rows(later)["10.1.0.1"], (None, "never_attempted", "NOT_IN_ANY_SITE"))

    def test_many_addresses_are_split_while_others_are_served(self):
        push = self.push("10.1.0.0/18", "10.2.0.0/18", "10.9.0.0/28")
        self.wait_state(push, "open")
        status = json.loads(self.run_ok("status", push, "-o", "json"))["totals"]
        self.assertEqual(status["submitted"], 2 * (2**14 - 2) + 14)
        self.assertEqual(status["never_attempted"], 14)


if __name__ == "__main__":
    unittest.main(verbosity=2)
