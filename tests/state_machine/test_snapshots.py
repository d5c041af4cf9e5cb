"""Snapshots: taken at any slot, restored anywhere, all is the same; a bad one changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import blake2b

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxos.codec import MalformedError
from paxos.errors import MisuseError
from paxos.log.configurations import Configurations
from paxos.log.entries import NO_OP, Change, Commands, Configuration, Entry, Member
from paxos.replica import Replica
from paxos.sessions import (
    ANSWER_OVERHEAD,
    ActivateVersion,
    ClientRequest,
    SessionID,
    SessionLimits,
    encode_request,
)
from paxos.snapshots import (
    CHUNK_BYTES,
    DIGEST_BYTES,
    Kind,
    Manifest,
    SnapshotError,
    chunks_of,
    decode_manifest,
    encode_manifest,
    parts_in,
)
from state_machine.machines import Inventory, Journal, apply_next, asking, opening, plain

MEMBERS = Configuration.of([Member("A", "1"), Member("B", "1"), Member("C", "1")])
MORE = Configuration.of([*MEMBERS.members, Member("D", "2", "host:1")])
WINDOW = 3
LIMITS = SessionLimits(sessions=3, window=4)


def inventory() -> Replica[Inventory]:
    fixed = Configurations.fixed(MEMBERS)
    return Replica(Inventory, limits=LIMITS, configurations=fixed, window=WINDOW)


def taken(replica: Replica[Inventory]) -> tuple[Manifest, list[bytes]]:
    taking = replica.snapshot()
    chunks = list(taking)
    return taking.manifest, chunks


def session_entries() -> st.SearchStrategy[Entry[bytes]]:
    calls = st.sampled_from(
        [
            Inventory.put.call("bolt", 3),
            Inventory.put.call("nut", 2),
            Inventory.reserve.call("bolt"),
            Inventory.note.call("nut", "rusty"),
        ]
    )
    requests = st.builds(
        lambda place, sequence, below, call: ClientRequest(
            SessionID(0, place), sequence, min(below, sequence), call.payload
        ),
        st.integers(0, 2),
        st.integers(0, 6),
        st.integers(0, 6),
        calls,
    )
    batches = st.lists(requests.map(encode_request) | st.just(b"noise"), min_size=1, max_size=4)
    return st.one_of(
        batches.map(lambda batch: Commands(tuple(batch))),
        st.integers(50, 59).map(opening),
        st.just(Commands((encode_request(ActivateVersion(2, 1)),))),
        st.sampled_from([NO_OP, Change(MORE), Change(MEMBERS)]),
    )


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(session_entries(), max_size=25), st.integers(0, 26))
def test_who_restores_at_any_slot_goes_on_exactly_like_who_applied_all(
    entries: list[Entry[bytes]], at: int
) -> None:
    first = inventory()
    entries = [opening(1, 2, 3), *entries]
    copy = inventory()
    for slot, entry in enumerate(entries):
        if slot == min(at, len(entries) - 1):
            copy = inventory()
            copy.restore(*taken(first))
            assert copy.state_digest() == first.state_digest()
            expected = first.configurations.from_slot(slot)
            assert copy.configurations == expected
        outcomes = first.apply(slot, entry)
        if copy.applied_below == slot:
            assert copy.apply(slot, entry) == outcomes
    assert copy.applied_below == first.applied_below
    assert (copy.digest, copy.state_digest()) == (first.digest, first.state_digest())
    assert taken(copy) == taken(first)


def filled() -> Replica[Inventory]:
    """A replica whose snapshot takes several chunks."""
    replica = inventory()
    apply_next(replica, opening(1))
    for number in range(20):
        call = Inventory.put.call("x" * 40_000 + str(number), number)
        apply_next(replica, asking(SessionID(0, 0), number, call.payload, number))
    return replica


def test_all_chunks_but_the_last_have_the_same_size() -> None:
    manifest, chunks = taken(filled())
    assert len(chunks) == manifest.chunks > 3
    assert {len(chunk) for chunk in chunks[:-1]} == {CHUNK_BYTES}
    assert sum(map(len, chunks)) == manifest.size


BAD = {
    "a bit is flipped": lambda chunks: [flip(chunks[0]), *chunks[1:]],
    "a bit of the last chunk is flipped": lambda chunks: [*chunks[:-1], flip(chunks[-1])],
    "a chunk is lost": lambda chunks: chunks[:1] + chunks[2:],
    "the last chunk is lost": lambda chunks: chunks[:-1],
    "a chunk came twice": lambda chunks: chunks[:1] + chunks,
    "two chunks changed places": lambda chunks: [chunks[1], chunks[0], *chunks[2:]],
    "all is lost": lambda chunks: [],
}


def flip(chunk: bytes) -> bytes:
    middle = len(chunk) // 2
    return chunk[:middle] + bytes([chunk[middle] ^ 1]) + chunk[middle + 1 :]


@pytest.mark.parametrize("damage", BAD)
def test_a_damaged_snapshot_is_refused_whole(damage: str) -> None:
    manifest, chunks = taken(filled())
    replica = inventory()
    apply_next(replica, plain(Inventory.put.call("bolt", 1).payload))
    before = replica.digest, replica.state_digest(), replica.applied_below, replica.machine
    with pytest.raises(SnapshotError, match="damaged"):
        replica.restore(manifest, BAD[damage](chunks))
    assert (replica.digest, replica.state_digest(), replica.applied_below) == before[:3]
    assert replica.machine is before[3]
    replica.restore(manifest, chunks)
    assert replica.applied_below == 21


def test_what_the_chunks_become_between_two_readings_is_noticed() -> None:
    manifest, chunks = taken(filled())

    class Changing:
        readings = 0

        def __iter__(self) -> Iterator[bytes]:
            self.readings += 1
            good = self.readings == 1
            return iter(chunks if good else [*chunks[:-1], flip(chunks[-1])])

    replica = inventory()
    with pytest.raises(SnapshotError):
        replica.restore(manifest, Changing())
    assert replica.applied_below == 0


def test_chunks_that_can_be_read_once_only_are_refused() -> None:
    manifest, chunks = taken(filled())
    with pytest.raises(MisuseError, match="read more than once"):
        inventory().restore(manifest, iter(chunks))


def test_a_snapshot_older_than_what_is_applied_is_refused() -> None:
    manifest, chunks = taken(inventory())
    with pytest.raises(SnapshotError, match="ends below slot 0, and 21 is here"):
        filled().restore(manifest, chunks)


def test_a_snapshot_with_other_limits_is_refused() -> None:
    manifest, chunks = taken(filled())
    with pytest.raises(SnapshotError, match="give this replica the same"):
        Replica(Inventory).restore(manifest, chunks)


def test_a_snapshot_of_newer_code_is_refused() -> None:
    replica = inventory()
    apply_next(replica, Commands((encode_request(ActivateVersion(2, 1)),)))
    manifest, chunks = taken(replica)

    class Older(Inventory):
        version = 1

    old = Replica(Older, limits=LIMITS)
    with pytest.raises(SnapshotError, match="install newer code"):
        old.restore(manifest, chunks)


def test_a_machine_that_cannot_restore_is_refused_and_the_old_one_stays() -> None:
    manifest, chunks = taken(filled())
    replica = Replica(Journal, limits=LIMITS)
    machine = replica.machine
    with pytest.raises(SnapshotError, match="it cannot be restored"):
        replica.restore(manifest, chunks)
    assert replica.machine is machine


def test_a_machine_that_forgets_while_it_restores_is_noticed() -> None:
    class Forgetful(Journal):
        def restore(self, chunks: Iterable[bytes]) -> None:
            super().restore(list(chunks)[1:])

    replica = Replica(Forgetful)
    apply_next(replica, plain(b"x", b"y"))
    taking = replica.snapshot()
    chunks = list(taking)
    with pytest.raises(SnapshotError, match="yields another"):
        Replica(Forgetful).restore(taking.manifest, chunks)


def test_a_snapshot_is_of_one_moment_and_the_replica_goes_on_from_it() -> None:
    replica = filled()
    manifest, chunks = taken(replica)
    apply_next(replica, plain(Inventory.put.call("later", 1).payload))
    copy = inventory()
    copy.restore(manifest, chunks)
    assert "later" not in copy.machine.stock
    apply_next(copy, plain(Inventory.put.call("later", 1).payload))
    assert copy.digest == replica.digest


@pytest.mark.parametrize("taken_before", [0, 1, 2])
def test_where_snapshots_stay_commands_are_applied_while_one_is_taken(taken_before: int) -> None:
    replica = filled()
    manifest, chunks = taken(replica)
    taking = replica.snapshot()
    meanwhile = [next(taking) for _ in range(taken_before)]
    apply_next(replica, opening(7))
    for number in range(20):
        call = Inventory.put.call("x" * 40_000 + str(number), 1)
        apply_next(replica, asking(SessionID(0, 0), 20 + number, call.payload, 20 + number))
    meanwhile += taking
    assert (taking.manifest, meanwhile) == (manifest, chunks)


def test_after_a_restore_as_many_bytes_of_answers_are_kept_as_without() -> None:
    limits = SessionLimits(
        sessions=9, window=1, answer_bytes=100, kept_bytes=3 * (100 + ANSWER_OVERHEAD)
    )
    replica = Replica(Journal, limits=limits)
    apply_next(replica, opening(1, 2, 3, 4))
    for place in range(3):
        apply_next(replica, asking(SessionID(0, place), 0, b"x" * 90))
    taking = replica.snapshot()
    chunks = list(taking)
    copy = Replica(Journal, limits=limits)
    copy.restore(taking.manifest, chunks)
    for each in (replica, copy):
        apply_next(each, asking(SessionID(0, 3), 0, b"x" * 90))
    assert replica.sessions == copy.sessions == 3


def test_a_session_answers_from_memory_after_a_restore() -> None:
    replica = filled()
    copy = inventory()
    copy.restore(*taken(replica))
    call = Inventory.put.call("x" * 40_000 + "19", 19)
    (outcome,) = apply_next(copy, asking(SessionID(0, 0), 19, call.payload, 19))
    assert outcome.repeated
    assert call.decode(outcome.value()) == 19


def test_a_manifest_comes_back_as_it_was() -> None:
    replica = filled()
    apply_next(replica, Change(MORE))
    manifest, _ = taken(replica)
    assert decode_manifest(encode_manifest(manifest)) == manifest


@pytest.mark.parametrize("position", [0, 31, 32, 60, -1])
def test_a_damaged_manifest_is_noticed(position: int) -> None:
    data = bytearray(encode_manifest(taken(inventory())[0]))
    data[position] ^= 1
    with pytest.raises(MalformedError, match="no manifest, or a damaged one"):
        decode_manifest(bytes(data))


def sealed(*fields: object) -> bytes:
    content = msgspec.msgpack.encode(fields)
    return blake2b(content, digest_size=DIGEST_BYTES).digest() + content


GOOD = [1, 0, [], 1, [1, 1, 1, 1000], bytes(32), bytes(32), 0]


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (0, 2, "of version 2; this library reads 1"),
        (1, -1, "does not fit the format"),
        (2, [[0, [[], 0, 0]]], "does not fit the format"),
        (2, [[0, [[["B", "1", ""], ["A", "1", ""]], 0, 0]]], "sorted by node ID"),
        (4, [1, 1, 1, 0], "kept_bytes"),
        (5, b"short", "does not fit the format"),
    ],
)
def test_a_manifest_that_says_what_cannot_be_is_malformed(
    at: int, value: object, words: str
) -> None:
    decode_manifest(sealed(*GOOD))
    with pytest.raises(MalformedError, match=words):
        decode_manifest(sealed(*GOOD[:at], value, *GOOD[at + 1 :]))


def test_a_manifest_that_nobody_would_take_is_not_encoded() -> None:
    manifest, _ = taken(inventory())
    with pytest.raises(MisuseError, match="cannot be encoded"):
        encode_manifest(replace(manifest, log_digest=b"short"))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_manifest_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_manifest(data)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.sampled_from(list(Kind)), st.binary(max_size=40)), max_size=9),
    st.integers(1, 20),
)
def test_parts_come_back_however_their_stream_is_cut(
    parts: list[tuple[Kind, bytes]], size: int
) -> None:
    stream = b"".join(chunks_of(parts))
    cut = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert list(parts_in(cut)) == parts


@pytest.mark.parametrize("stream", [b"\x01\x00", b"\x01\x00\x00\x00\x02x", b"\x09\x00\x00\x00\x00"])
def test_a_stream_that_ends_early_or_holds_something_else_is_malformed(stream: bytes) -> None:
    with pytest.raises(MalformedError):
        list(parts_in([stream]))
