"""A startup kit of NVFlare that allows the classes of a federation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.federation import allow_classes


def make_kit(folder: Path, name: str, **content) -> Path:
    (folder / "local").mkdir()
    (folder / "local" / name).write_text(json.dumps({"format_version": 2, **content}))
    return folder / "local" / "resources.json"


@pytest.mark.parametrize("name", ["resources.json", "resources.json.default"])
def test_the_classes_are_added_once_and_all_else_stays(tmp_path: Path, name):
    path = make_kit(tmp_path, name, class_allow_list=["nvflare.x"], client={"retry_timeout": 30})
    assert [allow_classes(tmp_path), allow_classes(tmp_path)] == [path, path]
    assert json.loads(path.read_text()) == {
        "format_version": 2,
        "class_allow_list": ["nvflare.x", "medmamba_monai.federation"],
        "client": {"retry_timeout": 30},
    }


def test_a_folder_that_is_no_kit_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"is no startup kit of an NVFlare server or site \(no local/resources.json"):
        allow_classes(tmp_path)


def test_a_kit_whose_resources_name_no_classes_is_refused(tmp_path: Path):
    make_kit(tmp_path, "resources.json")
    with pytest.raises(UserError, match="cannot be read as the resources of a startup kit"):
        allow_classes(tmp_path)
