"""The end of a run: all faults end, quorums are well, and the log must get somewhere, soon.

Bounds are counted in liveness windows, and have their reasons here. `WINDOWS_TO_WRITE` has to hold
whatever happened before: back-offs have doubled up to six times (`Timing.delay`: at most 5 s, or 16
windows), a leader has to be found, and a newcomer to learn. Once a write is through, whoever is
well has one leader to learn from: `WINDOWS_TO_APPLY` has to hold a snapshot in small chunks, and
the entries behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from paxos.log.entries import Configuration
from paxos.log.inputs import Append
from paxos.scenario.happenings import Broke
from paxos.sessions import ClientRequest, Outcome, encode_request
from paxos.sim.log.claims import PROGRESS
from paxos.sim.log.key_value import Ask, encode_ask
from paxos.sim.swarm import CALM, Unwell, between

if TYPE_CHECKING:
    from paxos.sim.log.run import LogRun

WINDOWS_TO_WRITE = 40.0
WINDOWS_TO_APPLY = 20.0
WINDOWS_OF_ECHO = 4.0
"""Clients that hear nothing give up in this, or their outcome stays unknown."""


class Healing:
    """Heals a run's servers, and sees whether they get where they must."""

    def __init__(self, run: LogRun) -> None:
        self.took: dict[str, float] = {}
        """How many windows passed until a write was acknowledged, and until all had applied it."""

        self.well: list[str] = []
        self.unwell: dict[str, Unwell] = {}
        self._run = run
        self._window = run.plan.timing.window
        self._writes = 0
        self._written: int | None = None

    def demand(self) -> None:
        """Let time pass until all is well, or a bound is not kept: then the run is broken."""
        run = self._run
        self._heal()
        if not self._wait("write", WINDOWS_TO_WRITE, self._has_written):
            self._miss(WINDOWS_TO_WRITE, "no write is acknowledged")
            return
        for client in run.clients:
            client.is_stopped = True
        if not self._wait("apply", WINDOWS_TO_APPLY, self._all_have_applied):
            behind = {n: self._applied(n) for n in self._members_well()}
            self._miss(WINDOWS_TO_APPLY, f"not all have applied {self._written}: {behind}")
            return
        run.reached_here.add(PROGRESS.id)
        run.go_on(run.now + WINDOWS_OF_ECHO * self._window)
        self._compare()

    # What makes well.

    def _heal(self) -> None:
        run = self._run
        run.striker.end()
        run.network.turn(CALM)
        run.network.forget_order()
        run.calm_agenda()
        for node_id, server in run.servers.items():
            run.schedules[node_id].paused_until = 0.0
            run.free(node_id)
            run.striker.set_clock(server, rate=round(run.rng.uniform(0.9, 1.1), 3))
            if server.disk.fault is not None or server.disk.taken_by_a_write is not None:
                run.striker.crash(server)
                server.mend()
            if not server.is_lost:
                run.start(node_id)
        self._draw_unwell()
        self._write(None)

    def _draw_unwell(self) -> None:
        """What may be wrong for good, as long as quorums are well."""
        run = self._run
        sound = [n for n, s in run.servers.items() if s.process and not s.may_be_damaged]
        self.well = sound
        if not run.plan.faults or run.rng.random() < 0.5:
            return
        for node_id in run.rng.sample(sound, run.rng.randint(0, len(sound))):
            rest = [each for each in self.well if each != node_id]
            if self._are_quorums(rest):
                self.well = rest
                self.unwell[node_id] = run.rng.choice(tuple(Unwell))
                self._leave_unwell(node_id, self.unwell[node_id])

    def _are_quorums(self, nodes: Sequence[str]) -> bool:
        """Whether these have quorums of all who decide where they stand, or may decide later."""
        run = self._run
        logs = [node.log for n in nodes if (node := run.node(n)) is not None]
        if not logs:
            return False
        below = max(log.chosen_below for log in logs)
        steps = run.witness.configurations.from_slot(below).steps
        deciding = [configuration for _, configuration in steps]
        for slot, changes in run.witness.proposed_changes.items():
            deciding += changes if slot >= below else ()
        deciding += [each for log in logs for each in log.changes]
        return all(self._has_quorums(each, nodes) for each in deciding)

    def _has_quorums(self, configuration: Configuration, nodes: Sequence[str]) -> bool:
        members = [m.node_id for m in configuration.members if m.node_id in nodes]
        quorums = configuration.quorums
        return quorums.has_phase1(members) and quorums.has_phase2(members)

    def _leave_unwell(self, node_id: str, what: Unwell) -> None:
        run = self._run
        if what is Unwell.DOWN:
            run.striker.crash(run.servers[node_id])
            run.servers[node_id].is_lost = True
            return
        if what is Unwell.HUNG:
            run.schedules[node_id].hangs = True
            return
        others = [other for other in run.servers if other != node_id]
        links = between([node_id], others)
        if what is Unwell.MUTE:
            links = tuple(link for link in links if link[0] == node_id)
        elif what is Unwell.DEAF:
            links = tuple(link for link in links if link[1] == node_id)
        run.network.cut(links, None)

    # What is demanded.

    def _write(self, _: Any) -> None:
        """Ask whoever leads and is not unwell, again and again until there is an answer."""
        run = self._run
        if self._written is not None:
            return
        run.put(round(run.now + self._window / 3, 6), self._write, None)
        run.news += 1
        for node_id, server in list(run.servers.items()):
            process = server.process
            if node_id in self.unwell or process is None:
                continue
            if process.machine.node.heartbeats.leads:
                self._writes += 1
                ask = encode_ask(Ask("put", "last", str(self._writes)))
                data = encode_request(ClientRequest(None, self._writes, 0, ask))
                process.requests[None, self._writes] = self._answered
                run.ledger.asked(data)
                run.performing.input(server, process, Append((data,)))

    def _answered(self, told: Any) -> None:
        if isinstance(told, Outcome) and self._written is None:
            self._written = self._run.ledger.applied_below
            self._run.news += 1

    def _has_written(self) -> bool:
        return self._written is not None

    def _members_well(self) -> list[str]:
        """The members that decide in the slot behind the write, as far as they are well."""
        configuration = self._run.witness.configurations.at(self._run.witness.chosen_below)
        return [m.node_id for m in configuration.members if m.node_id in self.well]

    def _applied(self, node_id: str) -> int:
        process = self._run.process(node_id)
        return -1 if process is None else process.replica.applied_below

    def _all_have_applied(self) -> bool:
        written = self._written or 0
        return all(self._applied(node_id) >= written for node_id in self._members_well())

    def _compare(self) -> None:
        """The whole states of all who have applied the same."""
        run = self._run
        for node_id, server in run.servers.items():
            process = server.process
            if process is not None:
                replica = process.replica
                run.ledger.whole_state(node_id, replica.applied_below, replica.state_digest())

    def _wait(self, what: str, windows: float, done: Any) -> bool:
        run, began = self._run, self._run.now
        if not run.go_on(began + windows * self._window, done):
            return False
        self.took[what] = (run.now - began) / self._window
        return True

    def _miss(self, windows: float, what: str) -> None:
        if self._run.broken is None:
            well = ", ".join(self.well)
            self._run.find(
                Broke(PROGRESS.id, f"{what}, {windows:.0f} windows after {well} were well")
            )
