"""The lab's own parts without any server: the task checker, SDDL, the pipe's hand-over, NTLM and RPC framing."""

import os
import struct
import sys
import unittest

from Cryptodome.Cipher import ARC4
from impacket import ntlm

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))

from standin import checks, faults, npa, ntlm_server, rpcserver, sddl, spec, spnego, taskrun, taskxml  # noqa: E402

TASK = """<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Triggers><TimeTrigger>
    <Enabled>true</Enabled>
    <StartBoundary>2026-01-01T00:00:00Z</StartBoundary>
    <EndBoundary>2026-01-02T00:00:00Z</EndBoundary>
  </TimeTrigger></Triggers>
  <Principals><Principal id="P"><UserId>S-1-5-18</UserId><RunLevel>HighestAvailable</RunLevel></Principal></Principals>
  <Settings><DeleteExpiredTaskAfter>P7D</DeleteExpiredTaskAfter><Priority>5</Priority></Settings>
  <Actions Context="P"><Exec><Command>C:\\SPDISTRO\\a b.exe</Command><Arguments>/S &amp; x</Arguments></Exec></Actions>
</Task>"""


class TaskXml(unittest.TestCase):
    def refused(self, text):
        with self.assertRaises(taskxml.TaskXmlError) as caught:
            taskxml.parse(text)
        return caught.exception

    def replaced(self, old, new):
        self.assertIn(old, TASK)
        return TASK.replace(old, new)

    def test_good_task_is_parsed(self):
        root = taskxml.parse(TASK)
        self.assertEqual(root.value("Actions/Exec/Command"), "C:\\SPDISTRO\\a b.exe")
        self.assertEqual(root.value("Actions/Exec/Arguments"), "/S & x")

    def test_declared_utf8_is_malformed(self):
        error = self.refused(self.replaced("UTF-16", "UTF-8"))
        self.assertEqual((error.hresult, error.line), (taskxml.MALFORMED, 1))

    def test_byte_order_mark_is_malformed(self):
        self.assertEqual(self.refused("\ufeff" + TASK).hresult, taskxml.MALFORMED)

    def test_unclosed_element_is_malformed_with_position(self):
        error = self.refused(self.replaced("</Settings>", ""))
        self.assertEqual((error.hresult, error.line), (taskxml.MALFORMED, 11))

    def test_doctype_is_malformed(self):
        text = self.replaced("<Task version", "<!DOCTYPE Task [<!ENTITY a 'b'>]><Task version")
        self.assertEqual(self.refused(text).hresult, taskxml.MALFORMED)

    def test_other_namespace_is_refused(self):
        self.assertEqual(self.refused(self.replaced("2004/02", "2004/03")).hresult, taskxml.WRONG_NAMESPACE)

    def test_sequence_out_of_order_is_unexpected(self):
        text = self.replaced(
            "<EndBoundary>2026-01-02T00:00:00Z</EndBoundary>\n",
            "<EndBoundary>2026-01-02T00:00:00Z</EndBoundary><StartBoundary>2026-01-01T00:00:00Z</StartBoundary>\n",
        ).replace("<StartBoundary>2026-01-01T00:00:00Z</StartBoundary>\n", "\n", 1)
        error = self.refused(text)
        self.assertEqual((error.hresult, error.node), (taskxml.UNEXPECTED_NODE, "StartBoundary"))

    def test_order_of_windows_own_exports_is_taken(self):
        text = self.replaced("    <Enabled>true</Enabled>\n", "").replace(
            "</EndBoundary>\n", "</EndBoundary><Enabled>true</Enabled>\n"
        )
        taskxml.parse(text)

    def test_settings_in_any_order_are_taken(self):
        taskxml.parse(self.replaced("<Priority>5</Priority>", "<Enabled>true</Enabled><Priority>5</Priority>"))

    def test_setting_given_twice_is_unexpected(self):
        error = self.refused(self.replaced("<Priority>5", "<Priority>5</Priority><Priority>5"))
        self.assertEqual((error.hresult, error.node), (taskxml.UNEXPECTED_NODE, "Priority"))

    def test_unknown_element_is_named(self):
        error = self.refused(self.replaced("<Priority>5</Priority>", "<Prio>5</Prio>"))
        self.assertEqual((error.hresult, error.node, error.line), (taskxml.UNEXPECTED_NODE, "Prio", 9))

    def test_values_of_wrong_form_are_refused(self):
        for old, new in (
            ("<Enabled>true", "<Enabled>True"),
            ("<Enabled>true", "<Enabled>yes"),
            ("2026-01-01T00:00:00Z", "2026-01-01 00:00:00"),
            ("2026-01-01T00:00:00Z", "2026-13-01T00:00:00Z"),
            (">P7D<", ">7D<"),
            (">P7D<", ">P<"),
            (">P7D<", ">PT<"),
            ("<Priority>5", "<Priority>11"),
            ("HighestAvailable", "Highest"),
            ("C:\\SPDISTRO\\a b.exe", ""),
            ("C:\\SPDISTRO\\a b.exe", "x" * 261),
            ('version="1.2"', 'version="12"'),
        ):
            with self.subTest(new=new):
                self.assertEqual(self.refused(self.replaced(old, new)).hresult, taskxml.INVALID_VALUE)

    def test_missing_elements_are_named(self):
        for cut, node in (
            ("<Command>C:\\SPDISTRO\\a b.exe</Command>", "Command"),
            ("<StartBoundary>2026-01-01T00:00:00Z</StartBoundary>", "StartBoundary"),
            ("<EndBoundary>2026-01-02T00:00:00Z</EndBoundary>", "EndBoundary"),
        ):
            with self.subTest(node=node):
                error = self.refused(self.replaced(cut, ""))
                self.assertEqual((error.hresult, error.node), (taskxml.MISSING_NODE, node))

    def test_context_without_principal_is_refused(self):
        self.assertEqual(self.refused(self.replaced('Context="P"', 'Context="Q"')).hresult, taskxml.INVALID_VALUE)

    def test_setting_newer_than_the_version_is_unexpected(self):
        text = self.replaced("<Priority>", "<UseUnifiedSchedulingEngine>true</UseUnifiedSchedulingEngine><Priority>")
        self.assertEqual(self.refused(text).hresult, taskxml.UNEXPECTED_NODE)
        taskxml.parse(text.replace('version="1.2"', 'version="1.3"'))

    def test_serialized_task_differs_in_bytes_and_says_the_same(self):
        root = taskxml.parse(TASK)
        text = taskxml.serialize(root, "\\Pusher\\x")
        self.assertNotEqual(text, TASK)
        again = taskxml.parse(text)
        self.assertEqual(again.value("RegistrationInfo/URI"), "\\Pusher\\x")
        self.assertEqual(again.value("Actions/Exec/Arguments"), "/S & x")
        self.assertEqual(again.value("Settings/Priority"), "5")
        self.assertEqual(again.value("Settings/DisallowStartIfOnBatteries"), "true")

    def test_durations_are_counted(self):
        self.assertEqual(taskxml.seconds("P1DT2H3M4S"), 93784)
        self.assertEqual(taskxml.seconds("PT72H"), 259200)
        self.assertIsNone(taskxml.seconds("-PT1S"))


class Sddl(unittest.TestCase):
    def test_descriptor_is_written_as_read(self):
        text = "O:BAG:SYD:P(A;OICI;FA;;;SY)(A;;FR;;;S-1-5-21-1-2-3)"
        self.assertEqual(sddl.write(sddl.parse(text)), text)

    def test_parts_asked_for_are_written(self):
        self.assertEqual(sddl.write(sddl.parse("O:BAD:(A;;FA;;;BA)"), 1), "O:BA")

    def test_broken_strings_are_refused(self):
        for text in ("", "X:BA", "D:P(A;;FA;;BA)", "D:(A;;QQ;;;BA)", "D:P(A;;FA;;;BA", "O:BAO:SY", "D:(A;XX;FA;;;BA)"):
            with self.subTest(text=text), self.assertRaises(sddl.SddlError):
                sddl.parse(text)

    def test_denied_right_is_not_granted(self):
        parsed = sddl.parse("D:(D;;FW;;;BU)(A;;FA;;;BU)")
        self.assertFalse(sddl.allowed(parsed, {"BU"}) & 0x2)


def npa_request(server="10.50.1.2", client="10.49.0.1"):
    """What smbd 4.17 sends, cut after the strings."""

    def string(text):
        data = text.encode() + b"\0"
        return struct.pack("<III", len(data), 0, len(data)) + data + bytes(-len(data) % 4)

    body = b"NPAM" + struct.pack("<II", 7, 7)
    body += struct.pack("<B3xIIH2x", 1, 0x20000, 0x20004, 54574)
    body += struct.pack("<IIH2xI", 0x20008, 0x2000C, 445, 0x20010)
    body += string("standin") + string(client) + string("standin") + string(server)
    return struct.pack(">I", len(body)) + body


class NamedPipeAuth(unittest.TestCase):
    def test_addresses_are_read(self):
        request = npa.parse(npa_request())
        self.assertEqual((request.server_address, request.client_address), ("10.50.1.2", "10.49.0.1"))

    def test_reply_is_36_bytes_and_counts_itself(self):
        self.assertEqual(len(npa.REPLY), 36)
        self.assertEqual(struct.unpack_from(">I", npa.REPLY)[0], 32)

    def test_every_cut_is_refused(self):
        whole = npa_request()
        for size in range(len(whole)):
            with self.assertRaises(npa.NpaError):
                npa.parse(whole[:size])
        for size in range(20, len(whole)):  # with a length field that fits
            cut = struct.pack(">I", size - 4) + whole[4:size]
            try:
                npa.parse(cut)
            except npa.NpaError:
                pass

    def test_other_level_is_refused(self):
        with self.assertRaises(npa.NpaError):
            npa.parse(npa_request().replace(struct.pack("<II", 7, 7), struct.pack("<II", 8, 8)))


class Ntlm(unittest.TestCase):
    def exchange(self, password, account_password="secret"):
        """Impacket's client against our server."""
        account = {"user": "u", "nt_hash": ntlm.compute_nthash(account_password).hex(), "admin": True}
        server = ntlm_server.NtlmServer([account], "PC-1", "pc-1.lab.test")
        first = ntlm.getNTLMSSPType1("", "", signingRequired=True, use_ntlmv2=True)
        second = server.challenge(first.getData())
        third, key = ntlm.getNTLMSSPType3(first, second, "u", password, "", use_ntlmv2=True)
        return server, third.getData(), key

    def test_right_password_gives_working_seals(self):
        server, third, key = self.exchange("secret")
        account, seal = server.authenticate(third)
        self.assertEqual(account["user"], "u")
        flags = ntlm_server.REQUIRED
        sign, sealing = ntlm.SIGNKEY(flags, key), ntlm.SEALKEY(flags, key)
        stream = ARC4.new(sealing).encrypt
        for number in range(3):
            body = bytes([number]) * (16 + number)
            sealed, signature = ntlm.SEAL(flags, sign, sealing, b"head" + body + b"tail", body, number, stream)
            self.assertEqual(seal.unseal(b"head", sealed, b"tail", signature.getData()), body)
        sealed, signature = ntlm.SEAL(flags, sign, sealing, b"head" + body + b"tail", body, 3, stream)
        self.assertIsNone(seal.unseal(b"Head", sealed, b"tail", signature.getData()))

    def test_wrong_password_is_refused(self):
        server, third, _ = self.exchange("Secret")
        with self.assertRaises(ntlm_server.NtlmRefused):
            server.authenticate(third)

    def test_flipped_bits_of_the_proof_are_refused(self):
        server, third, _ = self.exchange("secret")
        (start,) = struct.unpack_from("<I", third, 24)
        for offset in range(start, start + 16):
            broken = bytearray(third)
            broken[offset] ^= 1
            with self.assertRaises(ntlm_server.NtlmRefused):
                server.authenticate(bytes(broken))


class Spnego(unittest.TestCase):
    def test_response_is_read_back(self):
        token = spnego.response(spnego.ACCEPT_INCOMPLETE, spnego.OID_NTLMSSP, b"T" * 300, b"MIC")
        self.assertEqual(spnego.parse_response(token), (b"T" * 300, b"MIC"))

    def test_every_cut_is_refused(self):
        token = spnego.response(spnego.ACCEPT_INCOMPLETE, spnego.OID_NTLMSSP, b"T" * 300)
        for size in range(len(token)):
            with self.assertRaises(spnego.SpnegoError):
                spnego.parse_response(token[:size])


class Rpc(unittest.TestCase):
    def connection(self):
        return rpcserver.RpcConnection([], "PC-1", "pc-1.lab.test", lambda *_: b"")

    def bind(self, interface=rpcserver.TSCH, syntax=rpcserver.NDR32):
        body = struct.pack("<HHIBxxx", 4280, 4280, 0, 1) + struct.pack("<HBx", 0, 1)
        body += interface[0] + struct.pack("<I", interface[1]) + syntax[0] + struct.pack("<I", syntax[1])
        return struct.pack("<BBBB4sHHI", 5, 0, rpcserver.BIND, 3, b"\x10\0\0\0", 16 + len(body), 0, 1) + body

    def test_bind_is_acknowledged_with_aligned_results(self):
        (answer,) = self.connection().feed(self.bind())
        self.assertEqual(answer[2], rpcserver.BIND_ACK)
        (length,) = struct.unpack_from("<H", answer, 24)
        offset = (26 + length + 3) & ~3
        self.assertEqual(answer[offset], 1)
        self.assertEqual(struct.unpack_from("<HH", answer, offset + 4), (0, 0))
        self.assertEqual(answer[offset + 8 : offset + 24], rpcserver.NDR32[0])

    def test_other_interface_is_rejected(self):
        (answer,) = self.connection().feed(self.bind(interface=(bytes(16), 1)))
        self.assertEqual(struct.unpack_from("<HH", answer, len(answer) - 24), (2, 1))

    def test_call_without_sealing_faults_with_access_denied(self):
        connection = self.connection()
        connection.feed(self.bind())
        request = struct.pack("<BBBB4sHHIIHH", 5, 0, 0, 3, b"\x10\0\0\0", 24, 0, 2, 0, 0, 0)
        with self.assertRaises(rpcserver.Disconnect) as caught:
            connection.feed(request)
        (fault,) = caught.exception.pdus
        self.assertEqual((fault[2], struct.unpack_from("<I", fault, 24)[0]), (rpcserver.FAULT, 5))

    def test_every_cut_of_a_bind_is_refused(self):
        whole = self.bind()
        for size in range(len(whole)):
            cut = bytearray(whole[:size])
            if size >= 10:
                struct.pack_into("<H", cut, 8, size)
            with self.assertRaises(rpcserver.Disconnect):
                self.connection().feed(bytes(cut))


class Faults(unittest.TestCase):
    def test_default_deals_each_of_the_ten_equally(self):
        targets, _ = spec.make_targets(200, 4)
        dealt = faults.deal("default", targets)
        self.assertEqual(len(dealt), 40)
        self.assertEqual({list(dealt.values()).count(name) for name in faults.DEFAULT_NAMES}, {4})

    def test_named_and_counted_faults_are_dealt(self):
        targets, _ = spec.make_targets(10, 1)
        dealt = faults.deal("pc-0003=no-share,no-ping*2", targets)
        self.assertEqual(sorted(dealt.values()), ["no-ping", "no-ping", "no-share"])
        self.assertEqual(dealt["10.50.1.3"], "no-share")

    def test_unknown_fault_is_refused(self):
        with self.assertRaises(ValueError):
            faults.deal("no-such-thing", spec.make_targets(10, 1)[0])

    def test_targets_fill_subnets_evenly(self):
        targets, subnets = spec.make_targets(200, 2)
        self.assertEqual(subnets, ["10.50.1.0/24", "10.50.2.0/24"])
        self.assertEqual(len({target["address"] for target in targets}), 200)
        self.assertEqual(sum(target["subnet"] == subnets[0] for target in targets), 100)


class Reports(unittest.TestCase):
    TARGETS = [
        {"address": "10.50.1.1", "host": "pc-0001", "fqdn": "pc-0001.lab.test", "fault": None, "expected": None},
        {"address": "10.50.1.2", "host": "pc-0002", "fqdn": "pc-0002.lab.test", "fault": "no-share",
         "expected": {"stage": "access", "reason": "BAD_SHARE"}},
    ]

    def said(self, *rows):
        names = ("target", "state", "stage", "reason")
        return checks.report_problems(self.TARGETS, {"targets": [dict(zip(names, row)) for row in rows]})

    def test_report_as_predicted_is_accepted(self):
        good = ("10.50.1.1", "scheduled", "schedule", None)
        self.assertEqual(self.said(good, ("pc-0002", "failed", "access", "BAD_SHARE")), [])

    def test_wrong_missing_double_and_strange_rows_are_named(self):
        good, bad = ("pc-0001", "scheduled", "schedule", ""), ("pc-0002", "failed", "access", "BAD_SHARE")
        self.assertEqual(len(self.said(good)), 1)
        self.assertEqual(len(self.said(good, good, bad)), 1)
        self.assertEqual(len(self.said(good, bad, ("other", "failed", "ping", "NO_REPLY"))), 1)
        self.assertEqual(len(self.said(good, ("pc-0002", "failed", "path", "BAD_SHARE"))), 1)
        self.assertEqual(len(self.said(("pc-0001", "failed", "ping", "NO_REPLY"), bad)), 1)


class Programs(unittest.TestCase):
    def test_package_is_found_in_command_and_arguments(self):
        import tempfile

        with tempfile.TemporaryDirectory() as drive:
            os.makedirs(f"{drive}/SPDISTRO")
            for name in ("Setup 1.exe", "x.msi"):
                with open(f"{drive}/SPDISTRO/{name}", "wb"):
                    pass
            program = taskrun.Runner._program
            found = f"{drive}/SPDISTRO/Setup 1.exe"
            self.assertEqual(program(drive, "c:\\spdistro\\setup 1.exe", "", ""), (found, None))
            self.assertEqual(program(drive, "C:\\SPDISTRO\\gone.exe", "", ""), (None, taskrun.FILE_NOT_FOUND))
            self.assertEqual(
                program(drive, "C:\\Windows\\System32\\msiexec.exe", '/i "C:\\SPDISTRO\\x.msi" /qn', ""),
                (f"{drive}/SPDISTRO/x.msi", None),
            )
            self.assertEqual(program(drive, "msiexec.exe", "/i C:\\SPDISTRO\\y.msi", ""), (None, 1619))


if __name__ == "__main__":
    unittest.main()
