"""Saves happen on a thread of their own; a disk that hangs keeps nobody."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import cast

import pytest

from paxos import durable
from paxos.runtime import SyncHungError
from paxos.runtime.disk_thread import DiskThread
from runtime.event_loop import disk_threads, end_of_disk_threads, in_event_loop
from runtime.slow_store import DISK_FAILED, SlowStore

FOLDER = Path("/disk/A")
PATIENCE = 30.0


def thread_for(store: SlowStore) -> DiskThread:
    return DiskThread(cast("durable.Store", store), FOLDER)


class Results:
    """What `done` was called with, and on which thread."""

    def __init__(self) -> None:
        self.all: asyncio.Queue[BaseException | None] = asyncio.Queue()
        self.threads: list[int] = []

    def done(self, error: BaseException | None) -> None:
        self.threads.append(threading.get_ident())
        self.all.put_nowait(error)


@in_event_loop
async def test_a_save_is_off_the_loop_and_its_end_on_it() -> None:
    store, results = SlowStore(), Results()
    disk = thread_for(store)
    disk.save(b"a state", results.done)
    await asyncio.to_thread(store.begun.wait)
    assert results.all.empty()  # and the loop turns meanwhile
    store.go_on.set()
    assert await results.all.get() is None
    await disk.close(PATIENCE)
    await end_of_disk_threads()
    here = threading.get_ident()
    assert results.threads == [here]
    assert store.state == b"a state"
    assert [call for call, _ in store.calls] == ["save", "close"]
    (there,) = {thread for _, thread in store.calls}
    assert there != here


@pytest.mark.parametrize("error", [DISK_FAILED, MemoryError(), KeyboardInterrupt()], ids=repr)
@in_event_loop
async def test_what_a_save_ends_with_is_delivered(error: BaseException) -> None:
    store, results = SlowStore(error=error), Results()
    store.go_on.set()
    disk = thread_for(store)
    disk.save(b"a state", results.done)
    assert await results.all.get() is error
    await disk.close(PATIENCE)
    await end_of_disk_threads()
    assert store.calls[-1][0] == "close"


@in_event_loop
async def test_saves_keep_their_order() -> None:
    store, results = SlowStore(), Results()
    store.go_on.set()
    disk = thread_for(store)
    for number in range(20):
        disk.save(bytes([number]), results.done)
        assert await results.all.get() is None
        assert store.state == bytes([number])
    await disk.close(PATIENCE)
    await end_of_disk_threads()


@in_event_loop
async def test_closing_finishes_the_save_under_way() -> None:
    store, results = SlowStore(), Results()
    disk = thread_for(store)
    disk.save(b"a state", results.done)
    await asyncio.to_thread(store.begun.wait)
    closing = asyncio.create_task(disk.close(PATIENCE))
    await asyncio.sleep(0)
    assert not closing.done()
    store.go_on.set()
    await closing
    await end_of_disk_threads()
    assert store.state == b"a state"
    assert results.all.get_nowait() is None


@in_event_loop
async def test_closing_an_idle_disk_closes_its_store() -> None:
    store = SlowStore()
    await thread_for(store).close(PATIENCE)
    await end_of_disk_threads()
    assert [call for call, _ in store.calls] == ["close"]


@in_event_loop
async def test_a_save_that_hangs_is_named_when_closing() -> None:
    store, results = SlowStore(), Results()
    disk = thread_for(store)
    disk.save(b"a state", results.done)
    await asyncio.to_thread(store.begun.wait)
    with pytest.raises(SyncHungError, match=r"saving to /disk/A has hung for \d+\.\d seconds"):
        await disk.close(0.01)
    (thread,) = disk_threads()
    assert thread.daemon  # so that Python does not wait for it at exit
    store.go_on.set()
    await end_of_disk_threads()


@in_event_loop
async def test_an_error_while_closing_is_no_news() -> None:
    class FailsToClose(SlowStore):
        def close(self) -> None:
            super().close()
            raise DISK_FAILED

    await thread_for(FailsToClose()).close(PATIENCE)
    await end_of_disk_threads()


def test_a_save_that_outlives_its_loop_disturbs_nobody() -> None:
    store, results = SlowStore(), Results()

    @in_event_loop
    async def hang() -> None:
        disk = thread_for(store)
        disk.save(b"a state", results.done)
        await asyncio.to_thread(store.begun.wait)
        with pytest.raises(SyncHungError):
            await disk.close(0.01)

    hang()
    (thread,) = disk_threads()
    store.go_on.set()
    thread.join()
    assert results.threads == []


@in_event_loop
async def test_a_close_that_fails_is_not_told_as_one_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, bug = SlowStore(), RuntimeError("a bug in close")

    def fail() -> None:
        raise bug

    monkeypatch.setattr(store, "close", fail)
    with pytest.raises(RuntimeError) as caught:
        await thread_for(store).close(PATIENCE)
    assert caught.value is bug
    await end_of_disk_threads()
