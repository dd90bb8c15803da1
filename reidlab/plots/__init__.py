"""One visual language for every figure of the book.

Each function takes plain arrays or tables and returns a :class:`matplotlib.figure.Figure`; none of them reads files
or keeps state. Colour is never the only channel: marks, line styles or words repeat what it says.
"""

from reidlab.plots.curves import (
    along_iterations,
    cluster_search,
    cmc_curves,
    counts_of_clusters,
    frame_drift,
    pair_distances,
    precision_recall,
    training_curves,
)
from reidlab.plots.diagrams import stacked_costs, stage_diagram
from reidlab.plots.images import cluster_galleries, contact_sheet, frame_with_boxes, ranked_lists
from reidlab.plots.maps import cluster_maps, embedding_map, embedding_maps, project, split_cluster
from reidlab.plots.points import interval_points, purity_points, trade_off
from reidlab.plots.pruned import cost_panels, layer_values, search_course
from reidlab.plots.resources import agreement, impact_paths, resource_plane
from reidlab.plots.style import colours, context, use
from reidlab.plots.tables import wrapped
from reidlab.plots.tracklets import attention_strip, before_after, label_faults

__all__ = [
    "agreement",
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
    "cost_panels",
    "counts_of_clusters",
    "embedding_map",
    "embedding_maps",
    "frame_drift",
    "frame_with_boxes",
    "impact_paths",
    "interval_points",
    "label_faults",
    "layer_values",
    "pair_distances",
    "precision_recall",
    "project",
    "purity_points",
    "ranked_lists",
    "search_course",
    "resource_plane",
    "split_cluster",
    "stacked_costs",
    "stage_diagram",
    "trade_off",
    "training_curves",
    "use",
    "wrapped",
]
