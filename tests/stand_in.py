"""A stand-in for a GPU, so that a machine without one finds tensors that are on the wrong device.

A :class:`FakeCuda` holds a tensor on the CPU and says that it is on ``cuda:0``. Every operator on it is computed on the
CPU, but raises what CUDA would raise where operands of both devices meet, where a generator is the other device's, or
where ``_int_mm`` is given sizes that cuBLAS refuses. Values are real: ``.item()``, early stopping and resuming take
their ways, and results can be compared with the CPU's.

To C++ a FakeCuda is on ``meta``, a device that autograd can go through without a driver; to Python on ``cuda:0``. Three
things make that work: ``__torch_dispatch__`` of the tensor sees every operator on it; a dispatch mode sees operators
that make or move tensors there; a function mode turns ``cuda`` in calls into ``meta`` before C++ looks for a driver.

Operators for which a program would wait until the GPU has caught up are counted: :func:`waits`.

What it cannot see: kernels that CUDA lacks or that round differently, streams, autocast, and a ``.to()`` that CUDA
would do by itself (moving an optimizer's state, copying into a tensor).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only

GPU = torch.device("cuda:0")
_META, _CPU = torch.device("meta"), torch.device("cpu")
_MEMORY = 8 * 2**30
_aten = torch.ops.aten
_COPIES = {_aten.copy_.default, _aten._copy_from.default}  # the operators that may see both devices
_INDEXED = {_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default, _aten._index_put_impl_.default}
_READ = {_aten._local_scalar_dense.default, _aten.nonzero.default, _aten.equal.default}  # what they find, the CPU sees
_WATCHERS: list[list[str]] = []  # of :func:`waits`
_NO_SCALARS = ("_fused_", "stack", "cat", "index_select", "mm", "bmm", "addmm")  # not even one number of the CPU


class FakeCuda(Tensor):
    """A tensor on the stand-in.

    Attributes:
        inner: its numbers, on the CPU.
    """

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, requires_grad: bool = False) -> "FakeCuda":
        assert type(inner) is not FakeCuda
        with torch.inference_mode(False):  # else no views within could be made of what was made outside
            return Tensor._make_wrapper_subclass(
                cls,
                inner.size(),
                strides=inner.stride(),
                storage_offset=inner.storage_offset(),
                dtype=inner.dtype,
                layout=inner.layout,
                device=_META,
                requires_grad=requires_grad,
            )

    def __init__(self, inner: Tensor, requires_grad: bool = False) -> None:
        self.inner = inner

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, operator, types, args=(), kwargs=None):
        return _compute(operator, args, kwargs or {})

    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_cpu = is_meta = property(lambda self: False)

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"can't convert {GPU} device type tensor to numpy. Use Tensor.cpu() to copy the tensor first.")

    def __array__(self, *_: Any) -> Any:
        return self.numpy()

    def tolist(self) -> Any:  # Tensor.tolist() reads the memory, which a tensor on meta has none of
        return self.detach().inner.tolist()

    def __deepcopy__(self, memo: Any) -> "FakeCuda":
        return FakeCuda(self.inner.clone(), self.requires_grad)

    def __reduce_ex__(self, protocol: int) -> Any:  # what torch.save() writes, map_location="cpu" reads as this
        return self.inner.__reduce_ex__(protocol)

    def __repr__(self, **_: Any) -> str:
        return f"FakeCuda({self.inner})"


@contextmanager
def one_gpu() -> Iterator[None]:
    """A machine with one GPU, as far as a program can tell that does not look at its kernels."""
    answers: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "is_bf16_supported": lambda *_, **__: True,
        "mem_get_info": lambda *_: (_MEMORY, _MEMORY),
        "get_device_properties": lambda *_: SimpleNamespace(total_memory=_MEMORY),
        "get_device_name": lambda *_: "stand-in",
        "is_current_stream_capturing": lambda: False,
    }
    nothing = ("set_device", "empty_cache", "synchronize", "reset_peak_memory_stats")
    answers |= {name: lambda *_: None for name in nothing}
    answers["max_memory_allocated"] = lambda *_: 0
    with ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, answer))
        stream = SimpleNamespace(is_capturing=lambda: False)
        stack.enter_context(mock.patch.object(torch.accelerator, "current_stream", return_value=stream))
        # A stand-in has no graphs: what would be recorded is done each time.
        recorded = "cxr_runner.training.gram.graph_steps.recorded"
        stack.enter_context(mock.patch(recorded, lambda work, device: work))
        stack.enter_context(mock.patch("cxr_runner.models.convolution._has_triton", return_value=False))
        stack.enter_context(_SeesMoves())
        stack.enter_context(_Translates())
        yield


@contextmanager
def waits() -> Iterator[list[str]]:
    """Collect the operators at which a program waits for the stand-in: copies between the devices, and numbers read."""
    found: list[str] = []
    _WATCHERS.append(found)
    try:
        yield found
    finally:
        _WATCHERS.remove(found)


def is_on_gpu(values: Any) -> bool:
    """Whether any tensor in nested values is on the stand-in."""
    return any(isinstance(value, FakeCuda) for value in tree_flatten(values)[0])


class _SeesMoves(TorchDispatchMode):
    """Sees the operators that get no FakeCuda, but name its device."""

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        return _compute(operator, args, kwargs or {})


class _Translates(TorchFunctionMode):
    """Turns ``cuda`` in calls of torch into the device that the stand-in has for C++."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, getattr(function, "__name__", "")
        if function is torch.device:
            return function(*args, **kwargs)
        if name in ("pin_memory", "record_stream"):
            return args[0]
        if function in _device_constructors() and _translated(kwargs.get("device")) is _META:
            _check_generator(kwargs)
            wanted = kwargs.pop("requires_grad", False)
            return FakeCuda(function(*args, **kwargs | {"device": _CPU}), wanted)
        if name == "cuda":  # Tensor.cuda()
            return args[0].to(_META)
        if function in (Tensor.__getitem__, Tensor.__setitem__):
            args = (args[0], _with_tensors(args[1]), *args[2:])
        args, kwargs = tree_map(_translated, (tuple(args), kwargs))
        return function(*args, **kwargs)


def _translated(value: Any) -> Any:
    named = isinstance(value, torch.device) or (isinstance(value, str) and value.split(":")[0] == "cuda")
    return _META if named and torch.device(value).type == "cuda" else value


def _with_tensors(index: Any) -> Any:
    """Write lists in an index as tensors; C++ would make them tensors on meta, without numbers."""
    if isinstance(index, tuple):
        return tuple(torch.tensor(part) if isinstance(part, list) else part for part in index)
    return torch.tensor(index) if isinstance(index, list) else index


def _compute(operator: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Do what an operator does on the device of its operands, or on the one that it names."""
    operands = tree_flatten((args, kwargs))[0]
    named = next((value for value in operands if isinstance(value, torch.device)), None)
    on_gpu = is_on_gpu(operands) if named is None else named == _META
    if operator in _COPIES | _INDEXED:
        on_gpu = isinstance(args[0], FakeCuda)
    _check(operator, args, kwargs, on_gpu)
    if (operator in _READ and is_on_gpu(operands)) or _crosses(operator, args, on_gpu):
        for found in _WATCHERS:
            found.append(str(operator))
    inner_args, inner_kwargs = tree_map_only(FakeCuda, lambda tensor: tensor.inner, (args, dict(kwargs)))
    inner_args, inner_kwargs = tree_map_only(torch.device, lambda _: _CPU, (inner_args, inner_kwargs))
    if operator is _aten._to_copy.default:  # a copy, even where both devices are the CPU
        inner_kwargs.pop("device", None), inner_kwargs.pop("pin_memory", None)
    result = operator(*inner_args, **inner_kwargs)
    if not on_gpu:
        return result
    known = {id(value.inner): value for value in operands if isinstance(value, FakeCuda)}  # written in place
    return tree_map_only(Tensor, lambda tensor: known[id(tensor)] if id(tensor) in known else FakeCuda(tensor), result)


def _crosses(operator: Any, args: Sequence[Any], on_gpu: bool) -> bool:
    """Whether an operator brings numbers from one device to the other; an index of the CPU is brought to the GPU."""
    moves = operator.overloadpacket in (_aten._to_copy, _aten.to)  # in inference mode it is seen as it was called
    if not moves and operator not in _COPIES | _INDEXED:
        return False
    given = [value for value in tree_flatten(args)[0] if isinstance(value, Tensor) and value.dim()]
    return any(isinstance(value, FakeCuda) != on_gpu for value in given)


def _check(operator: Any, args: Sequence[Any], kwargs: Mapping[str, Any], on_gpu: bool) -> None:
    """Raise what CUDA would raise."""
    if operator in _COPIES:
        return
    given = dict(zip((argument.name for argument in operator._schema.arguments), args, strict=False)) | kwargs
    if on_gpu:
        _check_generator(given)
    if operator in _INDEXED:
        indices = given.pop("indices")
        if not on_gpu and is_on_gpu(indices):
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
    if operator is _aten._int_mm.default and on_gpu:
        _check_int8_product(*args)
    if not is_on_gpu(given):
        return
    written = {a.name for a in operator._schema.arguments if a.alias_info is not None and a.alias_info.is_write}
    strict = operator._schema.name.removeprefix("aten::").startswith(_NO_SCALARS)
    for name, value in given.items():
        for tensor in tree_flatten(value)[0]:
            if isinstance(tensor, Tensor) and not isinstance(tensor, FakeCuda):
                if tensor.dim() or name in written or strict:
                    where = f"argument {name} of {operator} is on the CPU"
                    raise RuntimeError(f"Expected all tensors to be on the same device: {where}, another on {GPU}")


def _check_generator(arguments: Mapping[str, Any]) -> None:
    if arguments.get("generator") is not None:
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")


def _check_int8_product(left: Tensor, right: Tensor) -> None:
    """Raise where cuBLAS refuses sizes, or where it has been seen to compute something else."""
    (rows, terms), columns = left.shape, right.shape[1]
    if rows <= 16 or terms % 8 or columns % 8:
        raise RuntimeError(f"_int_mm: {rows} rows, {terms} terms, {columns} columns: > 16, multiples of 8 and of 8")
    if not (left.is_contiguous() and right.is_contiguous()):
        raise RuntimeError("_int_mm: operands that are not contiguous have been seen to give wrong numbers")
