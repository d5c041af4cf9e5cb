"""A node's snapshots in the runtime: its own, taken now and then, and those that nodes hand on.

A snapshot is taken and written chunk by chunk, and the loop turns between two. It goes to another
node only as far as that asks: each piece is wanted by its offset, so a transfer that broke off goes
on where it stopped, and one large frame is on its way at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from paxos.codec import MalformedError
from paxos.errors import FaultError, MisuseError
from paxos.log.configurations import NO_CONFIGURATIONS
from paxos.log.inputs import Installed
from paxos.log.messages import Decisions
from paxos.log.state import LogState
from paxos.log_store import IncomingSnapshot, LogStore, SnapshotInfo
from paxos.replica import Replica
from paxos.runtime import log_protocol as wire
from paxos.runtime.applying import Applying
from paxos.runtime.disk_thread import DiskThread, off_the_loop
from paxos.snapshots import CHUNK_BYTES, decode_manifest, encode_manifest
from paxos.state_machine import StateMachine

KEPT_FOR_THE_SLOW = 1000
"""Entries that stay in the log although a snapshot has them: who missed but a few needs no more."""

PAGE_BYTES = 1 << 20
"""Of entries in one message to a node that has missed them."""

UNKNOWN_SIZE = 1 << 62
"""Of a snapshot that is still being taken."""

log = logging.getLogger("paxos.runtime")


@dataclass
class Ways:
    """How to reach others, and the machine."""

    tell: Callable[[str, bytes], object]
    """Send a node a small frame."""

    tell_much: Callable[[str, bytes], bool]
    """Send a node a large frame when nothing else wants to go. Says whether there was room."""

    envelope: Callable[[str, Decisions[bytes]], bytes]
    """What was chosen, as a frame for this node."""

    feed: Callable[[Installed], None]
    """Tell the machine."""

    known: Callable[[], int]
    """Below which slot this node knows all to be chosen."""


class Snapshotting:
    """What a node does with snapshots and with those who need old entries."""

    def __init__(
        self,
        store: LogStore,
        disk: DiskThread[LogState[bytes]],
        applying: Applying,
        ways: Ways,
        every: int,
    ) -> None:
        """`every` is how many entries may follow a snapshot before the next one is taken."""
        self._store = store
        self._disk = disk
        self._applying = applying
        self._ways = ways
        self._every = every
        self._taken_below = 0 if store.snapshot is None else store.snapshot.chosen_below
        self._is_taking = False
        self._teaching: set[str] = set()
        self._incoming: IncomingSnapshot | None = None
        self._is_adding = False

    def begins_to_take(self, applied_below: int) -> bool:
        """Whether a snapshot is due. If so, the caller must `take` it: it counts as begun."""
        busy = self._is_taking or self._is_adding or self._incoming is not None
        if busy or applied_below - self._taken_below < self._every:
            return False
        self._is_taking = True
        return True

    async def take(self) -> None:
        """Take a snapshot, write it, and drop what it makes needless.

        While it is taken, the node votes and leads as ever, and applies nothing.
        """
        try:
            await self._take()
        finally:
            self._is_taking = False

    async def _take(self) -> None:
        placeholder = SnapshotInfo(0, NO_CONFIGURATIONS, UNKNOWN_SIZE, b"")
        incoming = await self._disk.run(lambda: self._store.receive_snapshot(placeholder))
        self._applying.hold()
        try:
            taking = self._applying.replica.snapshot()
            try:
                for chunk in taking:
                    await self._disk.run(partial(incoming.add, incoming.wanted, chunk))
            except BaseException:
                incoming.give_up()
                raise
            finally:
                taking.close()
            manifest = taking.manifest
        finally:
            self._applying.go_on()
        incoming.info = SnapshotInfo(
            manifest.chosen_below,
            manifest.configurations,
            manifest.size,
            manifest.state_digest,
            encode_manifest(manifest),
        )
        await self._disk.run(lambda: self._store.install(incoming))
        await self._disk.run(lambda: self._store.trim(KEPT_FOR_THE_SLOW))
        self._taken_below = manifest.chosen_below
        log.info("has a snapshot of all slots below %d", manifest.chosen_below)

    async def teach(self, recipient: str, slot: int) -> None:
        """Send a node what it has missed from this slot on: entries, or word of the snapshot."""
        if recipient in self._teaching:
            return
        self._teaching.add(recipient)
        try:
            frame = await self._disk.run(lambda: self._lesson(recipient, slot))
            self._ways.tell_much(recipient, frame)
        finally:
            self._teaching.discard(recipient)

    def _lesson(self, recipient: str, slot: int) -> bytes:
        """Runs on the store's thread."""
        store = self._store
        if slot >= store.first_kept:
            proposals = store.entries(slot, PAGE_BYTES)
            return self._ways.envelope(recipient, Decisions(slot, proposals, store.chosen_below))
        info = store.snapshot
        if info is None:
            raise FaultError(f"slot {slot} is neither in the log nor in a snapshot")
        return wire.encode_part(wire.Offer(info.chosen_below, info.size, info.manifest))

    async def hear(self, sender: str, part: wire.Part) -> None:
        """Handle what a peer says about a snapshot."""
        match part:
            case wire.Want(chosen_below, offset):
                await self._hand_on(sender, chosen_below, offset)
            case wire.Offer():
                await self._consider(sender, part)
            case wire.Piece():
                await self._add(sender, part)

    async def _hand_on(self, recipient: str, chosen_below: int, offset: int) -> None:
        info = self._store.snapshot
        if info is None or info.chosen_below != chosen_below:
            return  # there is a newer one: it is offered as soon as the other asks again
        data = await self._disk.run(lambda: self._read(chosen_below, offset))
        if data:
            piece = wire.encode_part(wire.Piece(chosen_below, offset, data))
            self._ways.tell_much(recipient, piece)

    def _read(self, chosen_below: int, offset: int) -> bytes:
        """Runs on the store's thread."""
        info, reader = self._store.snapshot, self._store.open_snapshot()
        if reader is None:
            return b""
        try:
            fits = info is not None and info.chosen_below == chosen_below
            return reader.read(offset, CHUNK_BYTES) if fits else b""
        finally:
            reader.close()

    async def _consider(self, sender: str, offer: wire.Offer) -> None:
        """Begin with an offered snapshot, or ask for the next piece once more."""
        if offer.chosen_below <= self._ways.known() or self._is_taking or self._is_adding:
            return
        if self._incoming is None or self._incoming.info.chosen_below != offer.chosen_below:
            if self._incoming is not None:
                older = self._incoming
                self._incoming = None
                await self._disk.run(older.give_up)
            manifest = decode_manifest(offer.manifest)
            if (manifest.chosen_below, manifest.size) != (offer.chosen_below, offer.size):
                raise MalformedError("an offer that does not fit its manifest")
            info = SnapshotInfo(
                manifest.chosen_below,
                manifest.configurations,
                manifest.size,
                manifest.state_digest,
                offer.manifest,
            )
            log.info("fetches a snapshot of all slots below %d from %s", info.chosen_below, sender)
            self._incoming = await self._disk.run(lambda: self._store.receive_snapshot(info))
        self._ask(sender, self._incoming)

    def _ask(self, sender: str, incoming: IncomingSnapshot) -> None:
        want = wire.Want(incoming.info.chosen_below, incoming.wanted)
        self._ways.tell(sender, wire.encode_part(want))

    async def _add(self, sender: str, piece: wire.Piece) -> None:
        incoming = self._incoming
        if incoming is None or incoming.info.chosen_below != piece.chosen_below or self._is_adding:
            return
        self._is_adding = True
        try:
            await self._disk.run(lambda: incoming.add(piece.offset, piece.data))
            if incoming.is_whole:
                self._incoming = None
                await self._install(incoming)
            else:
                self._ask(sender, incoming)
        finally:
            self._is_adding = False

    async def _install(self, incoming: IncomingSnapshot) -> None:
        """Take on another node's snapshot: on the disk, in the replica, in the machine."""
        info = incoming.info
        if info.chosen_below <= self._ways.known():
            await self._disk.run(incoming.give_up)
            return
        self._applying.hold()
        try:
            await self._disk.run(lambda: self._store.install(incoming))
            self._ways.feed(Installed(info.chosen_below, info.configurations))
            self._taken_below = info.chosen_below
            await off_the_loop(lambda: restore(self._applying.replica, self._store), lambda _: None)
        finally:
            self._applying.go_on()
        log.info("has taken on a snapshot of all slots below %d", info.chosen_below)


def restore(replica: Replica[StateMachine], store: LogStore) -> None:
    """Bring the replica to where the store's snapshot is, if there is one. Raises `FaultError`."""
    info, reader = store.snapshot, store.open_snapshot()
    if info is None or reader is None:
        return
    try:
        manifest = decode_manifest(info.manifest)
        replica.restore(manifest, list(reader.chunks(CHUNK_BYTES)))
    except MisuseError as error:
        raise FaultError(f"the snapshot on the disk cannot be used: {error}") from error
    finally:
        reader.close()
