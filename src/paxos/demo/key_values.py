"""A small state machine to try a log with: keys and values."""

from __future__ import annotations

from itertools import islice

from paxos.state_machine import CommandError, TypedStateMachine, command, query

PAGE_KEYS = 1000
"""Keys in one answer. All that the demo writes are short."""


class KeyValues(TypedStateMachine):
    """A dict of text, and a count of all writes to it."""

    values: dict[str, str]
    writes: int = 0

    @command
    def put(self, key: str, value: str) -> int:
        """Write, and return how many writes there were."""
        self.values[key] = value
        self.writes += 1
        return self.writes

    @command
    def remove(self, key: str) -> int:
        """Take a key away. Raises `CommandError` if it is not there."""
        if key not in self.values:
            raise CommandError(f"there is no {key!r}")
        del self.values[key]
        self.writes += 1
        return self.writes

    @query
    def get(self, key: str) -> str | None:
        """What is written there, or None."""
        return self.values.get(key)

    @query
    def count(self) -> tuple[int, int]:
        """How many keys there are, and how many writes there were."""
        return len(self.values), self.writes

    @query
    def keys(self, start: int) -> list[str]:
        """Some of the keys, from this one on, in the order in which they were first written."""
        return list(islice(self.values, start, start + PAGE_KEYS))
