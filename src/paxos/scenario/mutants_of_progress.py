# ruff: noqa: D102 - what a method of a mutant does wrong, its class says
"""Leaders, followers and askers that each drop one rule of progress. Nothing wrong is ever chosen.

Each class is put into nodes that are otherwise real. `paxos.scenario.rules` says which rule it
drops, and what comes of it.
"""

from __future__ import annotations

from typing import Any

from paxos.heartbeat import (
    HeartbeatNode,
    Heartbeats,
    Reaction,
    Stance,
)
from paxos.machine import Step
from paxos.messages import Heartbeat, HeartbeatAnswer
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.scenario.breakage import altered
from paxos.timing import NEVER, Timing


class BacksOffAlike(Timing):
    """Holds back as long as everybody else does, however often it has failed."""

    def delay(self, node_id: str, attempt: int) -> float:
        return super().delay("", min(attempt, 1))


class LeadsWithoutFollowers(Heartbeats):
    """Leads on, though nobody answers any more."""

    def _followed_until(self) -> float:
        return NEVER


class MindsNoHangingDisk(Heartbeats):
    """Leads on and answers, however long its disk takes."""

    def persist_began(self, now: float) -> Any:
        return self


class AsksNobody(Heartbeats):
    """Begins a ballot as soon as it would like to lead."""

    def ask(self, now: float) -> Reaction:
        reaction = super().ask(now)
        if reaction.heartbeats.stance is not Stance.ASKING:
            return reaction
        return Reaction(reaction.heartbeats._challenge(now), challenge=True)


class AsksForPromisesOnly(Heartbeats):
    """Begins a ballot with leave of enough members to promise, though they be too few to vote."""

    def receive_answer(self, sender: str, answer: HeartbeatAnswer, now: float) -> Reaction:
        reaction = super().receive_answer(sender, answer, now)
        beats = reaction.heartbeats
        willing = [member for member, until in beats.answers if now < until]
        may_ask = beats.stance is Stance.ASKING and now < beats.persist_due
        if may_ask and beats.quorums.has_phase1(willing):
            return Reaction(beats._challenge(now), challenge=True)
        return reaction


class PromisesLatePrepares(Heartbeats):
    """Promises a ballot that nobody wants any more, against a settled leader."""

    def ignores(self, prepare: ProposalID, now: float) -> bool:
        return False


class CountsLateAnswers(Heartbeats):
    """Lets an answer count from when it came, however old the question is."""

    def receive_answer(self, sender: str, answer: HeartbeatAnswer, now: float) -> Reaction:
        return super().receive_answer(sender, HeartbeatAnswer(answer.follows, now), now)


class FollowsOldRounds(Heartbeats):
    """Follows a leader anew for a round of it that comes late, or twice."""

    def _follow(self, heartbeat: Heartbeat, now: float) -> Reaction:
        forgetful = altered(self, heard=NO_PROPOSAL)
        return super(FollowsOldRounds, forgetful)._follow(heartbeat, now)


class FollowsWhomItRefuses(Heartbeats):
    """Follows a leader although it has promised to accept nothing from it."""

    def receive_heartbeat(self, heartbeat: Heartbeat, promised: ProposalID, now: float) -> Reaction:
        return super().receive_heartbeat(heartbeat, NO_PROPOSAL, now)


class GivesNoChance(Heartbeats):
    """Does not hold back when another node has begun a ballot."""

    def receive_prepare(self, prepare: ProposalID, now: float) -> Any:
        return self


class ChallengesForever(Heartbeats):
    """Waits for promises without end."""

    def _challenge(self, now: float) -> Any:
        return altered(super()._challenge(now), challenge_at=NEVER)


class LosesPatience(Heartbeats):
    """Gives each challenge one window, though the last one was too short."""

    def _challenge(self, now: float) -> Any:
        return altered(super()._challenge(now), challenge_at=now + self.timing.window)


class KeepsItsValue(HeartbeatNode[str]):
    """Has a value, follows a leader that has none, and waits."""

    def _hand_on(self, *recipients: str) -> Step[Any, str]:
        return Step(self)
