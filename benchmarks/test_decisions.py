"""How many decisions a second one process makes: by roles, by nodes, by machines; and a peer.

Each decision starts from nothing: three fresh acceptors, one proposer, one learner; promises and
votes of all three. Nothing is stored and nothing is sent.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from paxos import (
    Acceptor,
    Envelope,
    Identity,
    Learner,
    Machine,
    Message,
    Node,
    Propose,
    Proposer,
    Quorums,
)

QUORUMS = Quorums.majority("ABC")
IDENTITIES = {name: Identity("benchmark", name, "first") for name in "ABC"}

pytestmark = pytest.mark.benchmark(group="decisions by direct calls", min_rounds=30)


def decide_by_roles() -> object:
    proposer: Proposer[str] = Proposer("A", QUORUMS)
    acceptors: dict[str, Acceptor[str]] = {name: Acceptor() for name in "ABC"}
    learner: Learner[str] = Learner(QUORUMS)
    proposer, _ = proposer.propose("tea")
    proposer, prepare = proposer.prepare()
    accept = None
    for name, acceptor in acceptors.items():
        acceptors[name], promise = acceptor.receive_prepare(prepare)
        proposer, reply = proposer.receive_promise(name, promise)  # type: ignore[arg-type]  # a fresh acceptor has no reason to refuse
        accept = accept or reply
    for name, acceptor in acceptors.items():
        acceptors[name], vote = acceptor.receive_accept(accept)  # type: ignore[arg-type]  # a quorum has promised
        learner, _ = learner.receive_accepted(name, vote)  # type: ignore[arg-type]  # as above
    return learner.chosen.value


def decide_by_nodes() -> object:
    nodes: dict[str, Node[str]] = {name: Node.recover(IDENTITIES[name], QUORUMS) for name in "ABC"}
    nodes["A"], messages, _ = nodes["A"].propose("tea")
    under_way: deque[Envelope[Message[str]]] = deque(messages)
    while under_way:
        envelope = under_way.popleft()
        nodes[envelope.recipient], messages, _ = nodes[envelope.recipient].step(envelope, 0.0)
        under_way.extend(messages)
    return nodes["C"].chosen.value


def decide_by_machines() -> object:
    machines: dict[str, Machine[Node[str], Any, str]] = {
        name: Machine(Node.recover(IDENTITIES[name], QUORUMS)) for name in "ABC"
    }
    machines["A"].receive(Propose("tea"), 0.0)
    while todo := [
        (machine, ready) for machine in machines.values() if not (ready := machine.ready()).is_empty
    ]:
        for machine, ready in todo:
            if ready.persist is not None:
                machine.persisted()
            for envelope in (*ready.send, *ready.send_after_persist):
                machines[envelope.recipient].receive(envelope, 0.0)
    return machines["C"].node.chosen.value


def decide_by_composable_paxos(peer: Any) -> object:
    """The same by an earlier library, whose `None` below every ID is replaced by an ID.

    Without that nothing in it runs on Python 3. Its learner gets votes to start from.
    """
    nothing = peer.ProposalID(0, "")
    proposer = peer.Proposer("A", 2)
    proposer.highest_accepted_id = nothing
    acceptors = [peer.Acceptor(name, nothing, nothing) for name in "ABC"]
    learner = peer.Learner("A", 2)
    learner.acceptors = dict.fromkeys("ABC", nothing)
    before = learner.proposals[nothing] = peer.Learner.ProposalStatus(None)
    before.acceptors, before.retain_count = set("ABC"), 3
    proposer.propose_value("tea")
    prepare, accept = proposer.prepare(), None
    for acceptor in acceptors:
        accept = proposer.receive_promise(acceptor.receive_prepare(prepare)) or accept
    for acceptor in acceptors:
        learner.receive_accepted(acceptor.receive_accept(accept))
    return learner.final_value


def test_composable_paxos(benchmark: Any) -> None:
    peer = pytest.importorskip("composable_paxos", reason="`make bench` installs it")
    benchmark.extra_info["is_baseline"] = True
    assert benchmark(decide_by_composable_paxos, peer) == "tea"


def test_roles(benchmark: Any) -> None:
    benchmark.extra_info["wanted"] = 0.25
    assert benchmark(decide_by_roles) == "tea"


def test_nodes(benchmark: Any) -> None:
    assert benchmark(decide_by_nodes) == "tea"


def test_machines(benchmark: Any) -> None:
    assert benchmark(decide_by_machines) == "tea"
