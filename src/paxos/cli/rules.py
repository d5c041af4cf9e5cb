"""`paxos rules`: the rules of the algorithm, each with what becomes of it without it."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table

from paxos.cli.answer import OK, Answer
from paxos.cli.arguments import Commands
from paxos.errors import MisuseError

if TYPE_CHECKING:
    from paxos.scenario.rule import Rule


def add(commands: Commands) -> None:
    """Add the command."""
    what = "list the rules of the algorithm, or explain one, with a question to test yourself"
    command = commands.add("rules", _rules, what, "adopts-the-highest")
    command.add_argument("rule", nargs="?", metavar="RULE", help="the ID of the one to explain")


def _rules(options: argparse.Namespace, out: Console) -> Answer:
    from paxos.scenario import rules  # noqa: PLC0415 - with all mutants: only for who asks

    if options.rule is None:
        for chapter, entries in rules.CHAPTERS:
            _list(chapter, entries, out)
        return OK, rules.rules_as_json()
    rule = _find(options.rule, rules.RULES)
    _explain(rule, out)
    return OK, [each for each in rules.rules_as_json() if each["id"] == rule.id]


def _find(wanted: str, rules: Sequence[Rule]) -> Rule:
    known = {rule.id: rule for rule in rules}
    if wanted in known:
        return known[wanted]
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.4)
    hint = f" Is it {near[0]}?" if near else ""
    raise MisuseError(f"there is no rule {wanted}.{hint} `paxos rules` lists them all")


def _list(chapter: str, rules: Iterable[Rule], out: Console) -> None:
    """On a terminal a table, else a line for each rule."""
    if not out.is_terminal:
        for rule in rules:
            out.print(f"{rule.id}: {rule.rule} [{rule.source}]")
        return
    table = Table(
        "rule", "what it says", "source", title=chapter, title_justify="left", expand=True
    )
    table.columns[0].width = 28
    table.columns[1].ratio, table.columns[2].ratio = 3, 2
    for rule in rules:
        table.add_row(rule.id, rule.rule, rule.source)
    out.print(table, soft_wrap=False)


def _explain(rule: Rule, out: Console) -> None:
    """One rule, with its five faces; the answer to its question comes last."""
    from paxos.scenario.rules import BELIEFS  # noqa: PLC0415 - as above

    out.print(f"{rule.id}: {rule.rule}\n")
    faces = {
        "source": rule.source,
        "without it": rule.story,
        "breaks": rule.breaks,
        "mutant": f"{rule.mutant}, found by: {rule.found_by.value}",
        "test": rule.test,
        "note": rule.note,
        "contradicts": " ".join(BELIEFS[each] for each in rule.misconceptions),
        "see it": f"paxos replay {rule.scenario.removesuffix('.scenario')}"
        if rule.scenario
        else "",
    }
    table = Table.grid(Column(), Column(overflow="fold"), padding=(0, 2))
    for name, text in faces.items():
        if text:
            table.add_row(name, text)
    out.print(table, soft_wrap=False)
    lesson = rule.lesson
    out.print(f"\n{lesson.question}")
    for number, answer in enumerate(lesson.answers, start=1):
        out.print(Padding.indent(f"{number}. {answer}", 2), soft_wrap=False)
    out.print(f"\nAnswer: {lesson.right + 1}. {lesson.why}")
