from __future__ import annotations

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from small_data import LocalServer, folder_card, md5
from small_images import draw

from medmamba_monai.data.found import FoundData
from medmamba_monai.data.layouts import find_data, without_leaks
from medmamba_monai.errors import UserError


def draw_classes(folder: Path) -> Path:
    for label, name in enumerate(("cat", "dog")):
        for index in range(2):
            draw(folder / name / f"{index}.png", 10 * label + index)
    return folder


def test_an_archive_is_downloaded_and_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    archive = shutil.make_archive(str(tmp_path / "served" / "all"), "zip", draw_classes(tmp_path / "made"))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    with LocalServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        url = f"http://127.0.0.1:{server.server_port}/all.zip"
        card = folder_card(files=[{"path": "all.zip", "url": url, "md5": md5(Path(archive))}])
        data = find_data(card, tmp_path / "data")
        server.shutdown()
    assert [sample.image for sample in data.samples] == [
        f"all/{name}/{index}.png" for name in ("cat", "dog") for index in range(2)
    ]
    assert data.ignored == ()


def test_what_lies_there_is_not_downloaded_again(tmp_path: Path) -> None:
    card = folder_card(files=[{"path": "all.zip", "url": "http://127.0.0.1:9/all.zip"}])
    assert len(find_data(card, draw_classes(tmp_path)).samples) == 4


def test_nothing_there_says_how_to_obtain_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Ask nobody\."):
        find_data(folder_card(), tmp_path)


def test_training_images_of_a_tested_lesion_are_left_out_when_the_card_says_so(tmp_path: Path) -> None:
    table = {"path": "g.csv", "image_column": "image", "group_column": "lesion"}
    for split in ("train", "test"):
        draw_classes(tmp_path / split)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for index in range(2):
                source = tmp_path / split / name / f"{index}.png"
                source.rename(source.with_name(f"{split}_{name}_{index}.png"))
    lesions = {"train_cat_0": 1, "train_cat_1": 2, "train_dog_0": 3, "train_dog_1": 4}
    lesions |= {"test_cat_0": 1, "test_cat_1": 5, "test_dog_0": 6, "test_dog_1": 7}
    (tmp_path / "g.csv").write_text("image,lesion\n" + "".join(f"{key},{value}\n" for key, value in lesions.items()))

    def kept(drop: bool) -> FoundData:
        splits = {"train": "train", "test": "test"}
        layout = {"kind": "folders", "split_folders": splits, "group_table": {**table, "drop_leaks": drop}}
        card = folder_card(layout=layout)
        return without_leaks(card, find_data(card, tmp_path))

    assert (len(kept(False).samples), len(kept(True).samples)) == (8, 7)
    assert "1 training images share a group with the official test set and are left out" in kept(True).remarks[0]
