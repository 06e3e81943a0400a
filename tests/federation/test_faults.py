"""Three sites of unlike size in processes of their own, of which one or all are killed, stand still or fail."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

pytest.importorskip("nvflare", reason="the extra federation is not installed")

import numpy as np
from safetensors.numpy import load_file

from medmamba_monai.federation import write_phantom_sites
from medmamba_monai.federation.progress import Progress
from tests.helpers.federation_process import FederationProcess, count_rounds, read_results
from tests.helpers.minutes import takes_minutes

SITES = ("site_1", "site_2", "site_3")
SIZES, NODULES = (60, 40, 24), (30, 10, 5)

pytestmark = [takes_minutes, pytest.mark.slow, pytest.mark.timeout(3000)]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sites that no federation has worked at; the last one has one nodule in each fold."""
    folder = write_phantom_sites(tmp_path_factory.mktemp("three") / "sites", 3, SIZES, 20, 32, nodules=NODULES)
    for name in SITES:
        path = folder / f"{name}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "device": "cpu"}))
    return folder


@pytest.fixture(scope="module")
def undisturbed(sites: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(sites, folder / "sites")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        code, text = FederationProcess(folder).wait()
    assert code == 0, text[-3000:]
    return folder


@pytest.fixture
def folder(sites: Path, tmp_path: Path) -> Path:
    shutil.copytree(sites, tmp_path / "sites")
    return tmp_path


def read_progress(folder: Path) -> Progress:
    return Progress.read(folder / "output" / "federation" / "fold_0" / "progress.safetensors")


def read_network(folder: Path, site: str) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = load_file(
        folder / "sites" / "output" / site / "federation" / "fold_0" / "model.safetensors"
    )
    return found


def check_same_end(folder: Path, undisturbed: Path) -> None:
    """The server's weights, each site's network and all figures are those of a federation that was not disturbed."""
    assert read_results(folder)["folds"] == read_results(undisturbed)["folds"]
    ends = [read_progress(place) for place in (folder, undisturbed)]
    assert all(np.array_equal(ends[0].weights[name], value) for name, value in ends[1].weights.items())
    for site in SITES:
        networks = [read_network(place, site) for place in (folder, undisturbed)]
        assert all(np.array_equal(networks[0][name], value) for name, value in networks[1].items())


def test_three_sites_of_unlike_size_and_balance_train_one_network(undisturbed):
    content = read_results(undisturbed)
    counts = {site: content["sites"][site]["images"]["train"][0] for site in SITES}
    assert counts == {"site_1": 48, "site_2": 24, "site_3": 13}
    (fold,) = content["folds"].values()
    assert [sorted(entry["sites"]) for entry in fold["rounds"]] == [list(SITES)] * 3
    for entry in fold["rounds"]:
        losses = [entry["sites"][site]["train_loss"] for site in SITES]
        assert entry["mean"]["train_loss"] == pytest.approx(np.average(losses, weights=list(counts.values())))
    networks = [read_network(undisturbed, site) for site in SITES]
    kept = read_progress(undisturbed).kept
    assert kept is not None
    assert all(np.array_equal(network[name], value) for network in networks for name, value in kept.items())


WAYS = pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stands still"])
"""In which a site is gone for good."""


@WAYS
def test_a_site_that_is_gone_is_missed_and_the_others_go_on(folder, way):
    process = FederationProcess(folder, "--min-sites", "2", "--lost-after", "15")
    process.wait_until(lambda content: count_rounds(content) == 1)
    process.find_site("site_3").send_signal(way)
    code, text = process.wait()
    assert code == 0, text[-3000:]
    assert "missed site_3: fold 0 round 2 train, fold 0 round 2 validate" in text
    (fold,) = read_results(folder)["folds"].values()
    assert [sorted(entry["sites"]) for entry in fold["rounds"]] == [list(SITES), list(SITES[:2]), list(SITES[:2])]
    assert sorted(fold["test"]["sites"]) == list(SITES[:2])


@WAYS
def test_without_enough_sites_it_ends_with_one_error_and_the_same_command_goes_on(folder, undisturbed, way):
    process = FederationProcess(folder, "--lost-after", "15")
    process.wait_until(lambda content: count_rounds(content) == 1)
    process.find_site("site_2").send_signal(way)
    code, text = process.wait()
    assert code == 2
    assert "2 of 3 sites answered, needed are 3 (--min_sites): site site_2 is gone, with no sign of life for" in text
    assert "The same command goes on" in text
    assert read_progress(folder).number == 1
    code, text = FederationProcess(folder, "--lost-after", "15").wait()
    assert code == 0, text[-3000:]
    check_same_end(folder, undisturbed)


def test_a_server_that_is_killed_goes_on_to_the_same_end(folder, undisturbed):
    process = FederationProcess(folder)
    process.wait_until(lambda content: count_rounds(content) == 2)
    process.kill_all()
    code, text = FederationProcess(folder).wait()
    assert code == 0, text[-3000:]
    check_same_end(folder, undisturbed)
    code, text = FederationProcess(folder).wait()
    assert (code, text.count("mean of the sites")) == (0, 2)


def test_an_encrypted_federation_whose_server_is_killed_goes_on_to_nearly_the_same_end(folder, undisturbed):
    """Not without its key: it says so before it trains, and goes on when the key is back."""
    pytest.importorskip("tenseal", reason="the extra encryption is not installed")
    options = ("--privacy", "encryption")
    process = FederationProcess(folder, *options)
    process.wait_until(lambda content: count_rounds(content) == 2)
    process.kill_all()
    before, kept = read_results(folder)["folds"]["0"]["rounds"], read_progress(folder).number
    startup = folder / "output" / "federation" / "nvflare" / "federation" / "startup"
    startup.rename(folder / "startup")
    code, text = FederationProcess(folder, *options).wait()
    assert code == 2
    assert f"fold 0: the weights after round {kept} are encrypted with another key than the sites have now" in text
    assert read_progress(folder).number == kept
    shutil.rmtree(startup)
    (folder / "startup").rename(startup)
    code, text = FederationProcess(folder, *options).wait()
    assert code == 0, text[-3000:]
    fold, expected = (read_results(place)["folds"]["0"] for place in (folder, undisturbed))
    assert fold["rounds"][:kept] == before[:kept]
    assert [sorted(entry["sites"]) for entry in fold["rounds"]] == [list(SITES)] * 3
    for entry, same in zip(fold["rounds"], expected["rounds"], strict=True):
        losses = {name: same["mean"][name] for name in ("train_loss", "validation_loss")}
        assert {name: entry["mean"][name] for name in losses} == pytest.approx(losses, abs=1e-5)
    assert {value.dtype for value in read_progress(folder).weights.values()} == {np.dtype(np.uint8)}
    for site in SITES:
        one, other = (read_network(place, site) for place in (folder, undisturbed))
        trained = [name for name, value in other.items() if value.dtype.kind == "f"]
        assert all(np.allclose(one[name], other[name], rtol=0, atol=1e-5) for name in trained)


def test_a_federation_that_is_stopped_says_so_and_goes_on_to_the_same_end(folder, undisturbed):
    process = FederationProcess(folder)
    process.wait_until(lambda content: count_rounds(content) == 1)
    process.process.send_signal(signal.SIGINT)
    code, text = process.wait(60)
    assert code == 2
    assert "the federation did not finish: its server was stopped." in text
    code, text = FederationProcess(folder).wait()
    assert code == 0, text[-3000:]
    check_same_end(folder, undisturbed)


def list_silent(folder: Path) -> list[tuple[int, str]]:
    """Rounds and tasks in which the last site was missed, which is the only one that ever is."""
    silent = read_results(folder).get("silent", [])
    assert all(entry["sites"] == ["site_3"] for entry in silent)
    return [(entry["round"], entry["task"]) for entry in silent]


def test_a_site_that_stands_still_is_missed_and_takes_part_again(folder):
    process = FederationProcess(folder, "--min-sites", "2", "--lost-after", "10", "--rounds", "6")
    process.wait_until(lambda content: count_rounds(content) == 1)
    site = process.find_site("site_3")
    site.suspend()
    process.wait_until(lambda content: count_rounds(content) == 3)
    site.resume()
    code, text = process.wait()
    assert code == 0, text[-3000:]
    (fold,) = read_results(folder)["folds"].values()
    took_part = ["site_3" in entry["sites"] for entry in fold["rounds"]]
    assert took_part[0]
    assert not took_part[2]
    assert took_part[-1]


def test_a_site_that_takes_too_long_is_missed_and_asked_again(folder):
    process = FederationProcess(folder, "--min-sites", "2", "--timeout", "100", "--rounds", "5")
    process.wait_until(lambda content: count_rounds(content) == 1)
    site = process.find_site("site_3")
    site.suspend()
    process.wait_until(lambda content: "silent" in content and len(content["silent"]) == 1)
    site.resume()
    code, text = process.wait()
    assert code == 0, text[-3000:]
    missed = list_silent(folder)
    assert missed[0] in {(2, "train"), (2, "validate")}
    assert (5, "train") not in missed
    assert "site_3" in read_results(folder)["folds"]["0"]["test"]["sites"]


def test_a_site_that_fails_is_missed_in_that_round_and_asked_again(folder):
    process = FederationProcess(folder, "--min-sites", "2", "--rounds", "6")
    process.wait_until(lambda content: count_rounds(content) == 1)
    rounds = folder / "sites" / "output" / "site_3" / "federation" / "fold_0" / "rounds.json"
    rounds.rename(rounds.with_suffix(".kept"))
    rounds.mkdir()  # where the site must write
    process.wait_until(lambda content: bool(content["silent"]))
    rounds.rmdir()
    rounds.with_suffix(".kept").rename(rounds)
    code, text = process.wait()
    assert code == 0, text[-3000:]
    missed = list_silent(folder)
    assert {task for _, task in missed} == {"train"}
    assert 1 <= len(missed) <= 3
    (fold,) = read_results(folder)["folds"].values()
    assert "train_loss" in fold["rounds"][-1]["sites"]["site_3"]
