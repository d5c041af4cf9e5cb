"""Commands for people: each stands for a number of primitive ones, in a fixed order.

Nothing that a machine writes uses them. What they come to is in the transcript, so whoever reads it
sees each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from paxos.errors import MisuseError
from paxos.messages import Envelope, Message
from paxos.scenario import commands
from paxos.scenario.commands import Command
from paxos.scenario.words import parse_envelope, parse_node_id, parse_seconds, split_words

Link: TypeAlias = tuple[str, str]
"""From whom, to whom."""


@dataclass(frozen=True, slots=True)
class Run:
    """Deliver all that is undelivered, first sent first, until all is quiet.

    What cannot arrive, since a link is cut or its recipient is down, is lost. Given a time, let it
    pass: whoever's timer runs out meanwhile is told so.
    """

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class DeliverAll:
    """Deliver to this node all that is undelivered and meant for it, first sent first."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Cut:
    """From now on, what `run` would deliver over these links is lost."""

    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Isolate:
    """Cut all links from and to this node."""

    node_id: str


@dataclass(frozen=True, slots=True)
class ConnectOnly:
    """Cut all links but these."""

    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Heal:
    """Let these links work again, or all of them."""

    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Lose:
    """A message is lost: `run` does not deliver it."""

    envelope: Envelope[Message[str]]


@dataclass(frozen=True, slots=True)
class LoseAll:
    """All that is undelivered is lost; or all from this node, or to that one, or both."""

    sender: str | None = None
    recipient: str | None = None


@dataclass(frozen=True, slots=True)
class Show:
    """Say what this node, or each of them, has in mind and on its disk."""

    node_id: str | None = None


Macro: TypeAlias = Run | DeliverAll | Cut | Isolate | ConnectOnly | Heal | Lose | LoseAll | Show


@dataclass(frozen=True)
class Form:
    """How a macro is written. `parse` gives None for words that are none of it."""

    usage: str
    parse: Callable[[Sequence[str]], Macro | None]


def _parse_run(words: Sequence[str]) -> Macro | None:
    if len(words) > 1:
        return None
    seconds = parse_seconds(words[0]) if words else None
    if seconds is not None and seconds < 0:
        raise MisuseError(f"time never goes back: run for 0 seconds or more, not {words[0]}")
    return Run(seconds)


def _parse_deliver_all(words: Sequence[str]) -> Macro | None:
    if len(words) != 3 or words[:2] != ["all", "to"]:
        return None
    return DeliverAll(parse_node_id(words[2]))


def _parse_connect_only(words: Sequence[str]) -> Macro | None:
    return ConnectOnly(_links(words[1:])) if words and words[0] == "only" else None


def _parse_lose(words: Sequence[str]) -> Macro | None:
    if words[:1] != ["all"]:
        return Lose(parse_envelope(words)) if words else None
    ends = dict(zip(words[1::2], words[2::2], strict=False))
    if len(words) != 1 + 2 * len(ends) or not ends.keys() <= {"from", "to"}:
        return None
    named = {name: parse_node_id(word) for name, word in ends.items()}
    return LoseAll(named.get("from"), named.get("to"))


def _links(words: Iterable[str]) -> tuple[Link, ...]:
    return tuple(link for word in words for link in _parse_links(word))


def _parse_links(word: str) -> tuple[Link, ...]:
    one, arrow, other = word.partition(">")
    if arrow:
        return ((parse_node_id(one), parse_node_id(other)),)
    one, dash, other = word.partition("-")
    if not dash:
        raise MisuseError(f"{word!r} is no link: write A>B for one way, A-B for both")
    one, other = parse_node_id(one), parse_node_id(other)
    return ((one, other), (other, one))


FORMS: dict[str, Form] = {
    "run": Form("run [SECONDS]", _parse_run),
    "deliver": Form("deliver all to NODE", _parse_deliver_all),
    "cut": Form("cut A>B|A-B ...", lambda words: Cut(_links(words)) if words else None),
    "isolate": Form(
        "isolate NODE",
        lambda words: Isolate(parse_node_id(words[0])) if len(words) == 1 else None,
    ),
    "connect": Form("connect only A>B|A-B ...", _parse_connect_only),
    "heal": Form("heal [A>B|A-B ...]", lambda words: Heal(_links(words))),
    "lose": Form("lose SENDER>RECIPIENT MESSAGE, or lose all [from NODE] [to NODE]", _parse_lose),
    "show": Form(
        "show [NODE]",
        lambda words: Show(*map(parse_node_id, words)) if len(words) < 2 else None,
    ),
}
"""By its first word, each macro: how it is written, and how it is read."""


def parse(line: str) -> Command | Macro:
    """The command or macro of this line. Raises `MisuseError`: it says what could stand there."""
    verb, *words = split_words(line) or [""]
    if verb not in FORMS and verb not in commands.FORMS:
        raise MisuseError(f"{verb!r} is no command: it is one of {', '.join(_all_verbs())}")
    if verb not in FORMS or (verb == "deliver" and words[:1] != ["all"]):
        return commands.parse(line)
    macro = FORMS[verb].parse(words)
    if macro is None:
        raise MisuseError(f"{line.strip()!r} is no command: write {FORMS[verb].usage}")
    return macro


def _all_verbs() -> list[str]:
    return [*commands.FORMS, *(verb for verb in FORMS if verb not in commands.FORMS)]
