"""Every order in which messages can arrive: a small explorer for actors that are values.

A message, once sent, may arrive at any time, any number of times, or never: so what is on the
network only grows, and a state is *what each actor is* and *what was ever sent*. What one message
does to one actor is computed once and kept in a table; the search itself counts in integers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeAlias, TypeVar

A = TypeVar("A", bound=Hashable)
M = TypeVar("M", bound=Hashable)

Sent: TypeAlias = Iterable[tuple[int, M]]
"""Messages, each with the index of the actor that it goes to."""

Handle: TypeAlias = Callable[[int, A, M], tuple[A, Sent[M]]]
"""What a message does to the actor of this index: its next state, and what it sends."""


class Reached(NamedTuple, Generic[A, M]):
    """What was ever sent in some state, and every state of an actor that was reached with that."""

    sent: tuple[tuple[int, M], ...]
    actors: tuple[A, ...]


class Exploration(Generic[A, M]):
    """All global states that can be reached. Iterate to see them, one network at a time."""

    def __init__(self, actors: Iterable[A], sent: Sent[M], handle: Handle[A, M]) -> None:
        self._handle = handle
        self._states: list[A] = []
        self._index_of_state: dict[A, int] = {}
        self._messages: list[tuple[int, M]] = []
        self._recipients: list[int] = []
        self._index_of_message: dict[tuple[int, M], int] = {}
        self._effects: dict[tuple[int, int], tuple[int, int]] = {}
        start = (tuple(self._state(actor) for actor in actors), self._mask(sent))
        self._reached = {start}
        self._search(start)

    def __len__(self) -> int:
        return len(self._reached)

    def __iter__(self) -> Iterator[Reached[A, M]]:
        reached_with: dict[int, set[int]] = {}
        for actors, mask in self._reached:
            reached_with.setdefault(mask, set()).update(actors)
        for mask, states in reached_with.items():
            yield Reached(
                tuple(self._messages[index] for index in _bits(mask)),
                tuple(self._states[index] for index in sorted(states)),
            )

    def _search(self, start: tuple[tuple[int, ...], int]) -> None:
        frontier, effects, recipient_of = [start], self._effects, self._recipients
        messages_of: dict[int, tuple[int, ...]] = {}
        while frontier:
            actors, mask = frontier.pop()
            messages = messages_of.get(mask)
            if messages is None:
                messages = messages_of[mask] = tuple(_bits(mask))
            for message in messages:
                recipient = recipient_of[message]
                before = actors[recipient]
                effect = effects.get((before, message))
                state, sent = effect or self._effect(recipient, before, message)
                if state == before and not sent & ~mask:
                    continue
                following = ((*actors[:recipient], state, *actors[recipient + 1 :]), mask | sent)
                if following not in self._reached:
                    self._reached.add(following)
                    frontier.append(following)

    def _effect(self, recipient: int, state: int, message: int) -> tuple[int, int]:
        actor, sent = self._handle(recipient, self._states[state], self._messages[message][1])
        effect = self._effects[state, message] = self._state(actor), self._mask(sent)
        return effect

    def _state(self, actor: A) -> int:
        index = self._index_of_state.setdefault(actor, len(self._states))
        if index == len(self._states):
            self._states.append(actor)
        return index

    def _mask(self, sent: Sent[M]) -> int:
        mask = 0
        for message in sent:
            index = self._index_of_message.setdefault(message, len(self._messages))
            if index == len(self._messages):
                self._messages.append(message)
                self._recipients.append(message[0])
            mask |= 1 << index
        return mask


def _bits(mask: int) -> Iterator[int]:
    index = 0
    while mask:
        if mask & 1:
            yield index
        mask >>= 1
        index += 1
