"""States as bytes, all of one width: what goes through pipes and into files."""

from __future__ import annotations

from collections.abc import Iterable


def width_for(bits: int) -> int:
    """How many bytes a state needs that has this many bits."""
    return (bits + 7) // 8


def packed(states: Iterable[int], width: int) -> bytes:
    """The states, one after the other."""
    return b"".join([state.to_bytes(width, "little") for state in states])


def unpacked(states: bytes, width: int) -> list[int]:
    """The states again."""
    number = int.from_bytes
    return [number(states[at : at + width], "little") for at in range(0, len(states), width)]
