"""Server side of NTLM ([MS-NLMP]) for the scheduler's RPC: challenge, check of the answer, signing and sealing.

Only what a current Windows accepts: NTLMv2 with extended session security, 128-bit keys, key exchange, sign and seal.
"""

import hashlib
import hmac
import os
import struct
import time

from Cryptodome.Cipher import ARC4

SIGNATURE = b"NTLMSSP\0"

NEGOTIATE_UNICODE = 0x00000001
REQUEST_TARGET = 0x00000004
NEGOTIATE_SIGN = 0x00000010
NEGOTIATE_SEAL = 0x00000020
NEGOTIATE_NTLM = 0x00000200
NEGOTIATE_ANONYMOUS = 0x00000800
NEGOTIATE_ALWAYS_SIGN = 0x00008000
TARGET_TYPE_SERVER = 0x00020000
NEGOTIATE_ESS = 0x00080000
NEGOTIATE_TARGET_INFO = 0x00800000
NEGOTIATE_VERSION = 0x02000000
NEGOTIATE_128 = 0x20000000
NEGOTIATE_KEY_EXCH = 0x40000000
REQUIRED = (
    NEGOTIATE_UNICODE | NEGOTIATE_SIGN | NEGOTIATE_SEAL | NEGOTIATE_ESS | NEGOTIATE_128 | NEGOTIATE_KEY_EXCH
)

# [MS-NLMP] 2.2.2.1 AvId
AV_EOL, AV_NB_COMPUTER, AV_NB_DOMAIN, AV_DNS_COMPUTER, AV_DNS_DOMAIN = 0, 1, 2, 3, 4
AV_FLAGS, AV_TIMESTAMP, AV_TARGET_NAME = 6, 7, 9
AV_FLAG_MIC = 2

VERSION_WINDOWS_10 = bytes([10, 0]) + struct.pack("<H", 19041) + b"\0\0\0\x0f"


class NtlmRefused(Exception):
    """The login does not count; the text says why, for the lab's log only."""


class SealState:
    """Keys, RC4 streams and sequence numbers of one authenticated context ([MS-NLMP] 3.4.4)."""

    def __init__(self, exported_key):
        def key(what, side):
            other = "server" if side == "client" else "client"
            return hashlib.md5(
                exported_key + f"session key to {side}-to-{other} {what} key magic constant".encode() + b"\0"
            ).digest()

        self._sign = {side: key("signing", side) for side in ("client", "server")}
        self._seal = {side: key("sealing", side) for side in ("client", "server")}
        self.sequence = {"client": 0, "server": 0}
        self.restart_streams()

    def restart_streams(self):
        """After a SPNEGO mechListMIC the streams begin anew; the sequence numbers go on ([MS-SPNG] 3.2.5.1)."""
        self._stream = {side: ARC4.new(key) for side, key in self._seal.items()}

    def _mac(self, side, message):
        sequence = struct.pack("<I", self.sequence[side])
        digest = hmac.new(self._sign[side], sequence + message, "md5").digest()[:8]
        self.sequence[side] += 1
        return struct.pack("<I", 1) + self._stream[side].encrypt(digest) + sequence

    def unseal(self, before, sealed, after, signature):
        """The plaintext of what the client sealed, or None when the signature over the whole PDU is wrong."""
        plain = self._stream["client"].encrypt(sealed)
        good = self._mac("client", before + plain + after)
        return plain if hmac.compare_digest(good, signature) else None

    def seal(self, before, plain, after):
        """(sealed, signature) of the server's next fragment."""
        sealed = self._stream["server"].encrypt(plain)
        return sealed, self._mac("server", before + plain + after)

    def sign(self, message):
        return self._mac("server", message)

    def verify(self, message, signature):
        return hmac.compare_digest(self._mac("client", message), signature)


class NtlmServer:
    """One exchange: negotiate -> challenge -> authenticate."""

    def __init__(self, accounts, netbios, dns_name, clock_s=0):
        self._accounts = {account["user"].lower(): account for account in accounts}
        self._netbios = netbios
        self._dns_name = dns_name
        self._clock_s = clock_s
        self._challenge = os.urandom(8)
        self._negotiate = b""
        self._challenge_message = b""
        self.facts = {}  # what the client did, for the lab's checks

    def challenge(self, message):
        """The CHALLENGE_MESSAGE for the client's NEGOTIATE_MESSAGE."""
        if len(message) < 16 or message[:8] != SIGNATURE or struct.unpack_from("<I", message, 8)[0] != 1:
            raise NtlmRefused("not a NEGOTIATE_MESSAGE")
        (asked,) = struct.unpack_from("<I", message, 12)
        self._negotiate = bytes(message)
        flags = asked & (NEGOTIATE_SIGN | NEGOTIATE_SEAL | NEGOTIATE_128 | NEGOTIATE_KEY_EXCH | 0x80000000)
        flags |= (
            NEGOTIATE_UNICODE | REQUEST_TARGET | NEGOTIATE_NTLM | NEGOTIATE_ALWAYS_SIGN | TARGET_TYPE_SERVER
            | NEGOTIATE_ESS | NEGOTIATE_TARGET_INFO | NEGOTIATE_VERSION
        )
        name = self._netbios.encode("utf-16-le")
        stamp = int((time.time() + self._clock_s + 11644473600) * 10_000_000)
        domain = self._dns_name.partition(".")[2]
        info = b"".join(
            struct.pack("<HH", kind, len(value)) + value
            for kind, value in (
                (AV_NB_DOMAIN, name),
                (AV_NB_COMPUTER, name),
                (AV_DNS_DOMAIN, domain.encode("utf-16-le")),
                (AV_DNS_COMPUTER, self._dns_name.encode("utf-16-le")),
                (AV_TIMESTAMP, struct.pack("<Q", stamp)),
                (AV_EOL, b""),
            )
        )
        self._challenge_message = (
            SIGNATURE
            + struct.pack("<IHHII", 2, len(name), len(name), 56, flags)
            + self._challenge
            + bytes(8)
            + struct.pack("<HHI", len(info), len(info), 56 + len(name))
            + VERSION_WINDOWS_10
            + name
            + info
        )
        return self._challenge_message

    def authenticate(self, message):
        """(account, SealState) for a good AUTHENTICATE_MESSAGE; NtlmRefused otherwise."""
        if len(message) < 64 or message[:8] != SIGNATURE or struct.unpack_from("<I", message, 8)[0] != 3:
            raise NtlmRefused("not an AUTHENTICATE_MESSAGE")

        def field(offset):
            length, _, start = struct.unpack_from("<HHI", message, offset)
            if start + length > len(message):
                raise NtlmRefused("a field points outside the message")
            return message[start : start + length]

        answer, domain, user, key = field(20), field(28), field(36), field(52)
        (flags,) = struct.unpack_from("<I", message, 60)
        if flags & NEGOTIATE_ANONYMOUS or not user:
            raise NtlmRefused("anonymous")
        if flags & REQUIRED != REQUIRED:
            raise NtlmRefused(f"flags 0x{flags:08x} lack 0x{REQUIRED & ~flags:08x}")
        if len(answer) <= 24 + 16:
            raise NtlmRefused("not NTLMv2")
        user_text, domain_text = user.decode("utf-16-le"), domain.decode("utf-16-le")
        account = self._accounts.get(user_text.lower())
        if account is None:
            raise NtlmRefused(f"no account {user_text!r}")
        if any(account.get(flag) for flag in ("disabled", "locked", "expired", "must_change")):
            raise NtlmRefused(f"account {user_text!r} may not log on")
        nt_hash = bytes.fromhex(account["nt_hash"])
        response_key = hmac.new(nt_hash, (user_text.upper() + domain_text).encode("utf-16-le"), "md5").digest()
        proof, blob = answer[:16], answer[16:]
        if not hmac.compare_digest(hmac.new(response_key, self._challenge + blob, "md5").digest(), proof):
            raise NtlmRefused("wrong password")
        base_key = hmac.new(response_key, proof, "md5").digest()
        exported = ARC4.new(base_key).decrypt(key)
        if len(exported) != 16:
            raise NtlmRefused("encrypted session key is not 16 bytes")
        pairs = _av_pairs(blob[28:])
        has_mic = bool(int.from_bytes(pairs.get(AV_FLAGS, b""), "little") & AV_FLAG_MIC)
        if has_mic:
            self._check_mic(message, exported)
        self.facts = {
            "user": user_text,
            "domain": domain_text,
            "mic": has_mic,
            "target_name": pairs.get(AV_TARGET_NAME, b"").decode("utf-16-le", "replace"),
            "flags": flags,
        }
        return account, SealState(exported)

    def _check_mic(self, message, exported):
        """[MS-NLMP] 3.2.5.1.2: over all three messages, the MIC itself as zeros."""
        zeroed = message[:72] + bytes(16) + message[88:]
        good = hmac.new(exported, self._negotiate + self._challenge_message + zeroed, "md5").digest()
        if not hmac.compare_digest(good, message[72:88]):
            raise NtlmRefused("wrong MIC")


def _av_pairs(data):
    pairs, offset = {}, 0
    while offset + 4 <= len(data):
        kind, length = struct.unpack_from("<HH", data, offset)
        if kind == AV_EOL:
            return pairs
        pairs[kind] = data[offset + 4 : offset + 4 + length]
        offset += 4 + length
    raise NtlmRefused("AV pairs without an end")
