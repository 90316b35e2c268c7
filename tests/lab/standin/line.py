"""A bad line to a target: a relay between the client and smbd that cuts, stalls or slows connections.

usage: line.py DIR        Port 445 of a target with such a fault is redirected to PORT here; which target was meant is
the local address of the accepted connection. DIR/line.json: {address: [fault, argument]}, read for every connection.

Bytes are counted from the client to the server: that is where a package goes.
"""

import asyncio
import json
import socket
import struct
import sys

PORT = 4440
DEFAULTS = {"frozen": 0, "cut": 20000, "stall": 20000, "slow": 100000}
CHUNK = 16384


class Line:
    """One connection through the relay."""

    def __init__(self, kind, number):
        self.kind = kind
        self.number = number
        self.sent = 0

    async def to_server(self, reader, writer):
        while data := await reader.read(CHUNK):
            if self.kind in ("cut", "stall"):
                data = data[: self.number - self.sent]
            self.sent += len(data)
            writer.write(data)
            await writer.drain()
            if self.kind == "slow":
                await asyncio.sleep(len(data) / self.number)
            if self.kind in ("cut", "stall") and self.sent >= self.number:
                return True
        return False

    @staticmethod
    async def to_client(reader, writer):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        return False


async def hang(reader):
    """Until the client gives up; whatever it sends stays unanswered."""
    while await reader.read(CHUNK):
        pass


def reset(writer):
    """Closes with a reset, as a line that breaks under an open connection looks like."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def serve(directory, reader, writer):
    address = writer.get_extra_info("sockname")[0]
    server = None
    try:
        with open(f"{directory}/line.json", encoding="ascii") as file:
            kind, argument = json.load(file).get(address, (None, None))
        number = int(argument or DEFAULTS.get(kind, 0))
        if kind == "not-smb":
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            await hang(reader)
            return
        if kind == "frozen":
            await hang(reader)
            return
        server_reader, server = await asyncio.open_connection(address, 445)
        line = Line(kind, number)
        there = asyncio.create_task(line.to_server(reader, server))
        back = asyncio.create_task(line.to_client(server_reader, writer))
        done, _ = await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        if there in done and there.exception() is None and there.result():
            back.cancel()
            if kind == "cut":
                reset(writer)
            else:
                await hang(reader)
        else:
            for task in (there, back):
                task.cancel()
    except (OSError, ValueError):
        pass
    finally:
        for end in (writer, server):
            if end is not None:
                end.close()


async def main():
    directory = sys.argv[1]
    server = await asyncio.start_server(lambda r, w: serve(directory, r, w), "0.0.0.0", PORT, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
