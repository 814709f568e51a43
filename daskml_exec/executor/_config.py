"""Defaults of the package's own section of the Dask configuration."""

import dask.config
from dask.utils import parse_bytes, parse_timedelta

DEFAULTS = {
    "daskml-exec": {
        # How long to wait for a scheduler that does not answer.
        "connect-timeout": "10s",
        # How long to wait for a worker while the cluster has none: it is still starting, or has
        # lost them all.
        "workers-timeout": "120s",
        # How long a worker may take to answer another one within a segment; and how long to come to
        # its start before the driver asks what it does. It may have other tasks to finish first,
        # which are waited for.
        "peer-timeout": "60s",
        "segment-start-timeout": "300s",
        # How long a driver may be silent while it has the workers and other fits wait for them.
        "lease-timeout": "30s",
        # How long a segment lasts, unless the epoch ends before; another fit on the same workers
        # waits for its end. How often blocks are written to another worker's disk.
        "segment-duration": "5s",
        "commit-interval": "60s",
        # Whether workers of one machine, and a driver beside them, hand arrays to one another in
        # memory, not over a socket.
        "shared-memory": True,
        # In-memory data is cut into pieces of about this size. Below 10 MB a piece travels
        # inside its task, so that the scheduler can rebuild it when its worker dies.
        "partition-bytes": "8MiB",
        # Encoders refuse a column with more distinct values than this: each comes to the driver,
        # and stays in the model.
        "max-categories": 100_000,
        # Rows of a search by halving that take no more than this, with those held out, travel to
        # each worker, which trains one candidate at a time; of more, all train each candidate.
        "search-copied-bytes": "512MiB",
        # Factors of users and items together that take more than this stay on the workers between
        # half-steps; others come to the driver after each.
        "factors-on-driver-bytes": "256MiB",
    }
}

dask.config.update_defaults(DEFAULTS)


def seconds(name: str) -> float:
    """Return the duration configured under ``daskml-exec.<name>``, in seconds."""
    return float(parse_timedelta(dask.config.get(f"daskml-exec.{name}"), default="s"))


def flag(name: str) -> bool:
    """Return the truth configured under ``daskml-exec.<name>``."""
    return bool(dask.config.get(f"daskml-exec.{name}"))


def nbytes(name: str) -> int:
    """Return the size configured under ``daskml-exec.<name>``, in bytes."""
    return int(parse_bytes(dask.config.get(f"daskml-exec.{name}")))


def number(name: str) -> int:
    """Return the whole number, at least 1, that is configured under ``daskml-exec.<name>``."""
    value = int(dask.config.get(f"daskml-exec.{name}"))
    if value < 1:
        raise ValueError(f"dask config 'daskml-exec.{name}' is {value}; allowed: from 1")
    return value
