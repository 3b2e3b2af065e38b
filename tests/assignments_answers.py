"""Answers to the assignments as students write them: wrong ones with the task that they lose and what the check must say, and right
ones that look unlike the solution. The words in double braces are those of the variant, as in the notebooks."""

SEEDS = (1, 2)  # seeds of a course whose variants differ
BOTH = None  # an answer for either variant

# Of an assignment: for which seed, what is wrong, the task, a part of what the check says, and the code.
WRONG = {
    "A1": [
        (
            BOTH,
            "the standard deviation, as in the lesson",
            "sizes",
            "that is the standard deviation",
            """
def sizes(x, weights):
    found = []
    for weight in weights:
        z = x @ weight
        found.append(z.std().item())
        x = activate(z)
    return found
""",
        ),
        (
            BOTH,
            "the root of the mean square",
            "sizes",
            "that is the root of the mean square",
            """
def sizes(x, weights):
    found = []
    for weight in weights:
        z = x @ weight
        found.append((z**2).mean() ** 0.5)
        x = activate(z)
    return found
""",
        ),
        (
            BOTH,
            "measured behind the activation",
            "sizes",
            "measure z",
            """
def sizes(x, weights):
    found = []
    for weight in weights:
        x = activate(x @ weight)
        found.append(size(x))
    return found
""",
        ),
        (
            BOTH,
            "always x",
            "sizes",
            "not x again",
            """
def sizes(x, weights):
    return [size(x @ weight) for weight in weights]
""",
        ),
        (
            BOTH,
            "a ReLU from the lesson",
            "sizes",
            "that is the ReLU",
            """
def sizes(x, weights):
    found = []
    for weight in weights:
        z = x @ weight
        found.append(size(z))
        x = z.clamp(min=0)
    return found
""",
        ),
        (
            BOTH,
            "no activation",
            "sizes",
            "the activation is missing",
            """
def sizes(x, weights):
    found = []
    for weight in weights:
        x = x @ weight
        found.append(size(x))
    return found
""",
        ),
        (
            BOTH,
            "the last layer only",
            "sizes",
            "shape",
            """
def sizes(x, weights):
    for weight in weights:
        z = x @ weight
        x = activate(z)
    return [size(z)]
""",
        ),
        (
            BOTH,
            "the square of the gain",
            "critical_gain",
            "that is the square of the gain",
            """
def critical_gain(slope, share):
    return ({{gain_code}}) ** 2
""",
        ),
        (
            BOTH,
            "upside down",
            "critical_gain",
            "upside down",
            """
def critical_gain(slope, share):
    return 1 / ({{gain_code}})
""",
        ),
        (
            1,
            "the lesson's leaky ReLU",
            "critical_gain",
            "the dropped outputs are missing",
            """
def critical_gain(slope, share):
    return (2 / (1 + slope**2)) ** 0.5
""",
        ),
        (
            1,
            "what is dropped instead of what is left",
            "critical_gain",
            "1 − share of the outputs is left",
            """
def critical_gain(slope, share):
    return np.sqrt(2 / ((1 + slope * slope) * share))
""",
        ),
        (
            1,
            "the share squared",
            "critical_gain",
            "not its square",
            """
def critical_gain(slope, share):
    left = 0.5 * (1 - share) ** 2 * (1 + slope**2)
    return left**-0.5
""",
        ),
        (
            2,
            "half of what passes",
            "critical_gain",
            "not half of it",
            """
def critical_gain(slope, share):
    return (0.5 * share * slope**2 + 0.5 * (1 - share)) ** -0.5
""",
        ),
        (
            2,
            "the shares swapped",
            "critical_gain",
            "the wrong way round",
            """
def critical_gain(slope, share):
    return (share + (1 - share) * slope**2 / 2) ** -0.5
""",
        ),
        (
            2,
            "a mean of gains",
            "critical_gain",
            "a mean of gains",
            """
def critical_gain(slope, share):
    return share * 2**0.5 / slope + (1 - share) * 1
""",
        ),
        (
            BOTH,
            "gains that the next layer does not get",
            "gains",
            "once its gain is set",
            """
def gains(x, weights):
    found = []
    for weight in weights:
        z = x @ weight / len(weight) ** 0.5
        found.append(1 / size(z))
        x = activate(z)
    return found
""",
        ),
        (
            BOTH,
            "a gain behind the activation",
            "gains",
            "multiply z by the gain first",
            """
def gains(x, weights):
    found = []
    for weight in weights:
        z = x @ weight / len(weight) ** 0.5
        found.append(1 / size(z))
        x = activate(z) / size(z)
    return found
""",
        ),
        (
            BOTH,
            "factors of the raw weights",
            "gains",
            "√fan_in",
            """
def gains(x, weights):
    found = []
    for weight in weights:
        z = x @ weight
        found.append(1 / size(z))
        x = activate(z / size(z))
    return found
""",
        ),
        (
            BOTH,
            "fan_out",
            "gains",
            "number of rows",
            """
def gains(x, weights):
    found = []
    for weight in weights:
        z = x @ weight / weight.shape[1] ** 0.5
        found.append(1 / size(z))
        x = activate(z / size(z))
    return found
""",
        ),
        (
            BOTH,
            "the natural logarithm",
            "log_sizes",
            "natural logarithm",
            """
def log_sizes(x, depth, width, seeds):
    return [math.log(size(activations(build(depth, width, seed=s), x)[-1][0])) for s in seeds]
""",
        ),
        (
            1,
            "measured behind the ReLU",
            "log_sizes",
            "and not a, which leaves it",
            """
def log_sizes(x, depth, width, seeds):
    pairs = [activations(build(depth, width, seed=seed), x)[-1] for seed in seeds]
    return [math.log10(a.abs().mean()) for z, a in pairs]
""",
        ),
        (
            BOTH,
            "always the same seed",
            "log_sizes",
            "a seed of its own",
            """
def log_sizes(x, depth, width, seeds):
    return [math.log10(size(activations(build(depth, width), x)[-1][0])) for _ in seeds]
""",
        ),
    ],
}

# Of an assignment: for which seed, what is unusual, and the code.
RIGHT = {
    "A1": [
        (
            BOTH,
            "NumPy",
            """
def size(z):
    return float(np.{{kind}}(np.abs(np.asarray(z))))

def sizes(x, weights):
    found = []
    for weight in weights:
        z = np.asarray(x) @ np.asarray(weight)
        found.append(size(z))
        x = activate(torch.as_tensor(z))
    return found
""",
        ),
        (
            BOTH,
            "recursion",
            """
def sizes(x, weights):
    if not weights:
        return []
    z = x @ weights[0]
    return [size(z)] + sizes(activate(z), weights[1:])
""",
        ),
        (
            BOTH,
            "double precision, einsum, a tensor as the result",
            """
def sizes(x, weights):
    found = []
    for weight in weights:
        z = torch.einsum("ni,io->no", x.double(), weight.double())
        found.append(size(z))
        x = activate(z)
    return torch.stack(found)
""",
        ),
        (
            1,
            "by logarithms",
            """
def critical_gain(slope, share):
    return math.exp(0.5 * (math.log(2) - math.log1p(slope**2) - math.log1p(-share)))
""",
        ),
        (
            2,
            "two means in a loop",
            """
def critical_gain(slope, share):
    left = 0.0
    for part, square in ((share, slope * slope / 2), (1 - share, 1.0)):
        left += part * square
    return 1 / math.sqrt(left)
""",
        ),
        (
            BOTH,
            "weights scaled first, and the list filled before",
            """
def gains(x, weights):
    found = [0.0] * len(weights)
    for k in range(len(weights)):
        scaled = weights[k] / np.sqrt(weights[k].shape[0])
        found[k] = float(1 / size(x @ scaled))
        x = activate(x @ (found[k] * scaled))
    return np.array(found)
""",
        ),
        (
            BOTH,
            "a difference of natural logarithms",
            """
def log_sizes(x, depth, width, seeds):
    def log(seed):
        layers = activations(build(depth=depth, width=width, seed=seed), x)
        return np.log(float(size(layers[-1][0]))) / np.log(10)
    return list(map(log, seeds))
""",
        ),
    ],
}
