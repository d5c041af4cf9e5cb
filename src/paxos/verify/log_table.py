"""A table of a log: what `table` and `symmetry` do for one decision, with the words of a log."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

from paxos.log.entries import Configuration
from paxos.verify.log_bounds import LogBounds
from paxos.verify.log_model import LogModel, without_parts
from paxos.verify.moves import Limits
from paxos.verify.renaming import Renaming
from paxos.verify.symmetry import Symmetry
from paxos.verify.table import Table


class LogTable(Table):
    """Interns what a log is made of. A table looks into neither states nor messages."""

    def __init__(self, bounds: LogBounds, only: str | None = None) -> None:
        """Take what can happen, and perhaps the only invariant (by its ID) to look at."""
        super().__init__(cast("Any", LogModel(bounds)), only)
        self.log_bounds = bounds
        self._kept_of: list[dict[int, int]] = [{} for _ in bounds.node_ids]

    def _speeds(self, node: int, limits: Limits) -> tuple[bool, ...]:
        """At once, or if the node can crash, never: see `LogModel.duties`."""
        if self.log_bounds.every_step:
            return super()._speeds(node, limits)
        can_crash = limits.crash and self.node_ids[node] in self.log_bounds.who_may_crash
        return (True, False) if can_crash else (True,)

    def _kept(self, node: int, local: int) -> int:
        """Votes and promises that have not led to anything yet may as well come once more."""
        if self.log_bounds.every_step:
            return local
        known = self._kept_of[node]
        if local not in known:
            known[local] = self.number_for(node, without_parts(self.local_of(node, local)))
        return known[local]


class LogSymmetry(Symmetry):
    """Members that never propose are interchangeable, as long as no member changes."""

    @staticmethod
    def _interchangeable(bounds: Any) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        return interchangeable(bounds), ()

    @staticmethod
    def _all_exchanges(names: tuple[str, ...], node_ids: tuple[str, ...]) -> list[Renaming]:
        return [LogRenaming({a: b, b: a}, node_ids) for a, b in pairwise(names)]


class LogRenaming(Renaming):
    """All configurations are of all who may be exchanged, so they look the same."""

    def _renamed(self, thing: Any) -> Any:
        return thing if isinstance(thing, Configuration) else super()._renamed(thing)


def interchangeable(bounds: LogBounds) -> tuple[str, ...]:
    """The members that differ by their names alone."""
    apart = (*bounds.proposers, *(bounds.crashing or ()))
    if bounds.taught is not None:
        apart = (*apart, *bounds.taught)
    free = tuple(each for each in bounds.members if each not in apart)
    return free if len(free) > 1 and not bounds.changes else ()
