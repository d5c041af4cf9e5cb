"""A stage for tests: commands are lines, and all that happens is kept."""

from __future__ import annotations

from typing import TypeVar

from paxos.messages import Envelope, Message
from paxos.scenario.commands import parse
from paxos.scenario.happenings import Happening
from paxos.scenario.opening import parse_opening
from paxos.scenario.words import parse_envelope, split_words
from paxos.sim.stage import Stage

H = TypeVar("H", bound=Happening)


class Theatre:
    """A cluster, and what has happened to it."""

    def __init__(self, opening: str) -> None:
        self.seen: list[Happening] = []
        opened = parse_opening(opening)
        self.stage = Stage(opened.cluster, self.seen.append, abstract_time=opened.abstract_time)

    def play(self, *lines: str) -> None:
        for line in lines:
            self.stage.perform(parse(line))

    def of(self, kind: type[H]) -> list[H]:
        """All happenings of this kind."""
        return [happening for happening in self.seen if isinstance(happening, kind)]

    def envelope(self, text: str) -> Envelope[Message[str]]:
        return parse_envelope(split_words(text))
