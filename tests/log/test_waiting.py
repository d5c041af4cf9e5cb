"""Which words of a log wait for the disk: exactly those that bind whoever says them."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from paxos.log import messages
from paxos.messages import Binding, Heartbeat, HeartbeatAnswer, Nack


def classes_of(union: Any) -> set[type]:
    return {get_origin(member) or member for member in get_args(union)}


def test_a_word_waits_for_the_disk_if_and_only_if_it_is_among_those_that_wait() -> None:
    waiting, free = classes_of(messages.LogWaiting), classes_of(messages.LogFree)
    assert all(issubclass(word, Binding) for word in waiting)
    assert not any(issubclass(word, Binding) for word in free)


def test_every_word_is_among_one_or_the_other() -> None:
    """A new one that nobody thought about would leave before it is durable."""
    defined = {
        each
        for each in vars(messages).values()
        if isinstance(each, type) and each.__module__ == messages.__name__
    }
    others = {Heartbeat, HeartbeatAnswer, Nack}
    both = classes_of(messages.LogWaiting) | classes_of(messages.LogFree)
    assert both == defined | others
