"""What tests of preprocessors share."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal


def learned(model):
    """The names of what a fit leaves."""
    return {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}


def assert_same_attributes(ours, theirs):
    assert learned(ours) == learned(theirs)
    for name in learned(theirs):
        assert_same(getattr(ours, name), getattr(theirs, name), name)


def assert_same(got, wanted, name=""):
    if isinstance(wanted, (list, tuple)):
        assert len(got) == len(wanted), name
        for each, other in zip(got, wanted, strict=True):
            assert_same(each, other, name)
    elif hasattr(wanted, "get_params"):
        assert_same_attributes(got, wanted)
    elif getattr(wanted, "dtype", None) is not None and wanted.dtype.kind == "f":
        assert got.dtype == wanted.dtype, name
        assert_allclose(got, wanted, rtol=1e-12, err_msg=name)
    elif isinstance(wanted, np.ndarray) and wanted.dtype == object:
        assert got.dtype == object, name
        assert list(map(repr, got.tolist())) == list(map(repr, wanted.tolist())), name
    else:
        assert np.asarray(got).dtype == np.asarray(wanted).dtype, name
        assert_array_equal(got, wanted, err_msg=name)


def fingerprint(model):
    """What was learned, to the bit and by value: pickles tell which objects are the same."""
    return repr({name: _bits(getattr(model, name)) for name in sorted(learned(model))})


def _bits(value):
    if isinstance(value, (list, tuple)):
        return [_bits(each) for each in value]
    if isinstance(value, np.ndarray):
        data = value.tolist() if value.dtype == object else value.tobytes()
        return str(value.dtype), value.shape, data
    return value
