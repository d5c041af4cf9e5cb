"""What a client of a log does, and what it notices: how long nothing was chosen."""

from __future__ import annotations

import itertools

from core.virtual_time import WINDOW
from log.log_world import LogWorld
from paxos import LeadershipLost
from paxos.log.events import EntryChosen


def longest_gap(world: LogWorld, since: float) -> float:
    """The longest time in which nothing was chosen, in windows."""
    chosen = [at for at, _, event in world.events if isinstance(event, EntryChosen) and at >= since]
    instants = [since, *chosen, world.now]
    return max(later - earlier for earlier, later in itertools.pairwise(instants)) / WINDOW


def append_often(world: LogWorld, windows: float, prefix: str = "c") -> None:
    """Let somebody append at the leader, whoever it is, ten times in a window."""
    for n in range(int(windows * 10)):
        if world.leader:
            world.append(world.leader, f"{prefix}{n}")
        world.run(0.1)


def follower_in(world: LogWorld) -> str:
    return next(node_id for node_id in world.servers if node_id not in world.leaders)


def assert_stable_and_committing(world: LogWorld, *, within: float, count: int = 8) -> None:
    """Within so many windows there is one leader, which stays, and commits all the while."""
    world.run(within)
    since, leaders = world.now, world.leaders
    assert len(leaders) == 1, world
    append_often(world, count, f"at {since:.3f} ")
    assert world.told(LeadershipLost, since) == [], world
    assert world.leaders == leaders, world
    assert longest_gap(world, since) < 0.5, world


def grown(world: LogWorld, *members: str) -> str:
    """Let the leader make these the members, as soon as they have caught up."""
    leader = world.elect()

    def governs() -> bool:
        log = world.log(world.leader) if world.leader else None
        return log is not None and log.names == members

    for _ in range(20):
        if world.leader:
            leader = world.leader
            world.change(leader, *members)
        if world.run(1, until=governs):
            return leader
    raise AssertionError(f"{world}: {members} do not take over")
