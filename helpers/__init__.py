"""The shared model code of the course: one builder, one probe, one live figure. Defines nothing, hands on the names."""

from .datasets import digits
from .networks import build
from .signals import profile

__all__ = ["build", "digits", "profile"]
