"""What many tests of the runtime need."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from paxos import Quorums
from runtime.loopback import Loopback, loopback


@pytest.fixture
def alone(tmp_path: Path) -> Generator[Loopback]:
    """A cluster of one node, A."""
    with loopback(tmp_path, "A") as made:
        yield made


@pytest.fixture
def pair(tmp_path: Path) -> Generator[Loopback]:
    """A cluster of A and B, which need each other."""
    with loopback(tmp_path, "AB") as made:
        yield made


@pytest.fixture
def three(tmp_path: Path) -> Generator[Loopback]:
    """A cluster of A, B and C."""
    with loopback(tmp_path, "ABC") as made:
        yield made


@pytest.fixture
def alone_with_b(tmp_path: Path) -> Generator[Loopback]:
    """A decides alone; B may speak to it, but has no vote."""
    with loopback(tmp_path, "AB") as made:
        yield made.with_cluster(quorums=Quorums.majority("A"))
