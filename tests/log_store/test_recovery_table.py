"""Recovery is a table of cases over log, snapshot and promise: here every case is walked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from log_store.stores import INITIAL, WINDOW, Account, at, commands, members, proposal
from paxos import NO_PROPOSAL
from paxos.log.configurations import Configurations
from paxos.log.entries import NO_OP, Change, Entry
from paxos.log.state import ChosenRecord, PromiseRecord, Record, VoteRecord
from paxos.log_anchor import Anchor, SnapshotInfo
from paxos.log_codec import Encoder
from paxos.log_recovery import MAX_SLOTS, Found, recovered
from paxos.storage_errors import CorruptError

SLOTS = 4
ENTRIES: tuple[Entry[bytes] | None, ...] = (None, commands("x"), Change(members("A", "B", "D")))
SNAPSHOT_MEMBERS = Configurations.fixed(members("A", "X", "Y"))
PROMISES = (None, PromiseRecord(2, at(1)), PromiseRecord(9, at(9, "B")))


def found_in(records: list[Record[bytes]], anchor: Anchor) -> Found:
    """What recovery makes of these records, each of them a batch of its own."""
    encoder, memory, found = Encoder(), b"", Found(Path("/log"))
    for record in records:
        batch = encoder.record(record)
        found.replay((1 << 32) + len(memory), batch)
        memory += batch
    recovered(found, anchor, lambda at, length: memory[at & 0xFFFFFFFF :][:length])
    return found


def anchor_of(snapshot: int | None, first_kept: int) -> Anchor:
    info = None
    if snapshot is not None:
        info = SnapshotInfo(snapshot, SNAPSHOT_MEMBERS, 0, bytes(32))
    return Anchor(WINDOW, INITIAL, first_kept, info)


def logs() -> Iterator[list[Record[bytes]]]:
    """Every log: of each slot no vote, a batch or a change; any promise; any mark, or none."""
    for entries in product(ENTRIES, repeat=SLOTS):
        votes: list[Record[bytes]] = [
            VoteRecord(slot, proposal(5, entry))
            for slot, entry in enumerate(entries)
            if entry is not None
        ]
        for promise, mark in product(PROMISES, range(SLOTS + 1)):
            before: list[Record[bytes]] = [] if promise is None else [promise]
            after: list[Record[bytes]] = [ChosenRecord(mark)] if mark else []
            yield [*before, *votes, *after]


def needs_more_slots(snapshot: int | None, first_kept: int) -> bool:
    """Whether the log should hold slots that none of these logs has."""
    return snapshot is not None and snapshot > SLOTS > first_kept


@pytest.mark.parametrize("snapshot", [None, 0, 1, 2, 4, 6])
@pytest.mark.parametrize("is_trimmed", [False, True])
def test_every_case_gives_what_was_written_or_names_the_damage(
    snapshot: int | None, *, is_trimmed: bool
) -> None:
    first_kept = snapshot if is_trimmed and snapshot is not None else 0
    sound = damaged = 0
    for records in logs():
        account = Account(records, None if snapshot is None else (snapshot, SNAPSHOT_MEMBERS))
        kept = range(first_kept, account.chosen_below)
        if all(slot in account.votes for slot in kept):
            found = found_in(records, anchor_of(snapshot, first_kept))
            assert found.state == account.state()
            sound += 1
        else:
            with pytest.raises(CorruptError, match="there is no entry of slot"):
                found_in(records, anchor_of(snapshot, first_kept))
            damaged += 1
    assert sound or needs_more_slots(snapshot, first_kept)
    assert damaged or first_kept >= SLOTS


def test_every_prefix_of_a_save_is_a_legal_state() -> None:
    records: list[Record[bytes]] = [
        PromiseRecord(3, at(3)),
        VoteRecord(0, proposal(3, commands("a"))),
        VoteRecord(1, proposal(3, Change(members("A", "B", "D")))),
        VoteRecord(2, proposal(3)),
        ChosenRecord(2),
    ]
    for end in range(len(records) + 1):
        assert found_in(records[:end], anchor_of(None, 0)).state == Account(records[:end]).state()


def test_a_vote_promises_too() -> None:
    found = found_in(
        [PromiseRecord(0, NO_PROPOSAL), VoteRecord(0, proposal(7))], anchor_of(None, 0)
    )
    assert (found.state.ballot, found.state.promised) == (0, at(7))


def test_the_newest_vote_of_a_slot_counts() -> None:
    change = Change(members("A", "B", "D"))
    records: list[Record[bytes]] = [
        VoteRecord(0, proposal(1, change)),
        VoteRecord(1, proposal(1, commands("old"))),
        VoteRecord(0, proposal(2, commands("new"))),
        VoteRecord(1, proposal(2, change)),
    ]
    assert found_in(records, anchor_of(None, 0)).state.votes == (
        proposal(2, commands("new")),
        proposal(2, change),
    )
    chosen = found_in([*records, ChosenRecord(2)], anchor_of(None, 0)).state
    assert chosen.configurations == INITIAL.having_chosen(1, change, WINDOW).from_slot(2)


def test_changes_govern_in_the_order_of_their_slots_however_they_were_written() -> None:
    one, two = Change(members("A", "B")), Change(members("A", "C"))
    records: list[Record[bytes]] = [
        VoteRecord(1, proposal(1, two)),
        VoteRecord(0, proposal(1, one)),
        ChosenRecord(2),
    ]
    found = found_in(records, anchor_of(None, 0)).state.configurations
    assert [found.at(slot) for slot in (3, 4, 5)] == [
        INITIAL.newest,
        one.configuration,
        two.configuration,
    ]


def test_a_vote_far_beyond_everything_is_damage_and_takes_no_memory() -> None:
    with pytest.raises(CorruptError, match="a vote in slot"):
        found_in([VoteRecord(MAX_SLOTS + 1, proposal(1))], anchor_of(None, 0))


def test_a_batch_that_holds_no_records_is_damage_and_says_where() -> None:
    found = Found(Path("/log"))
    with pytest.raises(CorruptError, match="no node wrote this") as caught:
        found.replay((3 << 32) + 2 * 488, b"something else")
    assert (caught.value.path, caught.value.offset) == (Path("/log/segment-00000003"), 1024)


def test_a_vote_that_cannot_be_decoded_is_damage() -> None:
    found, encoder = Found(Path("/log")), Encoder()
    batch = bytearray(encoder.record(VoteRecord(0, proposal(1, NO_OP))))
    batch[-1] ^= 0xFF
    found.replay(1 << 32, bytes(batch))
    with pytest.raises(CorruptError, match="no node wrote this"):
        recovered(found, anchor_of(None, 0), lambda at, n: bytes(batch)[at & 0xFFFF :][:n])


def test_a_change_that_is_none_is_damage() -> None:
    found, encoder = Found(Path("/log")), Encoder()
    batch = bytearray(encoder.record(VoteRecord(0, proposal(1, NO_OP))))
    batch[0] = 3  # says that it is a change
    found.replay(1 << 32, bytes(batch) + encoder.record(ChosenRecord(1)))
    anchor = replace(anchor_of(None, 0))
    with pytest.raises(CorruptError, match="a change that is none"):
        recovered(found, anchor, lambda at, n: bytes(batch)[at & 0xFFFF :][:n])
