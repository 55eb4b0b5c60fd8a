"""Atomic writing: a file is written completely or not at all."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from manualnn.output.files import open_whole, write_text, write_whole


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(
    "interruption", [OSError(28, "No space left on device"), KeyboardInterrupt]
)
def test_an_interrupted_save_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, interruption: Any
) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"the old one")

    def fail(*_: Any) -> None:
        raise interruption

    monkeypatch.setattr(os, call, fail)
    with pytest.raises((OSError, KeyboardInterrupt)):
        write_whole(path, b"new")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"the old one"]


@pytest.mark.parametrize("error", [LookupError("mine"), OSError("mine"), KeyboardInterrupt("mine")])
def test_a_block_that_ends_by_an_error_leaves_the_old_file_and_raises_that_error(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"the old one")

    def fail() -> None:
        with open_whole(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error), match=r"^mine$"):
        fail()
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"the old one"]


def test_a_killed_save_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    """The process dies, as by kill -9, before all is known to be on the disk."""
    path = tmp_path / "model"
    path.write_bytes(b"the old one")
    program = """if True:
        import os, sys
        from manualnn.output.files import write_text, write_whole
        os.fsync = lambda _: os.kill(os.getpid(), 9)
        write_whole(sys.argv[1], b"the new one" * 10_000)
    """
    child = subprocess.run([sys.executable, "-c", program, path], check=False)  # noqa: S603
    assert child.returncode == -9
    assert path.read_bytes() == b"the old one"


def test_the_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "model"
    write_whole(path, b"1")
    (tmp_path / "usual").touch()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode
    path.chmod(0o640)
    write_whole(path, b"2")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"2", 0o640)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link, loose = tmp_path / "real" / "model", tmp_path / "link", tmp_path / "loose"
    target.write_bytes(b"1")
    link.symlink_to(target)
    write_whole(link, b"2")
    assert link.is_symlink()
    assert target.read_bytes() == b"2"
    loose.symlink_to("real/new")
    write_whole(loose, b"3")
    assert (tmp_path / "real" / "new").read_bytes() == b"3"


def test_a_text_goes_whole_into_a_file_and_directly_into_a_pipe(tmp_path: Path) -> None:
    write_text(tmp_path / "report", "δ = 1\n")
    assert (tmp_path / "report").read_bytes() == "δ = 1\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe", "ε")
    assert os.read(reader, 10) == "ε".encode()
    os.close(reader)
    with pytest.raises(OSError, match="is a folder"):
        write_text(tmp_path, "")


def test_where_nothing_can_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "old").touch()
    for path, reason in {
        tmp_path: "is a folder",
        tmp_path / "pipe": "not a regular file",
        tmp_path / "nowhere" / "model": "there is no folder",
    }.items():
        with pytest.raises(OSError, match=reason):
            write_whole(path, b"new")
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path / "old")
    with pytest.raises(OSError, match="it is read-only"):
        write_whole(tmp_path / "old", b"new")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OSError, match="not writable"):
        write_whole(tmp_path / "new", b"new")
