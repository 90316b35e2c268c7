#!/usr/bin/python3
"""Where a password must not turn up: anything that other processes, files, wires or people can read.

Usage: test_secrets.py [unittest arguments]     Needs root. $PUSHER_BIN: folder of the programs (build/dev/bin).

Each search is tried first on something that does hold the password, so that "nothing found" means something.
"""

import base64
import contextlib
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from impacket.ntlm import compute_nthash  # noqa: E402

from pushing import Admin, Lab, programs  # noqa: E402

ETH_P_ALL = 3
NOBODY = 65534
MAPPING_MAX = 256 << 20  # the sanitizer's shadow is larger, and holds no data


def in_base64(data):
    """DATA inside of base64 text, whichever of the three ways its first byte is aligned there."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + data).rstrip(b"=")
        first = (0, 2, 3)[before]
        last = len(text) - (1 if (before + len(data)) % 3 else 0)
        yield text[first:last]


def forms(password):
    """What to look for: {name: bytes} of the password and of its NT hash, which is as good as the password."""
    found = {}
    for name, data in (("UTF-8", password.encode()), ("UTF-16", password.encode("utf-16-le")),
                       ("NT hash", bytes(compute_nthash(password)))):
        found[name] = data
        found[f"{name} in hex"] = data.hex().encode()
        found[f"{name} in HEX"] = data.hex().upper().encode()
        for number, text in enumerate(in_base64(data)):
            found[f"{name} in base64, {number}"] = text
    return found


def key_forms(key):
    """What to look for: {name: bytes} of a secret key."""
    found = {"bytes": key, "hex": key.hex().encode(), "HEX": key.hex().upper().encode()}
    return found | {f"base64, {number}": text for number, text in enumerate(in_base64(key))}


class Search:
    """Passwords, and secret keys, to look for in anything."""

    def __init__(self, passwords, keys=()):
        self._forms = [(f"{name} of password {number}", data) for number, password in enumerate(passwords)
                       for name, data in forms(password).items()]
        self._forms += [(f"{name} of key {number}", data) for number, key in enumerate(keys)
                        for name, data in key_forms(key).items()]

    def in_bytes(self, data):
        return [name for name, form in self._forms if form in data]

    def in_files(self, root, since=0, apart=()):
        """{path: names} of the files below ROOT that are not older than SINCE."""
        found = {}
        for folder, folders, names in os.walk(root):
            folders[:] = [f for f in folders if os.path.join(folder, f) not in apart]
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    status = os.lstat(path)
                    if path in apart or status.st_mtime < since or not os.path.isfile(path) or os.path.islink(path):
                        continue
                    with open(path, "rb") as file:
                        if names_found := self.in_bytes(file.read(64 << 20)):
                            found[path] = names_found
        return found

    def in_memory(self, pid):
        """Names of the forms in the memory of a process."""
        found = set()
        with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, \
                open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for line in maps:
                first, last = (int(x, 16) for x in re.match(r"(\w+)-(\w+)", line).groups())
                if line.split()[1][:2] != "rw" or last - first > MAPPING_MAX:
                    continue
                with contextlib.suppress(OSError, ValueError, OverflowError):
                    memory.seek(first)
                    found.update(self.in_bytes(memory.read(last - first)))
        return found


class Wire(threading.Thread):
    """Every packet of the admin's network namespace, loopback too, as one string of bytes."""

    def __init__(self, lab):
        super().__init__(daemon=True)
        with lab.network():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self.seen = bytearray()
        self._over = threading.Event()

    def run(self):
        while True:
            if not select.select([self.socket], [], [], 0.1)[0]:
                if self._over.is_set():
                    return
                continue
            self.seen += self.socket.recv(1 << 17)

    def end(self):
        self._over.set()
        self.join(60)
        self.socket.close()
        return bytes(self.seen)


class SecretCase(unittest.TestCase):
    """A lab, a desk, and a package."""

    TARGETS = 6

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(targets=cls.TARGETS)
        cls.lab.up(watch_pid=os.getpid())
        cls.addClassCleanup(cls.lab.down)
        cls.passwords = {row["user"]: row["password"] for row in cls.lab.data["accounts"]}

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="secrets-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.admin = Admin(self.lab, self.folder / "state")
        self.new_package()

    def new_package(self):
        """A name that is on no machine yet."""
        self.package = self.folder / f"package-{os.urandom(4).hex()}.exe"
        self.package.write_bytes(os.urandom(300_000))

    def secret_file(self, password, name="password"):
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(password + "\n", encoding="utf-8")
        return path

    def push_words(self, user, secret, *options):
        targets = [x for target in self.lab.targets for x in ("-t", target["host"])]
        return ("push", "-v", self.package, *targets, "--user", user, "--password-file", secret, "-y", *options)

    def end(self, process):
        process.kill()
        process.communicate(timeout=60)
        deadline = time.monotonic() + 60
        while self.admin.daemons("pusher-relay") + self.admin.daemons("pusher-coordinator"):
            self.assertLess(time.monotonic(), deadline, "the daemons outlive the command")
            time.sleep(0.05)

    def ours(self, process):
        return [process.pid, *self.admin.daemons("pusher-relay"), *self.admin.daemons("pusher-coordinator")]

    def wait_for_stage(self, process, host="pc-0001"):
        """Until the push waits for the scheduler of HOST, which was made slow: every logon is over by then."""
        temporary = pathlib.Path(self.lab.drive(host)) / "SPDISTRO" / self.package.name
        deadline = time.monotonic() + 120
        while not temporary.exists():
            self.assertIsNone(process.poll(), "the push ended too early")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)


class Searching(unittest.TestCase):
    """A search that finds nothing where there is something would make every other test here pass."""

    def test_every_form_is_found(self):
        for password in ("Planted-canary-1!", "пароль-é-🔑"):
            search = Search([password])
            for data in (password.encode(), password.encode("utf-16-le"), bytes(compute_nthash(password))):
                for before in range(4):
                    padded = b"#" * before + data + b"##"
                    self.assertTrue(search.in_bytes(padded))
                    self.assertTrue(search.in_bytes(base64.b64encode(padded)))
                    self.assertTrue(search.in_bytes(padded.hex().encode()))
                    self.assertTrue(search.in_bytes(padded.hex().upper().encode()))
            self.assertEqual(search.in_bytes(password[:-1].encode()), [])

    def test_every_form_of_a_key_is_found(self):
        key = os.urandom(32)
        search = Search([], [key])
        for data in (key, key.hex().encode(), key.hex().upper().encode()):
            self.assertTrue(search.in_bytes(b"##" + data + b"#"))
        for before in range(4):
            self.assertTrue(search.in_bytes(base64.b64encode(b"#" * before + key + b"##")))
        self.assertEqual(search.in_bytes(key[:-1]), [])

    def test_planted_file_and_memory_are_found(self):
        search = Search(["Planted-canary-2!"])
        with tempfile.TemporaryDirectory(prefix="secrets-") as folder:
            path = pathlib.Path(folder, "deep", "log")
            path.parent.mkdir()
            path.write_bytes(b"line\n" + "Planted-canary-2!".encode("utf-16-le"))
            self.assertEqual(list(search.in_files(folder)), [str(path)])
            self.assertEqual(search.in_files(folder, apart=[str(path.parent)]), {})
        child = subprocess.Popen(["/usr/bin/python3", "-c", "x = input(); print(flush=True); input()"], text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdin.write("Planted-canary-2!\n")
        child.stdin.flush()
        child.stdout.readline()
        self.assertTrue(search.in_memory(child.pid))
        child.communicate("\n", timeout=30)


class Everywhere(SecretCase):
    """Pushes that succeed and that are refused, ASCII and beyond, with everything they leave behind."""

    def look(self, process, search):
        """Command lines and environments, while the push runs; how often."""
        looks = 0
        while process.poll() is None:
            for pid in self.ours(process):
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        data = pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
                        looks += 1
                        self.assertEqual(search.in_bytes(data), [], name)
            time.sleep(0.02)
        return looks

    def reports(self):
        said = b""
        for words in (["report", "-o", "json"], ["report", "-o", "jsonl"], ["report", "-o", "csv"], ["report", "-o", "wide"],
                      ["list"], ["show"], ["why", "pc-0001"]):
            done = self.admin.run(*words)
            said += (done.stdout + done.stderr).encode()
        return said

    def push_and_search(self, user, password, code):
        search = Search([password])
        secret = self.secret_file(password)
        began = time.time() - 2
        wire = Wire(self.lab)
        wire.start()
        with self.lab.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as planted:
            planted.sendto(b"before " + forms(password)["UTF-16 in hex"], (self.lab.data["admin_address"], 9))
        process = self.admin.popen(*self.push_words(user, secret))
        looks = self.look(process, search)
        out, said = process.communicate(timeout=120)
        self.assertEqual(process.returncode, code, said)
        self.assertGreater(looks, 4)
        packets = wire.end()
        self.assertGreater(packets.count(b"\xfeSMB"), 4 if code else 4 * self.TARGETS)  # logons, in clear
        self.assertEqual(search.in_bytes(packets), search.in_bytes(forms(password)["UTF-16 in hex"]), "on the wire")
        self.assertEqual(search.in_bytes((out + said).encode() + self.reports()), [], "in the output")
        self.assertEqual(search.in_files(self.admin.state), {})
        self.assertGreater(sum(len(names) for _, _, names in os.walk(self.admin.state)), 8)
        # Whatever was written elsewhere; the file it came from, and the lab, have it rightly.
        apart = [str(secret), self.lab.directory]
        self.assertEqual(search.in_files(tempfile.gettempdir(), since=began, apart=apart), {})
        self.assertIn(str(secret), search.in_files(self.folder))

    def test_push_that_succeeds(self):
        self.push_and_search("pushadmin", self.passwords["pushadmin"], 0)

    def test_push_that_succeeds_beyond_ascii(self):
        self.push_and_search("jürgen", self.passwords["jürgen"], 0)

    def test_push_that_is_refused(self):
        self.push_and_search("LAB\\pushadmin", "Mistyped-canary-3!", 3)

    def test_push_that_is_refused_beyond_ascii(self):
        self.push_and_search("jürgen", "Опечатка-é-🔑-4!", 3)


class Memory(SecretCase):
    """In the relay's memory the password lives only until its hash is handed over."""

    def test_clear_text_is_wiped_and_hash_is_at_the_relay_alone(self):
        password = self.passwords["jürgen"]
        self.lab.fault("pc-0001", "scheduler-slow:60")
        self.addCleanup(self.lab.fault, "pc-0001", None)
        # A sanitized program overwrites what it frees, and so would hide what it should have wiped itself.
        options = [os.environ.get("ASAN_OPTIONS"), "max_free_fill_size=0"]
        self.admin.environment["ASAN_OPTIONS"] = ":".join(filter(None, options))
        process = self.admin.popen(*self.push_words("jürgen", self.secret_file(password)))
        self.addCleanup(self.end, process)
        self.wait_for_stage(process)
        search = Search([password, password[-20:]])  # of what was freed the first bytes are often overwritten
        (relay,), (coordinator,) = self.admin.daemons("pusher-relay"), self.admin.daemons("pusher-coordinator")
        at_relay, at_coordinator = search.in_memory(relay), search.in_memory(coordinator)
        self.assertIsNone(process.poll(), "the push ended too early")
        self.assertEqual(at_coordinator, set())
        self.assertIn("NT hash of password 0", at_relay)  # it does search where it lies
        self.assertEqual({name for name in at_relay if not name.startswith("NT hash")}, set())


class Crashes(SecretCase):
    """No core file, and nothing to read for other processes of the same user."""

    def setUp(self):
        super().setUp()
        # So that another user than root can run them, wherever they were built.
        programs_here = self.folder / "bin"
        programs_here.mkdir()
        for name in ("pusher", "pusher-coordinator", "pusher-relay"):
            shutil.copy(programs() / name, programs_here / name)
        self.folder.chmod(0o755)
        self.admin = Admin(self.lab, self.folder / "state", programs_here)
        before = resource.getrlimit(resource.RLIMIT_CORE)
        with contextlib.suppress(ValueError, OSError):  # what the programs inherit would let them dump
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, before)

    def start(self, user=None):
        """A push that waits for a slow scheduler, as USER."""
        self.lab.fault("pc-0001", "scheduler-slow:60")
        self.addCleanup(self.lab.fault, "pc-0001", None)
        self.new_package()
        secret = self.secret_file(self.passwords["pushadmin"])
        words = self.push_words("pushadmin", secret, "--ping", "skip")
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": self.admin.state}
        prefix = []
        if user is not None:
            for path in (self.admin.state, secret, self.package):
                os.chown(path, user, user)
            prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        process = self.lab.popen([*prefix, *self.admin.command(*words)], env=self.admin.environment, **options)
        self.addCleanup(self.end, process)
        self.wait_for_stage(process)
        return process

    def dumps(self, cwds):
        # os.walk and not rglob: the programs that are still there make and remove folders
        found = [os.path.join(folder, name) for folder, _, names in os.walk(self.folder) for name in names]
        found += [os.path.join(cwd, name) for cwd in cwds if cwd != "/" and os.path.isdir(cwd) for name in os.listdir(cwd)]
        return [path for path in found if os.path.basename(path).startswith("core")]

    def test_nothing_dumps_core(self):
        for number in (signal.SIGABRT, signal.SIGSEGV):
            for name in ("pusher-relay", "pusher-coordinator", "pusher"):
                with self.subTest(program=name, signal=number.name):
                    process = self.start()
                    pids = [process.pid] if name == "pusher" else self.admin.daemons(name)
                    self.assertEqual(len(pids), 1)
                    limits = pathlib.Path(f"/proc/{pids[0]}/limits").read_text(encoding="ascii")
                    self.assertRegex(limits, r"Max core file size +0 +0 ")
                    cwds = {os.readlink(f"/proc/{pid}/cwd") for pid in {process.pid, *pids}}
                    os.kill(pids[0], number)
                    if name == "pusher":
                        status = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
                        self.assertNotEqual(status.si_code, os.CLD_DUMPED)
                    self.wait_gone(pids[0])
                    self.assertEqual(self.dumps(cwds), [])
                    self.end(process)

    def wait_gone(self, pid):
        deadline = time.monotonic() + 60
        while pathlib.Path(f"/proc/{pid}/exe").exists():  # a zombie has none
            self.assertLess(time.monotonic(), deadline, "it doesn't end")
            time.sleep(0.05)

    def test_another_program_does_dump(self):
        """Where the kernel writes the cores itself: nothing here forbids it but the programs."""
        if pathlib.Path("/proc/sys/kernel/core_pattern").read_text(encoding="ascii").startswith("|") or \
                resource.getrlimit(resource.RLIMIT_CORE)[0] == 0:
            return  # handed to another program, or forbidden for us, too
        plain = subprocess.Popen(["sleep", "120"], cwd=self.admin.state)
        plain.send_signal(signal.SIGABRT)
        status = os.waitid(os.P_PID, plain.pid, os.WEXITED | os.WNOWAIT)
        plain.wait()
        self.assertEqual(status.si_code, os.CLD_DUMPED)

    def test_nobody_of_the_same_user_can_read_them(self):
        process = self.start(NOBODY)
        pids = self.ours(process)
        self.assertEqual(len(pids), 3)
        plain = subprocess.Popen(["sleep", "120"], user=NOBODY, group=NOBODY, extra_groups=[], env={"PLAIN": "1"})
        try:
            reader = "import sys\nfor path in sys.argv[1:]:\n try:\n  open(path, 'rb').read(1); print('read')\n" \
                     " except PermissionError:\n  print('refused')\n except OSError:\n  print('read')\n"
            paths = [f"/proc/{pid}/{name}" for pid in [plain.pid, *pids] for name in ("environ", "mem")]
            done = subprocess.run(["/usr/bin/python3", "-c", reader, *paths], user=NOBODY, group=NOBODY, extra_groups=[],
                                  capture_output=True, text=True, check=True)
        finally:
            plain.kill()
            plain.wait()
        self.assertEqual(done.stdout.split()[0], "read")  # what isn't closed can be read
        self.assertEqual(done.stdout.split()[2:], ["refused"] * 6)
        self.assertIsNone(process.poll(), "the push ended too early")


if __name__ == "__main__":
    unittest.main(verbosity=2)
