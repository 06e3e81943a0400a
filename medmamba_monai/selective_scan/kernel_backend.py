"""What the backends with kernels of ours share: a package each, whose module ``launch`` compiles and runs them."""

from __future__ import annotations

import importlib
from types import ModuleType

from torch import Tensor

from medmamba_monai.selective_scan.backend import Backend
from medmamba_monai.selective_scan.inputs import ScanInputs


class KernelBackend(Backend):
    """A backend whose ``launch``, beside the module of its class, is imported when the first scan arrives."""

    fused = True

    @property
    def launch(self) -> ModuleType:
        """The module with ``forward``, ``backward`` and ``states_shape``; it imports what the kernels need."""
        return importlib.import_module(f"{type(self).__module__.rpartition('.')[0]}.launch")

    def forward(self, inputs: ScanInputs, save_states: bool) -> tuple[Tensor, Tensor]:
        """Run the forward kernel."""
        return self.launch.forward(inputs, save_states)

    def backward(self, grad_y: Tensor, states: Tensor, inputs: ScanInputs) -> tuple[Tensor, ...]:
        """Run the backward kernel from the saved states."""
        return self.launch.backward(grad_y, states, inputs)

    def states_shape(self, inputs: ScanInputs) -> list[int]:
        """Return the shape of the states before every chunk of tokens, (B, K, chunks, ...)."""
        return self.launch.states_shape(inputs)
