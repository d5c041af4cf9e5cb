"""Quorums: that those which could miss each other cannot be built, and that votes are weighed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import pytest

from paxos import MisuseError, Quorums

MEMBERS = ("A", "B", "C", "D", "E")


def subsets(members: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for size in range(len(members) + 1):
        yield from combinations(members, size)


def assert_phases_meet(quorums: Quorums) -> None:
    """Every phase-1 quorum shares a member with every phase-2 quorum: all of safety."""
    first = [set(some) for some in subsets(quorums.members) if quorums.has_phase1(some)]
    second = [set(some) for some in subsets(quorums.members) if quorums.has_phase2(some)]
    assert first, "all members together are a quorum"
    assert second
    assert all(one & other for one, other in product(first, second))


@pytest.mark.parametrize("members", [MEMBERS[:size] for size in range(1, 6)])
def test_any_two_majorities_meet(members: tuple[str, ...]) -> None:
    assert_phases_meet(Quorums.majority(members))


@pytest.mark.parametrize(("size", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_majority_is_more_than_half(size: int, needed: int) -> None:
    """Two nodes are no safer than one: both are needed."""
    quorums = Quorums.majority(MEMBERS[:size])
    assert quorums.has_phase1(MEMBERS[:needed])
    assert quorums.has_phase2(MEMBERS[:needed])
    assert not quorums.has_phase1(MEMBERS[: needed - 1])
    assert not quorums.has_phase2(MEMBERS[: needed - 1])


@pytest.mark.parametrize("members", [MEMBERS[:size] for size in range(1, 6)])
def test_flexible_quorums_are_built_exactly_when_the_phases_must_meet(
    members: tuple[str, ...],
) -> None:
    for phase1, phase2 in product(range(-1, len(members) + 2), repeat=2):
        within = 1 <= phase1 <= len(members) and 1 <= phase2 <= len(members)
        if within and phase1 + phase2 > len(members):
            assert_phases_meet(Quorums.flexible(members, phase1=phase1, phase2=phase2))
        else:
            with pytest.raises(MisuseError, match="miss each other" if within else "must weigh"):
                Quorums.flexible(members, phase1=phase1, phase2=phase2)


def test_two_quorums_of_one_phase_need_not_meet() -> None:
    """Flexible Paxos: what would be forbidden to majorities."""
    quorums = Quorums.flexible("ABCD", phase1=3, phase2=2)
    assert quorums.has_phase2("AB")
    assert quorums.has_phase2("CD")


@pytest.mark.parametrize("weights", list(product((1, 2, 3), repeat=3)))
def test_weighted_majorities_meet(weights: tuple[int, ...]) -> None:
    assert_phases_meet(Quorums.weighted(dict(zip(MEMBERS, weights, strict=False))))


def test_a_member_may_outweigh_all_others() -> None:
    quorums = Quorums.weighted({"A": 3, "B": 1, "C": 1})
    assert quorums.has_phase2("A")
    assert not quorums.has_phase2("BC")


def test_weights_and_phases_may_be_given_together() -> None:
    quorums = Quorums.weighted({"A": 2, "B": 1, "C": 1}, phase1=4, phase2=1)
    assert not quorums.has_phase1("AB")
    assert quorums.has_phase1("ABC")
    assert quorums.has_phase2("C")


def test_one_phase_may_be_given_and_the_other_is_a_majority() -> None:
    assert Quorums.weighted({"A": 1, "B": 1, "C": 1}, phase1=3) == Quorums.flexible(
        "ABC", phase1=3, phase2=2
    )
    assert Quorums.weighted({"A": 1, "B": 1, "C": 1}, phase2=3) == Quorums.flexible(
        "ABC", phase1=2, phase2=3
    )


@pytest.mark.parametrize(
    "quorums",
    [
        Quorums.majority("ABC"),
        Quorums.flexible("ABCD", phase1=3, phase2=2),
        Quorums.weighted({"A": 3, "B": 1, "C": 1}),
    ],
)
def test_refusers_block_a_quorum_exactly_when_the_others_are_none(quorums: Quorums) -> None:
    for refusers in subsets(quorums.members):
        others = [member for member in quorums.members if member not in refusers]
        assert quorums.blocks_phase1(refusers) == (not quorums.has_phase1(others))
        assert quorums.blocks_phase2(refusers) == (not quorums.has_phase2(others))


def test_who_is_no_member_weighs_nothing() -> None:
    quorums = Quorums.majority("ABC")
    assert quorums.weight(["A", "X", "Y"]) == 1
    assert not quorums.has_phase2(["A", "X", "Y"])
    assert not quorums.blocks_phase1(["X", "Y", "Z"])
    assert quorums.is_member("A")
    assert not quorums.is_member("X")
    assert not quorums.is_member("")


def test_members_are_sorted_however_they_were_given() -> None:
    assert Quorums.majority(["C", "A", "B"]).members == ("A", "B", "C")
    assert Quorums.majority(["C", "A", "B"]) == Quorums.majority(("A", "B", "C"))
    assert Quorums.weighted({"B": 1, "A": 2}).weights == (("A", 2), ("B", 1))


def test_equal_quorums_are_equal_as_keys_too() -> None:
    assert {Quorums.majority("AB"): "found"}[Quorums.majority("BA")] == "found"


def test_quorums_print_as_what_builds_them() -> None:
    quorums = Quorums.flexible("AB", phase1=2, phase2=1)
    assert repr(quorums) == "Quorums(weights=(('A', 1), ('B', 1)), phase1=2, phase2=1)"


@pytest.mark.parametrize("members", ["AA", "ABA"])
def test_a_member_listed_twice_is_refused(members: str) -> None:
    with pytest.raises(MisuseError, match="listed twice"):
        Quorums.majority(members)
    with pytest.raises(MisuseError, match="listed twice"):
        Quorums.flexible(members, phase1=1, phase2=1)


@pytest.mark.parametrize(
    "weights", [(("A", 1), ("A", 2)), (("B", 1), ("A", 1)), (("A", 1), ("A", 1))]
)
def test_weights_must_be_sorted_and_without_repetition(weights: tuple[tuple[str, int]]) -> None:
    with pytest.raises(MisuseError, match="give each member once, sorted"):
        Quorums(weights, phase1=2, phase2=2)


@pytest.mark.parametrize("weights", [{"": 1}, {"A": 0}, {"A": 3, "B": -1}])
def test_a_member_has_a_name_and_a_weight(weights: dict[str, int]) -> None:
    with pytest.raises(MisuseError, match="a name and a weight of 1 or more"):
        Quorums.weighted(weights)


def test_without_members_there_is_no_quorum() -> None:
    with pytest.raises(MisuseError):
        Quorums.majority([])
    with pytest.raises(MisuseError):
        Quorums.weighted({})
