"""Folds on workers, against times worked out by hand."""

from __future__ import annotations

import pytest

from benchmarks.scaling.__main__ import EPOCHS, FOLDS, SEEDS, list_trainings, make_service
from benchmarks.scaling.simulation import Service, Training, simulate
from medmamba_monai.tracking.run import END_SECONDS, START_SECONDS

SHORT = Training(epochs=2, epoch_seconds=10.0, start_seconds=1.0)
SERVICE = Service(begin=2.0, epoch=1.0, end=3.0)


def test_a_fold_waits_for_its_beginning_and_its_end_and_for_no_epoch() -> None:
    # begins at 1, is known at 3, epochs end at 13 and 23; the second is sent by 24, the end by 27
    found = simulate([SHORT, SHORT], 1, SERVICE)
    assert found.seconds == pytest.approx(54)
    assert found.efficiency == pytest.approx(42 / 54)
    assert found.waiting == pytest.approx(2 * (2 + 4) / 54)
    assert found.store_busy == pytest.approx(2 * (2 + 1 + 1 + 3) / 54)
    assert found.longest_lag == pytest.approx(4)


def test_folds_that_end_together_queue_at_the_store() -> None:
    found = simulate([SHORT, SHORT], 2, SERVICE)
    # begins are served at 3 and 5, epochs at 13 and 15, the ends at 27 and, asked for at 25, at 31
    assert found.seconds == pytest.approx(31)
    assert found.longest_lag == pytest.approx(6)


def test_a_store_that_hangs_holds_a_fold_no_longer_than_the_product_waits() -> None:
    found = simulate([SHORT], 1, Service(begin=1000.0, epoch=1000.0, end=1000.0))
    assert found.seconds == pytest.approx(SHORT.seconds + START_SECONDS + END_SECONDS)
    uploading = simulate([SHORT], 1, Service(begin=1000.0, epoch=1000.0, end=1000.0, artifacts=70.0))
    assert uploading.seconds == pytest.approx(found.seconds + 70)


def test_epochs_that_wait_are_sent_together_once_the_store_is_free() -> None:
    slow = Service(begin=0.0, epoch=25.0, end=0.0)
    # the first epoch, at 11, is sent by 36; those of 21 and 31 in one call
    found = simulate([Training(3, 10.0, 1.0)], 1, slow)
    assert found.longest_lag == pytest.approx(36 + 25 - 21)
    many = simulate([Training(1, 1500.0, 1.0)], 1, slow)  # its 151 entries take two calls
    assert many.longest_lag == pytest.approx(25 * 4 / 3)


def test_all_folds_are_those_of_ten_networks_and_a_service_is_what_was_measured() -> None:
    trainings = list_trainings(1.0)
    assert len(trainings) == 10 * FOLDS * SEEDS
    assert {training.epochs for training in trainings} == {EPOCHS}
    assert list_trainings(2.0)[0].epoch_seconds == pytest.approx(trainings[0].epoch_seconds / 2)
    alone = {"begin": {"median": 0.5}, "end": {"median": 0.7}, "epochs_per_second": 10.0}
    crowded = {"begin": {"median": 5.0}, "end": {"median": 7.0}, "epochs_per_second": 20.0}
    assert make_service([alone, crowded], weight_bytes=1_000_000) == Service(0.5, 0.05, 0.7, 10.0)
