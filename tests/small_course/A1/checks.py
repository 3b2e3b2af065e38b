"""How the answers to A1 are looked at. Students receive this; it holds no answer."""

import torch

from helpers.exercises import recorded
from helpers.exercises.asking import Mistake, named


def look_at_sizes(function, x, weights):
    layers = range(1, len(weights) + 1)
    return named(function(x, weights), *(f"the size after layer {layer}" for layer in layers))


def look_at_draw(function, fan_in, fan_out, gain, seed):
    """Its standard deviation, and whether the same generator gives the same weights."""
    first, second = (
        function(fan_in, fan_out, gain, torch.Generator().manual_seed(seed)) for _ in range(2)
    )
    if first is ...:
        return {"": ...}
    if not isinstance(first, torch.Tensor) or first.dim() != 2:
        raise Mistake("return a matrix, a tensor with two dimensions")
    if not first.isfinite().all():
        raise Mistake("the weights must be finite numbers; some are NaN or infinite")
    return {
        "the number of rows": len(first),
        "its standard deviation": first.std(),
        "whether the same generator gives the same weights": bool((first == second).all()),
    }


check, hand_in = recorded.checks(globals())
