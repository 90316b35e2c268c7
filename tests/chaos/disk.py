"""Orders to the disk that fails when told to (disk.c), one file for each daemon, and what became of them."""

import mmap
import pathlib
import struct

NONE, SYNC_FAILS, WRITE_FAILS, WRITE_FULL, TORN, POWER = range(6)
LAYOUT = struct.Struct("<6I232s")  # struct order
PAUSE_MS = 20


class Disk:
    """The disk under one daemon's state folder."""

    def __init__(self, path, library):
        path = pathlib.Path(path)
        path.write_bytes(bytes(LAYOUT.size))
        self._file = open(path, "r+b")
        self._shared = mmap.mmap(self._file.fileno(), LAYOUT.size)
        self._path, self._library = path, library

    def environment(self, folder):
        """For a daemon whose state is in FOLDER. Sanitizers' own libraries have to come first."""
        return {"LD_PRELOAD": " ".join([*self._library]), "CHAOS_ORDER": str(self._path), "CHAOS_FOLDER": str(folder)}

    def order(self, action, countdown=0, seed=0):
        """The call after COUNTDOWN more of its kind fails."""
        self._shared[:] = LAYOUT.pack(NONE, countdown, seed, PAUSE_MS, 0, 0, b"")
        self._shared[:4] = struct.pack("<I", action)

    def clear(self):
        self._shared[:4] = struct.pack("<I", NONE)

    def fired(self):
        """The file that it happened to; "" when it hasn't yet."""
        action, _, _, _, fired, _, name = LAYOUT.unpack(self._shared[:])
        return name.split(b"\0")[0].decode("utf-8", "replace") if fired else ""

    def synced_again(self):
        """Syncs of a file whose sync had failed, by the process that knew."""
        return LAYOUT.unpack(self._shared[:])[5]
