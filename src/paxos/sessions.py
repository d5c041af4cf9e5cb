"""Exactly once: what clients ask of a replicated machine, and the answers that are kept for them.

A client that hears nothing asks again, so a command can be chosen twice. Each client has a session,
which is part of the replicated state, and numbers its requests. What was answered once is answered
from memory: applied once, however often it is chosen (Ongaro, *Consensus: Bridging Theory and
Practice*, 2014, section 6.3). A client may have many requests under way, and says below which all
are answered, so that those answers can go (Lee and others, *Implementing Linearizability at Large
Scale and Low Latency*, 2015).

Nothing here looks at a clock. Sessions end by the log alone: the one that was used longest ago goes
when there are too many, so every node ends the same one at the same slot.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Annotated, Final, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta, Struct

from paxos.codec import MAX_NUMBER, MAX_VALUE_BYTES, MalformedError
from paxos.errors import MisuseError, PaxosError
from paxos.state_machine import (
    CommandError,
    MalformedCommandError,
    StateMachine,
    UnknownCommandError,
)

REQUEST_VERSION: Final = 1
"""The first byte of every request. A second version must be activated by the log, as the commands'
versions are: nodes that read one entry differently are no replicas."""

REQUEST_OVERHEAD: Final = 64
"""Bytes that a request takes beyond its command, at most."""

ANSWER_OVERHEAD: Final = 128
"""Bytes that a kept answer takes beyond its content, more or less."""

SESSIONS_A_PART: Final = 64
"""Sessions that are encoded at once for a snapshot."""

Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]


class SessionID(NamedTuple):
    """Where in the log a session was opened. So no two are alike, and no node has to be asked."""

    slot: Number
    place: Number
    """Which command of the entry in that slot."""


class _Request(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What stands in the log for one client."""


class ClientRequest(_Request, tag="request", frozen=True):
    """One command of a client."""

    session: SessionID | None
    """None for a command that may well be applied twice. Nothing is kept for it."""

    sequence: Number
    """Its number in the session, from 0. Without a session: a number drawn by the caller, which
    comes back in the outcome."""

    acknowledged_below: Number
    """The client has, or no longer wants, the answers to all requests below. A request that it
    gave up is never applied after this one."""

    command: bytes


class OpenSession(_Request, tag="open", frozen=True):
    """Open a session. The same number again gives the same session, as long as it lives."""

    number: Number
    """Drawn at random by the client."""


class CloseSession(_Request, tag="close", frozen=True):
    """The client needs its session no more."""

    session: SessionID


class ActivateVersion(_Request, tag="activate", frozen=True):
    """From here on, the commands of this version are known.

    A node whose code is older stops here. So first install the new code on all nodes; and do not
    take this request from clients: it is for operators.
    """

    version: Number
    number: Number
    """Comes back in the outcome."""


Request: TypeAlias = ClientRequest | OpenSession | CloseSession | ActivateVersion

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)

_UNREADABLE = (msgspec.MsgspecError, ValueError)  # text that is no Unicode is the latter


def encode_request(request: Request) -> bytes:
    """The request as a command for the log. Raises `MisuseError` if it cannot be one."""
    try:
        data = bytes((REQUEST_VERSION,)) + _encode(request)
        decode_request(data)
    except (TypeError, OverflowError, MalformedError) as error:
        raise MisuseError(f"this is no request that can be sent: {error}") from error
    return data


def decode_request(data: bytes) -> Request:
    """The request in these bytes. Raises `MalformedError`, and nothing else."""
    if len(data) > MAX_VALUE_BYTES:
        raise MalformedError(f"{len(data)} bytes: a request has at most {MAX_VALUE_BYTES}")
    if data[:1] != b"\x01":
        raise MalformedError(f"a request of version {data[:1].hex()}, not {REQUEST_VERSION:02x}")
    try:
        request = _decoder.decode(memoryview(data)[1:])
    except _UNREADABLE as error:
        raise MalformedError(f"{len(data)} bytes that are no request: {error}") from error
    if type(request) is ClientRequest and request.acknowledged_below > request.sequence:
        raise MalformedError("a request cannot acknowledge its own answer")
    return request


class Verdict(Enum):
    """How a request ended. All are alike on every node. The numbers are the format."""

    ANSWERED = 0
    REJECTED = 1  # the machine raised a CommandError
    MALFORMED = 2
    UNKNOWN_COMMAND = 3
    TOO_LARGE = 4  # the command was applied; its answer is too large to keep
    SESSION_EXPIRED = 5
    FORGOTTEN = 6  # acknowledged or given up before
    TOO_FAR_AHEAD = 7
    OPENED = 8
    CLOSED = 9
    ACTIVATED = 10


class Outcome(Struct, frozen=True, array_like=True):
    """What came of one request that was chosen."""

    session: SessionID | None
    sequence: int
    verdict: Verdict
    answer: bytes = b""
    """The machine's answer, or a text in UTF-8 that says why there is none."""

    repeated: bool = False
    """Whether this is an earlier answer once more. Then nothing was applied."""

    def value(self) -> bytes:
        """The machine's answer. Raises what there is instead, `CommandError` or `RequestError`."""
        if self.verdict is Verdict.ANSWERED:
            return self.answer
        error = _ERRORS.get(self.verdict, RequestError)
        raise error(self.answer.decode() or self.verdict.name.lower().replace("_", " "))


class RequestError(PaxosError):
    """The request was chosen, and there is no answer of the machine's to give."""


class SessionExpiredError(RequestError):
    """The session is none, or none any more. This request was not applied.

    Whether earlier ones without an answer were is unknown: ask the machine, then open another.
    """


_ERRORS: dict[Verdict, type[CommandError | RequestError]] = {
    Verdict.REJECTED: CommandError,
    Verdict.MALFORMED: MalformedCommandError,
    Verdict.UNKNOWN_COMMAND: UnknownCommandError,
    Verdict.SESSION_EXPIRED: SessionExpiredError,
}


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How much is kept for clients.

    The same on all nodes, from a log's first slot to its last: a node that ends other sessions than
    the others is no replica of theirs.
    """

    sessions: int = 10_000
    """Open at once. A client that stays away while so many others come must begin anew."""

    window: int = 128
    """How far a request may be ahead of the lowest one that is not acknowledged."""

    answer_bytes: int = 1 << 16
    """Of one answer."""

    kept_bytes: int = 1 << 26
    """Of all answers together, with some overhead each. Beyond, sessions end as if too many."""

    def __post_init__(self) -> None:
        if min(self.sessions, self.window, self.answer_bytes) < 1:
            raise MisuseError("a limit of sessions is 1 or more")
        if self.kept_bytes < self.window * (self.answer_bytes + ANSWER_OVERHEAD):
            raise MisuseError(
                "one session alone could need more than kept_bytes: let it be at least "
                f"window * (answer_bytes + {ANSWER_OVERHEAD})"
            )


DEFAULT_LIMITS: Final = SessionLimits()


class _Session(Struct, array_like=True, forbid_unknown_fields=True):
    """What is known of one client."""

    id: SessionID
    number: Number
    """That opened it."""

    first: Number = 0
    """All requests below are acknowledged."""

    answers: dict[Number, Outcome] = {}
    """By sequence, from `first` on. The first outcome of each request that was applied."""

    kept: Number = 0
    """Bytes of these answers, with overhead."""


_parts: msgspec.msgpack.Decoder[list[_Session]] = msgspec.msgpack.Decoder(list[_Session])


class Sessions:
    """All sessions of one log. Changes only by what is chosen, in its order."""

    def __init__(self, limits: SessionLimits) -> None:
        self.limits = limits
        self._sessions: OrderedDict[SessionID, _Session] = OrderedDict()
        """The one that was used longest ago is the first. Invariant: within the limits."""
        self._opened_by: dict[int, SessionID] = {}
        self._kept = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, id: SessionID, number: int) -> Outcome:
        """Open a session under this ID, unless this number has opened one."""
        before = self._opened_by.get(number)
        if before is not None:
            self._sessions.move_to_end(before)
            return Outcome(before, number, Verdict.OPENED, repeated=True)
        self._sessions[id] = _Session(id, number)
        self._opened_by[number] = id
        self._end_the_oldest()
        return Outcome(id, number, Verdict.OPENED)

    def close(self, id: SessionID) -> Outcome:
        """End this session."""
        if id not in self._sessions:
            return Outcome(id, 0, Verdict.SESSION_EXPIRED)
        self._end(id)
        return Outcome(id, 0, Verdict.CLOSED)

    def apply(self, request: ClientRequest, machine: StateMachine) -> Outcome:
        """Apply the request, unless it was applied before; return its first outcome."""
        id, sequence = request.session, request.sequence
        if id is None:
            return answered(None, sequence, machine.apply, request.command, self.limits)
        session = self._sessions.get(id)
        if session is None:
            return Outcome(id, sequence, Verdict.SESSION_EXPIRED)
        self._sessions.move_to_end(id)
        if request.acknowledged_below > session.first:
            self._forget(session, request.acknowledged_below)
        if sequence < session.first:
            return Outcome(id, sequence, Verdict.FORGOTTEN)
        before = session.answers.get(sequence)
        if before is not None:
            return Outcome(id, sequence, before.verdict, before.answer, repeated=True)
        if sequence >= session.first + self.limits.window:
            return Outcome(id, sequence, Verdict.TOO_FAR_AHEAD)
        outcome = answered(id, sequence, machine.apply, request.command, self.limits)
        self._keep(session, outcome)
        return outcome

    def parts(self) -> Iterator[bytes]:
        """All sessions, encoded, in the order in which they would end."""
        sessions = iter(self._sessions.values())
        while part := list(islice(sessions, SESSIONS_A_PART)):
            yield _encode(part)

    @classmethod
    def of_parts(cls, parts: Iterable[bytes], limits: SessionLimits) -> Sessions:
        """The sessions in these parts. Raises `MalformedError` if they hold none."""
        sessions = cls(limits)
        for part in parts:
            try:
                found = _parts.decode(part)
            except _UNREADABLE as error:
                raise MalformedError(f"these are no sessions: {error}") from error
            for session in found:
                sessions._sessions[session.id] = session
                sessions._opened_by[session.number] = session.id
                sessions._kept += session.kept
        return sessions

    def _keep(self, session: _Session, outcome: Outcome) -> None:
        size = len(outcome.answer) + ANSWER_OVERHEAD
        session.answers[outcome.sequence] = outcome
        session.kept += size
        self._kept += size
        if self._kept > self.limits.kept_bytes:
            self._end_the_oldest()

    def _forget(self, session: _Session, below: int) -> None:
        """Drop the answers below. A client may skip far more numbers than it has answers."""
        answers = session.answers
        count = below - session.first
        gone = range(session.first, below) if count <= len(answers) else list(answers)
        size = 0
        for sequence in gone:
            if sequence < below and sequence in answers:
                size += len(answers.pop(sequence).answer) + ANSWER_OVERHEAD
        session.first = below
        session.kept -= size
        self._kept -= size

    def _end_the_oldest(self) -> None:
        """The one in use is the newest, and fits alone: so it never goes here."""
        limits = self.limits
        while len(self._sessions) > limits.sessions or self._kept > limits.kept_bytes:
            self._end(next(iter(self._sessions)))

    def _end(self, id: SessionID) -> None:
        session = self._sessions.pop(id)
        del self._opened_by[session.number]
        self._kept -= session.kept


class SessionClient:
    """A client's own side of its session: it numbers requests, and knows which are answered.

    Pure, too: sending, and sending again, is up to its owner.
    """

    def __init__(self, id: SessionID, *, window: int = DEFAULT_LIMITS.window) -> None:
        """Begin a session that was just opened. The window is that of the replicas' limits."""
        self.id = id
        self.window = window
        self.next_sequence = 0
        self._commands: dict[int, bytes] = {}
        """Of the requests without an answer, by sequence, rising."""

    @property
    def acknowledged_below(self) -> int:
        """All requests below have their answers, or were given up."""
        return next(iter(self._commands), self.next_sequence)

    @property
    def waiting(self) -> tuple[int, ...]:
        """The requests without an answer, rising."""
        return tuple(self._commands)

    @property
    def is_full(self) -> bool:
        """Whether another request must wait for an answer to the lowest one."""
        return self.next_sequence >= self.acknowledged_below + self.window

    def request(self, command: bytes) -> tuple[int, bytes]:
        """Another request: its sequence, and its bytes. Raises `MisuseError` if this is full."""
        if self.is_full:
            raise MisuseError(f"request {self.acknowledged_below} first needs an answer")
        sequence = self.next_sequence
        self._commands[sequence] = command
        try:
            data = self.encoded(sequence)
        except MisuseError:
            del self._commands[sequence]
            raise
        self.next_sequence = sequence + 1
        return sequence, data

    def encoded(self, sequence: int) -> bytes:
        """A request without an answer, to be sent (again). Raises `MisuseError` for any other."""
        if sequence not in self._commands:
            raise MisuseError(f"request {sequence} is not waiting for an answer")
        return encode_request(
            ClientRequest(self.id, sequence, self.acknowledged_below, self._commands[sequence])
        )

    def receive(self, outcome: Outcome) -> bool:
        """Whether this answers a request that waits. If so, it waits no longer."""
        if outcome.session != self.id:
            return False
        return self._commands.pop(outcome.sequence, None) is not None

    def give_up(self, sequence: int) -> None:
        """Wait for this one no longer. Its outcome is unknown.

        Once a later request is applied, this one is not applied any more.
        """
        self._commands.pop(sequence, None)


def answered(
    session: SessionID | None,
    sequence: int,
    method: Callable[[bytes], bytes],
    command: bytes,
    limits: SessionLimits,
) -> Outcome:
    """What `apply` or `query` says to this, as an outcome. Lets through all but `CommandError`."""
    try:
        answer = method(command)
    except CommandError as error:
        return Outcome(session, sequence, _verdict_of(error), str(error).encode(errors="replace"))
    if type(answer) is not bytes:
        raise MisuseError(f"a machine answers in bytes, not {type(answer).__name__}: encode it")
    if len(answer) > limits.answer_bytes:
        text = f"done, but the answer has {len(answer)} bytes, of {limits.answer_bytes} allowed"
        return Outcome(session, sequence, Verdict.TOO_LARGE, text.encode())
    return Outcome(session, sequence, Verdict.ANSWERED, answer)


def _verdict_of(error: CommandError) -> Verdict:
    if isinstance(error, UnknownCommandError):
        return Verdict.UNKNOWN_COMMAND
    if isinstance(error, MalformedCommandError):
        return Verdict.MALFORMED
    return Verdict.REJECTED
