"""What of a node with heartbeats can make no difference any more.

Heartbeats are there to begin ballots, and to hand values to whoever proposes. Once all ballots have
begun that the bounds allow, and no timer is left to fire, most of what a node holds of them is read
by nobody; and once nobody is left that can still propose, so is most of what a proposer holds.
Two states that differ in such things alone are one: each does what the other does, now and later.

That depends on the code, so each claim says what reads the thing that it forgets. A mutant may read
more, and is explored without.
"""

from __future__ import annotations

from dataclasses import replace

from paxos.heartbeat import HeartbeatNode, Heartbeats, Stance
from paxos.messages import NO_VALUE
from paxos.node import Phase, Proposer
from paxos.proposal_id import NO_PROPOSAL
from paxos.scenario.abstract_time import NOW, PASSED, TO_COME
from paxos.timing import NEVER


def may_propose(node: HeartbeatNode[str]) -> bool:
    """Whether the ballot of this node has not come to its proposal."""
    proposer = node.node.proposer
    is_free = proposer.phase is Phase.LEADING and proposer.proposal is NO_VALUE
    return proposer.phase is Phase.PREPARING or is_free


def decided(node: HeartbeatNode[str]) -> HeartbeatNode[str]:
    """A node that knows the decision: it tells whoever asks, and no more.

    It has no timers, its ballots have ended, and it begins none. What is on its disk stays.
    """
    beats = replace(_rested(_without_timers(node.heartbeats)), persist_due=NEVER, attempt=0)
    proposer = replace(_idle(node.node.proposer), value=NO_VALUE)
    return replace(node, heartbeats=beats, node=replace(node.node, proposer=proposer))


def without_ballots(node: HeartbeatNode[str]) -> HeartbeatNode[str]:
    """The node once no ballot will begin any more: then nobody reads what IDs it has seen."""
    proposer = _seen_nothing(node.node.proposer)
    return replace(node, node=replace(node.node, proposer=proposer))


def without_timers(node: HeartbeatNode[str]) -> HeartbeatNode[str]:
    """The node once no ballot will begin, and no timer fire, any more."""
    return replace(without_ballots(node), heartbeats=_without_timers(node.heartbeats))


def at_last(node: HeartbeatNode[str]) -> HeartbeatNode[str]:
    """The node once nobody may propose any more, either.

    Its value would only be handed on, and nobody has a use for it. A ballot and a leader are read
    only to ignore a Prepare: of others while a leader is settled, and its own once
    its ballot has ended. If it has promised as much, its own changes nothing, ignored or not.
    """
    node = without_timers(node)
    beats, proposer = node.heartbeats, replace(node.node.proposer, value=NO_VALUE)
    if beats.stance is Stance.ASKING:
        beats = replace(beats, stance=Stance.FOLLOWING)
    own = max(beats.ballot, proposer.ballot)
    if beats.leader_since != PASSED and node.node.acceptor.promised >= own:
        beats, proposer = _rested(beats), _idle(proposer)
    return replace(node, heartbeats=beats, node=replace(node.node, proposer=proposer))


def _without_timers(beats: Heartbeats) -> Heartbeats:
    """Instants are read by timers; of some it is read whether they have passed.

    Answers are read by a timer, to keep leadership, and to begin a ballot. `heard` is compared
    together with a round, and in an exploration each round is new.
    """
    return replace(
        beats,
        challenge_at=TO_COME,
        round_at=NEVER,
        leader_until=PASSED if beats.leader_until <= NOW else TO_COME,
        leader_since=PASSED if beats.leader_since == PASSED else NOW,
        persist_due=NEVER,
        answers=(),
        heard=NO_PROPOSAL,
    )


def _rested(beats: Heartbeats) -> Heartbeats:
    """Without a ballot and a leader."""
    return replace(
        beats,
        stance=Stance.FOLLOWING,
        ballot=NO_PROPOSAL,
        leader=NO_PROPOSAL,
        leader_until=PASSED,
        leader_since=NOW,
    )


def _idle(proposer: Proposer[str]) -> Proposer[str]:
    return _seen_nothing(proposer.abandon())


def _seen_nothing(proposer: Proposer[str]) -> Proposer[str]:
    return replace(proposer, highest_seen=proposer.ballot)
