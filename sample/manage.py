#!/usr/bin/env python3
"""Django's command line for the sample project."""

import os
import sys
from pathlib import Path

# The tree's own package, so that the sample runs from a checkout too.
sys.path.insert(1, str(Path(__file__).resolve().parent.parent))

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
