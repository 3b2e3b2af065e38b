"""Floor 4: instant feedback on the exercises. Each check knows the likely mistakes, and names the one it sees.

A mistake is known by what it computes: beside each answer stand the functions that people write instead.
"""

import copy
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import torch
from IPython.display import display

from .arguments import choice
from .datasets import digits
from .networks import build
from .training import Trainer, error, fit

TOLERANCE = 1e-4
HANDED_IN = (
    "application/vnd.helpers.answers"  # the output in which a grader finds what an answer gave
)


class Mistake(Exception):
    """What is wrong with an answer, in one line. A notebook shows that line, and no traceback."""

    def _render_traceback_(self):
        return [f"Not yet: {self}"]


def value(function, *instance):
    """The usual way to look at an answer: what it returns."""
    return {"": function(*instance)}


def named(returned, *names):
    """What an answer returned, by name. Raises Mistake if there are not as many things."""
    if returned is ...:
        return {"": ...}
    parts = list(returned) if isinstance(returned, Iterable) else []
    if len(parts) != len(names):
        raise Mistake(f"return {len(names)} things: {', '.join(names)}")
    return dict(zip(names, parts))


@dataclass(frozen=True)
class Exercise:
    """answer: the right function. instances: from a torch.Generator to a list of arguments to try it on.
    mistakes: from what to say to the function that makes that mistake. praise: what to say of a right answer.
    hard: from what to say to a function like `instances`, for cases in which an answer fails that is right otherwise.
    look: from a function and its arguments to a dict of what is compared, by name. What is None there is not compared.
    measure: of what `look` found and its instance, what is compared, where many answers are right. tolerance: as a share of the largest entry.
    accept: a function of what `look` found and its instance that raises Mistake; nothing is compared then."""

    answer: Callable
    instances: Callable
    mistakes: dict
    praise: str
    hard: dict = field(default_factory=dict)
    look: Callable = value
    measure: Callable = lambda parts, *instance: parts
    tolerance: float = TOLERANCE
    accept: Callable | None = None


def check(name, answer, seed=0, exercises=None):
    """Says whether `answer`, a function, solves the exercise `name`; raises Mistake, with the likely reason, if not.

    The trial instances are drawn from `seed`. An answer that still has the exercise's `...` is told so, without an error.
    exercises: from names to Exercise; the lessons' unless given. Raises ValueError if there is none of that name.
    """
    exercises = EXERCISES if exercises is None else exercises
    exercise = exercises[choice("name", name, tuple(exercises))]
    if answer is not ... and not callable(answer):
        raise Mistake(f"{name} must be a function, got {answer!r}")
    own = getattr(answer, "__name__", "<lambda>")
    name = name if own == "<lambda>" else own
    instances = exercise.instances(torch.Generator().manual_seed(seed))
    given = [looked_at(exercise, name, answer, instance) for instance in instances]
    if unanswered(given):
        print("Your turn: replace the ... above, then run this cell again.")
        return
    judge(exercise, name, instances, given)
    for message, cases in exercise.hard.items():
        for instance in cases(torch.Generator().manual_seed(seed)):
            right = exercise.look(exercise.answer, *instance)
            if not same_parts(looked_at(exercise, name, answer, instance), right, tolerance=0.02):
                raise Mistake(message)
    print(f"Correct. {exercise.praise}")


def hand_in(name, answer, exercises):
    """Puts what `answer` gives on fresh instances into the cell's output, as plain numbers, and judges nothing.

    A grader reads and judges it in another process, which no trick in this one reaches; see notebooks/assignments/. The
    instances are drawn from the seed in the environment's ASSIGNMENT_SEED. Raises Mistake as `check` does where it stops.
    """
    exercise = exercises[name]
    instances = exercise.instances(
        torch.Generator().manual_seed(int(os.environ.get("ASSIGNMENT_SEED", "0")))
    )
    given = [looked_at(exercise, name, answer, instance) for instance in instances]
    text = json.dumps([{part: plain(one) for part, one in parts.items()} for parts in given])
    display({HANDED_IN: text, "text/plain": f"{name}: handed in"}, raw=True)


def plain(part):
    """A part of an answer as JSON can hold it: a dict or "..." as it is, else the shape and the numbers of a tensor."""
    if part is ...:
        return "..."
    if isinstance(part, dict):
        return {
            str(key): "..." if one is ... else getattr(one, "item", lambda one=one: one)()
            for key, one in part.items()
        }
    try:
        part = torch.as_tensor(part).detach()
    except (TypeError, ValueError, RuntimeError):
        return repr(part)[:80]
    if part.is_complex():
        return repr(part)[:80]
    part = part.double()
    return [list(part.shape), part.flatten().tolist()]


def unanswered(given):
    """Whether an answer still has the exercise's dots."""
    found = [one for parts in given for one in parts.values()]
    found += [one for part in found if isinstance(part, dict) for one in part.values()]
    return any(one is ... for one in found)


def judge(exercise, name, instances, given):
    """Raises Mistake, with the likely reason, unless what an answer has given on each instance is right."""
    if exercise.accept:
        for parts, instance in zip(given, instances, strict=True):
            exercise.accept(parts, *instance)
        return
    measure = exercise.measure
    given = [measure(parts, *instance) for parts, instance in zip(given, instances, strict=True)]

    def found(function):
        return [measure(exercise.look(function, *instance), *instance) for instance in instances]

    def alike(part, others):
        return all(
            one.get(part) is not None and same(mine.get(part), one[part], exercise.tolerance)
            for mine, one in zip(given, others)
        )

    wanted, agree = found(exercise.answer), partial(same_parts, tolerance=exercise.tolerance)
    if all(map(agree, given, wanted)):
        return
    mistakes = {message: found(mistake) for message, mistake in exercise.mistakes.items()}
    likely = [message for message, wrong in mistakes.items() if all(map(agree, given, wrong))]
    for part in wanted[0]:  # of several mistakes at once, one that explains a wrong part
        if not alike(part, wanted):
            likely += [message for message, wrong in mistakes.items() if alike(part, wrong)]
    raise Mistake(likely[0] if likely else difference(exercise, name, instances, given, wanted))


def looked_at(exercise, name, answer, instance):
    """The parts of an answer on one instance. Raises Mistake where it stops or returns nothing."""
    if answer is ...:
        return {"": ...}
    try:
        parts = exercise.look(
            answer, *copy.deepcopy(instance)
        )  # what it changes in place is its own
    except Mistake:
        raise
    except Exception as error:
        raise Mistake(f"{name} stopped with {type(error).__name__}: {error}") from error
    if all(one is None for one in parts.values()):
        raise Mistake(f"{name} returned nothing: is a return missing?")
    return parts


def difference(exercise, name, instances, given, wanted):
    """One sentence on the first difference."""
    parts = [(k, part) for k, right in enumerate(wanted) for part in right]
    k, part = next(
        (k, part)
        for k, part in parts
        if not same_parts(given[k], {part: wanted[k][part]}, exercise.tolerance)
    )
    found, right = given[k].get(part), wanted[k][part]
    if not isinstance(right, torch.Tensor) or right.dim() == 0:
        arguments = ", ".join(
            f"{one:.4g}" if isinstance(one, (int, float)) else "…" for one in instances[k]
        )
        said = part or f"{name}({arguments})"
        return f"{said} should be {right:.4g}, got {found!r}"
    said = part or f"what {name} returns"
    if not isinstance(found, torch.Tensor) or found.shape != right.shape:
        shape = f"shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else repr(found)
        return f"{said} should be a tensor of shape {tuple(right.shape)}, got {shape}"
    at = (found.to(torch.complex128) - right).abs().nan_to_num(torch.inf).argmax()
    return f"{said} is wrong: one entry should be {right.flatten()[at]:.7g}, got {found.flatten()[at]:.7g}"


def same_parts(given, wanted, tolerance=TOLERANCE):
    """Whether each part that `wanted` has is the same."""
    return all(
        same(given.get(part), right, tolerance)
        for part, right in wanted.items()
        if right is not None
    )


def same(given, wanted, tolerance=TOLERANCE):
    """Whether two answers are the same number or array, but for rounding: to `tolerance` times the largest entry."""
    try:
        given, wanted = (
            torch.as_tensor(one).detach().to(torch.complex128) for one in (given, wanted)
        )
    except (TypeError, ValueError, RuntimeError):
        return False
    close = tolerance * float(wanted.abs().max()) + 1e-12
    return given.shape == wanted.shape and bool(((given - wanted).abs() <= close).all())


def compare(prediction, measured, unit=""):
    """Sets the reader's prediction beside what was measured, both numbers; a prediction of ... or None is asked for.

    The verdict is a factor, or for the unit "%" the difference in points.
    """
    if prediction is ... or prediction is None:
        print(
            f"Measured: {measured:.2g}{unit}. (You did not write a prediction: it is worth a guess before you look.)"
        )
        return
    said = f"Your prediction: {prediction}{unit}. Measured: {measured:.2g}{unit}."
    if prediction == measured:
        said += " Right."
    elif unit.strip() == "%" and isinstance(prediction, (int, float)):
        points = abs(prediction - measured)
        said += " Close." if points < 5 else f" Off by {points:.0f} points."
    elif isinstance(prediction, (int, float)) and prediction > 0 and measured > 0:
        ratio = max(prediction / measured, measured / prediction)
        said += " Close." if ratio < 1.25 else f" Off by a factor of {ratio:.2g}."
    print(said)


# --- 01: two layers that do nothing --------------------------------------------------------------------------------------------


def do_nothing_with(*, negative=-1.0, back=-1.0):
    """The exercise's answer, or one of its mistakes. negative, back: of the second half of the units, their sign on the way
    in and on the way out."""

    def function(width):
        one = torch.eye(width)
        return torch.cat([one, negative * one], 1), torch.cat([one, back * one], 0)

    return function


def look_at_do_nothing(function, x):
    """What comes out of the two layers for x, (examples, width)."""
    parts = named(function(x.shape[1]), "first", "second")
    if unanswered([parts]):
        return {"": ...}
    return {"what comes out": torch.relu(x @ parts["first"]) @ parts["second"]}


# --- 03: batch norm with its running averages ---------------------------------------------------------------------------------


def batch_norm_with(
    *,
    momentum=0.1,
    axis=0,
    used=0,
    kept=1,
    upside_down=False,
    power=0.5,
    scale=True,
    shift=True,
    graph=True,
    kept_graph=False,
    learns=("training",),
    batch_in=("training",),
):
    """The exercise's answer, or one of its mistakes.

    used, kept: what is taken off the batch's size in the variance that normalizes, and in the one that is kept; graph,
    kept_graph: whether the gradient flows through the moments, and whether the running averages keep the graph; learns,
    batch_in: the modes in which the averages move, and in which the batch's own moments normalize.
    """

    def function(x, gamma, beta, running_mean, running_var, training):
        mode = "training" if training else "eval"
        source = x if graph else x.detach()
        mean = source.mean(axis, keepdim=True)
        square = ((source - mean) ** 2).sum(axis, keepdim=True)
        batch = x.shape[axis]
        center, var = (
            (mean, square / (batch - used)) if mode in batch_in else (running_mean, running_var)
        )
        out = (x - center) / (var + 1e-5) ** power
        out = (gamma if scale else 1) * out + (beta if shift else 0)
        if axis == 1:
            return out, None, None  # of another shape: what is wrong shows in the output
        if mode in learns:
            new_mean, new_var = (
                mean[0],
                square[0] * (batch - 1) / batch**2 if upside_down else square[0] / (batch - kept),
            )
            if not kept_graph:
                new_mean, new_var = new_mean.detach(), new_var.detach()
            running_mean = (1 - momentum) * running_mean + momentum * new_mean
            running_var = (1 - momentum) * running_var + momentum * new_var
        return out, running_mean, running_var

    return function


def look_at_batch_norm(function, x, gamma, beta, running_mean, running_var):
    """A training step with its gradient, and an answer in eval mode."""
    x = x.clone().requires_grad_()
    parts = {}
    for mode, training in ("training", True), ("eval", False):
        returned = function(x, gamma, beta, running_mean.clone(), running_var.clone(), training)
        parts |= named(
            returned,
            f"the output in {mode}",
            f"running_mean after {mode}",
            f"running_var after {mode}",
        )
        if returned is ...:
            return parts
        out, mean, var = returned
        if training and isinstance(out, torch.Tensor):
            probe = torch.linspace(-1, 2, x.numel()).view(x.shape)
            [gradient] = (
                torch.autograd.grad((out * probe).sum(), x)
                if out.requires_grad
                else [torch.zeros_like(x)]
            )
            parts["the gradient with respect to x"] = gradient
        if training and isinstance(mean, torch.Tensor):
            kept = mean.requires_grad or (isinstance(var, torch.Tensor) and var.requires_grad)
            parts["the graph kept by the averages"] = torch.tensor(float(kept))
    return parts


def batches(generator, mean=3.0, std=2.0, constant=False):
    """Arguments of the exercise: batches of 8 examples of 3 units."""

    draw = partial(torch.randn, generator=generator)
    x = mean + std * draw(8, 3)
    if constant:
        x[:, 1] = 1.5
    return [(x, 1 + 0.3 * draw(3), draw(3), draw(3), 1 + draw(3) ** 2)]


# --- 04: batch norm folded into the linear layer before it ---------------------------------------------------------------------


def fold_with(
    *,
    eps_counts=True,
    rows=False,
    power=0.5,
    gamma_counts=True,
    weight_scaled=True,
    bias_counts=1,
    mean_counts=1,
    bias_scaled=True,
    beta_scaled=False,
):
    """The exercise's answer, or one of its mistakes."""

    def function(weight, bias, gamma, beta, mean, var, eps):
        scale = (gamma if gamma_counts else 1) / (var + eps * eps_counts) ** power
        new_weight = (weight.T * scale).T if rows else weight * scale if weight_scaled else weight
        moved = bias_counts * bias - mean_counts * mean
        new_bias = (
            (moved + beta) * scale
            if beta_scaled
            else moved * scale + beta
            if bias_scaled
            else moved + beta
        )
        return new_weight, new_bias

    return function


def look_at_fold(function, *instance):
    """The new weight and bias, by name."""
    return named(function(*instance), "the new weight", "the new bias")


def layers(generator):
    """Arguments of the exercise: a linear layer of 4 units, and a batch norm behind it."""
    draw = partial(torch.randn, generator=generator)
    return [
        (draw(4, 4), draw(4), 1 + 0.3 * draw(4), draw(4), draw(4), 0.1 + draw(4) ** 2, 0.1)
        for _ in range(2)
    ]


# --- 05: the way back through a ReLU network -----------------------------------------------------------------------------------


def backward_with(
    *,
    mask=lambda z, after: z > 0,
    transposed=True,
    first_mask=False,
    upside_down=False,
    stuck=False,
):
    """The exercise's answer, or one of its mistakes. mask: of a layer's pre-activations and of the next layer's."""

    def function(gradient, z, weights):
        gradients = [gradient]
        for k in reversed(range(len(weights))):
            weight = weights[k].T if transposed else weights[k]
            passed = mask(z[k], z[k + 1])
            new = (gradient * passed) @ weight if first_mask else (gradient @ weight) * passed
            gradients.append(new)
            gradient = gradient if stuck else new
        return gradients if upside_down else gradients[::-1]

    return function


def look_at_backward(function, gradient, z, weights):
    """The gradients at all of z, by name."""
    names = [f"the gradient at z[{k}]" for k in range(len(z))]
    return named(function(gradient, z, weights), *names)


def chains(generator):
    """Arguments of the exercise: 5 examples in a network of 4 layers of 3 units."""
    draw = partial(torch.randn, generator=generator)
    weights, z = [draw(3, 3) for _ in range(3)], [draw(5, 3)]
    for weight in weights:
        z.append(z[-1].relu() @ weight)
    return [(draw(5, 3), z, weights)]


# --- 06: a residual block ------------------------------------------------------------------------------------------------------


def block_with(
    *,
    on_skip=lambda x: x,
    before=torch.relu,
    after=lambda x: x,
    at_end=lambda x: x,
    skip=1.0,
    branch=lambda scale: scale,
):
    """The exercise's answer, or one of its mistakes. before, after: what stands before and after the weight of the branch;
    skip: what the skip is multiplied by, None for the scale."""

    def function(x, weight, projection, branch_scale):
        kept = on_skip(x) if projection is None else on_skip(x) @ projection
        return at_end(
            (branch_scale if skip is None else skip) * kept
            + branch(branch_scale) * after(before(x) @ weight)
        )

    return function


def blocks(generator):
    """Arguments of the exercise: a block from 3 to 5 units, with a projection, and one that keeps 4."""
    draw = partial(torch.randn, generator=generator)
    return [(draw(6, 3), draw(3, 5), draw(3, 5), 0.3), (draw(6, 4), draw(4, 4), None, 0.7)]


# --- 07: two hundred layers ----------------------------------------------------------------------------------------------------

START = {
    "depth": 200,
    "norm": "none",
    "skip": False,
    "branch_scale": 1.0,
    "order": "pre",
    "activation": "relu",
    "gain": 2**0.5,
    "lr": 0.1,
}


def look_at_two_hundred(function):
    """Trains what the answer describes. Raises Mistake, with what happened, unless it is right for 90 % of the training digits."""
    chosen = function()
    if chosen is ... or (isinstance(chosen, dict) and ... in chosen.values()):
        return {"": ...}
    if not isinstance(chosen, dict):
        raise Mistake(f"return a dict of what you change, such as {{'lr': 0.01}}, got {chosen!r}")
    changed = {
        name: value for name, value in chosen.items() if name not in START or value != START[name]
    }
    for name in changed:
        if name not in START or name == "depth":
            raise Mistake(
                f"{name} cannot be changed here; you may change three of {', '.join(list(START)[1:])}"
            )
    if len(changed) > 3:
        raise Mistake(
            f"you changed {len(changed)} things, and three are allowed: {', '.join(changed)}"
        )
    settings = START | changed
    idle = [name for name in ("branch_scale", "order") if name in changed and not settings["skip"]]
    if idle:
        raise Mistake(f"{idle[0]} does nothing without skip")
    lr = settings.pop("lr")
    net = build(width=32, inputs=64, classes=10, seed=0, **settings)
    history = fit(net, digits(0), lr=lr, epochs=4, batch=64, progress=False)
    if history.diverged.any():
        why = (
            "Is the branch small enough, or the learning rate too large?"
            if settings["skip"]
            else "Its gradient explodes; lesson 05"
        )
        raise Mistake(f"it diverged: its loss became infinite or NaN. {why}")
    if history.train_error[-1] > 0.1:
        why = (
            "what keeps the branch small, and is the learning rate too large or too small for it?" if settings["skip"]
            else "its gradient explodes or vanishes, or all its images have become alike; lessons 02 and 05"
        )  # fmt: skip
        raise Mistake(
            f"after four epochs it is wrong for {history.train_error[-1]:.0%} of its training digits: {why}"
        )
    return {"whether it trains": 1.0}


# --- 08: dropout ---------------------------------------------------------------------------------------------------------------


def dropout_with(
    *,
    kept=lambda noise, p: noise >= p,
    scale=lambda p, kept: 1 / (1 - p),
    in_eval=lambda x, dropped, p: x,
    swapped=False,
):
    """The exercise's answer, or one of its mistakes. in_eval: from the input and what training makes of it to eval's output;
    swapped: whether training and eval have changed places."""

    def function(x, p, noise, training):
        mask = kept(noise, p).to(x.dtype)
        dropped = x * mask * scale(p, mask)
        return dropped if bool(training) != swapped else in_eval(x, dropped, p)

    return function


def look_at_dropout(function, x, p, noise):
    """What comes out in training and in eval. Raises Mistake if it is not the same each time."""
    parts = {
        f"the output in {mode}": function(x.clone(), p, noise.clone(), mode == "training")
        for mode in ("training", "eval")
    }
    for mode, first in parts.items():
        second = function(x.clone(), p, noise.clone(), mode.endswith("training"))
        if isinstance(first, torch.Tensor) and not same(second, first):
            raise Mistake(
                f"{mode} is another one each time: take the noise that is given, instead of drawing your own"
            )
    return parts


def noisy(generator):
    """Arguments of the exercise: values, the share that is dropped, and uniform noise."""
    return [
        (torch.randn(8, 6, generator=generator), p, torch.rand(8, 6, generator=generator))
        for p in (0.2, 0.6)
    ]


# --- 09: three networks, one knob each -----------------------------------------------------------------------------------------

SICK = {
    "fades": {"depth": 20, "activation": "tanh", "gain": 0.5}, "explodes": {"depth": 50, "skip": True},
    "stuck": {"depth": 40, "norm": "layer"},
}  # fmt: skip
KNOBS = ("width", "gain", "norm", "skip", "branch_scale", "lr", "batch")


def look_at_one_knob(function):
    """Trains the three networks, each with the one knob that the answer turns. Raises Mistake, with what happened, unless each is
    right for 60 % of the training digits after 300 steps. A cure that is still missing is passed over."""
    cures = function()
    if cures is ...:
        return {"": ...}
    if (
        not isinstance(cures, dict)
        or {*cures} != {*SICK}
        or not all(isinstance(cure, dict) or cure is ... for cure in cures.values())
    ):
        raise Mistake(
            f"return a dict of {', '.join(map(repr, SICK))}, each with a dict of one knob, got {cures!r}"
        )
    for name, cure in cures.items():
        if cure is ...:
            continue
        if len(cure) != 1 or not {*cure} <= {*KNOBS}:
            raise Mistake(f"turn one knob of {name!r}, one of {', '.join(KNOBS)}, got {cure!r}")
        settings = {"width": 32, "gain": 1.41, "lr": 0.01, "batch": 64} | SICK[name] | cure
        how = {part: settings.pop(part) for part in ("lr", "batch")}
        net = build(**settings, inputs=64, classes=10, seed=0)
        data = digits(0)
        trainer = Trainer(net, data, **how)
        losses = torch.stack([trainer.step() for _ in range(300)])
        wrong = float(error(net, data.x, data.y))
        if not losses.isfinite().all():
            raise Mistake(f"{name!r} with {cure} diverges: its loss becomes infinite or NaN")
        if wrong > 0.4:
            raise Mistake(
                f"{name!r} with {cure} is still wrong for {wrong:.0%} of its training digits after 300 steps"
            )
    return {"": ...} if ... in cures.values() else {"whether they train": 1.0}


EXERCISES = {
    "one_knob": Exercise(
        answer=lambda: {
            "fades": {"gain": 1.0},
            "explodes": {"norm": "batch"},
            "stuck": {"skip": True},
        },
        instances=lambda generator: [()],
        mistakes={},
        praise="Three networks, three illnesses, and one knob each.",
        look=look_at_one_knob,
    ),
    "dropout": Exercise(
        answer=dropout_with(),
        instances=noisy,
        look=look_at_dropout,
        mistakes={
            "p is the share that is dropped: keep where noise is p or more": dropout_with(
                kept=lambda noise, p: noise < p
            ),
            "you took p for the share that is kept; it is the share that is dropped, and 1 - p is kept": (
                dropout_with(kept=lambda noise, p: noise < p, scale=lambda p, kept: 1 / p)
            ),
            "the right share, but other units: drop where noise is below p": dropout_with(
                kept=lambda noise, p: noise < 1 - p
            ),
            "divide by the share that is kept, 1 - p, not by p": dropout_with(
                scale=lambda p, kept: 1 / p
            ),
            "nothing makes up for what was dropped: in training, divide what is left by 1 - p": dropout_with(
                scale=lambda p, kept: 1.0
            ),
            "upside down: what is left has to grow, so divide by 1 - p": dropout_with(
                scale=lambda p, kept: 1 - p
            ),
            "divide by the share that is kept on average, 1 - p, not by the one that chance has kept this time": (
                dropout_with(scale=lambda p, kept: 1 / kept.mean())
            ),
            "in eval mode nothing is dropped: return x as it is": dropout_with(
                in_eval=lambda x, dropped, p: dropped
            ),
            "training and eval have changed places": dropout_with(swapped=True),
            "that is the form of the first paper: training as it is, eval times 1 - p. The averages agree, but here eval is to cost "
            "nothing: divide by 1 - p in training": dropout_with(
                scale=lambda p, kept: 1.0, in_eval=lambda x, dropped, p: (1 - p) * x
            ),
            "scaled twice: training has divided by 1 - p already, so eval returns x as it is": (
                dropout_with(in_eval=lambda x, dropped, p: (1 - p) * x)
            ),
            "the scale belongs to training, where something is missing; eval returns x as it is": (
                dropout_with(scale=lambda p, kept: 1.0, in_eval=lambda x, dropped, p: x / (1 - p))
            ),
        },
        praise="On average training passes on what eval does, and eval costs nothing: this is torch.nn.Dropout.",
    ),
    "two_hundred": Exercise(
        answer=lambda: {"skip": True, "branch_scale": 199**-0.5},
        instances=lambda generator: [()],
        mistakes={},
        praise="Two hundred layers, four epochs, over 90 % right on the training digits.",
        look=look_at_two_hundred,
    ),
    "do_nothing": Exercise(
        answer=do_nothing_with(),
        instances=lambda generator: [
            (torch.randn(5, width, generator=generator),) for width in (1, 3)
        ],
        look=look_at_do_nothing,
        mistakes={
            "the ReLU loses what is negative: let a second unit carry it, with the sign turned": do_nothing_with(
                back=0.0
            ),
            "that gives |x|: on the way back the second unit's sign has to be turned again": do_nothing_with(
                back=1.0
            ),
            "both units carry the positive half, and the negative one is lost": do_nothing_with(
                negative=1.0, back=1.0
            ),
            "the second unit takes away what the first one brings: turn its sign on the way in, too": (
                do_nothing_with(negative=1.0, back=-1.0)
            ),
            "that carries the negative half alone: let a second unit carry the positive one": (
                lambda width: (-torch.eye(width), -torch.eye(width))
            ),
        },
        praise="Any number of such pairs may be added to a network, and it answers as before.",
    ),
    "critical_gain": Exercise(
        answer=lambda slope: (2 / (1 + slope**2)) ** 0.5,
        instances=lambda generator: [
            (float(slope),) for slope in torch.rand(5, generator=generator) * 0.8 + 0.1
        ],
        mistakes={
            "that is the gain of the plain ReLU; the negative half now carries something too": lambda slope: (
                2**0.5
            ),
            "that is the square of the gain: the gain multiplies a standard deviation, not a variance": (
                lambda slope: 2 / (1 + slope**2)
            ),
            "the slope enters the mean square as its square: (slope z)² = slope² z²": (
                lambda slope: (2 / (1 + slope)) ** 0.5
            ),
            "upside down: the gain has to undo what the activation does to the mean square": (
                lambda slope: ((1 + slope**2) / 2) ** 0.5
            ),
            "that is the share of the mean square that is left; the gain is one over its root": (
                lambda slope: (1 + slope**2) / 2
            ),
            "the root covers the whole fraction: (2 / (1 + slope²)) ** 0.5, not 2 / (1 + slope²) ** 0.5": (
                lambda slope: 2 / (1 + slope**2) ** 0.5
            ),
            "the negative half adds to what is kept; it takes nothing away": lambda slope: (
                (2 / (1 - slope**2)) ** 0.5
            ),
            "square the slope alone: (1 + slope)² is not 1 + slope²": lambda slope: (
                (2 / (1 + slope) ** 2) ** 0.5
            ),
            "only half of the values are negative, and half are positive: each half counts one half": (
                lambda slope: 1 / (1 + slope**2) ** 0.5
            ),
        },
        praise="With slope 0 it is He's sqrt(2), with slope 1 the linear network's 1.",
    ),
    "batch_norm": Exercise(
        answer=batch_norm_with(),
        instances=batches,
        look=look_at_batch_norm,
        mistakes={
            "you normalized with the unbiased variance; the batch is divided by the root of the biased one, the plain mean of "
            "the squares": batch_norm_with(used=1),
            "running_var keeps the unbiased variance: times batch / (batch - 1)": batch_norm_with(
                kept=0
            ),
            "the two variances are the wrong way round: the biased one normalizes, the unbiased one goes into running_var": (
                batch_norm_with(used=1, kept=0)
            ),
            "the output is right, its gradient is not: the mean and the variance were computed under no_grad, or detached. They "
            "depend on x, and the gradient has to flow through them": batch_norm_with(graph=False),
            "running_mean and running_var keep the graph of every batch so far: detach what goes into them": (
                batch_norm_with(kept_graph=True)
            ),
            "in eval mode nothing is learned: the running averages must stay as they are": batch_norm_with(
                learns=("training", "eval")
            ),
            "in eval mode the running averages normalize, not the batch's own moments": batch_norm_with(
                batch_in=("training", "eval")
            ),
            "momentum is the wrong way round: PyTorch's 0.1 is what the new batch weighs": batch_norm_with(
                momentum=0.9
            ),
            "that is the wrong axis: a mean over the units of one example is layer norm; batch norm's is over the batch, axis 0": (
                batch_norm_with(axis=1)
            ),
            "gamma and beta are missing": batch_norm_with(scale=False, shift=False),
            "beta is missing": batch_norm_with(shift=False),
            "gamma is missing": batch_norm_with(scale=False),
            "divide by the root of the variance plus eps, not by the variance": batch_norm_with(
                power=1.0
            ),
            "the running averages never move: in training they go a tenth of the way to the batch's moments": (
                batch_norm_with(learns=())
            ),
            "the unbiased variance is upside down: it is the biased one times batch / (batch - 1)": (
                batch_norm_with(upside_down=True)
            ),
            "in training the batch's own moments normalize, not the running averages": batch_norm_with(
                batch_in=()
            ),
        },
        hard={
            "a unit that is the same in the whole batch has variance 0: eps = 1e-5 alone is left under the root": (
                lambda generator: batches(generator, constant=True)
            ),
            "a unit with mean 1000 and standard deviation 0.1 comes out wrong: E[x²] - E[x]² loses all its digits there. Subtract "
            "the mean first, then square": lambda generator: batches(
                generator, mean=1000.0, std=0.1
            ),
        },
        praise="Output, gradient and both running averages are those of torch.nn.BatchNorm1d.",
    ),
    "fold": Exercise(
        answer=fold_with(),
        instances=layers,
        look=look_at_fold,
        mistakes={
            "eps is missing: it stands under the root here too": fold_with(eps_counts=False),
            "the scale belongs to the units, which are the columns of the weight, not its rows": fold_with(
                rows=True
            ),
            "divide by the root of the variance plus eps, not by the variance": fold_with(
                power=1.0
            ),
            "gamma is missing": fold_with(gamma_counts=False),
            "the new weight is scaled as well: each column times gamma / sqrt(var + eps)": fold_with(
                weight_scaled=False
            ),
            "the layer's own bias is lost: it is normalized like everything else": fold_with(
                bias_counts=0
            ),
            "the running mean is not subtracted": fold_with(mean_counts=0),
            "the running mean is subtracted, not added": fold_with(mean_counts=-1),
            "bias - mean has to be scaled as well, before beta is added": fold_with(
                bias_scaled=False
            ),
            "beta comes after the scaling": fold_with(beta_scaled=True),
        },
        praise="In use, batch norm melts into a linear layer that stands before it.",
    ),
    "backward": Exercise(
        answer=backward_with(),
        instances=chains,
        look=look_at_backward,
        mistakes={
            "the slope of the ReLU is missing: where z is negative, nothing comes back": backward_with(
                mask=lambda z, after: 1
            ),
            "the weight has to be transposed on the way back": backward_with(transposed=False),
            "the gradient at z[k] is masked by z[k] itself, not by the next layer's": backward_with(
                mask=lambda z, after: after > 0
            ),
            "first back through the weight, then through the ReLU: forward it was the other way round": backward_with(
                first_mask=True
            ),
            "multiply by the slope of the ReLU, 0 or 1, not by its value": backward_with(
                mask=lambda z, after: z.relu()
            ),
            "at z[0] stands what belongs to the last of z: is the list upside down?": backward_with(
                upside_down=True
            ),
            "each step starts from the gradient of the layer after it, not from the last layer's": backward_with(
                stuck=True
            ),
        },
        praise="That is how loss.backward() goes back through a ReLU network.",
    ),
    "block": Exercise(
        answer=block_with(),
        instances=blocks,
        look=lambda function, *instance: {"the output": function(*instance)},
        mistakes={
            "the skip is missing": block_with(skip=0.0),
            "the branch is not scaled": block_with(branch=lambda scale: 1),
            "the scale belongs to the branch alone: on the skip it would shrink x in every block": block_with(
                skip=None
            ),
            "the scale belongs to the branch, not to the skip": block_with(
                skip=None, branch=lambda scale: 1
            ),
            "the ReLU stands before the weight": block_with(before=lambda x: x, after=torch.relu),
            "the skip goes past the ReLU: as it is, x loses its negative half in every block": block_with(
                on_skip=torch.relu
            ),
            "the branch has lost its ReLU: then the block is one linear layer": block_with(
                before=lambda x: x
            ),
            'in the order "pre" nothing comes after the sum': block_with(at_end=torch.relu),
            'that is the order "post": here the ReLU stands before the weight': block_with(
                before=lambda x: x, at_end=torch.relu
            ),
        },
        praise="With a projection the widths may differ; without one, nothing stands in the way of x.",
    ),
    "scale": Exercise(
        answer=lambda blocks: (2 ** (1 / blocks) - 1) ** 0.5,
        instances=lambda generator: [
            (int(blocks),)
            for blocks in (1, 2, 10, *torch.randint(20, 1000, (2,), generator=generator))
        ],
        mistakes={
            "close: that grows to (1 + 1/blocks)^blocks, which is 2 for one block and nearly e = 2.72 for many": (
                lambda blocks: (1 / blocks) ** 0.5
            ),
            "1/blocks is too careful: the squares add up, so the variance would hardly grow at all": lambda blocks: (
                1 / blocks
            ),
            "that is the square of the scale: take its root": lambda blocks: 2 ** (1 / blocks) - 1,
            "that doubles the standard deviation; the variance then is 4": lambda blocks: (
                (4 ** (1 / blocks) - 1) ** 0.5
            ),
            "that would be right if the branch pointed along x; it is perpendicular, and the squares add up: 1 + scale²": (
                lambda blocks: 2 ** (1 / (2 * blocks)) - 1
            ),
            "that is right for very many blocks; for few, the growth of the growth counts: (1 + scale²)^blocks = 2": (
                lambda blocks: (0.6931471805599453 / blocks) ** 0.5
            ),
            "blocks · scale² = 1 is meant to double it, and growth compounds: (1 + scale²)^blocks = 2": lambda blocks: (
                (2 / blocks) ** 0.5
            ),
            "each block multiplies by 1 + scale²; you have left out the 1": lambda blocks: (
                2 ** (1 / (2 * blocks))
            ),
        },
        praise="One block or a thousand: the variance doubles once.",
    ),
}

from .exercises import lesson04

EXERCISES |= lesson04.EXERCISES
