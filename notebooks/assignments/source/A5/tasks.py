"""Assignment A5: its variants, model answers and instances. For teachers only; what is accepted stands in checks.py."""

import checks

from helpers.exercises.judge import Exercise

# An odd seed has the first list, an even seed the second. What was measured of each claim stands in rubric.md.
CLAIMS = {
    "odd": {
        "A": "In a trained network of 20 layers with skips past small branches, any one block can be taken out (its branch multiplied by 0), and the test error grows by less than one point.",
        "B": "A network of five layers whose hidden weights all start at 0 learns nothing: its train error stays at about 90 %.",
        "C": "Twice the batch with twice the learning rate is the same training: the test error does not change.",
        "D": "Without activations, depth changes nothing: thirty linear layers learn just as one does.",
        "E": "A momentum of 0.9 does the same as a learning rate that is ten times as large, without momentum.",
        "F": "With Kaiming He's gain the size of the signal is level from the first layer to the last, and it stays level while the network trains.",
        "G": "Twice as many training digits, with as many training steps, make half the test error.",
        "H": "With skips past small branches, the gain no longer matters: from a quarter of He's gain to three times this gain, thirty layers learn equally well.",
    },
    "even": {
        "K": "A network cannot learn labels that are drawn by chance: there is nothing to learn.",
        "L": "The higher the learning rate, the more ReLU units are dead after training.",
        "M": "Deep networks are hurt more by noise in the pixels of new digits than shallow ones.",
        "N": "The wider a network, the smaller the share by which training moves the weights of a layer.",
        "O": "With batch norm, the random start matters less: the errors of different seeds lie closer together than without.",
        "P": "Small batches read new digits better than large ones, even if both take as many steps.",
        "Q": "The nearer a layer is to the output, the further training moves its weights.",
        "R": "Of two networks with the same number of weights, the deeper one reads new digits better than the wider one.",
    },
}
MODELS = {
    "odd": {
        "model_claim": "F",
        "model_rule": "in two of three seeds or more, the last layer is over 2 times as large as layer 1 after training, or under 0.5 times",
        "model_prediction": '{"before": 1.0, "after": 1.5}',
        "model_run": """net = build(depth=10, width=32, seed=seed)
    before = profile(net, x).pre_std
    fit(net, data, lr=0.01, epochs=10, batch=64, seed=seed, progress=False)
    after = profile(net, x).pre_std
    return {"before": before[-1] / before[0], "after": after[-1] / after[0]}""",
        "model_verdict": """outside = 0
    for result in results:
        if result["after"] > 2 or result["after"] < 0.5:
            outside += 1
    return outside >= 2""",
        "model_cases": """grows = {"before": 1.0, "after": 3.0}
    stays = {"before": 1.0, "after": 1.2}
    return [grows, grows, grows], [stays, stays, grows]""",
        "model_figure": """fig, ax = plt.subplots()
    styles = ["o-", "s--", "^:", "D-.", "v-"]
    for seed, result, style in zip(seeds, results, styles):
        ax.plot([0, 1], [result["before"], result["after"]], style, label=f"seed {seed}")
    ax.axhspan(0.5, 2, color="lightgrey", label="not refuted")
    ax.set(xticks=[0, 1], xticklabels=["before training", "after 10 epochs"], yscale="log")
    ax.set_yticks([0.25, 0.5, 1, 2, 4], [0.25, 0.5, 1, 2, 4])
    ax.minorticks_off()
    ax.set(ylabel="size in layer 10 / size in layer 1")
    ax.set_title("In all five networks, training makes the last layer larger")
    ax.legend()
    show(fig, "Last layer over layer 1: below 1 before training, from 3 to 4.5 after it.")""",
        "model_report": """Claim F says that with He's gain the signal is level, and stays level in training. I called it refuted if, after training,
layer 10 is over 2 or under 0.5 times as large as layer 1 in two seeds of three. I predicted 1.5.

I trained ten layers of 32 units for 10 epochs at a learning rate of 0.01, and measured the standard deviation of z on the
same 256 training digits before and after. The network before training is the control.

Before training, layer 10 is 0.26 to 0.97 times layer 1 (five seeds). After training it is 3.0, 4.0, 4.3, 4.5 and 4.5 times. So the
claim is refuted in each of five seeds, and my prediction was far too small. The first half of the claim is not exact
either: one start has 0.26, since single narrow networks stray from the law.

He's gain sets the size right at the start, and nothing keeps it there.

I do not know whether this does harm: the networks learned. I tried one learning rate and one width. A slower training may move the
sizes less.""",
    },
    "even": {
        "model_claim": "N",
        "model_rule": "in two of three seeds or more, layer 2 at width 256 moves by over 0.8 times the share at width 16",
        "model_prediction": '{"width 16": 0.4, "width 64": 0.2, "width 256": 0.1}',
        "model_run": """found = {}
    for width in (16, 64, 256):
        net = build(depth=4, width=width, seed=seed)
        weight = net[2].weight  # of layer 2; net[1] is the first ReLU
        before = weight.detach().clone()
        fit(net, data, lr=0.02, epochs=5, batch=64, seed=seed, progress=False)
        found[f"width {width}"] = ((weight - before).norm() / before.norm()).item()
    return found""",
        "model_verdict": """against = 0
    for result in results:
        if result["width 256"] > 0.8 * result["width 16"]:
            against += 1
    return against >= 2""",
        "model_cases": """alike = {"width 16": 0.2, "width 64": 0.2, "width 256": 0.19}
    falls = {"width 16": 0.2, "width 64": 0.1, "width 256": 0.05}
    return [alike, alike, alike], [falls, falls, falls]""",
        "model_figure": """widths = [16, 64, 256]
    fig, ax = plt.subplots()
    styles = ["o-", "s--", "^:", "D-.", "v-"]
    for seed, result, style in zip(seeds, results, styles):
        ax.plot(widths, [result[f"width {width}"] for width in widths], style, label=f"seed {seed}")
    ax.set(xscale="log", xlabel="width", ylim=(0, 0.25))
    ax.set_xticks(widths, widths)
    ax.minorticks_off()
    ax.set(ylabel="move of layer 2, as a share of its length")
    ax.set_title("Wider layers move by a smaller share, at every start")
    ax.legend()
    show(fig, "Move of layer 2 against width: 0.15 to 0.21 at width 16, 0.08 to 0.09 at 256.")""",
        "model_report": """Claim N says that the wider a network, the smaller the share by which training moves a layer's weights. I called it refuted
if, in two seeds of three, layer 2 at width 256 moves by over 0.8 times the share at width 16. I predicted 0.4, 0.2 and 0.1.

I trained four layers of 16, 64 and 256 units for 5 epochs at a learning rate of 0.02, and compared the weights of layer 2 before and
after. Only the width differs.

At width 16 the share is 0.15 to 0.21 (five seeds), at width 64 it is 0.13 to 0.15, at 256 it is 0.08 to 0.09. So the claim is not
refuted: in each seed, 256 moves by less than 0.6 times as much as 16. My prediction had the order right, and the fall
far too steep: sixteen times the width halves the share, roughly.

But the comparison has a weak point: the wide networks also learned better. At equal train error the narrow ones would have moved
even further. One layer, one learning rate; with more epochs the curves may cross.""",
    },
}


def variant(seed):
    """The words of the assignment for a course's seed."""
    kind = "odd" if seed % 2 else "even"
    claims = CLAIMS[kind]
    return {
        "kind": kind,
        "claims": "\n".join(f"- **{letter}.** {claim}" for letter, claim in claims.items()),
        "first": next(iter(claims)),
        **MODELS[kind],
    }


def some_run(seed):
    """A stand-in for a run that trains: the checks take any numbers that the seed decides."""
    return {"shallow": 1 / (1 + seed % 97), "deep": 2.0 + seed % 89}


def deep_is_worse(results):
    return sum(result["deep"] > 9 for result in results) >= 2


def exercises(variant):
    """The tasks of a variant. The check that students see has seed 0; for the mark, the limits are laxer."""
    letters = list(CLAIMS[variant["kind"]])
    stand_in = {
        "claim": letters[0],
        "refuted_if": "the deep network is above 9 in two seeds of three",
        "prediction": {"shallow": 0.1, "deep": 5.0},
    }
    worse, better = {"shallow": 0.1, "deep": 50.0}, {"shallow": 0.1, "deep": 5.0}

    def answer_run():
        return stand_in, some_run

    def answer_rule():
        imagined = [worse] * 3, [better] * 3
        return stand_in, deep_is_worse, imagined, [some_run(seed) for seed in (1, 2, 3)]

    def answer_report():
        return stand_in, "Of five seeds, 3 ended above 9 and 2 below it. " * 8

    def once(generator):
        return [(letters,)]

    def two_runs(generator):
        seed = generator.initial_seed()
        return [(letters, 1, 1e-6, 15)] if seed == 0 else [(letters, seed % 10**6, 1e-3, None)]

    def three_seeds(generator):
        seed = generator.initial_seed() % 10**6
        return [(letters, seed + 2, seed + 3, seed + 4)]

    def most_words(generator):
        return [(letters, 200 if generator.initial_seed() == 0 else 220)]

    return {
        "plan": Exercise(
            answer=answer_run,
            instances=once,
            look=checks.look_at_plan,
            accept=checks.accept_plan,
            praise="A claim, a prediction, and what would refute the claim.",
        ),
        "repeat": Exercise(
            answer=answer_run,
            instances=two_runs,
            look=checks.look_at_repeat,
            accept=checks.accept_repeat,
            praise="The same seed gives the same numbers.",
        ),
        "seeds": Exercise(
            answer=answer_run,
            instances=three_seeds,
            look=checks.look_at_seeds,
            accept=checks.accept_seeds,
            praise="Other seeds run, too, and give other numbers.",
        ),
        "rule": Exercise(
            answer=answer_rule,
            instances=once,
            look=checks.look_at_rule,
            accept=checks.accept_rule,
            praise="A rule that can come out both ways.",
        ),
        "words": Exercise(
            answer=answer_report,
            instances=most_words,
            look=checks.look_at_report,
            accept=checks.accept_report,
            praise="Short enough, and it names numbers.",
        ),
    }
