"""The Gram-space engine: exact SGD on a wide first layer without touching the pixels, for several members at once.

Every SGD gradient of the first layer's weights is a combination of training images, so at all times
``W = c W0 + A X``, with X the training images, A [outputs, images] and a scalar c that only weight decay moves.
Instead of W, A and c are trained:

- forward: ``z = c (X W0^T)[batch] + K[batch] A^T + b`` with ``K = X_all X_train^T``, computed once per store;
- backward: ``A[:, batch]`` receives ``delta^T``, which is the whole gradient of W in these coordinates; momentum,
  Nesterov and weight decay act on A and c exactly as they act on W.

A step costs batch x images x outputs instead of batch x pixels x outputs. K has large entries that nearly cancel, so
everything is float64. At the end W is materialised, and every member leaves an ordinary model.

``matrix`` and ``products`` are what is computed of a store whatever its splits, ``space`` is the part of one split and
the way back to weights, all by the products of ``exact``; ``layer`` and ``head`` are the parts of a model, ``rates`` is
SGD's rule, and ``steps`` is the backend that the training loop talks to. On a GPU that is ``graph_steps``, and on a CPU
with a C++ compiler, where there are images enough, ``native_steps``; both take whole epochs.
"""
