"""Scenario files are played: commands and macros, and what comes of them in words."""

from __future__ import annotations

import pytest

from paxos.errors import MisuseError
from paxos.scenario import commands
from paxos.scenario.happenings import Broke, Commanded, Lost
from paxos.scenario.opening import parse_opening
from paxos.scenario.transcript import difference
from paxos.sim.player import MOST_STEPS, Player, play

OPENING = "cluster node A B C"
PHASE_1 = """
propose A x
deliver A>A prepare 1.A
deliver A>B prepare 1.A
deliver all to A
"""


def player(*lines: str, opening: str = OPENING) -> Player:
    there = Player(parse_opening(opening))
    for line in lines:
        there.perform(line)
    return there


def test_a_file_is_played_and_its_output_written_under_its_commands() -> None:
    played = play("# Story.\n\ncluster node A B\n\npropose A x\n")
    assert played.text == (
        "# Story.\n\n"
        "cluster node A B\n----\nA, B are up; a quorum is 2 of 2\n\n"
        "propose A x\n----\nA saves: prepared 1\nA>A prepare 1.A\nA>B prepare 1.A\n"
    )
    assert played.commands == (commands.Propose("A", "x"),)
    assert str(played.opening) == "cluster node A B"


def test_what_was_played_plays_to_itself() -> None:
    text = play(f"{OPENING}\n\nrun\n{PHASE_1}\nshow\n").text
    assert difference(text, play(text).text) == ""


def test_a_command_that_is_impossible_leaves_no_trace() -> None:
    there = player("propose A x")
    with pytest.raises(MisuseError):
        there.perform("restart A")
    assert there.commands == [commands.Propose("A", "x")]


def test_one_node_is_up() -> None:
    assert "A is up; a quorum is 1 of 1" in play("cluster node A\n").text


def test_quorums_of_two_sizes_are_told() -> None:
    played = play("cluster node A B C D phase1=3 phase2=2\n")
    assert "A, B, C, D are up; 3 of 4 must promise, 2 of 4 accept" in played.text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "there is no command in this scenario: begin with cluster node A B C"),
        ("# only words\n", "there is no command in this scenario"),
        ("\npropose A x\n", "line 2: a scenario begins with its cluster"),
        (f"{OPENING}\n\npropose A\n", "line 3: 'propose A' is no command: write propose NODE"),
        (f"{OPENING}\n{OPENING}\n", "line 2: 'cluster' is no command"),
        (f"{OPENING}\n\npropose D x\n", "line 3: there is no node D"),
        (f"{OPENING}\n\nshow D\n", "line 3: there is no node D: there are A, B, C"),
        (f"{OPENING}\n\nisolate D\n", "line 3: there is no node D"),
        (f"{OPENING}\n\nlose all to D\n", "line 3: there is no node D"),
        (f"{OPENING}\n\ndeliver all to D\n", "line 3: there is no node D"),
        (f"{OPENING}\n\ncut A-D\n", "A>D is no link between two of A, B, C"),
        (f"{OPENING}\n\ncut A>A\n", "A>A is no link between two of A, B, C"),
        (f"{OPENING}\n\nlose A>B prepare 1.A\n", "was never sent"),
        (
            f"{OPENING}\n\npropose A x\nlose A>B prepare 1.A\nlose A>B prepare 1.A\n",
            "line 5: 'A>B prepare 1.A' has arrived, or is lost already",
        ),
        (
            f"{OPENING}\n\npropose A x\ndeliver B>A promise 1.A nothing\n",
            "was never sent. Not delivered yet: A>A prepare 1.A, A>B prepare 1.A, A>C prepare 1.A",
        ),
        (f"{OPENING}\n\ndeliver A>B prepare 1.A\n", "Not delivered yet: nothing"),
        ("cluster heartbeat A time=abstract\n\nrun 1\n", "line 3: here time is abstract"),
    ],
)
def test_what_cannot_be_played_names_its_line_and_what_is_possible(
    text: str, complaint: str
) -> None:
    with pytest.raises(MisuseError) as refused:
        play(text)
    assert complaint in str(refused.value)


def test_of_many_messages_an_error_lists_the_first_few() -> None:
    many = player(*(f"propose {n} x" for n in "ABCD"), opening="cluster node A B C D")
    with pytest.raises(MisuseError, match=r"C>D prepare 1\.C, \.\.\.$"):
        many.perform("deliver A>B prepare 2.A")


# Violations.


TWO_VOTES_UNDER_ONE_ID = """
cluster node A B C

propose A x
deliver A>A prepare 1.A
deliver A>B prepare 1.A
deliver all to A
deliver A>B accept 1.A=x

wipe A
restart A
propose A y
deliver A:2>A prepare 1.A
deliver A:2>C prepare 1.A
deliver all to A
deliver A:2>C accept 1.A=y
"""
"""Whoever wipes a proposer's disk makes it use its number again."""


def test_a_broken_invariant_is_told_of_in_the_output_and_by_its_step() -> None:
    played = play(TWO_VOTES_UNDER_ONE_ID)
    assert "BROKEN one-value-an-id: 'x' and 'y' are proposed under one ID, 1.A" in played.text
    broken = played.broken[0]
    assert broken.invariant == "one-value-an-id"
    assert str(played.commands[broken.step]) == "deliver C>A promise 1.A nothing"


def test_a_broken_invariant_is_among_the_happenings_right_after_its_cause() -> None:
    played = play(TWO_VOTES_UNDER_ONE_ID)
    kinds = [type(happening).__name__ for happening in played.happenings]
    assert kinds[kinds.index("Broke") - 1] == "Left"
    told = [(h.invariant, h.sentence) for h in played.happenings if isinstance(h, Broke)]
    assert told == [(broken.invariant, broken.sentence) for broken in played.broken]


def test_what_was_put_to_the_test_is_told() -> None:
    reached = {"one-value-an-id", "learns-what-is-chosen", "durable-first"}
    assert play(f"{OPENING}\n\npropose A x\nrun\n").reached == reached
    cut_off = play(f"{OPENING}\n\nhang A\npropose A x\ncrash A kill\nrestart A\n")
    assert cut_off.reached == {"nothing-lost"}


def test_what_only_a_disk_can_show_is_judged_too() -> None:
    played = play(f"{OPENING} breaks=saved-means-synced\n\npropose A x\ncrash A power\nrestart A\n")
    assert [broken.invariant for broken in played.broken] == ["nothing-lost"]
    assert str(played.commands[played.broken[0].step]) == "restart A"


def test_what_only_time_can_show_is_judged_too() -> None:
    opening = "cluster heartbeat A B C seed=21 breaks=leader-needs-followers"
    played = play(f"{opening}\n\nrun 0.5\nisolate A\nrun 0.5\n")
    assert {broken.invariant for broken in played.broken} == {"leader-can-commit"}


@pytest.mark.parametrize("rule", ["failed-persist-stops", "failed-sync-is-final"])
def test_a_mutant_may_go_on_after_its_disk_has_failed(rule: str) -> None:
    played = play(f"{OPENING} breaks={rule}\n\nfail A io\npropose A x\nrun\nshow A\n")
    assert "A has stopped" not in played.text


# Macros.


def test_run_delivers_all_first_sent_first_and_shows_each_step() -> None:
    lines = player("propose A x").perform("run")
    delivered = [line for line in lines if not line.startswith(" ")]
    assert delivered[:5] == [
        "deliver A>A prepare 1.A",
        "deliver A>B prepare 1.A",
        "deliver A>C prepare 1.A",
        "deliver A>A promise 1.A nothing",
        "deliver B>A promise 1.A nothing",
    ]
    assert lines[-2:] == [
        "deliver A>C chosen 1.A=x",
        "  C knows that 'x' is chosen, under 1.A",
    ]


def test_a_run_comes_to_primitive_commands_that_make_the_same_happenings() -> None:
    text = "cluster heartbeat A B C\n\npropose A x\ncut A>B\nrun 0.2\ncrash A power\nrun 2\n"
    played = play(text)
    primitives = "\n".join(["cluster heartbeat A B C", *map(str, played.commands)])
    again = play(primitives)
    assert again.commands == played.commands
    assert [h for h in played.happenings if not isinstance(h, Lost)] == list(again.happenings)


def test_run_loses_what_cannot_arrive() -> None:
    there = player("cut A>B", "crash C kill", "propose A x")
    lines = there.perform("run")
    assert "A>B prepare 1.A is lost" in lines
    assert "A>C prepare 1.A is lost" in lines
    assert there.perform("run") == []


def test_what_is_lost_may_yet_arrive_if_told_to() -> None:
    there = player("propose A x", "lose A>B prepare 1.A")
    assert there.perform("deliver A>B prepare 1.A")[-1] == "B>A promise 1.A nothing"


def test_with_seconds_timers_run_out_while_time_passes() -> None:
    lines = player(opening="cluster heartbeat A B C seed=21").perform("run 0.4")
    assert lines[0] == "at 0.335"
    assert "  A leads with ballot 1.A" in lines


def test_whoever_has_no_timer_lets_time_pass() -> None:
    there = player("run 5.0")
    assert there.commands == [commands.At(5.0)]


def test_a_slow_clock_makes_timers_late() -> None:
    there = player("clock A 0.5", opening="cluster heartbeat A")
    there.perform("run 0.5")
    assert not [c for c in there.commands if isinstance(c, commands.Tick)]
    there.perform("run 0.5")
    assert [c for c in there.commands if isinstance(c, commands.Tick)]


def test_heartbeats_and_repetitions_are_only_counted() -> None:
    there = player("run 0.4", opening="cluster heartbeat A B C seed=21")
    assert there.perform("run 0.1") == ["(14 more: heartbeats and repetitions)"]


def test_a_run_that_never_ends_is_refused() -> None:
    with pytest.raises(MisuseError, match=f"not quiet after {MOST_STEPS} steps"):
        player(opening="cluster heartbeat A B C").perform("run 10000")


def test_deliver_all_delivers_also_what_comes_of_it() -> None:
    there = player("propose A x", "deliver A>B prepare 1.A")
    lines = there.perform("deliver all to A")
    assert [line for line in lines if not line.startswith(" ")] == [
        "deliver A>A prepare 1.A",
        "deliver B>A promise 1.A nothing",
        "deliver A>A promise 1.A nothing",
        "deliver A>A accept 1.A=x",
        "deliver A>A accepted 1.A=x",
    ]


def arrives(*lines: str) -> str:
    """Whom A's Prepare reaches, after these lines."""
    there = player(*lines, "propose A x")
    there.perform("run")
    delivered = [c.envelope for c in there.commands if isinstance(c, commands.Deliver)]
    reached = {e.recipient for e in delivered if str(e.message).startswith("Prepare")}
    return "".join(sorted(reached))


@pytest.mark.parametrize(
    ("lines", "reached"),
    [
        ((), "ABC"),
        (("cut A>B",), "AC"),
        (("cut B>A",), "ABC"),
        (("cut A-B A>C",), "A"),
        (("isolate A",), "A"),
        (("isolate C",), "AB"),
        (("connect only A-B",), "AB"),
        (("connect only",), "A"),
        (("isolate A", "connect only A>C"), "AC"),
        (("isolate A", "heal"), "ABC"),
        (("isolate A", "heal A>B"), "AB"),
    ],
)
def test_links_are_cut_and_healed_one_way_or_both(lines: tuple[str, ...], reached: str) -> None:
    assert arrives(*lines) == reached


@pytest.mark.parametrize(
    ("line", "lost"),
    [
        ("lose all", ["A>A", "A>B", "A>C", "B>B", "B>A", "B>C"]),
        ("lose all from A", ["A>A", "A>B", "A>C"]),
        ("lose all to A", ["A>A", "B>A"]),
        ("lose all from A to B", ["A>B"]),
        ("lose A>C prepare 1.A", ["A>C"]),
    ],
)
def test_messages_are_lost_one_by_one_or_many(line: str, lost: list[str]) -> None:
    said = player("propose A x", "propose B y").perform(line)
    assert sorted(said) == sorted(f"{link} prepare 1.{link[0]} is lost" for link in lost)


def test_show_tells_what_nodes_have_in_mind_and_on_disk() -> None:
    there = player("hang B", "propose A x", "deliver A>B prepare 1.A", "crash C kill")
    mind = "A promised none, accepted nothing, wants x, prepares 1.A, promised by nobody yet"
    assert there.perform("show") == [
        f"{mind}; on disk: prepared 1",
        "B promised 1.A, accepted nothing; on disk: nothing; being saved: promised 1.A",
        "C is down (crash C kill); on disk: nothing",
    ]
    assert there.perform("show C") == ["C is down (crash C kill); on disk: nothing"]


def test_macros_that_only_look_or_cut_take_no_step() -> None:
    there = player("show", "cut A-B", "isolate C", "connect only A-B", "heal")
    assert there.commands == []
    assert not [h for h in there.happenings if isinstance(h, Commanded)]
