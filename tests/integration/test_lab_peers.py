"""Unmodified peers against the lab: impacket's atexec.py, smbclient, Samba's RPC client. What passes for them must pass
for the relay; what the lab refuses them, a Windows machine would refuse too."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lab"))

from lablib import Lab  # noqa: E402
from standin import checks, drives, net, ntacl  # noqa: E402

if os.geteuid() != 0:
    print("needs root for network namespaces")
    sys.exit(77)

from impacket.dcerpc.v5 import rpcrt, transport, tsch  # noqa: E402
from impacket.smbconnection import SMBConnection, SessionError  # noqa: E402

ATEXEC = "/usr/share/doc/python3-impacket/examples/atexec.py"
SAFE = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)\0"


def task_xml(start=3600, description="", command="C:\\SPDISTRO\\package.exe", arguments="/S"):
    def at(seconds):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))

    return f"""<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
<RegistrationInfo><Description>{description}</Description></RegistrationInfo>
<Triggers><TimeTrigger><Enabled>true</Enabled><StartBoundary>{at(start)}</StartBoundary>
<EndBoundary>{at(start + 7200)}</EndBoundary></TimeTrigger></Triggers>
<Principals><Principal id="P"><UserId>S-1-5-18</UserId><RunLevel>HighestAvailable</RunLevel></Principal></Principals>
<Settings><DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries></Settings>
<Actions Context="P"><Exec><Command>{command}</Command><Arguments>{arguments}</Arguments></Exec></Actions></Task>"""


class LabCase(unittest.TestCase):
    """One lab for the tests of a class."""

    OPTIONS = {"targets": 4}

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(**cls.OPTIONS)
        cls.enterClassContext(cls.lab)
        cls.enterClassContext(cls.lab.network())
        cls.user, cls.password = cls.lab.data["account"], cls.lab.data["password"]
        cls.passwords = {account["user"]: account["password"] for account in cls.lab.data["accounts"]}

    def smbclient(self, host, commands, user=None, password=None, share="C$"):
        user = user or self.user
        password = self.passwords[user] if password is None else password
        return self.lab.run(
            ["smbclient", f"//{host}/{share}", "-U", f"{user}%{password}", "-c", commands], timeout=30
        )

    def rpc(self, host, level=rpcrt.RPC_C_AUTHN_LEVEL_PKT_PRIVACY, user=None, password=None, rpc_password=None):
        """Impacket's client on the scheduler's pipe, as atexec.py makes it."""
        user = user or self.user
        password = self.passwords[user] if password is None else password
        pipe = transport.DCERPCTransportFactory(rf"ncacn_np:{self.lab.address(host)}[\pipe\atsvc]")
        pipe.set_credentials(user, password, "", "", "")
        dce = pipe.get_dce_rpc()
        dce.connect()
        if rpc_password:
            dce.set_credentials(user, rpc_password)
        dce.set_auth_level(level)
        dce.bind(tsch.MSRPC_UUID_TSCHS)
        self.addCleanup(pipe.disconnect)
        return dce

    def hresult(self, call, *arguments):
        with self.assertRaises(tsch.DCERPCSessionError) as caught:
            call(*arguments)
        return caught.exception.get_error_code()

    def assertFaults(self, call, *arguments):
        with self.assertRaisesRegex(rpcrt.DCERPCException, "access_denied"):
            call(*arguments)

    def calls(self, host, name):
        rows = checks.Database(self.lab.directory).get("calls", self.lab.address(host))
        return [row for row in rows if row["name"] == name]


class Files(LabCase):
    def test_smbclient_puts_lists_and_gets(self):
        with tempfile.TemporaryDirectory() as folder:
            data = os.urandom(300_000)
            with open(f"{folder}/in", "wb") as file:
                file.write(data)
            done = self.smbclient(
                "pc-0001", f"mkdir SPDISTRO; put {folder}/in SPDISTRO\\p.exe; ls SPDISTRO\\*; get SPDISTRO\\p.exe {folder}/out"
            )
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("p.exe", done.stdout)
            with open(f"{folder}/out", "rb") as file:
                self.assertEqual(file.read(), data)
        self.assertTrue(os.path.exists(f"{self.lab.drive('pc-0001')}/SPDISTRO/p.exe"))
        self.assertFalse(os.path.exists(f"{self.lab.drive('pc-0002')}/SPDISTRO"))

    def test_smbclient_accounts_that_may_not_are_refused(self):
        for user, status in (
            ("plainuser", "ACCESS_DENIED"),
            ("disabled", "ACCOUNT_DISABLED"),
            ("locked", "ACCOUNT_LOCKED_OUT"),
            ("expired", "ACCOUNT_EXPIRED"),
            ("mustchange", "PASSWORD_MUST_CHANGE"),
        ):
            with self.subTest(user=user):
                done = self.smbclient("pc-0001", "ls", user=user)
                self.assertIn(f"NT_STATUS_{status}", done.stdout + done.stderr)
        done = self.smbclient("pc-0001", "ls", password="wrong")
        self.assertIn("NT_STATUS_LOGON_FAILURE", done.stdout + done.stderr)

    def test_session_has_targets_name_dialect_311_and_signing(self):
        connection = SMBConnection(self.lab.address("pc-0003"), self.lab.address("pc-0003"), preferredDialect=0x311)
        connection.login(self.user, self.password)
        self.assertEqual(connection.getServerName(), "PC-0003")
        self.assertEqual(connection.getDialect(), 0x311)
        connection.getSMBServer().close_session()  # impacket's own LOGOFF at 3.1.1 is signed wrongly

    def test_smbclient_is_served_encrypted_and_signed_at_every_dialect(self):
        for dialect in ("SMB2_10", "SMB3_00", "SMB3_02", "SMB3_11"):
            for protection in ("sign", "encrypt"):
                if protection == "encrypt" and dialect == "SMB2_10":
                    continue
                with self.subTest(dialect=dialect, protection=protection):
                    done = self.lab.run(
                        ["smbclient", "//pc-0001/C$", "-U", f"{self.user}%{self.password}", "-m", dialect,
                         f"--client-protection={protection}", f"--option=client min protocol={dialect}", "-c", "ls"]
                    )
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_folder_made_plainly_lets_users_modify(self):
        self.smbclient("pc-0004", "mkdir PLAIN")
        stored = ntacl.read(f"{self.lab.drive('pc-0004')}/PLAIN")
        self.assertFalse(stored["protected"])
        self.assertIn(("S-1-5-11", 0x1301BF), [(ace["sid"], ace["mask"]) for ace in stored["aces"]])

    def test_folder_made_with_a_descriptor_keeps_it(self):
        from impacket import smb3structs as smb3
        from impacket.ldap import ldaptypes

        descriptor = ldaptypes.SR_SECURITY_DESCRIPTOR()
        descriptor["Revision"], descriptor["Sbz1"], descriptor["Control"] = b"\1", b"\0", 0x9004  # SR, DP, PD
        owner = ldaptypes.LDAP_SID()
        owner.fromCanonical("S-1-5-32-544")
        descriptor["OwnerSid"], descriptor["GroupSid"], descriptor["Sacl"] = owner, owner, b""
        acl = ldaptypes.ACL()
        acl["AclRevision"], acl["Sbz1"], acl["Sbz2"], acl.aces = 2, 0, 0, []
        for sid in ("S-1-5-18", "S-1-5-32-544"):
            ace, body = ldaptypes.ACE(), ldaptypes.ACCESS_ALLOWED_ACE()
            body["Mask"], body["Sid"] = ldaptypes.ACCESS_MASK(), ldaptypes.LDAP_SID()
            body["Mask"]["Mask"] = 0x1F01FF
            body["Sid"].fromCanonical(sid)
            ace["AceType"], ace["AceFlags"], ace["Ace"] = 0, 3, body
            acl.aces.append(ace)
        descriptor["Dacl"] = acl
        context = smb3.SMB2CreateContext()
        context["Next"] = 0
        context["NameOffset"], context["NameLength"] = 16, 4
        context["Reserved"] = 0
        context["DataOffset"], context["DataLength"] = 24, len(descriptor.getData())
        context["Buffer"] = b"SecD" + bytes(4) + descriptor.getData()
        connection = SMBConnection(self.lab.address("pc-0004"), self.lab.address("pc-0004"))
        connection.login(self.user, self.password)
        server = connection.getSMBServer()
        tree = server.connectTree("C$")
        handle = server.create(
            tree, "SPDISTRO", 0x120089, 7, smb3.FILE_DIRECTORY_FILE, 3, 0x10, createContexts=[context]
        )
        server.close(tree, handle)
        server.close_session()
        stored = ntacl.read(f"{self.lab.drive('pc-0004')}/SPDISTRO")
        self.assertTrue(stored["protected"])
        self.assertEqual(stored["owner"], "S-1-5-32-544")
        self.assertEqual({ace["sid"] for ace in stored["aces"]}, {"S-1-5-18", "S-1-5-32-544"})
        said = self.lab.run(
            ["smbcacls", "//pc-0004/C$", "SPDISTRO", "-U", f"{self.user}%{self.password}", "--numeric"]
        ).stdout
        self.assertIn("OWNER:S-1-5-32-544", said)
        self.assertEqual(said.count("ACL:"), 2)

    def test_names_are_resolved_and_unknown_ones_are_not(self):
        known = self.lab.run(["getent", "hosts", "pc-0002"])
        self.assertIn(self.lab.address("pc-0002"), known.stdout)
        self.assertEqual(self.lab.run(["getent", "hosts", "pc-9999"]).returncode, 2)


class Scheduler(LabCase):
    OPTIONS = {"targets": 6, "faults": "pc-0003=small-fragments,pc-0004=no-pipe,pc-0006=timezone:120", "catch_up_s": 1}

    def test_atexec_runs_a_command_and_reads_its_output(self):
        done = self.lab.run(
            ["/usr/bin/python3", ATEXEC, f"{self.user}:{self.password}@pc-0001", "whoami"], timeout=60
        )
        self.assertIn("nt authority\\system", done.stdout, done.stdout + done.stderr)
        self.assertNotIn("[-]", done.stdout)

    def test_created_twice_gives_already_exists(self):
        dce = self.rpc("pc-0001")
        tsch.hSchRpcCreateFolder(dce, "\\Twice", SAFE)
        self.assertEqual(self.hresult(tsch.hSchRpcCreateFolder, dce, "\\Twice", SAFE), 0x800700B7)
        self.assertEqual(self.hresult(tsch.hSchRpcCreateFolder, dce, "\\twice", SAFE), 0x800700B7)
        register = (dce, "\\Twice\\t", task_xml(), tsch.TASK_CREATE, SAFE, tsch.TASK_LOGON_SERVICE_ACCOUNT)
        answer = tsch.hSchRpcRegisterTask(*register)
        self.assertEqual(answer["pActualPath"], "\\Twice\\t\0")
        self.assertEqual(answer.fields["pErrorInfo"].fields["ReferentID"], 0)
        self.assertEqual(self.hresult(tsch.hSchRpcRegisterTask, *register), 0x800700B7)
        other = self.rpc("pc-0002")
        self.assertEqual(self.hresult(tsch.hSchRpcRetrieveTask, other, "\\Twice\\t"), 0x80070003)

    def test_update_alone_needs_the_task(self):
        dce = self.rpc("pc-0001")
        self.assertEqual(
            self.hresult(tsch.hSchRpcRegisterTask, dce, "\\none", task_xml(), tsch.TASK_UPDATE, SAFE, 5), 0x80070002
        )

    def test_validate_only_registers_nothing(self):
        dce = self.rpc("pc-0001")
        tsch.hSchRpcRegisterTask(dce, "\\checked", task_xml(), tsch.TASK_VALIDATE_ONLY, SAFE, 5)
        self.assertEqual(self.hresult(tsch.hSchRpcRetrieveTask, dce, "\\checked"), 0x80070002)

    def test_malformed_definition_gives_code_and_position(self):
        dce = self.rpc("pc-0001")
        for old, new, code, node in (
            ("UTF-16", "UTF-8", 0x8004131A, ""),
            ("</Triggers>", "", 0x8004131A, ""),
            ("<Enabled>true", "<Enabled>yes", 0x80041318, "Enabled"),
            ("<Enabled>", "<Off/><Enabled>", 0x80041316, "Off"),
            ("2004/02", "2005/02", 0x80041317, "Task"),
            ("<Command>C:\\SPDISTRO\\package.exe</Command>", "", 0x80041319, "Command"),
        ):
            with self.subTest(new=new), self.assertRaises(tsch.DCERPCSessionError) as caught:
                tsch.hSchRpcRegisterTask(dce, "\\bad", task_xml().replace(old, new), tsch.TASK_CREATE, SAFE, 5)
            self.assertEqual(caught.exception.get_error_code(), code)
            info = caught.exception.get_packet()["pErrorInfo"]
            self.assertEqual(info["node"], node + "\0")
            self.assertGreater(info["line"], 0)

    def test_long_definitions_travel_in_fragments_both_ways(self):
        for host in ("pc-0001", "pc-0003"):
            with self.subTest(host=host):
                dce = self.rpc(host)
                text = "long " * 4000
                tsch.hSchRpcRegisterTask(dce, "\\long", task_xml(description=text), tsch.TASK_CREATE, SAFE, 5)
                xml = tsch.hSchRpcRetrieveTask(dce, "\\long")["pXml"]
                self.assertIn(text.strip(), xml)
                self.assertNotEqual(xml[:-1], task_xml(description=text))

    def test_descriptors_are_kept(self):
        dce = self.rpc("pc-0002")
        tsch.hSchRpcCreateFolder(dce, "\\Kept", SAFE)
        tsch.hSchRpcRegisterTask(dce, "\\Kept\\t", task_xml(), tsch.TASK_CREATE, SAFE, 5)
        folder = tsch.hSchRpcGetSecurity(dce, "\\Kept", 7)["sddl"]
        self.assertEqual(folder, "O:BAG:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)\0")
        self.assertIn("D:P(A;;FA;;;SY)(A;;FA;;;BA)", tsch.hSchRpcGetSecurity(dce, "\\Kept\\t", 7)["sddl"])
        self.assertEqual(tsch.hSchRpcGetSecurity(dce, "\\Kept", 1)["sddl"], "O:BA\0")

    def test_due_task_starts_once_and_is_recorded(self):
        host = "pc-0002"
        self.smbclient(host, f"mkdir SPDISTRO; put {__file__} SPDISTRO\\package.exe")
        self.lab.behave(host, exit_code=3010, seconds=3)
        dce = self.rpc(host)
        tsch.hSchRpcRegisterTask(dce, "\\due", task_xml(start=3), tsch.TASK_CREATE, SAFE, 5)
        self.assertEqual(self.hresult(tsch.hSchRpcGetLastRunInfo, dce, "\\due"), 0x41303)
        self.assertEqual(tsch.hSchRpcGetTaskInfo(dce, "\\due", tsch.SCH_FLAG_STATE)["pState"], 3)
        deadline = time.monotonic() + 20
        while not (runs := self.runs(host, "\\due")) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(tsch.hSchRpcGetLastRunInfo(dce, "\\due")["pLastReturnCode"], 0x41301)
        self.assertEqual(tsch.hSchRpcGetTaskInfo(dce, "\\due", tsch.SCH_FLAG_STATE)["pState"], 4)
        while self.runs(host, "\\due")[0]["ended"] is None and time.monotonic() < deadline:
            time.sleep(0.05)
        answer = tsch.hSchRpcGetLastRunInfo(dce, "\\due")
        self.assertEqual(answer["pLastReturnCode"], 3010)
        self.assertEqual(answer["pLastRuntime"]["wYear"], time.gmtime().tm_year)
        self.assertEqual(len(runs), 1)
        self.assertEqual(runs[0]["sha256"], checks.sha256(__file__))
        self.assertEqual(runs[0]["arguments"], "/S")

    def test_missed_start_is_made_up_late_and_only_if_asked(self):
        dce = self.rpc("pc-0005")
        for path, setting in (("\\never", ""), ("\\late", "<StartWhenAvailable>true</StartWhenAvailable>")):
            xml = task_xml(start=-60).replace("<Settings>", f"<Settings>{setting}")
            tsch.hSchRpcRegisterTask(dce, path, xml, tsch.TASK_CREATE, SAFE, 5)
        deadline = time.monotonic() + 20
        while not self.runs("pc-0005", "\\late") and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(len(self.runs("pc-0005", "\\late")), 1)
        self.assertEqual(self.runs("pc-0005", "\\never"), [])

    def test_expired_task_is_removed_when_asked(self):
        dce = self.rpc("pc-0005")
        xml = task_xml(start=-7200).replace("<Settings>", "<Settings><DeleteExpiredTaskAfter>PT1S</DeleteExpiredTaskAfter>")
        tsch.hSchRpcRegisterTask(dce, "\\expired", xml, tsch.TASK_CREATE, SAFE, 5)
        deadline = time.monotonic() + 20
        while self.task("pc-0005", "\\expired") and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(self.hresult(tsch.hSchRpcRetrieveTask, dce, "\\expired"), 0x80070002)

    def task(self, host, path):
        rows = checks.Database(self.lab.directory).get("tasks", self.lab.address(host))
        return [row for row in rows if row["path"] == path]

    def runs(self, host, path):
        rows = checks.Database(self.lab.directory).get("runs", self.lab.address(host))
        return [row for row in rows if row["path"] == path]

    def test_missing_program_gives_file_not_found(self):
        dce = self.rpc("pc-0005")
        tsch.hSchRpcRegisterTask(dce, "\\gone", task_xml(), tsch.TASK_CREATE, SAFE, 5)
        tsch.hSchRpcRun(dce, "\\gone")
        self.assertEqual(tsch.hSchRpcGetLastRunInfo(dce, "\\gone")["pLastReturnCode"], 0x80070002)

    def test_disabled_task_does_not_run(self):
        dce = self.rpc("pc-0005")
        tsch.hSchRpcRegisterTask(dce, "\\off", task_xml(), tsch.TASK_CREATE, SAFE, 5)
        tsch.hSchRpcEnableTask(dce, "\\off", False)
        self.assertEqual(self.hresult(tsch.hSchRpcRun, dce, "\\off"), 0x80041326)
        self.assertIn("<Enabled>false</Enabled>", tsch.hSchRpcRetrieveTask(dce, "\\off")["pXml"])
        names = tsch.hSchRpcEnumTasks(dce, "\\")["pNames"]
        self.assertIn("off\0", [name["Data"] for name in names])
        tsch.hSchRpcDelete(dce, "\\off")
        self.assertEqual(self.hresult(tsch.hSchRpcRetrieveTask, dce, "\\off"), 0x80070002)

    def test_logon_type_must_suit_the_principal(self):
        dce = self.rpc("pc-0005")
        user = "<UserId>S-1-5-18</UserId><RunLevel>HighestAvailable</RunLevel>"
        group = "<GroupId>S-1-5-32-545</GroupId>"
        token = "<UserId>plainuser</UserId><LogonType>InteractiveToken</LogonType>"
        nobody = "<UserId>nobody-here</UserId><LogonType>InteractiveToken</LogonType>"
        for principal, logon_type, code in (
            (user, 0, 0), (user, 5, 0), (user, 4, 0x80070057), (user, 7, 0x80070057), (group, 4, 0),
            (group, 5, 0x80070057), (token, 3, 0), (token, 4, 0x80070057), (nobody, 3, 0x80070534),
        ):
            with self.subTest(principal=principal, logon_type=logon_type):
                register = (dce, f"\\p{logon_type}", task_xml().replace(user, principal), 6, SAFE, logon_type)
                if code:
                    self.assertEqual(self.hresult(tsch.hSchRpcRegisterTask, *register), code)
                else:
                    tsch.hSchRpcRegisterTask(*register)
        tsch.hSchRpcRun(dce, "\\p3")  # nobody is logged on
        self.assertEqual(self.hresult(tsch.hSchRpcGetLastRunInfo, dce, "\\p3"), 0x41303)
        self.lab.behave("pc-0005", logged_on=True)
        tsch.hSchRpcRun(dce, "\\p3")
        self.assertEqual(tsch.hSchRpcGetLastRunInfo(dce, "\\p3")["pLastReturnCode"], 0x80070002)

    def test_boundary_without_zone_is_local_time(self):
        dce = self.rpc("pc-0006")
        local = task_xml(start=7200 + 2).replace("Z</StartBoundary>", "</StartBoundary>")
        tsch.hSchRpcRegisterTask(dce, "\\local", local.replace("Z</End", "</End"), tsch.TASK_CREATE, SAFE, 5)
        tsch.hSchRpcRegisterTask(dce, "\\utc", task_xml(start=7200 + 2), tsch.TASK_CREATE, SAFE, 5)
        deadline = time.monotonic() + 20
        while not self.runs("pc-0006", "\\local") and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(len(self.runs("pc-0006", "\\local")), 1)
        self.assertEqual(self.runs("pc-0006", "\\utc"), [])

    def test_ordinary_user_may_not_have_system_run_a_task(self):
        dce = self.rpc("pc-0005", user="plainuser")
        self.assertEqual(
            self.hresult(tsch.hSchRpcRegisterTask, dce, "\\mine", task_xml(), tsch.TASK_CREATE, SAFE, 5), 0x80070005
        )
        tsch.hSchRpcCreateFolder(dce, "\\Theirs")  # which the root's descriptor lets them do, as on Windows
        self.assertIn("O:S-1-5-21", tsch.hSchRpcGetSecurity(self.rpc("pc-0005"), "\\Theirs", 7)["sddl"])

    def test_levels_below_privacy_are_refused(self):
        for level in (
            rpcrt.RPC_C_AUTHN_LEVEL_NONE, rpcrt.RPC_C_AUTHN_LEVEL_CONNECT, rpcrt.RPC_C_AUTHN_LEVEL_PKT_INTEGRITY
        ):
            with self.subTest(level=level):
                self.assertFaults(tsch.hSchRpcHighestVersion, self.rpc("pc-0001", level=level))

    def test_wrong_passwords_are_refused(self):
        with self.assertRaisesRegex(SessionError, "LOGON_FAILURE"):
            self.rpc("pc-0001", password="wrong")
        self.assertFaults(tsch.hSchRpcHighestVersion, self.rpc("pc-0001", rpc_password="wrong"))

    def test_flipped_bits_are_refused(self):
        for where in (20, 26, -20, -1):  # the header (alloc hint), the sealed stub, the trailer, the signature
            with self.subTest(where=where):
                dce = self.rpc("pc-0001")
                pipe = dce.get_rpc_transport()
                send = pipe.send

                def flipped(data, *arguments, send=send, where=where, **options):
                    broken = bytearray(data)
                    broken[where] ^= 1
                    return send(bytes(broken), *arguments, **options)

                pipe.send = flipped
                with self.assertRaises((rpcrt.DCERPCException, SessionError)):
                    tsch.hSchRpcHighestVersion(dce)

    def test_sambas_client_is_served_by_ntlm_and_spnego(self):
        program = (
            "import sys\n"
            "from samba import param, credentials\n"
            "from samba.dcerpc import mgmt\n"
            "lp = param.LoadParm(); lp.load_default()\n"
            "c = credentials.Credentials(); c.guess(lp); c.set_username(sys.argv[2]); c.set_password(sys.argv[3])\n"
            "c.set_kerberos_state(credentials.DONT_USE_KERBEROS)\n"
            "m = mgmt.mgmt('ncacn_np:%s[\\\\pipe\\\\atsvc,%s]' % (sys.argv[1], sys.argv[4]), lp, c)\n"
            "for i in range(3): print(m.is_server_listening())\n"
        )
        for options in ("seal,ntlm", "seal,spnego"):
            with self.subTest(options=options):
                done = self.lab.run(
                    ["/usr/bin/python3", "-c", program, self.lab.address("pc-0005"), self.user, self.password, options]
                )
                self.assertEqual(done.stdout.count("1"), 3, done.stdout + done.stderr)

    def test_target_without_pipe_has_no_such_name(self):
        with self.assertRaisesRegex(Exception, "OBJECT_NAME_NOT_FOUND"):
            self.rpc("pc-0004")


class Checks(LabCase):
    """The checker itself: it accepts what a correct push leaves, and names each thing that is wrong."""

    OPTIONS = {"targets": 2}

    def push(self, host, start):
        self.assertEqual(self.smbclient(host, f"put {__file__} SPDISTRO\\package.exe").returncode, 0)
        dce = self.rpc(host)
        tsch.hSchRpcCreateFolder(dce, "\\Pusher", SAFE)
        tsch.hSchRpcRegisterTask(dce, "\\Pusher\\1", task_xml(start=start), tsch.TASK_CREATE, SAFE, 5)
        return dce

    def problems(self, host, name="package.exe", **options):
        found = self.lab.check(host)
        return checks.problems(found, name, checks.sha256(__file__), **options)

    def test_correct_push_has_no_problem(self):
        drives.make_folder(self.lab.drive("pc-0001"), drives.SAFE_SDDL)
        self.push("pc-0001", 1)
        self.lab.wait_for_runs(1, 20)
        with tempfile.TemporaryDirectory() as folder:
            package = f"{folder}/package.exe"
            shutil.copy(__file__, package)
            row = self.lab.check_all(package, ran=True, wait_s=20)[0]
            self.assertEqual(row["problems"], [])
            one = self.lab.check("pc-0001", package)
        self.assertEqual(
            (one["package_ok"], one["folder_closed"], one["tasks_closed"], one["leftovers"]), (True, True, True, [])
        )

    def test_wrong_things_are_named(self):
        host = "pc-0002"
        drive = self.lab.drive(host)
        self.assertIn("no folder SPDISTRO", self.problems(host))
        drives.make_folder(drive, drives.UNSAFE_SDDL)
        dce = self.push(host, 3600)
        said = "; ".join(self.problems(host))
        self.assertIn("S-1-5-11", said)
        self.assertIn("not protected", said)
        drives.make_folder(drive, drives.SAFE_SDDL)
        ntacl.write(f"{drive}/SPDISTRO/package.exe", drives.SAFE_SDDL)
        self.assertEqual(self.problems(host), [])
        self.assertIn("started 0 times instead of 1", self.problems(host, ran=True))
        with open(f"{drive}/SPDISTRO/~pusher.tmp", "wb"):
            pass
        self.assertIn("left in SPDISTRO: ~pusher.tmp", self.problems(host))
        self.assertEqual(self.lab.check(host)["leftovers"], ["~pusher.tmp"])
        os.unlink(f"{drive}/SPDISTRO/~pusher.tmp")
        tsch.hSchRpcRegisterTask(dce, "\\Pusher\\2", task_xml(), tsch.TASK_CREATE, "D:(A;;FA;;;BA)(A;;FR;;;AU)\0", 5)
        said = "; ".join(self.problems(host))
        self.assertIn("2 tasks instead of 1", said)
        self.assertIn("task \\Pusher\\2: access for AU", said)
        with open(f"{drive}/SPDISTRO/package.exe", "ab") as file:
            file.write(b"x")
        self.assertIn("package.exe has other bytes", self.problems(host, pushes=2))


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
        "targets": 18,
        "faults": "pc-0017=ipv6-only,pc-0018=ipv4-dead,pc-0014=no-name,pc-0015=name-timeout,pc-0016=two-addresses,pc-0013=long-name,pc-0009=frozen,pc-0010=cut,pc-0011=stall,pc-0012=slow:1000000,pc-0001=smb-2.1,pc-0002=smb-3.0.2,pc-0003=must-encrypt,pc-0004=smb1-only,pc-0005=other-password,"
        "pc-0006=access-denied,pc-0007=clock:7200,pc-0008=wrong-name",
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
