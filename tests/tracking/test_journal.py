from __future__ import annotations

import json

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.tracking.dataset import RunDataset
from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.journal_file import read_lines


def operations(journal: Journal) -> list[str]:
    return [line["op"] for line in read_lines(journal.path)]


def test_everything_logged_stands_in_the_file_in_order(tmp_path):
    journal = Journal(tmp_path)
    journal.start("fold 0", parent="..")
    journal.log_params({"epochs": 5})
    journal.log_metrics({"train/loss": 0.5}, step=1)
    journal.log_artifact(tmp_path / "figures" / "a.png", "figures")
    journal.set_status("FINISHED")
    assert operations(journal) == ["start", "status", "params", "metrics", "artifact", "status"]
    assert read_lines(journal.path)[4]["path"] == "figures/a.png"


def test_a_repeated_epoch_is_not_logged_twice_also_by_another_process(tmp_path):
    Journal(tmp_path).log_metrics({"train/loss": 0.5}, step=1)
    journal = Journal(tmp_path)
    journal.log_metrics({"train/loss": 0.5}, step=1)
    journal.log_metrics({"train/loss": 0.4}, step=2)
    assert [line["step"] for line in read_lines(journal.path)] == [1, 2]


def test_a_changed_parameter_becomes_a_tag(tmp_path):
    Journal(tmp_path).log_params({"epochs": 5})
    journal = Journal(tmp_path)
    journal.log_params({"epochs": 8, "seed": 0})
    assert read_lines(journal.path)[1]["values"] == {"seed": "0"}
    assert read_lines(journal.path)[2]["values"] == {"changed.epochs": "8"}


def test_a_line_cut_off_by_a_crash_is_dropped(tmp_path):
    Journal(tmp_path).log_metrics({"a": 1.0}, step=1)
    path = tmp_path / "tracking.jsonl"
    path.write_bytes(path.read_bytes() + b'{"op": "metr')
    journal = Journal(tmp_path)
    journal.log_metrics({"a": 2.0}, step=2)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_run_that_goes_on_keeps_its_start(tmp_path):
    Journal(tmp_path).start("fold 0")
    journal = Journal(tmp_path)
    journal.set_status("KILLED")
    journal.start("fold 0")
    assert operations(journal) == ["start", "status", "status", "status"]
    assert journal.status == "RUNNING"


def test_a_run_begun_afresh_knows_nothing_of_the_first(tmp_path):
    first = Journal(tmp_path)
    first.start("fold 0")
    first.log_params({"epochs": 5})
    first.log_metrics({"train/loss": 0.5}, step=1)
    journal = Journal(tmp_path)
    journal.start("fold 0", afresh=True)
    journal.log_params({"epochs": 8})
    journal.log_metrics({"train/loss": 0.7}, step=1)
    assert operations(journal) == ["start", "status", "params", "metrics"] * 2
    assert Journal(tmp_path).find_last_step("train/") == 1


def test_numbers_about_a_run_are_replaced(tmp_path):
    journal = Journal(tmp_path)
    journal.log_summary({"test/auc": 0.8, "test/f1": 0.7})
    journal.log_summary({"test/auc": 0.9, "test/f1": 0.7})
    assert [line["values"] for line in read_lines(journal.path)] == [
        {"test/auc": 0.8, "test/f1": 0.7},
        {"test/auc": 0.9},
    ]


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*tracking\.jsonl"):
        Journal(tmp_path / "file").log_params({"a": 1})


def test_the_dataset_is_logged_once_a_run(tmp_path):
    for _ in range(2):
        Journal(tmp_path).log_dataset(RunDataset("phantom", "abc"))
    journal = Journal(tmp_path)
    assert operations(journal) == ["dataset"]
    journal.start("another", afresh=True)
    journal.log_dataset(RunDataset("phantom", "abc"))
    assert operations(journal) == ["dataset", "start", "status", "dataset"]


def test_a_journal_that_is_only_described_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "tracking.jsonl"
    path.write_bytes(b'{"op": "metr')
    Journal(tmp_path)
    assert path.read_bytes() == b'{"op": "metr'


def test_the_last_step_is_found(tmp_path):
    journal = Journal(tmp_path)
    assert journal.find_last_step("system/") == -1
    journal.log_metrics({"system/cpu": 1.0}, step=4)
    assert journal.find_last_step("system/") == 4
