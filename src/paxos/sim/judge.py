"""The judge: watches a run, and says at once which invariant is broken, and how."""

from __future__ import annotations

from collections.abc import Callable

from paxos.events import ValueChosen
from paxos.messages import Heartbeat, HeartbeatAnswer, Identity, Request
from paxos.quorum import Quorums
from paxos.scenario.cluster import FIRST_INCARNATION
from paxos.scenario.happenings import Asked, Broke, Happening, Left, Told
from paxos.scenario.invariants import (
    DURABLE_FIRST,
    INVARIANTS,
    Fact,
    Learned,
    Moment,
    Proposed,
    Sent,
)

_DECIDE_NOTHING = (Heartbeat, HeartbeatAnswer, Request)
"""Messages for progress: no invariant looks at them, and there are very many."""


class Judge:
    """Keeps the facts of one run, and asks each invariant about each new one.

    A fact counts once: a message that is sent again, or a decision learned again, breaks nothing
    new. But by then its sender's disk may have lost what it rests on, so that is asked each time.
    """

    def __init__(self, quorums: Quorums, tell: Callable[[Broke], object] | None = None) -> None:
        """`quorums` are the real ones; `tell` hears of each invariant that is broken."""
        self.broken: list[Broke] = []
        """What was broken, in that order."""

        self.reached: set[str] = set()
        """The IDs of the invariants that were put to the test: their "sometimes" came true."""

        self._quorums = quorums
        self._tell = tell
        self._facts: dict[Fact, None] = {}

    def __call__(self, happening: Happening) -> None:
        """Take notice of what has happened."""
        fact = _fact_in(happening)
        if fact is None:
            return
        if fact in self._facts:
            self._judge_disk(fact)
        else:
            self._judge(fact)
            self._facts[fact] = None

    def _judge_disk(self, repeated: Fact) -> None:
        if DURABLE_FIRST.judges(repeated):
            sentence = DURABLE_FIRST.broken_by(Moment(self._quorums, self._facts, repeated))
            if sentence is not None:
                broke = Broke(DURABLE_FIRST.id, sentence)
                if broke not in self.broken:
                    self._find(broke)

    def _judge(self, fact: Fact) -> None:
        moment = Moment(self._quorums, self._facts, fact)
        for invariant in INVARIANTS:
            if invariant.judges(fact):
                sentence = invariant.broken_by(moment)
                if sentence is not None:
                    self._find(Broke(invariant.id, sentence))
                if invariant.id not in self.reached and invariant.reached_by(moment):
                    self.reached.add(invariant.id)

    def _find(self, broke: Broke) -> None:
        self.broken.append(broke)
        if self._tell is not None:
            self._tell(broke)


def _fact_in(happening: Happening) -> Fact | None:
    if isinstance(happening, Left):
        envelope = happening.envelope
        if isinstance(envelope.message, _DECIDE_NOTHING):
            return None
        return Sent(_member(envelope.sender), envelope.message, happening.disk)
    if isinstance(happening, Told) and isinstance(happening.event, ValueChosen):
        return Learned(happening.node_id, happening.event.proposal)
    if isinstance(happening, Asked):
        return Proposed(happening.node_id, happening.value)
    return None


def _member(sender: Identity) -> str:
    """Who speaks. A node on another disk than its first is no member: it may have broken promises.

    So if its votes are counted all the same, the judge does not agree.
    """
    if sender.incarnation == FIRST_INCARNATION:
        return sender.node_id
    return f"{sender.node_id}:{sender.incarnation}"
