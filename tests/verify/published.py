"""Lamport's TLA+ specification *Paxos*, written down anew in plain Python. It knows no library.

Its variables are, for each acceptor, `maxBal`, `maxVBal` and `maxVal`, and the set `msgs`; its
actions Phase1a, Phase1b, Phase2a, Phase2b. A quorum is any majority; ballots count from 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple, TypeAlias

Acceptor: TypeAlias = tuple[int, int, str]
"""maxBal, maxVBal, maxVal; -1 and "" for none."""

Message: TypeAlias = tuple[str | int, ...]


class State(NamedTuple):
    acceptors: tuple[Acceptor, ...]
    messages: frozenset[Message]


class Reached(NamedTuple):
    states: set[State]
    depth: int
    """Steps from the first state to the farthest."""


def explore(acceptors: int, values: int, ballots: int) -> Reached:
    """All states that the specification can come to."""
    start = State(((-1, -1, ""),) * acceptors, frozenset())
    seen, frontier, depth = {start}, [start], -1
    while frontier:
        depth += 1
        found = {new for state in frontier for new in _next(state, values, ballots)} - seen
        seen |= found
        frontier = list(found)
    return Reached(seen, depth)


def _next(state: State, values: int, ballots: int) -> Iterator[State]:
    for ballot in range(ballots):
        yield State(state.acceptors, state.messages | {("1a", ballot)})
        if not any(message[:2] == ("2a", ballot) for message in state.messages):
            for value in _safe_values(state, ballot, values):
                yield State(state.acceptors, state.messages | {("2a", ballot, value)})
    for index in range(len(state.acceptors)):
        yield from _of_acceptor(state, index)


def _of_acceptor(state: State, index: int) -> Iterator[State]:
    max_ballot, voted_ballot, voted_value = state.acceptors[index]
    name = f"A{index + 1}"
    for message in state.messages:
        match message:
            case ("1a", int(ballot)) if ballot > max_ballot:
                answer: Message = ("1b", name, ballot, voted_ballot, voted_value)
                yield _with(state, index, (ballot, voted_ballot, voted_value), answer)
            case ("2a", int(ballot), str(value)) if ballot >= max_ballot:
                yield _with(state, index, (ballot, ballot, value), ("2b", name, ballot, value))
            case _:
                pass


def _with(state: State, index: int, acceptor: Acceptor, message: Message) -> State:
    acceptors = (*state.acceptors[:index], acceptor, *state.acceptors[index + 1 :])
    return State(acceptors, state.messages | {message})


def _safe_values(state: State, ballot: int, values: int) -> set[str]:
    """The values that some quorum's promises leave open."""
    promises = [m for m in state.messages if m[0] == "1b" and m[2] == ballot]
    quorum = len(state.acceptors) // 2 + 1
    safe: set[str] = set()
    for chosen in combinations(promises, quorum):
        if len({promise[1] for promise in chosen}) < quorum:
            continue
        voted = [promise for promise in chosen if promise[3] != -1]
        if not voted:
            safe |= {f"v{number}" for number in range(1, values + 1)}
        else:
            safe.add(str(max(voted, key=lambda promise: promise[3])[4]))
    return safe
