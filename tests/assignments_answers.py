"""Answers to the assignments as students write them: wrong ones with the task that they lose and what the check must say, and right
ones that look unlike the solution. The words in double braces are those of the variant, as in the notebooks."""

SEEDS = (1, 2)  # seeds of a course whose variants differ
BOTH = None  # an answer for either variant

# Of an assignment: for which seed, what is wrong, the task, a part of what the check says, the code, and other tasks that are lost.
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
    "A2": [
        (
            BOTH,
            "the standard deviation, as in the lesson",
            "normalize",
            "that divides by the standard deviation",
            """
def normalize(z, eps):
    return (z - z.mean(dim=0)) / (z.std(dim=0, correction=0) + eps)
""",
        ),
        (
            BOTH,
            "over the units",
            "normalize",
            "the mean is over the batch",
            """
def normalize(z, eps):
    distance = (z - z.mean(dim=1, keepdim=True)).T
    return ({{spread_code}} + eps).reciprocal()[:, None] * distance.T
""",
        ),
        (
            BOTH,
            "one mean for all",
            "normalize",
            "one of all numbers",
            """
def normalize(z, eps):
    distance = z - z.mean()
    return distance / ({{spread_code}} + eps)
""",
        ),
        (
            BOTH,
            "not centred",
            "normalize",
            "not subtracted from what you divide",
            """
def normalize(z, eps):
    return z / (spread(z) + eps)
""",
        ),
        (
            BOTH,
            "eps forgotten",
            "normalize",
            "eps is missing",
            """
def normalize(z, eps):
    return (z - z.mean(dim=0)) / spread(z)
""",
        ),
        (
            BOTH,
            "the lesson's numbers",
            "moments",
            "that is for a standard deviation of 1",
            """
def moments(slope):
    return (1 - slope) * 0.398942, (1 + slope**2) / 2
""",
        ),
        (
            BOTH,
            "the sign of the negative half",
            "moments",
            "they make the mean smaller",
            """
def moments(slope):
    mean, square = {{moments_code}}
    return mean / (1 - slope) * (1 + slope), square
""",
        ),
        (
            BOTH,
            "the variance",
            "moments",
            "that is the variance",
            """
def moments(slope):
    mean, square = {{moments_code}}
    return mean, square - mean**2
""",
        ),
        (
            BOTH,
            "one number",
            "moments",
            "return 2 things",
            """
def moments(slope):
    return ({{moments_code}})[:1]
""",
        ),
        (
            BOTH,
            "constants",
            "backward",
            "you treat both as constants",
            """
def backward(g, z, eps):
    return g / (spread(z) + eps)
""",
        ),
        (
            BOTH,
            "batch norm's formula",
            "backward",
            "that is batch norm's gradient",
            """
def backward(g, z, eps):
    z_hat = normalize(z, eps)
    left = g - z_hat * (g * z_hat).mean(dim=0)
    return (left - left.mean(dim=0)) / (spread(z) + eps)
""",
        ),
        (
            BOTH,
            "no stretch",
            "backward",
            "the part of the stretch is missing",
            """
def backward(g, z, eps):
    return (g - g.mean(dim=0)) / (spread(z) + eps)
""",
        ),
        (
            BOTH,
            "no shift",
            "backward",
            "the part of the shift is missing",
            """
def backward(g, z, eps):
    distance, z_hat = z - z.mean(dim=0), normalize(z, eps)
    return (g - {{turn_code}} * (g * z_hat).mean(dim=0)) / (spread(z) + eps)
""",
        ),
        (
            BOTH,
            "autograd",
            "backward",
            "autograd is off here",
            """
def backward(g, z, eps):
    z = z.clone().requires_grad_()
    normalize(z, eps).backward(g)
    return z.grad
""",
        ),
        (
            BOTH,
            "the weights swapped",
            "step",
            "the wrong way round",
            """
def step(z, running_mean, running_spread, training):
    if not training:
        return (z - running_mean) / (running_spread + 1e-5), running_mean, running_spread
    mean, size = z.mean(dim=0), spread(z)
    averages = {{weight}} * running_mean + {{rest}} * mean, {{weight}} * running_spread + {{rest}} * size
    return (z - mean) / (size + 1e-5), *averages
""",
        ),
        (
            BOTH,
            "PyTorch's correction",
            "step",
            "without n / (n − 1)",
            """
def step(z, running_mean, running_spread, training):
    if not training:
        return (z - running_mean) / (running_spread + 1e-5), running_mean, running_spread
    mean, size, n = z.mean(dim=0), spread(z), len(z)
    averages = {{rest}} * running_mean + {{weight}} * mean, {{rest}} * running_spread + {{weight}} * size * n / (n - 1)
    return (z - mean) / (size + 1e-5), *averages
""",
        ),
        (
            BOTH,
            "no eval mode",
            "step",
            "in eval mode",
            """
def step(z, running_mean, running_spread, training):
    mean, size = z.mean(dim=0), spread(z)
    if training:
        running_mean = {{rest}} * running_mean + {{weight}} * mean
        running_spread = {{rest}} * running_spread + {{weight}} * size
    return (z - mean) / (size + 1e-5), running_mean, running_spread
""",
        ),
        (
            BOTH,
            "means before the division",
            "shrink",
            "divide unit by unit",
            """
def shrink(z, batch):
    spreads = [spread(rows) for rows in z.split(batch)]
    return torch.stack(spreads).mean() / spread(z).mean()
""",
        ),
        (
            BOTH,
            "the first batch",
            "shrink",
            "the spread of the first batch",
            """
def shrink(z, batch):
    return (spread(z[:batch]) / spread(z)).mean()
""",
        ),
    ],
    "A3": [
        (
            BOTH,
            "the lesson's ReLU",
            "back",
            "that is the ReLU",
            """
def back(g, z, weight):
    return (g @ weight.T) * (z > 0)
""",
        ),
        (
            BOTH,
            "no slope",
            "back",
            "the slope is missing",
            """
def back(g, z, weight):
    return g @ weight.T
""",
        ),
        (
            BOTH,
            "the weight not transposed",
            "back",
            "the weight is transposed",
            """
def back(g, z, weight):
    return (g @ weight) * {{slope_code}}
""",
        ),
        (
            BOTH,
            "the activation of the gradient",
            "back",
            "and not of the gradient",
            """
def back(g, z, weight):
    return activate(g @ weight.T)
""",
        ),
        (
            BOTH,
            "the slope first",
            "back",
            "first back through the weights",
            """
def back(g, z, weight):
    return (g * {{slope_code}}) @ weight.T
""",
        ),
        (
            BOTH,
            "the lesson's 1.21",
            "growth",
            "that is the ReLU's",
            """
def growth(slope):
    return (math.pi / (math.pi - 1)) ** 0.5
""",
        ),
        (
            BOTH,
            "no mean subtracted",
            "growth",
            "the mean is subtracted",
            """
def growth(slope):
    square = (1 + slope**2) / 2
    return (square / square) ** 0.5
""",
        ),
        (
            BOTH,
            "squared",
            "growth",
            "that is the square of the factor",
            """
def growth(slope):
    square = (1 + slope**2) / 2
    return square / (square - {{growth_code}} / (2 * math.pi))
""",
        ),
        (
            BOTH,
            "upside down",
            "growth",
            "upside down",
            """
def growth(slope):
    square = (1 + slope**2) / 2
    return (1 - {{growth_code}} / (2 * math.pi) / square) ** 0.5
""",
        ),
        (
            BOTH,
            "the slopes' part left out",
            "growth",
            "belongs above the line",
            """
def growth(slope):
    square = (1 + slope**2) / 2
    return (square - {{growth_code}} / (2 * math.pi)) ** -0.5
""",
        ),
        (
            BOTH,
            "z instead of a",
            "weight_gradients",
            "and not z",
            """
def weight_gradients(x, weights, g):
    inputs, pre = [x], []
    for weight in weights:
        pre.append(inputs[-1] @ weight)
        inputs.append(activate(pre[-1]))
    found = []
    for k in reversed(range(len(weights))):
        found.insert(0, (pre[k - 1] if k else x).T @ g)
        g = back(g, pre[k - 1], weights[k])
    return found
""",
        ),
        (
            BOTH,
            "backwards",
            "weight_gradients",
            "begins with layer 1",
            """
old = weight_gradients


def weight_gradients(x, weights, g):
    return old(x, weights, g)[::-1]
""",
        ),
        (
            BOTH,
            "transposed",
            "weight_gradients",
            "one row for each input",
            """
old = weight_gradients


def weight_gradients(x, weights, g):
    return [gradient.T for gradient in old(x, weights, g)]
""",
        ),
        (
            BOTH,
            "a mean over the examples",
            "weight_gradients",
            "take no mean",
            """
old = weight_gradients


def weight_gradients(x, weights, g):
    return [gradient / len(g) for gradient in old(x, weights, g)]
""",
        ),
        (
            BOTH,
            "autograd, switched on again",
            "weight_gradients",
            "autograd is off here",
            """
@torch.enable_grad()
def weight_gradients(x, weights, g):
    weights = [weight.clone().requires_grad_() for weight in weights]
    for k, weight in enumerate(weights):
        z = (activate(z) if k else x) @ weight
    z.backward(g)
    return [weight.grad for weight in weights]
""",
        ),
        (
            BOTH,
            "a step too many",
            "measured",
            "depth − 1 steps",
            """
def measured(x, y, depth, width, value, seed):
    net = {{build_code}}
    for layer in net:
        if isinstance(layer, BatchNorm):
            torch.nn.init.constant_(layer.{{part}}, value)
    sizes = profile(net, x, y).gradient
    return (sizes[0] / sizes[-1]) ** (1 / depth)
""",
        ),
        (
            BOTH,
            "forward instead of backward",
            "measured",
            "layer 1 over the last layer",
            """
old = measured


def measured(*arguments):
    return 1 / old(*arguments)
""",
        ),
        (
            BOTH,
            "the number never set",
            "measured",
            "keeps its usual",
            """
def measured(x, y, depth, width, value, seed):
    net = {{build_code}}
    sizes = profile(net, x, y).gradient
    return (sizes[0] / sizes[-1]) ** (1 / (depth - 1))
""",
        ),
        (
            BOTH,
            "no seed",
            "measured",
            "the seed is missing",
            """
old = measured


def measured(x, y, depth, width, value, seed):
    return old(x, y, depth, width, value, 0)
""",
        ),
    ],
    "A4": [
        (
            BOTH,
            "lesson 06's block",
            "block",
            "that is lesson 06's block",
            """
def block(x, weight, a):
    return x + torch.relu(x) @ weight
""",
        ),
        (
            BOTH,
            "lesson 06's scale",
            "block",
            "that is lesson 06's scale",
            """
def block(x, weight, a):
    return x + a * (x.clamp(min=0) @ weight)
""",
        ),
        (
            BOTH,
            "the ReLU on the skip, too",
            "block",
            "the skip carries x as it is",
            """
def block(x, weight, a):
    x = torch.relu(x)
    return {{block_code}}
""",
        ),
        (
            BOTH,
            "one block only",
            "law",
            "each of the blocks multiplies",
            """
def law(blocks, a):
    blocks = 1
    return {{growth_code}}, {{share_code}}
""",
        ),
        (
            BOTH,
            "lengths instead of mean squares",
            "law",
            "that is the length",
            """
def law(blocks, a):
    return ({{growth_code}}) ** 0.5, ({{share_code}}) ** 0.5
""",
        ),
        (
            BOTH,
            "a share that is not divided",
            "law",
            "divide by the growth",
            """
def law(blocks, a):
    return {{growth_code}}, ({{share_code}}) * ({{growth_code}})
""",
        ),
        (
            1,
            "lengths add",
            "law",
            "their squares add",
            """
def law(blocks, a):
    return (1 + a) ** (2 * blocks), (a / (1 + a)) ** (2 * blocks)
""",
        ),
        (
            2,
            "lengths add",
            "law",
            "their squares add",
            """
def law(blocks, a):
    return 1.0, (1 - a) ** (2 * blocks)
""",
        ),
        (
            BOTH,
            "one number",
            "law",
            "return 2 things",
            """
def law(blocks, a):
    return {{growth_code}}
""",
        ),
        (
            BOTH,
            "no slope",
            "backward",
            "the ReLU's slope is missing",
            """
def backward(g, x, weight, a):
    at_weight, at_a = {{at_weight_code}}, {{at_a_code}}
    x = torch.ones_like(x)
    return {{at_x_code}}, at_weight, at_a
""",
        ),
        (
            BOTH,
            "the weight not transposed",
            "backward",
            "the weight is transposed",
            """
def backward(g, x, weight, a):
    at_weight, at_a = {{at_weight_code}}, {{at_a_code}}
    weight = weight.T
    return {{at_x_code}}, at_weight, at_a
""",
        ),
        (
            BOTH,
            "x instead of its ReLU",
            "backward",
            "relu(x), not x",
            """
def backward(g, x, weight, a):
    at_x, at_a, at_weight = {{at_x_code}}, {{at_a_code}}, {{at_weight_code}}
    return at_x, at_weight / (torch.relu(x).T @ g) * (x.T @ g), at_a
""",
        ),
        (
            BOTH,
            "a mean for a",
            "backward",
            "add up over all",
            """
def backward(g, x, weight, a):
    return {{at_x_code}}, {{at_weight_code}}, {{at_a_code}} / x.numel()
""",
        ),
        (
            BOTH,
            "autograd",
            "backward",
            "autograd is off here",
            """
def backward(g, x, weight, a):
    parts = x.clone().requires_grad_(), weight.clone().requires_grad_(), torch.tensor(a, requires_grad=True)
    block(*parts).backward(g)
    return [part.grad for part in parts]
""",
        ),
        (
            BOTH,
            "no root of the share",
            "choose",
            "each block leaves the root",
            """
def choose(blocks, share):
    root = share
    return {{choose_code}}
""",
        ),
        (
            BOTH,
            "one root too few",
            "choose",
            "not one less",
            """
def choose(blocks, share):
    root = share ** (1 / (blocks - 1))
    return {{choose_code}}
""",
        ),
        (
            BOTH,
            "the cosine",
            "measured",
            "the share is its square",
            """
def measured(x, weights, a):
    stream = x
    for weight in weights:
        stream = block(stream, weight, a)
    cosine = torch.cosine_similarity(stream.flatten(), x.flatten(), dim=0)
    return stream.pow(2).mean() / x.pow(2).mean(), cosine
""",
        ),
        (
            BOTH,
            "lengths",
            "measured",
            "you compare lengths",
            """
def measured(x, weights, a):
    stream = x
    for weight in weights:
        stream = block(stream, weight, a)
    cosine = torch.cosine_similarity(stream.flatten(), x.flatten(), dim=0)
    return stream.norm() / x.norm(), cosine**2
""",
        ),
        (
            BOTH,
            "always the first x",
            "measured",
            "not x again",
            """
def measured(x, weights, a):
    for weight in weights:
        stream = block(x, weight, a)
    cosine = torch.cosine_similarity(stream.flatten(), x.flatten(), dim=0)
    return stream.pow(2).mean() / x.pow(2).mean(), cosine**2
""",
        ),
    ],
    "A5": [
        (
            BOTH,
            "no letter of the list",
            "plan",
            "is not on this year's list",
            """
old_plan = plan


def plan():
    return old_plan() | {"claim": "Z"}
""",
            ("repeat", "seeds", "rule", "words"),
        ),
        (
            BOTH,
            "an own claim without its sentence",
            "plan",
            "write your own claim",
            """
old_plan = plan


def plan():
    return old_plan() | {"claim": "own"}
""",
        ),
        (
            BOTH,
            "a rule in three words",
            "plan",
            "at least eight words",
            """
old_plan = plan


def plan():
    return old_plan() | {"refuted_if": "error above 5"}
""",
        ),
        (
            BOTH,
            "a rule without a number",
            "plan",
            "names no number",
            """
old_plan = plan


def plan():
    return old_plan() | {"refuted_if": "it is refuted if the two networks clearly differ in most seeds"}
""",
        ),
        (
            BOTH,
            "a prediction in words",
            "plan",
            "must be a dict with a number",
            """
old_plan = plan


def plan():
    return old_plan() | {"prediction": "it will grow"}
""",
        ),
        (
            BOTH,
            "a prediction of something else",
            "plan",
            "predict what run returns",
            """
old_plan = plan


def plan():
    return old_plan() | {"prediction": {"error": 5.0}}
""",
        ),
        (
            BOTH,
            "a run without its seed",
            "seeds",
            "does run use its seed",
            """
old_run = run


def run(seed):
    return old_run(1)
""",
        ),
        (
            BOTH,
            "a seed for the weights, and global random numbers",
            "repeat",
            "gave two different numbers",
            """
old_run = run


def run(seed):
    return {name: value + 0.01 * torch.rand(1).item() for name, value in old_run(seed).items()}
""",
        ),
        (
            BOTH,
            "a list instead of a dict",
            "repeat",
            "run must return a dict",
            """
old_run = run


def run(seed):
    return list(old_run(seed).values())
""",
            ("plan", "seeds"),
        ),
        (
            BOTH,
            "NaN",
            "repeat",
            "return the error of guessing",
            """
old_run = run


def run(seed):
    return dict.fromkeys(old_run(seed), float("nan"))
""",
            ("seeds",),
        ),
        (
            BOTH,
            "a tensor for each layer",
            "repeat",
            "at most 12 numbers",
            """
old_run = run


def run(seed):
    return old_run(seed) | {f"layer {k}": seed / (k + 1) for k in range(20)}
""",
            ("plan",),
        ),
        (
            BOTH,
            "a rule that always refutes",
            "rule",
            "no test",
            """
def refuted(results):
    return True
""",
        ),
        (
            BOTH,
            "a rule that gives a number",
            "rule",
            "must return True or False",
            """
old_refuted = refuted


def refuted(results):
    return float(old_refuted(results))
""",
        ),
        (
            BOTH,
            "the cases the wrong way round",
            "rule",
            "the case that refutes first",
            """
old_imagine = imagine


def imagine():
    return old_imagine()[::-1]
""",
        ),
        (
            BOTH,
            "imagined results with other names",
            "rule",
            "the names of a measured one",
            """
def imagine():
    return [{"error": 1.0}] * 3, [{"error": 9.0}] * 3
""",
        ),
        (
            BOTH,
            "two seeds",
            "rule",
            "at least three seeds",
            """
results = results[:2]
""",
        ),
        (
            BOTH,
            "no seed",
            "rule",
            "at least three seeds",
            """
results = []
""",
        ),
        (
            BOTH,
            "a long report",
            "words",
            "60 to 200 are allowed",
            """
old_report = report


def report():
    return old_report() + " and so on" * 60
""",
        ),
        (
            BOTH,
            "a report of one line",
            "words",
            "60 to 200 are allowed",
            """
def report():
    return "The claim is refuted: 3, 4 and 5."
""",
        ),
        (
            BOTH,
            "a report without numbers",
            "words",
            "fewer than three numbers",
            """
def report():
    return "The network became larger and larger. " * 15
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
            BOTH,
            "NumPy, by the size only",
            """
def size(z):
    return np.{{kind}}(np.abs(z.numpy()))
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
    "A2": [
        (
            BOTH,
            "NumPy",
            """
import numpy as np


def normalize(z, eps):
    distance = z.numpy() - z.numpy().mean(axis=0, keepdims=True)
    power = {"deviation": 1, "fourth": 4}["{{kind}}"]
    return distance / ((np.abs(distance) ** power).mean(axis=0) ** (1 / power) + eps)
""",
        ),
        (
            BOTH,
            "one unit after the other",
            """
def normalize(z, eps):
    columns = []
    for column in z.T:
        distance = column - sum(column) / len(column)
        columns.append(distance / ({{spread_code}} + eps))
    return torch.stack(columns, dim=1)
""",
        ),
        (
            BOTH,
            "integrals by computer",
            """
def moments(slope):
    t = torch.linspace(-12, 12, 200_001, dtype=torch.double)
    share = torch.exp(-(t**2) / 2)
    share = share / share.sum()
    power = {"deviation": 1, "fourth": 4}["{{kind}}"]
    z_hat = t / (share * t.abs() ** power).sum() ** (1 / power)
    out = torch.where(z_hat > 0, z_hat, slope * z_hat)
    return [(share * out).sum(), (share * out**2).sum()]
""",
        ),
        (
            BOTH,
            "rounded as in the text",
            """
def moments(slope):
    deviation = {"deviation": 1 / 0.798, "fourth": 0.76}["{{kind}}"]
    return (1 - slope) * 0.40 * deviation, (1 + slope**2) / 2 * deviation**2
""",
        ),
        (
            BOTH,
            "the whole Jacobian",
            """
def backward(g, z, eps):
    n, found = len(z), torch.zeros_like(z)
    centre = torch.eye(n) - 1 / n
    for unit in range(z.shape[1]):
        distance = centre @ z[:, unit]
        size = spread(z[:, [unit]])
        power = {"deviation": 1, "fourth": 4}["{{kind}}"]
        of_size = distance.sign() * (distance.abs() / size) ** (power - 1) / n
        jacobian = torch.eye(n) / (size + eps) - torch.outer(distance, of_size) / (size + eps) ** 2
        found[:, unit] = centre @ jacobian.T @ g[:, unit]
    return found
""",
        ),
        (
            BOTH,
            "lerp, in place on copies",
            """
def step(z, running_mean, running_spread, training):
    mean, size = running_mean, running_spread
    if training:
        mean, size = z.mean(0), spread(z)
        running_mean = running_mean.clone().lerp_(mean, {{weight}})
        running_spread = running_spread.clone().lerp_(size, {{weight}})
    return torch.div(z - mean, size + 1e-5), running_mean, running_spread
""",
        ),
        (
            BOTH,
            "reshape instead of a loop",
            """
def shrink(z, batch):
    distance = z.reshape(-1, batch, z.shape[1]).transpose(0, 1)
    distance = distance - distance.mean(dim=0)
    return torch.mean(({{spread_code}}).mean(dim=0) / spread(z)).item()
""",
        ),
    ],
    "A3": [
        (
            BOTH,
            "NumPy",
            """
import numpy as np


def back(g, z, weight):
    slope = np.where(z.numpy() > 0, 1, {"lean": 0.3, "fold": -0.3}["{{kind}}"])
    return torch.from_numpy(np.einsum("nj,ij->ni", g.numpy(), weight.numpy()) * slope).float()
""",
        ),
        (
            BOTH,
            "one example after the other",
            """
def back(g, z, weight):
    rows = []
    for gradient, row in zip(g, z):
        at_a = weight @ gradient
        rows.append(torch.stack([at_a[k] if row[k] > 0 else at_a[k] * (activate(torch.tensor(-1.0)) / -1) for k in range(len(row))]))
    return torch.stack(rows)
""",
        ),
        (
            BOTH,
            "integrals by computer",
            """
def growth(slope):
    t = torch.linspace(-12, 12, 400_001, dtype=torch.double)
    share = torch.exp(-(t**2) / 2) / torch.exp(-(t**2) / 2).sum()
    below = {"lean": slope, "fold": -slope}["{{kind}}"]
    a = torch.where(t > 0, t, below * t)
    slopes = torch.where(t > 0, 1.0, below).double()
    return math.sqrt((share * slopes**2).sum() / ((share * a**2).sum() - (share * a).sum() ** 2))
""",
        ),
        (
            BOTH,
            "0.40, as lesson 03 rounds it",
            """
def growth(slope):
    s = {"lean": slope, "fold": -slope}["{{kind}}"]
    square = (1 + s * s) / 2
    return (square / (square - (0.40 * (1 - s)) ** 2)) ** 0.5
""",
        ),
        (
            BOTH,
            "one fraction",
            """
def growth(slope):
    s = {"lean": slope, "fold": -slope}["{{kind}}"]
    return torch.rsqrt(torch.tensor(1 - (1 - s) ** 2 / (math.pi * (1 + s * s)), dtype=torch.double))
""",
        ),
        (
            BOTH,
            "recursion",
            '''
def weight_gradients(x, weights, g):
    def further(a, rest):
        """The gradients at the rest of the weights, and that at a."""
        z = a @ rest[0]
        if len(rest) == 1:
            at_z, later = g, []
        else:
            later, at_a = further(activate(z), rest[1:])
            at_z = at_a * {{slope_code}}
        return [torch.einsum("ni,no->io", a, at_z), *later], at_z @ rest[0].T

    return further(x, list(weights))[0]
''',
        ),
        (
            BOTH,
            "by small changes, in double precision",
            """
def weight_gradients(x, weights, g):
    x, g, weights = x.double(), g.double(), [weight.double() for weight in weights]

    def loss(changed):
        a = x
        for weight in changed:
            z = a @ weight
            a = activate(z)
        return (z * g).sum()

    found = []
    for k, weight in enumerate(weights):
        gradient = torch.zeros_like(weight)
        for i in range(weight.shape[0]):
            for j in range(weight.shape[1]):
                ends = []
                for move in (1e-7, -1e-7):
                    changed = [one.clone() for one in weights]
                    changed[k][i, j] += move
                    ends.append(loss(changed))
                gradient[i, j] = (ends[0] - ends[1]) / 2e-7
        found.append(gradient)
    return tuple(found)
""",
        ),
        (
            BOTH,
            "a mean of logarithms, and modules()",
            """
def measured(x, y, depth, width, value, seed):
    net = {{build_code}}
    for module in net.modules():
        if type(module).__name__ == "BatchNorm":
            module.{{part}} = torch.nn.Parameter(torch.full((width,), float(value)))
    logs = torch.as_tensor(profile(net, x, y).gradient).log()
    return (logs[:-1] - logs[1:]).mean().exp()
""",
        ),
    ],
    "A4": [
        (
            BOTH,
            "NumPy",
            """
def block(x, weight, a):
    x, weight = x.double().numpy(), weight.double().numpy()
    branch = x.clip(0) @ weight
    return torch.from_numpy({"keep": a * x + branch, "gate": x + a * (branch - x)}["{{kind}}"])
""",
        ),
        (
            BOTH,
            "einsum and where",
            """
def block(x, weight, a):
    branch = torch.einsum("ni,io->no", torch.where(x > 0, x, 0.0), weight)
    return {"keep": torch.add(branch, x, alpha=a), "gate": torch.lerp(x, branch, a)}["{{kind}}"]
""",
        ),
        (
            BOTH,
            "block by block",
            """
def law(blocks, a):
    image, branches = 1.0, 0.0
    skip, branch = {"keep": (a, 1), "gate": (1 - a, a)}["{{kind}}"]
    for _ in range(blocks):
        total = image + branches
        image, branches = image * skip**2, branches * skip**2 + total * branch**2
    return image + branches, image / (image + branches)
""",
        ),
        (
            BOTH,
            "recursion",
            """
def law(blocks, a):
    if blocks == 0:
        return torch.ones(2)
    one = {"keep": (a * a + 1, 1 / (1 + 1 / a**2)), "gate": (1 - 2 * a * (1 - a), 1 / (1 + (a / (1 - a)) ** 2))}["{{kind}}"]
    return law(blocks - 1, a) * torch.tensor(one)
""",
        ),
        (
            BOTH,
            "one example after the other",
            """
def backward(g, x, weight, a):
    skip, branch = {"keep": (a, 1.0), "gate": (1 - a, a)}["{{kind}}"]
    at_x, at_weight, at_a = [], torch.zeros_like(weight), 0.0
    for row, error in zip(x, g):
        active = row.clamp(min=0)
        at_x.append(skip * error + branch * (weight @ error) * (row > 0).float())
        at_weight += branch * torch.outer(active, error)
        difference = {"keep": row, "gate": active @ weight - row}["{{kind}}"]
        at_a += error.dot(difference).item()
    return torch.stack(at_x), at_weight, at_a
""",
        ),
        (
            BOTH,
            "bisection on the law",
            """
def choose(blocks, share):
    low, high = {"keep": (0.0, 1e3), "gate": (1.0 - 1e-9, 1e-9)}["{{kind}}"]
    for _ in range(200):
        middle = (low + high) / 2
        if law(blocks, middle)[1] < share:
            low = middle
        else:
            high = middle
    return middle
""",
        ),
        (
            BOTH,
            "reduce, in double precision",
            """
from functools import reduce


def measured(x, weights, a):
    x = x.double()
    stream = reduce(lambda stream, weight: block(stream, weight.double(), a), weights, x)
    inner = torch.einsum("ni,ni->", stream, x)
    return torch.tensor([stream.norm() ** 2 / x.norm() ** 2, inner**2 / stream.norm() ** 2 / x.norm() ** 2])
""",
        ),
    ],
    "A5": [
        (
            BOTH,
            "a claim of one's own",
            """
def plan():
    return {
        "claim": "own",
        "own": "Four layers read new digits better than three",
        "refuted_if": "not better in at least 2 of 3 seeds",
        "prediction": {"three": 6, "four": 5},
    }


def run(seed):
    nets = {"three": build(3, 16, seed=seed), "four": build(4, 16, seed=seed)}
    runs = {name: fit(net, data, lr=0.01, epochs=1, batch=64, seed=seed) for name, net in nets.items()}
    return {name: history.test_error[-1] for name, history in runs.items()}


def refuted(results):
    worse = np.array([result["four"] >= result["three"] for result in results])
    return bool(worse.mean() > 0.5)


def imagine():
    worse, better = {"three": 5, "four": 6}, {"three": 6, "four": 5}
    return [worse] * 3, [better] * 3


results = [run(seed) for seed in range(3)]
""",
        ),
        (
            BOTH,
            "tensors and NumPy's numbers",
            """
old_run = run


def run(seed):
    kinds = torch.tensor, np.float32
    return {name: kinds[k % 2](value) for k, (name, value) in enumerate(old_run(seed).items())}
""",
        ),
        (
            BOTH,
            "global random state, seeded",
            """
old_run = run


def run(seed):
    torch.manual_seed(seed)
    return {name: value + 0.001 * torch.rand(1).item() for name, value in old_run(seed).items()}
""",
        ),
        (
            BOTH,
            "a verdict of NumPy, and tuples of cases",
            """
old_refuted, old_imagine = refuted, imagine


def refuted(results):
    return np.bool_(old_refuted(results))


def imagine():
    return tuple(tuple(case) for case in old_imagine())
""",
        ),
        (
            BOTH,
            "a report in pieces, with a longer list of seeds",
            """
old_report = report


def report():
    words = old_report().split()
    return "\\n".join(" ".join(words[k : k + 7]) for k in range(0, len(words), 7))


results = results + [run(9)]
""",
        ),
        (
            BOTH,
            "a random number generator of one's own",
            """
old_run = run


def run(seed):
    shift = np.random.default_rng(seed).random() / 1000
    return {name: float(value) + shift for name, value in sorted(old_run(seed).items())}
""",
        ),
    ],
}
