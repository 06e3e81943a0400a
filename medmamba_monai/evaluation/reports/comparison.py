"""A comparison as files: a page, tables, JSON and a picture; and as text for the terminal and for MLflow's note."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from medmamba_monai.core.files import write_json, write_text
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation.figures.comparison import draw_comparison
from medmamba_monai.evaluation.figures.style import save_figure
from medmamba_monai.evaluation.reports.comparison_tables import (
    describe_comparison,
    explain_correction,
    explain_facts,
    make_differences_table,
    make_models_table,
    make_tests_table,
    write_sentences,
)
from medmamba_monai.evaluation.reports.page import Picture, Report, Section, write_report
from medmamba_monai.evaluation.reports.published import Own, Published, make_published_section
from medmamba_monai.evaluation.results.comparison import COMPARED, Comparison

_WIDTH = 100


def write_comparison(
    directory: Path, comparison: Comparison, dataset: str, command: str, published: Sequence[Published] = ()
) -> list[Path]:
    """Write ``report.html``, ``comparison.md``, ``comparison.json`` and ``figures/comparison.png`` and ``.svg``.

    Args:
        directory: folder of the files.
        comparison: what is written.
        dataset: that the models were trained on, for the title.
        command: that makes the comparison again.
        published: results of others on the same dataset.

    Returns:
        The paths of the files.
    """
    title = f"{' vs '.join(model.name for model in comparison.models)} on {dataset}"
    folder = RunFolder(directory)
    png, svg = save_figure(draw_comparison(comparison, title), folder.figures / "comparison")
    write_report(folder.report, _make_report(comparison, title, command, svg, published))
    write_text(folder.comparison_text, format_comparison_markdown(comparison))
    write_json(folder.comparison, describe_comparison(comparison))
    return [folder.report, folder.comparison_text, folder.comparison, png, svg]


def format_comparison_text(comparison: Comparison) -> str:
    """Write what the terminal shows: the models, what can be said of each pair, and how that was tested."""
    found = [*write_sentences(comparison), explain_correction(comparison), *explain_facts(comparison)]
    wrapped = ["\n".join(textwrap.wrap(text, _WIDTH)) for text in found]
    return "\n".join([make_models_table(comparison).text, *wrapped]) + "\n"


def format_comparison_markdown(comparison: Comparison) -> str:
    """Write what can be said of each pair, and the tables, in Markdown; the result comes first."""
    bullets = "\n".join(f"- {text}" for text in write_sentences(comparison))
    tables = [make_models_table(comparison)]
    for pair in comparison.pairs:
        tables += [make_tests_table(pair), make_differences_table(comparison, pair)]
    explained = [explain_correction(comparison), *explain_facts(comparison)]
    return "\n\n".join([bullets, *explained, *(table.markdown for table in tables)])


def _make_report(
    comparison: Comparison, title: str, command: str, picture: Path, published: Sequence[Published]
) -> Report:
    text = f"Each model with its 95 % intervals, and the differences with theirs: {', '.join(COMPARED)}."
    pairs = [
        Section(
            " and ".join(pair.names),
            tables=[make_tests_table(pair), make_differences_table(comparison, pair)],
        )
        for pair in comparison.pairs
    ]
    return Report(
        title=title,
        subtitle=f"Cross-validations on the same folds; {comparison.combination}, test images",
        sections=[
            Section("What can be said", [explain_correction(comparison)], write_sentences(comparison)),
            Section(
                "Models",
                explain_facts(comparison),
                tables=[make_models_table(comparison)],
                pictures=[Picture(picture, text, wide=True)],
            ),
            *pairs,
            *_describe_published(comparison, published),
            Section("Make it again", ["In the folder of the store, or with --tracking_uri:"], code=command),
        ],
    )


def _describe_published(comparison: Comparison, published: Sequence[Published]) -> list[Section]:
    """Set all models among the published results, if there are some."""
    names = [model.name for model in comparison.models]
    results = [Own(name, comparison.metrics[name], comparison.intervals[name].metrics) for name in names]
    return [make_published_section(results, published)] if published else []
