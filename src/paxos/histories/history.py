"""What clients saw: operations on a shared object, and the file format that holds them.

A history is JSON lines, one event a line, in the order in which the events happened. Each
operation is an `invoke`, and at most one answer to it: `ok`, `fail` (it surely did not happen) or
`info` (nobody knows). The format is described in docs/histories.md.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import BinaryIO, Literal, TypeAlias

import msgspec

from paxos.errors import FaultError

__all__ = [
    "MAX_LINE_BYTES",
    "MAX_OPERATIONS",
    "Event",
    "History",
    "HistoryError",
    "Missing",
    "Operation",
    "encode_history",
    "history_of",
    "read_history",
]

FORMAT, VERSION = "plain-paxos-history", 1

MAX_LINE_BYTES = 1 << 20
"""A value as long as this is no value to compare by the thousand; put a hash in its place."""

MAX_OPERATIONS = 4_000_000
"""At some 400 bytes each they fit into the memory of a small machine."""

Scalar: TypeAlias = bool | int | str | None
Json: TypeAlias = Scalar | tuple[Scalar, ...]
"""A value in a history. Numbers are whole: whoever compares must not round."""


class HistoryError(FaultError):
    """This is no history. The text says in which line, and what to do."""

    def __init__(self, line: int, trouble: str) -> None:
        super().__init__(f"line {line}: {trouble}")
        self.line = line


class Missing(Enum):
    """Stands where a value would, and equals none."""

    NO_VALUE = "no value"  # the event gave none; null is a value
    NO_ANSWER = "no answer"  # the operation may or may not have taken effect


@dataclass(frozen=True, slots=True)
class Operation:
    """What one process asked for, and what it heard.

    `invoked` and `returned` are positions in the history, and only their order matters; in one
    that was read from a file they are its line numbers. `returned` is None for an operation that
    may take effect at any time from its invocation on, for ever, or never.
    """

    process: int | str
    f: str
    input: Hashable
    output: Hashable
    invoked: int
    returned: int | None
    key: Hashable = None

    @property
    def known(self) -> bool:
        """It has surely taken effect, between `invoked` and `returned`."""
        return self.returned is not None


@dataclass(frozen=True, slots=True)
class History:
    """Operations in the order of their invocation.

    Those that surely never happened are left out: `failed` counts them.
    """

    operations: tuple[Operation, ...]
    failed: int = 0


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line. `index`, `time` and `error` are for people, and not looked at."""

    process: int | str
    type: Literal["invoke", "ok", "fail", "info"]
    f: str | None = None
    key: int | str | None = None
    value: Json | msgspec.UnsetType = msgspec.UNSET
    time: int | float | None = None
    index: int | None = None
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    version: int


def read_history(file: BinaryIO) -> History:
    """The history in this file. Raises `HistoryError` for the first line that makes no sense."""
    decode: Callable[[bytes], Event] = msgspec.json.Decoder(Event).decode
    pairing = _Pairing()
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise HistoryError(
                number, f"more than {MAX_LINE_BYTES} bytes: put a hash in place of a long value"
            )
        if line.isspace():
            continue
        try:
            event = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if number == 1 and _is_header(line):
                continue
            raise HistoryError(number, f"{_trouble(error)}. {_USAGE}") from None
        pairing.add(number, event)
    return pairing.history()


def history_of(events: Iterable[Event]) -> History:
    """The history of these events; positions count from 1. Raises `HistoryError`, too."""
    pairing = _Pairing()
    for number, event in enumerate(events, start=1):
        pairing.add(number, event)
    return pairing.history()


def encode_history(events: Iterable[Event]) -> Iterable[bytes]:
    """The lines of a history file, with the line that names the format first."""
    encode = msgspec.json.Encoder().encode
    yield encode(_Header(FORMAT, VERSION)) + b"\n"
    for event in events:
        yield encode(event) + b"\n"


_USAGE = (
    'Write {"process": 1, "type": "invoke", "f": "write", "value": 5}; values are strings, whole '
    "numbers, null, or a list of them; see docs/histories.md"
)


def _trouble(error: Exception) -> str:
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else f"no event: {error}"


def _is_header(line: bytes) -> bool:
    """Whether this line names our format. Raises `HistoryError` for a version of another time."""
    try:
        header = msgspec.json.decode(line, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    if header.format != FORMAT or header.version != VERSION:
        raise HistoryError(
            1,
            f"{header.format!r}, version {header.version}: only {FORMAT!r}, version {VERSION}, is "
            "known here. Take a newer paxos, or write that",
        )
    return True


@dataclass(slots=True)
class _Open:
    """An operation under way."""

    slot: int  # its place in the list of operations
    operation: Operation


@dataclass(slots=True)
class _Pairing:
    """Puts answers to invocations."""

    operations: list[Operation | None] = field(default_factory=list[Operation | None])
    under_way: dict[int | str, _Open | None] = field(default_factory=dict[int | str, _Open | None])
    """What each process waits for; None if its last one ended `info`."""
    failed: int = 0

    def add(self, number: int, event: Event) -> None:
        if event.type == "invoke":
            self._invoke(number, event)
            return
        opened = self.under_way.get(event.process)
        if opened is None:
            raise HistoryError(
                number,
                f"process {event.process!r} has nothing under way that could be {event.type!r}: "
                "every answer follows an invoke of the same process; leave out other lines",
            )
        _check_same(number, event, opened.operation)
        self.under_way[event.process] = None
        if event.type == "info":
            return
        del self.under_way[event.process]
        if event.type == "fail":
            self.operations[opened.slot] = None
            self.failed += 1
            return
        self.operations[opened.slot] = replace(
            opened.operation, output=_value(event), returned=number
        )

    def _invoke(self, number: int, event: Event) -> None:
        if event.f is None:
            raise HistoryError(number, 'an invoke says what is asked for: give "f"')
        if event.process in self.under_way:
            opened = self.under_way[event.process]
            trouble = (
                "ended unknown (info), so its operation may still take effect: go on under a name "
                "that no process had"
                if opened is None
                else f"still waits for the answer to line {opened.operation.invoked}: a process "
                "does one thing at a time"
            )
            raise HistoryError(number, f"process {event.process!r} {trouble}")
        if len(self.operations) == MAX_OPERATIONS:
            raise HistoryError(
                number, f"more than {MAX_OPERATIONS} operations: check the history in parts, by key"
            )
        operation = Operation(
            event.process, event.f, _value(event), Missing.NO_ANSWER, number, None, event.key
        )
        self.under_way[event.process] = _Open(len(self.operations), operation)
        self.operations.append(operation)

    def history(self) -> History:
        there = tuple(each for each in self.operations if each is not None)
        return History(there, self.failed)


def _check_same(number: int, event: Event, operation: Operation) -> None:
    """An answer may repeat what was asked, but not say otherwise."""
    for name in ("f", "key"):
        said, asked = getattr(event, name), getattr(operation, name)
        if said is not None and said != asked:
            raise HistoryError(
                number,
                f"{name} is {said!r}, but line {operation.invoked} asked for {asked!r}: "
                "repeat it, or leave it out",
            )


def _value(event: Event) -> Hashable:
    return Missing.NO_VALUE if event.value is msgspec.UNSET else event.value
