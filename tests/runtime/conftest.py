"""What many tests of the runtime need."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from paxos import Quorums
from runtime.log_loopback import LogLoopback, log_loopback
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


@pytest.fixture
def log_of_three(tmp_path: Path) -> Generator[LogLoopback]:
    """A log of A, B and C."""
    with log_loopback(tmp_path, "ABC") as made:
        yield made


@pytest.fixture
def log_of_one(tmp_path: Path) -> Generator[LogLoopback]:
    """A log of A alone."""
    with log_loopback(tmp_path, "A") as made:
        yield made


@pytest.fixture
def log_with_d(tmp_path: Path) -> Generator[LogLoopback]:
    """A log of A, B and C, which D joins later."""
    with log_loopback(tmp_path, "ABC", joining="D") as made:
        yield made
