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
            sys.exit(2)  # as for a wrong command line; 1 means that a check failed
        from manualnn.cli import cli

        cli(prog_name="manualnn")
    except KeyboardInterrupt:  # Ctrl-C may come while modules are loaded
        sys.exit(130)


if __name__ == "__main__":
    main()
