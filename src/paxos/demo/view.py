"""The demo on a screen: a live view on a terminal, plain lines without one."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from paxos.demo.checks import Check
from paxos.demo.story import Story
from paxos.demo.timeline import Entry, Timeline
from paxos.runtime.protocol import text

SHOWN_ENTRIES = 14
"""Lines of the timeline under the table while the demo runs."""


@contextmanager
def live_view(console: Console, story: Story) -> Generator[None]:
    """Show the nodes as they are, redrawn several times a second, until the block ends."""
    with Live(
        get_renderable=lambda: _scene(story),
        console=console,
        refresh_per_second=12,
        transient=True,
    ):
        yield


def show_end(
    console: Console, timeline: Timeline, checks: list[Check], *, with_timeline: bool
) -> None:
    """The timeline, and each check with its verdict."""
    if with_timeline:
        for entry in timeline.entries:
            console.print(timeline_line(entry))
    console.print()
    for check in checks:
        verdict = Text("holds", "green") if check.holds else Text("BROKEN", "bold red")
        console.print(Text(f"{check.name:<12}"), verdict, Text(f"  {check.detail}"))


def _scene(story: Story) -> RenderableType:
    table = Table("node", "process", "starts", "follows", "promised", "accepted", "chosen")
    for node_id, node in sorted(story.nodes.items()):
        status = story.statuses.get(node_id)
        process = Text("runs", "green") if node.is_running else Text("dead", "bold red")
        if status is None:
            table.add_row(node_id, process, str(node.starts), *("" for _ in range(4)))
            continue
        chosen = Text("" if status.chosen is None else text(status.chosen.value), "bold")
        follows = Text(status.leader, "bold yellow" if status.leads else "")
        table.add_row(
            node_id,
            process,
            str(node.starts),
            follows,
            status.promised,
            status.accepted,
            chosen,
        )
    lines = [timeline_line(entry) for entry in story.timeline.entries[-SHOWN_ENTRIES:]]
    return Group(table, *lines)


def timeline_line(entry: Entry) -> Text:
    """One line of the timeline, in its colour."""
    style = ""
    if "killed" in entry.what:
        style = "red"
    elif "chosen" in entry.what:
        style = "green"
    elif entry.what.startswith("leads"):
        style = "yellow"
    return Text(str(entry), style)
