"""Heartbeats without instants: any armed timer may fire next.

An explorer that kept instants would try one speed of the clocks, and have no end. So it keeps of
each instant only whether it is to come, has passed, or is not set, and lets any timer that is to
come be the next to fire. The clock stands at 0 throughout, so heartbeats carry nothing that grows.

That is more than real clocks can do, on purpose: what holds here holds whatever they do. Above all,
a round that comes late or twice counts as a new one.
"""

from __future__ import annotations

from dataclasses import replace

from paxos.heartbeat import HeartbeatNode, Heartbeats, Stance
from paxos.messages import NOTHING_CHOSEN
from paxos.proposal_id import NO_PROPOSAL
from paxos.timing import NEVER

NOW = 0.0
TO_COME = 1.0
PASSED = -NEVER

CHALLENGE, ROUND, LEADER, PERSIST, SETTLE = "challenge", "round", "leader", "persist", "settle"
ANSWER = "answer-of-"
"""With a member's ID behind it: the time for which its answer counts is over."""


def normalised(node: HeartbeatNode[str]) -> HeartbeatNode[str]:
    """The same node, of whose instants only the class is left."""
    beats = node.heartbeats
    return replace(
        node,
        heartbeats=replace(
            beats,
            challenge_at=_class_of(beats.challenge_at),
            leader_until=_class_of(beats.leader_until),
            round_at=_class_of(beats.round_at),
            persist_due=_class_of(beats.persist_due),
            answers=tuple((member, _class_of(until)) for member, until in beats.answers),
            leader_since=NOW if PASSED < beats.leader_since < NEVER else beats.leader_since,
            heard_round=PASSED,
            attempt=0,  # it only makes back-offs longer
        ),
    )


def _class_of(instant: float) -> float:
    if instant == NEVER:
        return NEVER
    return TO_COME if instant > NOW else PASSED


def timers(node: HeartbeatNode[str]) -> tuple[str, ...]:
    """The names of the timers that may fire next."""
    beats = node.heartbeats
    if node.chosen is not NOTHING_CHOSEN:
        return ()
    leads = beats.stance is Stance.LEADING
    follows = beats.leader != NO_PROPOSAL and not leads
    armed = {
        CHALLENGE: beats.challenge_at == TO_COME and not leads and not follows,
        ROUND: beats.round_at == TO_COME and not follows,
        LEADER: beats.leader_until == TO_COME and follows,
        PERSIST: beats.persist_due == TO_COME,
        SETTLE: beats.leader_since == NOW and beats.leader_until > NOW,
    }
    for member, until in beats.answers:
        armed[ANSWER + member] = until == TO_COME
    return tuple(name for name, is_armed in armed.items() if is_armed)


def fired(node: HeartbeatNode[str], name: str) -> HeartbeatNode[str]:
    """The node at the instant at which this timer is due, and no other."""
    beats = node.heartbeats
    return replace(node, heartbeats=_due(beats, name))


def _due(beats: Heartbeats, name: str) -> Heartbeats:
    if name == CHALLENGE:
        return replace(beats, challenge_at=NOW)
    if name == ROUND:
        return replace(beats, round_at=NOW)
    if name == LEADER:
        return replace(beats, leader_until=NOW)
    if name == PERSIST:
        return replace(beats, persist_due=NOW)
    if name == SETTLE:
        return replace(beats, leader_since=PASSED)
    member = name.removeprefix(ANSWER)
    answers = tuple((m, NOW if m == member else until) for m, until in beats.answers)
    return replace(beats, answers=answers)
