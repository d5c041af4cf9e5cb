"""Whether what clients saw is linearizable (Herlihy and Wing 1990).

That is: as if each operation had happened at one moment between its invocation and its answer.

    with open("history.jsonl", "rb") as file:
        history = read_history(file)
    result = check_history(history, Register())
    result.linearizable, result.conflict

`history` reads what clients saw; `sequential` says what the object would do for one client alone;
`ordering` searches one partition for an order, and `conflict` finds the operations to blame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from paxos.errors import MisuseError
from paxos.histories.conflict import Conflict, find_conflict
from paxos.histories.history import History, HistoryError, Operation
from paxos.histories.ordering import Watch, order
from paxos.histories.sequential import Model

__all__ = ["MAX_STATES", "Linearizability", "check_history"]

MAX_STATES = 1_000_000
"""Configurations of one partition to remember, unless told otherwise: some 300 MB."""


@dataclass(frozen=True, slots=True)
class Linearizability:
    """What a check has found."""

    linearizable: bool | None
    """None: a search was stopped, so nobody knows."""
    operations: int
    partitions: int
    states: int
    """How many configurations were seen, in all partitions."""
    failing: tuple[object, ...]
    """The partitions that are surely not linearizable."""
    conflict: Conflict | None
    """The operations of the first of these that cannot be ordered."""
    unknown: tuple[object, ...]
    """The partitions of which nobody knows."""
    stopped: str | None
    """Why the search of the first of these was stopped."""


def check_history(
    history: History, model: Model, max_states: int = MAX_STATES, watch: Watch | None = None
) -> Linearizability:
    """Check each partition of a history by itself.

    `max_states` bounds the configurations that are remembered for one partition. `watch` is asked
    now and then, with the number of configurations of the current partition; the string that it
    returns ends its search. Raises `HistoryError` for an operation that the model does not know.
    """
    if max_states < 1:
        raise MisuseError(f"at most {max_states} states is no search: give 1 or more")
    partitions = _partitions(history.operations, model)
    states = 0
    failing: list[object] = []
    unknown: list[object] = []
    conflict: Conflict | None = None
    stopped: str | None = None
    for name, operations in partitions.items():
        found = order(model, operations, max_states, watch)
        states += found.states
        if found.possible is None:
            unknown.append(name)
            stopped = stopped or found.stopped
        elif not found.possible:
            failing.append(name)
            conflict = conflict or find_conflict(model, name, operations, found, watch)
    return Linearizability(
        False if failing else None if unknown else True,
        len(history.operations),
        len(partitions),
        states,
        tuple(failing),
        conflict,
        tuple(unknown),
        stopped,
    )


def _partitions(operations: Iterable[Operation], model: Model) -> dict[object, list[Operation]]:
    """The operations by partition, in the order of the first of each."""
    partitions: dict[object, list[Operation]] = {}
    for operation in operations:
        complaint = model.complaint(operation)
        if complaint is not None:
            raise HistoryError(operation.invoked, complaint)
        partitions.setdefault(model.partition(operation), []).append(operation)
    return partitions
