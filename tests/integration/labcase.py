"""What the lab's own tests share: one lab for a class, with impacket's and smbclient's view of it."""

import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lab"))

if os.geteuid() != 0:
    sys.exit("needs root for network namespaces")

from impacket.dcerpc.v5 import rpcrt, transport, tsch  # noqa: E402
from lablib import Lab  # noqa: E402
from standin import checks  # noqa: E402

ATEXEC = "/usr/share/doc/python3-impacket/examples/atexec.py"
SAFE = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)\0"


def task_xml(start=3600, description="", command="C:\\SPDISTRO\\package.exe", arguments="/S"):
    def at(seconds):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))

    return f"""<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
<RegistrationInfo><Description>{description}</Description></RegistrationInfo>
<Triggers><TimeTrigger><Enabled>true</Enabled><StartBoundary>{at(start)}</StartBoundary>
<EndBoundary>{at(start + 7200)}</EndBoundary></TimeTrigger></Triggers>
<Principals><Principal id="P"><UserId>S-1-5-18</UserId><RunLevel>HighestAvailable</RunLevel></Principal></Principals>
<Settings><DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries></Settings>
<Actions Context="P"><Exec><Command>{command}</Command><Arguments>{arguments}</Arguments></Exec></Actions></Task>"""


class LabCase(unittest.TestCase):
    """One lab for the tests of a class."""

    OPTIONS = {"targets": 4}

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(**cls.OPTIONS)
        cls.enterClassContext(cls.lab)
        cls.enterClassContext(cls.lab.network())
        cls.user, cls.password = cls.lab.data["account"], cls.lab.data["password"]
        cls.passwords = {account["user"]: account["password"] for account in cls.lab.data["accounts"]}

    def smbclient(self, host, commands, user=None, password=None, share="C$"):
        user = user or self.user
        password = self.passwords[user] if password is None else password
        return self.lab.run(
            ["smbclient", f"//{host}/{share}", "-U", f"{user}%{password}", "-c", commands], timeout=30
        )

    def rpc(self, host, level=rpcrt.RPC_C_AUTHN_LEVEL_PKT_PRIVACY, user=None, password=None, rpc_password=None):
        """Impacket's client on the scheduler's pipe, as atexec.py makes it."""
        user = user or self.user
        password = self.passwords[user] if password is None else password
        pipe = transport.DCERPCTransportFactory(rf"ncacn_np:{self.lab.address(host)}[\pipe\atsvc]")
        pipe.set_credentials(user, password, "", "", "")
        dce = pipe.get_dce_rpc()
        dce.connect()
        if rpc_password:
            dce.set_credentials(user, rpc_password)
        dce.set_auth_level(level)
        dce.bind(tsch.MSRPC_UUID_TSCHS)
        self.addCleanup(pipe.disconnect)
        return dce

    def hresult(self, call, *arguments):
        with self.assertRaises(tsch.DCERPCSessionError) as caught:
            call(*arguments)
        return caught.exception.get_error_code()

    def assertFaults(self, call, *arguments):
        with self.assertRaisesRegex(rpcrt.DCERPCException, "access_denied"):
            call(*arguments)

    def calls(self, host, name):
        rows = checks.Database(self.lab.directory).get("calls", self.lab.address(host))
        return [row for row in rows if row["name"] == name]
