"""Whole clusters under every delivery: each message late, repeated, reordered or lost.

All global states that can be reached within the bounds are searched, and each is looked at. Beside
each "always" stands a "sometimes": what must be reachable was reached. The counts are exact: a
change of the algorithm, or of the bounds, shows as another count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import pytest

from core.cluster import MAJORITY_OF_3, AnyEnvelope, AnyMachine, Value, identity
from core.exploration import Exploration
from paxos import (
    NO_PROPOSAL,
    NOTHING_CHOSEN,
    Accept,
    Accepted,
    Acceptor,
    Chosen,
    DurableState,
    Envelope,
    Learner,
    Machine,
    Message,
    Nack,
    Node,
    Prepare,
    Promise,
    Proposal,
    ProposalID,
    Propose,
    Proposer,
    Quorums,
)

pytestmark = pytest.mark.exhaustive


class Spoken(NamedTuple):
    """Who said it, and what."""

    sender: str
    message: Any


def chosen_by(votes: dict[Proposal[Value], set[str]], quorums: Quorums) -> set[Proposal[Value]]:
    """Chosen is what a phase-2 quorum voted for under one ID: this is the definition (2.1)."""
    weight_of = dict(quorums.weights)
    return {
        proposal
        for proposal, voters in votes.items()
        if sum(weight_of.get(voter, 0) for voter in voters) >= quorums.phase2
    }


class Verdict:
    """What was true always, and what sometimes, in all the states of one exploration."""

    def __init__(self, quorums: Quorums, proposed: set[Value]) -> None:
        self._quorums, self._proposed = quorums, proposed
        self.chosen: set[frozenset[tuple[ProposalID, Value]]] = set()
        """Every set of proposals that were chosen together in some state."""

    def look_at(self, spoken: Iterable[Spoken]) -> set[Proposal[Value]]:
        """Judge what was ever sent; return the proposals that are chosen by it."""
        votes: dict[Proposal[Value], set[str]] = {}
        value_of: dict[ProposalID, Value] = {}
        told: set[Proposal[Value]] = set()
        for sender, message in spoken:
            if isinstance(message, Accept | Accepted):
                proposal = message.proposal
                assert value_of.setdefault(proposal.id, proposal.value) == proposal.value, (
                    f"two values under {proposal.id}"
                )
                assert proposal.value in self._proposed, f"nobody proposed {proposal}"
            if isinstance(message, Accepted):
                votes.setdefault(message.proposal, set()).add(sender)
            elif isinstance(message, Chosen):
                told.add(message.proposal)
        chosen = chosen_by(votes, self._quorums)
        assert len({proposal.value for proposal in chosen}) <= 1, f"two values chosen: {chosen}"
        assert told <= chosen, f"told of {told}, and chosen are {chosen}"
        self.chosen.add(frozenset((proposal.id, proposal.value) for proposal in chosen))
        return chosen

    @property
    def values(self) -> set[Value]:
        """The values that were chosen in some state or other."""
        return {value for together in self.chosen for _, value in together}


# Whole nodes, each in its machine, on disks that never fail. --------------------------------

Arriving: TypeAlias = Any
"""An envelope, a proposal, or RESTART."""

RESTART = "the process ends, and starts again from its disk"

RECORD = "hears the votes that nodes cast for their own ballots, for the judge to see"


class Nodes:
    """What may happen: proposals, deliveries, restarts; and what that does to a machine.

    A node hears itself at once, so only its votes for itself are noted, by an actor beside them.
    """

    def __init__(self, quorums: Quorums, highest_number: int = 1) -> None:
        """No ballot has a number above `highest_number`: that makes it finite."""
        self.quorums, self.ids = quorums, quorums.members
        self.highest_number = highest_number

    def explore(self, proposers: str, restarting: str = "") -> Exploration[Any, Arriving]:
        """`proposers` may propose, and `restarting` restart, at any time and again and again."""
        inputs: list[tuple[int, Arriving]] = [
            (self.ids.index(node_id), Propose(node_id.lower())) for node_id in proposers
        ]
        inputs += [(self.ids.index(node_id), RESTART) for node_id in restarting]
        machines = [self.start(node_id, DurableState()) for node_id in self.ids]
        actors = [*(machine.snapshot() for machine in machines), RECORD]
        return Exploration(actors, inputs, self.handle)

    def start(self, node_id: str, durable: DurableState[Value]) -> AnyMachine:
        """A machine that already knows its peers' incarnations: one fact less to enumerate."""
        node = Node[Value].recover(identity(node_id), self.quorums, durable)
        known = tuple((member, identity(member).incarnation) for member in self.ids)
        return Machine(replace(node, incarnations=known), now=0.0)

    def handle(
        self, index: int, actor: Any, arriving: Arriving
    ) -> tuple[Any, list[tuple[int, Arriving]]]:
        if actor is RECORD:
            return actor, []
        if arriving is RESTART:
            return self.start(self.ids[index], actor.node.durable).snapshot(), []
        if isinstance(arriving, Propose) and not self._may_propose(actor.node):
            return actor, []
        machine: AnyMachine = Machine.restore(actor)
        machine.receive(arriving, 0.0)
        leaving = perform_all(machine)
        return machine.snapshot(), [(self._recipient(e), e) for e in leaving]

    def judge(self, exploration: Exploration[Any, Arriving]) -> Verdict:
        verdict = Verdict(self.quorums, {node_id.lower() for node_id in self.ids})
        for sent, actors in exploration:
            chosen = verdict.look_at(
                Spoken(message.sender.node_id, message.message)
                for _, message in sent
                if isinstance(message, Envelope)
            )
            known = {actor.node.chosen for actor in actors if actor is not RECORD}
            assert known - {NOTHING_CHOSEN} <= chosen, f"nodes know {known}, chosen are {chosen}"
        return verdict

    def _recipient(self, leaving: AnyEnvelope) -> int:
        own = leaving.recipient == leaving.sender.node_id
        return len(self.ids) if own else self.ids.index(leaving.recipient)

    def _may_propose(self, node: Node[Value]) -> bool:
        seen = max(node.proposer.ballot, node.proposer.highest_seen, node.acceptor.promised)
        return seen.number < self.highest_number


def perform_all(machine: AnyMachine) -> list[AnyEnvelope]:
    """Do all that the machine asks for, and let it hear itself; return what others may see."""
    seen: list[AnyEnvelope] = []
    while not (ready := machine.ready()).is_empty:
        if ready.persist is not None:
            machine.persisted()
        for envelope in (*ready.send, *ready.send_after_persist):
            own = envelope.recipient == envelope.sender.node_id
            if own:
                machine.receive(envelope, 0.0)
            if not own or isinstance(envelope.message, Accepted):
                seen.append(envelope)
    return seen


class Scenario(NamedTuple):
    """Who may do what, and what came of it when everything was tried."""

    quorums: Quorums
    highest_number: int
    proposers: str
    restarting: str
    values: set[Value]
    states: int


SCENARIOS = {
    "three proposers, a ballot each": Scenario(
        MAJORITY_OF_3, 1, "ABC", "", {"a", "b", "c"}, 250_888
    ),
    "a duel of four ballots": Scenario(Quorums.majority("AB"), 2, "AB", "AB", {"a", "b"}, 50_318),
    "one proposer that restarts, two ballots": Scenario(MAJORITY_OF_3, 2, "A", "A", {"a"}, 107_792),
    "two proposers, one that restarts": Scenario(MAJORITY_OF_3, 1, "AB", "B", {"a", "b"}, 35_015),
    "two proposers, a third that restarts": Scenario(
        MAJORITY_OF_3, 1, "AB", "C", {"a", "b"}, 34_206
    ),
    "all promise, one votes": Scenario(
        Quorums.flexible("ABC", phase1=3, phase2=1), 2, "AB", "", {"a", "b"}, 80_085
    ),
    "one promises, all vote": Scenario(
        Quorums.flexible("ABC", phase1=1, phase2=3), 1, "AB", "", {"a", "b"}, 3_297
    ),
    "A has two votes": Scenario(
        Quorums.weighted({"A": 2, "B": 1, "C": 1}), 1, "AB", "", {"a", "b"}, 4_570
    ),
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_nodes_agree_under_every_delivery(scenario: Scenario) -> None:
    nodes = Nodes(scenario.quorums, scenario.highest_number)
    exploration = nodes.explore(scenario.proposers, scenario.restarting)
    verdict = nodes.judge(exploration)
    assert verdict.values == scenario.values, "each value was chosen in some state"
    assert frozenset() in verdict.chosen, "and nothing was, in another"
    assert len(exploration) == scenario.states


# The roles alone: no node, no machine, no shared identity. ----------------------------------


class Roles:
    """Acceptors, two proposers P and Q, which have no vote, and one learner.

    Each proposer prepares one ballot. Every vote goes to the learner (2.3, the obvious way).
    """

    proposers = ("P", "Q")

    def __init__(self, quorums: Quorums, restarting: str = "") -> None:
        """The proposers in `restarting` may restart at any time."""
        self.quorums, self.restarting = quorums, restarting
        self.names = (*quorums.members, *self.proposers, "learner")

    def explore(self) -> Exploration[Any, Spoken]:
        actors = [
            *(Acceptor() for _ in self.quorums.members),
            *(self.proposer(name, NO_PROPOSAL) for name in self.proposers),
            Learner(self.quorums),
        ]
        inputs = [(self.names.index(name), Spoken(name, "prepare")) for name in self.proposers]
        inputs += [(self.names.index(name), Spoken(name, RESTART)) for name in self.restarting]
        return Exploration(actors, inputs, self.handle)

    def proposer(self, name: str, ballot: ProposalID) -> Proposer[Value]:
        """Of a proposer only the number of its newest ballot survives a restart."""
        return Proposer(name, self.quorums, value=name.lower(), ballot=ballot, highest_seen=ballot)

    def handle(
        self, index: int, actor: Any, spoken: Spoken
    ) -> tuple[Any, list[tuple[int, Spoken]]]:
        sender, message = spoken
        match actor:
            case Acceptor():
                return self._acceptor(index, actor, sender, message)
            case Proposer():
                return self._proposer(actor, sender, message)
            case _:
                learner, _ = actor.receive_accepted(sender, message)
                return learner, []

    def _acceptor(
        self, index: int, acceptor: Acceptor[Value], sender: str, message: Any
    ) -> tuple[Any, list[tuple[int, Spoken]]]:
        name, to_sender = self.names[index], self.names.index(sender)
        if isinstance(message, Prepare):
            acceptor, reply = acceptor.receive_prepare(message)
            return acceptor, [] if reply is None else [(to_sender, Spoken(name, reply))]
        acceptor, vote = acceptor.receive_accept(message)
        to_learner = len(self.names) - 1
        recipient = to_learner if isinstance(vote, Accepted) else to_sender
        return acceptor, [(recipient, Spoken(name, vote))]

    def _proposer(
        self, proposer: Proposer[Value], sender: str, message: Any
    ) -> tuple[Any, list[tuple[int, Spoken]]]:
        name = proposer.node_id
        if message is RESTART:
            return self.proposer(name, proposer.ballot), []
        out: Message[Value] | None = None
        if isinstance(message, Promise):
            proposer, out = proposer.receive_promise(sender, message)
        elif isinstance(message, Nack):
            proposer = proposer.receive_nack(sender, message)
        elif proposer.ballot == NO_PROPOSAL:
            proposer, out = proposer.prepare()
        to_all = range(len(self.quorums.members))
        return proposer, [] if out is None else [(i, Spoken(name, out)) for i in to_all]

    def judge(self, exploration: Exploration[Any, Spoken]) -> Verdict:
        verdict = Verdict(self.quorums, {name.lower() for name in self.proposers})
        for sent, actors in exploration:
            chosen = verdict.look_at(spoken for _, spoken in sent)
            learned = {actor.chosen for actor in actors if isinstance(actor, Learner)}
            assert learned - {NOTHING_CHOSEN} <= chosen
        return verdict


@pytest.mark.parametrize(
    ("quorums", "restarting", "states"),
    [
        pytest.param(MAJORITY_OF_3, "", 198_037, id="three-acceptors"),
        pytest.param(Quorums.majority("AB"), "PQ", 3_683, id="proposers-restart"),
        pytest.param(
            Quorums.flexible("ABC", phase1=3, phase2=1), "", 20_137, id="all-promise-one-votes"
        ),
    ],
)
def test_roles_agree_under_every_delivery(quorums: Quorums, restarting: str, states: int) -> None:
    roles = Roles(quorums, restarting)
    exploration = roles.explore()
    verdict = roles.judge(exploration)
    assert verdict.values == {"p", "q"}, "each value was chosen in some state"
    assert any(len(together) == 2 for together in verdict.chosen), (
        "both ballots chose, and the same, in some state"
    )
    assert len(exploration) == states
