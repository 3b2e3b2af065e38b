"""The shared model code of the course: one builder, one way to train, one way to look. It re-exports the names."""

from .datasets import digits, recorded, spirals
from .networks import BatchNorm, LayerNorm, Linear, Residual, batch_norm, batch_norm_backward
from .networks import build, build_conv, cross_entropy
from .signals import activations, profile, similarity
from .training import Trainer, error, fit, sweep
from .exercises import check, compare
from .live.explorers import (
    AveragesExplorer,
    DepthExplorer,
    Explorer,
    MapExplorer,
    ProductExplorer,
    RecurrentExplorer,
    SurfaceExplorer,
)
from .live.panels import show
from .live.playground import Playground
