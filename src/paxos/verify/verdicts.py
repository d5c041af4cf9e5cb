"""What the invariants say of each step, asked once and remembered.

A step adds facts to those that a state holds as bits. An invariant's verdict on a new fact depends
on a few of the facts before it, so there are far fewer verdicts than states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from paxos.messages import Accept, Accepted, Promise
from paxos.quorum import Quorums
from paxos.scenario.invariants import INVARIANTS, Fact, Invariant, Moment, Sent


def _two_are_open(moment: Moment) -> bool:
    """Whether somebody votes for a value, and another one was sent as a proposal."""
    new, values = _proposed_by(moment.new), map(_proposed_by, moment.before)
    is_vote = isinstance(moment.new, Sent) and isinstance(moment.new.message, Accepted)
    return is_vote and any(value not in (None, new) for value in values)


def _proposed_by(fact: Fact) -> str | None:
    if isinstance(fact, Sent) and isinstance(fact.message, Accept | Accepted):
        return fact.message.proposal.value
    return None


def _as_explored(invariant: Invariant) -> Invariant:
    """The same invariant, with a "sometimes" that says something where all is explored.

    Here applications ask for all values before anything else happens: so that there is a vote
    after two were asked for does not show that there was anything to choose from.
    """
    if invariant.id != "validity":
        return invariant

    def by(new: Fact, old: Fact) -> bool:
        return invariant.by(new, old) or _proposed_by(old) is not None

    return replace(
        invariant,
        sometimes="Somebody votes for a value after another one was sent as a proposal.",
        by=by,
        reached_by=_two_are_open,
    )


EXPLORED = tuple(map(_as_explored, INVARIANTS))
"""What an explorer asks of each step."""

DURABLE_FIRST = next(each for each in EXPLORED if each.id == "durable-first")
"""The one invariant that looks at a disk, and at no other fact: it is asked once a step."""

LEARNS = next(each for each in EXPLORED if each.id == "learns-what-is-chosen")
"""Of what a node says to be chosen, it is also asked whether the node believes that."""

NO_CONFLICT = "no-conflict"
"""A machine stops where it finds a proof of damage; here nothing is damaged."""


class Violation(NamedTuple):
    """What is wrong, and which invariant says so."""

    invariant: str
    sentence: str


@dataclass(slots=True, eq=False)
class Check:
    """The verdict of one invariant on one new fact, remembered for each set of facts before it."""

    invariant: Invariant
    fact: Fact
    judge: Callable[[Check, int], str | None]
    concern: int = 0
    """The bits of the facts that the invariant looks at."""

    verdicts: dict[int, str | None] = field(default_factory=dict)
    judgements: list[Judgement] = field(default_factory=list)
    """Those that ask this."""

    def broken_in(self, state: int) -> str | None:
        """What is wrong if the fact joins those in this state."""
        before = state & self.concern
        try:
            return self.verdicts[before]
        except KeyError:
            return self.judge(self, before)

    def look_at(self, bit: int) -> None:
        """Look at one more fact, which no state has held so far."""
        self.concern |= bit
        for judgement in self.judgements:
            judgement.concern |= bit


@dataclass(slots=True, eq=False)
class Judgement:
    """What is wrong with one step, remembered for each set of facts before it."""

    facts: tuple[Fact, ...] = ()
    checks: tuple[tuple[int, int, Check], ...] = ()
    """For each fact that the step adds, in their order: its bit, the bits of those before it in
    this step, and one invariant that looks at it."""

    wrong: Violation | None = None
    """What is wrong whatever happened before."""

    concern: int = 0
    """The bits of the facts on which all this depends."""

    sound: set[int] = field(default_factory=set)
    """The sets of facts after which nothing is wrong."""

    def violation(self, state: int) -> Violation | None:
        """What is wrong if this step comes in this state."""
        if self.wrong is not None:
            return self.wrong
        for bit, earlier, check in self.checks:
            if not state & bit:
                sentence = check.broken_in(state | earlier)
                if sentence is not None:
                    return Violation(check.invariant.id, sentence)
        self.sound.add(state & self.concern)
        return None


class Judge:
    """Asks the invariants, and remembers what they said."""

    def __init__(
        self,
        only: str | None,
        quorums: Quorums,
        given: Iterable[Fact],
        invariants: Iterable[Invariant] = EXPLORED,
    ) -> None:
        """Take the one invariant to ask, if any, and the facts that hold from the start."""
        self._invariants = [each for each in invariants if only in (None, each.id)]
        self._hears_alarms = only in (None, NO_CONFLICT)
        self._quorums = quorums
        self._given = tuple(given)
        self._facts: list[tuple[int, Fact]] = []
        self._checks: dict[Fact, list[Check]] = {}
        self._judgements: dict[tuple[Fact, ...], Judgement] = {}
        self.reached: set[str] = set()
        """Which of the "sometimes" have come true."""

        self.remembered = 0
        """The bits of all facts on which later verdicts may depend."""

    def remembers(self, fact: Fact) -> bool:
        """Whether the verdict on a later fact may depend on it."""
        return is_remembered(fact)

    def wrong(self, facts: Iterable[Fact]) -> Judgement | None:
        """How to judge a step some fact of which is wrong by itself. Of one decision none is."""
        del facts
        return None

    def facts(self, state: int) -> list[Fact]:
        """The facts that a state holds."""
        return [fact for bit, fact in self._facts if state & bit]

    def remember(self, bit: int, fact: Fact) -> None:
        """From now on states may hold this fact, by this bit."""
        self._facts.append((bit, fact))
        self.remembered |= bit
        for checks in self._checks.values():
            for check in checks:
                if check.invariant.by(check.fact, fact):
                    check.look_at(bit)

    def judgement(self, facts: tuple[Fact, ...], bits: Sequence[int]) -> Judgement | None:
        """How to judge a step that adds these facts; None if nothing about it can be wrong.

        `bits` are those of the facts, 0 for one that no state holds.
        """
        judgement = self._judgements.get(facts)
        if judgement is None:
            checks, earlier = list[tuple[int, int, Check]](), 0
            for fact, bit in zip(facts, bits, strict=True):
                checks += [(bit, earlier, check) for check in self._checks_of(fact)]
                earlier |= bit
            judgement = self._judgements[facts] = Judgement(facts, tuple(checks), concern=earlier)
            for _, _, check in checks:
                check.judgements.append(judgement)
                judgement.concern |= check.concern
        return judgement if judgement.checks else None

    def alarm(self, sentence: str) -> Judgement | None:
        """How to judge a step with which a machine stops over damage."""
        if not self._hears_alarms:
            return None
        return Judgement(wrong=Violation(NO_CONFLICT, sentence))

    def false_claim(self, sentence: str) -> Judgement | None:
        """How to judge a step in which a node says to be chosen what it does not believe."""
        if LEARNS not in self._invariants:
            return None
        return Judgement(wrong=Violation(LEARNS.id, sentence))

    def too_early(self, facts: Iterable[Fact]) -> Judgement | None:
        """How to judge a step that lets out what its sender's disk could forget; None if not so."""
        if DURABLE_FIRST not in self._invariants:
            return None
        for fact in facts:
            sentence = DURABLE_FIRST.broken_by(Moment(self._quorums, (), fact))
            if sentence is not None:
                return Judgement(wrong=Violation(DURABLE_FIRST.id, sentence))
        return None

    def note_reached(self, judgement: Judgement) -> None:
        """See which "sometimes" come true by these facts alone."""
        for _, _, check in judgement.checks:
            if check.invariant.reached_by(Moment(self._quorums, (), check.fact)):
                self.reached.add(check.invariant.id)

    def _checks_of(self, fact: Fact) -> list[Check]:
        if fact not in self._checks:
            checks = [
                Check(each, fact, self._ask) for each in self._invariants if each.judges(fact)
            ]
            for check in checks:
                for bit, other in self._facts:
                    if check.invariant.by(fact, other):
                        check.look_at(bit)
            self._checks[fact] = checks
        return self._checks[fact]

    def _ask(self, check: Check, before: int) -> str | None:
        moment = Moment(self._quorums, [*self._given, *self.facts(before)], check.fact)
        sentence = check.verdicts[before] = check.invariant.broken_by(moment)
        if check.invariant.id not in self.reached and check.invariant.reached_by(moment):
            self.reached.add(check.invariant.id)
        return sentence


def is_remembered(fact: Fact) -> bool:
    """Whether the verdict on a later fact may depend on it."""
    return isinstance(fact, Sent) and isinstance(fact.message, Promise | Accept | Accepted)
