"""Any run whatever, written down as text and played again, is the identical run."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from paxos.errors import MisuseError
from paxos.scenario.cluster import Cluster, Kind
from paxos.scenario.commands import (
    At,
    Command,
    Crash,
    Deliver,
    Ending,
    Fail,
    Failure,
    Free,
    Hang,
    Persist,
    Propose,
    Restart,
    Rot,
    SetClock,
    Tick,
    Timeout,
    Timer,
    Wipe,
)
from paxos.scenario.happenings import Broke, Happening
from paxos.scenario.opening import Opening
from paxos.scenario.transcript import write
from paxos.sim.player import play
from paxos.sim.stage import Stage
from paxos.timing import Timing

VALUES = ("x", "", "two words", "größe", 'a "quoted" one')
TIMERS = ("challenge", "round", "leader", "persist", "settle", "answer-of-B")


@st.composite
def openings(draw: st.DrawFn) -> Opening:
    kind = draw(st.sampled_from(Kind))
    cluster = Cluster(
        draw(st.sampled_from([("A",), ("A", "B"), ("A", "B", "C")])),
        kind,
        draw(st.sampled_from([(), ("P",)])),
        timing=Timing(seed=draw(st.integers(0, 3))),
    )
    return Opening(cluster, abstract_time=kind is Kind.HEARTBEAT and draw(st.booleans()))


def of_a_node(node_id: str, now: float) -> Iterator[Command]:
    yield from (Propose(node_id, value) for value in VALUES)
    yield from (kind(node_id) for kind in (Tick, Timeout, Hang, Free, Persist, Restart, Rot, Wipe))
    yield from (Timer(node_id, name) for name in TIMERS)
    yield from (Fail(node_id, failure) for failure in Failure)
    yield from (Crash(node_id, ending, opening) for ending in Ending for opening in (None, 1, 2))
    yield from (At(now + 0.1), SetClock(node_id, 1.5), SetClock(node_id, 0.7, now / 3 + 0.1))


def draw_command(data: st.DataObject, stage: Stage) -> Command:
    """One of the messages that were sent, or something else."""
    messages = sorted(map(Deliver, stage.sent), key=str)
    if messages and data.draw(st.integers(0, 3)):
        return data.draw(st.sampled_from(messages))
    node_id = data.draw(st.sampled_from(stage.cluster.node_ids))
    return data.draw(st.sampled_from(list(of_a_node(node_id, stage.now))))


@settings(max_examples=60, deadline=None)
@given(openings(), st.integers(0, 60), st.data())
def test_any_run_written_down_and_played_again_is_the_identical_run(
    opening: Opening, steps: int, data: st.DataObject
) -> None:
    happened: list[Happening] = []
    stage = Stage(opening.cluster, happened.append, abstract_time=opening.abstract_time)
    performed: list[Command] = []
    for _ in range(steps):
        command = draw_command(data, stage)
        try:
            stage.perform(command)
        except MisuseError:
            continue  # it is impossible just now, and nothing has happened
        performed.append(command)
    played = play(write(opening, performed, "any run"))
    assert played.opening == opening
    assert list(played.commands) == performed
    assert [h for h in played.happenings if not isinstance(h, Broke)] == happened
    assert play(played.text).text == played.text
