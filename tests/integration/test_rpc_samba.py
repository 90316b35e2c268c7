"""The RPC client against Samba's own RPC server (srvsvc): sealing, signing and fragments in both directions as people
who never saw our code understand them."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

INSIDE = "PUSHER_SMB_ENGINE_INSIDE"
PROBE = os.path.join(os.environ.get("PUSHER_BIN", "build/dev/bin"), "tsch_probe")
SHARES = 400

if os.geteuid() != 0 or not shutil.which("smbd"):
    sys.exit("needs root (namespaces) and smbd")
if INSIDE not in os.environ:
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    os.execvpe(command[0], [*command, sys.executable, "-B", *sys.argv], os.environ | {INSIDE: "1"})

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_smb_engine import PASSWORD, USER, Smbd, set_up_namespace  # noqa: E402


class Samba(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="pusher-rpc-", dir="/tmp"))
        cls.root.chmod(0o755)
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        set_up_namespace(cls.root)
        shares = cls.root / "shares.conf"
        shares.write_text("".join(f"[share{i:04}]\npath = /tmp\ncomment = {'long ' * 20}\n" for i in range(SHARES)))
        (cls.root / "password").write_text(PASSWORD + "\n", encoding="utf-8")
        cls.server = Smbd(cls.root, "s0", 445, include=str(shares))
        cls.addClassCleanup(cls.server.stop)

    def probe(self, *options):
        command = [PROBE, "--srvsvc", "--host", "127.0.0.1", "--user", USER, "--password-file", f"{self.root}/password"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, dict(line.split(" ", 1) for line in done.stdout.splitlines()), done.stderr

    def test_long_answer_is_opened_and_joined(self):
        status, said, errors = self.probe()
        self.assertEqual((status, said.get("werror")), (0, "0"), errors)
        self.assertGreaterEqual(int(said["shares"]), SHARES)
        self.assertGreater(int(said["answer-size"]), 80000)
        self.assertGreater(int(said["pipe"].split()[3]), 15)

    def test_long_request_is_understood(self):
        status, said, errors = self.probe("--arguments-size", "20000")
        self.assertEqual((status, said.get("werror")), (0, "0"), errors)
        self.assertGreater(int(said["request-size"]), 40000)
        self.assertGreaterEqual(int(said["pipe"].split()[1]), 10)

    def test_flipped_bit_of_a_request_is_refused(self):
        for offset in (24, 40, -12, -4):
            status, said, _ = self.probe("--flip-out", f"2:{offset}")
            self.assertNotEqual(status, 0)
            self.assertNotIn("shares", said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
