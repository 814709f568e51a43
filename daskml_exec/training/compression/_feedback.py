"""Error feedback: what a message loses is added to the next one."""

from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.training.compression._codec import Codec
from daskml_exec.training.compression._whole import WholeChange


def compressed(codec: Codec, change: Array, residual: Array | None) -> tuple[Any, Array | None]:
    r"""Encode a change together with what earlier messages have lost.

    With C for encoding and decoding again, :math:`x_t` for the changes and :math:`e_0 = 0`, the
    message is that of :math:`x_t + e_t`, and the next residual is

    .. math:: e_{t+1} = x_t + e_t - C(x_t + e_t)

    Summed over t, the residuals cancel but for the last:

    .. math:: \sum_{t < T} C(x_t + e_t) + e_T = \sum_{t < T} x_t

    The receiver thus lags behind the sender by one residual, however many messages there were.
    The difference loses nothing to rounding with the codecs of this package; only the sum
    :math:`x_t + e_t` does, as any sum.

    Every sender has a residual of its own, and nobody else needs it. Where the driver compresses
    what it sends out, it is a sender too.

    Source: Seide, Fu, Droppo, Li and Yu (2014), 1-bit stochastic gradient descent and its
    application to data-parallel distributed training of speech DNNs, Interspeech;
    Karimireddy, Rebjock, Stich and Jaggi (2019), Error feedback fixes SignSGD and other gradient
    compression schemes, ICML, algorithm 2. At both ends: Tang, Lian, Yu, Zhang and Liu (2019),
    DoubleSqueeze, ICML.

    Parameters
    ----------
    codec : Codec
        How to encode.
    change : ndarray of shape (n_parameters,)
        What to send.
    residual : ndarray of shape (n_parameters,) or None
        What the message before this one has lost; None if this is the first.

    Returns
    -------
    encoded : dataclass or ndarray
        The message, for ``codec.decode``.
    residual : ndarray of shape (n_parameters,) or None
        What it has lost, for the next call; None of a whole change.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.training.compression import codec_named
    >>> codec = codec_named("topk:0.5")
    >>> encoded, residual = compressed(codec, np.array([3.0, 2.0]), None)
    >>> codec.decode(encoded), residual
    (array([3., 0.]), array([0., 2.]))
    >>> encoded, residual = compressed(codec, np.array([3.0, 2.0]), residual)
    >>> codec.decode(encoded), residual
    (array([0., 4.]), array([3., 0.]))
    """
    if residual is not None:
        change = change + residual
    encoded = codec.encode(change)
    if isinstance(codec, WholeChange):
        return encoded, None  # as many zeros as there are parameters would take as much memory
    received = codec.decode(encoded)
    return encoded, np.subtract(change, received, out=received)
