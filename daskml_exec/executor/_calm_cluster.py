"""Settings by which an embedded cluster takes less of the processors that train."""

from typing import Any

import dask.config

# Of distributed's settings: its own value, and ours. Every worker looks at its threads a hundred
# times a second for the dashboard's profile, and with the scheduler fifty times whether its event
# loop answers: together a tenth of a processor while nothing runs, and more beside deep stacks.
_CALMER = {
    "distributed.worker.profile.interval": ("10ms", "100ms"),
    "distributed.admin.tick.interval": ("20ms", "200ms"),
}


def calm_settings() -> dict[str, Any]:
    """Return what to set while an embedded cluster starts, by name; not what the user has set."""
    return {
        name: ours
        for name, (theirs, ours) in _CALMER.items()
        if dask.config.get(name, default=None) == theirs
    }
