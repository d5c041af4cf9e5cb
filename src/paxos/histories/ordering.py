"""The search for an order of one partition's operations that a model allows.

It is that of Wing and Gong (1993): take an operation that no other precedes, try it on the model,
go on, and take back what leads nowhere; with Lowe's (2017) memory of configurations, so that no
two ways to the same set of operations and the same state are both followed. A set is kept relative
to the first operation that it lacks, so what a step costs depends on how many operations overlap,
and not on how long the history is.

Five rules cut the search short. None loses an order, and each is tested against a search of all
permutations. They rest on a model's hints; a model without hints gets the plain search.

A. What changes nothing is taken as soon as it is possible. In any order that has it later, it can
   be moved to here.
B. A state is not left while a completed operation still needs it and nothing is left that makes
   it: that operation would never be possible again.
C. An unknown operation is taken only when one that could follow it at once has a use for it. In an
   order with the fewest unknown operations, each is followed by one that needs it.
D. If nothing is left that needs the state before a step or the one after it, and nothing is left
   whose needs or makes vary, that step is not taken back. With what rule A took after it, it can be
   moved to here in any order: whatever stands around its old place needs neither state.
E. The operation that returns first must become possible by those that overlap it now. If all of
   these only build on the state, and the model says that they cannot lead there, this is an end.
   If all that are left only build on it, the same holds for any operation that is left.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from paxos.histories.history import Operation
from paxos.histories.sequential import Hint, Model, State

__all__ = ["Ordering", "Watch", "order"]

Watch = Callable[[int], str | None]
"""Is asked now and then, with the number of configurations so far; a string ends the search."""

WATCH_EVERY = 512


@dataclass(frozen=True, slots=True)
class Ordering:
    """What became of a search."""

    possible: bool | None
    """None: it was stopped, and nobody knows."""
    order: tuple[Operation, ...] = ()
    """If possible: one order, with those of the unknown operations that it needs."""
    states: int = 0
    """How many configurations were seen."""
    blocked: int = 0
    """If not possible: the furthest return that the search could not get past."""
    stopped: str | None = None


def order(
    model: Model, operations: Sequence[Operation], max_states: int, watch: Watch | None = None
) -> Ordering:
    """Search one partition; stop at `max_states` configurations, or when `watch` says so."""
    return _Search(model, operations).run(max_states, watch)


@dataclass(slots=True)
class _Frame:
    """A step of the search that may have to be taken back."""

    taken: int  # -1: the beginning
    before: State
    state: State
    linearized: tuple[int, int, int]
    absorbed: list[int] = field(default_factory=list[int])
    choices: list[int] = field(default_factory=list[int])  # the next one last
    blocker: int = -1


class _Search:
    """Known operations have the numbers 0 to n - 1, by invocation; after them come the unknown.

    Their invocations and returns form a linked list (Lowe 2017, section 3): entry 0 is its head.
    """

    def __init__(self, model: Model, operations: Iterable[Operation]) -> None:
        self.model = model
        by_invocation = sorted(operations, key=lambda each: each.invoked)
        known = [each for each in by_invocation if each.known]
        unknown = [each for each in by_invocation if not each.known]
        self.operations = known + _useful(model, known, unknown)
        self.known = len(known)
        self.needs = [model.needs(each) for each in self.operations]
        self.makes = [model.makes(each) for each in self.operations]
        self._link()
        self._group()
        self._count()
        self.first, self.later, self.unknown_taken = 0, 0, 0
        """The set of operations that are in order: all known ones below `first`; of those after it
        the bits of `later`; and bits of unknown ones."""

    def _link(self) -> None:
        """Make the list of entries."""
        entries = [(each.invoked, i, True) for i, each in enumerate(self.operations[: self.known])]
        entries += [
            (each.returned or 0, i, False) for i, each in enumerate(self.operations[: self.known])
        ]
        entries.sort()
        size = len(entries)
        self.call_at, self.return_at = [0] * self.known, [0] * self.known
        self.owner = [-1] * (size + 1)
        for at, (_, i, is_call) in enumerate(entries, start=1):
            self.owner[at] = i
            (self.call_at if is_call else self.return_at)[i] = at
        self.after = [*range(1, size + 1), 0]
        self.before = [size, *range(size)]
        self.remaining = self.known

    def _group(self) -> None:
        """Unknown operations that ask for the same are alike.

        The earliest is always taken first, for it may stand wherever another may.
        """
        groups: dict[object, list[int]] = defaultdict(list)
        for i in range(self.known, len(self.operations)):
            each = self.operations[i]
            groups[each.f, each.input, each.output].append(i)
        self.groups = list(groups.values())
        self.used = [0] * len(self.groups)
        self.group_of = {i: g for g, members in enumerate(self.groups) for i in members}
        self.groups_making: dict[State, list[int]] = defaultdict(list)
        for g, members in enumerate(self.groups):
            self.groups_making[self.makes[members[0]]].append(g)

    def _count(self) -> None:
        """What is left to do, by what it needs and makes."""
        self.known_needs = Counter(self.needs[: self.known])
        self.all_needs = Counter(self.needs)
        self.all_makes = Counter(self.makes)
        self.builders = self.all_makes[Hint.VARIES]
        self.settles_left = len(self.makes) - self.builders - self.all_makes[Hint.SAME]
        """How many are left that leave one state, whatever was before."""
        self.needy = sorted(
            (i for i in range(self.known) if not isinstance(self.needs[i], Hint)),
            key=lambda i: self.operations[i].returned or 0,
        )
        self.needy_rank = {i: rank for rank, i in enumerate(self.needy)}
        self.needy_from = 0
        """All before this place in `needy` are in order."""

    # The search itself.

    def run(self, max_states: int, watch: Watch | None) -> Ordering:
        """Search on until an order is complete, or nothing is left to try."""
        seen: set[tuple[int, int, int, State]] = set()
        stack = [_Frame(-1, Hint.IMPOSSIBLE, self.model.initial, self._linearized())]
        self._look_around(stack[0])
        furthest = asked = 0
        while self.remaining:
            frame = stack[-1]
            if not frame.choices:
                furthest = max(furthest, self.operations[frame.blocker].returned or 0)
                self._take_back(stack.pop())
                if not stack:
                    return Ordering(False, states=len(seen), blocked=furthest)
                continue
            following = self._take(frame, frame.choices.pop())
            stack.append(following)
            if self._is_hopeless(following):
                following.choices = []
                continue
            self._look_around(following)
            configuration = (self.first, self.later, self.unknown_taken, following.state)
            if configuration in seen:
                following.choices = []
                continue
            seen.add(configuration)
            if self._stays(following):
                frame.choices = []
            if len(seen) >= asked:
                asked = len(seen) + WATCH_EVERY
                stopped = watch(len(seen)) if watch is not None else None
                if stopped is not None:
                    return Ordering(None, states=len(seen), stopped=stopped)
            if len(seen) >= max_states:
                return Ordering(None, states=len(seen), stopped=f"{max_states:,} states seen")
        return Ordering(True, self._order(stack), len(seen))

    def _linearized(self) -> tuple[int, int, int]:
        return self.first, self.later, self.unknown_taken

    def _take(self, frame: _Frame, i: int) -> _Frame:
        """Put an operation next."""
        linearized = self._linearized()
        state = self.model.step(frame.state, self.operations[i])
        self._lift(i)
        return _Frame(i, frame.state, state, linearized, blocker=frame.blocker)

    def _take_back(self, frame: _Frame) -> None:
        for i in reversed(frame.absorbed):
            self._unlift(i)
        if frame.taken >= 0:
            self._unlift(frame.taken)
        self.first, self.later, self.unknown_taken = frame.linearized

    def _order(self, stack: Iterable[_Frame]) -> tuple[Operation, ...]:
        numbers = (i for frame in stack for i in (frame.taken, *frame.absorbed) if i >= 0)
        return tuple(self.operations[i] for i in numbers)

    # What is possible next.

    def _look_around(self, frame: _Frame) -> None:
        """Take what changes nothing (rule A), and find what may come next.

        An operation may come next if it was invoked before the first return of one that is not in
        order yet (Wing and Gong 1993, section 3).
        """
        state, operations, needs, makes = frame.state, self.operations, self.needs, self.makes
        step = self.model.step
        possible: list[int] = []
        minimal: list[int] = []
        at = self.after[0]
        while at:
            i = self.owner[at]
            if at == self.return_at[i]:
                frame.blocker = i
                break
            need = needs[i]
            if (need is Hint.ANY or need is Hint.VARIES or need == state) and step(
                state, operations[i]
            ) is not Hint.IMPOSSIBLE:
                if makes[i] is Hint.SAME:
                    self._lift(i)
                    frame.absorbed.append(i)
                    at = self.after[at]
                    continue
                possible.append(i)
            minimal.append(i)
            at = self.after[at]
        if not self.remaining or self._cannot_reach(frame, minimal):
            return
        return_at = self.return_at
        possible.sort(key=lambda i: return_at[i], reverse=True)
        frame.choices = (
            self._unknown_choices(state, minimal, frame.blocker) if self.groups else []
        ) + possible

    def _unknown_choices(self, state: State, minimal: Sequence[int], blocker: int) -> list[int]:
        """Unknown operations for which one that may come next has a use (rule C)."""
        found: list[int] = []
        wanted = [self.needs[i] for i in minimal]
        if any(self.makes[i] is Hint.VARIES for i in minimal):
            wanted.append(Hint.VARIES)
        looked_at = set[int]()
        while wanted:
            for g in self._groups_of_use(wanted.pop()):
                i = -1 if g in looked_at else self._next_of(g, blocker)
                looked_at.add(g)
                if i < 0:
                    continue
                wanted.append(self.needs[i])
                if self.makes[i] is Hint.VARIES:
                    wanted.append(Hint.VARIES)
                if self.model.step(state, self.operations[i]) is not Hint.IMPOSSIBLE:
                    found.append(i)
        return found

    def _groups_of_use(self, need: State) -> Iterable[int]:
        """Groups of unknown operations that could leave a state which is needed."""
        if need is Hint.ANY:
            return ()
        if need is Hint.VARIES:
            return range(len(self.groups))
        return (*self.groups_making.get(need, ()), *self.groups_making.get(Hint.VARIES, ()))

    def _next_of(self, g: int, blocker: int) -> int:
        """The next unknown operation of a group, if it was invoked early enough; or -1."""
        members, used = self.groups[g], self.used[g]
        if used == len(members):
            return -1
        i = members[used]
        return i if self.operations[i].invoked < (self.operations[blocker].returned or 0) else -1

    # The rules.

    def _is_hopeless(self, frame: _Frame) -> bool:
        """Rule B, just after the step."""
        before = frame.before
        return (
            before != frame.state
            and self.known_needs[before] > 0
            and self.all_makes[before] == 0
            and self.all_makes[Hint.VARIES] == 0
        )

    def _stays(self, frame: _Frame) -> bool:
        """Rule D."""
        needs = self.all_needs
        return (
            self.makes[frame.taken] is not Hint.VARIES  # elsewhere it would leave another state
            and needs[frame.before] == 0
            and needs[frame.state] == 0
            and needs[Hint.VARIES] == 0
            and self.all_makes[Hint.VARIES] == 0
        )

    def _cannot_reach(self, frame: _Frame, minimal: Iterable[int]) -> bool:
        """Rule E."""
        if not self.builders:
            return False
        if self.settles_left == 0:
            return self._leads_past(frame.state, self._first_to_need())
        if not self._leads_past(frame.state, frame.blocker):
            return False
        overlapping = [*minimal, *self._unknown_overlapping(frame.blocker)]
        return all(self.makes[i] in (Hint.SAME, Hint.VARIES) for i in overlapping)

    def _leads_past(self, state: State, i: int) -> bool:
        """Whether what builds on this state never makes that operation possible."""
        need = self.needs[i] if i >= 0 else Hint.ANY
        if need is Hint.ANY or need is Hint.VARIES or need == state:
            return False
        return not self.model.leads_to(state, need)

    def _first_to_need(self) -> int:
        """Of the operations that need one state, the one that returns first; or -1."""
        while self.needy_from < len(self.needy):
            i = self.needy[self.needy_from]
            if self.after[self.before[self.call_at[i]]] == self.call_at[i]:  # still on the list
                return i
            self.needy_from += 1
        return -1

    def _unknown_overlapping(self, blocker: int) -> Iterable[int]:
        there = (self._next_of(g, blocker) for g in range(len(self.groups)))
        return (i for i in there if i >= 0)

    # Which operations are in order.

    def _lift(self, i: int) -> None:
        """Put an operation into the set of those in order, and off the list."""
        need = self.needs[i]
        self.all_needs[need] -= 1
        self.all_makes[self.makes[i]] -= 1
        self.settles_left -= not isinstance(self.makes[i], Hint)
        if i >= self.known:
            self.used[self.group_of[i]] += 1
            self.unknown_taken |= 1 << (i - self.known)
            return
        self.known_needs[need] -= 1
        self.remaining -= 1
        before, after = self.before, self.after
        for at in (self.return_at[i], self.call_at[i]):  # so `after` an invocation stays right
            left, right = before[at], after[at]
            after[left], before[right] = right, left
        if i != self.first:
            self.later |= 1 << (i - self.first)
            return
        # The lowest bit, for `first` itself, is never set: skip what is in order right after it.
        later = self.later >> 1
        skipped = (~later & (later + 1)).bit_length() - 1
        self.first += 1 + skipped
        self.later = later >> skipped

    def _unlift(self, i: int) -> None:
        """Undo `_lift`, but for the set itself, which the frame keeps."""
        need = self.needs[i]
        self.all_needs[need] += 1
        self.all_makes[self.makes[i]] += 1
        self.settles_left += not isinstance(self.makes[i], Hint)
        self.needy_from = min(self.needy_from, self.needy_rank.get(i, self.needy_from))
        if i >= self.known:
            self.used[self.group_of[i]] -= 1
            return
        self.known_needs[need] += 1
        self.remaining += 1
        before, after = self.before, self.after
        for at in (self.call_at[i], self.return_at[i]):
            left, right = before[at], after[at]
            after[left], before[right] = at, at


def _useful(
    model: Model, known: Iterable[Operation], unknown: Iterable[Operation]
) -> list[Operation]:
    """The unknown operations that may matter: the others neither give an order nor prevent one.

    What leaves every state as it was may as well not have happened. Neither need one have that
    leaves a state which nothing needs, if all that follows says what it needs and what it makes.
    """
    left = [each for each in unknown if model.makes(each) is not Hint.SAME]
    known = list(known)
    while True:
        there = [*known, *left]
        needs = {model.needs(each) for each in there}
        if Hint.VARIES in needs or any(model.makes(each) is Hint.VARIES for each in there):
            return left
        useful = [each for each in left if model.makes(each) in needs]
        if len(useful) == len(left):
            return left
        left = useful
