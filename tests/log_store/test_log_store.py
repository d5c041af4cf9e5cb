"""The memory of a node of a log: what is saved is there again, and what is chosen is given out."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace

import pytest

from log_store.stores import (
    FOLDER,
    INITIAL,
    OWNER,
    WINDOW,
    Account,
    append,
    at,
    commands,
    disk_with,
    filled,
    made,
    members,
    opened,
    proposal,
    state_of,
    word,
)
from paxos import NOTHING_ACCEPTED, write_ahead_log
from paxos.durable import Answer, CorruptError, ForeignError, FullError, LostError, StoreExistsError
from paxos.errors import MisuseError
from paxos.log.configurations import Configurations
from paxos.log.entries import Change, Commands
from paxos.log.state import LogState, records_since
from paxos.log_anchor import Anchor, SnapshotInfo, encode_anchor
from paxos.log_codec import MAX_PAGE, Encoder
from paxos.log_store import SnapshotRefusedError, create_log_store, open_log_store
from paxos.sim.simulated_disk import SimulatedDisk

NEW_MEMBERS = Configurations.fixed(members("A", "B", "D"))


def snapshot_of(disk: SimulatedDisk, chosen_below: int, stream: bytes = b"stream") -> None:
    with opened(disk) as store:
        store.save_snapshot(chosen_below, NEW_MEMBERS, [stream])


# From one life to the next


def test_a_new_store_holds_nothing_but_its_members() -> None:
    store = opened(made())
    assert store.state == LogState(configurations=INITIAL)
    assert (store.window, store.first_kept, store.snapshot) == (WINDOW, 0, None)
    assert (store.report.answer, store.owner) == (Answer.FRESH, OWNER)


def test_what_was_saved_is_there_again() -> None:
    states = [
        state_of("a"),
        state_of("a", "b", promised=2),
        state_of("a", "b", "", "d", promised=2, chosen=1),
    ]
    account, before = Account(), LogState[bytes]()
    for state in states:
        account.records += records_since(before, state)
        before = state
    store = opened(disk_with(*states))
    assert store.state == account.state()
    assert store.state.votes == states[-1].votes[1:]


def test_a_save_is_one_write_and_one_sync() -> None:
    disk = disk_with(state_of("a"))
    store = opened(disk)
    before = store.sync_count
    with disk.recorded() as record:
        store.save(state_of("a", "b", "c", promised=3))
    assert record.methods == ["write_at", "sync"]
    assert store.sync_count == before + 1


def test_nothing_new_is_nothing_written() -> None:
    disk = disk_with(state_of("a"))
    store = opened(disk)
    with disk.recorded() as record:
        store.save(store.state)
        store.save(replace(state_of("a"), chosen_below=1))
    assert not record.calls


def test_the_mark_of_what_is_chosen_is_written_with_the_next_record() -> None:
    disk = disk_with(state_of("a"))
    store = opened(disk)
    store.save(replace(state_of("a"), chosen_below=1))
    store.save(state_of("a", "b", chosen=1))
    disk.kill()
    assert opened(disk).chosen_below == 1


def test_closing_writes_the_mark_that_lags() -> None:
    disk = disk_with(state_of("a", "b"))
    store = opened(disk)
    store.save(replace(state_of("a", "b"), chosen_below=2))
    store.close()
    store.close()
    assert opened(disk).state == replace(state_of(first=2, chosen=2), configurations=INITIAL)


def test_closing_writes_the_state_that_it_is_given() -> None:
    disk = disk_with(state_of("a"))
    opened(disk).close(state_of("a", "b", promised=4))
    assert opened(disk).state.promised == at(4)


def test_a_proposal_that_is_on_its_way_is_not_encoded_again() -> None:
    encoder = Encoder()
    state = state_of("a")
    (vote,) = state.votes
    data = encoder.proposal(vote)  # type: ignore[arg-type]  # it is one
    disk = made()
    with open_log_store(FOLDER, encoder=encoder, disk=disk) as store:
        store.save(state)
    assert any(data in disk.state.content(path) for path in disk.state.paths)


def test_a_save_that_is_too_large_for_a_batch_takes_several() -> None:
    votes = tuple(proposal(1, Commands((bytes([n]) * 3000,))) for n in range(9))
    disk = made()
    with opened(disk) as store:
        store.save(LogState(1, at(1), 0, votes, 0))
    assert opened(disk).state.votes == votes


def test_init_alone_creates_and_only_once() -> None:
    disk = SimulatedDisk()
    with pytest.raises(LostError):
        opened(disk)
    disk = made()
    with pytest.raises(StoreExistsError):
        create_log_store(FOLDER, OWNER, INITIAL, window=WINDOW, disk=disk)


@pytest.mark.parametrize("names", [{"cluster": "other"}, {"node_id": "B"}], ids=str)
def test_the_store_of_another_is_refused(names: dict[str, str]) -> None:
    with pytest.raises(ForeignError):
        open_log_store(FOLDER, disk=made(), **names)


def test_a_log_of_something_else_is_refused_and_given_back() -> None:
    disk = SimulatedDisk()
    write_ahead_log.init(FOLDER, OWNER, label=b"not an anchor", disk=disk)
    with pytest.raises(ForeignError, match="not that of a node"):
        opened(disk)
    assert disk.open_handles == 0


def test_records_of_another_format_say_which() -> None:
    disk = SimulatedDisk()
    label = bytearray(encode_anchor(Anchor(WINDOW, INITIAL, 0, None)))
    label[1] = 9
    write_ahead_log.init(FOLDER, OWNER, label=bytes(label), disk=disk)
    with pytest.raises(ForeignError, match="have format 9, and we read 1"):
        opened(disk)


def test_an_anchor_with_impossible_members_is_damage() -> None:
    disk = SimulatedDisk()
    label = encode_anchor(Anchor(WINDOW, INITIAL, 0, None)).replace(b"\xa1B", b"\xa1A")
    write_ahead_log.init(FOLDER, OWNER, label=label, disk=disk)
    with pytest.raises(CorruptError, match="impossible configuration"):
        opened(disk)


@pytest.mark.parametrize("window", [0, 1 << 21])
def test_a_window_has_bounds(window: int) -> None:
    with pytest.raises(MisuseError, match="no log can rest on this"):
        made(window)


# What was chosen


def test_chosen_entries_are_given_by_slot() -> None:
    store = opened(filled(30))
    page = store.entries(10, 100_000)
    assert [each.value for each in page] == [word(slot) for slot in range(10, 30)]
    assert store.entries(30, 100_000) == ()


def test_what_is_not_known_to_be_chosen_is_not_given() -> None:
    store = opened(filled(10, chosen_lag=3))
    assert len(store.entries(0, 100_000)) == store.chosen_below == 7


def test_a_page_is_bounded_and_has_at_least_one() -> None:
    store = opened(filled(10))
    assert len(store.entries(0, 0)) == 1
    assert len(store.entries(0, 400)) == 3
    assert len(store.entries(0, 100_000, at_most=4)) == 4
    assert MAX_PAGE >= 4


def test_the_newest_vote_of_a_chosen_slot_is_given() -> None:
    store = opened(disk_with(state_of("old"), state_of("new", promised=2, chosen=1)))
    assert store.entries(0, 1000) == (proposal(2, commands("new")),)


def test_rot_in_an_entry_stops_who_asks_for_it() -> None:
    disk = filled(3)
    store = opened(disk)
    disk.state = disk.state.flip(FOLDER / "segment-00000001", 600)
    with pytest.raises(CorruptError, match="has rotted"):
        store.entries(0, 1000)


def test_a_change_of_the_members_is_found_again() -> None:
    change = Change(members("A", "B", "D"))
    votes = (proposal(1, commands("a")), proposal(1, change), proposal(1, commands("c")))
    disk = disk_with(LogState(1, at(1), 0, votes, 2))
    found = opened(disk).state.configurations
    assert [found.at(slot) for slot in (4, 5)] == [INITIAL.newest, change.configuration]


# Snapshots, and trimming


def test_a_snapshot_is_there_again_with_all_that_belongs_to_it() -> None:
    disk = filled(10)
    with opened(disk) as store:
        info = store.save_snapshot(8, NEW_MEMBERS, [b"some", b"thing"], manifest=b"more")
    store = opened(disk)
    assert store.snapshot == info
    assert (info.chosen_below, info.size, info.manifest) == (8, 9, b"more")
    reader = store.open_snapshot()
    assert reader is not None
    assert reader.read(2, 5) == b"methi"
    assert (store.first_kept, store.chosen_below) == (0, 10)
    assert len(store.entries(0, 100_000)) == 10


def test_there_is_no_snapshot_at_first() -> None:
    store = opened(filled(3))
    assert store.open_snapshot() is None
    assert store.trim() == 0


def test_a_snapshot_of_another_digest_is_refused_whole() -> None:
    disk = filled(10)
    store = opened(disk)
    with pytest.raises(SnapshotRefusedError):
        store.save_snapshot(8, NEW_MEMBERS, [b"stream"], digest=bytes(32))
    assert store.snapshot is None
    store.close()
    assert not any("snapshot" in path.name for path in disk.state.paths)


def test_chunks_that_fail_leave_nothing_behind() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"some"
        raise ValueError("the application's own trouble")

    disk = filled(3)
    store = opened(disk)
    with pytest.raises(ValueError, match="own trouble"):
        store.save_snapshot(3, NEW_MEMBERS, chunks())
    assert not any("snapshot" in path.name for path in disk.state.paths)


def test_an_older_snapshot_does_not_replace_a_newer_one() -> None:
    store = opened(filled(10))
    store.save_snapshot(8, NEW_MEMBERS, [b"newer"])
    with pytest.raises(MisuseError, match="keep it"):
        store.save_snapshot(7, NEW_MEMBERS, [b"older"])
    assert store.snapshot is not None
    assert store.snapshot.chosen_below == 8


def announced(stream: bytes, chosen_below: int = 100) -> SnapshotInfo:
    """What another node says of its snapshot."""
    store = opened(filled(1))
    return store.save_snapshot(chosen_below, NEW_MEMBERS, [stream])


def test_a_received_snapshot_ahead_of_the_log_voids_what_is_below() -> None:
    disk = filled(10, chosen_lag=2)
    store = opened(disk)
    incoming = store.receive_snapshot(announced(b"0123456789"))
    assert incoming.add(0, b"01234") == 5
    assert incoming.add(0, b"01234") == 5  # again
    assert incoming.add(7, b"789") == 5  # not yet
    assert incoming.add(5, b"56789") == 10
    store.install(incoming)
    after = replace(store.state, first=100, votes=(), chosen_below=100, configurations=NEW_MEMBERS)
    assert store.state == after
    assert (store.first_kept, store.chosen_below) == (100, 100)
    with pytest.raises(MisuseError, match="send the snapshot"):
        store.entries(99, 1000)
    store.close()
    assert opened(disk).state == after


def test_votes_above_a_received_snapshot_stay() -> None:
    disk = disk_with(state_of("a", "b", "c", "d"))
    store = opened(disk)
    incoming = store.receive_snapshot(announced(b"s", chosen_below=2))
    incoming.add(0, b"s")
    store.install(incoming)
    store.close()
    assert opened(disk).state.votes == state_of("c", "d").votes


def test_a_promise_outlives_a_snapshot_that_voids_the_log() -> None:
    disk = disk_with(state_of("a", promised=7))
    store = opened(disk)
    incoming = store.receive_snapshot(announced(b"s"))
    incoming.add(0, b"s")
    store.install(incoming)
    store.trim()
    store.close()
    assert opened(disk).state.promised == at(7)


def test_a_received_snapshot_that_is_not_whole_or_not_right_is_refused() -> None:
    disk = filled(3)
    store = opened(disk)
    for chunk in (b"012", b"x123456789"):
        incoming = store.receive_snapshot(announced(b"0123456789"))
        incoming.add(0, chunk)
        with pytest.raises(SnapshotRefusedError):
            store.install(incoming)
    incoming = store.receive_snapshot(announced(b"0123456789"))
    with pytest.raises(SnapshotRefusedError, match="more than"):
        incoming.add(0, b"0123456789x")
    incoming = store.receive_snapshot(announced(b"0123456789"))
    incoming.give_up()
    assert not any("snapshot" in path.name for path in disk.state.paths)
    append(store, 1)


def test_no_room_for_a_received_snapshot_gives_it_up_and_the_log_goes_on() -> None:
    disk = filled(3)
    store = opened(disk)
    stream = bytes(100_000)
    incoming = store.receive_snapshot(announced(stream))
    disk.fault = lambda method: errno.ENOSPC if method == "write_at" else None
    with pytest.raises(FullError):
        incoming.add(0, stream)
    disk.fault = None
    assert not any("snapshot" in path.name for path in disk.state.paths)
    append(store, 1)


def test_a_log_that_was_never_saved_to_has_nothing_to_trim() -> None:
    store = opened(made())
    incoming = store.receive_snapshot(announced(b"s"))
    incoming.add(0, b"s")
    store.install(incoming)
    assert store.trim() == 0
    append(store, 3)
    assert (store.first_kept, store.chosen_below) == (100, 103)


def test_trimming_drops_whole_segments_and_keeps_a_tail() -> None:
    disk = filled(60)
    store = opened(disk)
    store.save_snapshot(50, INITIAL, [b"s"])
    before = store.segments
    dropped = store.trim(keep=10)
    assert 0 < dropped < before
    assert store.segments == before - dropped
    assert 0 < store.first_kept <= 40
    page = store.entries(store.first_kept, 100_000)
    assert [each.value for each in page] == [word(slot) for slot in range(store.first_kept, 60)]
    with pytest.raises(MisuseError, match="send the snapshot"):
        store.entries(store.first_kept - 1, 1000)
    state, first_kept = store.state, store.first_kept
    store.close()
    store = opened(disk)
    assert (store.state.promised, store.first_kept) == (state.promised, first_kept)
    assert len(store.entries(first_kept, 100_000)) == 60 - first_kept
    assert store.trim(keep=10) == 0


@pytest.mark.parametrize("keep", range(7))
def test_trimming_drops_exactly_what_the_snapshot_has_beyond_the_tail(keep: int) -> None:
    disk = filled(10, size=4000)  # so that each slot has a segment of its own
    snapshot_of(disk, 6)
    store = opened(disk)
    assert store.trim(keep=keep) == 6 - keep
    assert store.first_kept == 6 - keep
    store.close()
    store = opened(disk)
    assert len(store.entries(6 - keep, 100_000)) == 4 + keep


def test_votes_above_the_snapshot_are_never_trimmed() -> None:
    disk = filled(10, size=4000, chosen_lag=10)
    store = opened(disk)
    incoming = store.receive_snapshot(announced(b"s", chosen_below=3))
    incoming.add(0, b"s")
    store.install(incoming)
    store.trim()
    store.close()
    votes = opened(disk).state.votes
    assert [vote.value for vote in votes if vote is not NOTHING_ACCEPTED] == [
        word(slot, 4000) for slot in range(3, 10)
    ]


def test_trimming_never_loses_promise_or_mark() -> None:
    disk = filled(60)
    snapshot_of(disk, 60)
    store = opened(disk)
    assert store.trim()
    store.close()
    found = opened(disk).state
    assert (found.promised, found.chosen_below, found.ballot) == (at(1), 60, 1)


def test_a_promise_of_a_save_that_takes_several_segments_outlives_the_first_of_them() -> None:
    disk = made()
    store = opened(disk)
    append(store, 3)
    votes = tuple(proposal(9, word(slot, 4000)) for slot in range(3, 8))
    store.save(replace(store.state, ballot=9, promised=at(9), votes=(*store.state.votes, *votes)))
    assert store.segments > 4
    incoming = store.receive_snapshot(announced(b"s", chosen_below=7))
    incoming.add(0, b"s")
    store.install(incoming)
    assert store.trim()
    store.close()
    assert (opened(disk).state.ballot, opened_again(disk).promised) == (9, at(9))


def opened_again(disk: SimulatedDisk) -> LogState[bytes]:
    disk.kill()
    return opened(disk).state


def test_memory_is_bounded_by_the_tail() -> None:
    disk = made()
    store = opened(disk)
    most = 0
    for _ in range(10):
        append(store, 40)
        store.save_snapshot(store.chosen_below, INITIAL, [b"s"])
        store.trim(keep=8)
        most = max(most, store.chosen_below - store.first_kept)
        assert store.segments <= 3
    assert most < 80
    store.close()
    assert opened(disk).chosen_below == 400


# A full disk


def test_on_a_full_disk_a_node_stops_in_order() -> None:
    disk = made()
    store = opened(disk)
    append(store, 3)
    disk.fault = lambda method: errno.ENOSPC if method == "create_file" else None
    with pytest.raises(FullError):
        append(store, 100)
    assert store.full is not None
    state = store.state
    store.save(state)  # nothing new is nothing refused
    last = replace(state, ballot=5, promised=at(5))
    store.close(last)
    disk.fault = None
    assert opened(disk).state.promised == at(5)


def test_making_room_by_trimming_lets_the_store_go_on() -> None:
    disk = filled(60)
    store = opened(disk)

    def segments() -> int:
        return sum(path.name.startswith("segment") for path in disk.state.paths)

    most = segments()
    is_snapshot = False
    # There is room for as many segments as there are, and for a snapshot.
    disk.fault = lambda method: (
        errno.ENOSPC if method == "create_file" and segments() >= most and not is_snapshot else None
    )
    with pytest.raises(FullError):
        append(store, 100)
    is_snapshot = True
    store.save_snapshot(store.chosen_below, INITIAL, [b"s"])
    is_snapshot = False
    assert store.trim()
    append(store, 5)
    assert store.full is None


def test_a_broken_store_closes_without_a_word() -> None:
    disk = made()
    store = opened(disk)
    append(store, 3, chosen_lag=1)
    disk.fault = lambda method: errno.EIO if method == "sync" else None
    with pytest.raises(write_ahead_log.durable.DiskError):
        append(store, 1)
    store.close()
    assert disk.open_handles == 0
