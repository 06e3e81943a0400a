"""Plans for a time: as rich as it allows, never richer."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from medmamba_monai.auto import rules
from medmamba_monai.auto.estimate import MARGIN, count_epochs_of_rounds
from medmamba_monai.auto.fingerprint import Findings, Machine, Spacing, Speed
from medmamba_monai.auto.make import choose_affordable_size, choose_size_in_memory, estimate_whole, make_plan
from medmamba_monai.auto.plan import Plan
from medmamba_monai.auto.text import format_plan
from medmamba_monai.core.errors import UserError
from tests.auto.fingerprints import begin_with_weights, make_fingerprint


def plan_for(minutes: float, most_folds: int = 5, begun: bool = False, **changes: object) -> Plan:
    seen = make_fingerprint(**changes)  # type: ignore[arg-type]
    seen = begin_with_weights(seen) if begun else seen
    size, batch = rules.choose_image_size(seen, 224), rules.choose_batch_size(seen)
    return make_plan(seen, size, batch, most_folds, minutes * 60, 30, "images")


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("minutes", [4, 10, 20, 45, 120, 600, 6000])
def test_a_plan_leaves_the_margin_free(minutes: float, begun: bool) -> None:
    plan = plan_for(minutes, begun=begun)
    assert estimate_whole(plan) <= (1 - MARGIN) * minutes * 60
    longer = plan.model_copy(update={"epochs": plan.epochs + 1})
    assert plan.epochs == rules.MOST_EPOCHS or estimate_whole(longer) > (1 - MARGIN) * minutes * 60
    assert all(ends == sorted(ends) for ends in (count_epochs_of_rounds(plan, each) for each in plan.candidates))


def test_ten_minutes_are_enough_for_two_candidates() -> None:
    plan = plan_for(10)
    assert (len(plan.candidates), plan.folds_in_time, plan.baselines_in_time) == (2, 3, [])
    assert (plan.num_folds, len(plan.baselines)) == (5, 2)  # where it goes faster
    assert "There is surely time for 3 of them" in plan.reasons["num_folds"]
    assert "Time is kept for none of them" in plan.reasons["baselines"]
    assert plan.recipe == "strongly_augmented"
    assert plan.epochs >= 4


def test_in_45_minutes_there_are_five_folds_and_a_comparison() -> None:
    plan = plan_for(45)
    assert (len(plan.candidates), plan.folds_in_time) == (2, 5)
    assert [baseline.name for baseline in plan.baselines_in_time] == ["medmamba_small_paper"]
    assert "Time is kept for the first of them" in plan.reasons["baselines"]
    assert plan.baselines[0].options(plan)["recipe"] == "paper"
    assert plan.recipe == "strongly_augmented"


def test_more_jobs_at_a_time_never_mean_less() -> None:
    machine = make_fingerprint().machine
    nodes = [machine.model_copy(update={"cluster": "Slurm", "at_once": at_once}) for at_once in (1, 2, 5, 20)]
    plans = [plan_for(45, machine=node) for node in nodes]
    for less, more in pairwise(plans):
        assert len(more.candidates) >= len(less.candidates)
        assert more.folds_in_time >= less.folds_in_time
        if len(more.candidates) == len(less.candidates):
            assert more.epochs >= less.epochs
    assert [plan.at_once for plan in plans] == [1, 2, 5, 20]
    assert len(plans[-1].candidates) > len(plans[0].candidates)
    assert all(estimate_whole(plan) <= (1 - MARGIN) * 45 * 60 for plan in plans)
    assert "say so with --jobs" in plans[0].reasons["at_once"]
    assert "As --jobs says: 20 jobs of Slurm at a time" in format_plan(plans[-1], make_fingerprint(machine=nodes[-1]))
    here, there = plan_for(45).costs, plans[0].costs
    assert (there.imports, there.start) == (0, here.start + here.imports)


def test_larger_images_can_be_afforded_where_folds_run_at_a_time() -> None:
    seen = make_fingerprint(side=224)
    machine = seen.machine.model_copy(update={"cluster": "Slurm", "at_once": 5})
    speed, alone = seen.speeds["medmamba_small"], 64
    seconds = 30 * 0.8 * seen.images / 64 * speed.step * 1.3
    assert choose_affordable_size(seen, speed, 64, seconds) == alone
    assert choose_affordable_size(seen.model_copy(update={"machine": machine}), speed, 64, seconds) > alone


def test_more_time_never_means_less() -> None:
    plans = [plan_for(minutes) for minutes in (5, 10, 45, 120, 600)]
    for less, more in pairwise(plans):
        assert len(more.candidates) >= len(less.candidates)
        assert more.folds_in_time >= less.folds_in_time
        assert len(more.baselines_in_time) >= len(less.baselines_in_time)


def test_with_starting_weights_probes_and_a_training_from_them_come_first() -> None:
    plan = plan_for(10, begun=True)
    names = [candidate.name for candidate in plan.candidates]
    assert names == ["linear_probe", "nearest_neighbors", "medmamba_small_pretrained", "medmamba_small"]
    assert [one.probe for one in plan.candidates] == ["linear", "knn", None, None]
    assert plan.pretrained == "run sha256:0123"
    assert "the head is drawn anew" in plan.reasons["pretrained"]
    assert plan.epochs <= plan_for(10).epochs
    text = format_plan(plan, None)
    assert "**pretrained: run sha256:0123.** These weights fit MedMamba (depths 1-1-2-1" in text
    assert "linear probe on frozen MedMamba" in text
    assert "MedMamba (depths 1-1-2-1, channels 32-64-128-256), from the starting weights, learning rate 0.001" in text


def test_too_little_time_says_how_much_is_needed() -> None:
    with pytest.raises(UserError, match=r"--budget 60 seconds: .* takes about 4 minutes here.*give at least that"):
        plan_for(1)


def test_folds_that_cannot_be_made_are_not_planned() -> None:
    plan = plan_for(45, most_folds=4)
    assert plan.num_folds == 4
    assert "No more than 4 folds" in plan.reasons["num_folds"]


def test_a_network_that_is_slow_here_makes_the_plan_leaner() -> None:
    slow = {"medmamba_small": Speed(step=3.0, forward=1.0)}
    plan = plan_for(45, speeds=slow)
    assert [candidate.name for candidate in plan.candidates] == ["medmamba_small"]


def test_larger_images_are_affordable_with_more_time() -> None:
    seen = make_fingerprint(side=512)
    sizes = [choose_affordable_size(seen, Speed(step=0.29, forward=0.07), 64, 60 * m) for m in (10, 60, 300, 3000)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (64, 224)


def test_larger_images_fit_into_more_memory() -> None:
    seen, speed = make_fingerprint(side=512), Speed(step=0.3, forward=0.1, memory_gib=8.0)  # a GiB for 8 of 64 pixels
    machines = [Machine(cores=2, memory_gib=free, device="cpu") for free in (1, 5, 20, 100)]
    seen_there = [seen.model_copy(update={"machine": machine}) for machine in machines]
    sizes = [choose_size_in_memory(each, speed, 64) for each in seen_there]
    assert sizes == [64, 96, 160, 224]
    assert choose_size_in_memory(seen, Speed(step=0.3, forward=0.1), 64) == 224


def test_the_text_says_what_the_spacing_of_pixels_is() -> None:
    same = Spacing(smallest=(0.5, 0.5), median=(0.5, 0.5), largest=(0.5, 0.5), images=80)
    assert "Pixels of 0.5 x 0.5 mm (median of 80 images that tell it), the same in all of them." in format_plan(
        plan_for(10), make_fingerprint(spacing=same)
    )
    other = Spacing(smallest=(1, 1, 1), median=(1, 1, 2), largest=(1, 1, 3), images=9)
    text = format_plan(plan_for(10), make_fingerprint(spacing=other, spatial_dims=3))
    assert "Voxels of 1 x 1 x 2 mm" in text
    assert "from 1 x 1 x 1 to 1 x 1 x 3: the same finding has up to 3.0 times as many pixels along an axis" in text
    assert "`--field-of-view`" in text


def test_the_tables_of_the_text_have_text_to_the_left_and_figures_to_the_right() -> None:
    text = format_plan(plan_for(10), make_fingerprint())
    assert "| step | takes |\n| --- | ---: |\n" in text
    assert "| name | network | recipe | why | epochs of a fold |\n| --- | --- | --- | --- | ---: |\n" in text


def test_the_text_says_each_reason_and_how_to_change_the_plan() -> None:
    findings = Findings(image_sizes={"28 x 28": 5232}, copies=56, warnings=("borders tell the class",))
    seen = make_fingerprint(findings=findings)
    plan = plan_for(45)
    text = format_plan(plan, seen)
    assert all(reason in text for reason in plan.reasons.values())
    assert set(plan.reasons) <= set(Plan.model_fields)
    assert re.search(r"## Time: about \d+ minutes of 45 minutes", text)
    assert "- borders tell the class" in text
    assert "Change a line of `plan.json`" in text
    assert "medmamba_small_paper" in text
    assert "Nothing was found" in format_plan(
        plan, make_fingerprint(findings=Findings(image_sizes={}, copies=0, warnings=()))
    )
