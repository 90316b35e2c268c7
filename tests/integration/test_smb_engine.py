"""The SMB engine against real smbds, each with other settings: dialects, ciphers, signing algorithms; the bytes that
arrive; and one flipped bit in either direction at each place that a signature, a tag or a MIC has to protect."""

import hashlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

INSIDE = "PUSHER_SMB_ENGINE_INSIDE"
PROBE = os.path.join(os.environ.get("PUSHER_BIN", "build/dev/bin"), "smb_probe")
USER, PASSWORD = "pushadmin", "Gehe\u00efm w\u00f6rd 1"
# O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA): owner and protected DACL as the probe sends them, nothing added.
DESCRIPTOR = (
    "01000490140000000000000000000000240000000102000000000005200000002002000002003400020000000003"
    "1400ff011f0001010000000000051200000000031800ff011f0001020000000000052000000020020000")
OTHER, OTHER_PASSWORD = "nobodyadmin", "else"

if os.geteuid() != 0 or not shutil.which("smbd"):
    sys.exit("needs root (namespaces) and smbd")
if INSIDE not in os.environ:
    # Own network, mounts and process ids: whatever happens, nothing is left behind when the first process ends.
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    os.execvpe(command[0], [*command, sys.executable, "-B", *sys.argv], os.environ | {INSIDE: "1"})


class Smbd:
    """One smbd on its own port, with its own directories and one share, C$."""

    def __init__(self, root, name, port, **options):
        self.home, self.port = root / name, port
        self.drive = self.home / "C"
        for sub in ("private", "lock", "state", "cache", "pid", "rpc/np", "C"):
            (self.home / sub).mkdir(parents=True)
        (self.home / "rpc/np").chmod(0o700)
        (self.home / "rpc").chmod(0o755)
        settings = {
            "server role": "standalone server", "workgroup": "PROBEGROUP", "netbios name": "PROBE-1",
            "passdb backend": f"tdbsam:{self.home}/private/passdb.tdb",
            "private dir": f"{self.home}/private", "lock directory": f"{self.home}/lock",
            "state directory": f"{self.home}/state", "cache directory": f"{self.home}/cache",
            "pid directory": f"{self.home}/pid", "ncalrpc dir": f"{self.home}/rpc",
            "log file": f"{self.home}/log", "log level": "1", "smb ports": str(port), "disable netbios": "yes",
            "ntlm auth": "ntlmv2-only", "server min protocol": "SMB2_10", "server signing": "mandatory",
            "load printers": "no", "printing": "bsd", "printcap name": "/dev/null", "disable spoolss": "yes",
            "usershare path": "", "vfs objects": "acl_xattr", "acl_xattr:ignore system acls": "yes",
            "store dos attributes": "yes", "map to guest": "never",
        } | {key.replace("_", " "): value for key, value in options.items()}
        lines = ["[global]", *(f"{key} = {value}" for key, value in settings.items()),
                 "[C$]", f"path = {self.drive}", "read only = no", "force user = root", f"valid users = {USER}"]
        self.conf = self.home / "smb.conf"
        self.conf.write_text("\n".join(lines) + "\n", encoding="utf-8")
        for user, password in ((USER, PASSWORD), (OTHER, OTHER_PASSWORD)):
            subprocess.run(["smbpasswd", "-c", str(self.conf), "-L", "-s", "-a", user], check=True,
                           input=f"{password}\n{password}\n", text=True, capture_output=True)
        self.process = subprocess.Popen(
            ["smbd", "--foreground", "--no-process-group", f"--configfile={self.conf}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)  # on SIGTERM smbd ends its whole process group: not ctest's
        self.wait()

    def wait(self):
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"smbd does not listen: {(self.home / 'log').read_text()[-2000:]}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def set_up_namespace(root):
    """Loopback, and two accounts that exist for this process only."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for name, extra in (("passwd", f"{USER}:x:70001:70001::/:/bin/false\n{OTHER}:x:70002:70002::/:/bin/false\n"),
                        ("group", f"{USER}:x:70001:\n{OTHER}:x:70002:\n")):
        own = root / name
        own.write_text(pathlib.Path("/etc", name).read_text(encoding="utf-8") + extra, encoding="utf-8")
        subprocess.run(["mount", "--bind", str(own), f"/etc/{name}"], check=True)


class Engine(unittest.TestCase):
    SERVERS = {
        "newest": {},
        "ccm": {"server_smb3_encryption_algorithms": "AES-128-CCM"},
        "gcm256": {"server_smb3_encryption_algorithms": "AES-256-GCM"},
        "ccm256": {"server_smb3_encryption_algorithms": "AES-256-CCM"},
        "cmac": {"server_smb3_signing_algorithms": "AES-128-CMAC"},
        "3.0.2": {"server_max_protocol": "SMB3_02"},
        "3.0": {"server_max_protocol": "SMB3_00"},
        "2.1": {"server_max_protocol": "SMB2_10"},
        "plain": {"server_smb_encrypt": "off"},
        "guest": {"map_to_guest": "bad password", "guest_account": OTHER, "server_signing": "auto"},
    }

    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="pusher-smb-", dir="/tmp"))
        cls.root.chmod(0o755)
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        set_up_namespace(cls.root)
        cls.servers = {}
        for index, (name, options) in enumerate(cls.SERVERS.items()):
            cls.servers[name] = Smbd(cls.root, f"s{index}", 4450 + index, **options)
            cls.addClassCleanup(cls.servers[name].stop)

    def probe(self, server, *arguments, user=USER, password=PASSWORD):
        port = self.servers[server].port
        done = subprocess.run(
            [PROBE, "--host", "127.0.0.1", "--port", str(port), "--user", user, "--password", password, *arguments],
            capture_output=True, text=True, timeout=120, check=False)
        self.assertNotIn("Sanitizer", done.stderr)
        self.assertNotIn("runtime error", done.stderr)
        return done.returncode, done.stdout, done.stderr

    def push(self, server, *arguments):
        """A run that has to succeed; returns its lines as a dictionary, the file's bytes checked on the server's disk."""
        code, out, errors = self.probe(server, *arguments)
        self.assertEqual(code, 0, out + errors)
        lines = dict(line.split(" ", 1) if " " in line else (line, "") for line in out.splitlines())
        drive = self.servers[server].drive
        self.assertEqual(hashlib.sha256((drive / "SPDISTRO/p\u00e4ckage.exe").read_bytes()).hexdigest(), lines["sha256"])
        self.assertEqual(os.listdir(drive / "SPDISTRO"), ["p\u00e4ckage.exe"])
        return lines

    def test_newest_encrypts_with_gcm_and_does_everything(self):
        lines = self.push("newest", "--mib", "3", "--pipe", "srvsvc")
        self.assertEqual(lines["logon"], "SMB 3.1.1 encrypted 1 cipher AES-128-GCM signing AES-128-GMAC")
        self.assertEqual(lines["names"].split()[:2], ["PROBE-1", "PROBE-1"])
        now = time.time()
        self.assertLess(abs(int(lines["time"]) / 1e7 - 11644473600 - now), 60)
        self.assertGreater(int(re.search(r"in_flight (\d+)", lines["written"]).group(1)), 4)
        self.assertEqual(lines["size"], str(3 * 1024 * 1024 + 7))
        self.assertEqual(lines["end"], "0xC0000011")
        self.assertEqual(lines["listing"], "ends 0x80000006")
        self.assertEqual(lines["attributes"], "0x1 then 0x80")
        self.assertEqual(lines["descriptor"], DESCRIPTOR)
        self.assertEqual(lines["pipe"], "share 1")
        self.assertTrue(lines["transceive"].startswith("0x80000005 type 12 size 24"), lines["transceive"])
        self.assertTrue(lines["rest"].startswith("0x00000000"), lines["rest"])
        again = self.push("newest", "--mib", "1")
        self.assertEqual(again["folder"], "action 1 directory 1")
        self.push("newest", "--mib", "0", "--repeat", "3")  # nothing is left over from one connection to the next

    def test_each_protection_carries_the_bytes(self):
        gcm, ccm = "encrypted 1 cipher AES-128-GCM", "encrypted 1 cipher AES-128-CCM"
        plain = "encrypted 0 cipher none"
        for server, arguments, expected in (
            ("newest", ["--no-gcm"], f"SMB 3.1.1 {ccm} signing AES-128-GMAC"),
            ("newest", ["--sign-only"], f"SMB 3.1.1 {plain} signing AES-128-GMAC"),
            ("newest", ["--sign-only", "--no-gmac"], f"SMB 3.1.1 {plain} signing AES-128-CMAC"),
            ("newest", ["--max", "302"], f"SMB 3.0.2 {ccm} signing AES-128-CMAC"),
            ("ccm", ["--encrypt"], f"SMB 3.1.1 {ccm} signing AES-128-GMAC"),
            ("gcm256", ["--encrypt"], "SMB 3.1.1 encrypted 1 cipher AES-256-GCM signing AES-128-GMAC"),
            ("ccm256", ["--encrypt"], "SMB 3.1.1 encrypted 1 cipher AES-256-CCM signing AES-128-GMAC"),
            ("ccm256", ["--no-gcm"], "SMB 3.1.1 encrypted 1 cipher AES-256-CCM signing AES-128-GMAC"),
            ("cmac", ["--sign-only"], f"SMB 3.1.1 {plain} signing AES-128-CMAC"),
            ("3.0.2", ["--encrypt"], f"SMB 3.0.2 {ccm} signing AES-128-CMAC"),
            ("3.0.2", ["--sign-only"], f"SMB 3.0.2 {plain} signing AES-128-CMAC"),
            ("3.0", ["--min", "210"], f"SMB 3.0 {ccm} signing AES-128-CMAC"),
            ("2.1", ["--min", "210"], f"SMB 2.1 {plain} signing HMAC-SHA256"),
            ("plain", [], f"SMB 3.1.1 {plain} signing AES-128-GMAC"),
            ("newest", ["--output", "2097152", "--mib", "9"], f"SMB 3.1.1 {gcm} signing AES-128-GMAC"),
        ):
            with self.subTest(server=server, arguments=arguments):
                lines = self.push(server, *([] if "--mib" in arguments else ["--mib", "2"]), *arguments)
                self.assertEqual(lines["logon"], expected)

    def assert_failure(self, result, failure, pattern=""):
        code, out, errors = result
        self.assertEqual(code, 1, out + errors)
        self.assertRegex(out, re.compile(f"^failure {failure} .*{pattern}", re.M))

    def test_policy_is_kept(self):
        self.assert_failure(self.probe("gcm256", "--encrypt", "--no-gcm"), "encryption")
        self.assert_failure(self.probe("plain", "--encrypt"), "encryption")
        self.assert_failure(self.probe("2.1"), "dialect")
        self.assert_failure(self.probe("2.1", "--min", "210", "--encrypt"), "encryption")

    def test_wrong_accounts_are_refused(self):
        self.assert_failure(self.probe("newest", password="wrong"), "logon", "LOGON_FAILURE")
        self.assert_failure(self.probe("newest", user="nobody-here"), "logon", "LOGON_FAILURE")
        self.assert_failure(self.probe("guest", password="wrong"), "logon", "guest")
        code, out, _ = self.probe("newest", user=OTHER, password=OTHER_PASSWORD)
        self.assertEqual((code, out.splitlines()[-1]), (2, "refused 1 ACCESS_DENIED (0xC0000022)"))

    def test_account_forms(self):
        for user in (f".\\{USER}", f"PROBE-1\\{USER}"):
            with self.subTest(user=user):
                code, out, errors = self.probe("newest", user=user)
                self.assertEqual(code, 0, out + errors)

    # Frames, both ways: 0 NEGOTIATE, 1 and 2 SESSION_SETUP, 3 TREE_CONNECT.

    def test_server_bits_flipped_are_refused_by_us(self):
        for server, flip, arguments, failure in (
            ("newest", "2:48", [], "signing"),                          # final SESSION_SETUP: signature
            ("newest", "2:24", [], "protocol"),                         # message id
            ("newest", "2:-1", [], "authentication"),                   # mechListMIC
            ("newest", "0:80", [], "signing"),                          # NEGOTIATE's server GUID: pre-auth hash
            ("newest", "1:-1", [], "(signing|authentication|logon)"),   # NTLM challenge
            ("newest", "3:4", [], "signing"),                           # GCM tag
            ("newest", "3:-1", [], "signing"),                          # GCM ciphertext
            ("ccm", "3:4", [], "signing"),                              # CCM tag
            ("ccm", "3:-1", [], "signing"),                             # CCM ciphertext
            ("gcm256", "3:4", [], "signing"),                           # AES-256-GCM tag
            ("gcm256", "3:-1", [], "signing"),                          # AES-256-GCM ciphertext
            ("ccm256", "3:4", [], "signing"),                           # AES-256-CCM tag
            ("ccm256", "3:-1", [], "signing"),                          # AES-256-CCM ciphertext
            ("newest", "3:48", ["--sign-only"], "signing"),             # GMAC
            ("newest", "3:-1", ["--sign-only"], "signing"),             # a signed byte
            ("newest", "3:16", ["--sign-only"], "(signing|protocol)"),  # flag: response
            ("cmac", "3:48", ["--sign-only"], "signing"),               # CMAC
            ("3.0.2", "3:48", ["--sign-only"], "signing"),              # CMAC
            ("3.0.2", "0:80", ["--sign-only"], "signing"),              # server GUID: found by validation
            ("2.1", "3:48", ["--sign-only", "--min", "210"], "signing"),  # HMAC-SHA256
        ):
            with self.subTest(server=server, flip=flip):
                self.assert_failure(self.probe(server, "--flip-in", flip, *arguments), failure)

    def test_our_bits_flipped_are_refused_by_smbd(self):
        for flip in ("2:-1", "2:mic"):  # mechListMIC, NTLM's MIC
            with self.subTest(flip=flip):
                self.assert_failure(self.probe("newest", "--flip-out", flip), "logon")
        for server, flip, arguments in (
            ("newest", "3:48", []),                   # GMAC
            ("newest", "3:-1", []),                   # a signed byte
            ("cmac", "3:48", []),                     # CMAC
            ("2.1", "3:48", ["--min", "210"]),        # HMAC-SHA256
        ):
            with self.subTest(server=server, flip=flip):
                code, out, _ = self.probe(server, "--sign-only", "--flip-out", flip, *arguments)
                self.assertEqual((code, out.splitlines()[-1]), (2, "refused 1 ACCESS_DENIED (0xC0000022)"))
        for server in ("newest", "ccm", "gcm256", "ccm256"):  # a tag of ours: smbd ends the connection
            with self.subTest(server=server, flip="tag"):
                code, out, _ = self.probe(server, "--flip-out", "3:4")
                self.assertEqual((code, out.splitlines()[-1]), (4, "closed"))

    def test_our_wrong_preauth_hash_is_refused_by_smbd(self):
        code, out, _ = self.probe("newest", "--wrong-preauth")
        self.assertEqual((code, out.splitlines()[-1]), (4, "closed"))
        self.assert_failure(self.probe("newest", "--wrong-preauth", "--sign-only"), "signing", "ACCESS_DENIED")
        self.assert_failure(self.probe("newest", "--flip-out", "0:-1"), "signing")  # ours seen changed by smbd


if __name__ == "__main__":
    unittest.main(verbosity=2)
