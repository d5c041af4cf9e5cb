"""The witness: hears every message that leaves, and knows Paxos from the paper.

What is said for many slots at once it takes as said in each. It knows nothing of how nodes work
inside: who decides in which slot, and what is chosen there, it finds out by itself, from the votes
that have left. A node on another disk than the one it joined with is another node.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from paxos.log.configurations import Configurations
from paxos.log.entries import NO_OP, Change, Configuration, Entry
from paxos.log.events import EntryChosen
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    AcceptedIn,
    AcceptIn,
    ChosenBelow,
    Decisions,
    PrepareFrom,
    PromiseFrom,
)
from paxos.log.state import LogState
from paxos.messages import NOTHING_ACCEPTED, Envelope, Identity, Proposal
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.scenario.happenings import Broke
from paxos.sim.log.claims import (
    CHOSEN_IS_CHOSEN,
    DURABLE_FIRST,
    ONE_VALUE_A_SLOT,
    ONE_VALUE_AN_ID,
    PROMISES_ARE_KEPT,
    WITHIN_THE_WINDOW,
)
from paxos.sim.oversight import Claim

Disk: TypeAlias = LogState[bytes]
Voter: TypeAlias = tuple[str, str]
"""A node's ID, and its incarnation."""


@dataclass(slots=True)
class _Slot:
    """What was said about one slot."""

    proposed: dict[ProposalID, Proposal[Entry[bytes]]] = field(
        default_factory=dict[ProposalID, Proposal[Entry[bytes]]]
    )
    votes: dict[ProposalID, set[Voter]] = field(default_factory=dict[ProposalID, set[Voter]])
    chosen: Proposal[Entry[bytes]] | None = None
    """Under the first ID under which it was."""


@dataclass(slots=True)
class _Page:
    """One page of somebody's promise."""

    voter: Voter
    start: int
    end: int
    accepted: dict[int, ProposalID]


@dataclass(slots=True)
class _Voter:
    """What one node has said."""

    promised: ProposalID = NO_PROPOSAL
    voted: dict[int, ProposalID] = field(default_factory=dict[int, ProposalID])
    """By slot: the highest ID."""


class Witness:
    """Judges what leaves, and what nodes say is chosen."""

    def __init__(
        self, configurations: Configurations, window: int, tell: Callable[[Broke], object]
    ) -> None:
        """Who decides from slot 0 on; `tell` hears of each claim that is broken."""
        self.configurations = configurations
        """Of every slot whose configuration is known to anybody."""

        self.chosen_below = 0
        """All slots below are chosen, whether or not anybody knows it."""

        self.proposed_changes: dict[int, list[Configuration]] = {}
        """By slot."""

        self.reached: set[str] = set()
        self._window = window
        self._tell = tell
        self._slots: dict[int, _Slot] = {}
        self._promises: dict[ProposalID, list[_Page]] = {}
        self._voters: dict[Voter, _Voter] = {}
        self._handlers: dict[type[Any], Callable[[Identity, Any, Disk], None]] = {
            PrepareFrom: self._prepare,
            PromiseFrom: self._promise,
            AcceptIn: self._accept,
            AcceptedIn: self._accepted,
            ChosenBelow: self._chosen_below,
            Decisions: self._decisions,
        }

    def leaves(self, envelope: Envelope[object], disk: Disk) -> None:
        """A message leaves its sender, on whose disk this is acknowledged."""
        handler = self._handlers.get(type(envelope.message))
        if handler is not None:
            handler(envelope.sender, envelope.message, disk)

    def chosen(self, slot: int) -> Proposal[Entry[bytes]] | None:
        """What is chosen there, as far as votes have left."""
        found = self._slots.get(slot)
        return None if found is None else found.chosen

    def learned(self, node_id: str, event: EntryChosen[bytes]) -> None:
        """A node says that this is chosen."""
        self._judge_decision(node_id, event.slot, event.proposal)
        if event.proposal.value == NO_OP:
            self.reached.add("in-order")

    def believes(self, node_id: str, slot: int, proposal: Proposal[Entry[bytes]]) -> None:
        """A node's disk, or another world's message, holds this as chosen."""
        self._judge_decision(node_id, slot, proposal)

    # What is said.

    def _prepare(self, sender: Identity, message: PrepareFrom, disk: Disk) -> None:
        if message.id.node_id != sender.node_id:
            self._break(ONE_VALUE_AN_ID, f"{sender.node_id} prepares {message.id}")
        if disk.ballot < message.id.number:
            self._break(DURABLE_FIRST, f"Prepare {message.id} left, and {disk.ballot} is on disk")

    def _promise(self, sender: Identity, page: PromiseFrom[bytes], disk: Disk) -> None:
        voter = (sender.node_id, sender.incarnation)
        said = self._voters.setdefault(voter, _Voter())
        if disk.promised < page.id:
            self._break(DURABLE_FIRST, f"Promise {page.id} left, and {disk.promised} is on disk")
        if page.id < said.promised:
            self._break(
                PROMISES_ARE_KEPT,
                f"{sender.node_id} promised {said.promised}, and promises {page.id}",
            )
        said.promised = max(said.promised, page.id)
        accepted = {slot: proposal.id for slot, proposal in page.accepted}
        self._judge_report(sender.node_id, page, accepted, said, disk)
        pages = self._promises.setdefault(page.id, [])
        pages.append(_Page(voter, page.slot, page.end, accepted))
        if accepted:
            self.reached.add(DURABLE_FIRST.id)
        if page.end != EVERY_LATER_SLOT:
            self.reached.add(PROMISES_ARE_KEPT.id)

    def _judge_report(
        self,
        node_id: str,
        page: PromiseFrom[bytes],
        accepted: dict[int, ProposalID],
        said: _Voter,
        disk: Disk,
    ) -> None:
        """It hides no vote, tells of none that is not on disk, and of no value nobody proposed."""
        for slot, proposal in page.accepted:
            vote = disk.vote(slot)
            on_disk = vote.id if vote is not NOTHING_ACCEPTED else NO_PROPOSAL
            if slot >= disk.first and on_disk < proposal.id:
                self._break(
                    DURABLE_FIRST,
                    f"{node_id} tells of its vote for {proposal.id} in slot {slot}, and {on_disk}"
                    " is on disk",
                )
            self._judge_value(node_id, slot, proposal)
        for slot, voted in said.voted.items():
            if page.slot <= slot < page.end and accepted.get(slot, NO_PROPOSAL) < voted:
                self._break(
                    PROMISES_ARE_KEPT,
                    f"{node_id} voted for {voted} in slot {slot}, and its promise of {page.id}"
                    f" tells of {accepted.get(slot, NO_PROPOSAL)}",
                )

    def _accept(self, sender: Identity, message: AcceptIn[bytes], disk: Disk) -> None:
        slot, proposal = message.slot, message.proposal
        found = self._slots.setdefault(slot, _Slot())
        before = found.proposed.get(proposal.id)
        if before is not None:
            if before.value != proposal.value:
                self._break(
                    ONE_VALUE_AN_ID,
                    f"in slot {slot} {proposal.id} is {before.value} and {proposal.value}",
                )
            return
        found.proposed[proposal.id] = proposal
        if proposal.id.node_id != sender.node_id:
            self._break(ONE_VALUE_AN_ID, f"{sender.node_id} proposes under {proposal.id}")
        if slot >= self.chosen_below + self._window:
            self._break(
                WITHIN_THE_WINDOW,
                f"{sender.node_id} proposes in slot {slot}, and all below {self.chosen_below} is"
                f" chosen; the window is {self._window}",
            )
            return
        if isinstance(proposal.value, Change):
            self.proposed_changes.setdefault(slot, []).append(proposal.value.configuration)
        self._judge_proposal(slot, found, proposal)

    def _judge_proposal(self, slot: int, found: _Slot, proposal: Proposal[Entry[bytes]]) -> None:
        """P2c: a phase-1 quorum has told of nothing, or of this value under the highest ID."""
        quorums = self.configurations.at(slot).quorums
        reports: dict[str, ProposalID] = {}
        for page in self._promises.get(proposal.id, ()):
            if page.start <= slot < page.end and self._is_member(slot, page.voter):
                reports[page.voter[0]] = page.accepted.get(slot, NO_PROPOSAL)
        bounds = [NO_PROPOSAL] + [
            id for id in reports.values()
            if id in found.proposed and found.proposed[id].value == proposal.value
        ]  # fmt: skip
        for bound in bounds:
            if quorums.has_phase1([name for name, id in reports.items() if id <= bound]):
                if bound != NO_PROPOSAL:
                    self.reached.add(ONE_VALUE_AN_ID.id)
                return
        self._break(
            ONE_VALUE_AN_ID,
            f"in slot {slot} {proposal} is proposed, after promises of "
            f"{ {name: str(id) for name, id in reports.items()} } (phase 1 needs "
            f"{quorums.phase1} of {', '.join(quorums.members)})",
        )

    def _accepted(self, sender: Identity, vote: AcceptedIn, disk: Disk) -> None:
        voter, slot, id = (sender.node_id, sender.incarnation), vote.slot, vote.id
        said = self._voters.setdefault(voter, _Voter())
        found = self._slots.setdefault(slot, _Slot())
        self._judge_vote(voter, vote, said, disk)
        if id not in found.proposed:
            self._break(ONE_VALUE_AN_ID, f"{voter[0]} votes for {id}, that nobody proposed")
            return
        if id > said.voted.get(slot, NO_PROPOSAL):
            said.voted[slot] = id
        voters = found.votes.setdefault(id, set())
        if voter in voters:
            return
        voters.add(voter)
        if slot < self.chosen_below + self._window:
            self._count(slot, found, id)

    def _judge_vote(self, voter: Voter, vote: AcceptedIn, said: _Voter, disk: Disk) -> None:
        on_disk = disk.vote(vote.slot)
        on_disk_id = on_disk.id if on_disk is not NOTHING_ACCEPTED else NO_PROPOSAL
        if disk.promised < vote.id or (vote.slot >= disk.first and on_disk_id < vote.id):
            self._break(
                DURABLE_FIRST,
                f"the vote of {voter[0]} for {vote.id} in slot {vote.slot} left, and on its disk"
                f" is the promise of {disk.promised} and the vote for {on_disk_id}",
            )
        if said.promised > vote.id:
            self._break(
                PROMISES_ARE_KEPT, f"{voter[0]} promised {said.promised}, and votes for {vote.id}"
            )

    def _count(self, slot: int, found: _Slot, id: ProposalID) -> None:
        """Whether this is chosen now. Then perhaps more is known of who decides later."""
        names = [voter[0] for voter in found.votes[id] if self._is_member(slot, voter)]
        if not self.configurations.at(slot).quorums.has_phase2(names):
            return
        proposal = found.proposed[id]
        if found.chosen is None:
            found.chosen = proposal
            self._advance()
        elif found.chosen.value != proposal.value:
            self._break(ONE_VALUE_A_SLOT, f"slot {slot}: {found.chosen} and {proposal} are chosen")
        elif found.chosen.id != id:
            self.reached.add(ONE_VALUE_A_SLOT.id)

    def _advance(self) -> None:
        while (found := self._slots.get(self.chosen_below)) and found.chosen is not None:
            value, slot = found.chosen.value, self.chosen_below
            self.chosen_below += 1
            if isinstance(value, Change):
                self.configurations = self.configurations.having_chosen(slot, value, self._window)
            if len(self.configurations.steps) > 1 and self.configurations.steps[1][0] <= slot:
                self.reached.add(WITHIN_THE_WINDOW.id)
            # Who decides there is known only now; the votes may have come before.
            new = self._slots.get(slot + self._window)
            for id in list(new.votes) if new is not None else ():
                self._count(slot + self._window, self._slots[slot + self._window], id)

    def _chosen_below(self, sender: Identity, message: ChosenBelow, disk: Disk) -> None:
        if message.slot > self.chosen_below:
            self._break(
                CHOSEN_IS_CHOSEN,
                f"{sender.node_id} says that all below {message.slot} is chosen, and all below"
                f" {self.chosen_below} is",
            )

    def _decisions(self, sender: Identity, message: Decisions[bytes], disk: Disk) -> None:
        self.reached.add(CHOSEN_IS_CHOSEN.id)
        for slot, proposal in enumerate(message.proposals, message.slot):
            self._judge_decision(sender.node_id, slot, proposal)

    def _judge_decision(self, node_id: str, slot: int, proposal: Proposal[Entry[bytes]]) -> None:
        found = self._slots.get(slot)
        chosen = None if found is None else found.chosen
        if chosen is None or chosen.value != proposal.value:
            self._break(
                CHOSEN_IS_CHOSEN,
                f"{node_id} holds {proposal} to be chosen in slot {slot}, and {chosen} is",
            )
        elif proposal.id < chosen.id:
            self._break(
                CHOSEN_IS_CHOSEN,
                f"{node_id} holds {proposal} to be chosen in slot {slot}: that was only under"
                f" {chosen.id}",
            )

    def _judge_value(self, node_id: str, slot: int, proposal: Proposal[Entry[bytes]]) -> None:
        found = self._slots.get(slot)
        known = None if found is None else found.proposed.get(proposal.id)
        if known is None or known.value != proposal.value:
            self._break(ONE_VALUE_AN_ID, f"{node_id} tells of {proposal} in slot {slot}: {known}")

    def _is_member(self, slot: int, voter: Voter) -> bool:
        return self.configurations.at(slot).incarnation_of(voter[0]) == voter[1]

    def _break(self, claim: Claim, sentence: str) -> None:
        self._tell(Broke(claim.id, sentence))
