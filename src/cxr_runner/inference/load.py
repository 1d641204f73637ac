"""The call that loads a model; nothing heavy is imported before it is made."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cxr_runner.inference.loaded_model import LoadedModel


def load(run: Path | str | Sequence[Path | str], *, device: str = "cpu", trust: bool = False) -> "LoadedModel":
    """Load the model of a finished run, or of several as an ensemble: its logit is the mean of theirs.

    Args:
        run: directory of a seed, ``OUTPUTS/runs/NAME-ID/seed=0``; that of a configuration, for all its seeds; or
            several of these, such as those of all folds. Or a folder that ``cxr-model export --format hub`` has made.
        device: where it computes: ``cpu``, ``auto``, ``cuda``, ``cuda:N`` or ``mps``.
        trust: whether code may be run that the run names, the class of ``model=custom``. Nothing else is ever run.

    Returns:
        The model: ``predict`` takes files or arrays and returns a DataFrame; ``module`` is the ``torch.nn.Module`` and
        ``preprocess`` makes its input; ``class_names``, ``image_size`` and ``threshold`` say the rest.

    Raises:
        UserError: there is no such run, it is not finished, was altered, or is of a version that cannot be read; the
            runs do not fit together; or their class is not trusted, not to be found, or has changed.

    Example:
        >>> import numpy as np
        >>> from pathlib import Path
        >>> (folder,) = Path("outputs/runs").glob("linear-*")
        >>> model = cxr_runner.load(folder)
        >>> table = model.predict(np.zeros((2, 300, 200)))
        >>> list(table), model.class_names, len(model.members)
        (['name', 'logit', 'probability', 'decision', 'spread'], ('NORMAL', 'PNEUMONIA'), 2)
    """
    from cxr_runner.inference.loaded_model import load_model  # torch, which other calls do without

    return load_model(run, device, trust=trust)
