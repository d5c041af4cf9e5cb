"""What an application writes: a state machine that every node runs, and runs alike.

Every node applies the same commands in the same order, so every node has the same state, if the
machine is deterministic: from the same state, the same command gives the same state and the same
answer, in every process and on every machine (Schneider, *Implementing Fault-Tolerant Services
Using the State Machine Approach*, 1990). `docs/state-machines.md` says what that forbids.

`StateMachine` speaks bytes. `TypedStateMachine` speaks Python: methods marked `@command` and
`@query`, and a state that is declared by annotations. It encodes with msgspec, never with pickle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from paxos.codec import MalformedError
from paxos.errors import FaultError, MisuseError, PaxosError
from paxos.schemas import (
    Attribute,
    Since,
    arguments_of,
    attributes_of,
    copy_of,
    decoder_of,
    join_parts,
    parts_of,
)

__all__ = [
    "Call",
    "CommandError",
    "MachineError",
    "MalformedCommandError",
    "Operation",
    "Since",
    "StateMachine",
    "TypedStateMachine",
    "UnknownCommandError",
    "command",
    "query",
]

MAX_REASON_LENGTH = 1000
"""Characters of a reason that are kept: it is stored with the answers, and people read it."""


class CommandError(PaxosError):
    """This command cannot be done: an answer like any other, the same on every node.

    Raise it from `apply` or a `@command`; the caller gets it. The command counts as applied: what
    it changed before it raised stays changed. So check first, and change then.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason[:MAX_REASON_LENGTH])


class UnknownCommandError(CommandError):
    """No command of this name, as far as the version goes that the log has activated."""


class MalformedCommandError(CommandError):
    """The bytes of this command do not fit."""


class MachineError(FaultError):
    """The machine's own code failed with anything else: a mistake in it, so this node stops.

    Nobody knows what the failed call had changed. Mend the code, and start again: the state comes
    from the last snapshot and the log. All nodes must run the mended code.
    """


class StateMachine(ABC):
    """An application's state, in its most general form: bytes come in, bytes come out."""

    version: ClassVar[int] = 1
    """The newest version of the commands that this code knows."""

    snapshot_stays: ClassVar[bool] = False
    """Whether what `snapshot` returned stays the same while more commands are applied. If so,
    applying goes on while the chunks are taken; if not, it waits."""

    active_version: int = 1
    """The version that the log has activated. Whoever runs the machine sets it. What a newer
    version brought stays unknown until then, on old and new code alike."""

    @abstractmethod
    def apply(self, command: bytes) -> bytes:
        """Carry out the command; return the answer. Deterministic.

        A `CommandError` is an answer, too. Any other exception stops the node.
        """

    def query(self, query: bytes) -> bytes:
        """Answer from the state, and leave it as it is. Runs on one node only."""
        raise UnknownCommandError("this machine answers no queries: give it a method `query`")

    @abstractmethod
    def snapshot(self) -> Iterable[bytes]:
        """Yield the whole state, as chunks of bytes. Equal states yield equal chunks.

        May be a generator, if `snapshot_stays` is false: all chunks are taken before the next
        `apply`. A machine that was restored from them yields the same.
        """

    @abstractmethod
    def restore(self, chunks: Iterable[bytes]) -> None:
        """Take on the state that these chunks hold. Called once, on a machine just made.

        The chunks are those of `snapshot`, one by one. Raise anything if they do not fit: this
        machine is thrown away then, and the old one is kept.
        """


S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")

_encode = msgspec.msgpack.Encoder().encode

_UNREADABLE = (msgspec.MsgspecError, ValueError)  # text that is no Unicode is the latter


@dataclass(frozen=True)
class Call(Generic[R]):
    """A command or query with its arguments, encoded; and how to read its answer."""

    name: str
    payload: bytes
    answers: msgspec.msgpack.Decoder[R]

    def decode(self, answer: bytes) -> R:
        """The answer in these bytes. Raises `MalformedError` if they hold none."""
        try:
            return self.answers.decode(answer)
        except _UNREADABLE as error:
            raise MalformedError(f"this is no answer of {self.name}: {error}") from error


class Operation(Generic[S, P, R]):
    """A typed method of a machine: what `@command` and `@query` make of it.

    On a machine it is that method. On the class it makes calls, as in
    `Inventory.reserve.call("bolt", 2)`.
    """

    arguments: type[Struct]
    """The arguments, tagged with the name of the method."""

    def __init__(self, function: Callable[Concatenate[S, P], R], kind: str, since: int) -> None:
        self.function = function
        self.kind = kind
        self.since = since
        self.name = function.__name__
        self.encoded_name = _encode(self.name)
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, machine: None, owner: type) -> Self: ...
    @overload
    def __get__(self, machine: S, owner: type) -> Callable[P, R]: ...
    def __get__(self, machine: S | None, owner: type) -> Self | Callable[P, R]:
        return self if machine is None else self.function.__get__(machine, owner)

    def __str__(self) -> str:
        whole = signature(self.function)
        return f"{self.name}{whole.replace(parameters=list(whole.parameters.values())[1:])}"

    def resolve(self) -> None:
        """Read the annotations. Raises `MisuseError` for one that will not do."""
        self.arguments, answer = arguments_of(self.function)
        self._arguments: msgspec.msgpack.Decoder[Struct] = msgspec.msgpack.Decoder(self.arguments)
        self._answers: msgspec.msgpack.Decoder[R] = msgspec.msgpack.Decoder(answer)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """This operation with these arguments. Raises `MisuseError` if they do not fit."""
        if not hasattr(self, "arguments"):
            raise MisuseError(f"{self.name} stands in no TypedStateMachine: derive its class")
        try:
            payload = _encode(self.arguments(*args, **kwargs))
            self._arguments.decode(payload)
        except (TypeError, OverflowError, *_UNREADABLE) as error:
            raise MisuseError(f"call it as {self}: {error}") from error
        return Call(self.name, payload, self._answers)


@overload
def command(function: Callable[Concatenate[S, P], R], /) -> Operation[S, P, R]: ...
@overload
def command(*, since: int) -> Callable[[Callable[Concatenate[S, P], R]], Operation[S, P, R]]: ...
def command(function: Callable[..., Any] | None = None, /, *, since: int = 1) -> Any:
    """Mark a method that changes the state; what it returns is the caller's answer.

    `since` is the version that brought it: before the log activates that, nobody has it.
    """

    def mark(function: Callable[..., Any]) -> Operation[Any, ..., Any]:
        return Operation(function, "command", since)

    return mark if function is None else mark(function)


def query(function: Callable[Concatenate[S, P], R], /) -> Operation[S, P, R]:
    """Mark a method that reads the state and leaves it as it is."""
    return Operation(function, "query", 1)


class _Operations:
    """The commands of a machine, or its queries: encoded calls come in, methods come out."""

    def __init__(self, operations: Iterable[Operation[Any, ..., Any]]) -> None:
        self._operation_of = {each.arguments: each for each in operations}
        self._decoder = decoder_of(self._operation_of)

    def understand(
        self, payload: bytes, active_version: int
    ) -> tuple[Operation[Any, ..., Any], Struct]:
        """What is called there, and with what. Raises `CommandError` if that is nothing here.

        The texts are part of the answer. So nothing is in them that other releases of a library
        could say otherwise; and of a command whose version is not active, new code says just what
        old code says, which has never heard of it.
        """
        try:
            arguments = self._decoder.decode(payload)
            operation = self._operation_of[type(arguments)]
        except (*_UNREADABLE, KeyError):
            for each in self._operation_of.values():
                # One byte opens the array. No decoder is asked: how deep it reads may differ.
                if each.since <= active_version and payload[1:].startswith(each.encoded_name):
                    raise MalformedCommandError(
                        f"the arguments of {each.name} do not fit"
                    ) from None
        else:
            if operation.since <= active_version:
                return operation, arguments
        raise UnknownCommandError("nothing of this name can be called")


class TypedStateMachine(StateMachine):
    """A machine of typed methods and annotated attributes: nothing is encoded by hand.

    Each annotated attribute is part of the state. A dict or list starts empty; all others need a
    first value. What is annotated ClassVar is not part of it. A class that cannot be alike on all
    nodes, or cannot be encoded, raises `MisuseError` when it is made, and says what to do.
    """

    snapshot_stays: ClassVar[bool] = True

    _commands: ClassVar = _Operations(())
    _queries: ClassVar = _Operations(())
    _attributes: ClassVar = attributes_of(StateMachine, StateMachine)
    _parts: ClassVar = decoder_of(())

    def __init_subclass__(cls) -> None:
        """Read the methods and annotations of a machine, and refuse what will not do."""
        super().__init_subclass__()
        cls._attributes = attributes_of(cls, TypedStateMachine)
        stays = all(each.stays for each in cls._attributes.values())
        cls.snapshot_stays = cls.snapshot_stays and stays
        cls._parts = decoder_of(each.part for each in cls._attributes.values())
        operations = _operations_of(cls)
        cls._commands = _Operations(each for each in operations if each.kind == "command")
        cls._queries = _Operations(each for each in operations if each.kind == "query")

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        """Give each attribute its first value, whatever `__init__` does."""
        machine = super().__new__(cls)
        machine.active_version = 1
        for name, attribute in cls._attributes.items():
            setattr(machine, name, attribute.first())
        return machine

    def apply(self, command: bytes) -> bytes:
        """Run the `@command` that is called there; return its encoded answer."""
        operation, arguments = self._commands.understand(command, self.active_version)
        answer = _encode(operation.function(self, *astuple(arguments)))
        if len(vars(self)) != len(self._attributes) + 1:  # the one is active_version
            self._complain_of_attributes()
        return answer

    def query(self, query: bytes) -> bytes:
        """Run the `@query` that is called there; return its encoded answer."""
        operation, arguments = self._queries.understand(query, self.active_version)
        return _encode(operation.function(self, *astuple(arguments)))

    def snapshot(self) -> Iterator[bytes]:
        """Yield the attributes in the order of their annotations, large ones in parts.

        If nothing inside them can change, dicts and lists are copied first, and commands are
        applied meanwhile. The copy takes 15 to 150 ms for a million items. If that is too long for
        one step of a node, write `snapshot_stays = False` in the class.
        """
        values = [
            (each, copy_of(getattr(self, name)) if self.snapshot_stays else getattr(self, name))
            for name, each in self._attributes.items()
            if each.since <= self.active_version  # older code must come to the same chunks
        ]
        return self._chunks(values)

    def _chunks(self, values: Iterable[tuple[Attribute, Any]]) -> Iterator[bytes]:
        for attribute, value in values:
            for part in parts_of(value):
                chunk = _encode(attribute.part(part))
                # Now is the time to notice, not when the log below is gone. An int in the place of
                # a float is read back as a float, for one.
                if _encode(self._parts.decode(chunk)) != chunk:
                    raise MisuseError(
                        f"{attribute.name} holds other types than its annotation says"
                    )
                yield chunk

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Take on the attributes; one that no chunk names keeps its first value."""
        begun: set[str] = set()
        for chunk in chunks:
            part = self._parts.decode(chunk)
            name = part.__struct_config__.tag
            if name not in begun:
                begun.add(name)
                setattr(self, name, part.value)
            else:
                join_parts(getattr(self, name), part.value)

    def _complain_of_attributes(self) -> None:
        wrong = ", ".join(sorted(vars(self).keys() ^ {*self._attributes, "active_version"}))
        raise MisuseError(
            f"{type(self).__name__}: {wrong} is not annotated in the class, or was deleted. "
            "Snapshots hold what is annotated, and that must be there"
        )


def _operations_of(cls: type) -> list[Operation[Any, ..., Any]]:
    """The commands and queries of a class and its bases, each ready to be called."""
    found: dict[str, Operation[Any, ..., Any]] = {}
    for base in reversed(cls.__mro__):
        for name, member in vars(base).items():
            if isinstance(member, Operation):
                found[name] = member
            elif name in found:
                raise MisuseError(
                    f"{cls.__qualname__}.{name} stands in the place of a {found[name].kind}: "
                    f"mark it with @{found[name].kind}, too"
                )
    for name, operation in found.items():
        if name != operation.name:
            raise MisuseError(f"{cls.__qualname__}.{name}: a call names {operation.name}; agree")
        operation.resolve()
    return list(found.values())
