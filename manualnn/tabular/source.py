"""Files as DuckDB can read them: on disk, and their text in UTF-8."""

import bz2
import gzip
import io
import lzma
import shutil
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from manualnn.errors import TableError

__all__ = ["Source"]

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PAR1": "parquet",
}
_OPEN: dict[str, Callable[..., Any]] = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}
_NO_TABLE = {
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"\xd0\xcf\x11\xe0": "a spreadsheet",
    b"%PDF": "a PDF",
    b"SQLite": "a database",
    b"\x89HDF": "an HDF5 file",
    b'{"': "JSON",
    b"[{": "JSON",
    b"[[": "JSON",
}
"""First bytes of files that are refused."""


class Source:
    """A file to read, perhaps a copy in a folder, and remarks on it.

    Attributes
    ----------
    name : str
        What messages call it.
    path : Path
        Path of the file, or of its copy in UTF-8.
    form : str
        "parquet", or the compression of a text, such as "gzip", or "none".
    remarks : list of str
        What a user may want to check.

    """

    def __init__(self, path: Any, folder: str, encoding: str | None) -> None:
        self.name, self.path, self.folder = str(path), Path(path), Path(folder)
        self.remarks: list[str] = []
        if self.name == "-":
            self.name, self.path = "standard input", self.folder / "input"
            with self.path.open("xb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        with self.path.open("rb") as file:
            start = file.read(8)
        self.form = next((f for magic, f in _MAGIC.items() if start.startswith(magic)), "none")
        if kind := next((k for magic, k in _NO_TABLE.items() if start.startswith(magic)), ""):
            message = f"{self.name} is {kind}; expected Parquet, or CSV, perhaps compressed."
            raise TableError(message)
        if set("*?[") & set(str(self.path)):  # DuckDB would read all files that it matches
            self.path = Path(shutil.copy(self.path, self.folder / "file"))
        if self.form == "none" or self.form in _OPEN:
            try:
                found = encoding or self._find_encoding()
            except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
                message = f"{self.name} is a damaged {self.form} file ({error}); copy it again."
                raise TableError(message) from None
            if found != "utf-8":
                self.remarks.append(f"encoding {found}")
            if found != "utf-8" or encoding or self.form in {"bz2", "xz"}:
                self.rewrite(found)

    def call(self, function: str, **options: Any) -> tuple[str, dict[str, Any]]:
        """Return the SQL that calls a function of DuckDB on the file, and its parameters."""
        options["compression"] = self.form
        named = ", ".join(f"{option} = ${option}" for option in options)
        return f"FROM {function}($path, {named})", {"path": str(self.path), **options}

    def rewrite(
        self,
        encoding: str = "utf-8",
        *,
        newline: str | None = "",
        change: Callable[[str], str] = str,
    ) -> None:
        """Continue with a copy in UTF-8, of changed lines, which end alike with newline None."""
        if self.form == "zstd":
            message = f"{self.name} has to be read in another way than usual; decompress it first."
            raise TableError(message)
        copy = self.folder / f"copy{len(list(self.folder.iterdir()))}"
        try:
            with self._text(encoding, newline) as text, copy.open("w", encoding="utf-8") as file:
                for line in text:
                    _require_no_zero(line)
                    file.write(change(line))
        except (LookupError, UnicodeError) as error:
            message = f"{self.name} is not in the encoding {encoding}: {error}; name another."
            raise TableError(message) from None
        self.path, self.form = copy, "none"

    def _text(self, encoding: str, newline: str | None = "") -> io.TextIOWrapper:
        return io.TextIOWrapper(
            _OPEN.get(self.form, open)(self.path, "rb"), encoding, newline=newline
        )

    def _find_encoding(self) -> str:
        """Return UTF-16 for a text with its mark or zero bytes, or the first of three that fits."""
        with self._text("latin-1") as text:
            start = text.read(1000)
        if start.startswith(("ÿþ", "þÿ")):
            return "utf-16"
        if start.count("\0") > len(start) / 4:
            return "utf-16-be" if start.startswith("\0") else "utf-16-le"
        for encoding in ("utf-8", "cp1252"):
            try:
                with self._text(encoding) as text:
                    while text.read(2**20):
                        pass
            except UnicodeDecodeError:
                continue
            return encoding
        return "latin-1"


def _require_no_zero(line: str) -> None:
    if "\0" in line:
        message = "it has zero bytes, as UTF-16 has"
        raise UnicodeError(message)
