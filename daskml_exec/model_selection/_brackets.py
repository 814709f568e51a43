"""Plans of successive halving: how many candidates are trained to how many epochs, rung by rung."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bracket:
    """Candidates that compete: rung by rung the best go on.

    Attributes
    ----------
    number : int
        As in Hyperband: rungs beyond the first.
    sizes : tuple of int
        Candidates of each rung, at most.
    epochs : tuple of int
        To which each rung trains, from the begin.
    """

    number: int
    sizes: tuple[int, ...]
    epochs: tuple[int, ...]

    @property
    def n_epochs(self) -> int:
        """Epochs of all candidates together, where none fails."""
        before = (0, *self.epochs)
        return sum(
            size * (after - before[rung])
            for rung, (size, after) in enumerate(zip(self.sizes, self.epochs, strict=True))
        )


def bracket(number: int, n_candidates: int, max_epochs: int, factor: int) -> Bracket:
    """Return the bracket of so many candidates that has `number` rungs beyond the first.

    Examples
    --------
    >>> bracket(2, 9, 27, 3)
    Bracket(number=2, sizes=(9, 3, 1), epochs=(3, 9, 27))
    >>> bracket(2, 4, 27, 3).sizes
    (4, 1, 1)
    """
    sizes = [n_candidates]
    while len(sizes) <= number:
        sizes.append(max(1, sizes[-1] // factor))
    epochs = [max_epochs // factor ** (number - rung) for rung in range(number + 1)]
    return Bracket(number, tuple(sizes), tuple(epochs))


def most_rungs(min_epochs: int, max_epochs: int, factor: int) -> int:
    """Return how many rungs there can be beyond the first, which has `min_epochs` at least.

    Examples
    --------
    >>> most_rungs(1, 27, 3), most_rungs(2, 27, 3), most_rungs(5, 5, 3)
    (3, 2, 0)
    """
    number = 0
    while max_epochs // factor ** (number + 1) >= min_epochs:
        number += 1
    return number


def halving(
    n_candidates: int | None, min_epochs: int, max_epochs: int, factor: int
) -> list[Bracket]:
    """Return the one bracket of successive halving.

    Parameters
    ----------
    n_candidates : int or None
        None for as many as leave one for the last rung.
    min_epochs, max_epochs, factor : int

    Examples
    --------
    >>> halving(None, 1, 9, 3)
    [Bracket(number=2, sizes=(9, 3, 1), epochs=(1, 3, 9))]
    """
    number = most_rungs(min_epochs, max_epochs, factor)
    n = factor**number if n_candidates is None else n_candidates
    return [bracket(number, n, max_epochs, factor)]


def hyperband(min_epochs: int, max_epochs: int, factor: int) -> list[Bracket]:
    """Return the brackets of Hyperband, that of most candidates first.

    Source: Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar (2018), Hyperband: a novel
    bandit-based approach to hyperparameter optimization, JMLR 18, algorithm 1.

    Examples
    --------
    >>> for each in hyperband(1, 9, 3):
    ...     print(each.sizes, each.epochs, each.n_epochs)
    (9, 3, 1) (1, 3, 9) 21
    (5, 1) (3, 9) 21
    (3,) (9,) 27
    """
    most = most_rungs(min_epochs, max_epochs, factor)
    return [
        bracket(number, -(-(most + 1) * factor**number // (number + 1)), max_epochs, factor)
        for number in range(most, -1, -1)
    ]
