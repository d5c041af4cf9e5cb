"""What must hold at the end, checked by each node's own answer and by its disk."""

from __future__ import annotations

from dataclasses import dataclass

from paxos.demo.story import Story
from paxos.messages import NOTHING_ACCEPTED
from paxos.node import DurableState
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.runtime import inspect_store, protocol
from paxos.runtime.protocol import text


@dataclass(frozen=True, slots=True)
class Check:
    """One claim, and whether it holds."""

    name: str
    holds: bool
    detail: str


def check(story: Story) -> list[Check]:
    """Check agreement, validity, recovery, the disks and the clean stop, in this order."""
    answers = {node_id: status.chosen for node_id, status in story.statuses.items()}
    disks = {node_id: inspect_store(node.folder).state for node_id, node in story.nodes.items()}
    return [
        _agreement(story, answers),
        _validity(story, answers),
        _recovery(story, disks),
        _chosen_on_disk(story, answers, disks),
        _clean_stop(story),
    ]


def _agreement(story: Story, answers: dict[str, protocol.Outcome | None]) -> Check:
    values = {answer.value for answer in answers.values() if answer is not None}
    agree = len(values) == 1 and len(answers) == len(story.nodes) and None not in answers.values()
    said = ", ".join(sorted(map(text, values)))
    return Check("agreement", agree, f"{len(answers)} of {len(story.nodes)} nodes answer {said}")


def _validity(story: Story, answers: dict[str, protocol.Outcome | None]) -> Check:
    values = {answer.value for answer in answers.values() if answer is not None}
    proposed = " and ".join(map(text, story.values))
    return Check(
        "validity", bool(values) and values <= set(story.values), f"what was proposed: {proposed}"
    )


def _recovery(story: Story, disks: dict[str, DurableState[bytes] | None]) -> Check:
    """Who came back is who was killed, and nothing that its disk held has been taken back."""
    held = bool(story.recoveries)
    for recovery in story.recoveries:
        status, after = story.statuses.get(recovery.node_id), disks[recovery.node_id]
        held = (
            held
            and status is not None
            and status.incarnation == recovery.incarnation
            and after is not None
            and after.ballot >= recovery.disk.ballot
            and after.promised >= recovery.disk.promised
            and _accepted_id(after) >= _accepted_id(recovery.disk)
        )
    returned = ", ".join(recovery.node_id for recovery in story.recoveries)
    return Check("recovery", held, f"back from disk, every promise and vote kept: {returned}")


def _chosen_on_disk(
    story: Story,
    answers: dict[str, protocol.Outcome | None],
    disks: dict[str, DurableState[bytes] | None],
) -> Check:
    """A quorum has the value on disk, accepted under the chosen ID or a later one."""
    known = [answer for answer in answers.values() if answer is not None]
    chosen = min((ProposalID(o.number, o.node_id), o.value) for o in known) if known else None
    holders = [
        node_id
        for node_id, disk in sorted(disks.items())
        if disk is not None
        and chosen is not None
        and disk.accepted is not NOTHING_ACCEPTED
        and disk.accepted.id >= chosen[0]
        and disk.accepted.value == chosen[1]
    ]
    holds = story.cluster.quorums.has_phase2(holders)
    which = ", ".join(holders) or "nobody"
    return Check(
        "on disk", holds, f"accepted on the disks of {which}: {'a' if holds else 'no'} quorum"
    )


def _clean_stop(story: Story) -> Check:
    bad = {node_id: code for node_id, code in story.exit_codes.items() if code != 0}
    holds = not bad and len(story.exit_codes) == len(story.nodes)
    return Check("clean stop", holds, f"exit codes other than 0: {bad or 'none'}")


def _accepted_id(state: DurableState[bytes]) -> ProposalID:
    """The ID of what was accepted, or `NO_PROPOSAL`."""
    return NO_PROPOSAL if state.accepted is NOTHING_ACCEPTED else state.accepted.id
