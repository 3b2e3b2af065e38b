"""The answer to A2, for the teacher. It has one variant."""

from checks import look_at_recipe, within_budget

from helpers.exercises.judge import Exercise


def variant(seed):
    return {}


def exercises(variant):
    return {
        "recipe": Exercise(
            answer=lambda: {"skip": True, "epochs": 3},
            instances=lambda generator: [(1,)] if generator.initial_seed() == 0 else [(2,)],
            look=look_at_recipe,
            accept=within_budget,
            praise="It learns.",
        )
    }
