"""What every scan backend is: properties that say where it runs, and the scan with its gradient."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from medmamba_monai.selective_scan.inputs import ScanInputs

UNIMPORTABLE = (ImportError, OSError, RuntimeError)
"""What importing a package with compiled parts raises where it was built for another machine."""


class Backend(ABC):
    """One implementation of the scan, called by its name.

    A new one is a subclass in a module of its own and its place in
    :data:`~medmamba_monai.selective_scan.backends.BACKENDS`. The module imports without the packages that the backend
    needs; its methods import them when they are called.

    Attributes:
        name: what users write.
        speed: ``auto`` takes the backend with the largest number among those that run; 0 for never.
        modules: the backend can run if one of these imports; empty if it needs nothing beside torch.
        install: the command that provides them.
        device: the device type its tensors must be on, None for any.
        float64: whether it computes in float64 when the inputs are.
        half: whether it reads float16 and bfloat16 of ``u``, ``projected`` and ``delta`` itself, to compute in float32.
        writes_half: whether it then also rounds y to the dtype of ``u``. It is given these dtypes under autocast only.
        traceable: whether ``torch.compile`` may trace it.
        fused: whether it computes step sizes, recurrence and skip connection in one kernel of ours.
        differentiable: whether PyTorch differentiates :meth:`forward` operation by operation. Else the operator calls
            :meth:`backward`, and holds nothing for it but the inputs and the states.
    """

    name: ClassVar[str]
    speed: ClassVar[int] = 0
    modules: ClassVar[tuple[str, ...]] = ()
    install: ClassVar[str] = ""
    device: ClassVar[str | None] = None
    float64: ClassVar[bool] = False
    half: ClassVar[bool] = False
    writes_half: ClassVar[bool] = False
    traceable: ClassVar[bool] = True
    fused: ClassVar[bool] = False
    differentiable: ClassVar[bool] = False

    @abstractmethod
    def forward(self, inputs: ScanInputs, save_states: bool) -> tuple[Tensor, Tensor]:
        """Scan, and add the outputs of all directions up.

        Args:
            inputs: in the dtype of the scan, or partly in half precision if the backend reads that.
            save_states: whether :meth:`backward` will be called.

        Returns:
            y (B, L, C) in the dtype of the scan, or of ``u`` where the backend writes that, and the states for the
            backward pass, of the shape that :meth:`states_shape` tells, or an empty tensor if they are not saved.
        """

    def backward(self, grad_y: Tensor, states: Tensor, inputs: ScanInputs) -> tuple[Tensor, ...]:
        """Differentiate the scan, by default by running it again with a gradient.

        Args:
            grad_y: (B, L, C), dL/dy.
            states: what :meth:`forward` saved.
            inputs: what it was given.

        Returns:
            The gradient of each of ``inputs.tensors``, in its dtype.
        """
        return torch.func.vjp(lambda *t: self.forward(inputs.replace_tensors(t), False)[0], *inputs.tensors)[1](grad_y)

    def states_shape(self, inputs: ScanInputs) -> list[int]:
        """Return the shape of the states that :meth:`forward` saves."""
        return [0]

    def get_sequence_scan(self) -> Callable[..., Tensor] | None:
        """Return a differentiable function with the signature of Mamba's ``selective_scan_fn``.

        None, the default, for none: sequences are then given to :meth:`forward`, as maps of one axis with a ``delta``.
        """
        return None

    def available(self) -> bool:
        """Say whether what the backend needs imports here, whatever devices there are."""
        return self.find_import_failure() is None

    def find_import_failure(self) -> str | None:
        """Import what the backend needs, once. Return None if that worked, else the reason."""
        return find_first_import_failure(self.modules)

    def find_objection(self, device: torch.device, dtype: torch.dtype) -> str | None:
        """Say why the backend cannot scan tensors of this device and dtype here and now, or None if it can."""
        if (unfit := self.find_device_objection(device)) is not None:
            return unfit
        if dtype == torch.float64 and not self.float64:
            return "computes in float32, these tensors are float64"
        if not self.traceable and torch.compiler.is_compiling():
            return "cannot be traced by torch.compile"
        failure = self.find_import_failure()
        return None if failure is None else f"does not import ({failure}): install it with {self.install}"

    def find_device_objection(self, device: torch.device) -> str | None:
        """Say why the backend cannot scan tensors of this device, or None if it can."""
        if self.device in (None, device.type):
            return None
        return f"works on {self.device} tensors, these are on {device.type}"


@cache
def find_first_import_failure(modules: tuple[str, ...]) -> str | None:
    """Import one of several modules, once. Return None if one imports or none is asked for, else why each does not."""
    failures = []
    for module in modules:
        try:
            importlib.import_module(module)
        except UNIMPORTABLE as error:
            failures.append(f"{module}: {error}")
        else:
            return None
    return "; ".join(failures) or None
