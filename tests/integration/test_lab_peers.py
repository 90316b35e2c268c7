"""Unmodified peers against the lab: impacket's atexec.py, smbclient, Samba's RPC client. What passes for them must pass
for the relay; what the lab refuses them, a Windows machine would refuse too."""

import os
import shutil
import tempfile
import time
import unittest

from labcase import ATEXEC, SAFE, LabCase, task_xml  # sets the path to the lab's modules

from impacket.dcerpc.v5 import rpcrt, tsch
from impacket.smbconnection import SessionError, SMBConnection
from standin import checks, drives, ntacl


class Files(LabCase):
    def test_smbclient_puts_lists_and_gets(self):
        with tempfile.TemporaryDirectory() as folder:
            data = os.urandom(300_000)
            with open(f"{folder}/in", "wb") as file:
                file.write(data)
            done = self.smbclient(
                "pc-0001",
                f"mkdir SPDISTRO; put {folder}/in SPDISTRO\\p.exe; ls SPDISTRO\\*; get SPDISTRO\\p.exe {folder}/out",
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
        after = "<DeleteExpiredTaskAfter>PT1S</DeleteExpiredTaskAfter>"
        xml = task_xml(start=-7200).replace("<Settings>", f"<Settings>{after}")
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

    def test_running_instances_are_told_and_stopped(self):
        host = "pc-0001"
        self.smbclient(host, f"mkdir SPDISTRO; put {__file__} SPDISTRO\\package.exe")
        self.lab.behave(host, seconds=600)
        dce = self.rpc(host)
        tsch.hSchRpcRegisterTask(dce, "\\busy", task_xml(), tsch.TASK_CREATE, SAFE, 5)
        self.assertEqual(tsch.hSchRpcEnumInstances(dce, "\\busy")["pcGuids"], 0)
        self.assertEqual(self.hresult(tsch.hSchRpcStop, dce, "\\busy"), 1)  # S_FALSE: nothing was running
        guid = tsch.hSchRpcRun(dce, "\\busy")["pGuid"]
        found = tsch.hSchRpcEnumInstances(dce, "\\busy")
        self.assertEqual((found["pcGuids"], found["pGuids"][0]["Data"]), (1, guid))
        told = tsch.hSchRpcGetInstanceInfo(dce, guid)
        self.assertEqual((told["pPath"], told["pState"]), ("\\busy\0", 4))
        tsch.hSchRpcStopInstance(dce, guid)
        self.assertEqual(tsch.hSchRpcGetLastRunInfo(dce, "\\busy")["pLastReturnCode"], 0x41306)
        self.assertEqual(self.hresult(tsch.hSchRpcGetInstanceInfo, dce, guid), 0x8004130B)
        tsch.hSchRpcRun(dce, "\\busy")
        self.assertEqual(tsch.hSchRpcStop(dce, "\\busy")["ErrorCode"], 0)
        self.assertEqual(tsch.hSchRpcGetTaskInfo(dce, "\\busy", tsch.SCH_FLAG_STATE)["pState"], 3)

    def test_folders_and_tasks_are_listed_in_parts(self):
        dce = self.rpc("pc-0002")
        for name in "abc":
            tsch.hSchRpcCreateFolder(dce, f"\\List\\{name}", SAFE)
            tsch.hSchRpcRegisterTask(dce, f"\\List\\t{name}", task_xml(), tsch.TASK_CREATE, SAFE, 5)
        first = tsch.hSchRpcEnumFolders
        self.assertEqual(self.hresult(first, dce, "\\List", 0, 0, 2), 1)  # S_FALSE: there are more
        rest = tsch.hSchRpcEnumFolders(dce, "\\List", 0, 2, 2)
        self.assertEqual([name["Data"] for name in rest["pNames"]], ["c\0"])
        names = tsch.hSchRpcEnumTasks(dce, "\\List")["pNames"]
        self.assertEqual([name["Data"] for name in names], ["ta\0", "tb\0", "tc\0"])
        self.assertEqual(self.hresult(tsch.hSchRpcDelete, dce, "\\List"), 0x80070091)
        self.assertEqual(self.hresult(tsch.hSchRpcEnumTasks, dce, "\\Nowhere\\x"), 0x80070003)

    def test_security_is_changed_and_enforced(self):
        dce, user = self.rpc("pc-0002"), self.rpc("pc-0002", user="plainuser")
        tsch.hSchRpcRegisterTask(dce, "\\closed", task_xml(), tsch.TASK_CREATE, SAFE, 5)
        self.assertEqual(self.hresult(tsch.hSchRpcRetrieveTask, user, "\\closed"), 0x80070005)
        self.assertEqual(self.hresult(tsch.hSchRpcSetSecurity, user, "\\closed", "D:(A;;FA;;;AU)", 0), 0x80070005)
        tsch.hSchRpcSetSecurity(dce, "\\closed", "D:(A;;FA;;;BA)(A;;FR;;;AU)", 0)
        self.assertIn("/S", tsch.hSchRpcRetrieveTask(user, "\\closed")["pXml"])
        self.assertEqual(self.hresult(tsch.hSchRpcDelete, user, "\\closed"), 0x80070005)
        self.assertEqual(self.hresult(tsch.hSchRpcSetSecurity, dce, "\\closed", "nonsense", 0), 0x8007053A)

    def test_start_to_come_is_told(self):
        dce = self.rpc("pc-0002")
        xml = task_xml()
        tsch.hSchRpcRegisterTask(dce, "\\soon", xml, tsch.TASK_CREATE, SAFE, 5)
        told = tsch.hSchRpcScheduledRuntimes(dce, "\\soon")
        self.assertEqual(told["pcRuntimes"], 1)
        start = told["pRuntimes"][0]
        self.assertIn(f"T{start['wHour']:02}:{start['wMinute']:02}:{start['wSecond']:02}Z</StartBoundary>", xml)
        self.assertEqual(tsch.hSchRpcGetNumberOfMissedRuns(dce, "\\soon")["pNumberOfMissedRuns"], 0)

    def test_bad_paths_are_refused(self):
        dce = self.rpc("pc-0002")
        for path, code in (
            ("no-backslash", 0x8007007B), ("\\a\\\\b", 0x8007007B), ("\\a:b", 0x8007007B), ("\\..\\b", 0x8007007B),
            ("\\", 0x80070057), ("\\a\\", 0x8007007B),
        ):
            with self.subTest(path=path):
                self.assertEqual(self.hresult(tsch.hSchRpcCreateFolder, dce, path, SAFE), code)

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


if __name__ == "__main__":
    unittest.main()
