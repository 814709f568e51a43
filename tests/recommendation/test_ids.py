"""Codes of ids, asked for by several threads at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from daskml_exec.recommendation._ids import codes_of, index_of

N_THREADS = 4


def test_threads_that_share_an_index_find_the_same_codes():
    ids = np.arange(100_000) * 3
    with ThreadPoolExecutor(N_THREADS) as pool:
        for _ in range(20):
            index, together = index_of(ids), threading.Barrier(N_THREADS)

            def codes(index=index, together=together):
                together.wait()
                return codes_of(index, ids[::7])

            for future in [pool.submit(codes) for _ in range(N_THREADS)]:
                assert (future.result(30) == np.arange(0, 100_000, 7)).all()
