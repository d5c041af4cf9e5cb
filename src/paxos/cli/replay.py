"""`paxos replay`: play a scenario file, and compare what comes of it with what the file says."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from paxos.cli import files
from paxos.cli.answer import FAILED, OK, Answer
from paxos.cli.arguments import Commands
from paxos.errors import MisuseError

if TYPE_CHECKING:
    from paxos.sim.player import Played


def add(commands: Commands) -> None:
    """Add the command."""
    what = "play a scenario, and compare with what its file says; without a name, list them"
    command = commands.add("replay", _replay, what, "02-accepted-is-not-chosen --svg run.svg")
    command.add_argument(
        "scenario", nargs="?", metavar="FILE|NAME", help="a file, or one that comes with paxos"
    )
    command.add_argument(
        "--rewrite", action="store_true", help="write into the file what comes of it now"
    )
    files.add_diagrams(command)


def _replay(options: argparse.Namespace, out: Console) -> Answer:
    if options.scenario is None:
        return _list(options, out)
    from paxos.sim.player import play  # noqa: PLC0415 - a world is imported by who needs it

    path, text = _find(options.scenario)
    if options.rewrite and path is None:
        raise MisuseError(f"{options.scenario} comes with paxos: give --rewrite a file of your own")
    played = play(text)
    files.draw(options, out, played.opening.cluster, played.happenings, about(text))
    if options.rewrite and path is not None:
        files.write_text(path, played.text, out)
    return _compare(options, out, text, played)


def _compare(options: argparse.Namespace, out: Console, text: str, played: Played) -> Answer:
    """Whether it is as the file says, and nothing broke that the file does not tell of."""
    from paxos.scenario.transcript import difference, parse  # noqa: PLC0415 - as above

    expects = any(block.output for block in parse(text))
    differs = difference(text, played.text) if expects and not options.rewrite else ""
    said = {line.strip() for line in text.splitlines()}
    surprises = [
        f"{broken.invariant} ({broken.sentence})"
        for broken in played.broken
        if f"BROKEN {broken.invariant}: {broken.sentence}" not in said
    ]
    _show(out, differs or played.text)
    steps = _steps(played.commands)
    answer: dict[str, Any] = {
        "scenario": options.scenario,
        "steps": steps,
        "same": not differs,
        "broken": [
            {
                "invariant": broken.invariant,
                "sentence": broken.sentence,
                "step": _steps(played.commands[: broken.step + 1]),
            }
            for broken in played.broken
        ],
        "difference": differs,
        "text": played.text,
    }
    if surprises:
        return FAILED, answer | {"error": f"broken, and not expected: {'; '.join(surprises)}"}
    if differs:
        return FAILED, answer | {"error": "this is not what the file says: see the difference"}
    verdict = "as the file says" if expects else "and the file says nothing of what comes of them"
    out.print(f"\n{steps} steps, {'rewritten' if options.rewrite else verdict}")
    return OK, answer


def _steps(commands: Iterable[object]) -> int:
    """How many things happen. That a disk is told to wait is none, as in diagrams."""
    from paxos.scenario.commands import Hang  # noqa: PLC0415 - as above

    return sum(not isinstance(command, Hang) for command in commands)


def _find(scenario: str) -> tuple[Path | None, str]:
    """The file, if it is one, and the text."""
    from paxos.scenario.transcript import SUFFIX, shipped  # noqa: PLC0415 - as above

    path = Path(scenario)
    if path.is_file():
        return path, files.read_scenario(path)
    known, name = shipped(), scenario.removesuffix(SUFFIX)
    if name in known:
        return None, known[name]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"Is it {near[0]}? " if near else ""
    raise MisuseError(
        f"{scenario} is no file, and no scenario that comes with paxos. {hint}"
        "`paxos replay` alone lists them"
    )


def _list(options: argparse.Namespace, out: Console) -> Answer:
    from paxos.scenario.transcript import shipped  # noqa: PLC0415 - as above

    if options.rewrite or options.svg is not None or options.mermaid is not None:
        raise MisuseError("say which scenario: `paxos replay` alone lists them")
    scenarios = [{"name": name, "about": about(text)} for name, text in shipped().items()]
    width = max((len(scenario["name"]) for scenario in scenarios), default=0)
    for scenario in scenarios:
        out.print(f"{scenario['name']:<{width}}  {scenario['about']}")
    return OK, {"scenarios": scenarios}


def about(text: str) -> str:
    """What a scenario says of itself in its first line."""
    first = text.lstrip().partition("\n")[0]
    return first.lstrip("# ").rstrip() if first.startswith("#") else ""


def _show(out: Console, transcript: str) -> None:
    """Print it, in colours where there are any."""
    for line in transcript.splitlines():
        out.print(Text(line, _style(line)))


def _style(line: str) -> str:
    if "BROKEN" in line:
        return "bold red"
    return {"#": "dim", "-": "red", "+": "green", "@": "cyan"}.get(line[:1], "")
