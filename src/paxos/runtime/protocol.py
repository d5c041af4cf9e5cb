"""What goes over a connection: frames, and who says which.

A frame is its length (4 bytes, big-endian), a version byte, and a body of at most the length
that the reader allows. The first frame of a connection is a greeting. After `PeerGreeting`,
every further frame is an envelope, in one direction only: each node sends over connections that
it opened itself. After `ClientGreeting` comes one call, and one reply, or for `Watch` many.

Nothing here authenticates anybody: a greeting is believed. Where others can reach the port, wrap
the connections in TLS that checks both sides (`tls` of `serve` and of the client's calls).
"""

from __future__ import annotations

import asyncio
import struct
from typing import Annotated, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from paxos.codec import ENVELOPE_OVERHEAD, MAX_NAME_LENGTH, MAX_VALUE_BYTES, MalformedError
from paxos.errors import FaultError

PROTOCOL_VERSION = 1

FRAME = struct.Struct(">IB")

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
Text = Annotated[str, Meta(max_length=1000)]
Value = Annotated[bytes, Meta(max_length=MAX_VALUE_BYTES)]


class ConnectionClosedError(FaultError):
    """The other side closed the connection, or it broke."""


class _Wire(Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """What is common to all structs of the protocol."""


class PeerGreeting(_Wire, tag="peer", frozen=True):
    """I am this node, and shall send envelopes."""

    cluster: Name
    node_id: Name
    incarnation: Name


class ClientGreeting(_Wire, tag="client", frozen=True):
    """I am a client of this cluster, and shall make one call."""

    cluster: Name


class Decide(_Wire, tag="decide", frozen=True):
    """Propose this value; tell me what is chosen, once you know."""

    value: Value


class AskStatus(_Wire, tag="status", frozen=True):
    """Tell me how you are."""


class Watch(_Wire, tag="watch", frozen=True):
    """Tell me what happens from now on, beginning with a `Status`."""


class Outcome(_Wire, tag="chosen", frozen=True):
    """This value is chosen, under this ID."""

    number: int
    node_id: str
    value: Value


class Refused(_Wire, tag="refused", frozen=True):
    """No, and nothing was done."""

    reason: Text


class Status(_Wire, tag="state", frozen=True):
    """How a node is, by its own word."""

    node_id: str
    incarnation: str
    leader: str
    """The ballot of the leader that it hears just now."""

    leads: bool
    """Whether it leads. After the decision nobody needs to."""

    promised: str
    accepted: str
    chosen: Outcome | None


class Happened(_Wire, tag="event", frozen=True):
    """One event of a node, by name and in words."""

    event: str
    text: Text


Greeting: TypeAlias = PeerGreeting | ClientGreeting
Call: TypeAlias = Decide | AskStatus | Watch
Reply: TypeAlias = Outcome | Refused | Status | Happened

_encoder = msgspec.msgpack.Encoder()
_greetings: msgspec.msgpack.Decoder[Greeting] = msgspec.msgpack.Decoder(Greeting)
_calls: msgspec.msgpack.Decoder[Call] = msgspec.msgpack.Decoder(Call)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)

T = TypeVar("T")


def text(value: bytes) -> str:
    """A value for people: in quotes if it is text, else in hexadecimal."""
    try:
        return repr(value.decode())
    except UnicodeDecodeError:
        return f"0x{value.hex()}"


def frame(body: bytes) -> bytes:
    """The body as a frame."""
    return FRAME.pack(len(body), PROTOCOL_VERSION) + body


def encode(struct: Greeting | Call | Reply) -> bytes:
    """A greeting, call or reply as a frame."""
    return frame(_encoder.encode(struct))


def decode_greeting(body: bytes) -> Greeting:
    """Raises `MalformedError`, and nothing else."""
    return _decoded(_greetings, body)


def decode_call(body: bytes) -> Call:
    """Raises `MalformedError`, and nothing else."""
    return _decoded(_calls, body)


def decode_reply(body: bytes) -> Reply:
    """Raises `MalformedError`, and nothing else."""
    return _decoded(_replies, body)


def largest_frame(value_bytes: int) -> int:
    """The largest body that a cluster with this bound on values has use for."""
    return value_bytes + 2 * ENVELOPE_OVERHEAD


async def read_frame(reader: asyncio.StreamReader, max_bytes: int) -> bytes:
    """The body of the next frame.

    Raises `ConnectionClosedError` at the end of the stream, and `MalformedError` for another
    version or a body larger than `max_bytes`.
    """
    try:
        length, version = FRAME.unpack(await reader.readexactly(FRAME.size))
        if version != PROTOCOL_VERSION:
            raise MalformedError(f"protocol version {version}; this side speaks {PROTOCOL_VERSION}")
        if length > max_bytes:
            raise MalformedError(f"a frame of {length} bytes; at most {max_bytes} are allowed")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError) as error:
        raise ConnectionClosedError(f"the connection ended: {error}") from error


def _decoded(decoder: msgspec.msgpack.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:  # text that is no Unicode is the latter
        raise MalformedError(f"{len(body)} bytes that do not fit the protocol: {error}") from error
