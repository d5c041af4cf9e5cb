"""Scenario files: commands, and under them what comes of them.

    # Comments tell the story.

    cluster node A B C

    propose A x
    ----
    A saves: prepared 1
    A>A prepare 1.A
    A>B prepare 1.A
    A>C prepare 1.A

A blank line ends a block. Playing the commands must give just the output that stands there; after a
change that is meant, it is written anew and the difference is read by a person. (The model is the
`testdata` of etcd's raft.)
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from itertools import groupby
from typing import TypeVar

from paxos.errors import MisuseError
from paxos.scenario.commands import Command
from paxos.scenario.opening import Opening

RULE = "----"
"""Between commands and output."""

SUFFIX = ".scenario"

T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """One line of a file, and its number: the first is 1."""

    number: int
    text: str


@dataclass(frozen=True)
class Block:
    """Lines up to the next blank one: comments and commands, and under a rule their output."""

    lines: tuple[Line, ...]
    output: tuple[str, ...] = ()

    @property
    def commands(self) -> tuple[Line, ...]:
        """The lines that are no comments."""
        return tuple(line for line in self.lines if not line.text.startswith("#"))

    def __str__(self) -> str:
        rule = [RULE] if self.commands else []
        return "\n".join([*(line.text for line in self.lines), *rule, *self.output])


def parse(text: str) -> list[Block]:
    """The blocks of a scenario file."""
    lines = [Line(number, line.rstrip()) for number, line in enumerate(text.split("\n"), start=1)]
    groups = groupby(lines, key=lambda line: line.text != "")
    return [_block(list(group)) for is_text, group in groups if is_text]


def _block(lines: Sequence[Line]) -> Block:
    at = next((at for at, line in enumerate(lines) if line.text == RULE), len(lines))
    block = Block(tuple(lines[:at]), tuple(line.text for line in lines[at + 1 :]))
    if at < len(lines) and not block.commands:
        raise MisuseError(f"line {lines[at].number}: no command stands above this {RULE}")
    return block


def render(blocks: Iterable[Block]) -> str:
    """The text of a scenario file."""
    return "\n\n".join(map(str, blocks)) + "\n"


def rewrite(blocks: Iterable[Block], play: Callable[[Line], Iterable[str]]) -> list[Block]:
    """The same blocks, with what comes of their commands when they are played now.

    `play` gives the output of one command. If it raises `MisuseError`, that says which line it was.
    """
    return [
        replace(
            block, output=tuple(said for line in block.commands for said in numbered(line, play))
        )
        for block in blocks
    ]


def numbered(line: Line, action: Callable[[Line], T]) -> T:
    """Do something with a line of a file. A `MisuseError` says which line it was."""
    try:
        return action(line)
    except MisuseError as error:
        raise MisuseError(f"line {line.number}: {error}") from error


def difference(expected: str, found: str) -> str:
    """What differs between a file and what comes of it now, as a unified diff; or nothing."""
    wanted = render(parse(expected))
    lines = difflib.unified_diff(
        wanted.splitlines(), found.splitlines(), "as checked in", "as played now", lineterm="", n=8
    )
    return "\n".join(lines)


def write(opening: Opening, commands: Iterable[Command], comment: str = "") -> str:
    """The text of a scenario file, without outputs: a block for each command."""
    story = [f"# {line}".rstrip() for line in comment.splitlines()]
    texts = ["\n".join(story)] if story else []
    return "\n\n".join([*texts, str(opening), *map(str, commands)]) + "\n"


def shipped() -> dict[str, str]:
    """The text of each scenario that comes with the library, by its name, in reading order."""
    folder = resources.files("paxos.scenario") / "files"
    found = {
        entry.name.removesuffix(SUFFIX): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(SUFFIX)
    }
    return dict(sorted(found.items()))
