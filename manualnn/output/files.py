"""Atomic writing of files: a file is written completely or not at all."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["open_whole", "require_writable", "write_text", "write_whole"]


DESCRIPTORS = "/proc/self/fd"
"""Where Linux lists the open files of a process."""


@contextmanager
def open_whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file to write; it appears under its name when the block has ended without an error.

    An existing file is replaced then, and stays as it is until then. A link stays a link, and a
    file keeps its permissions. If the file cannot be written, OSError is raised. No temporary file
    remains.
    """
    require_writable(path)
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".manualnn-{secrets.token_hex(8)}.tmp")
    try:
        with _open_nameless(target.parent) or temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not temporary.exists():
                nameless = f"{DESCRIPTORS}/{file.fileno()}"
                # With a folder that is ignored, because os.link follows no link without one.
                os.link(nameless, temporary, src_dir_fd=file.fileno(), follow_symlinks=True)
        if target.exists():
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    except OSError as error:
        if error.strerror is None:  # not of the operating system: an error of the caller's block
            raise
        kept = "the old file is unchanged" if target.exists() else "nothing was saved"
        message = f"cannot write to {path}: {error.strerror}; {kept}."
        raise OSError(message) from error
    finally:  # also after Ctrl-C; a temporary file that has replaced the target is gone already
        temporary.unlink(missing_ok=True)


def _open_nameless(folder: Path) -> BinaryIO | None:
    """Open a file without a name, so that nothing of it remains if the process is killed.

    Returns None where the system, or the file system, has no such files.
    """
    if not hasattr(os, "O_TMPFILE") or not Path(DESCRIPTORS).is_dir():
        return None
    try:
        return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb")
    except OSError:
        return None


def write_whole(path: str | os.PathLike[str], content: bytes | bytearray) -> None:
    """Write a file completely or not at all, as `open_whole` does."""
    with open_whole(path) as file:
        file.write(content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text in UTF-8: into a file whole or not at all, into a pipe or device directly.

    So a report can go to /dev/stdout. Raises OSError as `write_whole` does.
    """
    target = Path(path)
    if target.exists() and not target.is_file() and not target.is_dir():
        target.write_text(text, encoding="utf-8")
    else:
        write_whole(target, text.encode())


def require_writable(path: str | os.PathLike[str]) -> None:
    """Raise OSError if `write_whole` would certainly fail. To be called before long work."""
    target = Path(os.path.realpath(path))
    reason = None
    if target.is_dir():
        reason = "it is a folder; give the name of a file"
    elif target.exists() and not target.is_file():
        reason = "it is not a regular file, so it cannot be replaced; give another name"
    elif target.exists() and not os.access(target, os.W_OK):
        reason = "it is read-only; give another name, or make it writable"
    elif not target.parent.is_dir():
        reason = f"there is no folder {target.parent}; make it first"
    elif not os.access(target.parent, os.W_OK):
        reason = f"its folder {target.parent} is not writable; give another one"
    if reason:
        message = f"cannot write to {path}: {reason}."
        raise OSError(message)
