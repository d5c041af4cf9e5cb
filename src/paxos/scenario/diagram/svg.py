"""The space-time diagram of a run, as one SVG file that needs nothing else.

It can be read in black and white: a ballot is a colour and a pattern of dashes and stands in each
label; phase 2 is drawn thicker than phase 1; what broke is framed, not only red. Text is text, so
it can be searched, selected and read aloud.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeAlias
from xml.etree import ElementTree as ET

from paxos.messages import Accept, Accepted, Chosen, Message, Prepare, Promise
from paxos.proposal_id import NO_PROPOSAL
from paxos.scenario.cluster import Cluster
from paxos.scenario.diagram.chart import (
    Arrow,
    Bar,
    Chart,
    Fate,
    Note,
    Step,
    Tone,
    ballot_of,
    chart,
    label_of,
)
from paxos.scenario.diagram.layout import (
    COLUMN,
    GUTTER,
    LINE,
    TITLE_LINE,
    Layout,
    Loss,
    lay_out,
    printable,
    shortened,
    width_of,
)
from paxos.scenario.diagram.style import BALLOT_STYLES, STYLE
from paxos.scenario.happenings import Arrived, Happening
from paxos.scenario.words import text_of_message, text_of_seconds

FOOT = 62
"""Below the last step: the names once more, and the legend."""

LEGEND_LINE = 20

ROOM = COLUMN - 16
"""For what is said beside a column: more would reach the next one."""

Element = ET.Element
Point: TypeAlias = tuple[float, float]


def svg(cluster: Cluster, happenings: Iterable[Happening], title: str) -> str:
    """Draw a run. `title` says in a few words what it shows.

    The same happenings give the same text. Raises `MisuseError` if they are no whole run.
    """
    return _Drawing(lay_out(chart(cluster, happenings), printable(title))).text()


def _add(parent: Element, tag: str, css: str = "", text: str = "", **attributes: float) -> Element:
    """A new element in another one. Numbers are rounded, so that the text is stable."""
    element = ET.SubElement(parent, tag)
    if css:
        element.set("class", css)
    for name, number in attributes.items():
        element.set(name.replace("_", "-"), _number(number))
    if text:
        element.text = printable(text)
    return element


def _number(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _titled(parent: Element, css: str, full: str) -> Element:
    """A group that tells what it is when somebody points at it."""
    group = _add(parent, "g", css)
    _add(group, "title", text=full)
    return group


class _Drawing:
    """One picture, drawn from back to front."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._chart: Chart = layout.chart
        self._ballots = {ballot: index for index, ballot in enumerate(self._chart.ballots())}
        legend = _legend_rows(self._legend_items(), layout.width)
        self._legend = legend
        self._height = layout.end + FOOT + LEGEND_LINE * len(legend)
        self._root = Element("svg")
        self._root.set("xmlns", "http://www.w3.org/2000/svg")
        self._root.set("class", "space-time")
        self._root.set("role", "img")
        self._root.set("viewBox", f"0 0 {_number(layout.width)} {_number(self._height)}")
        self._root.set("width", _number(layout.width))
        self._root.set("height", _number(self._height))

    def text(self) -> str:
        """The whole file."""
        _add(self._root, "title", text=self._layout.title)
        _add(self._root, "desc", text=_description(self._chart))
        _add(self._root, "style").text = STYLE
        _add(self._root, "rect", "ground", width=self._layout.width, height=self._height)
        self._frame_broken_steps()
        self._draw_steps()
        self._draw_columns()
        for bar in self._chart.bars:
            self._draw_bar(bar)
        for arrow in self._chart.arrows:
            self._draw_lines(arrow)
        for bar in self._chart.bars:
            self._draw_bar_words(bar)
        for arrow in self._chart.arrows:
            self._draw_words(arrow)
        for loss in self._layout.losses:
            self._draw_lost(loss)
        for note in self._chart.notes:
            self._draw_note(note)
        self._draw_breaches()
        self._draw_heading()
        self._draw_legend()
        ET.indent(self._root)
        return ET.tostring(self._root, encoding="unicode") + "\n"

    def _draw_heading(self) -> None:
        for index, line in enumerate(self._layout.heading):
            _add(self._root, "text", "heading", line, x=GUTTER, y=30 + TITLE_LINE * index)

    def _draw_steps(self) -> None:
        for step in self._chart.steps:
            top = self._layout.top[step.first]
            group = _titled(self._root, "step", _told_of_step(step))
            end = _number(self._layout.width - 6)
            _add(group, "path", "rule").set("d", f"M6 {_number(top)}H{end}")
            if step.label:
                _add(group, "text", "number", step.label, x=GUTTER - 16, y=top + 18)
            for place in range(step.first, step.end):
                if place in self._chart.instants:
                    self._draw_instant(group, self._layout.y[place], self._chart.instants[place])

    def _frame_broken_steps(self) -> None:
        broken = [self._chart.step_at(breach.place).first for breach in self._chart.breaches]
        for step in dict.fromkeys(broken):
            top, bottom = self._layout.top[step], self._layout.bottom[step]
            width, height = self._layout.width - 12, bottom - top
            _add(self._root, "rect", "broken", x=6, y=top, width=width, height=height, rx=4)

    def _draw_instant(self, group: Element, y: float, now: float) -> None:
        path = _add(group, "path", "instant")
        path.set("d", f"M{GUTTER} {_number(y)}H{_number(self._layout.width - 70)}")
        said = f"{float(text_of_seconds(now)):g} s"
        _add(group, "text", "instant-text", said, x=self._layout.width - 64, y=y + 4)

    def _draw_columns(self) -> None:
        layout = self._layout
        bottom = layout.end + 12
        for node_id in self._chart.columns:
            x = layout.x(node_id)
            group = _titled(self._root, "column", self._role(node_id))
            self._draw_life(group, node_id, layout.head - 16, bottom)
            for y in (layout.head - 44, bottom):
                self._name(group, node_id, x, y)

    def _role(self, node_id: str) -> str:
        if node_id in self._chart.cluster.members:
            return f"node {node_id}"
        return f"node {node_id}, which proposes and has no vote"

    def _draw_life(self, group: Element, node_id: str, top: float, bottom: float) -> None:
        """A line while it is up, dots while it is down."""
        x, y = _number(self._layout.x(node_id)), self._layout.y
        up_since = top
        for outage in self._chart.outages:
            if outage.node_id == node_id:
                since = y[outage.since]
                until = bottom if outage.until is None else y[outage.until]
                _add(group, "path", "life").set("d", f"M{x} {_number(up_since)}V{_number(since)}")
                _add(group, "path", "outage").set("d", f"M{x} {_number(since)}V{_number(until)}")
                up_since = until
        _add(group, "path", "life").set("d", f"M{x} {_number(up_since)}V{_number(bottom)}")

    def _name(self, group: Element, node_id: str, x: float, y: float) -> None:
        name = shortened(node_id, ROOM - 20, 15)
        width = max(46.0, width_of(name, 15) + 20)
        css = "head" if node_id in self._chart.cluster.members else "head no-vote"
        _add(group, "rect", css, x=x - width / 2, y=y, width=width, height=28, rx=5)
        _add(group, "text", "name", name, x=x, y=y + 19)

    def _draw_bar(self, bar: Bar) -> None:
        layout = self._layout
        x, top = layout.x(bar.node_id), layout.y[bar.began]
        bottom = layout.end if bar.ended is None else layout.y[bar.ended]
        group = _titled(self._root, _persist_css(bar), _persist_told(bar))
        _add(group, "rect", "bar", x=x - 5, y=top, width=10, height=bottom - top, rx=2)

    def _draw_bar_words(self, bar: Bar) -> None:
        group = _titled(self._root, _persist_css(bar), _persist_told(bar))
        side = self._side_of(bar)
        said = bar.text if bar.fate is Fate.DONE else f"{bar.text}: {bar.fate.value}"
        x, y = self._layout.x(bar.node_id) + side * 10, self._layout.y[bar.began] + 13
        _label(group, "disk", shortened(said, ROOM, 10.5), x, y, side)

    def _side_of(self, bar: Bar) -> int:
        """Left (-1) or right (1): below the message that it is for."""
        for place in range(bar.began, self._chart.step_at(bar.began).first, -1):
            happening = self._chart.happenings[place]
            if isinstance(happening, Arrived):
                return -self._layout.side(happening.envelope.sender.node_id, bar.node_id, -1)
        return 1

    def _css(self, arrow: Arrow) -> str:
        message = arrow.envelope.message
        ballot = ballot_of(message)
        known = self._ballots.get(ballot, 0) % len(BALLOT_STYLES)
        colour = "b-none" if ballot == NO_PROPOSAL else f"b{known}"
        return f"message {_phase_of(message)} {colour}"

    def _draw_lines(self, arrow: Arrow) -> None:
        """The arrow itself. What it says comes later, on top of all arrows."""
        if arrow.arrived is None:
            return
        start, tip = self._ends(arrow, arrow.arrived)
        group = _titled(self._root, self._css(arrow), self._told(arrow, arrow.arrived))
        if arrow.envelope.sender.node_id == arrow.envelope.recipient:
            angle = _loop(group, start, tip)
        else:
            angle = math.atan2(tip[1] - start[1], tip[0] - start[0])
            _line(group, start, tip)
        _head(group, tip, angle)
        if arrow.again:
            _head(group, (tip[0] - 9 * math.cos(angle), tip[1] - 9 * math.sin(angle)), angle)

    def _draw_words(self, arrow: Arrow) -> None:
        if arrow.arrived is None:
            return
        start, tip = self._ends(arrow, arrow.arrived)
        side = 1 if start[0] > tip[0] - 3 else -1  # where it comes from
        again = ", again" if arrow.again else ""
        room = ROOM - width_of(again, 12)
        said = shortened(label_of(arrow.envelope.message), room, 12) + again
        group = _titled(self._root, self._css(arrow), self._told(arrow, arrow.arrived))
        _label(group, "said", said, tip[0] + side * 8, tip[1] + 13, side)

    def _ends(self, arrow: Arrow, arrived: int) -> tuple[Point, Point]:
        layout, sender = self._layout, arrow.envelope.sender.node_id
        side = layout.side(sender, arrow.envelope.recipient, alone=-1)
        start = layout.x(sender), layout.y[arrow.left]
        return start, (layout.x(arrow.envelope.recipient) - 2 * side, layout.y[arrived])

    def _draw_lost(self, loss: Loss) -> None:
        """A stub that ends in a cross."""
        arrow, side, y = loss.arrows[0], loss.side, loss.y
        own = arrow.envelope.sender.node_id
        x = self._layout.x(own)
        recipients = [lost.envelope.recipient for lost in loss.arrows]
        to = ", ".join("itself" if recipient == own else recipient for recipient in recipients)
        said = text_of_message(arrow.envelope.message)
        full = f"{own} sends to {to}: {said}; this never arrives"
        group = _titled(self._root, self._css(arrow) + " lost", full)
        _line(group, (x, y), (x + side * 22, y))
        _cross(group, (x + side * 22, y))
        to_whom = f" → {to}"
        room = ROOM - 22 - width_of(to_whom, 12)
        text = shortened(label_of(arrow.envelope.message), room, 12) + to_whom
        _label(group, "said", text, x + side * 31, y + 4, side)

    def _told(self, arrow: Arrow, place: int) -> str:
        sender, recipient = arrow.envelope.sender.node_id, arrow.envelope.recipient
        to = "itself" if sender == recipient else recipient
        said = text_of_message(arrow.envelope.message)
        left = self._chart.step_at(arrow.left).label
        arrived = self._chart.step_at(place).label
        again = " again" if arrow.again else ""
        return f"{sender} to {to}: {said}; leaves in step {left}, arrives{again} in step {arrived}"

    def _draw_note(self, note: Note) -> None:
        x, y = self._layout.x(note.node_id), self._layout.y[note.place]
        group = _titled(self._root, f"note {note.tone.value}", f"{note.node_id}: {note.full}")
        text = shortened(note.text, ROOM - 30, 12.5)
        if note.tone is Tone.DOWN:
            text = f"✕ {text}"
        width = width_of(text, 12.5) + 20
        _add(group, "rect", "chip", x=x - width / 2, y=y - 10, width=width, height=20, rx=10)
        _add(group, "text", "chip-text", text, x=x, y=y + 4)
        if note.detail:
            detail = shortened(note.detail, ROOM - width / 2, 10.5)
            _label(group, "disk", detail, x + width / 2 + 6, y + 4, 1)

    def _draw_breaches(self) -> None:
        for breach in self._chart.breaches:
            group = _titled(self._root, "breach", f"{breach.invariant}: {breach.sentence}")
            y, lines = self._layout.y[breach.place], self._layout.sentence(breach)
            width = max(width_of(line, 14) for line in lines)
            height = LINE * len(lines) + 4
            _add(group, "rect", "plate", x=GUTTER - 4, y=y - 14, width=width + 8, height=height)
            _add(group, "text", "mark", "✕", x=GUTTER - 16, y=y)
            for index, line in enumerate(lines):
                _add(group, "text", "sentence", line, x=GUTTER, y=y + index * LINE)

    # The legend: only what occurs in this picture.

    def _legend_items(self) -> list[tuple[str, str]]:
        """Kind of sample, and what it means."""
        arrows, bars = self._chart.arrows, self._chart.bars
        items = [
            (f"message phase1 b{index % len(BALLOT_STYLES)}", f"ballot {ballot}")
            for ballot, index in self._ballots.items()
        ]
        phases = {_phase_of(arrow.envelope.message) for arrow in arrows}
        for phase, text in (
            ("phase1", "phase 1"),
            ("phase2", "phase 2"),
            ("hint", "nack, request, heartbeat"),
        ):
            if phase in phases:
                items.append((f"message {phase} b-none", text))
        if any(arrow.arrived is None for arrow in arrows):
            items.append(("lost", "never arrives"))
        if any(arrow.again for arrow in arrows):
            items.append(("again", "arrives again"))
        if bars:
            items.append(("bar", "persist: what changes on the disk"))
        if self._chart.outages:
            items.append(("outage", "down"))
        return items

    def _draw_legend(self) -> None:
        y = self._layout.end + FOOT
        for row in self._legend:
            x = float(GUTTER)
            for css, text in row:
                self._draw_sample(css, x, y)
                _add(self._root, "text", "legend", text, x=x + 42, y=y + 4)
                x += _legend_width(text)
            y += LEGEND_LINE

    def _draw_sample(self, css: str, x: float, y: float) -> None:
        if css == "bar":
            group = _add(self._root, "g", "persist")
            _add(group, "rect", "bar", x=x + 12, y=y - 7, width=10, height=14, rx=2)
        elif css == "outage":
            _add(self._root, "path", css).set("d", f"M{_number(x)} {_number(y)}h32")
        else:
            plain = "message phase1 b-none"
            group = _add(self._root, "g", css if css.startswith("message") else plain)
            _line(group, (x, y), (x + 30, y))
            if css == "lost":
                _cross(group, (x + 32, y))
                return
            _head(group, (x + 32, y), 0.0)
            if css == "again":
                _head(group, (x + 23, y), 0.0)


def _told_of_step(step: Step) -> str:
    return step.text if step.number is None else f"step {step.number}: {step.text}"


def _persist_css(bar: Bar) -> str:
    return "persist" if bar.fate is Fate.DONE else "persist undone"


def _persist_told(bar: Bar) -> str:
    return f"{bar.node_id} persists: {bar.text} ({bar.fate.value})"


def _phase_of(message: Message[str]) -> str:
    if isinstance(message, Prepare | Promise):
        return "phase1"
    if isinstance(message, Accept | Accepted | Chosen):
        return "phase2"
    return "hint"


def _loop(group: Element, start: Point, tip: Point) -> float:
    """A message of a node to itself; returns the direction in which it arrives."""
    out = start[0] + 26
    bend = min(17.0, (tip[1] - start[1]) / 2)
    points = [start, (out, start[1] + bend), (out, tip[1] - bend), tip]
    _add(group, "polyline", "line").set("points", _points(points))
    return math.atan2(bend, tip[0] - out)


def _points(points: Iterable[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _cross(group: Element, centre: Point) -> None:
    x, y = _number(centre[0] - 4), _number(centre[1] - 4)
    _add(group, "path", "cross").set("d", f"M{x} {y}l8 8m0 -8l-8 8")


def _line(group: Element, start: Point, end: Point) -> None:
    _add(group, "line", "line", x1=start[0], y1=start[1], x2=end[0], y2=end[1])


def _head(group: Element, tip: Point, angle: float) -> None:
    """An arrowhead. Drawn, not a marker: markers cannot take the colour of their line."""
    corners = [tip]
    for turn in (2.7, -2.7):
        x = tip[0] + 9.5 * math.cos(angle + turn)
        y = tip[1] + 9.5 * math.sin(angle + turn)
        corners.append((x, y))
    _add(group, "polygon", "tip").set("points", _points(corners))


def _label(group: Element, css: str, text: str, x: float, y: float, side: int) -> None:
    """Text that begins at `x` and runs to the right (1) or to the left (-1)."""
    label = _add(group, "text", css, text, x=x, y=y)
    if side < 0:
        label.set("text-anchor", "end")


def _legend_width(text: str) -> float:
    return 42 + width_of(text, 11) + 22


def _legend_rows(items: list[tuple[str, str]], width: float) -> list[list[tuple[str, str]]]:
    rows: list[list[tuple[str, str]]] = []
    room = 0.0
    for item in items:
        needed = _legend_width(item[1])
        if not rows or needed > room:
            rows.append([])
            room = width - 2 * GUTTER
        rows[-1].append(item)
        room -= needed
    return rows


def _description(drawn: Chart) -> str:
    """The run in words, for those who cannot see the picture."""
    steps = "; ".join(
        step.text if step.number is None else f"{step.number}. {step.text}" for step in drawn.steps
    )
    broken = "".join(
        f" In step {drawn.step_at(breach.place).label} this breaks {breach.invariant}: "
        f"{breach.sentence}."
        for breach in drawn.breaches
    )
    nodes = ", ".join(drawn.columns)
    return f"A space-time diagram of the nodes {nodes}. The steps: {steps}.{broken}"
