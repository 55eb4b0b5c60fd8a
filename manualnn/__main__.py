"""The command `manualnn`."""

import sys


def main() -> None:
    """Run the command line, which needs the extra `cli`."""
    try:
        _run()
    except KeyboardInterrupt:  # also while modules are being loaded
        sys.exit(130)


def _run() -> None:
    try:
        import click  # noqa: F401
    except ImportError:
        told = "manualnn: the command line needs an extra; pip install 'manualnn[cli]'.\n"
        sys.stderr.write(told)
        sys.exit(2)  # a wrong command line, or none; 1 would say that something was found
    from manualnn.cli import cli

    cli(prog_name="manualnn")


if __name__ == "__main__":
    main()
