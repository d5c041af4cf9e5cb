"""A long run that breaks an invariant becomes a short one that breaks the same invariant.

What can be left out is found by playing the rest: whole chunks of commands first, then one by one
(Zeller, Hildebrandt, *Simplifying and Isolating Failure-Inducing Input*, 2002); then whole nodes,
milder crashes, pairs of commands. What is impossible without something that was left out is left
out, too. Nothing is drawn: the same run is always shrunk to the same one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from paxos.errors import MisuseError
from paxos.scenario.cluster import Cluster
from paxos.scenario.commands import At, Command, Crash, Deliver, Ending
from paxos.scenario.happenings import Broke, Happening
from paxos.sim.judge import Judge
from paxos.sim.outcome import surprise
from paxos.sim.oversight import Overseer
from paxos.sim.stage import Stage

MOST_REPLAYS = 6000
"""The effort for one failure: some ten seconds. What is not short by then stays as it is."""

SHORT_ENOUGH_FOR_PAIRS = 50
"""Commands. Of more, to try all pairs would take the whole effort."""


@dataclass(frozen=True)
class Case:
    """A cluster, what happens to it, and what that breaks with the last command."""

    cluster: Cluster
    commands: tuple[Command, ...]
    broken: Broke


def replay(cluster: Cluster, commands: Sequence[Command], invariant: str) -> Case | None:
    """Play as much of this as is possible, until that invariant is broken; None if it never is.

    The case has only those commands that were possible.
    """
    stage = _Rehearsal(cluster, invariant)
    played: list[Command] = []
    for command in commands:
        if stage.performs(command):
            played.append(command)
            if stage.broken is not None:
                return Case(cluster, tuple(played), stage.broken)
    return None


def shrink(case: Case, replays: int = MOST_REPLAYS) -> Case:
    """The shortest case found that breaks the same invariant, within so many replays."""
    return _Shrinker(case, replays).shrink()


class _Rehearsal:
    """A stage with a judge, where impossible commands do nothing."""

    def __init__(self, cluster: Cluster, invariant: str) -> None:
        self.broken: Broke | None = None
        self._invariant = invariant
        self._judge = Judge(cluster.real_quorums, self._find)
        self._overseer = Overseer(cluster, self._find)
        self._stage = Stage(cluster, self._watch)
        self._overseer.servers = self._stage.servers

    def performs(self, command: Command) -> bool:
        """Perform it, if it is possible."""
        try:
            self._stage.perform(command)
        except MisuseError:
            return False
        except Exception as error:  # noqa: BLE001 - that nothing else is raised is an invariant
            self._find(surprise(error))
            return True
        node_id = about(command)
        if node_id is not None:
            self._overseer.judge_time(node_id)
        return True

    def _watch(self, happening: Happening) -> None:
        self._judge(happening)
        self._overseer(happening)

    def _find(self, broke: Broke) -> None:
        if self.broken is None and broke.invariant == self._invariant:
            self.broken = broke


def about(command: Command) -> str | None:
    """The node at which a command makes something happen, if there is one."""
    if isinstance(command, At):
        return None
    return command.envelope.recipient if isinstance(command, Deliver) else command.node_id


def _concerns(command: Command, node_id: str) -> bool:
    if isinstance(command, Deliver):
        return node_id in (command.envelope.recipient, command.envelope.sender.node_id)
    return about(command) == node_id


class _Shrinker:
    """The best case so far, and how much effort is left."""

    def __init__(self, case: Case, replays: int) -> None:
        self._best = case
        self._invariant = case.broken.invariant
        self._replays = replays

    def shrink(self) -> Case:
        before = None
        while before != self._best:
            before = self._best
            self._drop_commands()
            self._drop_nodes()
            self._soften_crashes()
            self._drop_pairs()
        return self._best

    def _drop_commands(self) -> None:
        """Chunks of half of them first, then smaller ones, always from the end."""
        size = len(self._best.commands) // 2
        while size:
            end = len(self._best.commands)
            while end > 0:
                commands = self._best.commands
                begin = max(0, end - size)
                self._try(self._best.cluster, commands[:begin] + commands[end:])
                end = min(begin, len(self._best.commands))
            size //= 2

    def _drop_pairs(self) -> None:
        """What neither of them can do without the other, as a crash and the next one."""
        later = len(self._best.commands) - 1
        if later >= SHORT_ENOUGH_FOR_PAIRS:
            return
        while later > 0:
            for earlier in range(later - 1, -1, -1):
                commands = self._best.commands
                rest = commands[:earlier] + commands[earlier + 1 : later] + commands[later + 1 :]
                if self._try(self._best.cluster, rest):
                    later = len(self._best.commands)
                    break
            later -= 1

    def _drop_nodes(self) -> None:
        for node_id in reversed(self._best.cluster.node_ids):
            rest = [c for c in self._best.commands if not _concerns(c, node_id)]
            for cluster in _without(self._best.cluster, node_id):
                if self._try(cluster, rest):
                    break

    def _soften_crashes(self) -> None:
        for place, command in enumerate(self._best.commands):
            if isinstance(command, Crash) and command.ending is not Ending.KILL_WRITTEN:
                softer = list(self._best.commands)
                softer[place] = replace(command, ending=Ending.KILL_WRITTEN)
                self._try(self._best.cluster, softer)

    def _try(self, cluster: Cluster, commands: Sequence[Command]) -> bool:
        """Whether this breaks the invariant, too. Then it is the best so far."""
        if self._replays <= 0:
            return False
        self._replays -= 1
        case = replay(cluster, commands, self._invariant)
        if case is None:
            return False
        self._best = case
        return True


def _without(cluster: Cluster, node_id: str) -> Iterator[Cluster]:
    """The cluster without a node: with majorities, and with quorums as large as they were."""
    members = tuple(member for member in cluster.members if member != node_id)
    proposers = tuple(proposer for proposer in cluster.proposers if proposer != node_id)
    if not members:
        return
    for phase1, phase2 in dict.fromkeys(((None, None), (cluster.phase1, cluster.phase2))):
        try:
            yield replace(
                cluster, members=members, proposers=proposers, phase1=phase1, phase2=phase2
            )
        except MisuseError:  # these quorums need more members
            continue
