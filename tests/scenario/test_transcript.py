"""Scenario files: blocks of commands with their output."""

from __future__ import annotations

import pytest

from paxos.errors import MisuseError
from paxos.scenario.cluster import Cluster
from paxos.scenario.commands import Crash, Propose
from paxos.scenario.opening import Opening
from paxos.scenario.transcript import Line, difference, parse, render, rewrite, shipped, write

FILE = """\
# A story.

cluster node A B C
----
they are up

# Something happens.
propose A x
run
----
A saves
B saves
"""


def echo(line: Line) -> list[str]:
    return [f"did {line.text}"]


def test_a_file_is_blocks_of_comments_commands_and_output() -> None:
    comment, opening, step = parse(FILE)
    assert comment.commands == ()
    assert opening.commands == (Line(3, "cluster node A B C"),)
    assert opening.output == ("they are up",)
    assert step.commands == (Line(8, "propose A x"), Line(9, "run"))
    assert step.output == ("A saves", "B saves")


def test_a_file_is_rendered_as_it_was() -> None:
    assert render(parse(FILE)) == FILE


def test_blank_lines_and_spaces_at_the_end_mean_nothing() -> None:
    sloppy = "\n\n" + FILE.replace("\n\n", " \n\n\n").replace("x\n", "x  \r\n")
    assert render(parse(sloppy)) == FILE
    assert difference(sloppy, FILE) == ""


def test_rewriting_puts_the_output_of_now_under_the_commands() -> None:
    rewritten = render(rewrite(parse(FILE), echo))
    assert rewritten == FILE.replace("they are up", "did cluster node A B C").replace(
        "A saves\nB saves", "did propose A x\ndid run"
    )


def test_commands_without_a_rule_get_one() -> None:
    assert render(rewrite(parse("run\n"), echo)) == "run\n----\ndid run\n"


def test_a_mistake_names_its_line() -> None:
    def refuse(line: Line) -> list[str]:
        raise MisuseError(f"no {line.text}")

    with pytest.raises(MisuseError, match=r"^line 3: no cluster node A B C$"):
        rewrite(parse(FILE), refuse)


def test_an_output_without_a_command_is_a_mistake() -> None:
    with pytest.raises(MisuseError, match=r"^line 3: no command stands above this ----$"):
        parse("\n# only a comment\n----\nwhat?\n")


def test_a_difference_shows_both_sides_and_what_is_around() -> None:
    shown = difference(FILE, FILE.replace("B saves", "B has saved"))
    assert "--- as checked in\n+++ as played now" in shown
    assert "-B saves\n+B has saved" in shown
    assert " propose A x\n" in shown


def test_a_run_is_written_as_a_file() -> None:
    opening = Opening(Cluster(("A", "B")))
    text = write(opening, [Propose("A", "x"), Crash("A")], "Found\n\nby chance.")
    assert text == ("# Found\n#\n# by chance.\n\ncluster node A B\n\npropose A x\n\ncrash A kill\n")
    assert write(opening, []) == "cluster node A B\n"


def test_scenarios_come_with_the_library_in_reading_order() -> None:
    names = list(shipped())
    assert names == sorted(names)
    assert names[0] == "01-three-nodes-agree"
    assert all(text.startswith("# ") for text in shipped().values())
