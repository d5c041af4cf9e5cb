"""One node's replica in the runtime: it applies what is chosen, and answers whoever waits for that.

A command is known by its bytes: they hold the session and the number of the request, and on the
node that proposes it they are one and the same object all the way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple, Protocol

from paxos.codec import MalformedError
from paxos.log.entries import Commands, Entry
from paxos.replica import Replica
from paxos.runtime import log_protocol as wire
from paxos.sessions import ActivateVersion, decode_request
from paxos.state_machine import StateMachine

MAX_WAITING = 8192
"""Commands and queries that wait here at once. More are pushed back: they would wait for long."""


class Caller(Protocol):
    """Who is to be answered."""

    def reply(self, reply: wire.LogReply, /) -> None:
        """Take the answer to one call."""
        ...


class Called(NamedTuple):
    """One call that waits for its answer."""

    caller: Caller
    number: int


class Query(NamedTuple):
    """One query that waits for its answer."""

    caller: Caller
    number: int
    payload: bytes


class Applying:
    """Applies entries in order, and answers commands and queries."""

    def __init__(self, replica: Replica[StateMachine], applied: Callable[[int], None]) -> None:
        """`applied` is called with the slot below which all is applied, after each entry."""
        self.replica = replica
        self._applied = applied
        self._commands: dict[bytes, list[Called]] = {}
        self._queries: list[tuple[int, int, Query]] = []
        self._tickets = count()
        self._behind: deque[tuple[int, Entry[bytes]]] = deque()
        """What was chosen while the replica must not change. The window bounds what comes to vote
        meanwhile; a snapshot is taken in well under a second."""

        self._held = False

    @property
    def waiting(self) -> int:
        """How many calls wait for an answer."""
        return len(self._commands) + len(self._queries)

    def wait_for(self, request: bytes, called: Called) -> bool:
        """Answer this caller when the request is applied. Say whether it is the first to wait."""
        callers = self._commands.get(request)
        if callers is None:
            self._commands[request] = [called]
            return True
        callers.append(called)
        return False

    def give_up(self, requests: Iterable[bytes], reply: Callable[[int], wire.LogReply]) -> None:
        """Answer otherwise whoever waits for these."""
        for request in requests:
            for caller, number in self._commands.pop(request, ()):
                caller.reply(reply(number))

    def give_up_all(self, reply: Callable[[int], wire.LogReply]) -> None:
        """Answer otherwise whoever waits for a command."""
        self.give_up(tuple(self._commands), reply)

    def chosen(self, slot: int, entry: Entry[bytes]) -> None:
        """Apply this entry, now or when the replica may change again. Raises as the replica does.

        One from before the replica's own snapshot is known already.
        """
        if self._held:
            self._behind.append((slot, entry))
        elif slot >= self.replica.applied_below:
            self._apply(slot, entry)

    def hold(self) -> None:
        """Leave the replica as it is until `go_on`: a snapshot is being taken, or installed."""
        self._held = True

    def go_on(self) -> None:
        """Apply what has come meanwhile."""
        self._held = False
        while self._behind and not self._held:
            self.chosen(*self._behind.popleft())
        self._answer_queries()

    def answer_at(self, slot: int, query: Query) -> None:
        """Answer this query once all below this slot is applied."""
        if not self._held and self.replica.applied_below >= slot:
            self.answer(query)
        else:
            heappush(self._queries, (slot, next(self._tickets), query))

    def answer(self, query: Query) -> None:
        """Answer this query from the state as it is."""
        outcome = self.replica.query(query.payload)
        query.caller.reply(wire.Answered(query.number, outcome))

    def _apply(self, slot: int, entry: Entry[bytes]) -> None:
        outcomes = self.replica.apply(slot, entry)
        waiting = self._commands
        if waiting and isinstance(entry, Commands):
            for request, outcome in zip(entry.commands, outcomes, strict=True):
                callers = waiting.pop(request, None)
                if callers is not None:
                    for caller, number in callers:
                        caller.reply(wire.Answered(number, outcome))
        if self._queries:
            self._answer_queries()
        self._applied(slot + 1)

    def _answer_queries(self) -> None:
        while self._queries and self._queries[0][0] <= self.replica.applied_below:
            self.answer(heappop(self._queries)[2])


def reason_to_decline(request: bytes) -> str | None:
    """Why this must not go into the log, or None.

    Who could activate a version here would stop every node whose code does not know it, for good.
    """
    try:
        asked = decode_request(request)
    except MalformedError as error:
        return str(error)[:1000]
    return "no client may activate a version" if isinstance(asked, ActivateVersion) else None


def read_numbers(draw: float) -> Iterator[int]:
    """Numbers for the reads of one run of a node. `draw` is from 0 to 1, and new for each run.

    An answer may come late, from a leader that was asked by the run before. Had that run used the
    same number, this one would take an old slot for a new read, and the read would be stale.
    """
    return count(int(draw * (1 << 53)) * (1 << 9))
