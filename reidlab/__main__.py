"""``python -m reidlab``: the same as the ``reidlab`` command."""

from reidlab.cli import main

if __name__ == "__main__":
    main()
