"""What a node needs before it starts, and what it says if that is not there."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from paxos import FaultError, MisuseError, Quorums, durable
from paxos.runtime import Address, AddressTakenError, serve, server, store
from runtime.event_loop import in_event_loop, no_files_left_open, open_files, turns, until
from runtime.loopback import Loopback

TOO_LONG = 5.0
"""Seconds. Whatever is measured by it takes milliseconds, or for ever."""


async def start(shop: Loopback, node_id: str = "A") -> None:
    """Start a node, and demand that it does not start."""
    async with shop.serve(node_id):
        pytest.fail("the block began")


def listens(shop: Loopback) -> bool:
    """Whether somebody listens where node A should."""
    with socket.socket() as caller:
        return caller.connect_ex(shop.where("A")) == 0


@in_event_loop
async def test_a_taken_port_is_named_before_the_block(alone: Loopback) -> None:
    taken = f"{alone.address('A')} is taken"
    with (
        socket.create_server(alone.where("A")),
        pytest.raises(AddressTakenError, match=taken) as caught,
    ):
        await start(alone)
    assert isinstance(caught.value.__cause__, OSError)


@in_event_loop
async def test_a_taken_port_leaves_the_store_for_the_next_attempt(alone: Loopback) -> None:
    with (
        no_files_left_open(),
        socket.create_server(alone.where("A")),
        pytest.raises(AddressTakenError),
    ):
        await start(alone)
    async with alone.serve("A") as (a,):
        await a.decide(b"a value")


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
@in_event_loop
async def test_an_address_that_is_not_of_this_machine_is_named(alone: Loopback, host: str) -> None:
    elsewhere = alone.with_cluster(binds={"A": Address(host, 7000)})
    with pytest.raises(MisuseError, match=f"cannot listen at {host}:7000: ") as caught:
        await start(elsewhere)
    assert not str(caught.value).endswith("None")


@in_event_loop
async def test_a_store_that_is_not_there_is_named(alone: Loopback) -> None:
    with pytest.raises(durable.LostError, match=str(alone.root / "Z")):
        await start(alone, "Z")


@in_event_loop
async def test_a_store_that_is_in_use_is_named(alone: Loopback) -> None:
    async with alone.serve("A"):
        with pytest.raises(durable.LockedError, match=str(alone.folder("A"))):
            await start(alone)


@in_event_loop
async def test_a_store_of_another_cluster_is_named(alone: Loopback) -> None:
    with pytest.raises(MisuseError, match="belongs to cluster shop, not bakery"):
        await start(alone.with_cluster(name="bakery"))
    async with alone.serve("A"):
        pass  # it was left as it was, and unlocked


@in_event_loop
async def test_a_store_of_a_node_that_the_cluster_does_not_have_is_named(alone: Loopback) -> None:
    other = alone.with_cluster(addresses={"B": alone.address("A")}, quorums=Quorums.majority("B"))
    with pytest.raises(MisuseError, match="'A' is no node of this cluster: B"):
        await start(other)


@in_event_loop
async def test_a_store_that_holds_something_else_is_named(alone: Loopback) -> None:
    folder = alone.root / "else"
    durable.init(folder, durable.Owner("shop", "A", "first"), initial=b"a diary")
    with pytest.raises(FaultError, match=str(folder)):
        async with serve(alone.cluster, folder):
            pytest.fail("the block began")


@in_event_loop
async def test_a_store_that_is_too_small_for_the_cluster_is_refused_at_once(
    alone: Loopback,
) -> None:
    # Otherwise the first large value stops the node that accepts it, and with it all the others.
    larger = alone.with_cluster(value_bytes=100_000)
    with pytest.raises(MisuseError, match=str(alone.folder("A"))):
        await start(larger)


@in_event_loop
async def test_a_bound_below_what_was_accepted_is_refused_at_once(alone: Loopback) -> None:
    # Otherwise the others hang up on this node whenever it tells them of that value: for ever.
    async with alone.serve("A") as (a,):
        await a.decide(bytes(100))
    with pytest.raises(MisuseError, match=str(alone.folder("A"))):
        await start(alone.with_cluster(value_bytes=99))


@in_event_loop
async def test_a_peer_whose_name_cannot_be_resolved_does_not_stop_a_node(pair: Loopback) -> None:
    nowhere = pair.with_cluster(
        addresses={"A": pair.address("A"), "B": Address("no..where", 7000)},
        quorums=Quorums.majority("A"),
    )
    async with nowhere.serve("A") as (a,):
        await a.decide(b"a value")


@in_event_loop
async def test_a_disk_that_hangs_while_its_store_is_opened_does_not_stop_the_loop(
    alone: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Opening ends with a write and a sync.
    go_on, in_time = threading.Event(), []
    open_store = store.open_store

    def open_slowly(*arguments: Any, **options: Any) -> durable.Store:
        in_time.append(go_on.wait(TOO_LONG))
        return open_store(*arguments, **options)

    monkeypatch.setattr(server, "open_store", open_slowly)
    asyncio.get_running_loop().call_soon(go_on.set)
    async with alone.serve("A"):
        pass
    assert in_time == [True]


@pytest.mark.parametrize("turn", range(8))
@in_event_loop
async def test_a_start_that_is_cancelled_leaves_nothing_behind(
    alone: Loopback, monkeypatch: pytest.MonkeyPatch, turn: int
) -> None:
    opened, open_store = threading.Event(), store.open_store

    def open_and_tell(*arguments: Any, **options: Any) -> durable.Store:
        try:
            return open_store(*arguments, **options)
        finally:
            opened.set()

    monkeypatch.setattr(server, "open_store", open_and_tell)
    before = open_files().keys()
    starting = asyncio.create_task(run_until_cancelled(alone))
    await until(opened.is_set)
    await turns(turn)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    async with asyncio.timeout(TOO_LONG):
        await until(lambda: open_files().keys() <= before)
    assert not listens(alone)


@in_event_loop
async def test_a_start_that_is_cancelled_at_once_leaves_nothing_behind(alone: Loopback) -> None:
    before = open_files().keys()
    for turn in range(3):
        starting = asyncio.create_task(run_until_cancelled(alone))
        await turns(turn)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        async with asyncio.timeout(TOO_LONG):
            await until(lambda: open_files().keys() <= before)
    assert not listens(alone)


async def run_until_cancelled(shop: Loopback) -> None:
    async with shop.serve("A"):
        await asyncio.Event().wait()


@in_event_loop
async def test_a_node_may_start_again_in_the_same_loop(alone: Loopback) -> None:
    for _ in range(3):
        async with alone.serve("A") as (a,):
            assert (await a.decide(b"a value")).value == b"a value"


def test_a_folder_may_be_of_any_name(alone: Loopback, tmp_path: Path) -> None:
    folder = tmp_path / "Ünïcode and spaces"
    alone.folder("A").rename(folder)

    @in_event_loop
    async def run() -> None:
        async with serve(alone.cluster, folder) as a:
            assert (await a.decide(b"a value")).value == b"a value"

    run()
