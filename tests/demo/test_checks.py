"""The demo's checks can fail: each is shown a story in which its claim is false."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from paxos import DurableState, FaultError, Proposal, ProposalID, durable
from paxos.codec import encode_state
from paxos.demo import Check, Story, Timeline, check
from paxos.demo.story import Recovery
from paxos.runtime import protocol

CHOSEN = protocol.Outcome(1, "A", b"tea")
ACCEPTED = DurableState(1, ProposalID(1, "A"), Proposal(ProposalID(1, "A"), b"tea"))


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """Three nodes that decided for tea; B was killed and came back."""
    timeline = Timeline(lambda _: None)
    story = Story.prepare(timeline, tmp_path, 3, [b"tea", b"coffee"], seed=1)
    for node_id, node in story.nodes.items():
        save(story, node_id, ACCEPTED)
        story.statuses[node_id] = protocol.Status(
            node_id, incarnation(node.folder), "1.A", node_id == "A", "1.A", "1.A", CHOSEN
        )
        story.exit_codes[node_id] = 0
    story.recoveries.append(Recovery("B", ACCEPTED, incarnation(tmp_path / "B")))
    return story


def incarnation(folder: Path) -> str:
    with durable.open(folder) as store:
        return store.owner.incarnation


def save(story: Story, node_id: str, state: DurableState[bytes]) -> None:
    with durable.open(story.nodes[node_id].folder) as store:
        store.save(encode_state(state))


def say(story: Story, node_id: str, chosen: protocol.Outcome | None) -> None:
    status = story.statuses[node_id]
    story.statuses[node_id] = protocol.Status(
        node_id, status.incarnation, status.leader, status.leads, "1.A", "1.A", chosen
    )


def broken(story: Story) -> list[str]:
    return [each.name for each in check(story) if not each.holds]


def test_a_good_end_passes(story: Story) -> None:
    assert all(isinstance(each, Check) for each in check(story))
    assert broken(story) == []


def test_two_values_break_agreement(story: Story) -> None:
    say(story, "C", protocol.Outcome(2, "B", b"coffee"))
    assert "agreement" in broken(story)


def test_a_node_that_does_not_know_breaks_agreement(story: Story) -> None:
    say(story, "C", None)
    assert "agreement" in broken(story)


def test_a_node_that_does_not_answer_breaks_agreement(story: Story) -> None:
    del story.statuses["C"]
    assert "agreement" in broken(story)


def test_a_value_that_nobody_proposed_breaks_validity(story: Story) -> None:
    story.values = [b"milk", b"coffee"]
    assert broken(story) == ["validity"]


def test_a_promise_taken_back_breaks_recovery(story: Story) -> None:
    before = replace(ACCEPTED, promised=ProposalID(9, "C"))
    story.recoveries = [replace(story.recoveries[0], disk=before)]
    assert broken(story) == ["recovery"]


def test_a_vote_taken_back_breaks_recovery(story: Story) -> None:
    vote = Proposal(ProposalID(1, "B"), b"tea")
    story.recoveries = [replace(story.recoveries[0], disk=replace(ACCEPTED, accepted=vote))]
    assert broken(story) == ["recovery"]


def test_a_ballot_number_forgotten_breaks_recovery(story: Story) -> None:
    story.recoveries = [replace(story.recoveries[0], disk=replace(ACCEPTED, ballot=2))]
    assert broken(story) == ["recovery"]


def test_another_incarnation_breaks_recovery(story: Story) -> None:
    story.recoveries = [replace(story.recoveries[0], incarnation="another")]
    assert broken(story) == ["recovery"]


def test_nobody_coming_back_breaks_recovery(story: Story) -> None:
    story.recoveries = []
    assert broken(story) == ["recovery"]


def test_a_value_on_a_minority_of_disks_is_not_chosen(story: Story) -> None:
    for node_id in ("B", "C"):
        save(story, node_id, DurableState(1, ProposalID(1, "A")))
    assert "on disk" in broken(story)
    (on_disk,) = [each for each in check(story) if each.name == "on disk"]
    assert on_disk.detail == "accepted on the disks of A: no quorum"


def test_a_bad_exit_code_is_no_clean_stop(story: Story) -> None:
    story.exit_codes["A"] = -9
    assert broken(story) == ["clean stop"]


def test_a_node_that_does_not_start_is_named_as_itself(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not as a group of groups: the command line prints one sentence."""
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(FaultError, match=r"[ABC] ended while starting: see .*\.log"):
        asyncio.run(story.play())


def test_a_node_that_was_never_stopped_is_no_clean_stop(story: Story) -> None:
    del story.exit_codes["A"]
    assert broken(story) == ["clean stop"]


def test_a_leader_that_is_the_victim_dies_once(story: Story) -> None:
    """Killed twice at once it would be started twice, and one process would be left behind."""
    story.leaders.append("A")
    story.recoveries.clear()

    async def both_kill_it() -> None:
        minority = asyncio.Semaphore(2)
        try:
            async with asyncio.TaskGroup() as killers:
                killers.create_task(story._kill_one("A", 0.0, 0.01, minority))
                killers.create_task(story._kill_leader(0.0, 0.01, minority))
        finally:
            await story.nodes["A"].kill()

    asyncio.run(both_kill_it())
    assert [recovery.node_id for recovery in story.recoveries] == ["A"]
    assert story.nodes["A"].starts == 1
