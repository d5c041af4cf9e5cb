"""A machine that could not be alike on all nodes is refused when its class is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar, Literal, NamedTuple

import pytest
from msgspec import Struct

from paxos.errors import MisuseError
from paxos.state_machine import TypedStateMachine, command, query


class Colour(Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


class Order(Struct, forbid_unknown_fields=True):
    item: str
    points: list[Point]
    paid: Decimal | None = None


class Loose(Struct):
    item: str


@dataclass
class Record:
    item: str


class Tree(Struct, forbid_unknown_fields=True):
    children: list[Tree]


def parameter(annotation: Any) -> None:
    def run(self: object, it: Any) -> None: ...

    run.__annotations__ = {"it": annotation, "return": None}
    type("Machine", (TypedStateMachine,), {"run": command(run)})


def attribute(annotation: Any, **first: object) -> None:
    type("Machine", (TypedStateMachine,), {"__annotations__": {"it": annotation}, **first})


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "a set": (lambda: attribute(set[str]), "a set has no order"),
    "a frozenset inside": (lambda: attribute(dict[str, frozenset[int]]), "a set has no order"),
    "a set as a parameter": (lambda: parameter(set[str]), "a set has no order"),
    "anything": (lambda: parameter(Any), "name a type"),
    "a list of anything": (lambda: attribute(list), "name a type"),
    "a foreign class": (lambda: attribute(complex, it=1j), "name a type"),
    "a struct that skips fields": (lambda: parameter(Loose), "forbid_unknown_fields"),
    "a dataclass in a command": (lambda: parameter(list[Record]), "make Record a msgspec.Struct"),
    "what holds itself": (lambda: parameter(Tree), "Tree holds itself"),
    "a union that cannot be told apart": (lambda: parameter(Loose | Order), "must be tagged"),
    "no first value": (lambda: attribute(int), "give it a first value"),
    "a first value of another type": (lambda: attribute(int, it="1"), "does not fit its type"),
    "a first value without an encoding": (lambda: attribute(int, it=1 << 70), "does not fit"),
    "an unknown type": (lambda: attribute("Nowhere"), "cannot be read"),
    "a private name": (
        lambda: type("M", (TypedStateMachine,), {"__annotations__": {"__it": int}, "__it": 1}),
        "begins with __",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_is_refused(what: str) -> None:
    make, words = REFUSED[what]
    with pytest.raises(MisuseError, match=words):
        make()


@pytest.mark.parametrize(
    "annotation",
    [
        Order,
        Point,
        Colour,
        Literal["a", "b"],
        tuple[int, ...],
        dict[Point, list[bytes]],
        int | None,
    ],
)
def test_what_has_a_schema_and_an_order_may_be_a_parameter(annotation: Any) -> None:
    parameter(annotation)


@pytest.mark.parametrize("annotation", [list[Record], dict[str, Loose], list[Order]])
def test_the_state_may_hold_what_skips_fields_for_nobody_sends_it(annotation: Any) -> None:
    attribute(annotation)


@pytest.mark.parametrize("name", ["version", "_parts"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(MisuseError, match=f"{name} means something in TypedStateMachine"):
        type("M", (TypedStateMachine,), {"__annotations__": {name: dict[str, int]}})


def test_a_class_variable_is_no_state() -> None:
    class Machine(TypedStateMachine):
        names: ClassVar[set[str]] = set()
        limit: ClassVar = 3

    assert list(Machine().snapshot()) == []


def test_a_parameter_without_an_annotation_is_refused() -> None:
    with pytest.raises(MisuseError, match="annotate it"):

        class Machine(TypedStateMachine):
            @command
            def run(self, it) -> None: ...  # type: ignore[no-untyped-def]  # that is the point


def test_a_default_that_all_calls_would_share_is_refused() -> None:
    with pytest.raises(MisuseError, match=r"Machine\.run: .*mutable"):

        class Machine(TypedStateMachine):
            @command
            def run(self, items: list[int] = [1]) -> None: ...  # noqa: B006 - that is the point


def test_an_answer_without_an_annotation_is_refused() -> None:
    with pytest.raises(MisuseError, match="annotate what it returns"):

        class Machine(TypedStateMachine):
            @query
            def run(self): ...  # type: ignore[no-untyped-def]  # that is the point


def test_an_answer_that_is_a_set_is_refused() -> None:
    with pytest.raises(MisuseError, match="its answer: a set has no order"):

        class Machine(TypedStateMachine):
            @query
            def run(self) -> set[str]:
                return set()


def test_parameters_with_stars_are_refused() -> None:
    with pytest.raises(MisuseError, match="a plain parameter"):

        class Machine(TypedStateMachine):
            @command
            def run(self, *items: str) -> None: ...


def test_a_plain_method_in_the_place_of_a_command_is_refused() -> None:
    class Machine(TypedStateMachine):
        @command
        def run(self) -> None: ...

    with pytest.raises(MisuseError, match="mark it with @command"):

        class Other(Machine):
            def run(self) -> None: ...  # type: ignore[override]  # that is the point


def test_a_second_name_for_a_command_is_refused() -> None:
    with pytest.raises(MisuseError, match="a call names run"):

        class Machine(TypedStateMachine):
            @command
            def run(self) -> None: ...

            walk = run
