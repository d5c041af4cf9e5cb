"""The way to what is wrong, as commands that a scenario file holds and a stage can play."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from paxos.scenario.cluster import Kind
from paxos.scenario.commands import Command, Hang, Persist
from paxos.scenario.opening import Opening
from paxos.verify.model import Action, Down, Local, Model
from paxos.verify.moves import Move
from paxos.verify.search import Broken, Search
from paxos.verify.verdicts import Violation


@dataclass(frozen=True)
class Counterexample:
    """A shortest way to a violation."""

    opening: Opening
    commands: tuple[Command, ...]
    violation: Violation

    @property
    def steps(self) -> int:
        """How many things happen, disks that are told to wait not counted."""
        return sum(not isinstance(command, Hang) for command in self.commands)


def counterexample(search: Search, broken: Broken) -> Counterexample:
    """Write down how a search came to what is wrong."""
    bounds = search.table.model.bounds
    actions, violation = actions_to(search, broken)
    by_hand = bounds.crashes > 0 or bounds.slow_disks
    hangs = [Hang(node_id) for node_id in bounds.node_ids if by_hand]
    commands = _with_persists(search.table.model, actions) if by_hand else actions
    opening = Opening(bounds.cluster, abstract_time=bounds.cluster.kind is Kind.HEARTBEAT)
    return Counterexample(opening, (*hangs, *commands), violation)


def actions_to(search: Search, broken: Broken) -> tuple[list[Action], Violation]:
    """A shortest way to what is wrong, and what that is under the names of this way."""
    table = search.table
    steps, state = _way(search, broken.state)
    if broken.move is not None:
        move = _same_move(search, state, broken)
        violation = table.violation(state, move)
        steps += [Step(action) for action in move.actions]
    else:
        violation = search.quiet(state)
        steps += [Step(action) for action in table.silent_actions(state)]
    return _without_idle_replies(steps), violation or broken.violation


class Step(NamedTuple):
    """An action on the way, and if it is a mere reply, what it sends."""

    action: Action
    reply: tuple[Action, ...] | None = None


def _way(search: Search, state: int) -> tuple[list[Step], int]:
    """The steps to a state, and the state come to: its names may differ from the first one's."""
    table, here = search.table, search.table.start()
    steps: list[Step] = []
    for wanted in search.path(state)[1:]:
        there, move = next(
            (new, move) for new, move in table.successors(here) if search.named(new) == wanted
        )
        steps += [Step(action) for action in move.actions]
        for reply in table.replies(here + move.delta | move.sent):
            sent = tuple(table.deliverable(reply.sent))
            steps += [Step(action, sent) for action in reply.actions]
        here = there
    return steps, here


def _without_idle_replies(steps: list[Step]) -> list[Action]:
    """Leave out the replies that nobody gets on this way."""
    kept: list[Action] = []
    for action, reply in reversed(steps):
        if reply is None or any(sent in kept for sent in reply):
            kept.append(action)
    return kept[::-1]


def _same_move(search: Search, state: int, broken: Broken) -> Move:
    """The move that is wrong, from the state that was come to under its own names."""
    if state == broken.state and broken.move is not None:
        return broken.move
    return next(
        move
        for _, move in search.table.successors(state)
        if (found := search.table.violation(state, move)) is not None
        and found.invariant == broken.violation.invariant
    )


def _with_persists(model: Model, actions: Iterable[Action]) -> list[Command]:
    """Let each persist that a search did at once be done by a command."""
    locals_: dict[str, Local] = {node_id: model.start(node_id) for node_id in model.bounds.node_ids}
    crashes, commands = 0, list[Command]()
    for action in actions:
        crashes += model.is_crash(action)
        at_once = crashes >= model.bounds.crashes and not model.bounds.slow_disks
        node_id = model.node_of(action)
        steps: list[Action] = [action]
        while steps:
            before, step = locals_[node_id], steps.pop()
            effect = model.effect(before, step, at_once=False)
            if effect is None:
                break
            commands.append(step)
            locals_[node_id] = effect.local
            if at_once and _began_to_save(before, step, effect.local):
                steps.append(Persist(node_id))
    return commands


def _began_to_save(before: Local, step: Action, after: Local) -> bool:
    if isinstance(before, Down) or isinstance(after, Down) or after.writing is None:
        return False
    return before.writing is None or isinstance(step, Persist)
