"""One state for all that differ by names alone.

Members that never propose are interchangeable, and values that the same nodes may want: `renaming`
says which. States that differ by such names alone lead to states that differ by the same names, and
are right or wrong together. So a search need see only one of them.

Which one? To each interchangeable node belongs a *piece* of a state: its own local state, and the
messages and facts that name it. Elsewhere, each such node has a *class*: in the local state of a
proposer, say, those that have promised are one class and the others another. Pieces and classes are
all that tells such nodes apart, so the nodes are put in the order of these. For values there is no
such order: all their renamings are tried, and those that matter most decide early.

Two things of this are not taken for granted but checked, see `demand_no_flaw`: that classes do
describe each thing, and that the library's classes do not tell names apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import combinations
from math import factorial, prod
from typing import TypeAlias

from paxos.scenario.commands import Deliver
from paxos.scenario.invariants import Fact
from paxos.verify.model import Bounds
from paxos.verify.moves import Question
from paxos.verify.renaming import (
    Renaming,
    exchanges,
    interchangeable_nodes,
    interchangeable_values,
)
from paxos.verify.table import LOCAL_BITS, Table

LOCAL_MASK = (1 << LOCAL_BITS) - 1

CLASS_BITS = 4
CLASS_MASK = (1 << CLASS_BITS) - 1
"""Room for the class of a node in one thing: so there may be 16 interchangeable nodes."""

BIT = -1
"""Stands where a local state has its node."""

Thing: TypeAlias = tuple[int, int]
"""A local state, as node and number; or a message or fact, as `BIT` and its bit."""

Word: TypeAlias = tuple[int, ...]
"""The class of each interchangeable node in a thing."""

Order: TypeAlias = tuple[int, ...]
"""Exchanges of two values each, one after the other."""


class NamesMatterError(Exception):
    """What was found by way of symmetry is worth nothing: some class tells names apart."""


def pays(bounds: Bounds) -> bool:
    """Whether a search is quicker with symmetry: two renamings save less than they cost."""
    sizes = [
        len(names) for names in (interchangeable_nodes(bounds), *interchangeable_values(bounds))
    ]
    return prod(map(factorial, sizes)) > 2


class Symmetry:
    """All that a table holds, under all names that make no difference."""

    def __init__(self, table: Table) -> None:
        """Take a table that holds nothing yet; from now on it takes up all renamings, too."""
        bounds = table.model.bounds
        names, sets = self._interchangeable(bounds)
        self._table = table
        self._free = [bounds.node_ids.index(name) for name in names]
        self._fixed = [node for node in range(len(bounds.node_ids)) if node not in self._free]
        self._exchanges = self._all_exchanges(names, bounds.node_ids)
        """First of two nodes that are neighbours, then of two values."""

        self._of_nodes = range(len(self._exchanges))
        for values in sets:
            self._exchanges += self._all_exchanges(values, bounds.node_ids)
        self._orders = self._all_orders([value for values in sets for value in values])
        self._images: list[dict[Thing, Thing]] = [{} for _ in self._exchanges]
        self._meanings: dict[int, Deliver | Fact] = {}
        self._waiting: deque[Thing] = deque()

        self._words: list[dict[int, Word]] = [{} for _ in bounds.node_ids]
        """For each node, the classes in each of its local states, shifted to where keys have it."""

        self._orbits: list[dict[int, int]] = [{} for _ in bounds.node_ids]
        self._by_word: list[dict[tuple[int, Word], int]] = [{} for _ in bounds.node_ids]
        self._piece_masks = [LOCAL_MASK << table.shifts[node] for node in self._free]
        self._rest_mask = (1 << table.base) - 1 & ~sum(self._piece_masks)
        self._key_shifts = {node: CLASS_BITS * i for i, node in enumerate(self._fixed)}
        self._words_at = [(self._words[node], table.shifts[node]) for node in self._fixed]
        self._colour_shift = CLASS_BITS * len(self._fixed)
        self._colours: list[list[dict[int, int]]] = [[{} for _ in self._free] for _ in self._orders]
        self._placed: list[dict[int, int]] = [{} for _ in self._free]
        self._chunks: list[dict[tuple[int, int], int]] = [{} for _ in self._orders]
        self._best: dict[int, list[tuple[int, int]]] = {}
        table.mirror = self

    @staticmethod
    def _interchangeable(bounds: Bounds) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """The nodes, and the sets of values, that differ by their names alone."""
        return interchangeable_nodes(bounds), interchangeable_values(bounds)

    @staticmethod
    def _all_exchanges(names: tuple[str, ...], node_ids: tuple[str, ...]) -> list[Renaming]:
        return exchanges(names, node_ids)

    @property
    def order(self) -> int:
        """How many renamings there are, the one that changes nothing among them."""
        return factorial(len(self._free)) * len(self._orders)

    # What the table takes up.

    def met_local(self, node: int, index: int) -> None:
        """The table has taken up a local state."""
        self._take_up((node, index))

    def met_bit(self, bit: int, of: Deliver | Fact) -> None:
        """The table has taken up a message or a fact."""
        self._meanings[bit] = of
        self._take_up((BIT, bit))

    def _take_up(self, first: Thing) -> None:
        """Let the table take up its renamings, too, and theirs, before anything else."""
        self._waiting.append(first)
        if len(self._waiting) > 1:
            return  # whoever takes up the first of them goes on with the others
        new: list[Thing] = []
        while self._waiting:
            new.append(self._waiting[0])
            for exchange in range(len(self._exchanges)):
                self._images[exchange][new[-1]] = self._renamed(exchange, new[-1])
            self._waiting.popleft()
        for thing in new:
            self._describe(thing)

    def _renamed(self, exchange: int, thing: Thing) -> Thing:
        table, renaming = self._table, self._exchanges[exchange]
        kind, number = thing
        if kind == BIT:
            return BIT, table.bit_of(renaming(self._meanings[number]))
        node = table.node_ids.index(renaming(table.node_ids[kind]))
        return node, table.number_of(node, renaming(table.local_of(kind, number)))

    def _describe(self, thing: Thing) -> None:
        """Note the classes in a thing and all its renamings, unless that is done."""
        kind, number = thing
        if kind in self._free:
            self._demand_own_name_only(thing)
        elif kind != BIT:
            if number not in self._words[kind]:
                self._describe_local(kind, number)
        elif not number & (self._rest_mask | sum(self._piece_masks)):
            words = self._words_of(thing)
            if len(words) == 1:
                self._rest_mask |= number
            else:
                for (_, bit), word in words.items():
                    self._piece_masks[self._named_in(word)] |= bit

    def _describe_local(self, node: int, first: int) -> None:
        for (_, index), word in self._words_of((node, first)).items():
            self._words[node][index] = tuple(each << self._key_shifts[node] for each in word)
            self._orbits[node][index] = first
            self._by_word[node][first, word] = index

    def _words_of(self, first: Thing) -> dict[Thing, Word]:
        """All that a thing becomes under other names of nodes, and the classes in each."""
        word = self._classes_in(first)
        words, todo = {first: word}, [first]
        for thing in todo:
            for exchange in self._of_nodes:
                image, classes = self._images[exchange][thing], list(words[thing])
                classes[exchange : exchange + 2] = classes[exchange + 1], classes[exchange]
                if image not in words:
                    todo.append(image)
                if words.setdefault(image, tuple(classes)) != tuple(classes):
                    raise NamesMatterError(f"classes do not describe {self._told(thing)}")
        alike = prod(factorial(word.count(each)) for each in set(word))
        if not len(words) == len(set(words.values())) == factorial(len(word)) // alike:
            raise NamesMatterError(f"classes do not describe {self._told(first)}")
        return words

    def _classes_in(self, thing: Thing) -> Word:
        """Nodes are of one class if to exchange them leaves the thing as it is."""
        classes = list(range(len(self._free)))
        for one, other in combinations(classes, 2):
            if classes[other] == other and self._exchanged(thing, one, other) == thing:
                classes[other] = classes[one]
        return tuple(classes)

    def _exchanged(self, thing: Thing, one: int, other: int) -> Thing:
        """The thing with two nodes exchanged, by way of those between them."""
        return self._image([*range(one, other), *reversed(range(one, other - 1))], thing)

    def _named_in(self, word: Word) -> int:
        """The one node that a message or fact names."""
        if len(set(word)) > 2:
            raise NamesMatterError("a message names two nodes that differ by their names alone")
        if len(word) == 2:
            return word.index(0)  # each is alone in its class: this one may as well be it
        return next((place for place, each in enumerate(word) if word.count(each) == 1), 0)

    def _demand_own_name_only(self, thing: Thing) -> None:
        place = self._free.index(thing[0])
        for exchange in self._of_nodes:
            if place not in (exchange, exchange + 1) and self._images[exchange][thing] != thing:
                raise NamesMatterError(f"{self._told(thing)} names another interchangeable node")

    def _told(self, thing: Thing) -> str:
        kind, number = thing
        if kind == BIT:
            return str(self._meanings[number])
        return f"a state of {self._table.node_ids[kind]}"

    # The one state.

    def canonical(self, state: int) -> int:
        """The state that stands for this one, and for all that differ from it by names alone."""
        rest = state & self._rest_mask
        if len(self._orders) == 1:
            return self._arranged(state, 0, rest)
        if not self._free:
            return min([self._renamed_rest(order, rest) for order in range(len(self._orders))])
        best = self._best.get(rest)
        if best is None:
            best = self._best[rest] = self._best_orders(rest)
        if len(best) == 1:
            return self._arranged(state, *best[0])
        return min([self._arranged(state, order, image) for order, image in best])

    def _arranged(self, state: int, order: int, rest: int) -> int:
        """The state with its values renamed in this order, and then its nodes put in theirs.

        `rest` is what belongs to no piece, with its values renamed already.
        """
        colours = self._colours[order]
        try:
            keys = [colours[i][state & mask] for i, mask in enumerate(self._piece_masks)]
        except KeyError:
            self._colour_pieces(order, state)
            return self._arranged(state, order, rest)
        for words, shift in self._words_at:
            word = words[rest >> shift & LOCAL_MASK]
            keys = [key | word[i] for i, key in enumerate(keys)]
        ordered = sorted(keys)
        if ordered == keys and order == 0:
            return state
        if ordered != keys:
            rest = self._in_order_of(ordered, rest)
        shift = self._colour_shift
        for placed, key in zip(self._placed, ordered):  # noqa: B905 - as many; this is the hot path
            rest |= placed[key >> shift]
        return rest

    def _in_order_of(self, keys: list[int], rest: int) -> int:
        """What belongs to no piece, with its classes in the order of the keys."""
        for node in self._fixed:
            shift, key_shift = self._table.shifts[node], self._key_shifts[node]
            index = rest >> shift & LOCAL_MASK
            word = tuple([key >> key_shift & CLASS_MASK for key in keys])
            rest += self._by_word[node][self._orbits[node][index], word] - index << shift
        return rest

    def _colour_pieces(self, order: int, state: int) -> None:
        """Note the colour of each piece of the state, its values renamed."""
        for place, mask in enumerate(self._piece_masks):
            piece, colours = state & mask, self._colours[order][place]
            if piece not in colours:
                colours[piece] = self._colour(order, place, piece)

    def _colour(self, order: int, place: int, piece: int) -> int:
        """What a piece would be if it were the first node's."""
        exchanges_ = [*self._orders[order], *reversed(range(place))]
        colour = self._image_of(piece, self._free[place : place + 1], exchanges_)
        for other, placed in enumerate(self._placed):
            if colour not in placed:
                placed[colour] = self._image_of(colour, self._free[:1], range(other))
        return colour << self._colour_shift

    def _best_orders(self, rest: int) -> list[tuple[int, int]]:
        """The renamings of values that come first for what belongs to no piece, and what it is."""
        images = [self._renamed_rest(order, rest) for order in range(len(self._orders))]
        ranks = [self._rank(image) for image in images]
        return [(i, image) for i, image in enumerate(images) if ranks[i] == min(ranks)]

    def _rank(self, rest: int) -> int:
        """The same number whatever the nodes' names."""
        for node in self._fixed:
            shift = self._table.shifts[node]
            index = rest >> shift & LOCAL_MASK
            rest += self._orbits[node][index] - index << shift
        return rest

    def _renamed_rest(self, order: int, rest: int) -> int:
        """What belongs to no piece, with its values renamed: looked up chunk by chunk."""
        chunks, at, image = self._chunks[order], 0, 0
        while rest:
            chunk = (at, rest & LOCAL_MASK)
            known = chunks.get(chunk)
            if known is None:
                nodes = [node for node in self._fixed if self._table.shifts[node] == at]
                known = self._image_of(chunk[1] << at, nodes, self._orders[order])
                chunks[chunk] = known
            image |= known
            rest >>= LOCAL_BITS
            at += LOCAL_BITS
        return image

    def _image_of(self, part: int, nodes: Iterable[int], exchanges_: Iterable[int]) -> int:
        """A part of a state, which holds the local states of these nodes, under other names."""
        table, path = self._table, list(exchanges_)
        counters = (1 << table.base) - 1 & ~((1 << table.shifts[-1] + LOCAL_BITS) - 1)
        image = part & counters
        for node in nodes:
            renamed, index = self._image(path, (node, part >> table.shifts[node] & LOCAL_MASK))
            image |= index << table.shifts[renamed]
        for bit in _bits(part >> table.base << table.base):
            image |= self._image(path, (BIT, bit))[1]
        return image

    def _image(self, path: Iterable[int], thing: Thing) -> Thing:
        for exchange in path:
            thing = self._images[exchange][thing]
        return thing

    def _all_orders(self, values: list[str]) -> list[Order]:
        """For each renaming of the values, exchanges that make it; the first makes none."""
        of_values = range(len(self._of_nodes), len(self._exchanges))
        orders: dict[tuple[str, ...], Order] = {tuple(values): ()}
        todo = [tuple(values)]
        for names in todo:
            for exchange in of_values:
                renamed = tuple(map(self._exchanges[exchange], names))
                if renamed not in orders:
                    orders[renamed] = (*orders[names], exchange)
                    todo.append(renamed)
        return list(orders.values())

    # Whether all this is so.

    def demand_no_flaw(self) -> None:
        """Raise `NamesMatterError` if something tells names apart that should be interchangeable.

        Every step that was asked for is taken again under other names, and must do the same under
        those names. So this shows that the states seen stand for all others, too. It takes no more
        of these steps than a search without symmetry would.
        """
        table = self._table
        todo = table.asked()
        seen = set(todo)
        while todo:
            asked = todo.pop()
            for exchange in range(len(self._exchanges)):
                image = self._renamed_question(exchange, asked)
                if self._answer(asked, [exchange]) != self._answer(image, []):
                    what = table.action(asked.action)
                    raise NamesMatterError(f"'{what}' does something else under other names")
                if image not in seen:
                    seen.add(image)
                    todo.append(image)

    def _renamed_question(self, exchange: int, asked: Question) -> Question:
        table = self._table
        node, local = self._images[exchange][asked.node, asked.local]
        action = self._exchanges[exchange](table.action(asked.action))
        return Question(node, local, table.number_of_action(action), asked.at_once)

    def _answer(self, asked: Question, path: list[int]) -> object:
        """What a step does, under other names."""
        result = self._table.answer(asked)
        if result is None:
            return None
        local = self._image(path, (asked.node, result.local))
        sent = self._image_of(result.sent, [], path)
        return local, sent, result.counted, result.is_unnoticed


def _bits(mask: int) -> Iterator[int]:
    while mask:
        bit = mask & -mask
        yield bit
        mask ^= bit
