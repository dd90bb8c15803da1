"""Runs, profiles, the ledger of claims, and the book: the room that records and judges.

It knows no method. A notebook uses two names of it, :func:`start` and :func:`parameters`; the rest serves
the command line: :mod:`~reidlab.lab.runner`, :mod:`~reidlab.lab.store`, :mod:`~reidlab.lab.ledger`,
:mod:`~reidlab.lab.book`.
"""

from reidlab.lab.parameters import parameters
from reidlab.lab.run import Run, start

__all__ = ["Run", "parameters", "start"]
