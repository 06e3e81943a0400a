"""From the folder of a run or a package to maps, their judgement and a page."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from medmamba_monai.core.defaults import EXPLAINED_IMAGES, RESAMPLES
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_bytes
from medmamba_monai.core.folder_lock import lock_folder
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation.csv_text import format_csv
from medmamba_monai.evaluation.figures.maps import Tile, draw_maps
from medmamba_monai.evaluation.figures.style import save_figure, save_png
from medmamba_monai.evaluation.reports.page import Picture
from medmamba_monai.evaluation.results.cross_validation import check_bootstrap
from medmamba_monai.evaluation.statistics.resampling import Units
from medmamba_monai.explain import EXPLANATIONS
from medmamba_monai.explanations.drawing import Drawings
from medmamba_monai.explanations.folder import ExplanationFolder
from medmamba_monai.explanations.judging import Judge, take_criteria
from medmamba_monai.explanations.places import read_places
from medmamba_monai.explanations.pointing import look_at_findings
from medmamba_monai.explanations.report import Judgement, write_explanations
from medmamba_monai.explanations.subjects import (
    Pixels,
    Subject,
    group_subjects,
    identify,
    list_folder_subjects,
    list_run_subjects,
)
from medmamba_monai.explanations.verdicts import judge_methods
from medmamba_monai.package import Package, open_run, read_folds_of_run
from medmamba_monai.package.manifest import MANIFEST

ALL = "all"
FLOORS = ("random", "edges")
SHOWN = 8
"""Images on the page, at most; the others are in the folder of overlays."""


def explain(
    source: str | os.PathLike[str],
    methods: Sequence[str] = (),
    judge: bool = False,
    images: str | os.PathLike[str] | None = None,
    masks: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    most: int = EXPLAINED_IMAGES,
    fold: int | None = None,
    dataset_dir: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Path:
    """Draw maps of what speaks for the predicted class of images, judge them if asked to, and write a page.

    Maps that were drawn and judged are kept: started again, also with more methods, it goes on where it stopped.

    Args:
        source: folder of a finished cross-validation, whose test images are explained, or of a package.
        methods: names of `EXPLANATIONS`; ``all`` for those that can explain the networks. Empty for the first that can,
            or for all where they are judged.
        judge: whether to judge them, beside the floors.
        images: folder of images to explain instead; a package needs one.
        masks: folder of masks of findings, each named like its image.
        output: folder for maps and page; by default ``explanations`` in that of the run.
        most: images at most, drawn with a fixed seed.
        fold: of a run, whose network alone is explained; by default all that judge an image, by their mean map.
        dataset_dir: folder of the run's images; by default where the run found them.
        device: where the networks are, see `resolve_device`.
        resamples: of the bootstrap behind each interval.
        seed: of the bootstrap.

    Returns:
        The page.

    Raises:
        UserError: an option does not fit, the run has not finished, or images or masks cannot be read.
    """
    source = Path(source)
    check_bootstrap(resamples, seed)
    if most < 1:
        raise UserError(f"--most {most}: give a whole number from 1")
    folder = ExplanationFolder(_choose_output(source, output, images))
    package = _open(source, fold, device)
    subjects, dataset = _list_subjects(package, source, images, dataset_dir, most)
    chosen = choose_methods(subjects, methods, judge)
    places = read_places(package, subjects, None if masks is None else Path(masks), dataset)
    with lock_folder(folder.path, "explanation"):
        drawings = Drawings(subjects, Pixels(package), folder, identify(package, subjects))
        _write_files(folder, subjects)
        for method in chosen:
            drawings.draw(method)
        picture = _draw_overlays(drawings, chosen, places)
        judged = _judge(drawings, chosen, places, resamples, seed) if judge else None
        title = f"Explanations of {source.resolve().name} on {package.card.title}"
        return write_explanations(folder, title, len(subjects), picture, judged)


def choose_methods(subjects: Sequence[Subject], methods: Sequence[str], judge: bool) -> list[str]:
    """Return the methods to draw maps by, in the order of `EXPLANATIONS`; see `explain`.

    Raises:
        UserError: one does not exist, or cannot explain the networks.
    """
    able = [name for name in EXPLANATIONS if all(subject.members.can_explain(name) for subject in subjects)]
    for name in methods:
        if name not in {*able, ALL}:
            why = "cannot explain this network" if name in EXPLANATIONS else "does not exist"
            raise UserError(f"--method {name}: {why}; choose from {', '.join([ALL, *able])}")
    wanted = set(methods) or ({ALL} if judge else {next(name for name in able if name not in FLOORS)})
    return [name for name in able if ALL in wanted or name in wanted or (judge and name in FLOORS)]


def _choose_output(source: Path, output: str | os.PathLike[str] | None, images: object) -> Path:
    is_package = (source / MANIFEST).is_file()
    if is_package and images is None:
        raise UserError(f"--images: is missing; {source} is a package, which holds no images: give a folder of them")
    if output is None and (is_package or images is not None):
        raise UserError("--output: is missing; give a folder for maps and page")
    return RunFolder(source).explanations if output is None else Path(output)


def _open(source: Path, fold: int | None, device: str) -> Package:
    if (source / MANIFEST).is_file():
        if fold is not None:
            raise UserError(f"--fold {fold}: is an option of runs, and {source} is a package; leave it out")
        return Package.open(source, device)
    return open_run(source, device, "finished" if fold is None else fold)


def _list_subjects(
    package: Package,
    source: Path,
    images: str | os.PathLike[str] | None,
    dataset_dir: str | os.PathLike[str] | None,
    most: int,
) -> tuple[list[Subject], Path]:
    """Return the images, and the folder that they are in."""
    if images is not None:
        return list_folder_subjects(package, Path(images), most), Path(images)
    folds = read_folds_of_run(package, source, dataset_dir)
    return list_run_subjects(package, folds, most), folds.dataset_dir


def _write_files(folder: ExplanationFolder, subjects: Sequence[Subject]) -> None:
    files = format_csv(["id", "file"], [[subject.id, subject.file] for subject in subjects])
    write_bytes(folder.images, files.encode("utf-8", errors="backslashreplace"))


def _draw_overlays(drawings: Drawings, methods: Sequence[str], places: Mapping[str, np.ndarray]) -> Picture:
    """Draw a picture for each image, and one of some of them for the page."""
    columns = 6 if drawings.pixels.package.card.spatial_dims == 3 else len(methods) + 1
    shown: list[Tile] = []
    every = -(-len(drawings.subjects) // SHOWN)
    for number, subject in enumerate(tqdm(drawings.subjects, "overlays", leave=False, unit="image", disable=None)):
        tiles = drawings.make_tiles(subject, methods, places.get(subject.id))
        png = drawings.folder.overlay(subject.id)
        png.parent.mkdir(parents=True, exist_ok=True)
        save_png(draw_maps(tiles, columns, ""), png)
        shown += [] if number % every else tiles
    png, _ = save_figure(draw_maps(shown, columns, ""), drawings.folder.figures / "maps")
    return Picture(png, "What speaks for the predicted class, by each method.", wide=True)


def _judge(
    drawings: Drawings, methods: Sequence[str], places: Mapping[str, np.ndarray], resamples: int, seed: int
) -> Judgement:
    judge = Judge(drawings, places)
    values = {method: judge.judge(method) for method in methods}
    verdicts = []
    for criterion, numbers in take_criteria(values).items():
        judged = {"pointing": judge.placed, "randomization": judge.redrawn}.get(criterion, drawings.subjects)
        verdicts.append(judge_methods(criterion, numbers, group_subjects(judged), resamples, seed))
    notes = [] if places else ["Where the findings are is not known: no pointing game (masks would tell: --masks)."]
    notes += [f"{EXPLANATIONS[name].title} cannot explain this network." for name in _list_unable(drawings)]
    units = Units.of(len(drawings.subjects), group_subjects(drawings.subjects)).kind
    pointing = look_at_findings(drawings, places) if places else None
    return Judgement(verdicts, values, units, resamples, seed, pointing, notes)


def _list_unable(drawings: Drawings) -> list[str]:
    return [name for name in EXPLANATIONS if not all(s.members.can_explain(name) for s in drawings.subjects)]
