from __future__ import annotations

import pytest

from medmamba_monai.bundle import demo
from medmamba_monai.cli.main import main


@pytest.mark.parametrize("below", ["", "pneumoniamnist"])
def test_the_dataset_is_found_where_the_environment_says(tmp_path, monkeypatch, capsys, below):
    (tmp_path / "pneumoniamnist").mkdir()
    (tmp_path / below / "pneumoniamnist.npz").write_bytes(b"")
    monkeypatch.setenv("MEDMAMBA_DATA_DIR", str(tmp_path))
    assert demo.find_dataset(tmp_path / "elsewhere") == ("pneumoniamnist", tmp_path / below)
    assert "real chest X-rays" in capsys.readouterr().out


def test_without_data_and_connection_it_says_that_the_images_are_generated(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MEDMAMBA_DATA_DIR", raising=False)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    name, folder = demo.find_dataset(tmp_path)
    assert name == "phantom"
    assert len(list(folder.rglob("*.png"))) == 800
    assert "GENERATED phantom dataset" in capsys.readouterr().out


def test_the_downloaded_file_is_the_small_one():
    assert demo._smallest_file().bytes == 4170669


@pytest.mark.parametrize(
    ("name", "advice"),
    [("resnet81", "did you mean resnet18?"), ("attention_mil", "known are "), ("x", "known are convnext_b, ")],
)
def test_a_network_that_does_not_exist_is_refused_before_data_are_looked_for(
    tmp_path, monkeypatch, capsys, name, advice
):
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--network", name]) == 2
    caught = capsys.readouterr()
    assert caught.out == ""
    assert f"error: --network {name}: there is no such network of images; {advice}" in caught.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_damaged_data_are_one_clear_error(tmp_path, monkeypatch, capsys):
    (tmp_path / "pneumoniamnist.npz").write_bytes(b"not a zip")
    monkeypatch.setenv("MEDMAMBA_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 2
    assert "pneumoniamnist.npz" in capsys.readouterr().err
