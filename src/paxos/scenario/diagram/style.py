"""How a space-time diagram looks, on light ground and on dark."""

from __future__ import annotations

BALLOT_STYLES: tuple[tuple[str, str, str], ...] = (
    ("#0060a8", "#6cb8ff", "none"),
    ("#a85300", "#ffb45e", "9 4"),
    ("#00704a", "#5fd3a5", "9 3 2 3"),
    ("#8a2a86", "#e79be4", "3 3"),
    ("#00707c", "#66d6e2", "14 4"),
    ("#6b5a00", "#e0cc5a", "9 3 2 3 2 3"),
)
"""For the lowest ballot, the next, ...: colour on light ground, on dark ground, dashes.

Each colour has a contrast of at least 4.5 to its ground, and no two differ by red and green alone.
"""


def _ballots(ground: int) -> str:
    rules: list[str] = []
    for index, style in enumerate(BALLOT_STYLES):
        colour, dashes = style[ground], style[2]
        rules += [
            f".space-time .b{index} .line{{stroke:{colour};stroke-dasharray:{dashes}}}",
            f".space-time .b{index} .cross{{stroke:{colour}}}",
            f".space-time .b{index} .tip,.space-time .b{index} .said{{fill:{colour}}}",
        ]
    return "\n".join(rules)


def _ground(
    paper: str, ink: str, grey: str, faint: str, red: str, pink: str, green: str, ground: int
) -> str:
    chosen = f".space-time .chosen .chip{{fill:{green};stroke:{green}}}"
    return f"""\
.space-time .ground,.space-time .head{{fill:{paper}}}
.space-time text{{fill:{ink}}}
.space-time .said,.space-time .disk,.space-time .instant-text{{stroke:{paper}}}
.space-time .rule{{stroke:{faint}}}
.space-time .life,.space-time .head{{stroke:{ink}}}
.space-time .outage,.space-time .instant{{stroke:{grey}}}
.space-time .number,.space-time .disk,.space-time .legend,.space-time .instant-text{{fill:{grey}}}
.space-time .persist .bar{{fill:{grey};stroke:{ink}}}
.space-time .undone .bar{{fill:{paper}}}
.space-time .b-none .line,.space-time .b-none .cross{{stroke:{grey}}}
.space-time .b-none .tip,.space-time .b-none .said{{fill:{grey}}}
.space-time .chip{{fill:{paper};stroke:{ink}}}
.space-time .down .chip,.space-time .trouble .chip{{stroke:{red}}}
.space-time .down .chip-text,.space-time .trouble .chip-text{{fill:{red}}}
{chosen}
.space-time .chosen .chip-text{{fill:{paper}}}
.space-time .broken{{fill:{pink};stroke:{red}}}
.space-time .plate{{fill:{pink}}}
.space-time .sentence,.space-time .mark{{fill:{red}}}
{_ballots(ground)}"""


_SHAPES = """\
.space-time{font-family:system-ui,"Segoe UI","DejaVu Sans",Helvetica,Arial,sans-serif}
.space-time .heading{font-size:17px;font-weight:600}
.space-time .name{font-size:15px;font-weight:600;text-anchor:middle}
.space-time .head{stroke-width:1.4}
.space-time .no-vote{stroke-dasharray:4 3}
.space-time .number{font-size:12px;text-anchor:end}
.space-time .said{font-size:12px;stroke-width:4;paint-order:stroke;stroke-linejoin:round}
.space-time .disk{font-size:10.5px;stroke-width:4;paint-order:stroke;stroke-linejoin:round}
.space-time .instant-text{font-size:11px;stroke-width:4;paint-order:stroke}
.space-time .legend{font-size:11px}
.space-time .line,.space-time .cross{fill:none;stroke-width:1.2;stroke-linejoin:round}
.space-time .phase2 .line{stroke-width:2.4}
.space-time .cross{stroke-width:1.8}
.space-time .hint .line{stroke-width:.8}
.space-time .life{stroke-width:1.2}
.space-time .outage{stroke-width:1.2;stroke-dasharray:1 5}
.space-time .rule{stroke-width:.6}
.space-time .instant{stroke-width:1;stroke-dasharray:6 5}
.space-time .bar{stroke-width:.8}
.space-time .undone .bar{stroke-dasharray:2 2}
.space-time .chip{stroke-width:1.2}
.space-time .down .chip,.space-time .trouble .chip{stroke-width:2}
.space-time .chip-text{font-size:12px;text-anchor:middle}
.space-time .chosen .chip-text{font-weight:600}
.space-time .broken{stroke-width:2.5}
.space-time .sentence,.space-time .mark{font-size:13px;font-weight:600}
.space-time .mark{text-anchor:end}"""

_LIGHT = _ground("#fff", "#1b1b1b", "#5f5f5f", "#dcdcdc", "#b3001e", "#fff0f1", "#12673a", 0)
_DARK = _ground("#15181c", "#e8e8e8", "#a6adb4", "#30353b", "#ff7a85", "#3a1519", "#6bd49a", 1)

STYLE = f"""
{_SHAPES}
{_LIGHT}
@media (prefers-color-scheme:dark){{
{_DARK}
}}
"""
"""A style sheet. All of it is about what stands in `.space-time`, so that a page may hold it."""
