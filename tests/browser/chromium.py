"""The Chromium that the tests drive: the machine's own, or one that this script installs.

    python tests/browser/chromium.py      install Chromium where the machine has none

As root on Debian, the script installs the system's package. Elsewhere Playwright downloads its own.
It prints the path of the Chromium that it found.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "google-chrome", "google-chrome-stable")
APT = ("apt-get", "install", "--yes", "--no-install-recommends", "chromium")
PLAYWRIGHT = (sys.executable, "-m", "playwright", "install", "--with-deps", "chromium")


def find() -> str | None:
    """Return the path of a Chromium or Chrome on this machine, None if there is none."""
    if path := next(filter(None, map(shutil.which, NAMES)), None):
        return path
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> None:
    """Install Chromium, by the system's packages where they have it."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        for command in (("apt-get", "update"), APT):
            subprocess.run(command, check=False, stdout=sys.stderr, **quiet)  # noqa: S603
    if find() is None:
        subprocess.run(PLAYWRIGHT, check=False, stdout=sys.stderr)  # noqa: S603


if __name__ == "__main__":
    if find() is None:
        install()
    if (found := find()) is None:
        sys.exit(
            f"No browser: none of {', '.join(NAMES)} is on the PATH, and neither apt-get nor "
            "Playwright could install one; install Chromium or Chrome, then run this again."
        )
    sys.stdout.write(f"{found}\n")
