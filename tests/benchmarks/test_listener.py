from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pydicom
import pytest

from benchmarks.listener import Sample, listener_part, main, summarize, write_batches
from tests.helpers.machine import MACHINE

SAMPLES = [Sample(0, 0, 100), Sample(10, 1, 300), Sample(15, 3, 250), Sample(30, 4, 200)]


def test_figures_are_those_of_the_samples() -> None:
    found = summarize(SAMPLES, studies=4, images=3, sent=10)
    assert (found["images_a_minute"], found["studies_a_minute"], found["seconds"]) == (72, 8, 30)
    assert found["memory"] == {"start": 100, "half": 250, "end": 200, "peak": 300}


def test_batches_hold_complete_images_of_their_studies(tmp_path: Path) -> None:
    options = Namespace(studies=3, images=2, image_size=8, in_association=2)
    batches = list(write_batches(tmp_path, options))
    found = [[pydicom.dcmread(path) for path in sorted(batch.iterdir())] for batch in batches]
    assert [len({image.StudyInstanceUID for image in images}) for images in found] == [2, 1]
    assert len({image.SOPInstanceUID for images in found for image in images}) == 6
    assert found[0][0].pixel_array.shape == (8, 8)


def test_the_documents_say_what_was_sent() -> None:
    options = {"studies": 4, "images": 3, "image_size": 64, "in_association": 2}
    result = {"machine": MACHINE, "options": options, **summarize(SAMPLES, 4, 3, 10)}
    text = listener_part(result)
    assert "| 72 | 8 | 0 MB |" in text
    assert "4 studies of 3 images of 64 pixels, 2 studies an association, in 30 s" in text


def test_a_package_that_is_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "--package" in capsys.readouterr().err
