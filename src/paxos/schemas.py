"""Annotations as schemas: what the commands, the answers and the state of a typed machine may hold.

A schema is a msgspec struct, written as an array and tagged with a name. What cannot be encoded, or
has no order of its own, is refused when the machine's class is made: before any log holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from inspect import Parameter, signature
from itertools import islice
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import Struct, inspect

from paxos.errors import MisuseError

ITEMS_A_PART: Final = 512
"""Items of a dict or list that are encoded at once. A part of small items has some ten kilobytes:
encoding it takes well under a millisecond, and that is how long a node may be busy with it."""

_UNORDERED = (inspect.SetType, inspect.FrozenSetType)
_WITHOUT_SCHEMA = (
    inspect.AnyType,
    inspect.CustomType,
    inspect.ExtType,
    inspect.RawType,
    inspect.MemoryViewType,
)
_LENIENT = (inspect.DataclassType, inspect.TypedDictType)

_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Since:
    """Annotated onto an attribute: the version that brought it. Older snapshots do without it."""

    version: int


@dataclass(frozen=True, slots=True)
class Attribute:
    """One annotated attribute of a machine."""

    name: str

    part: type[Struct]
    """Its value, or a part of it, tagged with its name."""

    first: Callable[[], Any]
    """Makes its first value, each time anew."""

    since: int
    """The version that brought it."""

    stays: bool
    """Whether a shallow copy of it never changes: nothing that can change is inside."""


def decoder_of(structs: Iterable[type[Struct]]) -> msgspec.msgpack.Decoder[Any]:
    """A decoder for any of these structs, told apart by their tags. It takes nothing else."""
    members = tuple(structs)
    union: Any = Union[members] if members else None  # noqa: UP007 - `|` takes no tuple
    return msgspec.msgpack.Decoder(union)


def arguments_of(function: Callable[..., Any]) -> tuple[type[Struct], Any]:
    """The arguments of a method as a struct, without `self`; and the type of its answer.

    Raises `MisuseError` for a parameter that is not annotated, or cannot be sent.
    """
    where = function.__qualname__
    hints = _hints(function, where)
    parameters = list(signature(function).parameters.values())[1:]
    fields: list[Any] = []
    for parameter in parameters:
        _check_parameter(parameter, hints, where)
        annotation = hints[parameter.name]
        _refuse(annotation, f"{where}, parameter {parameter.name}", strict=True)
        required = parameter.default is Parameter.empty
        default = () if required else (parameter.default,)
        fields.append((parameter.name, annotation, *default))
    if "return" not in hints:
        raise MisuseError(f"{where}: annotate what it returns, with None if that is nothing")
    _refuse(hints["return"], f"{where}, its answer", strict=False)
    return _struct(function.__name__, fields, where), hints["return"]


def attributes_of(cls: type, base: type) -> dict[str, Attribute]:
    """What is annotated in this class and those between it and its base.

    Raises `MisuseError` for what cannot be in a snapshot, and for a missing first value.
    """
    taken = _hints(base, base.__qualname__)
    found: dict[str, Attribute] = {}
    for name, annotation in _hints(cls, cls.__qualname__).items():
        if annotation is ClassVar or get_origin(annotation) is ClassVar:
            continue
        if name not in taken:
            found[name] = _attribute(cls, name, annotation)
        elif annotation != taken[name]:
            raise MisuseError(
                f"{cls.__qualname__}.{name} means something in {base.__name__}: if you mean that, "
                "annotate it as ClassVar or not at all; else take another name"
            )
    return found


def parts_of(value: Any) -> Iterator[Any]:
    """A large dict or list in pieces, in its own order; anything else as it is."""
    if value.__class__ is list:
        for start in range(0, len(value) or 1, ITEMS_A_PART):
            yield value[start : start + ITEMS_A_PART]
    elif value.__class__ is dict:
        items: Iterator[tuple[Any, Any]] = iter(value.items())
        yield dict(islice(items, ITEMS_A_PART))
        while part := dict(islice(items, ITEMS_A_PART)):
            yield part
    else:
        yield value


def copy_of(value: Any) -> Any:
    """A shallow copy of a dict or list; anything else as it is."""
    if value.__class__ is list or value.__class__ is dict:
        return value.copy()
    return value


def join_parts(whole: Any, part: Any) -> None:
    """Add to a dict or list what comes next. Raises TypeError if this is neither."""
    if whole.__class__ is list:
        whole.extend(part)
    elif whole.__class__ is dict:
        whole.update(part)
    else:
        raise TypeError(f"{whole.__class__.__name__} has no parts")


def _hints(annotated: Any, where: str) -> dict[str, Any]:
    try:
        return get_type_hints(annotated, include_extras=True)
    except (NameError, TypeError) as error:
        raise MisuseError(
            f"{where}: an annotation cannot be read ({error}). Import or define, in the module "
            "itself, each type that it names"
        ) from error


def _check_parameter(parameter: Parameter, hints: dict[str, Any], where: str) -> None:
    if parameter.kind is not Parameter.POSITIONAL_OR_KEYWORD:
        raise MisuseError(f"{where}: make {parameter} a plain parameter, without * and /")
    if parameter.name not in hints:
        raise MisuseError(f"{where}: annotate {parameter.name}, so that it can be encoded")


def _attribute(cls: type, name: str, annotation: Any) -> Attribute:
    where = f"{cls.__qualname__}.{name}"
    if name.startswith("__"):
        raise MisuseError(f"{where}: a name that begins with __ changes with the class: rename it")
    _refuse(annotation, where, strict=False)
    marks = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    since = next((mark.version for mark in marks if isinstance(mark, Since)), 1)
    part = _struct(name, [("value", annotation)], where)
    first = _first_value(cls, name, annotation, where)
    return Attribute(name, part, first, since, _stays(inspect.type_info(annotation)))


def _first_value(cls: type, name: str, annotation: Any, where: str) -> Callable[[], Any]:
    """Decodes it anew for each machine, so that no two ever share a list."""
    plain = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    kind = get_origin(plain) or plain
    value: Any
    if hasattr(cls, name):
        value = getattr(cls, name)
    elif kind in {dict, list}:
        value = {} if kind is dict else []
    else:
        raise MisuseError(f"{where}: give it a first value, as in `{name}: int = 0`")
    decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(annotation)
    try:
        encoded = _encode(value)
        decoder.decode(encoded)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise MisuseError(f"{where}: its first value does not fit its type: {error}") from error
    return lambda: decoder.decode(encoded)


def _struct(name: str, fields: list[Any], where: str) -> type[Struct]:
    try:
        return msgspec.defstruct(
            name, fields, tag=name, array_like=True, forbid_unknown_fields=True, frozen=True
        )
    except (TypeError, ValueError) as error:
        raise MisuseError(f"{where}: {error}") from error


def _refuse(annotation: Any, where: str, *, strict: bool) -> None:
    """Raise `MisuseError` if this type, or one inside it, cannot be alike on all nodes."""
    try:
        described = inspect.type_info(annotation)
    except (TypeError, ValueError) as error:
        raise MisuseError(f"{where}: {error}") from error
    _walk(described, where, strict, ())


def _walk(found: inspect.Type, where: str, strict: bool, around: tuple[type, ...]) -> None:
    if isinstance(found, _UNORDERED):
        raise MisuseError(
            f"{where}: a set has no order, and each process walks it in another. Take "
            "`dict[..., None]`, which keeps the order of insertion, or a sorted list"
        )
    if isinstance(found, _WITHOUT_SCHEMA):
        raise MisuseError(f"{where}: name a type that says what is in it; Any and others do not")
    inside: type | None = getattr(found, "cls", None)
    if strict and inside is not None and _skips_fields(found):
        raise MisuseError(
            f"{where}: make {inside.__name__} a msgspec.Struct with forbid_unknown_fields=True, "
            "or a NamedTuple. Others skip what they do not know, so nodes of two versions would "
            "read one command differently"
        )
    if inside is not None and inside in around:
        raise MisuseError(
            f"{where}: {inside.__name__} holds itself. How deep that may go differs between nodes: "
            "refer to others by a key"
        )
    for child in _children(found):
        _walk(child, where, strict, around if inside is None else (*around, inside))


def _skips_fields(found: Any) -> bool:
    if isinstance(found, inspect.StructType):
        return not found.cls.__struct_config__.forbid_unknown_fields
    return isinstance(found, _LENIENT)


def _children(found: Any) -> Iterator[inspect.Type]:
    """The types directly inside this one, whatever msgspec calls the places."""
    for place in ("type", "item_type", "key_type", "value_type"):
        if hasattr(found, place):
            yield getattr(found, place)
    for place in ("item_types", "types"):
        yield from getattr(found, place, ())
    for field in getattr(found, "fields", ()):
        yield field.type


def _stays(found: Any) -> bool:
    """Whether a shallow copy of such a value never changes."""
    while isinstance(found, inspect.Metadata):
        found = found.type
    if isinstance(found, inspect.ListType | inspect.DictType):
        return all(map(_never_changes, _children(found)))
    return _never_changes(found)


def _never_changes(found: Any) -> bool:
    match found:
        case inspect.ListType() | inspect.DictType() | inspect.TypedDictType():
            return False
        case inspect.ByteArrayType():
            return False
        case inspect.StructType() if not found.cls.__struct_config__.frozen:
            return False
        case inspect.DataclassType(cls=cls) if not cast("Any", cls).__dataclass_params__.frozen:
            return False
        case _:
            return all(map(_never_changes, _children(found)))
