"""What must hold at the end of `paxos demo --log`, by each node's own answers."""

from __future__ import annotations

from paxos.demo.checks import Check
from paxos.demo.log_story import NEWCOMER, LogStory


def check_log(story: LogStory) -> list[Check]:
    """Check that nothing was lost or doubled, that nodes agree, and the two events, in order."""
    return [
        _acknowledged(story),
        _once(story),
        _agreement(story),
        _failover(story),
        _replaced(story),
        _clean_stop(story),
    ]


def _acknowledged(story: LogStory) -> Check:
    """Every acknowledged write is on every node."""
    acknowledged = set(story.writer.acknowledged)
    lost = {name: len(acknowledged - each.keys) for name, each in story.contents.items()}
    holds = bool(acknowledged) and len(lost) == len(story.members) and not any(lost.values())
    missing = ", ".join(f"{name} lacks {count}" for name, count in lost.items() if count)
    where = ", ".join(story.contents)
    return Check(
        "all there", holds, missing or f"{len(acknowledged)} acknowledged writes on {where}"
    )


def _once(story: LogStory) -> Check:
    """As many writes as keys, for each key is written once; and no key that nobody wrote."""
    possible = {*story.writer.acknowledged, *story.writer.unknown}
    holds = bool(story.contents) and all(
        each.writes == len(each.keys) and each.keys <= possible for each in story.contents.values()
    )
    unknown = len(story.writer.unknown)
    return Check("once", holds, f"each was applied once; of {unknown} the outcome is unknown")


def _agreement(story: LogStory) -> Check:
    """The digests of all that was applied are the same."""
    digests = {(each.digest, each.applied_below) for each in story.contents.values()}
    holds = len(digests) == 1 and len(story.contents) == len(story.members)
    below = max((each.applied_below for each in story.contents.values()), default=0)
    return Check("agreement", holds, f"{len(story.contents)} nodes, {below} slots, one digest")


def _failover(story: LogStory) -> Check:
    """The killed leader is a member still, or was replaced after it had come back."""
    came_back = story.nodes[story.killed].starts == 2 if story.killed else False
    return Check("failover", came_back, f"{story.killed} was killed as leader, and came back")


def _replaced(story: LogStory) -> Check:
    """The members at the end are who they should be, by each one's own word."""
    expected = story.members
    said = [
        tuple(member[0] for member in status.members)
        for name, status in story.statuses.items()
        if name in expected
    ]
    holds = bool(story.replaced) and bool(said) and all(each == expected for each in said)
    return Check("replaced", holds, f"{NEWCOMER} took the place of {story.replaced}")


def _clean_stop(story: LogStory) -> Check:
    bad = {node_id: code for node_id, code in story.exit_codes.items() if code != 0}
    holds = not bad and len(story.exit_codes) == len(story.nodes)
    return Check("clean stop", holds, f"exit codes other than 0: {bad or 'none'}")
