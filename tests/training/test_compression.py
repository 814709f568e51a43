"""What codecs lose stays within the stated bounds, and error feedback loses nothing for good."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from daskml_exec.training._payload import payload_nbytes
from daskml_exec.training.compression import WholeChange, codec_named, compressed
from daskml_exec.training.compression._half import HalfPrecision
from daskml_exec.training.compression._top_k import TopK, index_dtype

DTYPES = [np.float32, np.float64]
SPECS = ["fp16", "topk:0.01", "topk:0.3", "topk:1"]
lengths = st.integers(1, 300)
shares = st.floats(0, 1, exclude_min=True)


@st.composite
def changes(draw, dtypes=DTYPES):
    """Any finite numbers; many ties; or magnitudes all over the range of the dtype."""
    dtype, length = draw(st.sampled_from(dtypes)), draw(lengths)
    kind = draw(st.sampled_from(["any", "ties", "magnitudes"]))
    if kind == "magnitudes":
        info = np.finfo(dtype)
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        top = draw(st.integers(info.minexp, info.maxexp))
        spread = draw(st.integers(0, 60))
        exponents = rng.integers(top - spread, top, length, endpoint=True)
        return np.ldexp(rng.uniform(-1, 1, length).astype(dtype), exponents)
    numbers = st.floats(width=np.dtype(dtype).itemsize * 8, allow_nan=False, allow_infinity=False)
    if kind == "ties":
        few = draw(st.lists(numbers, min_size=1, max_size=3))
        numbers = st.sampled_from([0.0, *few, *(-number for number in few)])
    return draw(hnp.arrays(dtype, length, elements=numbers))


def normalised(change, received):
    """Divide the change and its loss by the largest magnitude, so that squares do not overflow."""
    largest = np.abs(change).max() or change.dtype.type(1)
    return (np.float64(change) / largest, (np.float64(change) - received) / largest)


def assert_half_bound(change):
    codec = HalfPrecision()
    received = codec.decode(codec.encode(change))
    floor = 2.0**-1047 if change.dtype == np.float64 else 0.0
    x = np.float64(change)
    # Multiplied by 2**11: the bound itself may be below the smallest number.
    bound = np.maximum(np.abs(x), 2.0**-29 * np.abs(x).max())
    assert np.all(2.0**11 * np.abs(x - received) <= np.maximum(bound, 2.0**11 * floor))


@given(change=changes())
def test_half_precision_loses_no_more_than_stated(change):
    assert_half_bound(change)


@pytest.mark.parametrize("dtype", DTYPES)
def test_half_precision_at_the_ends_of_the_range(dtype):
    info = np.finfo(dtype)
    below = [np.nextafter(dtype(2.0**power), dtype(0)) for power in (-20, 0, 1, 16)]
    for top in [info.max, -info.max, info.tiny, info.smallest_subnormal, *below]:
        assert_half_bound(np.array([top, top / 3, -top * 2.0**-30, top * 2.0**-39, 0], dtype))
        assert_half_bound(np.array([top], dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_half_precision_keeps_the_steps_that_it_has(dtype):
    # 2**15 is what 1 is scaled to, and 2**-24 the smallest number.
    change = np.array([1, 2.0**-39, -(2.0**-29), 1 + 2.0**-10, 0], dtype)
    codec = HalfPrecision()
    assert np.array_equal(codec.decode(codec.encode(change)), change)


@given(change=changes(), share=shares)
def test_top_k_loses_no_more_than_stated(change, share):
    codec = TopK(share)
    encoded = codec.encode(change)
    received = codec.decode(encoded)
    n, k = len(change), max(1, round(share * len(change)))
    assert len(encoded.indices) == len(encoded.values) == k
    x, lost = normalised(change, received)
    assert lost @ lost <= (1 - k / n) * (x @ x) * (1 + 1e-12)


@given(change=changes(), share=shares)
def test_top_k_keeps_the_largest_and_of_equals_the_first(change, share):
    codec = TopK(share)
    encoded = codec.encode(change)
    first = np.argsort(-np.abs(change), kind="stable")[: len(encoded.indices)]
    assert np.array_equal(encoded.indices, np.sort(first))
    assert np.array_equal(encoded.values, change[encoded.indices])
    received = codec.decode(encoded)
    assert np.count_nonzero(received) == np.count_nonzero(encoded.values)


@pytest.mark.parametrize("spec", SPECS)
@given(change=changes())
def test_relative_error_bounds_the_norm_of_the_loss(spec, change):
    if 0 < np.abs(change).max() < 1e-300:
        return  # where half precision has its floor
    codec = codec_named(spec)
    x, lost = normalised(change, codec.decode(codec.encode(change)))
    assert np.linalg.norm(lost) <= codec.relative_error(len(x)) * np.linalg.norm(x) * (1 + 1e-12)


@pytest.mark.parametrize("spec", SPECS)
@given(change=changes())
def test_what_comes_back_is_like_what_was_sent(spec, change):
    codec, before = codec_named(spec), change.copy()
    encoded = codec.encode(change)
    received = codec.decode(pickle.loads(pickle.dumps(encoded)))
    assert (received.shape, received.dtype) == (change.shape, change.dtype)
    assert np.array_equal(change, before)
    assert not np.shares_memory(received, change)
    assert np.array_equal(received, codec.decode(codec.encode(change)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_payload(dtype):
    change = np.ones(1000, dtype)
    itemsize = change.itemsize
    assert payload_nbytes(HalfPrecision().encode(change)) == 2 * 1000 + 8
    assert payload_nbytes(TopK(0.01).encode(change)) == 10 * (4 + itemsize) + 8
    assert payload_nbytes(TopK(1e-9).encode(change)) == 1 * (4 + itemsize) + 8


def test_indices_are_as_short_as_the_change_allows():
    assert index_dtype(1) is index_dtype(2**31) is np.int32
    assert index_dtype(2**31 + 1) is np.int64
    assert np.iinfo(np.int32).max == 2**31 - 1


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data(), length=lengths, rounds=st.integers(1, 6))
def test_messages_and_the_last_residual_sum_to_the_changes(spec, dtype, data, length, rounds):
    seed = data.draw(st.integers(0, 2**32))
    # Of these whole numbers, all sums are exact.
    sent = np.random.default_rng(seed).integers(-9999, 9999, (rounds, length)).astype(dtype)
    codec, received, residual = codec_named(spec), np.zeros(length, dtype), None
    for change in sent:
        encoded, residual = compressed(codec, change, residual)
        received += codec.decode(encoded)
    assert residual.dtype == dtype
    assert np.array_equal(received + residual, sent.sum(axis=0))


@pytest.mark.parametrize("spec", SPECS)
@given(change=changes())
def test_the_residual_is_the_loss_without_rounding(spec, change):
    codec = codec_named(spec)
    # Halves, so that their sum is finite.
    first, second = change / 2, change[::-1] / 2
    encoded, residual = compressed(codec, first, second)
    # Of two sums of floating-point numbers the exact one is that of which nothing is left over.
    assert np.array_equal(codec.decode(encoded) + residual, first + second)
    assert np.array_equal((first + second) - residual, codec.decode(encoded))


@pytest.mark.parametrize("spec", SPECS)
def test_feedback_leaves_its_arguments_alone(spec):
    change, residual = np.linspace(-1, 1, 50), np.linspace(3, 0, 50)
    compressed(codec_named(spec), change, residual)
    compressed(codec_named(spec), change, None)
    assert np.array_equal(change, np.linspace(-1, 1, 50))
    assert np.array_equal(residual, np.linspace(3, 0, 50))


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [[np.nan], [np.nan] * 40, [np.inf], [np.nan, -np.inf]])
def test_what_is_not_finite_is_not_hidden(spec, dtype, bad):
    change = np.concatenate([np.full(100, 1e30, dtype), bad]).astype(dtype)
    codec = codec_named(spec)
    received = codec.decode(codec.encode(change))
    assert not np.isfinite(received).all()
    assert np.isnan(received).any() or not np.isnan(change).any()


@pytest.mark.parametrize("spec", ["fp16", "topk:0.01", "topk:1", "topk:1e-3", "topk:1.0"])
def test_codecs_are_values(spec):
    codec = codec_named(spec)
    assert codec == codec_named(spec) == codec_named(codec.name)
    assert codec == pickle.loads(pickle.dumps(codec))
    assert len({codec, codec_named(spec)}) == 1
    assert codec != codec_named("topk:0.5")


@given(change=changes())
def test_whole_changes_are_what_was_sent(change):
    codec = WholeChange()
    encoded, residual = compressed(codec, change, None)
    assert encoded is change and residual is None
    assert payload_nbytes(encoded) == change.nbytes
    received = codec.decode(pickle.loads(pickle.dumps(encoded)))
    assert received.dtype == change.dtype and received.tobytes() == change.tobytes()
    assert not np.shares_memory(codec.decode(encoded), change)


def test_users_cannot_ask_for_whole_changes():
    assert codec_named(None) is None
    with pytest.raises(ValueError, match="'whole' is not supported"):
        codec_named(WholeChange().name)


def test_without_compression_there_is_no_codec():
    assert codec_named(None) is None


@pytest.mark.parametrize(
    "spec",
    [
        *("", "FP16", "fp16:1", "float16", "topk", "topk:", "topk:a", "topk:0", "topk:1.01"),
        *("topk:-0.1", "topk:nan", "topk:inf", "topk:1e-400", "topk:0.1:0.2", "top:0.1"),
        *(0.01, 0, False, True, b"fp16", ("topk", 0.1), np.array(["fp16", "fp16"]), TopK(0.1)),
    ],
    ids=repr,
)
def test_other_specifications_are_refused(spec):
    with pytest.raises(ValueError) as refusal:
        codec_named(spec)
    assert str(refusal.value) == (
        f"compression={spec!r} is not supported: give None, 'fp16', or 'topk:SHARE' with "
        "0 < SHARE <= 1"
    )
