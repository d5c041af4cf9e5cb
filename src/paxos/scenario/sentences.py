"""What happens, in short lines of plain English: the output in transcripts."""

from __future__ import annotations

from paxos.node import DurableState
from paxos.scenario.happenings import (
    Broke,
    Crashed,
    Damaged,
    Happening,
    Left,
    Lost,
    PersistBegan,
    PersistEnded,
    PersistFailed,
    Restarted,
    StayedDown,
    Told,
)
from paxos.scenario.words import text_of_durable, text_of_envelope


class Narrator:
    """Tells what happens to a cluster, line by line. It watches a stage."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._on_disk: dict[str, DurableState[str]] = {}
        self._begun: dict[str, str] = {}
        """What is on its way to each node's disk, in words."""

        self._pending: str | None = None
        """The node whose persist has begun and was not told of yet: it may end at once."""

    def __call__(self, happening: Happening) -> None:
        """Take notice of what has happened."""
        if isinstance(happening, PersistEnded | PersistFailed):
            self._end_persist(happening)
            return
        self._tell_of_pending()
        if isinstance(happening, PersistBegan):
            before = self._on_disk.get(happening.node_id)
            self._begun[happening.node_id] = text_of_durable(happening.state, before)
            self._pending = happening.node_id
        else:
            line = self._line(happening)
            if line is not None:
                self._lines.append(line)

    def take(self) -> list[str]:
        """What there is to tell since the last time."""
        self._tell_of_pending()
        lines, self._lines = self._lines, []
        return lines

    def _end_persist(self, happening: PersistEnded | PersistFailed) -> None:
        node_id = happening.node_id
        at_once = self._pending == node_id
        if not at_once:
            self._tell_of_pending()
        self._pending = None
        what = self._begun.pop(node_id)
        if isinstance(happening, PersistFailed):
            self._lines.append(f"{node_id} fails to save: {what}")
            return
        self._on_disk[node_id] = happening.state
        self._lines.append(f"{node_id} {'saves' if at_once else 'has saved'}: {what}")

    def _tell_of_pending(self) -> None:
        if self._pending is not None:
            self._lines.append(f"{self._pending} begins to save: {self._begun[self._pending]}")
            self._pending = None

    def _line(self, happening: Happening) -> str | None:
        match happening:
            case Left(envelope):
                return text_of_envelope(envelope)
            case Lost(envelope):
                return f"{text_of_envelope(envelope)} is lost"
            case Told(node_id, event):
                return f"{node_id} {event}"
            case Crashed(node_id) if happening.was_opening:
                return f"{node_id} is down again, amid opening its store"
            case Crashed(node_id):
                what = self._begun.pop(node_id, None)
                return f"{node_id} is down" + (f", amid saving: {what}" if what else "")
            case Damaged(node_id, how):
                return self._damaged(node_id, how)
            case Restarted(node_id, state):
                self._on_disk[node_id] = state
                return f"{node_id} is up again; its disk held: {text_of_durable(state)}"
            case StayedDown(node_id, error):
                return f"{node_id} does not start: {error}"
            case Broke(invariant, sentence):
                return f"BROKEN {invariant}: {sentence}"
            case _:
                return None

    def _damaged(self, node_id: str, how: str) -> str:
        if how == "rot":
            return f"the newest state on the disk of {node_id} rots"
        self._on_disk.pop(node_id, None)
        return f"the disk of {node_id} is lost, and a new one is made"
