"""The next value of an immutable one is what `dataclasses.replace` would make."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from paxos import Acceptor, HeartbeatNode, Identity, Node, ProposalID, Quorums, Timing
from paxos.immutable import replace
from paxos.node import Learner, Proposer

QUORUMS = Quorums.majority("ABC")
NODE = Node[str].recover(Identity("test", "A", "first"), QUORUMS)
BEATING = HeartbeatNode[str].recover(NODE.identity, QUORUMS, timing=Timing(), now=0.0)

CHANGES: list[tuple[Any, dict[str, Any]]] = [
    (NODE, {"acceptor": Acceptor[str](ProposalID(3, "B"))}),
    (NODE.acceptor, {"promised": ProposalID(3, "B")}),
    (NODE.proposer, {"value": "x", "highest_seen": ProposalID(3, "B")}),
    (NODE.learner, {"votes": ()}),
    (BEATING, {"node": replace(NODE, incarnations=(("B", "first"),))}),
    (BEATING.heartbeats, {"attempt": 3, "round_at": 1.0}),
]


@pytest.mark.parametrize(("value", "changes"), CHANGES)
def test_it_equals_what_dataclasses_make(value: Any, changes: dict[str, Any]) -> None:
    assert replace(value, **changes) == dataclasses.replace(value, **changes)


@pytest.mark.parametrize(("value", "changes"), CHANGES)
def test_it_is_of_the_same_class_and_leaves_the_old_value_as_it_was(
    value: Any, changes: dict[str, Any]
) -> None:
    before = dataclasses.replace(value)
    assert type(replace(value, **changes)) is type(value)
    assert value == before


def test_a_field_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="promise"):
        replace(NODE.acceptor, promise=ProposalID(3, "B"))


@pytest.mark.parametrize("kind", [Node, Acceptor, Proposer, Learner, HeartbeatNode])
def test_the_classes_that_use_it_do_nothing_when_they_are_made(kind: type) -> None:
    assert not hasattr(kind, "__post_init__")
    assert "__slots__" not in vars(kind)
