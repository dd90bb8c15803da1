"""One visual language for every figure of the book.

Each function takes plain arrays or tables and returns a :class:`matplotlib.figure.Figure`; none of them reads files,
keeps state or needs ``pyplot``. Colour is never the only channel: marks, line styles or words repeat what it says.
"""

from reidlab.plots.clusters import (
    along_iterations,
    cluster_galleries,
    cluster_maps,
    cluster_search,
    counts_of_clusters,
    embedding_maps,
    pair_distances,
    purity_points,
    split_cluster,
)
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
    "along_iterations",
    "attention_strip",
    "before_after",
    "cluster_galleries",
    "cluster_maps",
    "cluster_search",
    "cmc_curves",
    "colours",
    "contact_sheet",
    "context",
    "counts_of_clusters",
    "embedding_map",
    "embedding_maps",
    "frame_drift",
    "frame_with_boxes",
    "interval_points",
    "label_faults",
    "pair_distances",
    "precision_recall",
    "project",
    "purity_points",
    "ranked_lists",
    "split_cluster",
    "stacked_costs",
    "stage_diagram",
    "trade_off",
    "training_curves",
    "use",
]
