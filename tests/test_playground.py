"""The playground without a browser: what trains in it, its thread, its knobs, and what it says."""

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ipywidgets import widgets

from helpers import Playground, digits, fit
from helpers.datasets import spirals
from helpers.live import playground, widget
from helpers.live.figures import Answers, Plane
from helpers.live.playground import CHOICES, OWN, PRESETS, Run
from helpers.live.widget import RANGES
from helpers.networks import Linear, build

SMALL = {"depth": 3, "width": 8}


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "playground"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    deadline = time.monotonic() + 30
    while threads() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threads() == []


@pytest.fixture
def small():
    made = Playground(**SMALL)
    yield made
    made.close()


def train(made, steps=5, patience=30):
    """Plays the page: asks for pictures until so many steps are done."""
    goal, until = made.run.step + steps, time.monotonic() + patience
    while made.run.step < goal and made.going and time.monotonic() < until:
        made.tick()
        time.sleep(0.01)


def wait_until(condition, patience=30):
    until = time.monotonic() + patience
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    assert condition()


# --- what trains in it --------------------------------------------------------------------------------------------------------


def test_a_run_is_what_fit_does():
    run = Run(**SMALL, lr=0.1, seed=3).advance(2 * (1500 // 64))
    net = build(**SMALL, inputs=64, classes=10, gain=1.41, seed=3)
    history = fit(
        net, digits(), lr=0.1, epochs=2, batch=64, schedule="constant", seed=3, progress=False
    )
    np.testing.assert_allclose(np.reshape(run.loss, (2, -1)).mean(1), history.loss, rtol=1e-6)
    for one, other in zip(run.net.parameters(), net.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("settings", [{}, {"norm": "batch", "skip": True}, {"data": "spirals"}])
def test_the_same_line_gives_the_same_curves_looked_at_or_not(settings):
    one, other = (Run(**SMALL | settings, seed=1) for _ in range(2))
    one.advance(60)
    for _ in range(60):
        other.advance().look()
    assert one.loss == other.loss and one.errors == other.errors
    assert one.loss != Run(**SMALL | settings, seed=2).advance(60).loss


def test_the_errors_are_measured_every_20_steps():
    run = Run(**SMALL).advance(45)
    assert [step for step, *_ in run.errors] == [0, 20, 40]
    x, y, x_test, y_test = run.data
    run.measure()
    with torch.no_grad():
        wrong = [
            (run.net(a).argmax(1) != b).float().mean().item()
            for a, b in ((x[:297], y[:297]), (x_test, y_test))
        ]
    assert run.errors[-1][1:] == pytest.approx(wrong)
    seen = run.look()
    assert seen.answers.shape == (10, 10) and seen.answers.sum(1) == pytest.approx(1)
    shares = np.bincount(y_test.numpy(), minlength=10) / len(y_test)
    assert (np.diag(seen.answers) * shares).sum() == pytest.approx(1 - wrong[1])


def test_what_is_not_a_number_is_no_answer():
    run = Run(gain=3.0).advance(3)
    run.measure()
    assert run.errors[-1][1:] == (1.0, 1.0) and (run.look().answers == 0).all()


def test_a_long_run_has_few_points_each_the_mean_of_many_steps(monkeypatch):
    every = Run(**SMALL).advance(100).loss
    monkeypatch.setattr(playground, "POINTS", 20)
    run = Run(**SMALL).advance(100)
    seen = run.look()
    assert len(seen.loss) < 20 and run.every == 8 and seen.steps.tolist() == list(range(8, 100, 8))
    np.testing.assert_allclose(seen.loss, np.reshape(every[:96], (-1, 8)).mean(1))


def test_the_update_is_by_how_much_a_step_moved_the_weights():
    run = Run(**SMALL, lr=0.1)
    weights = [layer.weight for layer in run.net if isinstance(layer, Linear)][:3]
    for _ in range(3):
        before = [weight.detach().clone() for weight in weights]
        run.advance()
        moved = [
            ((weight - old).norm() / old.norm()).item() for weight, old in zip(weights, before)
        ]
        np.testing.assert_allclose(run.look().update, moved, rtol=1e-4)


def test_before_the_first_step_the_update_is_what_the_first_one_would_be():
    run = Run(**SMALL, lr=0.1)
    expected = (
        0.1 * run.look().profile.weight_gradient / [weight.norm().item() for weight in run.weights]
    )
    np.testing.assert_allclose(run.look().update, expected)


def test_spirals_are_two_classes_that_a_line_cannot_part():
    x, y, x_test, y_test = spirals()
    assert (
        x.shape == (600, 2)
        and x_test.shape == (200, 2)
        and {*y.tolist()} == {0, 1} == {*y_test.tolist()}
    )
    line = torch.linalg.lstsq(
        torch.cat([x, torch.ones(600, 1)], 1), 2 * y.float()[:, None] - 1
    ).solution
    right = ((torch.cat([x, torch.ones(600, 1)], 1) @ line > 0)[:, 0] == (y == 1)).float().mean()
    assert right < 0.7
    assert torch.equal(x, spirals().x) and not torch.equal(x, spirals(1).x)
    assert abs(x.std(correction=0) - 1) < 1e-5


def test_a_bad_seed_of_spirals_is_named(rejects):
    rejects(lambda: spirals(-1), "seed must be an integer from 0 to 9223372036854775807, got -1")


# --- its knobs ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"depth": 0}, "depth must be an integer from 1 to 200, got 0"),
        ({"width": 33}, "width must be one of 2, 4, 8, 16, 32, 64, 128, got 33"),
        (
            {"lr": 0.02},
            "lr must be one of 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, got 0.02",
        ),
        ({"data": "mnist"}, "data must be one of 'digits', 'spirals', got 'mnist'"),
        ({"seed": 0.5}, "seed must be an integer from 0 to 9223372036854775807, got 0.5"),
        ({"dept": 3}, f"setting must be one of {', '.join(map(repr, OWN))}, got 'dept'"),
    ],
    ids=str,
)
def test_a_setting_that_is_not_allowed_is_named(rejects, bad, message):
    rejects(lambda: Playground(**bad), message)


def test_the_line_makes_the_same_playground():
    settings = {
        "depth": 7,
        "width": 16,
        "norm": "batch",
        "skip": True,
        "branch_scale": 0.5,
        "lr": 0.1,
        "data": "spirals",
        "seed": 3,
    }
    made = Playground(**settings)
    again = eval(made.line)
    assert (
        again.state
        == made.state
        == OWN | {name: value for name, value in settings.items() if name != "seed"}
    )
    assert again.seed == 3 and again.png == made.png
    assert Playground().line == "Playground()"


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_sets_the_knobs_and_says_so(name):
    made = Playground(depth=2, width=8)
    made.step(3)
    made.preset(name)
    assert made.state == OWN | PRESETS[name] and made.run.step == 0
    assert all(one in made.controls for one in OWN)


def test_lr_and_batch_change_in_training_and_any_other_knob_makes_another_network(small):
    small.step(4)
    net = small.run.net
    small.controls["lr"].value = 0.1
    small.controls["batch"].value = 32
    assert small.run.net is net and small.run.step == 4
    assert small.run.trainer.lr == torch.tensor(0.1) and small.run.trainer.batch == 32
    assert "batch is 32 from step 4 on" in small.alt and "changed on the way" in small.line
    small.step()
    for name, value in {
        "depth": 4,
        "width": 16,
        "gain": 2.0,
        "norm": "layer",
        "activation": "tanh",
        "data": "spirals",
    }.items():
        small.controls[name].value = value
        assert small.run.net is not net and small.run.step == 0
        assert f"Another {name} is another network" in small.alt
        net = small.run.net
    assert "changed on the way" not in small.line


def test_a_batch_may_grow_beyond_what_is_left_of_the_epoch(small):
    small.step(22)
    small.controls["batch"].value = 256
    small.step(8)
    assert small.run.step == 30


def test_reset_goes_back_to_step_0_with_the_knobs_as_they_are(small):
    first = small.png
    small.controls["gain"].value = 2.0
    small.step(5)
    small.reset()
    assert small.run.step == 0 and small.state["gain"] == 2.0 and small.png != first
    small.controls["gain"].value = 1.41
    assert (
        small.alt.replace("Another gain is another network: step 0. ", "")
        in Playground(**SMALL).alt
    )


def test_kept_runs_stay_beside_the_next_ones_at_most_three(small):
    for k in range(5):
        small.controls["depth"].value = k + 1
        small.step(2)
        small.keep()
    assert [seen.line for seen in small.kept] == [
        f"Playground(depth={k}, width=8)" for k in (3, 4, 5)
    ]
    small.controls["data"].value = "spirals"
    assert [drawing.named for drawing in small.live.drawings if drawing.named] == 5 * [
        ("now", "1", "2", "3")
    ]
    assert "<th>3</th>" in small.page.value
    assert small.live.drawings[3].lines[3].get_xdata().tolist() == [1, 2, 3, 4, 5]
    assert "depth=4" in small.code.value
    small.forget()
    assert (
        small.kept == []
        and small.live.drawings[0].named == ("now",)
        and "<th>1</th>" not in small.page.value
    )
    assert [len(line.get_xdata()) for line in small.live.drawings[3].lines] == [5, 0, 0, 0]


def test_each_kind_of_data_has_one_figure(small):
    figures = []
    for data in ("digits", "spirals", "digits", "spirals"):
        small.set(data=data)
        figures.append(small.live.figure)
        assert isinstance(small.live.drawings[2], {"digits": Answers, "spirals": Plane}[data])
    assert figures[0] is figures[2] and figures[1] is figures[3] and figures[0] is not figures[1]


@pytest.mark.parametrize("data", CHOICES["data"])
@pytest.mark.parametrize("kept", [0, 3])
def test_no_legend_and_no_label_leaves_its_panel(data, kept):
    made = Playground(**SMALL, data=data)
    for _ in range(kept):
        made.keep()
    made.step(3)
    made.seen = replace(made.seen, step=90_000)  # the axis of steps gets longer numbers
    made.show()
    canvas = made.live.figure.canvas
    canvas.draw()
    for drawing, place in zip(made.live.drawings, made.live.places, strict=True):
        inside = drawing.ax.get_tightbbox(canvas.get_renderer())
        assert (
            place.x0 <= inside.x0
            and inside.x1 <= place.x1
            and place.y0 <= inside.y0
            and inside.y1 <= place.y1
        )


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 1},
        {"depth": 200, "width": 128, "gain": 4.0},
        {"gain": 0.0},
        {"width": 2},
        {"batch": 2},
    ],
)
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_the_ends_of_the_knobs_are_shown(settings, norm):
    made = Playground(**{"width": 8, "norm": norm, "lr": 3.0} | settings).step(3)
    assert "NaN" not in made.alt and len(made.alt) > 100
    assert made.live.drawings[0].ax.get_xlim() == (0, 100)


# --- its thread ---------------------------------------------------------------------------------------------------------------


def test_start_trains_and_pause_ends_it(small):
    small.toggle.click()
    assert (
        small.going
        and small.toggle.description == "pause"
        and small.clock.playing
        and len(threads()) == 1
    )
    train(small, 10)
    small.toggle.click()
    assert (
        not small.going
        and small.toggle.description == "start"
        and not small.clock.playing
        and threads() == []
    )
    assert small.seen.step == small.run.step >= 10
    step = small.run.step
    time.sleep(0.1)
    assert small.run.step == step


def test_training_gives_the_curve_of_its_steps(small):
    small.start()
    train(small, 30)
    small.pause()
    assert small.run.loss == Run(**SMALL).advance(small.run.step).loss


def test_a_knob_turned_in_training_trains_the_new_network(small):
    small.start()
    train(small)
    for turn in (
        lambda: setattr(small.controls["depth"], "value", 5),
        lambda: small.preset("saved by He"),
        small.reset,
    ):
        old = small.run
        turn()
        wait_until(lambda old=old: small.run is not old)
        train(small)
        assert (
            small.going
            and small.run.step >= 5
            and len(threads()) == 1
            and small.run.settings == small.state
        )
    small.pause()
    assert small.run.loss == Run(**small.state).advance(small.run.step).loss


def test_a_knob_turned_while_a_network_is_made_is_answered_at_once(small, monkeypatch):
    asked, ready = threading.Event(), threading.Event()

    def slow(**settings):
        asked.set()
        assert ready.wait(30)
        return Run(**settings)

    small.start()
    train(small)
    monkeypatch.setattr(playground, "Run", slow)
    small.controls["depth"].value = 5
    assert asked.wait(30)
    small.controls["lr"].value, small.controls["depth"].value = (
        0.1,
        4,
    )  # while the one of five layers is being made
    pausing = threading.Thread(target=small.press)
    pausing.start()
    wait_until(lambda: small.toggle.description == "start")
    assert len(small.run.weights) == 3, "the button has answered, and no network is made yet"
    ready.set()
    pausing.join()
    assert (
        small.run.settings == small.state == OWN | {"depth": 4, "width": 8, "lr": 0.1}
        and small.run.step == 0
    )
    assert (
        small.run.trainer.lr == torch.tensor(0.1)
        and "Another depth is another network" in small.alt
    )


@pytest.mark.parametrize("training", [False, True])
def test_a_knob_that_is_turned_back_while_its_network_is_made_has_the_last_word(
    small, training, monkeypatch
):
    def turned_back(**settings):
        if settings["depth"] == 5:
            small.controls["depth"].value = 3
        return Run(**settings)

    if training:
        small.start()
        train(small)
    monkeypatch.setattr(playground, "Run", turned_back)
    old = small.run
    small.controls["depth"].value = 5
    wait_until(lambda: small.run is not old and not small.others)
    small.pause()
    assert small.state["depth"] == 3 == len(small.run.weights)


def test_a_learning_rate_turned_before_the_first_step_shows_in_the_picture(small):
    small.controls["lr"].value = 3.0
    np.testing.assert_array_equal(small.seen.update, small.run.look().update)
    small.keep()
    assert small.kept[0].line == small.line == "Playground(depth=3, width=8, lr=3.0)"


def test_start_waits_for_the_last_picture_of_a_run_that_diverged(small, monkeypatch):
    drawing, picture = threading.Event(), small.picture

    def slow(**settings):
        if threading.current_thread().name == "playground" and small.run.diverged:
            drawing.set()
            time.sleep(0.3)
        return picture(**settings)

    monkeypatch.setattr(small, "picture", slow)
    small.set(gain=4.0, depth=20, lr=3.0)
    small.start()
    assert drawing.wait(30)
    most, start = [], small.work_on
    monkeypatch.setattr(small, "work_on", lambda: (start(), most.append(len(threads()))))
    small.start()
    assert most == [1], "never two threads on one network"
    wait_until(lambda: not small.going)


def test_a_closed_playground_leaves_nothing_behind():
    before = len(widgets.widget._instances)
    made = Playground(**SMALL)
    made.controls["depth"].value = 4
    made.reset(), made.preset("exploding"), made.close()
    assert len(widgets.widget._instances) == before


def test_several_knobs_may_be_turned_in_one_go(small):
    small.set(depth=2, gain=1.0)
    assert len(small.run.weights) == 2 and "Another depth and gain is another network" in small.alt
    assert small.line == "Playground(depth=2, width=8, gain=1.0)"


def test_one_step_pauses(small):
    small.start()
    train(small)
    small.step()
    assert not small.going and threads() == [] and small.toggle.description == "start"


def test_two_playgrounds_do_not_disturb_each_other():
    one, other = Playground(**SMALL), Playground(**SMALL, seed=1)
    one.start(), other.start()
    train(one), train(other)
    one.pause()
    step = one.run.step
    train(other)
    assert one.run.step == step and other.going
    other.close()
    assert one.run.loss == Run(**SMALL).advance(step).loss


def test_training_rests_when_no_page_asks_and_goes_on_when_one_does(small, monkeypatch):
    monkeypatch.setattr(playground, "PATIENCE", 0.1)
    small.start()
    deadline = time.monotonic() + 30
    while threads() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threads() == [] and small.going
    step = small.run.step
    train(small)
    assert small.run.step > step
    small.pause()


def test_a_network_that_diverges_stops_and_is_told(small):
    small.preset("exploding")
    small.start()
    train(small, 1000)
    small.worker.join()
    assert not small.going and small.toggle.description == "start" and not small.clock.playing
    assert "It diverged: at step 2 the loss was no longer a finite number." in small.alt
    assert np.isnan(small.run.loss[-1]) or np.isinf(small.run.loss[-1])


def test_a_knob_turned_after_it_diverged_makes_a_network_that_waits(small):
    small.preset("exploding")
    small.start()
    train(small, 1000)
    small.controls["gain"].value = 1.0
    assert (
        not small.going
        and threads() == []
        and small.run.step == 0
        and small.toggle.description == "start"
    )
    small.start()
    train(small)
    assert small.run.step >= 5


def test_what_goes_wrong_in_the_thread_is_said_on_the_page(small, monkeypatch):
    def fail():
        raise RuntimeError("no memory is left")

    monkeypatch.setattr(small.run.trainer, "step", fail)
    small.start()
    small.worker.join()
    small.tick()
    assert "Training stopped with RuntimeError: no memory is left" in small.alt and not small.going


@pytest.mark.slow
def test_a_cell_that_is_run_again_puts_the_old_playground_to_rest(monkeypatch):
    def run_cell(cell, execution, *shown):
        shell = SimpleNamespace(
            get_parent=lambda: {"metadata": {"cellId": cell}, "header": {"msg_id": execution}}
        )
        monkeypatch.setattr(widget, "get_ipython", lambda: shell)
        for one in shown:
            one._repr_mimebundle_()
            one.start()

    first, second, elsewhere, again = (Playground(**SMALL) for _ in range(4))
    run_cell("a", 1, first, second)
    run_cell("b", 2, elsewhere)
    assert len(threads()) == 3
    run_cell("a", 3, again)
    assert (
        not first.going
        and not second.going
        and elsewhere.going
        and again.going
        and len(threads()) == 2
    )
    run_cell("b", 4, elsewhere)
    assert elsewhere.going, "the same one, shown again"
    again.close(), elsewhere.close()


# --- what it says -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, steps, words",
    [
        ("exploding", 0, "The signal grows: layer 20's spread is 1e+06 times layer 1's."),
        ("dead on arrival", 20, "it is not learning"),
        (
            "dead on arrival",
            0,
            "The gradient fades on its way back: layer 1's is 1e-05 of layer 20's.",
        ),
        ("saved by He", 20, "differ by less than a hundredfold"),
        (
            "BN explodes backward",
            0,
            "The gradient grows on its way back: layer 1's is 2e+09 times layer 100's.",
        ),
        ("56 plain", 100, "it is not learning"),
        ("56 with skips", 20, "differ by less than a hundredfold"),
    ],
)
def test_the_sentence_says_what_is_happening(name, steps, words):
    made = Playground(**PRESETS[name])
    assert words in (made.step(steps) if steps else made).alt
    assert words in made.page.value.replace("&#x27;", "'")


def test_a_network_that_nothing_reaches_is_not_called_healthy():
    assert "No gradient reaches layer 1." in Playground(depth=3, gain=0.0).alt


def test_every_knob_has_a_meaning_and_every_choice_is_sorted():
    assert {*OWN} - {"activation", "norm", "skip"} <= {*RANGES} | {*CHOICES}
    for name in ("width", "lr", "batch"):
        assert [*CHOICES[name]] == sorted(CHOICES[name]) and OWN[name] in CHOICES[name]
