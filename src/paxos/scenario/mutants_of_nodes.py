# ruff: noqa: D102 - what a method of a mutant does wrong, its class says
"""Nodes that forget, or listen to the wrong people; shells that speak too early; careless disks.

Each class is put into nodes that are otherwise real. `paxos.scenario.rules` says which rule it
drops, and what comes of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from paxos.errors import FaultError
from paxos.machine import Ready, Step
from paxos.messages import (
    NOTHING_ACCEPTED,
    Accepted,
    Envelope,
    Identity,
    Message,
    Prepare,
    Promise,
    Proposal,
)
from paxos.node import DurableState, Node, Phase
from paxos.proposal_id import NO_PROPOSAL
from paxos.quorum import Quorums
from paxos.scenario.breakage import AnyMachine, DiskBetween, altered

# What a node finds again after a crash.


class ForgetsItsNumber(Node[str]):
    """Does not save the number of its ballot."""

    @property
    def durable(self) -> DurableState[str]:
        return altered(super().durable, ballot=0)


class ForgetsItsPromise(Node[str]):
    """Saves its vote, and not what it promised."""

    @property
    def durable(self) -> DurableState[str]:
        return altered(super().durable, promised=NO_PROPOSAL)


class ForgetsItsVote(Node[str]):
    """Saves what it promised, and not its vote."""

    @property
    def durable(self) -> DurableState[str]:
        return altered(super().durable, accepted=NOTHING_ACCEPTED)


class RemembersOneNumber(Node[str]):
    """Takes the ID that it promised for the one that it voted in, once it has restarted."""

    @classmethod
    def recover(
        cls, identity: Identity, quorums: Quorums, durable: DurableState[str] | None = None
    ) -> Self:
        node = super().recover(identity, quorums, durable)
        held = node.acceptor
        if held.accepted is NOTHING_ACCEPTED:
            return node
        vote = Proposal(held.promised, held.accepted.value)
        return altered(node, acceptor=altered(held, accepted=vote))


class TrustsWhatWasTorn(Node[str]):
    """Takes promise and vote from its disk as they stand, though the vote may be the newer one."""

    @classmethod
    def recover(
        cls, identity: Identity, quorums: Quorums, durable: DurableState[str] | None = None
    ) -> Self:
        node = super().recover(identity, quorums, durable)
        promised = NO_PROPOSAL if durable is None else durable.promised
        return altered(node, acceptor=altered(node.acceptor, promised=promised))


class ResumesItsBallot(Node[str]):
    """Goes on with the ballot in which it crashed."""

    @classmethod
    def recover(
        cls, identity: Identity, quorums: Quorums, durable: DurableState[str] | None = None
    ) -> Self:
        node = super().recover(identity, quorums, durable)
        if node.proposer.ballot == NO_PROPOSAL:
            return node
        return altered(node, proposer=altered(node.proposer, phase=Phase.PREPARING))


# Whom a node talks and listens to.


class ListensToTheWiped(Node[str]):
    """Takes a member that lost its disk for one that restarted."""

    def _reason_to_refuse(self, envelope: Envelope[Any]) -> str | None:
        return super(ListensToTheWiped, altered(self, incarnations=()))._reason_to_refuse(envelope)


class ListensToAnybody(Node[str]):
    """Takes in whatever arrives, though it be meant for another cluster."""

    def _reason_to_refuse(self, envelope: Envelope[Any]) -> str | None:
        return None


class AsksItselfToo(Node[str]):
    """Takes itself for a member."""

    def to_members(self, message: Message[str]) -> tuple[Envelope[Message[str]], ...]:
        others = tuple(e for e in super().to_members(message) if e.recipient != self.node_id)
        return others + self.to(self.node_id, message)


class AsksPromisersAlone(Node[str]):
    """Sends its Accept to those that promised, and to nobody else."""

    def handle(self, sender: str, message: Message[str]) -> Step[Any, str]:
        step = super().handle(sender, message)
        if not isinstance(message, Promise):
            return step
        promisers = (*self.proposer.promised_by, sender)
        return step._replace(messages=tuple(e for e in step.messages if e.recipient in promisers))


class TellsNobody(Node[str]):
    """Once it knows what is chosen, it answers nobody any more."""

    def tell(self, late_comer: str) -> Step[Any, str]:
        return Step(self)


# What leaves a machine, and when.


class _SendsAtOnce(AnyMachine):
    """Lets some messages go before the disk has what they say."""

    __slots__ = ()

    def _is_hasty(self, envelope: Envelope[Any]) -> bool:
        raise NotImplementedError

    def _route(self, envelopes: Iterable[Envelope[Any]]) -> None:
        for envelope in envelopes:
            if self._is_hasty(envelope):
                self._send += (envelope,)
            else:
                super()._route([envelope])


class SendsPreparesAtOnce(_SendsAtOnce):
    """Lets a Prepare go before its number is on the disk."""

    __slots__ = ()

    def _is_hasty(self, envelope: Envelope[Any]) -> bool:
        return isinstance(envelope.message, Prepare)


class SendsPromisesAtOnce(_SendsAtOnce):
    """Lets a Promise go before it is on the disk."""

    __slots__ = ()

    def _is_hasty(self, envelope: Envelope[Any]) -> bool:
        return isinstance(envelope.message, Promise)


class SendsVotesAtOnce(_SendsAtOnce):
    """Lets a vote go before it is on the disk."""

    __slots__ = ()

    def _is_hasty(self, envelope: Envelope[Any]) -> bool:
        return isinstance(envelope.message, Accepted)


class HearsItselfAtOnce(_SendsAtOnce):
    """Counts its own vote before it is on the disk."""

    __slots__ = ()

    def _is_hasty(self, envelope: Envelope[Any]) -> bool:
        own = envelope.recipient == envelope.sender.node_id
        return own and isinstance(envelope.message, Accepted)


class AnswersDuplicatesAtOnce(AnyMachine):
    """Sees that a message changes nothing, and answers it while the first is still being saved."""

    __slots__ = ()

    def ready(self) -> Ready[DurableState[str], str]:
        ready = super().ready()
        if ready.persist is not None or self._node.durable != self._saving:
            return ready
        answers, self._waiting = tuple(self._waiting), {}
        return altered(ready, send_after_persist=answers)


class TakesAllForSaved(AnyMachine):
    """When a persist is done, it takes what has changed meanwhile for saved as well."""

    __slots__ = ()

    def persisted(self) -> None:
        super().persisted()
        self._saved = self._node.durable


class PapersOverAFailure(AnyMachine):
    """Is told that its disk has failed, and goes on as if it had not."""

    __slots__ = ()

    def failed(self, error: FaultError) -> None:
        if self._saving is not None:
            self.persisted()


# What a disk does with what it is given.


class NeverSyncs(DiskBetween[Any]):
    """Says that all is on stable storage, and has only written it."""

    def sync(self, file: int) -> None:
        pass


class SyncsAgain(DiskBetween[Any]):
    """Tries a sync again that has failed, and believes the second."""

    def sync(self, file: int) -> None:
        try:
            self._disk.sync(file)
        except OSError:
            self._disk.sync(file)


class WritesNothingTwice(DiskBetween[Any]):
    """Spares itself a write that would change nothing, and the sync after it."""

    _is_changed = False

    def write_at(self, file: int, offset: int, data: bytes) -> int:
        if self._disk.read_at(file, offset, len(data)) == data:
            return len(data)
        self._is_changed = True
        taken: int = self._disk.write_at(file, offset, data)
        return taken

    def sync(self, file: int) -> None:
        if self._is_changed:
            self._disk.sync(file)
