"""Numbers with their units, as all messages, tables and explanations say them."""


def bytes_text(nbytes: float) -> str:
    """Return bytes with three digits, in decimal units: 1 MB is 1,000,000 bytes, as on a disk.

    Settings are Dask's, which takes binary units too, as in ``memory_limit="900MiB"``.

    Examples
    --------
    >>> bytes_text(12), bytes_text(1_234_567), bytes_text(999_999), bytes_text(5e9)
    ('12 B', '1.23 MB', '1 MB', '5 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 999.5:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:.3g} TB"
