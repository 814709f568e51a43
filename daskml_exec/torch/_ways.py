"""The fit of a module in the way that was asked for, or that is chosen for it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from daskml_exec.partitions import Data, Partition
from daskml_exec.torch._fits import Fit, FitSettings, fit_of
from daskml_exec.torch._purpose import Purpose
from daskml_exec.torch._recipe import Parts
from daskml_exec.torch._remembered import Last
from daskml_exec.torch.pipeline._arguments import require_arguments_that_count
from daskml_exec.torch.pipeline._fit import PipelineFit, pipeline_fit_of
from daskml_exec.torch.planning._choice import Choice
from daskml_exec.torch.planning._compare import Question, choice_of


def planned(
    settings: FitSettings,
    parts: Parts,
    purpose: Purpose,
    head: Partition,
    data: Data,
    seed: int,
    last: Last | None,
    choice: Choice | None,
) -> tuple[Fit | PipelineFit, Choice | None]:
    """Return the fit of these parts, and what was chosen for it, if that was asked for.

    Parameters
    ----------
    settings : FitSettings
    parts : Parts
    purpose : Purpose
    head : Partition
        The first samples.
    data : Data
    seed : int
    last : Last or None
        What the fit that this goes on with has left.
    choice : Choice or None
        That of the fit that this goes on with.

    Raises
    ------
    ValueError, TypeError
        As of `fit_of` and `pipeline_fit_of`; or no way fits in the Workers' memory.
    """

    def fit(settings: FitSettings) -> Fit | PipelineFit:
        if settings.arguments["parallel"] == "data":
            return fit_of(settings, parts, purpose, head, data.rows, seed, last)
        return pipeline_fit_of(settings, parts, purpose, data, seed, last)

    if settings.arguments["parallel"] != "auto":
        return fit(settings), None
    if choice is not None:
        followed = _following(settings, choice)
        require_arguments_that_count(followed.arguments)
        return fit(followed), choice
    question = Question(settings, parts, purpose, data, settings.least(head), seed)
    refused: dict[str, str] = {}
    while True:
        choice = choice_of(question, refused)
        try:
            return fit(_following(settings, choice)), choice
        except (ValueError, TypeError) as error:
            if choice.parallel == "data":
                raise
            refused[choice.parallel] = str(error)


def _following(settings: FitSettings, choice: Choice) -> FitSettings:
    arguments: Mapping[str, Any] = choice.arguments(settings.arguments)
    return replace(settings, arguments=arguments)
