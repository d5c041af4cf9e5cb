"""What an exploration has found, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from rich.console import Console
from rich.text import Text

from paxos.scenario.happenings import Broke, Happening
from paxos.scenario.invariants import INVARIANTS
from paxos.scenario.rule import Rule
from paxos.scenario.transcript import write
from paxos.sim.player import Played, play
from paxos.verify import Always, Counterexample, Result, Sometimes, Specification
from paxos.verify.log_explore import LogResult
from paxos.verify.quiet import DECIDES


@dataclass(frozen=True)
class Found:
    """A result, and the run that a counterexample is."""

    result: Result
    seconds: float
    rate: float
    """States a second."""

    rule: Rule | None
    """Which rule was left out."""

    @property
    def title(self) -> str | None:
        """What a counterexample shows, in one line."""
        wrong = self.result.counterexample
        if wrong is None:
            return None
        without = "" if self.rule is None else f"Without {self.rule.id}: "
        return f"{without}{wrong.violation.invariant} breaks in {wrong.steps} steps"

    @cached_property
    def played(self) -> Played | None:
        """The counterexample as a scenario that was played, with its output."""
        wrong = self.result.counterexample
        if wrong is None:
            return None
        comment = f"{self.title}.\n{wrong.violation.sentence}."
        if self.rule is not None:
            comment += f"\nThe rule: {self.rule.rule} ({self.rule.source})"
        return play(write(wrong.opening, wrong.commands, comment))

    @property
    def happenings(self) -> list[Happening]:
        """All that happens in the counterexample; at its end, what is wrong with it."""
        wrong, played = self.result.counterexample, self.played
        if wrong is None or played is None:
            return []
        if any(broken.invariant == wrong.violation.invariant for broken in played.broken):
            return list(played.happenings)
        return [*played.happenings, Broke(*wrong.violation)]


AnyResult: TypeAlias = Result | LogResult


def show(found: Found, out: Console) -> None:
    """Print it all."""
    show_result(found.result, found.seconds, found.rate, out)
    if found.result.counterexample is not None and found.played is not None:
        _show_counterexample(found.result.counterexample, found.played, out)


def show_result(result: AnyResult, seconds: float, rate: float, out: Console) -> None:
    """Print all but a counterexample. `rate` is in states a second."""
    progress = result.progress
    out.print(
        f"{progress.states:,} states ({progress.quiet:,} quiet), depth {progress.depth}, "
        f"{progress.transitions:,} transitions"
    )
    if result.renamings > 1:
        out.print(f"each stands for up to {result.renamings:,} that differ by names alone")
    out.print(f"in {seconds:.1f} s: {rate:,.0f} states a second")
    out.print(
        f"{result.local_states:,} local states, {result.messages:,} messages and facts, "
        f"{result.steps:,} steps of the library"
    )
    out.print(Text(_end(result), "green" if result.exhausted else "bold red"))
    for line in _properties(result):
        out.print(line)


def _end(result: AnyResult) -> str:
    if result.violation is not None:
        way = "" if result.counterexample else "; the search for the way to it was stopped"
        return f"broken: {result.violation.invariant}: {result.violation.sentence}{way}"
    if result.stopped is not None:
        return f"NOT exhausted: {result.stopped}"
    return "exhausted: every state within these bounds was seen"


def _properties(result: AnyResult) -> Iterator[Text]:
    always = [each for each in result.always if each.id != DECIDES]
    when_quiet = [each for each in result.always if each.id == DECIDES]
    yield Text()
    yield from _claims("always", result, always)
    if result.violation is None:
        yield Text("sometimes", "bold")
        for some in looked_at(result):
            yield _line("reached" if some.reached else "never", some.id, some.sentence)
    yield from _claims("when quiet", result, when_quiet)


def _claims(heading: str, result: AnyResult, claims: Iterable[Always]) -> Iterator[Text]:
    lines = [_line(verdict(result, each), each.id, each.sentence) for each in claims]
    if lines:
        yield Text(heading, "bold")
        yield from lines


def verdict(result: AnyResult, always: Always) -> str:
    """Whether something always holds, as far as was seen."""
    if not always.holds:
        return "BROKEN"
    return "holds" if result.exhausted else "so far"


def looked_at(result: AnyResult) -> list[Sometimes]:
    """What the search had an eye on: with one invariant alone, not on those of the others."""
    watched = {each.id for each in result.always}
    others = {each.id for each in INVARIANTS} - watched
    return [some for some in result.sometimes if some.id not in others]


def _line(verdict: str, name: str, sentence: str) -> Text:
    style = {"holds": "green", "reached": "green", "BROKEN": "bold red"}.get(verdict, "yellow")
    return Text.assemble("  ", (f"{verdict:<8}", style), f"{name:<23}{sentence}")


def _show_counterexample(wrong: Counterexample, played: Played, out: Console) -> None:
    out.print()
    for line in played.text.splitlines():
        out.print(Text(line, "bold red" if "BROKEN" in line else "dim" if line[:1] == "#" else ""))
    invariant, sentence = wrong.violation
    out.print(
        Text(f"\n{wrong.steps} steps, and at the last {invariant} breaks: {sentence}", "bold")
    )


def as_json(found: Found) -> dict[str, Any]:
    """All of it for programs. `scenario` is the text of a file that `paxos replay` plays."""
    scenario = None if found.played is None else found.played.text
    return result_as_json(found.result, found.seconds, found.rate) | {"scenario": scenario}


def result_as_json(result: AnyResult, seconds: float, rate: float) -> dict[str, Any]:
    """The same, without the way to what is wrong."""
    wrong, progress = result.counterexample, result.progress
    return {
        "exhausted": result.exhausted,
        "stopped": result.stopped,
        "states": progress.states,
        "transitions": progress.transitions,
        "depth": progress.depth,
        "quiet": progress.quiet,
        "renamings": result.renamings,
        "local_states": result.local_states,
        "messages": result.messages,
        "steps_computed": result.steps,
        "bytes": progress.bytes,
        "seconds": round(seconds, 3),
        "rate": round(rate),
        "always": [_always(result, each) for each in result.always if each.id != DECIDES],
        "sometimes": looked_at(result),
        "when_quiet": [_always(result, each) for each in result.always if each.id == DECIDES],
        "violated": None if result.violation is None else result.violation.invariant,
        "sentence": None if result.violation is None else result.violation.sentence,
        "steps": None if wrong is None else wrong.steps,
    }


def _always(result: AnyResult, always: Always) -> dict[str, str | bool]:
    return {
        "id": always.id,
        "sentence": always.sentence,
        "holds": always.holds,
        "verdict": verdict(result, always).lower(),
    }


def show_specification(counted: Specification, seconds: float, out: Console) -> None:
    """Print how many states of the specification there are."""
    out.print(
        f"{counted.distinct:,} states of the specification, depth {counted.depth}; "
        f"{counted.states:,} of ours stand for them; in {seconds:.1f} s"
    )
    if counted.stopped is None:
        out.print(Text("exhausted: every state within these bounds was seen", "green"))
    else:
        out.print(Text(f"NOT exhausted: {counted.stopped}", "bold red"))


def specification_as_json(counted: Specification, seconds: float) -> dict[str, Any]:
    """The same for programs."""
    return {
        "distinct": counted.distinct,
        "depth": counted.depth,
        "exhausted": counted.exhausted,
        "stopped": counted.stopped,
        "states": counted.states,
        "seconds": round(seconds, 3),
    }
