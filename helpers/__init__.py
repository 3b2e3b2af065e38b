"""The shared model code of the course: one builder, one probe, one way to train, one live figure. Hands on the names only."""

from .exercises import check, compare
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
from .figures import Lines, Map, Pairs, Spread, picture
from .networks import BatchNorm, batch_norm, batch_norm_backward, build, build_conv, cross_entropy
from .playground import Playground
from .signals import profile
from .training import Trainer, error, fit, sweep
