"""The protocol ``cross-camera``: every picture of a set a query, its gallery all pictures of the other cameras.

It needs no division into queries and gallery, so that it scores any labelled set. Features trained elsewhere stand
nearest to others of their own camera; under this rule that costs nothing, and under Market-1501's much (the other
people of the query's camera stay in the gallery): numbers of the two don't compare.
"""

from __future__ import annotations

from reidlab.checks import check_choice
from reidlab.evaluation.protocols import PROTOCOLS, WITH_LABELS, Protocol, SameIdentity, get

CROSS_CAMERA = Protocol("cross-camera", metric="cosine", matcher=SameIdentity("any person"))


def named(protocol: str) -> Protocol:
    """Return a protocol by its name: ``cross-camera``, or one of :data:`~reidlab.evaluation.protocols.PROTOCOLS`.

    Raises:
        ConfigError: there is no protocol of that name, or it needs a table and cannot be had by its name.
    """
    if protocol not in WITH_LABELS:
        check_choice("protocol", protocol, [CROSS_CAMERA.name, *PROTOCOLS])
    return CROSS_CAMERA if protocol == CROSS_CAMERA.name else get(protocol)
