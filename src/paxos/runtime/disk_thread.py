"""Saves on a thread of their own, so that a hung disk stops neither the loop nor the process."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from paxos.errors import FaultError

R = TypeVar("R")
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


class SyncHungError(FaultError):
    """A save was still under way when everything else had stopped: its disk hangs."""


class Saves(Protocol[S_contra]):
    """What this thread asks of a store."""

    def save(self, state: S_contra, /) -> None:
        """Return when this state is on stable storage."""
        ...

    def close(self) -> None:
        """Give all back."""
        ...


class DiskThread(Generic[S]):
    """One store, and the one thread that touches it. Used from one event loop."""

    def __init__(self, store: Saves[S], folder: Path) -> None:
        """Take over the open store of this folder. It is closed by `close`, on the thread."""
        self._store = store
        self.closing: Callable[[], None] = store.close
        """What `close` does on the thread, after the last save."""

        self._folder = folder
        self._loop = asyncio.get_running_loop()
        self._closed = asyncio.Event()
        self._close_error: BaseException | None = None
        self._saving_since: float | None = None
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Callable[..., None]] | None] = (
            queue.SimpleQueue()
        )
        _on_a_thread(self._run)

    def save(self, state: S, done: Callable[[BaseException | None], None]) -> None:
        """Save, then call `done` in the event loop with None or with what went wrong.

        At most one save is under way at a time: the machine's contract. The way to the thread and
        back takes a tenth of a millisecond at most, on an idle machine: too little to let a disk
        that happens to be fast, and may hang at any time, stop the loop.
        """

        def saved(_: None, error: BaseException | None) -> None:
            self._saving_since = None
            done(error)

        self._saving_since = self._loop.time()
        self._jobs.put((partial(self._store.save, state), saved))

    async def run(self, call: Callable[[], R]) -> R:
        """The result of a call on the store's thread, between two saves: let it be a short one.

        Cancelling the wait does not cancel the call.
        """
        result: asyncio.Future[R] = self._loop.create_future()

        def ran(value: R, error: BaseException | None) -> None:
            if result.cancelled():
                return
            if error is None:
                result.set_result(value)
            else:
                result.set_exception(error)

        self._jobs.put((call, ran))
        return await result

    async def close(self, patience: float) -> None:
        """Finish the save under way and close the store.

        Raises what closing fails with, and `SyncHungError` if that takes longer than `patience`
        (seconds). The thread is then left behind; it does not keep the process from ending.
        """
        self._jobs.put(None)
        try:
            async with asyncio.timeout(patience):
                await self._closed.wait()
        except TimeoutError:
            since = self._saving_since
            what, hung = "closing", patience
            if since is not None:
                what, hung = "saving to", self._loop.time() - since
            raise SyncHungError(
                f"{what} {self._folder} has hung for {hung:.1f} seconds. What was not acknowledged "
                "may be lost. See to the disk before you start this node again"
            ) from None
        if self._close_error is not None:
            raise self._close_error

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            call, done = job
            result, error = None, None
            try:
                result = call()
            except BaseException as failure:  # noqa: BLE001 - the loop's side decides what it means
                error = failure
            self._tell(done, result, error)
            del job, call, done, result, error  # while it waits, it shall hold nobody's state
        try:
            with suppress(FaultError):  # all that was acknowledged is synced; closing adds nothing
                self.closing()
        except BaseException as error:  # noqa: BLE001 - raised by `close`
            self._close_error = error
        self._tell(self._closed.set)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop has been closed: nobody is waiting any more
            self._loop.call_soon_threadsafe(callback, *arguments)


async def off_the_loop(call: Callable[[], R], discard: Callable[[R], None]) -> R:
    """The result of a call that may hang, made on a thread that nobody waits for at exit.

    If the wait is cancelled, what comes of the call later is given to `discard`, on a thread, too.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[R] = loop.create_future()

    def deliver(result: R) -> None:
        if done.cancelled():
            _on_a_thread(lambda: discard(result))
        else:
            done.set_result(result)

    def fail(error: BaseException) -> None:
        if not done.cancelled():
            done.set_exception(error)

    def run() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - raised where the result is awaited
            with suppress(RuntimeError):  # the loop has been closed: nobody waits
                loop.call_soon_threadsafe(fail, error)
            return
        try:
            loop.call_soon_threadsafe(deliver, result)
        except RuntimeError:
            discard(result)

    _on_a_thread(run)
    try:
        return await done
    except asyncio.CancelledError:
        if done.done() and not done.cancelled() and done.exception() is None:
            result = done.result()
            _on_a_thread(lambda: discard(result))
        raise


def _on_a_thread(run: Callable[[], None]) -> None:
    """A daemon: Python waits for all other threads at exit, and a hung sync may never return."""
    threading.Thread(target=run, name="paxos disk", daemon=True).start()
