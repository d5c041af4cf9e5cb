"""Proposal IDs: what their order must guarantee, and how they fit into plain integers."""

from __future__ import annotations

from itertools import product

import pytest

from paxos import NO_PROPOSAL, CompactIDs, MisuseError, ProposalID

NODE_IDS = ("A", "B", "C", "D", "E")


def test_the_number_decides_before_the_node_does() -> None:
    assert ProposalID(2, "A") > ProposalID(1, "B") > ProposalID(1, "A")


def test_ids_of_different_nodes_are_never_equal() -> None:
    ids = [ProposalID(number, node_id) for number, node_id in product(range(1, 4), NODE_IDS)]
    assert len(set(ids)) == len(ids)


def test_no_proposal_is_below_every_real_id() -> None:
    assert all(ProposalID(1, node_id) > NO_PROPOSAL for node_id in ("", " ", "A", "\0"))


def test_the_next_id_is_above_whatever_the_order_of_the_nodes() -> None:
    for number, node_id, other in product(range(4), NODE_IDS, NODE_IDS):
        given = ProposalID(number, node_id)
        following = given.next_for(other)
        assert following > given
        assert following.node_id == other


def test_the_next_id_is_above_every_id_of_that_number() -> None:
    """Else a node with a low ID would have to try twice: 10.C, then 11.A, not 10.A."""
    assert ProposalID(10, "C").next_for("A") == ProposalID(11, "A")


def test_the_first_id_of_a_node_has_number_1() -> None:
    assert NO_PROPOSAL.next_for("B") == ProposalID(1, "B")


def test_an_id_prints_as_number_and_node() -> None:
    assert str(ProposalID(7, "B")) == "7.B"
    assert str(NO_PROPOSAL) == "none"


# As plain integers. -------------------------------------------------------------------------


def all_ids(compact: CompactIDs, node_ids: tuple[str, ...]) -> list[ProposalID]:
    """Every ID that fits, in order."""
    numbers = range(1, compact.max_number + 1)
    return [
        NO_PROPOSAL,
        *(ProposalID(number, node_id) for number in numbers for node_id in node_ids),
    ]


@pytest.mark.parametrize("bits", range(1, 8))
@pytest.mark.parametrize("members", range(1, 6))
def test_every_id_that_fits_comes_back_and_keeps_its_place(members: int, bits: int) -> None:
    node_ids = NODE_IDS[:members]
    if bits <= (members - 1).bit_length():
        with pytest.raises(MisuseError, match="no room for a number"):
            CompactIDs(node_ids, bits)
        return
    compact = CompactIDs(node_ids, bits)
    ids = all_ids(compact, node_ids)
    packed = [compact.pack(proposal_id) for proposal_id in ids]
    assert packed == sorted(set(packed)), "the order is that of the IDs, and none is lost"
    assert all(0 <= integer < 1 << bits for integer in packed), "it is no larger than agreed"
    assert [compact.unpack(integer) for integer in packed] == ids


@pytest.mark.parametrize("bits", range(3, 7))
@pytest.mark.parametrize("members", range(1, 6))
def test_every_other_integer_is_refused(members: int, bits: int) -> None:
    if bits <= (members - 1).bit_length():
        return
    compact = CompactIDs(NODE_IDS[:members], bits)
    packed = {compact.pack(id) for id in all_ids(compact, NODE_IDS[:members])}
    for integer in set(range(-3, (1 << bits) + 3)) - packed:
        with pytest.raises(MisuseError, match="stands for no proposal ID"):
            compact.unpack(integer)


def test_a_single_node_needs_no_bits() -> None:
    compact = CompactIDs(["only"], bits=3)
    assert [compact.pack(ProposalID(n, "only")) for n in range(1, 8)] == [1, 2, 3, 4, 5, 6, 7]


def test_the_order_in_which_nodes_are_given_does_not_matter() -> None:
    forth, back = CompactIDs(NODE_IDS), CompactIDs(reversed(NODE_IDS))
    assert forth.pack(ProposalID(9, "D")) == back.pack(ProposalID(9, "D"))


def test_with_64_bits_and_5_nodes_numbers_may_have_61() -> None:
    compact = CompactIDs(NODE_IDS)
    highest = ProposalID((1 << 61) - 1, "E")
    assert compact.max_number == highest.number
    assert compact.unpack(compact.pack(highest)) == highest


def test_a_number_that_does_not_fit_is_refused() -> None:
    compact = CompactIDs(["A", "B"], bits=4)
    assert compact.max_number == 7
    for number in (-1, 0, 8):
        with pytest.raises(MisuseError, match=r"not within 1\.\.7: use more bits"):
            compact.pack(ProposalID(number, "A"))


def test_an_unknown_node_is_refused() -> None:
    with pytest.raises(MisuseError, match="'C' is none of"):
        CompactIDs(["A", "B"]).pack(ProposalID(1, "C"))


@pytest.mark.parametrize("node_ids", [[], ["A", "A"], ["A", "B", "A"]])
def test_each_node_is_given_once_and_there_is_at_least_one(node_ids: list[str]) -> None:
    with pytest.raises(MisuseError, match="give each node ID once"):
        CompactIDs(node_ids)
