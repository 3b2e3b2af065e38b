"""Exercise 1 of lesson 01: which factor undoes a number of doublings."""

from ..checks import Exercise

EXERCISES = {
    "undo": Exercise(
        answer=lambda layers: 2.0**-layers,
        instances=lambda generator: [(3,), (8,), (36,)],
        mistakes={
            "the factor 1 changes nothing": lambda layers: 1.0,
            "that undoes one doubling, and there are as many as layers": lambda layers: 1 / 2,
            "that is what the layers do to a number; the factor has to undo it": lambda layers: (
                2.0**layers
            ),
            "doublings multiply: two make 4 times as much, and three make 8 times, not 6": (
                lambda layers: 1 / (2 * layers)
            ),
            "that undoes a single layer which multiplies by `layers`; each of yours multiplies by 2": (
                lambda layers: 1 / layers
            ),
            "layers * layers grows too slowly: each new layer doubles once more": lambda layers: (
                layers**-2.0
            ),
            "one doubling is left: the factor needs as many halves as there are layers": lambda layers: (
                2.0 ** (1 - layers)
            ),
            "one half too many: the factor needs as many halves as there are layers": lambda layers: (
                2.0 ** (-1 - layers)
            ),
        },
        praise="Without the factor, 36 such layers would turn a 3 into 206,158,430,208.",
    ),
}
