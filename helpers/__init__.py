"""The shared model code of the course: one builder, one probe, one way to train, one live figure. Hands on the names only."""

from .checks import check, compare
from .datasets import digits, recorded, spirals
from .explorer import (
    AveragesExplorer,
    DepthExplorer,
    Explorer,
    MapExplorer,
    ProductExplorer,
    RecurrentExplorer,
    SurfaceExplorer,
)
from .figures import Curves, Lines, Map, Pairs, Spread, Values, picture
from .networks import BatchNorm, batch_norm, batch_norm_backward, build, build_conv, cross_entropy
from .playground import Playground
from .signals import profile
from .training import error, fit, sweep

__all__ = [
    "AveragesExplorer",
    "BatchNorm",
    "Curves",
    "DepthExplorer",
    "Explorer",
    "Lines",
    "Map",
    "MapExplorer",
    "Pairs",
    "Playground",
    "ProductExplorer",
    "RecurrentExplorer",
    "Spread",
    "SurfaceExplorer",
    "Values",
    "batch_norm",
    "batch_norm_backward",
    "build",
    "build_conv",
    "check",
    "compare",
    "cross_entropy",
    "digits",
    "error",
    "fit",
    "picture",
    "profile",
    "recorded",
    "spirals",
    "sweep",
]
