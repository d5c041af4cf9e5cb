"""A Dask cluster as an executor: the same campaign on many machines.

Scheduling is Dask's; all that is here is the way to it. It comes with the extra `dask`.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, cast

from paxos.errors import FaultError, MisuseError

PATIENCE = 10.0
"""Seconds for which a scheduler, and then its first worker, is waited for."""


class Client(Protocol):
    """What is used of `distributed.Client`, whose own types say less."""

    def wait_for_workers(self, n_workers: int, timeout: float) -> None:
        """Wait until there are so many. Raises TimeoutError."""
        ...

    def nthreads(self) -> Mapping[str, int]:
        """The threads of each worker, by its address."""
        ...

    def get_executor(self, *, pure: bool) -> Executor:
        """The workers as an executor. What is not pure is run each time it is submitted."""
        ...


@contextmanager
def dask_workers(address: str) -> Generator[tuple[Executor, int]]:
    """The workers of the scheduler at this address: an executor, and how many threads they have.

    Raises `MisuseError` if Dask is not installed, `FaultError` if nobody is there.
    """
    with _connect(address) as client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise FaultError(
                f"the scheduler at {address} has no workers: start some by `dask worker {address}`"
            ) from error
        yield client.get_executor(pure=False), sum(client.nthreads().values())


def _connect(address: str) -> AbstractContextManager[Client]:
    try:
        distributed = importlib.import_module("distributed")  # an extra, and slow to import
    except ImportError as error:
        raise MisuseError(
            "Dask is not installed: pip install 'plain-paxos[dask]', on the workers too"
        ) from error
    try:
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise FaultError(f"no Dask scheduler answers at {address}: {error}") from error
    return cast("AbstractContextManager[Client]", client)
