"""Networks: a ResNet family, re-identification heads, weight files and cost accounting."""

from reidlab.models.cost import Cost, cost
from reidlab.models.heads import AveragePool, BNNeck, Output, ReIDNet
from reidlab.models.modes import evaluating
from reidlab.models.resnet import ResNet, resnet
from reidlab.models.weights import load_weights, save_weights

__all__ = [
    "AveragePool",
    "BNNeck",
    "Cost",
    "Output",
    "ReIDNet",
    "ResNet",
    "cost",
    "evaluating",
    "load_weights",
    "resnet",
    "save_weights",
]
