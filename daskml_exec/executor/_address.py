"""Where a scheduler is and what it takes to be let in: addresses, scheduler files, TLS."""

import json
import os
import time
from pathlib import Path
from typing import Any

import dask.config
from distributed import Security

_LOOK_EVERY = 0.1
_EXAMPLE = "distributed.Security(tls_ca_file=..., tls_client_cert=..., tls_client_key=...)"


def is_scheduler_file(cluster: Any) -> bool:
    """Whether this names a file that ``dask scheduler --scheduler-file`` writes."""
    if isinstance(cluster, os.PathLike):
        return True
    return isinstance(cluster, str) and (cluster.endswith(".json") or os.path.isfile(cluster))


def address_in_file(file: str | os.PathLike[str], timeout: float) -> str:
    """Return the address in a scheduler file, which a scheduler that starts has yet to write.

    Raises
    ------
    TimeoutError
        There was no such file in time.
    ValueError
        It is no scheduler file.
    """
    path = Path(file).expanduser()
    deadline = time.monotonic() + timeout
    while True:
        late = time.monotonic() >= deadline
        try:
            return str(json.loads(path.read_text("utf-8"))["address"])
        except FileNotFoundError as error:
            if late:
                raise TimeoutError(
                    f"there was no scheduler file {str(path)!r} within {timeout:g} s; it is what "
                    "'dask scheduler --scheduler-file' writes, and must be in a folder that both "
                    "machines see (the limit is dask config 'daskml-exec.connect-timeout')"
                ) from error
        except (ValueError, KeyError, TypeError) as error:
            if late:  # until then it may be half written
                raise ValueError(
                    f"{str(path)!r} is no scheduler file ({error!r}): that is JSON with 'address'"
                ) from error
        time.sleep(_LOOK_EVERY)


def security_of(security: Any, *, embedded: bool) -> Any:
    """Check the argument `security` and return what Dask takes; None for its configuration.

    Raises
    ------
    TypeError, ValueError
        It is not one of the allowed.
    ImportError
        Certificates are to be made, and the package ``cryptography`` is absent.
    """
    if security is None or security is False or isinstance(security, Security):
        return security or None
    if isinstance(security, dict):
        try:
            return Security(**security)
        except TypeError as error:
            raise TypeError(f"security={sorted(security)!r}: {error}") from error
    if security is not True:
        raise TypeError(
            f"security={security!r} is a {type(security).__name__}; allowed are a "
            "distributed.Security, a dict of its arguments, and True for an embedded cluster"
        )
    if not embedded:
        raise ValueError(
            "security=True makes certificates for an embedded cluster. A scheduler elsewhere has "
            f"its own: give {_EXAMPLE}"
        )
    try:
        return Security.temporary()
    except ImportError as error:
        raise ImportError(
            "security=True makes certificates with the package cryptography: "
            "pip install 'daskml-exec[security]'"
        ) from error


def require_certificates(address: str, security: Security | None) -> None:
    """Refuse a TLS address for which there are no certificates, and the reverse."""
    if dask.config.get("distributed.client.security-loader", None):
        return  # it is asked for them while the Client connects
    known = security or Security()
    if address.startswith("tls://"):
        if known.get_connection_args("client").get("ssl_context") is None:
            raise ValueError(
                f"{address!r} is reached by TLS, and there are no certificates: give "
                f"security={_EXAMPLE}, or set them in dask config 'distributed.comm.tls'"
            )
    elif address.startswith("tcp://") and known.require_encryption:
        raise ValueError(
            f"{address!r} is not encrypted, which security= or dask config "
            "'distributed.comm.require-encryption' demands; a scheduler with TLS has an address "
            "that begins with 'tls://'"
        )
