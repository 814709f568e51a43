"""Checks of what a user gives."""


def check_integer(name: str, value: int | None, *, minimum: int = 1) -> None:
    """Raise where `value` is no integer from `minimum`, or None."""
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}; allowed is an integer")
    if value < minimum:
        raise ValueError(f"{name}={value!r}; allowed are integers from {minimum}")
