"""Files of tensors that are bytes of their content alone."""

from __future__ import annotations

import torch
from safetensors.torch import load

from medmamba_monai.networks.tensor_files import CHECKSUM, read_safetensors_file, serialize_safetensors

STATE = {"b": torch.arange(3.0), "a": torch.ones(2, 2, dtype=torch.bfloat16)}
TEXTS = {"z": "1", "ä": '{"n": "µ"}', "a": "3"}


def test_equal_content_is_equal_bytes(tmp_path) -> None:
    orders = (list(TEXTS.items()), list(TEXTS.items())[::-1])
    made = {serialize_safetensors(STATE, dict(items)) for items in orders * 8}
    assert len(made) == 1
    content = made.pop()
    assert (8 + int.from_bytes(content[:8], "little")) % 8 == 0
    loaded = load(content)
    assert loaded.keys() == STATE.keys()
    assert all(torch.equal(loaded[name], STATE[name]) for name in STATE)
    (tmp_path / "a.safetensors").write_bytes(content)
    assert read_safetensors_file(tmp_path / "a.safetensors")[1] == TEXTS
    assert content.index(b'"a":"3"') < content.index(f'"{CHECKSUM}"'.encode()) < content.index(b'"z":"1"')
