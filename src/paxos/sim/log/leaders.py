"""Whether whoever leads could get something chosen: judged at each node's own instants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from paxos.events import LeadershipAcquired, LeadershipLost
from paxos.messages import Envelope, HeartbeatAnswer
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.quorum import Quorums
from paxos.scenario.happenings import Broke
from paxos.sim.log.claims import LEADER_CAN_COMMIT


@dataclass(slots=True)
class _Leading:
    """One node, while it leads. Instants are on its own clock."""

    ballot: ProposalID = NO_PROPOSAL
    since: float = 0.0
    quorums: Quorums | None = None
    """Who decides where its log stands, and since when."""

    answered: dict[str, float] = field(default_factory=dict[str, float])
    persist_began: float | None = None


class Leaders:
    """Watches the leaders of one run."""

    def __init__(self, window: float, tell: Callable[[Broke], object]) -> None:
        """`window` is the liveness window."""
        self.reached: set[str] = set()
        self._window = window
        self._tell = tell
        self._nodes: dict[str, _Leading] = {}

    def forget(self, node_id: str) -> None:
        """Its process has ended."""
        self._nodes.pop(node_id, None)

    def persist_began(self, node_id: str, reading: float) -> None:
        """A persist is under way."""
        self._of(node_id).persist_began = reading

    def persist_ended(self, node_id: str) -> None:
        """No persist is under way."""
        self._of(node_id).persist_began = None

    def arrived(self, envelope: Envelope[Any], reading: float) -> None:
        """A message has come to a node."""
        message, leading = envelope.message, self._nodes.get(envelope.recipient)
        if (
            leading is not None
            and isinstance(message, HeartbeatAnswer)
            and leading.ballot == message.follows != NO_PROPOSAL
        ):
            leading.answered[envelope.sender.node_id] = reading

    def told(self, node_id: str, event: Any, reading: float) -> None:
        """A node says that it leads, or does no more."""
        leading = self._of(node_id)
        if isinstance(event, LeadershipAcquired):
            leading.ballot, leading.since = event.id, reading
            leading.answered.clear()
        elif isinstance(event, LeadershipLost):
            leading.ballot = NO_PROPOSAL
            self.reached.add(LEADER_CAN_COMMIT.id)

    def below(self, id: ProposalID) -> list[str]:
        """Who leads under a lower ballot than this, as far as it knows: it is deposed."""
        return [n for n, each in self._nodes.items() if NO_PROPOSAL != each.ballot < id]

    def judge(self, node_id: str, quorums: Quorums, deadline: float | None, reading: float) -> None:
        """Judge a node of which something was asked."""
        leading = self._nodes.get(node_id)
        if leading is None or leading.ballot == NO_PROPOSAL:
            return
        if leading.quorums is not quorums and leading.quorums != quorums:
            leading.quorums, leading.since = quorums, reading  # others have to answer from now on
        if deadline is not None and deadline <= reading:
            return  # it will stop as soon as somebody ticks it
        began = leading.persist_began
        if began is not None and began + self._window <= reading:
            self._break(f"{node_id} leads, and its persist began {reading - began:.3f} s ago")
        if leading.since + self._window > reading:
            return
        limit = reading - self._window
        followers = [name for name, at in leading.answered.items() if at > limit]
        if not quorums.has_phase2([name for name in followers if name in quorums.members]):
            self._break(
                f"{node_id} leads with {leading.ballot}, and within {self._window} s only"
                f" {', '.join(sorted(followers)) or 'nobody'} answered that it follows"
            )

    def _of(self, node_id: str) -> _Leading:
        return self._nodes.setdefault(node_id, _Leading())

    def _break(self, sentence: str) -> None:
        self._tell(Broke(LEADER_CAN_COMMIT.id, sentence))
