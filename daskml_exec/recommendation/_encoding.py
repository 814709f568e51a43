"""How interactions are read: by which columns, and what becomes of pairs that come again."""

from dataclasses import dataclass
from typing import Any

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.factors.pairs import Duplicates, SortedPairs, sorted_pairs
from daskml_exec.recommendation._ids import some
from daskml_exec.recommendation._triples import Columns


@dataclass(frozen=True)
class Encoding:
    """How a model reads interactions.

    Attributes
    ----------
    columns : Columns
    duplicates : {"sum", "mean", "last"}
    repeats : bool
        Whether a pair may come several times at all.
    zeros : bool
        Whether ratings of zero are kept.
    dtype : numpy.dtype
    """

    columns: Columns
    duplicates: Duplicates
    repeats: bool
    zeros: bool
    dtype: Any

    def pairs(
        self, user: Array, item: Array, rating: Array, users: Array, items: Array
    ) -> SortedPairs:
        """Return the distinct pairs by users.

        Parameters
        ----------
        user, item : ndarray of shape (n,)
            Codes.
        rating : ndarray of shape (n,)
        users, items : ndarray
            The ids that codes stand for.

        Raises
        ------
        ValueError
            A pair comes several times, and must not.
        """
        made = sorted_pairs(
            user,
            item,
            rating.astype(self.dtype, copy=False),
            (len(users), len(items)),
            duplicates=self.duplicates,
            zeros=self.zeros,
        )
        self.require_once(made.n_repeated, made.repeated, users, items)
        return made

    def require_once(
        self, n: int, first: tuple[int, int] | None, users: Array, items: Array
    ) -> None:
        """Raise ValueError where n pairs came before, of which the first is given, and must not."""
        if first is None or self.repeats:
            return
        user, item = (some(ids[at : at + 1]) for ids, at in zip((users, items), first, strict=True))
        raise ValueError(
            f"{n:,} rows of interactions are of pairs of a user and an item that came before, the "
            f"first of user {user} and item {item}; with explicit feedback allowed are "
            "duplicates='mean' and 'last', and pairs that come once"
        )
