"""The playground without a browser: what trains in it, its thread, its knobs, and what it says."""

import gc
import re
import threading
import time
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from drawn import blank, differences
from ipywidgets import widgets
from matplotlib.colors import to_rgb
from test_panels import luminance

from helpers import Playground, activations, digits, fit, profile, similarity
from helpers.datasets import spirals
from helpers.live import run as training
from helpers.live import widget
from helpers.live.panels import COLORS, Picture, draw
from helpers.live.playground import CHOICES, PRESETS, TINTS, gradient_in_words, losses, plane, words
from helpers.live.run import CELLS, DEFAULTS, Run
from helpers.live.widget import RANGES
from helpers.networks import Linear, build

SMALL = {"depth": 3, "width": 8}


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "playground"]


def wait_until(condition, patience=90):
    until = time.monotonic() + patience
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    assert condition()


@pytest.fixture(autouse=True)
def no_thread_is_left(monkeypatch):
    monkeypatch.setattr(training, "PATIENCE", 1000)  # no test depends on how busy the machine is
    yield
    wait_until(lambda: threads() == [])


@pytest.fixture
def small():
    made = Playground(**SMALL)
    yield made
    made.close()


# --- what the page does ---------------------------------------------------------------------------


def turn(made, **knobs):
    """Moves knobs, and waits until they are followed, unless it trains."""
    asked = {"settings": made.state | knobs, "generation": made.generation}
    made.set_state({"asked": asked})
    made.worker.wait()


def press(made, name):
    made.hear({"press": name})


def toggle(made):
    """The name of the button that starts or pauses."""
    [name] = {name for name, _ in made.buttons} & {"start", "pause"}
    return name


def train(made, steps=5):
    """Draws each picture, until so many steps are done."""
    run, goal = made.run, made.run.step + steps

    def done():
        made.hear({"drawn": made.worker.shown})
        return made.run is not run or made.run.step >= goal or not made.training

    wait_until(done)


# --- what trains in it ----------------------------------------------------------------------------


def test_a_run_is_what_fit_does():
    run = Run(**SMALL, lr=0.1, seed=3).advance(2 * (1500 // 64))
    net = build(**SMALL, inputs=64, classes=10, gain=1.41, seed=3)
    settings = {"lr": 0.1, "epochs": 2, "batch": 64, "schedule": "constant", "seed": 3}
    history = fit(net, digits(), **settings, progress=False)
    np.testing.assert_allclose(np.reshape(run.loss, (2, -1)).mean(1), history.loss, rtol=1e-6)
    for value, other in zip(run.net.parameters(), net.parameters(), strict=True):
        assert torch.equal(value, other)


CASES = [{}, {"norm": "batch", "skip": True}, {"norm": "layer", "batch": 2}, {"data": "spirals"}]


@pytest.mark.parametrize("settings", CASES)
def test_the_same_line_gives_the_same_curves_watched_or_not(settings):
    bare, film = (Run(**SMALL | settings, seed=1) for _ in range(2))
    bare.advance(60, watch=False)
    film.look()
    for _ in range(60):
        film.advance().look()
    assert bare.loss == film.loss and bare.errors == film.errors
    states = zip(bare.net.state_dict().values(), film.net.state_dict().values(), strict=True)
    assert all(torch.equal(value, other) for value, other in states)
    assert bare.loss != Run(**SMALL | settings, seed=2).advance(60).loss


def next_batch(run):
    """The mini-batch of a run's next step."""
    waiting = run.trainer.waiting
    if len(waiting) < run.trainer.batch:
        order = run.trainer.generator.clone_state()
        waiting = torch.randperm(len(run.data.x), generator=order)
    chosen = waiting[: run.trainer.batch]
    return run.data.x[chosen], run.data.y[chosen]


NETWORKS = [
    *({"norm": norm, "skip": skip} for norm in ("none", "batch", "layer") for skip in (0, 1)),
    {"activation": "tanh"},
    {"activation": "linear", "skip": 1, "branch_scale": 0.0},
    {"depth": 1, "skip": 1, "norm": "batch"},
    {"data": "spirals", "batch": 256},
]


@pytest.mark.parametrize("steps", [0, 4])
@pytest.mark.parametrize("settings", NETWORKS, ids=str)
def test_the_layers_are_those_of_the_training_step_itself(settings, steps):
    run = Run(**SMALL | {"lr": 0.1} | settings | {"skip": bool(settings.get("skip"))})
    if steps:
        run.advance(steps, watch=False)
    seen = profile(run.net, *next_batch(run))
    alike = [similarity(a[:32]) for _, a in activations(run.net, next_batch(run)[0])]
    now = run.advance().look() if steps else run.look()
    np.testing.assert_allclose(now.size, seen.stream_std, rtol=1e-4)
    np.testing.assert_allclose(now.gradient, seen.gradient, rtol=1e-4)
    np.testing.assert_allclose(now.similarity, alike, atol=1e-4)


@pytest.mark.parametrize("watch", [True, False])
def test_the_update_is_by_how_much_a_step_moved_the_weights(watch):
    run = Run(**SMALL, lr=0.1)
    weights = [layer.weight for layer in run.net if isinstance(layer, Linear)][:3]
    run.advance(2, watch)
    before = [weight.detach().clone() for weight in weights]
    run.advance()
    with torch.no_grad():
        moved = [float((now - old).norm() / old.norm()) for now, old in zip(weights, before)]
    np.testing.assert_allclose(run.look().update, moved, rtol=1e-4)


def test_before_the_first_step_a_run_shows_what_that_step_will_meet():
    run = Run(**SMALL, lr=0.1)
    before = run.look()
    after = run.advance().look()
    for name in ("size", "gradient", "similarity", "update"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert before.update.min() > 0 and len(before.loss) == 0


def test_a_learning_rate_of_zero_is_refused_at_the_start_and_later(rejects):
    message = "lr must be a finite number from 1e-09 up, got 0"
    rejects(lambda: Run(lr=0), message)
    rejects(lambda: Run(**SMALL).turn(0, 64), message)


def test_the_errors_are_measured_every_20_steps():
    run = Run(**SMALL).advance(45)
    assert [step for step, *_ in run.errors] == [0, 20, 40]
    x, y, x_test, y_test = run.data
    run.measure()
    with torch.no_grad():
        parts = (x[:297], y[:297]), (x_test, y_test)
        wrong = [(run.net(a).argmax(1) != b).float().mean().item() for a, b in parts]
    assert run.errors[-1][1:] == pytest.approx(wrong)
    now = run.look()
    assert now.answers.shape == (10, 10) and now.answers.sum(1) == pytest.approx(1)
    shares = np.bincount(y_test.numpy(), minlength=10) / len(y_test)
    assert (np.diag(now.answers) * shares).sum() == pytest.approx(1 - wrong[1])


def test_what_is_not_a_number_is_no_answer():
    run = Run(gain=3.0).advance(3)
    run.measure()
    assert run.errors[-1][1:] == (1.0, 1.0) and (run.look().answers == 0).all()


def test_a_long_run_has_few_points_each_the_mean_of_many_steps(monkeypatch):
    every = Run(**SMALL).advance(100).loss
    monkeypatch.setattr(training, "POINTS", 20)
    run = Run(**SMALL).advance(100)
    now = run.look()
    assert len(now.loss) < 20 and run.every == 8 and now.steps.tolist() == list(range(8, 100, 8))
    np.testing.assert_allclose(now.loss, np.reshape(every[:96], (-1, 8)).mean(1))


def test_a_run_is_the_same_under_any_global_settings(hostile_settings):
    expected = Run(**SMALL, norm="batch").advance(3).look()
    with hostile_settings():
        found = Run(**SMALL, norm="batch").advance(3).look()
    for name in ("loss", "errors", "answers", "size", "gradient", "similarity", "update"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_spirals_are_two_classes_that_a_line_cannot_part():
    x, y, x_test, y_test = spirals()
    assert x.shape == (600, 2) and x_test.shape == (200, 2)
    assert {*y.tolist()} == {0, 1} == {*y_test.tolist()}
    features = torch.cat([x, torch.ones(600, 1)], 1)
    line = torch.linalg.lstsq(features, 2 * y.float()[:, None] - 1).solution
    assert ((features @ line > 0)[:, 0] == (y == 1)).float().mean() < 0.7
    assert torch.equal(x, spirals().x) and not torch.equal(x, spirals(1).x)
    assert abs(x.std(correction=0) - 1) < 1e-5


def test_a_bad_seed_of_spirals_is_named(rejects):
    rejects(lambda: spirals(-1), "seed must be an integer from 0 to 9223372036854775807, got -1")


# --- its knobs ------------------------------------------------------------------------------------

RATES = "0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0"


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"depth": 0}, "depth must be an integer from 1 to 200, got 0"),
        ({"depth": None}, "depth must be an integer from 1 to 200, got None"),
        ({"width": 33}, "width must be one of 2, 4, 8, 16, 32, 64, 128, got 33"),
        ({"lr": 0.02}, f"lr must be one of {RATES}, got 0.02"),
        ({"lr": None}, f"lr must be one of {RATES}, got None"),
        ({"data": "mnist"}, "data must be one of 'digits', 'spirals', got 'mnist'"),
        ({"seed": 0.5}, "seed must be an integer from 0 to 9223372036854775807, got 0.5"),
        ({"dept": 3}, f"setting must be one of {', '.join(map(repr, DEFAULTS))}, got 'dept'"),
    ],
    ids=str,
)
def test_a_setting_that_is_not_allowed_is_named(rejects, bad, message):
    rejects(lambda: Playground(**bad), message)


def test_a_bad_setting_of_a_run_is_named(rejects):
    rejects(lambda: Run(data="mnist"), "data must be one of 'digits', 'spirals', got 'mnist'")
    known = ", ".join(map(repr, DEFAULTS))
    rejects(lambda: Run(dept=3), f"setting must be one of {known}, got 'dept'")
    rejects(lambda: Run().advance(0), "count must be an integer from 1 to 100000, got 0")


def test_a_bad_move_in_a_cell_is_named_and_changes_nothing(small, rejects):
    state = small.state
    rejects(lambda: small.set(depth=0), "depth must be an integer from 1 to 200, got 0")
    rejects(lambda: small.step(0), "count must be an integer from 1 to 100000, got 0")
    rejects(lambda: small.preset("x"), f"name must be one of {str([*PRESETS])[1:-1]}, got 'x'")
    assert small.state == state and small.run.step == 0


def test_the_line_makes_the_same_playground():
    settings = {
        "depth": 7, "width": 16, "norm": "batch", "skip": True, "branch_scale": 0.5,
        "data": "spirals", "lr": 0.1,
    }  # fmt: skip
    made = Playground(**settings, seed=3)
    again = eval(made.line)
    assert again.state == made.state == DEFAULTS | settings and again.run.seed == 3
    assert again.shown["panels"] == made.shown["panels"] and again.alt == made.alt
    assert Playground().line == "Playground()"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_sets_the_knobs_and_makes_a_network(name):
    made = Playground(depth=2, width=8)
    made.step(3)
    for _ in range(2):
        generation = made.generation
        press(made, name)
        assert made.state == made.run.settings == DEFAULTS | PRESETS[name] and made.run.step == 0
        assert made.generation > generation, "a late move of a knob is dropped"
        made.step()


def test_lr_and_batch_change_in_training_and_any_other_knob_makes_another_network(small):
    small.step(4)
    net = small.run.net
    turn(small, lr=0.1)
    turn(small, batch=32)
    assert small.run.net is net and small.run.step == 4
    assert small.run.trainer.lr == torch.tensor(0.1) and small.run.trainer.batch == 32
    assert "batch is 32 from step 4 on" in small.alt and "changed on the way" in small.line
    small.step()
    others = {"depth": 4, "width": 16, "gain": 2.0, "norm": "layer", "activation": "tanh"}
    for name, value in {**others, "data": "spirals"}.items():
        turn(small, **{name: value})
        assert small.run.net is not net and small.run.step == 0
        assert f"Another {name} is another network" in small.alt
        net = small.run.net
    assert "changed on the way" not in small.line


def test_a_batch_may_grow_beyond_what_is_left_of_the_epoch(small):
    small.step(22)
    turn(small, batch=256)
    small.step(8)
    assert small.run.step == 30


def test_reset_goes_back_to_step_0_with_the_knobs_as_they_are(small):
    first = small.shown["panels"]
    turn(small, gain=2.0)
    small.step(5)
    press(small, "reset")
    assert small.run.step == 0 and small.state["gain"] == 2.0 and "Back to step 0." in small.alt
    assert small.shown["panels"] != first
    turn(small, gain=1.41)
    assert small.shown["panels"] == first


def test_a_learning_rate_turned_before_the_first_step_shows_in_the_picture(small):
    update = small.snapshot.update
    turn(small, lr=0.1)
    np.testing.assert_allclose(small.snapshot.update, 10 * update, rtol=1e-5)
    press(small, "keep this run")
    assert small.worker.kept[0].line == small.line == "Playground(depth=3, width=8, lr=0.1)"


def test_several_knobs_may_be_turned_in_one_go(small):
    small.set(depth=2, gain=1.0)
    assert len(small.run.weights) == 2 and "Another depth and gain is another network" in small.alt
    assert small.line == "Playground(depth=2, width=8, gain=1.0)"


def test_kept_runs_stay_beside_the_next_ones_at_most_three(small):
    for k in range(5):
        turn(small, depth=k + 1)
        small.step(2)
        press(small, "keep this run")
    lines = [f"Playground(depth={k}, width=8)" for k in (3, 4, 5)]
    assert [kept.line for kept in small.worker.kept] == lines
    turn(small, data="spirals")
    names = ["now", "1", "2", "3"]
    for panel in small.panels:
        if panel.shades is None:
            assert [line.name for line in panel.lines if line.kind == "line"] == names, panel.title
    size = small.panels[3]
    assert size.lines[3].x.tolist() == [1, 2, 3, 4, 5] and size.x.high == 5.5
    assert [cells[0] for cells in small.picture.table] == ["", *names]
    assert small.picture.code[1:] == [[name, line] for name, line in zip("123", lines)]
    press(small, "forget kept runs")
    assert small.worker.kept == [] and len(small.picture.table) == 2
    assert [len(panel.lines) for panel in small.panels] == [1, 2, 2, 1, 1, 1, 1]


def test_marks_stand_below_the_sliders_as_in_the_explorers(small):
    assert small.picture.marks[0] == ("gain", 2**0.5, "critical 1.414")
    turn(small, skip=True, depth=5)
    assert small.picture.marks == [("branch_scale", 0.5, "1/√blocks 0.50")]


def test_a_lone_run_has_no_legends(small):
    small.step(30)
    assert [line.name for panel in small.panels for line in panel.lines] == (
        ["", "train", "test", *[""] * 4]
    )


def test_axes_end_where_the_layers_end_and_hold_all_finite_values(small):
    small.step(45)
    for panel in small.panels:
        for line in panel.lines:
            for values, axis in (line.x, panel.x), (line.y, panel.y):
                inside = (values >= axis.low) & (values <= axis.high)
                assert inside[np.isfinite(values)].all(), panel.title
    assert small.panels[3].x.high == 3.5, "no tick at a layer that is not there"


ENDS = [
    {"depth": 1},
    {"depth": 30, "width": 128, "gain": 4.0},
    pytest.param({"depth": 200, "width": 128, "gain": 4.0}, marks=pytest.mark.slow),
    {"gain": 0.0},
    {"width": 2},
    {"batch": 2},
]


@pytest.mark.parametrize("settings", ENDS)
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_the_ends_of_the_knobs_are_shown(settings, norm):
    made = Playground(**{"width": 8, "norm": norm, "lr": 3.0} | settings).step(3)
    assert "nan" not in made.alt.lower() and len(made.alt) > 100
    assert not blank(made.panels[0]) and differences(made.picture) == []


def test_every_knob_has_a_meaning_and_every_choice_is_sorted():
    assert {*DEFAULTS} - {"activation", "norm", "skip"} <= {*RANGES} | {*CHOICES}
    for name in ("width", "lr", "batch"):
        assert [*CHOICES[name]] == sorted(CHOICES[name]) and DEFAULTS[name] in CHOICES[name]


# --- its thread -----------------------------------------------------------------------------------


def test_start_trains_and_pause_ends_it(small):
    press(small, "start")
    assert small.training and toggle(small) == "pause" and len(threads()) == 1
    train(small, 10)
    press(small, "pause")
    assert not small.training and toggle(small) == "start" and threads() == []
    assert small.snapshot.step == small.run.step >= 10


def test_training_gives_the_curve_of_its_steps(small):
    press(small, "start")
    train(small, 30)
    press(small, "pause")
    same = Run(**SMALL).advance(small.run.step)
    assert small.run.loss == same.loss
    np.testing.assert_array_equal(small.snapshot.update, same.look().update, "of the last step")


def test_only_steps_that_are_shown_are_watched(small, monkeypatch):
    watched, shown, take, show = [], [], Run.watched, small.worker.show
    monkeypatch.setattr(Run, "watched", lambda run: watched.append(run.step) or take(run))
    monkeypatch.setattr(small.worker, "show", lambda: shown.append(small.snapshot.step) or show())
    press(small, "start")
    train(small, 200)
    press(small, "pause")
    assert shown == [step + 1 for step in watched] and len(watched) < small.run.step / 2
    assert watched[0] > 0, "the first step tells how long one takes"


def test_a_run_that_was_never_watched_is_watched_before_it_is_looked_at():
    one, other = Run(**SMALL).advance(5, watch=False).look(), Run(**SMALL).advance(5).look()
    np.testing.assert_array_equal(one.size, other.size)
    np.testing.assert_array_equal(one.loss, other.loss)


def test_an_error_is_told_with_the_step_at_which_it_was_measured(small):
    said = "wrong for [0-9]+% of the training examples"
    assert re.search(f"Untrained, it is {said}", small.alt)
    assert re.search(f"At step 0 it was {said}", small.step(19).alt)
    assert re.search(f"It is {said}", small.step(1).alt)
    assert re.search(f"At step 20 it was {said}", small.step(1).alt)


def test_no_more_pictures_are_sent_than_the_page_draws(small):
    press(small, "start")
    wait_until(lambda: small.worker.shown == training.AHEAD and small.run.step > 50)
    step = small.run.step
    wait_until(lambda: small.run.step > step + 100)
    assert small.worker.shown == training.AHEAD
    small.hear({"drawn": 3})
    wait_until(lambda: small.worker.shown == training.AHEAD + 3)
    press(small, "pause")


def test_a_knob_turned_in_training_trains_the_new_network(small):
    press(small, "start")
    train(small)
    for move in (
        lambda: turn(small, depth=5),
        lambda: press(small, "saved by He"),
        lambda: press(small, "reset"),
    ):
        old = small.run
        move()
        wait_until(lambda old=old: small.run is not old)
        train(small)
        assert small.training and small.run.step >= 5 and len(threads()) == 1
        assert small.run.settings == small.state
    press(small, "pause")
    assert small.run.loss == Run(**small.state).advance(small.run.step).loss


def test_a_knob_turned_while_a_network_is_made_is_answered_at_once(small, monkeypatch):
    asked, ready = threading.Event(), threading.Event()

    def slow(**settings):
        asked.set()
        assert ready.wait(90)
        return Run(**settings)

    press(small, "start")
    train(small)
    monkeypatch.setattr(training, "Run", slow)
    turn(small, depth=5)
    assert asked.wait(90)
    turn(small, lr=0.1)
    turn(small, depth=4)  # while the one of five layers is being made
    pausing = threading.Thread(target=press, args=(small, "pause"))
    pausing.start()
    wait_until(lambda: toggle(small) == "start")
    assert len(small.run.weights) == 3, "the button has answered, and no network is made yet"
    ready.set()
    pausing.join()
    assert small.run.settings == small.state == DEFAULTS | {"depth": 4, "width": 8, "lr": 0.1}
    assert small.run.step == 0 and small.run.trainer.lr == torch.tensor(0.1)
    assert "Another depth is another network" in small.alt


@pytest.mark.parametrize("in_training", [False, True])
def test_a_knob_that_is_turned_back_while_its_network_is_made_has_the_last_word(
    small, in_training, monkeypatch
):
    def turned_back(**settings):
        if settings["depth"] == 5:
            asked = {"settings": small.state | {"depth": 3}, "generation": small.generation}
            small.answer(**asked)
        return Run(**settings)

    if in_training:
        press(small, "start")
        train(small)
    monkeypatch.setattr(training, "Run", turned_back)
    old = small.run
    turn(small, depth=5)
    wait_until(lambda: small.run is not old and small.run.settings == small.state)
    press(small, "pause")
    assert small.state["depth"] == 3 == len(small.run.weights)


def test_many_moves_of_a_knob_make_few_networks(small, monkeypatch):
    made, ready = [], threading.Event()

    def slow(**settings):
        made.append(settings["depth"])
        assert ready.wait(90)
        return Run(**settings)

    monkeypatch.setattr(training, "Run", slow)
    for depth in range(4, 30):
        asked = {"settings": small.state | {"depth": depth}, "generation": small.generation}
        small.set_state({"asked": asked})
    ready.set()
    small.worker.wait()
    assert len(made) <= 2 and made[-1] == 29 == len(small.run.weights)


def test_a_closed_playground_leaves_nothing_behind():
    before = len(widgets.widget._instances)
    made = Playground(**SMALL)
    turn(made, depth=4)
    press(made, "reset"), press(made, "exploding"), press(made, "start")
    network = weakref.ref(made.run.net)
    made.close()
    for use in made.start, made.step, lambda: made.line:
        with pytest.raises(ValueError, match="was closed"):
            use()
    made.worker.train(5), made.worker.send(made.worker.begin)
    assert made.worker.run is None and not made.training
    assert len(widgets.widget._instances) == before and threads() == []
    gc.collect()
    assert network() is None, "a notebook's Out keeps what was closed"


def test_one_step_pauses(small):
    press(small, "start")
    train(small)
    press(small, "step")
    assert not small.training and threads() == [] and toggle(small) == "start"


def test_an_interrupt_ends_many_steps(small, monkeypatch):
    worker, join = small.worker, threading.Thread.join

    def interrupted(thread, timeout):
        wait_until(lambda: small.run.step > 20)
        monkeypatch.setattr(threading.Thread, "join", join)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small.step(100_000)
    wait_until(lambda: worker.thread is None)
    assert 20 < small.run.step == small.snapshot.step < 100_000


def test_two_playgrounds_do_not_disturb_each_other():
    one, other = Playground(**SMALL), Playground(**SMALL, seed=1)
    press(one, "start"), press(other, "start")
    train(one), train(other)
    press(one, "pause")
    step = one.run.step
    train(other)
    assert one.run.step == step and other.training
    other.close()
    assert one.run.loss == Run(**SMALL).advance(step).loss


def test_training_rests_when_no_page_answers_and_goes_on_when_one_does(small, monkeypatch):
    monkeypatch.setattr(training, "PATIENCE", 0.1)
    press(small, "start")
    wait_until(lambda: threads() == [])
    assert small.training and toggle(small) == "pause"
    step = small.run.step
    train(small)
    assert small.run.step > step
    press(small, "pause")


def test_a_page_that_does_not_answer_leaves_a_cells_steps_alone(small, monkeypatch):
    monkeypatch.setattr(training, "PATIENCE", 0.0)
    assert small.step(300).run.step == 300 == small.snapshot.step


def test_a_network_that_diverges_stops_and_is_told(small):
    press(small, "exploding")
    for _ in range(2):  # a second start tells the same
        press(small, "start")
        wait_until(lambda: threads() == [])
        assert not small.training and toggle(small) == "start"
        assert "It diverged: at step 2 the loss was no longer a finite number." in small.alt
        assert not np.isfinite(small.run.loss[-1]) and small.panels[0].lost.tolist() == [2]
        assert "It gives no answer" in small.alt and small.run.errors[-1] == (2, 1.0, 1.0)


def test_a_knob_turned_after_it_diverged_makes_a_network_that_waits(small):
    press(small, "exploding")
    press(small, "start")
    wait_until(lambda: threads() == [])
    turn(small, gain=1.0)
    assert not small.training and threads() == [] and small.run.step == 0
    press(small, "start")
    train(small)
    assert small.run.step >= 5


def test_what_goes_wrong_in_the_thread_is_said_on_the_page(small, monkeypatch):
    def fail():
        raise RuntimeError("no memory is left")

    monkeypatch.setattr(small.run.trainer, "step", fail)
    press(small, "start")
    wait_until(lambda: threads() == [])
    assert "Training stopped with RuntimeError: no memory is left." in small.alt
    assert not small.training and toggle(small) == "start"
    assert "no memory is left" in small.shown["sentence"]


def test_a_cell_that_is_run_again_ends_the_old_playground(monkeypatch):
    monkeypatch.setattr(widget, "display", lambda *args, **settings: None)

    def run_cell(cell, execution, *shown):
        parent = {"metadata": {"cellId": cell}, "header": {"msg_id": execution}}
        shell = SimpleNamespace(get_parent=lambda: parent)
        monkeypatch.setattr(widget, "get_ipython", lambda: shell)
        for made in shown:
            made._ipython_display_()
            made.start()

    first, second, elsewhere, again = (Playground(**SMALL) for _ in range(4))
    run_cell("a", 1, first, second)
    run_cell("b", 2, elsewhere)
    assert len(threads()) == 3
    run_cell("a", 3, again)
    assert not first.training and not second.training and elsewhere.training and again.training
    assert len(threads()) == 2
    run_cell("b", 4, elsewhere)
    assert elsewhere.training, "the same one, shown again"
    again.close(), elsewhere.close()


# --- what it says ---------------------------------------------------------------------------------

STORIES = [
    ("exploding", 0, "The signal grows: layer 20's size is 1e+06 times layer 1's."),
    ("dead on arrival", 20, "it does not learn"),
    ("dead on arrival", 0, "The gradient fades on its way back: layer 1's is"),
    ("saved by He", 20, "signal and gradient change less than 100-fold"),
    ("BN explodes backward", 0, "The gradient grows on its way back: layer 1's is"),
    pytest.param("56 plain", 100, "it does not learn", marks=pytest.mark.slow),
    ("56 with skips", 20, "signal and gradient change less than 100-fold"),
]


@pytest.mark.parametrize("name, steps, words", STORIES)
def test_the_sentence_says_what_is_happening(name, steps, words):
    made = Playground(**PRESETS[name])
    assert words in (made.step(steps) if steps else made).alt
    assert words in made.shown["sentence"]


def test_a_network_that_nothing_reaches_is_not_called_healthy():
    assert "No gradient reaches layer 1." in Playground(depth=3, gain=0.0).alt


def test_a_stuck_network_is_recognized():
    made = Playground(depth=40, norm="layer").step(100)
    assert "To the last layer all images look alike: their similarity is 1.00." in made.alt
    assert made.panels[5].title == "Similarity of images" and made.panels[5].lines[0].y[-1] > 0.99
    healthy = Playground(norm="batch", gain=0.8).step(100)
    assert "alike" not in healthy.alt and healthy.panels[5].lines[0].y[-1] < 0.5


def test_a_gradient_that_overflows_behind_a_finite_signal_is_not_called_healthy(small):
    for row in [1.0, np.nan], [np.inf, 1.0], [np.nan, np.nan]:
        said = gradient_in_words(np.array(row))
        assert said == ["The gradient overflows on its way back."]
    now = replace(small.snapshot, gradient=np.array([np.inf, 2.0, 1.0]))
    assert words(now, "images").startswith("The gradient overflows on its way back. Untrained, it")
    assert words(replace(now, size=np.full(3, np.nan)), "images").startswith(
        "The signal overflows. Untrained"
    )


def test_a_loss_of_zero_is_marked(small):
    now = replace(small.snapshot, steps=np.arange(1, 4), loss=np.array([0.5, 0.0, np.nan]))
    panel = losses({"now": now})
    assert (panel.zero.tolist(), panel.lost.tolist()) == ([2], [3])


def test_the_plane_tells_where_the_network_gives_no_answer(small):
    shares = np.ones((CELLS, CELLS), np.float32)
    assert plane(shares).sentence == "Class 0 is the likelier one in 100% of the plane."
    shares[:, 0] = np.nan
    panel = plane(shares)
    assert "Class 0 is the likelier one in 98% of the plane." in panel.sentence
    none = "of the plane: its scores are not finite."
    assert f"It gives no answer in 2% {none}" in panel.sentence
    assert panel.lost == pytest.approx([-2.3])
    assert differences(Picture([panel], [])) == []
    image = draw(Picture([panel], [])).axes[0].images[0]
    alpha = image.cmap(image.norm(image.get_array()))[..., 3]
    assert (alpha[:, 0] == 0).all() and (alpha[:, 1:] == 1).all(), "blank, and no class's colour"
    assert plane(shares * np.nan).sentence == f"It gives no answer in 100% {none}"


def test_the_colours_of_the_plane_differ_in_brightness_and_the_examples_stand_out_from_them():
    def contrast(*colors):
        low, high = sorted(luminance(np.array([to_rgb(color) for color in colors])))
        return high / low

    assert contrast(TINTS[0], TINTS[2]) > 1.8
    assert contrast(TINTS[0], COLORS[1]) > 2.5, "class 1 on its own colour"
    assert contrast(TINTS[2], COLORS[0]) > 2, "class 0 on its own colour"


def similarities(made):
    return next(panel for panel in made.panels if panel.title == "Similarity of images")


def test_the_axis_of_the_similarity_holds_minus_one():
    made = Playground(depth=3, width=8, norm="batch", batch=2)
    panel = similarities(made)
    assert panel.lines[0].y.min() < -0.9 and panel.y.low == -1.05
    assert similarities(Playground(depth=3)).y.low == -0.1


def test_images_that_cannot_be_compared_are_marked_in_every_run():
    made = Playground(depth=3, width=8, gain=0.0)
    panel = similarities(made)
    assert panel.lost.tolist() == [1, 2, 3]
    assert panel.sentence == "Where × stands, no two images can be compared."
    made.keep()
    made.set(gain=1.41, depth=2)
    assert similarities(made).lost.tolist() == [1, 2, 3], "of the kept run"
    assert "×" not in similarities(made).sentence


def test_what_is_stored_is_the_picture_with_its_words(small, monkeypatch):
    shown = []
    monkeypatch.setattr(widget, "display", lambda data, **settings: shown.append(data))
    small._ipython_display_()
    assert small.alt in shown[0]["text/plain"] and "image/png" in shown[0]
    assert "application/vnd.jupyter.widget-view+json" in shown[1]


def test_the_page_is_heard_after_a_move_to_where_a_knob_stands(small):
    small.set(depth=3)
    generation = small.shown["generation"]
    settings = small.shown["settings"] | {"depth": 5}
    small.set_state({"asked": {"settings": settings, "generation": generation}})
    small.worker.wait()
    assert small.state["depth"] == 5 == small.run.settings["depth"]


def test_a_preview_that_is_interrupted_is_taken_back(monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    run = Run(**SMALL, norm="batch")
    with monkeypatch.context() as patch:
        patch.setattr(training, "similarity", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run.look()
    assert run.advance(5).loss == Run(**SMALL, norm="batch").advance(5).loss


def test_a_cell_that_waits_for_steps_ends_where_it_trains_until_a_pause(small):
    cell = threading.Thread(target=small.step, args=(100_000,))
    cell.start()
    wait_until(lambda: small.run.step > 5)
    press(small, "start")
    cell.join(90)
    waits = cell.is_alive()
    press(small, "pause")
    cell.join()
    assert not waits


def test_a_thread_that_could_not_start_does_not_block_the_next(small, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            small.step(3)
    assert small.step(2).run.step == 2


def test_an_interrupt_while_a_thread_starts_leaves_one_thread(small, monkeypatch):
    """It comes when the thread runs and nobody has noted it; then the page's next message begins another."""

    def start(thread, begin=threading.Thread.start):
        begin(thread)
        raise KeyboardInterrupt

    seen, advance = set(), Run.advance

    def watched(run, *given, **settings):
        seen.add(threading.current_thread())
        time.sleep(0.01)
        return advance(run, *given, **settings)

    monkeypatch.setattr(Run, "advance", watched)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(KeyboardInterrupt):
            small.start()
    for _ in range(5):
        small.worker.answer(small.worker.shown)
    wait_until(lambda: small.run.step > 20)
    press(small, "pause")
    wait_until(lambda: small.worker.thread is None)
    assert len(seen) == 1 and small.worker.note == ""


@pytest.mark.parametrize("batch", [0, 2.5, "x", 2000])
def test_a_run_refuses_a_batch_that_its_data_do_not_have(batch):
    run = Run(depth=2, width=8)
    with pytest.raises(ValueError, match="^batch must be an integer from 1 to 1500, got "):
        run.turn(0.1, batch)
    assert (run.settings["batch"], run.settings["lr"], run.turned) == (64, 0.01, False)


def test_closing_ends_training_after_the_step_that_is_under_way(monkeypatch):
    made, under_way, go, taken = Playground(**SMALL), threading.Event(), threading.Event(), []

    def slow(run, count=1, watch=True, advance=Run.advance):
        taken.append(watch)
        if not watch:
            under_way.set()
            assert go.wait(90)
        return advance(run, count, watch)

    monkeypatch.setattr(Run, "advance", slow)
    press(made, "start")
    assert under_way.wait(90)
    closing = threading.Thread(target=made.close)
    closing.start()
    wait_until(lambda: made.worker.left == 0)
    go.set()
    closing.join()
    assert taken[-1] is False, "a step followed the one that was under way"
