"""Run a test in an event loop of its own, and demand that it leaves nothing behind there."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, ParamSpec

PATIENCE = 30.0
"""Seconds until a test that waits for something gives up. Only a bug makes it matter."""

P = ParamSpec("P")


def in_event_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """The test as a plain function, which leaves no task and no error that nobody saw."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        unseen: list[str] = []

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(
                lambda _, context: unseen.append(f"{context['message']}: {context}")
            )
            async with asyncio.timeout(PATIENCE):
                await test(*args, **kwargs)
                assert other_tasks() == set()

        asyncio.run(main())
        gc.collect(1)  # what was not closed complains now, and not in another test
        assert unseen == [], unseen

    return run


def other_tasks() -> set[asyncio.Task[Any]]:
    """All tasks of this loop but the one that asks."""
    current = asyncio.current_task()
    return {task for task in asyncio.all_tasks() if task is not current}


def disk_threads() -> list[threading.Thread]:
    """The threads that save for a node."""
    return [thread for thread in threading.enumerate() if thread.name == "paxos disk"]


async def end_of_disk_threads() -> None:
    """Return when no thread saves for a node any more: it ends of itself, a moment after a stop."""
    for thread in disk_threads():
        await asyncio.to_thread(thread.join)


def open_files() -> dict[str, str]:
    """All files and sockets that this process has open: their numbers, and what they are."""
    found = {}
    for number in os.listdir("/dev/fd"):  # noqa: PTH208 - names are all we want
        with suppress(OSError):  # the folder that is being listed is closed by now
            found[number] = str(os.fstat(int(number)))
    return found


async def until(fact: Callable[[], object]) -> None:
    """Let the loop turn until this is true."""
    while not fact():  # noqa: ASYNC110 - a fact about the library has no event to wait for
        await asyncio.sleep(0)


async def turns(count: int) -> None:
    """Let the loop turn this often."""
    for _ in range(count):
        await asyncio.sleep(0)


@asynccontextmanager
async def connection(
    host: str, port: int, **options: Any
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection, which speaks only what the test says."""
    reader, writer = await asyncio.open_connection(host, port, **options)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@contextmanager
def no_files_left_open() -> Generator[None]:
    """Demand that the block closes what it opens."""
    before = open_files().keys()
    yield
    left = {number: what for number, what in open_files().items() if number not in before}
    assert left == {}, f"left open: {left}"
