"""Simulated clients: each has a session, several requests under way, and little patience.

What a client hears nothing of, it asks again, at another node and under the same number; in the end
it gives up, and the outcome is unknown. All that it asked and heard is kept as a history.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

from paxos.histories.history import Event
from paxos.sessions import OpenSession, Outcome, SessionClient, SessionID, Verdict, encode_request
from paxos.sim.log.key_value import Ask, decode_answer, encode_ask
from paxos.sim.log.plan import Habits

LATENCY = 0.002
"""Seconds from a client to a node at most, and back."""

REFUSED = "refused"
"""Stands for an outcome: surely not proposed."""

ASKS = ("put", "put", "get", "get", "get", "get", "append", "cas", "cas", "delete")


class Servers(Protocol):
    """What a client asks of its world."""

    now: float
    events: list[Event]

    def put(self, at: float, what: Callable[[Any], None], about: Any) -> None:
        """Let this happen at that instant."""
        ...

    def some_node(self, rng: random.Random) -> str:
        """Whoever led last, or anybody."""
        ...

    def ask(
        self, node_id: str, key: tuple[object, int], data: bytes, tell: Callable[[object], None]
    ) -> None:
        """Give a node a request for its log. `tell` gets an outcome, or `REFUSED`, or nothing."""
        ...

    def read(self, node_id: str, query: bytes, tell: Callable[[object], None]) -> None:
        """Give a node a query. `tell` gets the answer, or None."""
        ...


@dataclass(slots=True, eq=False)
class Call:
    """An operation under way."""

    process: str
    lane: int
    ask: Ask
    session: SessionID | None = None
    sequence: int = 0
    """Of a request; a read has no session."""

    node_id: str = ""
    """Who was asked last."""

    attempts: int = 0
    refused: int = 0
    is_open: bool = True


class Client:
    """One client, over its whole life."""

    def __init__(
        self, number: int, habits: Habits, window: int, rng: random.Random, servers: Servers
    ) -> None:
        """`window` is that of its session."""
        self.number = number
        self.is_stopped = False
        """It begins nothing new."""

        self._habits = habits
        self._window = window
        self._rng = rng
        self._servers = servers
        self._session: SessionClient | None = None
        self._opening = 0
        self._free_lanes = list(range(habits.pipeline))
        self._generations = [0] * habits.pipeline
        self._values = 0
        self._seen: dict[str, str | None] = {}
        self._friend: str | None = None
        """The node that answered last: it leads, as far as this client knows."""

    def act(self, _: object = None) -> None:
        """Begin something, if there is room, and plan to do so again."""
        if self.is_stopped:
            return
        pace = self._habits.pace
        at = self._servers.now + self._rng.uniform(0.2, 1.8) * pace
        self._servers.put(round(at, 6), self.act, None)
        if self._session is None:
            self._open()
        elif self._free_lanes and not self._session.is_full:
            self._begin()

    # A session.

    def _open(self) -> None:
        if self._opening and self._rng.random() < 0.7:
            return  # there is still hope
        self._opening = self._opening or self._rng.getrandbits(30) + 1
        data = encode_request(OpenSession(self._opening))
        self._send(self._some_node(), ("open", self._opening), data, self._opened)

    def _opened(self, outcome: object) -> None:
        if isinstance(outcome, Outcome) and outcome.sequence == self._opening and outcome.session:
            self._session = SessionClient(outcome.session, window=self._window)
            self._opening = 0

    # Operations.

    def _begin(self) -> None:
        ask = self._draw()
        lane = self._free_lanes.pop(0)
        process = f"{self.number}.{lane}.{self._generations[lane]}"
        call = Call(process, lane, ask)
        value = (ask.expected, ask.value) if ask.f == "cas" else ask.value
        self._servers.events.append(
            Event(process, "invoke", ask.f, ask.key, msgspec.UNSET if value is None else value)
        )
        session = self._session
        if session is not None and not (ask.f == "get" and self._rng.random() < self._habits.reads):
            call.session = session.id
            call.sequence, _ = session.request(encode_ask(ask))
        self._try(call)

    def _draw(self) -> Ask:
        rng = self._rng
        key, f = f"k{rng.randrange(self._habits.keys)}", rng.choice(ASKS)
        if f in ("get", "delete"):
            return Ask(f, key)
        self._values += 1
        value = f"{'abcdefgh'[self.number]}{self._values}"
        if f == "cas":
            return Ask(f, key, value, self._seen.get(key))
        return Ask(f, key, value)

    def _try(self, call: Call) -> None:
        call.attempts += 1
        at = round(self._servers.now + self._habits.patience, 6)
        self._servers.put(at, self._lost_patience, (call, call.attempts))
        if call.session is None:
            node_id = call.node_id = self._some_node()
            query = encode_ask(call.ask)
            self._later(
                lambda: self._servers.read(
                    node_id, query, lambda answer: self._back(lambda: self._read(call, answer))
                )
            )
            return
        session = self._session
        if session is None or session.id != call.session or call.sequence not in session.waiting:
            self._end(call, "info")
            return
        data = session.encoded(call.sequence)
        call.node_id = self._some_node()
        self._send(
            call.node_id, (call.session, call.sequence), data, lambda told: self._told(call, told)
        )

    def _lost_patience(self, about: tuple[Call, int]) -> None:
        call, attempt = about
        if call.is_open and call.attempts == attempt:
            self._friend = None if self._friend == call.node_id else self._friend
            self._again(call)

    def _again(self, call: Call) -> None:
        if call.attempts < self._habits.attempts or self.is_stopped:
            self._try(call)
        elif call.session is None or call.refused == call.attempts:
            self._end(call, "fail")
        else:
            self._end(call, "info")

    def _told(self, call: Call, told: object) -> None:
        if not call.is_open:
            return
        if told is REFUSED:
            call.refused += 1
            pause = self._rng.uniform(0.01, 0.1)
            at, attempt = round(self._servers.now + pause, 6), call.attempts
            self._servers.put(at, self._lost_patience, (call, attempt))
        elif isinstance(told, Outcome):
            self._ended(call, told)

    def _ended(self, call: Call, outcome: Outcome) -> None:
        if outcome.verdict is Verdict.ANSWERED:
            self._end(call, "ok", decode_answer(outcome.answer))
            return
        expired = outcome.verdict is Verdict.SESSION_EXPIRED
        if expired and self._session is not None and self._session.id == call.session:
            self._session = None
        self._end(call, "fail" if call.attempts == 1 else "info")

    def _read(self, call: Call, answer: object) -> None:
        if not call.is_open:
            return
        if isinstance(answer, bytes):
            self._end(call, "ok", decode_answer(answer))
        else:
            self._told(call, REFUSED)

    def _end(
        self, call: Call, how: Literal["ok", "fail", "info"], value: str | bool | None = None
    ) -> None:
        call.is_open = False
        if how == "ok":
            self._friend = call.node_id
        if call.session is not None and self._session and self._session.id == call.session:
            self._session.give_up(call.sequence)
        event = Event(call.process, how)
        if how == "ok":
            if call.ask.f == "get":
                event = Event(call.process, "ok", value=value)
            elif value is False:
                event = Event(call.process, "ok", value=False)
            self._remember(call, value)
        self._servers.events.append(event)
        if how == "info":
            self._generations[call.lane] += 1
        self._free_lanes.append(call.lane)

    def _remember(self, call: Call, value: str | bool | None) -> None:
        """What it has seen of a key last: so a cas may succeed."""
        key = call.ask.key
        if call.ask.f == "get":
            self._seen[key] = value if isinstance(value, str) else None
        elif call.ask.f in ("put", "cas") and value is not False:
            self._seen[key] = call.ask.value
        elif call.ask.f == "delete":
            self._seen[key] = None

    # The way to a node, and back.

    def _some_node(self) -> str:
        """Whom to ask: whoever answered last, or anybody."""
        if self._friend is not None and self._rng.random() < self._habits.to_leader:
            return self._friend
        return self._servers.some_node(self._rng)

    def _send(
        self,
        node_id: str,
        key: tuple[object, int],
        data: bytes,
        tell: Callable[[object], None],
    ) -> None:
        self._later(
            lambda: self._servers.ask(
                node_id, key, data, lambda told: self._back(lambda: tell(told))
            )
        )

    def _later(self, what: Callable[[], None]) -> None:
        if self._habits.loss and not self.is_stopped and self._rng.random() < self._habits.loss:
            return
        at = round(self._servers.now + self._rng.uniform(0.0, LATENCY), 6)
        self._servers.put(at, _call, what)

    _back = _later


def _call(what: Callable[[], None]) -> None:
    what()
