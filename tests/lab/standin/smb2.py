"""SMB 2 messages as far as somebody between client and server needs them ([MS-SMB2] 2.2): the frames of a connection,
the header's fields, and the signature of dialect 2.1."""

import hmac
import struct

HEADER = 64
FRAME_MAX = 16 << 20
PLAIN, SEALED = b"\xfeSMB", b"\xfdSMB"

NEGOTIATE, SESSION_SETUP, LOGOFF, TREE_CONNECT, TREE_DISCONNECT, CREATE, CLOSE, FLUSH, READ, WRITE = range(10)
IOCTL, QUERY_DIRECTORY, QUERY_INFO, SET_INFO = 11, 14, 16, 17
COMMANDS = {
    "negotiate": NEGOTIATE, "session-setup": SESSION_SETUP, "tree-connect": TREE_CONNECT, "create": CREATE,
    "close": CLOSE, "flush": FLUSH, "read": READ, "write": WRITE, "ioctl": IOCTL, "set-info": SET_INFO,
}

FLAG_ASYNC, FLAG_SIGNED = 0x2, 0x8
STATUS_PENDING, STATUS_MORE_PROCESSING_REQUIRED = 0x00000103, 0xC0000016


def _field(offset, form):
    """A number of the header as an attribute."""

    def get(self):
        return struct.unpack_from(form, self.data, offset)[0]

    def put(self, value):
        struct.pack_into(form, self.data, offset, value)

    return property(get, put)


class Message:
    """One request or answer; `data` is all of it, padding up to the next one of its frame included."""

    status = _field(8, "<I")
    command = _field(12, "<H")
    credits = _field(14, "<H")
    flags = _field(16, "<I")
    next = _field(20, "<I")
    id = _field(24, "<Q")
    async_id = _field(32, "<Q")
    session_id = _field(40, "<Q")

    def __init__(self, data):
        self.data = bytearray(data)

    @property
    def signed(self):
        return bool(self.flags & FLAG_SIGNED)

    def u16(self, offset):
        return struct.unpack_from("<H", self.data, offset)[0]

    def u32(self, offset):
        return struct.unpack_from("<I", self.data, offset)[0]

    def unsign(self):
        self.flags &= ~FLAG_SIGNED
        self.data[48:64] = bytes(16)

    def sign(self, key):
        """3.1.4.1 for dialect 2.1: HMAC-SHA256 over the message with no signature in it."""
        self.flags |= FLAG_SIGNED
        self.data[48:64] = bytes(16)
        self.data[48:64] = hmac.new(key, self.data, "sha256").digest()[:16]

    def become_error(self, status):
        """The answer says STATUS instead, with the body of 2.2.2."""
        self.data = self.data[:HEADER] + bytearray(struct.pack("<HBBIB", 9, 0, 0, 0, 0))
        self.status = status


def split(frame):
    """The messages of a frame, as NextCommand chains them."""
    messages, at = [], 0
    while True:
        if frame[at : at + 4] != PLAIN or len(frame) - at < HEADER:
            raise ValueError("not SMB 2")
        (length,) = struct.unpack_from("<I", frame, at + 20)
        messages.append(Message(frame[at : at + length] if length else frame[at:]))
        if not length:
            return messages
        at += length


def join(messages, key=None):
    """A frame of these messages; with KEY those that say they are signed are signed anew."""
    for message in messages[:-1]:
        message.data += bytes(-len(message.data) % 8)
        message.next = len(message.data)
    messages[-1].next = 0
    for message in messages:
        if key and message.signed:
            message.sign(key)
    return b"".join(bytes(message.data) for message in messages)


async def read_frame(reader):
    """The next frame without its length; b"" when the other side has closed."""
    head = await reader.read(1)
    if not head:
        return b""
    head += await reader.readexactly(3)
    length = int.from_bytes(head, "big")
    if length > FRAME_MAX:
        raise ValueError("frame too long")
    return await reader.readexactly(length)


def write_frame(writer, frame):
    writer.write(struct.pack(">I", len(frame)) + frame)
