"""One witness for each slot: what is said for many slots at once, it hears as said in its own.

This is the claim of the whole log: each slot, by itself, is a history of single-decree Paxos.
"""

from __future__ import annotations

from typing import Any

from core.witness import Witness
from log.log_disk import LogDisk
from paxos import (
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    Chosen,
    Envelope,
    Nack,
    Prepare,
    Promise,
    Proposal,
    ProposalID,
)
from paxos.log.configurations import Configurations
from paxos.log.entries import Change, Entry
from paxos.log.events import EntryChosen
from paxos.log.messages import AcceptedIn, AcceptIn, Decisions, PrepareFrom, PromiseFrom


class SlotWitness(Witness):
    """Of one slot. What a leader calls chosen may be known under a later ID than it was chosen."""

    def learned(self, node_id: str, proposal: Proposal[Any]) -> None:
        """A node says that this is chosen: under this ID, or under a lower one.

        By P2b all that is proposed above has the same value, and a voter takes its leader's word
        for its own vote.
        """
        assert any(
            id <= proposal.id and value == repr(proposal.value) for id, value in self.chosen.items()
        ), f"{node_id} learned {proposal}, and chosen are {self.chosen}"


class Witnesses:
    """They are made when somebody first speaks of a slot, and hear what was said before."""

    def __init__(self, configurations: Configurations, window: int) -> None:
        self.configurations, self._window = configurations, window
        """Who decides in which slot, as it follows from what was chosen."""
        self.chosen: dict[int, Proposal[Entry[str]]] = {}
        self._of: dict[int, SlotWitness] = {}
        self._for_many: list[tuple[Envelope[Any], LogDisk, int]] = []
        self._accepts: dict[tuple[int, ProposalID], Proposal[Entry[str]]] = {}

    def of(self, slot: int) -> SlotWitness:
        if slot not in self._of:
            known = len(self.chosen) + self._window
            assert 0 <= slot < known, f"slot {slot} is spoken of: who decides is known to {known}"
            witness = self._of[slot] = SlotWitness(self.configurations.at(slot).quorums)
            for envelope, disk, run in self._for_many:
                self._show(witness, slot, envelope, disk, run)
        return self._of[slot]

    def leaves(self, envelope: Envelope[Any], disk: LogDisk, run: int) -> None:
        match envelope.message:
            case AcceptIn(slot, proposal):
                self._accepts.setdefault((slot, proposal.id), proposal)
                witness = self.of(slot)
                witness.proposed(proposal.value)
                self._tell(witness, envelope, Accept(proposal), disk.in_slot(slot), run)
            case AcceptedIn(slot, id):
                vote = Accepted(self._accepts[slot, id])
                self._tell(self.of(slot), envelope, vote, disk.in_slot(slot), run)
            case Decisions(slot, proposals):
                for each, proposal in enumerate(proposals, slot):
                    self._tell(self.of(each), envelope, Chosen(proposal), None, run)
            case PrepareFrom() | PromiseFrom():
                as_it_was = disk.as_it_is()
                self._for_many.append((envelope, as_it_was, run))
                for slot, witness in self._of.items():
                    self._show(witness, slot, envelope, as_it_was, run)
            case Nack(id, promised):
                assert promised > id, "a refusal without a reason"
            case _:
                pass

    def learned(self, node_id: str, event: EntryChosen[str]) -> None:
        slot, proposal = event.slot, event.proposal
        self.of(slot).learned(node_id, proposal)
        first = self.chosen.get(slot)
        if first is not None:
            assert first.value == proposal.value, f"{node_id}: {slot} is {first} and {proposal}"
            return
        assert slot == len(self.chosen), f"{node_id} is the first to know slot {slot}"
        self.chosen[slot] = proposal
        if isinstance(proposal.value, Change):
            self.configurations = self.configurations.having_chosen(
                slot, proposal.value, self._window
            )

    def _show(
        self, witness: Witness, slot: int, envelope: Envelope[Any], disk: LogDisk, run: int
    ) -> None:
        """What is said for many slots, as it sounds in this one."""
        match envelope.message:
            case PrepareFrom(id, start) if slot >= start:
                self._tell(witness, envelope, Prepare(id), disk.in_slot(slot), run)
            case PromiseFrom(id, start, end, _, accepted) if start <= slot < end:
                vote = dict(accepted).get(slot, NOTHING_ACCEPTED)
                self._tell(witness, envelope, Promise(id, vote), disk.in_slot(slot), run)
            case _:
                pass

    @staticmethod
    def _tell(witness: Witness, envelope: Envelope[Any], message: Any, disk: Any, run: int) -> None:
        witness.leaves(Envelope(envelope.sender, envelope.recipient, message), disk, run)
