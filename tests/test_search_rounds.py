"""Rounds of a search with a stand-in for training: who is pruned, when, and against whom."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from cxr_runner.base.errors import RunFailedError, UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.search_space import Parameter, probes, read_distributions, read_space
from cxr_runner.experiment.search.search_end import search_record
from cxr_runner.experiment.search.search_journal import open_study
from cxr_runner.experiment.search.search_rounds import ReplicateResult, RoundJob, Rounds, TrialUnderWay
from cxr_runner.experiment.search.search_settings import SearchSettings

optuna = pytest.importorskip("optuna")

Train = Callable[[float, int], ReplicateResult]
SPACE = (Parameter("x", "interval(0,1)", low=0.0, high=1.0),)


def _settings(folder: Path, n_trials: int, **changed: object) -> SearchSettings:
    usual = {"metric": "val_auroc", "higher_is_better": True, "n_jobs": 4, "prune_p": 0.1, "max_failure_rate": 1.0}
    return SearchSettings(
        **{"folder": folder, "name": "s", "n_trials": n_trials, "sampler": {"name": "random", "seed": 0}}  # type: ignore[arg-type]
        | {"space": SPACE}
        | usual
        | changed
    )


class Searching:
    """A search whose runs are numbers: ``train`` gives what a trial at x comes to with a seed."""

    def __init__(self, settings: SearchSettings, train: Train, seeds: int = 8) -> None:
        self.launched: list[int] = []
        self.train, self.seeds, self.settings = train, seeds, settings
        settings.folder.mkdir(exist_ok=True)
        self.study = open_study(settings, "identity")
        self.rounds = Rounds(self.study, settings, self.launch, self.plan, Reporter())

    def plan(self, trial: "optuna.Trial") -> TrialUnderWay:
        replicates = [RoundJob((f"seed={seed}",), (f"seed={seed}",)) for seed in range(self.seeds)]
        rounds = [replicates[start : start + 4] for start in range(0, self.seeds, 4)]
        return TrialUnderWay(trial, (f"x={trial.params['x']}",), rounds)

    def launch(self, jobs: Sequence[Sequence[str]]) -> list[list[ReplicateResult]]:
        self.launched.append(len(jobs))
        return [[self.train(float(job[0][2:]), int(job[1][5:]))] for job in jobs]

    def run(self) -> list[dict[str, object]]:
        while batch := self.rounds.next_batch():
            self.rounds.run_batch(batch)
        trials: list[dict[str, object]] = search_record(self.study, self.settings)["trials"]
        return trials


def _noise(seed: int) -> float:
    return float(np.random.default_rng(seed).normal(scale=0.1))


def test_what_loses_with_every_seed_is_trained_with_four_and_what_wins_with_all(tmp_path: Path) -> None:
    searching = Searching(_settings(tmp_path / "s", 4), lambda x, seed: ReplicateResult(x + _noise(seed)))
    trials = searching.run()
    best = max(range(4), key=lambda number: trials[number]["params"]["x"])  # type: ignore[index]
    assert [trial["trained"] for trial in trials] == [8 if number == best else 4 for number in range(4)]
    assert {trial["state"] for number, trial in enumerate(trials) if number != best} == {"pruned"}
    assert searching.launched == [16, 4]
    assert f"behind trial {best}, p 0.062" in str(trials[best - 1]["reason"])


def test_noise_that_is_larger_than_the_differences_prunes_little(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    searching = Searching(_settings(tmp_path / "s", 16), lambda x, seed: ReplicateResult(float(rng.normal())))
    kept = [trial["state"] for trial in searching.run()].count("measured")
    assert kept >= 8


def test_where_lower_is_better_the_higher_are_pruned(tmp_path: Path) -> None:
    settings = _settings(tmp_path / "s", 4, higher_is_better=False)
    trials = Searching(settings, lambda x, seed: ReplicateResult(x + _noise(seed))).run()
    (kept,) = (trial for trial in trials if trial["state"] == "measured")
    assert kept["params"]["x"] == min(trial["params"]["x"] for trial in trials)  # type: ignore[index]


def test_a_later_batch_is_compared_with_the_best_before_it(tmp_path: Path) -> None:
    searching = Searching(_settings(tmp_path / "s", 5, n_jobs=1), lambda x, seed: ReplicateResult(x + _noise(seed)))
    trials, best = searching.run(), -1.0
    for trial in trials:
        x = trial["params"]["x"]  # type: ignore[index]
        assert trial["state"] == ("measured" if x > best else "pruned")
        best = max(best, x)


def test_without_pruning_every_trial_has_every_seed(tmp_path: Path) -> None:
    settings = _settings(tmp_path / "s", 4, prune_p=None)
    assert {one["trained"] for one in Searching(settings, lambda x, seed: ReplicateResult(x)).run()} == {8}


def test_a_failed_replicate_ends_its_trial_and_no_other(tmp_path: Path) -> None:
    def train(x: float, seed: int) -> ReplicateResult:
        return ReplicateResult(math.nan, "failed", "no memory") if x < 0.5 and seed == 1 else ReplicateResult(x)

    trials = Searching(_settings(tmp_path / "s", 4, prune_p=None), train).run()
    for trial in trials:
        low = trial["params"]["x"] < 0.5  # type: ignore[index]
        assert (trial["state"], trial["reason"]) == (("failed", "no memory") if low else ("measured", ""))
    with pytest.raises(RunFailedError, match=r"of 4 trials failed, hydra.sweeper.max_failure_rate=0 allows fewer"):
        Searching(_settings(tmp_path / "t", 4, max_failure_rate=0.0), train).run()


def test_trials_that_were_cut_off_come_first_and_numbers_of_a_batch_stay_together(tmp_path: Path) -> None:
    settings = _settings(tmp_path / "s", 6)
    first = Searching(settings, lambda x, seed: ReplicateResult(x))
    proposed = [trial.params for trial in first.rounds.next_batch()]
    again = Searching(settings, lambda x, seed: ReplicateResult(x))
    batch = again.rounds.next_batch()
    assert [trial.number for trial in batch] == [0, 1, 2, 3]
    assert [trial.params for trial in batch] == proposed
    again.rounds.run_batch(batch)
    assert [trial.number for trial in again.rounds.next_batch()] == [4, 5]
    other = Searching(_settings(tmp_path / "t", 6), lambda x, seed: ReplicateResult(x))
    wanted = [trial["params"] for trial in other.run()]
    assert [trial["params"] for trial in Searching(settings, other.train).run()] == wanted


def test_a_space_is_told_from_what_is_fixed() -> None:
    arguments = ["lr=tag(log,interval(1e-3,1))", "hidden=int(interval(1,9))", "epochs=range(5,25,5)", "k=1"]
    space, fixed = read_space([*arguments, "model=a,b", "lr=interval(0.5,2)"])
    assert fixed == ("k=1",)
    lr, hidden, epochs, model = space
    assert (lr.low, lr.high, lr.log, lr.whole) == (0.5, 2.0, False, False), "the last of a key counts"
    assert (hidden.ends, hidden.whole) == ((1, 9), True)
    assert (epochs.ends, epochs.step, epochs.whole) == ((5, 20), 5, True), "as everywhere in Hydra, without the end"
    assert model.choices == ("a", "b")


def test_every_choice_of_a_group_is_probed_with_every_end() -> None:
    space, _ = read_space(["model=a,b", "optimizer=c,d", "lr=interval(0.1,1)", "hidden=1,2,3"])
    tried = list(probes(space, ["model", "optimizer"]))
    assert len(tried) == 4 * (1 + 1 + 2 + 1)
    assert {one["model"] + one["optimizer"] for one in tried} == {"ac", "ad", "bc", "bd"}  # type: ignore[operator]
    assert {"model": "b", "optimizer": "d", "lr": 1.0, "hidden": 3} in tried


def test_the_older_form_of_a_space_is_read() -> None:
    lr, hidden, kind = read_distributions(
        {
            "lr": {"type": "float", "low": 0.1, "high": 1, "log": True},
            "hidden": {"type": "int", "low": 1, "high": 9, "step": 2},
            "kind": {"type": "categorical", "choices": ["a", None]},
        }
    )
    assert (lr.low, lr.high, lr.log) == (0.1, 1, True)
    assert (hidden.ends, hidden.step) == ((1, 9), 2)
    assert kind.choices == ("a", None)
    for entry, said in (
        ({"type": "floats"}, "takes type"),
        ({"type": "int", "low": 0.5, "high": 2}, "must be numbers that are int"),
        ({"type": "float", "low": 1, "high": 1}, "goes from a number to a larger one"),
        ({"type": "categorical"}, "holds no choice"),
        ({"type": "float", "low": 1, "high": 2, "log": True, "step": 0.5}, "has no steps on a logarithm"),
    ):
        with pytest.raises(UserError, match=said):
            read_distributions({"lr": entry})
