"""The lab's network and its targets' ways to be broken, seen with plain sockets and smbclient; and that nothing of a
lab outlives it."""

import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from labcase import ATEXEC, HERE, SAFE, LabCase, task_xml  # sets the path to the lab's modules

from impacket.dcerpc.v5 import tsch
from impacket.smbconnection import SMBConnection
from lablib import Lab
from standin import checks, net


class Network(LabCase):
    OPTIONS = {
        "targets": 20, "subnets": 2,
        "faults": "default",
    }

    def host(self, fault):
        return next(target["address"] for target in self.lab.targets if target["fault"] == fault)

    def ping(self, address, wait_s=10):
        """The type of the ICMP message that comes back, None for silence."""
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
            sock.settimeout(wait_s)
            head = struct.pack(">BBHHH", 8, 0, 0, 77, 1)
            total = sum(struct.unpack(">4H", head))
            sock.sendto(head[:2] + struct.pack(">H", ~(total + (total >> 16)) & 0xFFFF) + head[4:], (address, 0))
            try:
                return sock.recv(1500)[20]
            except TimeoutError:
                return None

    def connect(self, address, wait_s=10):
        with socket.socket() as sock:
            sock.settimeout(wait_s)
            try:
                sock.connect((address, 445))
                return "open"
            except ConnectionRefusedError:
                return "closed"
            except TimeoutError:
                return "silent"

    def test_network_faults_answer_as_they_should(self):
        healthy = next(target["address"] for target in self.lab.targets if not target["fault"])
        for address, ping, port in (
            (healthy, 0, "open"),
            (self.host("no-ping"), None, "open"),
            (self.host("host-down"), None, "silent"),
            (self.host("port-closed"), 0, "closed"),
            (self.host("port-filtered"), 0, "silent"),
            ("10.50.1.250", None, "silent"),
        ):
            with self.subTest(address=address):
                # patience where an answer is due; silence is only listened to for a moment
                self.assertEqual(self.ping(address, 0.5 if ping is None else 10), ping)
                self.assertEqual(self.connect(address, 0.5 if port == "silent" else 10), port)

    def test_share_and_drive_faults_give_their_status(self):
        for fault, commands, status in (
            ("no-share", "ls", "BAD_NETWORK_NAME"),
            ("read-only", "mkdir SPDISTRO", "ACCESS_DENIED"),
            ("path-is-file", "mkdir SPDISTRO", "OBJECT_NAME_COLLISION"),
            ("disk-full", f"mkdir SPDISTRO; put {__file__} SPDISTRO\\p.exe", "DISK_FULL"),
            ("package-held", f"put {__file__} SPDISTRO\\package.exe", "SHARING_VIOLATION"),
        ):
            with self.subTest(fault=fault):
                done = self.smbclient(self.host(fault), commands)
                self.assertIn(f"NT_STATUS_{status}", done.stdout + done.stderr)

    def test_fault_changes_while_the_lab_runs(self):
        address = next(target["address"] for target in reversed(self.lab.targets) if not target["fault"])
        for fault in ("host-unreachable", "port-closed", "no-share", "disk-full", "package-held", "no-pipe", "frozen",
                      "smb-3.0"):
            with self.subTest(fault=fault):
                target = self.lab.fault(address, fault)
                self.assertEqual(target["fault"], fault)
        self.assertIsNone(self.lab.fault(address, None)["fault"])
        self.assertEqual(self.ping(address), 0)
        done = self.smbclient(address, f"mkdir SPDISTRO; put {__file__} SPDISTRO\\package.exe")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Variants(LabCase):
    OPTIONS = {
        "targets": 20,
        "faults": ",".join((
            "pc-0001=smb-2.1", "pc-0002=smb-3.0.2", "pc-0003=must-encrypt", "pc-0004=smb1-only",
            "pc-0005=other-password", "pc-0006=access-denied", "pc-0007=clock:7200", "pc-0008=wrong-name",
            "pc-0009=frozen", "pc-0010=cut", "pc-0011=stall", "pc-0012=slow:1000000", "pc-0013=long-name",
            "pc-0014=no-name", "pc-0015=name-timeout", "pc-0016=two-addresses", "pc-0017=ipv6-only",
            "pc-0018=ipv4-dead", "pc-0019=package-read-only", "pc-0020=package-running",
        )),
    }

    def negotiate(self, host):
        """(dialect, SystemTime as seconds since 1970) of an SMB2 NEGOTIATE for 2.1 to 3.0.2, None when it is cut."""
        request = b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ", 64, 0, 0, 0, 31, 0, 0, 0, 0, 0, 0) + bytes(16)
        request += struct.pack("<HHHHI", 36, 3, 1, 0, 0) + bytes(24) + struct.pack("<HHH", 0x210, 0x300, 0x302)
        with socket.create_connection((self.lab.address(host), 445), 5) as sock:
            sock.sendall(struct.pack(">I", len(request)) + request)
            answer = sock.recv(4096)[4:]
        if not answer:
            return None
        (stamp,) = struct.unpack_from("<Q", answer, 64 + 40)
        return struct.unpack_from("<H", answer, 64 + 4)[0], stamp / 1e7 - 11644473600

    def test_dialects_are_those_of_the_instance(self):
        self.assertEqual(self.negotiate("pc-0001")[0], 0x210)
        self.assertEqual(self.negotiate("pc-0002")[0], 0x302)
        self.assertIsNone(self.negotiate("pc-0004"))

    def test_clock_is_off_in_negotiate_and_scheduler(self):
        self.assertAlmostEqual(self.negotiate("pc-0007")[1] - time.time(), 7200, delta=60)
        self.assertAlmostEqual(self.negotiate("pc-0001")[1] - time.time(), 0, delta=60)
        dce = self.rpc("pc-0007")
        tsch.hSchRpcRegisterTask(dce, "\\now", task_xml(start=7201), tsch.TASK_CREATE, SAFE, 5)
        deadline = time.monotonic() + 20
        while not self.lab.wait_for_runs(1, 0) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(tsch.hSchRpcGetLastRunInfo(dce, "\\now")["pLastReturnCode"], 0x80070002)

    def test_accounts_and_shares_differ_per_target(self):
        for host, status in (("pc-0005", "LOGON_FAILURE"), ("pc-0006", "ACCESS_DENIED")):
            done = self.smbclient(host, "ls")
            self.assertIn(f"NT_STATUS_{status}", done.stdout + done.stderr)
        self.assertEqual(self.smbclient("pc-0003", "ls").returncode, 0)

    def test_bad_lines_cut_stall_and_slow(self):
        with socket.create_connection((self.lab.address("pc-0009"), 445), 5) as sock:
            sock.sendall(bytes(100))
            sock.settimeout(0.5)
            with self.assertRaises(TimeoutError):
                sock.recv(1)
        with tempfile.NamedTemporaryFile() as package:
            package.write(os.urandom(200_000))
            package.flush()
            cut = self.smbclient("pc-0010", f"mkdir SPDISTRO; put {package.name} SPDISTRO\\p.exe")
            self.assertRegex(cut.stdout + cut.stderr, "NT_STATUS_CONNECTION_(RESET|DISCONNECTED)")
            self.assertTrue(os.path.isdir(f"{self.lab.drive('pc-0010')}/SPDISTRO"))
            slow = self.smbclient("pc-0012", f"mkdir SPDISTRO; put {package.name} SPDISTRO\\p.exe")
            self.assertEqual(slow.returncode, 0, slow.stdout + slow.stderr)
            self.assertEqual(checks.sha256(f"{self.lab.drive('pc-0012')}/SPDISTRO/p.exe"), checks.sha256(package.name))
            with self.assertRaises(subprocess.TimeoutExpired):
                self.lab.run(
                    ["smbclient", "//pc-0011/C$", "-U", f"{self.user}%{self.password}", "-c",
                     f"mkdir SPDISTRO; put {package.name} SPDISTRO\\p.exe"], timeout=2,
                )

    def test_long_name_is_cut_in_netbios_and_whole_in_dns(self):
        name = "workstation-of-pc-0013"
        connection = SMBConnection(self.lab.address(name), self.lab.address(name))
        connection.login(self.user, self.password)
        self.assertEqual(connection.getServerName(), "WORKSTATION-OF-")
        self.assertEqual(connection.getServerDNSHostName(), f"{name}.lab.test")
        connection.getSMBServer().close_session()
        self.assertIn(self.lab.address(name), self.lab.run(["getent", "hosts", name]).stdout)

    def test_ipv6_address_leads_to_the_same_machine(self):
        for host in ("pc-0017", "pc-0018"):
            with self.subTest(host=host):
                six = net.address6(self.lab.address(host))
                self.assertIn(six, self.lab.run(["getent", "ahostsv6", host]).stdout)
                self.assertEqual(self.smbclient(six, f"put {__file__} six.txt").returncode, 0)
                self.assertTrue(os.path.exists(f"{self.lab.drive(host)}/six.txt"))
        done = self.lab.run(
            ["/usr/bin/python3", ATEXEC, f"{self.user}:{self.password}@pc-0017", "hostname"], timeout=60
        )
        self.assertIn("PC-0017", done.stdout, done.stdout + done.stderr)

    def test_packages_may_be_read_only_or_running(self):
        listed = self.smbclient("pc-0019", "ls SPDISTRO\\*").stdout
        self.assertRegex(listed, r"package\.exe +\w*R")
        for host, status in (("pc-0019", "ACCESS_DENIED"), ("pc-0020", "SHARING_VIOLATION")):
            done = self.smbclient(host, f"put {__file__} SPDISTRO\\package.exe")
            self.assertIn(f"NT_STATUS_{status}", done.stdout + done.stderr)

    def test_names_may_be_missing_silent_or_double(self):
        def resolve(host):
            return self.lab.run(["getent", "ahostsv4", host], timeout=60)

        self.assertEqual(resolve("pc-0014").returncode, 2)
        self.assertEqual({line.split()[0] for line in resolve("pc-0016").stdout.splitlines()},
                         {self.lab.address("pc-0016"), "10.50.255.250"})
        with self.assertRaises(subprocess.TimeoutExpired):
            self.lab.run(["getent", "ahostsv4", "pc-0015"], timeout=2)
        self.lab.fault("pc-0015", None)
        self.assertIn(self.lab.address("pc-0015"), resolve("pc-0015").stdout)

    def test_other_machine_says_another_name(self):
        connection = SMBConnection(self.lab.address("pc-0008"), self.lab.address("pc-0008"))
        connection.login(self.user, self.password)
        self.assertEqual(connection.getServerName(), "OTHER-PC")
        connection.getSMBServer().close_session()


class Rewritten(LabCase):
    """A client that nobody here wrote refuses what is tampered with, and gets on with servers that are merely strange."""

    REFUSED = (
        "unsigned", "unsigned-2.1", "bit-flipped", "bit-flipped-2.1", "bit-flipped-3.0.2", "signing-off-3.0.2", "downgraded",
        "other-dialect", "encryption-off-3.0.2", "session-flags-off", "null-session", "nonsense", "clock-refused", "ntlm-blocked",
        "account-locked", "account-disabled", "account-expired", "password-must-change",
    )
    SERVED = ("interim", "one-credit", "must-sign", "must-encrypt", "smb-2.1", "smb-3.1.1", "other-bytes", "hung-up")
    OPTIONS = {"targets": len(REFUSED + SERVED) + 2, "faults": ",".join((*REFUSED, *SERVED, "infected"))}

    def put(self, fault):
        address = next(target["address"] for target in self.lab.targets if target["fault"] == fault)
        with tempfile.NamedTemporaryFile() as package:
            package.write(b"MZ" + os.urandom(200_000))
            package.flush()
            return address, self.lab.run(
                ["smbclient", f"//{address}/C$", "-U", f"{self.user}%{self.password}", "--client-protection=sign", "-c",
                 f"put {package.name} p.exe"], timeout=60,
            )

    def test_tampering_is_refused(self):
        for fault in self.REFUSED:
            with self.subTest(fault=fault):
                address, done = self.put(fault)
                self.assertNotEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertFalse(os.path.exists(f"{self.lab.drive(address)}/p.exe"))

    def test_strange_servers_are_used(self):
        for fault in self.SERVED:
            with self.subTest(fault=fault):
                address, done = self.put(fault)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertEqual(os.path.getsize(f"{self.lab.drive(address)}/p.exe"), 200_002)

    def test_statuses_of_accounts_and_scanners_are_given(self):
        for fault, status in (
            ("account-locked", "ACCOUNT_LOCKED_OUT"), ("account-disabled", "ACCOUNT_DISABLED"),
            ("account-expired", "ACCOUNT_EXPIRED"), ("password-must-change", "PASSWORD_MUST_CHANGE"),
            ("ntlm-blocked", "NTLM_BLOCKED"), ("clock-refused", "TIME_DIFFERENCE_AT_DC"), ("infected", "VIRUS_INFECTED"),
        ):
            with self.subTest(fault=fault):
                _, done = self.put(fault)
                self.assertIn(f"NT_STATUS_{status}", done.stdout + done.stderr)


class Life(unittest.TestCase):
    """Nothing of a lab outlives it."""

    def processes(self, directory):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if directory.encode() in file.read():
                        found.append(int(pid))
            except OSError:
                continue
        return found

    def gone(self, directory):
        for _ in range(100):
            if not self.processes(directory):
                return True
            time.sleep(0.05)
        return False

    def test_lab_dies_with_the_process_that_made_it(self):
        with tempfile.TemporaryDirectory(prefix="lab-") as folder:
            program = (
                f"import sys, time; sys.path.insert(0, {os.path.join(HERE, '..', 'lab')!r})\n"
                f"from lablib import Lab\nwith Lab({folder + '/x'!r}, targets=2) as lab:\n"
                "    print('up', flush=True); time.sleep(600)\n"
            )
            maker = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
            self.assertEqual(maker.stdout.readline(), "up\n")
            self.assertGreater(len(self.processes(folder + "/x")), 2)
            maker.send_signal(signal.SIGKILL)
            maker.wait()
            maker.stdout.close()
            self.assertTrue(self.gone(folder + "/x"))
            Lab(folder + "/x").down()

    def test_down_ends_all_and_may_be_repeated(self):
        with tempfile.TemporaryDirectory(prefix="lab-") as folder:
            tool = os.path.join(HERE, "..", "lab", "lab")
            directory = folder + "/y"
            up = subprocess.run([tool, "up", "--dir", directory, "--targets", "2"], capture_output=True, text=True)
            self.assertEqual(up.returncode, 0, up.stderr)
            again = subprocess.run([tool, "up", "--dir", directory], capture_output=True, text=True)
            self.assertEqual(again.returncode, 1)
            self.assertRegex(again.stderr, "already")
            inside = subprocess.Popen(
                [tool, "run", "--dir", directory, "--", "sh", "-c", "echo in; exec sleep 600"],
                stdout=subprocess.PIPE, text=True,
            )
            self.assertEqual(inside.stdout.readline(), "in\n")
            for _ in range(2):
                down = subprocess.run([tool, "down", "--dir", directory], capture_output=True, text=True)
                self.assertEqual(down.returncode, 0, down.stderr)
            self.assertTrue(self.gone(directory))
            inside.wait(timeout=10)
            inside.stdout.close()
            self.assertFalse(os.path.exists(f"{directory}/lab.json"))

    def test_down_after_a_crash_ends_what_ran_inside_and_nothing_else(self):
        lab, other = Lab(targets=1), Lab(targets=1)
        with other:
            lab.up()
            mine, theirs = (one.popen(["sleep", "600"]) for one in (lab, other))
            os.kill(lab.data["processes"]["supervisor"]["pid"], signal.SIGKILL)
            lab._process.wait()
            self.assertIsNone(mine.poll())
            lab.down()
            self.assertEqual(mine.wait(timeout=10), -signal.SIGKILL)
            self.assertIsNone(theirs.poll())
        self.assertEqual(theirs.wait(timeout=10), -signal.SIGKILL)

    def test_supervisor_killed_leaves_no_process(self):
        lab = Lab(targets=2)
        lab.up()
        os.kill(lab.data["processes"]["supervisor"]["pid"], signal.SIGKILL)
        lab._process.wait()
        try:
            self.assertTrue(self.gone(lab.directory))
        finally:
            lab.down()


if __name__ == "__main__":
    unittest.main()
