"""The Gram-space backend: exact SGD on a wide first layer without touching the pixels, for several members at once.

Every SGD gradient of the first layer's weights is a combination of training images, so at all times
``W = c W0 + A X``, with X the training images, A [outputs, images] and a scalar c that only weight decay moves.
Instead of W, A and c are trained:

- forward: ``z = c (X W0^T)[batch] + K[batch] A^T + b`` with ``K = X_all X_train^T``, computed once per store;
- backward: ``A[:, batch]`` receives ``delta^T``, which is the whole gradient of W in these coordinates; momentum,
  Nesterov and weight decay act on A and c exactly as they act on W.

A step costs batch x images x outputs instead of batch x pixels x outputs. K has large entries that nearly cancel, so
everything is float64. At the end W is materialised, and every member leaves an ordinary model.

Members have the same shapes; each has its own initial weights, order of batches, learning rate, momentum, weight decay
and class weight. What is small is computed for all members together, and the products with K one by one: a member's
numbers do not depend on the company that it keeps.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from cxr_runner.config import SGDConfig
from cxr_runner.gram_space import GramSpace
from cxr_runner.models import Linear, LinearReLU, first_weight

Parameters = dict[str, Tensor]


class GramBackend:
    """Trains members of one shape, :class:`Linear` or :class:`LinearReLU`, by SGD in the span of their training images.

    The trained tensors have the members as their first dimension: ``coordinates`` (A), ``decay`` (c), ``bias`` of the
    first layer, and the weights of the layers behind it under their names in the module.
    """

    name = "gram"

    def __init__(
        self,
        space: GramSpace,
        models: Sequence[Linear | LinearReLU],
        optimizers: Sequence[SGDConfig],
        pos_weights: Sequence[float | None],
    ) -> None:
        """Prepare the coordinates; the models themselves stay as they are.

        Args:
            space: the images.
            models: the members with their initial weights.
            optimizers: of each member, plain SGD without clipping; ``nesterov`` is the same for all.
            pos_weights: of each member, the weight of the positive class in its loss; None for 1.
        """
        self.space, device = space, space.device
        first, *self.head = models[0].layer_stack[1:]
        assert isinstance(first, nn.Linear)
        self.start_weights = torch.stack([first_weight(model) for model in models])
        self.start = torch.stack([space.start(weight) for weight in self.start_weights])
        states = [model.layer_stack.state_dict() for model in models]
        trained = {
            "coordinates": torch.zeros(len(models), first.out_features, space.num_coordinates),
            "decay": torch.ones(len(models)),
            "bias": torch.stack([state["1.bias"] for state in states]),
        }
        trained |= {
            name: torch.stack([state[name] for state in states])
            for name in states[0]
            if name not in ("1.weight", "1.bias")
        }
        self.trained: Parameters = {name: value.to(device, torch.float64) for name, value in trained.items()}
        self.momentum = self._per_member([optimizer.momentum for optimizer in optimizers])
        self.weight_decay = self._per_member([optimizer.weight_decay for optimizer in optimizers])
        self.pos_weight = self._per_member([1.0 if weight is None else weight for weight in pos_weights])
        self.nesterov = optimizers[0].nesterov
        # Without momentum and decay a step changes the coordinates of its own images only.
        self.plain = not (self.momentum.any() or self.weight_decay.any())
        self.ends_in_relu = isinstance(models[0].layer_stack[-1], nn.ReLU)
        self.num_silent = [0] * len(models)  # training images in a row for which a member's last ReLU was 0
        self.num_workers = torch.get_num_threads() if device.type == "cpu" else 1
        self.workers = ThreadPoolExecutor(self.num_workers, initializer=torch.set_num_threads, initargs=(1,))
        self.velocity: Parameters = {} if self.plain else {k: torch.zeros_like(v) for k, v in self.trained.items()}

    @contextmanager
    def epoch(self) -> Iterator[None]:
        """Keep torch's own threads out of it: what they could share is too small, and idle ones wait in a busy loop."""
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def step(
        self,
        members: Sequence[int],
        rows: Tensor,
        targets: Tensor,
        lrs: Sequence[float],
        keys: Sequence[tuple[int, ...]],
    ) -> tuple[Tensor, Tensor]:
        """Train members on a batch each; see :class:`Backend`. Nothing here is random, so the keys are not needed."""
        alive = [place for place, member in enumerate(members) if not self._is_dead(member)]
        if len(alive) == len(members):
            return self._step(members, rows, targets, lrs)
        logits = torch.zeros_like(targets, dtype=torch.float64, device=self.space.device)
        losses = self._losses(_index(members), logits, targets.to(logits))
        if alive:
            own = [members[place] for place in alive], rows[alive], targets[alive], [lrs[place] for place in alive]
            losses[alive], logits[alive] = self._step(*own)
        return losses, logits

    def _is_dead(self, member: int) -> bool:
        """Whether a member is what it is for good: its last ReLU has been 0 for every training image in turn.

        Then all its gradients are 0 and, without momentum and decay, it will never move again: steps are not computed.
        """
        return self.plain and self.num_silent[member] >= 2 * self.space.num_train

    def _step(
        self, members: Sequence[int], rows: Tensor, targets: Tensor, lrs: Sequence[float]
    ) -> tuple[Tensor, Tensor]:
        index, places = _index(members), self.space.places(rows)
        hidden = self._first_layer(members, places, self._products(members, places)).requires_grad_()
        head = {name: self.trained[name][index].clone().requires_grad_() for name in self.trained if name[0].isdigit()}
        logits = self._head(hidden, head)
        losses = self._losses(index, logits, targets.to(logits))
        delta, *gradients = torch.autograd.grad(losses.sum(), [hidden, *head.values()])
        gradients_by_name = dict(zip(head, gradients, strict=True)) | {"bias": delta.sum(dim=1)}
        self._update(members, places, delta, gradients_by_name, self._per_member(lrs))
        if self.plain and self.ends_in_relu:
            for member, silent in zip(members, (logits == 0).all(dim=1).tolist(), strict=True):
                self.num_silent[member] = self.num_silent[member] + rows.shape[1] if silent else 0
        return losses.detach(), logits.detach()

    @torch.no_grad()
    def logits(self, member: int, rows: Tensor, batch_size: int) -> Tensor:
        """Return a member's logits of images, float64 [rows], on the CPU; the batch size makes no difference."""
        places = self.space.places(rows)
        products = self.trained["coordinates"][member] @ self.space.rows_of(places).T
        hidden = self._first_layer([member], places[None], products[None])
        return self._head(hidden, {name: value[[member]] for name, value in self.trained.items()})[0].cpu()

    @torch.no_grad()
    def weights(self, members: Sequence[int]) -> list[Parameters]:
        """Materialise models in one pass over the training images. Returns float32 weights under their plain names."""
        trained = {name: value[_index(members)].cpu() for name, value in self.trained.items()}
        first = self.space.materialise(self.start_weights[members], trained["decay"], trained["coordinates"]).float()
        renamed = {"1.weight": first, "1.bias": trained["bias"]} | {k: v for k, v in trained.items() if k[0].isdigit()}
        return [
            {f"layer_stack.{name}": value[member].float() for name, value in renamed.items()}
            for member in range(len(members))
        ]

    def snapshot(self, member: int) -> Parameters:
        """Return a copy of what is trained of a member, on the CPU."""
        return {name: value[member].cpu().clone() for name, value in self.trained.items()}

    def restore(self, member: int, snapshot: Parameters) -> None:
        """Take a member back to a snapshot."""
        self.num_silent[member] = 0
        for name, value in self.trained.items():
            value[member] = snapshot[name]

    def state_dict(self, member: int) -> dict[str, Any]:
        """Return everything that a member needs to go on bit for bit, whatever its company."""
        moving = bool(self.momentum[member])
        velocity = {name: value[member].cpu().clone() for name, value in self.velocity.items() if moving}
        return {"trained": self.snapshot(member), "velocity": velocity}

    def load_state_dict(self, member: int, state: dict[str, Any]) -> None:
        """Go on with a member from where :meth:`state_dict` was taken."""
        self.restore(member, state["trained"])
        for name, value in state["velocity"].items():
            self.velocity[name][member] = value

    def _per_member(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.space.device)

    @torch.no_grad()
    def _first_layer(self, members: Sequence[int], places: Tensor, products: Tensor) -> Tensor:
        """Return the first layer's outputs, float64 [members, images, outputs].

        Args:
            members: m of them.
            places: int64 [m, images], where the images stand in the Gram matrix.
            products: ``A K^T``, float64 [m, outputs, images].
        """
        index = _index(members)
        starts = self.start[torch.tensor(members)[:, None], places]
        return products.mT + self.trained["decay"][index, None, None] * starts + self.trained["bias"][index, None]

    @torch.no_grad()
    def _products(self, members: Sequence[int], places: Tensor) -> Tensor:
        """Return ``A K^T``, float64 [members, outputs, images]: nearly all the work, shared out among threads."""
        coordinates, gram, places = self.trained["coordinates"], self.space.gram, places.to(self.space.device)
        products = coordinates.new_empty(len(members), coordinates.shape[1], places.shape[1])

        def multiply(chosen: range) -> None:
            for place in chosen:
                # As few calls as may be: each has to wait for the other threads. A K^T is quicker than K A^T.
                products[place] = coordinates[members[place]] @ gram.index_select(0, places[place]).T

        if min(self.num_workers, len(members)) == 1:
            multiply(range(len(members)))
        else:
            shares = [range(share, len(members), self.num_workers) for share in range(self.num_workers)]
            list(self.workers.map(multiply, shares))
        return products

    def _head(self, hidden: Tensor, parameters: Parameters) -> Tensor:
        """Return logits, float64 [members, images], of the first layer's outputs, [members, images, outputs]."""
        for place, layer in enumerate(self.head, start=2):
            if isinstance(layer, nn.ReLU):
                hidden = hidden.relu()
            else:
                weight, bias = parameters[f"{place}.weight"], parameters[f"{place}.bias"]
                # Not bmm, whose last bits depend on where in memory a member happens to lie.
                hidden = (hidden[:, :, None, :] * weight[:, None]).sum(dim=3) + bias[:, None]
        return hidden.squeeze(2)

    def _losses(self, index: slice | Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of every member, float64 [members], of logits and targets, float64 [members, images]."""
        num_images = logits.shape[1]
        # A processor takes several numbers at once, and rounds exp and log of those left over differently: none are.
        logits, targets = (pad(values, (0, -num_images % 32)) for values in (logits, targets))
        losses = binary_cross_entropy_with_logits(
            logits, targets, pos_weight=self.pos_weight[index, None], reduction="none"
        )
        return losses[:, :num_images].mean(dim=1)

    @torch.no_grad()
    def _update(
        self, members: Sequence[int], places: Tensor, delta: Tensor, gradients: Parameters, lrs: Tensor
    ) -> None:
        """Take one step of SGD, as ``torch.optim.SGD`` takes it.

        Args:
            members: m of them.
            places: int64 [m, batch], the batch's training images.
            delta: float64 [m, batch, outputs], gradients of the first layer's outputs.
            gradients: of the other weights, by name.
            lrs: float64 [m].
        """
        index, own = _index(members), torch.arange(len(members))[:, None]
        if self.plain:
            self.trained["coordinates"][torch.tensor(members)[:, None], :, places] -= lrs[:, None, None] * delta
        else:
            coordinates = torch.zeros_like(self.trained["coordinates"][index])
            coordinates[own, :, places] = delta
            gradients = gradients | {"coordinates": coordinates, "decay": torch.zeros_like(lrs)}
        for name, gradient in gradients.items():
            lr, momentum, decay = (
                _spread(value, gradient) for value in (lrs, self.momentum[index], self.weight_decay[index])
            )
            if self.plain:
                self.trained[name][index] -= lr * gradient
                continue
            slope = gradient + decay * self.trained[name][index]
            speed = momentum * self.velocity[name][index] + slope
            self.velocity[name][index] = speed
            self.trained[name][index] -= lr * (slope + momentum * speed if self.nesterov else speed)


def _index(members: Sequence[int]) -> slice | Tensor:
    """Return an index of members, a slice where possible: it gives views instead of copies."""
    if list(members) == list(range(members[0], members[-1] + 1)):
        return slice(members[0], members[-1] + 1)
    return torch.tensor(members)


def _spread(values: Tensor, like: Tensor) -> Tensor:
    """Give one value a member as many dimensions as ``like`` has."""
    return values.reshape(-1, *[1] * (like.dim() - 1))
