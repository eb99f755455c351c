"""Pairs of generator and discriminator."""

from __future__ import annotations

from snlab.networks.fixed import Fixed, FixedGenerator
from snlab.networks.flow import Flow, RealNVP
from snlab.networks.mlp import MLP
from snlab.networks.network import NETWORKS, Network
from snlab.networks.resnet import ResNet
from snlab.networks.spline_flow import SplineFlow, SplineGenerator
from snlab.networks.standard_cnn import StandardCNN

__all__ = [
    "MLP",
    "NETWORKS",
    "Fixed",
    "FixedGenerator",
    "Flow",
    "Network",
    "RealNVP",
    "ResNet",
    "SplineFlow",
    "SplineGenerator",
    "StandardCNN",
]
