"""`paxos check`: whether what clients saw is linearizable, and if not, what is to blame."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console

from paxos.cli.answer import FAILED, OK, UNKNOWN, Answer
from paxos.cli.arguments import Commands, add_count, seconds
from paxos.errors import MisuseError, PaxosError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paxos.verify import Conflict, History, Linearizability, Operation

MISUSED = 2
"""A file that is no history says nothing about the clients: 1 would be a verdict."""

WIDEST_TIMELINE = 60
MOST_SHOWN = 30


def add(commands: Commands) -> None:
    """Add the command."""
    what = "check what clients saw, in a file of JSON lines, for linearizability"
    command = commands.add("check", _check, what, "history.jsonl --model register")
    command.add_argument("history", metavar="FILE", help="the history; - is standard input")
    command.add_argument(
        "--model", required=True, choices=("register", "kv"), help="what the clients used"
    )
    add_count(command, "--states", 1, "stop a key's search after N configurations")
    command.add_argument(
        "--seconds", type=seconds, metavar="S", help="stop the search after S seconds"
    )


def _check(options: argparse.Namespace, out: Console) -> Answer:
    from paxos.histories.linearizability import MAX_STATES, check_history  # noqa: PLC0415 - who needs it
    from paxos.histories.sequential import MODELS  # noqa: PLC0415 - as above

    began = time.monotonic()

    def watch(_states: int) -> str | None:
        over = options.seconds is not None and time.monotonic() - began > options.seconds
        return f"{options.seconds:g} seconds were over" if over else None

    try:
        history = _read(options.history)
        result = check_history(
            history, MODELS[options.model](), options.states or MAX_STATES, watch
        )
    except PaxosError as error:
        return MISUSED, {"error": f"{options.history}: {error}"}
    spent = time.monotonic() - began
    _show(result, spent, out)
    return _verdict(result), _as_json(result, spent) | _error(result)


def _read(name: str) -> History:
    from paxos.verify import read_history  # noqa: PLC0415 - as above

    if name == "-":
        return read_history(sys.stdin.buffer)
    try:
        with Path(name).open("rb") as file:
            return read_history(file)
    except OSError as error:
        raise MisuseError(f"cannot be read: {error.strerror}. Name a history file") from error


def _verdict(result: Linearizability) -> int:
    return {True: OK, False: FAILED, None: UNKNOWN}[result.linearizable]


def _error(result: Linearizability) -> dict[str, str]:
    if result.conflict is not None:
        blamed = len(result.conflict.operations)
        return {"error": f"not linearizable: {_count(blamed, 'operation')} cannot be ordered"}
    if result.unknown:
        return {
            "error": f"unknown: {result.stopped}. This proves nothing: give --states or --seconds "
            "more, or use more keys"
        }
    return {}


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


# What people see.


def _show(result: Linearizability, spent: float, out: Console) -> None:
    verdict = {True: "linearizable", False: "not linearizable", None: "unknown"}
    out.print(
        f"{verdict[result.linearizable]}: {_count(result.operations, 'operation')} in "
        f"{_count(result.partitions, 'partition')}, {_count(result.states, 'configuration')}, "
        f"{spent:.2f} s"
    )
    if result.conflict is not None:
        _show_conflict(result, result.conflict, out)


def _show_conflict(result: Linearizability, conflict: Conflict, out: Console) -> None:
    """The operations to blame on a timeline, and what could not help."""
    if conflict.partition is not None:
        out.print(f"failing keys: {', '.join(map(repr, result.failing[:MOST_SHOWN]))}")
        out.print(f"of key {conflict.partition!r}:")
    out.print("\nThese operations cannot be ordered, even if every other may happen at any time")
    out.print("from its invocation on, or never:\n")
    for line in timeline(conflict.operations[:MOST_SHOWN]):
        out.print(f"  {line}")
    if len(conflict.operations) > MOST_SHOWN:
        out.print(f"  and {len(conflict.operations) - MOST_SHOWN} more: see --json")
    if conflict.helpers:
        out.print("\nNor do these help, which leave a value that one of them needs:\n")
        for operation in conflict.helpers[:MOST_SHOWN]:
            out.print(f"  line {operation.invoked}: {_said(operation)}")
    if not conflict.minimal:
        out.print("\nPerhaps fewer of them are enough: the search for these was cut short.")
    out.print(
        f"\nThe {_count(conflict.prefix, 'operation')} that return earlier than line "
        f"{conflict.impossible.returned} have an order; it ends with {_text(conflict.state)}."
    )


def timeline(operations: Sequence[Operation]) -> list[str]:
    """A line for each operation, with a bar from its invocation to its return."""
    moments = sorted(
        {each.invoked for each in operations} | {each.returned or 0 for each in operations}
    )
    step = max(1, min(4, WIDEST_TIMELINE // max(1, len(moments))))
    column = {moment: index * step for index, moment in enumerate(moments)}
    who = [f"{each.process}" for each in operations]
    what = [_said(each) for each in operations]
    widths = max(map(len, who), default=0), max(map(len, what), default=0)
    lines: list[str] = []
    for each, name, said in zip(operations, who, what, strict=True):
        start, end = column[each.invoked], column[each.returned or 0]
        bar = " " * start + "|" + "-" * (end - start - 1) + "|"
        where = f"lines {each.invoked} to {each.returned}"
        lines.append(f"process {name:<{widths[0]}}  {said:<{widths[1]}}  {bar}  {where}")
    return lines


def _said(operation: Operation) -> str:
    """An operation in words."""
    given, answer = operation.input, operation.output
    match operation.f:
        case "read" | "get":
            return f"{operation.f} -> {_text(answer)}"
        case "cas" if isinstance(given, tuple):
            found = " -> another value was found" if answer is False else ""
            return f"cas {' to '.join(map(_text, cast('tuple[object, ...]', given)))}{found}"
        case "delete":
            return "delete"
        case _:
            return f"{operation.f} {_text(given)}"


def _text(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 40 else f"{text[:18]}...{text[-18:]}"


# What programs get.


def _as_json(result: Linearizability, spent: float) -> dict[str, Any]:
    return {
        "linearizable": result.linearizable,
        "operations": result.operations,
        "partitions": result.partitions,
        "states": result.states,
        "seconds": round(spent, 3),
        "failing": list(result.failing),
        "unknown": list(result.unknown),
        "stopped": result.stopped,
        "conflict": None if result.conflict is None else _conflict_as_json(result.conflict),
    }


def _conflict_as_json(conflict: Conflict) -> dict[str, Any]:
    return {
        "key": conflict.partition,
        "operations": [_operation_as_json(each) for each in conflict.operations],
        "helpers": [_operation_as_json(each) for each in conflict.helpers],
        "minimal": conflict.minimal,
        "prefix": conflict.prefix,
        "state": conflict.state,
        "impossible": _operation_as_json(conflict.impossible),
    }


def _operation_as_json(operation: Operation) -> dict[str, Any]:
    from paxos.verify import Missing  # noqa: PLC0415 - as above

    answer: dict[str, Any] = {"process": operation.process, "f": operation.f}
    if not isinstance(operation.input, Missing):
        answer["value"] = operation.input
    if not isinstance(operation.output, Missing):
        answer["answer"] = operation.output
    return answer | {"invoked": operation.invoked, "returned": operation.returned}
