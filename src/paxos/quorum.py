"""Who must agree: quorums that cannot be built unless they meet.

Safety needs one thing of quorums: that every phase-1 quorum shares a member with every phase-2
quorum. Majorities have it (*Paxos Made Simple*, 2.2); two quorums of the same phase need not
meet (Howard, Malkhi, Spiegelman, *Flexible Paxos*, 2016).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from paxos.errors import MisuseError


@dataclass(frozen=True, slots=True)
class Quorums:
    """The members, the weight of each vote, and the weight that each phase needs.

    Build one with `majority`, `flexible` or `weighted`. Votes of nodes that are no members weigh
    nothing. Raises `MisuseError` if a phase-1 quorum could miss a phase-2 quorum, or if all
    members together are no quorum.
    """

    weights: tuple[tuple[str, int], ...]
    """Sorted by member, so that nothing ever depends on the order of a set."""

    phase1: int
    """The weight of promises that makes a quorum."""

    phase2: int
    """The weight of votes in one ballot that makes a quorum: a value is then chosen."""

    members: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The members, sorted."""

    _weight_of: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        weight_of = dict(self.weights)
        object.__setattr__(self, "_weight_of", weight_of)
        object.__setattr__(self, "members", tuple(weight_of))
        if self.weights != tuple(sorted(weight_of.items())):
            raise MisuseError("give each member once, sorted")
        if "" in weight_of or any(weight < 1 for weight in weight_of.values()):
            raise MisuseError("a member needs a name and a weight of 1 or more")
        total = sum(weight_of.values())
        if not (1 <= self.phase1 <= total and 1 <= self.phase2 <= total):
            raise MisuseError(f"a quorum must weigh 1 to {total}, which is all members together")
        if self.phase1 + self.phase2 <= total:
            raise MisuseError(
                f"phase-1 quorums of {self.phase1} and phase-2 quorums of {self.phase2} can miss "
                f"each other among {total}: their sum must be above {total}"
            )

    @classmethod
    def majority(cls, members: Iterable[str]) -> Self:
        """More than half of the members, in both phases."""
        return cls.weighted(_once_each(members))

    @classmethod
    def flexible(cls, members: Iterable[str], *, phase1: int, phase2: int) -> Self:
        """Any `phase1` members for promises, any `phase2` members for votes."""
        return cls.weighted(_once_each(members), phase1=phase1, phase2=phase2)

    @classmethod
    def weighted(
        cls,
        weights: Mapping[str, int],
        *,
        phase1: int | None = None,
        phase2: int | None = None,
    ) -> Self:
        """Members whose votes weigh differently; more than half of the weight unless told."""
        more_than_half = sum(weights.values()) // 2 + 1
        return cls(
            tuple(sorted(weights.items())),
            more_than_half if phase1 is None else phase1,
            more_than_half if phase2 is None else phase2,
        )

    def is_member(self, node_id: str) -> bool:
        """Whether this node has a vote."""
        return node_id in self._weight_of

    def weight(self, nodes: Collection[str]) -> int:
        """What the votes of these nodes weigh together. A node given twice counts once."""
        return sum([weight for member, weight in self.weights if member in nodes])

    def has_phase1(self, promisers: Collection[str]) -> bool:
        """Whether these nodes contain a quorum of promises."""
        return self.weight(promisers) >= self.phase1

    def has_phase2(self, voters: Collection[str]) -> bool:
        """Whether these nodes contain a quorum of votes."""
        return self.weight(voters) >= self.phase2

    def blocks_phase1(self, refusers: Collection[str]) -> bool:
        """Whether no quorum of promises is left without these nodes."""
        return self.weight(self.members) - self.weight(refusers) < self.phase1

    def blocks_phase2(self, refusers: Collection[str]) -> bool:
        """Whether no quorum of votes is left without these nodes."""
        return self.weight(self.members) - self.weight(refusers) < self.phase2


def _once_each(members: Iterable[str]) -> dict[str, int]:
    listed = tuple(members)
    weights = dict.fromkeys(listed, 1)
    if len(weights) != len(listed):
        raise MisuseError(f"a member is listed twice in {listed}")
    return weights
