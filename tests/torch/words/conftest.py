"""The modules beside the tutorials are found as a tutorial finds them, here and on Workers."""

import sys

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "tutorials"))
