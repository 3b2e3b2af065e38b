"""Assignment A4: its variants, the answers, and the mistakes that a check names. For teachers only."""

import torch
from checks import look_at_gradients, look_at_law

from helpers.exercises.judge import Exercise, but, edited

# The words of each variant. An odd seed takes "keep", an even one "gate".
WORDS = {
    "keep": {
        "block": r"a\,x + F(x)",
        "block_words": "multiplies the skip by $a$, and leaves the branch as it is",
        "block_example": "With $x=2$, $F(x)=3$ and $a=0.5$, the block gives $0.5\\cdot2+3=4$.",
        "block_code": "a * x + torch.relu(x) @ weight",
        "growth_code": "(a**2 + 1) ** blocks",
        "share_code": "(a**2 / (a**2 + 1)) ** blocks",
        "law_test": "With $a=1$, the block is lesson 06's: ten blocks make 1024 times the mean square.",
        "at_x_code": "a * g + (g @ weight.T) * (x > 0)",
        "at_weight_code": "torch.relu(x).T @ g",
        "at_a_code": "(g * x).sum()",
        "choose_code": "(root / (1 - root)) ** 0.5",
        "choose_test": "For one block and a share of one half, it is 1.",
        "values": "0.5, 1, 2, 3, 4, 6",
        "repair": "divide the block by √(a² + 1)",
        "repair_code": "(a * x + torch.relu(x) @ weight) / (a**2 + 1) ** 0.5",
        "model_a": "5.0",
        "model_growth": "2e+28",
        "model_share": "0.52",
        "model_repaired": "0.93",
    },
    "gate": {
        "block": r"(1-a)\,x + a\,F(x)",
        "block_words": "mixes skip and branch, as a *gate* that is open to the share $a$",
        "block_example": "With $x=2$, $F(x)=3$ and $a=0.5$, the block gives $0.5\\cdot2+0.5\\cdot3=2.5$.",
        "block_code": "(1 - a) * x + a * (torch.relu(x) @ weight)",
        "growth_code": "((1 - a) ** 2 + a**2) ** blocks",
        "share_code": "((1 - a) ** 2 / ((1 - a) ** 2 + a**2)) ** blocks",
        "law_test": "With $a=0.5$, ten blocks leave 1/1024 of the mean square.",
        "at_x_code": "(1 - a) * g + a * (g @ weight.T) * (x > 0)",
        "at_weight_code": "a * torch.relu(x).T @ g",
        "at_a_code": "(g * (torch.relu(x) @ weight - x)).sum()",
        "choose_code": "1 / (1 + (root / (1 - root)) ** 0.5)",
        "choose_test": "For one block and a share of one half, it is 0.5.",
        "values": "0.05, 0.1, 0.15, 0.2, 0.3, 0.5",
        "repair": "divide the block by √((1 − a)² + a²)",
        "repair_code": "((1 - a) * x + a * (torch.relu(x) @ weight)) / ((1 - a) ** 2 + a**2) ** 0.5",
        "model_a": "0.167",
        "model_growth": "0.0014",
        "model_share": "0.52",
        "model_repaired": "0.93",
    },
}


def variant(seed):
    """The words of the assignment for a course's seed."""
    kind = "keep" if seed % 2 else "gate"
    return {"kind": kind, **WORDS[kind]}


# --- the answers for a skip times a, and what a mixture changes in them ----------------------------


def block_keep(x, weight, a):
    """What leaves the block."""
    return a * x + torch.relu(x) @ weight


def law_keep(blocks, a):
    """By how much the mean square grows, and the share of it that is still the first x."""
    growth = (a**2 + 1) ** blocks
    share = (a**2 / (a**2 + 1)) ** blocks
    return growth, share


def backward_keep(g, x, weight, a):
    """The gradients at x, at weight and at a, from g, the gradient at the block's output."""
    at_x = a * g + (g @ weight.T) * (x > 0)
    at_weight = torch.relu(x).T @ g
    at_a = (g * x).sum()
    return at_x, at_weight, at_a


def backward_gate(g, x, weight, a):
    """The gradients at x, at weight and at a, from g, the gradient at the block's output."""
    branch = torch.relu(x) @ weight
    at_x = (1 - a) * g + a * (g @ weight.T) * (x > 0)
    at_weight = a * torch.relu(x).T @ g
    at_a = (g * (branch - x)).sum()
    return at_x, at_weight, at_a


def choose_keep(blocks, share):
    """The a with which this share of the last mean square is still the first x."""
    root = share ** (1 / blocks)
    return (root / (1 - root)) ** 0.5


def measured_keep(x, weights, a):
    """By how much the mean square has grown, and the squared cosine between first and last stream."""
    stream = x
    for weight in weights:
        stream = a * stream + torch.relu(stream) @ weight
    growth = stream.square().mean() / x.square().mean()
    cosine = (stream * x).sum() / (stream.norm() * x.norm())
    return growth, cosine**2


def gate(x):
    """An edit: of the stream x, 1 - a of the skip and a of the branch."""
    branch = f"torch.relu({x}) @ weight"
    return f"a * {x} + {branch}", f"(1 - a) * {x} + a * ({branch})"


block_gate = but(block_keep, gate("x"))
law_gate = but(law_keep, ("a**2 + 1", "(1 - a) ** 2 + a**2"), ("(a**2 /", "((1 - a) ** 2 /"))
choose_gate = but(
    choose_keep, ("(root / (1 - root)) ** 0.5", "1 / (1 + (root / (1 - root)) ** 0.5)")
)
measured_gate = but(measured_keep, gate("stream"))


# --- on what they are tried ---------------------------------------------------------------------------


def layers(generator):
    return [
        (torch.randn(6, 5, generator=generator), torch.randn(5, 5, generator=generator), a)
        for a in (0.15 + 0.3 * torch.rand(2, generator=generator)).tolist()
    ]


def depths(generator):
    shares = (0.1 + 0.3 * torch.rand(3, generator=generator)).tolist()
    return [(blocks, a) for blocks, a in zip((1, 4, 9), shares)]


def gradients(generator):
    return [(torch.randn(6, 5, generator=generator), *layer) for layer in layers(generator)]


def wishes(generator):
    shares = (0.2 + 0.2 * torch.rand(3, generator=generator)).tolist()
    return [(blocks, share) for blocks, share in zip((2, 7, 30), shares)]


def stacks(generator):
    found = []
    for blocks, a in ((1, 0.4), (4, 0.2)):
        x = 1 + torch.randn(7, 6, generator=generator)
        weights = [torch.randn(6, 6, generator=generator) / 3**0.5 for _ in range(blocks)]
        found.append((x, weights, a))
    return found


# --- the mistakes -------------------------------------------------------------------------------------

OTHER_YEAR = "that is the answer of another year: read again what the block computes"
BRANCHS_SHARE = (
    "the skip multiplies x by a, so a² enters its share: 1 / (a² + 1) is the branch's share"
)
ONE_MINUS_A = "each block leaves (1 − a)² / ((1 − a)² + a²) of the share, and not 1 − a"


def exercises(variant):
    """The tasks of a variant, by name."""
    keep = variant["kind"] == "keep"
    formula = variant["block"].replace("\\,", "·")
    block, other_block = both(keep, block_keep, block_gate)
    law, other_law = both(keep, law_keep, law_gate)
    backward, other_backward = both(keep, backward_keep, backward_gate)
    choose, other_choose = both(keep, choose_keep, choose_gate)
    measured, other_measured = both(keep, measured_keep, measured_gate)
    skip = "a * x" if keep else "(1 - a) * x"
    skip_2 = "a**2" if keep else "(1 - a) ** 2"
    whole = "(a**2 + 1)" if keep else "((1 - a) ** 2 + a**2)"
    linear = "a + 1" if keep else "(1 - a) + a"
    back_skip = "a * g + (g @" if keep else "(1 - a) * g + a * (g @"
    stream = "a * stream + torch.relu" if keep else "(1 - a) * stream + a * (torch.relu"
    body, _ = both(keep, *gate("x"))
    at_x = f"{back_skip} weight.T) * (x > 0)"
    return {
        "block": Exercise(
            answer=block,
            instances=layers,
            praise=f"The block {formula}.",
            mistakes=edited(
                block,
                f"""
                that is lesson 06's block: here it is {formula}
                    {body} → x + torch.relu(x) @ weight
                the ReLU stands before the weights, not behind them
                    torch.relu(x) @ weight → torch.relu(x @ weight)
                the ReLU is missing in the branch
                    torch.relu(x) → x
                the ReLU belongs to the branch: the skip carries x as it is
                    {skip} + → {skip.replace("x", "torch.relu(x)")} +
                the skip is missing
                    {skip} + → 0 * x +
                that is lesson 06's scale: a multiplies the branch only
                    {body} → x + a * (torch.relu(x) @ weight)
                that is order post: here the ReLU belongs to the branch
                    {body} → torch.relu({body.replace("torch.relu(x)", "x")})
                x stands on the left: x @ weight
                    torch.relu(x) @ weight → torch.relu(x) @ weight.T
                """.rstrip()
                + ("" if keep else SWAPPED),
            )
            | {OTHER_YEAR: other_block},
        ),
        "law": Exercise(
            answer=law,
            instances=depths,
            look=look_at_law,
            praise="Squares add, shares multiply.",
            mistakes=edited(
                law,
                f"""
                that is one block: each of the blocks multiplies
                    ** blocks → ** 1
                the factors of the blocks multiply: they do not add
                    {whole} ** blocks → {whole} * blocks
                    {whole}) ** blocks → {whole}) / blocks
                skip and branch are perpendicular: their squares add, not their lengths
                    {whole} ** blocks → ({linear}) ** (2 * blocks)
                    ({skip_2} / {whole}) → ({skip_2} / ({linear}) ** 2)
                the squares of skip and branch add: you add skip and branch themselves
                    {whole} ** blocks → ({linear}) ** blocks
                that is the length: the mean square is its square
                    {whole} ** blocks → {whole} ** (blocks / 2)
                    {whole}) ** blocks → {whole}) ** (blocks / 2)
                {BRANCHS_SHARE if keep else "the share that is left is the skip's, not the branch's"}
                    ({skip_2} / → ({"1" if keep else "a**2"} /
                divide by the growth: the share is what the skips leave, of all that is there
                    ({skip_2} / {whole}) ** blocks → ({skip_2}) ** blocks
                with He's gain, F(x) has the mean square of x: the ReLU's half is made up for
                    {whole} → {"(a**2 + 0.5)" if keep else "((1 - a) ** 2 + a**2 / 2)"}
                """,
            )
            | {OTHER_YEAR: other_law},
        ),
        "backward": Exercise(
            answer=backward,
            instances=gradients,
            look=look_at_gradients,
            praise="Three gradients: where the signal came from, what multiplied it, and a itself.",
            mistakes=edited(
                backward,
                f"""
                the skip's part of the gradient is missing
                    {back_skip} → {back_skip.replace(back_skip.split(" + ")[0], "0 * g")}
                the skip multiplies the gradient as it multiplies x
                    {back_skip} → {back_skip.replace(back_skip.split(" + ")[0], "g")}
                the ReLU's slope is missing: 1 where x > 0, else 0
                    * (x > 0) → * 1
                the ReLU's slope belongs to the branch only
                    {at_x} → ({at_x.replace(" * (x > 0)", "")}) * (x > 0)
                the slope looks at what entered the ReLU, x, and not at the gradient
                    (x > 0) → (g > 0)
                backward, the weight is transposed
                    weight.T → weight
                what entered the weight is relu(x), not x
                    torch.relu(x).T → x.T
                the gradient at the weight has the weight's shape: (inputs, units)
                    torch.relu(x).T @ g → (torch.relu(x).T @ g).T
                a is one number: add up over all examples and units
                    .sum() → .mean()
                """.rstrip()
                + gate_mistakes(keep),
            )
            | {OTHER_YEAR: other_backward},
        ),
        "choose": Exercise(
            answer=choose,
            instances=wishes,
            praise="The law turned round.",
            mistakes=edited(
                choose,
                f"""
                each block leaves the root of the share: share ** (1 / blocks)
                    share ** (1 / blocks) → share
                the factors multiply: take a root, do not divide
                    share ** (1 / blocks) → 1 - (1 - share) / blocks
                blocks equal factors make the share, and not blocks equal parts: take a root
                    share ** (1 / blocks) → share / blocks
                {"that is the square: take the root" if keep else ONE_MINUS_A}
                    (root / (1 - root)) ** 0.5 → (root / (1 - root))
                upside down: a larger share must be left by a {"larger" if keep else "smaller"} a
                    (root / (1 - root)) → ((1 - root) / root)
                from blocks blocks, take the root of that order, not one less
                    (1 / blocks) → (1 / (blocks - 1))
                that is the branch's share: the wish is about what the skips leave
                    share ** (1 / blocks) → (1 - share) ** (1 / blocks)
                squares add, lengths do not
                    (root / (1 - root)) ** 0.5 → root**0.5 / (1 - root**0.5)
                """,
            )
            | {OTHER_YEAR: other_choose},
        ),
        "measured": Exercise(
            answer=measured,
            instances=stacks,
            look=look_at_law,
            praise="What the law says, measured.",
            mistakes=edited(
                measured,
                f"""
                that is the cosine: the share is its square
                    cosine**2 → cosine
                the growth compares mean squares: you compare lengths
                    stream.square().mean() / x.square().mean() → stream.norm() / x.norm()
                upside down: the last mean square is divided by the first
                    stream.square().mean() / x.square().mean() → x.square().mean() / stream.square().mean()
                each block gets what the last one gave, not x again
                    {stream} → {stream.replace("stream", "x")}
                    torch.relu(stream) → torch.relu(x)
                take one cosine of all numbers: you take a mean over the examples
                    (stream * x).sum() / (stream.norm() * x.norm()) → torch.cosine_similarity(stream, x).mean()
                take the mean of the squares: the variance subtracts the squared mean
                    stream.square().mean() / x.square().mean() → stream.var() / x.var()
                that is lesson 06's block: here it is {formula}
                    {stream} → stream + {"" if keep else "("}torch.relu
                """,
            )
            | {OTHER_YEAR: other_measured},
        ),
    }


def both(first, one, other):
    return (one, other) if first else (other, one)


SWAPPED = """
                skip and branch are the wrong way round: a opens the branch
                    (1 - a) * x + a * (torch.relu(x) @ weight) → a * x + (1 - a) * (torch.relu(x) @ weight)
                """


def gate_mistakes(keep):
    if keep:
        return """
                the derivative of a·x with respect to a is x, not a
                    (g * x).sum() → (g * a).sum()
                """
    return """
                a opens the branch and closes the skip: F(x) − x is what a multiplies
                    (branch - x) → branch
                the branch is multiplied by a, and so is the gradient at its weight
                    a * torch.relu(x).T → torch.relu(x).T
                the branch is multiplied by a, and so is the gradient that passes it
                    + a * (g @ → + (g @
                """
