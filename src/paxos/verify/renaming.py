"""Other names for nodes and values, and which of them make no difference within given bounds.

Proposal IDs are compared, and by node ID where numbers are equal: so nodes that propose are never
the same under other names. Members that only vote are, and so are values that the same nodes may
be asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any, TypeVar, cast

from paxos.messages import Envelope
from paxos.quorum import Quorums
from paxos.scenario.abstract_time import ANSWER, CHALLENGE, LEADER, PERSIST, ROUND, SETTLE
from paxos.scenario.cluster import CLUSTER_NAME, FIRST_INCARNATION, Kind
from paxos.verify.model import Bounds, in_order

T = TypeVar("T")


class Renaming:
    """Other names for some nodes and values, for anything that an explorer holds.

    A local state is put into its normal form again: a set of nodes, or of facts about one node
    each, stands there as a sorted tuple, and is sorted by the new names.
    """

    def __init__(self, names: Mapping[str, str], node_ids: Collection[str]) -> None:
        """Take the new name of each node and value that gets one, and the names of all nodes."""
        self._names = dict(names)
        self._node_ids = frozenset(node_ids)
        self._fields_of: dict[type[Any], tuple[str, ...]] = {}

    def __call__(self, thing: T) -> T:
        """The same thing under the new names."""
        return cast("T", self._renamed(thing))

    def _renamed(self, thing: Any) -> Any:
        if isinstance(thing, str):
            return self._names.get(thing, thing)
        if isinstance(thing, tuple):
            return self._tuple(cast("Any", thing))
        if is_dataclass(thing) and not isinstance(thing, Quorums):
            return self._dataclass(thing)
        return thing  # quorums look the same under names that are allowed here

    def _tuple(self, items: tuple[Any, ...]) -> tuple[Any, ...]:
        renamed = [self._renamed(item) for item in items]
        if all(new is old for new, old in zip(renamed, items, strict=True)):
            return items
        if type(items) is not tuple:
            of_named_tuple: Any = type(items)
            named: tuple[Any, ...] = of_named_tuple(*renamed)
            return named
        if isinstance(items[0], Envelope):
            return in_order(tuple(renamed))
        if all(isinstance(item, tuple) or item in self._node_ids for item in items):
            return tuple(sorted(renamed, key=_name_in))
        return tuple(renamed)  # one fact about one node

    def _dataclass(self, thing: Any) -> Any:
        kind = cast("Any", type(thing))
        names = self._fields_of.get(kind)
        if names is None:
            names = self._fields_of[kind] = tuple(f.name for f in fields(thing) if f.init)
        before = [getattr(thing, name) for name in names]
        renamed = [self._renamed(part) for part in before]
        if all(new is old for new, old in zip(renamed, before, strict=True)):
            return thing
        return kind(**dict(zip(names, renamed, strict=True)))


def _name_in(item: Any) -> str:
    """What a set of names, or of facts about one name each, is sorted by."""
    return item if isinstance(item, str) else item[0]


def interchangeable_nodes(bounds: Bounds) -> tuple[str, ...]:
    """The members that differ by their names alone: they never propose.

    A node with heartbeats may begin a ballot though nobody asks it for a value.
    """
    if bounds.cluster.kind is not Kind.NODE:
        return ()
    proposing = {node_id for node_id, _ in bounds.proposals}
    return _free(bounds, [m for m in bounds.cluster.members if m not in proposing])


def interchangeable_values(bounds: Bounds) -> tuple[tuple[str, ...], ...]:
    """The values that differ by their names alone: sets of those that the same nodes may want."""
    wanted_by: dict[str, set[str]] = {}
    for node_id, value in bounds.proposals:
        wanted_by.setdefault(value, set()).add(node_id)
    sets: dict[tuple[str, ...], list[str]] = {}
    for value, node_ids in wanted_by.items():
        sets.setdefault(tuple(sorted(node_ids)), []).append(value)
    return tuple(free for values in sets.values() if (free := _free(bounds, values)))


def _free(bounds: Bounds, names: list[str]) -> tuple[str, ...]:
    """Those names, unless they are too few, or one of them has another meaning, too."""
    timers = [CHALLENGE, ROUND, LEADER, PERSIST, SETTLE, *(ANSWER + n for n in bounds.node_ids)]
    values = {value for _, value in bounds.proposals}
    meanings = Counter([*bounds.node_ids, *values, *timers, CLUSTER_NAME, FIRST_INCARNATION])
    is_free = len(names) > 1 and all(meanings[name] == 1 for name in names)
    return tuple(names) if is_free else ()


def exchanges(names: tuple[str, ...], node_ids: Collection[str]) -> list[Renaming]:
    """Each name exchanged with its neighbour: put together, these make every order of them."""
    return [Renaming({one: other, other: one}, node_ids) for one, other in pairwise(names)]
