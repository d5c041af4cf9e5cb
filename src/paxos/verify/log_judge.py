"""What the invariants of a log say of each step: `verdicts`, with other facts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from paxos.log.messages import AcceptedIn, AcceptIn, PromiseFrom
from paxos.scenario.invariants import Fact, Moment, Sent
from paxos.verify.log_bounds import LogBounds
from paxos.verify.log_invariants import DURABLE, Wrong, invariants_of
from paxos.verify.verdicts import Judge, Judgement, Violation


class LogJudge(Judge):
    """Asks the invariants of a log, and remembers what they said."""

    def __init__(self, only: str | None, bounds: LogBounds) -> None:
        """Take the one invariant to ask, if any."""
        quorums = bounds.initial.newest.quorums  # of no use here: each slot has its own
        super().__init__(only, quorums, (), invariants_of(bounds))
        self._only = only
        self._durable = [each for each in self._invariants if each.id == DURABLE.id]

    def remembers(self, fact: Fact) -> bool:
        """Whether the verdict on a later fact may depend on it."""
        of: Any = fact
        return isinstance(of, Sent) and isinstance(of.message, PromiseFrom | AcceptIn | AcceptedIn)

    def wrong(self, facts: Iterable[Fact]) -> Judgement | None:
        """How to judge a step that is wrong by itself."""
        of_step: Iterable[Any] = facts
        for fact in of_step:
            if isinstance(fact, Wrong) and self._only in (None, fact.invariant):
                return Judgement(wrong=Violation(fact.invariant, fact.sentence))
        return None

    def too_early(self, facts: Iterable[Fact]) -> Judgement | None:
        """How to judge a step that lets out what its sender's disk could forget."""
        for fact in facts:
            for invariant in self._durable:
                sentence = invariant.broken_by(Moment(self._quorums, (), fact))
                if sentence is not None:
                    return Judgement(wrong=Violation(invariant.id, sentence))
        return None
