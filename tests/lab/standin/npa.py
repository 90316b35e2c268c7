"""How smbd hands a named pipe to another process: Samba's named_pipe_auth protocol, level 7.

smbd connects to DIR/np/np/atsvc and sends one request that says who the client is and which of the server's addresses
it meant; after the reply both sides exchange a 16-bit little-endian length and that many bytes, one RPC PDU each.
The request is NDR32, little-endian, aligned from the start of the message:

    u32 big-endian length of what follows, "NPAM", u32 level, u32 level again (the union's tag), u8 transport,
    pointers and ports: client name, client address, u16, server name, server address, u16, session info.
"""

import struct
from dataclasses import dataclass

MAGIC = b"NPAM"
LEVEL = 7
REQUEST_MAX = 1 << 20
# status 0, file type message-mode pipe (2), device state 0x05ff, allocation size 4096
REPLY = bytes.fromhex("000000204e50414d07000000070000000200ff05000000000010000000000000" "00000000")


class NpaError(Exception):
    """The request is not what smbd sends."""


@dataclass
class PipeRequest:
    """The part of the request that the scheduler needs."""

    client_address: str
    server_address: str
    server_name: str


class _Reader:
    """Little-endian NDR over the whole message."""

    def __init__(self, data, offset):
        self.data = data
        self.offset = offset

    def u32(self):
        self.offset = (self.offset + 3) & ~3
        return self._take("<I", 4)

    def u16(self):
        self.offset = (self.offset + 1) & ~1
        return self._take("<H", 2)

    def u8(self):
        return self._take("<B", 1)

    def _take(self, form, size):
        if self.offset + size > len(self.data):
            raise NpaError("request ends too early")
        (value,) = struct.unpack_from(form, self.data, self.offset)
        self.offset += size
        return value

    def string(self):
        """A conformant varying string of bytes, NUL included in its count."""
        most, skipped, count = self.u32(), self.u32(), self.u32()
        if skipped or count > most or self.offset + count > len(self.data):
            raise NpaError("string with wrong counts")
        text = self.data[self.offset : self.offset + count]
        self.offset += count
        if not text.endswith(b"\0"):
            raise NpaError("string without its NUL")
        return text[:-1].decode("utf-8", "replace")


def parse(message):
    """The whole request, its length field included, as a PipeRequest."""
    if len(message) < 20 or struct.unpack_from(">I", message)[0] != len(message) - 4:
        raise NpaError("length field differs from what came")
    if message[4:8] != MAGIC:
        raise NpaError("no NPAM")
    reader = _Reader(message, 8)
    if reader.u32() != LEVEL or reader.u32() != LEVEL:
        raise NpaError("not level 7")
    reader.u8()  # transport
    client_name, client_address = reader.u32(), reader.u32()
    reader.u16()
    server_name, server_address = reader.u32(), reader.u32()
    reader.u16()
    reader.u32()  # session info
    pointers = (client_name, client_address, server_name, server_address)
    found = [reader.string() if pointer else "" for pointer in pointers]
    return PipeRequest(client_address=found[1], server_address=found[3], server_name=found[2])
