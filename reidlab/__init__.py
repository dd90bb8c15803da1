"""reidlab: a reproducible-research laboratory for person re-identification.

The rooms, from the ground up: :mod:`~reidlab.losses`, :mod:`~reidlab.evaluation` and :mod:`~reidlab.world`;
:mod:`~reidlab.data` and :mod:`~reidlab.models`; :mod:`~reidlab.training`; :mod:`~reidlab.lab` and
:mod:`~reidlab.plots`. Importing the package loads none of them, so that it stays quick.
"""

__version__ = "0.1.0"
