"""Linear model, 10 hidden units, batches of 32: the notebook way against the pixel engine and Gram space."""

from benchmarks.engines import engine_way
from benchmarks.measuring import Contestant, Options, Result, compare, start
from benchmarks.workloads import compose_run, data_overrides, describe_data, notebook_way, open_data


def measure(options: Options) -> list[Result]:
    """Measure one training step of a member; the data of the plain way are as many batches as fit its memory."""
    run = (*data_overrides(options), "model=linear", "model.hidden=10", "batch_size=32")
    pixel, gram = (*run, "engine=pixel"), (*run, "engine=gram")
    torchs = (*gram, "kernels=torch")
    steps = 1 if options.quick else 20
    ways = [
        Contestant("notebook: DataLoader, float32, .item()", notebook_way, (run, steps, options.device)),
        Contestant("engine=pixel", engine_way, (pixel, steps, options.device)),
        Contestant("engine=gram kernels=torch, alone", engine_way, (torchs, None, options.device, 1)),
        Contestant("engine=gram kernels=torch, one of 16 together", engine_way, (torchs, None, options.device, 16)),
        Contestant("engine=gram, alone", engine_way, (gram, None, options.device, 1)),
        Contestant("engine=gram, one of 16 together", engine_way, (gram, None, options.device, 16)),
        Contestant("engine=gram, one of 16 of one seed", engine_way, (gram, None, options.device, 16, None, True)),
    ]
    if options.device == "cuda":
        compiled = Contestant("notebook, torch.compile", notebook_way, (run, steps, options.device, True))
        ways.insert(1, compiled)
    dataset = open_data(compose_run(*run))
    return [Result("linear", "one training step of one model", describe_data(dataset), compare(ways, options.rounds))]


if __name__ == "__main__":
    start(measure)
