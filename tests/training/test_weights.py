from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils.serialization import config

from medmamba_monai import MedMamba
from medmamba_monai.core.errors import UserError
from medmamba_monai.networks.tensor_files import compute_checksum
from medmamba_monai.training import load_weights, save_weights
from medmamba_monai.training.weights import read_description, read_state_dict

DESCRIPTION = {"image_size": 32, "class_names": ["cat", "dog"], "fold": 0, "fold_digest": "abc", "dataset": "mini"}


def network(**changes: object) -> MedMamba:
    arguments = {"depths": (1, 1), "channels": (8, 16), "state_size": 4, **changes}
    return MedMamba(2, 3, 2, **arguments)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_weights(network(), tmp_path / "model.pt", DESCRIPTION)
    return tmp_path / "model.pt"


def test_safetensors_stand_beside_the_pt_file_with_the_same_tensors(saved):
    first, second = read_state_dict(saved), read_state_dict(saved.with_suffix(".safetensors"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_come_back_bit_for_bit_with_their_description(tmp_path, suffix):
    original, loaded = network(), network()
    save_weights(original, tmp_path / "model.pt", DESCRIPTION)
    assert load_weights(loaded, tmp_path / f"model{suffix}") == DESCRIPTION
    state = loaded.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in original.state_dict().items())


def test_the_description_stands_in_the_safetensors_header(saved):
    with safe_open(saved.with_suffix(".safetensors"), framework="pt") as file:
        assert '"image_size": 32' in file.metadata()["medmamba_monai"]


def test_a_pt_file_alone_has_no_description(saved):
    saved.with_suffix(".safetensors").unlink()
    assert load_weights(network(), saved, {"image_size": 64}) == {}


@pytest.mark.parametrize(
    ("expected", "remedy"),
    [
        ({"image_size": 64}, "pass --image_size 32"),
        ({"class_names": ["dog", "cat"]}, "these weights are of another dataset; use its bundle"),
        ({"fold": 1}, "was trained with fold 0, but 1 is configured: pass --fold 0"),
        ({"fold_digest": "xyz"}, "pass the --data_list that they were trained with"),
        ({"dataset": "other"}, "use the bundle of that dataset"),
    ],
)
def test_another_description_names_the_option(saved, expected, remedy):
    with pytest.raises(UserError, match=remedy):
        load_weights(network(), saved, expected)


def test_another_architecture_names_depths_and_channels(saved):
    with pytest.raises(UserError, match=r'pass --depths "\(1, 1\)" --channels "\(8, 16\)"|pass --depths "\[1, 1\]"'):
        load_weights(network(depths=(1, 2)), saved)


def test_another_kind_of_network_names_the_first_key(tmp_path):
    save_weights(nn.Linear(3, 2), tmp_path / "model.pt")
    with pytest.raises(UserError, match="First key that is missing, extra or of another shape"):
        load_weights(network(), tmp_path / "model.pt")


def test_a_refused_file_leaves_the_network_as_it_was(saved):
    other = network(channels=(8, 24))
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(UserError):
        load_weights(other, saved)
    assert all(torch.equal(before[name], tensor) for name, tensor in other.state_dict().items())


def test_missing_weights_say_how_to_get_them(tmp_path):
    with pytest.raises(UserError, match=r"no weights at .*model\.pt: train first, or name the file with --ckpt_path"):
        load_weights(network(), tmp_path / "model.pt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 100, 3000])
def test_a_damaged_file_is_a_clear_error(saved, suffix, kept):
    damaged = saved.with_suffix(suffix)
    damaged.write_bytes(damaged.read_bytes()[:kept])
    with pytest.raises(UserError, match=rf"model\{suffix} cannot be read as weights"):
        load_weights(network(), damaged)


def test_a_damaged_description_is_a_clear_error(saved):
    saved.with_suffix(".safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"model\.safetensors cannot be read as weights"):
        load_weights(network(), saved)


def test_a_pickle_of_objects_is_refused(tmp_path):
    torch.save(network(), tmp_path / "model.pt")
    with pytest.raises(UserError, match="cannot be read as weights"):
        load_weights(network(), tmp_path / "model.pt")


def test_wrapped_networks_are_saved_without_the_wrapper(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(network())
        save_weights(wrapped, tmp_path / "model.pt", DESCRIPTION)
        load_weights(wrapped, tmp_path / "model.pt")
    finally:
        torch.distributed.destroy_process_group()
    load_weights(network(), tmp_path / "model.pt")


def test_weights_without_a_description_have_an_empty_one(tmp_path):
    save_weights(network(), tmp_path / "model.pt")
    assert read_description(tmp_path / "model.pt") == {}


def flip(path: Path, position: int, bit: int = 3) -> None:
    """Change one bit of a file, as a failing disk does."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


def describe_content(path: Path) -> str:
    """All that loading a file gives, or nothing where it is refused."""
    try:
        state, description = read_state_dict(path), read_description(path)
    except UserError:
        return ""
    return compute_checksum(state, {"description": repr(sorted(description.items()))})


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_flipped_bit_is_never_another_weight(saved, suffix):
    """200 bits all over the file: each is told, or stands where it changes nothing."""
    path = saved.with_suffix(suffix)
    good, expected = path.read_bytes(), describe_content(path)
    found = []
    for position in np.random.default_rng(0).integers(0, len(good), 200).tolist():
        flip(path, position)
        found.append(describe_content(path))
        path.write_bytes(good)
    assert set(found) <= {"", expected}
    assert found.count("") > 100


def test_a_flipped_bit_of_a_tensor_is_named(saved):
    content = saved.read_bytes()
    flip(saved, content.index(network_bytes := read_state_dict(saved)["head.weight"].numpy().tobytes()) + 1)
    assert len(network_bytes) > 8
    with pytest.raises(UserError, match=r"model\.pt cannot be read as weights: it is damaged: archive/data/\d+ in it"):
        read_state_dict(saved)
    safe = saved.with_suffix(".safetensors")
    flip(safe, safe.read_bytes().index(network_bytes) + 1)
    with pytest.raises(UserError, match=r"model\.safetensors cannot be read as weights: it is damaged: its content"):
        read_state_dict(safe)


def test_a_flipped_bit_of_the_description_is_told_too(saved):
    safe = saved.with_suffix(".safetensors")
    flip(safe, safe.read_bytes().index(b"image_size") + len('image_size\\": '), bit=0)
    with pytest.raises(UserError, match="does not give the checksum in its header"):
        read_description(saved)


def test_old_files_without_checksums_are_read(tmp_path):
    state = network().state_dict()
    save_file(state, tmp_path / "old.safetensors", {"medmamba_monai": '{"image_size": 32}'})
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with config.patch("save.compute_crc32", False):
        torch.save(state, tmp_path / "none.pt")
    for name in ("old.safetensors", "old.pt", "none.pt"):
        found = read_state_dict(tmp_path / name)
        assert all(torch.equal(found[key], tensor) for key, tensor in state.items())
    assert read_description(tmp_path / "old.safetensors") == {"image_size": 32}


@pytest.mark.parametrize("zipped", [True, False])
def test_nobody_is_told_to_run_what_is_in_a_file(tmp_path, zipped):
    """PyTorch's own message says that another option "will likely succeed"."""
    torch.save(network(), tmp_path / "model.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match="could run code: never loaded") as caught:
        read_state_dict(tmp_path / "model.pt")
    assert "weights_only" not in str(caught.value)
    assert "two options" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.zeros(2)])
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"model\.pt cannot be read as weights: it holds no state dict"):
        read_state_dict(tmp_path / "model.pt")
