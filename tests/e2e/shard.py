"""Splits the suite's files between runs beside each other, each on its own cluster.

All of them collect all; whoever comes first to a file takes it, by a file in the
directory TP_E2E_CLAIMS. With TP_E2E_BACKWARDS a run begins at the end.
"""

import itertools
import os
import pathlib

CLAIMS = os.environ.get("TP_E2E_CLAIMS")
_mine = {}


def is_mine(path):
    """Claims the test file, once; false when another run has it."""
    if path not in _mine:
        try:
            (pathlib.Path(CLAIMS) / path.name).touch(exist_ok=False)
            _mine[path] = True
        except FileExistsError:
            _mine[path] = False
    return _mine[path]


def pytest_collection_modifyitems(items):
    """File by file, the last first; within a file the order stays."""
    if os.environ.get("TP_E2E_BACKWARDS"):
        files = [list(f) for _, f in itertools.groupby(items, lambda item: item.path)]
        items[:] = itertools.chain.from_iterable(reversed(files))


def pytest_runtest_protocol(item):
    """True is pytest's word for: it has been dealt with, elsewhere."""
    return True if CLAIMS and not is_mine(item.path) else None
