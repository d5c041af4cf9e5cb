"""Who decides changes with the log: members come and go by entries of the log itself.

Newcomers learn first: a change is proposed only when they have caught up, or the slots that they
must decide in would wait for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from paxos.immutable import replace
from paxos.log.entries import C, Change, Configuration
from paxos.log.events import (
    ChangeRefused,
    MembersChanged,
)
from paxos.log.proposing import Proposing
from paxos.log.step import LogStep
from paxos.messages import (
    Identity,
)


@dataclass(frozen=True)
class Changing(Proposing[C]):
    """What `Log` does about its members."""

    def change_members(self, configuration: Configuration) -> LogStep[Self, C]:
        """Propose other members, unless the newcomers among them have not caught up yet."""
        reason = self._reason_not_to_change(configuration)
        if reason is not None:
            return LogStep(self, (), (ChangeRefused(configuration, reason),))
        return replace(self, changes=(*self.changes, configuration)).propose()

    def _reason_not_to_change(self, configuration: Configuration) -> str | None:
        if not self.leads:
            return "this node does not lead"
        if len(self.changes) + len(self.configurations.steps) > self.limits.window:
            return "too many changes are under way"
        present = {member.node_id: member for member in self._deciders()}
        reached, heard = dict(self.learners), dict(self.unused.incarnations)
        for member in configuration.members:
            before = present.get(member.node_id)
            named = member.incarnation or heard.get(member.node_id, "")
            if before is not None and heard.get(member.node_id, named) != named:
                return f"{member.node_id} lost its disk: give the new one a node ID of its own"
            if before is not None:
                continue
            slot = max(
                (
                    slot
                    for learner, slot in reached.items()
                    if learner.node_id == member.node_id
                    and learner.incarnation == (member.incarnation or learner.incarnation)
                ),
                default=None,
            )
            if slot is None or slot < self.chosen_below - self.limits.window:
                return f"{member.node_id} has not caught up yet: start it, and try again"
        return None

    def _hearing_of(self, learner: Identity, slot: int) -> Self:
        """Remember how far a node has come that has no vote yet."""
        if learner.node_id in self.names:
            return self
        others = tuple(each for each in self.learners if each[0].node_id != learner.node_id)
        return replace(self, learners=(*others, (learner, slot))[-self.limits.window :])

    def _having_changed(self, slot: int, change: Change) -> tuple[Self, MembersChanged]:
        """Others decide from `window` slots after this one on: also in what is remembered there."""
        configurations = self.configurations.having_chosen(slot, change, self.limits.window)
        start = slot + self.limits.window
        log = replace(self, configurations=configurations)._decided_anew(start)
        return log, MembersChanged(change.configuration, start)
