"""How much memory this process takes."""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager

BYTES_A_UNIT = 1 if sys.platform == "darwin" else 1024
"""`ru_maxrss` counts in bytes on macOS, and in KiB elsewhere."""

SLOT_BYTES = 16
"""What a set takes for each slot of its table: a hash and a pointer."""


def peak_bytes() -> int:
    """The most memory (bytes) that this process has ever had in use; 0 where nobody can tell.

    It never sinks: what a search takes is counted on top of whatever came before it.
    """
    try:
        import resource  # noqa: PLC0415 - Windows has no such module
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_A_UNIT


def growth_ahead(states: set[int], more: int) -> int:
    """How much memory (bytes) a set takes on top to grow, if so many more let it grow; else 0.

    CPython fills a set to three fifths, and then fills one twice as large beside it.
    """
    empty: set[int] = set()
    table = sys.getsizeof(states) - sys.getsizeof(empty)
    is_near = (len(states) + more) * 5 >= (table // SLOT_BYTES - 1) * 3
    return 2 * table if is_near else 0


@contextmanager
def without_collection() -> Generator[None]:
    """Let nobody look for garbage meanwhile.

    A search makes no cycles, and millions of objects that stay: to look through them again and
    again took a third of its time, and found nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
