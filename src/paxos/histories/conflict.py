"""Which operations cannot be ordered: the few of a failing history that prove it.

A history is shrunk by weakening it, so that what is left over is still a proof. What changes
nothing (a read) is left out. Any other operation becomes unknown: it may take effect at any time
from its invocation on, or never. Whatever has an order keeps it under both. So if the weakened
history has none, neither has the whole; and that a read loses its writer is never mistaken for a
conflict, because the write is still there to be used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from paxos.histories.history import Operation
from paxos.histories.ordering import Ordering, Watch, order
from paxos.histories.sequential import Hint, Model, State

__all__ = ["Conflict", "find_conflict"]

NEAR = 200
"""So many operations before the last are tried first: several times as many as overlap."""

MAX_CHECKS = 1_000
"""A conflict of more operations than this can test one by one helps nobody; then the rest stays."""

STATES_WHILE_SHRINKING = 20_000
"""A weaker history that takes a longer search is not taken: another will do."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Operations of one partition that cannot be ordered."""

    partition: object
    operations: tuple[Operation, ...]
    """By invocation. They have no order, even if each other operation of this partition may take
    effect at any time from its invocation on, or never."""
    helpers: tuple[Operation, ...]
    """Those others that leave a state which one of `operations` needs: they cannot mend it."""
    minimal: bool
    """Each of `operations` is needed: with any one of them weakened too, there is an order.
    If False, the search was cut short, and some may be left out."""
    prefix: int
    """So many operations of this partition return before the first return that no order gets past,
    and have an order."""
    state: State
    """The state at the end of that order. Another order may end in another state."""
    impossible: Operation
    """The one that makes that return."""


def find_conflict(
    model: Model,
    partition: object,
    operations: Sequence[Operation],
    failed: Ordering,
    watch: Watch | None = None,
) -> Conflict:
    """The conflict in a partition for which the search has found no order."""
    shrinking = _Shrinking(model, watch)
    cut = shrinking.cut(operations, failed)
    returns = [each for each in cut if each.known]
    last = max(returns, key=lambda each: each.returned or 0)
    core, rest, minimal = shrinking.shrink(cut)
    needs = {model.needs(each) for each in core}
    return Conflict(
        partition,
        tuple(sorted((each for each in core), key=lambda each: each.invoked)),
        tuple(each for each in rest if model.makes(each) in needs),
        minimal,
        len(returns) - 1,
        _state_before(model, cut, last),
        last,
    )


class _Shrinking:
    """Weakens a history as long as it still has no order."""

    def __init__(self, model: Model, watch: Watch | None) -> None:
        self._model = model
        self._watch = watch
        self._checks = 0
        self._unsure = False

    def _has_none(self, operations: Sequence[Operation]) -> bool:
        """Whether there is surely no order."""
        self._checks += 1
        if self._checks > MAX_CHECKS:
            self._unsure = True
            return False
        found = order(self._model, operations, STATES_WHILE_SHRINKING, self._watch)
        self._unsure |= found.possible is None
        return found.possible is False

    def cut(self, operations: Sequence[Operation], failed: Ordering) -> Sequence[Operation]:
        """The shortest prefix without an order.

        A prefix of a history that has an order has one, too (Herlihy and Wing 1990, section 2.3).
        The search itself may give up earlier than that: it looks ahead.
        """
        returns = sorted(each.returned for each in operations if each.returned is not None)
        low = returns.index(failed.blocked) if failed.blocked in returns else 0
        high, best, step = len(returns) - 1, operations, 1
        reach = low
        while low < high:  # doubling steps from where the search stood, then halves
            middle = min(reach, (low + high) // 2)
            prefix = _until(operations, returns[middle])
            if self._has_none(prefix):
                high, best = middle, prefix
                reach = (low + high) // 2
            else:
                low, reach, step = middle + 1, middle + 1 + step, step * 2
        return best

    def shrink(
        self, operations: Sequence[Operation]
    ) -> tuple[list[Operation], list[Operation], bool]:
        """The operations that matter; the others, weakened; and whether each matters surely."""
        self._unsure = False
        core = [each for each in operations if each.known]
        rest = [each for each in operations if not each.known]
        near, far = self._split(core)
        weaker = [each for each in map(self._weakened, far) if each is not None]
        if far and self._has_none([*near, *rest, *weaker]):
            core, rest = near, [*rest, *weaker]
        size = len(core)
        while size:
            at = 0
            while at < len(core):
                part = core[at : at + size]
                weaker = [each for each in map(self._weakened, part) if each is not None]
                kept = core[:at] + core[at + size :]
                if self._has_none([*kept, *rest, *weaker]):
                    core, rest = kept, [*rest, *weaker]
                else:
                    at += size
            size //= 2
        return core, rest, not self._unsure

    def _split(self, core: Sequence[Operation]) -> tuple[list[Operation], list[Operation]]:
        """Most conflicts are near the end, but for what made the value that is needed there."""
        model, last = self._model, max(core, key=lambda each: each.returned or 0)
        need, start = model.needs(last), core[-NEAR:][0].invoked
        near, far = list[Operation](), list[Operation]()
        for each in core:
            related = need in (model.needs(each), model.makes(each))
            (near if each.invoked >= start or related else far).append(each)
        return near, far

    def _weakened(self, operation: Operation) -> Operation | None:
        if self._model.makes(operation) is Hint.SAME:
            return None
        return replace(operation, returned=None)


def _until(operations: Sequence[Operation], last: int) -> list[Operation]:
    """The history up to a return: what is under way then is unknown."""
    return [
        each
        if each.returned is not None and each.returned <= last
        else replace(each, returned=None)
        for each in operations
        if each.invoked < last
    ]


def _state_before(model: Model, operations: Sequence[Operation], last: Operation) -> State:
    """Where an order of all that returns before the last ends."""
    earlier = [replace(each, returned=None) if each == last else each for each in operations]
    state = model.initial
    for operation in order(model, earlier, STATES_WHILE_SHRINKING).order:
        state = model.step(state, operation)
    return state
