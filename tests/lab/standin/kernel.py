"""The few system calls Python 3.11 does not wrap: unshare, setns, mount, prctl."""

import ctypes
import os
import signal

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags):
    _checked(_libc.unshare(flags), "unshare")


def setns(path, kind):
    with open(path, "rb") as namespace:
        _checked(_libc.setns(namespace.fileno(), kind), f"setns {path}")


def _bytes(value):
    return None if value is None else os.fsencode(value)


def mount(source, target, fstype=None, flags=0, options=None):
    _checked(
        _libc.mount(_bytes(source), _bytes(target), _bytes(fstype), ctypes.c_ulong(flags), _bytes(options)),
        f"mount {target}",
    )


def umount(target):
    _checked(_libc.umount2(_bytes(target), MNT_DETACH), f"umount {target}")


def private_mounts():
    """Keeps every mount made from here on inside this mount namespace."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)


def bind(source, target):
    mount(source, os.path.realpath(target), None, MS_BIND)


def die_with_parent():
    """The kernel kills this process when the one that forked it ends, however that ends."""
    _checked(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def start_time(pid):
    """Field 22 of /proc/PID/stat: tells a process from a later one with the same number; None when gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None
