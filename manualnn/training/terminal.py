"""The training at a terminal: its progress bar, and Ctrl-C between two steps."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from manualnn.output.progress_bar import find_tqdm


@contextmanager
def note_interrupt() -> Iterator[Callable[[], bool]]:
    """Note the first Ctrl-C instead of raising it in the middle of a step. The second one raises.

    Yields a function that returns True after the first Ctrl-C. In a thread other than the main one,
    and where the program has a handler of its own, signals stay as they are.
    """
    import signal

    noted = threading.Event()

    def note(number: int, frame: Any) -> None:  # noqa: ARG001
        noted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    is_pythons_handler = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not is_pythons_handler:
        yield noted.is_set
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield noted.is_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def progress_bar(epochs: int, progress: bool | None) -> Iterator[Callable[[float], None]]:  # noqa: FBT001
    """Show a progress bar (see `find_tqdm`); yield the function to call after every epoch."""
    make = find_tqdm(progress)
    if make is None:
        yield lambda _: None
        return
    with make(total=epochs, unit="epoch", desc="training") as bar:

        def advance(loss: float) -> None:
            bar.set_postfix_str(f"loss {loss:.6g}", refresh=False)
            bar.update()

        yield advance
