"""Nodes over real sockets: they decide, learn, restart, and say how they are."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from paxos import NOTHING_ACCEPTED, LeadershipAcquired, MisuseError, ProposalID, ValueChosen
from paxos.runtime import client, inspect_store, protocol, server
from runtime.event_loop import in_event_loop
from runtime.loopback import Loopback


@in_event_loop
async def test_three_nodes_decide_and_all_know(three: Loopback) -> None:
    async with three.serve("ABC") as (a, b, c):
        chosen = await a.decide(b"a value")
        assert chosen.value == b"a value"
        assert await b.chosen() == await c.chosen() == chosen


@in_event_loop
async def test_two_proposers_get_one_answer(three: Loopback) -> None:
    async with three.serve("ABC") as (a, b, _):
        one, other = await asyncio.gather(a.decide(b"one"), b.decide(b"other"))
        assert one.value == other.value
        assert one.value in (b"one", b"other")


@in_event_loop
async def test_a_node_alone_decides(alone: Loopback) -> None:
    async with alone.serve("A") as (a,):
        assert (await a.decide(b"a value")).value == b"a value"


@in_event_loop
async def test_a_majority_is_enough(three: Loopback) -> None:
    async with three.serve("AB") as (a, _):
        assert (await a.decide(b"a value")).value == b"a value"


@in_event_loop
async def test_one_of_two_decides_nothing(pair: Loopback) -> None:
    async with pair.serve("A") as (a,):
        deciding = asyncio.create_task(a.decide(b"a value"))
        async with pair.serve("B") as (b,):  # until now there was no quorum
            assert (await b.chosen()).value == b"a value"
        assert (await deciding).value == b"a value"


@in_event_loop
async def test_what_is_empty_is_a_value(three: Loopback) -> None:
    async with three.serve("ABC") as (a, b, _):
        assert (await a.decide(b"")).value == b""
        assert (await b.chosen()).value == b""


@in_event_loop
async def test_a_later_value_does_not_change_what_is_chosen(three: Loopback) -> None:
    async with three.serve("ABC") as (a, b, _):
        await a.decide(b"first")
        assert (await b.decide(b"later")).value == b"first"


@in_event_loop
async def test_the_largest_value_that_the_cluster_allows_is_decided(three: Loopback) -> None:
    value = bytes(three.cluster.value_bytes)
    async with three.serve("ABC") as (a, _, c):
        assert (await a.decide(value)).value == value
        assert (await c.chosen()).value == value


@in_event_loop
async def test_a_late_comer_learns(three: Loopback) -> None:
    async with three.serve("AB") as (a, _):
        chosen = await a.decide(b"a value")
        async with three.serve("C") as (c,):
            assert await c.chosen() == chosen


@in_event_loop
async def test_after_a_restart_of_all_the_same_is_chosen(three: Loopback) -> None:
    async with three.serve("ABC") as (a, _, _):
        chosen = await a.decide(b"a value")
    async with three.serve("ABC") as (a, b, c):
        for node in (a, b, c):
            assert (await node.chosen()).value == chosen.value


@in_event_loop
async def test_after_a_restart_no_other_value_is_chosen(three: Loopback) -> None:
    async with three.serve("ABC") as (a, _, _):
        await a.decide(b"first")
    async with three.serve("BC") as (b, _):
        assert (await b.decide(b"later")).value == b"first"


@in_event_loop
async def test_a_restart_keeps_promises_and_votes(alone: Loopback) -> None:
    async with alone.serve("A") as (a,):
        await a.decide(b"a value")
        before = a.node.durable
    assert inspect_store(alone.folder("A")).state == before
    async with alone.serve("A") as (a,):
        assert a.node.durable == before


@in_event_loop
async def test_a_value_that_is_too_large_is_refused_and_nothing_done(alone: Loopback) -> None:
    async with alone.serve("A") as (a,):
        before = a.node
        with pytest.raises(MisuseError, match="3001 bytes: this cluster allows 3000"):
            await a.decide(bytes(3001))
        assert a.node == before


@pytest.mark.parametrize(
    "value",
    ["text", bytearray(b"may change"), memoryview(b"a view"), None],
    ids=["text", "bytearray", "memoryview", "nothing"],
)
def test_a_value_that_is_not_bytes_is_refused_and_nothing_done(
    alone: Loopback, value: object
) -> None:
    # Text would be saved as text, and the node could never read its memory again.
    @in_event_loop
    async def propose() -> None:
        async with alone.serve("A") as (a,):
            with pytest.raises(MisuseError, match="bytes"):
                await a.decide(value)  # type: ignore[arg-type] # the wrong type is the point

    propose()
    assert inspect_store(alone.folder("A")).is_sound


@in_event_loop
async def test_a_wait_that_is_cancelled_does_not_cancel_the_proposal(pair: Loopback) -> None:
    async with pair.serve("A") as (a,):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await a.decide(b"a value")
        async with pair.serve("B") as (b,):
            assert (await b.chosen()).value == b"a value"


@in_event_loop
async def test_who_waits_while_the_node_stops_is_told_so(pair: Loopback) -> None:
    async with pair.serve("A") as (a,):
        waiting = asyncio.create_task(a.chosen())
        await asyncio.sleep(0)
    with pytest.raises(server.StoppedError, match="before it knew"):
        await waiting


@in_event_loop
async def test_a_watcher_sees_what_happens_in_its_order(alone: Loopback) -> None:
    async with alone.serve("A") as (a,):
        with a.watch() as events:
            chosen = await a.decide(b"a value")
        seen = [events.get_nowait() for _ in range(events.qsize())]
        assert seen[-1] == ValueChosen(chosen)
        assert LeadershipAcquired(chosen.id) in seen


@in_event_loop
async def test_a_watcher_that_does_not_read_misses_the_oldest(
    alone: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_UNSEEN_EVENTS", 1)
    async with alone.serve("A") as (a,):
        with a.watch() as events:
            chosen = await a.decide(b"a value")
        assert events.qsize() == 1
        assert events.get_nowait() == ValueChosen(chosen)


@in_event_loop
async def test_a_watcher_is_forgotten_when_it_leaves(alone: Loopback) -> None:
    async with alone.serve("A") as (a,):
        with a.watch() as events:
            pass
        await a.decide(b"a value")
        assert events.empty()


@in_event_loop
async def test_the_status_of_a_fresh_node_and_of_one_that_has_decided(alone: Loopback) -> None:
    async with alone.serve("A") as (a,):
        fresh = a.status()
        assert (fresh.node_id, fresh.incarnation) == ("A", "first")
        assert (fresh.leader, fresh.promised, fresh.accepted) == ("none", "none", "none")
        assert (fresh.leads, fresh.chosen) == (False, None)
        chosen = await a.decide(b"a value")
        decided = a.status()
        assert decided.accepted == decided.promised == str(chosen.id)
        assert decided.chosen is not None
        assert decided.chosen.value == b"a value"


@in_event_loop
async def test_a_client_has_a_value_decided(three: Loopback) -> None:
    async with three.serve("ABC") as (a, _, _):
        outcome = await client.decide(three.cluster, "B", b"a value")
        chosen = await a.chosen()
        assert (ProposalID(outcome.number, outcome.node_id), outcome.value) == (
            chosen.id,
            b"a value",
        )


@in_event_loop
async def test_a_client_asks_for_the_status(alone: Loopback) -> None:
    async with alone.serve("A") as (a,):
        assert await client.status(alone.cluster, "A") == a.status()
        await a.decide(b"")
        status = await client.status(alone.cluster, "A")
        assert status == a.status()
        assert status.chosen is not None


@in_event_loop
async def test_a_client_watches_from_the_status_to_the_decision(alone: Loopback) -> None:
    async with alone.serve("A") as (a,), aclosing(client.watch(alone.cluster, "A")) as watching:
        assert await anext(watching) == a.status()
        await a.decide(b"a value")
        async for news in watching:
            assert isinstance(news, protocol.Happened)
            if news.event == "ValueChosen":
                assert "b'a value' is chosen" in news.text
                break


@in_event_loop
async def test_a_client_of_a_node_that_is_down_knows_that_nothing_was_asked(
    alone: Loopback,
) -> None:
    for call in (
        client.status(alone.cluster, "A"),
        client.decide(alone.cluster, "A", b"a value"),
        anext(client.watch(alone.cluster, "A")),
    ):
        with pytest.raises(client.UnreachableError, match="cannot reach A at 127"):
            await call


@in_event_loop
async def test_a_client_of_a_node_that_does_not_exist_is_told_which_do(alone: Loopback) -> None:
    with pytest.raises(MisuseError, match="'Z' is no node of this cluster: A"):
        await client.status(alone.cluster, "Z")


@pytest.mark.parametrize("excess", [1, 100_000, 1 << 20])
def test_a_client_with_too_large_a_value_is_refused(alone: Loopback, excess: int) -> None:
    @in_event_loop
    async def propose() -> None:
        async with alone.serve("A") as (a,):
            before = a.node.durable
            with pytest.raises(MisuseError):
                await client.decide(alone.cluster, "A", bytes(alone.cluster.value_bytes + excess))
            assert a.node.durable == before
            assert a.node.durable.accepted is NOTHING_ACCEPTED

    propose()


@in_event_loop
async def test_after_the_decision_nobody_leads(three: Loopback) -> None:
    """No heartbeat says so any more, and a leader that died would seem to lead for ever."""
    async with three.serve("ABC") as nodes:
        await nodes[0].decide(b"a value")
        for node in nodes:
            await node.chosen()
        assert [node.status().leads for node in nodes] == [False, False, False]
