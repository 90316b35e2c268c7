"""The targets' C: drives: directories under DIR/hosts/ADDRESS/C, with Windows' descriptor on the root."""

import os
import shutil

from . import kernel, ntacl, smbd

SAFE_SDDL = "O:BAG:SYD:P(A;OICI;0x1f01ff;;;SY)(A;OICI;0x1f01ff;;;BA)"
FOREIGN_SDDL = "O:S-1-5-21-1-2-3-1001G:SYD:P(A;OICI;0x1f01ff;;;SY)(A;OICI;0x1f01ff;;;BA)"
UNSAFE_SDDL = "O:BAG:SYD:AI(A;OICIID;0x1f01ff;;;SY)(A;OICIID;0x1f01ff;;;BA)(A;OICIID;0x1301bf;;;AU)"
FOLDERS = {"unsafe-path": UNSAFE_SDDL, "foreign-owner": FOREIGN_SDDL}  # SPDISTRO as somebody else made it


def path(directory, address):
    return f"{directory}/hosts/{address}/C"


def create(directory, address):
    drive = path(directory, address)
    os.makedirs(f"{drive}/Windows/Temp", exist_ok=True)
    os.makedirs(f"{drive}/Users", exist_ok=True)
    ntacl.write(drive, smbd.DRIVE_SDDL)


def make_folder(drive, sddl):
    folder = f"{drive}/SPDISTRO"
    os.makedirs(folder, exist_ok=True)
    ntacl.write(folder, sddl)
    return folder


def apply(directory, address, kind, argument):
    """Makes a fault of a drive; runs inside the target namespace, whose mounts nobody else sees."""
    drive = path(directory, address)
    if kind == "path-is-file":
        shutil.rmtree(f"{drive}/SPDISTRO", ignore_errors=True)
        with open(f"{drive}/SPDISTRO", "w", encoding="ascii") as file:
            file.write("not a folder\n")
    elif kind == "disk-full":
        kernel.mount("lab", drive, "tmpfs", 0, "size=64k,nr_inodes=1000,mode=755")
        create(directory, address)
        _fill(f"{drive}/pagefile.sys")
    elif kind == "package-held":
        folder = make_folder(drive, SAFE_SDDL)
        with open(f"{folder}/{argument}", "wb") as file:
            file.write(b"MZ the version before\n")
        ntacl.write(f"{folder}/{argument}", "O:BAG:SYD:AI(A;ID;0x1f01ff;;;SY)(A;ID;0x1f01ff;;;BA)")
    elif kind in FOLDERS:
        make_folder(drive, FOLDERS[kind])


def revert(directory, address, kind, _argument):
    drive = path(directory, address)
    if kind == "path-is-file":
        if os.path.isfile(f"{drive}/SPDISTRO"):
            os.unlink(f"{drive}/SPDISTRO")
    elif kind == "disk-full":
        kernel.umount(drive)
    elif kind == "package-held" or kind in FOLDERS:
        shutil.rmtree(f"{drive}/SPDISTRO", ignore_errors=True)


def _fill(name):
    """Writes until the file system is full, so that not even an empty package's first byte fits."""
    with open(name, "wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                pass
