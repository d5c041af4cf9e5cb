"""The bytes of a log's messages and records: frozen, bounded, the same wherever they go."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codec.samples import (
    ANY_IDS,
    ANY_NUMBERS,
    IDS,
    NAMES,
    NUMBERS,
    REAL_IDS,
    ROUNDS,
    SENDER,
)
from paxos import (
    NO_PROPOSAL,
    Envelope,
    Heartbeat,
    HeartbeatAnswer,
    MisuseError,
    Nack,
    Proposal,
    ProposalID,
)
from paxos.codec import MAX_NAME_LENGTH, MAX_NUMBER, MalformedError
from paxos.log.entries import NO_OP, Change, Commands, Configuration, Entry, Member
from paxos.log.messages import (
    AcceptedIn,
    AcceptIn,
    AskToRead,
    ChosenBelow,
    Confirm,
    Confirmed,
    Decisions,
    Learn,
    LogFree,
    LogMessage,
    LogWaiting,
    PrepareFrom,
    PromiseFrom,
    ReadFrom,
    TakeOver,
)
from paxos.log.state import ChosenRecord, PromiseRecord, Record, VoteRecord
from paxos.log_codec import (
    CHOSEN,
    MAX_ADDRESS_LENGTH,
    MAX_COMMANDS,
    MAX_ENTRY_BYTES,
    MAX_MEMBERS,
    MAX_MESSAGE_BYTES,
    MAX_PAGE,
    VOTE_OF_CHANGE,
    Encoder,
    decode_envelope,
    decode_promised,
    decode_proposal,
    record_headers,
)

AnyMessage: TypeAlias = LogMessage[bytes]
AnyEnvelope: TypeAlias = Envelope[AnyMessage]

A7, B300 = ProposalID(7, "A"), ProposalID(300, "B")
MEMBERS = Configuration.of([Member("A", "a1", "host:1"), Member("B", "b1"), Member("C", "c1")])
BATCH: Proposal[Entry[bytes]] = Proposal(A7, Commands((b"first", b"", b"third")))
NOTHING: Proposal[Entry[bytes]] = Proposal(B300, NO_OP)
CHANGE: Proposal[Entry[bytes]] = Proposal(A7, Change(MEMBERS))
FLEXIBLE: Proposal[Entry[bytes]] = Proposal(A7, Change(replace(MEMBERS, phase1=3, phase2=1)))

MESSAGES: dict[str, AnyMessage] = {
    "prepare from": PrepareFrom(A7, 12),
    "prepare from, handed over": PrepareFrom(A7, 0, B300),
    "promise from, nothing accepted": PromiseFrom(A7, 3, 1 << 62, 3),
    "promise from, a page": PromiseFrom(A7, 3, 9, 3, ((4, BATCH), (6, NOTHING), (7, CHANGE))),
    "accept in": AcceptIn(5, BATCH),
    "accept in, nothing": AcceptIn(5, NOTHING),
    "accept in, a change": AcceptIn(5, CHANGE),
    "accept in, flexible quorums": AcceptIn(5, FLEXIBLE),
    "accepted in": AcceptedIn(5, A7),
    "chosen below": ChosenBelow(A7, 6),
    "learn": Learn(9),
    "decisions": Decisions(2, (BATCH, NOTHING), 11),
    "decisions, none": Decisions(2, (), 2),
    "confirm": Confirm(A7, 4),
    "confirmed": Confirmed(A7, 4),
    "ask to read": AskToRead(8),
    "read from": ReadFrom(8, 12),
    "take over": TakeOver(A7),
    "nack": Nack(A7, B300),
    "heartbeat of a leader": Heartbeat(A7, 12.5),
    "heartbeat of one who asks": Heartbeat(NO_PROPOSAL, 0.0),
    "heartbeat answer": HeartbeatAnswer(A7, 12.5),
    "heartbeat answer, no leader": HeartbeatAnswer(NO_PROPOSAL, -1.0),
}

RECORDS: dict[str, Record[bytes]] = {
    "promise record": PromiseRecord(7, B300),
    "promise record, none": PromiseRecord(0, NO_PROPOSAL),
    "vote record": VoteRecord(5, BATCH),
    "vote record, nothing": VoteRecord(MAX_NUMBER, NOTHING),
    "vote record, a change": VoteRecord(6, CHANGE),
    "chosen record": ChosenRecord(12),
}

FROZEN: dict[str, str] = json.loads(
    (Path(__file__).parent / "fixtures" / "log-format-1.json").read_text(encoding="utf-8")
)


def envelope(message: AnyMessage) -> AnyEnvelope:
    return Envelope(SENDER, "B", message)


def encoded(message: AnyMessage) -> bytes:
    return Encoder().envelope(envelope(message))


def record_in(data: bytes) -> Record[bytes]:
    """The one record in these bytes, as recovery reads it."""
    ((kind, number, start, length),) = record_headers(data)
    body = data[start : start + length]
    if kind == CHOSEN:
        return ChosenRecord(number)
    if length and kind == 1:
        return PromiseRecord(number, decode_promised(body))
    return VoteRecord(number, decode_proposal(body))


# The format


def test_every_kind_of_message_has_a_sample() -> None:
    kinds = {getattr(kind, "__origin__", kind) for kind in get_args(LogWaiting) + get_args(LogFree)}
    assert {type(message) for message in MESSAGES.values()} == kinds


def test_the_fixture_has_one_of_each_kind() -> None:
    assert set(FROZEN) == {*MESSAGES, *RECORDS}


@pytest.mark.parametrize("name", MESSAGES)
def test_an_envelope_is_written_and_read_as_ever(name: str) -> None:
    data = bytes.fromhex(FROZEN[name])
    assert encoded(MESSAGES[name]) == data
    assert decode_envelope(data) == envelope(MESSAGES[name])


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_written_and_read_as_ever(name: str) -> None:
    data = bytes.fromhex(FROZEN[name])
    assert Encoder().record(RECORDS[name]) == data
    assert record_in(data) == RECORDS[name]


def test_a_change_can_be_told_without_decoding_it() -> None:
    kinds = [next(record_headers(Encoder().record(VoteRecord(1, p))))[0] for p in (BATCH, CHANGE)]
    assert [kind == VOTE_OF_CHANGE for kind in kinds] == [False, True]


def test_records_stand_one_after_the_other() -> None:
    encoder = Encoder()
    batch = b"".join(map(encoder.record, RECORDS.values()))
    pieces = [batch[start - 13 : start + n] for _, _, start, n in record_headers(batch)]
    assert [record_in(piece) for piece in pieces] == list(RECORDS.values())


# One proposal, encoded once


def test_a_proposal_is_the_same_bytes_on_every_way() -> None:
    encoder = Encoder()
    data = encoder.proposal(BATCH)
    assert encoder.proposal(BATCH) is data
    page = PromiseFrom(A7, 5, 6, 5, ((5, BATCH),))
    for message in (AcceptIn(5, BATCH), Decisions(5, (BATCH,), 6), page):
        assert data in encoder.envelope(envelope(message))
    assert encoder.record(VoteRecord(5, BATCH)).endswith(data)


def test_an_encoder_keeps_a_bounded_number_of_proposals() -> None:
    encoder = Encoder()
    proposals = [Proposal(ProposalID(n, "A"), Commands((b"%d" % n,))) for n in range(1, 2000)]
    for _ in range(2):
        for proposal in proposals:
            assert decode_proposal(encoder.proposal(proposal)) == proposal
    assert len(encoder._kept) + len(encoder._older) <= 256


def test_proposals_that_come_and_go_are_never_confused() -> None:
    encoder = Encoder()
    for number in range(1, 3000):  # each takes the memory, and so the identity, of one that is gone
        proposal: Proposal[Entry[bytes]] = Proposal(ProposalID(number, "A"), NO_OP)
        assert decode_proposal(encoder.proposal(proposal)).id.number == number


# Bounds


def config(count: int) -> Configuration:
    return Configuration.of([Member(f"{n:03}", "i") for n in range(count)])


def accept(entry: Entry[Any]) -> AnyMessage:
    return AcceptIn(1, Proposal(A7, entry))


NOT_ENCODED: dict[str, AnyMessage] = {
    "a number above the greatest": TakeOver(ProposalID(MAX_NUMBER + 1, "A")),
    "a negative number": TakeOver(ProposalID(-1, "A")),
    "a name that is too long": TakeOver(ProposalID(1, "A" * (MAX_NAME_LENGTH + 1))),
    "a name that is no Unicode": TakeOver(ProposalID(1, "\udcff")),
    "no proposal": TakeOver(NO_PROPOSAL),
    "number 0 of a node": Heartbeat(ProposalID(0, "A"), 1.0),
    "an ID of no node": Heartbeat(ProposalID(1, ""), 1.0),
    "a round that is no number": Heartbeat(NO_PROPOSAL, math.nan),
    "a round that never begins": HeartbeatAnswer(NO_PROPOSAL, math.inf),
    "a negative slot": Learn(-1),
    "a slot above the greatest": AcceptedIn(MAX_NUMBER + 1, A7),
    "a negative round": Confirm(A7, -1),
    "no command": accept(Commands(())),
    "too many commands": accept(Commands((b"",) * (MAX_COMMANDS + 1))),
    "commands that are too large": accept(Commands((bytes(MAX_ENTRY_BYTES), b"x"))),
    "a command that is text": accept(Commands(("text",))),
    "a command that may change": accept(Commands((bytearray(b"x"),))),
    "too many members": accept(Change(config(MAX_MEMBERS + 1))),
    "an address that is too long": accept(
        Change(Configuration((Member("A", "a", "h" * (MAX_ADDRESS_LENGTH + 1)),)))
    ),
    "too long a page of decisions": Decisions(0, (NOTHING,) * (MAX_PAGE + 1), 0),
    "too long a page of a promise": PromiseFrom(A7, 0, 1, 0, ((1, NOTHING),) * (MAX_PAGE + 1)),
    "a promise that tells twice of a slot": PromiseFrom(A7, 0, 1, 0, ((1, NOTHING),) * 2),
    "too large a page": Decisions(
        0, (Proposal(A7, Commands((bytes(MAX_ENTRY_BYTES),))),) * 5, 0
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", NOT_ENCODED)
def test_a_message_that_no_node_would_take_is_not_encoded(what: str) -> None:
    with pytest.raises(MisuseError):
        encoded(NOT_ENCODED[what])


@pytest.mark.parametrize(
    "changed",
    [{"cluster": ""}, {"node_id": ""}, {"incarnation": "x" * (MAX_NAME_LENGTH + 1)}, {"epoch": -1}],
    ids=str,
)
def test_a_sender_that_no_node_would_know_is_not_encoded(changed: dict[str, Any]) -> None:
    with pytest.raises(MisuseError):
        Encoder().envelope(Envelope(replace(SENDER, **changed), "B", Learn(1)))


@pytest.mark.parametrize("recipient", ["", "x" * (MAX_NAME_LENGTH + 1)])
def test_an_envelope_to_nobody_is_not_encoded(recipient: str) -> None:
    with pytest.raises(MisuseError):
        Encoder().envelope(Envelope(SENDER, recipient, Learn(1)))


@pytest.mark.parametrize(
    "record",
    [ChosenRecord(-1), PromiseRecord(-1, A7), PromiseRecord(1, ProposalID(0, "A"))],
    ids=str,
)
def test_a_record_that_no_node_could_start_from_is_not_encoded(record: Record[bytes]) -> None:
    with pytest.raises(MisuseError):
        Encoder().record(record)


@pytest.mark.parametrize(
    "entry",
    [
        Commands((bytes(MAX_ENTRY_BYTES),)),
        Commands((b"",) * MAX_COMMANDS),
        Change(config(MAX_MEMBERS)),
    ],
    ids=["a large command", "many commands", "many members"],
)  # fmt: skip
def test_the_largest_entries_go(entry: Entry[bytes]) -> None:
    assert decode_envelope(encoded(accept(entry))) == envelope(accept(entry))


def test_a_message_that_is_too_large_is_not_looked_at() -> None:
    with pytest.raises(MalformedError, match="at most"):
        decode_envelope(bytes(MAX_MESSAGE_BYTES + 1))


# Where in an envelope's parts something stands, and what must not stand there.
NOT_DECODED: dict[str, tuple[str, tuple[int, ...], Any]] = {
    "an unknown kind": ("learn", (6, 0), "reconfigure"),
    "no message": ("learn", (6,), None),
    "a negative slot": ("learn", (6, 1), -1),
    "a slot that is a truth": ("learn", (6, 1), True),
    "a slot that is not whole": ("learn", (6, 1), 1.5),
    "an empty sender": ("learn", (2,), ""),
    "an ID of no node": ("take over", (6, 1, 1), ""),
    "a proposal under no ID": ("accept in", (6, 2, 0), [0, ""]),
    "no proposal": ("accept in", (6, 2), None),
    "no command": ("accept in", (6, 2, 1, 1), []),
    "a command that is text": ("accept in", (6, 2, 1, 1), ["text"]),
    "an unknown entry": ("accept in", (6, 2, 1, 0), "surprise"),
    "nothing and more": ("accept in, nothing", (6, 2, 1), ["nothing", 1]),
    "members that are not sorted": ("accept in, a change", (6, 2, 1, 1, 0, 0, 0), "Z"),
    "no member": ("accept in, a change", (6, 2, 1, 1, 0), []),
    "quorums that need not meet": ("accept in, flexible quorums", (6, 2, 1, 1, 1), 1),
    "a promise that tells twice of a slot": ("promise from, a page", (6, 5, 1, 0), 4),
    "a promise that falls": ("promise from, a page", (6, 5, 2, 0), 5),
    "a round that is no number": ("heartbeat of a leader", (6, 2), math.nan),
    "a leader without a name": ("heartbeat answer", (6, 1), [1, ""]),
    "commands too large together": (
        "accept in", (6, 2, 1, 1), [bytes(MAX_ENTRY_BYTES // 2 + 1)] * 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", NOT_DECODED)
def test_an_envelope_with_one_thing_wrong_is_not_decoded(what: str) -> None:
    name, (*way, last), wrong = NOT_DECODED[what]
    parts: Any = msgspec.msgpack.decode(encoded(MESSAGES[name]))
    assert decode_envelope(msgspec.msgpack.encode(parts)) == envelope(MESSAGES[name])
    part = parts
    for index in way:
        part = part[index]
    part[last] = wrong
    with pytest.raises(MalformedError):
        decode_envelope(msgspec.msgpack.encode(parts))


@pytest.mark.parametrize("name", MESSAGES)
def test_neither_an_unknown_field_nor_a_missing_one_goes(name: str) -> None:
    parts: Any = msgspec.msgpack.decode(encoded(MESSAGES[name]))
    for changed in (
        [*parts, 0],
        [*parts[:-1], [*parts[-1], 0]],
        [*parts[:-1], parts[-1][:-1]],
        parts[:-1],
    ):
        with pytest.raises(MalformedError):
            decode_envelope(msgspec.msgpack.encode(changed))


@pytest.mark.parametrize(
    "batch", [b"\x01", b"\x05" + bytes(12), bytes(13), b"\x02\0\0\0\x09" + bytes(10)], ids=repr
)
def test_a_batch_that_holds_something_else_is_malformed(batch: bytes) -> None:
    with pytest.raises(MalformedError):
        list(record_headers(batch))


# Whatever it is

thorough = settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # the clock on the wall proves nothing
)


def entries(names: st.SearchStrategy[str]) -> st.SearchStrategy[Entry[bytes]]:
    members = st.lists(
        st.builds(Member, names, names, names | st.just("")),
        min_size=1, max_size=4, unique_by=lambda member: member.node_id,
    )  # fmt: skip
    return st.one_of(
        st.builds(Commands, st.lists(st.binary(max_size=30), min_size=1, max_size=5).map(tuple)),
        st.just(NO_OP),
        st.builds(Change, members.map(Configuration.of)),
    )


def _by_slot(page: dict[int, Proposal[Entry[bytes]]]) -> tuple[tuple[int, Any], ...]:
    return tuple((slot, page[slot]) for slot in sorted(page))


def messages(
    real: st.SearchStrategy[ProposalID],
    or_none: st.SearchStrategy[ProposalID],
    numbers: st.SearchStrategy[int],
    rounds: st.SearchStrategy[float],
    entry: st.SearchStrategy[Entry[bytes]],
) -> st.SearchStrategy[AnyMessage]:
    proposals = st.builds(Proposal, real, entry)
    page = st.dictionaries(numbers, proposals, max_size=4)
    return st.one_of(
        st.builds(PrepareFrom, real, numbers, or_none),
        st.builds(PromiseFrom, real, numbers, numbers, numbers, page.map(_by_slot)),
        st.builds(AcceptIn, numbers, proposals),
        st.builds(AcceptedIn, numbers, real),
        st.builds(ChosenBelow, real, numbers),
        st.builds(Learn, numbers),
        st.builds(Decisions, numbers, st.lists(proposals, max_size=4).map(tuple), numbers),
        st.builds(Confirm, real, numbers),
        st.builds(Confirmed, real, numbers),
        st.builds(AskToRead, numbers),
        st.builds(ReadFrom, numbers, numbers),
        st.builds(TakeOver, real),
        st.builds(Nack, real, real),
        st.builds(Heartbeat, or_none, rounds),
        st.builds(HeartbeatAnswer, or_none, rounds),
    )  # fmt: skip


GOOD = messages(REAL_IDS, IDS, NUMBERS, ROUNDS, entries(NAMES))
ANY_NAMES = st.text(min_size=1, max_size=80)
ANY = messages(ANY_IDS, ANY_IDS, ANY_NUMBERS, st.floats(), entries(ANY_NAMES))


@thorough
@given(GOOD)
def test_every_message_of_a_running_node_comes_back(message: AnyMessage) -> None:
    assert decode_envelope(encoded(message)) == envelope(message)


@thorough
@given(ANY)
def test_what_cannot_be_decoded_cannot_be_encoded(message: AnyMessage) -> None:
    # The encoder does not read back what it wrote: here it is done for it.
    with contextlib.suppress(MisuseError):
        assert decode_envelope(encoded(message)) == envelope(message)


WHOLE = [encoded(message) for message in MESSAGES.values()]
WHOLE_RECORDS = [Encoder().record(record) for record in RECORDS.values()]


@st.composite
def damaged(draw: st.DrawFn, whole: list[bytes]) -> bytes:
    """Good bytes, of which some were flipped, cut away, or put in from elsewhere."""
    data = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["flip", "truncate", "splice", "insert"])):
            case "flip":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "truncate":
                del data[at:]
            case "splice":
                other = draw(st.sampled_from(whole))
                data[at:] = other[draw(st.integers(0, len(other))) :]
            case _:
                data[at:at] = draw(st.binary(max_size=9))
    return bytes(data)


def decodes_safely(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        found = decode_envelope(data)
        assert decode_envelope(Encoder().envelope(found)) == found


def reads_safely(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        for kind, _, start, length in record_headers(data):
            body = data[start : start + length]
            if kind == 1:
                decode_promised(body)
            elif kind != CHOSEN:
                decode_proposal(body)


@thorough
@given(st.binary(max_size=300) | damaged(WHOLE))
def test_whatever_the_bytes_an_envelope_is_malformed_or_well_formed(data: bytes) -> None:
    decodes_safely(data)


@thorough
@given(st.binary(max_size=300) | damaged(WHOLE_RECORDS))
def test_whatever_the_bytes_a_record_is_malformed_or_well_formed(data: bytes) -> None:
    reads_safely(data)


def test_each_single_byte_may_be_anything() -> None:
    for whole in WHOLE:
        for at in range(len(whole)):
            for byte in (0x00, 0x7F, 0x80, 0x90, 0xA0, 0xC0, 0xC1, 0xC4, 0xCB, 0xD9, 0xDC, 0xFF):
                decodes_safely(whole[:at] + bytes([byte]) + whole[at + 1 :])


def test_no_beginning_of_something_whole_is_whole_and_nothing_may_follow() -> None:
    for whole in WHOLE:
        for data in (*(whole[:end] for end in range(len(whole))), whole + b"\0"):
            with pytest.raises(MalformedError):
                decode_envelope(data)


def test_nesting_without_end_is_malformed() -> None:
    for opening in (b"\x91", b"\x97", b"\x94", b"\x81\xa1a", b"\xdd\xff\xff\xff\xff"):
        decodes_safely(opening * 100_000)
    inside = encoded(AcceptIn(5, BATCH))
    raw = Encoder().proposal(BATCH)
    decodes_safely(inside.replace(raw, b"\x91" * 100_000))
