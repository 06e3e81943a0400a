from __future__ import annotations

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.found import FoundData
from medmamba_monai.data.find.layouts import drop_leaks, find_data
from tests.helpers.small_data import LocalServer, folder_card, md5, small_card
from tests.helpers.small_images import draw, write_table


def draw_classes(folder: Path) -> Path:
    for label, name in enumerate(("cat", "dog")):
        for index in range(2):
            draw(folder / name / f"{index}.png", 10 * label + index)
    return folder


def packed(folder: Path, name: str = "all.zip") -> Path:
    """An archive of class folders in a folder."""
    shutil.make_archive(str(folder / name.removesuffix(".zip")), "zip", draw_classes(folder.parent / "made"))
    return folder / name


def downloaded(folder: Path, **fields: str) -> FoundData:
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder / "served"))
    with LocalServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        url = f"http://127.0.0.1:{server.server_port}/all.zip"
        try:
            return find_data(
                folder_card(files=[{"path": "all.zip", "url": url, **fields}]), DatasetFolder(folder / "data")
            )
        finally:
            server.shutdown()


def test_an_archive_is_downloaded_and_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    data = downloaded(tmp_path, md5=md5(packed(tmp_path / "served")))
    assert [sample.image for sample in data.samples] == [
        f"all/{name}/{index}.png" for name in ("cat", "dog") for index in range(2)
    ]
    assert data.ignored == ()


def test_a_download_without_a_published_md5_prints_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    archive = packed(tmp_path / "served")
    downloaded(tmp_path)
    assert f"all.zip has MD5 {md5(archive)}; the card names none" in capsys.readouterr().out


def test_npz_datasets_unpack_nothing(tmp_path: Path) -> None:
    packed(tmp_path / "data")
    with pytest.raises(UserError, match=r"mini\.npz: does not exist"):
        find_data(small_card(), DatasetFolder(tmp_path / "data"), fetch=False)
    assert not (tmp_path / "data" / "all").exists()


@pytest.mark.parametrize("name", ["cats.zip", "CATS.zip", "cats-v2.zip", "cats (1).zip"])
def test_of_a_shared_folder_only_the_named_archives_are_unpacked(tmp_path: Path, name: str) -> None:
    packed(tmp_path / "data", name)
    for other in ("catsanddogs.zip", "birds/cats-v3.zip", "all.zip"):
        packed(tmp_path / "data", other)
    data = find_data(folder_card(files=[{"path": "cats.zip"}]), DatasetFolder(tmp_path / "data"))
    assert len(data.samples) == 4
    assert [path.name for path in (tmp_path / "data").rglob("*") if path.is_dir()].count("dog") == 1


def test_a_named_archive_may_lie_deeper(tmp_path: Path) -> None:
    packed(tmp_path / "data", "downloads/cats.zip")
    assert len(find_data(folder_card(files=[{"path": "cats.zip"}]), DatasetFolder(tmp_path / "data")).samples) == 4


def test_without_names_archives_of_other_folders_are_left_alone(tmp_path: Path) -> None:
    packed(tmp_path / "data", "other/all.zip")
    packed(tmp_path / "data", "mine.zip")
    assert len(find_data(folder_card(), DatasetFolder(tmp_path / "data")).samples) == 4
    assert not (tmp_path / "data" / "other" / "all").exists()


def test_an_archive_in_a_folder_that_was_unpacked_by_hand_is_found(tmp_path: Path) -> None:
    packed(tmp_path / "data", "dvntn9yhd2-1/all.zip")
    assert len(find_data(folder_card(), DatasetFolder(tmp_path / "data")).samples) == 4


def test_nothing_is_unpacked_when_asked_so(tmp_path: Path) -> None:
    packed(tmp_path / "data")
    with pytest.raises(UserError, match="has the folders none"):
        find_data(folder_card(), DatasetFolder(tmp_path / "data"), unpack=False)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["all.zip"]


@pytest.mark.parametrize(("declared", "place"), [(".", "t/images"), (".", "t"), ("t/images", "t/images/part")])
def test_archives_beside_the_images_of_a_table_are_unpacked(tmp_path: Path, declared: str, place: str) -> None:
    write_table(tmp_path / "data" / "t" / "labels.csv", "file,kind\ncat/0.png,cat\ndog/0.png,dog\n")
    packed(tmp_path / "data", f"{place}/all.zip")
    packed(tmp_path / "data", "other/all.zip")
    layout = {"kind": "table", "path": "labels.csv", "image_column": "file", "label_column": "kind"}
    card = folder_card(layout={**layout, "image_folder": declared})
    assert len(find_data(card, DatasetFolder(tmp_path / "data")).samples) == 2
    assert not (tmp_path / "data" / "other" / "all").exists()


def test_an_archive_that_is_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "all.zip").symlink_to(packed(tmp_path / "elsewhere"))
    with pytest.raises(UserError, match="is a link that leaves the dataset folder"):
        find_data(folder_card(), DatasetFolder(tmp_path / "data"))


def test_what_lies_there_is_not_downloaded_again(tmp_path: Path) -> None:
    card = folder_card(files=[{"path": "all.zip", "url": "http://127.0.0.1:9/all.zip"}])
    assert len(find_data(card, DatasetFolder(draw_classes(tmp_path))).samples) == 4


def test_nothing_there_says_how_to_obtain_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Ask nobody\."):
        find_data(folder_card(), DatasetFolder(tmp_path))


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
        return drop_leaks(card, find_data(card, DatasetFolder(tmp_path)))

    assert (len(kept(False).samples), len(kept(True).samples)) == (8, 7)
    assert "1 training images share a group with the official test set and are left out" in kept(True).remarks[0]
