"""The ledger: what was asked for, chosen, applied, answered and read, and whether it adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from paxos.log.entries import Commands, Entry
from paxos.scenario.happenings import Broke
from paxos.sessions import Outcome, SessionID, Verdict
from paxos.sim.log.claims import (
    EXACTLY_ONCE,
    READS_ARE_FRESH,
    REFUSED_IS_REFUSED,
    SAME_STATE,
)
from paxos.sim.oversight import Claim


class Ledger:
    """Judges the application's side of one run."""

    def __init__(self, tell: Callable[[Broke], object]) -> None:
        self.applied_below = 0
        """Some node has applied all slots below."""

        self.reached: set[str] = set()
        self._tell = tell
        self._asked: Counter[bytes] = Counter()
        self._refused: Counter[bytes] = Counter()
        self._chosen: Counter[bytes] = Counter()
        self._digests: dict[int, bytes] = {}
        """Of the log, by how many slots are applied."""

        self._state_digests: dict[int, bytes] = {}
        self._slot_of: dict[tuple[SessionID, int], int] = {}
        """Where each command of a session was applied."""

        self._needed: dict[int, int] = {}
        """For each read: below which slot all was applied somewhere when it was asked for."""

    def asked(self, data: bytes) -> None:
        """A node is asked to put this into the log."""
        self._asked[data] += 1

    def refused(self, commands: Sequence[bytes]) -> None:
        """A node says that it did not, and will not."""
        self._refused.update(commands)
        self.reached.add(REFUSED_IS_REFUSED.id)
        for data in commands:
            self._judge_count(data)

    def applied(
        self,
        node_id: str,
        slot: int,
        entry: Entry[bytes],
        outcomes: Sequence[Outcome],
        digest: bytes,
    ) -> None:
        """A node has applied this slot."""
        if slot == self.applied_below:
            self.applied_below = slot + 1
            if isinstance(entry, Commands):
                self._applied_first(slot, entry, outcomes)
        known = self._digests.setdefault(slot + 1, digest)
        if known != digest:
            self._break(
                SAME_STATE,
                f"{node_id} has applied slot {slot}, {entry}, with another outcome than the first"
                f" node that did: {list(outcomes)}",
            )

    def restored(self, node_id: str, applied_below: int, digest: bytes) -> None:
        """A node has taken on the state at this slot."""
        if self._digests.get(applied_below, digest) != digest:
            self._break(SAME_STATE, f"{node_id} takes on another state at slot {applied_below}")

    def whole_state(self, node_id: str, applied_below: int, digest: bytes) -> None:
        """A node's whole state at this slot has this digest."""
        known = self._state_digests.setdefault(applied_below, digest)
        if known is not digest:
            self.reached.add(SAME_STATE.id)
        if known != digest:
            self._break(
                SAME_STATE,
                f"the state of {node_id} below slot {applied_below} is not that of another node",
            )

    def read_asked(self, number: int) -> None:
        """A node is asked for a point from which it may be read."""
        self._needed[number] = self.applied_below

    def read_ready(self, node_id: str, number: int, slot: int) -> None:
        """It names one."""
        if slot < self._needed[number]:
            self._break(
                READS_ARE_FRESH,
                f"{node_id} may read from slot {slot}, and all below {self._needed[number]} was"
                " applied somewhere when it was asked",
            )

    def _applied_first(
        self, slot: int, entry: Commands[bytes], outcomes: Sequence[Outcome]
    ) -> None:
        for data in entry.commands:
            self._chosen[data] += 1
            self._judge_count(data)
        for outcome in outcomes:
            if outcome.repeated:
                self.reached.add(EXACTLY_ONCE.id)
            elif outcome.verdict is Verdict.ANSWERED and outcome.session is not None:
                before = self._slot_of.setdefault((outcome.session, outcome.sequence), slot)
                if before != slot:
                    self._break(
                        EXACTLY_ONCE,
                        f"request {outcome.sequence} of session {outcome.session} is applied in"
                        f" slot {before} and in slot {slot}",
                    )

    def _judge_count(self, data: bytes) -> None:
        """Each time that it was asked for, and not refused, puts it into one slot at most."""
        if self._chosen[data] <= self._asked[data] - self._refused[data]:
            return
        count = f"{data!r} was asked for {self._asked[data]} times, and is chosen"
        if self._refused[data]:
            refused = f"was refused {self._refused[data]} times"
            self._break(REFUSED_IS_REFUSED, f"{count} {self._chosen[data]} times, and {refused}")
        else:
            self._break(EXACTLY_ONCE, f"{count} {self._chosen[data]} times")

    def _break(self, claim: Claim, sentence: str) -> None:
        self._tell(Broke(claim.id, sentence))
