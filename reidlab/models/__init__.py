"""Networks for pictures and clips, networks to prune, heads, ONNX embedders, weight files and cost accounting."""

from reidlab.models.conventions import CONVENTIONS, Counted, counted
from reidlab.models.cost import VIEWS, Cost, cost
from reidlab.models.embedder_net import EmbedderNet
from reidlab.models.heads import AveragePool, BNNeck, ClipPool, Output, ReIDNet
from reidlab.models.mobilenet import MobileNetV2, imagenet_source, load_imagenet
from reidlab.models.mobilenet_v1 import MobileNet22
from reidlab.models.modes import evaluating
from reidlab.models.narrow_resnet import CifarResNet, PaddedIdentity, cifar_stages, narrowed
from reidlab.models.onnx_embedder import OnnxEmbedder, OnnxFeatures, read_onnx
from reidlab.models.onnx_export import write_onnx
from reidlab.models.osnet import OSNet, read_osnet
from reidlab.models.resnet import ResNet, resnet
from reidlab.models.temporal_conv import AppearancePreservingConv, TemporalConv
from reidlab.models.vdsr import VDSR, vdsr
from reidlab.models.vgg import VGG, vgg_widths
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
    "EmbedderNet",
    "MobileNetV2",
    "OSNet",
    "OnnxEmbedder",
    "OnnxFeatures",
    "Output",
    "ReIDNet",
    "ResNet",
    "TemporalConv",
    "VideoNet",
    "cost",
    "evaluating",
    "imagenet_source",
    "load_imagenet",
    "load_weights",
    "read_onnx",
    "read_osnet",
    "resnet",
    "save_weights",
    "video_network",
    "write_onnx",
    "CONVENTIONS",
    "Counted",
    "counted",
    "MobileNet22",
    "CifarResNet",
    "PaddedIdentity",
    "cifar_stages",
    "narrowed",
    "VDSR",
    "vdsr",
    "VGG",
    "vgg_widths",
]
