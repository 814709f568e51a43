"""Codecs by the names that users give."""

from typing import Any

from daskml_exec.training.compression._codec import Codec
from daskml_exec.training.compression._half import HalfPrecision
from daskml_exec.training.compression._top_k import TopK


def codec_named(spec: Any) -> Codec | None:
    """Return the codec that a user's `compression` argument asks for.

    Parameters
    ----------
    spec : None, "fp16" or "topk:SHARE"
        None sends changes as they are. "fp16" sends them in half precision. "topk:0.01" sends the
        hundredth of the entries that is largest in magnitude; the share is above 0 and at most 1.

    Raises
    ------
    ValueError
        If it is anything else.

    Examples
    --------
    >>> codec_named("topk:0.01")
    TopK(share=0.01)
    >>> codec_named("fp16").name
    'fp16'
    >>> codec_named(None) is None
    True
    """
    if spec is None:
        return None
    if isinstance(spec, str):
        if spec == "fp16":
            return HalfPrecision()
        kind, _, number = spec.partition(":")
        share = _number(number)
        if kind == "topk" and share is not None and 0 < share <= 1:
            return TopK(share)
    raise ValueError(
        f"compression={spec!r} is not supported: give None, 'fp16', or 'topk:SHARE' with "
        "0 < SHARE <= 1"
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
