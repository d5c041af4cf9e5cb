"""Which nodes there are, and what each of them is made of."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from functools import cached_property

from paxos.errors import MisuseError
from paxos.messages import Identity
from paxos.node import DurableState
from paxos.quorum import Quorums
from paxos.scenario.breakage import UNBROKEN, AnyMachine, AnyNode, Breakage
from paxos.scenario.mutants import MUTANTS
from paxos.timing import Timing

CLUSTER_NAME = "scenario"
FIRST_INCARNATION = "1"


class Kind(enum.Enum):
    """Which class plays."""

    NODE = "node"
    HEARTBEAT = "heartbeat"


@dataclass(frozen=True)
class Cluster:
    """The nodes of one run. Values are strings, so that a scenario file can hold them.

    Raises `MisuseError` for members that make no quorums, and for a rule that nobody knows.
    """

    members: tuple[str, ...]
    kind: Kind = Kind.NODE

    proposers: tuple[str, ...] = ()
    """Nodes that are no members: they propose and learn, and have no vote."""

    phase1: int | None = None
    phase2: int | None = None
    """How many members make a quorum; more than half unless given."""

    breaks: str | None = None
    """The ID of the rule that all its nodes drop."""

    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        if self.breaks is not None and self.breaks not in MUTANTS:
            raise MisuseError(f"there is no rule {self.breaks!r}: `paxos rules` lists them")
        if len(set(self.node_ids)) != len(self.node_ids):
            raise MisuseError(f"a node is listed twice in {self.node_ids}")
        _ = self.quorums  # raises if there are none

    @property
    def node_ids(self) -> tuple[str, ...]:
        """All nodes, members first."""
        return self.members + self.proposers

    @cached_property
    def breakage(self) -> Breakage:
        """What stands in place of real parts."""
        return UNBROKEN if self.breaks is None else MUTANTS[self.breaks]

    @cached_property
    def quorums(self) -> Quorums:
        """As the nodes believe them to be: a mutant may believe in quorums that miss each other."""
        return self.breakage.quorums(self.real_quorums)

    @cached_property
    def real_quorums(self) -> Quorums:
        """As they are."""
        total = len(self.members)
        half = total // 2 + 1
        return Quorums.flexible(
            sorted(self.members),
            phase1=half if self.phase1 is None else self.phase1,
            phase2=half if self.phase2 is None else self.phase2,
        )

    def identity(self, node_id: str, incarnation: str = FIRST_INCARNATION) -> Identity:
        """Who a node of this cluster is."""
        return Identity(CLUSTER_NAME, node_id, incarnation)

    def start(
        self, identity: Identity, durable: DurableState[str] | None = None, now: float = 0.0
    ) -> AnyMachine:
        """A node's machine as it is after a start at `now`, from what is on its disk."""
        return self.breakage.machine(self.recover(identity, durable, now), now)

    def recover(
        self, identity: Identity, durable: DurableState[str] | None = None, now: float = 0.0
    ) -> AnyNode:
        """A node as it is after a start at `now`, from what is on its disk."""
        broken, quorums = self.breakage, self.quorums
        if self.kind is Kind.NODE:
            return broken.recover(identity, quorums, durable)
        return broken.recover_with_heartbeats(identity, quorums, durable, self.timing, now)
