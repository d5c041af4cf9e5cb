"""What a suite says when a contract is broken."""

from __future__ import annotations


class ContractError(AssertionError):
    """A contract is broken. The text says which sentence, by what, and what was right."""


def demand(fact: object, otherwise: str) -> None:
    """Raise ContractError, with these words, if it is not a fact."""
    if not fact:
        raise ContractError(otherwise)


def short(data: bytes) -> str:
    """Return bytes in a few words."""
    return repr(data) if len(data) <= 16 else f"{data[:8]!r}... ({len(data)} bytes)"
