"""What is too large, too small or no number at all: refused on both sides."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from codec.samples import ACCEPTED, MESSAGES, SENDER, STATES, AnyMessage, envelope
from paxos import (
    NO_PROPOSAL,
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    Chosen,
    DurableState,
    Envelope,
    Heartbeat,
    HeartbeatAnswer,
    Identity,
    MisuseError,
    Nack,
    Prepare,
    Promise,
    Proposal,
    ProposalID,
    Request,
)
from paxos.codec import (
    ENVELOPE_OVERHEAD,
    MAX_NAME_LENGTH,
    MAX_NUMBER,
    MAX_VALUE_BYTES,
    STATE_OVERHEAD,
    STATE_VERSION,
    MalformedError,
    decode_envelope,
    decode_state,
    encode_envelope,
    encode_state,
)

A1 = ProposalID(1, "A")
LONGEST_NAME = "\N{SNAKE}" * MAX_NAME_LENGTH  # four bytes a character: UTF-8 has no longer ones
LONGEST_ID = ProposalID(MAX_NUMBER, LONGEST_NAME)
TOO_LARGE = bytes(MAX_VALUE_BYTES + 1)

Parts = list[Any]


def parts_of(message: AnyMessage) -> Parts:
    """The envelope as what its bytes say: lists, numbers, texts."""
    parts: Parts = msgspec.msgpack.decode(encode_envelope(envelope(message)))
    return parts


def decode_parts(parts: Parts) -> object:
    return decode_envelope(msgspec.msgpack.encode(parts))


VALUED: dict[str, Callable[[bytes], AnyMessage]] = {
    "promise": lambda value: Promise(A1, Proposal(A1, value)),
    "accept": lambda value: Accept(Proposal(A1, value)),
    "accepted": lambda value: Accepted(Proposal(A1, value)),
    "chosen": lambda value: Chosen(Proposal(A1, value)),
    "request": Request,
}
"""Every message that carries a value."""


@pytest.mark.parametrize("kind", VALUED)
def test_a_value_may_have_the_greatest_size(kind: str) -> None:
    sent = envelope(VALUED[kind](bytes(MAX_VALUE_BYTES)))
    assert decode_envelope(encode_envelope(sent)) == sent


@pytest.mark.parametrize("kind", VALUED)
def test_a_value_that_is_too_large_is_not_encoded(kind: str) -> None:
    with pytest.raises(MisuseError, match=str(MAX_VALUE_BYTES)):
        encode_envelope(envelope(VALUED[kind](TOO_LARGE)))


@pytest.mark.parametrize("kind", VALUED)
def test_a_value_larger_than_the_cluster_allows_is_not_decoded(kind: str) -> None:
    data = encode_envelope(envelope(VALUED[kind](b"12345")))
    assert decode_envelope(data, value_bytes=5) == envelope(VALUED[kind](b"12345"))
    with pytest.raises(MalformedError, match="5 bytes: at most 4"):
        decode_envelope(data, value_bytes=4)


def test_a_value_larger_than_any_may_be_is_not_decoded() -> None:
    parts = parts_of(Request(b""))
    parts[-1][-1] = TOO_LARGE
    with pytest.raises(MalformedError):
        decode_parts(parts)


def test_a_state_with_too_large_a_value_is_not_encoded() -> None:
    with pytest.raises(MisuseError, match=str(MAX_VALUE_BYTES)):
        encode_state(DurableState(1, A1, Proposal(A1, TOO_LARGE)))


@pytest.mark.parametrize("value", ["text", 7, None, ["list"]], ids=repr)
def test_a_value_that_is_not_bytes_is_not_encoded(value: Any) -> None:
    # It would be on disk as something that no node can read.
    with pytest.raises(MisuseError):
        encode_state(DurableState(1, A1, Proposal(A1, value)))
    with pytest.raises(MisuseError):
        encode_envelope(envelope(Request(value)))


NOT_ENCODED: dict[str, AnyMessage] = {
    "a number above the greatest": Prepare(ProposalID(MAX_NUMBER + 1, "A")),
    "a number of more than 64 bits": Prepare(ProposalID(2**64, "A")),
    "a negative number": Prepare(ProposalID(-1, "A")),
    "a name that is too long": Prepare(ProposalID(1, "A" * (MAX_NAME_LENGTH + 1))),
    "a name that is no Unicode": Prepare(ProposalID(1, "\udcff")),
    "no proposal to prepare": Prepare(NO_PROPOSAL),
    "number 0 of a node": Prepare(ProposalID(0, "A")),
    "an ID of no node": Nack(A1, ProposalID(1, "")),
    "a round that is no number": Heartbeat(NO_PROPOSAL, math.nan),
    "a round that never begins": HeartbeatAnswer(NO_PROPOSAL, math.inf),
}


@pytest.mark.parametrize("what", NOT_ENCODED)
def test_a_message_that_no_node_would_take_is_not_encoded(what: str) -> None:
    with pytest.raises(MisuseError):
        encode_envelope(envelope(NOT_ENCODED[what]))


STATES_NOT_ENCODED: dict[str, DurableState[bytes]] = {
    "ballot above the greatest": DurableState(MAX_NUMBER + 1),
    "ballot of more than 64 bits": DurableState(2**64),
    "negative ballot": DurableState(-1),
    "promise above the greatest": DurableState(0, ProposalID(MAX_NUMBER + 1, "A")),
    "promise of number 0": DurableState(0, ProposalID(0, "A")),
    "promise to nobody": DurableState(0, ProposalID(1, "")),
    "promise to too long a name": DurableState(0, ProposalID(1, "A" * (MAX_NAME_LENGTH + 1))),
    "accepted under no ID": DurableState(0, A1, Proposal(NO_PROPOSAL, b"")),
}


@pytest.mark.parametrize("what", STATES_NOT_ENCODED)
def test_a_state_that_no_node_could_start_from_is_not_encoded(what: str) -> None:
    with pytest.raises(MisuseError):
        encode_state(STATES_NOT_ENCODED[what])


SENDERS: dict[str, Identity] = {
    "cluster": replace(SENDER, cluster=""),
    "node": replace(SENDER, node_id=""),
    "incarnation": replace(SENDER, incarnation="x" * (MAX_NAME_LENGTH + 1)),
    "epoch": replace(SENDER, epoch=-1),
}


@pytest.mark.parametrize("field", SENDERS)
def test_a_sender_that_no_node_would_know_is_not_encoded(field: str) -> None:
    with pytest.raises(MisuseError):
        encode_envelope(Envelope(SENDERS[field], "B", Prepare(A1)))


# Where in an envelope's parts something stands, and what must not stand there.
NOT_DECODED: dict[str, tuple[AnyMessage, tuple[int, ...], Any]] = {
    "negative version": (Prepare(A1), (0,), -1),
    "empty cluster": (Prepare(A1), (1,), ""),
    "empty sender": (Prepare(A1), (2,), ""),
    "empty incarnation": (Prepare(A1), (3,), ""),
    "long sender": (Prepare(A1), (2,), "A" * (MAX_NAME_LENGTH + 1)),
    "epoch of more than 63 bits": (Prepare(A1), (4,), MAX_NUMBER + 1),
    "empty recipient": (Prepare(A1), (5,), ""),
    "unknown kind": (Prepare(A1), (6, 0), "reconfigure"),
    "kind that is a number": (Prepare(A1), (6, 0), 1),
    "no message": (Prepare(A1), (6,), None),
    "number 0": (Prepare(A1), (6, 1, 0), 0),
    "negative number": (Prepare(A1), (6, 1, 0), -1),
    "number of 64 bits": (Prepare(A1), (6, 1, 0), MAX_NUMBER + 1),
    "number that is not whole": (Prepare(A1), (6, 1, 0), 1.5),
    "number that is a truth": (Prepare(A1), (6, 1, 0), True),
    "ID of no node": (Prepare(A1), (6, 1, 1), ""),
    "prepare of no proposal": (Prepare(A1), (6, 1), [0, ""]),
    "promise of no proposal": (Promise(A1, NOTHING_ACCEPTED), (6, 1), [0, ""]),
    "promise of something accepted under no ID": (Promise(A1, ACCEPTED), (6, 2, 0), [0, ""]),
    "nack that promised nothing": (Nack(A1, A1), (6, 2), [0, ""]),
    "chosen under no ID": (Chosen(ACCEPTED), (6, 1, 0), [0, ""]),
    "accept without a proposal": (Accept(ACCEPTED), (6, 1), None),
    "value that is text": (Accept(ACCEPTED), (6, 1, 1), "text"),
    "value that is nothing": (Request(b""), (6, 1), None),
    "leader with number 0 and a name": (Heartbeat(A1, 1.0), (6, 1), [0, "A"]),
    "leader without a name": (HeartbeatAnswer(A1, 1.0), (6, 1), [1, ""]),
    "round that is no number": (Heartbeat(A1, 1.0), (6, 2), math.nan),
    "round that never begins": (HeartbeatAnswer(A1, 1.0), (6, 2), math.inf),
    "round before all time": (Heartbeat(A1, 1.0), (6, 2), -math.inf),
}


@pytest.mark.parametrize("what", NOT_DECODED)
def test_an_envelope_with_one_thing_wrong_is_not_decoded(what: str) -> None:
    message, (*way, last), wrong = NOT_DECODED[what]
    parts = parts_of(message)
    assert decode_parts(parts) == envelope(message)
    part = parts
    for index in way:
        part = part[index]
    part[last] = wrong
    with pytest.raises(MalformedError):
        decode_parts(parts)


@pytest.mark.parametrize("name", MESSAGES)
def test_an_unknown_field_is_not_ignored(name: str) -> None:
    parts = parts_of(MESSAGES[name])
    with pytest.raises(MalformedError):
        decode_parts([*parts, 0])
    parts[-1].append(0)
    with pytest.raises(MalformedError):
        decode_parts(parts)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_missing_field_is_noticed(name: str) -> None:
    parts = parts_of(MESSAGES[name])
    parts[-1].pop()
    with pytest.raises(MalformedError):
        decode_parts(parts)


def test_text_that_is_no_unicode_is_not_decoded() -> None:
    data = encode_envelope(envelope(Prepare(A1)))
    with pytest.raises(MalformedError):
        decode_envelope(data.replace(b"\xa4shop", b"\xa4sho\xff"))


def test_a_state_with_text_that_is_no_unicode_is_not_decoded() -> None:
    with pytest.raises(MalformedError):
        decode_state(encode_state(DurableState(1, A1)).replace(b"\xa1A", b"\xa1\xff"))


def test_an_envelope_of_another_version_is_decoded_for_the_node_to_refuse() -> None:
    sent = replace(envelope(Prepare(A1)), version=2)
    assert decode_envelope(encode_envelope(sent)).version == 2


@pytest.mark.parametrize("version", [0, STATE_VERSION + 1, MAX_NUMBER])
def test_a_state_of_another_version_says_which_versions(version: int) -> None:
    parts = msgspec.msgpack.decode(encode_state(STATES["state, all of it"]))
    parts[0] = version
    with pytest.raises(MalformedError, match=f"version {version}; this library reads"):
        decode_state(msgspec.msgpack.encode(parts))


@pytest.mark.parametrize("index", range(4))
def test_a_state_with_a_field_missing_or_wrong_is_not_decoded(index: int) -> None:
    for replacement in ([], ["a field of the wrong kind"]):
        parts = msgspec.msgpack.decode(encode_state(STATES["state, all of it"]))
        parts[index : index + 1] = replacement
        with pytest.raises(MalformedError):
            decode_state(msgspec.msgpack.encode(parts))


def test_a_state_with_an_unknown_field_is_not_decoded() -> None:
    parts = msgspec.msgpack.decode(encode_state(STATES["state, all of it"]))
    with pytest.raises(MalformedError):
        decode_state(msgspec.msgpack.encode([*parts, 0]))


def test_an_envelope_is_no_state_and_a_state_no_envelope() -> None:
    with pytest.raises(MalformedError):
        decode_state(encode_envelope(envelope(Prepare(A1))))
    with pytest.raises(MalformedError):
        decode_envelope(encode_state(DurableState()))


LARGEST = Proposal(LONGEST_ID, bytes(1000))


@pytest.mark.parametrize(
    "message",
    [Promise(LONGEST_ID, LARGEST), Accept(LARGEST), Accepted(LARGEST), Chosen(LARGEST)],
    ids=lambda message: type(message).__name__,
)
def test_the_largest_envelope_keeps_within_its_overhead(message: AnyMessage) -> None:
    sender = Identity(LONGEST_NAME, LONGEST_NAME, LONGEST_NAME, MAX_NUMBER)
    data = encode_envelope(Envelope(sender, LONGEST_NAME, message, MAX_NUMBER))
    assert len(data) <= len(LARGEST.value) + ENVELOPE_OVERHEAD


def test_the_largest_state_keeps_within_its_overhead() -> None:
    data = encode_state(DurableState(MAX_NUMBER, LONGEST_ID, LARGEST))
    assert len(data) <= len(LARGEST.value) + STATE_OVERHEAD
