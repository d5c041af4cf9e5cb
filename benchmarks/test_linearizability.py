"""How many operations of a history are checked in a second, beside a search that knows no hints.

That one gets a short history: on a long one it would not end.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from histories.clients import clients
from paxos.verify import Hint, KeyValue, Register, check_history

OPERATIONS = 100_000
SEED = 1

pytestmark = [pytest.mark.benchmark(group="checked operations", min_rounds=3), pytest.mark.long]


class RegisterWithoutHints(Register):
    """The plain search of Wing, Gong and Lowe."""

    def needs(self, operation: object) -> Hint:
        return Hint.VARIES

    def makes(self, operation: object) -> Hint:
        return Hint.VARIES


def measure(benchmark: Any, history: Any, model: Any) -> None:
    result = benchmark(check_history, history, model)
    benchmark.extra_info["count"] = len(history.operations)
    assert result.linearizable is True


def test_plain_search(benchmark: Any) -> None:
    benchmark.extra_info["is_baseline"] = True
    history = clients(random.Random(SEED), "register", 10_000, processes=4, values=5)
    measure(benchmark, history, RegisterWithoutHints())


@pytest.mark.parametrize("processes", [16, 64])
def test_a_hundred_keys(benchmark: Any, processes: int) -> None:
    history = clients(
        random.Random(SEED), "kv", OPERATIONS, processes, values=10**9, keys=100, unknown=0.001
    )
    measure(benchmark, history, KeyValue())


@pytest.mark.parametrize("processes", [16, 64])
def test_one_register(benchmark: Any, processes: int) -> None:
    history = clients(
        random.Random(SEED), "register", OPERATIONS, processes, values=10**9, unknown=0.01
    )
    measure(benchmark, history, Register())
