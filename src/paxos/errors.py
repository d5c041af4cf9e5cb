"""The two families of errors: you misused me, and they misbehaved.

Nothing that arrives from a network or a disk raises anything outside `FaultError`;
nothing that a caller does wrong raises anything outside `MisuseError`.
"""


class PaxosError(Exception):
    """Every error that this library raises on purpose.

    Equal if type and text are: a machine that has stopped is a state like any other.
    """

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and str(other) == str(self)

    def __hash__(self) -> int:
        return hash((type(self), str(self)))


class MisuseError(PaxosError):
    """You called the library wrongly. The text says what to do instead."""


class FaultError(PaxosError):
    """A peer, a file or a disk misbehaved. Counted, logged, dropped or fatal, by rule."""


class ConflictError(FaultError):
    """Two values where there can be only one: proof of damage somewhere in the cluster.

    Raised for two values under one proposal ID, and for a value accepted at or above the ID of
    a chosen one that differs from it (*Paxos Made Simple*, 2.2, P2a). No correct run shows
    either, so whoever sees it stops.
    """
