"""The disk of macOS, where fsync does not reach stable storage.

Apple's fsync(2): the data may stay in the drive's own cache, and applications that need more must
use F_FULLFSYNC. Where a volume does not know it, it fails, and so does the store: falling back to
fsync would promise what the disk does not keep.
"""

from __future__ import annotations

import fcntl

from paxos.disk import PosixDisk

F_FULLFSYNC = 51
"""From <sys/fcntl.h>; Python's own constant exists on macOS only, where type checks do not run."""


class MacDisk(PosixDisk):
    """A disk whose syncs empty the drive's cache, too."""

    def sync_folder(self, folder: int) -> None:
        """Sync by F_FULLFSYNC, which works on folders, too."""
        fcntl.fcntl(folder, F_FULLFSYNC)

    def sync(self, file: int) -> None:
        """Sync by F_FULLFSYNC."""
        fcntl.fcntl(file, F_FULLFSYNC)
