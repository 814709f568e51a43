"""The ways to train a module, what each was predicted to take, and which one is followed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daskml_exec.executor import Facts, Part, Readable, Table, bytes_text
from daskml_exec.torch.pipeline._arguments import DEFAULTS
from daskml_exec.torch.planning._memory import MOST
from daskml_exec.training import History

WAYS = ("data", "pipeline", "hybrid")

# Another way has to be so much sooner than one that stands before it: what was measured is noisy.
_SOONER = 1.05


@dataclass(frozen=True)
class Way:
    """A way to train, and what an epoch of it takes.

    Attributes
    ----------
    parallel : {"data", "pipeline", "hybrid"}
    n_stages, n_replicas : int
        One of each of "data".
    begins : tuple of str
        Names of the parts at which stages begin but for the first; empty where a function has made
        them.
    seconds : float or None
        None where nothing was to be compared.
    memory : int or None
        Bytes of the busiest Worker's process; None where nobody asked.
    memory_limit : int
        Bytes that the smallest Worker may use; 0 for no limit.
    problem : str
        Why it cannot be followed; empty if it can.
    """

    parallel: str
    n_stages: int = 1
    n_replicas: int = 1
    begins: tuple[str, ...] = ()
    seconds: float | None = None
    memory: int | None = None
    memory_limit: int = 0
    problem: str = ""

    @property
    def too_large(self) -> bool:
        """Whether a Worker has too little memory for it."""
        if not self.memory_limit or self.memory is None:
            return False
        return self.memory > MOST * self.memory_limit

    @property
    def fits(self) -> bool:
        """Whether it can be followed."""
        return not self.problem and not self.too_large

    @property
    def why_not(self) -> str:
        """What is in its way, in words."""
        return self.problem or f"needs {bytes_text(self.memory or 0)} on a Worker"

    @property
    def of_what(self) -> str:
        """Its stages and replicas, in words."""
        if self.problem or self.parallel == "data":
            return ""
        stages = f"{self.n_stages} stages"
        return stages if self.n_replicas == 1 else f"{stages}, {self.n_replicas} replicas"


@dataclass(frozen=True, repr=False)
class Choice(Readable):
    """What ``parallel="auto"`` has compared, and what it follows.

    Attributes
    ----------
    ways : tuple of Way
    parallel : {"data", "pipeline", "hybrid"}
    reason : str
    """

    ways: tuple[Way, ...]
    parallel: str
    reason: str

    @property
    def way(self) -> Way:
        """The one that is followed."""
        return next(each for each in self.ways if each.parallel == self.parallel)

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the estimator's arguments for the way that is followed.

        Parameters
        ----------
        given : mapping of str to object
            With ``parallel="auto"``. Those that the way has not are as by default.
        """
        return arguments_of_way(given, self.parallel, self.way)

    def _parts(self) -> Iterator[Part]:
        yield from self.beside(None, 0.0)

    def beside(self, history: History | None, epochs: float) -> Iterator[Part]:
        """Yield what is shown of this, where a fit has taken so many epochs, too.

        Parameters
        ----------
        history : History or None
        epochs : float
            That its records are of.

        Yields
        ------
        Part
        """
        took = ""
        if history is not None and epochs:
            took = seconds_text(history.seconds / epochs)
        header = ("compared", "of", "s an epoch", "measured", "a Worker", "")
        rows = [
            (
                each.parallel,
                each.of_what,
                seconds_text(each.seconds),
                took if each.parallel == self.parallel else "",
                "-" if each.memory is None else bytes_text(each.memory),
                f"not possible: {each.problem}"
                if each.problem
                else ("does not fit" if each.too_large else ""),
            )
            for each in self.ways
        ]
        yield Table(header, rows, words=("compared", "of", ""))
        yield Facts([("chosen", f"{self.parallel}: {self.reason}")])


def arguments_of_way(given: Mapping[str, Any], parallel: str, way: Way) -> dict[str, Any]:
    """Return the arguments of an estimator that follows this way."""
    found = dict(given) | {"parallel": parallel}
    for name, default in _NOT_OF[parallel].items():
        found[name] = default
    if way.begins:
        found["stages"] = list(way.begins)
    return found


_AVERAGES = {"n_replicas": "auto", "sync_every": "auto", "outer": "auto"}
_NOT_OF: dict[str, dict[str, Any]] = {
    "data": DEFAULTS,
    "pipeline": {**_AVERAGES, "optimizer_state": "average"},
    "hybrid": {},
}
"""What a way has not, which other ones may have been given; as by default."""


def choose(ways: Sequence[Way]) -> Choice:
    """Return the fastest way that fits, or without seconds the first.

    Raises
    ------
    ValueError
        None fits. The message says what each needs, and what a Worker has.
    """
    fitting = [each for each in ways if each.fits]
    if not fitting:
        raise ValueError(_nothing_fits(ways))
    chosen = fitting[0]
    for each in fitting[1:]:
        if each.seconds is not None and chosen.seconds is not None:
            chosen = each if each.seconds * _SOONER < chosen.seconds else chosen
    others = [each for each in fitting if each is not chosen]
    refused = [f"not {each.parallel}, {_why_not(each)}" for each in ways if not each.fits]
    if not others:
        first = "the only one possible"
    elif chosen.seconds is None:
        first = "the first that is possible"
    else:
        compared = ", ".join(f"{each.parallel} {seconds_text(each.seconds)}" for each in others)
        first = f"{seconds_text(chosen.seconds)} an epoch beside {compared}"
    return Choice(tuple(ways), chosen.parallel, "; ".join([first, *refused]))


def _why_not(way: Way) -> str:
    if way.problem:
        return f"as {way.problem}"
    return f"which {way.why_not} that has {bytes_text(way.memory_limit)}"


def _nothing_fits(ways: Sequence[Way]) -> str:
    needs = "; ".join(f"{each.parallel}: {each.why_not}" for each in ways)
    limits = [each.memory_limit for each in ways if each.too_large]
    if not limits:
        return f"parallel='auto': no way is possible ({needs})"
    return (
        "parallel='auto': no way to train fits in the memory of a Worker, which has "
        f"{bytes_text(limits[0])}, {MOST:.0%} of it for a fit ({needs}). Allowed are a larger "
        "memory_limit, a smaller module or batch_size, smaller partitions, more Workers for more "
        "stages, and recompute=True, by which stages keep less"
    )


def seconds_text(seconds: float | None) -> str:
    """Return seconds with three digits.

    Examples
    --------
    >>> seconds_text(0.01234), seconds_text(None)
    ('0.0123 s', 'not timed')
    """
    return "not timed" if seconds is None else f"{seconds:.3g} s"
