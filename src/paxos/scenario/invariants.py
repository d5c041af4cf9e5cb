"""What must always hold, whatever the network, the disks and the clocks do.

A run is seen as *facts* that only become more: what was proposed, what left a node, what a node has
learned. An invariant looks at one new fact and at all that came before it, and says in a sentence
what is wrong, or None. So a simulator can ask after every effect, and an explorer can remember the
answer. Beside each "always" stands a "sometimes": a run in which that never happens has not
tested it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from paxos.messages import (
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    Chosen,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
)
from paxos.node import DurableState
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.quorum import Quorums


@dataclass(frozen=True)
class Proposed:
    """An application asked a node for this value."""

    node_id: str
    value: str


@dataclass(frozen=True)
class Sent:
    """A message left a node."""

    sender: str
    message: Message[str]
    disk: DurableState[str] | None = field(default=None, compare=False)
    """What was on its stable storage at that instant. None if nobody looked."""


@dataclass(frozen=True)
class Learned:
    """A node told its application that this is chosen."""

    node_id: str
    proposal: Proposal[str]


Fact: TypeAlias = Proposed | Sent | Learned
Facts: TypeAlias = Collection[Fact]


@dataclass(frozen=True)
class Moment:
    """A new fact, and what came before it."""

    quorums: Quorums
    before: Facts
    new: Fact

    @property
    def all(self) -> list[Fact]:
        """With the new fact among them."""
        return [*self.before, self.new]


@dataclass(frozen=True)
class Invariant:
    """One thing that always holds, and one that shows that it was put to the test."""

    id: str
    always: str
    source: str
    sometimes: str
    judges: Callable[[Fact], bool]
    """Which new facts it looks at."""

    by: Callable[[Fact, Fact], bool]
    """Whether its verdict on a new fact depends on this other one, which was there before. More
    facts than these change no verdict, so only a search that remembers verdicts needs to ask."""

    broken_by: Callable[[Moment], str | None]
    """What is wrong once the new fact has joined those before it, in a sentence; or None."""

    reached_by: Callable[[Moment], bool]
    """Whether the new fact makes the "sometimes" come true."""


def _votes(facts: Facts) -> Iterator[tuple[str, Proposal[str]]]:
    for fact in facts:
        if isinstance(fact, Sent) and isinstance(fact.message, Accepted):
            yield fact.sender, fact.message.proposal


def _is_vote(fact: Fact) -> bool:
    return isinstance(fact, Sent) and isinstance(fact.message, Accepted)


def chosen_proposals(quorums: Quorums, facts: Facts) -> list[Proposal[str]]:
    """What a phase-2 quorum has voted for, in one ballot, whether or not anybody knows it yet."""
    voters: dict[Proposal[str], set[str]] = {}
    for voter, proposal in _votes(facts):
        voters.setdefault(proposal, set()).add(voter)
    return sorted(
        (proposal for proposal, who in voters.items() if quorums.has_phase2(who)),
        key=lambda proposal: (proposal.id, proposal.value),
    )


def _agreement(moment: Moment) -> str | None:
    decided = chosen_proposals(moment.quorums, moment.all)
    decided += [fact.proposal for fact in moment.all if isinstance(fact, Learned)]
    for one in decided:
        for other in decided:
            if one.value != other.value:
                return (
                    f"{one.value!r} is chosen under {one.id}, and {other.value!r} under {other.id}"
                )
    return None


def _chosen_twice(moment: Moment) -> bool:
    return len({p.id for p in chosen_proposals(moment.quorums, moment.all)}) > 1


def _validity(moment: Moment) -> str | None:
    wanted = {fact.value for fact in moment.before if isinstance(fact, Proposed)}
    if isinstance(moment.new, Sent) and isinstance(moment.new.message, Accept | Accepted):
        value = moment.new.message.proposal.value
        if value not in wanted:
            return f"{moment.new.sender} sends {value!r}, which nobody proposed"
    return None


def _choice_of_two(moment: Moment) -> bool:
    wanted = {fact.value for fact in moment.before if isinstance(fact, Proposed)}
    return _is_vote(moment.new) and len(wanted) > 1


def _one_value_an_id(moment: Moment) -> str | None:
    proposal = _proposal_of(moment.new)
    for fact in moment.before:
        other = _proposal_of(fact)
        if proposal and other and other.id == proposal.id and other.value != proposal.value:
            return f"{other.value!r} and {proposal.value!r} are proposed under one ID, {other.id}"
    return None


def _voted_twice_under_one_id(moment: Moment) -> bool:
    return _is_vote(moment.new) and any(
        other == proposal
        for _, proposal in _votes([moment.new])
        for _, other in _votes(moment.before)
    )


def _proposal_of(fact: Fact) -> Proposal[str] | None:
    if isinstance(fact, Sent) and isinstance(fact.message, Accept | Accepted):
        return fact.message.proposal
    return None


def _promise_kept(moment: Moment) -> str | None:
    for voter, proposal in _votes([moment.new]):
        for fact in moment.before:
            if (
                isinstance(fact, Sent)
                and fact.sender == voter
                and isinstance(fact.message, Promise)
                and fact.message.id > proposal.id
            ):
                return f"{voter} promised {fact.message.id}, and afterwards votes for {proposal.id}"
    return None


def _promise_tells_all(moment: Moment) -> str | None:
    if not (isinstance(moment.new, Sent) and isinstance(moment.new.message, Promise)):
        return None
    told = moment.new.message.accepted
    told_id = NO_PROPOSAL if told is NOTHING_ACCEPTED else told.id
    for voter, proposal in _votes(moment.before):
        if voter == moment.new.sender and told_id < proposal.id < moment.new.message.id:
            return (
                f"{voter} voted for {proposal.id}, "
                f"and its promise of {moment.new.message.id} does not tell of it"
            )
    return None


def _told_of_a_vote(moment: Moment) -> bool:
    return (
        isinstance(moment.new, Sent)
        and isinstance(moment.new.message, Promise)
        and moment.new.message.accepted is not NOTHING_ACCEPTED
    )


def _learns_what_is_chosen(moment: Moment) -> str | None:
    who, proposal = _claim_of(moment.new)
    if proposal is None or proposal in chosen_proposals(moment.quorums, moment.before):
        return None
    return (
        f"{who} believes that {proposal.value!r} is chosen under {proposal.id}, "
        "and no quorum voted for that"
    )


def _claim_of(fact: Fact) -> tuple[str, Proposal[str] | None]:
    match fact:
        case Learned(who, proposal):
            return who, proposal
        case Sent(who, Chosen(proposal)):
            return who, proposal
        case _:
            return "", None


def _durable_first(moment: Moment) -> str | None:
    if not isinstance(moment.new, Sent) or moment.new.disk is None:
        return None
    accepted = moment.new.disk.accepted
    accepted_id = NO_PROPOSAL if accepted is NOTHING_ACCEPTED else accepted.id
    promised = max(moment.new.disk.promised, accepted_id)  # accepting promises, too
    match moment.new.message:
        case Prepare(id) if moment.new.disk.ballot < id.number:
            return f"{moment.new.sender} prepares {id} before its disk knows of it"
        case Promise(id) if promised < id:
            return f"{moment.new.sender} promises {id}, and its disk holds a promise of {promised}"
        case Accepted(proposal) if accepted_id < proposal.id:
            return _votes_too_early(moment.new.sender, proposal.id, accepted_id)
        case _:
            return None


def _votes_too_early(sender: str, voted: ProposalID, on_disk: ProposalID) -> str:
    held = "no vote" if on_disk == NO_PROPOSAL else f"a vote for {on_disk}"
    return f"{sender} votes for {voted}, and its disk holds {held}"


def _is_sent(*kinds: type) -> Callable[[Fact], bool]:
    return lambda fact: isinstance(fact, Sent) and isinstance(fact.message, kinds)


def _own(of_kind: Callable[[Fact], bool]) -> Callable[[Fact, Fact], bool]:
    return lambda new, old: (
        isinstance(new, Sent)
        and isinstance(old, Sent)
        and old.sender == new.sender
        and of_kind(old)
    )


_is_proposal = _is_sent(Accept, Accepted)


def _is_claim(fact: Fact) -> bool:
    return isinstance(fact, Learned) or _is_sent(Chosen)(fact)


def _is_decisive(fact: Fact) -> bool:
    return isinstance(fact, Learned) or _is_vote(fact)


DURABLE_FIRST = Invariant(
    "durable-first",
    "Nothing leaves that its sender's disk could forget.",
    "PMS 2.5: an acceptor records its response in stable storage before sending it",
    "A vote leaves.",
    judges=_is_sent(Prepare, Promise, Accepted),
    by=lambda new, old: False,
    broken_by=_durable_first,
    reached_by=lambda moment: _is_vote(moment.new),
)
"""The one that looks at the disk, which is no part of a fact: what is said again may break it."""

INVARIANTS: tuple[Invariant, ...] = (
    Invariant(
        "agreement",
        "All that is chosen, and all that anybody learns, is one value.",
        "PMS 2.1: only a single value is chosen",
        "A value is chosen under two IDs.",
        judges=_is_decisive,
        by=lambda new, old: _is_decisive(old),
        broken_by=_agreement,
        reached_by=_chosen_twice,
    ),
    Invariant(
        "validity",
        "Only what somebody proposed is sent as a proposal, or voted for.",
        "PMS 2.1: only a value that has been proposed may be chosen",
        "There is a vote after two values were proposed.",
        judges=_is_proposal,
        by=lambda new, old: isinstance(old, Proposed),
        broken_by=_validity,
        reached_by=_choice_of_two,
    ),
    Invariant(
        "one-value-an-id",
        "Under one proposal ID there is one value.",
        "PMS 2.2: different proposals have different numbers",
        "Two acceptors vote under one ID.",
        judges=_is_proposal,
        by=lambda new, old: _is_proposal(old),
        broken_by=_one_value_an_id,
        reached_by=_voted_twice_under_one_id,
    ),
    Invariant(
        "promise-kept",
        "Who promised an ID never votes for a lower one, crash or no crash.",
        "PMS 2.2, P1a; 2.5",
        "An acceptor refuses what it promised to refuse.",
        judges=_is_sent(Accepted, Nack),
        by=_own(_is_sent(Promise)),
        broken_by=_promise_kept,
        reached_by=lambda moment: _is_sent(Nack)(moment.new),
    ),
    Invariant(
        "promise-tells-all",
        "A promise tells of the highest vote below it that its sender has cast.",
        "PMS 2.2, phase 1b",
        "A promise tells of a vote.",
        judges=_is_sent(Promise),
        by=_own(_is_vote),
        broken_by=_promise_tells_all,
        reached_by=_told_of_a_vote,
    ),
    Invariant(
        "learns-what-is-chosen",
        "Nobody believes a value chosen, or says so, unless a quorum voted for it in one ballot.",
        "PMS 2.1: a process never learns that a value has been chosen unless it actually has been",
        "Somebody learns a value.",
        judges=_is_claim,
        by=lambda new, old: _is_vote(old),
        broken_by=_learns_what_is_chosen,
        reached_by=lambda moment: True,
    ),
    DURABLE_FIRST,
)
"""All that both worlds check. `sim` adds what only time can show: that there is progress."""
