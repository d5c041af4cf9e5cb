"""How a command ends: an exit code, and what `--json` prints."""

from __future__ import annotations

from typing import Any, TypeAlias

from paxos.errors import FaultError

OK, FAILED, UNKNOWN = 0, 1, 3
"""Exit codes: what the command claims holds, does not hold, is unknown. 2 is argparse's own."""

Answer: TypeAlias = tuple[int, dict[str, Any] | list[Any]]
"""An exit code, and what `--json` prints: an object, to which `ok` is added, or a list as it is. An
"error" in an object is printed in any case."""


class UnknownOutcomeError(FaultError):
    """Nobody can say whether what was asked for has happened, or will."""


def json_value(value: bytes) -> str | dict[str, str]:
    """A value for programs: a string if it is text, else an object with its hexadecimal form."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"hex": value.hex()}
