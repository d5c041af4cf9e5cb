"""Bytes at the edge of a log: envelopes for the wire, records for the write-ahead log.

As in `paxos.codec`, commands are bytes here, all has a version and a bound, and whatever the bytes,
decoding raises `MalformedError` or gives a well-formed object. The format is MessagePack, written
and checked by msgspec; structs are arrays, and their fields may not change within a version.

A proposal is the same bytes wherever it goes: to each peer and to the disk. An `Encoder` makes
them once, and puts them in as they are. What it has encoded it does not read back, as `paxos.codec`
does: that would take longer than all else. Instead each field is held against its bound before, and
the tests demand of anything that fits the types: it is refused, or it decodes to the same.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Raw

from paxos.codec import (
    MAX_NAME_LENGTH,
    MAX_NUMBER,
    MAX_VALUE_BYTES,
    MalformedError,
    Name,
    Number,
    Wire,
    WireHeartbeat,
    WireHeartbeatAnswer,
    WireID,
    WireNack,
    id_of,
    instant,
)
from paxos.errors import MisuseError
from paxos.log.entries import NO_OP, Change, Commands, Configuration, Entry, Member, NoOp
from paxos.log.messages import (
    AcceptedIn,
    AcceptIn,
    AskToRead,
    ChosenBelow,
    Confirm,
    Confirmed,
    Decisions,
    Learn,
    LogMessage,
    PrepareFrom,
    PromiseFrom,
    ReadFrom,
    TakeOver,
)
from paxos.log.state import ChosenRecord, PromiseRecord, Record
from paxos.messages import Envelope, Heartbeat, HeartbeatAnswer, Identity, Nack, Proposal
from paxos.proposal_id import NO_PROPOSAL, ProposalID

MAX_COMMANDS: Final = 1 << 14
"""In one entry: as many of 64 bytes fill it."""

MAX_ENTRY_BYTES: Final = MAX_VALUE_BYTES
"""Of an entry's commands together: a vote is written in one piece, and sent in one."""

MAX_PAGE: Final = 1024
"""How many entries a message tells of."""

MAX_MESSAGE_BYTES: Final = 4 << 20
"""Of an encoded envelope: a page of small entries, or a few of the largest."""

MAX_MEMBERS: Final = 64
"""In a configuration: each one slows all others down."""

MAX_ADDRESS_LENGTH: Final = 255
"""Characters of a member's address: no host name is longer."""

_KEPT = 128
"""How many encoded proposals an encoder keeps, and as many older ones: more than are on their way
at once."""

Command = Annotated[bytes, Meta(max_length=MAX_ENTRY_BYTES)]
Batch = Annotated[tuple[Command, ...], Meta(min_length=1, max_length=MAX_COMMANDS)]


class _Commands(Wire, tag="commands", frozen=True):
    commands: Batch


class _NoOp(Wire, tag="nothing", frozen=True):
    pass


class WireMember(Wire, frozen=True):
    """A member as it is written."""

    node_id: Name
    incarnation: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)]
    """Empty for a founder: when the first configuration is written, nobody knows the others'."""

    address: Annotated[str, Meta(max_length=MAX_ADDRESS_LENGTH)]


class WireConfiguration(Wire, frozen=True):
    """A configuration as it is written."""

    members: Annotated[tuple[WireMember, ...], Meta(min_length=1, max_length=MAX_MEMBERS)]
    phase1: Number
    phase2: Number


class _Change(Wire, tag="change", frozen=True):
    configuration: WireConfiguration


class _Proposal(Wire, frozen=True):
    id: WireID
    entry: _Commands | _NoOp | _Change


class _PrepareFrom(Wire, tag="prepare from", frozen=True):
    id: WireID
    slot: Number
    handed_over_by: WireID


class _PromiseFrom(Wire, tag="promise from", frozen=True):
    id: WireID
    slot: Number
    end: Number
    chosen_below: Number
    accepted: Annotated[tuple[tuple[Number, Raw], ...], Meta(max_length=MAX_PAGE)]


class _AcceptIn(Wire, tag="accept", frozen=True):
    slot: Number
    proposal: Raw


class _AcceptedIn(Wire, tag="accepted", frozen=True):
    slot: Number
    id: WireID


class _ChosenBelow(Wire, tag="chosen below", frozen=True):
    id: WireID
    slot: Number


class _Learn(Wire, tag="learn", frozen=True):
    slot: Number


class _Decisions(Wire, tag="decisions", frozen=True):
    slot: Number
    proposals: Annotated[tuple[Raw, ...], Meta(max_length=MAX_PAGE)]
    chosen_below: Number


class _Confirm(Wire, tag="confirm", frozen=True):
    id: WireID
    round: Number


class _Confirmed(Wire, tag="confirmed", frozen=True):
    id: WireID
    round: Number


class _AskToRead(Wire, tag="ask to read", frozen=True):
    number: Number


class _ReadFrom(Wire, tag="read from", frozen=True):
    number: Number
    slot: Number


class _TakeOver(Wire, tag="take over", frozen=True):
    id: WireID


_WireMessage: TypeAlias = (
    _PrepareFrom
    | _PromiseFrom
    | _AcceptIn
    | _AcceptedIn
    | _ChosenBelow
    | _Learn
    | _Decisions
    | _Confirm
    | _Confirmed
    | _AskToRead
    | _ReadFrom
    | _TakeOver
    | WireNack
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


_encode = msgspec.msgpack.Encoder().encode
_envelopes = msgspec.msgpack.Decoder(_Envelope)
_proposals = msgspec.msgpack.Decoder(_Proposal)
_ids = msgspec.msgpack.Decoder(WireID)


class Encoder:
    """Makes bytes of envelopes and records, and of each proposal only once.

    It may be shared by the thread of the network and that of the disk.
    """

    def __init__(self) -> None:
        # Two generations, so that nothing is ever searched while another thread adds to it.
        self._kept: dict[int, tuple[Proposal[Entry[bytes]], bytes]] = {}
        self._older: dict[int, tuple[Proposal[Entry[bytes]], bytes]] = {}
        self._identity: Identity | None = None

    def proposal(self, proposal: Proposal[Entry[bytes]]) -> bytes:
        """The proposal as bytes. Raises `MisuseError` for one that no node would take.

        The same object is encoded once, as long as it is among the last few.
        """
        kept = self._kept.get(id(proposal)) or self._older.get(id(proposal))
        if kept is not None:  # it holds the object, so nothing else has this identity
            return kept[1]
        data = _encode_or_refuse(_Proposal(_id(proposal.id), _entry(proposal.value)))
        if len(self._kept) >= _KEPT:
            self._older, self._kept = self._kept, {}
        self._kept[id(proposal)] = (proposal, data)
        return data

    def envelope(self, envelope: Envelope[LogMessage[bytes]]) -> bytes:
        """The envelope as bytes. Raises `MisuseError` for one that no node would take."""
        sender = envelope.sender
        if sender != self._identity:
            for name in (sender.cluster, sender.node_id, sender.incarnation):
                _name(name)
            _number(sender.epoch)
            self._identity = sender
        wire = _Envelope(
            _number(envelope.version),
            sender.cluster,
            sender.node_id,
            sender.incarnation,
            sender.epoch,
            _name(envelope.recipient),
            self._message(envelope.message),
        )
        data = _encode_or_refuse(wire)
        if len(data) > MAX_MESSAGE_BYTES:
            raise MisuseError(
                f"a message of {len(data)} bytes: at most {MAX_MESSAGE_BYTES} go. Tell less at once"
            )
        return data

    def record(self, record: Record[bytes]) -> bytes:
        """The record as bytes, behind a header. Raises `MisuseError` for one that is no record."""
        match record:
            case PromiseRecord(ballot, promised):
                body = _encode_or_refuse(_id(promised, or_none=True))
                return _HEADER.pack(PROMISE, len(body), _number(ballot)) + body
            case ChosenRecord(below):
                return _HEADER.pack(CHOSEN, 0, _number(below))
            case _:
                body = self.proposal(record.proposal)
                kind = VOTE_OF_CHANGE if isinstance(record.proposal.value, Change) else VOTE
                return _HEADER.pack(kind, len(body), _number(record.slot)) + body

    def _message(self, message: LogMessage[bytes]) -> _WireMessage:
        match message:
            case AcceptIn(slot, proposal):
                return _AcceptIn(_number(slot), Raw(self.proposal(proposal)))
            case PromiseFrom(id, slot, end, chosen_below, accepted):
                _page(accepted)
                if not _is_rising(slots_told := [number for number, _ in accepted]):
                    raise MisuseError(f"slots {slots_told}: tell of each once, in rising order")
                told = tuple(
                    [(_number(number), Raw(self.proposal(each))) for number, each in accepted]
                )
                slots = (_number(slot), _number(end), _number(chosen_below))
                return _PromiseFrom(_id(id), *slots, told)
            case Decisions(slot, proposals, chosen_below):
                _page(proposals)
                raw = tuple([Raw(self.proposal(each)) for each in proposals])
                return _Decisions(_number(slot), raw, _number(chosen_below))
            case _:
                return _small(message)


_OfABallot: TypeAlias = (
    PrepareFrom | AcceptedIn | ChosenBelow | Confirm | Confirmed | TakeOver | Nack
)
_Small: TypeAlias = _OfABallot | Learn | AskToRead | ReadFrom | Heartbeat | HeartbeatAnswer
"""The messages that hold no proposal."""


def _small(message: _Small) -> _WireMessage:
    match message:
        case Learn(slot):
            return _Learn(_number(slot))
        case AskToRead(number):
            return _AskToRead(_number(number))
        case ReadFrom(number, slot):
            return _ReadFrom(_number(number), _number(slot))
        case Heartbeat(leading, round):
            return WireHeartbeat(_id(leading, or_none=True), _finite(round))
        case HeartbeatAnswer(follows, round):
            return WireHeartbeatAnswer(_id(follows, or_none=True), _finite(round))
        case _:
            return _of_a_ballot(message)


def _of_a_ballot(message: _OfABallot) -> _WireMessage:
    match message:
        case AcceptedIn(slot, id):
            return _AcceptedIn(_number(slot), _id(id))
        case ChosenBelow(id, slot):
            return _ChosenBelow(_id(id), _number(slot))
        case PrepareFrom(id, slot, handed_over_by):
            return _PrepareFrom(_id(id), _number(slot), _id(handed_over_by, or_none=True))
        case Confirm(id, round):
            return _Confirm(_id(id), _number(round))
        case Confirmed(id, round):
            return _Confirmed(_id(id), _number(round))
        case TakeOver(id):
            return _TakeOver(_id(id))
        case Nack(id, promised):
            return WireNack(_id(id), _id(promised))


def decode_envelope(data: bytes) -> Envelope[LogMessage[bytes]]:
    """The envelope in these bytes. Raises `MalformedError`, and nothing else."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise MalformedError(f"a message of {len(data)} bytes: at most {MAX_MESSAGE_BYTES} come")
    wire: _Envelope = _decoded(_envelopes, data)
    sender = Identity(wire.cluster, wire.sender, wire.incarnation, wire.epoch)
    return Envelope(sender, wire.recipient, _message_of(wire.message), wire.version)


def decode_proposal(data: bytes | Raw) -> Proposal[Entry[bytes]]:
    """The proposal in these bytes. Raises `MalformedError`, and nothing else."""
    wire: _Proposal = _decoded(_proposals, data)
    entry: Entry[bytes]
    match wire.entry:
        case _Commands(commands):
            if sum(map(len, commands)) > MAX_ENTRY_BYTES:
                raise MalformedError(f"commands of more than {MAX_ENTRY_BYTES} bytes in one entry")
            entry = Commands(commands)
        case _NoOp():
            entry = NO_OP
        case _Change(configuration):
            entry = Change(configuration_of(configuration))
    return Proposal(id_of(wire.id), entry)


def _message_of(wire: _WireMessage) -> LogMessage[bytes]:
    match wire:
        case _AcceptIn():
            return AcceptIn(wire.slot, decode_proposal(wire.proposal))
        case _AcceptedIn():
            return AcceptedIn(wire.slot, id_of(wire.id))
        case _ChosenBelow():
            return ChosenBelow(id_of(wire.id), wire.slot)
        case _PrepareFrom():
            handed_over_by = id_of(wire.handed_over_by, or_none=True)
            return PrepareFrom(id_of(wire.id), wire.slot, handed_over_by)
        case _PromiseFrom():
            return _promise_of(wire)
        case _Learn():
            return Learn(wire.slot)
        case _Decisions():
            proposals = tuple([decode_proposal(each) for each in wire.proposals])
            return Decisions(wire.slot, proposals, wire.chosen_below)
        case _:
            return _small_of(wire)


def _small_of(
    wire: _Confirm
    | _Confirmed
    | _AskToRead
    | _ReadFrom
    | _TakeOver
    | WireNack
    | WireHeartbeat
    | WireHeartbeatAnswer,
) -> LogMessage[bytes]:
    match wire:
        case _Confirm():
            return Confirm(id_of(wire.id), wire.round)
        case _Confirmed():
            return Confirmed(id_of(wire.id), wire.round)
        case _AskToRead():
            return AskToRead(wire.number)
        case _ReadFrom():
            return ReadFrom(wire.number, wire.slot)
        case _TakeOver():
            return TakeOver(id_of(wire.id))
        case WireNack():
            return Nack(id_of(wire.id), id_of(wire.promised))
        case WireHeartbeat():
            return Heartbeat(id_of(wire.leading, or_none=True), instant(wire.round))
        case WireHeartbeatAnswer():
            return HeartbeatAnswer(id_of(wire.follows, or_none=True), instant(wire.round))


def _promise_of(wire: _PromiseFrom) -> PromiseFrom[bytes]:
    if not _is_rising([slot for slot, _ in wire.accepted]):
        raise MalformedError("a promise tells of each slot once, in rising order")
    accepted = tuple([(slot, decode_proposal(each)) for slot, each in wire.accepted])
    return PromiseFrom(id_of(wire.id), wire.slot, wire.end, wire.chosen_below, accepted)


# Records

PROMISE: Final = 1
VOTE: Final = 2
VOTE_OF_CHANGE: Final = 3
CHOSEN: Final = 4

_HEADER = struct.Struct(
    ">BIQ"
)  # kind, bytes of the body, slot (or ballot, or end of what is chosen)

RECORD_HEADER_BYTES: Final = _HEADER.size


RecordHeader: TypeAlias = tuple[int, int, int, int]
"""What a record says without its body being decoded: its kind; its number, which is the slot of a
vote, the ballot of a promise, or the slot below which all is chosen; where in the batch the body
begins; and how many bytes it has."""


def record_headers(batch: bytes) -> Iterator[RecordHeader]:
    """Yield the headers of the records in a batch. Raises `MalformedError`."""
    at, end = 0, len(batch)
    while at < end:
        if end - at < RECORD_HEADER_BYTES:
            raise MalformedError("a record is cut off in its header")
        kind, length, number = _HEADER.unpack_from(batch, at)
        at += RECORD_HEADER_BYTES
        if not PROMISE <= kind <= CHOSEN or length > end - at or number > MAX_NUMBER:
            raise MalformedError(f"a record of kind {kind}, {length} bytes and number {number}")
        yield kind, number, at, length
        at += length


def decode_promised(body: bytes) -> ProposalID:
    """The ID in the body of a promise. Raises `MalformedError`."""
    return id_of(_decoded(_ids, body), or_none=True)


# Configurations


def wire_configuration(configuration: Configuration) -> WireConfiguration:
    """The configuration as it is written. Raises `MisuseError` for one that is out of bounds."""
    members = configuration.members
    if not 1 <= len(members) <= MAX_MEMBERS:
        raise MisuseError(f"{len(members)} members: a configuration has 1 to {MAX_MEMBERS}")
    for member in members:
        _name(member.node_id)
        if member.incarnation:
            _name(member.incarnation)
        if len(member.address) > MAX_ADDRESS_LENGTH:
            raise MisuseError(f"an address has at most {MAX_ADDRESS_LENGTH} characters")
    wire = tuple([WireMember(each.node_id, each.incarnation, each.address) for each in members])
    return WireConfiguration(wire, _number(configuration.phase1), _number(configuration.phase2))


def configuration_of(wire: WireConfiguration) -> Configuration:
    """The configuration. Raises `MalformedError` for one that could not decide anything."""
    members = tuple([Member(each.node_id, each.incarnation, each.address) for each in wire.members])
    try:
        return Configuration(members, wire.phase1, wire.phase2)
    except MisuseError as error:
        raise MalformedError(f"an impossible configuration: {error}") from error


# What is common


def _encode_or_refuse(wire: Wire) -> bytes:
    try:
        return _encode(wire)
    except (TypeError, ValueError, OverflowError) as error:  # text that is no Unicode, and the like
        raise MisuseError(f"this cannot be encoded: {error}") from error


def _decoded(decoder: msgspec.msgpack.Decoder[Any], data: bytes | Raw) -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError(f"bytes that do not fit the format: {error}") from error


def _entry(entry: Entry[bytes]) -> _Commands | _NoOp | _Change:
    match entry:
        case Commands(commands):
            if (
                not 1 <= len(commands) <= MAX_COMMANDS
                or sum(map(_size, commands)) > MAX_ENTRY_BYTES
            ):
                raise MisuseError(
                    f"an entry has 1 to {MAX_COMMANDS} commands, of {MAX_ENTRY_BYTES} bytes in all"
                )
            return _Commands(commands)
        case NoOp():
            return _NoOp()
        case Change(configuration):
            return _Change(wire_configuration(configuration))


def _size(command: bytes) -> int:
    if type(command) is not bytes:
        raise MisuseError(f"a command is bytes at this edge, not {type(command).__name__}")
    return len(command)


def _is_rising(slots: list[int]) -> bool:
    return all(one < next_one for one, next_one in pairwise(slots))


def _page(told: tuple[object, ...]) -> None:
    if len(told) > MAX_PAGE:
        raise MisuseError(f"{len(told)} entries in one message: at most {MAX_PAGE} go")


def _id(proposal_id: ProposalID, *, or_none: bool = False) -> WireID:
    number, node_id = proposal_id
    if 1 <= number <= MAX_NUMBER and 1 <= len(node_id) <= MAX_NAME_LENGTH:
        return WireID(number, node_id)
    if or_none and proposal_id == NO_PROPOSAL:
        return WireID(0, "")
    raise MisuseError(f"{tuple(proposal_id)} is no proposal ID")


def _number(number: int) -> int:
    if 0 <= number <= MAX_NUMBER:
        return number
    raise MisuseError(f"{number} is out of bounds: 0 to {MAX_NUMBER} are allowed")


def _name(name: str) -> str:
    if 1 <= len(name) <= MAX_NAME_LENGTH:
        return name
    raise MisuseError(f"a name has 1 to {MAX_NAME_LENGTH} characters: not {name!r}")


def _finite(seconds: float) -> float:
    if not math.isfinite(seconds):
        raise MisuseError(f"a round that began at {seconds}")
    return seconds
