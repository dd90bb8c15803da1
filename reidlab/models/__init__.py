"""Networks: a ResNet family, video networks, re-identification heads, weight files and cost accounting."""

from reidlab.models.cost import VIEWS, Cost, cost
from reidlab.models.heads import AveragePool, BNNeck, ClipPool, Output, ReIDNet
from reidlab.models.modes import evaluating
from reidlab.models.resnet import ResNet, resnet
from reidlab.models.temporal_conv import AppearancePreservingConv, TemporalConv
from reidlab.models.video import NETWORKS, VideoNet, video_network
from reidlab.models.weights import load_weights, save_weights

__all__ = [
    "NETWORKS",
    "VIEWS",
    "AppearancePreservingConv",
    "AveragePool",
    "BNNeck",
    "ClipPool",
    "Cost",
    "Output",
    "ReIDNet",
    "ResNet",
    "TemporalConv",
    "VideoNet",
    "cost",
    "evaluating",
    "load_weights",
    "resnet",
    "save_weights",
    "video_network",
]
