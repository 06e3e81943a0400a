"""``medmamba-monai auto`` up to its plan; what follows has tests of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medmamba_monai.auto import measure
from medmamba_monai.auto.plan import read_plan
from medmamba_monai.cli.auto import make_name, read_budget
from medmamba_monai.cli.main import main
from medmamba_monai.core.errors import UserError
from medmamba_monai.cross_validation.starting_weights import describe_starting_weights
from medmamba_monai.networks import build_network
from medmamba_monai.training import save_weights
from tests.helpers.prepared_folders import draw_classes

SIZES = {"depths": [1, 1, 2, 1], "channels": [32, 64, 128, 256]}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of images, in a folder to work in, where only the smallest network is measured."""
    monkeypatch.setattr(measure, "MEASURING_SHARE", 1e-6)
    monkeypatch.chdir(tmp_path)
    return draw_classes(tmp_path / "Two Kinds")


def test_a_plan_from_images_is_used_when_started_again(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--budget", "1h", "--classes", "dog", "cat", "--window", "100", "200"]
    assert main(["auto", "--images", str(quick), *given, "--plan-only"]) == 0
    said = capsys.readouterr().out
    assert "# Plan for" in said
    assert "wrote auto_two_kinds/plan.md" in said
    file = Path("auto_two_kinds", "plan.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"epochs": 7}))
    assert main(["auto", "--output", "auto_two_kinds", "--plan-only"]) == 0
    assert "is used as it stands" in capsys.readouterr().out
    assert read_plan(file.parent).epochs == 7
    card = json.loads((file.parent / "data_lists" / "two_kinds" / "card.json").read_text())
    assert (card["classes"][0]["name"], card["reading"]["window"]) == ("dog", [100, 200])


def test_images_of_others_do_not_go_on_with_a_plan_that_is_there(
    quick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--output", "found", "--plan-only"]
    assert main(["auto", "--images", str(quick), *given]) == 0
    moved = Path("moved", quick.name)
    draw_classes(moved)
    capsys.readouterr()
    assert main(["auto", "--images", str(moved), *given]) == 2
    assert f"found/plan.json is of 'two_kinds' in {quick}; give another --output" in capsys.readouterr().err
    assert main(["auto", "--bundle", "pneumoniamnist", *given]) == 2
    assert "--bundle pneumoniamnist: is of 'pneumoniamnist', and found/plan.json is of" in capsys.readouterr().err
    assert main(["auto", "--bundle", "found/bundles/two_kinds", *given]) == 0
    assert main(["auto", "--images", str(moved), "--dataset-dir", str(moved), *given]) == 0


def test_a_folder_of_something_else_is_refused(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["auto", "--images", str(quick), "--output", ".", "--plan-only"]) == 2
    assert "--output .: holds Two Kinds and no plan.json, so it is no folder of a search" in capsys.readouterr().err
    run = Path("old", "bundles", "two_kinds", "output", "first")
    run.mkdir(parents=True)
    assert main(["auto", "--images", str(quick), "--output", "old", "--plan-only"]) == 2
    assert "--output old: holds bundles/two_kinds/output/first and no plan.json" in capsys.readouterr().err


def test_a_size_that_is_asked_for_is_taken(quick: Path) -> None:
    assert main(["auto", "--images", str(quick), "--image-size", "40", "--output", "found", "--plan-only"]) == 0
    plan = read_plan(Path("found"))
    assert (plan.image_size, plan.reasons["image_size"]) == (40, "As it was asked for.")
    assert plan.budget_seconds == 7200


def test_a_wrong_line_of_the_plan_is_named(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["auto", "--images", str(quick), "--output", "found", "--plan-only"]) == 0
    file = Path("found", "plan.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"finalists": "two"}))
    capsys.readouterr()
    assert main(["auto", "--output", "found", "--plan-only"]) == 2
    assert "found/plan.json: finalists: Input should be a valid integer" in capsys.readouterr().err


def test_what_the_bundle_does_not_know_ends_before_anything_is_trained(
    quick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["auto", "--images", str(quick), "--output", "found", "--plan-only"]) == 0
    file = Path("found", "plan.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"recipe": "augmentd"}))
    assert main(["auto", "--output", "found"]) == 2
    assert "--recipe augmentd: did you mean augmented?" in capsys.readouterr().err
    assert not list(Path("found").glob("bundles/*/output/*/fold_*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give --images FOLDER or --bundle BUNDLE"),
        (["--plan", "other/plan.json"], "--plan other/plan.json: give --output, too"),
        (["--images", "a", "--bundle", "b"], "--images a, --bundle b: give one of them"),
        (["--output", "nothing"], "--output nothing: holds no plan.json; give --images or --bundle, too"),
        (["--bundle", "pneumonia", "--budget", "soon"], "--budget soon: give a number with s, m or h"),
        (["--bundle", "pneumonia"], "did you mean pneumoniamnist?"),
    ],
)
def test_what_is_missing_or_wrong_is_said(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["auto", *arguments, "--plan-only"]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("2H", 7200)])
def test_budgets(text: str, seconds: float) -> None:
    assert read_budget(text) == seconds


@pytest.mark.parametrize("text", ["0m", "-1h", "10", "h", "1d", "1e3s"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(UserError, match="--budget"):
        read_budget(text)


def test_names_of_datasets_come_from_folders() -> None:
    assert [make_name(Path(name)) for name in ("a/Chest CT (2024)", "data", "a/???")] == [
        "chest_ct_2024",
        "data",
        "images",
    ]


def test_with_starting_weights_the_plan_has_probes_and_says_whose_they_are(
    quick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_weights(build_network("medmamba", 2, 3, 2, 64, **SIZES), "weights.pt")
    given = ["--images", str(quick), "--pretrained", "weights.pt", "--output", "found"]
    assert main(["auto", *given, "--plan-only"]) == 0
    plan = read_plan(Path("found"))
    probes = [candidate.probe for candidate in plan.candidates if candidate.pretrained]
    assert probes == ["linear", "knn", None]
    assert plan.pretrained == describe_starting_weights("weights.pt", 5)
    assert f"**pretrained: {plan.pretrained}.** These weights fit MedMamba" in capsys.readouterr().out
    assert "weights.pt" not in Path("found", "plan.json").read_text()
    assert plan.pretrained_place == str(Path("weights.pt").absolute())
    (Path("moved")).mkdir()
    Path("weights.pt").rename("moved/weights.pt")
    assert main(["auto", "--output", "found", "--pretrained", "moved/weights.pt", "--plan-only"]) == 0
    assert read_plan(Path("found")).pretrained_place == str(Path("moved/weights.pt").absolute())
