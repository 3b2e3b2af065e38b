"""How an answer to assignment A5 is looked at, and what is accepted. Students receive this.

A claim has many right answers, so nothing is compared. The checks ask whether a plan is whole, whether a run reproduces, and whether
a rule can come out both ways.
"""

import math
import re
import time

from helpers.exercises import recorded
from helpers.exercises.asking import Mistake

# --- what is handed in: texts and numbers, by name ----------------------------------------------------


def numbers_of_run(returned):
    if not isinstance(returned, dict) or not returned:
        raise Mistake(f"run must return a dict from names to numbers, got {returned!r:.60}")
    return returned


def claim_of(plan):
    return {"claim": str(plan.get("claim", "none")) if isinstance(plan, dict) else "none"}


def look_at_plan(function, letters):
    """The plan, its prediction, and the numbers of a run, each by name."""
    plan, run = function()
    if plan is ... or (isinstance(plan, dict) and ... in plan.values()):
        return {"": ...}
    if not isinstance(plan, dict):
        raise Mistake(f"plan must return a dict, got {plan!r:.60}")
    measured = run(1)
    if measured is ...:
        return {"": ...}
    prediction = plan.get("prediction")
    return {
        "plan": {name: plan[name] for name in plan if name != "prediction"} | claim_of(plan),
        "prediction": prediction if isinstance(prediction, dict) and prediction else {"": "none"},
        "run": numbers_of_run(measured),
    }


def look_at_repeat(function, letters, seed, tolerance, seconds):
    """The numbers of two runs with the same seed, and how long the first took, in CPU seconds."""
    plan, run = function()
    begin = time.process_time()  # of this process only: others do not count
    first = run(seed)
    took = time.process_time() - begin
    if first is ...:
        return {"": ...}
    again = numbers_of_run(run(seed))
    return {"plan": claim_of(plan), "first": numbers_of_run(first), "again": again, "took": took}


def look_at_seeds(function, letters, *seeds):
    """The numbers of a run for each seed."""
    plan, run = function()
    found = {"plan": claim_of(plan)}
    for seed in seeds:
        returned = run(seed)
        if returned is ...:
            return {"": ...}
        found[f"run({seed})"] = numbers_of_run(returned)
    return found


def look_at_rule(function, letters):
    """What the rule says of two imagined cases and of what was measured."""
    plan, rule, cases, results = function()
    if cases is ... or ... in results:
        return {"": ...}
    if not isinstance(cases, (list, tuple)) or len(cases) != 2:
        raise Mistake("imagine must return two cases: one that refutes, and one that does not")
    if not results:
        raise Mistake("run at least three seeds: one start proves little")
    names = set(results[0])
    for case in cases:
        if not isinstance(case, (list, tuple)) or len(case) < 3:
            raise Mistake("each imagined case must be a list of at least three results")
        if any(not isinstance(result, dict) or set(result) != names for result in case):
            known = ", ".join(sorted(names))
            raise Mistake(f"an imagined result must have the names of a measured one: {known}")
    verdicts = [rule(list(case)) for case in (*cases, results)]
    if ... in verdicts:
        return {"": ...}
    names = ("of the case that refutes", "of the other case", "of the results")
    return {
        "plan": claim_of(plan),
        "says": dict(zip(names, verdicts)),
        "runs": {"count": len(results)},
    }


def look_at_report(function, letters, most):
    plan, text = function()
    if text is ...:
        return {"": ...}
    return {"plan": claim_of(plan), "report": {"text": text}}


# --- what is accepted ---------------------------------------------------------------------------------


def on_the_list(parts, letters):
    claim = parts["plan"]["claim"]
    if claim not in (*letters, "own"):
        known = ", ".join(letters)
        raise Mistake(f'claim {claim} is not on this year\'s list: choose one of {known}, or "own"')


def is_number(name, number):
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise Mistake(f"{name} must be a number, got {number!r:.60}")
    if not math.isfinite(number):
        raise Mistake(
            f"{name} is {number}: for a network that diverges, return the error of guessing"
        )


def accept_plan(parts, letters):
    plan, prediction, run = parts["plan"], parts["prediction"], parts["run"]
    on_the_list(parts, letters)
    if plan["claim"] == "own" and len(str(plan.get("own", "")).split()) < 5:
        raise Mistake('write your own claim as a sentence, in an entry "own" of the plan')
    rule = plan.get("refuted_if")
    if not isinstance(rule, str) or len(rule.split()) < 8:
        raise Mistake('"refuted_if" must be a sentence of at least eight words')
    if not re.search(r"\d", rule):
        raise Mistake('"refuted_if" names no number: from where on is the claim refuted?')
    if prediction == {"": "none"}:
        raise Mistake('"prediction" must be a dict with a number for each name that run returns')
    if set(prediction) != set(run):
        raise Mistake(
            f"predict what run returns ({', '.join(map(repr, sorted(run)))}), and nothing else"
        )
    for name, number in prediction.items():
        is_number(f"the prediction of {name}", number)


def accept_repeat(parts, letters, seed, tolerance, seconds):
    on_the_list(parts, letters)
    first, again = parts["first"], parts["again"]
    if len(first) > 12:
        raise Mistake(f"run may return at most 12 numbers, got {len(first)}: which ones decide?")
    for name, number in first.items():
        is_number(name, number)
        other = again.get(name)
        if not isinstance(other, (int, float)) or not math.isclose(
            number, other, rel_tol=tolerance
        ):
            raise Mistake(
                f"run({seed}) gave two different numbers for {name}: give the seed to build, to fit and to "
                "each Generator, and draw from nothing else"
            )
    if seconds is not None and parts["took"] > seconds:  # a hint for students, and never a mark
        raise Mistake(f"a run may take {seconds} seconds, got {parts['took']:.0f}: fewer epochs?")


def accept_seeds(parts, letters, *seeds):
    on_the_list(parts, letters)
    runs = [parts[f"run({seed})"] for seed in seeds]
    for run in runs:
        if set(run) != set(runs[0]):
            raise Mistake("run must return the same names for every seed")
        for name, number in run.items():
            is_number(name, number)
    if all(run == runs[0] for run in runs):
        raise Mistake(
            f"{len(seeds)} seeds gave the same numbers: does run use its seed? If it does, add a "
            "number that depends on it, such as that of a network to compare with"
        )


def accept_rule(parts, letters):
    on_the_list(parts, letters)
    yes, no, measured = parts["says"].values()
    for verdict in (yes, no, measured):
        if not isinstance(verdict, bool):
            raise Mistake(f"refuted must return True or False, got {verdict!r:.60}")
    if parts["runs"]["count"] < 3:
        raise Mistake("run at least three seeds: one start proves little")
    if yes == no:
        raise Mistake(
            f"refuted says {yes} of both imagined cases: a rule that cannot come out both ways is no test"
        )
    if not yes:
        raise Mistake("imagine returns the case that refutes first, and then the other")


def accept_report(parts, letters, most):
    on_the_list(parts, letters)
    text = parts["report"]["text"]
    if not isinstance(text, str):
        raise Mistake(f"report must return a text, got {text!r:.60}")
    words = len(text.split())
    if not 60 <= words <= most:
        raise Mistake(f"the report has {words} words: 60 to {most} are allowed")
    if len(re.findall(r"\d+(?:\.\d+)?", text)) < 3:
        raise Mistake("the report names fewer than three numbers: what did you measure?")


check, hand_in = recorded.checks(globals())
