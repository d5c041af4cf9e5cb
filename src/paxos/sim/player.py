"""Plays a scenario file: its commands on a stage, its output in words.

    played = play(text)
    played.text    # the file, with the output that its commands have now
    played.broken  # which invariants were broken, each with a sentence and the step

A judge and an overseer watch, so a file in which a rule is broken says so where it happens.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from typing import Any, TypeAlias

from paxos.errors import MisuseError
from paxos.messages import Envelope, Heartbeat, HeartbeatAnswer, Message
from paxos.scenario import commands, macros
from paxos.scenario.commands import Command
from paxos.scenario.happenings import Arrived, Broke, Commanded, Happening, Left, Lost, Ticked
from paxos.scenario.macros import Link
from paxos.scenario.opening import Opening, parse_opening
from paxos.scenario.sentences import Narrator
from paxos.scenario.transcript import numbered, parse, render, rewrite
from paxos.scenario.words import text_of_durable, text_of_envelope, text_of_node
from paxos.sim.judge import Judge
from paxos.sim.oversight import Overseer
from paxos.sim.server import Server
from paxos.sim.stage import Stage

MOST_STEPS = 10_000
"""Of one `run`. What is not quiet by then never will be, and nobody could read it."""

MOST_LISTED = 12
"""Messages that an error lists."""

AnyEnvelope: TypeAlias = Envelope[Message[str]]


@dataclass(frozen=True)
class Broken:
    """An invariant that was broken, and by which step."""

    invariant: str
    sentence: str
    step: int
    """The index of the command in `Played.commands`."""


@dataclass(frozen=True)
class Played:
    """What came of a scenario."""

    text: str
    """The file, with the output that its commands have now."""

    opening: Opening
    commands: tuple[Command, ...]
    """The primitive commands that all of it comes to."""

    happenings: tuple[Happening, ...]
    broken: tuple[Broken, ...]

    reached: frozenset[str]
    """The IDs of the invariants that were put to the test."""


def play(text: str) -> Played:
    """Play a scenario file. Raises `MisuseError`, with the line, for what cannot be played."""
    blocks = parse(text)
    first = next((line for block in blocks for line in block.commands), None)
    if first is None:
        raise MisuseError("there is no command in this scenario: begin with cluster node A B C")
    opening = numbered(first, lambda line: parse_opening(line.text))
    player = Player(opening)
    played = rewrite(
        blocks,
        lambda line: [_text_of_cluster(opening)] if line == first else player.perform(line.text),
    )
    return Played(
        render(played),
        opening,
        tuple(player.commands),
        tuple(player.happenings),
        tuple(player.broken),
        frozenset(player.reached),
    )


class Player:
    """A stage, a judge, and somebody who writes down what happens."""

    def __init__(self, opening: Opening) -> None:
        """Let all nodes of the cluster start."""
        self.commands: list[Command] = []
        """The primitive commands so far."""

        self.happenings: list[Happening] = []
        self.broken: list[Broken] = []
        self._undelivered: deque[AnyEnvelope] = deque()
        self._cut: set[Link] = set()
        self._old_news: set[tuple[type, object]] = set()
        self._narrator = Narrator()
        self._judge = Judge(opening.cluster.real_quorums, self._break)
        self._overseer = Overseer(opening.cluster, self._break)
        self._stage = Stage(opening.cluster, self._watch, abstract_time=opening.abstract_time)
        self._overseer.servers = self._stage.servers
        self._macros: dict[type, Callable[[Any], list[str]]] = {
            macros.Run: self._run,
            macros.DeliverAll: self._deliver_all_to,
            macros.Cut: self._cut_links,
            macros.Isolate: self._isolate,
            macros.ConnectOnly: self._connect_only,
            macros.Heal: self._heal,
            macros.Lose: self._lose,
            macros.LoseAll: self._lose_all,
            macros.Show: self._show,
        }

    @property
    def reached(self) -> set[str]:
        """The IDs of the invariants that were put to the test."""
        return self._judge.reached | self._overseer.reached

    def perform(self, line: str) -> list[str]:
        """Perform one line, a command or a macro. What comes of it, in words.

        Raises `MisuseError` for what cannot be, just now.
        """
        command = macros.parse(line)
        if isinstance(command, Command):
            return self._step(command)
        return self._macros[type(command)](command)

    # Primitive commands.

    def _step(self, command: Command) -> list[str]:
        if isinstance(command, commands.Deliver):
            self._demand_sent(command.envelope)
        self.commands.append(command)
        try:
            self._stage.perform(command)
        except MisuseError:
            self.commands.pop()  # nothing has happened
            raise
        if isinstance(command, commands.Deliver) and command.envelope in self._undelivered:
            self._undelivered.remove(command.envelope)
        node_id = _node_of(command)
        if node_id is not None and not self._stage.abstract_time:
            self._overseer.judge_time(node_id)
        return self._narrator.take()

    def _demand_sent(self, envelope: AnyEnvelope) -> None:
        if envelope in self._stage.sent:
            return
        there = list(dict.fromkeys(map(text_of_envelope, self._undelivered))) or ["nothing"]
        listed = ", ".join(there[:MOST_LISTED]) + (", ..." if len(there) > MOST_LISTED else "")
        raise MisuseError(
            f"{text_of_envelope(envelope)!r} was never sent. Not delivered yet: {listed}"
        )

    def _watch(self, happening: Happening) -> None:
        self.happenings.append(happening)
        self._narrator(happening)
        if isinstance(happening, Left):
            self._undelivered.append(happening.envelope)
        self._judge(happening)
        self._overseer(happening)

    def _break(self, broke: Broke) -> None:
        self.happenings.append(broke)
        self._narrator(broke)
        self.broken.append(Broken(broke.invariant, broke.sentence, len(self.commands) - 1))

    # Macros that take steps.

    def _run(self, run: macros.Run) -> list[str]:
        journal = _Journal()
        self._deliver_all(journal, lambda _: True)
        if run.seconds is not None:
            self._let_time_pass(journal, self._stage.now + run.seconds)
        return journal.lines

    def _let_time_pass(self, journal: _Journal, end: float) -> None:
        while True:
            due = {node_id: self._due(server) for node_id, server in self._stage.servers.items()}
            instant = min(due.values())
            if instant > end:
                break
            self._pass_time(journal, instant)
            for node_id in [n for n, at in due.items() if at == instant]:
                self._journalled(journal, commands.Tick(node_id))
            self._deliver_all(journal, lambda _: True)
        self._pass_time(journal, end)

    def _due(self, server: Server) -> float:
        deadline = None if server.machine is None else server.machine.deadline
        if deadline is None or deadline == math.inf:
            return math.inf
        # A timer may be a little late, and whole milliseconds are easier to read.
        milliseconds = math.ceil(server.clock.instant_of(deadline, self._stage.now) * 1000)
        while server.clock.reading(milliseconds / 1000) < deadline:
            milliseconds += 1
        return max(milliseconds / 1000, self._stage.now)

    def _pass_time(self, journal: _Journal, instant: float) -> None:
        command = commands.At(instant)
        self._step(command)
        journal.time = str(command)

    def _deliver_all_to(self, deliver: macros.DeliverAll) -> list[str]:
        self._demand_known(deliver.node_id)
        journal = _Journal()
        self._deliver_all(journal, lambda envelope: envelope.recipient == deliver.node_id)
        return journal.lines

    def _deliver_all(self, journal: _Journal, wanted: Callable[[AnyEnvelope], bool]) -> None:
        """Deliver or lose all that is wanted, also what comes of that, the oldest first."""
        while (envelope := next(filter(wanted, self._undelivered), None)) is not None:
            link = (envelope.sender.node_id, envelope.recipient)
            if link not in self._cut and self._stage.servers[envelope.recipient].is_up:
                self._journalled(journal, commands.Deliver(envelope))
                continue
            first = len(self.happenings)
            self._lose_one(envelope)
            journal.add(self._narrator.take(), is_new=self._is_new(first))

    def _journalled(self, journal: _Journal, command: Command) -> None:
        first = len(self.happenings)
        lines = [f"  {line}" for line in self._step(command)]
        journal.add([str(command), *lines], is_new=self._is_new(first))

    def _is_new(self, first: int) -> bool:
        """Whether any happening from this one on is more than a heartbeat, or a message again."""
        new = [each for happening in self.happenings[first:] if (each := _news(happening))]
        is_new = not self._old_news.issuperset(new)
        self._old_news.update(new)
        return is_new

    def _lose(self, lose: macros.Lose) -> list[str]:
        self._demand_sent(lose.envelope)
        if lose.envelope not in self._undelivered:
            raise MisuseError(
                f"{text_of_envelope(lose.envelope)!r} has arrived, or is lost already"
            )
        self._lose_one(lose.envelope)
        return self._narrator.take()

    def _lose_all(self, lose: macros.LoseAll) -> list[str]:
        for node_id in filter(None, (lose.sender, lose.recipient)):
            self._demand_known(node_id)
        for envelope in list(self._undelivered):
            if lose.sender in (None, envelope.sender.node_id) and lose.recipient in (
                None,
                envelope.recipient,
            ):
                self._lose_one(envelope)
        return self._narrator.take()

    def _lose_one(self, envelope: AnyEnvelope) -> None:
        self._undelivered.remove(envelope)
        self._watch(Lost(envelope))

    # Macros about links.

    def _cut_links(self, cut: macros.Cut) -> list[str]:
        self._cut |= self._known_links(cut.links)
        return []

    def _isolate(self, isolate: macros.Isolate) -> list[str]:
        self._demand_known(isolate.node_id)
        self._cut |= {link for link in self._all_links() if isolate.node_id in link}
        return []

    def _connect_only(self, connect: macros.ConnectOnly) -> list[str]:
        self._cut = self._all_links() - self._known_links(connect.links)
        return []

    def _heal(self, heal: macros.Heal) -> list[str]:
        self._cut -= self._known_links(heal.links) or self._all_links()
        return []

    def _all_links(self) -> set[Link]:
        return set(permutations(self._stage.servers, 2))

    def _known_links(self, links: tuple[Link, ...]) -> set[Link]:
        for link in links:
            if link not in self._all_links():
                raise MisuseError(f"{'>'.join(link)} is no link between two of {self._names()}")
        return set(links)

    def _demand_known(self, node_id: str) -> None:
        if node_id not in self._stage.servers:
            raise MisuseError(f"there is no node {node_id}: there are {self._names()}")

    def _names(self) -> str:
        return ", ".join(self._stage.servers)

    # Macros that only look.

    def _show(self, show: macros.Show) -> list[str]:
        if show.node_id is None:
            return [_text_of_server(server) for server in self._stage.servers.values()]
        self._demand_known(show.node_id)
        return [_text_of_server(self._stage.servers[show.node_id])]


class _Journal:
    """What came of a macro, step by step. Steps that bring nothing new are only counted."""

    def __init__(self) -> None:
        self.time: str | None = None
        """The line of the instant that was reached, until something is written under it."""

        self._lines: list[str] = []
        self._steps = 0
        self._old = 0

    def add(self, lines: list[str], *, is_new: bool) -> None:
        """Write down a step."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise MisuseError(f"it is not quiet after {MOST_STEPS} steps: run for a shorter time")
        if not is_new:
            self._old += 1
            return
        if self.time is not None:
            self._lines.append(self.time)
            self.time = None
        self._lines.extend(lines)

    @property
    def lines(self) -> list[str]:
        """All of it."""
        note = f"({self._old} more: heartbeats and repetitions)"
        return [*self._lines, note] if self._old else self._lines


def _news(happening: Happening) -> tuple[type, object] | None:
    """What is new about it when it is seen for the first time. None if nothing ever is."""
    match happening:
        case Left(envelope) | Arrived(envelope) | Lost(envelope):
            is_heartbeat = isinstance(envelope.message, Heartbeat | HeartbeatAnswer)
            return None if is_heartbeat else (type(happening), envelope)
        case Commanded() | Ticked():
            return None
        case _:
            return type(happening), object()


def _node_of(command: Command) -> str | None:
    """The node to which something happens."""
    match command:
        case commands.At():
            return None
        case commands.Deliver(envelope):
            return envelope.recipient
        case _:
            return command.node_id


def _text_of_cluster(opening: Opening) -> str:
    quorums = opening.cluster.real_quorums
    total = len(quorums.members)
    if quorums.phase1 == quorums.phase2:
        needed = f"a quorum is {quorums.phase1} of {total}"
    else:
        needed = f"{quorums.phase1} of {total} must promise, {quorums.phase2} of {total} accept"
    node_ids = opening.cluster.node_ids
    return f"{', '.join(node_ids)} {'is' if len(node_ids) == 1 else 'are'} up; {needed}"


def _text_of_server(server: Server) -> str:
    process, on_disk = server.process, text_of_durable(server.acknowledged)
    if process is None:
        return f"{server.node_id} is down ({server.why_down}); on disk: {on_disk}"
    saving = ""
    if process.under_way is not None:
        what = text_of_durable(process.under_way.state, server.acknowledged)
        saving = f"; being saved: {what}"
    return f"{server.node_id} {text_of_node(process.machine.node)}; on disk: {on_disk}{saving}"
