"""Shares of the training images: which images they are, that engines agree on them, and learning curves of them."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cxr_runner
from conftest import Answer
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.config.identity import to_dict
from cxr_runner.data.dataset import Dataset, open_dataset
from cxr_runner.data.train_share import choose_share
from cxr_runner.inference.card.card_facts import card_facts
from cxr_runner.report.write import write_report
from cxr_runner.study import load_study
from cxr_runner.study.matching import match_row

TINY = {"data.num_images": 120, "data.image_size": 32}
RUN = {**TINY, "progress": "none", "plots": "never"}


def data_set(**settings: object) -> Dataset:
    values = {**TINY, **{key.replace("__", "."): value for key, value in settings.items()}}
    return open_dataset(compose(values)[0].data, Reporter())


@settings(max_examples=40, deadline=None)
@given(
    patients=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 1)), min_size=8, max_size=60),
    shares=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    seed=st.integers(0, 3),
)
def test_shares_lie_within_each_other_with_whole_patients_and_both_classes_alike(
    patients: list[tuple[int, int]], shares: tuple[float, float], seed: int
) -> None:
    keys = [str(number) for number, (size, _) in enumerate(patients) for _ in range(size)]
    labels = np.array([label for size, label in patients for _ in range(size)])
    smaller, larger = (choose_share(labels, keys, share, seed) for share in sorted(shares))
    assert (larger | ~smaller).all()
    assert choose_share(labels, keys, 1.0, seed).all()
    for chosen, share in zip((smaller, larger), sorted(shares), strict=True):
        whole = pd.Series(chosen).groupby(keys).nunique()
        assert (whole == 1).all(), "no patient is cut"
        for label in (0, 1):
            of_class = labels == label
            assert abs(chosen[of_class].sum() - share * of_class.sum()) <= 5, "but for one patient"


def test_without_patients_a_share_is_of_images() -> None:
    labels = np.repeat([0, 1], [300, 700])
    chosen = choose_share(labels, None, 0.1, 0)
    assert (chosen[labels == 0].sum(), chosen[labels == 1].sum()) == (30, 70)
    assert not np.array_equal(chosen, choose_share(labels, None, 0.1, 1)), "another seed of the split, another share"


def test_a_share_leaves_val_and_test_as_they_are() -> None:
    whole, half, fifth = data_set(), data_set(data__train_share=0.5), data_set(data__train_share=0.2)
    for split in ("val", "test"):
        assert half.names(split) == fifth.names(split) == whole.names(split)
    assert set(fifth.names("train")) < set(half.names("train")) < set(whole.names("train"))
    left_out = set(whole.patients("train")) - set(half.patients("train"))
    assert left_out, "whole patients"
    assert not left_out & set(half.patients("train"))
    assert data_set(data__train_share=1.0).fingerprint == whole.fingerprint, "ids of runs stay"
    assert len({whole.fingerprint, half.fingerprint, fifth.fingerprint}) == 3
    assert half.whole_fingerprint == fifth.whole_fingerprint == whole.fingerprint
    assert half.store == whole.store
    numbers = f"{len(half.rows('train'))} of {len(whole.rows('train'))}"
    assert half.notes[-1].startswith(f"train is 0.5 of the training images, patients whole: {numbers}")


def test_a_share_of_a_fold_lies_in_that_fold() -> None:
    folds = {"data__split__folds": 3, "data__split__fold": 1, "data__split__strategy": "patient"}
    whole, part = data_set(**folds), data_set(**folds, data__train_share=0.4)
    assert part.names("test") == whole.names("test")
    assert set(part.names("train")) < set(whole.names("train"))
    assert not set(part.patients("train")) & set(part.patients("test"))


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.001, "leaves 0 of 84 images to train on and none of NORMAL and PNEUMONIA; a larger one is needed"),
        (0, "must be above 0"),
        (1.5, "must be at most 1"),
    ],
)
def test_a_share_that_is_none_is_refused_in_one_line(cxr_run: Callable[..., Answer], share: float, said: str) -> None:
    answer = cxr_run(f"data.train_share={share}", *(f"{key}={value}" for key, value in TINY.items()))
    assert (answer.code, answer.err) == (2, f"cxr-run: data.train_share={share}: {said}\n")
    assert not Path("outputs").exists()


def test_describe_says_how_many_images_a_share_leaves(cxr_data: Callable[..., Answer]) -> None:
    answer = cxr_data("describe", "data.train_share=0.5", *(f"{key}={value}" for key, value in TINY.items()))
    number = len(data_set(data__train_share=0.5).rows("train"))
    assert re.search(rf"train +{number}: ", answer.out)
    assert f"patients whole: {number} of 84 (data.train_share)" in answer.out


def test_both_engines_train_on_the_same_share(tmp_path: Path) -> None:
    outputs = [tmp_path / engine for engine in ("gram", "pixel")]
    runs = [
        cxr_runner.run({**RUN, "data.train_share": 0.5, "epochs": 3, "engine": output.name, "outputs": str(output)})
        for output in outputs
    ]
    gram, pixel = (pd.read_csv(run / "predictions.csv") for run in runs)
    assert gram["name"].equals(pixel["name"])
    assert np.allclose(gram["logit"], pixel["logit"], atol=1e-5)
    whole = cxr_runner.run({**RUN, "epochs": 3, "outputs": str(outputs[0])})
    assert not np.allclose(pd.read_csv(whole / "predictions.csv")["logit"], gram["logit"], atol=1e-3)


def test_all_shares_take_their_part_of_one_gram_matrix(cache: Path, tmp_path: Path) -> None:
    for share in (1.0, 0.5):
        settings = {**RUN, "data.phantom_seed": 11, "data.train_share": share, "epochs": 1, "outputs": str(tmp_path)}
        cxr_runner.run(settings)
        matrices = {path: path.stat().st_mtime_ns for path in cache.glob("*/derived-*/gram.npy")}
        if share == 1.0:
            built = matrices
    assert matrices == built


@pytest.fixture(scope="module")
def learning_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of a learning curve: two splits, two seeds, three shares, and a model without one."""
    outputs = tmp_path_factory.mktemp("learning")
    for share in (0.2, 0.5, 1.0):
        curve = {**RUN, "model": "logistic", "model.l2": 0.05, "data.train_share": share, "data.split.repeats": 2}
        cxr_runner.run({**curve, "seeds": 2, "data.difficulty": 0.9, "outputs": str(outputs)})
    cxr_runner.run({**RUN, "epochs": 1, "data.difficulty": 0.9, "outputs": str(outputs)})
    return outputs


@pytest.mark.usefixtures("quick_pictures")
def test_folds_on_a_share_are_explained_with_training_images_that_not_every_fold_has(
    cxr_model: Callable[..., Answer], tmp_path: Path
) -> None:
    folds = {"data.split.folds": 3, "data.train_share": 0.2, "epochs": 1, "engine": "gram"}
    cxr_runner.run({**RUN, **folds, "outputs": str(tmp_path)})
    answer = cxr_model("explain", *sorted(tmp_path.glob("runs/*/seed=0")))
    assert (answer.code, answer.err) == (0, "")
    assert len(list(tmp_path.glob("runs/ensemble-*/explanations/training_*.png"))) >= 2


def test_a_card_tells_of_a_share_and_counts_splits_and_not_shares(learning_tree: Path) -> None:
    of_share = {}
    for path in learning_tree.glob("runs/logistic-*/seed=0"):
        data = json.loads((path / "data.json").read_text())
        of_share[data["split"]["seed"], sum(data["counts"]["train"].values())] = path
    numbers, paths = zip(
        *((number, path) for (split, number), path in sorted(of_share.items()) if not split), strict=True
    )

    def facts(*runs: Path) -> dict[str, str]:
        return card_facts(cxr_runner.load(list(runs)), [], explained=False)

    one, several = facts(paths[0]), facts(*paths)
    left_out = [f"{numbers[2] - number} of {numbers[2]} by data.train_share=" for number in numbers]
    assert one["excluded"].endswith(f" Training images: {left_out[0]}0.2.")
    assert one["splits"].endswith(f" Trained on {numbers[0]} of {numbers[2]} training images, data.train_share=0.2.")
    assert several["splits"].startswith("Shares of the training images: 0.2, 0.5, 1. Of the first of them: Strategy")
    assert several["excluded"].endswith(f" Training images: {left_out[0]}0.2; {left_out[1]}0.5.")
    assert "share" not in facts(paths[2])["excluded"] + facts(paths[2])["splits"]
    splits = facts(*(path for (_, number), path in of_share.items() if number == numbers[2]))["splits"]
    assert splits.startswith("2 splits of the same images. Of the first of them: Strategy")


@pytest.mark.usefixtures("quick_pictures")
def test_the_report_draws_a_learning_curve(learning_tree: Path, tmp_path: Path) -> None:
    write_report(learning_tree, tmp_path / "report", Reporter())
    table = pd.read_csv(tmp_path / "report" / "tables" / "learning.csv")
    assert table["train_share"].tolist() == [0.2, 0.5, 1.0]
    assert table["num_train"].is_monotonic_increasing
    runs = cxr_runner.load_runs(learning_tree)
    whole = runs[(runs["model"] == "logistic") & (runs["fingerprint"].isin(_whole(runs)))]
    assert table["accuracy"].iloc[-1] == pytest.approx(whole["accuracy"].mean())
    gains = table["accuracy"].diff()
    assert np.allclose(table["gain"][1:], gains[1:]), "the same splits and seeds at every share"
    assert table["gain_low"][1:].notna().all()
    assert (tmp_path / "report" / "figures" / "learning.png").exists()
    text = (tmp_path / "report" / "report.md").read_text()
    number = f"from {table['num_train'][1]:,.0f} to {table['num_train'][2]:,.0f} training images: "
    assert len(re.findall(re.escape(number), text)) == 1


def test_a_run_on_a_share_repeats_no_row_of_a_study() -> None:
    study = load_study("copetti")
    for share, row in ((1.0, "20"), (0.5, None)):
        (config,) = compose(["experiment=table1_20", f"data.train_share={share}"])
        assert match_row(to_dict(config), study) == row


def _whole(runs: pd.DataFrame) -> set[str]:
    """Return the fingerprints of the splits with all of their training images."""
    return {data_set(data__difficulty=0.9, data__split__seed=int(seed)).fingerprint for seed in runs["split_seed"]}
