"""Where a search is, as a file: so that a long one can be interrupted and go on.

The file holds a line of JSON, the journal, all states level by level, and a SHA-256 of all that.
The table is not in it: it is learned again from the journal, by the library's own steps, so nothing
that is read becomes anything but a number. If these steps are not those of the code that wrote the
file, the tables differ, and the file is refused.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Self

import msgspec

from paxos.errors import FaultError, MisuseError
from paxos.verify.memory import without_collection
from paxos.verify.packing import packed, unpacked
from paxos.verify.search import STATES_A_LOOK, Holdings, Search

FORMAT = "paxos-explore"
VERSION = 1

MAX_HEADER_BYTES = 1 << 20
"""Far above what the longest search writes: a number for each level, and its bounds."""

MAX_WIDTH = 1 << 12
"""The bytes of a state; a tenth of that is more than any search needs."""

DIGEST_BYTES = hashlib.sha256().digest_size


class Kind(msgspec.Struct):
    """What every version of the first line holds."""

    format: str
    version: int


class Header(Kind, forbid_unknown_fields=True):
    """The first line."""

    of: dict[str, str]
    """Which exploration this is: its bounds, by name."""

    width: int
    journal: int
    levels: list[int]
    expanded: int
    transitions: int
    quiet: int
    reached: list[str]
    table: str
    """The digest of all that the table holds."""

    @property
    def states(self) -> int:
        """How many states follow."""
        return sum(self.levels)


class Keeper:
    """Writes a search down when it stops, when it is interrupted, and whenever it has doubled.

    As long as it is entered, an interrupt waits until the next look: anywhere else, a state could
    be lost. A second one ends the search at once, as ever.
    """

    def __init__(self, path: Path, of: Mapping[str, str]) -> None:
        """Take the file, and which exploration this is."""
        self._path = path
        self._of = dict(of)
        self._due_at = 1
        self._is_interrupted = False
        self._ends: Callable[[], object] = lambda: None

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)
            self._ends = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
        return self

    def __exit__(self, *_: object) -> None:
        self._ends()

    def __call__(self, search: Search, holdings: Callable[[], Holdings]) -> None:
        """Look at the search, and write it down if it is time."""
        is_due = search.progress.states >= self._due_at
        if is_due or search.stopped is not None or self._is_interrupted:
            save(self._path, self._of, search, holdings())
            self._due_at = 2 * search.progress.states
        if self._is_interrupted:
            raise KeyboardInterrupt

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._is_interrupted:
            signal.default_int_handler(number, frame)
        self._is_interrupted = True


def save(path: Path, of: Mapping[str, str], search: Search, holdings: Holdings) -> None:
    """Write a search down: all of it, or the file stays as it was.

    Raises `FaultError` if the file cannot be written.
    """
    progress, table = search.progress, search.table
    header = Header(
        FORMAT,
        VERSION,
        dict(of),
        table.width,
        len(search.journal),
        holdings.levels,
        holdings.expanded,
        progress.transitions,
        progress.quiet,
        sorted(table.reached),
        table.digest(),
    )
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("wb") as file:
            digest = hashlib.sha256()
            for block in _blocks(header, search.journal, holdings):
                digest.update(block)
                file.write(block)
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise FaultError(f"cannot write the checkpoint {path}: {error}") from error


def _blocks(header: Header, journal: list[int], holdings: Holdings) -> Iterator[bytes]:
    yield msgspec.json.encode(header) + b"\n"
    for at in range(0, len(journal), STATES_A_LOOK):
        yield packed(journal[at : at + STATES_A_LOOK], header.width)
    yield from holdings.states


def resume(path: Path, of: Mapping[str, str], search: Search) -> None:
    """Bring a search that has not begun to where the file says.

    Raises `MisuseError` if the file is of another exploration, and `FaultError` if it is none, if
    it is damaged, or if other code wrote it.
    """
    try:
        with path.open("rb") as file:
            header, line = _header(path, file)
            _check_exploration(path, of, header)
            journal, levels = _states(path, file, header, line)
    except OSError as error:
        raise FaultError(f"cannot read the checkpoint {path}: {error}") from error
    with without_collection():
        search.begin()
        for state in journal:
            if not search.table.holds([state]):
                raise _other_code(path)
            search.learn([state])
        if search.table.digest() != header.table or search.journal != journal:
            raise _other_code(path)
        _take_over(path, header, levels, search)


def _header(path: Path, file: BinaryIO) -> tuple[Header, bytes]:
    line = file.readline(MAX_HEADER_BYTES)
    try:
        kind = msgspec.json.decode(line, type=Kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FaultError(f"{path} is no checkpoint of an exploration") from error
    if kind.format != FORMAT:
        raise FaultError(f"{path} is no checkpoint of an exploration")
    if kind.version != VERSION:
        raise FaultError(
            f"{path} is a checkpoint in version {kind.version} of the format, and this is version "
            f"{VERSION}: go on with the release that wrote it, or start anew"
        )
    try:
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(path) from error
    numbers = (header.journal, header.expanded, header.transitions, header.quiet, *header.levels)
    is_possible = (
        0 < header.width <= MAX_WIDTH
        and min(numbers) >= 0
        and len(header.levels) > 1
        and header.expanded <= header.levels[-2]
    )
    if not is_possible:
        raise _damaged(path)
    return header, line


def _check_exploration(path: Path, of: Mapping[str, str], header: Header) -> None:
    names = sorted(of.keys() | header.of.keys())
    differ = [
        f"{name} is {header.of.get(name, 'not told')} there and {of.get(name, 'not told')} here"
        for name in names
        if of.get(name) != header.of.get(name)
    ]
    if differ:
        raise MisuseError(
            f"{path} is of another exploration: {'; '.join(differ)}. "
            "Give the same bounds, or start without it"
        )


def _states(
    path: Path, file: BinaryIO, header: Header, line: bytes
) -> tuple[list[int], list[list[int]]]:
    """The journal and the levels. The file is sound if this returns."""
    expected = len(line) + (header.journal + header.states) * header.width + DIGEST_BYTES
    if os.fstat(file.fileno()).st_size != expected:
        raise _damaged(path)
    digest = hashlib.sha256(line)

    def read(count: int) -> list[int]:
        states: list[int] = []
        for at in range(0, count, STATES_A_LOOK):
            block = file.read(min(STATES_A_LOOK, count - at) * header.width)
            digest.update(block)
            states += unpacked(block, header.width)
        return states

    journal = read(header.journal)
    levels = [read(size) for size in header.levels]
    if file.read() != digest.digest():
        raise _damaged(path)
    return journal, levels


def _take_over(path: Path, header: Header, levels: list[list[int]], search: Search) -> None:
    if not all(search.table.holds(level) for level in levels):
        raise _damaged(path)
    search.levels, search.expanded = levels, header.expanded
    search.seen = {state for level in levels for state in level}
    if len(search.seen) != header.states:
        raise _damaged(path)
    search.table.reached.update(header.reached)
    progress = search.progress
    progress.states, progress.depth = len(search.seen), len(levels) - (1 if levels[-1] else 2)
    progress.transitions, progress.quiet = header.transitions, header.quiet


def _damaged(path: Path) -> FaultError:
    return FaultError(f"the checkpoint {path} is damaged or cut: start anew")


def _other_code(path: Path) -> FaultError:
    return FaultError(
        f"the checkpoint {path} was written by other code: what its journal leads to is not what "
        "it says. Go on with the code that wrote it, or start anew"
    )
