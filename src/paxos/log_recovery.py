"""From records to a `LogState`: what a node of a log finds again after a crash.

Three things are found: the anchor (a snapshot, or the beginning), the newest promise, and the
votes, with a mark that says below which slot they are what was chosen. Their cases:

| the mark      | the snapshot     | what holds                                                |
|---------------|------------------|-----------------------------------------------------------|
| none          | none             | nothing is known to be chosen                             |
| above it      | below the mark   | chosen below the mark: the votes between them are entries |
| below it      | above the mark   | chosen below the snapshot: the votes below it are void,   |
|               |                  | unless `first_kept` says that they are entries            |
| anywhere      | any              | a slot without a vote between `first_kept` and what is    |
|               |                  | chosen: the log has lost an entry, and that is damage     |

Votes from there on are votes, and say nothing about what is chosen. Promised is the newest promise
or the highest ID among the votes, whichever is higher: a vote promises, too. What is chosen changes
the members: each Change between the anchor and what is chosen is applied, in order.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path

from paxos.codec import MalformedError
from paxos.log.configurations import Configurations
from paxos.log.entries import Change, Entry
from paxos.log.state import LogState
from paxos.log_anchor import Anchor
from paxos.log_codec import (
    CHOSEN,
    PROMISE,
    VOTE_OF_CHANGE,
    decode_promised,
    decode_proposal,
    record_headers,
)
from paxos.messages import NOTHING_ACCEPTED, NothingAccepted, Proposal
from paxos.proposal_id import NO_PROPOSAL
from paxos.segment_files import place_of
from paxos.storage_errors import CorruptError

MAX_SLOTS = 1 << 28
"""Between the first slot kept and the last. A log of more was never trimmed, or is damaged."""


class SlotIndex:
    """Where in the log the newest vote of each slot is. Twelve bytes a slot."""

    def __init__(self, base: int = 0) -> None:
        self.base = base
        self._positions = array("Q")  # 0 where there is none: no batch begins there
        self._lengths = array("I")
        self._highest: dict[int, int] = {}  # of each segment: the highest slot with a vote in it

    @property
    def end(self) -> int:
        """Above all slots that have a vote."""
        return self.base + len(self._positions)

    def put(self, slot: int, position: int, length: int) -> None:
        """This is the newest vote of this slot."""
        segment = position >> 32
        if slot > self._highest.get(segment, -1):
            self._highest[segment] = slot
        index = slot - self.base
        if index == len(self._positions):
            self._positions.append(position)
            self._lengths.append(length)
        elif index >= 0:
            missing = index + 1 - len(self._positions)
            if missing > 0:
                self._positions.extend([0] * missing)
                self._lengths.extend([0] * missing)
            self._positions[index] = position
            self._lengths[index] = length

    def place(self, slot: int) -> tuple[int, int]:
        """Return position and length of the vote; the position is 0 if there is none."""
        index = slot - self.base
        if not 0 <= index < len(self._positions):
            return 0, 0
        return self._positions[index], self._lengths[index]

    def hole(self, end: int) -> int | None:
        """Return the first slot below `end` without a vote, if there is one."""
        known = self._positions[: max(0, end - self.base)]
        if 0 in known:
            return self.base + known.index(0)
        return self.end if self.end < end else None

    def forget_below(self, slot: int) -> None:
        """Drop the slots below this one."""
        dropped = min(max(0, slot - self.base), len(self._positions))
        del self._positions[:dropped]
        del self._lengths[:dropped]
        self.base = max(self.base, slot)

    def forget_segments_before(self, first: int) -> None:
        """Drop what was known of the segments before this one."""
        self._highest = {n: slot for n, slot in self._highest.items() if n >= first}

    def first_needed(self, segments: range, keep_from: int) -> int:
        """Return the first segment with a vote for slot `keep_from` or later, or the newest."""
        for number in segments[:-1]:
            if self._highest.get(number, -1) >= keep_from:
                return number
        return segments[-1] if segments else segments.start

    def highest_before(self, first: int) -> int:
        """Return the highest slot with a vote in a segment before this one, or -1."""
        return max((slot for n, slot in self._highest.items() if n < first), default=-1)


class Found:
    """What the log holds: gathered batch by batch, judged at the end, by `recovered`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ballot = 0
        self.promised = NO_PROPOSAL
        self.marked_below = 0
        """The newest mark: all slots below are chosen."""

        self.anchor = Anchor(1, Configurations(), 0, None)
        self.index = SlotIndex()
        self.state: LogState[bytes] = LogState()

        self.slots = array("Q")
        self.positions = array("Q")
        self.lengths = array("I")
        self.changes: set[int] = set()
        """Of the votes, by their number: those for a change of the members."""

    def replay(self, position: int, batch: bytes) -> None:
        """Take the next batch of the log. Raise CorruptError if it holds no records."""
        try:
            for kind, number, start, length in record_headers(batch):
                if kind == CHOSEN:
                    self.marked_below = max(self.marked_below, number)
                elif kind == PROMISE:
                    promised = decode_promised(batch[start : start + length])
                    self.ballot = max(self.ballot, number)
                    self.promised = max(self.promised, promised)
                else:
                    if kind == VOTE_OF_CHANGE:
                        self.changes.add(len(self.slots))
                    self.slots.append(number)
                    self.positions.append(position + start)
                    self.lengths.append(length)
        except MalformedError as error:
            raise self.corrupt(position, str(error)) from error

    def corrupt(self, position: int, what: str) -> CorruptError:
        """Return the error that names the file and the place."""
        name, offset = place_of(position)
        return CorruptError(self.folder / name, offset, f"no node wrote this: {what}")


Read = Callable[[int, int], bytes]
"""Reads so many bytes of the log from a position on."""


def recovered(found: Found, anchor: Anchor, read: Read) -> None:
    """Judge what was found, and complete it: `anchor`, `index`, `state`. Raise CorruptError."""
    found.anchor = anchor
    snapshot = anchor.snapshot
    chosen_below = found.marked_below
    if snapshot is not None:
        chosen_below = max(chosen_below, snapshot.chosen_below)
    changes = _build_index(found, anchor)
    hole = found.index.hole(chosen_below)
    if hole is not None:
        position = found.positions[-1] if found.positions else 0
        what = f"all slots below {chosen_below} are chosen, and there is no entry of slot {hole}"
        raise found.corrupt(position, what)
    votes: list[Proposal[Entry[bytes]] | NothingAccepted] = [
        _vote(found, slot, read) for slot in range(chosen_below, found.index.end)
    ]
    ids = [vote.id for vote in votes if vote is not NOTHING_ACCEPTED]
    found.state = LogState(
        found.ballot,
        max([found.promised, *ids]),
        chosen_below,
        tuple(votes),
        chosen_below,
        _configurations(found, changes, chosen_below, read),
    )


def _build_index(found: Found, anchor: Anchor) -> set[int]:
    """Fill the index; return the slots whose newest vote is for a change of the members."""
    found.index = index = SlotIndex(anchor.first_kept)
    highest = max(found.slots, default=0)
    if highest - anchor.first_kept > MAX_SLOTS:
        raise found.corrupt(found.positions[0], f"a vote in slot {highest}")
    for slot, position, length in zip(found.slots, found.positions, found.lengths, strict=True):
        index.put(slot, position, length)
    newest = {found.slots[number]: found.positions[number] for number in sorted(found.changes)}
    found.slots = found.positions[:0]  # not needed any more
    return {slot for slot, position in newest.items() if index.place(slot)[0] == position}


def _vote(found: Found, slot: int, read: Read) -> Proposal[Entry[bytes]] | NothingAccepted:
    position, length = found.index.place(slot)
    if not position:
        return NOTHING_ACCEPTED
    try:
        return decode_proposal(read(position, length))
    except MalformedError as error:
        raise found.corrupt(position, str(error)) from error


def _configurations(
    found: Found, changes: set[int], chosen_below: int, read: Read
) -> Configurations:
    """Return who decides from `chosen_below` on: the anchor, and each change chosen since."""
    anchor, snapshot = found.anchor, found.anchor.snapshot
    configurations = anchor.configurations if snapshot is None else snapshot.configurations
    first = 0 if snapshot is None else snapshot.chosen_below
    for slot in sorted(changes):
        if first <= slot < chosen_below:
            vote = _vote(found, slot, read)
            if vote is NOTHING_ACCEPTED or not isinstance(vote.value, Change):
                raise found.corrupt(found.index.place(slot)[0], "a change that is none")
            configurations = configurations.having_chosen(slot, vote.value, anchor.window)
    return configurations.from_slot(chosen_below)
