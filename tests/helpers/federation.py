"""Sites of a federation that share the small bundle and its images."""

from __future__ import annotations

import json
from pathlib import Path

from tests.helpers.small_bundle import SmallBundle


def make_sites(folder: Path, bundle: SmallBundle, *names: str) -> Path:
    """Write the file of each site; their runs are apart."""
    places = {"bundle": bundle.root, "dataset_dir": bundle.dataset_dir, "data_list": bundle.data_list}
    for name in names:
        content = {key: str(place) for key, place in places.items()}
        (folder / f"{name}.json").write_text(json.dumps({**content, "device": "cpu"}))
    return folder
