"""Print each group of benchmarks as rates, and as ratios to the group's baseline.

Usage: python benchmarks/ratios.py FILE, where FILE was written by pytest --benchmark-json. Rates
are of the medians; a benchmark whose every run does many things says how many (`count`). Ends with
status 1 if a ratio (`wanted`) or a rate (`wanted_rate`) was not reached.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any


def main(path: Path) -> int:
    """Print the table; return the exit status."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for benchmark in json.loads(path.read_text())["benchmarks"]:
        groups[benchmark["group"]].append(benchmark)
    missed = False
    for group, benchmarks in groups.items():
        sys.stdout.write(f"\n{group}\n")
        base = next((b for b in benchmarks if b["extra_info"].get("is_baseline")), None)
        for benchmark in benchmarks:
            rate = _rate(benchmark)
            line = f"  {benchmark['name']:<34}{rate:>12,.0f} a second"
            if base is not None:
                line += f"   x {rate / _rate(base):.2f}"
            for name, reached in (
                ("wanted", rate / _rate(base or benchmark)),
                ("wanted_rate", rate),
            ):
                wanted = benchmark["extra_info"].get(name)
                if wanted is not None:
                    missed |= reached < wanted
                    line += f"  (wanted {wanted:,}: {'reached' if reached >= wanted else 'MISSED'})"
            sys.stdout.write(line + "\n")
    return int(missed)


def _rate(benchmark: dict[str, Any]) -> float:
    """How often a second, by the median run."""
    count: int = benchmark["extra_info"].get("count", 1)
    median: float = benchmark["stats"]["median"]
    return count / median


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
