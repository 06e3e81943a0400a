"""Explanations of the phantom's run and of its package: files, the page, going on, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medmamba_monai.cli.main import main
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.explanations import explain
from medmamba_monai.explanations.folder import ExplanationFolder

OPTIONS = ["--most", "12", "--fold", "0", "--resamples", "100", "--device", "cpu"]
METHODS = ["--method", "scan_relevance", "--method", "grad_cam"]


@pytest.fixture(scope="module")
def run(cross_validated: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A copy of the run, whose maps were judged."""
    folder = RunFolder(tmp_path_factory.mktemp("explanations") / "output")
    shutil.copytree(cross_validated / "output", folder.path, ignore=shutil.ignore_patterns("checkpoints", "figures"))
    assert main(["explain", str(folder.path), "--judge", *METHODS, *OPTIONS]) == 0
    return folder


@pytest.fixture(scope="module")
def folder(run: RunFolder) -> ExplanationFolder:
    return ExplanationFolder(run.explanations)


def judgement(folder: ExplanationFolder) -> dict:
    return json.loads(folder.judgement.read_text(encoding="utf-8"))


def test_each_image_has_a_map_by_each_method_and_a_picture(folder: ExplanationFolder) -> None:
    pictures = sorted(path.stem for path in (folder.path / "overlays").iterdir())
    assert len(pictures) == 12
    for method in ("scan_relevance", "grad_cam", "random", "edges"):
        assert sorted(path.stem for path in (folder.path / "maps" / method).iterdir()) == pictures
        assert np.load(folder.map(method, pictures[0])).shape == (32, 32)
    lines = folder.images.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "id,file"
    assert all(line.split(",")[1].startswith("test/") for line in lines[1:])


def test_methods_are_judged_beside_floors_by_every_criterion(folder: ExplanationFolder) -> None:
    found = judgement(folder)
    assert set(found["criteria"]) == {"deletion", "insertion", "pointing", "randomization"}
    assert found["units"] == "images"
    for verdict in found["criteria"].values():
        assert verdict["images"] == 12
        assert set(verdict["methods"]) == {"scan_relevance", "grad_cam", "random", "edges"}
    shuffled = found["randomization"]
    assert shuffled["edges"]["ranks"] == pytest.approx([1, 1, 1])
    assert shuffled["scan_relevance"]["ranks"][-1] < 0.9


def test_hits_are_counted_of_all_images_and_of_those_that_the_network_gets_right(folder: ExplanationFolder) -> None:
    found = judgement(folder)
    counts, page = found["pointing"], folder.report.read_text(encoding="utf-8")
    assert counts["images"] == 12
    assert 0 < counts["chance"] < 0.2
    assert 0 <= counts["recognized"] <= 12
    for name, hits in counts["hits"].items():
        assert hits == pytest.approx(12 * found["criteria"]["pointing"]["methods"][name]["mean"])
        assert counts["hits_of_recognized"][name] <= min(hits, counts["recognized"])
    assert f"of the {counts['recognized']} recognized" in page
    assert f"Findings cover {100 * counts['chance']:.1f} % of an image" in page


def test_the_page_says_who_won_and_whether_that_is_shown(folder: ExplanationFolder) -> None:
    page = folder.report.read_text(encoding="utf-8")
    assert "Explanations of output on Phantom" in page
    for title in ("Deletion", "Insertion", "Pointing game", "Randomization"):
        assert f"{title}: " in page
    assert "shown to be better than" in page
    assert page.count("data:image/png") == 1


@pytest.mark.long
def test_what_was_drawn_and_judged_is_not_done_twice(run: RunFolder, folder: ExplanationFolder) -> None:
    kept = [folder.values("grad_cam"), next((folder.path / "maps" / "grad_cam").iterdir())]
    before = [path.stat().st_mtime_ns for path in kept]
    assert main(["explain", str(run.path), "--judge", "--method", "grad_cam", *OPTIONS]) == 0
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert set(judgement(folder)["criteria"]["deletion"]["methods"]) == {"grad_cam", "random", "edges"}


def test_maps_of_other_images_do_not_mix_with_those_that_are_there(run: RunFolder) -> None:
    with pytest.raises(UserError, match=r"holds maps of other images, of another run .*; choose another folder"):
        explain(run.path, most=6, fold=0)


@pytest.mark.long
def test_a_package_explains_a_folder_and_points_into_masks(packed: Path, small_bundle, tmp_path: Path) -> None:
    images, masks = small_bundle.dataset_dir / "test" / "nodule", tmp_path / "masks"
    masks.mkdir()
    names = sorted(path.name for path in images.iterdir())[:10]
    for name in names:
        Image.fromarray(np.full((32, 32), 255, np.uint8)).save(masks / name)
    page = explain(packed, ["grad_cam"], True, images, masks, tmp_path / "output", most=10, resamples=100)
    found = json.loads((page.parent / "judgement.json").read_text(encoding="utf-8"))
    assert found["criteria"]["pointing"]["methods"]["grad_cam"]["mean"] == 1
    assert found["criteria"]["deletion"]["images"] == 10
    assert (found["pointing"]["chance"], found["pointing"]["recognized"]) == (1, None)


def test_masks_must_be_named_and_sized_like_the_images(packed: Path, small_bundle, tmp_path: Path) -> None:
    images, masks = small_bundle.dataset_dir / "test" / "nodule", tmp_path / "masks"
    masks.mkdir()
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(masks / "other.png")
    with pytest.raises(UserError, match=r"--masks .*: no mask is named like one of the 10 images"):
        explain(packed, images=images, masks=masks, output=tmp_path / "output")
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(masks / next(images.iterdir()).name)
    with pytest.raises(UserError, match=r"is \(16, 16\), and its image \(32, 32\)"):
        explain(packed, images=images, masks=masks, output=tmp_path / "output")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"methods": ["lime"]},
            "--method lime: does not exist; choose from all, scan_relevance, positive_relevance, grad_cam",
        ),
        ({"most": 0}, "--most 0: give a whole number from 1"),
        ({"judge": True, "resamples": 99}, "--resamples 99, of the bootstrap: give a whole number from 100"),
        ({"masks": "nowhere"}, "--masks nowhere: there is no such folder"),
        ({"images": "nowhere", "output": "new"}, "--images nowhere: there is no such folder"),
        ({"images": __file__, "output": "new"}, "--images .*py: is a file; give a folder of images"),
        ({"fold": 7}, "fold 7 has not finished, or there is none"),
        ({"images": "pictures"}, "--output: is missing"),
    ],
)
def test_wrong_options_are_refused(run: RunFolder, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        explain(run.path, **options)


def test_a_package_needs_images_and_has_one_way_to_judge_them(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--images: is missing; .* is a package"):
        explain(packed)
    with pytest.raises(UserError, match="--fold 0: is an option of runs"):
        explain(packed, images=tmp_path, output=tmp_path, fold=0)
