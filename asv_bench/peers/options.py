"""What the user asked for."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """The options of the command line."""

    tiny: bool = False
    pairs: int = 3
    patience: float = 100.0
    """Seconds of a fit after which no tighter setting is tried, and one pair has to do."""

    def say(self, text: str) -> None:
        """Tell how far we are: a run of all cases takes long."""
        print(text, file=sys.stderr, flush=True)
