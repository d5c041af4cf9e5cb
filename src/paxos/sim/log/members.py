"""The administrator: changes who the members are, and who leads, as the seed has it.

It asks whoever leads, and now and then somebody else. Whom it takes out may be up or down; whom it
takes in is drawn from all nodes that are not lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paxos.errors import MisuseError
from paxos.log.entries import Configuration, Member
from paxos.log.inputs import ChangeMembers, Transfer
from paxos.sim.swarm import dice

if TYPE_CHECKING:
    from paxos.sim.log.run import LogRun

MOST_MEMBERS = 5


class Administrator:
    """Changes the members of one run's log."""

    def __init__(self, run: LogRun) -> None:
        self.asked: list[Configuration] = []
        """All that it ever asked for."""

        self._run = run
        self._rng = dice(run.plan.seed, "members")

    def act(self, what: str) -> None:
        """Do this now, if there is somebody to ask."""
        rng, run = self._rng, self._run
        up = [node_id for node_id in run.servers if run.process(node_id) is not None]
        leader = run.leading if rng.random() < 0.9 else None
        if not up:
            return
        node_id = leader or rng.choice(up)
        if what == "transfer":
            self._transfer(node_id)
            return
        for _ in range(rng.randint(2, 3) if what == "several" else 1):
            self._change(node_id, "shuffle" if what == "several" else what)

    def _transfer(self, node_id: str) -> None:
        process = self._run.process(node_id)
        if process is None or not process.machine.node.heartbeats.leads:
            return
        names = process.machine.node.log.names
        server = self._run.servers[node_id]
        self._run.performing.input(server, process, Transfer(self._rng.choice(names)))

    def _change(self, node_id: str, what: str) -> None:
        process = self._run.process(node_id)
        if process is None:
            return
        newest = process.machine.node.log.configurations.newest
        names = self._draw([member.node_id for member in newest.members], what)
        if not names:
            return
        servers = self._run.servers
        members = tuple(Member(each, servers[each].identity.incarnation) for each in sorted(names))
        try:
            configuration = self._with_quorums(members)
        except MisuseError:
            return
        if not self._run.striker.leaves_quorum(configuration):
            return
        self.asked.append(configuration)
        self._run.performing.input(servers[node_id], process, ChangeMembers(configuration))

    def _draw(self, present: list[str], what: str) -> list[str]:
        rng = self._rng
        there = [n for n, server in self._run.servers.items() if not server.is_lost]
        others = [each for each in there if each not in present]
        lost = [each for each in present if each not in there]
        match what:
            case "add" if others and len(present) < MOST_MEMBERS:
                return [*present, rng.choice(others)]
            case "remove" if len(present) > 1:
                gone = rng.choice(lost or present)
                return [each for each in present if each != gone]
            case "replace" if others:
                gone = rng.choice(lost or present)
                return [*(each for each in present if each != gone), rng.choice(others)]
            case "shuffle" if there:
                count = rng.randint(min(2, len(there)), min(MOST_MEMBERS, len(there)))
                return rng.sample(there, count)
            case _:
                return []

    def _with_quorums(self, members: tuple[Member, ...]) -> Configuration:
        total = len(members)
        if self._rng.random() < 0.8:
            return Configuration(members)
        phase1 = self._rng.randint(1, total)
        return Configuration(members, phase1, self._rng.randint(total + 1 - phase1, total))
