"""The exercises' feedback: right answers pass, each known mistake is named, and nothing is an assert."""

import dataclasses
import re
import warnings
from collections import deque
from decimal import Decimal
from fractions import Fraction
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers import check, compare, digits
from helpers.exercises import EXERCISES, Mistake, asking, lesson_07, lesson_09
from helpers.exercises.judge import but, edited, source_of

TRAINS = ("two_hundred", "one_knob")
QUICK = [name for name in EXERCISES if name not in TRAINS]


@pytest.mark.parametrize("name", QUICK)
def test_the_answer_passes_and_each_mistake_is_named(name, capsys):
    exercise = EXERCISES[name]
    for seed in range(5):
        check(name, exercise.answer, seed=seed)
        assert capsys.readouterr().out.startswith("Correct.")
        for message, mistake in exercise.mistakes.items():
            with pytest.raises(Mistake) as caught:
                check(name, mistake, seed=seed)
            assert str(caught.value) == message


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINS)
def test_the_answer_trains(name, capsys):
    check(name, EXERCISES[name].answer)
    assert capsys.readouterr().out.startswith("Correct.")


def twice(x):
    return 2 * x


def test_a_mistake_is_the_answer_with_other_code():
    mistakes = edited(twice, """
        that is the half
            2 * x → x / 2
        three times, and one too many
            2 → 3
            * x → * x + 1
        the factor is missing
            2 * →
    """)  # fmt: skip
    assert {message: mistake(8) for message, mistake in mistakes.items()} == {
        "that is the half": 4,
        "three times, and one too many": 25,
        "the factor is missing": 8,
    }
    with pytest.raises(ValueError, match="twice does not say '4'"):
        but(twice, ("4", "5"))(8)
    other = but(but(twice, ("2", "3")), ("3 *", "4 +"))
    assert other(8) == 12 and "4 + x" in source_of(other) and "2 * x" in source_of(twice)


def naive(x, gamma, beta, running_mean, running_var, training, eps=1e-5):
    """Right, but for what its arguments spoil: the mean of the squares minus the square of the mean."""
    n = len(x)
    mean, var = (
        (x.mean(0), (x**2).mean(0) - x.mean(0) ** 2) if training else (running_mean, running_var)
    )
    out = gamma * (x - mean) / (var + eps).sqrt() + beta
    if training:
        running_mean = 0.9 * running_mean + 0.1 * mean.detach()
        running_var = 0.9 * running_var + 0.1 * var.detach() * n / (n - 1)
    return out, running_mean, running_var


def test_a_missing_eps_and_a_cancellation_are_named():
    right = EXERCISES["batch_norm"].answer
    with pytest.raises(Mistake, match="eps = 1e-5 alone is left under the root"):
        check("batch_norm", lambda *a: naive(*a, eps=0.0))
    with pytest.raises(Mistake, match="loses all its digits"):
        check("batch_norm", naive)
    with pytest.raises(Mistake, match="return 3 things: the output in training, running_mean"):
        check("batch_norm", lambda *a: right(*a)[0])
    with pytest.raises(
        Mistake, match=r"running_mean after training should be a tensor of shape \(3,\), got None"
    ):
        check("batch_norm", lambda *a: (right(*a)[0], None, None))
    with pytest.raises(Mistake, match="return 2 things: the new weight, the new bias"):
        check("fold", lambda weight, *rest: weight)


ROOT = "(var + 1e-5) ** 0.5"


@pytest.mark.parametrize(
    "name, edits, said",
    [
        ("batch_norm", [(ROOT, f"({ROOT} if training else var**0.5)")], "alone is left under the root"),
        ("batch_norm", [(ROOT, f"({ROOT} if training else var**0.5 + 1e-5)")], "alone is left under"),
        ("layer_norm", [(ROOT, "(var**0.5 + 1e-5)")], "added to the variance, under the root"),
        ("layer_norm", [("z.shape[1]", "len(z)")], "divide by the number of units"),
        ("deepest", [("<= most", "< most")], "the layer still fits"),
    ],
)  # fmt: skip
def test_a_mistake_that_few_instances_show_does_not_pass(name, edits, said):
    with pytest.raises(Mistake, match=said):
        check(name, but(EXERCISES[name].answer, *edits))


def test_of_two_mistakes_at_once_one_is_named():
    answer = EXERCISES["batch_norm"].answer
    momentum, graph = ("momentum = 0.1", "momentum = 0.9"), ("x.mean(0)", "x.detach().mean(0)")
    with pytest.raises(Mistake, match="momentum is the wrong way round|no_grad, or detached"):
        check("batch_norm", but(answer, momentum, graph))
    with pytest.raises(Mistake, match="keep the graph|unbiased variance"):
        check("batch_norm", but(answer, ("unbiased.detach()", "var")))


def test_a_wrong_eps_is_told_with_digits_enough_to_see_it():
    def keras(x, gamma, beta, running_mean, running_var, training):
        return naive(x, gamma, beta, running_mean, running_var, training, eps=1e-3)

    with pytest.raises(Mistake, match=r"one entry should be (\S+), got (?!\1$)"):
        check("batch_norm", keras)


def test_an_unknown_mistake_gets_an_example():
    with pytest.raises(Mistake, match=r"critical_gain\(0\.\d+\) should be 1\.\d+, got 17"):
        check("critical_gain", lambda slope: 17)


@pytest.fixture
def trained(monkeypatch):
    """What the networks of lessons 07 and 09 come to in place of training: a dict to be changed, and what was asked for."""
    found = {"diverged": False, "error": 0.0}

    def fit(net, data, **settings):
        asked.append(settings)
        return SimpleNamespace(
            stopped=False,
            diverged=np.array(found["diverged"]),
            train_error=[found["error"]] * settings["epochs"],
        )

    class Trainer:
        def __init__(self, net, data, **settings):
            asked.append(settings)

        def step(self):
            return torch.tensor(torch.nan if found["diverged"] else 1.0)

    asked = []
    for lesson in (lesson_07, lesson_09):
        monkeypatch.setattr(lesson, "build", lambda **settings: asked.append(settings))
    monkeypatch.setattr(lesson_07, "fit", fit)
    monkeypatch.setattr(lesson_09, "Trainer", Trainer)
    monkeypatch.setattr(lesson_09, "error", lambda *arguments: found["error"])
    return found, asked


ODD = (
    5,
    0.5,
    "five",
    (1, 2),
    [],
    {},
    (None, 1),
    (torch.ones(2), None, 1.0),
    torch.ones(3),
    np.ones((2, 2)),
    [torch.ones(3, 2)] * 3,
)


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("odd", ODD, ids=str)
def test_whatever_an_answer_returns_is_told_in_a_line(name, odd, trained):
    trained[0].update(error=1.0)
    with pytest.raises(Mistake):
        check(name, lambda *arguments: odd)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize(
    "spoil",
    [lambda part: part > 0, lambda part: part * 1j + 1, lambda part: part * torch.nan],
    ids=["bool", "complex", "nan"],
)
def test_a_right_answer_that_was_spoilt_is_told_in_a_line(name, spoil):
    def spoilt(*arguments):
        parts = EXERCISES[name].answer(*arguments)
        several = isinstance(parts, (tuple, list))
        changed = [
            spoil(part) if isinstance(part, (torch.Tensor, float, int)) else part
            for part in (parts if several else [parts])
        ]
        return changed if several else changed[0]

    with pytest.raises(Mistake):
        check(name, spoilt)


def test_an_answer_without_a_graph_is_told_what_is_missing():
    with pytest.raises(Mistake, match="no gradient can flow through the output"):
        check(
            "batch_norm",
            lambda *arguments: [
                part.detach().numpy() for part in EXERCISES["batch_norm"].answer(*arguments)
            ],
        )


def test_a_half_answered_exercise_is_no_error(capsys):
    check("do_nothing", lambda width: (torch.eye(width), ...))
    assert "Your turn" in capsys.readouterr().out


@pytest.mark.parametrize("name", QUICK)
def test_global_settings_change_no_verdict(name, hostile_settings, capsys):
    exercise = EXERCISES[name]
    with hostile_settings():
        check(name, exercise.answer)
        for message, mistake in exercise.mistakes.items():
            with pytest.raises(Mistake) as caught:
                check(name, mistake)
            assert str(caught.value) == message
    assert "Correct." in capsys.readouterr().out


SETTINGS = {
    "dtype": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "device": (lambda: torch.set_default_device("meta"), torch.get_default_device),
    "gradients": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "deterministic": (
        lambda: torch.use_deterministic_algorithms(True),
        torch.are_deterministic_algorithms_enabled,
    ),
    "precision": (
        lambda: torch.set_float32_matmul_precision("medium"),
        torch.get_float32_matmul_precision,
    ),
    "NumPy's errors": (lambda: np.seterr(all="raise"), np.geterr),
    "warnings": (lambda: warnings.simplefilter("error"), lambda: warnings.filters[:]),
}


@pytest.mark.parametrize("change, read", SETTINGS.values(), ids=SETTINGS)
def test_what_an_answer_sets_is_undone(change, read, capsys):
    def answer(*arguments):
        change()
        return EXERCISES["fold"].answer(*arguments)

    before = read()
    check("fold", answer)
    assert "Correct." in capsys.readouterr().out and read() == before


@pytest.mark.parametrize(
    "name", [name for name in QUICK if name != "batch_norm"]
)  # whose output needs torch's gradient
def test_arrays_are_welcome_wherever_tensors_are(name, capsys):
    def in_arrays(part):
        if isinstance(part, (list, tuple)):
            return [in_arrays(one) for one in part]
        return part.numpy() if isinstance(part, torch.Tensor) else np.asarray(part)

    check(name, lambda *arguments: in_arrays(EXERCISES[name].answer(*arguments)))
    assert "Correct." in capsys.readouterr().out


NUMBERS = [1.0, -2.0, 0.5]


@pytest.mark.parametrize(
    "odd",
    [
        np.flip(NUMBERS[::-1]), np.array(NUMBERS, np.longdouble), [*map(np.longdouble, NUMBERS)], [*map(Fraction, NUMBERS)],
        tuple(map(Decimal, NUMBERS)), np.array([*map(Fraction, NUMBERS)]), torch.tensor(NUMBERS).requires_grad_(),
    ],
    ids=lambda odd: str(odd)[:30],
)  # fmt: skip
def test_numbers_are_numbers_in_any_form(odd):
    assert asking.plain(asking.as_tensors(odd)) == ["real", [3], NUMBERS]
    for number, part in zip(NUMBERS, odd):
        assert asking.plain(part) == ["real", [], [number]]
        assert asking.plain_value(part) == number


@pytest.mark.parametrize(
    "odd", ["5", ["5"], np.array(["5"]), [None], {1: 2}, [10**400], torch.ones(2, device="meta")],
    ids=str,
)  # fmt: skip
def test_what_is_no_number_stays_text(odd):
    assert isinstance(asking.plain(asking.as_tensors(odd)), (str, dict))


def test_a_right_answer_in_double_precision_is_right(capsys):
    check(
        "do_nothing",
        lambda width: [part.double() for part in EXERCISES["do_nothing"].answer(width)],
    )
    check(
        "do_nothing", lambda width: [part.int() for part in EXERCISES["do_nothing"].answer(width)]
    )
    assert capsys.readouterr().out.count("Correct.") == 2


def test_an_answer_that_raises_is_told_so():
    with pytest.raises(Mistake, match="stopped with ZeroDivisionError"):
        check("critical_gain", lambda slope: 1 / 0)


def test_an_answer_that_is_no_function_is_told_so():
    with pytest.raises(Mistake, match="must be a function, got 1.41"):
        check("critical_gain", 1.41)


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("unanswered", [..., lambda *arguments: ...])
def test_an_unanswered_exercise_is_no_error(name, unanswered, capsys):
    check(name, unanswered)
    assert "Your turn" in capsys.readouterr().out


def test_a_forgotten_return_is_named():
    for name in "critical_gain", "backward":  # one returns a number, the other four tensors
        with pytest.raises(Mistake, match="is a return missing"):
            check(name, lambda *arguments: None)


def test_what_stops_is_told_with_its_line():
    def critical_gain(slope):
        share = 1 + slope**2
        return (2 / share[0]) ** 0.5

    line = re.escape("in the line: return (2 / share[0]) ** 0.5")
    with pytest.raises(Mistake, match=f"^critical_gain stopped with TypeError: .*, {line}$"):
        check("critical_gain", critical_gain)


def test_of_a_decorated_answer_its_own_line_is_told_and_of_a_lambda_none():
    @torch.no_grad()
    def critical_gain(slope):
        return slope.gain

    line = re.escape("attribute 'gain', in the line: return slope.gain")
    with pytest.raises(Mistake, match=f"{line}$"):
        check("critical_gain", critical_gain)
    for answer in lambda slope: critical_gain(slope), partial(critical_gain):
        with pytest.raises(Mistake, match="attribute 'gain'$"):
            check("critical_gain", answer)


def test_a_dict_a_text_or_a_number_is_not_several_things():
    for returned in {k: torch.ones(5, 3) for k in range(4)}, "four", torch.tensor(4.0):
        with pytest.raises(Mistake, match="^return 4 things"):
            check("backward", lambda gradient, z, weights, returned=returned: returned)


def test_a_tensor_is_an_answer_too(capsys):
    check("critical_gain", lambda slope: torch.tensor(2 / (1 + slope**2)).sqrt())
    assert "Correct" in capsys.readouterr().out


def test_what_an_answer_changes_in_place_is_its_own(capsys):
    def wrong(x, weight, projection, branch_scale):
        branch = torch.relu_(x) @ weight  # and now x has lost its negative half
        return (x if projection is None else x @ projection) + branch_scale * branch

    with pytest.raises(Mistake, match="the skip goes past the ReLU"):
        check("block", wrong)

    def right(gradient, z, weights):
        found = deque([gradient])
        z.pop()
        while weights:
            gradient = (gradient @ weights.pop().T) * (z.pop() > 0)
            found.appendleft(gradient)
        return found

    check("backward", right)
    assert "Correct" in capsys.readouterr().out


def test_dropout_takes_the_noise_that_is_given(capsys):
    with pytest.raises(
        Mistake,
        match="the output in training is another one each time: take the noise that is given",
    ):
        check("dropout", lambda x, p, noise, training: torch.nn.functional.dropout(x, p, training))
    with pytest.raises(Mistake, match="returned nothing: is a return missing?"):
        check(
            "dropout",
            lambda x, p, noise, training: x * (noise >= p) / (1 - p) if training else None,
        )

    def in_place(x, p, noise, training):
        if training:
            x[noise < p] = 0
            x /= 1 - p
        return x

    check("dropout", in_place)
    assert "Correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "changes, outcome, said",
    [
        ({"lr": 0.01}, {"error": 0.9}, "wrong for 90% .*: its gradient explodes or vanishes, or all its images"),
        ({"skip": True, "lr": 1.0}, {"error": 0.9}, "what keeps the branch small, and is the learning rate too large"),
        ({"skip": True}, {"diverged": True}, "it diverged.* Is the branch small enough"),
        ({"norm": "batch"}, {"diverged": True}, "it diverged.* Does its gradient explode"),
        ({"branch_scale": 0.1}, {}, "branch_scale does nothing without skip"),
        ({"order": "post", "norm": "batch"}, {}, "order does nothing without skip"),
        ({"depth": 10}, {}, "depth cannot be changed here; you may change three of norm"),
        (
            {"skip": True, "norm": "batch", "lr": 0.01, "gain": 1.0}, {},
            "you changed 4 things, and three are allowed: skip, norm, lr, gain",
        ),
        (3, {}, "return a dict of what you change"),
    ],
    ids=str,
)  # fmt: skip
def test_two_hundred_layers_that_do_not_train_are_told_why(changes, outcome, said, trained):
    trained[0].update(outcome)
    with pytest.raises(Mistake, match=said):
        check("two_hundred", lambda: changes)


def test_settings_that_no_network_has_are_told_in_a_line():
    with pytest.raises(Mistake, match="stopped with ValueError: norm must be one of"):
        check("two_hundred", lambda: {"norm": "group"})


def test_what_is_as_at_the_start_is_no_change(trained, capsys):
    recipe = {"skip": True, "branch_scale": 0.07, "lr": 0.1, "norm": "none", "order": "pre"}
    check("two_hundred", lambda: recipe)
    network, training = trained[1]
    assert "Correct" in capsys.readouterr().out
    assert (network["depth"], network["width"], network["branch_scale"]) == (200, 32, 0.07)
    assert (training["lr"], training["epochs"], training["batch"]) == (0.1, 4, 64)


@pytest.mark.parametrize(
    "cures, outcome, said",
    [
        ({}, {"error": 0.5}, "'fades' with {'gain': 1.0} is still wrong for 50% of its training digits"),
        ({}, {"diverged": True}, "'fades' with {'gain': 1.0} diverges"),
        ({"stuck": {"skip": True, "lr": 0.1}}, {}, "turn one knob of 'stuck', one of width, gain"),
        ({"stuck": {"depth": 2}}, {}, "turn one knob of 'stuck'"),
        ({"stuck": 5}, {}, "return a dict of 'fades', 'explodes', 'stuck', each with a dict of one knob"),
    ],
    ids=str,
)  # fmt: skip
def test_a_network_that_is_not_cured_is_named(cures, outcome, said, trained):
    trained[0].update(outcome)
    with pytest.raises(Mistake, match=said):
        check("one_knob", lambda: lesson_09.one_knob() | cures)


def test_a_cure_that_is_missing_is_no_mistake(trained, capsys):
    check("one_knob", lambda: lesson_09.one_knob() | {"stuck": ...})
    assert "Your turn" in capsys.readouterr().out and len(trained[1]) == 4


def test_an_unknown_exercise_is_named():
    with pytest.raises(
        ValueError, match="name must be one of .*'critical_gain'.*, got 'citrical_gain'"
    ):
        check("citrical_gain", lambda slope: 1)


def test_a_mistake_shows_one_line_in_a_notebook():
    assert Mistake("upside down")._render_traceback_() == ["Not yet: upside down"]


@pytest.mark.parametrize(
    ("prediction", "said"),
    [
        (..., "did not write"),
        (None, "did not write"),
        (1.1, "Close"),
        (100, "a factor of 1e+02"),
        ("a lot", "a lot"),
        (0, "0"),
    ],
)
def test_a_prediction_is_set_beside_the_measurement(prediction, said, capsys):
    compare(prediction, 1.0)
    assert said in capsys.readouterr().out


def test_a_prediction_in_percent_is_judged_by_points(capsys):
    compare(95, 37.0, " %")
    compare(36, 37.0, " %")
    compare(0, 37.0, " %")
    said = capsys.readouterr().out.splitlines()
    assert [line.split("Measured: 37 %. ")[1] for line in said] == [
        "Off by 58 points.",
        "Close.",
        "Off by 37 points.",
    ]


@pytest.mark.parametrize(
    "prediction, measured, said",
    [
        (
            np.array([1, 2]),
            2.0,
            "prediction must be a number or a text, got a tensor of shape (2,)",
        ),
        ([1], 2.0, "prediction must be a number or a text, got [1]"),
        (2, None, "measured must be a number, got None"),
        (2, torch.ones(2), "measured must be a number, got a tensor of shape (2,)"),
        (2, "2", "measured must be a number, got '2'"),
        (True, 1, "prediction must be a number or a text, got True"),
        (10**400, 1, f"prediction must be a number or a text, got {'1' + 79 * '0'}"),
    ],
)
def test_what_cannot_be_compared_is_named(prediction, measured, said, rejects):
    rejects(lambda: compare(prediction, measured), said)


def test_numbers_of_numpy_and_torch_are_numbers(capsys):
    compare(np.int64(3), torch.tensor(3.0))
    assert "Right." in capsys.readouterr().out


def test_a_prediction_of_zero_measured_zero(capsys):
    compare(0, 0.0)
    assert "Measured: 0" in capsys.readouterr().out


def batch_norm_in_place(x, gamma, beta, running_mean, running_var, training):
    mean = x.mean(0) if training else running_mean
    x -= mean
    var = x.square().mean(0) if training else running_var
    if training:
        rows = len(x)
        running_mean += 0.1 * (mean.detach() - running_mean)
        running_var += 0.1 * (var.detach() * rows / (rows - 1) - running_var)
    return gamma * x / (var + 1e-5) ** 0.5 + beta, running_mean, running_var


def test_a_dropout_that_drops_nothing_is_told_so():
    with pytest.raises(Mistake, match="^nothing is dropped"):
        check("dropout", lambda x, p, noise, training: x)
    with pytest.raises(Mistake, match="shape"):
        check("dropout", lambda x, p, noise, training: x[:0])


def test_numbers_of_dropout_that_are_not_finite_are_not_told_as_chance():
    with pytest.raises(Mistake) as told:
        check("dropout", lambda x, p, noise, training: x / (noise >= p) if training else x)
    assert "another one each time" not in str(told.value)


def test_batch_norm_may_work_in_place(capsys):
    check("batch_norm", batch_norm_in_place)
    assert "Correct" in capsys.readouterr().out


@pytest.mark.parametrize("root", [1.41, 1.414, 2**0.5])
def test_the_root_of_two_may_be_rounded_as_the_lesson_rounds_it(root, capsys):
    check("gain_for", lambda factor, depth: root * factor ** (1 / (depth - 1)))
    assert "Correct" in capsys.readouterr().out


def test_a_cure_that_is_half_written_is_no_answer_yet(capsys):
    check("one_knob", lambda: {name: {"gain": ...} for name in ("fades", "explodes", "stuck")})
    assert "Your turn" in capsys.readouterr().out


def test_a_check_that_is_stopped_is_no_verdict(monkeypatch):
    stopped = lesson_07.fit(
        lesson_07.build(1, 2), digits(0), lr=0.1, epochs=1, batch=500, progress=False
    )
    monkeypatch.setattr(
        lesson_07, "fit", lambda *_, **__: dataclasses.replace(stopped, stopped=True)
    )
    with pytest.raises(KeyboardInterrupt):
        check("two_hundred", lambda: {"lr": 0.01})
