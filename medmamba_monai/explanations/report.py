"""The page on explanations: maps, which method won by each criterion, and whether that is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medmamba_monai.core.files import write_json
from medmamba_monai.evaluation.figures.standings import draw_curves, draw_standings
from medmamba_monai.evaluation.figures.style import save_figure
from medmamba_monai.evaluation.reports.page import KeyFigure, Picture, Report, Section, write_report
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.tables import Table
from medmamba_monai.explain import EXPLANATIONS
from medmamba_monai.explain.randomization import SHARES
from medmamba_monai.explanations.folder import ExplanationFolder
from medmamba_monai.explanations.judging import Values
from medmamba_monai.explanations.pointing import Pointing, make_section
from medmamba_monai.explanations.verdicts import CRITERIA, Standing, Verdict

LIMITS = (
    "A map says what the network computed with, not what is true of the patient, and not what would be seen on another "
    "image.",
    "Deletion and insertion show the network images that no scanner made; another way of taking pixels away can give "
    "another order.",
    "A map that points at the finding can still be wrong about why, and one that does not can be right about a network "
    "that looks elsewhere.",
)


@dataclass(frozen=True)
class Judgement:
    """How good methods are.

    Attributes:
        verdicts: one by each criterion that could be judged.
        values: what each method's maps were judged by.
        units: what resamples draw, such as ``groups``.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        pointing: what the pointing game was played on; None where no finding is known.
        notes: why a criterion or a method is missing.
    """

    verdicts: Sequence[Verdict]
    values: Mapping[str, Values]
    units: str
    resamples: int
    seed: int
    pointing: Pointing | None = None
    notes: Sequence[str] = field(default_factory=tuple)


def write_explanations(
    folder: ExplanationFolder, title: str, images: int, picture: Picture, judgement: Judgement | None
) -> Path:
    """Write ``report.html``, and ``judgement.json`` where maps were judged; returns the page.

    Args:
        folder: of the explanations.
        title: what was explained.
        images: how many.
        picture: of maps.
        judgement: None where maps were only drawn.
    """
    said = [
        f"Each map is of the class that the network predicts. The maps of all {images} images are in overlays.",
        "Lines surround a fifth of an image at most, thick ones a twentieth, and less where a map has clear peaks.",
    ]
    sections = [Section("Maps", said, pictures=[picture])]
    if judgement is not None:
        write_json(folder.judgement, describe_judgement(judgement))
        sections = [*_make_sections(folder, judgement), *sections]
    sections.append(Section("What this does not say", bullets=LIMITS))
    figures = [] if judgement is None else [_make_key_figure(verdict) for verdict in judgement.verdicts]
    subtitle = f"{images} images, each with the networks that have not seen it"
    write_report(folder.report, Report(title, subtitle, sections, key_figures=figures))
    return folder.report


def describe_judgement(judgement: Judgement) -> dict[str, Any]:
    """Return the content of ``judgement.json``: numbers in full precision."""
    return {
        "criteria": {verdict.criterion: describe_verdict(verdict) for verdict in judgement.verdicts},
        "randomization": {
            name: {"shares": list(SHARES), **{key: values[key].mean(0).tolist() for key in ("ranks", "structure")}}
            for name, values in judgement.values.items()
        },
        "pointing": _describe_pointing(judgement),
        "units": judgement.units,
        "resamples": judgement.resamples,
        "seed": judgement.seed,
        "notes": list(judgement.notes),
    }


def _describe_pointing(judgement: Judgement) -> dict[str, Any] | None:
    hits = {name: values["pointing"] for name, values in judgement.values.items()}
    return None if judgement.pointing is None else judgement.pointing.describe(hits)


def summarize(verdict: Verdict) -> str:
    """Say which method won by a criterion, and whether the difference to the others is shown."""
    criterion, best = CRITERIA[verdict.criterion], verdict.best
    rest = verdict.standings[1:]
    said = f"{criterion.title}: {_title(best)} has the {'highest' if criterion.higher_is_better else 'lowest'} mean, "
    said += f"{_write(best.mean, best.interval)}."
    if not rest:
        return said
    open_to = [_title(standing) for standing in rest if not standing.is_shown_behind]
    if not open_to:
        return f"{said} It is shown to be better than each of the others."
    shown = [_title(standing) for standing in rest if standing.is_shown_behind]
    said += f" It is not shown to be better than {_join(open_to)}"
    return f"{said}; it is shown to be better than {_join(shown)}." if shown else f"{said}."


def _make_sections(folder: ExplanationFolder, judgement: Judgement) -> list[Section]:
    names = {name: EXPLANATIONS[name].title for name in judgement.values}
    curves = {
        title: {names[name]: values[key].mean(0) for name, values in judgement.values.items()}
        for title, key in (("Deletion: lower is better", "deletion_curve"), ("Insertion: higher", "insertion_curve"))
    }
    standings = {
        CRITERIA[verdict.criterion].title: [
            (_title(standing), standing.mean, standing.interval, standing.is_shown_behind)
            for standing in verdict.standings
        ]
        for verdict in judgement.verdicts
    }
    pictures = [
        _save(
            folder,
            "standings",
            draw_standings(standings),
            "Means with 95 % intervals, the best on top; filled where the best is not shown to be better.",
        ),
        _save(
            folder,
            "curves",
            draw_curves(curves, "pixels, %", "probability"),
            "Mean probability of the predicted class over images.",
        ),
    ]
    pointing = _describe_pointing(judgement)
    return [
        Section(
            "What can be said",
            bullets=[*(summarize(verdict) for verdict in judgement.verdicts), *judgement.notes],
            pictures=pictures,
        ),
        Section(
            "Each method by each criterion",
            [f"{CRITERIA[v.criterion].title}: {CRITERIA[v.criterion].meaning}." for v in judgement.verdicts],
            tables=[_make_table(verdict) for verdict in judgement.verdicts],
        ),
        *([] if pointing is None else [make_section(pointing)]),
        Section("Weights shuffled from the head down", [_RANDOMIZED], tables=[_make_randomization(judgement)]),
        Section("How it was judged", [_explain(judgement)]),
    ]


_RANDOMIZED = (
    "Mean rank correlation of a map's sizes with those of the same network with shuffled weights, and their structural "
    "similarity (SSIM). A method that reads the network falls towards 0; a floor, which does not, stays at 1."
)


def _make_table(verdict: Verdict) -> Table:
    rows = [
        [
            _title(standing),
            _write(standing.mean, standing.interval),
            "best" if standing.behind is None else _spell(standing.behind),
            "" if standing.behind is None else "yes" if standing.is_shown_behind else "no",
        ]
        for standing in verdict.standings
    ]
    criterion = CRITERIA[verdict.criterion]
    caption = (
        f"{criterion.title}, {verdict.images} images, {'higher' if criterion.higher_is_better else 'lower'} is better"
    )
    return Table(["method", "mean (95 % interval)", "the best is better by", "shown"], rows, caption)


def _make_randomization(judgement: Judgement) -> Table:
    header = ["method", *(f"{_name_share(share)}: {kind}" for share in SHARES for kind in ("rank", "SSIM"))]
    rows = [
        [
            EXPLANATIONS[name].title,
            *(f"{values[key].mean(0)[place]:.2f}" for place in range(len(SHARES)) for key in ("ranks", "structure")),
        ]
        for name, values in judgement.values.items()
    ]
    return Table(header, rows)


def _name_share(share: float) -> str:
    return "head" if not share else "all" if share == 1 else f"last {100 * share:.0f} %"


def _make_key_figure(verdict: Verdict) -> KeyFigure:
    return KeyFigure(CRITERIA[verdict.criterion].title, _title(verdict.best), f"{verdict.best.mean:.3f}")


def _save(folder: ExplanationFolder, name: str, figure: Any, text: str) -> Picture:
    return Picture(save_figure(figure, folder.figures / name)[1], text)


def _explain(judgement: Judgement) -> str:
    return (
        f"Intervals are bias-corrected and accelerated bootstraps over {judgement.units}, {judgement.resamples} "
        f"resamples, seed {judgement.seed}; all methods are judged on the same images. The intervals of paired "
        "differences hold all together with 95 % (Bonferroni). Pixels that go are replaced by the blurred image. "
        "Random and edges are floors: they do not know the network."
    )


def describe_verdict(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict for programs: means, intervals and differences by method."""
    return {
        "images": verdict.images,
        "best": verdict.best.method,
        "methods": {
            s.method: {
                "mean": s.mean,
                "interval": _describe(s.interval),
                "best_is_better_by": None if s.behind is None else _describe(s.behind),
                "shown": s.is_shown_behind,
            }
            for s in verdict.standings
        },
    }


def _describe(interval: Interval | str) -> list[float] | str:
    return [interval.low, interval.high] if isinstance(interval, Interval) else interval


def _title(standing: Standing) -> str:
    return EXPLANATIONS[standing.method].title


def _write(value: float, interval: Interval | str) -> str:
    return f"{value:.3f} ({_spell(interval)})"


def _spell(interval: Interval | str) -> str:
    return f"{interval.low:.3f} to {interval.high:.3f}" if isinstance(interval, Interval) else "no interval"


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
