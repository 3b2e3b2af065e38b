"""The shared model code of the course: one builder, one probe, one way to train, one live figure. Hands on the names only."""

from .checks import check, compare
from .datasets import digits, recorded, spirals
from .live.explorers import (
    AveragesExplorer,
    DepthExplorer,
    Explorer,
    MapExplorer,
    ProductExplorer,
    RecurrentExplorer,
    SurfaceExplorer,
)
from .live.figures import Lines, Map, Pairs, Spread, picture
from .networks import BatchNorm, batch_norm, batch_norm_backward, build, build_conv, cross_entropy
from .live.panels import show
from .live.playground import Playground
from .signals import profile
from .training import Trainer, error, fit, sweep
