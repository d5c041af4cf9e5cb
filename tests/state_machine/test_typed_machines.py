"""A typed machine: methods and annotations, and nothing encoded by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from paxos.codec import MalformedError
from paxos.errors import MisuseError
from paxos.schemas import ITEMS_A_PART
from paxos.state_machine import (
    CommandError,
    MalformedCommandError,
    Operation,
    Since,
    TypedStateMachine,
    UnknownCommandError,
    command,
)
from state_machine.machines import Inventory


def test_on_a_machine_a_command_is_a_method() -> None:
    inventory = Inventory()
    inventory.put("bolt", 3)
    assert inventory.reserve("bolt") == 2


def test_a_call_names_the_command_and_is_applied_like_the_method() -> None:
    inventory = Inventory()
    call = Inventory.put.call("bolt", count=3)
    assert call.name == "put"
    assert call.decode(inventory.apply(call.payload)) == 3


def test_a_parameter_with_a_default_may_be_left_out() -> None:
    assert Inventory.reserve.call("bolt").payload == Inventory.reserve.call("bolt", 1).payload


def test_a_query_is_called_like_a_command() -> None:
    inventory = Inventory()
    inventory.put("bolt", 3)
    call = Inventory.there.call("bolt")
    assert call.decode(inventory.query(call.payload)) == 3


def test_a_command_is_no_query_and_a_query_is_no_command() -> None:
    with pytest.raises(UnknownCommandError):
        Inventory().query(Inventory.put.call("bolt", 3).payload)
    with pytest.raises(UnknownCommandError):
        Inventory().apply(Inventory.there.call("bolt").payload)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, 1), {}), (("bolt", "1"), {}), (("bolt", 1, 1), {}), (("bolt",), {"number": 1})],
)
def test_arguments_that_do_not_fit_are_refused_where_they_are_given(
    args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    with pytest.raises(MisuseError, match=r"call it as put\(item: .*str.*, count: .*int.*\)"):
        Inventory.put.call(*args, **kwargs)  # type: ignore[arg-type]  # that is the point


def test_a_number_too_large_for_the_format_is_refused_where_it_is_given() -> None:
    with pytest.raises(MisuseError, match="call it as put"):
        Inventory.put.call("bolt", 1 << 64)


def test_an_answer_of_another_type_is_noticed() -> None:
    with pytest.raises(MalformedError, match="no answer of put"):
        Inventory.put.call("bolt", 1).decode(b"\xa3two")


@pytest.mark.parametrize(
    "payload", [b"\x92\xa3put\xa4bolt", b"\x93\xa3put\x01\x01", b"\x91\xa3put"]
)
def test_bytes_that_begin_as_a_command_and_do_not_go_on_so_are_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedCommandError, match="the arguments of put do not fit"):
        Inventory().apply(payload)


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x91\xa2pu", b"\x92\xa4puts\xc0", b"\xa3put"])
def test_bytes_that_begin_as_no_command_are_unknown(payload: bytes) -> None:
    with pytest.raises(UnknownCommandError):
        Inventory().apply(payload)


@pytest.mark.parametrize("start", [b"\x93\xa3put", b"\x93\xa3put\xa1x", b"\x94\xa3put\xa1x\x01"])
def test_bytes_that_nest_deep_are_malformed_on_every_stack(start: bytes) -> None:
    with pytest.raises(MalformedCommandError):
        Inventory().apply(start + b"\x91" * 200_000 + b"\xc0")


def test_a_refusal_by_the_machine_leaves_what_it_did_not_change() -> None:
    inventory = Inventory()
    with pytest.raises(CommandError, match="only 0 of bolt are there"):
        inventory.reserve("bolt", 2)
    assert inventory.stock == {}


def test_a_long_reason_is_cut() -> None:
    assert len(str(CommandError("x" * 5000))) == 1000


def test_no_two_machines_share_a_first_value() -> None:
    one, other = Inventory(), Inventory()
    one.put("bolt", 1)
    assert other.stock == {}


def test_a_first_value_may_come_from_the_class_and_from_init() -> None:
    class Shelf(TypedStateMachine):
        room: int = 7
        names: list[str] = ["first"]  # noqa: RUF012 - each machine gets its own

        def __init__(self, room: int) -> None:
            self.room = room  # and no word to the base class is needed

    assert (Shelf(9).room, Shelf(9).names) == (9, ["first"])


@pytest.mark.parametrize("count", [0, 1, ITEMS_A_PART, ITEMS_A_PART + 1, 3 * ITEMS_A_PART])
def test_what_is_restored_is_the_same_in_the_same_order(count: int) -> None:
    inventory = Inventory()
    for number in reversed(range(count)):
        inventory.put(f"item {number}", number + 1)
        inventory.reserve(f"item {number}")
    restored = Inventory()
    restored.restore(inventory.snapshot())
    assert list(restored.stock.items()) == list(inventory.stock.items())
    assert (restored.reserved, restored.moved) == (inventory.reserved, inventory.moved)
    assert list(restored.snapshot()) == list(inventory.snapshot())


def test_a_value_that_has_no_parts_comes_once() -> None:
    (*_, moved) = Inventory().snapshot()
    with pytest.raises(TypeError, match="int has no parts"):
        Inventory().restore([moved, moved])


def test_what_an_older_snapshot_does_not_have_keeps_its_first_value() -> None:
    old, new = Inventory(), Inventory()
    old.put("bolt", 1)
    assert not any(b"notes" in chunk for chunk in old.snapshot())
    new.restore(old.snapshot())
    assert new.notes == {}


def test_an_attribute_that_is_not_annotated_is_noticed_at_the_first_command() -> None:
    class Forgetful(TypedStateMachine):
        @command
        def run(self) -> None:
            self.extra = 1

    with pytest.raises(MisuseError, match="extra is not annotated"):
        Forgetful().apply(Forgetful.run.call().payload)


def test_an_attribute_of_another_type_is_noticed_when_the_snapshot_is_taken() -> None:
    class Balance(TypedStateMachine):
        euros: float = 0.0

    balance = Balance()
    balance.euros = 1  # it would be restored as 1.0, which answers otherwise
    with pytest.raises(MisuseError, match="euros holds other types"):
        list(balance.snapshot())


def test_a_subclass_has_the_commands_and_attributes_of_its_base() -> None:
    class Larger(Inventory):
        shelves: int = 0

        @command
        def build(self) -> int:
            self.shelves += 1
            return self.shelves

    larger = Larger()
    larger.apply(Larger.put.call("bolt", 1).payload)
    assert larger.apply(Larger.build.call().payload) == b"\x01"
    assert [chunk[2:10] for chunk in larger.snapshot()][-1] == b"shelves\x01"


def test_an_operation_says_how_to_call_it() -> None:
    assert isinstance(Inventory.put, Operation)
    assert Inventory.put.__doc__ == "Put some more there; return how many there are."
    assert str(Inventory.reserve).startswith("reserve(item: ")


def test_an_operation_outside_a_machine_makes_no_calls() -> None:
    @command
    def lost(self: object) -> None: ...

    with pytest.raises(MisuseError, match="derive its class"):
        lost.call()


class Frozen(Struct, frozen=True):
    name: str


class Open(Struct):
    name: str


@dataclass(frozen=True)
class FrozenRecord:
    name: str


@dataclass
class OpenRecord:
    name: str


STAYS = [
    dict[str, int],
    list[tuple[str, float | None]],
    dict[int, Frozen],
    list[FrozenRecord],
    Annotated[dict[str, str], Since(2)],
    Annotated[dict[str, str], Meta(description="notes")],
]
CHANGES = [
    dict[str, list[int]],
    list[dict[str, int]],
    dict[int, Open],
    list[OpenRecord],
    dict[str, tuple[list[int], ...]],
    list[bytearray],
]


@pytest.mark.parametrize("annotation", STAYS)
def test_a_snapshot_stays_if_nothing_inside_can_change(annotation: object) -> None:
    machine = type("Machine", (TypedStateMachine,), {"__annotations__": {"it": annotation}})
    assert machine.snapshot_stays


@pytest.mark.parametrize("annotation", CHANGES)
def test_a_snapshot_does_not_stay_if_something_inside_can_change(annotation: object) -> None:
    machine = type("Machine", (TypedStateMachine,), {"__annotations__": {"it": annotation}})
    assert not machine.snapshot_stays


def test_a_machine_that_is_too_large_to_copy_says_so_for_its_subclasses_too() -> None:
    class Large(Inventory):
        snapshot_stays = False

    class Larger(Large):
        more: int = 0

    assert (Inventory.snapshot_stays, Large.snapshot_stays, Larger.snapshot_stays) == (
        True,
        False,
        False,
    )
