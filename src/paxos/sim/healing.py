"""The second phase of a run: a part of the cluster is healed, and must make progress.

"Must" needs a bound. Each is stated in liveness windows, for clocks that run up to a tenth too fast
or too slow, and messages and persists that take a tenth of a window together (`swarm.CALM`).
"""

from __future__ import annotations

from collections.abc import Callable

from paxos.heartbeat import HeartbeatNode
from paxos.node import Node, Phase
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.scenario.cluster import Kind
from paxos.scenario.happenings import Broke
from paxos.sim.oversight import LEADER_EXISTS, PROGRESS, SILENCE
from paxos.sim.run import Run

WINDOWS_ONCE_ASKED = 8.0
"""With heartbeats: from the request for a value to the decision.

Who is asked begins at once, unless its challenge is under way: that lasts `MAX_PATIENCE` windows,
which are 7, at most. Of four thousand seeds, the slowest took 2.1.
"""

WINDOWS_TO_SETTLE = 60.0
"""With heartbeats: until there is a leader, or all know a decision, if nobody asks for a value.

The longest back-off is 4.8 s, 16 windows, or 18 on a slow clock; and a duel or two may be lost
after it. Of four thousand seeds, the slowest took 2.1: so many ballots rarely fail.
"""

WINDOWS_FOR_ONE = 6.0
"""Without: for each proposer in turn to learn a decision, its own or another's.

A ballot gets one window. The first may meet what was on its way when all became well, and whoever
was restarted begins below what others have promised.
"""

WINDOWS_OF_ECHO = 1.0
"""What was said before the last node learned the decision arrives, and is answered, in this."""

WINDOWS_OF_SILENCE = 10.0


class Healing:
    """Heals a run's cluster, and sees whether it gets where it must."""

    def __init__(self, run: Run) -> None:
        self.took: dict[str, float] = {}
        """How many windows passed until there was a leader; until there was a decision, once
        somebody asked for a value; and, without heartbeats, until one proposer had an answer."""

        self._run = run
        self._window = run.plan.cluster.timing.window
        self._healed = run.plan.healed
        self._members = [n for n in self._healed if n in run.plan.cluster.members]

    def demand(self) -> None:
        """Let time pass until all is well, or a bound is not kept: then the run is broken."""
        run = self._run
        run.heal()
        knew = self._all_know()
        if run.plan.cluster.kind is Kind.HEARTBEAT:
            self._demand_by_heartbeats()
        else:
            self._demand_by_asking()
        if run.broken is None and not knew:
            run.overseer.reached.add(PROGRESS.id)
        if run.broken is None and not run.plan.unwell:
            self._demand_silence()

    def _demand_by_heartbeats(self) -> None:
        run = self._run
        if not run.plan.afterwards:
            if not self._wait("leader", WINDOWS_TO_SETTLE, self._is_settled):
                self._miss(LEADER_EXISTS.id, WINDOWS_TO_SETTLE, "no leader is followed by a quorum")
                return
            if not self._all_know():
                run.overseer.reached.add(LEADER_EXISTS.id)
                run.propose(run.rng.choice(self._healed), "last")
        if not self._wait("decision", WINDOWS_ONCE_ASKED, self._all_know):
            ignorant = ", ".join(n for n in self._healed if not run.knows(n))
            self._miss(PROGRESS.id, WINDOWS_ONCE_ASKED, f"{ignorant} know no decision")

    def _demand_by_asking(self) -> None:
        """One after the other, so that there is no duel.

        First the one that has promised most: its next ballot is above all that the others have
        promised. A restart forgets what refusals told of that.
        """
        run = self._run
        for node_id in sorted(self._healed, key=self._promised, reverse=True):
            began = run.now
            while run.broken is None and not run.knows(node_id):
                if run.now >= began + WINDOWS_FOR_ONE * self._window:
                    self._miss(PROGRESS.id, WINDOWS_FOR_ONE, f"{node_id} knows no decision")
                    return
                self._ask(node_id)
                run.go_on(run.now + self._window / 10, lambda: run.knows(node_id))  # noqa: B023 - asked at once
            took = (run.now - began) / self._window
            self.took["answer"] = max(took, self.took.get("answer", 0.0))

    def _ask(self, node_id: str) -> None:
        """Let it run one ballot, for a window at most; then only a restart ends that ballot.

        A ballot that some refuse, and others are not there to promise, is neither won nor lost.
        """
        run = self._run

        def ended() -> bool:
            return run.knows(node_id) or self._is_idle(node_id)

        if not ended():
            run.start_anew(node_id)
        run.propose(node_id, f"last{node_id}")
        for _ in range(3):
            if run.go_on(run.now + self._window / 3, ended):
                return
            run.tick(node_id)

    def _demand_silence(self) -> None:
        run = self._run
        run.go_on(run.now + WINDOWS_OF_ECHO * self._window)
        before = run.messages
        run.go_on(run.now + WINDOWS_OF_SILENCE * self._window)
        if run.broken is None and not (run.messages == before and run.is_quiet):
            run.find(
                Broke(
                    SILENCE.id,
                    f"all know the decision, and {run.messages - before} messages left since",
                )
            )
        run.overseer.reached.add(SILENCE.id)

    def _wait(self, what: str, windows: float, done: Callable[[], bool]) -> bool:
        """Let so much time pass, or less: until this is done, and whether it is."""
        run, began = self._run, self._run.now
        if not run.go_on(began + windows * self._window, done):
            return False
        self.took[what] = (run.now - began) / self._window
        return True

    def _miss(self, invariant: str, windows: float, what: str) -> None:
        if self._run.broken is None:
            self._run.find(
                Broke(invariant, f"{what}, {windows:.0f} windows after they could have done it")
            )

    def _all_know(self) -> bool:
        return all(self._run.knows(node_id) for node_id in self._healed)

    def _is_idle(self, node_id: str) -> bool:
        node = self._run.node(node_id)
        return isinstance(node, Node) and node.proposer.phase is Phase.IDLE

    def _is_settled(self) -> bool:
        """Whether all know a decision, or a leader can get its proposals chosen.

        Not all need follow it: who has promised more, to one that is gone, does not accept what it
        proposes, and asks for ever. That does no harm.
        """
        if self._all_know():
            return True
        nodes = {node_id: self._run.node(node_id) for node_id in self._run.plan.cluster.node_ids}
        beats = {n: node.heartbeats for n, node in nodes.items() if isinstance(node, HeartbeatNode)}
        quorums = self._run.plan.cluster.real_quorums
        return any(
            quorums.has_phase2([n for n in self._members if beats[n].leader == leading.ballot])
            for leading in beats.values()
            if leading.leads
        )

    def _promised(self, node_id: str) -> ProposalID:
        node = self._run.node(node_id)
        return node.acceptor.promised if isinstance(node, Node) else NO_PROPOSAL
