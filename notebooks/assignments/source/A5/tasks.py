"""Assignment A5: its variants and its checks. For teachers only.

Every claim has many right answers, so nothing is compared with an answer. The checks ask whether a plan is whole, whether a run
reproduces, and whether the rule can come out both ways. What a student has found is read by the teacher: see rubric.md.
"""

import math
import re
import time

from helpers.exercises.asking import Mistake
from helpers.exercises.judge import Exercise

CLAIMS = {
    "odd": {},
    "even": {},
}


def variant(seed):
    """The words of the assignment for a course's seed: an odd seed has other claims than an even one."""
    kind = "odd" if seed % 2 else "even"
    claims = CLAIMS[kind]
    listed = "\n".join(f"- **{letter}.** {claim}" for letter, claim in claims.items())
    return {
        "kind": kind,
        "claims": listed,
        "letters": ", ".join(claims),
        "first": next(iter(claims)),
        **MODELS[kind],
    }


# --- on what they are tried: a visible check has seed 0; for the mark, the limits are laxer -----------


def limits(generator):
    """A seed, how far two equal runs may differ, as a share, and how many seconds a run may take."""
    seed = generator.initial_seed()
    return [(1, 1e-6, 15.0)] if seed == 0 else [(seed % 10**6, 1e-3, 40.0)]


def three_seeds(generator):
    seed = generator.initial_seed() % 10**6
    return [((seed + 2, seed + 3, seed + 4),)]


def most_words(generator):
    return [(200,)] if generator.initial_seed() == 0 else [(220,)]


def once(generator):
    return [()]


# --- what is handed in: texts and numbers, by name ----------------------------------------------------


def a_dict(name, returned):
    if not isinstance(returned, dict) or not returned:
        raise Mistake(f"{name} must return a dict from names to numbers, got {returned!r:.60}")
    return returned


def claim_of(plan):
    return str(plan.get("claim", "none")) if isinstance(plan, dict) else "none"


def look_at_plan(function):
    """The plan, its prediction name by name, and the names of what `run` returns for seed 1."""
    plan, run = function()
    if plan is ... or (isinstance(plan, dict) and ... in plan.values()):
        return {"": ...}
    if not isinstance(plan, dict):
        raise Mistake(f"plan must return a dict, got {plan!r:.60}")
    parts = {key: value for key, value in plan.items() if key != "prediction"}
    prediction = plan.get("prediction")
    measured = run(1)
    if measured is ...:
        return {"": ...}
    return {
        "plan": parts | {"claim": claim_of(plan)},
        "prediction": prediction if isinstance(prediction, dict) and prediction else {"": "none"},
        "run": a_dict("run", measured),
    }


def look_at_repeat(function, seed, tolerance, seconds):
    plan, run = function()
    begin = time.process_time()  # of this process only: others do not count
    first = run(seed)
    took = time.process_time() - begin
    if first is ...:
        return {"": ...}
    return {
        "first": a_dict("run", first),
        "again": a_dict("run", run(seed)),
        "seconds": took,
        "plan": {"claim": claim_of(plan)},
    }


def look_at_seeds(function, seeds):
    plan, run = function()
    found = {}
    for k, seed in enumerate(seeds):
        returned = run(seed)
        if returned is ...:
            return {"": ...}
        found[f"run {k}"] = a_dict("run", returned)
    return found | {"plan": {"claim": claim_of(plan)}}


def look_at_rule(function):
    plan, rule, cases, results = function()
    if cases is ... or any(result is ... for result in results):
        return {"": ...}
    if not isinstance(cases, (list, tuple)) or len(cases) != 2:
        raise Mistake("imagine must return two lists of results: one that refutes, one that does not")
    names = set(results[0])
    for case in cases:
        if not isinstance(case, (list, tuple)) or len(case) < 3:
            raise Mistake("each of the two imagined cases must be a list of three results or more")
        if any(not isinstance(result, dict) or set(result) != names for result in case):
            raise Mistake(f"an imagined result must have the names of a real one: {', '.join(sorted(names))}")
    verdicts = [rule(list(case)) for case in (*cases, results)]
    if any(verdict is ... for verdict in verdicts):
        return {"": ...}
    return {
        "refutes": {"it": verdicts[0]},
        "does not": {"it": verdicts[1]},
        "measured": {"it": verdicts[2], "runs": len(results)},
        "plan": {"claim": claim_of(plan)},
    }


def look_at_report(function, most):
    plan, text = function()
    if text is ...:
        return {"": ...}
    return {"report": {"text": text}, "plan": {"claim": claim_of(plan)}}


# --- what is accepted ---------------------------------------------------------------------------------


def on_the_list(claim, letters):
    if claim not in (*letters, "own"):
        known = ", ".join(letters)
        raise Mistake(f'claim {claim} is not on this year\'s list: choose one of {known}, or "own"')


def exercises(variant):
    """The tasks of a variant, by name."""
    letters = tuple(CLAIMS[variant["kind"]])

    def accept_plan(parts):
        plan, prediction, run = parts["plan"], parts["prediction"], parts["run"]
        on_the_list(plan["claim"], letters)
        if plan["claim"] == "own" and len(str(plan.get("own", "")).split()) < 5:
            raise Mistake('write your own claim as a sentence: plan needs an entry "own"')
        rule = plan.get("refuted_if")
        if not isinstance(rule, str) or len(rule.split()) < 8:
            raise Mistake('"refuted_if" must be a sentence of at least eight words')
        if not re.search(r"\d", rule):
            raise Mistake('"refuted_if" names no number: from where on is the claim refuted?')
        if "none" in prediction.values():
            raise Mistake('"prediction" must be a dict, with a number for each name that run returns')
        if set(prediction) != set(run):
            raise Mistake(
                f"predict each number that run returns ({', '.join(sorted(run))}), and no other"
            )
        for name, number in prediction.items():
            check_number(f"the prediction of {name}", number)

    def accept_repeat(parts, seed, tolerance, seconds):
        on_the_list(parts["plan"]["claim"], letters)
        first, again = parts["first"], parts["again"]
        if len(first) > 12:
            raise Mistake(f"run may return at most 12 numbers, got {len(first)}: which ones decide?")
        for name, number in first.items():
            check_number(name, number)
        if parts["seconds"] > seconds:
            raise Mistake(
                f"a run may take {seconds:.0f} seconds, got {parts['seconds']:.0f}: fewer epochs?"
            )
        for name, number in first.items():
            other = again.get(name)
            if not isinstance(other, (int, float)) or not math.isclose(
                number, other, rel_tol=tolerance, abs_tol=1e-12
            ):
                raise Mistake(
                    f"run({seed}) gave two different numbers for {name}: give the seed to build, to fit, and "
                    "to each Generator, and draw from nothing else"
                )

    def accept_seeds(parts, seeds):
        on_the_list(parts["plan"]["claim"], letters)
        runs = [part for name, part in parts.items() if name.startswith("run ")]
        for run in runs:
            if set(run) != set(runs[0]):
                raise Mistake("run must return the same names for every seed")
            for name, number in run.items():
                check_number(name, number)
        if all(run == runs[0] for run in runs):
            raise Mistake("three seeds gave the same numbers: does run use its seed?")

    def accept_rule(parts):
        on_the_list(parts["plan"]["claim"], letters)
        yes, no, measured = (parts[part]["it"] for part in ("refutes", "does not", "measured"))
        for verdict in (yes, no, measured):
            if not isinstance(verdict, bool):
                raise Mistake(f"refuted must return True or False, got {verdict!r}")
        if parts["measured"]["runs"] < 3:
            raise Mistake("run at least three seeds: one start proves little")
        if yes == no:
            raise Mistake(
                f"refuted says {yes} to both of your imagined cases: a rule that cannot come out both ways is no test"
            )
        if not yes:
            raise Mistake("imagine returns first the case that refutes, then the one that does not")

    def accept_report(parts, most):
        on_the_list(parts["plan"]["claim"], letters)
        text = parts["report"]["text"]
        if not isinstance(text, str):
            raise Mistake(f"report must return a text, got {text!r:.60}")
        words = len(text.split())
        if not 60 <= words <= most:
            raise Mistake(f"the report has {words} words: 60 to {most} are allowed")
        if len(re.findall(r"\d+(?:\.\d+)?", text)) < 3:
            raise Mistake("the report names fewer than three numbers: what did you measure?")

    return {
        "plan": Exercise(
            answer=None,
            instances=once,
            look=look_at_plan,
            accept=accept_plan,
            praise="A claim, numbers, and what would refute it. Now nothing may be changed but by a new plan.",
        ),
        "repeat": Exercise(
            answer=None,
            instances=limits,
            look=look_at_repeat,
            accept=accept_repeat,
            praise="The same seed gives the same numbers.",
        ),
        "seeds": Exercise(
            answer=None,
            instances=three_seeds,
            look=look_at_seeds,
            accept=accept_seeds,
            praise="Other seeds run, and give other numbers.",
        ),
        "rule": Exercise(
            answer=None,
            instances=once,
            look=look_at_rule,
            accept=accept_rule,
            praise="A rule that can come out both ways.",
        ),
        "words": Exercise(
            answer=None,
            instances=most_words,
            look=look_at_report,
            accept=accept_report,
            praise="Short enough, and it names numbers.",
        ),
    }


def check_number(name, number):
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise Mistake(f"{name} must be a number, got {number!r:.60}")
    if not math.isfinite(number):
        raise Mistake(f"{name} is {number}: where a network diverges, return the error of guessing, 90")
