"""Verdicts on the study's claims, on made-up runs whose verdicts are known."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats as scipy_stats
from statsmodels.stats.power import TTestPower

from cxr_runner import stats
from cxr_runner.report.compare.claims.contrasts import Compared, contrast_models
from cxr_runner.report.compare.claims.image_numbers import IMAGE_NUMBERS
from cxr_runner.report.compare.claims.observed_runs import Observed, RowSetting, choose_observed, settings_of
from cxr_runner.report.compare.claims.run_numbers import Decisions, RunNumbers, best_constant_loss, curve_numbers
from cxr_runner.report.compare.claims.verdicts import Verdict, decide_claims
from cxr_runner.stats import Share
from cxr_runner.study import load_study

STUDY = load_study()
CLAIMS = [claim.id for claim in STUDY.claims]
SETTINGS = sorted({setting for claim in STUDY.claims for one in claim.conditions for setting in settings_of(one)})
Numbers = dict[str, dict[str, float]]  # by the statistic and the row


def by_row(text: str) -> dict[str, float]:
    """Read ``0=0.2 1=0.3``."""
    return {row: float(value) for row, _, value in (one.partition("=") for one in text.split())}


# A world in which all that the study says is so, and one in which none of it is.
AS_CLAIMED: Numbers = {
    "slowness": by_row("0=0.2 1=0.3 2=0.4 3=0.22 4=0.21"),
    "train_level": by_row("0=0.95 1=0.9 2=0.85 3=0.94 4=0.951 5=0.9 15=0.901 21=0.9 24=0.9 10=0.95 11=0.951"),
    "val_level": by_row(
        "0=0.94 1=0.9 2=0.86 3=0.935 4=0.941 14=0.9 5=0.93 8=0.9 9=0.91 15=0.934 21=0.93 24=0.931 20=0.94 23=0.92 "
        "10=0.95 11=0.95 12=0.9 13=0.951"
    ),
    "swing_accuracy": by_row(
        "0=0.002 3=0.002 4=0.002 14=0.006 17=0.05 5=0.003 8=0.003 9=0.003 10=0.02 11=0.02 12=0.02 "
        "13=0.021 16=0.04 20=0.002 21=0.003 23=0.006 24=0.003 22=0.03 22b=0.01 25=0.04 25b=0.015"
    ),
    "swing_loss": by_row(
        "0=0.002 3=0.002 4=0.002 5=0.003 8=0.003 9=0.003 10=0.05 11=0.05 12=0.05 20=0.002 21=0.003 23=0.002 24=0.003 "
        "22=0.05 22b=0.02 25=0.06 25b=0.02"
    ),
    "converged": by_row("5=1 6=0 7=0 18=0 19=0"),
    "overfits": by_row("22=1 25=1 22b=1 25b=1"),
    "seconds": by_row("20b=10 21b=11 22b=100"),
    "accuracy": by_row(
        "20=0.936 23=0.915 21=0.9355 24=0.9345 22=0.92 25=0.911 20b=0.908 23b=0.906 21b=0.9355 24b=0.9345 22b=0.918 "
        "25b=0.91"
    ),
}
OTHERWISE: Numbers = {
    "slowness": by_row("0=0.4 1=0.3 2=0.2 3=0.3 4=0.3"),
    "train_level": by_row("0=0.9 1=0.901 2=0.902 3=0.8 4=0.95 5=0.9 15=0.95 21=0.9 24=0.95 10=0.9 11=0.95"),
    "val_level": by_row(
        "0=0.9 1=0.901 2=0.902 3=0.8 4=0.95 14=0.93 5=0.9 8=0.92 9=0.93 15=0.85 21=0.9 24=0.95 20=0.9 23=0.95 "
        "10=0.9 11=0.9 12=0.95 13=0.95"
    ),
    "swing_accuracy": by_row(
        "0=0.02 3=0.02 4=0.02 14=0.01 17=0.02 5=0.03 8=0.03 9=0.03 10=0.001 11=0.02 12=0.001 "
        "13=0.01 16=0.01 20=0.02 21=0.02 23=0.02 24=0.02 22=0.01 22b=0.03 25=0.01 25b=0.03"
    ),
    "swing_loss": by_row(
        "0=0.02 3=0.02 4=0.02 5=0.03 8=0.03 9=0.03 10=0.001 11=0.002 12=0.001 20=0.02 21=0.02 23=0.02 24=0.02 "
        "22=0.01 22b=0.02 25=0.01 25b=0.02"
    ),
    "converged": by_row("5=0 6=1 7=0 18=1 19=1"),
    "overfits": by_row("22=0 25=0 22b=0 25b=0"),
    "seconds": by_row("20b=100 21b=100 22b=50"),
    "accuracy": by_row(
        "20=0.93 23=0.95 21=0.85 24=0.92 22=0.96 25=0.97 20b=0.96 23b=0.985 21b=0.9 24b=0.93 22b=0.97 25b=0.98"
    ),
}
NUM_IMAGES = 2000


def decisions(accuracy: float, rng: np.random.Generator, num_images: int = NUM_IMAGES) -> Decisions:
    """Return decisions that err on the same positive images whatever the model, but for two drawn at random."""
    labels = np.arange(num_images) < 0.7 * num_images
    wrong = np.arange(num_images) < round((1 - accuracy) * num_images)
    wrong[rng.integers(num_images, size=2)] ^= True
    return Decisions(np.where(labels ^ wrong, 1.0, -1.0), labels, np.arange(num_images))


def world(numbers: Numbers, seeds: Iterable[int] = range(10), num_images: int = NUM_IMAGES) -> Observed:
    """Return runs with the given numbers, a thousandth more or less from seed to seed."""
    observed: dict[RowSetting, list[RunNumbers]] = {}
    for setting in SETTINGS:
        runs = []
        for seed in seeds:
            rng = np.random.default_rng([seed, SETTINGS.index(setting)])
            of_row = {name: by_row[setting.row] for name, by_row in numbers.items() if setting.row in by_row}
            yes_no = {name: of_row.pop(name) for name in ("converged", "overfits") if name in of_row}
            accuracy = of_row.pop("accuracy", None)
            noisy = {name: value * (1 + 0.001 * rng.standard_normal()) for name, value in of_row.items()}
            tested = None if accuracy is None else decisions(accuracy, rng, num_images)
            runs.append(RunNumbers(seed, True, {**noisy, **yes_no}, tested))
        observed[setting] = runs
    return Observed(observed)


def decide(observed: Observed | Mapping[RowSetting, Sequence[RunNumbers]]) -> dict[str, Verdict]:
    """Return the verdicts on runs by the id of the claim."""
    one = observed if isinstance(observed, Observed) else Observed(observed)
    return {verdict.claim.id: verdict for verdict in decide_claims([one], STUDY)}


@pytest.fixture(scope="module")
def as_claimed() -> dict[str, Verdict]:
    return decide(world(AS_CLAIMED, seeds=range(20), num_images=30_000))


@pytest.fixture(scope="module")
def otherwise() -> dict[str, Verdict]:
    return decide(world(OTHERWISE, seeds=range(40)))


def random_runs(seeds: int) -> dict[RowSetting, list[RunNumbers]]:
    """Return runs that say nothing."""
    rng = np.random.default_rng(0)
    observed = {}
    for setting in SETTINGS:
        observed[setting] = [
            RunNumbers(
                seed,
                True,
                {name: 1 + 5 * rng.standard_normal() for name in STUDY.definitions}
                | {"converged": float(seed == 0 and setting.row == "5"), "overfits": float(seed % 4 == 0)},
                decisions(0.9 + 0.02 * rng.standard_normal(), rng, 40),
            )
            for seed in range(seeds)
        ]
    return observed


@pytest.fixture(scope="module")
def noise() -> dict[str, Verdict]:
    """Verdicts on four seeds that say nothing."""
    return decide(random_runs(4))


@pytest.mark.parametrize("claim", CLAIMS)
def test_every_claim_is_supported_where_all_is_as_claimed(claim: str, as_claimed: dict[str, Verdict]) -> None:
    assert as_claimed[claim].word == "supported", as_claimed[claim].tests


@pytest.mark.parametrize("claim", CLAIMS)
def test_every_claim_is_contradicted_where_the_opposite_is_so(claim: str, otherwise: dict[str, Verdict]) -> None:
    assert otherwise[claim].word == "contradicted", otherwise[claim].tests


def test_a_contradiction_pays_for_the_number_of_its_parts(otherwise: dict[str, Verdict]) -> None:
    assert max(len(verdict.tests) for verdict in otherwise.values()) > 10
    for verdict in otherwise.values():
        smallest = min(test.p.contradiction for test in verdict.tests)
        assert verdict.p.contradiction == pytest.approx(min(1.0, len(verdict.tests) * smallest), rel=1e-12, abs=0)


def test_a_run_that_is_dead_is_in_no_difference() -> None:
    one = [RunNumbers(seed, seed != 2, {"slowness": 0.5}) for seed in range(5)]
    other = [RunNumbers(seed, seed != 4, {"slowness": 100.0 if seed == 4 else 0.6 + seed / 100}) for seed in range(5)]
    contrast = contrast_models(Compared("slowness", ("0",), ("1",)), {"0": one, "1": other}, Observed())
    reference = scipy_stats.ttest_1samp([0.10, 0.11, 0.13], 0)
    assert (contrast.effect.num_runs, contrast.kept, contrast.seeds_tried) == (3, 0.6, 5)
    assert contrast.effect.mean == pytest.approx(0.34 / 3)
    assert contrast.of_all == pytest.approx((0.34 + 0.12 + 99.5) / 5)
    assert contrast.effect.p == pytest.approx(reference.pvalue)


@pytest.mark.parametrize("claim", CLAIMS)
def test_every_claim_is_undecided_where_seeds_and_images_say_nothing(claim: str, noise: dict[str, Verdict]) -> None:
    assert noise[claim].word == "undecided", noise[claim].tests


@pytest.mark.parametrize("claim", CLAIMS)
def test_every_claim_without_runs_is_not_run_and_says_where_they_are_missing(claim: str) -> None:
    verdict = decide({})[claim]
    assert verdict.word == "not run"
    assert {setting.row for setting in verdict.missing} == set(verdict.claim.rows)


@pytest.mark.parametrize("numbers", [AS_CLAIMED, OTHERWISE])
def test_a_single_seed_decides_nothing_but_a_thing_that_never_happens(numbers: Numbers) -> None:
    verdicts = decide(world(numbers, seeds=[0]))
    never = verdicts.pop("relu_deeper_never_converges")
    assert {verdict.word for verdict in verdicts.values()} == {"undecided"}
    assert never.word == ("undecided" if numbers is AS_CLAIMED else "contradicted")


def test_the_conditions_of_a_claim_are_about_its_rows_and_its_definitions() -> None:
    for claim in STUDY.claims:
        assert claim.conditions
        rows = {setting.row for one in claim.conditions for setting in settings_of(one)}
        assert rows - {row for one in claim.conditions for row in one.beside} == set(claim.rows)
        assert {one.statistic for one in claim.conditions} <= set(STUDY.definitions)
        assert claim.figure is None or claim.figure in {figure.number for figure in STUDY.figures}
        for one in claim.conditions:
            if one.expect in ("not higher", "not lower", "alike"):
                assert STUDY.definitions[one.statistic].margin > 0
    used = {one.statistic for claim in STUDY.claims for one in claim.conditions}
    assert used == set(STUDY.definitions)


def test_a_claim_is_contradicted_by_one_of_its_parts_while_others_have_no_runs() -> None:
    observed = dict(world(OTHERWISE).runs)
    observed[RowSetting("16")] = []
    verdict = decide(observed)["weight_oscillates"]
    assert verdict.word == "contradicted"
    assert verdict.missing == [RowSetting("16")]
    observed = dict(world(AS_CLAIMED).runs)
    observed[RowSetting("16")] = []
    verdict = decide(observed)["weight_oscillates"]
    assert (verdict.word, [test.tested for test in verdict.tests]) == ("partly run", [True, False])
    assert (math.isnan(verdict.p.support), math.isnan(verdict.adjusted.contradiction)) == (True, False)
    observed[RowSetting("14")] = []
    assert decide(observed)["weight_oscillates"].word == "not run"


def test_two_runs_refute_that_something_never_happens_and_one_does_not() -> None:
    observed = dict(world(AS_CLAIMED).runs)
    setting = RowSetting("6", "optimizer.lr=0.001")
    for count, word in ((1, "undecided"), (2, "contradicted")):
        observed[setting] = [RunNumbers(seed, True, {"converged": float(seed < count)}) for seed in range(10)]
        verdict = decide(observed)["relu_deeper_never_converges"]
        assert verdict.word == word
        assert verdict.tests[0].estimate == pytest.approx(count / 20)
    few = {setting: list(runs)[:9] for setting, runs in world(AS_CLAIMED).runs.items()}
    assert decide(few)["relu_deeper_never_converges"].word == "undecided"


def test_runs_from_the_same_weights_count_once_where_something_never_happens() -> None:
    observed = dict(world(AS_CLAIMED, seeds=range(20)).runs)
    (test,) = decide(observed)["relu_deeper_never_converges"].tests
    assert (test.num_seeds, test.p.support) == (40, pytest.approx(0.9**40))
    for lr in ("0.1", "0.001"):  # the same seed at two rates: two runs, and one of the 40
        setting = RowSetting("6", f"optimizer.lr={lr}")
        observed[setting] = [replace(run, numbers={"converged": float(run.seed == 3)}) for run in observed[setting]]
    verdict = decide(observed)["relu_deeper_never_converges"]
    assert (verdict.word, verdict.tests[0].estimate) == ("contradicted", 1 / 40)


def test_what_refutes_that_something_never_happens_counts_though_other_runs_are_missing() -> None:
    setting = RowSetting("6", "optimizer.lr=0.0001")
    runs = [RunNumbers(seed, True, {"converged": 1.0}) for seed in range(3)]
    verdict = decide({setting: runs})["relu_deeper_never_converges"]
    assert verdict.word == "contradicted"
    assert (verdict.tests[0].estimate, verdict.tests[0].num_seeds) == (1, 3)
    assert len(verdict.missing) == 9


def test_a_model_whose_runs_are_all_dead_is_undecided_and_asks_for_more_seeds() -> None:
    observed = dict(world(AS_CLAIMED).runs)
    for row in ("20", "24"):
        observed[RowSetting(row)] = [RunNumbers(seed, False, {"converged": 0.0}) for seed in range(10)]
    verdict = decide(observed)["weight_lowers_metrics"]
    assert (verdict.word, verdict.missing) == ("undecided", [])
    number = next(i for i, test in enumerate(verdict.tests) if test.label == "model 24 against model 21")
    test = verdict.tests[number]
    assert (test.num_seeds, test.num_lost, test.tested) == (0, 10, False)
    assert verdict.takes[number].seeds == (20, 20, 20)


def test_a_one_sided_contradiction_pays_for_one_side() -> None:
    values = [0.3, 0.1, 0.2]
    observed = {
        RowSetting(row): [RunNumbers(seed, True, {"slowness": sign * value}) for seed, value in enumerate(values)]
        for row, sign in (("0", 1), ("1", 0), ("2", -1))
    }
    verdict = decide(observed)["depth_slows"]
    expected = scipy_stats.ttest_1samp(values, 0, alternative="greater").pvalue
    assert [test.p.contradiction for test in verdict.tests[:2]] == pytest.approx([expected, expected])
    assert [test.tested for test in verdict.tests] == [True, True, False, False]
    assert verdict.p.contradiction == pytest.approx(2 * expected)
    assert verdict.adjusted.contradiction == pytest.approx(2 * expected)  # no other claim was tested


def test_the_seeds_that_a_contradiction_needs_pay_for_all_parts_at_the_strictest_step() -> None:
    values = [0.01 + 0.02 * (-1) ** seed for seed in range(10)]
    observed = {
        RowSetting(row): [RunNumbers(seed, True, {"slowness": sign * value}) for seed, value in enumerate(values)]
        for row, sign in (("0", 1), ("1", 0), ("2", 0))
    }
    takes = decide(observed)["depth_slows"].takes[0]
    effect_size, level = np.mean(values) / np.std(values, ddof=1), 0.05 / 2  # two parts of the one claim tested
    expected = TTestPower().solve_power(effect_size, alpha=level, power=0.8, alternative="larger")
    assert takes.open
    assert takes.seeds is not None
    assert takes.seeds.likely == pytest.approx(expected, rel=0.1)
    assert takes.seeds.fewest is not None
    assert takes.seeds.fewest < takes.seeds.likely < (takes.seeds.most or math.inf)


def test_what_is_found_by_itself_can_be_too_little_among_all_claims_tested() -> None:
    levels = {"0": [0.94] * 6, "14": [0.94, 0.921] * 3}
    pair = {
        RowSetting(row): [RunNumbers(seed, True, {"val_level": level}) for seed, level in enumerate(of_row)]
        for row, of_row in levels.items()
    }
    expected = scipy_stats.ttest_1samp([0.0, -0.019] * 3, 0, alternative="less").pvalue
    assert 0.01 < expected < 0.05
    alone = decide(pair)["weight_lowers_linear_plateau"]
    assert (alone.word, alone.p.support) == ("supported", pytest.approx(expected))
    assert alone.adjusted.support == pytest.approx(expected)  # claims without runs cost nothing
    among = decide(random_runs(4) | pair)["weight_lowers_linear_plateau"]
    assert (among.alone, among.word) == ("supported", "undecided")
    assert among.adjusted.support == pytest.approx(min(1, (len(CLAIMS) - 1) * expected))  # one waits for more seeds


def test_collapsed_and_diverged_runs_count_as_not_converged_and_are_left_out_of_differences() -> None:
    observed = dict(world(AS_CLAIMED).runs)
    collapsed = [RunNumbers(seed, False, {"converged": 0.0, "val_level": 0.27}) for seed in range(10, 14)]
    observed[RowSetting("5")] = [*observed[RowSetting("5")], *collapsed]
    verdicts = decide(observed)
    (share,) = verdicts["relu_2_layers_converge"].tests
    assert (share.estimate, share.num_seeds, share.num_lost) == (10 / 14, 14, 4)
    test = verdicts["relu_10_units_best"].tests[0]
    assert (test.num_seeds, test.num_lost) == (10, 4)
    assert test.estimate == pytest.approx(0.03, abs=1e-3)


def test_seeds_that_the_models_do_not_share_are_left_out() -> None:
    observed = dict(world(AS_CLAIMED).runs)
    observed[RowSetting("1")] = [run for run in observed[RowSetting("1")] if run.seed > 3]
    tests = decide(observed)["depth_slows"].tests
    assert [test.num_seeds for test in tests] == [6, 6, 6, 6]


def test_few_test_images_make_uncertain_what_the_seeds_alone_would_decide() -> None:
    few = decide(world(AS_CLAIMED, num_images=200))["weight_lowers_metrics"]
    assert few.word == "undecided"
    number = next(i for i, test in enumerate(few.tests) if test.label == "model 25 against model 22")
    assert few.tests[number].p.support > 1e-3
    takes = few.takes[number]
    assert takes.seeds == (None, None, None)
    assert takes.images is not None
    assert takes.images.fewest is not None
    assert takes.images.fewest > 200


def history(num_epochs: int, **curves: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> pd.DataFrame:
    epochs = np.arange(1, num_epochs + 1, dtype=np.float64)
    flat = {name: np.full(num_epochs, 0.5) for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy")}
    return pd.DataFrame({"epoch": epochs, **flat, **{name: curve(epochs) for name, curve in curves.items()}})


def test_levels_and_slowness_are_means_of_epochs() -> None:
    numbers = curve_numbers(history(10, train_loss=lambda e: 1 / e, val_accuracy=lambda e: e / 10), True, 0.6, STUDY)
    assert numbers["slowness"] == pytest.approx(sum(1 / e for e in range(1, 11)) / 10)
    assert numbers["val_level"] == pytest.approx(0.95)
    assert curve_numbers(history(50, val_accuracy=lambda e: e / 50), True, 0.6, STUDY)["val_level"] == pytest.approx(
        0.91
    )


def test_a_straight_line_does_not_oscillate_and_the_first_half_does_not_count() -> None:
    steady = history(10, val_accuracy=lambda e: 0.03 * e)
    assert curve_numbers(steady, True, 0.6, STUDY)["swing_accuracy"] == pytest.approx(0, abs=1e-12)
    zigzag = history(10, val_accuracy=lambda e: 0.9 + 0.01 * (-1) ** e)
    assert curve_numbers(zigzag, True, 0.6, STUDY)["swing_accuracy"] == pytest.approx(0.02)
    early = history(10, val_loss=lambda e: np.where(e < 4, 5.0 * (-1) ** e, 0.3))
    assert curve_numbers(early, True, 0.6, STUDY)["swing_loss"] == 0
    assert "swing_loss" not in curve_numbers(history(2), True, 0.6, STUDY)


def test_a_run_converges_below_nine_tenths_of_the_best_constant() -> None:
    constant = best_constant_loss(2975, 1102, None)
    assert constant == pytest.approx(0.5835, abs=1e-4)
    for level, expected in ((0.91, 0), (0.89, 1)):
        run = history(10, train_loss=lambda e, level=level: np.full(len(e), level * constant))  # type: ignore[misc]
        assert curve_numbers(run, True, constant, STUDY)["converged"] == expected
        assert curve_numbers(run, False, constant, STUDY)["converged"] == 0
    assert "converged" not in curve_numbers(history(10), True, math.nan, STUDY)


@pytest.mark.parametrize("weight", [None, 0.37])
def test_the_best_constant_is_the_lowest_of_all(weight: float | None) -> None:
    share = np.linspace(0.001, 0.999, 9999)
    losses = -(30 * (weight or 1) * np.log(share) + 10 * np.log(1 - share)) / 40
    assert best_constant_loss(30, 10, weight) == pytest.approx(losses.min(), abs=1e-6)


@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [
        (lambda e: 1 / e, lambda e: 0.3 + 0.002 * e, 1),  # training falls, validation rises
        (lambda e: 1 / e, lambda e: np.full(len(e), 0.3), 0),  # it levels off
        (lambda e: 1 / e, lambda e: 0.3 + 0.002 * e + 0.1 * (-1) ** e, 0),  # it rises by less than it swings
        (lambda e: 1 / e, lambda e: 1 / e, 0),  # both fall
        (lambda e: np.full(len(e), 0.3), lambda e: 0.3 + 0.002 * e, 0),  # training has ended
    ],
)
def test_a_run_overfits_when_training_falls_and_validation_does_not(
    train: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    val: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    expected: int,
) -> None:
    assert curve_numbers(history(50, train_loss=train, val_loss=val), True, 0.6, STUDY)["overfits"] == expected


def test_a_share_is_tested_exactly_and_needs_more_runs_the_nearer_it_is_to_the_bound() -> None:
    share = Share(9, 10)
    assert share.p_above(0.5) == pytest.approx(scipy_stats.binomtest(9, 10, alternative="greater").pvalue)
    assert share.p_below(0.5) == pytest.approx(scipy_stats.binomtest(9, 10, alternative="less").pvalue)
    assert share.needed(0.5, 0.05, 0.8).likely == 10
    assert Share(7, 10).needed(0.5, 0.05, 0.8).likely == 47  # tables of Fleiss and others
    assert Share(7, 10).needed(0.5, 0.05, 0.8).most is None  # it may be a half
    assert Share(5, 10).needed(0.5, 0.05, 0.8).likely is None
    fewest, likely, most = share.needed(0.5, 0.05, 0.8)
    assert fewest is not None
    assert likely is not None
    assert most is not None
    assert fewest < likely < most


@pytest.mark.parametrize("statistic", IMAGE_NUMBERS)
def test_the_part_of_the_images_is_what_a_bootstrap_over_patients_gives(statistic: str) -> None:
    rng = np.random.default_rng(3)
    num_images, patients = 600, np.sort(rng.integers(0, 200, 600))
    patients = np.unique(patients, return_inverse=True)[1]
    labels = rng.random(num_images) < 0.7
    runs = {
        row: [
            RunNumbers(
                seed,
                True,
                {},
                Decisions(2 * labels - 1 + noise * rng.standard_normal(num_images), labels, patients),
            )
            for seed in range(3)
        ]
        for row, noise in (("20", 0.7), ("22", 0.8))
    }
    effect = contrast_models(Compared(statistic, ("20",), ("22",)), runs, Observed()).effect
    counts = rng.multinomial(patients.max() + 1, np.full(patients.max() + 1, 1 / (patients.max() + 1)), size=4000)
    weights = counts[:, patients].astype(float)

    def score(run: RunNumbers) -> NDArray[np.float64]:
        assert run.decisions is not None
        called, true = run.decisions.called, run.decisions.labels
        if statistic == "auroc":
            below = (run.decisions.logits[true, None] > run.decisions.logits[~true]).astype(float)
            right = ((weights[:, true] @ below) * weights[:, ~true]).sum(axis=1)
            return right / (weights[:, true].sum(axis=1) * weights[:, ~true].sum(axis=1))
        return {
            "accuracy": weights @ (called == true) / weights.sum(axis=1),
            "recall": weights @ (called & true) / (weights @ true),
            "specificity": weights @ ~(called | true) / (weights @ ~true),
            "f1": 2 * (weights @ (called & true)) / (weights @ called + weights @ true),
        }[statistic]

    replicates = sum(score(b) - score(a) for a, b in zip(runs["20"], runs["22"], strict=True)) / 3
    assert math.sqrt(effect.variance.by_images) == pytest.approx(replicates.std(), rel=0.06)


def test_alike_is_an_equivalence_test_against_the_margin() -> None:
    values = {"5": [0.9, 0.91, 0.92, 0.9], "15": [0.904, 0.912, 0.921, 0.906]}
    observed = {
        RowSetting(row): [RunNumbers(seed, True, {"val_level": value}) for seed, value in enumerate(of_row)]
        for row, of_row in values.items()
    }
    test = decide(observed)["weight_spares_relu"].tests[1]
    effect = stats.mean_over_runs(np.subtract(values["15"], values["5"]), [0] * 4, range(4), 0, 0.0)
    assert test.p.support == pytest.approx(stats.equivalence(effect, 0.01).p)
    assert test.p.contradiction == 1.0
    assert decide(observed)["weight_raises_relu"].tests[0].p.support == pytest.approx(effect.p / 2)


def test_a_claim_is_tested_at_one_size_and_what_other_sizes_have_is_missing() -> None:
    def of(value: float) -> dict[str, float]:
        return {"slowness": value, "train_level": value}

    levels = {"0": 0.3, "1": 0.5, "2": 0.4}  # contrary, and each model at a size of its own
    sizes = [
        Observed(
            {RowSetting(row): [RunNumbers(s, True, {"slowness": x + s / 1e3, "train_level": x}) for s in range(9)]},
            size,
        )
        for size, (row, x) in zip((16, 48, 200), levels.items(), strict=True)
    ]
    verdict = next(one for one in decide_claims(sizes, STUDY) if one.claim.id == "depth_slows")
    assert (verdict.word, verdict.observed.image_size) == ("not run", 200)
    assert [setting.row for setting in verdict.missing] == ["0", "1"]
    both = Observed({**sizes[0].runs, **sizes[1].runs}, 32)
    assert choose_observed(verdict.claim, [*sizes, both]).image_size == 32  # two of the three models are there


def test_splits_are_replicates_that_have_training_images_in_common() -> None:
    rng = np.random.default_rng(2)
    cells = [(split, seed) for split in range(5) for seed in range(4)]
    values = {row: rng.normal(0.9, 0.02, len(cells)) for row in ("0", "14")}
    runs = {
        RowSetting(row): [
            RunNumbers(seed, True, {"val_level": value}, split=split)
            for (split, seed), value in zip(cells, of_row, strict=True)
        ]
        for row, of_row in values.items()
    }
    verdict = decide(Observed(runs, held_ratio=0.25))["weight_lowers_linear_plateau"]
    effect = stats.mean_over_runs(values["14"] - values["0"], *np.transpose(cells), 0.25, 0.0)
    assert verdict.p.support == pytest.approx(effect.p_value(0, "less"))
    assert (verdict.tests[0].num_seeds, verdict.used[RowSetting("0")]) == (4, 4)


def test_the_part_that_decides_is_the_least_sure_of_a_supported_claim_and_the_surest_of_a_contradicted_one(
    as_claimed: dict[str, Verdict], otherwise: dict[str, Verdict]
) -> None:
    one = as_claimed["weight_lowers_metrics"]
    assert one.deciding is not None
    assert one.deciding.p.support == one.p.support == max(test.p.support for test in one.tests)
    other = otherwise["weight_lowers_metrics"]
    assert other.deciding is not None
    assert other.deciding.p.contradiction == min(test.p.contradiction for test in other.tests)
    assert decide({})["depth_slows"].deciding is None
    lacking = dict(world(AS_CLAIMED, seeds=range(20)).runs) | {RowSetting("16"): []}
    assert decide(lacking)["weight_oscillates"].deciding is None  # what was tested is no matter any more
