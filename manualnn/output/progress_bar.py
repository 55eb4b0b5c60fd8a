"""Progress bars on standard error, through tqdm."""

import importlib
import sys
from typing import Any

from manualnn.errors import MissingExtraError

__all__ = ["find_tqdm"]


def find_tqdm(wanted: bool | None = None) -> Any:  # noqa: FBT001
    """Return tqdm's class for progress bars, or None if no bar is to be shown.

    None: show a bar if standard error is a terminal and tqdm is installed. True: show it in any
    case; raises MissingExtraError where tqdm is missing.
    """
    if wanted or (wanted is None and sys.stderr is not None and sys.stderr.isatty()):
        try:
            return importlib.import_module("tqdm").tqdm
        except ImportError:
            if wanted:
                message = (
                    "a progress bar needs tqdm; pip install 'manualnn[cli]', or progress=False."
                )
                raise MissingExtraError(message) from None
    return None
