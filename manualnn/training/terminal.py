"""What a person at the terminal sees of a training, and how they end it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from manualnn.progress_bar import find_tqdm


@contextmanager
def interrupt_noted() -> Iterator[Callable[[], bool]]:
    """Note a first Ctrl-C instead of raising it in the middle of a step; the second one raises."""
    import signal

    noted = threading.Event()

    def note(number: int, frame: Any) -> None:  # noqa: ARG001
        noted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not ours:
        yield noted.is_set
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield noted.is_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def progress_bar(epochs: int, wanted: bool | None) -> Iterator[Callable[[float], None]]:  # noqa: FBT001
    """Show a progress bar where it is wanted; yields what to call after every epoch."""
    make = find_tqdm(wanted)
    if make is None:
        yield lambda _: None
        return
    with make(total=epochs, unit="epoch", desc="training") as bar:

        def advance(loss: float) -> None:
            bar.set_postfix_str(f"loss {loss:.6g}", refresh=False)
            bar.update()

        yield advance
