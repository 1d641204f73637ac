"""Every optimizer of the schema is the one of its name, with the arguments that a configuration gives it."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from cxr_runner.config.compose import compose
from cxr_runner.training.optimizers import build_optimizer

NAMES = sorted(path.stem for path in (Path(__file__).parents[1] / "conf" / "optimizer").glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_the_optimizer_of_a_name_has_the_arguments_of_its_configuration(name: str) -> None:
    config = compose([f"optimizer={name}", "optimizer.lr=0.5"])[0].optimizer
    optimizer = build_optimizer(config, torch.nn.Linear(2, 1))
    assert type(optimizer).__name__.lower() == name
    (group,) = optimizer.param_groups
    asked_for = {key: value for key, value in asdict(config).items() if key not in ("name", "grad_clip")}
    assert {key: group[key] for key in asked_for} == asked_for
    assert group.get("fused", True) is True


def test_a_name_that_torch_does_not_have_is_no_other_optimizer() -> None:
    config = compose(["optimizer=adam"])[0].optimizer
    with pytest.raises(KeyError, match="zebra"):
        build_optimizer(replace(config, name="zebra"), torch.nn.Linear(2, 1))
