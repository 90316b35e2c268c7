"""Windows programs made byte by byte, since no compiler for them is at hand: 64-bit console programs that print their command
line and end with a code.

    write("setup.exe", exit_code=3010)            prints its command line and a line end, ends with 3010
    write("setup.exe", count=70_000)              prints that many bytes of text instead
    write("setup.exe", read_input=True)           prints what it can read from its input, in front

The layout follows Microsoft's "PE Format"; one section holds everything.
"""

import struct

BASE, SECTION, FILE_START = 0x140000000, 0x1000, 0x200
IMPORTS = ["GetCommandLineA", "GetStdHandle", "WriteFile", "ReadFile", "ExitProcess"]
STD_INPUT, STD_OUTPUT = -10, -11


class _Code:
    """Machine code that refers to addresses of data in the section."""

    def __init__(self, places):
        self.bytes, self.places = bytearray(), places

    def emit(self, *parts):
        for part in parts:
            self.bytes += bytes.fromhex(part) if isinstance(part, str) else part

    def call(self, name):
        """call [rip + import]"""
        self.emit("ff15")
        self.emit(struct.pack("<i", self.places[name] - (SECTION + len(self.bytes) + 4)))

    def lea(self, opcode, name):
        """lea register, [rip + data]"""
        self.emit(opcode)
        self.emit(struct.pack("<i", self.places[name] - (SECTION + len(self.bytes) + 4)))

    def handle(self, which):
        self.emit("b9", struct.pack("<i", which))  # mov ecx, which
        self.call("GetStdHandle")
        self.emit("4889c1")  # mov rcx, rax

    def transfer(self, name):
        """ReadFile or WriteFile(rcx, rdx, r8d, &done, NULL)"""
        self.lea("4c8d0d", "done")  # lea r9, [done]
        self.emit("48c744242000000000")  # mov qword [rsp+32], 0
        self.call(name)


def _code(places, exit_code, text_size, read_input):
    code = _Code(places)
    code.emit("4883ec38")  # sub rsp, 56: room for callees, and alignment
    if read_input:
        code.handle(STD_INPUT)
        code.lea("488d15", "buffer")  # lea rdx, [buffer]
        code.emit("41b8", struct.pack("<i", 64))  # mov r8d, 64
        code.transfer("ReadFile")
        code.handle(STD_OUTPUT)
        code.lea("488d15", "buffer")
        code.lea("448b05", "done")  # mov r8d, [done]
        code.transfer("WriteFile")
    code.handle(STD_OUTPUT)
    if text_size:
        code.lea("488d15", "text")
        code.emit("41b8", struct.pack("<i", text_size))
    else:
        code.emit("48894c2428")  # mov [rsp+40], rcx
        code.call("GetCommandLineA")
        code.emit("4889c2", "4531c0")  # mov rdx, rax; xor r8d, r8d
        code.emit("42803c0200", "7405", "41ffc0", "ebf4")  # while (rdx[r8]) r8++
        code.emit("488b4c2428")  # mov rcx, [rsp+40]
    code.transfer("WriteFile")
    if not text_size:
        code.handle(STD_OUTPUT)
        code.lea("488d15", "line end")
        code.emit("41b8", struct.pack("<i", 2))
        code.transfer("WriteFile")
    code.emit("b9", struct.pack("<I", exit_code & 0xFFFFFFFF))
    code.call("ExitProcess")
    return bytes(code.bytes)


def _data(start, text):
    """(bytes, where things are in the image): imports, buffers, text."""
    places, out = {}, bytearray()

    def place(name, data):
        out.extend(b"\0" * (-len(out) % 8))
        places[name] = start + len(out)
        out.extend(data)

    for name in IMPORTS:
        place(f"name {name}", b"\0\0" + name.encode() + b"\0")
    place("library", b"KERNEL32.dll\0")
    thunks = b"".join(struct.pack("<Q", places[f"name {name}"]) for name in IMPORTS) + bytes(8)
    place("lookup", thunks)
    place("addresses", thunks)
    for number, name in enumerate(IMPORTS):
        places[name] = places["addresses"] + 8 * number
    place("imports", struct.pack("<5I", places["lookup"], 0, 0, places["library"], places["addresses"]) + bytes(20))
    place("done", bytes(8))
    place("buffer", bytes(64))
    place("line end", b"\r\n")
    place("text", text)
    return bytes(out), places


def image(exit_code=0, count=0, read_input=False):
    text = b"".join(b"line %07d\r\n" % number for number in range(count // 14 + 1))[:count]
    data_start = SECTION + 0x400
    data, places = _data(data_start, text)
    code = _code(places, exit_code, len(text), read_input)
    body = code.ljust(0x400, b"\xcc") + data
    raw_size = -(-len(body) // 0x200) * 0x200
    size = SECTION + -(-len(body) // 0x1000) * 0x1000
    directories = bytes(8) + struct.pack("<2I", places["imports"], 40) + bytes(8 * 14)
    optional = struct.pack(
        "<HBBIIIII Q II HHHHHH IIII HH QQQQ II", 0x20B, 14, 0, raw_size, 0, 0, SECTION, SECTION, BASE, 0x1000, 0x200,
        6, 0, 0, 0, 6, 0, 0, size, FILE_START, 0, 3, 0x0, 0x100000, 0x1000, 0x100000, 0x1000, 0, 16) + directories
    header = struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, len(optional), 0x0022)
    section = struct.pack("<8sIIIIIIHHI", b".all", len(body), SECTION, raw_size, FILE_START, 0, 0, 0, 0, 0xE0000060)
    dos = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    return (dos + b"PE\0\0" + header + optional + section).ljust(FILE_START, b"\0") + body.ljust(raw_size, b"\0")


def write(path, **behaviour):
    with open(path, "wb") as file:
        file.write(image(**behaviour))
