"""Stores that stand in for a real one, on a disk that does what the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from paxos import durable
from paxos.runtime import server, store

DISK_FAILED = durable.DiskError(Path("/disk/A/state"), "sync failed (Input/output error)")


@dataclass
class SlowStore:
    """A store in memory, whose saves wait until they are let go, or fail."""

    owner: durable.Owner = field(default_factory=lambda: durable.Owner("shop", "A", "first"))
    state: bytes = b""
    error: BaseException | None = None
    """What every save ends with, once it is let go."""

    begun: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    """Saves wait for it."""

    calls: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """What was called, and on which thread."""

    def save(self, state: bytes) -> None:
        self.calls.append(("save", threading.get_ident()))
        self.begun.set()
        self.go_on.wait()
        if self.error is not None:
            raise self.error
        self.state = state

    def close(self) -> None:
        self.calls.append(("close", threading.get_ident()))


@dataclass
class OnSlowDisk:
    """A real store, whose saves wait until they are let go, or fail."""

    real: durable.Store
    slow: SlowStore

    def save(self, state: bytes) -> None:
        self.slow.save(state)
        self.real.save(state)

    def close(self) -> None:
        self.slow.close()
        self.real.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def put_on_slow_disk(monkeypatch: pytest.MonkeyPatch, slow: SlowStore) -> None:
    """From now on, `serve` opens its store on this disk."""
    open_store: Callable[..., durable.Store] = store.open_store

    def open_slowly(*arguments: Any, **options: Any) -> OnSlowDisk:
        return OnSlowDisk(open_store(*arguments, **options), slow)

    monkeypatch.setattr(server, "open_store", open_slowly)
