"""Segments of a pipeline in which samples held out are scored."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from daskml_exec.executor.peers import Peer, Source
from daskml_exec.kernels.arrays import Array
from daskml_exec.torch._steady import steady
from daskml_exec.torch.pipeline._evaluation import in_eval_mode
from daskml_exec.torch.pipeline._guard import guarded
from daskml_exec.torch.pipeline._held_out import HeldOut, Piece
from daskml_exec.torch.pipeline._samples import samples_held_out
from daskml_exec.torch.pipeline._scoring import Scoring
from daskml_exec.torch.pipeline._seeds import Draws
from daskml_exec.torch.pipeline._stage import Stage
from daskml_exec.torch.pipeline._team import Team
from daskml_exec.torch.pipeline._units import PipelineUnits
from daskml_exec.training import Segment


@dataclass(frozen=True)
class ScoringWork:
    """The pieces of a segment, of each replica.

    Attributes
    ----------
    epoch : int
        After which samples are scored.
    first, n_pieces : int
    """

    epoch: int
    first: int
    n_pieces: int


@dataclass(frozen=True)
class Scored:
    """What a Worker has seen in a segment.

    Attributes
    ----------
    sums : dict of (partition, number) to dict of str to ndarray of shape (2,)
        Sums and weights by name, of the pieces that went through a last stage here.
    """

    sums: dict[tuple[int, int], dict[str, Array]] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoringSegment(Segment):
    """Pieces of samples held out, forwards through all stages, which it leaves as they are.

    Replicas, which have been averaged before, score what is held out of their own partitions.
    """

    kind: PipelineUnits
    held_out: HeldOut
    work: ScoringWork

    @property
    def step(self) -> str:
        return "score"

    @property
    def units(self) -> PipelineUnits:
        return self.kind

    @property
    def n_steps(self) -> int:
        return self.work.n_pieces

    def cut(self, limit: int) -> "ScoringSegment":
        return replace(self, work=replace(self.work, n_pieces=min(limit, self.work.n_pieces)))

    def message(self) -> ScoringWork:
        return self.work

    def sources(self) -> list[int]:
        replicas = range(self.kind.n_replicas)
        return [piece.partition for replica in replicas for piece in self._pieces(replica)]

    def run(
        self,
        peer: Peer,
        owners: Sequence[int],
        units: Mapping[int, Stage],
        sources: Mapping[int, Source],
        name: int,
    ) -> Scored:
        n, device = self.kind.n_stages, next(iter(units.values())).device
        teams = self.kind.teams(owners)
        mine = {
            r: self._replica(r, peer, teams[r], stages, sources, name)
            for r, stages in self.kind.by_replica(units).items()
        }
        with steady(device), in_eval_mode(units.values()):
            # All in one order, of which each Worker does its own part. Later stages come first, so
            # that they take what the stages before may pass on only when it is taken.
            for turn in range(self.work.n_pieces + n - 1):
                for stage in reversed(range(n)):
                    for replica, scoring in mine.items():
                        at = turn - stage
                        here = teams[replica][stage] == peer.index
                        if here and 0 <= at < len(scoring.pieces):
                            scoring.act(stage, at)
        return Scored({key: sums for each in mine.values() for key, sums in each.sums.items()})

    def _pieces(self, replica: int) -> Sequence[Piece]:
        return self.held_out.pieces(replica, self.work.first, self.work.n_pieces)

    def _replica(
        self,
        replica: int,
        peer: Peer,
        owners: tuple[int, ...],
        stages: Mapping[int, Stage],
        sources: Mapping[int, Source],
        name: int,
    ) -> Scoring:
        parts, pieces = self.kind.parts, self._pieces(replica)
        wanted = {0, self.kind.n_stages - 1} & stages.keys()
        device = next(iter(stages.values())).device
        return Scoring(
            Team(peer, owners, replica),
            owners,
            stages,
            parts,
            Draws(parts.seed, device, parts.scores_draw, replica),
            name,
            self._noting,
            pieces,
            samples_held_out(pieces, parts, peer, sources) if wanted else None,
        )

    def _noting(self) -> AbstractContextManager[None]:
        return guarded(f"in scoring what is held out of a pipeline, epoch {self.work.epoch}")
