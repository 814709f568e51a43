"""The entry point: arguments in, exit code out."""

import sys
import warnings
from collections.abc import Sequence

from daskml_exec.cli._errors import is_expected, one_line, say
from daskml_exec.cli._logs import quiet_cluster_logs
from daskml_exec.cli._options import TrainOptions
from daskml_exec.cli._parser import build_parser
from daskml_exec.cli._streams import tolerant
from daskml_exec.cli._train import train

_OK, _FAILED, _INTERRUPTED = 0, 1, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name; by default those of this process.

    Returns
    -------
    int
        The exit code: 0 if all went well, 1 after a failure that a line on stderr explains, 130
        if interrupted. Wrong usage leaves through argparse, with code 2.
    """
    options = TrainOptions.from_arguments(build_parser().parse_args(argv))
    log = tolerant(sys.stderr)
    try:
        with quiet_cluster_logs():
            train(options, out=sys.stdout, log=log)
    except KeyboardInterrupt:
        # What the interrupt has torn apart is nobody's to finish: Python would warn of it behind
        # the last line.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        say(log, "interrupted")
        return _INTERRUPTED
    except Exception as error:
        if not is_expected(error):
            raise
        say(log, f"error: {one_line(error)}")
        return _FAILED
    return _OK
