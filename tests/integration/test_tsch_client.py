"""The RPC client and the scheduler's stubs over a real smbd: every call with one task, fragments both ways, refusals, and
one flipped bit at each place that a MAC has to protect, in either direction."""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lab"))

from lablib import Lab  # noqa: E402

if os.geteuid() != 0:
    sys.exit("needs root for network namespaces")

PROBE = os.path.join(os.environ.get("PUSHER_BIN", "build/dev/bin"), "tsch_probe")
DENIED, PROTOCOL = "4", "6"  # enum err_code
FAULTS = {
    "pc-0002": "small-fragments:200",
    "pc-0003": "rpc-fault:0x1c010003",
    "pc-0004": "scheduler-error:0x80041315",
    "pc-0005": "folder-conflict",
}


class Client(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(targets=6, faults=",".join(f"{host}={fault}" for host, fault in FAULTS.items()))
        cls.enterClassContext(cls.lab)
        cls.enterClassContext(cls.lab.network())

    def probe(self, *options, host="pc-0001"):
        """(exit status, {key: rest of the line}, lines in order)"""
        command = [PROBE, "--host", self.lab.address(host), "--user", self.lab.data["account"],
                   "--password-file", f"{self.lab.directory}/password", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.stderr, "")
        lines = [line.partition(" ")[::2] for line in done.stdout.splitlines()]
        return done.returncode, dict(lines), lines

    def check_scenario(self, status, said, lines):
        self.assertEqual(status, 0, lines)
        self.assertEqual(said["version"], "0x00010006")
        self.assertEqual(said["folder-security-safe"].strip(), "1")
        retrieved = [rest for key, rest in lines if key == "retrieve"]
        self.assertEqual(retrieved, ["0x80070002 ERROR_FILE_NOT_FOUND", "0x00000000 S_OK", "0x80070002 ERROR_FILE_NOT_FOUND"])
        self.assertEqual(said["validate"], "0x00000000 S_OK")
        self.assertEqual(said["register"], "0x00000000 S_OK")
        self.assertRegex(said["register-path"], r"^\\Pusher\\[0-9a-f]{32}-1$")
        self.assertEqual(said["again"], "0x800700b7 ERROR_ALREADY_EXISTS")
        self.assertEqual(said["ours"].strip(), "1")
        self.assertEqual(said["task-security-safe"].strip(), "1")
        self.assertEqual(said["info-state"], "enabled 1 state 3")
        self.assertEqual(said["last-run"], "0x00041303 SCHED_S_TASK_HAS_NOT_RUN")
        self.assertEqual(said["disabled-state"], "enabled 0 state 1")
        self.assertEqual(said["delete"], "0x00000000 S_OK")
        self.assertEqual(said["malformed"], "0x8004131a SCHED_E_MALFORMEDXML")
        self.assertIn("line 1 column", said["malformed-error"])

    def test_calls_with_one_task_are_answered(self):
        self.check_scenario(*self.probe())

    def test_long_definition_goes_and_comes_in_fragments(self):
        status, said, lines = self.probe("--arguments-size", "8000")
        self.check_scenario(status, said, lines)
        self.assertGreater(int(said["retrieve-size"]), 16000)
        words = said["pipe"].split()
        self.assertGreater(int(words[1]), 60)
        self.assertGreater(int(words[3]), 3)

    def test_answers_in_tiny_fragments_are_joined(self):
        self.check_scenario(*self.probe("--arguments-size", "500", host="pc-0002"))

    def test_fault_is_reported(self):
        status, said, _ = self.probe(host="pc-0003")
        self.assertEqual((status, said["fault"]), (2, "nca_s_unk_if 0x1c010003"))

    def test_scheduler_s_refusal_is_reported(self):
        _, said, _ = self.probe(host="pc-0004")
        self.assertEqual(said["register"], "0x80041315 SCHED_E_SERVICE_NOT_RUNNING")

    def test_folder_of_somebody_else_is_unsafe(self):
        _, said, _ = self.probe(host="pc-0005")
        self.assertEqual(said["folder"], "0x800700b7 ERROR_ALREADY_EXISTS")
        self.assertRegex(said["folder-security-safe"], "^0 .*(owner|may change)")

    def test_wrong_password_shows_as_fault_on_the_first_call(self):
        with tempfile.NamedTemporaryFile("w", suffix=".password") as file:
            file.write("not it\n")
            file.flush()
            status, said, _ = self.probe("--rpc-user", self.lab.data["account"], "--rpc-password-file", file.name)
        self.assertEqual((status, said["fault"]), (2, "access denied 0x00000005"))

    def test_folder_squatted_by_an_ordinary_user_is_seen(self):
        # Ordinary users may make folders in the root folder, so this one may be first.
        _, said, _ = self.probe("--rpc-user", "plainuser", "--rpc-password-file", f"{self.lab.directory}/passwords/plainuser",
                                host="pc-0006")
        self.assertEqual(said["folder"], "0x00000000 S_OK")
        self.assertEqual(said["register"], "0x80070005 E_ACCESSDENIED")
        _, said, _ = self.probe(host="pc-0006")
        self.assertEqual(said["folder"], "0x800700b7 ERROR_ALREADY_EXISTS")
        self.assertRegex(said["folder-security-safe"], "^0 its owner is S-1-5-21-")

    def test_flipped_bit_of_an_answer_is_refused(self):
        # Piece 0 is the bind_ack, 1 the first answer: header 24, stub 8, pad 8, trailer 8, signature 16.
        for offset, code in ((12, PROTOCOL), (20, PROTOCOL), (16, DENIED), (24, DENIED), (-24, PROTOCOL), (-23, PROTOCOL),
                             (-16, DENIED), (-12, DENIED), (-4, DENIED)):
            with self.subTest(offset=offset):
                status, said, _ = self.probe("--flip-in", f"1:{offset}")
                self.assertEqual(status, 1, said)
                self.assertEqual(said["failure"].split()[0], code)

    def test_flipped_bit_of_a_request_is_refused(self):
        # Piece 0 is the bind, 1 auth3, 2 the first request (an empty stub), 4 GetSecurity of the folder.
        for piece, offset in ((1, -1), (2, -12), (2, -4), (4, 24), (4, 40), (4, -12), (4, 16)):
            with self.subTest(piece=piece, offset=offset):
                status, said, _ = self.probe("--flip-out", f"{piece}:{offset}")
                self.assertIn(status, (1, 2), said)
                self.assertNotIn("register", said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
