"""The comparison of finished cross-validations of an MLflow store, logged as a run beside them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from medmamba_monai.core.defaults import RESAMPLES
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import make_file_name
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.finished_runs import FinishedRun, read_finished_run
from medmamba_monai.cross_validation.published import find_published
from medmamba_monai.evaluation.reports.comparison import (
    format_comparison_markdown,
    format_comparison_text,
    write_comparison,
)
from medmamba_monai.evaluation.reports.comparison_tables import name_comparison_values, write_sentences
from medmamba_monai.evaluation.results.comparison import Comparison, Inputs, Model, compare
from medmamba_monai.evaluation.results.cross_validation import check_bootstrap
from medmamba_monai.tracking.dataset import RunDataset
from medmamba_monai.tracking.environment import describe_environment
from medmamba_monai.tracking.open_store import explain_store_errors, open_store
from medmamba_monai.tracking.run import TrackedRun


def compare_runs(
    names: Sequence[str],
    tracking_uri: str,
    output_dir: Path | None = None,
    titles: Sequence[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> str:
    """Compare cross-validations, write the comparison into a folder and log it as a run of its own.

    Args:
        names: names or ids of parent runs, one for each model; several, separated by commas, are repetitions of one
            model with other seeds.
        tracking_uri: the store that holds them.
        output_dir: a folder for the files; a comparison in it is replaced. By default ``output/comparisons`` in the
            current folder, and in it one that is named after the models.
        titles: of the models, for readers; by default what the names of their runs have in common.
        resamples: of each bootstrap.
        seed: of the resampling.

    Returns:
        What is to be shown in the terminal.

    Raises:
        UserError: fewer than two models, a run that is not there or has not finished, runs that are of other data,
            other folds or another task, titles that do not fit, or an output folder that holds something else.
    """
    check_bootstrap(resamples, seed)
    output_dir = output_dir or Path("output", "comparisons", make_file_name("_vs_".join(titles or names)))
    _check_output_dir(output_dir)
    client = open_store(tracking_uri)
    with explain_store_errors(tracking_uri):
        found = [[read_finished_run(client, name.strip()) for name in group.split(",")] for group in names]
        experiment = client.get_experiment(found[0][0].experiment_id).name
    runs = [run for group in found for run in group]
    _check_comparable(runs)
    chosen = _choose_titles(titles, found)
    models = [
        Model(title, [run.result.folds for run in group], _find_inputs(title, group))
        for title, group in zip(chosen, found, strict=True)
    ]
    facts = next((run.facts for run in runs if run.facts is not None), None)
    comparison = replace(compare(models, runs[0].result.combination, resamples, seed), facts=facts)
    options = [*(["--titles", *titles] if titles else []), "--resamples", str(resamples), "--seed", str(seed)]
    command = shlex.join(["medmamba-monai", "compare", *names, *options])
    published = find_published(runs[0].dataset, len(runs[0].result.class_names))
    files = write_comparison(output_dir, comparison, runs[0].dataset, command, published)
    run_id = _log(comparison, runs, output_dir, files, tracking_uri, experiment)
    where = f"report      {RunFolder(output_dir).report}\nMLflow run  {run_id or 'not sent yet'}"
    return f"{format_comparison_text(comparison)}\n{where}"


def _check_comparable(runs: Sequence[FinishedRun]) -> None:
    first = runs[0]
    seen: dict[str, str] = {}
    for run in runs:
        for field, a in first.identity.items():
            b = run.identity[field]
            if a != b:
                raise UserError(
                    f"{first.name} ({first.run_id}) and {run.name} ({run.run_id}) differ in their {field}: "
                    f"{_shorten(a)} and {_shorten(b)}; only cross-validations on the same folds can be compared: train "
                    "one again with the --data_list of the other"
                )
        if run.run_id in seen:
            raise UserError(f"{run.name} ({run.run_id}) is named twice; a run cannot be compared with itself")
        seen[run.run_id] = run.name


def _find_inputs(title: str, runs: Sequence[FinishedRun]) -> Inputs:
    """Return what the repetitions of a model are given of a case, which must be the same."""
    inputs = {run.inputs for run in runs}
    if len(inputs) > 1:
        raise UserError(
            f"{title}: its runs are given {' or '.join(sorted(inputs))}; repetitions of one model are given the same"
        )
    return inputs.pop()


def _shorten(value: object) -> str:
    text = str(value)
    return f"{text[:12]}..." if re.fullmatch("[0-9a-f]{64}", text) else text


def _check_output_dir(output_dir: Path) -> None:
    """Refuse another run's folder, which would lose its report, and the key to its run in MLflow."""
    folder = RunFolder(output_dir)
    if folder.mlflow_state.exists() and not folder.comparison.exists():
        raise UserError(f"--output_dir {output_dir}: holds a run that is no comparison; choose another folder")


def _choose_titles(titles: Sequence[str], found: Sequence[Sequence[FinishedRun]]) -> list[str]:
    if titles and len(titles) != len(found):
        raise UserError(f"--titles: {len(titles)} titles for {len(found)} models; give one for each")
    chosen = list(titles) or [_join_names(group) for group in found]
    if len(set(chosen)) < len(chosen):
        raise UserError(f"models would be called {', '.join(chosen)}; pass --titles, a different one for each")
    return chosen


def _join_names(runs: Sequence[FinishedRun]) -> str:
    """Return what the names of a model's runs have in common, without what counts them."""
    names = [run.name for run in runs]
    same = [letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))]
    common = "".join(same)
    counter = r"[\s_,.-]*((seed|run)[\s_,.-]*\d*)?$"
    return (re.sub(counter, "", common) if len(runs) > 1 else common) or names[0]


def _log(
    comparison: Comparison,
    runs: Sequence[FinishedRun],
    output_dir: Path,
    files: Sequence[Path],
    tracking_uri: str,
    experiment_name: str,
) -> str | None:
    name = " vs ".join(model.name for model in comparison.models)
    dataset = RunDataset(runs[0].dataset, runs[0].fold_digest, "comparison")
    run = TrackedRun(output_dir, tracking_uri, experiment_name, f"comparison: {name}", resume=False, dataset=dataset)
    run.start()
    run.journal.log_params(
        {
            "models": [model.name for model in comparison.models],
            "bootstrap_resamples": comparison.pairs[0].differences.resampling.resamples,
            "bootstrap_seed": comparison.pairs[0].differences.resampling.seed,
        }
    )
    tags = {
        "dataset": runs[0].dataset,
        "compared_fold_digest": runs[0].fold_digest,
        "compared_runs": " ".join(run.run_id for run in runs),
        "result": " ".join(write_sentences(comparison)),
        "mlflow.note.content": format_comparison_markdown(comparison),
    }
    run.journal.set_tags({**describe_environment("cpu"), **tags})
    run.journal.log_summary(name_comparison_values(comparison))
    for path in files:
        run.journal.log_artifact(path, "figures" if path.parent != output_dir else "")
    run.finish("FINISHED")
    return run.run_id
