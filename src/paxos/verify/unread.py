"""Whether what was forgotten is really read by nobody.

That some message changes nothing any more, and that some field is read no longer, is what
`forgetting` claims of the library. But the library is what is put to the test: a leader that heeds
one promise more breaks Paxos, and breaks such a claim. So a search takes none of them for granted.
At its end each is tried on every local state that it has met, by the library's own step:

- What is left out changes nothing in a node that has forgotten. It may make the node say what is
  left out, too, or that the decision is what it believes to be the decision.
- Whatever was done with a node does the same with what is left of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from paxos.heartbeat import HeartbeatNode
from paxos.messages import (
    Chosen,
    Envelope,
    Heartbeat,
    HeartbeatAnswer,
    Message,
    Nack,
    Promise,
    Request,
)
from paxos.node import Phase
from paxos.proposal_id import NO_PROPOSAL
from paxos.scenario.commands import Deliver, Timer
from paxos.verify import forgetting
from paxos.verify.model import Effect, Local, Running, Sending
from paxos.verify.moves import Question
from paxos.verify.table import Table
from paxos.verify.trimming import Mail, undecided, with_node


class ReadAfterAllError(Exception):
    """What was found by forgetting is worth nothing: something that was forgotten is read."""


class Stage(NamedTuple):
    """How much of a run is over, and what a node forgets then."""

    forget: Callable[[HeartbeatNode[str]], HeartbeatNode[str]]
    is_still: bool = False
    is_over: bool = False

    def may_be(self, local: Local) -> bool:
        """Whether a node can be in this local state then."""
        node = undecided(local)
        return node is None or not (self.is_over and forgetting.may_propose(node))

    def left_of(self, local: Local) -> Local:
        """What is left of a local state."""
        node = undecided(local)
        if node is None or not isinstance(local, Running):
            return local
        return with_node(local, self.forget(node))

    def matters(self, message: Message[str]) -> bool:
        """Whether a node that has forgotten has to say this wherever another says it.

        A refusal makes nobody do more than without it, and a decision is known to whoever needs it.
        """
        match message:
            case Nack() | Chosen():
                return False
            case HeartbeatAnswer(follows):
                return not (self.is_over or (self.is_still and follows == NO_PROPOSAL))
            case Request() | Promise():
                return not self.is_over
            case Heartbeat(leading):
                return not (self.is_over and leading == NO_PROPOSAL)
            case _:
                return True


STAGES = (
    Stage(forgetting.without_ballots),
    Stage(forgetting.without_timers, is_still=True),
    Stage(forgetting.at_last, is_still=True, is_over=True),
)


def demand_unread(table: Table) -> None:
    """Raise `ReadAfterAllError` if something that a search has left out makes a difference."""
    for stage in STAGES:
        for node in range(len(table.node_ids)):
            claims = _Claims(table, stage, node)
            claims.demand_unheeded()
            claims.demand_same_effects()


class _Claims:
    """What is claimed of one node, once so much of a run is over."""

    def __init__(self, table: Table, stage: Stage, node: int) -> None:
        self._table, self._stage, self._node = table, stage, node
        self._met = table.locals_of(node)
        self._left: dict[int, int] = {}
        """For each local state that was met, what is left of it, by its number."""

        self._number_of: dict[Local, int] = {}
        self._locals: list[Local] = []

    def demand_unheeded(self) -> None:
        """Demand that what is left out changes nothing in this node."""
        stage, mail = self._stage, Mail(self._table.node_ids)
        mine = list[tuple[int, Deliver]]()
        for bit, envelope in self._table.envelopes():
            mail.add(bit, envelope)
            if envelope.recipient == self._table.node_ids[self._node]:
                mine.append((bit, Deliver(envelope)))
        asks = _union(mail.asks) if stage.is_over else 0
        how_far = {"is_still": stage.is_still, "is_over": stage.is_over}
        met = [number for number, each in enumerate(self._met) if stage.may_be(each)]
        for number in dict.fromkeys(map(self._left_of, met)):
            local = self._locals[number]
            dead = asks | mail.unread_by(self._node, _phase_of(local), **how_far)
            for bit, delivery in mine:
                if bit & dead:
                    self._demand_nothing(local, delivery)
        for delivery in self._never_sent() if stage.is_over else ():
            for number in met:
                self._demand_nothing(self._met[number], delivery)

    def _never_sent(self) -> Iterator[Deliver]:
        """Requests, which nobody makes who has forgotten his value: so they are not met."""
        senders = {envelope.sender for _, envelope in self._table.envelopes()}
        values = {value for _, value in self._table.model.bounds.proposals}
        recipient = self._table.node_ids[self._node]
        for sender in sorted(senders, key=lambda each: each.node_id):
            if sender.node_id != recipient:
                yield from (
                    Deliver(Envelope(sender, recipient, Request(value))) for value in sorted(values)
                )

    def _demand_nothing(self, local: Local, delivery: Deliver) -> None:
        effect = self._table.model.effect(local, delivery, at_once=False)
        if effect is None or effect.ballots:
            return  # no ballot is left to begin
        left = self._stage.left_of(local)
        says = [sending.envelope.message for sending in effect.sent]
        is_wrong = effect.facts or effect.alarm or effect.false_claim
        is_silent = all(isinstance(message, Chosen | HeartbeatAnswer) for message in says)
        if is_wrong or not is_silent or self._stage.left_of(effect.local) != left:
            raise ReadAfterAllError(f"'{delivery}' makes a difference to {local}")

    def demand_same_effects(self) -> None:
        """Demand that each action does the same with a node and with what is left of it."""
        table, stage = self._table, self._stage
        known: dict[tuple[int, int, bool], object] = {}
        for _, number, action, at_once in (each for each in table.asked() if each[0] == self._node):
            local, what = self._met[number], table.action(action)
            is_timer = stage.is_still and isinstance(what, Timer)  # none is left to fire
            if is_timer or not stage.may_be(local):
                continue
            left = self._left_of(number)
            key, forgotten = (left, action, at_once), self._locals[left]
            if forgotten is local or forgotten == local:
                continue
            result = table.answer(Question(self._node, number, action, at_once))
            after = left if result is None else self._left_of(result.local)
            one = self._outcome(left, None if result is None else result.effect, after)
            if key not in known:
                effect = table.model.effect(forgotten, what, at_once=at_once)
                after = left if effect is None else self._numbered(effect.local)
                known[key] = self._outcome(left, effect, after)
            if one != known[key]:
                raise ReadAfterAllError(f"'{what}' does not do with {local} what with {forgotten}")

    def _outcome(self, left: int, effect: Effect | None, after: int) -> object:
        """What comes of an action, as far as it matters. No ballot is left to begin."""
        if effect is None or effect.ballots:
            return left, frozenset[Sending](), (), None
        sent = {each for each in effect.sent if self._stage.matters(each.envelope.message)}
        return after, frozenset(sent), effect.facts, effect.alarm

    def _left_of(self, number: int) -> int:
        """What is left of a local state of the table, each by its number."""
        left = self._left.get(number)
        if left is None:
            left = self._left[number] = self._numbered(self._table.local_of(self._node, number))
        return left

    def _numbered(self, local: Local) -> int:
        """The number of what is left of a local state."""
        left = self._stage.left_of(local)
        number = self._number_of.setdefault(left, len(self._locals))
        if number == len(self._locals):
            self._locals.append(left)
        return number


def _phase_of(local: Local) -> Phase:
    node = undecided(local)
    return Phase.IDLE if node is None else node.node.proposer.phase


def _union(masks: Iterable[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union
