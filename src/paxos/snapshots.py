"""A snapshot of a replica: chunks of bytes, and the manifest that says what they are.

The chunks are one stream, cut into equal pieces: what was begun can be resumed at any chunk, and a
chunk is small enough to leave room for heartbeats. The manifest has the digest of the whole stream:
the snapshot is taken as a whole, or refused as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from paxos.codec import MAX_NAME_LENGTH, MAX_NUMBER, MalformedError
from paxos.errors import FaultError, MisuseError
from paxos.log.configurations import Configurations
from paxos.log.entries import Configuration, Member
from paxos.sessions import SessionLimits

MANIFEST_VERSION: Final = 1
"""The version of a manifest, and of the stream that it describes."""

CHUNK_BYTES: Final = 1 << 18
"""Bytes of each chunk but the last. At 10 MB a second one takes 26 ms: a heartbeat behind it waits
no longer. And a message that carries one stays under the bound of all messages."""

DIGEST_BYTES: Final = 32

MAX_MEMBERS: Final = 1000
MAX_STEPS: Final = 10_000
"""Members in a configuration, and configurations that wait to govern. Nobody needs nearly as many;
a bound keeps a broken manifest from filling the memory."""

MAX_ADDRESS_LENGTH: Final = 1000
"""Characters of a member's address: a host name has at most 253."""

_HEADER_BYTES = 5  # the kind, and the length of what follows


class SnapshotError(FaultError):
    """This snapshot is refused, as a whole. What the replica had, it still has."""


class Kind(Enum):
    """What a part of the stream belongs to. They come in this order."""

    SESSIONS = 1
    MACHINE = 2


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot holds."""

    chosen_below: int
    """The effects of all slots below are in it."""

    configurations: Configurations
    """Who decides in slot `chosen_below` and those after it."""

    active_version: int
    """The version of the commands that the log has activated."""

    limits: SessionLimits

    log_digest: bytes
    """Of all entries and answers below."""

    state_digest: bytes
    """Of the stream. Equal on all nodes that have applied the same slots."""

    size: int
    """Bytes of the stream."""

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return -(-self.size // CHUNK_BYTES)


Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
_Digest = Annotated[bytes, Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]


class _Wire(Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """What is common to all structs of the format."""


class _Member(_Wire, frozen=True):
    node_id: _Name
    incarnation: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)]
    address: Annotated[str, Meta(max_length=MAX_ADDRESS_LENGTH)]


class WireConfiguration(_Wire, frozen=True):
    """A configuration as it is written and digested."""

    members: Annotated[tuple[_Member, ...], Meta(min_length=1, max_length=MAX_MEMBERS)]
    phase1: Number
    phase2: Number


class _Limits(_Wire, frozen=True):
    sessions: Number
    window: Number
    answer_bytes: Number
    kept_bytes: Number


class _Manifest(_Wire, frozen=True):
    version: Number
    chosen_below: Number
    configurations: Annotated[
        tuple[tuple[Number, WireConfiguration], ...], Meta(max_length=MAX_STEPS)
    ]
    active_version: Number
    limits: _Limits
    log_digest: _Digest
    state_digest: _Digest
    size: Number


_encode = msgspec.msgpack.Encoder().encode
_manifests = msgspec.msgpack.Decoder(_Manifest)

_UNREADABLE = (msgspec.MsgspecError, ValueError)  # text that is no Unicode is the latter


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as bytes, sealed. Raises `MisuseError` for one that nobody would take."""
    steps = manifest.configurations.steps
    limits = manifest.limits
    content = _encode(
        _Manifest(
            MANIFEST_VERSION,
            manifest.chosen_below,
            tuple((slot, wire_configuration(each)) for slot, each in steps),
            manifest.active_version,
            _Limits(limits.sessions, limits.window, limits.answer_bytes, limits.kept_bytes),
            manifest.log_digest,
            manifest.state_digest,
            manifest.size,
        )
    )
    data = _seal(content) + content
    try:
        decode_manifest(data)
    except MalformedError as error:
        raise MisuseError(f"this manifest cannot be encoded: {error}") from error
    return data


def decode_manifest(data: bytes) -> Manifest:
    """The manifest in these bytes. Raises `MalformedError`, and nothing else."""
    seal, content = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    if seal != _seal(content):
        raise MalformedError(f"{len(data)} bytes that are no manifest, or a damaged one")
    try:
        wire = _manifests.decode(content)
        if wire.version != MANIFEST_VERSION:
            raise MalformedError(
                f"a snapshot of version {wire.version}; this library reads {MANIFEST_VERSION}"
            )
        return Manifest(
            wire.chosen_below,
            Configurations(
                tuple((slot, _configuration(each)) for slot, each in wire.configurations)
            ),
            wire.active_version,
            SessionLimits(*_fields(wire.limits)),
            wire.log_digest,
            wire.state_digest,
            wire.size,
        )
    except (MisuseError, *_UNREADABLE) as error:
        raise MalformedError(f"a manifest that does not fit the format: {error}") from error


def wire_configuration(configuration: Configuration) -> WireConfiguration:
    """The configuration as it is written."""
    members = tuple(
        _Member(each.node_id, each.incarnation, each.address) for each in configuration.members
    )
    return WireConfiguration(members, configuration.phase1, configuration.phase2)


class Digest:
    """The digest of a stream, and its length."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=DIGEST_BYTES)
        self.size = 0

    def add(self, chunk: bytes) -> None:
        """This comes next."""
        self._hash.update(chunk)
        self.size += len(chunk)

    def value(self) -> bytes:
        """The digest of all that came."""
        return self._hash.digest()


def digest_of(chunks: Iterable[bytes]) -> Digest:
    """The digest of a whole stream."""
    digest = Digest()
    for chunk in chunks:
        digest.add(chunk)
    return digest


def chunks_of(parts: Iterable[tuple[Kind, bytes]]) -> Iterator[bytes]:
    """The parts as one stream, in chunks."""
    stream = bytearray()
    for kind, part in parts:
        stream += kind.value.to_bytes(1, "big") + len(part).to_bytes(_HEADER_BYTES - 1, "big")
        stream += part
        while len(stream) >= CHUNK_BYTES:
            yield bytes(stream[:CHUNK_BYTES])
            del stream[:CHUNK_BYTES]
    if stream:
        yield bytes(stream)


def parts_in(chunks: Iterable[bytes]) -> Iterator[tuple[Kind, bytes]]:
    """The parts in a stream. Raises `MalformedError` if it holds none, or ends within one."""
    stream = bytearray()
    for chunk in chunks:
        stream += chunk
        while len(stream) >= _HEADER_BYTES:
            end = _HEADER_BYTES + int.from_bytes(stream[1:_HEADER_BYTES], "big")
            if len(stream) < end:
                break
            yield _kind(stream[0]), bytes(stream[_HEADER_BYTES:end])
            del stream[:end]
    if stream:
        raise MalformedError(f"the stream ends within a part: {len(stream)} bytes of it are here")


def _kind(number: int) -> Kind:
    try:
        return Kind(number)
    except ValueError:
        raise MalformedError(f"a part of kind {number}") from None


def _seal(content: bytes) -> bytes:
    return blake2b(content, digest_size=DIGEST_BYTES).digest()


def _fields(limits: _Limits) -> tuple[int, int, int, int]:
    return limits.sessions, limits.window, limits.answer_bytes, limits.kept_bytes


def _configuration(wire: WireConfiguration) -> Configuration:
    members = tuple(Member(each.node_id, each.incarnation, each.address) for each in wire.members)
    return Configuration(members, wire.phase1, wire.phase2)
