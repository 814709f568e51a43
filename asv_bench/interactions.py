"""Who took what, how often: seeded interactions with the shape of real ones.

Activity of users is log-normal, popularity of items falls like Zipf's law, and tastes are of low
rank: every item belongs more to some topics than to others, every user mixes a few topics, and an
item is drawn by way of a topic. So a model that learns tastes ranks better than popularity does.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp

TOPICS = 40
SPREAD = 1.0  # of the logarithm of users' activity
EXPONENT = 0.8  # of popularity by rank


def interactions(
    n_users: int = 100_000, n_items: int = 20_000, n_entries: int = 4_500_000, seed: int = 0
) -> sp.csr_array:
    """Return counts from 1 in float32 by user and item, about `n_entries` of them.

    Indices are sorted and unique in each row, and int32; `indptr` is int64. Every user has an entry
    at least, and a quarter of all items at most; items may have none. The numbers of users and
    items say nothing about activity, popularity or taste.
    """
    rng = np.random.default_rng(seed)
    counts = _activity(rng, n_users, n_items, n_entries)
    thresholds = _topics(rng, n_items)
    mixtures = np.cumsum(rng.dirichlet(np.full(TOPICS, 0.1), n_users), axis=1)
    keys = np.empty(0, np.int64)
    while True:
        have = np.bincount(keys // n_items, minlength=n_users)
        missing = np.where(have < counts, (counts - have) * 5 // 4 + 1, 0)
        if not missing.any():
            break
        drawn = _drawn(rng, np.repeat(np.arange(n_users), missing), mixtures, thresholds)
        keys = np.concatenate([keys, drawn])
        # Those of a user beyond his count go, those drawn later first: early ones are popular.
        _, first = np.unique(keys, return_index=True)
        keys = keys[np.sort(first)]
        keys = keys[np.argsort(keys // n_items, kind="stable")]
        users = keys // n_items
        starts = np.searchsorted(users, np.arange(n_users))
        keys = keys[np.arange(len(keys)) - starts[users] < counts[users]]
    keys.sort()
    indptr = np.concatenate([[0], np.cumsum(counts)])
    values = rng.geometric(0.6, len(keys)).astype(np.float32)
    matrix = sp.csr_array((n_users, n_items), dtype=np.float32)
    matrix.data, matrix.indices, matrix.indptr = values, (keys % n_items).astype(np.int32), indptr
    return matrix


def transposed(matrix: sp.csr_array) -> sp.csr_array:
    """Return the same by item, as `interactions` returns it by user."""
    other = matrix.T.tocsr()
    other.sort_indices()
    other.indices, other.indptr = other.indices.astype(np.int32), other.indptr.astype(np.int64)
    return other


def _activity(rng: Any, n_users: int, n_items: int, n_entries: int) -> Any:
    wanted = rng.lognormal(0.0, SPREAD, n_users)
    return np.clip(np.round(wanted * (n_entries / wanted.sum())), 1, n_items // 4).astype(np.int64)


def _topics(rng: Any, n_items: int) -> Any:
    """Return for each topic the cumulated chances of items, shifted by its number."""
    popularity = (10.0 + rng.permutation(n_items)) ** -EXPONENT
    belongs = np.exp(1.5 * rng.normal(size=(TOPICS, n_items)))
    chances = np.cumsum(popularity * belongs, axis=1)
    return (chances / chances[:, -1:] + np.arange(TOPICS)[:, None]).ravel()


def _drawn(rng: Any, users: Any, mixtures: Any, thresholds: Any) -> Any:
    """Return keys, user by number of items plus item, one for each user given."""
    n_items = len(thresholds) // TOPICS
    topic = np.empty(len(users), np.int64)
    chance = rng.random(len(users))
    for begin in range(0, len(users), 500_000):  # a table of all draws by topics would be large
        part = slice(begin, begin + 500_000)
        topic[part] = (mixtures[users[part]] < chance[part, None]).sum(axis=1)
    topic = np.minimum(topic, TOPICS - 1)
    place = np.searchsorted(thresholds, topic + rng.random(len(users)), side="right")
    return users * n_items + np.clip(place - topic * n_items, 0, n_items - 1)
