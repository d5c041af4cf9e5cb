"""How a snapshot goes from node to node here: in chunks, each of which the recipient asks for.

A log's machine knows nothing of it: it is a matter of worlds. A lost message costs nothing, for a
node that is behind asks its leader again, and its world says from which byte on.
"""

from __future__ import annotations

from dataclasses import dataclass

from paxos.log_store import SnapshotInfo


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a snapshot, and which one that is."""

    info: SnapshotInfo
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ChunkWanted:
    """What comes next in that snapshot."""

    info: SnapshotInfo
    offset: int
