"""Compare the ways to train a module, before anything is sent, and choose one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

from daskml_exec.executor import Capacity, Executor
from daskml_exec.executor._groups import is_of_this_machine
from daskml_exec.executor._workers_now import workers_now
from daskml_exec.kernels.networks.batches import rows_trained_on
from daskml_exec.partitions import Data, Pieces
from daskml_exec.torch._equip import first_samples
from daskml_exec.torch._fits import FitSettings
from daskml_exec.torch._purpose import Purpose, first_batch
from daskml_exec.torch._recipe import Parts
from daskml_exec.torch.pipeline._arguments import unsupported
from daskml_exec.torch.pipeline._cut import Cost
from daskml_exec.torch.pipeline._dry_run import Chain
from daskml_exec.torch.pipeline._fit import n_replicas_of, plan_of
from daskml_exec.torch.pipeline._plan import PipelinePlan
from daskml_exec.torch.pipeline._stages import Stages, chain_to_cut, stages_of
from daskml_exec.torch.planning._choice import WAYS, Choice, Way, arguments_of_way, choose
from daskml_exec.torch.planning._dry_step import step_seen
from daskml_exec.torch.planning._memory import data_memory, pipeline_memory
from daskml_exec.torch.planning._seconds import data_seconds, pipeline_seconds, samples_of_step
from daskml_exec.torch.planning._seen import Cluster, StepSeen, in_stages
from daskml_exec.training.averaging import Batching

_MOST_SAMPLES = 128
"""That a step is tried with: larger ones take in proportion."""


def cluster_of(executor: Executor) -> Cluster:
    """Return what the scheduler says of its Workers."""
    workers = workers_now(executor.client)
    hosts = {worker.get("host") for worker in workers.values()}
    return Cluster(
        n_workers=max(1, len(workers)),
        memory_limit=Capacity.of_workers(workers.values()).limit,
        one_machine=all(map(is_of_this_machine, workers)) or len(hosts) == 1,
    )


@dataclass(frozen=True)
class Question:
    """What is to be trained, on what.

    Attributes
    ----------
    settings : FitSettings
        With ``parallel="auto"``.
    parts : Parts
    purpose : Purpose
    data : Data
    least : int
        Samples that a partition takes per step at least, in a copy.
    seed : int
    """

    settings: FitSettings
    parts: Parts
    purpose: Purpose
    data: Data
    least: int
    seed: int

    @property
    def arguments(self) -> Mapping[str, Any]:
        return self.settings.arguments


def choice_of(question: Question, refused: Mapping[str, str]) -> Choice:
    """Return the way that is followed.

    Parameters
    ----------
    question : Question
    refused : mapping of str to str
        Ways that have turned out not to be possible, and why.

    Raises
    ------
    ValueError
        None fits in the Workers' memory.
    """
    data = question.data
    if isinstance(data.partitions, Pieces):
        why = "the data is in this process, and stages are on Workers"
        return choose([Way("data"), *(Way(each, problem=why) for each in WAYS[1:])])
    if question.parts.device != "cpu":
        why = "a step in this process does not tell what one on a Worker's GPU takes"
        return choose([Way("data"), *(Way(each, problem=why) for each in WAYS[1:])])
    return _Comparison(question, cluster_of(data.executor), refused).choice()


@dataclass(frozen=True)
class _Comparison:
    question: Question
    cluster: Cluster
    refused: Mapping[str, str]

    def choice(self) -> Choice:
        problems = {each: self._problem(each) for each in WAYS[1:]}
        chain: Chain | None = None
        if not all(problems.values()):
            try:
                chain = self._chain()
            # Whatever it is: what cannot be cut is trained as a whole, and says why.
            except Exception as error:
                if callable(self.question.arguments["stages"]):  # it is the user's, and wrong
                    error.add_note("in stages(module), which parallel='auto' has called")
                    raise
                problems = {each: problems[each] or _first_line(error) for each in WAYS[1:]}
        plans = {each: self._plan(each) for each in WAYS[1:] if not problems[each]}
        if not plans and not self.cluster.memory_limit:
            ways = [Way("data"), *(Way(each, problem=problems[each]) for each in WAYS[1:])]
            return choose(ways)
        seen = self._seen(chain, plans)
        ways = [self._data_way(seen)]
        for parallel in WAYS[1:]:
            if parallel in plans and chain is not None:
                ways.append(self._pipeline_way(parallel, plans[parallel], chain, seen))
            else:
                ways.append(Way(parallel, problem=problems[parallel]))
        return choose(ways)

    def _problem(self, parallel: str) -> str:
        """Return why stages are out of the question, as far as that is known without a step."""
        arguments = self._arguments(parallel)
        why = self.refused.get(parallel) or unsupported(arguments, parallel)
        if why or parallel == "pipeline":
            return why
        n, n_partitions = n_replicas_of(arguments), len(self.question.data.rows)
        if n > n_partitions:
            there = "is one" if n_partitions == 1 else f"are {n_partitions}"
            return f"{n} replicas need as many partitions, and there {there}"
        if self.cluster.n_workers == 1:
            return "replicas on one Worker would take turns"
        return ""

    def _arguments(self, parallel: str) -> dict[str, Any]:
        return arguments_of_way(self.question.arguments, parallel, Way(parallel))

    def _chain(self) -> Chain:
        question, arguments = self.question, self.question.arguments
        return chain_to_cut(
            question.parts.module,
            question.parts.loss,
            self._batch(2)[0],
            arguments["stages"],
            micro_batches=int(arguments["micro_batches"]),
            recompute=bool(arguments["recompute"]),
            seed=question.seed,
        )

    def _batch(self, n: int) -> tuple[Any, int]:
        """Return the first samples as a step gets them, and how many there are."""
        head, parts = first_samples(self.question.data, n), self.question.parts
        return first_batch(head, self.question.purpose, parts.module, parts.augment), head.n_rows

    def _plan(self, parallel: str) -> PipelinePlan:
        question = self.question
        settings = replace(question.settings, arguments=self._arguments(parallel))
        rows = self._rows
        return plan_of(settings, question.parts, rows, rows, question.seed)

    @property
    def _rows(self) -> Sequence[int]:
        """Return the samples that are trained on, of each partition."""
        question = self.question
        return rows_trained_on(question.data.rows, question.settings.held_out)

    @property
    def _batching(self) -> Batching:
        question = self.question
        return question.settings.batching(self._rows, question.least, question.parts)

    def _seen(self, chain: Chain | None, plans: Mapping[str, PipelinePlan]) -> StepSeen:
        """Return what a step shows, of batches as there would be."""
        micro_batches = int(self.question.arguments["micro_batches"])
        sizes = [max(self._batching.batches)]
        sizes += [round(samples_of_step(plan) / micro_batches) for plan in plans.values()]
        batch, n = self._batch(min(_MOST_SAMPLES, max(sizes)))
        sizes = [max(1, min(size, n)) for size in sizes]
        return step_seen(self.question.parts, chain, batch, sizes)

    @property
    def _row_nbytes(self) -> float:
        data = self.question.data
        return data.nbytes / max(1, sum(data.rows))

    def _data_way(self, seen: StepSeen) -> Way:
        arguments, plan = self.question.arguments, self._batching
        travel = arguments["optimizer_state"] == "average" and arguments["compression"] is None
        return Way(
            "data",
            seconds=data_seconds(seen, plan, self.cluster, moments_travel=travel),
            memory=data_memory(
                seen, plan, self.cluster, row_nbytes=self._row_nbytes, moments_travel=travel
            ),
            memory_limit=self.cluster.memory_limit,
        )

    def _pipeline_way(self, parallel: str, plan: PipelinePlan, chain: Chain, seen: StepSeen) -> Way:
        """Return the fastest that fits of stages of all numbers, or that which needs least."""
        arguments = self.question.arguments
        size = max(1.0, samples_of_step(plan) / int(arguments["micro_batches"]))
        costs = [
            Cost(
                1e3 * (seen.seconds(each.forth, size) + seen.seconds(each.back, size)),
                each.weights,
            )
            for each in seen.parts
        ]
        ways = []
        for stages in self._stages(chain, len(plan.replicas)):
            try:
                made = stages_of(self.question.parts.module, chain, costs, stages)
            except ValueError as error:
                if self.question.arguments["stages"] is not None:
                    raise
                ways.append(Way(parallel, problem=_first_line(error)))
                continue
            ways.append(self._way_of(parallel, plan, made, seen))
        fitting = [each for each in ways if each.fits]
        if fitting:
            return min(fitting, key=lambda each: each.seconds or 0.0)
        return min(ways, key=lambda each: (bool(each.problem), each.memory or 0))

    def _stages(self, chain: Chain, n_replicas: int) -> Sequence[Any]:
        """Return how the module may be cut: as is said, or into so many stages."""
        given = self.question.arguments["stages"]
        if given is not None:
            return [int(given) if isinstance(given, Integral) else given]
        most = min(len(chain.parts), max(2, self.cluster.n_workers // n_replicas))
        return [2, *(n for n in range(3, most + 1) if n <= _ALL_BELOW or n == most)]

    @property
    def _keeps_best(self) -> bool:
        settings = self.question.settings
        return settings.held_out > 0 and settings.arguments["tol"] is not None

    def _way_of(self, parallel: str, plan: PipelinePlan, made: Stages, seen: StepSeen) -> Way:
        arguments = self.question.arguments
        begins = [parts[0].index for parts in made.parts]
        stages = in_stages(seen.parts, begins)
        about: dict[str, Any] = {
            "row_nbytes": self._row_nbytes,
            "micro_batches": int(arguments["micro_batches"]),
            "order": arguments["pipeline_order"],
            "recompute": bool(arguments["recompute"]),
        }
        named = () if callable(arguments["stages"]) else [parts[0].name for parts in made.parts][1:]
        return Way(
            parallel,
            n_stages=len(stages),
            n_replicas=len(plan.replicas),
            begins=tuple(named),
            seconds=pipeline_seconds(seen, stages, plan, self.cluster, **about),
            memory=pipeline_memory(
                seen, stages, plan, self.cluster, keeps_best=self._keeps_best, **about
            ),
            memory_limit=self.cluster.memory_limit,
        )


_ALL_BELOW = 8
"""Up to so many stages each number is compared."""


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
