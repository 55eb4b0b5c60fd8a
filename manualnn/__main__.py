"""The command `manualnn`."""

import sys


def main() -> None:
    """Run the command line, which needs the extra `cli`."""
    try:
        try:
            import click  # noqa: F401
        except ImportError:
            message = "manualnn: the command line needs an extra; pip install 'manualnn[cli]'.\n"
            sys.stderr.write(message)
            sys.exit(2)  # as after a wrong command line; 1 would mean that a check failed
        from manualnn.cli import cli

        cli(prog_name="manualnn")
    except KeyboardInterrupt:  # also while modules are being loaded
        sys.exit(130)


if __name__ == "__main__":
    main()
