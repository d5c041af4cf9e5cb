"""Faults of processes, clocks and disks: when they strike a run, and what they do."""

from __future__ import annotations

import errno
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Any

from paxos.errors import MisuseError
from paxos.log.entries import Configuration
from paxos.scenario.commands import Ending
from paxos.sim.disk_state import SECTOR_BYTES
from paxos.sim.faults import CRASHES, FAILURES, Fault
from paxos.sim.log.claims import CRASH_IN_A_CHORE
from paxos.sim.log.server import LogServer
from paxos.sim.simulated_disk import CallFault
from paxos.sim.swarm import Strike, dice

if TYPE_CHECKING:
    from paxos.sim.log.run import LogRun


class Striker:
    """Strikes the nodes of one run."""

    def __init__(self, run: LogRun) -> None:
        self._run = run
        self._rng = dice(run.plan.seed, "strikes")
        self._at_effects: list[Strike] = []
        self._next = 0
        self.hostile: tuple[Callable[[Any], None], ...] = (self._in_time, self._restart, self._free)
        """What is on the agenda against somebody, or only for one who was struck."""

    def begin(self) -> None:
        """Put on the agenda what strikes at some time."""
        for strike in self._run.plan.strikes:
            if strike.at is not None:
                self._run.put(strike.at, self._in_time, strike)
        waiting = [strike for strike in self._run.plan.strikes if strike.at is None]
        self._at_effects = sorted(waiting, key=lambda strike: -strike.effect)

    def end(self) -> None:
        """Nothing more strikes."""
        self._at_effects.clear()

    def strike_at_effect(self, server: LogServer) -> None:
        """Strike the node at which something has just happened, if one is due that can."""
        waiting = self._at_effects
        if not waiting or waiting[-1].effect > self._run.effects:
            return
        for place in range(len(waiting) - 1, -1, -1):
            if waiting[place].effect > self._run.effects:
                return
            if waiting[place].write and self._can_strike(waiting[place].fault, server):
                self._strike(waiting.pop(place), server)
                return

    def strikes_amid(self, server: LogServer, chore: Callable[[], object]) -> bool:
        """Whether a crash that is due falls into this chore: then it does.

        Some wait for nothing else: those that fall into write 0.
        """
        due = [each for each in self._at_effects if each.effect <= self._run.effects]
        strike = next((each for each in due if each.fault in CRASHES), None)
        if strike is None:
            return False
        self._at_effects.remove(strike)
        self._amid(server, chore, strike)
        return True

    def _amid(self, server: LogServer, chore: Callable[[], object], strike: Strike) -> None:
        run = self._run
        server.end_amid(self._rng, chore, _power_cut(strike))
        run.performing.lose(server)
        run.happened[strike.fault] += 1
        run.reached_here.add(CRASH_IN_A_CHORE.id)
        run.put(round(run.now + strike.lasts, 6), self._restart, server.node_id)

    def leaves_quorum(self, configuration: Configuration, without: str | None = None) -> bool:
        """Whether quorums of it have not lost their disks."""
        sound = [
            member.node_id
            for member in configuration.members
            if member.node_id != without and not self._run.servers[member.node_id].is_lost
            and not self._run.servers[member.node_id].may_be_damaged
        ]  # fmt: skip
        quorums = configuration.quorums
        return quorums.has_phase1(sound) and quorums.has_phase2(sound)

    def _may_lose(self, node_id: str) -> bool:
        """Whether quorums are left of all who decide, or may decide one day."""
        run = self._run
        proposed = chain.from_iterable(run.witness.proposed_changes.values())
        known = [configuration for _, configuration in run.witness.configurations.steps]
        everybody = (*known, *proposed, *run.administrator.asked)
        return all(self.leaves_quorum(each, without=node_id) for each in everybody)

    def _can_strike(self, fault: Fault, server: LogServer) -> bool:
        process = server.process
        if process is None:
            return False
        if fault is Fault.TEAR or fault in FAILURES:
            return process.under_way is not None
        return True

    def _in_time(self, strike: Strike) -> None:
        self._strike(strike, self._run.servers[strike.node])

    def _strike(self, strike: Strike, server: LogServer) -> None:
        run, fault, node_id = self._run, strike.fault, server.node_id
        over_at = round(run.now + strike.lasts, 6)
        schedule = run.schedules[node_id]
        if fault is Fault.PAUSE:
            schedule.paused_until = max(schedule.paused_until, over_at)
        elif fault is Fault.HANG:
            schedule.hangs = True
            run.put(over_at, self._free, node_id)
        elif fault in FAILURES:
            self._fail(server, fault)
            run.put(over_at, self._restart, node_id)
        elif fault is Fault.ROT:
            self._let_rot(server)
        elif fault is Fault.WIPE:
            self._wipe(server)
        elif fault is Fault.DRIFT:
            self.set_clock(server, rate=strike.rate)
            run.happened[fault] += 1
        elif fault is Fault.JUMP:
            reading = server.clock.reading(run.now) + strike.ahead
            self.set_clock(server, reading=reading)
            run.happened[fault] += 1
        else:
            self._crash(server, strike)
            run.put(over_at, self._restart, node_id)

    def set_clock(
        self, server: LogServer, *, rate: float | None = None, reading: float | None = None
    ) -> None:
        """Let a clock run at another speed, or show another time."""
        server.clock.set(self._run.now, rate=rate, reading=reading)
        self._run.schedules[server.node_id].tick_for = None
        self._run.wake(server)

    def crash(self, server: LogServer, power_cut: str = "") -> None:
        """End a process, if there is one, and perhaps the power."""
        server.end(self._rng, power_cut)
        self._run.performing.lose(server)

    def _crash(self, server: LogServer, strike: Strike) -> None:
        run, power_cut = self._run, _power_cut(strike)
        run.effects += 1
        if strike.fault is Fault.OPENING:
            self.crash(server)
            if not server.may_be_damaged:
                server.end_while_opening(self._rng, self._rng.choice(("", "torn")))
            run.happened[strike.fault] += 1
        elif server.process is not None or power_cut:
            self.crash(server, power_cut)
            run.happened[strike.fault] += 1

    def _fail(self, server: LogServer, fault: Fault) -> None:
        self._run.happened[fault] += 1
        match fault:
            case Fault.IO:
                method = self._rng.choice(("sync", "sync", "write_at"))
                server.disk.fault = _fails(method, errno.EIO, once=True)
            case Fault.FULL:
                method = self._rng.choice(("create_file", "write_at"))
                server.disk.fault = _fails(method, errno.ENOSPC, once=method == "write_at")
            case _:
                server.disk.taken_by_a_write = SECTOR_BYTES

    def _let_rot(self, server: LogServer) -> None:
        """While it is down: what a process saves after its disk decayed would heal it."""
        disk = server.disk
        if server.is_lost or not self._may_lose(server.node_id):
            return
        self.crash(server)
        state = disk.state
        path = self._rng.choice(state.paths)
        size = len(state.content(path))
        if size and self._rng.random() < 0.5:
            disk.state = state.flip(path, self._rng.randrange(size))
        else:
            try:
                disk.rot(self._rng.randrange(1 << 16))
            except MisuseError:
                return  # nothing is there of what was synced last
        server.may_be_damaged = True
        self._run.happened[Fault.ROT] += 1
        self._run.put(self._run.now, self._restart, server.node_id)

    def _wipe(self, server: LogServer) -> None:
        """Lose a disk for good. Another node, which has never run, may come in its place."""
        run = self._run
        if server.is_lost or not self._may_lose(server.node_id):
            return
        self.crash(server)
        server.is_lost = True
        run.happened[Fault.WIPE] += 1
        newcomer = f"{server.node_id}2"
        if newcomer not in run.servers:
            run.add_server(newcomer)
            run.start(newcomer)

    def _free(self, node_id: str) -> None:
        self._run.free(node_id)

    def _restart(self, node_id: str) -> None:
        server = self._run.servers[node_id]
        if server.is_lost:
            return
        server.mend()
        self._run.start(node_id)
        if server.process is None and not server.is_lost:
            self._run.start(node_id)  # the disk failed, once


def _power_cut(strike: Strike) -> str:
    match strike.fault:
        case Fault.POWER:
            return "old" if strike.ending is Ending.POWER_OLD else "new"
        case Fault.TEAR:
            return "torn"
        case _:
            return ""


def _fails(method: str, error: int, *, once: bool) -> CallFault:
    """The fault that hits the next call of this method, or all of them."""
    left = [error] if once else [error] * 1000
    return lambda called: left.pop() if called == method and left else None
