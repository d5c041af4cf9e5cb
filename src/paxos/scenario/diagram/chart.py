"""What there is to draw of a run, without saying how.

All places are places in the list of happenings: an arrow goes from the place where its message
left to the place where it arrived.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from paxos.errors import MisuseError
from paxos.events import (
    BallotLost,
    EnvelopeRefused,
    Event,
    LeaderChanged,
    LeadershipAcquired,
    LeadershipLost,
    Stopped,
    ValueChosen,
)
from paxos.messages import (
    Accept,
    Accepted,
    Chosen,
    Envelope,
    Heartbeat,
    HeartbeatAnswer,
    Message,
    Nack,
    Prepare,
    Promise,
)
from paxos.node import DurableState
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.scenario import commands
from paxos.scenario.cluster import Cluster
from paxos.scenario.commands import Ending
from paxos.scenario.happenings import (
    Arrived,
    Broke,
    Commanded,
    Crashed,
    Happening,
    Left,
    PersistBegan,
    PersistEnded,
    PersistFailed,
    Restarted,
    StayedDown,
    TimePassed,
    Told,
)
from paxos.scenario.words import (
    text_of_durable,
    text_of_message,
    text_of_proposal,
    text_of_value,
)


@dataclass(frozen=True)
class Step:
    """One command, and all that came of it."""

    number: int | None
    """From 1 on. None where disks are told to wait: no node takes a step, and none is counted."""

    first: int
    """The place of the command."""

    end: int
    """The place after the last thing that came of it."""

    text: str

    @property
    def label(self) -> str:
        """What to call it."""
        return "" if self.number is None else f"{self.number}"


@dataclass(frozen=True)
class Arrow:
    """One copy of a message."""

    envelope: Envelope[Message[str]]
    left: int
    arrived: int | None = None
    """None if it never arrives."""

    again: bool = False
    """It had arrived before."""


class Fate(enum.Enum):
    """How a persist ended."""

    UNDER_WAY = "under way"
    DONE = "done"
    FAILED = "failed"
    CUT_SHORT = "cut short by a crash"


@dataclass(frozen=True)
class Bar:
    """One persist."""

    node_id: str
    began: int
    text: str
    """What it changes on the disk."""

    ended: int | None = None
    fate: Fate = Fate.UNDER_WAY


class Tone(enum.Enum):
    """What kind of thing a note tells."""

    INPUT = "input"
    EVENT = "event"
    CHOSEN = "chosen"
    TROUBLE = "trouble"
    DOWN = "down"
    UP = "up"


@dataclass(frozen=True)
class Note:
    """Something that happens at one node."""

    place: int
    node_id: str
    text: str
    tone: Tone
    full: str
    """The same with nothing left out."""

    detail: str = ""
    """What to say of it in smaller letters."""


@dataclass(frozen=True)
class Outage:
    """A node is down."""

    node_id: str
    since: int
    until: int | None = None


@dataclass(frozen=True)
class Breach:
    """Here something ceases to hold that always must."""

    place: int
    invariant: str
    sentence: str


@dataclass
class Chart:
    """All that there is to draw."""

    cluster: Cluster
    happenings: Sequence[Happening]
    steps: list[Step] = field(default_factory=list[Step])
    arrows: list[Arrow] = field(default_factory=list[Arrow])
    bars: list[Bar] = field(default_factory=list[Bar])
    notes: list[Note] = field(default_factory=list[Note])
    outages: list[Outage] = field(default_factory=list[Outage])
    breaches: list[Breach] = field(default_factory=list[Breach])
    instants: dict[int, float] = field(default_factory=dict[int, float])
    """Where time has passed, and to which instant (seconds)."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The nodes from left to right: who only proposes comes first."""
        return self.cluster.proposers + self.cluster.members

    def ballots(self) -> list[ProposalID]:
        """All ballots that messages speak of, lowest first."""
        found = {ballot_of(arrow.envelope.message) for arrow in self.arrows}
        return sorted(found - {NO_PROPOSAL})

    def step_at(self, place: int) -> Step:
        """The step to which this place belongs."""
        return self.steps[bisect_right(self.steps, place, key=lambda step: step.first) - 1]


def ballot_of(message: Message[str]) -> ProposalID:
    """The ballot that a message belongs to; `NO_PROPOSAL` if to none."""
    match message:
        case Prepare(id) | Promise(id) | Nack(id):
            return id
        case Accept(proposal) | Accepted(proposal) | Chosen(proposal):
            return proposal.id
        case Heartbeat(id) | HeartbeatAnswer(id):
            return id
        case _:
            return NO_PROPOSAL


def label_of(message: Message[str]) -> str:
    """What a message says, in the few words that an arrow has room for."""
    match message:
        case Heartbeat(leading):
            return f"heartbeat {leading}" if leading.number else "may I lead?"
        case HeartbeatAnswer(follows):
            return f"follows {follows}" if follows.number else "hears no leader"
        case _:
            return text_of_message(message)


def chart(cluster: Cluster, happenings: Iterable[Happening]) -> Chart:
    """What there is to draw of a run.

    Raises `MisuseError` if a message arrives that never left, or a persist ends that never began.
    """
    drawn = Chart(cluster, tuple(happenings))
    reader = _Reader(drawn)
    for place, happening in enumerate(drawn.happenings):
        reader.read(place, happening)
    reader.finish()
    return drawn


class _Reader:
    """Goes through a run once."""

    def __init__(self, drawn: Chart) -> None:
        self._chart = drawn
        self._on_their_way: defaultdict[Envelope[Message[str]], deque[int]] = defaultdict(deque)
        self._last_left: dict[Envelope[Message[str]], int] = {}
        self._persists: dict[str, Bar] = {}
        self._disks: dict[str, DurableState[str]] = {}
        self._down: dict[str, int] = {}
        self._number = 0
        if drawn.happenings and not isinstance(drawn.happenings[0], Commanded):
            drawn.steps.append(Step(None, 0, 1, "all nodes start"))

    def read(self, place: int, happening: Happening) -> None:
        """Note what this adds to the picture."""
        match happening:
            case Commanded(command):
                self._step(place, command)
            case Left(envelope):
                self._on_their_way[envelope].append(place)
                self._last_left[envelope] = place
            case Arrived(envelope):
                self._arrive(place, envelope)
            case PersistBegan(node_id, state):
                text = text_of_durable(state, self._disks.get(node_id))
                self._persists[node_id] = Bar(node_id, place, text)
            case PersistEnded(node_id, state):
                self._disks[node_id] = state
                self._end_persist(place, node_id, Fate.DONE)
            case TimePassed(now):
                self._chart.instants[place] = now
            case Broke(invariant, sentence):
                self._chart.breaches.append(Breach(place, invariant, sentence))
            case _:
                self._read_fate(place, happening)

    def _read_fate(self, place: int, happening: Happening) -> None:
        """What happens to a node itself."""
        match happening:
            case Told(node_id, event):
                self._note(place, node_id, *_event_text(event), str(event))
            case PersistFailed(node_id, error):
                self._end_persist(place, node_id, Fate.FAILED)
                self._note(place, node_id, "disk fails", Tone.TROUBLE, str(error))
            case Crashed(node_id, how):
                if node_id in self._persists:
                    self._end_persist(place, node_id, Fate.CUT_SHORT)
                self._down.setdefault(node_id, place)
                self._note(place, node_id, _ENDINGS.get(how, how), Tone.DOWN, f"crash: {how}")
            case Restarted(node_id, state):
                self._disks[node_id] = state
                self._end_outage(place, node_id)
                found = f"finds {text_of_durable(state)}"
                self._note(place, node_id, "restart", Tone.UP, f"restarts and {found}", found)
            case StayedDown(node_id, error):
                self._note(place, node_id, "stays down", Tone.TROUBLE, str(error), str(error))
            case _:
                pass  # said by its command, or by what comes of it

    def finish(self) -> None:
        """What never came to its end."""
        for envelope, places in self._on_their_way.items():
            self._chart.arrows += [Arrow(envelope, place) for place in places]
        self._chart.arrows.sort(key=lambda arrow: arrow.left)
        self._chart.bars += self._persists.values()
        self._chart.bars.sort(key=lambda bar: bar.began)
        self._chart.outages += [Outage(node_id, place) for node_id, place in self._down.items()]
        ends = [step.first for step in self._chart.steps[1:]] + [len(self._chart.happenings)]
        whole = [replace(step, end=end) for step, end in zip(self._chart.steps, ends, strict=True)]
        self._chart.steps = []
        for step in whole:
            self._add_step(step)

    def _add_step(self, step: Step) -> None:
        """Explorers make every disk wait for their commands: that is told as one step."""
        before = self._chart.steps[-1] if self._chart.steps else None
        if before is None or before.number is not None or step.number is not None:
            self._chart.steps.append(step)
            return
        text = f"{before.text}; {step.text}"
        self._chart.steps[-1] = replace(before, end=step.end, text=text)

    def _step(self, place: int, command: object) -> None:
        number = None
        if not isinstance(command, commands.Hang):
            self._number += 1
            number = self._number
        self._chart.steps.append(Step(number, place, place + 1, str(command)))
        if type(command) in _INPUTS:
            tone, text_of = _INPUTS[type(command)]
            of_node: Any = command  # each of those has one
            self._note(place, of_node.node_id, text_of(command), tone, str(command))

    def _arrive(self, place: int, envelope: Envelope[Message[str]]) -> None:
        waiting = self._on_their_way[envelope]
        if waiting:
            self._chart.arrows.append(Arrow(envelope, waiting.popleft(), place))
        elif envelope in self._last_left:
            left = self._last_left[envelope]
            self._chart.arrows.append(Arrow(envelope, left, place, again=True))
        else:
            raise MisuseError(f"{envelope} arrives and has never left: hand over the whole run")

    def _end_persist(self, place: int, node_id: str, fate: Fate) -> None:
        bar = self._persists.pop(node_id, None)
        if bar is not None:
            self._chart.bars.append(replace(bar, ended=place, fate=fate))
        elif fate is Fate.DONE:
            raise MisuseError(f"a persist of {node_id} ends that never began")

    def _end_outage(self, place: int, node_id: str) -> None:
        since = self._down.pop(node_id, None)
        if since is not None:
            self._chart.outages.append(Outage(node_id, since, place))

    def _note(
        self, place: int, node_id: str, text: str, tone: Tone, full: str, detail: str = ""
    ) -> None:
        self._chart.notes.append(Note(place, node_id, text, tone, full, detail))


_ENDINGS = {
    Ending.KILL_WRITTEN.value: "killed",
    Ending.KILL_UNWRITTEN.value: "killed before the write",
    Ending.POWER_OLD.value: "power cut",
    Ending.POWER_NEW.value: "power cut after the write",
    Ending.POWER_TORN.value: "power cut in the write",
}
"""What to call each crash."""

_FAILURES = {
    commands.Failure.IO: "sync fails",
    commands.Failure.FULL: "full",
    commands.Failure.SHORT: "short write",
}
"""What to call each failure of a disk."""

_INPUTS: dict[type, tuple[Tone, Callable[[Any], str]]] = {
    commands.Propose: (Tone.INPUT, lambda command: f"propose {text_of_value(command.value)}"),
    commands.Timeout: (Tone.INPUT, lambda command: "timeout"),
    commands.Timer: (Tone.INPUT, lambda command: f"timer: {command.name}"),
    commands.Tick: (Tone.INPUT, lambda command: "tick"),
    commands.SetClock: (Tone.INPUT, lambda command: f"clock at rate {command.rate:g}"),
    commands.Hang: (Tone.TROUBLE, lambda command: "disk hangs"),
    commands.Free: (Tone.INPUT, lambda command: "disk works again"),
    commands.Fail: (Tone.TROUBLE, lambda command: f"disk: {_FAILURES[command.failure]}"),
    commands.Rot: (Tone.TROUBLE, lambda command: "disk rots"),
    commands.Wipe: (Tone.TROUBLE, lambda command: "disk lost, new one"),
}
"""Commands that are more than their effects show, and what to say of them."""


def _event_text(event: Event[str]) -> tuple[str, Tone]:
    match event:
        case ValueChosen(proposal):
            return f"chosen {text_of_proposal(proposal)}", Tone.CHOSEN
        case BallotLost(id):
            return f"has lost {id}", Tone.EVENT
        case LeadershipAcquired(id):
            return f"leads {id}", Tone.EVENT
        case LeadershipLost(id):
            return f"leads {id} no more", Tone.EVENT
        case LeaderChanged(leader):
            return (f"follows {leader}" if leader.number else "hears no leader"), Tone.EVENT
        case EnvelopeRefused():
            return "refuses an envelope", Tone.TROUBLE
        case Stopped():
            return "stops for good", Tone.TROUBLE
