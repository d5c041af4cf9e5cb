"""Run a test of a suite in an event loop of its own, and see what it leaves there."""

from __future__ import annotations

import asyncio
import functools
import os
import stat
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, ParamSpec, Protocol, cast

from paxos.testing.contract import ContractError, demand


class Patient(Protocol):
    """Whatever says how long its tests may take."""

    @property
    def patience(self) -> float:
        """Seconds until a wait counts as one for ever."""
        ...


P = ParamSpec("P")


def in_event_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Return a suite's test as a plain method.

    It must leave no task, and no error that nobody saw.
    """

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        patience = cast("Patient", args[0]).patience
        unseen: list[str] = []

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(
                lambda _, context: unseen.append(f"{context['message']}: {context}")
            )
            try:
                async with asyncio.timeout(2 * patience):  # one patience is for what is said in it
                    await test(*args, **kwargs)
            except TimeoutError as error:
                raise ContractError(f"it did not end within {2 * patience} seconds") from error
            demand_no_tasks()

        asyncio.run(main())
        demand(not unseen, f"errors that nobody saw: {'; '.join(unseen)}")

    return run


def demand_no_tasks() -> None:
    """Demand that nothing runs in this loop but who asks."""
    left = [repr(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    demand(not left, f"these tasks were left running: {', '.join(left)}")


async def turns(count: int) -> None:
    """Let the loop turn this often."""
    for _ in range(count):
        await asyncio.sleep(0)


@contextmanager
def no_files_left_open() -> Generator[None]:
    """Demand that the block gives back the files and sockets that it opens."""
    before = _open_files().keys()
    yield
    left = {number: what for number, what in _open_files().items() if number not in before}
    demand(not left, f"these files and sockets were left open, by number: {left}")


def _open_files() -> dict[str, str]:
    """Return what this process has open, by number; nothing where the system does not tell."""
    found: dict[str, str] = {}
    with suppress(OSError):
        for number in os.listdir("/dev/fd"):  # noqa: PTH208 - names are all we want
            with suppress(OSError):  # the folder that is being listed is closed by now
                found[number] = stat.filemode(os.fstat(int(number)).st_mode)
    return found
