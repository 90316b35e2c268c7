#!/usr/bin/python3
"""The peer made of impacket: per target a logon, the folder, the file, and a task registered as atexec.py does it.

usage: impacket_push.py LIST USER PASSWORD_FILE PACKAGE NAME TASK

Prints one JSON line: targets done, and the CPU seconds of the work without Python's start and imports.
"""

import json
import sys
import time

from impacket.dcerpc.v5 import rpcrt, transport, tsch
from impacket.dcerpc.v5.dtypes import NULL
from impacket.smbconnection import SessionError, SMBConnection

TASK = """<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
<Triggers><TimeTrigger><Enabled>true</Enabled><StartBoundary>2099-01-01T00:00:00Z</StartBoundary></TimeTrigger></Triggers>
<Principals><Principal id="P"><UserId>S-1-5-18</UserId><RunLevel>HighestAvailable</RunLevel></Principal></Principals>
<Settings><DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries></Settings>
<Actions Context="P"><Exec><Command>C:\\SPDISTRO\\{name}</Command></Exec></Actions></Task>"""


def push(address, user, password, package, name, task):
    connection = SMBConnection(address, address)
    connection.login(user, password)
    try:
        connection.createDirectory("C$", "SPDISTRO")
    except SessionError:
        pass  # it is there
    with open(package, "rb") as file:
        connection.putFile("C$", f"SPDISTRO\\{name}", file.read)
    pipe = transport.SMBTransport(address, filename=r"\atsvc", smb_connection=connection)
    dce = pipe.get_dce_rpc()
    dce.set_credentials(user, password)
    dce.connect()
    dce.set_auth_level(rpcrt.RPC_C_AUTHN_LEVEL_PKT_PRIVACY)
    dce.bind(tsch.MSRPC_UUID_TSCHS)
    tsch.hSchRpcRegisterTask(dce, f"\\{task}", TASK.format(name=name), tsch.TASK_CREATE, NULL, tsch.TASK_LOGON_NONE)
    dce.disconnect()
    connection.close()


def main():
    path, user, password_file, package, name, task = sys.argv[1:]
    with open(path, encoding="ascii") as file:
        targets = file.read().split()
    with open(password_file, encoding="utf-8") as file:
        password = file.readline().rstrip("\n")
    started = time.process_time()
    for address in targets:
        push(address, user, password, package, name, task)
    print(json.dumps({"targets": len(targets), "cpu_s": time.process_time() - started}))


if __name__ == "__main__":
    main()
