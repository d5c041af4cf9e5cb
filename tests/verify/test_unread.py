"""A search that forgets finds what is wrong also where it is in what was to be forgotten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from paxos import NO_VALUE, Accept
from paxos.heartbeat import HeartbeatNode
from paxos.machine import Step
from paxos.messages import NOTHING_ACCEPTED, Proposal, Request
from paxos.node import Phase, Proposer
from paxos.proposal_id import NO_PROPOSAL
from paxos.scenario.cluster import Cluster, Kind
from paxos.verify import Bounds, Plan, explore
from verify.test_reductions import messages_in, searched

TWO = Bounds(Cluster(("A", "B"), kind=Kind.HEARTBEAT), (("A", "x"), ("B", "y")), ballots=2)

Real = Callable[..., Any]


def proposes_again(real: Real) -> Real:
    """With one more promise, a leader proposes its own value under the same ID."""

    def receive_promise(self: Any, sender: str, promise: Any) -> Any:
        leads = self.phase is Phase.LEADING and promise.id == self.ballot
        if not leads or self.value is NO_VALUE:
            return real(self, sender, promise)
        proposal = Proposal(self.ballot, self.value)
        return replace(self, proposal=proposal), Accept(proposal)

    return receive_promise


def proposes_what_it_is_handed(real: Real) -> Real:
    """A leader proposes whatever it is asked for, also under the same ID."""

    def propose(self: Any, value: str) -> Any:
        if self.phase is not Phase.LEADING or self.proposal is NO_VALUE:
            return real(self, value)
        proposal = Proposal(self.ballot, value)
        return replace(self, proposal=proposal), Accept(proposal)

    return propose


def proposes_after_the_decision(real: Real) -> Real:
    """Who knows the decision proposes what is handed to it."""

    def receive_late(self: Any, sender: str, message: Any) -> Any:
        if not isinstance(message, Request) or not self.node.proposer.ballot.number:
            return real(self, sender, message)
        accept: Any = Accept(Proposal(self.node.proposer.ballot, message.value))
        return Step(self, self.node.to_members(accept))

    return receive_late


def takes_back_its_promise(real: Real) -> Real:
    """An acceptor that is told of a leader forgets what it has promised."""

    def receive_answer(self: Any, sender: str, message: Any, now: float) -> Any:
        step = real(self, sender, message, now)
        acceptor = step.node.node.acceptor
        if message.follows == NO_PROPOSAL:
            return step
        voted = acceptor.accepted
        lower = NO_PROPOSAL if voted is NOTHING_ACCEPTED else voted.id
        node = replace(step.node.node, acceptor=replace(acceptor, promised=lower))
        return step._replace(node=replace(step.node, node=node))

    return receive_answer


BUGS = [
    pytest.param(Proposer, "receive_promise", proposes_again, {}, id="proposes again"),
    pytest.param(
        Proposer, "propose", proposes_what_it_is_handed, {"ballots": 1}, id="proposes all"
    ),
    pytest.param(
        HeartbeatNode,
        "_receive_late",
        proposes_after_the_decision,
        {"ballots": 1},
        id="proposes after the decision",
    ),
    pytest.param(
        HeartbeatNode,
        "_receive_answer",
        takes_back_its_promise,
        {"ballots": 1, "crashes": 1},
        id="takes back its promise",
    ),
]


@pytest.mark.parametrize(("part", "method", "bug", "limits"), BUGS)
def test_a_bug_of_the_library_is_found_where_forgetting_would_hide_it(
    part: type[Any],
    method: str,
    bug: Callable[[Real], Real],
    limits: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is no mutant of a rule, so nothing tells the search that it had better not forget."""
    monkeypatch.setattr(part, method, bug(getattr(part, method)))
    bounds = replace(TWO, **limits)
    violation = explore(bounds).violation
    assert violation is not None
    assert violation == explore(bounds, Plan(forgetting=False)).violation


def test_the_library_as_it_is_need_not_be_searched_twice() -> None:
    bounds = replace(TWO, ballots=1, timeouts=1)
    once, faithful = explore(bounds), explore(bounds, Plan(forgetting=False))
    assert once.exhausted
    assert faithful.exhausted
    assert once.progress.states < faithful.progress.states


def test_nothing_is_left_out_where_somebody_is_no_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told of a decision only if it asks: so what it asks may not be left out."""
    cluster = Cluster(("A",), Kind.HEARTBEAT, proposers=("P", "Q"))
    bounds = Bounds(cluster, (("P", "x"), ("Q", "y")), ballots=1)
    forgetful = searched(bounds)
    monkeypatch.setattr("paxos.verify.table.applies", lambda _: False)
    faithful = searched(bounds)
    sent = [{messages_in(each.table, s) for s in each.seen} for each in (forgetful, faithful)]
    assert sent[0] == sent[1]
