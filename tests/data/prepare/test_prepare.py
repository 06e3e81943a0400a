from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medmamba_monai.cards import load_card
from medmamba_monai.core.errors import UserError
from medmamba_monai.data import prepare_dataset, read_fold_list
from tests.helpers.prepared_folders import draw, draw_classes, report
from tests.helpers.small_data import LocalServer, folder_card, md5, npz_content, small_card, write_npz

LISTS = Path(__file__).resolve().parents[3] / "data_lists"


@pytest.mark.long
def test_real_pneumoniamnist(real_folds: Path, real_data_dir: Path) -> None:
    made = read_fold_list(real_folds / "folds.json", real_data_dir)
    assert (len(made.training), len(made.test), made.count_mismatch) == (5232, 624, ())
    per_fold = report(real_folds)["images_per_fold_and_class"].values()
    assert all(counts["normal"] in (269, 270) and counts["pneumonia"] in (776, 777) for counts in per_fold)
    assert "56 images show 27 pictures" in (real_folds / "printed.txt").read_text()


@pytest.mark.long
def test_real_copies_share_a_fold(real_folds: Path, real_data_dir: Path) -> None:
    fold = {item.id: item.fold for item in read_fold_list(real_folds / "folds.json", real_data_dir).training}
    for copies in report(real_folds)["duplicates"]["across_official_splits"]:
        assert len({fold[name] for name in copies}) == 1
    assert report(real_folds)["duplicates"]["in_test_and_training"] == []


def test_same_list_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_npz(tmp_path)
    prepare_dataset(small_card(), tmp_path, tmp_path / "lists" / "folds.json")
    before = (tmp_path / "lists" / "folds.json").stat().st_mtime_ns
    prepare_dataset(small_card(), tmp_path, tmp_path / "lists" / "folds.json")
    assert (tmp_path / "lists" / "folds.json").stat().st_mtime_ns == before
    assert "is there already, with the same folds" in capsys.readouterr().out


def test_other_list_is_replaced_only_when_asked(tmp_path: Path) -> None:
    write_npz(tmp_path)
    first = prepare_dataset(small_card(), tmp_path, tmp_path / "folds.json")
    with pytest.raises(UserError, match=r"folds\.json: holds other folds .*--overwrite True"):
        prepare_dataset(small_card(), tmp_path, tmp_path / "folds.json", seed=1)
    assert read_fold_list(tmp_path / "folds.json", tmp_path).digest == first.digest
    second = prepare_dataset(small_card(), tmp_path, tmp_path / "folds.json", seed=1, overwrite=True)
    assert read_fold_list(tmp_path / "folds.json", tmp_path).digest == second.digest != first.digest


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"val_labels": None}, "no array 'val_labels'"),
        ({"train_images": np.zeros((20, 8, 8), np.float32)}, r"train_images: has shape \(20, 8, 8\) of float32"),
        ({"test_images": np.zeros((0, 8, 8), np.uint8)}, "test_images: holds no images"),
        ({"train_images": np.zeros((20, 64), np.uint8)}, r"train_images: has shape \(20, 64\)"),
        ({"train_images": np.zeros((20, 9, 9), np.uint8)}, r"images are \(9, 9\), the card says 8"),
        ({"train_images": np.array([None] * 20)}, "holds Python objects"),
        ({"train_labels": np.zeros((20, 14), np.uint8)}, r"train_labels: has shape \(20, 14\) of uint8"),
        ({"train_labels": np.zeros((19, 1), np.uint8)}, r"train_labels: has shape \(19, 1\)"),
        ({"train_labels": np.zeros((20, 1), np.float64)}, "float64, expected"),
        ({"test_labels": np.full((8, 1), 2, np.uint8)}, r"test_labels\[0\]: is 2, the card has the labels 0 to 1"),
        ({"test_labels": np.full((8, 1), -1, np.int8)}, r"test_labels\[0\]: is -1"),
        ({"train_images": np.zeros((20, 8, 8, 3), np.uint8) + np.arange(3, dtype=np.uint8)}, "is a color image"),
    ],
)
def test_wrong_npz_is_one_clear_error(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    write_npz(tmp_path, **changes)
    with pytest.raises(UserError, match=said) as caught:
        prepare_dataset(small_card(), tmp_path, tmp_path / "folds.json")
    assert "mini.npz" in str(caught.value)
    assert not (tmp_path / "folds.json").exists()


def test_truncated_npz_is_one_clear_error(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match=r"mini\.npz: is not a complete npz file"):
        prepare_dataset(small_card(), tmp_path, tmp_path / "folds.json")


def test_npz_with_another_checksum_is_an_error(tmp_path: Path) -> None:
    write_npz(tmp_path)
    with pytest.raises(UserError, match=r"mini\.npz: MD5 is .*, published is 0000"):
        prepare_dataset(small_card(files=[{"path": "mini.npz", "md5": "0" * 32}]), tmp_path, tmp_path / "folds.json")


def test_an_allowed_checksum_is_recorded(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    card = small_card(files=[{"path": "mini.npz", "md5": "0" * 32}])
    prepare_dataset(card, tmp_path, tmp_path / "folds.json", allow_checksum_mismatch=True)
    recorded = read_fold_list(tmp_path / "folds.json", tmp_path).checksum_mismatch
    assert recorded == (f"mini.npz: MD5 is {md5(path)}, published is {'0' * 32}",)
    assert report(tmp_path)["checksum_mismatch"] == list(recorded)


def test_a_published_checksum_leaves_no_record(tmp_path: Path) -> None:
    card = small_card(files=[{"path": "mini.npz", "md5": md5(write_npz(tmp_path))}])
    made = prepare_dataset(card, tmp_path, tmp_path / "folds.json", allow_checksum_mismatch=True)
    assert made.checksum_mismatch == ()


def test_counts_that_differ_are_printed_and_refused(tmp_path: Path) -> None:
    write_npz(tmp_path, val_images=npz_content()["val_images"][:4], val_labels=npz_content()["val_labels"][:4])
    with pytest.raises(
        UserError, match=r"validation, images: expected 10, found 4\n.*validation, cat: expected 5, found"
    ):
        prepare_dataset(small_card(), tmp_path, tmp_path / "folds.json")


def test_allowed_counts_are_recorded(tmp_path: Path) -> None:
    write_npz(tmp_path, val_images=npz_content()["val_images"][:4], val_labels=npz_content()["val_labels"][:4])
    prepare_dataset(small_card(), tmp_path, tmp_path / "folds.json", allow_count_mismatch=True)
    recorded = read_fold_list(tmp_path / "folds.json", tmp_path).count_mismatch
    assert recorded[0] == "validation, images: expected 10, found 4"
    assert report(tmp_path)["count_mismatch"] == list(recorded)


def test_largest_images_are_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    large = {
        f"{split}_images": np.kron(npz_content()[f"{split}_images"], np.ones((1, 2, 2), np.uint8))
        for split in ("train", "val", "test")
    }
    write_npz(tmp_path)
    write_npz(tmp_path, "mini_16.npz", **large)
    card = small_card(files=[{"path": "mini.npz", "image_size": 8}, {"path": "mini_16.npz", "image_size": 16}])
    made = prepare_dataset(card, tmp_path, tmp_path / "folds.json")
    assert made.sources[0].path == "mini_16.npz"
    assert f"data: {tmp_path / 'mini_16.npz'}" in capsys.readouterr().out
    chosen = prepare_dataset(card, tmp_path, tmp_path / "small.json", source_file="mini.npz")
    assert chosen.sources[0].path == "mini.npz"


def test_source_file_that_the_card_does_not_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"source_file: the card of mini lists mini\.npz; found 'other\.npz'"):
        prepare_dataset(small_card(), tmp_path, tmp_path / "folds.json", source_file="other.npz")


def test_missing_file_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "served").mkdir()
    path = write_npz(tmp_path / "served")
    handler = partial(SimpleHTTPRequestHandler, directory=str(path.parent))
    with LocalServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        url = f"http://127.0.0.1:{server.server_port}/mini.npz"
        card = small_card(files=[{"path": "mini.npz", "url": url, "md5": md5(path)}])
        prepare_dataset(card, tmp_path / "data", tmp_path / "folds.json")
        server.shutdown()
    assert (tmp_path / "data" / "mini.npz").read_bytes() == path.read_bytes()


def test_missing_file_without_a_link_says_how_to_obtain_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mini\.npz: does not exist\. Ask nobody\."):
        prepare_dataset(small_card(), tmp_path, tmp_path / "folds.json")


def test_nothing_is_downloaded_when_told_not_to(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pneumoniamnist\.npz: does not exist\. Download pneumoniamnist"):
        prepare_dataset(
            load_card(LISTS / "pneumoniamnist" / "card.json"), tmp_path, tmp_path / "f.json", download=False
        )
    assert list(tmp_path.iterdir()) == []


def test_list_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    write_npz(tmp_path)
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(UserError, match="cannot write"):
        prepare_dataset(small_card(), tmp_path, tmp_path / "occupied" / "folds.json")


def test_folder_for_the_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data_list: .* is a folder; give the file to write"):
        prepare_dataset(small_card(), tmp_path, tmp_path)


def test_several_labels_for_one_image(tmp_path: Path) -> None:
    labels = np.array([[i % 2, i // 2 % 2] for i in range(20)], np.uint8)
    write_npz(tmp_path, train_labels=labels, val_labels=labels[:10], test_labels=labels[:8])
    made = prepare_dataset(small_card(task="multi-label", expected_counts={}), tmp_path, tmp_path / "folds.json")
    again = read_fold_list(tmp_path / "folds.json", tmp_path)
    assert again == made
    assert again.training[1].label == (1, 0)
    part = again.parts(0)["validation"]
    assert part[0]["label"].shape == (2,)
    assert {tuple(np.unique([item["label"][k] for item in part])) for k in range(2)} == {(0, 1)}


def test_near_duplicates_are_reported_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = draw_classes(tmp_path / "data")
    pixels = np.asarray(Image.open(data / "cat" / "3.png")).copy()
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(data / "dog" / "nearly.png")
    prepare_dataset(folder_card(), data, tmp_path / "folds.json", num_folds=2, near_duplicates=True)
    assert report(tmp_path)["near_duplicates"]["pairs"] == 1
    assert "1 pairs of nearly the same pictures have different labels" in capsys.readouterr().out


def test_groups_of_patients_are_numbered_and_never_named(tmp_path: Path) -> None:
    for label, name in enumerate(("cat", "dog")):
        for index in range(6):
            draw(tmp_path / "data" / name / f"Mustermann{index // 2}_{index}.png", 100 * label + index)
    card = folder_card(layout={"kind": "folders", "group_pattern": r"^([A-Za-z]+\d)_"})
    made = prepare_dataset(card, tmp_path / "data", tmp_path / "folds.json", num_folds=3)
    assert {item.group for item in made.training} == {"group-00000", "group-00001", "group-00002"}
    assert report(tmp_path)["groups_across_classes"] == 3
    assert "Mustermann" not in (tmp_path / "prepare_report.json").read_text()


def test_a_bundle_that_reads_otherwise_than_prepare_is_an_error(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    prepare_dataset(folder_card(), data, tmp_path / "folds.json", num_folds=2)
    read_fold_list(tmp_path / "folds.json", data, reading={"channels": 1, "spatial_dims": 2})
    with pytest.raises(UserError, match=r"was prepared with reading .* generate the bundle again from its card"):
        read_fold_list(tmp_path / "folds.json", data, reading={"channels": 1, "spatial_dims": 2, "clip": True})


def test_what_is_asked_for_later_is_written_too(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    prepare_dataset(folder_card(), data, tmp_path / "folds.json", num_folds=2)
    prepare_dataset(folder_card(), data, tmp_path / "folds.json", num_folds=2, near_duplicates=True, allow_links=True)
    assert report(tmp_path)["near_duplicates"] is not None
    assert read_fold_list(tmp_path / "folds.json", data).allow_links


def test_an_official_test_set_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    draw_classes(tmp_path / "data")
    rows = "".join(f"{name}/{index}.png,{name},train\n" for name in ("cat", "dog") for index in range(10))
    (tmp_path / "data" / "labels.csv").write_text("file,kind,set\n" + rows)
    columns = {"image_column": "file", "label_column": "kind", "split_column": "set"}
    splits = {"split_values": {"train": "train", "test": "test"}}
    card = folder_card(layout={"kind": "table", "path": "labels.csv", **columns, **splits})
    with pytest.raises(UserError, match="has an official test set, but no image of it was found"):
        prepare_dataset(card, tmp_path / "data", tmp_path / "folds.json", num_folds=2)
