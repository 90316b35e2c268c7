"""The Task Scheduler of all targets: a server on the Unix socket to which smbd hands the atsvc pipe.

usage: scheduler.py DIR       (DIR/lab.json must be there; started by the supervisor)
"""

import asyncio
import json
import os
import struct
import sys
import traceback

from standin import net, npa, rpcserver, spec, taskrun, taskstore, tsch_calls

USER_FOLDER_SDDL = "O:S-1-5-21-1-2-3-20003G:BAD:(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;OICI;FA;;;AU)"
# What registering answers on a target with such a fault.
REFUSALS = {
    "scheduler-error": 0x80041315,  # SCHED_E_SERVICE_NOT_RUNNING
    "task-denied": 0x80070005,  # E_ACCESSDENIED
    "task-malformed": 0x8004131A,  # SCHED_E_MALFORMEDXML
    "task-infected": 0x800700E1,  # ERROR_VIRUS_INFECTED
}


class CutShort(Exception):
    """A fault says that the pipe ends here."""


class Faults:
    """DIR/scheduler/faults.json, {address: [name, argument]}, read again whenever it was replaced."""

    def __init__(self, path):
        self._path = path
        self._stamp = None
        self._table = {}

    def get(self, address):
        stamp = os.stat(self._path).st_mtime_ns
        if stamp != self._stamp:
            self._stamp = stamp
            with open(self._path, encoding="ascii") as file:
                self._table = json.load(file)
        return self._table.get(address) or (None, None)


class Scheduler:
    """Accepts pipes, runs one RpcConnection for each."""

    def __init__(self, directory):
        self.directory = directory
        self.lab = spec.load(directory)
        self.targets = {target["address"]: target for target in self.lab["targets"]}
        self.addresses6 = {net.address6(address): address for address in self.targets}
        self.store = taskstore.Store(f"{directory}/scheduler/tasks.db")
        self.faults = Faults(f"{directory}/scheduler/faults.json")
        hosts = {address: target["netbios"] for address, target in self.targets.items()}
        options = self.lab["options"]
        self.runner = taskrun.Runner(
            self.store, directory, hosts, options.get("catch_up_s", 600), options.get("wine", False)
        )

    async def run(self):
        path = f"{self.directory}/np/np/atsvc"
        if os.path.exists(path):
            os.unlink(path)
        for task in self.store.tasks():
            self.runner.arm(task["target"], task["path"])
        server = await asyncio.start_unix_server(self._serve, f"{path}.new", backlog=1024)
        os.rename(f"{path}.new", path)  # whoever sees the name finds it listening
        async with server:
            await server.serve_forever()

    async def _serve(self, reader, writer):
        try:
            head = await reader.readexactly(4)
            (length,) = struct.unpack(">I", head)
            if length > npa.REQUEST_MAX:
                raise npa.NpaError("request too long")
            request = npa.parse(head + await reader.readexactly(length))
            request.server_address = self.addresses6.get(request.server_address, request.server_address)
            name, argument = self.faults.get(request.server_address)
            writer.write(npa.REPLY)
            if name != "pipe-closed":
                await self._talk(reader, writer, request, name, argument)
        except (asyncio.IncompleteReadError, ConnectionError, CutShort):
            pass
        except npa.NpaError as error:
            print(f"named_pipe_auth: {error}", file=sys.stderr, flush=True)
        except Exception:
            traceback.print_exc()
        finally:
            writer.close()

    async def _talk(self, reader, writer, request, fault, argument):
        address = request.server_address
        target = self.targets.get(address)
        if target is None:
            return
        self._prepare(address, fault, argument)
        users = {account["user"].lower() for account in self.lab["accounts"]}
        calls = tsch_calls.Calls(self.store, self.runner, address, request.client_address, users)
        if fault in REFUSALS:
            calls.refuse = int(argument, 0) if argument else REFUSALS[fault]
        limit = int(argument or 200) if fault == "small-fragments" else rpcserver.FRAGMENT_MAX

        def dispatch(opnum, stub, account, facts):
            return self._dispatch(calls, (fault, argument), opnum, stub, account, facts)

        connection = rpcserver.RpcConnection(
            self.lab["accounts"], target["netbios"], target["fqdn"], dispatch, limit,
            clock_s=self.runner.offsets.get(address, 0),
        )
        while True:
            (length,) = struct.unpack("<H", await reader.readexactly(2))
            pdu = await reader.readexactly(length)
            if fault == "scheduler-slow" and pdu[2:3] == bytes([rpcserver.REQUEST]):
                await asyncio.sleep(float(argument or 3))
            try:
                answers = connection.feed(pdu)
            except rpcserver.Disconnect as end:
                self._note_refusal(address, request, connection, str(end))
                for answer in end.pdus:
                    writer.write(struct.pack("<H", len(answer)) + answer)
                await writer.drain()
                if end.pdus:
                    await self._linger(reader)
                return
            for answer in answers:
                writer.write(struct.pack("<H", len(answer)) + answer)
            await writer.drain()

    @staticmethod
    async def _linger(reader):
        """smbd drops answers that it has not passed on when the socket closes; the client closes first, or in 2 s."""
        try:
            await asyncio.wait_for(reader.read(), 2)
        except asyncio.TimeoutError:
            pass

    def _note_refusal(self, address, request, connection, why):
        facts = connection.facts
        self.store.add_call(
            address, request.client_address, facts.get("user"), "refused", None, None, None, facts | {"why": why}
        )

    def _prepare(self, address, fault, argument):
        if fault == "folder-conflict" and self.store.folder(address, "\\Pusher") is None:
            self.store.set_folder(address, "\\Pusher", USER_FOLDER_SDDL)
        self.runner.offsets.pop(address, None)
        self.runner.zones.pop(address, None)
        if fault == "timezone":
            self.runner.zones[address] = int(argument or 120)
        if fault == "clock":
            self.runner.offsets[address] = int(argument or 3600)
        if fault == "on-battery":
            self.runner.on_battery.add(address)
        else:
            self.runner.on_battery.discard(address)

    @staticmethod
    def _dispatch(calls, fault, opnum, stub, account, facts):
        name, argument = fault
        registers = opnum == 1
        dropped = int(argument or 1) if name == "answer-dropped" else None
        if name == "rpc-fault":
            raise rpcserver.RpcFault(int(argument or "0x1c010003", 0))
        if name == "call-dropped" and registers:
            raise CutShort()
        answer = calls.dispatch(opnum, stub, account, facts)
        if opnum == dropped:
            raise CutShort()
        return answer


def main():
    asyncio.run(Scheduler(sys.argv[1]).run())


if __name__ == "__main__":
    main()
