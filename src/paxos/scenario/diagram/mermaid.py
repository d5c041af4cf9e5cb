"""A run as a sequence diagram in Mermaid's text form.

Mermaid knows no time between leaving and arriving, so a message stands where it arrives, with the
number of that step; one that was overtaken says where it left. One that never arrives stands where
it left, and ends in a cross.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from paxos.messages import Accepted, HeartbeatAnswer, Message, Nack, Promise
from paxos.scenario.cluster import Cluster
from paxos.scenario.diagram.chart import Arrow, Bar, Breach, Chart, Fate, Note, Step, Tone, chart
from paxos.scenario.diagram.layout import shortened
from paxos.scenario.happenings import Happening
from paxos.scenario.words import text_of_message

_PLAIN = frozenset(" .,:=+-/>()'|→✕")
"""Besides letters and digits, what means nothing to Mermaid within a text."""

RED = "rgba(220, 40, 60, 0.18)"
"""Behind the step that broke something, on light ground and on dark."""


def mermaid(cluster: Cluster, happenings: Iterable[Happening], title: str) -> str:
    """Write a run down. `title` says in a few words what it shows.

    The same happenings give the same text. Raises `MisuseError` if they are no whole run.
    """
    return "\n".join(_lines(_Writing(chart(cluster, happenings)), title)) + "\n"


def _lines(writing: _Writing, title: str) -> Iterator[str]:
    drawn = writing.chart
    yield "sequenceDiagram"
    yield f"    accTitle: {_escaped(title)}"
    yield f"    title: {_escaped(title)}"
    for index, node_id in enumerate(drawn.columns):
        kind = "participant" if node_id in drawn.cluster.members else "actor"
        yield f"    {kind} n{index} as {_escaped(node_id)}"
    for step in drawn.steps:
        is_broken = any(step.first <= breach.place < step.end for breach in drawn.breaches)
        lines = list(writing.step(step))
        if is_broken:
            yield f"    rect {RED}"
        yield from (f"    {'    ' if is_broken else ''}{line}" for line in lines)
        if is_broken:
            yield "    end"


class _Writing:
    """Says each thing at its place."""

    def __init__(self, drawn: Chart) -> None:
        self.chart = drawn
        self._at: dict[int, list[str]] = {}
        for bar in drawn.bars:
            self._say_persist(bar)
        for note in drawn.notes:
            self._say(note.place, self._note(note))
        for arrow in drawn.arrows:
            self._say_message(arrow)
        for place, now in drawn.instants.items():
            self._say(place, self._over_all(f"{now:g} s"))
        for breach in drawn.breaches:
            self._say(breach.place, self._breach(breach))

    def step(self, step: Step) -> Iterator[str]:
        """All that is to say of a step."""
        for place in range(step.first, step.end):
            yield from self._at.get(place, ())

    def _say(self, place: int, line: str) -> None:
        self._at.setdefault(place, []).append(line)

    def _say_message(self, arrow: Arrow) -> None:
        envelope = arrow.envelope
        sender, recipient = self._column(envelope.sender.node_id), self._column(envelope.recipient)
        said = text_of_message(envelope.message)
        if arrow.arrived is None:
            self._say(arrow.left, f"{sender}-x{recipient}: {_escaped(said)}")
            return
        number = self.chart.step_at(arrow.arrived).label
        line = "-->>" if _is_reply(envelope.message) else "->>"
        remark = ""
        if arrow.again:
            remark = " (again)"
        elif self._is_overtaken(arrow, arrow.arrived):
            remark = f" (left in step {self.chart.step_at(arrow.left).label})"
        text = _escaped(f"{number}. {said}{remark}")
        self._say(arrow.arrived, f"{sender}{line}{recipient}: {text}")

    def _is_overtaken(self, arrow: Arrow, arrived: int) -> bool:
        """Whether something left later for the same node, and arrived there earlier."""
        return any(
            other.envelope.recipient == arrow.envelope.recipient
            and other.left > arrow.left
            and other.arrived is not None
            and other.arrived < arrived
            for other in self.chart.arrows
        )

    def _say_persist(self, bar: Bar) -> None:
        """Only a persist that takes longer than its step, or fails."""
        step = self.chart.step_at(bar.began)
        if bar.fate is Fate.DONE and bar.ended is not None and bar.ended < step.end:
            return
        self._say(bar.began, self._over(bar.node_id, f"persist begins: {bar.text}"))
        if bar.ended is not None:
            self._say(bar.ended, self._over(bar.node_id, f"persist {bar.fate.value}"))

    def _note(self, note: Note) -> str:
        text = f"✕ {note.text}" if note.tone is Tone.DOWN else note.text
        if note.tone is Tone.INPUT:
            text = f"{self.chart.step_at(note.place).label}. {text}"
        if note.detail:
            text = f"{text}: {shortened(note.detail, 400, 12)}"
        return self._over(note.node_id, text)

    def _breach(self, breach: Breach) -> str:
        number = self.chart.step_at(breach.place).label
        return self._over_all(f"✕ step {number} breaks {breach.invariant}: {breach.sentence}")

    def _over(self, node_id: str, text: str) -> str:
        return f"Note over {self._column(node_id)}: {_escaped(text)}"

    def _over_all(self, text: str) -> str:
        last = len(self.chart.columns) - 1
        columns = "n0" if last == 0 else f"n0,n{last}"
        return f"Note over {columns}: {_escaped(text)}"

    def _column(self, node_id: str) -> str:
        return f"n{self.chart.columns.index(node_id)}"


def _is_reply(message: Message[str]) -> bool:
    return isinstance(message, Promise | Accepted | Nack | HeartbeatAnswer)


def _escaped(text: str) -> str:
    """The text as Mermaid shows it as it is: whatever could mean something is a numbered entity."""
    return "".join(
        character if character.isalnum() or character in _PLAIN else f"#{ord(character)};"
        for character in text
    )
