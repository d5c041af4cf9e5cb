"""What stands in a slot of the log, and who decides there.

A slot holds one entry: a batch of the application's commands, a change of the members, or nothing
at all. The log never looks into a command.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Self, TypeAlias, TypeVar

from paxos.errors import MisuseError
from paxos.quorum import Quorums

C = TypeVar("C", bound=Hashable)
"""A command of the application: immutable, hashable, and never looked into."""


@dataclass(frozen=True, slots=True)
class Member:
    """Who has a vote: a node with the disk that it had when it joined.

    A node that lost its disk has another incarnation, so it is another member (DESIGN, identity).
    """

    node_id: str
    incarnation: str
    address: str = ""
    """Where it listens. The log only hands it on; a change of address is a change like others."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The members that decide in some slots, and how many of them each phase needs."""

    members: tuple[Member, ...]
    """Sorted by node ID, each once."""

    phase1: int = 0
    """How many promises make a quorum; 0 stands for a majority."""

    phase2: int = 0
    """How many votes make a quorum; 0 stands for a majority."""

    quorums: Quorums = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        node_ids = [member.node_id for member in self.members]
        if node_ids != sorted(set(node_ids)):
            raise MisuseError("give each member once, sorted by node ID")
        majority = len(node_ids) // 2 + 1
        quorums = Quorums.flexible(
            node_ids, phase1=self.phase1 or majority, phase2=self.phase2 or majority
        )
        object.__setattr__(self, "quorums", quorums)

    @classmethod
    def of(cls, members: Iterable[Member]) -> Self:
        """These members, in any order; majorities decide."""
        return cls(tuple(sorted(members, key=lambda member: member.node_id)))

    def incarnation_of(self, node_id: str) -> str | None:
        """The incarnation under which this node is a member, or None if it is none."""
        for member in self.members:
            if member.node_id == node_id:
                return member.incarnation
        return None


@dataclass(frozen=True)
class Commands(Generic[C]):
    """A batch of commands, in the order in which they are applied. Never empty."""

    commands: tuple[C, ...]


@dataclass(frozen=True, slots=True)
class NoOp:
    """Nothing. Fills a hole that a former leader left, so that what follows can be applied."""


@dataclass(frozen=True, slots=True)
class Change:
    """From `window` slots after this one on, these members decide (PMS 3: "alpha")."""

    configuration: Configuration


Entry: TypeAlias = Commands[C] | NoOp | Change

NO_OP = NoOp()
