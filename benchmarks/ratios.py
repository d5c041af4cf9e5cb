"""Print each group of benchmarks as rates, and as ratios to the group's baseline.

Usage: python benchmarks/ratios.py FILE, where FILE was written by pytest --benchmark-json. Rates
are of the medians. Ends with status 1 if a ratio that is wanted was not reached.
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
            rate = 1 / benchmark["stats"]["median"]
            line = f"  {benchmark['name']:<34}{rate:>12,.0f} a second"
            if base is not None:
                ratio = base["stats"]["median"] / benchmark["stats"]["median"]
                wanted = benchmark["extra_info"].get("wanted")
                line += f"   x {ratio:.2f}"
                if wanted is not None:
                    missed |= ratio < wanted
                    line += f"  (wanted {wanted}: {'reached' if ratio >= wanted else 'MISSED'})"
            sys.stdout.write(line + "\n")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
