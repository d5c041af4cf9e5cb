"""Check what the linters do not: sizes, and that nothing is silenced without a reason.

Run as `python tools/check_source.py FOLDER ...`; prints `file:line: what is wrong` and ends with
status 1 if there is any.

- A function is 70 lines at most, its docstring included, and a module 600: both fit in a head.
- A comment that silences a tool (`type: ignore`, `pragma: no cover`, `noqa`, ...) is followed by
  its reason, on the same line.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

LONGEST_FUNCTION = 70
LONGEST_MODULE = 600

SILENCER = re.compile(
    r"#\s*(?:type:\s*ignore|pyright:\s*ignore|noqa|pragma:\s*no\s+\w+)"
    r"(?:\[[^\]]*\]|:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?"
)
REASON = re.compile(r"\w+\W+\w+")  # two words at least


def long_functions(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and complaint for each function that is too long."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield node.lineno, f"{node.name} has {length} lines, more than {LONGEST_FUNCTION}"


def long_module(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and complaint if the module is too long."""
    length = len(source.splitlines())
    if length > LONGEST_MODULE:
        yield LONGEST_MODULE + 1, f"the module has {length} lines, more than {LONGEST_MODULE}"


def silenced_without_reason(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and complaint for each comment that silences a tool and does not say why."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        silencers = SILENCER.findall(token.string)
        if silencers and not REASON.search(SILENCER.sub("", token.string)):
            yield token.start[0], f"'{silencers[0]}' without a reason: say why after it"


def complaints(path: Path) -> Iterator[str]:
    """Yield all complaints about one file, in the order of its lines."""
    source = path.read_text(encoding="utf-8")
    found = [*long_functions(source), *long_module(source), *silenced_without_reason(source)]
    for line, text in sorted(found):
        yield f"{path}:{line}: {text}"


def main(folders: list[str]) -> int:
    """Check every Python file in the folders; return the exit status."""
    files = [path for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    found = [complaint for path in files for complaint in complaints(path)]
    for complaint in found:
        print(complaint)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
