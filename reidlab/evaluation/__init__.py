"""Scores: retrieval under named protocols, and re-ranking."""

from reidlab.evaluation.distances import distance_blocks, distances
from reidlab.evaluation.embeddings import Embeddings
from reidlab.evaluation.protocols import PROTOCOLS, Matcher, Protocol, SameIdentity
from reidlab.evaluation.reranking import k_reciprocal
from reidlab.evaluation.retrieval import Scores, evaluate, evaluate_distances, ranked_list

__all__ = [
    "PROTOCOLS",
    "Embeddings",
    "Matcher",
    "Protocol",
    "SameIdentity",
    "Scores",
    "distance_blocks",
    "distances",
    "evaluate",
    "evaluate_distances",
    "k_reciprocal",
    "ranked_list",
]
