"""Clients of an object that is linearizable, and what they see of it."""

from __future__ import annotations

import random
from collections.abc import Hashable

from paxos.histories.history import History, Missing, Operation
from paxos.histories.sequential import Hint, KeyValue, Model, Register

CALLS = {
    "register": ("read", "read", "write", "cas"),
    "kv": ("get", "get", "put", "append", "delete", "cas"),
}


def clients(
    chance: random.Random,
    model: str,
    operations: int,
    processes: int,
    values: int,
    keys: int = 1,
    unknown: float = 0.0,
    calls: tuple[str, ...] | None = None,
) -> History:
    """What they see who call at random; each call takes effect at a random moment while it lasts.

    An unknown one takes effect then, or never. Few values make a history hard to check.
    """
    judge: Model = Register() if model == "register" else KeyValue()
    states: dict[int, Hashable] = {}
    idle = list(range(processes))
    next_process = processes
    called: dict[int, Operation] = {}
    done: dict[int, Operation] = {}
    finished: list[Operation] = []
    position = started = 0
    while started < operations or called or done:
        position += 1
        turn = chance.random()
        if idle and started < operations and turn < 0.4:
            process = idle.pop(chance.randrange(len(idle)))
            key = chance.randrange(keys)
            f = chance.choice(calls or CALLS[model])
            given = _input(chance, model, f, values, states.get(key))
            called[process] = Operation(process, f, given, Missing.NO_ANSWER, position, None, key)
            started += 1
        elif called and turn < 0.7:
            process = chance.choice(list(called))
            operation = called.pop(process)
            if chance.random() < unknown:  # it never answers
                if chance.random() < 0.5:
                    _perform(judge, states, operation)
                finished.append(operation)
                idle.append(next_process)
                next_process += 1
            else:
                done[process] = _perform(judge, states, operation)
        elif done:
            process = chance.choice(list(done))
            seen = done.pop(process)
            finished.append(
                Operation(
                    seen.process, seen.f, seen.input, seen.output, seen.invoked, position, seen.key
                )
            )
            idle.append(process)
    finished.sort(key=lambda each: each.invoked)
    return History(tuple(finished))


def _input(chance: random.Random, model: str, f: str, values: int, state: Hashable) -> Hashable:
    def value() -> Hashable:
        number = chance.randrange(values)
        return number if model == "register" else f"{number},"

    match f:
        case "read" | "get" | "delete":
            return Missing.NO_VALUE
        case "cas":
            return (state if chance.random() < 0.5 else value(), value())
        case _:
            return value()


def _perform(judge: Model, states: dict[int, Hashable], operation: Operation) -> Operation:
    assert isinstance(operation.key, int)
    state = states.get(operation.key)
    output: Hashable = Missing.NO_VALUE
    if operation.f in ("read", "get"):
        output = state
    elif operation.f == "cas":
        assert isinstance(operation.input, tuple)
        output = operation.input[0] == state
    seen = Operation(
        operation.process, operation.f, operation.input, output,
        operation.invoked, None, operation.key,
    )  # fmt: skip
    states[operation.key] = judge.step(state, seen)
    assert states[operation.key] is not Hint.IMPOSSIBLE
    return seen
