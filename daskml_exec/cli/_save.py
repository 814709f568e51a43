"""Where the command saves the model that it trains."""

from collections.abc import Mapping
from typing import Any

from daskml_exec.cli._errors import CommandError, one_line
from daskml_exec.training import check_writable, save


class Destination:
    """Where a model will be saved.

    Made before training, so that a place that cannot be written is found out before.

    Parameters
    ----------
    url : str
        A path, or a URL of a file system that fsspec knows.

    Raises
    ------
    CommandError
        Nothing can be written there, which a file that is written and removed again shows.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            check_writable(url)
        except Exception as error:  # every file system has exceptions of its own
            raise self._refused(error) from error

    def write(self, model: Any, notes: Mapping[str, Any]) -> None:
        """Publish a model whole or not at all, in the place of what is there.

        Raises
        ------
        CommandError
            It could not be written.
        """
        try:
            save(model, self.url, notes=notes)
        except Exception as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> CommandError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else None
        return CommandError(f"cannot write --save {self.url}: {reason or one_line(error)}")
