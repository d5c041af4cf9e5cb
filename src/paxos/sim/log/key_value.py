"""The machine that simulated servers replicate: keys with values, as `KeyValue` has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from paxos.state_machine import MalformedCommandError, StateMachine


class Ask(NamedTuple):
    """What a client asks for. `expected` is only for cas."""

    f: str
    key: str
    value: str | None = None
    expected: str | None = None


_encode = msgspec.json.Encoder().encode
_asks = msgspec.json.Decoder(Ask)
_items = msgspec.json.Decoder(tuple[str, str])


def encode_ask(ask: Ask) -> bytes:
    """As a command, or a query."""
    return _encode(ask)


def decode_answer(answer: bytes) -> str | bool | None:
    """What the machine said: a get's value, whether a cas did it, else nothing."""
    return msgspec.json.decode(answer, type=str | bool | None)


class KeyValueMachine(StateMachine):
    """get, put, delete, append and cas. A key that is not there has the value None."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def apply(self, command: bytes) -> bytes:
        """Do it; a get is answered in its place in the log."""
        ask = _decoded(command)
        before = self.values.get(ask.key)
        answer: str | bool | None = None
        match ask.f:
            case "get":
                answer = before
            case "put":
                self.values[ask.key] = ask.value or ""
            case "delete":
                self.values.pop(ask.key, None)
            case "append":
                self.values[ask.key] = (before or "") + (ask.value or "")
            case "cas":
                answer = before == ask.expected
                if answer:
                    self.values[ask.key] = ask.value or ""
            case _:
                raise MalformedCommandError(f"nobody here knows {ask.f}")
        return _encode(answer)

    def query(self, query: bytes) -> bytes:
        """The value of a key."""
        return _encode(self.values.get(_decoded(query).key))

    def snapshot(self) -> Iterator[bytes]:
        """All keys with their values, sorted."""
        for item in sorted(self.values.items()):
            yield _encode(item)

    def restore(self, chunks: Iterable[bytes]) -> None:
        """See `StateMachine`."""
        self.values = dict(map(_items.decode, chunks))


def _decoded(command: bytes) -> Ask:
    try:
        return _asks.decode(command)
    except msgspec.MsgspecError as error:
        raise MalformedCommandError(str(error)) from error
