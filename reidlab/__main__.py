"""``python -m reidlab``, and what the ``reidlab`` command calls."""

import sys


def main() -> None:
    """Run the command, see :func:`reidlab.cli.main`; Ctrl-C while its code is still read is one line too."""
    try:
        from reidlab import cli
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was begun\n")
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()
