"""Consensus rules against crowd-kit's on public crowds whose truth is known.

    python benchmarks/consensus.py --crowd FOLDER [--quick] [--stopping] [--jobs 2]

FOLDER (or the variable IMAGENET_BUILDER_CROWD) has a folder a set with answers.csv (worker,task,label) and
truth.csv (task,truth). Each of 20 seeds draws three votes a task and makes one task in eight a control. Controls are
given to every rule that can take them, and all rules are scored on the other tasks of the same draw. Prints tables
and, last, one line of JSON. Needs the extra `benchmark` (crowd-kit itself without its own requirements:
`pip install --no-deps crowd-kit`; else it wants transformers).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from consensus_crowds import Crowd, Draw, draw, read_crowd
from consensus_stopping import report_stopping

from hits import consensus

SEEDS, QUICK_SEEDS = 20, 2
VOTES_A_TASK = 3
LEAST_PROBABILITY = 1e-6
STATED_PRECISIONS = (0.9, 0.95)
TAKE_CONTROLS = ("ck DawidSkene", "ck GoldMajorityVote")
SLOW = ("ck OneCoinDawidSkene", "ck GLAD", "ck MACE")
OURS = ("majority", "dynamic", "dawid-skene")
WHERE = """There is no crowd data at {where}. Get public sets, for instance
  https://github.com/yuan-li/truth-inference-at-scale (ZenCrowd, d_jn-product, dog)
  https://github.com/edwinrobots/bayesian_combination_tutorial2 (rte, temp: Snow et al. 2008)
and write each as FOLDER/NAME/answers.csv (worker,task,label) and FOLDER/NAME/truth.csv (task,truth), labels 0, 1, …;
then: python benchmarks/consensus.py --crowd FOLDER"""

Floats = np.ndarray[Any, np.dtype[np.float64]]
Fitter = Callable[[pd.DataFrame, "pd.Series[int]"], Any]


def crowd_kit_rules(n_labels: int) -> dict[str, Fitter]:
    """crowd-kit's classification rules with their own defaults.

    Left out: M-MSR, which did not end on one draw within four minutes. KOS is for two labels.
    """
    from crowdkit import aggregation as kit

    rules: dict[str, Fitter] = {
        "ck MajorityVote": lambda answers, truth: kit.MajorityVote().fit_predict_proba(answers),
        "ck DawidSkene": lambda answers, truth: kit.DawidSkene().fit_predict_proba(answers, truth),
        "ck OneCoinDawidSkene": lambda answers, truth: kit.OneCoinDawidSkene().fit_predict_proba(answers),
        "ck GLAD": lambda answers, truth: kit.GLAD(silent=True).fit_predict_proba(answers),
        "ck MACE": lambda answers, truth: kit.MACE(random_state=0).fit_predict_proba(answers),
        "ck Wawa": lambda answers, truth: kit.Wawa().fit_predict_proba(answers),
        "ck ZeroBasedSkill": lambda answers, truth: kit.ZeroBasedSkill().fit_predict_proba(answers),
        "ck GoldMajorityVote": _gold,
    }
    if n_labels == 2:
        rules["ck KOS"] = lambda answers, truth: kit.KOS(random_state=0).fit_predict(answers)
    return rules


def _gold(answers: pd.DataFrame, truth: pd.Series[int]) -> Any:
    from crowdkit.aggregation import GoldMajorityVote

    # It fails on workers without a control; their votes are left out.
    seen = answers[answers["task"].isin(truth.index)]["worker"].unique()
    return GoldMajorityVote().fit_predict_proba(answers[answers["worker"].isin(seen)], truth)


def as_matrix(found: Any, tasks: int, labels: int) -> Floats:
    """crowd-kit's answer as probabilities; bare labels as certainty, tasks that it left out as uniform."""
    if isinstance(found, pd.Series):
        found = pd.get_dummies(found)
    table = found.reindex(index=range(tasks), columns=range(labels)).fillna(0.0).to_numpy(dtype=float).copy()
    table[table.sum(axis=1) == 0] = 1 / labels
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def score(probability: Floats, drawn: Draw) -> dict[str, Any]:
    scored = ~drawn.control
    said, truth = probability[scored], drawn.crowd.truth[scored]
    right = said.argmax(axis=1) == truth
    chance = np.clip(said[np.arange(truth.size), truth], LEAST_PROBABILITY, 1)
    return {
        "accuracy": right.mean(),
        "log_loss": -np.log(chance).mean(),
        "sure": said.max(axis=1),
        "right": right,
    }


def theirs(crowd: Crowd, rule: str, seed: int, votes_a_task: int | None, keep: Path | None) -> Any:
    """What one of crowd-kit's rules says of one draw and its CPU seconds; None if it failed.

    It owes nothing to our code: with `keep`, a folder, it is computed once.
    """
    kept = keep / f"{crowd.name}-{votes_a_task or 'all'}-{seed}-{rule}.npz" if keep else None
    if kept is not None and kept.exists():
        with np.load(kept) as found:
            return (found["probability"], float(found["seconds"])) if found["probability"].size else None
    warnings.simplefilter("ignore")
    drawn = draw(crowd, seed, votes_a_task)
    votes = drawn.votes
    answers = pd.DataFrame({"task": votes.task, "worker": votes.worker, "label": votes.label})
    truth = pd.Series(crowd.truth[drawn.control], index=np.flatnonzero(drawn.control))
    start = time.process_time()
    try:
        said = as_matrix(crowd_kit_rules(crowd.n_labels)[rule](answers, truth), votes.n_tasks, votes.n_labels)
    except (ValueError, KeyError) as error:
        print(f"{rule} failed on {crowd.name}, seed {seed}: {str(error)[:80]}", file=sys.stderr)
        said = np.zeros((0, 0))
    seconds = time.process_time() - start
    if kept is not None:
        np.savez(kept, probability=said, seconds=seconds)
    return (said, seconds) if said.size else None


def ours(crowd: Crowd, seed: int, votes_a_task: int | None) -> dict[str, dict[str, Any]]:
    """Each of our rules on one draw: accuracy, log-loss, CPU seconds and what calibration needs."""
    drawn = draw(crowd, seed, votes_a_task)
    found: dict[str, dict[str, Any]] = {}
    for name in OURS:
        start = time.process_time()
        said = consensus.rule(name).decide(drawn.votes).probability
        found[name] = {**score(said, drawn), "seconds": time.process_time() - start}
    for stated in STATED_PRECISIONS:
        kept = consensus.rule("dawid-skene", precision=stated).decide(drawn.votes).decided[~drawn.control]
        found["dawid-skene"][f"at {stated}"] = (found["dawid-skene"]["right"][kept].sum(), kept.sum())
    return found


def calibration_error(sure: Floats, right: Any) -> float:
    """Expected calibration error of the likeliest label in ten equal bins."""
    bins = np.minimum((sure * 10).astype(int), 9)
    weights = np.bincount(bins, minlength=10)
    gap = np.abs(np.bincount(bins, sure, 10) - np.bincount(bins, right, 10))
    return float(gap.sum() / weights.sum())


def compare(
    crowds: list[Crowd],
    seeds: range,
    slow: int,
    votes_a_task: int | None,
    keep: Path | None,
    pool: ProcessPoolExecutor,
) -> Any:
    """Figures of each rule on each set: name → set → seed → figures.

    Where a draw has all votes, a rule that takes no controls says the same of all draws: it is asked once.
    """
    jobs: dict[tuple[str, str, int], Any] = {}
    for crowd, seed in product(crowds, seeds):
        for rule in crowd_kit_rules(crowd.n_labels):
            asked = seed if votes_a_task or rule in TAKE_CONTROLS else 0
            if (rule in SLOW and asked >= slow) or (crowd.name, rule, asked) in jobs:
                continue
            jobs[crowd.name, rule, asked] = pool.submit(theirs, crowd, rule, asked, votes_a_task, keep)
    mine = {(c.name, s): pool.submit(ours, c, s, votes_a_task) for c in crowds for s in seeds}
    figures: dict[str, dict[str, dict[int, dict[str, Any]]]] = defaultdict(lambda: defaultdict(dict))
    for crowd, seed in product(crowds, seeds):
        drawn = draw(crowd, seed, votes_a_task)
        for rule in crowd_kit_rules(crowd.n_labels):
            asked = seed if votes_a_task or rule in TAKE_CONTROLS else 0
            job = jobs.get((crowd.name, rule, asked))
            found = job.result() if job else None
            if found is not None:
                figures[rule][crowd.name][seed] = {**score(found[0], drawn), "seconds": found[1]}
        for rule, found in mine[crowd.name, seed].result().items():
            figures[rule][crowd.name][seed] = found
    return figures


def mean(figures: Any, rule: str, crowd: str, what: str) -> float:
    runs = figures[rule].get(crowd)
    return float(np.mean([run[what] for run in runs.values()])) if runs else float("nan")


def report(title: str, figures: Any, crowds: list[Crowd], seeds: range) -> dict[str, Any]:
    """Print one comparison; returns its figures for the last line."""
    names, two = [c.name for c in crowds], [c.name for c in crowds if c.n_labels == 2]
    print(f"\n{title}: accuracy % / log-loss\n")
    print(f"{'':22}" + "".join(f"{name:>16}" for name in names) + f"{'two-class':>16}{'CPU s a draw':>14}")
    summary: dict[str, Any] = {}
    for rule in figures:
        accuracy = {name: 100 * mean(figures, rule, name, "accuracy") for name in names}
        loss = {name: mean(figures, rule, name, "log_loss") for name in names}
        seconds = float(np.nanmean([mean(figures, rule, name, "seconds") for name in names]))
        both = (np.mean([accuracy[name] for name in two]), np.mean([loss[name] for name in two]))
        cells = [f"{accuracy[name]:.2f} / {loss[name]:.3f}" for name in names]
        cells.append(f"{both[0]:.2f} / {both[1]:.3f}")
        print(f"{rule:22}" + "".join(f"{cell:>16}" for cell in cells) + f"{seconds:>14.3f}")
        summary[rule] = {
            "accuracy": {name: round(value, 3) for name, value in accuracy.items()},
            "log_loss": {name: round(value, 4) for name, value in loss.items()},
            "two_class_accuracy": round(float(both[0]), 3),
            "two_class_log_loss": round(float(both[1]), 4),
            "cpu_seconds": round(seconds, 4),
        }
    return {"rules": summary, "paired": paired(figures, names, two, seeds)}


def paired(figures: Any, names: list[str], two: list[str], seeds: range) -> dict[str, Any]:
    """Print by how much dawid-skene is ahead of each of crowd-kit's rules, paired over seeds."""
    print("\ndawid-skene's lead in points, mean over sets, paired over seeds (95 % interval)")
    leads: dict[str, Any] = {}
    for rule in (rule for rule in figures if rule.startswith("ck ")):
        leads[rule] = {}
        for which, sets in (("all", names), ("two_class", two)):
            shared = [s for s in seeds if all(s in figures[rule].get(name, {}) for name in sets)]
            if not shared:
                continue
            each = [
                np.mean(
                    [
                        100 * (figures["dawid-skene"][n][s]["accuracy"] - figures[rule][n][s]["accuracy"])
                        for n in sets
                    ]
                )
                for s in shared
            ]
            error = 1.96 * float(np.std(each, ddof=1)) / len(each) ** 0.5 if len(each) > 1 else float("nan")
            leads[rule][which] = [round(float(np.mean(each)), 3), round(error, 3), len(each)]
            print(f"  {rule:22} {which:10} {np.mean(each):+.2f} ± {error:.2f} ({len(each)} seeds)")
    return leads


def report_calibration(figures: Any, crowds: list[Crowd]) -> dict[str, Any]:
    print("\ndawid-skene with controls: expected calibration error; precision where one was stated")
    summary: dict[str, Any] = {}
    for crowd in crowds:
        runs = list(figures["dawid-skene"][crowd.name].values())
        pooled = calibration_error(
            np.concatenate([run["sure"] for run in runs]), np.concatenate([run["right"] for run in runs])
        )
        single = float(np.mean([calibration_error(run["sure"], run["right"]) for run in runs]))
        summary[crowd.name] = {"ece_pooled": round(pooled, 4), "ece_a_draw": round(single, 4)}
        line = f"  {crowd.name:12} ECE {pooled:.3f} pooled over draws, {single:.3f} in one"
        for stated in STATED_PRECISIONS:
            right, kept = np.sum([run[f"at {stated}"] for run in runs], axis=0)
            if not kept:
                continue
            share = right / kept
            # The draws share their tasks: the interval is that of one draw, not of all together.
            error = 1.96 * (share * (1 - share) / (kept / len(runs))) ** 0.5
            line += f"; stated {stated}: {share:.3f} ± {error:.3f} of {kept / len(runs):.0f}"
            summary[crowd.name][f"stated_{stated}"] = [
                round(share, 4),
                round(error, 4),
                int(kept / len(runs)),
            ]
        print(line)
    return summary


def without_nan(figures: Any) -> Any:
    """The same figures with null for what was not measured: JSON knows no NaN."""
    if isinstance(figures, dict):
        return {name: without_nan(each) for name, each in figures.items()}
    if isinstance(figures, list):
        return [without_nan(each) for each in figures]
    return None if isinstance(figures, float) and np.isnan(figures) else figures


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--crowd", type=Path, default=os.environ.get("IMAGENET_BUILDER_CROWD"))
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_SEEDS} seeds, and the smaller sets only"
    )
    parser.add_argument(
        "--slow-seeds",
        type=int,
        default=SEEDS,
        help="seeds for crowd-kit's slow rules (GLAD, MACE, one-coin)",
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--keep", type=Path, help="a folder for what crowd-kit's rules say of each draw: computed once"
    )
    parser.add_argument("--stopping", action="store_true", help="only the stopping rule")
    arguments = parser.parse_args()
    folders = (
        sorted(path.parent for path in Path(arguments.crowd).glob("*/truth.csv")) if arguments.crowd else []
    )
    if not folders:
        print(WHERE.format(where=arguments.crowd or "--crowd (not given)"), file=sys.stderr)
        return 2
    crowds = [read_crowd(folder) for folder in folders]
    if arguments.quick:
        crowds = [crowd for crowd in crowds if crowd.truth.size < 1000] or crowds[:1]
    seeds = range(QUICK_SEEDS if arguments.quick else SEEDS)
    slow, keep = arguments.slow_seeds, arguments.keep
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    if arguments.stopping:
        with ProcessPoolExecutor(arguments.jobs) as pool:
            found = report_stopping(crowds, seeds, pool)
        print(json.dumps({"benchmark": "consensus", "seeds": len(seeds), "stopping": found}))
        return 0
    with ProcessPoolExecutor(arguments.jobs) as pool:
        three = compare(crowds, seeds, slow, VOTES_A_TASK, keep, pool)
        last = {"three_votes": report("Three random votes a task", three, crowds, seeds)}
        last["calibration"] = report_calibration(three, crowds)
        last["stopping"] = report_stopping(crowds, seeds, pool)
        last["all_votes"] = report("All votes", compare(crowds, seeds, slow, None, keep, pool), crowds, seeds)
    print(json.dumps(without_nan({"benchmark": "consensus", "seeds": len(seeds), **last})))
    return 0


if __name__ == "__main__":
    sys.exit(main())
