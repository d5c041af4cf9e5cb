"""Bytes at the edge: envelopes for the wire, durable states for the disk.

Values are bytes here. Everything has a version and a bound, and only what fits the schema gets
in: whatever the bytes, decoding raises `MalformedError` or gives a well-formed object. The core
never imports this module, and nothing is ever unpickled.

The format is MessagePack, written and checked by msgspec. Structs are arrays; their fields may
not change within a version.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from paxos.errors import FaultError, MisuseError
from paxos.messages import (
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    Chosen,
    Envelope,
    Heartbeat,
    HeartbeatAnswer,
    Identity,
    Message,
    Nack,
    NothingAccepted,
    Prepare,
    Promise,
    Proposal,
    Request,
)
from paxos.node import DurableState
from paxos.proposal_id import NO_PROPOSAL, ProposalID

MAX_NAME_LENGTH = 64
"""Characters in a cluster's or a node's name or an incarnation: people type and read them."""

MAX_VALUE_BYTES = 1 << 20
"""No cluster may allow larger values: each save writes the value, and each vote carries it."""

MAX_NUMBER = (1 << 63) - 1
"""Of a ballot. A million ballots a second would take 292,000 years to reach it."""

STATE_VERSION = 1
"""The version of the durable state's format."""

ENVELOPE_OVERHEAD = 2048
"""Bytes that an envelope takes beyond its value, at most: six names and a few numbers."""

STATE_OVERHEAD = 768
"""Bytes that a durable state takes beyond its value, at most: two names and a few numbers."""


class MalformedError(FaultError):
    """These bytes are not what they claim to be, or are larger than allowed."""


Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
Value = Annotated[bytes, Meta(max_length=MAX_VALUE_BYTES)]


class Wire(Struct, array_like=True, forbid_unknown_fields=True, frozen=True, gc=False):
    """What is common to all structs of a format. The codec of a log shares these."""


class WireID(Wire, frozen=True):
    """A proposal ID, or none: see `id_of`."""

    number: Number
    node_id: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)]


class _Proposal(Wire, frozen=True):
    id: WireID
    value: Value


class _Prepare(Wire, tag="prepare", frozen=True):
    id: WireID


class _Promise(Wire, tag="promise", frozen=True):
    id: WireID
    accepted: _Proposal | None


class _Accept(Wire, tag="accept", frozen=True):
    proposal: _Proposal


class _Accepted(Wire, tag="accepted", frozen=True):
    proposal: _Proposal


class WireNack(Wire, tag="nack", frozen=True):
    """See `Nack`."""

    id: WireID
    promised: WireID


class _Chosen(Wire, tag="chosen", frozen=True):
    proposal: _Proposal


class _Request(Wire, tag="request", frozen=True):
    value: Value


class WireHeartbeat(Wire, tag="heartbeat", frozen=True):
    """See `Heartbeat`."""

    leading: WireID
    round: float


class WireHeartbeatAnswer(Wire, tag="heartbeat answer", frozen=True):
    """See `HeartbeatAnswer`."""

    follows: WireID
    round: float


_WireMessage = (
    _Prepare
    | _Promise
    | _Accept
    | _Accepted
    | WireNack
    | _Chosen
    | _Request
    | WireHeartbeat
    | WireHeartbeatAnswer
)


class _Envelope(Wire, frozen=True):
    version: Number
    cluster: Name
    sender: Name
    incarnation: Name
    epoch: Number
    recipient: Name
    message: _WireMessage


class _State(Wire, frozen=True):
    version: Number
    ballot: Number
    promised: WireID
    accepted: _Proposal | None


_encoder = msgspec.msgpack.Encoder()
_envelopes = msgspec.msgpack.Decoder(_Envelope)
_states = msgspec.msgpack.Decoder(_State)


def encode_envelope(envelope: Envelope[Message[bytes]]) -> bytes:
    """The envelope as bytes. Raises `MisuseError` for one that no node would take."""
    sender = envelope.sender
    return _encoded(
        lambda: _Envelope(
            envelope.version,
            sender.cluster,
            sender.node_id,
            sender.incarnation,
            sender.epoch,
            envelope.recipient,
            _to_wire(envelope.message),
        ),
        decode_envelope,
    )


def decode_envelope(data: bytes, *, value_bytes: int = MAX_VALUE_BYTES) -> Envelope[Message[bytes]]:
    """The envelope in these bytes; a value in it has at most `value_bytes`.

    Raises `MalformedError`, and nothing else.
    """
    wire = _decoded(_envelopes, data)
    sender = Identity(wire.cluster, wire.sender, wire.incarnation, wire.epoch)
    message = _from_wire(wire.message)
    size = _value_size(message)
    if size > value_bytes:
        raise MalformedError(f"a value of {size} bytes: at most {value_bytes} are allowed here")
    return Envelope(sender, wire.recipient, message, wire.version)


def encode_state(state: DurableState[bytes]) -> bytes:
    """The durable state as bytes. Raises `MisuseError` for one that no node could start from."""
    return _encoded(
        lambda: _State(STATE_VERSION, state.ballot, _id(state.promised), _accepted(state.accepted)),
        decode_state,
    )


def decode_state(data: bytes) -> DurableState[bytes]:
    """The durable state in these bytes. Raises `MalformedError`, and nothing else."""
    wire = _decoded(_states, data)
    if wire.version != STATE_VERSION:
        raise MalformedError(
            f"a durable state of version {wire.version}; this library reads {STATE_VERSION}"
        )
    return DurableState(
        wire.ballot, id_of(wire.promised, or_none=True), _accepted_of(wire.accepted)
    )


def _encoded(build: Callable[[], Wire], decode: Callable[[bytes], object]) -> bytes:
    """Encode, and read it back: what this side would not take must not leave it."""
    try:
        data = _encoder.encode(build())
        decode(data)
    except (MalformedError, TypeError, ValueError, OverflowError) as error:
        raise MisuseError(f"this cannot be encoded: {error}") from error
    return data


def _decoded(decoder: msgspec.msgpack.Decoder[Any], data: bytes) -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, ValueError) as error:  # text that is no Unicode is the latter
        raise MalformedError(f"{len(data)} bytes that do not fit the format: {error}") from error


def _value_size(message: Message[bytes]) -> int:
    match message:
        case Accept(proposal) | Accepted(proposal) | Chosen(proposal):
            return len(proposal.value)
        case Promise(_, accepted) if accepted is not NOTHING_ACCEPTED:
            return len(accepted.value)
        case Request(value):
            return len(value)
        case _:
            return 0


def _to_wire(message: Message[bytes]) -> _WireMessage:
    match message:
        case Prepare(id):
            return _Prepare(_id(id))
        case Promise(id, accepted):
            return _Promise(_id(id), _accepted(accepted))
        case Accept(proposal):
            return _Accept(_proposal(proposal))
        case Accepted(proposal):
            return _Accepted(_proposal(proposal))
        case Nack(id, promised):
            return WireNack(_id(id), _id(promised))
        case Chosen(proposal):
            return _Chosen(_proposal(proposal))
        case Request(value):
            return _Request(_bounded(value))
        case Heartbeat(leading, round):
            return WireHeartbeat(_id(leading), round)
        case HeartbeatAnswer(follows, round):
            return WireHeartbeatAnswer(_id(follows), round)


def _from_wire(wire: _WireMessage) -> Message[bytes]:
    match wire:
        case _Prepare():
            return Prepare(id_of(wire.id))
        case _Promise():
            return Promise(id_of(wire.id), _accepted_of(wire.accepted))
        case _Accept():
            return Accept(_proposal_of(wire.proposal))
        case _Accepted():
            return Accepted(_proposal_of(wire.proposal))
        case WireNack():
            return Nack(id_of(wire.id), id_of(wire.promised))
        case _Chosen():
            return Chosen(_proposal_of(wire.proposal))
        case _Request():
            return Request(wire.value)
        case WireHeartbeat():
            return Heartbeat(id_of(wire.leading, or_none=True), instant(wire.round))
        case WireHeartbeatAnswer():
            return HeartbeatAnswer(id_of(wire.follows, or_none=True), instant(wire.round))


def _id(proposal_id: ProposalID) -> WireID:
    return WireID(proposal_id.number, proposal_id.node_id)


def id_of(wire: WireID, *, or_none: bool = False) -> ProposalID:
    """The ID: a real one has a number from 1 and a node; of all others only one is none.

    Raises `MalformedError` for what is no ID.
    """
    proposal_id = ProposalID(wire.number, wire.node_id)
    if or_none and proposal_id == NO_PROPOSAL:
        return NO_PROPOSAL
    if not proposal_id.number or not proposal_id.node_id:
        raise MalformedError(f"{tuple(proposal_id)} is no proposal ID")
    return proposal_id


def _proposal(proposal: Proposal[bytes]) -> _Proposal:
    return _Proposal(_id(proposal.id), _bounded(proposal.value))


def _proposal_of(wire: _Proposal) -> Proposal[bytes]:
    return Proposal(id_of(wire.id), wire.value)


def _accepted(accepted: Proposal[bytes] | NothingAccepted) -> _Proposal | None:
    return None if accepted is NOTHING_ACCEPTED else _proposal(accepted)


def _accepted_of(wire: _Proposal | None) -> Proposal[bytes] | NothingAccepted:
    return NOTHING_ACCEPTED if wire is None else _proposal_of(wire)


def _bounded(value: bytes) -> bytes:
    if not isinstance(value, bytes):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise MisuseError(f"a value is bytes at this edge, not {type(value).__name__}: encode it")
    if len(value) > MAX_VALUE_BYTES:
        raise MisuseError(f"a value of {len(value)} bytes: at most {MAX_VALUE_BYTES} are allowed")
    return value


def instant(seconds: float) -> float:
    """An instant that there is. Raises `MalformedError` for any other."""
    if not math.isfinite(seconds):
        raise MalformedError(f"a round that began at {seconds}")
    return seconds
