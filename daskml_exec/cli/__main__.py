"""``python -m daskml_exec.cli``, for where the console script is not on the path."""

import sys

from daskml_exec.cli import main

if __name__ == "__main__":
    sys.exit(main())
