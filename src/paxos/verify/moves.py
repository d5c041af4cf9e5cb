"""What actions do, in integers: the entries of a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from paxos.scenario.commands import Deliver
from paxos.scenario.invariants import Fact
from paxos.verify.model import Action, Effect
from paxos.verify.verdicts import Judgement


class Result(NamedTuple):
    """What an action does to a node in one local state, in integers."""

    effect: Effect
    local: int
    sent: int
    counted: int
    judgement: Judgement | None
    is_unnoticed: bool
    """Nothing of it is seen outside the node, or left after a crash of it."""


class Way(NamedTuple):
    """A state that a node can come to unnoticed, and how."""

    local: int
    actions: tuple[int, ...]


class Acts(NamedTuple):
    """What can happen to a node in one local state besides messages, each action by its number."""

    duties: tuple[int, ...]
    asks: tuple[int, ...]
    timers: tuple[int, ...]
    crashes: tuple[int, ...]


class Move(NamedTuple):
    """What one action does to a whole state."""

    delta: int
    sent: int
    judgement: Judgement | None
    """How to tell what is wrong with it; None if nothing can be."""

    is_duty: bool
    """Whether a fair world does it sooner or later: messages, persists, restarts."""

    actions: tuple[Action, ...]
    """Of one node: the last, and before it those that nobody notices."""

    is_reply: bool
    """Whether it changes nothing but what was sent, and sends only hints."""

    @property
    def is_wrong(self) -> bool:
        """Whether it is wrong whatever happened before, even if it changes nothing."""
        return self.judgement is not None and self.judgement.wrong is not None

    @property
    def what(self) -> tuple[int, int, bool]:
        """What it changes. Of two moves that change the same, and are not wrong, one is enough."""
        return self.delta, self.sent, self.is_wrong


@dataclass(slots=True)
class Silence:
    """What a node can do in one local state without anybody noticing."""

    steps: list[tuple[int, int, int]]
    """The bit of a message (0: it needs none), the number of the action, and the local state that
    it leads to."""

    known: int = 0
    """The bits of the messages that were tried."""


@dataclass(slots=True)
class Row:
    """What can happen to a node in one local state at the end of one way, within some limits."""

    others: tuple[Move, ...]
    """What needs no message."""

    deliveries: list[tuple[int, Move]] = field(default_factory=list)
    """The messages that do something there, each by its bit."""

    known: int = 0
    """The bits of the messages that were tried."""


class Limits(NamedTuple):
    """What the bounds still allow."""

    ballot: bool
    crash: bool
    timeout: bool


Moves: TypeAlias = tuple[Move, ...]
"""All that can happen to one node in some state."""


class Question(NamedTuple):
    """What an action does to a node in a local state, each by its number."""

    node: int
    local: int
    action: int
    at_once: bool


class Mirror(Protocol):
    """Is told of each new local state, message and fact of a table, and may let it take up more."""

    def met_local(self, node: int, index: int) -> None:
        """There is a new local state."""

    def met_bit(self, bit: int, of: Deliver | Fact) -> None:
        """There is a new message or fact."""


class UnknownMoveError(Exception):
    """A frozen table was asked for what it does not hold."""

    def __init__(self, question: tuple[int, ...]) -> None:
        """Take what was asked: the same for all who ask the same."""
        super().__init__(question)
        self.question = question
