"""How one rule of the algorithm is dropped: what stands in place of the real part."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Generic, TypeAlias, TypeVar, get_origin

from paxos.heartbeat import HeartbeatNode, Heartbeats
from paxos.machine import Machine
from paxos.messages import Identity
from paxos.node import Acceptor, DurableState, Learner, Node, Proposer
from paxos.quorum import Quorums
from paxos.timing import Timing

AnyNode: TypeAlias = Node[str] | HeartbeatNode[str]
AnyMachine: TypeAlias = Machine[Any, DurableState[str], str]

T = TypeVar("T")
D = TypeVar("D")


def altered(value: T, **changes: Any) -> T:
    """`dataclasses.replace`. Mypy does not see what `Self` is in a subclass of a generic class."""
    of_a_dataclass: Any = value
    changed: T = replace(of_a_dataclass, **changes)
    return changed


class DiskBetween(Generic[D]):
    """A disk that passes on whatever it is told. A mutant of durable memory overrides a method.

    A store is opened with one of these in front of its real or simulated disk, anew for each
    opening.
    """

    def __init__(self, disk: D) -> None:
        self._disk: Any = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)


@dataclass(frozen=True)
class Breakage:
    """One mutant: classes that stand in place of the real ones that they derive from.

    Each is a subclass of a few lines, put into nodes that are otherwise real: the real code has no
    switch for it. What derives from none of them is real.
    """

    classes: tuple[type[Any], ...] = ()

    def part(self, real: type[T]) -> type[T]:
        """The class that stands in place of this one; itself, unless a mutant derives from it."""
        plain = get_origin(real) or real  # of `Node[str]` it is `Node`
        mutants: list[type[T]] = [each for each in self.classes if issubclass(each, plain)]
        return mutants[0] if mutants else real

    def quorums(self, quorums: Quorums) -> Quorums:
        """Who must agree."""
        return self._made_part(Quorums, quorums)

    def recover(
        self, identity: Identity, quorums: Quorums, durable: DurableState[str] | None
    ) -> Node[str]:
        """A node as it is after a start, from what is on its disk."""
        node = self.part(Node[str]).recover(identity, quorums, durable)
        return replace(
            node,
            proposer=self._made_part(Proposer[str], node.proposer),
            acceptor=self._made_part(Acceptor[str], node.acceptor),
            learner=self._made_part(Learner[str], node.learner),
        )

    def recover_with_heartbeats(
        self,
        identity: Identity,
        quorums: Quorums,
        durable: DurableState[str] | None,
        timing: Timing,
        now: float,
    ) -> HeartbeatNode[str]:
        """The same for a node with heartbeats, at an instant of its own clock (seconds)."""
        started = self.part(HeartbeatNode[str]).recover(
            identity, quorums, durable, timing=self._made_part(Timing, timing), now=now
        )
        return replace(
            started,
            node=self.recover(identity, quorums, durable),
            heartbeats=self._made_part(Heartbeats, started.heartbeats),
        )

    def machine(self, node: AnyNode, now: float) -> AnyMachine:
        """The shell around a node that starts at an instant of its own clock (seconds)."""
        return self.part(Machine[Any, DurableState[str], str])(node, now)

    def disk(self, disk: D) -> D:
        """What a store is opened with. To be asked anew for each opening."""
        between: Any = self.part(DiskBetween)
        return disk if between is DiskBetween else between(disk)

    def _made_part(self, real: type[T], value: T) -> T:
        """The same value, of the class that stands in place of its own."""
        mutant = self.part(real)
        if mutant is real:
            return value
        origin: Any = value
        return mutant(**{f.name: getattr(origin, f.name) for f in fields(origin) if f.init})


UNBROKEN = Breakage()
