"""Attention between the blocks of a video network: one interface, one idea per module."""

from reidlab.models.attention.axial import ENCODINGS, Axial, AxisAttention
from reidlab.models.attention.base import ClipBlock, Pointwise, ResidualAttention
from reidlab.models.attention.coarse_to_fine import CoarseToFineAxial
from reidlab.models.attention.non_local import DotProductAttention, NonLocal, StripeMean
from reidlab.models.attention.temporal import TemporalMax

__all__ = [
    "ENCODINGS",
    "Axial",
    "AxisAttention",
    "ClipBlock",
    "CoarseToFineAxial",
    "DotProductAttention",
    "NonLocal",
    "Pointwise",
    "ResidualAttention",
    "StripeMean",
    "TemporalMax",
]
