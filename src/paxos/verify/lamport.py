"""The states of Lamport's own specification, found by driving our classes.

The specification is *Paxos* in TLA+ (Leslie Lamport, published with the TLA+ examples). Its state
is, for each acceptor, the highest ballot it has promised and ballot and value of its last vote; and
the set of messages ever sent: 1a, 1b, 2a, 2b. A configuration with separate roles is projected onto
that, and has to reach exactly the states that TLC counts for the specification.

One proposer owns one ballot, as there. What leaves a disk and what is sent are seen together: a
promise joins the messages when its persist is done, whoever crashes then. Refusals, decisions and
recipients are not in the specification, and are left out of the projection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from paxos.messages import NOTHING_ACCEPTED, Accept, Accepted, Envelope, Message, Prepare, Promise
from paxos.proposal_id import ProposalID
from paxos.scenario.cluster import Cluster
from paxos.scenario.commands import Deliver
from paxos.verify.model import Bounds, Down, Model
from paxos.verify.search import Search, Watch
from paxos.verify.table import Table

NO_BALLOT = -1
"""The specification counts ballots from 0."""

SpecMessage: TypeAlias = tuple[str | int, ...]
SpecState: TypeAlias = tuple[tuple[tuple[int, int, str], ...], frozenset[SpecMessage]]
"""For each acceptor maxBal, maxVBal, maxVal; and the messages."""


def separate_roles(
    acceptors: int, values: int, ballots: int, *, hints: bool = False, crashes: int = 0
) -> Bounds:
    """Acceptors that never propose, and one proposer for each ballot, which may want any value."""
    proposers = tuple(f"P{number}" for number in range(1, ballots + 1))
    wanted = tuple(f"v{number}" for number in range(1, values + 1))
    return Bounds(
        Cluster(tuple(f"A{number}" for number in range(1, acceptors + 1)), proposers=proposers),
        tuple((proposer, value) for proposer in proposers for value in wanted),
        ballots,
        number=1,
        crashes=crashes,
        hints=hints,
    )


@dataclass(frozen=True)
class Specification:
    """What an exploration has seen of the specification."""

    distinct: int
    """States of the specification."""

    depth: int
    """Steps of the specification from its first state to the farthest. TLC says one more: it counts
    the states on the way."""

    states: int
    """States of ours that stand for them."""

    stopped: str | None

    @property
    def exhausted(self) -> bool:
        """Whether all of them were seen."""
        return self.stopped is None


def specification(bounds: Bounds, watch: Watch = lambda _: None) -> Specification:
    """Explore, project, and count. Looks at no invariant: the count is the claim."""
    search = Search(Table(Model(bounds), only=""), lambda _: None, watch)
    search.run()
    projection = Projection(search.table)
    for level in search.levels:
        for state in level:
            projection.add(state)
    return Specification(
        projection.distinct, projection.depth, search.progress.states, search.stopped
    )


@dataclass
class Projection:
    """Collects the states of the specification that our states stand for, and the steps between."""

    table: Table
    numbers: dict[SpecState, int] = field(default_factory=dict)
    steps: dict[int, set[int]] = field(default_factory=dict)

    _of_state: dict[int, int] = field(default_factory=dict)

    @property
    def distinct(self) -> int:
        """How many states of the specification there are."""
        return len(self.numbers)

    @property
    def depth(self) -> int:
        """Steps of the specification from its first state to the farthest."""
        frontier, seen, depth = {0}, {0}, 0
        while frontier := {s for state in frontier for s in self.steps.get(state, ())} - seen:
            seen |= frontier
            depth += 1
        return depth

    def add(self, state: int) -> None:
        """Take over one of our states, with the steps that leave it."""
        here = self._number(state)
        for successor, _ in self.table.successors(state):
            there = self._number(successor)
            if there != here:
                self.steps.setdefault(here, set()).add(there)

    def _number(self, state: int) -> int:
        number = self._of_state.get(state)
        if number is None:
            number = self.numbers.setdefault(self.project(state), len(self.numbers))
            self._of_state[state] = number
        return number

    def project(self, state: int) -> SpecState:
        """What the specification sees of a state."""
        acceptors = tuple(
            self._acceptor(state, node)
            for node in range(len(self.table.model.bounds.cluster.members))
        )
        messages = (
            spec_message(action.envelope)
            for action in self.table.deliverable(state)
            if isinstance(action, Deliver)
        )
        return acceptors, frozenset(message for message in messages if message is not None)

    def _acceptor(self, state: int, node: int) -> tuple[int, int, str]:
        local = self.table.local(state, node)
        durable = local.durable if isinstance(local, Down) else local.disk
        if durable.accepted is NOTHING_ACCEPTED:
            return _ballot(durable.promised), NO_BALLOT, ""
        return _ballot(durable.promised), _ballot(durable.accepted.id), durable.accepted.value


def spec_message(envelope: Envelope[Message[str]]) -> SpecMessage | None:
    """The same message in the specification, or None if it has none like it."""
    sender = envelope.sender.node_id
    match envelope.message:
        case Prepare(id):
            return ("1a", _ballot(id))
        case Promise(id, accepted) if accepted is NOTHING_ACCEPTED:
            return ("1b", sender, _ballot(id), NO_BALLOT, "")
        case Promise(id, accepted) if accepted is not NOTHING_ACCEPTED:
            return ("1b", sender, _ballot(id), _ballot(accepted.id), accepted.value)
        case Accept(proposal):
            return ("2a", _ballot(proposal.id), proposal.value)
        case Accepted(proposal):
            return ("2b", sender, _ballot(proposal.id), proposal.value)
        case _:
            return None


def _ballot(proposal_id: ProposalID) -> int:
    """The ballot of the proposer that issued this ID: each has one."""
    return int(proposal_id.node_id[1:]) - 1 if proposal_id.number else NO_BALLOT
