"""Which versions of the units are on the workers' disks, and which of them can be trusted."""

import time
import warnings
from collections.abc import Sequence

from daskml_exec.executor.peers import Commit, PeerGroup, Staged, commit_of, survey, worth_keeping

# Bad copies that a warning names one by one.
_NAMED = 3


class Backups:
    """The last versions that were written to disks.

    Parameters
    ----------
    group : PeerGroup
    n_units : int
    """

    def __init__(self, group: PeerGroup, n_units: int) -> None:
        self._group = group
        self._n_units = n_units
        self._commits: tuple[Commit, ...] = ()
        self._written_at = time.monotonic()
        self._has_warned = False
        self.furthest = 0

    @property
    def are_due(self) -> bool:
        """Whether the last version is older than the commit interval."""
        return time.monotonic() - self._written_at >= self._group.commit_interval

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions that count."""
        return tuple(commit.version for commit in self._commits)

    def count(self, version: int, staged: Sequence[Staged]) -> None:
        """Count a version that the members have written, if each unit is on a disk.

        Warns
        -----
        RuntimeWarning
            Something could not be written; the first time only.
        """
        self._written_at = time.monotonic()
        by_id = dict(zip(self._group.ids, staged, strict=True))
        found = commit_of(version, by_id, self._n_units)
        if found is not None:
            older = [each for each in self._commits if each.version < version]
            self._commits = worth_keeping([found, *older])
            self.furthest = max(self.furthest, version)
        troubles = {
            member: each.trouble
            for member, each in zip(self._group.members, staged, strict=True)
            if each.trouble
        }
        if troubles and not self._has_warned:
            self._has_warned = True
            member, trouble = next(iter(troubles.items()))
            warnings.warn(
                f"the worker {member} could not write a backup of weights to its disk ({trouble}); "
                "the fit goes on, and the loss of a worker may take it further back. Workers write "
                "to their 'local_directory'",
                RuntimeWarning,
                stacklevel=2,
            )

    def newest(self) -> Commit | None:
        """Return the newest version of which each unit is on a member's disk as it was written.

        Older ones are looked at only where a newer one is not whole.

        Warns
        -----
        RuntimeWarning
            Copies are not what was written.
        """
        wrong: list[str] = []
        left: tuple[Commit, ...] = ()
        for at, commit in enumerate(self._commits):
            if not commit.is_whole_on(self._group.ids):
                continue  # lost with its workers
            found = self._checked(commit, wrong)
            if found.is_whole_on(self._group.ids):
                left = (found, *self._commits[at + 1 :])
                break
        self._commits = left
        chosen = left[0] if left else None
        if wrong:
            back = (
                "the beginning" if chosen is None else f"the backup after segment {chosen.version}"
            )
            more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
            warnings.warn(
                f"backups of weights on workers' disks are not what was written: "
                f"{'; '.join(wrong[:_NAMED])}{more}. The fit goes on from {back}",
                RuntimeWarning,
                stacklevel=2,
            )
        return chosen

    def _checked(self, commit: Commit, wrong: list[str]) -> Commit:
        """Return the commit with the copies that are good; add what the others have."""
        answers = self._group.run(survey, [(commit,)] * len(self._group.members))
        for who, member, answer in zip(self._group.ids, self._group.members, answers, strict=True):
            wrong += [f"{what} (on {member})" for what in answer.value.values()]
            commit = commit.without(who, answer.value.keys())
        return commit
