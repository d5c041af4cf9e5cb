"""Where everything stands in a space-time diagram. Lengths are in pixels, y grows downwards."""

from __future__ import annotations

import textwrap
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field

from paxos.messages import Message
from paxos.scenario.diagram.chart import Arrow, Breach, Chart, Step
from paxos.scenario.happenings import (
    Arrived,
    Broke,
    Commanded,
    Happening,
    Left,
    PersistBegan,
    PersistEnded,
    PersistFailed,
    TimePassed,
)

GUTTER = 44
"""For the steps' numbers, at the left edge."""

LEFT_MARGIN = 104
"""Left of the first column: room for half a note. Nothing else is said there."""

COLUMN = 212
"""From one column to the next, and right of the last one: room for what is said there."""

NAMES = 74
"""Above the first step and below the title: the names of the nodes."""

TITLE_LINE = 22

LINE = 15
NOTE = 24
ARRIVAL = 21
PERSIST = 18
LEAVE = 8
LOSS = 17
SHORTEST_STEP = 30
SPACE_AFTER_STEP = 9


@dataclass(frozen=True)
class Loss:
    """Copies of one message that leave to one side, and never arrive."""

    arrows: tuple[Arrow, ...]
    side: int
    """Left (-1) or right (1)."""

    y: float


@dataclass
class Layout:
    """Places and their heights, nodes and their distance from the left."""

    chart: Chart
    title: str
    y: list[float] = field(default_factory=list[float])
    """For each happening."""

    top: dict[int, float] = field(default_factory=dict[int, float])
    bottom: dict[int, float] = field(default_factory=dict[int, float])
    """For each step, by its first place."""

    losses: list[Loss] = field(default_factory=list[Loss])

    end: float = 0.0
    """Where the last step ends."""

    @property
    def width(self) -> float:
        """Of the whole picture."""
        return GUTTER + LEFT_MARGIN + COLUMN * len(self.chart.columns)

    @property
    def heading(self) -> list[str]:
        """The title, in lines that fit."""
        return wrapped(self.title, self.width - 2 * GUTTER, 10.4)

    @property
    def head(self) -> float:
        """Where the first step begins."""
        return NAMES + TITLE_LINE * len(self.heading)

    def x(self, node_id: str) -> float:
        """Where a node's column stands."""
        return GUTTER + LEFT_MARGIN + COLUMN * self.chart.columns.index(node_id)

    def side(self, sender: str, recipient: str, alone: int = 1) -> int:
        """Right (1) or left (-1) is where a message goes; `alone` is for one to itself."""
        columns = self.chart.columns
        distance = columns.index(recipient) - columns.index(sender)
        return alone if distance == 0 else (1 if distance > 0 else -1)

    def sentence(self, breach: Breach) -> list[str]:
        """What is wrong, in lines that fit."""
        return wrapped(f"{breach.invariant}: {breach.sentence}", self.width - 2 * GUTTER, 8.2)


def lay_out(chart: Chart, title: str) -> Layout:
    """Give every happening its height."""
    layout = Layout(chart, title)
    layout.end = layout.head
    lost = {arrow.left: arrow for arrow in chart.arrows if arrow.arrived is None}
    noted = {note.place for note in chart.notes}
    for step in chart.steps:
        _lay_out_step(layout, step, noted, lost)
    return layout


def _lay_out_step(layout: Layout, step: Step, noted: set[int], lost: dict[int, Arrow]) -> None:
    """One step below the other; within it, one thing below the other."""
    happenings = layout.chart.happenings
    cursor = layout.end
    layout.top[step.first] = cursor
    cursor += SPACE_AFTER_STEP
    for place in range(step.first, step.end):
        happening = happenings[place]
        before, after = _room(happening, noted=place in noted)
        if isinstance(happening, Broke):
            breach = next(b for b in layout.chart.breaches if b.place == place)
            after = LINE * (len(layout.sentence(breach)) - 1) + 6
        is_first = place == step.first or not _is_one_broadcast(happenings[place - 1], happening)
        if isinstance(happening, Left) and is_first:
            before = _lay_out_losses(layout, _broadcast(layout.chart, place, step), lost, cursor)
        following = happenings[place + 1] if place + 1 < step.end else None
        if place > step.first and isinstance(happening, Commanded):
            before = 0  # several commands that are told as one, and each at another node
        cursor += before
        layout.y.append(cursor)
        if not (isinstance(following, Commanded) or _is_one_broadcast(happening, following)):
            cursor += after
    cursor = max(cursor, layout.top[step.first] + SHORTEST_STEP)
    layout.bottom[step.first] = layout.end = cursor + SPACE_AFTER_STEP


def _broadcast(chart: Chart, place: int, step: Step) -> range:
    """The places from this one on at which messages leave together."""
    end = place + 1
    while end < step.end and _is_one_broadcast(chart.happenings[end - 1], chart.happenings[end]):
        end += 1
    return range(place, end)


def _lay_out_losses(layout: Layout, broadcast: range, lost: dict[int, Arrow], top: float) -> float:
    """Give each lost message of a broadcast a line, above where the others leave.

    Copies of one message to one side share a line. Returns how much room all that takes.
    """
    groups: dict[tuple[int, Message[str]], list[Arrow]] = {}
    for place in broadcast:
        if place in lost:
            envelope = lost[place].envelope
            side = layout.side(envelope.sender.node_id, envelope.recipient)
            groups.setdefault((side, envelope.message), []).append(lost[place])
    lines: defaultdict[int, int] = defaultdict(int)
    for (side, _), arrows in groups.items():
        layout.losses.append(Loss(tuple(arrows), side, top + LOSS * (lines[side] + 0.6)))
        lines[side] += 1
    return LOSS * max(lines.values(), default=0)


def _room(happening: Happening, *, noted: bool) -> tuple[float, float]:
    """How much to leave free above and below."""
    match happening:
        case _ if noted and not isinstance(happening, PersistFailed):
            return NOTE / 2, NOTE / 2 + 2
        case Commanded() | PersistBegan():
            return 0, 0
        case Arrived():
            return 4, ARRIVAL
        case Left():
            return 0, LEAVE
        case PersistEnded():
            return PERSIST, 0
        case PersistFailed():
            return PERSIST + NOTE / 2, NOTE / 2
        case TimePassed():
            return 6, 6
        case Broke():
            return LINE, 0
        case _:
            return 0, 0


def _is_one_broadcast(one: Happening, other: Happening | None) -> bool:
    """Whether two messages leave one node at one instant."""
    return (
        isinstance(one, Left)
        and isinstance(other, Left)
        and one.envelope.sender == other.envelope.sender
    )


# How much room text takes. Nobody can measure a font from here, so this is what common ones need.

_NARROW = frozenset("fijlrtI.,:;'|!()[] -")
_WIDE = frozenset("mwMW@%→✕")


def width_of(text: str, size: float) -> float:
    """About how wide a text is in a font without serifs."""
    return size * sum(map(_em, text))


def _em(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    if character in _NARROW:
        return 0.36
    return 0.9 if character in _WIDE else 0.6


def shortened(text: str, room: float, size: float) -> str:
    """The text, or its beginning and its end if it is wider than that."""
    cut, kept = text, len(text)
    while width_of(cut, size) > room and kept > 1:
        kept -= 1
        tail = kept // 3
        cut = f"{text[: kept - tail]}…{text[len(text) - tail :]}"
    return cut


def wrapped(text: str, width: float, letter: float) -> list[str]:
    """The text in lines that are not wider than this, if letters are about that wide."""
    return textwrap.wrap(text, max(10, int(width / letter))) or [""]


def printable(text: str) -> str:
    """The text without what XML cannot hold: control characters and halves of characters."""
    return "".join(
        character if character.isprintable() else f"\\x{ord(character):02x}" for character in text
    )
