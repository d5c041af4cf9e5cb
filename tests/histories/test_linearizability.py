"""The checker of histories, beside one that tries all permutations, and on the classic examples."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from histories.clients import clients
from paxos.errors import MisuseError
from paxos.histories.history import Event, Missing
from paxos.histories.ordering import order
from paxos.verify import (
    Hint,
    History,
    HistoryError,
    KeyValue,
    Model,
    Operation,
    Register,
    check_history,
    history_of,
)

NOTHING = Missing.NO_VALUE
IMPOSSIBLE = object()


# What the objects do, written a second time, and without hints.


def plain_step(state: Hashable, operation: Operation) -> Hashable:
    given, answer = operation.input, operation.output
    match operation.f:
        case "read" | "get":
            return state if answer in (state, Missing.NO_ANSWER) else IMPOSSIBLE
        case "write" | "put":
            return given
        case "delete":
            return None
        case "append":
            return (state or "") + given
        case "cas":
            expected, new = given
            if answer is False:
                return IMPOSSIBLE if state == expected else state
            return new if state == expected else IMPOSSIBLE
    raise AssertionError(operation.f)


def some_permutation_is_allowed(
    operations: Sequence[Operation], left: frozenset[int], state: Hashable = None
) -> bool:
    if not any(operations[i].known for i in left):
        return True
    for i in sorted(left):
        returns = [operations[j].returned for j in left - {i}]
        if any(each is not None and each < operations[i].invoked for each in returns):
            continue
        after = plain_step(state, operations[i])
        if after is not IMPOSSIBLE and some_permutation_is_allowed(operations, left - {i}, after):
            return True
    return False


def brute_force(operations: Sequence[Operation]) -> bool:
    """Partition by partition, every permutation of the known and of any of the unknown."""
    keys = {each.key for each in operations}
    parts = [[each for each in operations if each.key == key] for key in keys]
    return all(some_permutation_is_allowed(part, frozenset(range(len(part)))) for part in parts)


# Small histories of any kind.

VALUE = st.sampled_from([1, 2, None])
TEXT = st.sampled_from(["a", "b"])
MAYBE_TEXT = st.sampled_from(["a", "b", "ab", "ba", None])
REGISTER_CALLS = st.one_of(
    st.tuples(st.just("read"), st.just(NOTHING), VALUE),
    st.tuples(st.just("write"), VALUE, st.just(NOTHING)),
    st.tuples(st.just("cas"), st.tuples(VALUE, VALUE), st.booleans()),
)
STORE_CALLS = st.one_of(
    st.tuples(st.just("get"), st.just(NOTHING), MAYBE_TEXT),
    st.tuples(st.just("put"), TEXT, st.just(NOTHING)),
    st.tuples(st.just("append"), TEXT, st.just(NOTHING)),
    st.tuples(st.just("delete"), st.just(NOTHING), st.just(NOTHING)),
    st.tuples(st.just("cas"), st.tuples(MAYBE_TEXT, TEXT), st.booleans()),
)


@st.composite
def histories(draw: st.DrawFn, calls: st.SearchStrategy[tuple[str, Hashable, Hashable]]) -> History:
    size = draw(st.integers(1, 6))
    turns = draw(st.permutations([*range(size), *range(size)]))
    called = draw(st.lists(calls, min_size=size, max_size=size))
    ends = draw(st.lists(st.sampled_from(["ok", "ok", "ok", "fail", "info"]), min_size=size))
    events: list[Event] = []
    begun = set[int]()
    for process in turns:
        f, given, answer = called[process]
        if process not in begun:
            begun.add(process)
            value = {} if given is NOTHING else {"value": given}
            events.append(Event(process, "invoke", f, 0, **value))
        else:
            end = ends[process]
            value = {"value": answer} if end == "ok" and answer is not NOTHING else {}
            events.append(Event(process, end, f, **value))
    return history_of(events)


@settings(max_examples=600, deadline=None)
@given(histories(REGISTER_CALLS))
def test_a_register_is_judged_as_by_trying_all_permutations(history: History) -> None:
    assert check_history(history, Register()).linearizable == brute_force(history.operations)


@settings(max_examples=600, deadline=None)
@given(histories(STORE_CALLS))
def test_a_store_is_judged_as_by_trying_all_permutations(history: History) -> None:
    assert check_history(history, KeyValue()).linearizable == brute_force(history.operations)


# Longer ones, from clients of a real object, some of them damaged.


class RegisterWithoutHints(Register):
    def needs(self, operation: Operation) -> Hashable:
        return Hint.VARIES

    def makes(self, operation: Operation) -> Hashable:
        return Hint.VARIES


class StoreWithoutHints(RegisterWithoutHints, KeyValue):
    def step(self, state: Hashable, operation: Operation) -> Hashable:
        return KeyValue.step(self, state, operation)

    def leads_to(self, state: Hashable, wanted: Hashable) -> bool:
        return True


def damaged(history: History, chance: random.Random) -> History:
    """One answer in it is another's."""
    answers = [each.output for each in history.operations if each.f in ("read", "get")]
    at = chance.randrange(len(history.operations))
    operation = history.operations[at]
    if operation.f not in ("read", "get") or not operation.known:
        return history
    there = list(history.operations)
    there[at] = replace(operation, output=chance.choice(answers))
    return History(tuple(there))


@pytest.mark.parametrize("seed", range(120))
@pytest.mark.parametrize("model", ["register", "kv"])
def test_with_hints_the_search_ends_as_without_them(model: str, seed: int) -> None:
    chance = random.Random(seed)
    history = clients(
        chance, model, operations=14, processes=chance.randint(2, 4),
        values=chance.choice([2, 3, 1000]), unknown=0.1,
    )  # fmt: skip
    history = damaged(history, chance) if seed % 3 else history
    quick: Model = Register() if model == "register" else KeyValue()
    plain: Model = RegisterWithoutHints() if model == "register" else StoreWithoutHints()
    assert check_history(history, quick).linearizable == check_history(history, plain).linearizable


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("model", ["register", "kv"])
def test_what_a_real_object_answered_is_linearizable_and_the_order_found_is_one(
    model: str, seed: int
) -> None:
    chance = random.Random(seed)
    history = clients(
        chance,
        model,
        operations=200,
        processes=8,
        values=chance.choice([3, 1000]),
        unknown=0.05,
        keys=1 if model == "register" else 4,
    )
    judge = Register() if model == "register" else KeyValue()
    for key in {each.key for each in history.operations}:
        part = [each for each in history.operations if each.key == key]
        found = order(judge, part, 100_000)
        assert found.possible
        state: Hashable = None
        for operation in found.order:
            state = plain_step(state, operation)
            assert state is not IMPOSSIBLE, operation
        assert {each for each in part if each.known} <= {*found.order}
        for earlier, later in combinations(found.order, 2):
            assert later.returned is None or later.returned > earlier.invoked


# The classic examples.


def written(process: int, value: object, invoked: int, returned: int | None) -> Operation:
    output = Missing.NO_ANSWER if returned is None else NOTHING
    return Operation(process, "write", value, output, invoked, returned)


def was_read(process: int, value: object, invoked: int, returned: int) -> Operation:
    return Operation(process, "read", NOTHING, value, invoked, returned)


def swapped(process: int, old: object, new: object, invoked: int, returned: int) -> Operation:
    return Operation(process, "cas", (old, new), True, invoked, returned)


def check(*operations: Operation) -> bool | None:
    return check_history(History(operations), Register()).linearizable


def blamed(*operations: Operation) -> tuple[Operation, ...]:
    conflict = check_history(History(operations), Register()).conflict
    assert conflict is not None
    assert conflict.minimal
    return conflict.operations


def test_nothing_is_linearizable() -> None:
    assert check() is True


def test_a_read_may_see_a_write_that_is_under_way() -> None:
    assert check(written(1, "x", 1, 4), was_read(2, "x", 2, 3)) is True
    assert check(written(1, "x", 1, 4), was_read(2, None, 2, 3)) is True


def test_a_stale_read_is_blamed_with_both_writes() -> None:
    old, new, stale = written(1, "x", 1, 2), written(1, "y", 3, 4), was_read(2, "x", 5, 6)
    assert blamed(old, new, stale) == (old, new, stale)


def test_two_reads_must_not_see_an_overlapping_write_and_then_not() -> None:
    write = written(1, "x", 1, 6)
    seen, gone = was_read(2, "x", 2, 3), was_read(2, None, 4, 5)
    assert blamed(write, seen, gone) == (seen, gone)
    assert check(write, replace(seen, output=None), replace(gone, output="x")) is True


def test_of_two_that_compare_and_set_the_same_one_update_is_lost() -> None:
    first, second = swapped(1, None, "x", 1, 3), swapped(2, None, "y", 2, 4)
    assert blamed(first, second) == (first, second)


def test_two_sides_of_a_split_brain_read_their_own_writes() -> None:
    operations = [
        written(1, "x", 1, 2), written(2, "y", 3, 4), was_read(1, "x", 5, 6), was_read(2, "y", 7, 8)
    ]  # fmt: skip
    assert set(blamed(*operations)) == set(operations[:3])


def test_what_nobody_wrote_is_blamed_alone() -> None:
    ghost = was_read(2, "z", 3, 4)
    assert blamed(written(1, "x", 1, 2), ghost, was_read(2, "x", 5, 6)) == (ghost,)


def test_an_unknown_write_may_be_seen_late() -> None:
    assert check(
        written(1, "x", 1, None), written(2, "y", 2, 3), was_read(2, "y", 4, 5),
        was_read(3, "x", 6, 7),
    ) is True  # fmt: skip


def test_an_unknown_write_may_never_be_seen() -> None:
    assert check(written(1, "x", 1, None), was_read(2, None, 2, 3)) is True


def test_an_unknown_write_takes_effect_once() -> None:
    reads = was_read(2, "x", 4, 5), was_read(2, "y", 6, 7), was_read(2, "x", 8, 9)
    unknown = written(1, "x", 1, None)
    other = written(3, "y", 2, None)
    assert blamed(unknown, other, *reads) == reads
    assert check(unknown, other, *reads[:2]) is True


def test_an_unknown_write_is_not_seen_before_it_is_invoked() -> None:
    early = was_read(2, "x", 1, 2)
    assert blamed(early, written(1, "x", 3, None)) == (early,)


def test_an_unknown_compare_and_set_needs_what_it_expects() -> None:
    unknown = Operation(1, "cas", ("w", "x"), Missing.NO_ANSWER, 1, None)
    assert check(unknown, was_read(2, "x", 2, 3)) is False
    assert check(unknown, written(3, "w", 2, None), was_read(2, "x", 4, 5)) is True


def test_a_compare_and_set_that_found_another_value_is_checked() -> None:
    refused = Operation(1, "cas", ("x", "y"), False, 3, 4)
    assert check(written(1, "x", 1, 2), refused) is False
    assert check(written(1, "z", 1, 2), refused) is True


def test_values_are_equal_only_in_type_too() -> None:
    assert check(written(1, 1, 1, 2), was_read(1, "1", 3, 4)) is False


@pytest.mark.parametrize(
    ("values", "linearizable"), [(("x", "xy"), True), (("y", "yx"), True), (("x", "yx"), False)]
)
def test_appends_are_seen_in_one_order(values: tuple[str, str], linearizable: bool) -> None:
    operations = [
        Operation(1, "append", "x", NOTHING, 1, 9, "k"),
        Operation(2, "append", "y", NOTHING, 2, 10, "k"),
        Operation(3, "get", NOTHING, values[0], 3, 4, "k"),
        Operation(3, "get", NOTHING, values[1], 5, 6, "k"),
    ]
    assert check_history(History(tuple(operations)), KeyValue()).linearizable is linearizable


def test_keys_are_checked_apart_and_the_failing_ones_are_named() -> None:
    history = History(
        tuple(
            replace(each, key=key)
            for key, value in (("a", "x"), ("b", "z"), ("c", "z"))
            for each in (written(1, "x", 1, 2), was_read(1, value, 3, 4))
        )
    )
    result = check_history(history, Register())
    assert (result.partitions, result.failing) == (3, ("b", "c"))
    assert result.conflict is not None
    assert result.conflict.partition == "b"


# What is told of a conflict.


@settings(max_examples=300, deadline=None)
@given(histories(REGISTER_CALLS))
def test_a_conflict_has_no_order_and_each_of_its_operations_matters(history: History) -> None:
    result = check_history(history, Register())
    assume(result.conflict is not None)
    conflict = result.conflict
    assert conflict is not None
    assert conflict.minimal
    core, model = conflict.operations, Register()
    others = weakened(set(history.operations) - set(core))
    assert not brute_force([*core, *others])
    assert not brute_force([*core, *conflict.helpers])
    for each in core:
        fewer = [other for other in core if other != each]
        assert brute_force([*fewer, *others, *weakened([each])]), each
    assert model.complaint(conflict.impossible) is None


def weakened(operations: Iterable[Operation]) -> list[Operation]:
    return [
        replace(each, returned=None)
        for each in operations
        if Register().makes(each) is not Hint.SAME
    ]


def test_how_far_an_order_goes_is_told_with_the_state_there() -> None:
    operations = [
        written(1, "x", 1, 2),
        was_read(1, "x", 3, 4),
        was_read(1, "z", 5, 6),
        was_read(1, "x", 7, 8),
    ]
    conflict = check_history(History(tuple(operations)), Register()).conflict
    assert conflict is not None
    assert conflict.prefix == 2
    assert conflict.state == "x"
    assert conflict.impossible == operations[2]


def test_a_conflict_deep_in_a_long_history_is_found() -> None:
    chance = random.Random(1)
    history = clients(chance, "register", operations=3_000, processes=8, values=10**6)
    there = list(history.operations)
    at = next(i for i in range(2_000, 3_000) if there[i].f == "read")
    oldest = next(each for each in there if each.f == "write")
    there[at] = replace(there[at], output=oldest.input)
    conflict = check_history(History(tuple(there)), Register()).conflict
    assert conflict is not None
    assert conflict.minimal
    assert there[at] in conflict.operations
    assert len(conflict.operations) <= 4


# Bounds and misuse.


def hard() -> History:
    """Overlapping writes of few values, and a read of none of them at the end."""
    writes = [swapped(i, i % 3, (i + 1) % 3, i, 100 + i) for i in range(1, 15)]
    first = written(0, 0, -3, -2)
    return History((first, *writes, was_read(99, 7, 200, 201), written(98, 7, 202, 203)))


def test_a_search_that_is_cut_short_claims_nothing() -> None:
    result = check_history(hard(), RegisterWithoutHints(), max_states=50)
    assert (result.linearizable, result.unknown) == (None, (None,))
    assert result.stopped == "50 states seen"


def test_a_watcher_ends_the_search() -> None:
    result = check_history(hard(), RegisterWithoutHints(), watch=lambda states: "enough")
    assert (result.linearizable, result.stopped) == (None, "enough")


def test_a_bound_of_none_is_refused() -> None:
    with pytest.raises(MisuseError, match="1 or more"):
        check_history(History(()), Register(), max_states=0)


@pytest.mark.parametrize(
    ("model", "operation", "complaint"),
    [
        (Register(), Operation(1, "get", NOTHING, 1, 7, 8), "f is one of read, write, cas"),
        (Register(), Operation(1, "read", NOTHING, NOTHING, 7, 8), "says what was read"),
        (Register(), Operation(1, "read", 5, 5, 7, 8), "asks for no value"),
        (Register(), Operation(1, "read", NOTHING, True, 7, 8), "says what was read"),
        (Register(), Operation(1, "write", NOTHING, NOTHING, 7, 8), "says what"),
        (Register(), Operation(1, "write", 1, 2, 7, 8), "no other value than its invoke"),
        (Register(), Operation(1, "cas", 1, NOTHING, 7, 8), "expected, new"),
        (KeyValue(), Operation(1, "get", NOTHING, 1, 7, 8), "of which key"),
        (KeyValue(), Operation(1, "put", None, NOTHING, 7, 8, "k"), "write a delete"),
        (KeyValue(), Operation(1, "put", False, NOTHING, 7, 8, "k"), "says what"),
        (KeyValue(), Operation(1, "delete", 1, NOTHING, 7, 8, "k"), "a delete has no value"),
        (KeyValue(), Operation(1, "append", 1, NOTHING, 7, 8, "k"), "append adds a string"),
    ],
)
def test_an_operation_that_the_model_does_not_know_is_told_with_its_line(
    model: Model, operation: Operation, complaint: str
) -> None:
    with pytest.raises(HistoryError, match=f"line 7: .*{complaint}"):
        check_history(History((operation,)), model)


# A model of one's own.


class Counter(Model):
    """`add` adds its input; `value` tells the sum."""

    initial = 0

    def step(self, state: Hashable, operation: Operation) -> Hashable:
        assert isinstance(state, int)
        if operation.f == "add":
            assert isinstance(operation.input, int)
            return state + operation.input
        return state if operation.output in (state, Missing.NO_ANSWER) else Hint.IMPOSSIBLE


def test_a_model_of_ones_own_needs_no_hints() -> None:
    added = [Operation(i, "add", 1, NOTHING, i, 10 + i) for i in range(3)]
    told = Operation(9, "value", NOTHING, 2, 5, 6)
    late = Operation(9, "value", NOTHING, 1, 20, 21)
    assert check_history(History((*added, told)), Counter()).linearizable is True
    result = check_history(History((*added, told, late)), Counter())
    assert result.linearizable is False
    assert result.conflict is not None
    assert late in result.conflict.operations
