"""Somebody between client and target who rewrites what they say to each other.

usage: tamper.py DIR        Port 445 of a target with such a fault is redirected to PORT here; which target was meant is
the local address of the accepted connection. DIR/tamper.json: {address: [fault, argument, port of the smbd behind]},
read for every connection.

Most of these know no secret: what they do must be found out. Those derived from `Server` know the account's password,
as the server does, and sign what they say: they stand for servers that smbd can't be made into.
"""

import asyncio
import hmac
import json
import struct
import sys

from Cryptodome.Cipher import ARC4

from standin import smb2, spec

PORT = 4441

# [MS-SMB2] 2.2.4, offsets from the start of the message
MODE, DIALECT, CONTEXT_COUNT, CAPABILITIES, CONTEXT_OFFSET = 66, 68, 70, 88, 124
CAP_ENCRYPTION = 0x40
CONTEXT_ENCRYPTION, CONTEXT_UNKNOWN = 2, 0x7FFF
SESSION_FLAGS, IS_NULL = 66, 0x2  # 2.2.6
# 2.2.3
REQUEST_DIALECT_COUNT, REQUEST_DIALECTS = 66, 100
FILE_ATTRIBUTE_REPARSE_POINT = 0x400


class Between:
    """One connection; by itself it passes on everything as it is."""

    key = None  # what answers are signed with anew, if it is known
    strange = set()  # addresses that did, once, what a kind does on the first connection only

    def __init__(self, argument, lab, address):
        self.argument = argument
        self.lab = lab
        self.address = address
        self.asked = {}  # message id -> the request

    def request(self, message):
        """What the client asks, before the server hears it."""

    def answer(self, message, asked):
        """What the server answers to ASKED (None for NEGOTIATE to an unknown id), before the client hears it."""

    async def to_server(self, frame):
        if frame[:4] != smb2.PLAIN:
            return frame
        messages = smb2.split(frame)
        for message in messages:
            self.asked[message.id] = message
            self.request(message)
        return smb2.join(messages) if len(messages) > 1 else bytes(messages[0].data)

    async def to_client(self, frame, write):
        if frame[:4] != smb2.PLAIN:
            write(self.sealed(frame))
            return
        messages = smb2.split(frame)
        for message in messages:
            if message.status != smb2.STATUS_PENDING:
                self.answer(message, self.asked.get(message.id))
        await self.deliver(messages, write)

    def first_time(self):
        """True on the first connection to this target that asks."""
        first = self.address not in self.strange
        self.strange.add(self.address)
        return first

    async def deliver(self, messages, write):
        write(smb2.join(messages, self.key))

    def sealed(self, frame):
        return frame


class Unsigned(Between):
    """Answers lose their signature (argument: those to this command only)."""

    def answer(self, message, asked):
        if message.command > smb2.SESSION_SETUP and message.command == smb2.COMMANDS.get(
            self.argument or "", message.command
        ):
            message.unsign()


class UnsignedOnce(Between):
    """The first answer to a call of the scheduler's loses its signature (argument: number of the method)."""

    def answer(self, message, asked):
        if message.command == smb2.IOCTL and asked is not None and self.method(asked) == int(self.argument):
            if self.first_time():
                message.unsign()

    @staticmethod
    def method(asked):
        """[C706] 12.6.4.9: opnum stands in the clear, also where the call is sealed."""
        start = asked.u32(88)  # InputOffset
        is_request = asked.data[start : start + 3] == b"\x05\x00\x00"
        return asked.u16(start + 22) if is_request else None


class UnsignedLogon(Between):
    """The end of the logon is not signed."""

    def answer(self, message, asked):
        if message.command == smb2.SESSION_SETUP and message.status == 0:
            message.unsign()


class BitFlipped(Between):
    """One bit of an answer is another one; the signature stays."""

    def answer(self, message, asked):
        if message.command == smb2.TREE_CONNECT:
            message.data[-1] ^= 1


class SealedBitFlipped(Between):
    """One bit of what is encrypted is another one."""

    def sealed(self, frame):
        return frame[:-1] + bytes([frame[-1] ^ 1])


class PlainAnswer(Between):
    """To the first request after the logon comes an answer in clear text: connected to the share."""

    def sealed(self, frame):
        forged = smb2.Message(bytes(smb2.HEADER) + struct.pack("<HBBIII", 16, 1, 0, 0, 0, 0x1F01FF))
        forged.data[:6] = b"\xfeSMB\x40\x00"
        forged.command, forged.flags, forged.credits = smb2.TREE_CONNECT, 0x1, 64
        forged.id, forged.session_id = max(self.asked) + 1, struct.unpack_from("<Q", frame, 44)[0]
        struct.pack_into("<I", forged.data, 36, 1)  # TreeId
        return bytes(forged.data)


class SigningOff(Between):
    """The server seems to neither need nor offer signing."""

    def answer(self, message, asked):
        if message.command == smb2.NEGOTIATE:
            struct.pack_into("<H", message.data, MODE, 0)


class Downgraded(Between):
    """The client seems to speak nothing newer (argument: the newest dialect, default 0x0302)."""

    def request(self, message):
        if message.command != smb2.NEGOTIATE:
            return
        newest = int(self.argument or "0x0302", 0)
        count = message.u16(REQUEST_DIALECT_COUNT)
        dialects = struct.unpack_from(f"<{count}H", message.data, REQUEST_DIALECTS)
        kept = [dialect for dialect in dialects if dialect <= newest]
        struct.pack_into("<H", message.data, REQUEST_DIALECT_COUNT, len(kept))
        struct.pack_into(f"<{count}H", message.data, REQUEST_DIALECTS, *kept, *[0] * (count - len(kept)))
        struct.pack_into("<Q", message.data, 92, 0)  # NegotiateContextOffset and Count: ClientStartTime below 3.1.1


class OtherDialect(Between):
    """The server seems to have chosen an older dialect (argument: which, default 0x0302)."""

    def answer(self, message, asked):
        if message.command == smb2.NEGOTIATE:
            struct.pack_into("<H", message.data, DIALECT, int(self.argument or "0x0302", 0))


class EncryptionOff(Between):
    """The server seems not to be able to encrypt."""

    def answer(self, message, asked):
        if message.command != smb2.NEGOTIATE:
            return
        struct.pack_into("<I", message.data, CAPABILITIES, message.u32(CAPABILITIES) & ~CAP_ENCRYPTION)
        if message.u16(DIALECT) != 0x0311:
            return
        at = message.u32(CONTEXT_OFFSET)
        for _ in range(message.u16(CONTEXT_COUNT)):
            at += -at % 8
            kind, size = struct.unpack_from("<HH", message.data, at)
            if kind == CONTEXT_ENCRYPTION:
                struct.pack_into("<H", message.data, at, CONTEXT_UNKNOWN)
            at += 8 + size


class SessionFlags(Between):
    """The end of the logon says other things about the session."""

    FLAGS = 0  # nothing: above all, no encryption

    def answer(self, message, asked):
        if message.command == smb2.SESSION_SETUP and message.status == 0:
            struct.pack_into("<H", message.data, SESSION_FLAGS, self.FLAGS)


class NullSession(SessionFlags):
    """The account was let in as nobody."""

    FLAGS = IS_NULL


class HungUp(Between):
    """The first connection is closed behind the first answer to a command (argument), as after having been idle too long."""

    async def deliver(self, messages, write):
        await super().deliver(messages, write)
        if any(message.command == smb2.COMMANDS[self.argument] for message in messages) and self.first_time():
            raise ConnectionAbortedError


class LogonStatus(Between):
    """The logon ends with another status (argument)."""

    def answer(self, message, asked):
        if message.command == smb2.SESSION_SETUP and message.status == 0:
            message.unsign()
            message.become_error(int(self.argument, 0))


class Server(Between):
    """Knows the session's key, like the server it stands for; dialect 2.1 only, so that the key signs as it is."""

    def request(self, message):
        if message.command == smb2.SESSION_SETUP:
            at = message.data.find(b"NTLMSSP\0\x03\0\0\0")
            if at >= 0:
                self.key = self._session_key(bytes(message.data[at:]))

    def _session_key(self, token):
        """[MS-NLMP] 3.3.2 and 3.4.5: what both sides make of the AUTHENTICATE_MESSAGE."""

        def field(offset):
            length, _, start = struct.unpack_from("<HHI", token, offset)
            return token[start : start + length]

        answer, domain, user, key = field(20), field(28), field(36), field(52)
        name = user.decode("utf-16-le").lower()
        account = next((row for row in self.lab["accounts"] if row["user"] == name), None)
        if account is None:
            return None
        identity = (user.decode("utf-16-le").upper() + domain.decode("utf-16-le")).encode("utf-16-le")
        response_key = hmac.new(bytes.fromhex(account["nt_hash"]), identity, "md5").digest()
        return ARC4.new(hmac.new(response_key, answer[:16], "md5").digest()).decrypt(key)


class Interim(Server):
    """File and pipe requests are answered late, with word before that they are being worked on (argument: seconds)."""

    SLOW = (smb2.CREATE, smb2.CLOSE, smb2.FLUSH, smb2.READ, smb2.WRITE, smb2.IOCTL, smb2.SET_INFO)

    async def deliver(self, messages, write):
        last = messages[-1]
        if len(messages) == 1 and last.command in self.SLOW and last.status != smb2.STATUS_PENDING and not (
            last.flags & smb2.FLAG_ASYNC
        ):
            word = smb2.Message(last.data)
            word.become_error(smb2.STATUS_PENDING)
            word.unsign()
            for message in (word, last):  # 3.3.4.2: the credits come with the first of the two
                message.flags |= smb2.FLAG_ASYNC
                message.async_id = last.id + 1
            last.credits = 0
            write(smb2.join([word]))
            await asyncio.sleep(float(self.argument or 0.1))
        await super().deliver(messages, write)


class Infected(Server):
    """A virus scanner refuses the package's bytes (argument: status, default STATUS_VIRUS_INFECTED)."""

    def answer(self, message, asked):
        if message.command == smb2.WRITE and asked is not None and self.holds_package(asked):
            message.become_error(int(self.argument or "0xC0000906", 0))

    @staticmethod
    def holds_package(asked):
        """A program begins with MZ; what is written to the pipe doesn't."""
        start = asked.u16(66)  # DataOffset
        return asked.data[start : start + 2] == b"MZ"


class ReparsePoint(Server):
    """The first folder that is opened is a link to another place."""

    def answer(self, message, asked):
        if message.command == smb2.CREATE and message.status == 0 and message.u32(120) & 0x10:
            struct.pack_into("<I", message.data, 120, message.u32(120) | FILE_ATTRIBUTE_REPARSE_POINT)


class OtherBytes(Server):
    """What is read back is not what was written."""

    def answer(self, message, asked):
        if message.command == smb2.READ and message.status == 0 and message.data[80:82] == b"MZ":
            message.data[80] ^= 1


class Link(Server):
    """The first folder that is opened can't be opened without following a link."""

    def answer(self, message, asked):
        if message.command == smb2.CREATE and message.status == 0 and message.u32(120) & 0x10:
            message.become_error(0x8000002D)  # STATUS_STOPPED_ON_SYMLINK


class SessionLost(Server):
    """The first connection's session ends in the middle (argument: status, default NETWORK_SESSION_EXPIRED)."""

    def answer(self, message, asked):
        if message.command == smb2.CREATE and self.first_time():
            message.become_error(int(self.argument or "0xC000035C", 0))


class Nonsense(Server):
    """The answer to the connection to the share is signed and makes no sense."""

    def answer(self, message, asked):
        if message.command == smb2.TREE_CONNECT and message.status == 0:
            struct.pack_into("<H", message.data, smb2.HEADER, 4711)  # StructureSize


KINDS = {
    "unsigned": Unsigned,
    "unsigned-once": UnsignedOnce,
    "unsigned-logon": UnsignedLogon,
    "bit-flipped": BitFlipped,
    "sealed-bit-flipped": SealedBitFlipped,
    "plain-answer": PlainAnswer,
    "signing-off": SigningOff,
    "downgraded": Downgraded,
    "other-dialect": OtherDialect,
    "encryption-off": EncryptionOff,
    "session-flags-off": SessionFlags,
    "null-session": NullSession,
    "hung-up": HungUp,
    "logon-status": LogonStatus,
    "interim": Interim,
    "infected": Infected,
    "link": Link,
    "reparse-point": ReparsePoint,
    "other-bytes": OtherBytes,
    "session-lost": SessionLost,
    "nonsense": Nonsense,
}


async def serve(directory, lab, client_reader, client):
    address = client.get_extra_info("sockname")[0]
    server = None
    try:
        with open(f"{directory}/tamper.json", encoding="ascii") as file:
            kind, argument, port = json.load(file)[address]
        between = KINDS[kind](argument, lab, address)
        server_reader, server = await asyncio.open_connection(address, port)

        async def there():
            while frame := await smb2.read_frame(client_reader):
                smb2.write_frame(server, await between.to_server(frame))
                await server.drain()

        async def back():
            while frame := await smb2.read_frame(server_reader):
                await between.to_client(frame, lambda data: smb2.write_frame(client, data))
                await client.drain()

        tasks = {asyncio.create_task(there()), asyncio.create_task(back())}
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        for task in done:
            task.result()
    except (OSError, EOFError):
        pass
    finally:
        for end in (client, server):
            if end is not None:
                end.close()


async def main():
    directory = sys.argv[1]
    lab = spec.load(directory)
    server = await asyncio.start_server(lambda r, w: serve(directory, lab, r, w), "0.0.0.0", PORT, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
