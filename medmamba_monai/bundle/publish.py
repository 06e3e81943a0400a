"""A copy of a bundle for others: its configs and documents, the weights of one fold, and nothing of this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medmamba_monai.core.documents import is_hidden
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_bytes, write_json, write_text
from medmamba_monai.core.names import format_path
from medmamba_monai.core.options import Flag
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.tracking.private_values import hide_private_values
from medmamba_monai.training.options import NetworkOptions
from medmamba_monai.training.weights import read_description, read_state_dict

ZOO_LIMIT = 25 * 10**6
"""Bytes of the largest file that MONAI's model zoo keeps itself; what is larger is named in ``large_files.yml``."""

_KINDS = {"configs": (".json", ".yaml", ".yml", ".conf"), "docs": (".md", ".txt", ".png", ".svg")}
_WEIGHTS = Path("models") / "model.pt"
_PLACE = f"$str(@bundle_root) + '/{_WEIGHTS.as_posix()}'"


def publish_bundle(
    bundle: str | Path,
    target: str | Path,
    fold: int = 0,
    run_name: str | None = None,
    weights_url: str | None = None,
) -> list[Path]:
    """Copy a bundle to a new folder as the model zoo and a hub want it, so that the whole folder can be published.

    Copied are the licence, the configs, the documents and, as ``models/model.pt`` and ``models/model.safetensors``, the
    weights of a fold. Data, folds, reports, runs and stores stay behind. In the copy, evaluation and inference take
    these weights, and the configs build the network that they are of.

    Args:
        bundle: the bundle's folder.
        target: the new folder.
        fold: number of the fold whose weights are published.
        run_name: the cross-validation that they are of; by default those that a training left in ``models``.
        weights_url: where ``models/model.pt`` will be downloaded from, for ``large_files.yml``.

    Returns:
        The files of the copy, sorted.

    Raises:
        UserError: the target is not empty, there are no such weights or they are damaged, or a file names a folder, a
            server or another value of this machine; names the file and the value.
    """
    root, new = Path(bundle).resolve(), Path(target)
    if new.exists() and (not new.is_dir() or any(new.iterdir())):
        raise UserError(f"{new}: is not empty; name a new folder for the copy")
    source = RunFolder(root / "models" if run_name is None else root / "output" / run_name).fold(fold).weights
    if not source.is_file():
        raise UserError(f"{source}: there are no weights; train fold {fold}, or name another --fold or --run-name")
    if weights_url is not None and "://" not in weights_url:
        raise UserError(f"--weights-url {weights_url}: is no address; give one such as https://HOST/model.pt")
    read_state_dict(source)
    described = read_description(source)
    copies = list(_list_published(root))
    for path in copies:
        _check_private(path, root)
    for path in copies:
        write_bytes(new / path.relative_to(root), path.read_bytes())
    for suffix in (".pt", ".safetensors"):
        if (file := source.with_suffix(suffix)).is_file():
            write_bytes((new / _WEIGHTS).with_suffix(suffix), file.read_bytes())
    _take_weights(new / "configs", described)
    if weights_url is not None:
        _write_large_files(new, weights_url)
    return sorted(path for path in new.rglob("*") if path.is_file())


def list_left_out(bundle: str | Path) -> list[str]:
    """Return the names of what stands in a bundle's folder and is not published, sorted."""
    return sorted(path.name for path in Path(bundle).iterdir() if path.name not in (*_KINDS, "LICENSE", "models"))


def _list_published(root: Path) -> Iterator[Path]:
    yield root / "LICENSE"
    for folder, suffixes in _KINDS.items():
        for path in sorted((root / folder).rglob("*")):
            known = path.suffix.lower() in suffixes and not is_hidden(path.relative_to(root))
            if known and path.is_file() and not path.is_symlink():
                yield path


def _check_private(path: Path, root: Path) -> None:
    """Refuse a file that tells of this machine.

    Raises:
        UserError: it does; names it and what it holds.
    """
    content = path.read_bytes()
    for place in (root, Path.home()):
        if f"{place}/".encode() in content and len(place.parts) > 1:
            raise UserError(f"{format_path(path)}: names {place}, a folder of this machine; take it out first")
    if path.suffix == ".json" and path.name not in ("card.json", "metadata.json"):
        config = json.loads(content)
        for key, hidden in hide_private_values(config).items():
            if hidden != config[key]:
                raise UserError(
                    f"{format_path(path)}: {key} names a folder, a file or a server of this machine; take it out first"
                )


def _take_weights(configs: Path, described: Mapping[str, Any]) -> None:
    """Make the configs of a copy build the network that the weights are of, and load them."""
    names = [name for name in NetworkOptions.names(Flag.WEIGHTS) if name in described and name != "image_size"]
    network = {name: described[name] for name in names}
    _change(configs / "train.json", network)
    _change(configs / "inference.json", {**network, "ckpt_path": _PLACE})
    _change(configs / "evaluate.json", {"ckpt_path": _PLACE})
    if "image_size" in described:
        metadata = json.loads((configs / "metadata.json").read_text(encoding="utf-8"))
        image = metadata["network_data_format"]["inputs"]["image"]
        image["spatial_shape"] = [described["image_size"]] * len(image["spatial_shape"])
        write_json(configs / "metadata.json", metadata)


def _change(config: Path, values: Mapping[str, Any]) -> None:
    content = json.loads(config.read_text(encoding="utf-8"))
    write_json(config, {**content, **{name: value for name, value in values.items() if name in content}})


def _write_large_files(root: Path, url: str) -> None:
    checksum = hashlib.sha256((root / _WEIGHTS).read_bytes()).hexdigest()
    entry = {"path": _WEIGHTS.as_posix(), "url": url, "hash_val": checksum, "hash_type": "sha256"}
    lines = [f"{name}: {json.dumps(value)}" for name, value in entry.items()]
    write_text(root / "large_files.yml", "large_files:\n  - " + "\n    ".join(lines) + "\n")
