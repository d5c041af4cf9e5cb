"""Nodes of a log that break one rule each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from paxos.log.log import Log
from paxos.log.messages import EVERY_LATER_SLOT, ChosenBelow
from paxos.log.state import ChosenRecord, LogState, Record, records_since
from paxos.log.step import LogStep, then
from paxos.messages import NOTHING_ACCEPTED
from paxos.verify.log_bounds import LogRules


class TakesAPageForAll(Log[str]):
    """The first page of a promise counts as a promise for every later slot."""

    def _receive_promise(self, sender: str, page: Any) -> Any:
        return super()._receive_promise(sender, replace(page, end=EVERY_LATER_SLOT))


class TakesWhatIsTrimmedForFree(Log[str]):
    """A promise counts below the slot from which on it was given."""

    def _receive_promise(self, sender: str, page: Any) -> Any:
        start = min(page.slot, self.chosen_below)
        return super()._receive_promise(sender, replace(page, slot=start))


class TrustsTheIndex(Log[str]):
    """Where a leader calls a slot chosen, any vote is taken for what is chosen there."""

    def _receive_chosen_below(self, sender: str, message: ChosenBelow) -> Any:
        step: Any = LogStep(self)
        for slot, node in self.window.between(self.chosen_below, message.slot):
            vote = node.acceptor.accepted
            if vote is not NOTHING_ACCEPTED and vote.id != message.id:
                trusted = replace(message, id=vote.id, slot=slot + 1)
                step = then(step, Log._receive_chosen_below(step.node, sender, trusted))
        return then(step, Log._receive_chosen_below(step.node, sender, message))


class ClaimsAfterItsBallot(Log[str]):
    """Who learns of a higher ballot goes on to speak as the leader of its own."""

    def abandon(self) -> Any:
        return self


class ChangesAtOnce(Log[str]):
    """A change governs from the next slot on, and not a window later."""

    def _having_changed(self, slot: int, change: Any) -> Any:
        limits = self.limits
        hasty: Any = replace(self, limits=replace(limits, window=1))
        log, event = Log._having_changed(hasty, slot, change)
        return replace(log, limits=limits), event


class ProposesPastItsWindow(Log[str]):
    """The window ends one slot too late."""

    def propose(self) -> Any:
        limits = self.limits
        wide: Any = replace(self, limits=replace(limits, window=limits.window + 1))
        step = Log.propose(wide)
        return step._replace(node=replace(step.node, limits=limits))


class FillsWithoutAsking(Log[str]):
    """Where others have accepted something, it proposes nothing all the same."""

    def _counting(self, sender: str, page: Any, end: int) -> Any:
        return super()._counting(sender, replace(page, accepted=()), end)


class BeginsAfterTheHoles(Log[str]):
    """A new leader goes on behind the last slot that it has heard of."""

    def _lead_or_wait(self) -> Any:
        step: Any = super()._lead_or_wait()
        if self.leads or not step.node.leads:
            return step
        log = step.node
        return LogStep(replace(log, next_slot=log.window.end, window=self.window))


class PromisesForNewSlotsOnly(Log[str]):
    """A promise does not reach the slots that it remembers."""

    def _promising(self, promised: Any) -> Any:
        raised = super()._promising(promised)
        return replace(raised, window=self.window)


def mark_first(saved: LogState[str], state: LogState[str]) -> tuple[Record[str], ...]:
    """What is chosen is marked before the entries are written."""
    records = records_since(saved, state)
    marks = tuple(each for each in records if isinstance(each, ChosenRecord))
    return (*marks, *(each for each in records if each not in marks))


MARK_FIRST = LogRules(records=mark_first)
