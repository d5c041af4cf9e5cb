"""What must always hold of a log: in each slot what holds of one decision, and what joins slots.

A fact about a log is what left a node, or what a node has come to believe. Seen from one slot it is
a fact about one decision (`in_slot`), so the invariants of `paxos.scenario.invariants` are asked as
they are, slot by slot, each with the quorums of the members that govern that slot. Who they are is
worked out anew from what is chosen in the slots before, and no node is believed about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, TypeAlias, cast

from paxos.log.configurations import Configurations
from paxos.log.entries import NO_OP, Change, Commands, Entry
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    AcceptedIn,
    AcceptIn,
    ChosenBelow,
    Decisions,
    PrepareFrom,
    PromiseFrom,
)
from paxos.messages import (
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    Chosen,
    Nack,
    NothingAccepted,
    Promise,
    Proposal,
)
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.quorum import Quorums
from paxos.scenario.invariants import (
    INVARIANTS,
    Fact,
    Invariant,
    Learned,
    Moment,
    Sent,
    chosen_proposals,
)
from paxos.verify.log_bounds import LogBounds
from paxos.verify.log_disk import LogDisk

Accepting: TypeAlias = Proposal[Entry[str]]


@dataclass(frozen=True)
class LearnedIn:
    """A node believes that this is chosen in this slot."""

    node_id: str
    slot: int
    proposal: Accepting


@dataclass(frozen=True)
class Wrong:
    """Something is wrong with a step by itself, whatever came before."""

    invariant: str
    sentence: str


IN_ORDER = "in-order"
BELIEVED = "says-what-it-believes"
"""These two a model sees by itself: see `LogModel`."""


def in_slot(fact: Any, slot: int, proposed: Mapping[ProposalID, Accepting]) -> Fact | None:
    """What a fact says about this slot alone, as if it were the only decision.

    A vote names no value: it is for what was proposed there under its ID.
    """
    if isinstance(fact, LearnedIn):
        return Learned(fact.node_id, _in_words(fact.proposal)) if fact.slot == slot else None
    if not isinstance(fact, Sent):
        return None
    message: Any = fact.message
    seen: Any = None
    match message:
        case AcceptIn(each, proposal) if each == slot:
            seen = Accept(_in_words(proposal))
        case AcceptedIn(each, id) if each == slot:
            known = proposed.get(id)
            seen = Accepted(Proposal(id, UNKNOWN) if known is None else _in_words(known))
        case PromiseFrom(id, start, end, _, accepted) if start <= slot < end:
            vote = dict(accepted).get(slot, NOTHING_ACCEPTED)
            seen = Promise(id, vote if vote is NOTHING_ACCEPTED else _in_words(vote))
        case Decisions(start, proposals) if start <= slot < start + len(proposals):
            seen = Chosen(_in_words(proposals[slot - start]))
        case Nack():
            seen = message
        case _:
            return None
    return Sent(fact.sender, seen)


UNKNOWN = "what nobody proposed"


def _in_words(proposal: Any) -> Proposal[str]:
    """Invariants compare values, and put them in order: so they are words."""
    return Proposal(proposal.id, text_of_entry(proposal.value))


class Ledger:
    """What some facts say, slot by slot."""

    def __init__(self, bounds: LogBounds, facts: Iterable[Any]) -> None:
        """Take the facts."""
        self.bounds = bounds
        self._facts = list(facts)
        self._proposed: dict[int, dict[ProposalID, Accepting]] = {}
        for fact in self._facts:
            if _is_about(fact, range(EVERY_LATER_SLOT), AcceptIn):
                accept: Any = _message(fact)
                of_slot = self._proposed.setdefault(accept.slot, {})
                of_slot.setdefault(accept.proposal.id, accept.proposal)

    def seen_in(self, slot: int, fact: Any) -> Fact | None:
        """What this fact says about this slot."""
        return in_slot(fact, slot, self.proposed(slot))

    def facts(self, slot: int) -> list[Fact]:
        """What all facts say about this slot."""
        seen = (self.seen_in(slot, fact) for fact in self._facts)
        return [fact for fact in seen if fact is not None]

    def proposed(self, slot: int) -> Mapping[ProposalID, Accepting]:
        """What was proposed in this slot."""
        return self._proposed.get(slot, {})

    def quorums(self, slot: int) -> Quorums:
        """Those of the members that govern this slot, by what is chosen before it."""
        return self._configurations(slot).at(slot).quorums

    def chosen(self, slot: int) -> list[Accepting]:
        """What is chosen in this slot, under each ID under which it is."""
        return self._chosen(slot, self.quorums(slot))

    def _configurations(self, slot: int) -> Configurations:
        configurations, window = self.bounds.initial, self.bounds.window
        for before in range(slot - window + 1 if self.bounds.changes else 0):
            chosen = self._chosen(before, configurations.at(before).quorums)
            if chosen and isinstance(chosen[0].value, Change):
                configurations = configurations.having_chosen(before, chosen[0].value, window)
        return configurations

    def _chosen(self, slot: int, quorums: Quorums) -> list[Accepting]:
        chosen = chosen_proposals(quorums, self.facts(slot))
        return [self.proposed(slot)[p.id] for p in chosen if p.value != UNKNOWN]


Asked: TypeAlias = Callable[[Ledger, Any], str | None]
"""What is wrong, once the new fact is among those of the ledger; or None."""


def invariants_of(bounds: LogBounds) -> tuple[Invariant, ...]:
    """All that an explorer asks of a log within these bounds."""
    each_slot = [_in_each_slot(each, bounds) for each in INVARIANTS if each.id in PROJECTED]
    return (*each_slot, *(_of_the_log(each, bounds) for each in OF_THE_LOG))


PROJECTED = ("agreement", "one-value-an-id", "promise-kept", "promise-tells-all")


def _slots_of(fact: Any, bounds: LogBounds) -> list[int]:
    return [slot for slot in range(bounds.slots + 1) if in_slot(fact, slot, {}) is not None]


def _in_each_slot(base: Invariant, bounds: LogBounds) -> Invariant:
    """The invariant of one decision, asked of every slot that a fact speaks of."""

    def views(moment: Moment) -> Iterator[tuple[int, Moment]]:
        ledger = Ledger(bounds, moment.all)
        before = Ledger(bounds, moment.before)
        for slot in _slots_of(moment.new, bounds):
            new = ledger.seen_in(slot, moment.new)
            if new is not None and base.judges(new):
                facts = [f for each in moment.before if (f := ledger.seen_in(slot, each))]
                yield slot, Moment(before.quorums(slot), facts, new)

    def judges(fact: Fact) -> bool:
        seen = (in_slot(fact, slot, {}) for slot in _slots_of(fact, bounds))
        return any(base.judges(each) for each in seen if each is not None)

    def by(new: Fact, old: Fact) -> bool:
        slots = _slots_of(new, bounds)
        in_some = any(_matters(base, new, old, slot) for slot in slots)
        return in_some or _tells_who_decides(new, old, bounds)

    def broken_by(moment: Moment) -> str | None:
        for slot, view in views(moment):
            sentence = base.broken_by(view)
            if sentence is not None:
                return f"in slot {slot}, {sentence}"
        return None

    def reached_by(moment: Moment) -> bool:
        return any(base.reached_by(view) for _, view in views(moment))

    return replace(base, judges=judges, by=by, broken_by=broken_by, reached_by=reached_by)


def _matters(base: Invariant, new: Any, old: Any, slot: int) -> bool:
    """Whether the verdict on the new fact depends on the older one in this slot.

    What was proposed there says which value a vote is for.
    """
    seen, earlier = in_slot(new, slot, {}), in_slot(old, slot, {})
    if seen is None or earlier is None or not base.judges(seen):
        return False
    return base.by(seen, earlier) or _is_accept(earlier)


def _is_accept(fact: Fact) -> bool:
    return isinstance(fact, Sent) and isinstance(fact.message, Accept)


def _tells_who_decides(new: Any, old: Any, bounds: LogBounds) -> bool:
    """Whether the older fact may say who decides in a slot of which the new one speaks."""
    message: Any = old.message if isinstance(old, Sent) else None
    if not bounds.changes or not isinstance(message, AcceptIn | AcceptedIn):
        return False
    return any(message.slot + bounds.window <= slot for slot in _last_slots(new, bounds))


def _last_slots(fact: Any, bounds: LogBounds) -> Sequence[int]:
    message: Any = fact.message if isinstance(fact, Sent) else None
    if isinstance(message, ChosenBelow):
        return range(message.slot)
    return _slots_of(fact, bounds)


# What joins slots. -------------------------------------------------------------------------


@dataclass(frozen=True)
class OfTheLog:
    """An invariant that one decision does not have."""

    id: str
    always: str
    source: str
    sometimes: str
    kinds: tuple[type, ...]
    """The messages that it looks at, or `LearnedIn`."""

    by: Callable[[Any, Any, LogBounds], bool]
    broken_by: Asked
    reached_by: Callable[[Ledger, Any], bool] = lambda ledger, new: True


def _of_the_log(rule: OfTheLog, bounds: LogBounds) -> Invariant:
    def judges(fact: Any) -> bool:
        about = fact.message if isinstance(fact, Sent) else fact
        return isinstance(about, rule.kinds)

    return Invariant(
        rule.id,
        rule.always,
        rule.source,
        rule.sometimes,
        judges=judges,
        by=lambda new, old: _tells_who_decides(new, old, bounds) or rule.by(new, old, bounds),
        broken_by=lambda moment: rule.broken_by(Ledger(bounds, moment.before), moment.new),
        reached_by=lambda moment: rule.reached_by(Ledger(bounds, moment.before), moment.new),
    )


def _message(fact: Any) -> Any:
    """What was sent; or the fact itself, if it is of another kind."""
    return getattr(fact, "message", fact)


def _is_about(old: Any, slots: Iterable[int], *kinds: type) -> bool:
    message: Any = _message(old)
    return type(message) in kinds and message.slot in slots


def _learns(ledger: Ledger, new: Any) -> str | None:
    """Known may be a later ID than it was chosen under: by P2b all above has the same value."""
    who, claims = _claims_of(new)
    for slot, proposal in claims:
        chosen = ledger.chosen(slot)
        if not any(p.id <= proposal.id and p.value == proposal.value for p in chosen):
            return (
                f"{who} believes that {text_of_entry(proposal.value)} is chosen in slot {slot} "
                f"under {proposal.id}, and no quorum of those who decide there voted for that"
            )
    return None


def _claims_of(fact: Any) -> tuple[str, tuple[tuple[int, Accepting], ...]]:
    if isinstance(fact, LearnedIn):
        return fact.node_id, ((fact.slot, fact.proposal),)
    proposals: tuple[Any, ...] = _message(fact).proposals
    return fact.sender, tuple(enumerate(proposals, _message(fact).slot))


def _chosen_below(ledger: Ledger, new: Any) -> str | None:
    """All slots below are chosen; and what was proposed under its ballot there, is what is."""
    for slot in range(new.message.slot):
        chosen = ledger.chosen(slot)
        if not chosen:
            return f"{new.sender} says that slot {slot} is chosen, and no quorum voted there"
        mine = ledger.proposed(slot).get(new.message.id)
        if mine is not None and mine.value != chosen[0].value:
            return (
                f"{new.sender} says that votes for {mine.id} in slot {slot} are for what is chosen"
                f", and they are for {text_of_entry(mine.value)}"
            )
    return None


def _within_the_window(ledger: Ledger, new: Any) -> str | None:
    slot, window = new.message.slot, ledger.bounds.window
    if slot < window or ledger.chosen(slot - window):
        return None
    return (
        f"{new.sender} proposes in slot {slot}, and slot {slot - window} is not chosen: "
        "nobody knows yet who decides there"
    )


def _allowed_by_promises(ledger: Ledger, new: Any) -> str | None:
    """P2c, of one slot: some quorum has promised, and its highest vote has this value."""
    slot, proposal = new.message.slot, new.message.proposal
    if proposal.id in ledger.proposed(slot):
        return None
    quorums, told = ledger.quorums(slot), dict[str, Proposal[str] | NothingAccepted]()
    for fact in ledger.facts(slot):
        message: Any = fact.message if isinstance(fact, Sent) else None
        if isinstance(fact, Sent) and isinstance(message, Promise) and message.id == proposal.id:
            told[fact.sender] = cast("Any", message).accepted
    if not quorums.has_phase1(list(told)):
        promised = f"{' and '.join(told)} alone" if told else "nobody"
        what = f"{new.sender} proposes in slot {slot} under {proposal.id}"
        return f"{what}, and {promised} promised it"
    value = text_of_entry(proposal.value)
    if any(_allows(some, told, value) for some in _quorums_among(quorums, told)):
        return None
    return (
        f"{new.sender} proposes {value} in slot {slot} under {proposal.id}"
        ", and what was promised demands another value"
    )


def _quorums_among(quorums: Quorums, nodes: Iterable[str]) -> Iterator[tuple[str, ...]]:
    members = [node for node in nodes if quorums.is_member(node)]
    for size in range(1, len(members) + 1):
        yield from (some for some in combinations(members, size) if quorums.has_phase1(some))


def _allows(
    some: Iterable[str], told: Mapping[str, Proposal[str] | NothingAccepted], value: str
) -> bool:
    votes = [vote for each in some if (vote := told[each]) is not NOTHING_ACCEPTED]
    highest = max((vote.id for vote in votes), default=None)
    return highest is None or any(vote.value == value for vote in votes if vote.id == highest)


def _somebody_wanted_it(ledger: Ledger, new: Any) -> str | None:
    bounds, entry = ledger.bounds, new.message.proposal.value
    commands = {c for node_id in bounds.proposers for c in bounds.commands(node_id)}
    match entry:
        case Commands(batch) if set(batch) <= commands:
            return None
        case Change(configuration):
            wanted = [set(members) for members in bounds.changes]
            if {member.node_id for member in configuration.members} in wanted:
                return None
        case _ if entry == NO_OP:
            return None
        case _:
            pass
    return f"{new.sender} proposes {text_of_entry(entry)}, and nobody asked for it"


def _too_early(ledger: Ledger, new: Any) -> str | None:
    del ledger
    disk: LogDisk | None = new.disk
    if disk is None:
        return None
    held = [entry.id for entry in disk.entries if entry is not NOTHING_ACCEPTED]
    promised = max((disk.promised, *held))  # accepting promises, too
    match new.message:
        case PrepareFrom(id) if disk.ballot < id.number:
            return f"{new.sender} prepares {id} before its disk knows of it"
        case PromiseFrom(id) if promised < id:
            return f"{new.sender} promises {id}, and its disk holds a promise of {promised}"
        case AcceptedIn(slot, id) if _id_of(disk.entry(slot)) < id:
            return f"{new.sender} votes for {id} in slot {slot}, and its disk holds no such vote"
        case _:
            return None


def _id_of(held: Accepting | NothingAccepted) -> ProposalID:
    return NO_PROPOSAL if held is NOTHING_ACCEPTED else held.id


def text_of_entry(entry: Any) -> str:
    """What stands in a slot, in a word or two."""
    match entry:
        case Commands(commands):
            return " ".join(map(str, commands))
        case Change(configuration):
            return "members " + "+".join(member.node_id for member in configuration.members)
        case _ if entry == NO_OP:
            return "no-op"
        case _:
            return str(entry)


def _is_adopted(ledger: Ledger, new: Any) -> bool:
    """Whether it proposes in a slot behind the first one what another ballot proposed there."""
    proposal = new.message.proposal
    others = (p for p in ledger.proposed(new.message.slot).values() if p.id != proposal.id)
    return new.message.slot > 0 and any(p.value == proposal.value for p in others)


DURABLE = OfTheLog(
    "durable-first",
    "Nothing leaves that its sender's disk could forget.",
    "PMS 2.5: an acceptor records its response in stable storage before sending it",
    "A vote leaves.",
    kinds=(PrepareFrom, PromiseFrom, AcceptedIn),
    by=lambda new, old, bounds: False,
    broken_by=_too_early,
    reached_by=lambda ledger, new: isinstance(new.message, AcceptedIn),
)

OF_THE_LOG = (
    OfTheLog(
        "learns-what-is-chosen",
        "Nobody believes an entry chosen, or says so, unless a quorum of those who decide in its "
        "slot voted for it in one ballot.",
        "PMS 2.1; 3",
        "Somebody learns an entry.",
        kinds=(LearnedIn, Decisions),
        by=lambda new, old, bounds: _is_about(
            old, [slot for slot, _ in _claims_of(new)[1]], AcceptIn, AcceptedIn
        ),
        broken_by=_learns,
    ),
    OfTheLog(
        "chosen-below-is-chosen",
        "Where a leader says that all is chosen below a slot, it is, and votes for its own "
        "proposals there are for what is chosen.",
        "PMS 3; a vote of another ballot proves nothing by its slot",
        "A leader says how far the log is chosen.",
        kinds=(ChosenBelow,),
        by=lambda new, old, bounds: _is_about(old, range(_message(new).slot), AcceptIn, AcceptedIn),
        broken_by=_chosen_below,
        reached_by=lambda ledger, new: new.message.slot > 0,
    ),
    OfTheLog(
        "within-the-window",
        "Nobody proposes in a slot before the slot one window back is chosen.",
        "PMS 3: alpha",
        "Somebody proposes in the first slot behind a window.",
        kinds=(AcceptIn,),
        by=lambda new, old, bounds: _is_about(
            old, [_message(new).slot - bounds.window], AcceptIn, AcceptedIn
        ),
        broken_by=_within_the_window,
        reached_by=lambda ledger, new: new.message.slot >= ledger.bounds.window,
    ),
    OfTheLog(
        "promises-allow-it",
        "Who proposes in a slot has the promises of a quorum for that slot, and proposes what the "
        "highest vote told in them demands.",
        "PMS 2.2, P2c; 3",
        "A new leader proposes in a later slot what it was told of there.",
        kinds=(AcceptIn,),
        by=lambda new, old, bounds: (
            _is_about(old, [_message(new).slot], AcceptIn)
            or (
                isinstance(_message(old), PromiseFrom)
                and _message(old).id == _message(new).proposal.id
            )
        ),
        broken_by=_allowed_by_promises,
        reached_by=_is_adopted,
    ),
    OfTheLog(
        "validity",
        "Only a no-op or what somebody asked for is proposed.",
        "PMS 2.1: only a value that has been proposed may be chosen; 3",
        "A hole is filled by a no-op.",
        kinds=(AcceptIn,),
        by=lambda new, old, bounds: False,
        broken_by=_somebody_wanted_it,
        reached_by=lambda ledger, new: new.message.proposal.value == NO_OP,
    ),
    DURABLE,
)

BY_THEMSELVES = (
    (IN_ORDER, "Entries are reported slot by slot, each once in a run, without gaps."),
    (BELIEVED, "Nobody says that something is chosen that it does not know itself."),
)
"""What a model sees in a step alone."""
