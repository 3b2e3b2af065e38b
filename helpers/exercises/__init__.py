"""The exercises of the lessons. `judge` is the engine that names a mistake; each lesson has a file with its answers."""

from . import judge
from .asking import Mistake as Mistake
from .lesson_01 import EXERCISES as of_01
from .lesson_02 import EXERCISES as of_02
from .lesson_03 import EXERCISES as of_03
from .lesson_04 import EXERCISES as of_04
from .lesson_05 import EXERCISES as of_05
from .lesson_06 import EXERCISES as of_06
from .lesson_07 import EXERCISES as of_07
from .lesson_08 import EXERCISES as of_08
from .lesson_09 import EXERCISES as of_09
from .predictions import compare as compare

EXERCISES = {
    exercise.answer.__name__: exercise
    for exercise in [*of_01, *of_02, *of_03, *of_04, *of_05, *of_06, *of_07, *of_08, *of_09]
}


def check(name, answer, seed=0):
    """Prints whether `answer`, a function, solves the exercise `name`; raises Mistake, with the likely reason, if not.

    The trial instances are drawn from `seed`. An answer that still has the exercise's `...` is no error. Raises ValueError if
    no lesson has an exercise of that name. In every lesson.
    """
    judge.check(name, answer, EXERCISES, seed)
