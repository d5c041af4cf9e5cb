"""Each command is one line, and each line the same command again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos.errors import MisuseError
from paxos.messages import Envelope, Identity, Prepare
from paxos.proposal_id import ProposalID
from paxos.scenario.cluster import CLUSTER_NAME
from paxos.scenario.commands import (
    FORMS,
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
    parse,
)
from scenario.test_words import envelopes, node_ids, seconds, values

commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(Propose, node_ids, values),
    st.builds(Deliver, envelopes),
    *(
        st.builds(kind, node_ids)
        for kind in (Tick, Timeout, Persist, Hang, Free, Rot, Wipe, Restart)
    ),
    st.builds(Timer, node_ids, st.sampled_from(["round", "answer-of-B"])),
    st.builds(At, seconds),
    st.builds(
        SetClock, node_ids, st.floats(min_value=1e-300, max_value=1e300), st.none() | seconds
    ),
    st.builds(Fail, node_ids, st.sampled_from(Failure)),
    st.builds(Crash, node_ids, st.sampled_from(Ending), st.none() | st.integers(1, 9)),
)


@given(commands)
def test_any_command_is_read_back(command: Command) -> None:
    line = str(command)
    assert "\n" not in line
    assert parse(line) == command


PREPARE = Envelope(Identity(CLUSTER_NAME, "A", "1"), "B", Prepare(ProposalID(1, "A")))


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("propose A x", Propose("A", "x")),
        ("deliver A>B prepare 1.A", Deliver(PREPARE)),
        ("tick A", Tick("A")),
        ("timeout A", Timeout("A")),
        ("timer A round", Timer("A", "round")),
        ("at 0.35", At(0.35)),
        ("clock A 2.0", SetClock("A", 2.0)),
        ("clock A 2.0 5000.0", SetClock("A", 2.0, 5000.0)),
        ("persist A", Persist("A")),
        ("hang A", Hang("A")),
        ("free A", Free("A")),
        ("fail A io", Fail("A", Failure.IO)),
        ("fail A full", Fail("A", Failure.FULL)),
        ("fail A short", Fail("A", Failure.SHORT)),
        ("crash A kill", Crash("A", Ending.KILL_WRITTEN)),
        ("crash A kill unwritten", Crash("A", Ending.KILL_UNWRITTEN)),
        ("crash A power", Crash("A", Ending.POWER_OLD)),
        ("crash A power new", Crash("A", Ending.POWER_NEW)),
        ("crash A power torn", Crash("A", Ending.POWER_TORN)),
        ("crash A opening 1 kill", Crash("A", Ending.KILL_WRITTEN, 1)),
        ("crash A opening 2 power torn", Crash("A", Ending.POWER_TORN, 2)),
        ("rot A", Rot("A")),
        ("wipe A", Wipe("A")),
        ("restart A", Restart("A")),
    ],
)
def test_lines_read_like_what_they_do(line: str, command: Command) -> None:
    assert parse(line) == command
    assert str(command) == line


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("crash A", Crash("A", Ending.KILL_WRITTEN)),
        ("crash A kill written", Crash("A", Ending.KILL_WRITTEN)),
        ("crash A power old", Crash("A", Ending.POWER_OLD)),
        ("tear A", Crash("A", Ending.POWER_TORN)),
        ("  at   1  ", At(1.0)),
    ],
)
def test_there_are_other_ways_to_write_some(line: str, command: Command) -> None:
    assert parse(line) == command


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "'' is no command: it is one of propose, deliver, tick"),
        ("explode A", "'explode' is no command: it is one of"),
        ("propose A", "write propose NODE VALUE"),
        ("propose A x y", "write propose NODE VALUE"),
        ("propose A>B x", "names no node"),
        ("deliver A>B", "write deliver SENDER>RECIPIENT MESSAGE"),
        ("deliver A>B prepare x", "no proposal ID"),
        ("at noon", "no number of seconds"),
        ("clock A 0", "does not run: give more than 0"),
        ("clock A -1", "does not run"),
        ("clock A 1 2 3", r"write clock NODE RATE \[AHEAD\]"),
        ("fail A", r"write fail NODE io\|full\|short"),
        ("fail A badly", "a disk fails by io, full or short, not by 'badly'"),
        ("crash A power off", "'power off' is no crash: write kill, kill unwritten, power"),
        ("crash A opening", "opening a store has no write '': write crash NODE opening 1"),
        ("crash A opening 0 kill", "opening a store has no write '0'"),
        ("restart", "write restart NODE"),
    ],
)
def test_a_line_that_is_no_command_is_refused_with_what_could_stand_there(
    line: str, complaint: str
) -> None:
    with pytest.raises(MisuseError, match=complaint):
        parse(line)


def test_every_form_begins_with_its_verb() -> None:
    assert all(form.usage.split()[0] == verb for verb, form in FORMS.items())


def test_only_power_cuts_take_what_was_not_synced() -> None:
    cuts = [ending for ending in Ending if ending.is_power_cut]
    assert cuts == [Ending.POWER_OLD, Ending.POWER_NEW, Ending.POWER_TORN]
