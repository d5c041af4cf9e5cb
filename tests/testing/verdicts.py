"""Run single tests of a suite, and say how they ended."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any


def verdict(suite: object, name: str) -> Exception | None:
    """Run one test of a suite in all its runs; return how the first of them failed, or None."""
    test = getattr(suite, name)
    for arguments in _arguments_of(test):
        try:
            test(**arguments)
        except Exception as error:  # noqa: BLE001 - it is judged by who asked
            return error
    return None


def all_tests(suite: type) -> set[str]:
    """Return the names of all tests of a suite."""
    return {name for name, _ in inspect.getmembers(suite) if name.startswith("test_")}


def _arguments_of(test: Any) -> Iterator[dict[str, object]]:
    """Yield the arguments of each run of a test. A test of a suite has one parameter at most."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    if not marks:
        yield {}
    for mark in marks:
        name, values = mark.args
        yield from ({name: value} for value in values)
