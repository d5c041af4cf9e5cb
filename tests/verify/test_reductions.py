"""What the explorer takes together, puts off or leaves out changes nothing that can be found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from paxos import NO_VALUE, Accept, Accepted, Chosen, Prepare
from paxos.errors import MisuseError
from paxos.events import ValueChosen
from paxos.heartbeat import HeartbeatNode
from paxos.machine import Step
from paxos.messages import NOTHING_ACCEPTED, NOTHING_CHOSEN
from paxos.node import Node
from paxos.scenario import mutants
from paxos.scenario.breakage import Breakage
from paxos.scenario.cluster import Cluster, Kind
from paxos.verify import Bounds, Plan, explore, separate_roles
from paxos.verify.forgetting import decided
from paxos.verify.model import Down, Local, Model, plain_node
from paxos.verify.search import Search
from paxos.verify.table import Table
from paxos.verify.trimming import Trimmer
from verify.plain_explorer import PlainExplorer, Server, World

Seen: TypeAlias = tuple[tuple[Any, ...], frozenset[Any]]
"""What each node is (or its disk, if it is down), and the messages sent."""


def seen_by(bounds: Bounds) -> set[Seen]:
    search = searched(bounds)
    return {(nodes_in(search, s), messages_in(search.table, s)) for s in search.seen}


def searched(bounds: Bounds) -> Search:
    search = Search(Table(Model(bounds), only=""), lambda _: None, lambda _: None)
    search.run()
    return search


def nodes_in(search: Search, state: int) -> tuple[Any, ...]:
    nodes = range(len(search.table.node_ids))
    locals_ = [search.table.local(state, node) for node in nodes]
    return tuple(
        each.durable if isinstance(each, Down) else replace(plain_node(each.snapshot.node), **ANY)
        for each in locals_
    )


ANY: dict[str, Any] = {"incarnations": ()}
"""Whom a node has heard so far makes no difference here."""


def messages_in(table: Table, state: int) -> frozenset[Any]:
    actions: list[Any] = list(table.deliverable(state))
    return frozenset(action.envelope for action in actions)


def seen_plainly(worlds: set[World]) -> set[Seen]:
    return {(tuple(map(node_of, world.servers)), world.sent) for world in worlds}


def node_of(server: Server) -> Any:
    if server.process is None:
        return server.disk
    return replace(server.process.snapshot.node, **ANY)


def disks_by(bounds: Bounds) -> set[Seen]:
    """The same with disks in the place of nodes."""
    search = searched(bounds)
    table, nodes, seen = search.table, range(len(bounds.node_ids)), set[Seen]()
    for state in search.seen:
        locals_ = [table.local(state, node) for node in nodes]
        disks = tuple(each.durable if isinstance(each, Down) else each.disk for each in locals_)
        seen.add((disks, messages_in(table, state)))
    return seen


def forget_nothing(_: Bounds) -> bool:
    return False


def unchanged(node: HeartbeatNode[str]) -> HeartbeatNode[str]:
    return node


def is_covered(seen: set[Seen], by: set[Seen]) -> bool:
    """Whether each has a counterpart with the same nodes, and with all its messages or more."""
    sent_with: dict[tuple[Any, ...], list[frozenset[Any]]] = {}
    for nodes, sent in by:
        sent_with.setdefault(nodes, []).append(sent)
    return all(any(sent <= more for more in sent_with.get(nodes, ())) for nodes, sent in seen)


# Against an explorer that takes nothing together. -------------------------------------------

TINY = {
    "one node, one crash": Bounds(Cluster(("A",)), (("A", "x"),), 1, crashes=1),
    "one node, two ballots, one crash": Bounds(Cluster(("A",)), (("A", "x"),), 2, crashes=1),
    "separate roles, one crash": Bounds(
        Cluster(("A",), proposers=("P",)), (("P", "x"),), 1, crashes=1
    ),
    "two nodes": Bounds(Cluster(("A", "B")), (("A", "x"),), 1),
    "two nodes, one crash": Bounds(Cluster(("A", "B")), (("A", "x"),), 1, crashes=1),
}


def plain(bounds: Bounds) -> PlainExplorer:
    return PlainExplorer(bounds.cluster, bounds.proposals, bounds.ballots, bounds.crashes)


@pytest.mark.parametrize("bounds", TINY.values(), ids=TINY.keys())
def test_what_it_sees_can_happen_step_by_step_and_the_other_way_round(bounds: Bounds) -> None:
    """But for messages that leave later step by step, or never: to have them hinders nothing."""
    ours = seen_by(replace(bounds, every_step=True))
    plainly = seen_plainly(plain(bounds).explore())
    assert ours <= plainly
    assert is_covered(plainly, by=ours)


def two_values_chosen(sent: frozenset[Any]) -> bool:
    """In a cluster of one, a vote is a choice."""
    votes = {e.message.proposal.value for e in sent if isinstance(e.message, Accepted)}
    return len(votes) > 1


def two_values_under_one_id(sent: frozenset[Any]) -> bool:
    proposals = {e.message.proposal for e in sent if isinstance(e.message, Accept | Accepted)}
    return len({proposal.id for proposal in proposals}) < len(proposals)


@pytest.mark.exhaustive
@pytest.mark.parametrize("rule", ["vote-survives", "number-survives", "disk-before-prepare", None])
def test_both_explorers_give_the_same_verdict(rule: str | None) -> None:
    bounds = Bounds(Cluster(("A",), breaks=rule), (("A", "x"), ("A", "y")), 2, crashes=1)
    worlds = plain(bounds).explore()
    agreement = explore(bounds, Plan(only="agreement")).violation
    one_value = explore(bounds, Plan(only="one-value-an-id")).violation
    assert (agreement is not None) == any(two_values_chosen(w.sent) for w in worlds)
    assert (one_value is not None) == any(two_values_under_one_id(w.sent) for w in worlds)


# Steps that nobody notices; persists that are done at once. ----------------------------------

SMALL = {
    "separate roles": separate_roles(2, 2, 2),
    "separate roles, hints": separate_roles(2, 1, 2, hints=True),
    "separate roles, one crash": separate_roles(2, 1, 2, crashes=1),
    "two nodes, two ballots": Bounds(Cluster(("A", "B")), (("A", "x"), ("B", "y")), 2),
    "two nodes, one crash": Bounds(Cluster(("A", "B")), (("A", "x"),), 1, crashes=1),
    "heartbeats": Bounds(
        Cluster(("A", "B"), kind=Kind.HEARTBEAT), (("A", "x"),), ballots=1, timeouts=1
    ),
}
PLAIN_NODES = {name: bounds for name, bounds in SMALL.items() if name != "heartbeats"}


@pytest.mark.parametrize("bounds", SMALL.values(), ids=SMALL.keys())
def test_to_put_off_what_nobody_notices_hides_no_disk_and_no_message(
    bounds: Bounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for replies, which leave at once where steps are put off."""
    monkeypatch.setattr("paxos.verify.table.applies", forget_nothing)
    every_step, put_off = disks_by(replace(bounds, every_step=True)), disks_by(bounds)
    assert put_off <= every_step
    assert is_covered(every_step, by=put_off)


@pytest.mark.exhaustive
@pytest.mark.parametrize("bounds", PLAIN_NODES.values(), ids=PLAIN_NODES.keys())
def test_a_persist_done_at_once_hides_no_node_and_no_message(bounds: Bounds) -> None:
    at_once = seen_by(replace(bounds, every_step=True))
    later = seen_by(replace(bounds, every_step=True, slow_disks=True))
    assert at_once <= later
    assert is_covered(later, by=at_once)


def test_a_timer_that_sends_nothing_is_a_step() -> None:
    """It was none once, so no leader ever lost its followers."""
    result = explore(SMALL["heartbeats"])
    assert {each.id: each.reached for each in result.sometimes}["leadership-lost"]


MUTANTS = ["quorum-of-promises", "quorum-of-votes", "adopts-a-vote", "promise-tells-of-the-vote"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("rule", [*MUTANTS, None])
def test_mutants_are_found_with_and_without_reductions(rule: str | None) -> None:
    bounds = separate_roles(3, 2, 2)
    cluster = replace_rule(bounds.cluster, rule)
    bounds = replace(bounds, cluster=cluster)
    plan = Plan(only="agreement", symmetry=False)
    found = explore(bounds, plan).counterexample
    for other in (replace(bounds, every_step=True), replace(bounds, slow_disks=True)):
        also = explore(other, plan).counterexample
        assert (found is None) == (also is None) == (rule is None)


def replace_rule(cluster: Cluster, rule: str | None) -> Cluster:
    return Cluster(cluster.members, proposers=cluster.proposers, breaks=rule)


# Hints. --------------------------------------------------------------------------------------

DUEL = Bounds(Cluster(("A",), proposers=("P", "Q")), (("P", "x"), ("Q", "y")), ballots=3, number=2)


def prepared(bounds: Bounds) -> set[str]:
    sent = {envelope for _, messages in seen_by(bounds) for envelope in messages}
    return {str(e.message.id) for e in sent if isinstance(e.message, Prepare)}


def test_without_hints_nobody_who_is_refused_begins_again() -> None:
    assert prepared(DUEL) == {"1.P", "1.Q", "2.P"}
    assert prepared(replace(DUEL, hints=False)) == {"1.P", "1.Q"}


def test_then_an_exploration_that_comes_to_its_end_is_not_exhausted() -> None:
    result = explore(replace(DUEL, hints=False))
    assert result.violation is None
    assert not result.exhausted
    assert result.stopped == "without hints, nobody who is refused begins again"


@pytest.mark.parametrize("limits", [{"ballots": 2}, {"number": 1}])
def test_without_hints_all_is_seen_where_there_is_no_next_ballot(limits: dict[str, int]) -> None:
    bounds = replace(DUEL, hints=False, **limits)
    assert bounds.left_out is None
    assert explore(bounds).exhausted


def test_heartbeats_cannot_do_without_hints() -> None:
    bounds = Bounds(Cluster(("A",), kind=Kind.HEARTBEAT), (), ballots=1, number=1, hints=False)
    assert bounds.left_out is not None


@pytest.mark.parametrize(("values", "is_open"), [(1, False), (2, True)])
def test_validity_is_put_to_the_test_only_where_two_values_were_really_proposed(
    values: int,
    is_open: bool,
) -> None:
    reached = {each.id: each.reached for each in explore(separate_roles(2, values, 2)).sometimes}
    assert reached["validity"] is is_open


# What the model must not forget, or believe. -------------------------------------------------


@pytest.mark.exhaustive
def test_with_heartbeats_a_node_keeps_its_own_value_after_its_last_ballot() -> None:
    """It may hand it on, though it proposes what it adopted."""
    cluster = Cluster(("A", "B"), kind=Kind.HEARTBEAT)
    bounds = Bounds(cluster, (("A", "x"), ("B", "y")), ballots=2, number=1, timeouts=3)
    search = searched(bounds)
    assert any(
        proposer.proposal is not NO_VALUE and proposer.value != proposer.proposal.value
        for state in search.seen
        for node in range(2)
        if not isinstance(local := search.table.local(state, node), Down)
        for proposer in [plain_node(local.snapshot.node).proposer]
    )


def test_a_machine_is_not_believed_about_its_disk() -> None:
    """One that takes for saved what is not even written is found out."""
    cluster = Cluster(("A",), proposers=("P", "Q"), breaks="persist-covers-its-own")
    bounds = Bounds(cluster, (("P", "x"), ("Q", "y")), ballots=2, number=1, crashes=1)
    result = explore(bounds)
    assert result.violation is not None
    assert result.violation.invariant == "durable-first"


@pytest.mark.parametrize("limits", [{"ballots": -1}, {"crashes": 64}, {"timeouts": 64}])
def test_a_bound_that_cannot_be_counted_is_refused(limits: dict[str, int]) -> None:
    with pytest.raises(MisuseError, match="a bound is 0 to 63"):
        replace(DUEL, **limits)


def test_a_proposal_at_a_node_that_is_not_there_is_refused() -> None:
    with pytest.raises(MisuseError, match="Z is none of"):
        Bounds(Cluster(("A",)), (("Z", "x"),), ballots=1)


# Who says that something is chosen, and who believes it. --------------------------------------

CLAIMS = separate_roles(3, 2, 2)


class NamesItsVote(Node[str]):
    """It answers a Prepare with its own vote, as if one vote were a choice."""

    def _asked(self, sender: str, message: Any) -> Step[Any, str]:
        accepted: Any = self.acceptor.accepted
        if isinstance(message, Prepare) and accepted is not NOTHING_ACCEPTED:
            return Step(self, self.to(sender, Chosen(accepted)))
        return super()._asked(sender, message)


class BelievesSilently(Node[str]):
    """It takes its own vote for a choice, and tells nobody until it is asked."""

    def _asked(self, sender: str, message: Any) -> Step[Any, str]:
        step: Step[Any, str] = super()._asked(sender, message)
        accepted: Any = step.node.acceptor.accepted
        if accepted is NOTHING_ACCEPTED:
            return step
        learner: Any = replace(step.node.learner, votes=(), chosen=accepted)
        return step._replace(node=replace(step.node, learner=learner))


class TellsItsApplicationTooMuch(Node[str]):
    """An event is all that comes of it: no message leaves, and the node stays as it is."""

    def _asked(self, sender: str, message: Any) -> Step[Any, str]:
        accepted: Any = self.acceptor.accepted
        if isinstance(message, Prepare) and accepted is not NOTHING_ACCEPTED:
            return Step(self, (), (ValueChosen(accepted),))
        return super()._asked(sender, message)


class HearsAnotherValue(Node[str]):
    """It is told of a decision, and believes something else."""

    def handle(self, sender: str, message: Any) -> Step[Any, str]:
        if isinstance(message, Chosen):
            told: Any = message
            message = Chosen(replace(told.proposal, value="never-proposed"))
        return super().handle(sender, message)


class TellsItsApplicationAnotherValue(Node[str]):
    """It is told of a decision, believes it, and passes on something else."""

    def handle(self, sender: str, message: Any) -> Step[Any, str]:
        step: Step[Any, str] = super().handle(sender, message)
        told: Any = message
        if not isinstance(message, Chosen) or not step.events:
            return step
        other: Any = replace(told.proposal, value="never-proposed")
        return step._replace(events=(ValueChosen(other),))


def with_node(mutant: type[Node[str]], bounds: Bounds, patch: pytest.MonkeyPatch) -> Bounds:
    """The same bounds for nodes of this class: no rule of the table has it for its mutant."""
    patch.setitem(mutants.MUTANTS, "test", Breakage((mutant,)))
    return replace(bounds, cluster=replace(bounds.cluster, breaks="test"))


@pytest.mark.parametrize("more", [{}, {"every_step": True}], ids=["put off", "every step"])
@pytest.mark.parametrize("hints", [True, False], ids=["hints", "no hints"])
@pytest.mark.parametrize("mutant", [NamesItsVote, BelievesSilently, TellsItsApplicationTooMuch])
def test_who_takes_a_vote_for_a_choice_is_found_whether_or_not_hints_are_delivered(
    mutant: type[Node[str]],
    hints: bool,
    more: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bounds = with_node(mutant, replace(CLAIMS, hints=hints, **more), monkeypatch)
    result = explore(bounds, Plan(only="learns-what-is-chosen"))
    assert result.violation is not None
    assert result.violation.invariant == "learns-what-is-chosen"
    assert result.counterexample is not None
    assert result.counterexample.violation.invariant == "learns-what-is-chosen"


@pytest.mark.parametrize("mutant", [HearsAnotherValue, TellsItsApplicationAnotherValue])
def test_who_believes_or_tells_another_value_than_it_was_told_is_found(
    mutant: type[Node[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = with_node(mutant, replace(CLAIMS, hints=True), monkeypatch)
    violation = explore(bounds, Plan(only="learns-what-is-chosen")).violation
    assert violation is not None
    assert violation.invariant == "learns-what-is-chosen"


# What makes no difference any more. ------------------------------------------------------------

HEARTBEATS = {
    "one timer": Bounds(
        Cluster(("A", "B"), kind=Kind.HEARTBEAT), (("A", "x"), ("B", "y")), ballots=1, timeouts=1
    ),
    "two timers": Bounds(
        Cluster(("A", "B"), kind=Kind.HEARTBEAT), (("A", "x"),), ballots=1, timeouts=2
    ),
    "one crash": Bounds(
        Cluster(("A", "B"), kind=Kind.HEARTBEAT), (("A", "x"), ("B", "y")), ballots=1, crashes=1
    ),
}
LARGER_HEARTBEATS = {
    "two ballots": Bounds(
        Cluster(("A", "B"), kind=Kind.HEARTBEAT), (("A", "x"), ("B", "y")), ballots=2
    ),
    "two ballots, one timer": Bounds(
        Cluster(("A", "B"), kind=Kind.HEARTBEAT), (("A", "x"), ("B", "y")), ballots=2, timeouts=1
    ),
    "two ballots, one crash": Bounds(
        Cluster(("A", "B"), kind=Kind.HEARTBEAT), (("A", "x"), ("B", "y")), ballots=2, crashes=1
    ),
    "three nodes, one timer": Bounds(
        Cluster(("A", "B", "C"), kind=Kind.HEARTBEAT), (("A", "x"),), ballots=1, timeouts=1
    ),
}


def whole(table: Table, states: Iterable[int]) -> set[Seen]:
    """What each node is, with its heartbeats and disk, and what was counted; and the messages."""
    nodes = range(len(table.node_ids))
    return {
        (
            (*(as_it_matters(table.local(s, node)) for node in nodes), table.counters(s)),
            messages_in(table, s),
        )
        for s in states
    }


def as_it_matters(local: Local) -> Local:
    """What a node is that knows the decision, without what it was before."""
    if isinstance(local, Down) or plain_node(local.snapshot.node).chosen is NOTHING_CHOSEN:
        return local
    node: Any = local.snapshot.node
    return local._replace(snapshot=local.snapshot._replace(node=decided(node)))


def trimmed_afterwards(table: Table, states: Iterable[int]) -> set[int]:
    """States of a search that left nothing out, without what makes no difference."""
    trimmer = Trimmer(table.model.bounds, table, table.shifts, table.base)
    for bit, envelope in table.envelopes():
        trimmer.add(bit, envelope)
    trimmed = set[int]()
    for state in states:
        ballots, _, timeouts = table.counters(state)
        trimmed.add(trimmer.trimmed(state, ballots, timeouts))
    return trimmed


@pytest.mark.parametrize(
    "bounds",
    [
        *(pytest.param(bounds, id=name) for name, bounds in HEARTBEATS.items()),
        *(
            pytest.param(bounds, id=name, marks=pytest.mark.long)
            for name, bounds in LARGER_HEARTBEATS.items()
        ),
    ],
)
def test_to_forget_what_makes_no_difference_hides_no_other_node_and_no_other_message(
    bounds: Bounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that forgets sees what one that forgets nothing sees, if that forgets afterwards.

    But for replies: some leave at once in the one, and a step later in the other.
    """
    forgetful = searched(bounds)
    monkeypatch.setattr("paxos.verify.table.applies", forget_nothing)
    monkeypatch.setattr("paxos.verify.model.decided", unchanged)
    faithful = searched(bounds)
    monkeypatch.undo()
    seen = whole(forgetful.table, forgetful.seen)
    kept = whole(faithful.table, trimmed_afterwards(faithful.table, faithful.seen))
    assert len(forgetful.seen) < len(faithful.seen)
    assert is_covered(kept, by=seen)
    assert is_covered(seen, by=kept)
