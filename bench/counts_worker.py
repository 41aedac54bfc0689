"""Runs under `valgrind --tool=callgrind --instr-atstart=no`: LOOPS operations of each kind, marked.

counts_worker.py LIBRARY: the library is marks.c, compiled.
"""

import ctypes
import gc
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "sample"), str(HERE.parent)]
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django  # noqa: E402

django.setup()

from operations import LOOPS, operations  # noqa: E402


def main() -> None:
    marks = ctypes.CDLL(sys.argv[1])
    for name, operation in operations().items():
        for _ in range(5):
            operation()
        gc.collect()
        gc.disable()
        marks.marks_start()
        for _ in range(LOOPS):
            operation()
        marks.marks_stop(name.encode())
        gc.enable()


if __name__ == "__main__":
    main()
