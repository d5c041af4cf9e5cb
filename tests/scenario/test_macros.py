"""Commands for people."""

from __future__ import annotations

import pytest

from paxos.errors import MisuseError
from paxos.messages import Envelope, Identity, Prepare
from paxos.proposal_id import ProposalID
from paxos.scenario import commands
from paxos.scenario.cluster import CLUSTER_NAME
from paxos.scenario.commands import Command
from paxos.scenario.macros import (
    FORMS,
    ConnectOnly,
    Cut,
    DeliverAll,
    Heal,
    Isolate,
    Lose,
    LoseAll,
    Macro,
    Run,
    Show,
    parse,
)

PREPARE = Envelope(Identity(CLUSTER_NAME, "A", "1"), "B", Prepare(ProposalID(1, "A")))


@pytest.mark.parametrize(
    ("line", "macro"),
    [
        ("run", Run()),
        ("run 0.5", Run(0.5)),
        ("deliver all to A", DeliverAll("A")),
        ("deliver A>B prepare 1.A", commands.Deliver(PREPARE)),
        ("propose A x", commands.Propose("A", "x")),
        ("cut A>B", Cut((("A", "B"),))),
        ("cut A-B C>A", Cut((("A", "B"), ("B", "A"), ("C", "A")))),
        ("isolate C", Isolate("C")),
        ("connect only A-B", ConnectOnly((("A", "B"), ("B", "A")))),
        ("connect only", ConnectOnly(())),
        ("heal", Heal()),
        ("heal A>B", Heal((("A", "B"),))),
        ("lose A>B prepare 1.A", Lose(PREPARE)),
        ("lose all", LoseAll()),
        ("lose all from A", LoseAll("A")),
        ("lose all to B", LoseAll(None, "B")),
        ("lose all from A to B", LoseAll("A", "B")),
        ("show", Show()),
        ("show A", Show("A")),
    ],
)
def test_each_line_has_its_meaning(line: str, macro: Command | Macro) -> None:
    assert parse(line) == macro


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("dance", "is no command: it is one of propose, deliver"),
        ("run 1 2", r"write run \[SECONDS\]"),
        ("run -1", "time never goes back"),
        ("run fast", "no number of seconds"),
        ("deliver all", "write deliver all to NODE"),
        ("deliver all from A", "write deliver all to NODE"),
        ("cut", r"write cut A>B\|A-B"),
        ("cut A", "'A' is no link: write A>B for one way, A-B for both"),
        ("cut A>", "names no node"),
        ("isolate", "write isolate NODE"),
        ("connect A-B", "write connect only"),
        ("lose", "write lose SENDER>RECIPIENT MESSAGE"),
        ("lose all of it", "write lose"),
        ("lose all from", "write lose"),
        ("lose all from A from B", "write lose"),
        ("show A B", r"write show \[NODE\]"),
        ("restart", "write restart NODE"),
    ],
)
def test_what_has_none_is_refused_with_what_could_stand_there(line: str, complaint: str) -> None:
    with pytest.raises(MisuseError, match=complaint):
        parse(line)


def test_every_form_begins_with_its_verb() -> None:
    assert all(form.usage.split()[0] == verb for verb, form in FORMS.items())
