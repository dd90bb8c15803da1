"""One visual language for every figure of the book.

Each function takes plain arrays or tables and returns a :class:`matplotlib.figure.Figure`; none of them reads files,
keeps state or needs ``pyplot``. Colour is never the only channel: marks, line styles or words repeat what it says.
"""

from reidlab.plots.images import contact_sheet, frame_with_boxes, ranked_lists
from reidlab.plots.retrieval import cmc_curves, embedding_map, interval_points, project, training_curves
from reidlab.plots.style import colours, context, use
from reidlab.plots.video import (
    attention_strip,
    before_after,
    frame_drift,
    label_faults,
    precision_recall,
    stacked_costs,
    stage_diagram,
    trade_off,
)

__all__ = [
    "attention_strip",
    "before_after",
    "cmc_curves",
    "colours",
    "contact_sheet",
    "context",
    "embedding_map",
    "frame_drift",
    "frame_with_boxes",
    "interval_points",
    "label_faults",
    "precision_recall",
    "project",
    "ranked_lists",
    "stacked_costs",
    "stage_diagram",
    "trade_off",
    "training_curves",
    "use",
]
