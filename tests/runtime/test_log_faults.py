"""A log in trouble: nodes that stop or die, disks that hang or fail, memories that are old."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from paxos.errors import FaultError, MisuseError
from paxos.log.events import LeadershipLost
from paxos.runtime import AddressTakenError, Cluster, create_store, log_status, serve_log, store
from paxos.state_machine import MachineError, TypedStateMachine, command
from paxos.storage_errors import LostError
from runtime.event_loop import in_event_loop, until
from runtime.log_loopback import (
    Ledger,
    LogLoopback,
    leader_of,
    log_loopback,
    put_on_slow_disks,
)
from runtime.slow_store import DISK_FAILED

TEA = Ledger.add.call("tea")


@in_event_loop
async def test_a_leader_that_stops_hands_over_first(log_of_three: LogLoopback) -> None:
    async with log_of_three.serving("ABC") as servers:
        leader = leader_of(servers)
        assert leader is not None
        said: list[object] = []
        servers[leader].watch(said.append)
        await servers[leader].hand_over()
        assert [event.id.node_id for event in said if isinstance(event, LeadershipLost)] == [leader]
        heir = servers[leader].node.log.promised
        assert heir.node_id != leader  # it left because it had promised another's ballot
        rest = {node_id: each for node_id, each in servers.items() if node_id != leader}
        await until(lambda: leader_of(rest) is not None)


@in_event_loop
async def test_what_was_acknowledged_is_there_after_all_have_stopped(
    log_of_three: LogLoopback,
) -> None:
    async with log_of_three.serving("ABC"), log_of_three.client() as client:
        for _ in range(5):
            await client.call(TEA)
    async with log_of_three.serving("ABC"), log_of_three.client() as client:
        assert await client.ask(Ledger.count.call("tea")) == 5
        assert await client.call(TEA) == 6


@in_event_loop
async def test_a_client_outlives_its_leader(log_of_three: LogLoopback) -> None:
    running = {name: log_of_three.serve(name) for name in "ABC"}
    servers = {name: await each.__aenter__() for name, each in running.items()}
    await until(lambda: leader_of(servers) is not None)
    leader = leader_of(servers)
    assert leader is not None
    async with log_of_three.client(leader) as client:
        assert await client.call(TEA) == 1
        await running.pop(leader).__aexit__(None, None, None)
        assert await client.call(TEA) == 2
    for each in running.values():
        await each.__aexit__(None, None, None)


@in_event_loop
async def test_a_snapshot_is_taken_and_a_start_begins_with_it(log_of_three: LogLoopback) -> None:
    often = log_of_three.with_cluster(snapshot_entries=10)
    async with often.serving("ABC") as servers, often.client() as client:
        for _ in range(25):
            await client.call(TEA)
        await until(lambda: servers["A"].status().snapshot_below >= 20)
    async with often.serve("A") as server:
        assert server.status().snapshot_below >= 20
        assert server.status().applied_below >= server.status().snapshot_below
        assert server.replica.machine.counts["tea"] >= 20


@in_event_loop
async def test_a_node_that_was_away_catches_up(log_of_three: LogLoopback) -> None:
    async with log_of_three.serving("AB") as servers, log_of_three.client() as client:
        for _ in range(10):
            await client.call(TEA)
        async with log_of_three.serve("C") as late:
            await until(lambda: late.replica.digest == servers["A"].replica.digest)
            assert late.replica.machine.counts == {"tea": 10}


@in_event_loop
async def test_a_node_that_was_away_for_long_gets_a_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paxos.runtime.snapshotting.KEPT_FOR_THE_SLOW", 0)
    monkeypatch.setattr("paxos.runtime.snapshotting.CHUNK_BYTES", 100)  # to be handed on in pieces
    small = partial(store.create_log_store, segment_bytes=8192)
    monkeypatch.setattr(store, "create_log_store", small)
    with log_loopback(tmp_path, "ABC") as made:
        await _outlive_an_absence(made.with_cluster(snapshot_entries=20))


async def _outlive_an_absence(often: LogLoopback) -> None:
    async with often.serving("AB") as servers, often.client() as client:
        for number in range(60):
            await client.call(Ledger.add.call(f"name-{number}"))
        await until(lambda: servers["A"].status().first_kept > 0)
        await until(lambda: servers["B"].status().first_kept > 0)
        async with often.serve("C") as late:
            await until(lambda: late.replica.digest == servers["A"].replica.digest)
            assert late.status().first_kept > 0
            assert len(late.replica.machine.counts) == 60


@in_event_loop
async def test_a_hung_disk_silences_nobody(
    log_of_three: LogLoopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks = put_on_slow_disks(monkeypatch)
    async with log_of_three.serving("ABC") as servers, log_of_three.client() as client:
        await client.call(TEA)
        hung = leader_of(servers)
        assert hung is not None
        disks[hung].hang()
        try:
            assert await client.call(TEA) == 2  # two others are enough, be it under another leader
            await asyncio.to_thread(disks[hung].begun.wait)
            await until(lambda: leader_of(servers) not in {hung, None})
            assert (await log_status(log_of_three.cluster, hung)).node_id == hung
        finally:
            disks[hung].let_go()


@in_event_loop
async def test_a_failing_disk_ends_its_node_and_no_other(
    log_of_three: LogLoopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks = put_on_slow_disks(monkeypatch)
    async with log_of_three.serving("AB"), log_of_three.client() as client:

        async def outlive() -> None:
            async with log_of_three.serve("C"):
                await client.call(TEA)
                disks["C"].error = DISK_FAILED
                await client.call(TEA)
                await asyncio.Event().wait()

        with pytest.raises(type(DISK_FAILED), match="sync failed"):
            await outlive()
        assert await client.call(TEA) == 3


class Broken(TypedStateMachine):
    """A mistake in a machine."""

    count: int = 0

    @command
    def add(self, name: str) -> int:
        """Fail."""
        raise ZeroDivisionError(name)


@in_event_loop
async def test_a_mistake_in_the_machine_ends_the_node(log_of_one: LogLoopback) -> None:

    async def outlive() -> None:
        async with (
            serve_log(log_of_one.cluster, log_of_one.folder("A"), Broken),
            log_of_one.client() as client,
        ):
            await client.call(Broken.add.call("tea"))

    with pytest.raises(MachineError, match="ZeroDivisionError"):
        await outlive()


@in_event_loop
async def test_a_member_is_replaced(log_with_d: LogLoopback) -> None:
    async with log_with_d.serving("ABC") as servers, log_with_d.client() as client:
        for _ in range(5):
            await client.call(TEA)
        leader = leader_of(servers)
        gone = next(name for name in servers if name != leader)
        log_with_d.create_stores("D")
        async with log_with_d.serve("D") as newcomer:
            await until(lambda: newcomer.replica.applied_below >= 5)
            members = [m for m in log_with_d.cluster.founding.members if m.node_id != gone]
            identity = newcomer.identity
            address = str(log_with_d.cluster.addresses["D"])
            joined = type(members[0])("D", identity.incarnation, address)
            await client.change_members([*members, joined])
            await client.call(TEA)
            await servers[gone].removed()
            await until(lambda: newcomer.replica.machine.counts == {"tea": 6})
            assert newcomer.status().members[-1] == ("D", "of D", address)


@in_event_loop
async def test_a_newcomer_that_has_not_caught_up_is_refused(log_with_d: LogLoopback) -> None:
    async with log_with_d.serving("ABC"), log_with_d.client() as client:
        members = log_with_d.cluster.founding.members
        joined = type(members[0])("D", "of D", str(log_with_d.cluster.addresses["D"]))
        for _ in range(2):
            await client.call(TEA)
        with pytest.raises(MisuseError, match="D has not caught up yet"):
            await client.change_members([*members, joined])


@in_event_loop
async def test_a_taken_address_is_named(log_of_one: LogLoopback) -> None:
    async with log_of_one.serve("A"):
        other = log_of_one.root / "other"
        create_store(log_of_one.cluster, "A", other)
        with pytest.raises(AddressTakenError):
            async with serve_log(log_of_one.cluster, other, Ledger):
                pass


@in_event_loop
async def test_a_folder_without_a_memory_is_refused(
    log_of_one: LogLoopback, tmp_path: Path
) -> None:
    with pytest.raises((LostError, FaultError)):
        async with serve_log(log_of_one.cluster, tmp_path / "nothing", Ledger):
            pass


@in_event_loop
async def test_a_cluster_for_one_decision_serves_no_log(log_of_one: LogLoopback) -> None:
    cluster: Cluster = log_of_one.with_cluster(is_log=False).cluster
    with pytest.raises(MisuseError, match="makes one decision"):
        async with serve_log(cluster, log_of_one.folder("A"), Ledger):
            pass
