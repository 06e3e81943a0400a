"""What others may have of a bundle, copied from a folder in which everything of a user lies about."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import monai.bundle
import pytest
import torch
import yaml
from monai.bundle import ConfigParser

from medmamba_monai import MedMamba
from medmamba_monai.bundle.publish import list_left_out, publish_bundle
from medmamba_monai.cli.main import main
from medmamba_monai.core.errors import UserError
from medmamba_monai.training import save_weights
from tests.helpers.small_bundle import ROOT

DESCRIPTION = {"image_size": 48, "network_name": "medmamba", "depths": [1, 1], "channels": [8, 16], "fold": 1}
PRIVATE = ["folds.json", "prepare_report.json", "mlruns.db", "data/phantom/a.png", "output/first/report.html"]
PRIVATE += ["eval/files.csv", "images/doe.png", "mlartifacts/0/a", "models/fold_0/model.pt", ".env", "configs/.swp"]


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A bundle with the weights of fold 1 and all that its use leaves in its folder."""
    root = tmp_path / "used"
    shutil.copytree(ROOT / "bundles" / "phantom", root, ignore=shutil.ignore_patterns("output", "models", "eval"))
    for name in PRIVATE:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("private")
    network = MedMamba(2, 3, 2, depths=(1, 1), channels=(8, 16))
    save_weights(network, root / "models" / "fold_1" / "model.pt", DESCRIPTION)
    return root


def test_a_copy_holds_what_is_for_others_and_nothing_else(used, tmp_path):
    files = publish_bundle(used, tmp_path / "new", fold=1)
    names = {path.relative_to(tmp_path / "new").as_posix() for path in files}
    committed = {
        path.relative_to(used).as_posix() for folder in ("configs", "docs") for path in (used / folder).rglob("*")
    }
    expected = {name for name in committed if (used / name).is_file() and not name.endswith(".swp")}
    assert names == {*expected, "LICENSE", "models/model.pt", "models/model.safetensors"}
    assert not [path for path in files if path.read_bytes() == b"private"]
    assert set(list_left_out(used)) == {name.split("/")[0] for name in PRIVATE} - {"models", "configs"}


def test_the_copy_is_whole_for_monai(used, tmp_path):
    """Inference of the copy builds the network of the weights, at their size, and takes ``models/model.pt``."""
    new = tmp_path / "new"
    publish_bundle(used, new, fold=1)
    parser = ConfigParser()
    parser.read_config(str(new / "configs" / "inference.json"))
    parser.read_meta(str(new / "configs" / "metadata.json"))
    parser.update({"bundle_root": str(new), "device": "cpu"})
    assert parser.get_parsed_content("image_size") == 48
    assert parser.get_parsed_content("ckpt_path") == str(new / "models" / "model.pt")
    parser.get_parsed_content("weights_loader")(None)
    saved = torch.load(used / "models" / "fold_1" / "model.pt", weights_only=True)
    loaded = parser.get_parsed_content("network").state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in saved.items())
    train = json.loads((new / "configs" / "train.json").read_text())
    assert (train["depths"], train["channels"]) == ([1, 1], [8, 16])


def test_large_files_are_named_with_a_checksum_that_monai_compares(used, tmp_path):
    new = tmp_path / "new"
    stored = tmp_path / "stored.pt"
    publish_bundle(used, new, fold=1, weights_url=stored.as_uri())
    shutil.move(new / "models" / "model.pt", stored)
    (entry,) = yaml.safe_load((new / "large_files.yml").read_text())["large_files"]
    assert entry["path"] == "models/model.pt"
    assert entry["hash_val"] == hashlib.sha256(stored.read_bytes()).hexdigest()
    monai.bundle.download_large_files(bundle_path=str(new))
    assert (new / "models" / "model.pt").read_bytes() == stored.read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("configs/mine.json", {"dataset_dir": "/mnt/scans"}, r"mine\.json: dataset_dir names a folder"),
        ("configs/mine.json", {"tracking_uri": "https://me:word@host"}, r"mine\.json: tracking_uri names"),
        ("docs/README.md", None, r"README\.md: names .*, a folder of this machine"),
    ],
)
def test_a_file_that_tells_of_this_machine_is_refused(used, tmp_path, name, content, said):
    (used / name).write_text(f"see {used}/notes" if content is None else json.dumps(content))
    with pytest.raises(UserError, match=said):
        publish_bundle(used, tmp_path / "new", fold=1)
    assert not (tmp_path / "new").exists()


def test_damaged_weights_and_a_full_folder_are_refused(used, tmp_path):
    with pytest.raises(UserError, match=r"fold_0.model\.pt cannot be read as weights"):
        publish_bundle(used, tmp_path / "new")
    with pytest.raises(UserError, match="is not empty; name a new folder"):
        publish_bundle(used, used, fold=1)


def test_the_command_says_what_stays_behind(used, tmp_path, capsys):
    assert main(["publish", str(used), str(tmp_path / "new"), "--fold", "1"]) == 0
    printed = capsys.readouterr().out
    assert str(tmp_path / "new" / "models" / "model.pt") in printed
    assert "left out: .env, data, eval, folds.json, images, mlartifacts, mlruns.db, output" in printed
