"""Time the training of networks: each peer in its fastest setting, in turn with ours."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from peers.options import Options
from peers.other_interpreter import PeerUnavailableError
from peers.table import Row, spread

Setting = dict[str, Any]


class SettingFailedError(Exception):
    """This setting does not run here; another may."""


@dataclass(frozen=True)
class Epoch:
    """The seconds of an epoch, and the share of them that the busiest worker computed."""

    seconds: float
    computing: float | None = None


@dataclass(frozen=True)
class Trainer:
    """One of those compared."""

    who: str
    settings: tuple[Setting, ...]
    """What to choose from."""
    epoch: Callable[[Setting], Epoch]
    trains: bool = True
    """False for a bound, which is no training and has no samples."""


@dataclass(frozen=True)
class Trial:
    """A setting as it did alone, in an untimed run."""

    setting: Setting
    seconds: float


def try_all(trainer: Trainer, options: Options) -> tuple[list[Trial], list[str]]:
    """Run each setting once; return what they took, and which of them failed."""
    trials, failed = [], []
    for setting in trainer.settings:
        try:
            seconds = trainer.epoch(setting).seconds
        except SettingFailedError as error:
            failed.append(f"failed: {trainer.who}, {named(setting)}: {error}")
            continue
        options.say(f"    {trainer.who} {named(setting)}: {seconds:.3g} s an epoch")
        trials.append(Trial(setting, seconds))
    return trials, failed


def fastest(trials: Sequence[Trial]) -> Trial:
    return min(trials, key=lambda trial: trial.seconds)


def compare(
    case: str, rows: int, ours: Trainer, peers: Sequence[Trainer], options: Options
) -> tuple[list[Row], list[str]]:
    """Return our row and a row for each setting of each peer, and what went wrong.

    Ratios are of pairs in turn, ours and the fastest setting of the peer. The settings that were
    not the fastest are shown with the one run that showed it.
    """
    [setting] = ours.settings
    ours.epoch(setting)  # what is compiled or imported once
    own: list[Epoch] = []
    table: list[Row] = []
    remarks: list[str] = []
    for peer in peers:
        options.say(f"{case}: {peer.who}")
        try:
            trials, failed = try_all(peer, options)
            remarks += failed
            best = fastest(trials)
            pairs = [(ours.epoch(setting), peer.epoch(best.setting)) for _ in range(options.pairs)]
        except PeerUnavailableError as missing:
            remarks.append(str(missing))
            continue
        own += [mine for mine, _ in pairs]
        table.append(_timed(case, rows, peer, best.setting, pairs))
        table += [_tried(case, rows, peer, trial) for trial in trials if trial is not best]
    return [_own(case, rows, ours, own), *table], remarks


def named(setting: Setting) -> str:
    return ", ".join(f"{name}={value}" for name, value in setting.items())


def _timed(
    case: str, rows: int, peer: Trainer, setting: Setting, pairs: Sequence[tuple[Epoch, Epoch]]
) -> Row:
    ratios = spread([theirs.seconds / mine.seconds for mine, theirs in pairs])
    seconds = tuple(theirs.seconds for _, theirs in pairs)
    result = f"{ratios}; {_rate(rows, seconds)}" if peer.trains else ratios
    return Row(case, peer.who, named(setting), seconds, result=result)


def _tried(case: str, rows: int, peer: Trainer, trial: Trial) -> Row:
    result = f"tried once; {_rate(rows, [trial.seconds])}"
    return Row(case, peer.who, named(trial.setting), (trial.seconds,), result=result)


def _own(case: str, rows: int, ours: Trainer, epochs: Sequence[Epoch]) -> Row:
    seconds = tuple(epoch.seconds for epoch in epochs)
    result = _rate(rows, seconds) if seconds else ""
    if shares := [epoch.computing for epoch in epochs if epoch.computing is not None]:
        result += f"; computing {spread(shares)} of the time"
    return Row(case, ours.who, named(ours.settings[0]), seconds, result=result)


def _rate(rows: int, seconds: Sequence[float]) -> str:
    return f"{rows / statistics.median(seconds):,.0f} samples/s"
