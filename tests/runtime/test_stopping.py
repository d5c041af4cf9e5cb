"""Leaving the block stops all that it started, whatever the reason, and raises the reason."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import textwrap
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest

from paxos import ConflictError, Envelope, Identity, Proposal, ProposalID, Stopped, durable
from paxos.codec import encode_envelope
from paxos.messages import Chosen
from paxos.runtime import SyncHungError, client, protocol, server
from paxos.runtime.protocol import ClientGreeting, PeerGreeting
from runtime.event_loop import (
    connection,
    disk_threads,
    end_of_disk_threads,
    in_event_loop,
    no_files_left_open,
    other_tasks,
    turns,
    until,
)
from runtime.loopback import Loopback
from runtime.slow_store import DISK_FAILED, SlowStore, put_on_slow_disk

TOO_LONG = 5.0
"""Seconds. Stopping takes milliseconds, or waits for ever."""

HELLO_FROM_B = protocol.encode(PeerGreeting("shop", "B", "first"))


class BodyError(Exception):
    """What goes wrong in the block itself."""


@in_event_loop
async def test_a_stop_leaves_no_task_no_thread_and_no_socket(three: Loopback) -> None:
    with no_files_left_open():
        async with three.serve("ABC") as (a, b, _):
            async with aclosing(client.watch(three.cluster, "A")) as watching:
                await anext(watching)
            await a.decide(b"a value")
            await b.chosen()
        assert other_tasks() == set()
        await end_of_disk_threads()
        await turns(2)


@in_event_loop
async def test_no_start_and_stop_of_a_cluster_hangs(three: Loopback) -> None:
    # One node after the other stops, while the links of the others try to reach it again.
    for turn in range(20):
        async with asyncio.timeout(TOO_LONG), three.serve("ABC"):
            await turns(turn)


@in_event_loop
async def test_a_stop_ends_what_a_client_watches(alone: Loopback) -> None:
    async with aclosing(client.watch(alone.cluster, "A")) as watching:
        async with alone.serve("A"):
            await anext(watching)
        with pytest.raises(protocol.ConnectionClosedError):
            await anext(watching)


@pytest.mark.parametrize("turn", range(10))
@in_event_loop
async def test_a_stop_before_anything_happened_leaves_nothing(three: Loopback, turn: int) -> None:
    with no_files_left_open():
        async with three.serve("ABC"):
            await turns(turn)
        assert other_tasks() == set()
        await end_of_disk_threads()
        await turns(2)


@in_event_loop
async def test_an_error_in_the_block_comes_out_as_itself(alone: Loopback) -> None:
    with pytest.raises(BodyError):
        async with alone.serve("A"):
            raise BodyError
    assert other_tasks() == set()


@in_event_loop
async def test_an_error_in_the_block_keeps_its_cause(alone: Loopback) -> None:
    cause = OSError("why")
    with pytest.raises(BodyError) as caught:
        async with alone.serve("A"):
            raise BodyError from cause
    assert caught.value.__cause__ is cause


@in_event_loop
async def test_an_error_in_the_block_keeps_its_context(alone: Loopback) -> None:
    async def run() -> None:
        async with alone.serve("A"):
            try:
                raise KeyError("before")
            except KeyError:
                raise BodyError  # noqa: B904 - the context is what we look at

    with pytest.raises(BodyError) as caught:
        await run()
    assert isinstance(caught.value.__context__, KeyError)
    assert not caught.value.__suppress_context__


@in_event_loop
async def test_a_group_of_errors_in_the_block_stays_that_group(alone: Loopback) -> None:
    group = ExceptionGroup("two", [BodyError(), KeyError()])
    with pytest.raises(ExceptionGroup) as caught:
        async with alone.serve("A"):
            raise group
    assert caught.value is group


@in_event_loop
async def test_a_block_that_is_cancelled_is_cancelled(alone: Loopback) -> None:
    began = asyncio.Event()

    async def run() -> None:
        async with alone.serve("A"):
            began.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(run())
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await end_of_disk_threads()


@in_event_loop
async def test_a_block_may_have_a_time_limit(alone: Loopback) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), alone.serve("A"):
            await asyncio.Event().wait()


@in_event_loop
async def test_a_failing_disk_ends_the_block_with_its_name(
    alone: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowStore(error=DISK_FAILED)
    slow.go_on.set()
    put_on_slow_disk(monkeypatch, slow)
    with pytest.raises(durable.DiskError, match="/disk/A/state: sync failed"):
        async with alone.serve("A") as (a,):
            await a.decide(b"a value")
    assert other_tasks() == set()
    await end_of_disk_threads()


@in_event_loop
async def test_a_failing_disk_keeps_the_cause_of_its_failure(
    alone: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `durable.BrokenError` says of itself that its cause is the failure that broke the store.
    broken = durable.BrokenError(Path("/disk/A/state"), "an earlier save failed")
    broken.__cause__ = DISK_FAILED
    slow = SlowStore(error=broken)
    slow.go_on.set()
    put_on_slow_disk(monkeypatch, slow)
    with pytest.raises(durable.BrokenError) as caught:
        async with alone.serve("A") as (a,):
            await a.decide(b"a value")
    assert caught.value.__cause__ is DISK_FAILED


@in_event_loop
async def test_a_block_that_leaves_because_the_node_stopped_learns_why(
    alone: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowStore(error=DISK_FAILED)
    slow.go_on.set()
    put_on_slow_disk(monkeypatch, slow)

    async def until_it_stops() -> None:
        async with alone.serve("A") as (a,):
            with a.watch() as events:
                while not isinstance(await events.get(), Stopped):
                    pass

    with pytest.raises(durable.DiskError):
        await until_it_stops()


@in_event_loop
async def test_nobody_who_waits_for_a_node_whose_disk_failed_waits_on(
    alone: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowStore(error=DISK_FAILED)
    put_on_slow_disk(monkeypatch, slow)
    waiting: list[asyncio.Task[Any]] = []

    async def run() -> None:
        async with alone.serve("A") as (a,):
            waiting.append(asyncio.create_task(a.chosen()))
            waiting.append(asyncio.create_task(client.decide(alone.cluster, "A", b"a value")))
            await asyncio.to_thread(slow.begun.wait)
            slow.go_on.set()
            await asyncio.Event().wait()

    with pytest.raises(durable.DiskError):
        await run()
    with pytest.raises(server.StoppedError):
        await waiting[0]
    with pytest.raises(protocol.ConnectionClosedError):
        await waiting[1]


@in_event_loop
async def test_a_proof_of_damage_ends_the_block(three: Loopback) -> None:
    sender, b1 = Identity("shop", "B", "first"), ProposalID(1, "B")

    async def run() -> None:
        async with three.serve("A"), connection(*three.where("A")) as (_, writer):
            writer.write(HELLO_FROM_B)
            for value in (b"one", b"other"):
                told = Envelope(sender, "A", Chosen(Proposal(b1, value)))
                writer.write(protocol.frame(encode_envelope(told)))
            await asyncio.Event().wait()

    with pytest.raises(ConflictError, match="two values where there can be one"):
        await run()


@in_event_loop
async def test_who_calls_while_a_failed_node_cleans_up_leaves_no_trace(
    alone: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowStore(error=DISK_FAILED)
    slow.go_on.set()
    put_on_slow_disk(monkeypatch, slow)

    async def run() -> None:
        async with alone.serve("A"):
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            # The block was told to end, and takes its time to do so.
            with suppress(ConnectionError):
                async with (
                    asyncio.timeout(TOO_LONG),
                    connection(*alone.where("A")) as (reader, _),
                ):
                    assert await reader.read() == b""

    with pytest.raises(durable.DiskError):
        await run()


@pytest.mark.parametrize("turn", range(7))
@in_event_loop
async def test_who_connects_while_a_node_stops_is_hung_up_on(three: Loopback, turn: int) -> None:
    with socket.socket() as caller:
        async with asyncio.timeout(TOO_LONG), three.serve("A"):
            caller.connect(three.where("A"))
            caller.sendall(HELLO_FROM_B)
            await turns(turn)
        caller.settimeout(TOO_LONG)
        with suppress(ConnectionError):
            assert await asyncio.to_thread(caller.recv, 1) == b""


@in_event_loop
async def test_a_hung_sync_delays_no_stop_and_is_named(
    alone: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "DISK_PATIENCE", 0.01)
    slow = SlowStore()
    put_on_slow_disk(monkeypatch, slow)
    with pytest.raises(SyncHungError, match=str(alone.folder("A"))):
        async with alone.serve("A"):
            await asyncio.to_thread(slow.begun.wait)
    (thread,) = disk_threads()
    slow.go_on.set()
    await asyncio.to_thread(thread.join)


@in_event_loop
async def test_a_hung_sync_does_not_hide_an_error_in_the_block(
    alone: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "DISK_PATIENCE", 0.01)
    slow = SlowStore()
    put_on_slow_disk(monkeypatch, slow)

    async def run() -> None:
        async with alone.serve("A"):
            await asyncio.to_thread(slow.begun.wait)
            raise BodyError

    with pytest.raises(SyncHungError) as caught:
        await run()
    assert isinstance(caught.value.__context__, BodyError)
    (thread,) = disk_threads()
    slow.go_on.set()
    await asyncio.to_thread(thread.join)


@in_event_loop
async def test_a_save_that_fails_while_the_node_stops_is_not_papered_over(
    alone: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowStore(error=DISK_FAILED)
    put_on_slow_disk(monkeypatch, slow)

    async def run() -> None:
        async with alone.serve("A"):
            await asyncio.to_thread(slow.begun.wait)
            asyncio.get_running_loop().call_later(0, slow.go_on.set)  # once the block is left

    with pytest.raises(durable.DiskError):
        await run()


def test_a_hung_sync_does_not_keep_a_process_from_ending(alone: Loopback) -> None:
    program = f"""
        import asyncio, sys, threading
        from pathlib import Path
        from paxos import durable
        from paxos.runtime import Address, Cluster, SyncHungError, serve, server
        from paxos import Quorums

        server.DISK_PATIENCE = 0.01
        saving = threading.Event()

        def hang(store, state):
            saving.set()
            threading.Event().wait()

        durable.Store.save = hang
        cluster = Cluster("shop", {{"A": Address("127.0.0.1", {alone.address("A").port})}},
                          Quorums.majority("A"))

        async def main():
            async with serve(cluster, Path({str(alone.folder("A"))!r})):
                await asyncio.to_thread(saving.wait)

        try:
            asyncio.run(main())
        except SyncHungError as error:
            print(error)
    """
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert f"saving to {alone.folder('A')} has hung" in ended.stdout
    assert ended.stderr == ""


@in_event_loop
async def test_a_second_stop_changes_nothing(alone: Loopback) -> None:
    async with alone.serve("A") as (a,):
        await a.decide(b"a value")
        a.stop()
        a.stop()
    assert (await a.chosen()).value == b"a value"


@in_event_loop
async def test_what_is_asked_after_the_stop_ends_at_once(pair: Loopback) -> None:
    async with pair.serve("A") as (a,):
        pass
    with pytest.raises(server.StoppedError):
        await a.decide(b"a value")


@in_event_loop
async def test_a_status_call_that_was_never_finished_ends_with_the_node(alone: Loopback) -> None:
    async with alone.serve("A"), connection(*alone.where("A")) as (reader, writer):
        writer.write(protocol.encode(ClientGreeting("shop"))[:3])
        await until(lambda: len(other_tasks()) >= 2)
    assert await reader.read() == b""


@in_event_loop
async def test_a_cancellation_in_the_midst_of_a_stop_leaves_nothing_behind(
    alone: Loopback,
) -> None:
    waiting: list[asyncio.Task[Any]] = []

    async def cancelled_as_it_stops() -> None:
        async with alone.serve("A") as (a,):
            waiting.append(asyncio.create_task(a.chosen()))
            this = asyncio.current_task()
            assert this is not None
            this.cancel()  # falls into the first wait, which is that of the stop

    with no_files_left_open():
        task = asyncio.create_task(cancelled_as_it_stops())
        await asyncio.wait((task,))
        assert task.cancelled()
        with pytest.raises(server.StoppedError):
            await waiting[0]
        await end_of_disk_threads()
        await turns(2)
    async with alone.serve("A"):  # its port and its store are free again
        pass
