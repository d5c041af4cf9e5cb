"""The primitive commands: all that can happen to a cluster, one line of text each.

Whatever a simulator draws and an explorer tries is written with these alone, so each run of theirs
is a scenario file. `str(command)` is its line, and `parse` gives the same command back. Who plays
them says what is possible when: see `paxos.sim.stage`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from paxos.errors import MisuseError
from paxos.messages import Envelope, Message
from paxos.scenario.words import (
    parse_envelope,
    parse_node_id,
    parse_seconds,
    parse_value,
    split_words,
    text_of_envelope,
    text_of_seconds,
    text_of_value,
)


@dataclass(frozen=True, slots=True)
class Propose:
    """The application asks this node for a value."""

    node_id: str
    value: str

    def __str__(self) -> str:
        return f"propose {self.node_id} {text_of_value(self.value)}"


@dataclass(frozen=True, slots=True)
class Deliver:
    """A message arrives that was sent at some time. It may arrive any number of times, or never."""

    envelope: Envelope[Message[str]]

    def __str__(self) -> str:
        return f"deliver {text_of_envelope(self.envelope)}"


@dataclass(frozen=True, slots=True)
class Tick:
    """The world calls this node although nothing has come for it."""

    node_id: str

    def __str__(self) -> str:
        return f"tick {self.node_id}"


@dataclass(frozen=True, slots=True)
class Timeout:
    """This node's own clock jumps ahead to what it waits for; then comes a tick."""

    node_id: str

    def __str__(self) -> str:
        return f"timeout {self.node_id}"


@dataclass(frozen=True, slots=True)
class Timer:
    """This timer of the node runs out. Only where time is abstract: there are no instants."""

    node_id: str
    name: str

    def __str__(self) -> str:
        return f"timer {self.node_id} {self.name}"


@dataclass(frozen=True, slots=True)
class At:
    """The world's time goes on to this instant (seconds), and nothing else happens."""

    seconds: float

    def __str__(self) -> str:
        return f"at {text_of_seconds(self.seconds)}"


@dataclass(frozen=True, slots=True)
class SetClock:
    """From now on this node's clock runs at another speed, or shows another time."""

    node_id: str
    rate: float
    """Its seconds in one second of the world."""

    ahead: float | None = None
    """How far it is ahead of the world's time just now (seconds); None leaves it as it is."""

    def __str__(self) -> str:
        ahead = "" if self.ahead is None else f" {text_of_seconds(self.ahead)}"
        return f"clock {self.node_id} {text_of_seconds(self.rate)}{ahead}"


@dataclass(frozen=True, slots=True)
class Persist:
    """The persist under way is done: what waited for it leaves."""

    node_id: str

    def __str__(self) -> str:
        return f"persist {self.node_id}"


@dataclass(frozen=True, slots=True)
class Hang:
    """From now on persists of this node are done by `persist` only."""

    node_id: str

    def __str__(self) -> str:
        return f"hang {self.node_id}"


@dataclass(frozen=True, slots=True)
class Free:
    """From now on persists of this node are done at once, also the one under way."""

    node_id: str

    def __str__(self) -> str:
        return f"free {self.node_id}"


class Failure(enum.Enum):
    """How a disk fails."""

    IO = "io"
    """The sync reports EIO. Nobody knows what has reached the disk."""

    FULL = "full"
    """The write reports ENOSPC."""

    SHORT = "short"
    """The write takes only part of what it is given."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The persist under way fails, or the next use of this node's disk. The node stops."""

    node_id: str
    failure: Failure

    def __str__(self) -> str:
        return f"fail {self.node_id} {self.failure.value}"


class Ending(enum.Enum):
    """What a crash leaves of a persist under way."""

    KILL_WRITTEN = "kill"
    """The process ends after the write and before the sync: the next one reads what was written."""

    KILL_UNWRITTEN = "kill unwritten"
    """The process ends before the write."""

    POWER_OLD = "power"
    """The power fails, and nothing that was not synced is left."""

    POWER_NEW = "power new"
    """The power fails, and all that was written is left."""

    POWER_TORN = "power torn"
    """The power fails, and some sectors of the write are left, and others not."""

    @property
    def is_power_cut(self) -> bool:
        """Whether what was not synced may be lost."""
        return self in (Ending.POWER_OLD, Ending.POWER_NEW, Ending.POWER_TORN)


@dataclass(frozen=True, slots=True)
class Crash:
    """The node's process ends: between two effects, while a persist is under way, or in a start."""

    node_id: str
    ending: Ending = Ending.KILL_WRITTEN

    opening: int | None = None
    """Of a start: into which of the writes with which opening a store ends the crash falls, from 1.
    There is one, and more if something has to be mended: two after a torn write. Beyond the last of
    them, the crash falls at the end of opening, before anything leaves."""

    @property
    def how(self) -> str:
        """The words behind the node's ID."""
        ending = self.ending.value
        return ending if self.opening is None else f"opening {self.opening} {ending}"

    def __str__(self) -> str:
        return f"crash {self.node_id} {self.how}"


@dataclass(frozen=True, slots=True)
class Rot:
    """On the disk, bytes of the newest acknowledged state become what they never were."""

    node_id: str

    def __str__(self) -> str:
        return f"rot {self.node_id}"


@dataclass(frozen=True, slots=True)
class Wipe:
    """The disk is lost, and `init` makes a new one for the same node ID: a new incarnation."""

    node_id: str

    def __str__(self) -> str:
        return f"wipe {self.node_id}"


@dataclass(frozen=True, slots=True)
class Restart:
    """The node opens its store and starts, if the store is sound."""

    node_id: str

    def __str__(self) -> str:
        return f"restart {self.node_id}"


Command: TypeAlias = (
    Propose
    | Deliver
    | Tick
    | Timeout
    | Timer
    | At
    | SetClock
    | Persist
    | Hang
    | Free
    | Fail
    | Crash
    | Rot
    | Wipe
    | Restart
)


@dataclass(frozen=True)
class Form:
    """How a command is written."""

    usage: str
    fewest: int
    """Words after the first."""

    most: int
    parse: Callable[[Sequence[str]], Command]


def _of_node(usage: str, make: Callable[[str], Command]) -> Form:
    return Form(usage, 1, 1, lambda words: make(parse_node_id(words[0])))


def _parse_clock(words: Sequence[str]) -> Command:
    rate = parse_seconds(words[1])
    if rate <= 0:
        raise MisuseError(f"a clock at a rate of {words[1]} does not run: give more than 0")
    ahead = parse_seconds(words[2]) if len(words) == 3 else None
    return SetClock(parse_node_id(words[0]), rate, ahead)


def _parse_fail(words: Sequence[str]) -> Command:
    try:
        failure = Failure(words[1])
    except ValueError:
        raise MisuseError(f"a disk fails by io, full or short, not by {words[1]!r}") from None
    return Fail(parse_node_id(words[0]), failure)


_SPELT_OUT = {"kill written": Ending.KILL_WRITTEN, "power old": Ending.POWER_OLD}


MOST_WRITES = 9
"""That may be counted in an opening. None takes more than a few."""


def _parse_crash(words: Sequence[str]) -> Command:
    node_id, *rest = words
    if rest[:1] != ["opening"]:
        return Crash(parse_node_id(node_id), _parse_ending(rest))
    write = "".join(rest[1:2])
    if write not in {str(number) for number in range(1, MOST_WRITES + 1)}:
        raise MisuseError(
            f"opening a store has no write {write!r}: write crash NODE opening 1, or up to"
            f" {MOST_WRITES}, and then how it ends"
        )
    return Crash(parse_node_id(node_id), _parse_ending(rest[2:]), int(write))


def _parse_ending(words: Sequence[str]) -> Ending:
    how = " ".join(words) or "kill"
    try:
        return _SPELT_OUT.get(how) or Ending(how)
    except ValueError:
        raise MisuseError(
            f"{how!r} is no crash: write kill, kill unwritten, power, power new or power torn"
        ) from None


FORMS: dict[str, Form] = {
    "propose": Form(
        "propose NODE VALUE",
        2,
        2,
        lambda words: Propose(parse_node_id(words[0]), parse_value(words[1])),
    ),
    "deliver": Form(
        "deliver SENDER>RECIPIENT MESSAGE", 2, 9, lambda words: Deliver(parse_envelope(words))
    ),
    "tick": _of_node("tick NODE", Tick),
    "timeout": _of_node("timeout NODE", Timeout),
    "timer": Form("timer NODE NAME", 2, 2, lambda words: Timer(parse_node_id(words[0]), words[1])),
    "at": Form("at SECONDS", 1, 1, lambda words: At(parse_seconds(words[0]))),
    "clock": Form("clock NODE RATE [AHEAD]", 2, 3, _parse_clock),
    "persist": _of_node("persist NODE", Persist),
    "hang": _of_node("hang NODE", Hang),
    "free": _of_node("free NODE", Free),
    "fail": Form("fail NODE io|full|short", 2, 2, _parse_fail),
    "crash": Form(
        "crash NODE [opening WRITE] [kill [unwritten] | power [new|torn]]", 1, 5, _parse_crash
    ),
    "tear": _of_node("tear NODE", lambda node_id: Crash(node_id, Ending.POWER_TORN)),
    "rot": _of_node("rot NODE", Rot),
    "wipe": _of_node("wipe NODE", Wipe),
    "restart": _of_node("restart NODE", Restart),
}
"""By its first word, each command: how it is written, and how it is read."""


def parse(line: str) -> Command:
    """The command of this line. Raises `MisuseError`, which says what could stand there."""
    verb, *words = split_words(line) or [""]
    if verb not in FORMS:
        raise MisuseError(f"{verb!r} is no command: it is one of {', '.join(FORMS)}")
    form = FORMS[verb]
    if not form.fewest <= len(words) <= form.most:
        raise MisuseError(f"{line.strip()!r} is no command: write {form.usage}")
    return form.parse(words)
