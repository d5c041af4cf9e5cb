"""The demo of a log on a screen: a live view while it runs, and its figures at the end."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from paxos.demo.log_story import LogStory
from paxos.demo.view import SHOWN_ENTRIES, timeline_line


@contextmanager
def live_log_view(console: Console, story: LogStory) -> Generator[None]:
    """Show the nodes as they are, redrawn several times a second, until the block ends."""
    with Live(
        get_renderable=lambda: _scene(story),
        console=console,
        refresh_per_second=8,
        transient=True,
    ):
        yield


def show_log_figures(console: Console, story: LogStory) -> dict[str, Any]:
    """Print what was measured, and return it for `--json`."""
    writer = story.writer
    syncs = ", ".join(f"{name} {count}" for name, count in sorted(story.syncs.items()))
    console.print()
    console.print(
        f"acknowledged {len(writer.acknowledged)} writes, unknown {len(writer.unknown)}, "
        f"refused {writer.refused}"
    )
    console.print(
        f"commits     {writer.rate:,.0f} a second; the longest gap without one "
        f"{writer.longest_gap:.2f} s"
    )
    console.print(f"syncs       {syncs} (since each was started last)")
    return {
        "acknowledged": len(writer.acknowledged),
        "unknown": len(writer.unknown),
        "refused": writer.refused,
        "commits_per_second": round(writer.rate, 1),
        "longest_gap": round(writer.longest_gap, 3),
        "syncs": story.syncs,
        "entries": max((each.applied_below for each in story.contents.values()), default=0),
    }


def _scene(story: LogStory) -> RenderableType:
    table = Table(
        "node", "process", "starts", "role", "knows below", "applied", "snapshot", "syncs"
    )
    for name, node in sorted(story.nodes.items()):
        status = story.statuses.get(name)
        process = Text("runs", "green") if node.is_running else Text("dead", "bold red")
        if not node.starts:
            continue
        if status is None:
            table.add_row(name, process, str(node.starts), *("" for _ in range(5)))
            continue
        role = Text("leads", "bold yellow") if status.leads else Text(f"follows {status.leader}")
        numbers = (
            status.chosen_below,
            status.applied_below,
            status.snapshot_below,
            status.syncs,
        )
        table.add_row(name, process, str(node.starts), role, *map(str, numbers))
    acknowledged = Text(f"{len(story.writer.acknowledged)} writes acknowledged", "bold")
    lines = [timeline_line(entry) for entry in story.timeline.entries[-SHOWN_ENTRIES:]]
    return Group(table, acknowledged, *lines)
