"""Keeps packages open on targets, as a virus scanner, an installer or the loader of a running program would, or makes
them read-only.

usage: holder.py DIR READY_FD ADDRESS=FAULT=NAME...
"""

import os
import signal
import sys

from impacket.smb3structs import (
    FILE_ATTRIBUTE_READONLY, FILE_OVERWRITE_IF, FILE_READ_DATA, FILE_SHARE_DELETE, FILE_SHARE_READ,
    FILE_WRITE_DATA,
)
from impacket.smbconnection import SMBConnection

from standin import spec


def main():
    lab = spec.load(sys.argv[1])
    keep = []
    for item in sys.argv[3:]:
        address, fault, name = item.split("=", 2)
        connection = SMBConnection(address, address, timeout=10)
        connection.login("pushadmin2", lab["accounts"][1]["password"])
        tree = connection.connectTree("C$")
        path = f"SPDISTRO\\{name}"
        if fault == "package-read-only":
            connection.closeFile(tree, connection.createFile(
                tree, path, desiredAccess=FILE_WRITE_DATA, creationDisposition=FILE_OVERWRITE_IF,
                fileAttributes=FILE_ATTRIBUTE_READONLY,
            ))
            continue
        running = fault == "package-running"
        handle = connection.openFile(
            tree, path, desiredAccess=FILE_READ_DATA if running else FILE_READ_DATA | FILE_WRITE_DATA,
            shareMode=FILE_SHARE_READ | FILE_SHARE_DELETE if running else 0,
        )
        keep.append((connection, tree, handle))
    os.write(int(sys.argv[2]), b"1")
    os.close(int(sys.argv[2]))
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
