"""Server side of connection-oriented DCE/RPC ([C706] 12, [MS-RPCE]) over one pipe: PDUs in, PDUs out, no I/O.

PKT_PRIVACY is enforced as the Task Scheduler does it: a client may bind at any level, its first call faults with access
denied unless calls are sealed by an authenticated context. A PDU whose signature is wrong faults and ends the pipe.
"""

import struct
import uuid

from . import ntlm_server, spnego

REQUEST, RESPONSE, FAULT, BIND, BIND_ACK, BIND_NAK = 0, 2, 3, 11, 12, 13
ALTER_CONTEXT, ALTER_CONTEXT_RESP, AUTH3, CO_CANCEL, ORPHANED = 14, 15, 16, 18, 19

PFC_FIRST, PFC_LAST, PFC_HEADER_SIGN, PFC_DID_NOT_EXECUTE, PFC_OBJECT = 0x01, 0x02, 0x04, 0x20, 0x80

AUTH_SPNEGO, AUTH_NTLM = 9, 10
LEVEL_PRIVACY = 6

FRAGMENT_MAX = 4280
FRAGMENT_MIN = 1432
STUB_MAX = 4 << 20
HEADER = 24  # of a request or a response, up to the stub
TRAILER = 8
SIGNATURE = 16

TSCH = (uuid.UUID("86d35949-83c9-4044-b424-db363231fd0c").bytes_le, 1)
MGMT = (uuid.UUID("afa8bd80-7d8a-11c9-bef4-08002b102989").bytes_le, 1)  # [C706] Q: every server has it
NDR32 = (uuid.UUID("8a885d04-1ceb-11c9-9fe8-08002b104860").bytes_le, 2)
FEATURES_PREFIX = uuid.UUID("6cb71c2c-9812-4540-0000-000000000000").bytes_le[:8]

FAULT_ACCESS_DENIED = 0x00000005
FAULT_UNKNOWN_INTERFACE = 0x1C010003
FAULT_PROTOCOL = 0x1C01000B
FAULT_OP_RANGE = 0x1C010002
FAULT_BAD_STUB = 0x000006F7


class Disconnect(Exception):
    """The pipe has to be closed; `pdus` are sent before."""

    def __init__(self, why, pdus=()):
        super().__init__(why)
        self.pdus = list(pdus)


class RpcFault(Exception):
    """Raised by a call handler: answered with a fault PDU."""

    def __init__(self, status):
        super().__init__(f"fault 0x{status:08x}")
        self.status = status


class RpcConnection:
    """One client on one pipe. `dispatch(opnum, stub, account, facts)` returns the response's stub."""

    def __init__(self, accounts, netbios, dns_name, dispatch, fragment_max=FRAGMENT_MAX, clock_s=0):
        self._ntlm = ntlm_server.NtlmServer(accounts, netbios, dns_name, clock_s)
        self._dispatch = dispatch
        self._limit = fragment_max
        self._send_max = fragment_max
        self._contexts = {}  # context id -> interface
        self._auth = None  # (type, level, context id) of the bind
        self._seal = None
        self._account = None
        self._spnego_mechs = b""
        self._header_sign = False
        self._call = None  # (call id, opnum, context id) of a request that is coming in
        self._stub = b""
        self.facts = {"level": 0, "auth_type": 0, "request_fragments": 0, "refused": None}

    # -- in -------------------------------------------------------------------------------------------------------

    def feed(self, pdu):
        """One PDU from the client; the PDUs that answer it."""
        if len(pdu) < 16:
            raise Disconnect("shorter than a header")
        major, minor, kind, flags, drep, length, auth_length, call_id = struct.unpack_from("<BBBB4sHHI", pdu)
        if major != 5 or minor not in (0, 1) or drep[0] != 0x10 or length != len(pdu):
            raise Disconnect("not an RPC 5 PDU of this length", [self._fault(call_id, 0, FAULT_PROTOCOL)])
        if length > FRAGMENT_MAX:
            raise Disconnect("fragment longer than agreed", [self._fault(call_id, 0, FAULT_PROTOCOL)])
        if kind in (BIND, ALTER_CONTEXT):
            return self._bind(kind, flags, pdu, auth_length, call_id)
        if kind == AUTH3:
            return self._auth3(pdu, auth_length)
        if kind == REQUEST:
            return self._request(flags, pdu, auth_length, call_id)
        if kind in (CO_CANCEL, ORPHANED):
            return []
        raise Disconnect(f"PDU type {kind}", [self._fault(call_id, 0, FAULT_PROTOCOL)])

    def _trailer(self, pdu, auth_length, body_start):
        """(offset of the trailer, type, level, pad length, context id, token)."""
        start = len(pdu) - auth_length - TRAILER
        if start < body_start or start % 4:
            raise Disconnect("the auth trailer lies outside the PDU or is not aligned")
        kind, level, pad, _, context = struct.unpack_from("<BBBBI", pdu, start)
        if pad > start - body_start:
            raise Disconnect("more padding than body")
        return start, kind, level, pad, context, pdu[start + TRAILER :]

    # -- bind -----------------------------------------------------------------------------------------------------

    def _bind(self, kind, flags, pdu, auth_length, call_id):
        if len(pdu) < 28:
            raise Disconnect("bind too short")
        if kind == BIND:
            if self._contexts:
                raise Disconnect("second bind", [self._nak(call_id, 0)])
            client_send, client_receive = struct.unpack_from("<HH", pdu, 16)
            if client_receive < FRAGMENT_MIN:
                raise Disconnect("client's fragments are too small", [self._nak(call_id, 0)])
            self._send_max = min(self._limit, client_receive)
            self._receive_max = min(FRAGMENT_MAX, client_send)
            self._header_sign = bool(flags & PFC_HEADER_SIGN)
            self.facts["header_sign"] = self._header_sign
        elif not self._contexts:
            raise Disconnect("alter_context before bind", [self._fault(call_id, 0, FAULT_PROTOCOL)])
        results = self._negotiate(pdu)
        token, trailer = b"", b""
        if auth_length:
            _, auth_type, level, _, context, asked = self._trailer(pdu, auth_length, 28)
            if self._auth is None:
                self._auth = (auth_type, level, context)
                self.facts |= {"auth_type": auth_type, "level": level}
            elif self._auth != (auth_type, level, context):
                raise Disconnect("auth type, level or context changed", [self._fault(call_id, 0, FAULT_PROTOCOL)])
            token = self._login(auth_type, asked, call_id)
            trailer = struct.pack("<BBBBI", auth_type, level, 0, 0, context)
        # [C706] 12.6.4.4: the secondary address, then padding so that the results begin 4-aligned
        address = b"\\PIPE\\atsvc\0" if kind == BIND else b""
        body = struct.pack("<HHI", self._receive_max, self._receive_max, 0x53F0)
        body += struct.pack("<H", len(address)) + address
        body += bytes(-(16 + len(body)) % 4)
        body += struct.pack("<BBH", len(results), 0, 0) + b"".join(results)
        answer = BIND_ACK if kind == BIND else ALTER_CONTEXT_RESP
        answer_flags = PFC_FIRST | PFC_LAST | (PFC_HEADER_SIGN if self._header_sign else 0)
        if not token and kind == BIND:
            trailer = b""
        return [self._pdu(answer, answer_flags, call_id, body + trailer + token, len(token))]

    def _negotiate(self, pdu):
        """The result list: one entry per offered context, in order."""
        count, offset, results = pdu[24], 28, []
        for _ in range(count):
            if offset + 24 > len(pdu):
                raise Disconnect("context list ends too early")
            context, syntaxes = struct.unpack_from("<HB", pdu, offset)
            interface = (pdu[offset + 4 : offset + 20], *struct.unpack_from("<H", pdu, offset + 20))
            offset += 24
            offered = []
            for _ in range(syntaxes):
                if offset + 20 > len(pdu):
                    raise Disconnect("transfer syntaxes end too early")
                offered.append((pdu[offset : offset + 16], *struct.unpack_from("<H", pdu, offset + 16)))
                offset += 20
            if any(syntax[0].startswith(FEATURES_PREFIX) for syntax in offered):
                results.append(struct.pack("<HH", 3, 3) + bytes(20))  # [MS-RPCE] 3.3.1.5.3 negotiate_ack
            elif interface not in (TSCH, MGMT):
                results.append(struct.pack("<HH", 2, 1) + bytes(20))
            elif NDR32 not in offered:
                results.append(struct.pack("<HH", 2, 2) + bytes(20))
            else:
                self._contexts[context] = interface
                results.append(struct.pack("<HH", 0, 0) + NDR32[0] + struct.pack("<I", NDR32[1]))
        return results

    # -- login ----------------------------------------------------------------------------------------------------

    def _login(self, auth_type, token, call_id):
        try:
            if auth_type == AUTH_NTLM:
                return self._ntlm.challenge(token)
            if auth_type == AUTH_SPNEGO:
                return self._spnego(token)
        except (ntlm_server.NtlmRefused, spnego.SpnegoError, struct.error, UnicodeDecodeError) as error:
            self.facts["refused"] = str(error)
            raise Disconnect(str(error), [self._fault(call_id, 0, FAULT_ACCESS_DENIED)]) from error
        raise Disconnect("unknown auth type", [self._nak(call_id, 8)])  # [C706] authentication_type_not_recognized

    def _spnego(self, token):
        if token[:1] == b"\x60":
            mechanisms, self._spnego_mechs, inner = spnego.parse_init(token)
            if spnego.OID_NTLMSSP not in mechanisms:
                raise spnego.SpnegoError("NTLM is not offered")
            if mechanisms[0] != spnego.OID_NTLMSSP or not inner:
                return spnego.response(spnego.ACCEPT_INCOMPLETE, spnego.OID_NTLMSSP)
            return spnego.response(spnego.ACCEPT_INCOMPLETE, spnego.OID_NTLMSSP, self._ntlm.challenge(inner))
        inner, mic = spnego.parse_response(token)
        if inner[8:12] == b"\1\0\0\0":
            return spnego.response(spnego.ACCEPT_INCOMPLETE, spnego.OID_NTLMSSP, self._ntlm.challenge(inner))
        self._account, self._seal = self._ntlm.authenticate(inner)
        self.facts |= self._ntlm.facts | {"mech_list_mic": bool(mic)}
        if not mic:
            return spnego.response(spnego.ACCEPT_COMPLETED)
        if not self._seal.verify(self._spnego_mechs, mic):
            self._seal = None
            raise spnego.SpnegoError("wrong mechListMIC")
        ours = self._seal.sign(self._spnego_mechs)
        self._seal.restart_streams()
        return spnego.response(spnego.ACCEPT_COMPLETED, mic=ours)

    def _auth3(self, pdu, auth_length):
        """Never answered; a refused login shows as a fault on the first call ([MS-RPCE] 3.3.1.5.4)."""
        if not auth_length or self._auth is None:
            raise Disconnect("auth3 without authentication")
        _, auth_type, level, _, context, token = self._trailer(pdu, auth_length, 16)
        if (auth_type, level, context) != self._auth:
            raise Disconnect("auth type, level or context changed")
        try:
            self._account, self._seal = self._ntlm.authenticate(token)
            self.facts |= self._ntlm.facts
        except (ntlm_server.NtlmRefused, struct.error, UnicodeDecodeError) as error:
            self.facts["refused"] = str(error)
        return []

    # -- request --------------------------------------------------------------------------------------------------

    def _request(self, flags, pdu, auth_length, call_id):
        if len(pdu) < HEADER:
            raise Disconnect("request too short")
        _, context, opnum = struct.unpack_from("<IHH", pdu, 16)
        start = HEADER + (16 if flags & PFC_OBJECT else 0)
        if self._seal is None or self._auth is None or self._auth[1] != LEVEL_PRIVACY or not auth_length:
            refused = self.facts["refused"] or "calls are not sealed"
            self.facts["refused"] = refused
            raise Disconnect(refused, [self._fault(call_id, context, FAULT_ACCESS_DENIED)])
        trailer, auth_type, level, pad, auth_context, signature = self._trailer(pdu, auth_length, start)
        if (auth_type, level, auth_context) != self._auth or len(signature) != SIGNATURE:
            raise Disconnect("another auth trailer", [self._fault(call_id, context, FAULT_PROTOCOL)])
        plain = self._seal.unseal(pdu[:start], pdu[start:trailer], pdu[trailer : trailer + TRAILER], signature)
        if plain is None:
            self.facts["refused"] = "wrong signature"
            raise Disconnect("wrong signature", [self._fault(call_id, context, FAULT_ACCESS_DENIED)])
        stub = plain[: len(plain) - pad]
        self.facts["request_fragments"] += 1
        if flags & PFC_FIRST:
            if self._call is not None:
                raise Disconnect("a call inside a call", [self._fault(call_id, context, FAULT_PROTOCOL)])
            self._call, self._stub = (call_id, opnum, context), b""
        elif self._call != (call_id, opnum, context):
            raise Disconnect("a fragment of another call", [self._fault(call_id, context, FAULT_PROTOCOL)])
        self._stub += stub
        if len(self._stub) > STUB_MAX:
            raise Disconnect("call too long", [self._fault(call_id, context, FAULT_PROTOCOL)])
        if not flags & PFC_LAST:
            return []
        self._call = None
        if context not in self._contexts:
            return [self._fault(call_id, context, FAULT_UNKNOWN_INTERFACE)]
        try:
            if self._contexts[context] == MGMT:
                answer = self._manage(opnum)
            else:
                answer = self._dispatch(opnum, self._stub, self._account, self.facts)
        except RpcFault as fault:
            return [self._fault(call_id, context, fault.status)]
        return self._respond(call_id, context, answer)

    @staticmethod
    def _manage(opnum):
        """[C706] Q.1.3 rpc__mgmt_is_server_listening: status 0, true; the other operations are not served."""
        if opnum != 2:
            raise RpcFault(FAULT_OP_RANGE)
        return struct.pack("<II", 0, 1)

    # -- out ------------------------------------------------------------------------------------------------------

    def _respond(self, call_id, context, stub):
        """Sealed fragments: the stub of each but the last is a multiple of 16, each is padded to 16."""
        room = (self._send_max - HEADER - TRAILER - SIGNATURE) // 16 * 16
        parts = [stub[i : i + room] for i in range(0, len(stub), room)] or [b""]
        fragments, left = [], len(stub)
        for index, part in enumerate(parts):
            flags = (PFC_FIRST if index == 0 else 0) | (PFC_LAST if index == len(parts) - 1 else 0)
            pad = -len(part) % 16
            plain = part + bytes(pad)
            total = HEADER + len(plain) + TRAILER + SIGNATURE
            head = struct.pack("<BBBB4sHHI", 5, 0, RESPONSE, flags, b"\x10\0\0\0", total, SIGNATURE, call_id)
            head += struct.pack("<IHBB", left, context, 0, 0)
            trailer = struct.pack("<BBBBI", self._auth[0], self._auth[1], pad, 0, self._auth[2])
            sealed, signature = self._seal.seal(head, plain, trailer)
            fragments.append(head + sealed + trailer + signature)
            left -= len(part)
        return fragments

    @staticmethod
    def _pdu(kind, flags, call_id, body, auth_length=0):
        return (
            struct.pack("<BBBB4sHHI", 5, 0, kind, flags, b"\x10\0\0\0", 16 + len(body), auth_length, call_id) + body
        )

    def _fault(self, call_id, context, status):
        body = struct.pack("<IHBBII", 32, context, 0, 0, status, 0)
        return self._pdu(FAULT, PFC_FIRST | PFC_LAST | PFC_DID_NOT_EXECUTE, call_id, body)

    def _nak(self, call_id, reason):
        return self._pdu(BIND_NAK, PFC_FIRST | PFC_LAST, call_id, struct.pack("<HBBBB", reason, 1, 5, 0, 0))
