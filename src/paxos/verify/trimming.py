"""States of nodes with heartbeats, without what can make no difference any more.

What a node may forget is said in `forgetting`. Here it is done to whole states, and messages are
left out that change nothing any more wherever they arrive. Facts stay: they are judged.

Besides what it is for, a message may bring its sender word of a decision: from whoever knows it
already. But votes go to the owner of their ballot, which tells all others as it counts a quorum of
them. So all but the owner have been sent that word, and another hand adds nothing to it. The owner,
if it has crashed since, has to be told; it has asked, before it began its ballot, whether it may
lead, and this question is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from paxos.heartbeat import HeartbeatNode
from paxos.messages import (
    NOTHING_CHOSEN,
    Chosen,
    Envelope,
    Heartbeat,
    HeartbeatAnswer,
    Message,
    Nack,
    Promise,
    Proposal,
    Request,
)
from paxos.node import Phase
from paxos.proposal_id import NO_PROPOSAL
from paxos.scenario.cluster import Kind
from paxos.verify import forgetting
from paxos.verify.model import Bounds, Down, Local, Running

LOCAL_BITS = 22
LOCAL_MASK = (1 << LOCAL_BITS) - 1


def applies(bounds: Bounds) -> bool:
    """Whether anything is left out. Of a disk that may be overdue more would be read.

    Nor where somebody is no member: it is told of a decision only if it asks.
    """
    cluster = bounds.cluster
    is_plain = cluster.breaks is None and not bounds.every_step and not bounds.slow_disks
    return is_plain and cluster.kind is Kind.HEARTBEAT and not cluster.proposers


class Locals(Protocol):
    """Local states by their numbers, as a table has them."""

    def local_of(self, node: int, number: int) -> Local:
        """The local state that has this number."""
        ...

    def number_for(self, node: int, local: Local) -> int:
        """The number of a local state: a new one, if it has none."""
        ...


class Remains(NamedTuple):
    """What is left of a local state once no ballot will begin any more, by its numbers."""

    may_propose: bool
    has_ballot: bool
    """Whether the node has ever begun one."""

    without_ballots: int
    without_timers: int
    at_last: int
    phase: Phase
    phase_at_last: Phase


def remains_of(local: Local, node: int, locals_: Locals) -> Remains:
    """What is left of this local state."""
    heartbeat_node = undecided(local)
    durable = local.durable if isinstance(local, Down) else local.snapshot.node.durable
    has_ballot = durable.ballot > 0
    if heartbeat_node is None or not isinstance(local, Running):
        number = locals_.number_for(node, local)
        return Remains(False, has_ballot, number, number, number, Phase.IDLE, Phase.IDLE)
    early = forgetting.without_ballots(heartbeat_node)
    still = forgetting.without_timers(heartbeat_node)
    late = forgetting.at_last(heartbeat_node)
    return Remains(
        may_propose=forgetting.may_propose(heartbeat_node),
        has_ballot=has_ballot,
        without_ballots=locals_.number_for(node, with_node(local, early)),
        without_timers=locals_.number_for(node, with_node(local, still)),
        at_last=locals_.number_for(node, with_node(local, late)),
        phase=early.node.proposer.phase,
        phase_at_last=late.node.proposer.phase,
    )


def undecided(local: Local) -> HeartbeatNode[str] | None:
    """The node, if it runs and does not know the decision."""
    if not isinstance(local, Running) or local.snapshot.stopped is not None:
        return None
    node = local.snapshot.node
    if not isinstance(node, HeartbeatNode) or node.chosen is not NOTHING_CHOSEN:
        return None
    return node


def with_node(local: Running, node: HeartbeatNode[str]) -> Local:
    """The local state, with this node in it."""
    return local._replace(snapshot=local.snapshot._replace(node=node))


class Mail:
    """Messages that may come to change nothing, by their bits."""

    def __init__(self, node_ids: tuple[str, ...]) -> None:
        self._index = {node_id: index for index, node_id in enumerate(node_ids)}
        self.offers = 0
        """Answers of those who hear no leader: they are read to begin a ballot, and by a timer."""

        self.values = 0
        """Requests, and answers that name a leader: these make an asker hand its value on."""

        self.asks, self.promises, self.refusals = ([0 for _ in node_ids] for _ in range(3))
        """From each node, whether it may lead; and to each node."""

        self.first_words: dict[tuple[Proposal[str], str], int] = {}
        """By which the owner of a ballot tells each node that its proposal is chosen."""

        self.second_words: dict[tuple[Proposal[str], str], int] = {}
        """By which others tell the same."""

    def add(self, bit: int, envelope: Envelope[Message[str]]) -> None:
        """There is a new message."""
        sender, recipient = self._index[envelope.sender.node_id], self._index[envelope.recipient]
        match envelope.message:
            case HeartbeatAnswer(follows) if follows == NO_PROPOSAL:
                self.offers |= bit
            case HeartbeatAnswer() | Request():
                self.values |= bit
            case Heartbeat(leading) if leading == NO_PROPOSAL:
                self.asks[sender] |= bit
            case Promise():
                self.promises[recipient] |= bit
            case Nack():
                self.refusals[recipient] |= bit
            case Chosen(proposal):
                is_first = proposal.id.node_id == envelope.sender.node_id
                words = self.first_words if is_first else self.second_words
                of = (proposal, envelope.recipient)
                words[of] = words.get(of, 0) | bit
            case _:
                pass

    def unread_by(self, node: int, phase: Phase, *, is_still: bool, is_over: bool) -> int:
        """Messages that change nothing in this node, if its proposer is in this phase."""
        dead = _if(is_still, self.offers) | _if(is_over, self.values)
        dead |= _if(phase is not Phase.PREPARING, self.promises[node])
        return dead | _if(phase is Phase.IDLE, self.refusals[node])

    def said_again(self, state: int) -> int:
        """Words of a decision whose recipients have been sent the first word of it."""
        dead = 0
        for of, bits in self.second_words.items():
            if state & self.first_words.get(of, 0):
                dead |= bits
        return dead


def _if(condition: bool, bits: int) -> int:
    return bits if condition else 0


class Trimmer:
    """Leaves out of states what makes no difference."""

    def __init__(self, bounds: Bounds, locals_: Locals, shifts: Sequence[int], base: int) -> None:
        """Take the local states of a table, where a state has them, and where bits begin."""
        self._bounds = bounds
        self._locals = locals_
        self._shifts = tuple(shifts)
        self._low = (1 << base) - 1
        self._mail = Mail(bounds.node_ids)
        self._remains: list[dict[int, Remains]] = [{} for _ in bounds.node_ids]
        self._known: dict[int, tuple[int, int]] = {}
        self._concern = self._low
        """The part of a state on which it depends what is left out."""

    def add(self, bit: int, envelope: Envelope[Message[str]]) -> None:
        """There is a new message."""
        self._mail.add(bit, envelope)
        self._concern = self._low | sum(self._mail.first_words.values())
        self._known.clear()

    def trimmed(self, state: int, ballots: int, timeouts: int) -> int:
        """The state without what makes no difference, after so many ballots and timeouts."""
        if ballots < self._bounds.ballots:
            return state
        concern = state & self._concern
        known = self._known.get(concern)
        if known is None:
            is_still = timeouts >= self._bounds.timeouts
            known = self._known[concern] = self._trimmed(concern, is_still=is_still)
        remaining, dead = known
        return state - (state & self._low) & ~dead | remaining

    def local_after(self, node: int, number: int, *, is_still: bool) -> int:
        """What is left of a local state, once no ballot will begin, and perhaps no timer fire."""
        remains = self._remains_of(node, number)
        return remains.without_timers if is_still else remains.without_ballots

    def _trimmed(self, concern: int, *, is_still: bool) -> tuple[int, int]:
        """What is left of the local states, and the bits of the messages to leave out."""
        mail, low = self._mail, concern & self._low
        numbers = [low >> shift & LOCAL_MASK for shift in self._shifts]
        all_ = [self._remains_of(node, number) for node, number in enumerate(numbers)]
        is_over = is_still and not any(each.may_propose for each in all_)
        dead = mail.said_again(concern)
        for node, (number, left) in enumerate(zip(numbers, all_, strict=True)):
            new = left.at_last if is_over else left.without_timers
            new = new if is_still else left.without_ballots
            low += new - number << self._shifts[node]
            phase = left.phase_at_last if is_over else left.phase
            dead |= mail.unread_by(node, phase, is_still=is_still, is_over=is_over)
            dead |= _if(is_over and not left.has_ballot, mail.asks[node])
        return low, dead

    def _remains_of(self, node: int, number: int) -> Remains:
        remains = self._remains[node].get(number)
        if remains is None:
            local = self._locals.local_of(node, number)
            remains = self._remains[node][number] = remains_of(local, node, self._locals)
            for left in (remains.without_ballots, remains.without_timers, remains.at_last):
                self._remains_of(node, left)  # now: what is learned depends on this state alone
        return remains
