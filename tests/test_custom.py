"""model=custom: a class of the user's is checked before it is trained, and nothing runs its code unasked."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

import cxr_runner
from conftest import Answer
from cxr_runner.artifacts.rundir import find_runs
from cxr_runner.base.errors import UserError
from cxr_runner.config.schema import CustomConfig
from cxr_runner.models.build import build_model, complete_config, try_model
from cxr_runner.study.draft import draft_study
from cxr_runner.study.matching import match_row
from cxr_runner.study.study_file import parse_study

TINY = (
    "data.num_images=80", "data.image_size=32", "epochs=1", "plots=never", "progress=none", "device=cpu",
)  # fmt: skip
NET = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self, width: int = 4, image_size: int = 0):
            super().__init__()
            self.side = image_size
            self.convolution = nn.Conv2d(1, width, 3, padding=1)
            self.last = nn.Linear(width * 64, 1)

        def forward(self, images):
            features = nn.functional.adaptive_avg_pool2d(self.convolution(images).relu(), 8)
            return self.last(features.view(images.shape[0], -1)).squeeze(1)
"""
BROKEN = {  # bodies of a class, and what is said of each
    "Column": ("def forward(self, x): return self.last(x.flatten(1))", r"makes \[3, 1\] of images of .*squeeze\(1\)"),
    "Scalar": ("def forward(self, x): return self.last(x.flatten(1)).sum()", r"makes \[\] of images"),
    "Pair": ("def forward(self, x): return x, x", "makes a tuple"),
    "Double": ("def forward(self, x): return self.last(x.flatten(1)).squeeze(1).double()", "logits of torch.float64"),
    "Infinite": ("def forward(self, x): return self.last(x.flatten(1)).squeeze(1) / 0", "logits that are not finite"),
    "Raising": (
        "def forward(self, x): raise KeyError('seven')",
        r"raises KeyError: 'seven' \(.*broken.*py, line \d+\)",
    ),
    "Detached": ("def forward(self, x): return self.last(x.flatten(1)).squeeze(1).detach()", "no gradient passes"),
    "Squeezing": ("def forward(self, x): return self.last(x.flatten(1)).squeeze()", r"makes \[\] of .*not \[1\]"),
    "Mixing": (
        "def forward(self, x): z = self.last(x.flatten(1)).squeeze(1); return z - z.mean()",
        "another logit when others are in the batch",
    ),
    "Elsewhere": (
        "def forward(self, x): return x.requires_grad_().flatten(1).sum(1)",
        "no parameter that a gradient of its logits reaches",
    ),
    "Training": (
        "def forward(self, x): assert not self.training, 'no'; return self.last(x.flatten(1)).squeeze(1)",
        "raises AssertionError: no",
    ),
    "Stateful": (
        "def get_extra_state(self): return 'text'\n    def forward(self, x): return self.last(x.flatten(1)).squeeze(1)",
        "keeps what is no tensor",
    ),
}


@pytest.fixture
def module(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Write a module into the working directory; it is forgotten after the test."""

    def write(name: str, text: str) -> None:
        (elsewhere / f"{name}.py").write_text(dedent(text), "utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)

    before = set(sys.modules)
    yield write
    for name in set(sys.modules) - before:
        if str(elsewhere) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def custom(target: str, arguments: dict[str, object] | None = None, **others: str | None) -> CustomConfig:
    values = {"source": None, "head": None, "weights": None, "freeze": None} | others
    return CustomConfig("custom", target, arguments or {}, **values)


@pytest.mark.parametrize("name", BROKEN)
def test_a_class_that_breaks_the_contract_is_refused_in_one_line(module: Callable[..., None], name: str) -> None:
    body, complaint = BROKEN[name]
    text = "class {}(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    text += "        self.last = nn.Linear(64, 1)\n    {}\n"
    module(f"broken_{name.lower()}", "from torch import nn\n" + text.format(name, body))
    target = f"broken_{name.lower()}:{name}"
    with pytest.raises(UserError, match=complaint) as caught:
        try_model(custom(target), 8)
    assert str(caught.value).startswith(f"model.target={target}: ")


@pytest.mark.parametrize(
    ("text", "target", "complaint"),
    [
        ("", "nowhere:Net", "there is no module nowhere, neither in the working directory, /.*, nor installed"),
        ("", "nowhere.deep:Net", "there is no module nowhere"),
        ("", "mine.py", "must be package.module:Class"),
        ("", "mine:", "must be package.module:Class"),
        ("class Network: pass", "mine:Netwrk", "mine has no Netwrk; did you mean Network"),
        ("Net = 3", "mine:Net", "Net is a int and no class"),
        ("def Net(): return 3", "mine:Net", "is a int and no torch.nn.Module"),
        ("1 / 0", "mine:Net", r"importing mine raises ZeroDivisionError: division by zero \(.*mine.py, line 1\)"),
        ("import zebra", "mine:Net", "importing mine raises ModuleNotFoundError: No module named 'zebra'"),
        ("class Net(", "mine:Net", "importing mine raises SyntaxError"),
        ("raise SystemExit(3)", "mine:Net", "importing mine raises SystemExit: 3"),
        ("def Net(): raise OSError('no disk')", "mine:Net", "raises OSError: no disk .*when it is made"),
        ("from torch.nn import Flatten as Net", "mine:Net", "has no parameter that could be trained"),
        ("def Net():\n from torch import nn\n return nn.LazyLinear(1)", "mine:Net", "has lazy layers"),
    ],
)
def test_what_cannot_be_imported_or_made_is_refused_in_one_line(
    module: Callable[..., None], text: str, target: str, complaint: str
) -> None:
    module("mine", text)
    with pytest.raises(UserError, match=complaint) as caught:
        try_model(complete_config(custom(target)), 8)
    assert str(caught.value).startswith(f"model.target={target}: ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"wdth": 3}, r"'wdth'; arguing:Net\(width: int = 4, image_size"),
        ({"width": "x"}, r"raises TypeError: .*arguing.py, line 9\) when it is made"),
    ],
)
def test_wrong_arguments_are_refused_with_those_that_there_are(
    module: Callable[..., None], arguments: dict[str, object], complaint: str
) -> None:
    module("arguing", NET)
    with pytest.raises(UserError, match=complaint):
        try_model(custom("arguing:Net", arguments), 8)


def test_a_class_gets_its_arguments_and_the_size_of_the_images(module: Callable[..., None]) -> None:
    module("sized", NET)
    model = build_model(custom("sized:Net", {"width": 7}), 24, seed=0)
    assert (model.network.side, model.network.convolution.out_channels) == (24, 7)


def test_tied_weights_are_allowed(module: Callable[..., None]) -> None:
    tied = NET + "            \n    class Tied(Net):\n        def __init__(self):\n            super().__init__()\n"
    module("tying", tied + "            self.again = self.last.weight\n            self.same = self.convolution\n")
    try_model(custom("tying:Tied"), 8)


def test_another_source_file_is_another_run_and_a_changed_one_is_refused(module: Callable[..., None]) -> None:
    module("altering", NET)
    first = complete_config(custom("altering:Net"))
    assert first.source is not None
    assert complete_config(first) is first
    module("altering", NET + "    # more\n")
    with pytest.raises(UserError, match="has changed since this process has imported it"):
        complete_config(custom("altering:Net"))
    sys.modules.pop("altering")
    from cxr_runner.models import custom as implementation

    implementation._imported.clear()  # as in a new process
    second = complete_config(custom("altering:Net"))
    assert second.source != first.source
    with pytest.raises(UserError, match=f"has changed: its digest is {second.source} and not {first.source}"):
        build_model(first, 8, seed=0)


def close(one: np.ndarray, other: np.ndarray) -> None:
    assert np.abs(one - other).max() <= 1e-5 * (1 + np.abs(other).max())


def test_a_run_of_a_class_is_loaded_predicts_and_is_exported_only_with_trust(
    module: Callable[..., None], cxr_run: Callable[..., Answer], cxr_model: Callable[..., Answer], elsewhere: Path
) -> None:
    module("whole", NET)
    answer = cxr_run("model=custom", "model.target=whole:Net", "model.arguments={width: 6}", *TINY)
    assert (answer.code, answer.err) == (0, "")
    (run,) = elsewhere.glob("outputs/runs/custom-*/seed=0")
    assert load_file(run / "model.safetensors")["network.convolution.weight"].shape[0] == 6
    again = cxr_run("model=custom", "model.target=whole:Net", "model.arguments.width=6", *TINY)
    assert again.code == 0
    assert list(elsewhere.glob("outputs/runs/custom-*/seed=0")) == [run]  # the same run, however it is written

    with pytest.raises(UserError, match="whole:Net, and loading it runs the code of that module: trust=True"):
        cxr_runner.load(run)
    refused = cxr_model("export", run, "--format", "pt2")
    assert (refused.code, (elsewhere / "model.pt2").exists()) == (2, False)
    model = cxr_runner.load(run, trust=True)
    assert 'load(".", trust=True)' in (run / "README.txt").read_text("utf-8")

    told = cxr_model("predict", run, "--trust", "data=phantom", "data.num_images=80")
    assert (told.code, told.err) == (0, "")
    predicted = pd.read_csv("predictions.csv").set_index("name")["logit"]
    own = pd.read_csv(run / "predictions.csv").set_index("name")["logit"]
    close(predicted[own.index].to_numpy(), own.to_numpy())

    study = parse_study(draft_study("own", find_runs(Path("outputs"))), "own.yaml")
    assert [row.title for row in study.rows] == ["whole:Net, width 6"]
    config = yaml.safe_load((run / "config.yaml").read_text("utf-8"))
    assert match_row(config, study) == "custom"
    config["model"]["arguments"]["width"] = 7
    assert match_row(config, study) is None

    assert cxr_model("export", run, "--trust", "--format", "pt2").code == 0
    exported = torch.export.load("model.pt2").module()
    images = torch.rand(5, 1, 32, 32)
    with torch.no_grad():
        close(exported(images)[0].numpy(), model.module(images).numpy())

    assert cxr_model("export", run, "--trust", "--format", "hub").code == 0
    with pytest.raises(UserError, match="trust=True"):
        cxr_runner.load("model")
    with torch.no_grad():
        close(cxr_runner.load("model", trust=True).module(images).numpy(), model.module(images).numpy())
    module("whole", NET + "    # more\n")
    with pytest.raises(UserError, match=r"run=.*whole.py has changed"):
        cxr_runner.load(run, trust=True)


def test_a_model_that_cannot_be_traced_is_refused_in_one_line(
    module: Callable[..., None], cxr_run: Callable[..., Answer], cxr_model: Callable[..., Answer], elsewhere: Path
) -> None:
    module("counting", NET.replace("images.shape[0]", "len(images)"))
    assert cxr_run("model=custom", "model.target=counting:Net", *TINY).code == 0
    (run,) = elsewhere.glob("outputs/runs/custom-*/seed=0")
    answer = cxr_model("export", run, "--trust", "--format", "pt2")
    assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    assert "len(images) in it" in answer.err
    assert not (elsewhere / "model.pt2").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "model.target=???: needs a value"),
        (("model.target=mynet:Net",), "there is no module mynet"),
        (("model.target=wrong:Net", "model.arguments={wdth: 3}"), "'wdth'; wrong:Net(width"),
        (("model.target=wrong:Net", "model.arguments.wdth=3"), "'wdth'; wrong:Net(width"),
        (("model.target=wrong:Net", "model.arguments=3"), "model.arguments=3"),
        (("model.target=wrong:Net", "model.source=abc"), "model.source=abc"),
        (("model.target=wrong:Net", "model.source=0123456789abcdef"), "its digest is"),
        (("model.target=wrong:Net", "model.head=convolution"), "valid are last"),
        (("model=linear", "model.arguments.width=3"), "model.arguments"),
    ],
)
def test_a_command_with_a_mistake_in_it_says_so_and_leaves_nothing(
    module: Callable[..., None], cxr_run: Callable[..., Answer], elsewhere: Path, words: tuple[str, ...], complaint: str
) -> None:
    module("wrong", NET)
    answer = cxr_run("model=custom", *words, *TINY)
    assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    assert complaint in answer.err
    assert not (elsewhere / "outputs").exists()


def test_a_batch_of_one_image_is_refused_before_training_where_batch_norm_cannot_take_it(
    module: Callable[..., None], cxr_run: Callable[..., Answer]
) -> None:
    last = "nn.Linear(width * 64, 1)"
    module("narrow", NET.replace(last, f"nn.Sequential(nn.BatchNorm1d(width * 64), {last})"))
    answer = cxr_run("model=custom", "model.target=narrow:Net", "batch_size=55", *TINY)  # of 56 training images
    assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    assert "batch_size=55: leaves a batch of one image" in answer.err


def test_values_from_python_reach_the_class_as_they_are(module: Callable[..., None], elsewhere: Path) -> None:
    text = NET.replace("width: int = 4", "width: int = 4, word='', many=()")
    module("python", text.replace("self.side = image_size", "self.side, self.word, self.many = image_size, word, many"))
    arguments = {"width": 5, "word": "it's, {odd} \\'", "many": [1, "two"]}
    tiny = dict(word.split("=") for word in TINY)
    run = cxr_runner.run(tiny, model="custom", model__target="python:Net", model__arguments=arguments)
    network = cxr_runner.load(run, trust=True).module.network
    assert (network.convolution.out_channels, network.word, network.many) == (5, "it's, {odd} \\'", [1, "two"])


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        ("ValueError('seven')", "model.target=later:Net: raises ValueError: seven ("),
        ("RuntimeError('median does not have a deterministic implementation')", "deterministic=false allows it"),
    ],
)
def test_what_a_class_raises_later_fails_the_run_in_one_line(
    module: Callable[..., None], cxr_run: Callable[..., Answer], elsewhere: Path, error: str, complaint: str
) -> None:
    late = f"if self.training and len(images) == 8:\n                raise {error}\n            features"
    module("later", NET.replace("features", late, 1))
    answer = cxr_run("model=custom", "model.target=later:Net", "batch_size=16", *TINY)  # of 56: the last batch has 8
    assert (answer.code, len(answer.err.splitlines())) == (1, 1), answer.err
    assert complaint in answer.err
    (status,) = elsewhere.glob("outputs/runs/*/seed=0/status.json")
    assert json.loads(status.read_text("utf-8"))["state"] == "failed"
