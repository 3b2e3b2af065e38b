"""The shared model code of the course: one builder, one probe, one live figure. Defines nothing, hands on the names."""

from .checks import check, compare
from .datasets import digits
from .explorer import Explorer
from .figures import Curves, Spread, Values, picture
from .networks import build
from .signals import profile

__all__ = ["Curves", "Explorer", "Spread", "Values", "build", "check", "compare", "digits", "picture", "profile"]
