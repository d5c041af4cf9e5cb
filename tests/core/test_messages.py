"""The words that nodes say: no two of them can be mistaken for each other."""

from __future__ import annotations

import dataclasses
import inspect
from itertools import combinations
from typing import Any, get_args, get_origin

import pytest

from core.cluster import A1, B1, envelope, identity
from paxos import (
    FORMAT_VERSION,
    NO_VALUE,
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Accept,
    Accepted,
    Acceptor,
    Chosen,
    Envelope,
    Heartbeat,
    HeartbeatAnswer,
    Identity,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Request,
    messages,
)
from paxos.machine import waits_for_persist
from paxos.messages import Absent, Free, Waiting

SENTINELS = (NO_VALUE, NOTHING_ACCEPTED, NOTHING_CHOSEN)

WAITING: tuple[Message[str], ...] = (
    Prepare(A1),
    Promise(A1, NOTHING_ACCEPTED),
    Accepted(Proposal(A1, "value")),
)
FREE: tuple[Message[str], ...] = (
    Accept(Proposal(A1, "value")),
    Nack(A1, B1),
    Chosen(Proposal(A1, "value")),
    Request("value"),
    Heartbeat(A1, 1.0),
    HeartbeatAnswer(A1, 1.0),
)


def classes_of(union: Any) -> set[type]:
    return {get_origin(member) or member for member in get_args(union)}


# What waits for the disk. -------------------------------------------------------------------


@pytest.mark.parametrize("message", WAITING, ids=lambda message: type(message).__name__)
def test_what_binds_its_sender_waits_for_the_disk(message: Any) -> None:
    assert waits_for_persist(message)


@pytest.mark.parametrize("message", FREE, ids=lambda message: type(message).__name__)
def test_facts_and_hints_do_not_wait(message: Any) -> None:
    assert not waits_for_persist(message)


def test_the_types_say_the_same() -> None:
    assert classes_of(Waiting) == {type(message) for message in WAITING}
    assert classes_of(Free) == {type(message) for message in FREE}


def test_no_message_is_both() -> None:
    assert classes_of(Waiting).isdisjoint(classes_of(Free))


def test_every_message_is_one_of_them() -> None:
    not_messages = {Proposal, Identity, Envelope}
    defined = {
        defined
        for _, defined in inspect.getmembers(messages, dataclasses.is_dataclass)
        if defined.__module__ == messages.__name__
    }
    assert defined - not_messages == classes_of(Waiting) | classes_of(Free)


# Equality. ----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, False, 1, True, "", None])
def test_an_accept_never_equals_a_vote(value: Any) -> None:
    """`Accept(1, 0)` and `Accepted(1, False)` would be equal as bare tuples."""
    proposal = Proposal(A1, value)
    assert len({Accept(proposal), Accepted(proposal), Chosen(proposal)}) == 3
    vote: object = Accepted(Proposal(A1, value=False))
    assert Accept(Proposal(A1, 0)) != vote


def test_messages_of_different_kinds_are_unequal_even_with_equal_fields() -> None:
    one_field: tuple[Any, ...] = (Prepare, Request, Accept, Accepted, Chosen)
    two_fields: tuple[Any, ...] = (Heartbeat, HeartbeatAnswer, Promise, Nack, Proposal)
    alike = [*(kind(A1) for kind in one_field), *(kind(A1, 1) for kind in two_fields)]
    assert all(one != other for one, other in combinations(alike, 2))


@pytest.mark.parametrize("message", WAITING + FREE, ids=lambda message: type(message).__name__)
def test_no_message_equals_a_bare_tuple_of_its_fields(message: Any) -> None:
    fields = tuple(getattr(message, field.name) for field in dataclasses.fields(message))
    assert message != fields


@pytest.mark.parametrize("message", WAITING + FREE, ids=lambda message: type(message).__name__)
def test_equal_messages_are_equal_as_keys(message: Any) -> None:
    copy = dataclasses.replace(message)
    assert copy is not message
    assert copy == message
    assert hash(copy) == hash(message)
    assert hash(envelope("A", "B", copy)) == hash(envelope("A", "B", message))


@pytest.mark.parametrize(
    "value", [*WAITING, *FREE, Proposal(A1, 0), identity("A"), envelope("A", "B", Prepare(A1))]
)
def test_nothing_that_is_sent_can_be_changed(value: Any) -> None:
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        value.another = None


def test_a_generic_class_can_be_called_with_its_type() -> None:
    """`Proposal[str](...)` tells a type checker what the values are (CPython issue 116669)."""
    assert Proposal[str](A1, "value") == Proposal(A1, "value")
    assert Accept[str](Proposal(A1, "value")) == Accept(Proposal(A1, "value"))
    assert Acceptor[str]() == Acceptor()


def test_an_envelope_bears_the_format_version() -> None:
    assert envelope("A", "B", Prepare(A1)).version == FORMAT_VERSION == 1


def test_a_node_that_lost_its_disk_is_somebody_else() -> None:
    assert identity("A", "first") != identity("A", "second")


# What stands where nothing is. --------------------------------------------------------------


@pytest.mark.parametrize("sentinel", SENTINELS, ids=repr)
def test_nothing_is_neither_none_nor_falsy(sentinel: Any) -> None:
    assert sentinel is not None
    assert sentinel


@pytest.mark.parametrize("sentinel", SENTINELS, ids=repr)
@pytest.mark.parametrize("value", [None, 0, False, "", b"", (), "no value", "nothing accepted"])
def test_nothing_equals_no_value(sentinel: Any, value: Any) -> None:
    assert sentinel != value


def test_the_ways_of_being_absent_differ() -> None:
    assert len(set(SENTINELS)) == len(Absent) == 3


def test_nothing_prints_as_its_name() -> None:
    assert [repr(sentinel) for sentinel in SENTINELS] == [
        "NO_VALUE",
        "NOTHING_ACCEPTED",
        "NOTHING_CHOSEN",
    ]
    assert repr(Promise(A1, NOTHING_ACCEPTED)).endswith("accepted=NOTHING_ACCEPTED)")
