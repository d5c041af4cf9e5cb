"""Machines to be replicated, and short ways to say what is chosen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar

from paxos.log.entries import Commands
from paxos.replica import Replica
from paxos.sessions import ClientRequest, OpenSession, Outcome, SessionID, encode_request
from paxos.state_machine import (
    CommandError,
    Since,
    StateMachine,
    TypedStateMachine,
    command,
    query,
)


class Journal(StateMachine):
    """Keeps every command, and answers with its number. So each application is seen."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def apply(self, command: bytes) -> bytes:
        if command == b"no":
            raise CommandError("no is no")
        if command == b"bug":
            self.lines.append("half a change")
            raise KeyError("a mistake")
        self.lines.append(command.decode("latin-1"))
        return b"%d %s" % (len(self.lines), command)

    def query(self, query: bytes) -> bytes:
        if query == b"bug":
            raise KeyError("a mistake")
        return self.lines[int(query)].encode()

    def snapshot(self) -> Iterator[bytes]:
        for line in self.lines:
            yield json.dumps(line).encode()

    def restore(self, chunks: Iterable[bytes]) -> None:
        self.lines = [json.loads(chunk) for chunk in chunks]


class Inventory(TypedStateMachine):
    """What lies on which shelf."""

    version: ClassVar[int] = 2

    stock: dict[str, int]
    reserved: list[tuple[str, int]]
    moved: int = 0
    notes: Annotated[dict[str, str], Since(2)]

    @command
    def put(self, item: str, count: int) -> int:
        """Put some more there; return how many there are."""
        self.stock[item] = self.stock.get(item, 0) + count
        self.moved += count
        return self.stock[item]

    @command
    def reserve(self, item: str, count: int = 1) -> int:
        """Take some away; return how many are left."""
        left = self.stock.get(item, 0) - count
        if left < 0:
            raise CommandError(f"only {left + count} of {item} are there")
        self.stock[item] = left
        self.reserved.append((item, count))
        return left

    @command(since=2)
    def note(self, item: str, text: str) -> None:
        """Stick a note onto the shelf."""
        self.notes[item] = text

    @query
    def there(self, item: str) -> int:
        """How many there are."""
        return self.stock.get(item, 0)


def plain(*commands: bytes, number: int = 0) -> Commands[bytes]:
    """An entry of commands without a session."""
    return Commands(
        tuple(encode_request(ClientRequest(None, number, 0, each)) for each in commands)
    )


def opening(*numbers: int) -> Commands[bytes]:
    """An entry that opens sessions."""
    return Commands(tuple(encode_request(OpenSession(number)) for number in numbers))


def asking(
    session: SessionID, sequence: int, command: bytes, acknowledged_below: int = 0
) -> Commands[bytes]:
    """An entry of one request in a session."""
    return Commands(
        (encode_request(ClientRequest(session, sequence, acknowledged_below, command)),)
    )


def apply_next(replica: Replica[StateMachine], entry: Commands[bytes]) -> list[Outcome]:
    """Apply this in the next slot."""
    return replica.apply(replica.applied_below, entry)
