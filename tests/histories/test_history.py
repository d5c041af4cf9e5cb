"""The format of histories: what is read, what is refused, and that nothing else is ever raised."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos.histories import history as module
from paxos.histories.history import MAX_LINE_BYTES, Missing, Operation
from paxos.verify import Event, History, HistoryError, encode_history, history_of, read_history

HEADER = {"format": "plain-paxos-history", "version": 1}


def read(*lines: Any) -> History:
    return read_history(BytesIO(b"".join(json.dumps(line).encode() + b"\n" for line in lines)))


def event(process: int | str, kind: str, **members: Any) -> dict[str, Any]:
    return {"process": process, "type": kind, **members}


CALL = event(1, "invoke", f="write", value=5)


def test_an_answer_belongs_to_its_process() -> None:
    history = read(
        CALL, event("b", "invoke", f="read", key="k"), event(1, "ok"), event("b", "ok", value=5)
    )
    assert history.operations == (
        Operation(1, "write", 5, Missing.NO_VALUE, 1, 3),
        Operation("b", "read", Missing.NO_VALUE, 5, 2, 4, "k"),
    )


def test_what_failed_surely_never_happened() -> None:
    history = read(CALL, event(1, "fail"), CALL)
    assert history.failed == 1
    assert [each.invoked for each in history.operations] == [3]


@pytest.mark.parametrize("lines", [[CALL], [CALL, event(1, "info", error=["timeout"])]])
def test_what_was_never_answered_is_unknown(lines: list[dict[str, Any]]) -> None:
    (operation,) = read(*lines).operations
    assert not operation.known
    assert operation.output is Missing.NO_ANSWER


def test_null_is_a_value() -> None:
    (operation,) = read(event(1, "invoke", f="read"), event(1, "ok", value=None)).operations
    assert operation.output is None


def test_the_first_line_may_name_the_format_and_blank_lines_are_skipped() -> None:
    assert read(HEADER, CALL) == read_history(BytesIO(b"\n" + json.dumps(CALL).encode()))


def test_members_for_people_are_allowed() -> None:
    assert read(CALL | {"time": 1.5, "index": 0, "error": {"any": "thing"}}).operations


@pytest.mark.parametrize(
    ("lines", "line", "complaint"),
    [
        ([HEADER | {"version": 2}], 1, "Take a newer paxos"),
        ([HEADER | {"format": "x"}], 1, "only 'plain-paxos-history'"),
        ([CALL, HEADER], 2, "no event"),
        ([[]], 1, "no event"),
        ([{"process": 1}], 1, "type"),
        ([CALL | {"valeu": 1}], 1, "valeu"),
        ([CALL | {"value": 1.5}], 1, "whole"),
        ([CALL | {"value": {"a": 1}}], 1, "whole"),
        ([event(1, "invoke")], 1, 'give "f"'),
        ([event(1, "ok")], 1, "nothing under way"),
        ([event("nemesis", "info")], 1, "leave out other lines"),
        ([CALL, CALL], 2, "still waits for the answer to line 1"),
        ([CALL, event(1, "ok", f="read")], 2, "asked for 'write'"),
        ([CALL, event(1, "ok", key="k")], 2, "key is 'k'"),
        ([CALL, event(1, "info"), CALL], 3, "go on under a name that no process had"),
        ([CALL, event(1, "info"), event(1, "ok")], 3, "nothing under way"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_line(
    lines: list[Any], line: int, complaint: str
) -> None:
    with pytest.raises(HistoryError, match=complaint) as caught:
        read(*lines)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"line {line}: ")


@pytest.mark.parametrize(
    "content", [b"\xff\n", b'{"process": 1, "type": "invoke", "f": "\xff"}', b"[" * 100_000]
)
def test_what_is_no_text_is_told(content: bytes) -> None:
    with pytest.raises(HistoryError, match="line 1"):
        read_history(BytesIO(content))


def test_a_line_without_end_is_not_read_to_its_end() -> None:
    file = BytesIO(b"x" * (3 * MAX_LINE_BYTES))
    with pytest.raises(HistoryError, match="more than"):
        read_history(file)
    assert file.tell() == MAX_LINE_BYTES + 1


def test_a_history_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OPERATIONS", 2)
    with pytest.raises(HistoryError, match="line 3: more than 2 operations"):
        read(*(event(i, "invoke", f="read") for i in range(3)))


def test_what_is_written_is_read_again() -> None:
    events = [
        Event(1, "invoke", "cas", "k", (None, "ü")),
        Event("p", "invoke", "get", 7, time=1.5),
        Event("p", "ok", "get", 7, None),
        Event(1, "info"),
    ]
    written = read_history(BytesIO(b"".join(encode_history(events))))
    there = history_of(events)
    assert [(each.f, each.input, each.output, each.key) for each in written.operations] == [
        (each.f, each.input, each.output, each.key) for each in there.operations
    ]


LINE = st.one_of(
    st.binary(max_size=40),
    st.fixed_dictionaries(
        {
            "process": st.sampled_from([1, 2, "a", None]),
            "type": st.sampled_from(["invoke", "ok", "fail", "info", "other"]),
        },
        optional={
            "f": st.sampled_from(["read", "write", "cas", 5]),
            "key": st.sampled_from(["k", 1, None, 1.5]),
            "value": st.recursive(
                st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
                lambda inner: st.lists(inner, max_size=3),
                max_leaves=4,
            ),
        },
    ).map(lambda line: json.dumps(line).encode()),
)


@given(st.lists(LINE, max_size=8))
def test_no_content_raises_anything_else(lines: list[bytes]) -> None:
    content, caught = b"\n".join(lines), None
    try:
        hash(read_history(BytesIO(content)))
    except HistoryError as error:
        caught = error
    assert caught is None or 1 <= caught.line <= 1 + content.count(b"\n")
