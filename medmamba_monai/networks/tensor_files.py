"""Files of tensors, read without running what is in them, and compared with the checksums that they carry."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor

from medmamba_monai.core.errors import UserError, get_first_line

CHECKSUM = "medmamba_monai_sha256"
"""Name of the checksum in the header of a safetensors file; the format has none of its own."""

_UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    KeyError,
    AttributeError,
    IndexError,
    TypeError,
    AssertionError,
    NotImplementedError,
    UnicodeError,
    zlib.error,
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    safetensors.SafetensorError,
)
"""What reading a damaged or foreign file of tensors raises."""


def read_torch_file(path: Path) -> Any:
    """Read what ``torch.save`` wrote, tensors onto the CPU.

    Each part of such a file has a checksum, which PyTorch itself does not compare: a flipped bit is another weight.
    Files from before PyTorch 1.6, or saved without checksums, are read as they are.

    Raises:
        UserError: why it cannot be read, without its name, for messages that begin with it.
    """
    try:
        _compare_checksums(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except _UNREADABLE as error:
        raise UserError(_explain(error)) from error


def read_safetensors_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and the header's texts; files without a checksum are read as they are.

    Raises:
        UserError: why it cannot be read, without its name, for messages that begin with it.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            texts = dict(file.metadata() or {})
        state = load_file(path)
    except _UNREADABLE as error:
        raise UserError(_explain(error)) from error
    checksum = texts.pop(CHECKSUM, None)
    if checksum not in (None, compute_checksum(state, texts)):
        raise UserError("it is damaged: its content does not give the checksum in its header")
    return state, texts


def serialize_safetensors(state: Mapping[str, Tensor], texts: Mapping[str, str]) -> bytes:
    """Return the content of a safetensors file with a checksum of all that is in it: of equal weights, equal bytes."""
    return _sort_texts(serialize(dict(state), metadata={**texts, CHECKSUM: compute_checksum(state, texts)}))


def _sort_texts(content: bytes) -> bytes:
    """Put the texts of a safetensors header in order; the library writes them in that of a table with random keys."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    ordered = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    padded = ordered + b" " * (-len(ordered) % 8)
    return len(padded).to_bytes(8, "little") + padded + content[8 + size :]


def compute_checksum(state: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    """Return the SHA-256 of tensors, with names, types and shapes, and of texts."""
    digest = hashlib.sha256(repr(sorted(texts.items())).encode())
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _compare_checksums(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if not any(member.CRC for member in members):  # PyTorch was told to save none
            return
        if (damaged := archive.testzip()) is not None:
            raise UserError(f"it is damaged: {damaged} in it does not give its checksum")


def _explain(error: Exception) -> str:
    """Return why a file cannot be read; PyTorch's advice to load it with code and all is never passed on."""
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
        return "it is damaged, or holds other objects than tensors and plain values, which could run code: never loaded"
    return get_first_line(error)
