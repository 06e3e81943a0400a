"""The tables say what NumPy says, and an unfinished cross-validation says that it is one."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.catalogue import METRICS
from medmamba_monai.evaluation.reports.note import PROTOCOLS, RunDescription, format_note
from medmamba_monai.evaluation.reports.summary_tables import (
    format_summary_csv,
    format_summary_markdown,
    format_summary_text,
)
from medmamba_monai.evaluation.results.summary import Summary


def values(seed: int) -> dict[str, float]:
    return dict(zip(METRICS, np.random.default_rng(seed).uniform(0.5, 1, len(METRICS)).tolist(), strict=True))


def complete() -> Summary:
    return Summary("test", 5, {fold: values(fold) for fold in range(5)}, combined=values(9))


def incomplete() -> Summary:
    return Summary("test", 5, {0: values(0), 2: values(2), 3: values(3)}, reasons={1: "NaN loss in epoch 4"})


def description(**changes: object) -> RunDescription:
    content: dict[str, object] = {
        "title": "PneumoniaMNIST, five folds",
        "dataset": "PneumoniaMNIST: 5,856 chest X-rays of children.",
        "protocol": "official-test",
        "command": "python -m monai.bundle run cross_validation --epochs 3",
        "details": {"seed": 0, "image size": "64 x 64"},
        "versions": {"torch": "2.13.0", "monai": "1.6.1"},
        "known_problems": ["No patient is known.", "Labels of one reader."],
    }
    return RunDescription(**(content | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("summary", [complete(), incomplete()])
def test_mean_and_standard_deviation_are_those_of_the_finished_folds(summary: Summary) -> None:
    for name in METRICS:
        column = [found[name] for found in summary.folds.values()]
        assert summary.mean[name] == pytest.approx(np.mean(column), rel=0, abs=1e-12)
        assert summary.standard_deviation[name] == pytest.approx(np.std(column, ddof=1), rel=0, abs=1e-12)


def test_one_fold_has_no_standard_deviation() -> None:
    summary = Summary("test", 5, {3: values(3)})
    assert summary.mean == pytest.approx(values(3))
    assert summary.standard_deviation == {}


def test_text_table_has_a_line_for_each_row() -> None:
    names = [line.split("  ")[0] for line in format_summary_text(complete()).splitlines()]
    assert names[0] == "test"
    assert names[2:10] == ["fold 0", "fold 1", "fold 2", "fold 3", "fold 4", "mean", "std", "ensemble"]


def test_text_table_shows_percent_and_auc_as_a_fraction() -> None:
    line = next(line for line in format_summary_text(complete()).splitlines() if line.startswith("fold 2"))
    found = values(2)
    assert line.split()[2:] == [*(f"{100 * found[name]:.2f}" for name in METRICS[:-1]), f"{found['auc']:.4f}"]


@pytest.mark.parametrize("summary", [complete(), incomplete(), Summary("validation", 5, {})])
def test_text_table_fits_a_terminal_of_80_columns(summary: Summary) -> None:
    assert max(map(len, format_summary_text(summary).splitlines())) <= 80


def test_columns_of_the_text_table_are_aligned() -> None:
    perfect = Summary("test", 2, {0: dict.fromkeys(METRICS, 1.0), 1: dict.fromkeys(METRICS, 0.05)})
    header, _, first, second, *_ = format_summary_text(perfect).splitlines()
    start = header.index("precision")
    assert first[start : start + 6] == "100.00"
    assert second[start : start + 6] == "  5.00"


def test_the_kind_of_standard_deviation_is_said() -> None:
    assert "sample standard deviation (n - 1) over 5 folds" in " ".join(format_summary_text(complete()).split())


def test_several_labels_are_said_to_be_averaged_over_labels() -> None:
    several = " ".join(format_summary_text(Summary("test", 1, {0: values(0)}, task="multi-label")).split())
    assert "share of right answers over all images and labels" in several
    assert "macro averages over the classes" not in several


def test_missing_folds_are_named_with_their_reason() -> None:
    text = " ".join(format_summary_text(incomplete()).split())
    assert "INCOMPLETE: 3 of 5 folds finished, all figures are of these alone." in text
    assert "Missing: fold 1 (NaN loss in epoch 4), fold 4." in text
    assert "INCOMPLETE" not in format_summary_text(complete())


def test_no_finished_fold_gives_no_figure() -> None:
    text = format_summary_text(Summary("test", 3, {}))
    assert "0 of 3 folds finished, there are no figures" in text
    assert not any(digit in line for line in text.splitlines()[2:7] for digit in ("0.0", "nan"))


def test_markdown_rows_all_have_the_same_cells() -> None:
    rows = [line for line in format_summary_markdown(complete()).splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {len(METRICS) + 2}
    assert [row.split(" | ")[0] for row in rows[-3:]] == ["| mean", "| std", "| ensemble"]


def test_markdown_shows_what_the_text_table_shows() -> None:
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in format_summary_markdown(complete()).splitlines()[2:10]
    ]
    lines = [line.replace("fold ", "fold_").split() for line in format_summary_text(complete()).splitlines()[2:10]]
    assert [[row[0].replace(" ", "_"), *row[1:]] for row in rows] == lines


def test_a_bar_in_a_name_does_not_break_the_markdown_table() -> None:
    assert r"| test \| frontal |" in format_summary_markdown(Summary("test | frontal", 1, {0: values(0)}))


def test_csv_keeps_every_digit() -> None:
    rows = {row["test"]: row for row in csv.DictReader(io.StringIO(format_summary_csv(complete())))}
    assert [float(rows["fold 3"][name]) for name in METRICS] == list(values(3).values())
    assert float(rows["std"]["auc"]) == complete().standard_deviation["auc"]
    assert float(rows["ensemble"]["f1"]) == values(9)["f1"]


def test_csv_leaves_missing_folds_empty() -> None:
    rows = {row["test"]: row for row in csv.DictReader(io.StringIO(format_summary_csv(incomplete())))}
    assert set(rows["fold 1"].values()) == {"fold 1", ""}
    assert "ensemble" not in rows


def test_note_holds_everything_a_reviewer_asks_for() -> None:
    text = format_note(description(), [complete(), incomplete()])
    for part in ("**PneumoniaMNIST, five folds**", "5,856 chest X-rays", "- No patient is known.", "- seed: 0"):
        assert part in text
    assert "```\npython -m monai.bundle run cross_validation --epochs 3\n```" in text
    assert "- versions: torch 2.13.0, monai 1.6.1" in text
    assert text.count("\nmean  ") == 2


def test_headline_tells_accuracy_and_auc_with_their_spread() -> None:
    summary = Summary("test", 2, {0: dict.fromkeys(METRICS, 0.5), 1: dict.fromkeys(METRICS, 1.0)}, values(9))
    assert summary.headline.startswith("test: accuracy 75.00 ± 35.36 %, AUC 0.7500 ± 0.3536; ensemble: ")
    assert summary.headline.endswith("(2 of 2 folds).")


def test_headline_of_one_fold_has_no_spread_and_of_none_no_figure() -> None:
    one = Summary("test", 5, {0: dict.fromkeys(METRICS, 0.5)})
    assert one.headline == "test: accuracy 50.00 %, AUC 0.5000 (1 of 5 folds)."
    assert Summary("test", 5, {}).headline == "test: no results yet, 0 of 5 folds finished."


def test_the_result_stands_in_the_first_lines_of_the_note() -> None:
    assert complete().headline in format_note(description(), [complete()]).splitlines()[:6]


@pytest.mark.parametrize(
    ("protocol", "sentence"),
    [
        ("official-test", "The official test set was set aside."),
        ("hold-out", "Before the folds were made, a part of the images was drawn as a test set"),
        ("cross-validation", "There is no official test set."),
    ],
)
def test_note_says_what_was_evaluated_on_what(protocol: str, sentence: str) -> None:
    text = format_note(description(protocol=protocol), [complete()])
    assert sentence in text
    assert "5 stratified folds" in text
    assert "{" not in text


def test_note_without_known_problems_says_so() -> None:
    assert "None is recorded" in format_note(description(known_problems=[]), [complete()])


def test_note_of_an_unfinished_run_says_so() -> None:
    assert "INCOMPLETE: 3 of 5 folds" in format_note(description(), [incomplete()])


def test_unknown_protocols_and_empty_notes_are_refused() -> None:
    with pytest.raises(UserError, match=f"unknown protocol 'holdout': choose one of {', '.join(PROTOCOLS)}"):
        format_note(description(protocol="holdout"), [complete()])
    with pytest.raises(UserError, match="at least one evaluated part"):
        format_note(description(), [])


def test_impossible_summaries_are_refused() -> None:
    with pytest.raises(UserError, match="fold 5 does not exist: the 5 folds are 0 to 4"):
        Summary("test", 5, {5: values(0)})
    with pytest.raises(UserError, match="fold 1 has no 'auc'"):
        Summary("test", 5, {1: dict.fromkeys(METRICS[:-1], 1.0)})
    with pytest.raises(UserError, match="'f1' of the ensemble row is nan"):
        Summary("test", 5, {}, combined=values(0) | {"f1": float("nan")})
