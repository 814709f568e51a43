"""Whoever owns which block, sums have the bits of the fixed tree and collections are whole."""

from functools import cache
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec.executor.peers import BlockExchange
from daskml_exec.kernels.fixed_tree import fold
from daskml_exec.kernels.networks.blocks.partial_sums import n_buffers, partial_sums
from tests.executor.peers.threads import Members, at_once

N_UNITS, N_ROWS = 13, 3


@st.composite
def owners(draw):
    """Per block, its owner: consecutive blocks each, and perhaps members without any."""
    shares = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    return [owner for owner, n in enumerate(shares) for _ in range(n)][:N_UNITS]


def cuts(n_blocks):
    bounds = [block * N_UNITS // n_blocks for block in range(n_blocks + 1)]
    return [slice(a, b) for a, b in pairwise(bounds)]


@cache
def partials(n_blocks):
    """What each block adds: numbers of very different size, so that the order shows."""
    rng = np.random.default_rng(n_blocks)
    scales = 10.0 ** rng.integers(-8, 8, (n_blocks, N_UNITS, N_ROWS))
    return rng.standard_normal((n_blocks, N_UNITS, N_ROWS)) * scales


def blocks_of(owners, index):
    return [block for block, owner in enumerate(owners) if owner == index]


def own_sums(owners, index):
    """The partial sums of a worker, as the kernels make them."""
    n, mine = len(owners), blocks_of(owners, index)
    buffers = [np.empty((N_UNITS, N_ROWS)) for _ in range(n_buffers(mine, n))]
    return partial_sums(mine, n, lambda b, out: np.copyto(out, partials(n)[b]), buffers)


def members_of(owners, spare):
    return Members([f"w{index}" for index in range(max(owners) + 1 + spare)])


def with_blocks(members, owners):
    return [peer for peer in members.peers() if peer.index in owners]


@settings(max_examples=25)
@given(owners(), st.integers(0, 1))
def test_sums_to_the_owners(owners, spare):
    n = len(owners)
    expected, members = fold(list(partials(n)), np.add), members_of(owners, spare)

    def work(peer):
        exchange = BlockExchange(peer, owners, (0,))
        cut = cuts(n)
        out = {
            b: np.full((cut[b].stop - cut[b].start, N_ROWS), np.nan)
            for b in blocks_of(owners, peer.index)
        }
        exchange.sum_to_owners((0, "s"), own_sums(owners, peer.index), cut, out)()
        return out

    found = {}
    for out in at_once(with_blocks(members, owners), work):
        found |= out
    assert np.concatenate([found[b] for b in range(n)]).tobytes() == expected.tobytes()
    assert members.left() == 0


@settings(max_examples=25)
@given(owners(), st.integers(0, 1))
def test_sums_everywhere(owners, spare):
    expected, members = fold(list(partials(len(owners))), np.add), members_of(owners, spare)

    def work(peer):
        out = np.full((N_UNITS, N_ROWS), np.nan)
        sums = own_sums(owners, peer.index)
        BlockExchange(peer, owners, (0,)).sum_everywhere((0, "e"), sums, out)()
        return out.tobytes()

    assert set(at_once(with_blocks(members, owners), work)) == {expected.tobytes()}
    assert members.left() == 0


@settings(max_examples=25)
@given(owners(), st.integers(0, 1), st.booleans())
def test_collections(owners, spare, in_place):
    n = len(owners)
    whole = np.random.default_rng(n).standard_normal((N_UNITS, N_ROWS))
    members = members_of(owners, spare)

    def work(peer):
        out = np.full_like(whole, np.nan)
        slices = {}
        for block in blocks_of(owners, peer.index):
            slices[block] = out[cuts(n)[block]] if in_place else whole[cuts(n)[block]].copy()
            slices[block][:] = whole[cuts(n)[block]]
        BlockExchange(peer, owners, (0,)).gather((0, "g"), slices, cuts(n), out)()
        return out.tobytes()

    assert set(at_once(with_blocks(members, owners), work)) == {whole.tobytes()}
    assert members.left() == 0


def test_exchanges_of_several_steps_may_be_under_way():
    """Who is ahead waits for nothing but the answers; names and tags tell exchanges apart."""
    owners = [0, 1, 1]
    members = members_of(owners, 0)

    def work(peer):
        sums, totals, waits = own_sums(owners, peer.index), [], []
        for name in (0, 1):
            for step in range(3):
                totals.append(np.empty((N_UNITS, N_ROWS)))
                scaled = {node: array * (1 + name + step) for node, array in sums.items()}
                exchange = BlockExchange(peer, owners, (name,))
                waits.append(exchange.sum_everywhere((step, "e"), scaled, totals[-1]))
        for wait in reversed(waits):
            wait()
        return totals

    expected = fold(list(partials(3)), np.add)
    for totals in at_once(members.peers(), work):
        factors = [1, 2, 3, 2, 3, 4]
        for total, factor in zip(totals, factors, strict=True):
            np.testing.assert_allclose(total, expected * factor, rtol=1e-12)
    assert members.left() == 0
