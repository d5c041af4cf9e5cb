"""Proposal IDs: `(number, node ID)`, ordered as Python orders tuples.

"Different proposals have different numbers" (*Paxos Made Simple*, 2.2). The node ID in the low
place is what keeps two proposers from ever picking the same one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from paxos.errors import MisuseError


class ProposalID(NamedTuple):
    """The number of a proposal, made unique by the ID of the node that issues it.

    >>> ProposalID(2, "A") > ProposalID(1, "B") > ProposalID(1, "A")
    True
    """

    number: int
    node_id: str

    def __str__(self) -> str:
        return f"{self.number}.{self.node_id}" if self.number else "none"

    def next_for(self, node_id: str) -> ProposalID:
        """The lowest ID of `node_id` that is above this one whatever the order of node IDs."""
        return ProposalID(self.number + 1, node_id)


NO_PROPOSAL = ProposalID(0, "")
"""Lower than every real ID: real numbers begin with 1. There is no `None` to compare with."""


class CompactIDs:
    """Proposal IDs as plain integers that keep their order: number above, node index below.

    The index is a node's place among the sorted node IDs, so every node must be given the same
    members. `NO_PROPOSAL` is 0.

    >>> compact = CompactIDs(["A", "B", "C"], bits=16)
    >>> compact.pack(ProposalID(5, "C"))
    22
    >>> compact.unpack(22)
    ProposalID(number=5, node_id='C')
    """

    __slots__ = ("_index_bits", "_index_of", "_node_ids", "max_number")

    def __init__(self, node_ids: Iterable[str], bits: int = 64) -> None:
        """Take all node IDs that may ever propose, and the integer's size in bits.

        Raises `MisuseError` if a node ID appears twice or the size leaves no room for numbers.
        """
        self._node_ids = tuple(sorted(node_ids))
        self._index_of = {node_id: index for index, node_id in enumerate(self._node_ids)}
        if not self._node_ids or len(self._index_of) != len(self._node_ids):
            raise MisuseError("give each node ID once, and at least one of them")
        self._index_bits = (len(self._node_ids) - 1).bit_length()
        if bits <= self._index_bits:
            raise MisuseError(f"{bits} bits have no room for a number: give more")
        self.max_number = (1 << (bits - self._index_bits)) - 1

    def pack(self, proposal_id: ProposalID) -> int:
        """The integer for this ID. Raises `MisuseError` if the number or the node does not fit."""
        if proposal_id == NO_PROPOSAL:
            return 0
        number, node_id = proposal_id
        if node_id not in self._index_of:
            raise MisuseError(f"{node_id!r} is none of {self._node_ids}")
        if not 1 <= number <= self.max_number:
            raise MisuseError(f"number {number} is not within 1..{self.max_number}: use more bits")
        return number << self._index_bits | self._index_of[node_id]

    def unpack(self, packed: int) -> ProposalID:
        """The ID behind an integer made by `pack`. Raises `MisuseError` for any other integer."""
        if packed == 0:
            return NO_PROPOSAL
        number = packed >> self._index_bits
        index = packed & ((1 << self._index_bits) - 1)
        if not 1 <= number <= self.max_number or index >= len(self._node_ids):
            raise MisuseError(f"{packed} stands for no proposal ID of {self._node_ids}")
        return ProposalID(number, self._node_ids[index])
