"""Lets the tests import the checker as its own processes do, as `tests.consistency`."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
