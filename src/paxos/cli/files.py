"""Files that a command is given, and files that it writes."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from paxos.errors import FaultError, MisuseError
from paxos.scenario.cluster import Cluster
from paxos.scenario.happenings import Happening

MAX_SCENARIO_BYTES = 4 << 20
"""Nobody writes a longer one, and no simulator keeps one that is not shrunk."""


def add_diagrams(command: argparse.ArgumentParser) -> None:
    """Add the arguments for diagrams."""
    command.add_argument("--svg", type=Path, metavar="FILE", help="draw the run into this file")
    command.add_argument(
        "--mermaid", type=Path, metavar="FILE", help="write its diagram as Mermaid text"
    )


def draw(
    options: argparse.Namespace,
    out: Console,
    cluster: Cluster,
    happenings: Iterable[Happening],
    title: str,
) -> None:
    """Draw a run into the files that were asked for."""
    from paxos.scenario import diagram  # noqa: PLC0415 - only who draws needs XML

    run = list(happenings)
    if options.svg is not None:
        write_text(options.svg, diagram.svg(cluster, run, title), out)
    if options.mermaid is not None:
        write_text(options.mermaid, diagram.mermaid(cluster, run, title), out)


def read_scenario(path: Path) -> str:
    """The text of a scenario file. Raises an error that says what to do if there is none."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SCENARIO_BYTES + 1)
    except OSError as error:
        raise MisuseError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > MAX_SCENARIO_BYTES:
        raise FaultError(f"{path} is no scenario: it has more than {MAX_SCENARIO_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise FaultError(f"{path} is no scenario: byte {error.start} is not UTF-8") from error


def write_text(path: Path, text: str, out: Console) -> None:
    """Write a file and say so. Raises `MisuseError` if that cannot be."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MisuseError(f"cannot write {path}: {error.strerror}. Name another file") from error
    out.print(f"wrote {path}")
