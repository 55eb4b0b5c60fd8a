"""The training at a terminal: its progress bar, and Ctrl-C or SIGTERM between two steps."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from manualnn.output.progress_bar import find_tqdm
from manualnn.validation import require_flag


@contextmanager
def note_signals() -> Iterator[Callable[[], str]]:
    """Note the first Ctrl-C or SIGTERM, instead of ending in the middle of a step.

    The second one acts as without this function: Ctrl-C raises, SIGTERM ends the process. Yields a
    function that returns "interrupted" after Ctrl-C, "terminated" after SIGTERM, and otherwise "".
    In a thread other than the main one, and where the program has a handler of its own, signals
    stay as they are.
    """
    import signal

    noted = [""]
    kinds: dict[int, tuple[str, Any]] = {
        signal.SIGINT: ("interrupted", signal.default_int_handler),
        signal.SIGTERM: ("terminated", signal.SIG_DFL),
    }
    is_main = threading.current_thread() is threading.main_thread()
    ours = [
        kind for kind, (_, usual) in kinds.items() if is_main and signal.getsignal(kind) is usual
    ]

    def note(number: int, frame: Any) -> None:  # noqa: ARG001
        noted[0], usual = kinds[number]
        signal.signal(number, usual)

    try:
        for kind in ours:
            signal.signal(kind, note)
        yield lambda: noted[0]
    finally:
        for kind in ours:
            signal.signal(kind, kinds[kind][1])


@contextmanager
def progress_bar(epochs: int, progress: bool | None) -> Iterator[Callable[[float], None]]:  # noqa: FBT001
    """Show a progress bar (see `find_tqdm`); yield the function to call after every epoch."""
    if progress is not None:
        require_flag("progress", progress)
    make = find_tqdm(progress)
    if make is None:
        yield lambda _: None
        return
    with make(total=epochs, unit="epoch", desc="training") as bar:

        def advance(loss: float) -> None:
            bar.set_postfix_str(f"loss {loss:.6g}", refresh=False)
            bar.update()

        yield advance
