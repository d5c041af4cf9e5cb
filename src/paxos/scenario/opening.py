"""The first line of a scenario: which cluster plays, and how its time passes."""

from __future__ import annotations

from dataclasses import dataclass

from paxos.errors import MisuseError
from paxos.scenario.cluster import Cluster, Kind
from paxos.scenario.words import parse_node_id, parse_seconds, split_words, text_of_seconds
from paxos.timing import Timing

USAGE = (
    "cluster node|heartbeat MEMBER... [proposers=P,Q] [phase1=N] [phase2=N] [breaks=RULE]"
    " [time=abstract] [interval=S] [window=S] [backoff=S] [seed=N]"
)

_USUAL = Timing()
_OPTIONS = (
    "proposers",
    "phase1",
    "phase2",
    "breaks",
    "time",
    "interval",
    "window",
    "backoff",
    "seed",
)


@dataclass(frozen=True)
class Opening:
    """The cluster of a scenario."""

    cluster: Cluster
    abstract_time: bool = False
    """Timers run out in any order, and no instant has a number: see `abstract_time`."""

    def __str__(self) -> str:
        cluster, timing = self.cluster, self.cluster.timing
        options: dict[str, object] = {
            "proposers": ",".join(cluster.proposers) or None,
            "phase1": cluster.phase1,
            "phase2": cluster.phase2,
            "breaks": cluster.breaks,
            "time": "abstract" if self.abstract_time else None,
            "interval": _unusual(timing.interval, _USUAL.interval),
            "window": _unusual(timing.window, _USUAL.window),
            "backoff": _unusual(timing.backoff, _USUAL.backoff),
            "seed": None if timing.seed == _USUAL.seed else timing.seed,
        }
        given = [f"{name}={value}" for name, value in options.items() if value is not None]
        return " ".join(("cluster", cluster.kind.value, *cluster.members, *given))


def _unusual(seconds: float, usual: float) -> str | None:
    return None if seconds == usual else text_of_seconds(seconds)


def parse_opening(line: str) -> Opening:
    """The opening of this line. Raises `MisuseError`, which says what could stand there."""
    verb, *words = split_words(line) or [""]
    names = [word for word in words if "=" not in word]
    if verb != "cluster" or len(names) < 2:
        raise MisuseError(f"a scenario begins with its cluster, not with {line!r}: write {USAGE}")
    given = _parse_options([word for word in words if "=" in word])
    timing = Timing(
        interval=_parse_span(given, "interval", _USUAL.interval),
        window=_parse_span(given, "window", _USUAL.window),
        backoff=_parse_span(given, "backoff", _USUAL.backoff),
        seed=_parse_count(given, "seed") or 0,
    )
    cluster = Cluster(
        tuple(map(parse_node_id, names[1:])),
        _parse_kind(names[0]),
        tuple(map(parse_node_id, given["proposers"].split(","))) if "proposers" in given else (),
        phase1=_parse_count(given, "phase1"),
        phase2=_parse_count(given, "phase2"),
        breaks=given.get("breaks"),
        timing=timing,
    )
    if given.get("time", "abstract") != "abstract":
        raise MisuseError(f"time can be abstract, and not {given['time']!r}: or leave it out")
    return Opening(cluster, abstract_time="time" in given)


def _parse_options(words: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in _OPTIONS or name in given:
            trouble = "given twice" if name in given else "no option of a cluster"
            raise MisuseError(f"{name!r} is {trouble}: write {USAGE}")
        given[name] = value
    return given


def _parse_kind(word: str) -> Kind:
    try:
        return Kind(word)
    except ValueError:
        raise MisuseError(f"a cluster is of kind node or heartbeat, not {word!r}") from None


def _parse_span(given: dict[str, str], name: str, usual: float) -> float:
    return parse_seconds(given[name]) if name in given else usual


def _parse_count(given: dict[str, str], name: str) -> int | None:
    if name not in given:
        return None
    if not (given[name].isascii() and given[name].isdigit() and len(given[name]) < 20):
        raise MisuseError(f"{name} is a whole number, not {given[name]!r}")
    return int(given[name])
