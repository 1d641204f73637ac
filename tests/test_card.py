"""cxr-model card: a model card with all that the runs know, and blanks for what guidelines ask beyond that."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelCard
from PIL import Image

import cxr_runner
from conftest import Answer
from cxr_runner.base.checked_json import write_checked_json
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data.dataset import open_dataset
from cxr_runner.inference.card.claim_2024 import CLAIM_2024
from cxr_runner.inference.card.tripod_ai import TRIPOD_AI

Command = Callable[..., Answer]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a linear model on phantoms that lie in a folder beside a table of patients and sexes."""
    folder = tmp_path_factory.mktemp("card") / "outputs"
    dataset = open_dataset(compose({"data.num_images": 80, "data.image_size": 32})[0].data, Reporter())
    folder.with_name("images").mkdir()
    rows = []
    for number, row in enumerate(dataset.table.itertuples()):
        name, label = f"shadow{number:03}.png", dataset.class_names[int(row.label)]
        Image.fromarray(dataset.images[row.Index]).save(folder.with_name("images") / name)
        rows.append({"image": name, "label": label, "patient": f"child{number // 2:03}", "sex": "FM"[number % 2]})
    pd.DataFrame(rows).to_csv(folder.with_name("labels.csv"), index=False)
    settings: dict[str, Any] = {"data": "table", "data.file": folder.with_name("labels.csv")}
    settings |= {"data.root": folder.with_name("images"), "data.positive": "PNEUMONIA", "data.title": "A ward."}
    settings |= {"data.image_size": 32, "data.subgroups": "[sex]", "epochs": 2, "plots": "never", "device": "cpu"}
    settings |= {"loss.pos_weight": 0.5, "optimizer.momentum": 0.9}
    cxr_runner.run({**settings, "seeds": 2, "progress": "none", "outputs": folder})
    return folder


@pytest.fixture
def runs(outputs: Path, tmp_path: Path) -> list[Path]:
    """The runs in a copy that a test may write to."""
    return sorted(Path(shutil.copytree(outputs, tmp_path / "outputs")).glob("runs/*/seed=*"))


def card_of(answer: Answer) -> tuple[str, str]:
    assert (answer.code, answer.err) == (0, "")
    path = Path(re.search(r"card: (.*README\.md)", answer.out)[1])
    return path.read_text("utf-8"), path.with_name("checklists.md").read_text("utf-8")


def test_the_lists_have_every_item_of_the_guidelines_once_and_in_order() -> None:
    numbers = [item.number for item in TRIPOD_AI.items]
    assert len(numbers) == len(set(numbers)) == 52
    assert [int(number.rstrip("abcdefg")) for number in numbers] == sorted(int(n.rstrip("abcdefg")) for n in numbers)
    assert {int(number.rstrip("abcdefg")) for number in numbers} == set(range(1, 28))
    assert [item.number for item in CLAIM_2024.items] == [str(number) for number in range(1, 45)]


def test_the_card_fills_in_what_the_runs_know_and_its_head_is_one_that_the_hub_reads(
    runs: list[Path], cxr_model: Command
) -> None:
    card, _ = card_of(cxr_model("card", *runs))
    head = ModelCard(card).data
    assert (head.library_name, head.pipeline_tag) == ("cxr_runner", "image-classification")
    assert "license" not in head.to_dict()  # which nobody has chosen
    measured = {one.metric_type: one.metric_value for one in head.eval_results}
    tables = [pd.read_csv(run / "predictions.csv").query("split == 'test'").set_index("name") for run in runs]
    logits, labels = sum(table["logit"] for table in tables) / 2, tables[0]["label"]
    assert measured["accuracy"] == pytest.approx(((logits > 0) == (labels == 1)).mean(), abs=1e-4)
    body = card.partition("\n---\n")[2].lstrip()
    assert body.splitlines()[2].startswith("**Not for clinical use.**")
    data = json.loads((runs[0] / "data.json").read_text())
    train, patients = data["counts"]["train"], data["num_patients"]["train"]
    said = [
        f"train {train['NORMAL']} NORMAL, {train['PNEUMONIA']} PNEUMONIA of {patients} patients",
        "Every image becomes 32x32 pixels",
        "2 networks: linear, 2 layers, 10 hidden units",
        "The positive class weighs 0.5 in the loss.",
        "sgd, lr 0.0001, momentum 0.9, schedule constant, batches of 32, 2 epochs",
        "seeds 0, 1.",
        "PNEUMONIA above a logit of 0, else NORMAL. Threshold 0.5.",
        "| sex |",
        "Trained on: A ward.\n",
        "No image of another place was tried.",
        f"torch {json.loads((runs[0] / 'metrics.json').read_text())['versions']['torch']}",
    ]
    assert [words for words in said if words not in card] == []
    wrong = (logits > 0) != (labels == 1)
    for label, name in enumerate(("NORMAL", "PNEUMONIA")):
        assert f"{(wrong & (labels == label)).sum()} of {(labels == label).sum()} {name} wrong" in card


def test_what_no_run_knows_is_a_blank_by_its_number_and_what_is_known_is_none(
    runs: list[Path], cxr_model: Command
) -> None:
    card, checklists = card_of(cxr_model("card", *runs))
    blanks = card.partition("### TRIPOD+AI")[2]
    tripod, claim = blanks.split("### CLAIM 2024")
    for number in ("3a", "5b", "8b", "17", "18a", "25"):  # nobody but people know these
        assert re.search(rf"^- \*\*{number}\*\* .*: ______$", tripod, re.M), number
    for number in ("12a", "12b", "13", "21"):
        assert f"**{number}**" not in tripod
    for number in ("9", "19", "22", "23", "24", "25", "27", "29", "37"):
        assert f"**{number}**" not in claim
    assert "**33** external data: ______" in claim
    rows = [line for line in checklists.splitlines() if re.match(r"\| \d+[a-g]? \|", line)]
    assert len(rows) == 52 + 44
    filled = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    assert [row[0] for row in filled if not row[2] and not row[3]] == []  # each is known, or a blank, or in part both
    assert card.count("______") == sum(bool(row[3]) for row in filled)
    assert checklists.splitlines()[2].startswith("**Not for clinical use.**")


def test_a_card_tells_of_threshold_evaluation_and_explanation_once_there_are_any(
    runs: list[Path], cxr_model: Command, quick_pictures: None
) -> None:
    assert cxr_model("calibrate", runs[0], "--threshold", "youden", "--calibration", "sigmoid").code == 0
    foreign = ["data=phantom", "data.num_images=60", "data.site=1.0"]
    answer = cxr_model("evaluate", runs[0], *foreign)
    assert answer.code == 0, answer.err
    assert cxr_model("explain", runs[0]).code == 0
    card, checklists = card_of(cxr_model("card", runs[0]))
    assert "Threshold youden, fitted on" in card
    assert "sigmoid, fitted on" in card
    assert "Probabilities are not calibrated" not in card
    assert "## On images of another place" in card
    assert "No image of another place was tried" not in card
    assert "**33** external data" not in card
    assert "explanations/ beside the run" in checklists


def test_no_card_names_an_image_or_a_patient_and_that_of_a_folder_to_hand_on_is_the_same(
    runs: list[Path],
    cxr_model: Command,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    card, checklists = card_of(cxr_model("card", *runs))
    assert cxr_model("export", *runs, "--format", "hub").code == 0
    handed = (elsewhere / "model" / "README.md").read_text("utf-8")
    table = pd.read_csv(runs[0] / "predictions.csv", dtype=str)
    for text in (card, checklists, handed):
        assert not [name for name in {*table["name"], *table["patient"]} if name in text]
    assert handed.partition("## Use")[0] == card.partition("## Use")[0]
    assert handed.partition("## To be")[2] == card.partition("## To be")[2]
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(runs[0].parents[1] / "image.png")
    code = card[card.index("import cxr_runner") : card.index("```\n\n`cxr-model")]
    monkeypatch.chdir(runs[0].parents[1])
    capsys.readouterr()
    exec(compile(code, "the card", "exec"), {})
    assert "image.png" in capsys.readouterr().out
    monkeypatch.chdir(elsewhere)
    again, _ = card_of(cxr_model("card", elsewhere / "model"))
    assert "First weights" not in again
    assert "**24** initialization: ______" in again.partition("### CLAIM")[2]  # such a folder does not say


def test_the_card_of_a_solved_model_tells_of_its_penalty_and_of_no_learning_rate(
    cxr_model: Command, tmp_path: Path
) -> None:
    tiny = {"data.num_images": 80, "data.image_size": 32, "plots": "never", "device": "cpu", "progress": "none"}
    run = cxr_runner.run({**tiny, "model": "logistic", "outputs": tmp_path / "outputs"})
    card, _ = card_of(cxr_model("card", run))
    penalty = json.loads((run / "metrics.json").read_text())["l2"]
    assert f"L2 penalty {penalty:.4g}, solved to its optimum" in card
    assert "The penalty that is best on val by val_loss." in card
    assert "First weights: Zero" in card
    assert "synthetic phantom data: it says nothing about X-rays" in card
    assert "schedule" not in card


def test_a_card_takes_runs_alone_and_an_unfinished_one_is_refused(runs: list[Path], cxr_model: Command) -> None:
    for arguments, said in ((("data=phantom",), "card: takes runs and no images"), (("--", "x"), "card: takes runs")):
        answer = cxr_model("card", runs[0], *arguments)
        assert answer.code == 2
        assert said in answer.err
    (runs[0] / "metrics.json").write_text("{}")
    answer = cxr_model("card", runs[0])
    assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    assert not (runs[0] / "card").exists()


@pytest.mark.parametrize(("licence", "shown"), [("Free of rights.", "Free of rights."), ("CC BY 4.0", "CC BY 4.0.")])
def test_texts_of_others_end_with_one_full_stop(licence: str, shown: str, runs: list[Path], cxr_model: Command) -> None:
    for run in runs:
        status, data = (json.loads((run / name).read_text()) for name in ("status.json", "data.json"))
        del status["checksums"]  # as of an older run: these texts are not what it left
        data |= {"citation": "Who and others?", "licence": licence, "warnings": ["Few images.", "few patients"]}
        (run / "data.json").write_text(json.dumps(data))
        write_checked_json(run / "status.json", status)
    card, _ = card_of(cxr_model("card", *runs))
    assert f"Trained on: A ward. Cite: Who and others? Licence of the images: {shown}\n" in card
    assert "\n- Few images.\n- few patients.\n" in card
