"""What a node's log rests on: who decided at its beginning, and the snapshot that replaced it.

It is the label of the write-ahead log, so it changes in one step with the snapshot and with the
segments that are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from paxos.codec import MalformedError, Number
from paxos.errors import MisuseError
from paxos.log.configurations import Configurations
from paxos.log_codec import WireConfiguration, configuration_of, wire_configuration
from paxos.storage_errors import CorruptError, ForeignError

ANCHOR_VERSION: Final = 1
"""The version of the anchor, and of the records in the log that it belongs to."""

MAX_STEPS: Final = 1024
MAX_MANIFEST_BYTES: Final = 32 << 10
DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """What a snapshot holds."""

    chosen_below: int
    """The effects of all slots below."""

    configurations: Configurations
    """Who decides in slot `chosen_below` and those after it."""

    size: int
    """Bytes of its stream."""

    digest: bytes
    """The BLAKE2b digest of the stream, 32 bytes."""

    manifest: bytes = b""
    """Whatever else its maker needs to know of it."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the log itself does not say."""

    window: int
    configurations: Configurations
    """Who decides from slot 0 on, as long as there is no snapshot."""

    first_kept: int
    """The log has the entries of all slots from here on that are known to be chosen."""

    snapshot: SnapshotInfo | None


class _Wire(Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """What is common to all structs of the format."""


_Steps = Annotated[tuple[tuple[Number, WireConfiguration], ...], Meta(max_length=MAX_STEPS)]


class _Snapshot(_Wire, frozen=True):
    chosen_below: Number
    size: Number
    digest: Annotated[bytes, Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]
    manifest: Annotated[bytes, Meta(max_length=MAX_MANIFEST_BYTES)]


class _Anchor(_Wire, frozen=True):
    version: Number
    window: Annotated[int, Meta(ge=1, le=1 << 20)]
    configurations: _Steps
    """Of the snapshot, if there is one."""

    first_kept: Number
    snapshot: _Snapshot | None


_encode = msgspec.msgpack.Encoder().encode
_anchors = msgspec.msgpack.Decoder(_Anchor)


def encode_anchor(anchor: Anchor) -> bytes:
    """Return it as a label. Raise MisuseError for one that could not be read again."""
    snapshot = anchor.snapshot
    configurations = anchor.configurations if snapshot is None else snapshot.configurations
    steps = tuple([(slot, wire_configuration(each)) for slot, each in configurations.steps])
    wire = None
    if snapshot is not None:
        fields = (snapshot.chosen_below, snapshot.size, snapshot.digest, snapshot.manifest)
        wire = _Snapshot(*fields)
    try:
        data = _encode(_Anchor(ANCHOR_VERSION, anchor.window, steps, anchor.first_kept, wire))
        _anchors.decode(data)  # rare, so it can be afforded
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
        raise MisuseError(f"no log can rest on this: {error}") from error
    return data


def decode_anchor(path: Path, label: bytes) -> Anchor:
    """Return what the log in this folder rests on.

    Raise ForeignError if it is not the log of a node, CorruptError if nobody could have written it.
    """
    try:
        wire = _anchors.decode(label)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ForeignError(path, f"this is a log, but not that of a node ({error})") from error
    if wire.version != ANCHOR_VERSION:
        what = f"this log's records have format {wire.version}, and we read {ANCHOR_VERSION}"
        raise ForeignError(path, what)
    try:
        steps = tuple([(slot, configuration_of(each)) for slot, each in wire.configurations])
    except MalformedError as error:
        raise CorruptError(path, 0, f"an impossible configuration: {error}") from error
    configurations, found = Configurations(steps), wire.snapshot
    snapshot = None
    if found is not None:
        fields = (found.size, found.digest, found.manifest)
        snapshot = SnapshotInfo(found.chosen_below, configurations, *fields)
    return Anchor(wire.window, configurations, wire.first_kept, snapshot)
