"""Ratings of items with features, some of them new."""

import numpy as np
import pandas as pd
import scipy.sparse as sp

N_USERS, N_ITEMS, N_NEW, D = 90, 40, 6, 5
RNG = np.random.default_rng(0)
ITEMS = np.array([f"item {i:02d}" for i in range(N_ITEMS + N_NEW)], dtype=object)
USERS = np.array([f"user {i:02d}" for i in range(N_USERS)], dtype=object)
FEATURES = pd.DataFrame(
    RNG.standard_normal((len(ITEMS), D)), index=ITEMS, columns=[f"f{j}" for j in range(D)]
)
PICKED = np.sort(RNG.permutation(N_USERS * N_ITEMS)[: N_USERS * 11])
RATINGS = pd.DataFrame(
    {
        "user": USERS[PICKED // N_ITEMS],
        "item": ITEMS[PICKED % N_ITEMS],
        "rating": RNG.integers(-2, 4, len(PICKED)).astype(float),
    }
)
MATRIX = sp.csr_array(
    (RATINGS.rating.to_numpy(), (PICKED // N_ITEMS, PICKED % N_ITEMS)), shape=(N_USERS, N_ITEMS)
)
SHUFFLED = RATINGS.sample(frac=1, random_state=0)
OLD = FEATURES.iloc[:N_ITEMS]
