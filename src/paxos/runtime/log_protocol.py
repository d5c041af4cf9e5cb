"""What goes over a connection of a log's node: the frames are those of `paxos.runtime.protocol`.

After `LogPeerGreeting` every frame is an envelope or a piece of a snapshot; its first byte says
which. After `LogClientGreeting` come calls, as many as the client likes; each has a number, and the
answers bear it, in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from paxos.codec import MAX_NAME_LENGTH, MAX_NUMBER, MalformedError
from paxos.log_codec import MAX_ENTRY_BYTES, MAX_MEMBERS, MAX_MESSAGE_BYTES
from paxos.runtime.protocol import FRAME, PROTOCOL_VERSION, Name, Refused, Text, frame
from paxos.sessions import REQUEST_OVERHEAD, Outcome

ENVELOPE: Final = b"\0"
PIECE: Final = b"\1"
"""The first byte of what a peer sends: an envelope, or something about a snapshot."""

GREETING_BYTES: Final = 1024
"""Of a greeting at most: four names."""

CALL_OVERHEAD: Final = REQUEST_OVERHEAD + 64
"""Bytes of a call beyond its command or query, at most."""

LARGEST_PEER_FRAME: Final = MAX_MESSAGE_BYTES + 1

Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
Payload = Annotated[bytes, Meta(max_length=MAX_ENTRY_BYTES)]
Address = Annotated[str, Meta(max_length=255)]
Incarnation = Annotated[str, Meta(max_length=MAX_NAME_LENGTH)]


class _Wire(Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """What is common to all structs of the protocol."""


class LogPeerGreeting(_Wire, tag="log peer", frozen=True):
    """I am this node of a log."""

    cluster: Name
    node_id: Name
    incarnation: Name
    address: Address
    """Where it is reached: a node that joins is in nobody's file yet."""


class LogClientGreeting(_Wire, tag="log client", frozen=True):
    """I am a client of this log."""

    cluster: Name


class Submit(_Wire, tag="submit", frozen=True):
    """Put this request into the log (`paxos.sessions`); answer when it is applied."""

    number: Number
    request: Payload


class Ask(_Wire, tag="ask", frozen=True):
    """Answer this query: from a state that shows all that was acknowledged before, or stale."""

    number: Number
    query: Payload
    stale: bool


class Join(_Wire, tag="members", frozen=True):
    """Let these be the members: node ID, incarnation (empty if it is not known), address."""

    number: Number
    members: Annotated[
        tuple[tuple[Name, Incarnation, Address], ...], Meta(min_length=1, max_length=MAX_MEMBERS)
    ]


class HandOver(_Wire, tag="transfer", frozen=True):
    """Hand the leadership over to this member."""

    number: Number
    node_id: Name


class AskLogStatus(_Wire, tag="log status", frozen=True):
    """Tell me how you are."""

    number: Number


class Answered(_Wire, tag="answered", frozen=True):
    """It was applied, or asked; and this came of it."""

    number: int
    outcome: Outcome


class Done(_Wire, tag="done", frozen=True):
    """What was asked for has happened, or has begun."""

    number: int


class NotLeader(_Wire, tag="not leader", frozen=True):
    """Nothing was done: ask that node, if one is named."""

    number: int
    node_id: str
    address: str


class Overloaded(_Wire, tag="overloaded", frozen=True):
    """Nothing was done: ask again, later."""

    number: int


class Unclear(_Wire, tag="unclear", frozen=True):
    """It was proposed, and this node cannot tell what became of it. Ask again, with its number."""

    number: int


class Declined(_Wire, tag="declined", frozen=True):
    """No, and nothing was done."""

    number: int
    reason: Text


class LogStatus(_Wire, tag="log state", frozen=True):
    """How a node is, by its own word."""

    number: int
    node_id: str
    incarnation: str
    leads: bool
    leader: str
    """The node that leads, as far as it knows, or nothing."""

    promised: str
    chosen_below: int
    applied_below: int
    snapshot_below: int
    first_kept: int
    members: tuple[tuple[str, str, str], ...]
    digest: bytes
    """Of all that was applied: equal on nodes that have applied the same slots."""

    syncs: int


class Offer(_Wire, tag="offer", frozen=True):
    """What you ask for is gone from my log. I have a snapshot of all slots below this one."""

    chosen_below: Number
    size: Number
    manifest: Annotated[bytes, Meta(max_length=MAX_ENTRY_BYTES)]


class Want(_Wire, tag="want", frozen=True):
    """Send me that snapshot from this byte on."""

    chosen_below: Number
    offset: Number


class Piece(_Wire, tag="piece", frozen=True):
    """A part of it."""

    chosen_below: Number
    offset: Number
    data: Annotated[bytes, Meta(max_length=MAX_ENTRY_BYTES)]


LogGreeting: TypeAlias = LogPeerGreeting | LogClientGreeting
LogCall: TypeAlias = Submit | Ask | Join | HandOver | AskLogStatus
LogReply: TypeAlias = Answered | Done | NotLeader | Overloaded | Unclear | Declined | LogStatus
Part: TypeAlias = Offer | Want | Piece
Bodies: TypeAlias = Iterable[bytes]

_encode = msgspec.msgpack.Encoder().encode
T = TypeVar("T")

_greetings: msgspec.msgpack.Decoder[LogGreeting] = msgspec.msgpack.Decoder(LogGreeting)
_calls: msgspec.msgpack.Decoder[LogCall] = msgspec.msgpack.Decoder(LogCall)
_replies: msgspec.msgpack.Decoder[LogReply | Refused] = msgspec.msgpack.Decoder(LogReply | Refused)
_parts: msgspec.msgpack.Decoder[Part] = msgspec.msgpack.Decoder(Part)


def encode(struct: LogGreeting | LogCall | LogReply) -> bytes:
    """A greeting, call or reply as a frame."""
    return frame(_encode(struct))


def encode_part(part: Part) -> bytes:
    """Something about a snapshot, as a frame for a peer."""
    return frame(PIECE + _encode(part))


def decode_greeting(body: bytes) -> LogGreeting:
    """Raises `MalformedError`, and nothing else."""
    return _decoded(_greetings, body)


def decode_call(body: bytes) -> LogCall:
    """Raises `MalformedError`, and nothing else."""
    return _decoded(_calls, body)


def decode_reply(body: bytes) -> LogReply | Refused:
    """A reply, or the last word of a node that hangs up. Raises `MalformedError` alone."""
    return _decoded(_replies, body)


def decode_part(body: bytes) -> Part:
    """Raises `MalformedError`, and nothing else."""
    return _decoded(_parts, body)


class Frames:
    """Cuts what a connection brings into the bodies of frames."""

    def __init__(self, max_bytes: int) -> None:
        """Expect frames of at most so many bytes. That may be changed between two frames."""
        self.max_bytes = max_bytes
        self._rest: bytes = b""
        self._pieces: list[bytes] = []
        self._missing = 0

    def only(self, data: bytes) -> bytes | None:
        """The body, if this is one whole frame and nothing else: the usual case, told quickly."""
        if self._missing or self._rest or len(data) < FRAME.size:
            return None
        length, version = FRAME.unpack_from(data)
        if length + FRAME.size != len(data) or version != PROTOCOL_VERSION:
            return None
        return data[FRAME.size :] if length <= self.max_bytes else None

    def cut(self, data: bytes) -> Iterator[bytes]:
        """Yield each frame that is whole now; keep the rest.

        Raises `MalformedError` for another version, or a frame that is too large.
        """
        if self._missing:  # a large frame is put together once, and not with each of its pieces
            self._pieces.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._missing = 0
        elif self._rest:
            data = self._rest + data
            self._rest = b""
        at, end = 0, len(data)
        while end - at >= FRAME.size:
            length, version = FRAME.unpack_from(data, at)
            if version != PROTOCOL_VERSION:
                raise MalformedError(
                    f"protocol version {version}; this side speaks {PROTOCOL_VERSION}"
                )
            if length > self.max_bytes:
                raise MalformedError(
                    f"a frame of {length} bytes; at most {self.max_bytes} are allowed"
                )
            after = at + FRAME.size + length
            if after > end:
                self._pieces, self._missing = [data[at:]], after - end
                return
            yield data[at + FRAME.size : after]
            at = after
        self._rest = data[at:]


def _decoded(decoder: msgspec.msgpack.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError(f"{len(body)} bytes that do not fit the protocol: {error}") from error
