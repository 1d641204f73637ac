"""CNN with 10 filters of 3x3, batches of 32: the notebook's way against the pixel engine's kernels."""

import torch

from benchmarks.engines import engine_way
from benchmarks.measuring import Contestant, Options, Result, compare, start
from benchmarks.workloads import compose_run, data_overrides, describe_data, notebook_way, open_data
from cxr_runner.training.devices import lacks_bf16


def measure(options: Options) -> list[Result]:
    """Measure one training step."""
    run = (*data_overrides(options), "model=cnn", "optimizer=sgd", "batch_size=32")
    device, steps = options.device, 1 if options.quick else 2
    ways = [
        Contestant("notebook: DataLoader, float32, .item()", notebook_way, (run, steps, device)),
        Contestant("engine=pixel, float32", engine_way, ((*run, "engine=pixel"), steps, device)),
    ]
    if device == "cpu":
        torch_alone = (*run, "engine=pixel", "kernels=torch")
        ways.append(Contestant("engine=pixel, float32, kernels=torch", engine_way, (torch_alone, steps, device)))
    if lacks_bf16(torch.device(device)):
        print("bf16 is left out: this CPU has no instructions for it, and float32 is faster")
    else:
        bf16 = (*run, "engine=pixel", "precision=bf16")
        ways.append(Contestant("engine=pixel, bf16", engine_way, (bf16, steps, device)))
    if device == "cuda":
        ways.insert(1, Contestant("notebook, torch.compile", notebook_way, (run, steps, device, True)))
    dataset = open_data(compose_run(*run))
    return [Result("cnn", "one training step", describe_data(dataset), compare(ways, options.rounds))]


if __name__ == "__main__":
    start(measure)
