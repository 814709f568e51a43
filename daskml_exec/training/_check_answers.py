"""Checks of a query's answers: pure, counted, the same from however tasks and rows are cut."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from daskml_exec.executor import (
    answer_and_carry,
    fold,
    fold_group,
    fold_siblings,
    gathers,
    takes_prepared,
)
from daskml_exec.partitions import Partition
from daskml_exec.training._payload import payload_nbytes
from daskml_exec.training._tree_bits import Scales, copied, first_difference


class AlgorithmError(AssertionError):
    """A mistake in an algorithm, which `check_algorithm` has found."""


@dataclass
class Cut:
    """The same rows, in so many partitions, with what these carry."""

    partitions: list[Partition]
    carries: list[Any] = field(init=False)
    untouched: list[Partition] = field(init=False)

    def __post_init__(self) -> None:
        self.carries = [None] * len(self.partitions)
        self.untouched = copied(self.partitions)

    def kept(self) -> dict[int, Any]:
        """Return what partitions keep, by index."""
        return {index: kept for index, kept in enumerate(self.carries) if kept is not None}

    def __str__(self) -> str:
        n = len(self.partitions)
        return f"{n} partition{'s' if n > 1 else ''}"


@dataclass
class Answers:
    """What the partitions of one cut answered in total, and what they will carry."""

    carries: list[Any]
    total: Any


@dataclass
class AnswerChecks:
    """Asks one query after another of the same rows in several cuts.

    Parameters
    ----------
    cuts : sequence of Cut
        The first has one partition; the last is the one whose answers are told.
    """

    cuts: Sequence[Cut]
    _scales: dict[type, Scales] = field(default_factory=dict)
    _chain: list[tuple[Any, Any]] = field(default_factory=list)

    def total(self, query: Any, where: str) -> Any:
        """Check the query, and return its total over the last cut."""
        name = f"{type(query).__name__}, {where}"
        self._check_travels(query, name)
        found: list[Answers] = []
        for cut in self.cuts:
            each, answers = self._asked(query, cut, name)
            found.append(answers)
            self._check_sums(query, each, found, name)
            del each  # which may be large
        told = found[-1]
        self._check_groups(query, told, name)
        if query.carries:
            self._chain.append((copied(query), copied(told.total)))
            for cut, answers in zip(self.cuts, found, strict=True):
                cut.carries = [None] * len(cut.partitions) if query.last else answers.carries
            if query.last:
                self.check_replay()
        return told.total

    def check_replay(self) -> None:
        """Drop what is carried, and ask all since nothing was carried once more."""
        chain, self._chain = self._chain, []
        partitions = copied(self.cuts[-1].untouched)
        carries: list[Any] = [None] * len(partitions)
        for query, total in chain:
            nodes, kept = _folded(copied(query), [range(len(partitions))], partitions, carries)
            carries = [kept.get(index) for index in range(len(partitions))]
            (again,) = nodes.values()
            if (difference := first_difference(total, again)) is not None:
                raise AlgorithmError(
                    f"{type(query).__name__}: what partitions carried was needed, and is not had "
                    "again by asking the same queries since nothing was carried: the totals have "
                    f"{difference}. A lost Worker would change the result; return all that a later "
                    "query needs as the carry, and keep nothing anywhere else"
                )

    def _check_travels(self, query: Any, name: str) -> None:
        _demand_same(query, copied(query), f"{name}: the query does not survive pickling")
        _count(query, f"{name}: the query")

    def _asked(self, query: Any, cut: Cut, name: str) -> tuple[list[Any], Answers]:
        with _in_round(f"prepare of {name}"):
            prepared = query.prepare(cut.kept()) if gathers(query) else query.prepare()
        shared = (prepared,) if takes_prepared(type(query)) else ()
        each: list[Any] = []
        carries: list[Any] = []
        for index in range(len(cut.partitions)):
            answer, carry = _partial(query, cut, index, shared, name)
            each.append(answer)
            carries.append(carry)
        return each, Answers(carries, fold(each, _checked_combine(query, name)))

    def _check_sums(self, query: Any, each: list[Any], found: Sequence[Answers], name: str) -> None:
        """Compare the newest total with that of one partition, which it has to be."""
        scales = self._scales.setdefault(type(query), Scales(self.cuts[0].partitions[0].X.dtype))
        whole, newest = found[0].total, found[-1].total
        scales.take_in(each)
        cut = self.cuts[len(found) - 1]
        for partition, answer in zip(cut.partitions, each, strict=True):
            if not partition.X.shape[0]:
                for pair in ((whole, answer), (answer, whole)):
                    difference = scales.difference(whole, query.combine(*map(copied, pair)))
                    if difference is not None:
                        raise AlgorithmError(
                            f"{name}: an empty partition is not neutral. Its answer changes that "
                            f"of all rows: {difference}. Return zeros, of the usual shapes, where "
                            "there are no rows"
                        )
        difference = None if newest is whole else scales.difference(whole, newest)
        if difference is None:
            return
        numbers = f"all rows in one partition and in {cut} have {difference}"
        if len(each) > 2 and (order := _order(query, each, scales)) is not None:
            raise AlgorithmError(
                f"{name}: combine depends on the order in which it is called: (a, b), c and "
                f"a, (b, c) have {order}; {numbers}. Add what `partial` returns, and let the "
                "weights be part of it"
            )
        raise AlgorithmError(
            f"{name}: the answers are not sums over rows: {numbers}. Return sums with weights, not "
            "means, from `partial`, such as the sum of w * x and that of w, and divide in `tell`"
        )

    def _check_groups(self, query: Any, told: Answers, name: str) -> None:
        """Let tasks serve the partitions in other ways, as on other numbers of Workers."""
        cut = self.cuts[-1]
        for groups in _groupings(len(cut.partitions)):
            # As on Workers: of all there is a copy.
            query_there, partitions, carries = copied((query, cut.untouched, cut.carries))
            with _mistake(
                f"{name}: asked of copies of the rows, as another Worker has them, partial fails. "
                "It needs something that is not in its arguments, or that a copy has not "
            ):
                nodes, _ = _folded(query_there, groups, partitions, carries)
            (total,) = nodes.values()
            difference = first_difference(told.total, total)
            if difference is not None:
                raise AlgorithmError(
                    f"{name}: the bits depend on which task answers for which partition: with "
                    f"tasks for {groups} they are others: {difference}. `prepare`, `partial` and "
                    "`combine` must depend on nothing but their arguments, which travel, and "
                    "change nothing"
                )


def _partial(
    query: Any, cut: Cut, index: int, shared: tuple[Any, ...], name: str
) -> tuple[Any, Any]:
    partition, carry_given = cut.partitions[index], cut.carries[index]
    given = (carry_given, *shared) if query.carries else shared
    query_before, carry_before = copied((query, carry_given))
    with _explained(query, cut, index, name):
        found = query.partial(partition, *given)
    answer, carry = _answer_and_carry(query, found, name)
    kept = copied_or_mistake(found, name)
    _count(answer, f"{name}: the answer")
    _count(carry, f"{name}: the carry")
    for what, now, earlier in (
        ("the partition", partition, cut.untouched[index]),
        ("the query", query, query_before),
        ("the carry, in place", carry_given, carry_before),
    ):
        _demand_same(earlier, now, f"{name}: partial is not pure: it changes {what}")
    again = query.partial(partition, *given)
    _demand_same(
        kept, again, f"{name}: partial is not pure: asked twice of one partition, it returns"
    )
    _demand_same(
        kept, found, f"{name}: partial is not pure: a second call changes what the first returned"
    )
    return answer, carry


def _answer_and_carry(query: Any, found: Any, name: str) -> tuple[Any, Any]:
    try:
        return answer_and_carry(query, found)
    except TypeError as error:
        raise AlgorithmError(f"{name}: {error}") from error


def copied_or_mistake(found: Any, name: str) -> Any:
    """Return a copy of an answer."""
    with _mistake(f"{name}: the answer cannot be pickled; return arrays and scalars "):
        return copied(found)


def _checked_combine(query: Any, name: str) -> Callable[[Any, Any], Any]:
    def combine(left: Any, right: Any) -> Any:
        before = copied((left, right))
        try:
            total = query.combine(left, right)
        except (TypeError, ValueError) as error:
            raise AlgorithmError(
                f"{name}: answers cannot be added, {_kind(left)} and {_kind(right)}: {error}. "
                "Answers are sums over the rows, of the same shape for any number of rows: return "
                "arrays or numbers, or define `combine`"
            ) from error
        kept = copied(total)
        _demand_same(before, (left, right), f"{name}: combine changes its arguments")
        again = query.combine(left, right)
        _demand_same(
            kept,
            again,
            f"{name}: combine depends on the order in which it is called: twice the "
            "same arguments give",
        )
        return total

    return combine


def _order(query: Any, answers: Sequence[Any], scales: Scales) -> str | None:
    a, b, c = copied(answers[:3])
    left = query.combine(query.combine(a, b), c)
    a, b, c = copied(answers[:3])
    return scales.difference(left, query.combine(a, query.combine(b, c)))


def _folded(
    query: Any,
    groups: Sequence[Sequence[int]],
    partitions: Sequence[Partition],
    carries: Sequence[Any],
) -> tuple[dict[Any, Any], dict[int, Any]]:
    nodes: dict[Any, Any] = {}
    kept: dict[int, Any] = {}
    n = len(partitions)
    held = {index: carry for index, carry in enumerate(carries) if carry is not None}
    for group in groups:
        pieces = [partitions[index] for index in group]
        found = fold_group(query, list(group), pieces, n, payload_nbytes, held)
        nodes |= found.nodes
        kept |= found.carries
    return fold_siblings(nodes, n, query.combine), kept


def _groupings(n: int) -> Iterator[list[list[int]]]:
    every = list(range(n))
    yield [every]
    if n > 1:
        yield [[index] for index in every]
        yield [every[1::2], every[::2]]
        yield [every[: n // 3 + 1], every[n // 3 + 1 :][::-1]]


def _kind(answer: Any) -> str:
    shape = getattr(answer, "shape", None)
    return f"a {type(answer).__name__}" + (f" of shape {shape}" if shape is not None else "")


@contextmanager
def _mistake(what: str) -> Iterator[None]:
    """Say what cannot be done, and how it failed."""
    try:
        yield
    except Exception as error:
        raise AlgorithmError(f"{what}({type(error).__name__}: {error})") from error


@contextmanager
def _in_round(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"in {what}")
        raise


@contextmanager
def _explained(query: Any, cut: Cut, index: int, name: str) -> Iterator[None]:
    partition = cut.partitions[index]
    try:
        with _in_round(f"partial of {name}, partition {index} of {cut}"):
            yield
    except Exception as error:
        if not partition.X.shape[0]:
            raise AlgorithmError(
                f"{name}: partial fails on an empty partition ({type(error).__name__}: {error}). "
                "Return zeros, of the usual shapes, where there are no rows"
            ) from error
        if query.carries and cut.carries[index] is None:
            raise AlgorithmError(
                f"{name}: partial fails where nothing is carried ({type(error).__name__}: "
                f"{error}). The carry is None in the first round, and after a query that is "
                "`last`; let a query be `last` only where no later one needs what was carried"
            ) from error
        raise


def _count(value: Any, what: str) -> None:
    with _mistake(f"{what} cannot be counted; it must be of arrays and scalars "):
        payload_nbytes(value)


def _demand_same(expected: Any, found: Any, what: str) -> None:
    if (difference := first_difference(expected, found)) is not None:
        raise AlgorithmError(f"{what} ({difference})")
