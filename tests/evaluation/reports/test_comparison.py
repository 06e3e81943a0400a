"""A comparison as files, as a reader finds them."""

from __future__ import annotations

import json

import pytest

from medmamba_monai.evaluation.reports.comparison import (
    format_comparison_markdown,
    format_comparison_text,
    write_comparison,
)
from medmamba_monai.evaluation.reports.comparison_tables import write_sentences
from medmamba_monai.evaluation.reports.published import Published
from medmamba_monai.evaluation.results.comparison import Comparison, Model, compare
from tests.helpers.predicted_folds import predicted_folds

NAMES = ("Med|Mamba <b>", "$ResNet$ & 18")


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    models = [
        Model(name, [predicted_folds("binary", skill=2 - seed, seed=10 * seed)]) for seed, name in enumerate(NAMES)
    ]
    return compare(models, resamples=300)


def test_the_files_say_the_same(comparison, tmp_path):
    report, table, content, png, svg = write_comparison(tmp_path, comparison, "Chest", "medmamba-monai compare a b")
    assert [path.name for path in (report, table, content)] == ["report.html", "comparison.md", "comparison.json"]
    assert (png, svg) == (tmp_path / "figures" / "comparison.png", tmp_path / "figures" / "comparison.svg")
    said = write_sentences(comparison)
    assert json.loads(content.read_text())["sentences"] == said
    assert all(f"- {text}" in table.read_text() for text in said)
    html = report.read_text()
    assert html.count("Med|Mamba &lt;b&gt; ") >= len(said)
    assert "<b> " not in html
    assert "medmamba-monai compare a b" in html
    assert "data:image/svg+xml" in html


def test_published_results_stand_in_the_report(comparison, tmp_path):
    published = [Published("AutoKeras", accuracy=0.878, auc=0.947, source="a paper, table 3")]
    page = write_comparison(tmp_path, comparison, "Chest", "", published)[0].read_text()
    assert "AutoKeras [1]" in page
    assert "[1] a paper, table 3" in page


def test_the_result_comes_first_in_the_note(comparison):
    assert format_comparison_markdown(comparison).startswith(f"- {write_sentences(comparison)[0]}")


def test_the_note_has_a_table_for_the_models_and_two_for_the_pair(comparison):
    markdown = format_comparison_markdown(comparison)
    assert markdown.count("| --- |") == 3
    assert r"Med\|Mamba" in markdown


def test_the_terminal_shows_lines_of_a_hundred_letters(comparison):
    text = format_comparison_text(comparison)
    told = text[text.index("AUC: Med") :]
    assert max(map(len, told.splitlines())) <= 100
    assert " ".join(told.split()).startswith(write_sentences(comparison)[0])
