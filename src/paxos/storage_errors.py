"""What may be wrong with the storage: each has a name, and says what to do.

`durable` gives them all out again: `durable.LostError` is the one to catch.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from paxos.errors import FaultError


class StorageError(FaultError):
    """The storage failed, or is not what it should be. The text says what to do.

    `path` is the file or folder that it is about.
    """

    advice: ClassVar[str]

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}. {self.advice}.")
        self.path = path


class LostError(StorageError):
    """There is no store."""

    advice = (
        "Is this the right folder? init makes a new store, but a node that ever ran has lost its"
        " memory: replace it, do not init it again"
    )


class ForeignError(StorageError):
    """Something is there, but not the store that was asked for."""

    advice = "Nothing was changed. Name the folder that belongs to this node"


class CorruptError(StorageError):
    """What was acknowledged may be lost. `offset` is that of the first bad sector, in bytes."""

    advice = "This node may have forgotten what it promised: keep the file, and replace the node"

    def __init__(self, path: Path, offset: int, what: str) -> None:
        super().__init__(path, f"damaged at byte {offset}: {what}")
        self.offset = offset


class LockedError(StorageError):
    """Another process has the store open."""

    advice = "Stop that process first: two with one memory would break every promise"


class FullError(StorageError):
    """The disk is full, or this user's share of it."""

    advice = "Make room, then start again: what was acknowledged is still there"


class DeniedError(StorageError):
    """The operating system forbids it: no permission, or a read-only disk."""

    advice = "Give this user the right to read and write here, then start again"


class DiskError(StorageError):
    """The disk failed. Whether the last write has reached it is unknown."""

    advice = "Do not retry. See to the disk, then open the store again, which checks it all"
