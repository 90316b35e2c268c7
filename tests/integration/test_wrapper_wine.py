"""The script of a push that waits, run by Wine's cmd: arguments arrive as they stand, exit codes come back, output is kept."""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lab"))

from standin import program  # noqa: E402

PROBE = os.path.join(
    os.environ.get("PUSHER_BIN", os.path.join(HERE, "..", "..", "build", "dev", "bin")), "wrapper_probe")
PUSH = "00112233445566778899aabbccddeeff"
SCRIPT = f".pusher-{PUSH}-1"

ARGUMENTS = [
    "", "/S", "/S /D=C:\\Program Files\\Some", '"a b" c', "%PATH%", "100%", "% % %%", "%1 %* %~dp0", "%errorlevel%",
    "a & b", "a && b || c", "a | b", "a < b", "a > b", "a >> b 2>&1", "(a) b", "a) (b", "a ^ b", "a ^^ b ^& c",
    '"a & b" & "c | d"', '"a ^ b" ^ "c"', '"', 'a "b & c', '"a & b" "c & d', '""', '"" & ""', "a!b !PATH! !", "\\",
    '"C:\\a b\\"', '"C:\\a b\\\\" c', '\\"a & b\\"', "a,b;c=d", "'a & b'", "`a`", "~#@$[]{}+-*?:/.", "@echo off", ":run",
    "/?", "a  b   c", "x" * 2000,
]


class Wrapper(unittest.TestCase):
    """One Wine prefix for all."""

    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="wine-"))
        cls.environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")} | {
            "WINEPREFIX": f"{cls.folder}/prefix", "WINEDEBUG": "-all", "HOME": cls.folder,
            "WINEDLLOVERRIDES": "mscoree,mshtml=;winemenubuilder.exe=d",
        }
        cls.addClassCleanup(cls.wine, "wineboot", "--kill")
        for _ in range(3):  # on a machine that is very busy Wine now and then doesn't get through making its prefix
            if cls.wine("cmd", "/d", "/c", "ver") == 0:
                break
        cls.drive = f"{cls.folder}/prefix/drive_c/SPDISTRO"
        os.makedirs(cls.drive)
        program.write(f"{cls.drive}/show.exe")

    @classmethod
    def wine(cls, *command):
        return subprocess.run(
            ["wine", *command], env=cls.environment, cwd=getattr(cls, "drive", "/"), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=150, check=False).returncode

    def run_script(self, name, arguments="", command=None):
        """(exit status as Unix has it, what .end says, what was printed)."""
        made = subprocess.run(
            [PROBE, PUSH, name, arguments, *([command] if command else [])], capture_output=True, check=False)
        self.assertEqual((made.returncode, made.stderr), (0, b""))
        for _ in range(3):
            for suffix, content in ((".cmd", made.stdout), (".out", b""), (".end", b"")):
                with open(f"{self.drive}/{SCRIPT}{suffix}", "wb") as file:
                    file.write(content)
            status = self.wine("cmd", "/d", "/v:off", "/e:on", "/c", f"C:\\SPDISTRO\\{SCRIPT}.cmd")
            with open(f"{self.drive}/{SCRIPT}.out", "rb") as file:
                output = file.read()
            with open(f"{self.drive}/{SCRIPT}.end", "rb") as file:
                end = file.read()
            if status == 0 or end or output:
                break  # else the script did nothing at all: it was Wine that did not start
        return status, end.decode().strip(), output

    def test_arguments_arrive_as_they_stand(self):
        for arguments in ARGUMENTS:
            with self.subTest(arguments=arguments[:60]):
                status, end, output = self.run_script("show.exe", arguments)
                expected = '"C:\\SPDISTRO\\show.exe"' + (" " + arguments if arguments else "")
                self.assertEqual((status, end, output.decode().rstrip()), (0, "0", expected.rstrip()))

    def test_exit_codes_come_back(self):
        for code in (0, 1, 255, 256, 1603, 1618, 3010, -1, -1073741819, 0x7FFFFFFF):
            with self.subTest(code=code):
                program.write(f"{self.drive}/code.exe", exit_code=code)
                status, end, _ = self.run_script("code.exe")
                # Unix has eight bits for it; Wine makes sure that no failure becomes a zero
                self.assertEqual((status, end), (code & 0xFF or (code != 0), str(code)))

    def test_all_output_is_kept(self):
        program.write(f"{self.drive}/many.exe", count=200_000)
        status, end, output = self.run_script("many.exe")
        self.assertEqual((status, end, len(output)), (0, "0", 200_000))
        self.assertTrue(output.startswith(b"line 0000000\r\nline 0000001\r\n"))

    def test_input_is_empty(self):
        program.write(f"{self.drive}/ask.exe", read_input=True)
        status, end, output = self.run_script("ask.exe")
        self.assertEqual((status, end, output), (0, "0", b'"C:\\SPDISTRO\\ask.exe"\r\n'))

    def test_script_gets_its_arguments_and_its_code_comes_back(self):
        for name in ("do.cmd", "do it.bat"):
            with self.subTest(name=name):
                with open(f"{self.drive}/{name}", "w", encoding="ascii", newline="\r\n") as file:
                    file.write("@echo off\necho out %*\necho err 1>&2\nexit 3010\n")
                status, end, output = self.run_script(name, 'a "b c" (d)')
                self.assertEqual((status, end), (3010 & 0xFF, "3010"))
                self.assertEqual([line.strip() for line in output.decode().splitlines()], ['out a "b c" (d)', "err"])

    def test_variables_of_the_command_are_replaced(self):
        status, end, output = self.run_script("x.txt", "/d /c echo hello", "%SystemRoot%\\System32\\cmd.exe")
        self.assertEqual((status, end, output.strip()), (0, "0", b"hello"))

    def test_program_that_is_not_there_is_no_success(self):
        status, end, output = self.run_script("missing.exe")
        self.assertNotEqual(end, "0")
        self.assertNotEqual(status, 0)
        self.assertNotEqual(output, b"")


if __name__ == "__main__":
    unittest.main(verbosity=2)
