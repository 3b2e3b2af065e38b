"""Lesson 05: how far the gradient grows with batch norm, and its way back through a ReLU network."""

from functools import partial

import torch

from .asking import several
from .judge import Exercise


def growth(depth):
    """The gradient at layer 1 as a multiple of that at the last layer: √(π/(π - 1)) in each step."""
    return 1.2112 ** (depth - 1)


def backward(gradient, z, weights):
    """The gradient at each of z, from the one at the last."""
    gradients = [gradient]
    for k in reversed(range(len(weights))):
        gradient = (gradient @ weights[k].T) * (z[k] > 0)
        gradients.insert(0, gradient)
    return gradients


def instances(generator):
    """5 examples in a network of 4 layers of 3 units."""
    draw = partial(torch.randn, generator=generator)
    weights, z = [draw(3, 3) for _ in range(3)], [draw(5, 3)]
    for weight in weights:
        z.append(z[-1].relu() @ weight)
    return [(draw(5, 3), z, weights)]


EXERCISES = [
    Exercise(
        answer=growth,
        instances=lambda generator: [(2,), (20,), (56,)],
        praise="With 56 layers the gradient at layer 1 is over 37,000 times as large as at layer 56.",
        tolerance=0.1,  # 1.21 for 1.2112 is fine
        mistakes="""
            from the last layer to layer 1 there are depth - 1 steps
                (depth - 1) → depth
            the steps multiply: 1.21 to a power, not 1.21 times the steps
                ** (depth → * (depth
            that is the growth of the squared gradient: its size grows by the root
                1.2112 → 1.469
            1.21² is the growth of the squared gradient: its size grows by 1.21
                1.2112 → 1.4641
            that is the last layer's gradient as a multiple of layer 1's
                (depth - 1) → (1 - depth)
            1.2 is too coarse: over 55 steps it comes out 40 % too low. Take 1.21
                1.2112 → 1.2
        """,
    ),
    Exercise(
        answer=backward,
        instances=instances,
        look=several(*(f"the gradient at z[{k}]" for k in range(4))),
        praise="That is how loss.backward() goes back through a ReLU network.",
        mistakes="""
            the slope of the ReLU is missing: where z is negative, nothing comes back
                * (z[k] > 0) →
            the weight has to be transposed on the way back
                .T →
            the gradient at z[k] is masked by z[k] itself, not by the next layer's
                z[k] > 0 → z[k + 1] > 0
            from z[k + 1] back to z[k], first weights[k].T, then the slope at z[k]; the gradient at z[k + 1] has its slope already
                (gradient @ weights[k].T) * (z[k] > 0) → (gradient * (z[k + 1] > 0)) @ weights[k].T
            the gradient at the last z is given: no ReLU stands behind it, so nothing masks it
                gradients = [gradient] → gradient = gradient * (z[-1] > 0); gradients = [gradient]
            first back through the weight, then through the ReLU: forward it was the other way round
                (gradient @ weights[k].T) * (z[k] > 0) → (gradient * (z[k] > 0)) @ weights[k].T
            multiply by the slope of the ReLU, 0 or 1, not by its value
                (z[k] > 0) → z[k].relu()
            at z[0] stands what belongs to the last of z: is the list upside down?
                insert(0, gradient) → append(gradient)
            each step starts from the gradient of the layer after it, not from the last layer's
                gradient = (gradient → new = (gradient
                insert(0, gradient) → insert(0, new)
        """,
    ),
]
