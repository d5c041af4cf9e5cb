"""`paxos demo`: real processes agree while some of them are killed."""

from __future__ import annotations

import argparse
import os
import secrets
import shlex
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from paxos.cli.answer import FAILED, OK, Answer, json_value
from paxos.cli.arguments import Commands
from paxos.errors import MisuseError

if TYPE_CHECKING:
    from paxos.demo import Entry


def add(commands: Commands) -> None:
    """Add the command."""
    what = "real processes agree while some are killed"
    command = commands.add("demo", _demo, what, "--nodes 5 --seed 7")
    command.add_argument(
        "--log",
        action="store_true",
        help="a log instead of one decision: three nodes under load, the leader killed, a member "
        "replaced",
    )
    command.add_argument("--nodes", type=int, metavar="N", help="3 to 9 (default: 5)")
    command.add_argument("--seed", type=int, metavar="N", help="draws who is killed, and when")
    command.add_argument(
        "--value", action="append", metavar="TEXT", help="twice: what the two proposers want"
    )
    command.add_argument(
        "--keep", type=Path, metavar="DIR", help="leave folders and logs in this new folder"
    )


def _demo(options: argparse.Namespace, out: Console) -> Answer:
    """Play the demo in a folder that goes away, unless it is to be kept."""
    if options.keep is None:
        with tempfile.TemporaryDirectory(prefix="paxos-demo-") as folder:
            return _play(options, out, Path(folder))
    try:
        options.keep.mkdir(parents=True)
    except OSError as error:
        raise MisuseError(
            f"cannot make {options.keep}: {error.strerror}. Name a new folder"
        ) from error
    answer = _play(options, out, options.keep)
    out.print(f"kept: {options.keep}")
    return answer


def _play(options: argparse.Namespace, out: Console, folder: Path) -> Answer:
    import asyncio  # noqa: PLC0415 - with the demo, half of `paxos --help`

    from paxos import demo  # noqa: PLC0415 - as above

    seed: int = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    if options.log:
        return _play_log(options, out, folder, seed)
    count: int = 5 if options.nodes is None else options.nodes
    values = [os.fsencode(value) for value in options.value or ("tea", "coffee")]
    if len(values) != 2:
        raise MisuseError("the demo has two proposers: give --value twice, or not at all")

    timeline = demo.Timeline(_shown_on(out))
    story = demo.Story.prepare(timeline, folder, count, values, seed)
    with demo.live_view(out, story) if out.is_terminal and not out.quiet else nullcontext():
        asyncio.run(story.play())
    checks = demo.check(story)
    demo.show_end(out, timeline, checks, with_timeline=out.is_terminal)
    wanted = "".join(f" --value {shlex.quote(value)}" for value in options.value or ())
    out.print(f"\nagain: paxos demo --nodes {count} --seed {seed}{wanted}")
    broken = [each.name for each in checks if not each.holds]
    answer = {
        "seed": seed,
        "seconds": round(timeline.seconds, 3),
        "value": None if story.value is None else json_value(story.value),
        "checks": {each.name: each.holds for each in checks},
        "timeline": timeline.entries,
    }
    return (FAILED, answer | {"error": f"broken: {', '.join(broken)}"}) if broken else (OK, answer)


def _play_log(options: argparse.Namespace, out: Console, folder: Path, seed: int) -> Answer:
    import asyncio  # noqa: PLC0415 - as above

    from paxos import demo  # noqa: PLC0415 - as above

    if options.nodes is not None or options.value:
        raise MisuseError("with --log there are three nodes, and the client chooses what to write")
    timeline = demo.Timeline(_shown_on(out))
    story = demo.LogStory.prepare(timeline, folder, seed)
    is_live = out.is_terminal and not out.quiet
    with demo.live_log_view(out, story) if is_live else nullcontext():
        asyncio.run(story.play())
    checks = demo.check_log(story)
    demo.show_end(out, timeline, checks, with_timeline=out.is_terminal)
    figures = demo.show_log_figures(out, story)
    out.print(f"\nagain: paxos demo --log --seed {seed}")
    broken = [each.name for each in checks if not each.holds]
    answer = {
        "seed": seed,
        "seconds": round(timeline.seconds, 3),
        **figures,
        "checks": {each.name: each.holds for each in checks},
        "timeline": timeline.entries,
    }
    return (FAILED, answer | {"error": f"broken: {', '.join(broken)}"}) if broken else (OK, answer)


def _shown_on(out: Console) -> Callable[[Entry], None]:
    """Prints entries as they come, unless a live view shows them."""

    def show(entry: Entry) -> None:
        if not out.is_terminal:
            out.print(str(entry))

    return show
