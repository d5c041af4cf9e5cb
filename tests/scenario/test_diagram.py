"""Diagrams: everything that happened is in them, and nothing that a value says can break them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from paxos import (
    NO_PROPOSAL,
    DurableState,
    Envelope,
    Identity,
    LeaderChanged,
    MisuseError,
    Prepare,
    ProposalID,
)
from paxos.scenario.cluster import Cluster
from paxos.scenario.commands import Hang
from paxos.scenario.diagram import mermaid, svg
from paxos.scenario.diagram.chart import chart
from paxos.scenario.diagram.style import BALLOT_STYLES
from paxos.scenario.happenings import Arrived, Broke, Commanded, Happening, PersistEnded, Told
from paxos.scenario.transcript import shipped
from paxos.sim.player import Played, play

FIXTURES = Path(__file__).parent / "fixtures"
SVG = "{http://www.w3.org/2000/svg}"

SMALL = (FIXTURES / "small.scenario").read_text(encoding="utf-8")
TITLE = "One vote, a torn write, and a message that comes twice"


@pytest.fixture(scope="module")
def small() -> Played:
    """Two nodes, a crash amid a write, repeated messages, lost ones, time."""
    return play(SMALL)


def drawn(text: str, title: str = "a run") -> ET.Element:
    return picture_of(play(text), title)


def picture_of(played: Played, title: str = TITLE, also: Sequence[Happening] = ()) -> ET.Element:
    text = svg(played.opening.cluster, [*played.happenings, *also], title)
    return ET.fromstring(text)  # noqa: S314 - we wrote it ourselves


def parts(picture: ET.Element, css: str) -> list[ET.Element]:
    """The elements that are of all these classes."""
    wanted = set(css.split())
    return [each for each in picture.iter() if wanted <= set(each.get("class", "").split())]


def said(picture: ET.Element, css: str) -> list[str]:
    return [each.text or "" for each in parts(picture, css)]


def titles(picture: ET.Element, css: str) -> list[str]:
    return [each.findtext(f"{SVG}title", "") for each in parts(picture, css)]


def test_the_same_run_gives_the_same_picture_for_ever(small: Played) -> None:
    """After a change that is meant: `paxos replay small.scenario --svg small.svg`, and look."""
    expected = (FIXTURES / "small.svg").read_text(encoding="utf-8")
    assert svg(small.opening.cluster, small.happenings, TITLE) == expected


def test_the_same_run_gives_the_same_text_for_ever(small: Played) -> None:
    """After a change that is meant: `paxos replay small.scenario --mermaid small.mmd`."""
    expected = (FIXTURES / "small.mmd").read_text(encoding="utf-8")
    assert mermaid(small.opening.cluster, small.happenings, TITLE) == expected


def test_the_played_fixture_is_what_its_file_says(small: Played) -> None:
    assert small.text == SMALL


def test_each_arrival_has_an_arrow_and_each_loss_a_cross(small: Played) -> None:
    picture = picture_of(small)
    arrivals = [each for each in small.happenings if isinstance(each, Arrived)]
    in_run = [each for each in parts(picture, "message") if each.find(f"{SVG}title") is not None]
    arrows = [each for each in in_run if parts(each, "line") and parts(each, "tip")]
    assert len(arrows) == len(arrivals)
    lost = parts(picture, "message lost")
    assert titles(picture, "message lost") == [
        'A sends to itself: accept 1.A="x & <y>"; this never arrives',
        'B sends to A: accepted 1.A="x & <y>"; this never arrives',
    ]
    assert all(parts(each, "cross") for each in lost)


def test_an_arrow_leads_from_where_it_left_to_where_it_arrives(small: Played) -> None:
    picture = picture_of(small)
    first = next(
        each
        for each in parts(picture, "message")
        if each.findtext(f"{SVG}title")
        == "A to B: prepare 1.A; leaves in step 1, arrives in step 3"
    )
    line = next(iter(parts(first, "line")))
    assert float(line.attrib["x1"]) < float(line.attrib["x2"])
    assert float(line.attrib["y1"]) < float(line.attrib["y2"])


def test_a_message_that_comes_twice_says_so(small: Played) -> None:
    picture = picture_of(small)
    assert "prepare 1.A, again" in said(picture, "said")
    again = [each for each in titles(picture, "message") if "again" in each]
    assert "A to B: prepare 1.A; leaves in step 1, arrives again in step 7" in again


def test_a_persist_is_a_bar_and_one_cut_short_is_told_apart(small: Played) -> None:
    picture = picture_of(small)
    bars = [each for each in parts(picture, "persist") if parts(each, "bar")]
    ended = [each for each in small.happenings if isinstance(each, PersistEnded)]
    cut_short = [each for each in bars if "undone" in each.attrib["class"].split()]
    in_legend = 1
    assert len(bars) - len(cut_short) - in_legend == len(ended)
    assert [each.findtext(f"{SVG}title") for each in cut_short] == [
        "B persists: promised 1.A (cut short by a crash)"
    ]


def test_crash_and_restart_are_marked_and_the_line_has_a_gap(small: Played) -> None:
    picture = picture_of(small)
    assert "✕ power cut in the write" in said(picture, "chip-text")
    assert "restart" in said(picture, "chip-text")
    assert "finds nothing" in said(picture, "disk")
    in_legend = 1
    assert len(parts(picture, "outage")) - in_legend == 1


def test_a_node_that_stays_down_says_why() -> None:
    picture = drawn(
        "cluster node A B C\n\npropose A x\ndeliver A>A prepare 1.A\nrot A\ncrash A\nrestart A\n"
    )
    assert "stays down" in said(picture, "chip-text")
    assert any("damaged" in title for title in titles(picture, "trouble"))


def test_a_failing_disk_is_marked() -> None:
    picture = drawn("cluster node A B C\n\nhang A\npropose A x\nfail A io\n")
    assert {"disk: sync fails", "disk fails"} <= set(said(picture, "chip-text"))
    assert "A persists: prepared 1 (failed)" in titles(picture, "persist")


def test_what_is_chosen_stands_out() -> None:
    picture = drawn("cluster node A\n\npropose A x\nrun\n")
    assert [said(each, "chip-text") for each in parts(picture, "chosen")] == [["chosen 1.A=x"]]


def test_the_step_that_broke_something_is_framed_and_has_its_sentence(small: Played) -> None:
    picture = picture_of(small, also=[Broke("agreement", "'x' is chosen, and 'y' is")])
    assert len(parts(picture, "broken")) == 1
    assert said(picture, "sentence") == ["agreement: 'x' is chosen, and 'y' is"]
    assert "In step 12 this breaks agreement" in picture.findtext(f"{SVG}desc", "")


def test_in_mermaid_the_step_that_broke_something_is_framed(small: Played) -> None:
    happenings = [*small.happenings, Broke("agreement", "two values")]
    lines = mermaid(small.opening.cluster, happenings, TITLE).splitlines()
    framed = lines[lines.index("    rect rgba(220, 40, 60, 0.18)") :]
    assert framed[-2].endswith("step 12 breaks agreement: two values")
    assert framed[-1] == "    end"


def test_the_picture_needs_no_other_file_and_no_script(small: Played) -> None:
    text = svg(small.opening.cluster, small.happenings, TITLE)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    for forbidden in ("<script", "@import", "url(", "href", "<image"):
        assert forbidden not in text


def test_the_picture_tells_its_title_and_each_step_to_those_who_cannot_see_it(
    small: Played,
) -> None:
    picture = picture_of(small)
    assert picture.get("role") == "img"
    assert picture[0].tag == f"{SVG}title"
    assert picture[0].text == TITLE
    description = picture.findtext(f"{SVG}desc", "")
    steps = [command for command in small.commands if not isinstance(command, Hang)]
    for number, command in enumerate(steps, start=1):
        assert f"{number}. {command}" in description
    assert "; hang B;" in description  # told, and not counted


def test_the_picture_has_colours_for_a_dark_ground(small: Played) -> None:
    text = svg(small.opening.cluster, small.happenings, TITLE)
    assert "@media (prefers-color-scheme:dark)" in text


def luminance(colour: str) -> float:
    """As the accessibility guidelines of the W3C define it (WCAG 2.2)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("style", BALLOT_STYLES)
def test_each_ballots_colour_can_be_read_on_both_grounds(style: tuple[str, str, str]) -> None:
    light, dark, _ = style
    assert contrast(light, "#ffffff") >= 4.5
    assert contrast(dark, "#15181c") >= 4.5


def test_ballots_differ_without_colour() -> None:
    dashes = [style[2] for style in BALLOT_STYLES]
    assert len(set(dashes)) == len(dashes)


NASTY = [
    '"<b>&amp;</b>"',
    '"]]>"',
    '"a;b#c"',
    "end",
    '"%% note"',
    r'"\u0000\u0007"',
    r'"\ud83d\ude00"',
]


@pytest.mark.parametrize("value", NASTY)
def test_no_value_breaks_the_picture(value: str) -> None:
    picture = drawn(f"cluster node A\n\npropose A {value}\nrun\n", title=f"<&\x00{value}")
    assert len(parts(picture, "chosen")) == 1


@pytest.mark.parametrize("value", NASTY)
def test_no_value_breaks_the_mermaid_text(value: str) -> None:
    """Whatever could mean something to Mermaid is a numbered entity."""
    played = play(f"cluster node A\n\npropose A {value}\nrun\n")
    for line in mermaid(played.opening.cluster, played.happenings, value).splitlines()[1:]:
        content = re.sub(r"#\d+;", "", line.partition(":")[2])
        assert not set(content) & set('#;<&"%{}\\')


def test_a_long_value_is_shortened_and_whole_when_pointed_at() -> None:
    value = "v" * 300
    picture = drawn(f"cluster node A B C\n\npropose A {value}\nrun\n")
    labels = said(picture, "said")
    assert max(map(len, labels)) < 60
    assert any("…" in label for label in labels)
    assert any(value in title for title in titles(picture, "message"))


def test_nodes_without_a_vote_stand_left_and_look_different() -> None:
    picture = drawn("cluster node A B C proposers=P\n\npropose P x\nrun\n")
    assert said(picture, "name")[::2] == ["P", "A", "B", "C"]
    assert len(parts(picture, "no-vote")) == 2  # above and below


def test_lost_copies_of_one_broadcast_share_a_line() -> None:
    picture = drawn("cluster node A B C\n\npropose A x\n")
    assert said(picture, "said") == ["prepare 1.A → itself, B, C"]


def test_disks_that_are_told_to_wait_share_a_line_and_are_no_step() -> None:
    picture = drawn("cluster node A B\n\nhang A\nhang B\npropose A x\npersist A\n")
    assert said(picture, "number") == ["1", "2"]
    chips = [each for each in parts(picture, "chip") if each.get("y")]
    assert chips[0].attrib["y"] == chips[1].attrib["y"] != chips[2].attrib["y"]


def test_wide_letters_get_more_room() -> None:
    narrow, wide = (
        drawn("cluster node A\n\npropose A iii\n"),
        drawn("cluster node A\n\npropose A 茶茶茶\n"),
    )
    widths = [float(parts(each, "chip")[0].attrib["width"]) for each in (narrow, wide)]
    assert widths[0] < widths[1]


def test_what_happens_before_the_first_command_is_no_step(small: Played) -> None:
    first = [Told("A", LeaderChanged(NO_PROPOSAL)), *small.happenings]
    text = svg(small.opening.cluster, first, TITLE)
    assert "hears no leader" in text
    assert "The steps: all nodes start; 1. propose A" in text.replace("&quot;", '"')


def test_heartbeats_are_drawn_without_their_rounds() -> None:
    picture = drawn("cluster heartbeat A B C\n\ntimeout A\ndeliver all to B\n")
    assert "may I lead?" in said(picture, "said")
    assert any("round" in title for title in titles(picture, "hint"))


def test_every_shipped_scenario_can_be_drawn() -> None:
    for name, text in shipped().items():
        played = play(text)
        picture = picture_of(played, name)
        arrivals = [each for each in played.happenings if isinstance(each, Arrived)]
        told = [title for title in titles(picture, "message") if ", arrives" in title]
        assert len(told) == 2 * len(arrivals), name  # the line and its words
        assert mermaid(played.opening.cluster, played.happenings, name)


ENVELOPE = Envelope(Identity("scenario", "A", "1"), "B", Prepare(ProposalID(1, "A")))


@pytest.mark.parametrize(
    "torn",
    [
        [Commanded("deliver"), Arrived(ENVELOPE)],
        [Commanded("persist"), PersistEnded("A", DurableState())],
    ],
)
def test_half_a_run_is_refused(torn: list[Happening]) -> None:
    with pytest.raises(MisuseError, match="never"):
        chart(Cluster(("A", "B")), torn)
