"""Run by every Python that has this folder on its PYTHONPATH, before anything else: breaks what the
environment asks for. See https://docs.python.org/3/library/site.html."""

import os

from self_test.breaking import VARIABLE, breaks, install

if os.environ.get(VARIABLE):
    install(breaks(os.environ[VARIABLE]))
