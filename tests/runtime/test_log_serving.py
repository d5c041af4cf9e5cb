"""A log that is asked: commands, queries, who leads, and what a client is told."""

from __future__ import annotations

import asyncio

import pytest

from paxos.log.entries import Commands
from paxos.log.events import EntryChosen
from paxos.runtime import (
    OverloadedError,
    RefusedError,
    UnknownOutcomeError,
    UnreachableError,
    log_server,
    log_status,
)
from paxos.runtime import log_protocol as wire
from paxos.runtime.applying import read_numbers
from paxos.sessions import ActivateVersion, ClientRequest, OpenSession, Verdict, encode_request
from paxos.state_machine import CommandError
from runtime.event_loop import in_event_loop, until
from runtime.log_loopback import Ledger, LogLoopback, leader_of, put_on_slow_disks

GREETING = wire.encode(wire.LogClientGreeting("shop"))


def follower_of(servers: dict[str, log_server.LogServer]) -> str:
    """One that does not lead."""
    return next(node_id for node_id, server in servers.items() if not server.leads)


@in_event_loop
async def test_a_command_is_answered_and_applied_on_all_nodes(log_of_three: LogLoopback) -> None:
    async with log_of_three.serving("ABC") as servers, log_of_three.client() as client:
        assert await client.call(Ledger.add.call("tea")) == 1
        assert await client.call(Ledger.add.call("tea")) == 2
        await until(lambda: len({each.replica.digest for each in servers.values()}) == 1)
        assert all(each.replica.machine.counts == {"tea": 2} for each in servers.values())


@in_event_loop
async def test_one_node_alone_is_a_log_too(log_of_one: LogLoopback) -> None:
    async with log_of_one.serving("A"), log_of_one.client() as client:
        assert await client.call(Ledger.add.call("tea")) == 1
        assert await client.ask(Ledger.count.call("tea")) == 1


@in_event_loop
async def test_what_the_machine_rejects_reaches_the_caller(log_of_one: LogLoopback) -> None:
    async with log_of_one.serving("A"), log_of_one.client() as client:
        with pytest.raises(CommandError, match="a name is needed"):
            await client.call(Ledger.add.call(""))
        assert await client.call(Ledger.add.call("tea")) == 1


@in_event_loop
async def test_a_follower_answers_queries_with_all_that_was_acknowledged(
    log_of_three: LogLoopback,
) -> None:
    async with log_of_three.serving("ABC") as servers, log_of_three.client() as client:
        follower = follower_of(servers)
        async with log_of_three.client(follower, stays=True) as reader:
            for count in range(1, 6):
                await client.call(Ledger.add.call("tea"))
                assert await reader.ask(Ledger.count.call("tea")) == count


@in_event_loop
async def test_a_stale_query_is_answered_without_a_leader(log_of_three: LogLoopback) -> None:
    async with log_of_three.serving("ABC") as servers:
        async with log_of_three.client() as client:
            await client.call(Ledger.add.call("tea"))
        await until(lambda: servers["A"].replica.machine.counts == {"tea": 1})
    async with log_of_three.serve("A"), log_of_three.client("A", stays=True) as client:
        assert await client.ask(Ledger.count.call("tea"), stale=True) == 1


@in_event_loop
async def test_without_a_leader_no_other_query_is_answered(log_of_three: LogLoopback) -> None:
    async with log_of_three.serve("A"), log_of_three.client("A", stays=True) as client:
        with pytest.raises(UnreachableError, match="nothing was done: no node leads"):
            await client.ask(Ledger.count.call("tea"), within=0.3)


@in_event_loop
async def test_a_client_finds_the_leader_from_any_node(log_of_three: LogLoopback) -> None:
    async with log_of_three.serving("ABC") as servers:
        for node_id in servers:
            async with log_of_three.client(node_id) as client:
                await client.call(Ledger.add.call("tea"))
                assert (await client.status()).leads


@in_event_loop
async def test_who_does_not_lead_names_the_leader_and_its_address(
    log_of_three: LogLoopback,
) -> None:
    async with log_of_three.serving("ABC") as servers:
        await until(
            lambda: {each.status().leader for each in servers.values()} == {leader_of(servers)}
        )
        leader, follower = leader_of(servers), follower_of(servers)
        assert leader is not None
        call = wire.encode(wire.Submit(7, encode_request(OpenSession(1))))
        async with log_of_three.speaking(follower, GREETING, call) as speaker:
            address = str(log_of_three.cluster.addresses[leader])
            assert await speaker.hear() == wire.NotLeader(7, leader, address)


@in_event_loop
async def test_what_comes_in_one_turn_goes_into_one_entry(log_of_one: LogLoopback) -> None:
    chosen: list[EntryChosen[bytes]] = []
    async with log_of_one.serving("A") as servers:
        servers["A"].watch(lambda e: chosen.append(e) if isinstance(e, EntryChosen) else None)
        calls = [
            wire.encode(wire.Submit(number, encode_request(OpenSession(number))))
            for number in range(50)
        ]
        async with log_of_one.speaking("A", GREETING, *calls) as speaker:
            replies = [await speaker.hear() for _ in calls]
    assert [reply.number for reply in replies] == list(range(50))
    (entry,) = [e.proposal.value for e in chosen if isinstance(e.proposal.value, Commands)]
    assert len(entry.commands) == 50


@in_event_loop
async def test_the_same_request_twice_is_applied_once(log_of_one: LogLoopback) -> None:
    async with log_of_one.serving("A") as servers:
        opening = wire.encode(wire.Submit(0, encode_request(OpenSession(1))))
        async with log_of_one.speaking("A", GREETING, opening) as speaker:
            session = (await speaker.hear()).outcome.session
            request = encode_request(ClientRequest(session, 0, 0, Ledger.add.call("tea").payload))
            for number in (1, 2):
                speaker.writer.write(wire.encode(wire.Submit(number, request)))
            outcomes = [(await speaker.hear()).outcome for _ in range(2)]
        assert [outcome.verdict for outcome in outcomes] == [Verdict.ANSWERED] * 2
        assert servers["A"].replica.machine.counts == {"tea": 1}


@in_event_loop
async def test_many_tasks_share_one_client(log_of_three: LogLoopback) -> None:
    async with log_of_three.serving("ABC") as servers, log_of_three.client() as client:
        calls = [client.call(Ledger.add.call("tea")) for _ in range(300)]
        assert sorted(await asyncio.gather(*calls)) == list(range(1, 301))
        leader = leader_of(servers)
        assert leader is not None
        assert servers[leader].replica.machine.counts == {"tea": 300}


@in_event_loop
async def test_without_a_quorum_the_outcome_is_unknown(
    log_of_three: LogLoopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks = put_on_slow_disks(monkeypatch)
    async with log_of_three.serving("ABC"), log_of_three.client() as client:
        await client.call(Ledger.add.call("tea"))
        for disk in disks.values():
            disk.hang()
        try:
            with pytest.raises(UnknownOutcomeError):
                await client.call(Ledger.add.call("tea"), within=0.2)
        finally:
            for disk in disks.values():
                disk.let_go()


@in_event_loop
async def test_too_much_at_once_is_pushed_back(
    log_of_one: LogLoopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks = put_on_slow_disks(monkeypatch)
    monkeypatch.setattr(log_server, "MAX_WAITING", 2)
    async with log_of_one.serving("A"), log_of_one.client() as client:
        await client.call(Ledger.add.call("tea"))
        disks["A"].hang()
        waiting = [asyncio.create_task(client.call(Ledger.add.call("tea"))) for _ in range(2)]
        try:
            with pytest.raises(OverloadedError):
                async with log_of_one.client() as another:
                    await another.query(Ledger.count.call("tea").payload, within=0.2)
        finally:
            disks["A"].let_go()
        assert sorted(await asyncio.gather(*waiting)) == [2, 3]


@in_event_loop
async def test_a_command_that_is_too_large_is_refused(log_of_one: LogLoopback) -> None:
    request = bytes(log_of_one.cluster.value_bytes + 100)
    async with (
        log_of_one.serving("A"),
        log_of_one.speaking("A", GREETING, wire.encode(wire.Submit(1, request))) as speaker,
    ):
        assert isinstance(await speaker.hear(), wire.Declined)


@in_event_loop
async def test_leadership_can_be_handed_over(log_of_three: LogLoopback) -> None:
    async with log_of_three.serving("ABC") as servers, log_of_three.client() as client:
        heir = follower_of(servers)
        await client.hand_over(heir)
        await until(lambda: servers[heir].leads)
        assert await client.call(Ledger.add.call("tea")) == 1


@in_event_loop
async def test_leadership_goes_to_members_only(log_of_three: LogLoopback) -> None:
    async with log_of_three.serving("ABC"), log_of_three.client() as client:
        with pytest.raises(RefusedError, match="Z is no member"):
            await client.hand_over("Z")


@in_event_loop
async def test_a_node_that_is_not_there_is_unreachable(log_of_three: LogLoopback) -> None:
    with pytest.raises(UnreachableError):
        await log_status(log_of_three.cluster, "A", within=0.2)


@in_event_loop
async def test_no_client_may_activate_a_version(log_of_one: LogLoopback) -> None:
    """It would stop every node whose code does not know that version, for good."""
    request = encode_request(ActivateVersion(99, 1))
    async with log_of_one.serving("A"):
        call = wire.encode(wire.Submit(7, request))
        async with log_of_one.speaking("A", GREETING, call) as speaker:
            assert isinstance(await speaker.hear(), wire.Declined)
        async with log_of_one.client() as client:
            assert await client.call(Ledger.add.call("tea")) == 1


@in_event_loop
async def test_what_is_no_request_never_reaches_the_log(log_of_one: LogLoopback) -> None:
    async with log_of_one.serving("A") as servers:
        before = servers["A"].node.log.window.end
        call = wire.encode(wire.Submit(7, b"\xffno request"))
        async with log_of_one.speaking("A", GREETING, call) as speaker:
            assert isinstance(await speaker.hear(), wire.Declined)
        assert servers["A"].node.log.window.end == before


def test_no_two_runs_give_their_reads_the_same_numbers() -> None:
    """Else a late answer to a read of the run before would make a new read stale."""
    one, other = read_numbers(0.25), read_numbers(0.5)
    assert not {next(one) for _ in range(100)} & {next(other) for _ in range(100)}


def test_the_numbers_of_reads_fit_into_a_message() -> None:
    assert next(read_numbers(1 - 2**-53)) + (1 << 9) <= (1 << 63) - 1
