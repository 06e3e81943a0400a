"""A startup kit of NVFlare that is made ready for a federation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.federation import prepare_kit


def make_kit(folder: Path, name: str, **content) -> Path:
    (folder / "local").mkdir()
    (folder / "local" / name).write_text(json.dumps({"format_version": 2, **content}))
    return folder / "local" / "resources.json"


@pytest.mark.parametrize("name", ["resources.json", "resources.json.default"])
def test_the_classes_are_added_once_logs_stay_and_all_else_stays(tmp_path: Path, name):
    path = make_kit(tmp_path, name, class_allow_list=["nvflare.x"], client={"retry_timeout": 30})
    assert [prepare_kit(tmp_path), prepare_kit(tmp_path)] == [path, path]
    assert json.loads(path.read_text()) == {
        "format_version": 2,
        "class_allow_list": ["nvflare.x", "medmamba_monai.federation"],
        "client": {"retry_timeout": 30},
        "allow_log_streaming": False,
    }


def test_the_logs_stay_where_the_classes_are_allowed_already(tmp_path: Path):
    allowed = ["nvflare.x", "medmamba_monai.federation"]
    path = make_kit(tmp_path, "resources.json", class_allow_list=allowed, allow_log_streaming=True)
    prepare_kit(tmp_path)
    found = json.loads(path.read_text())
    assert (found["class_allow_list"], found["allow_log_streaming"]) == (allowed, False)


def test_a_folder_that_is_no_kit_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"is no startup kit of an NVFlare server or site \(no local/resources.json"):
        prepare_kit(tmp_path)


def test_a_kit_whose_resources_name_no_classes_is_refused(tmp_path: Path):
    make_kit(tmp_path, "resources.json")
    with pytest.raises(UserError, match="cannot be read as the resources of a startup kit"):
        prepare_kit(tmp_path)
