"""What an object does when one client uses it alone: the yardstick of linearizability.

A model is a sequential specification (Herlihy and Wing 1990, section 2.2). Two come with paxos:
a register, and a store of keys and values. Your own derives from `Model`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from enum import Enum
from typing import ClassVar, TypeAlias, cast

from paxos.histories.history import Missing, Operation

__all__ = ["MODELS", "Hint", "KeyValue", "Model", "Register", "State"]

State: TypeAlias = Hashable


class Hint(Enum):
    """What a model can say of an operation, apart from a state; no state equals these."""

    IMPOSSIBLE = "impossible"  # not with that outcome, in that state
    ANY = "any"  # possible in every state
    SAME = "same"  # leaves every state as it was
    VARIES = "varies"  # depends on the state

    __hash__ = object.__hash__  # as equality is; the enumeration's own is slow


class Model(ABC):
    """A sequential specification.

    `step` says it all. `needs` and `makes` are hints: they let the checker see further ahead, and
    must agree with `step`. States are immutable and hashable.
    """

    initial: State

    @abstractmethod
    def step(self, state: State, operation: Operation) -> State:
        """The state after it, or `Hint.IMPOSSIBLE` if it could not end like this.

        An operation without an answer has the output `Missing.NO_ANSWER`, and fits any.
        """

    def partition(self, operation: Operation) -> Hashable:
        """Operations of different partitions never concern each other: they are checked apart.

        Linearizability is local (Herlihy and Wing 1990, theorem 1).
        """
        return operation.key

    def complaint(self, operation: Operation) -> str | None:
        """What is wrong with an operation that this object does not know, and what to do."""
        return None

    def needs(self, operation: Operation) -> State:
        """The only state in which it is possible; or `Hint.ANY`, or `Hint.VARIES`."""
        return Hint.VARIES

    def makes(self, operation: Operation) -> State:
        """The state that it leaves, whatever was before; or `Hint.SAME`, or `Hint.VARIES`."""
        return Hint.VARIES

    def leads_to(self, state: State, wanted: State) -> bool:
        """Whether operations whose `makes` varies could ever lead from one state to the other."""
        return True


class Register(Model):
    """One value, or one for each key: read, write, cas (compare and set). None at first.

    The input of cas is (expected, new). Its output False says that another value was found.
    """

    names: ClassVar[dict[str, str]] = {"read": "read", "write": "write", "cas": "cas"}
    """What stands in `f`, and which of our operations that is."""

    initial: State = None

    def step(self, state: State, operation: Operation) -> State:
        """The state after it, or `Hint.IMPOSSIBLE`."""
        match self.names[operation.f]:
            case "read":
                return state if _fits(operation.output, state) else Hint.IMPOSSIBLE
            case "cas":
                expected, new = _pair(operation)
                if operation.output is False:
                    return state if state != expected else Hint.IMPOSSIBLE
                return new if state == expected else Hint.IMPOSSIBLE
            case _:
                return operation.input

    def needs(self, operation: Operation) -> State:
        """The only state in which it is possible, or a hint."""
        match self.names[operation.f]:
            case "read":
                answer = operation.output
                return Hint.ANY if answer is Missing.NO_ANSWER else answer
            case "cas":
                return Hint.VARIES if operation.output is False else _pair(operation)[0]
            case _:
                return Hint.ANY

    def makes(self, operation: Operation) -> State:
        """The state that it leaves, or a hint."""
        match self.names[operation.f]:
            case "read":
                return Hint.SAME
            case "cas":
                return Hint.SAME if operation.output is False else _pair(operation)[1]
            case _:
                return operation.input

    def complaint(self, operation: Operation) -> str | None:
        """What is wrong with it, and what to do."""
        match self.names.get(operation.f):
            case None:
                return f"f is one of {', '.join(self.names)}, and not {operation.f!r}"
            case "read":
                return _complaint_about_read(operation)
            case "cas":
                return _complaint_about_cas(operation)
            case _:
                return self._complaint_about_write(operation)

    def _complaint_about_write(self, operation: Operation) -> str | None:
        if not _is_value(operation.input):
            return f"a {operation.f} says what: give a string, a whole number or null as value"
        return _complaint_about_echo(operation)


class KeyValue(Register):
    """Keys, each with a value or none: get, put, delete, cas and append.

    The state is that of one key; None is "no such key". `append` takes no key for "".
    """

    names: ClassVar[dict[str, str]] = {
        "get": "read",
        "put": "write",
        "delete": "delete",
        "cas": "cas",
        "append": "append",
    }

    def step(self, state: State, operation: Operation) -> State:
        """The state after it, or `Hint.IMPOSSIBLE`."""
        match operation.f:
            case "append":
                return _appended(state, operation)
            case "delete":
                return None
            case _:
                return super().step(state, operation)

    def needs(self, operation: Operation) -> State:
        """The only state in which it is possible, or a hint."""
        # To append to a number is impossible, but a put of a number is rare beside it.
        return Hint.VARIES if operation.f == "append" else super().needs(operation)

    def makes(self, operation: Operation) -> State:
        """The state that it leaves, or a hint."""
        match operation.f:
            case "append":
                return Hint.VARIES
            case "delete":
                return None
            case _:
                return super().makes(operation)

    def leads_to(self, state: State, wanted: State) -> bool:
        """Appending leads only to what begins like this."""
        start = "" if state is None else state
        return isinstance(wanted, str) and isinstance(start, str) and wanted.startswith(start)

    def complaint(self, operation: Operation) -> str | None:
        """What is wrong with it, and what to do."""
        if operation.f in self.names and operation.key is None:
            return f"a {operation.f} says of which key: give a string or a whole number as key"
        return super().complaint(operation)

    def _complaint_about_write(self, operation: Operation) -> str | None:
        if operation.f == "delete":
            if operation.input not in (None, Missing.NO_VALUE):
                return "a delete has no value: leave it out"
        elif operation.f == "append":
            if not isinstance(operation.input, str):
                return "append adds a string: give it as value"
        elif operation.input is None:
            return "null is no value of a key: write a delete"
        else:
            return super()._complaint_about_write(operation)
        return _complaint_about_echo(operation)


MODELS: dict[str, type[Model]] = {"register": Register, "kv": KeyValue}
"""By the names that `paxos check --model` knows."""


def _fits(output: Hashable, state: State) -> bool:
    return output is Missing.NO_ANSWER or output == state


def _pair(operation: Operation) -> tuple[Hashable, Hashable]:
    return cast("tuple[Hashable, Hashable]", operation.input)  # `complaint` saw that it is one


def _appended(state: State, operation: Operation) -> State:
    if state is None:
        return operation.input
    if isinstance(state, str) and isinstance(operation.input, str):
        return state + operation.input
    return Hint.IMPOSSIBLE


def _is_value(value: Hashable) -> bool:
    """Booleans are none: to Python, true equals 1."""
    return value is None or (isinstance(value, int | str) and not isinstance(value, bool))


def _is_pair(value: Hashable) -> bool:
    if not isinstance(value, tuple):
        return False
    pair = cast("tuple[Hashable, ...]", value)
    return len(pair) == 2 and all(map(_is_value, pair))


def _complaint_about_read(operation: Operation) -> str | None:
    if operation.input not in (None, Missing.NO_VALUE):
        return f"a {operation.f} asks for no value: leave it out, and give what was read in the ok"
    if operation.output is Missing.NO_ANSWER or _is_value(operation.output):
        return None
    return (
        f"the ok of a {operation.f} says what was read: give a string, a whole number, or null for "
        "nothing, as value"
    )


def _complaint_about_cas(operation: Operation) -> str | None:
    if not _is_pair(operation.input):
        return "cas has a pair as value: give [expected, new]"
    if operation.output is False or operation.output is True:
        return None
    return _complaint_about_echo(operation)


def _complaint_about_echo(operation: Operation) -> str | None:
    """The ok of a write may repeat its value, or have none."""
    if operation.output in (Missing.NO_ANSWER, Missing.NO_VALUE, None, operation.input):
        return None
    return f"the ok of a {operation.f} has no other value than its invoke: leave it out"
