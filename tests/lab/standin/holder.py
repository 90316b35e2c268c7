"""Keeps packages open on targets, shared with nobody, as a running installer or a virus scanner would.

usage: holder.py DIR READY_FD ADDRESS=NAME...
"""

import os
import signal
import sys

from impacket.smb3structs import FILE_READ_DATA, FILE_WRITE_DATA
from impacket.smbconnection import SMBConnection

from standin import spec


def main():
    lab = spec.load(sys.argv[1])
    keep = []
    for item in sys.argv[3:]:
        address, _, name = item.partition("=")
        connection = SMBConnection(address, address, timeout=10)
        connection.login("pushadmin2", lab["accounts"][1]["password"])
        tree = connection.connectTree("C$")
        handle = connection.openFile(
            tree, f"SPDISTRO\\{name}", desiredAccess=FILE_READ_DATA | FILE_WRITE_DATA, shareMode=0
        )
        keep.append((connection, tree, handle))
    os.write(int(sys.argv[2]), b"1")
    os.close(int(sys.argv[2]))
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
