"""What becomes of a study, from the door to the answer, without a network."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import ComprehensiveSRStorage, CTImageStorage

from medmamba_monai.core.errors import UserError
from medmamba_monai.hospital.listener.answering import MAX_ATTEMPTS
from medmamba_monai.hospital.listener.intake import NO_SUCH_CLASS, NOT_UNDERSTOOD, OTHER_THAN_SAID, OUT_OF_RESOURCES
from medmamba_monai.hospital.listener.retention import remove_old_images
from tests.helpers.listeners import STUDY, encode, finish, give, image, names, prepare, settings, write_answer


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "medmamba_monai")
    yield caplog
    own = [record.getMessage() for record in caplog.records if record.name.startswith("medmamba_monai")]
    assert not any("Secret" in line or "secret-id" in line for line in own)


def test_images_are_gone_once_their_answer_was_delivered(tmp_path):
    listener = prepare(settings(tmp_path))
    give(listener, image())
    finish(listener)
    assert names(tmp_path / "out") == [f"{STUDY}-1"]
    assert list((tmp_path / "state").rglob("*.dcm")) == []
    left = sum(path.stat().st_size for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert abs(listener.state.bytes - left) < 2000  # records are not counted


def test_what_is_no_image_of_its_study_is_refused_and_the_others_are_taken(tmp_path):
    report = image(number=2, SOPClassUID=ComprehensiveSRStorage)
    del report.PixelData
    nameless = image(number=3)
    del nameless.StudyInstanceUID
    wrong = image(number=4)
    with pytest.warns(UserWarning, match="Invalid value for VR UI"):
        wrong.StudyInstanceUID = "Secret^Name/../x"
    listener = prepare(settings(tmp_path))
    with pytest.warns(UserWarning, match="Invalid value for VR UI"):
        found = give(listener, report, nameless, wrong)
    take = listener.intake.take
    found += [take("1.2.3.4", CTImageStorage, encode(image())), take("../x", CTImageStorage, encode(image()))]
    found += [take("1.2.3.4", CTImageStorage, encode(image())[:300]), take("1.2", CTImageStorage, b"Secret")]
    assert found == [NO_SUCH_CLASS, NOT_UNDERSTOOD, NOT_UNDERSTOOD, OTHER_THAN_SAID, *[NOT_UNDERSTOOD] * 3]
    assert give(listener, image()) == [0]
    finish(listener)
    assert names(tmp_path / "out") == [f"{STUDY}-1"]
    listener.intake.close()
    refused = (tmp_path / "state" / "failed" / "refused.log").read_text().splitlines()
    assert len(refused) == len(found)
    assert refused[0].endswith(f"refused {STUDY}.5.2: study {STUDY}: it is no image (Comprehensive SR Storage)")
    assert not any("Secret" in line or str(tmp_path) in line for line in refused)


def refuse(study: Path, output: Path) -> list[Path]:
    raise UserError("is a CT,\nand the package reads chest X-rays")


def stumble(study: Path, output: Path) -> list[Path]:
    raise KeyError(str(pydicom.dcmread(min(study.iterdir())).PatientName))


FAILURES = {
    "refused": (refuse, {}, "is a CT, and the package reads chest X-rays"),
    "unforeseen": (stumble, {}, "unforeseen KeyError in tests.hospital.listener.test_studies, line"),
    "empty": (lambda study, output: [], {}, "the study got no answer"),
    "elsewhere": (lambda study, output: [study / "a.dcm"], {}, "the answer a.dcm was not written into the folder"),
    "two patients": (write_answer, {"PatientID": "other"}, "images of several patients came under one Study Instance"),
    "two names": (write_answer, {"PatientID": "", "PatientName": "B"}, "images of several patients came under one"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_study_that_cannot_be_answered_says_why_and_the_next_one_is_answered(tmp_path, logged, name):
    answer, changes, reason = FAILURES[name]

    def answer_this(study: Path, output: Path):
        return (answer if min(names(study)).startswith(STUDY) else write_answer)(study, output)

    listener = prepare(settings(tmp_path), answer_this)
    give(listener, image(), image(number=2, **changes), image("1.2.9", 1))
    finish(listener)
    (record,) = listener.state.read_records(STUDY)
    assert (record.outcome, sorted(record.images)) == ("failed", [f"{STUDY}.5.1", f"{STUDY}.5.2"])
    assert record.reason.startswith(reason)
    assert f"study {STUDY}: not answered, see failed/{STUDY}-1: {reason}" in logged.text
    assert len(names(tmp_path / "state" / "failed" / f"{STUDY}-1" / "images")) == 2
    assert names(tmp_path / "out") == ["1.2.9-1"]


def test_a_study_that_failed_is_tried_again_when_it_is_sent_again(tmp_path):
    answers = iter([refuse, write_answer])
    listener = prepare(settings(tmp_path), lambda study, output: next(answers)(study, output))
    for _ in range(2):
        give(listener, image())
        finish(listener)
    assert names(tmp_path / "out") == [f"{STUDY}-2"]


def test_a_fault_of_the_machine_is_waited_for(tmp_path, logged):
    begun: list[int] = []

    def fill_the_disk_first(study: Path, output: Path):
        begun.append(1)
        if len(begun) <= MAX_ATTEMPTS + 1:
            raise UserError("cannot write it") from OSError(28, "No space left on device")
        return write_answer(study, output)

    listener = prepare(settings(tmp_path, retry=0), fill_the_disk_first)
    give(listener, image())
    finish(listener)
    assert "waits, since the machine cannot work: No space left on device" in logged.text
    assert names(tmp_path / "out") == [f"{STUDY}-1"]


def test_a_study_that_processes_die_over_is_given_up(tmp_path):
    class Killed(BaseException):
        """Ends a process as a signal does."""

    def die(study: Path, output: Path):
        raise Killed

    for attempt in range(MAX_ATTEMPTS + 1):
        listener = prepare(settings(tmp_path), die)
        if attempt == 0:
            give(listener, image())
        if attempt < MAX_ATTEMPTS:
            with pytest.raises(Killed):
                listener.answer_next()
        else:
            assert listener.answer_next()
    assert "the process died 5 times" in listener.state.read_records(STUDY)[0].reason


def test_images_that_come_again_are_answered_once_and_late_ones_get_a_further_answer(tmp_path, logged):
    listener = prepare(settings(tmp_path))
    for numbers in ((1, 1, 2), (2,), (3,)):
        give(listener, *(image(number=number) for number in numbers))
        finish(listener)
    assert names(tmp_path / "out") == [f"{STUDY}-1", f"{STUDY}-2"]
    counts = [int(pydicom.dcmread(path).InstanceNumber) for path in sorted((tmp_path / "out").rglob("*.dcm"))]
    assert counts == [2, 1]
    assert f"study {STUDY}: its 1 images came again; it is not answered again" in logged.text
    assert "(late images: answer 2)" in logged.text
    assert listener.waiting.count_open() == 0


def test_late_slices_of_a_volume_are_no_volume_and_the_whole_series_is(tmp_path):
    listener = prepare(settings(tmp_path, whole_series=True))
    for numbers in ((1, 2), (3,), (1, 2, 3)):
        give(listener, *(image(number=number) for number in numbers))
        finish(listener)
    records = listener.state.read_records(STUDY)
    assert [record.outcome for record in records] == ["answered", "failed", "answered"]
    assert "without 2 of its other images" in records[1].reason


def copy_image(study: Path, output: Path) -> list[Path]:
    made = pydicom.dcmread(min(study.iterdir()))
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.77"
    made.save_as(output / "capture.dcm")
    return [output / "capture.dcm"]


def test_an_answer_that_the_pacs_sends_back_is_not_answered(tmp_path, logged):
    listener = prepare(settings(tmp_path), copy_image)
    give(listener, image())
    finish(listener)
    assert give(listener, pydicom.dcmread(tmp_path / "out" / f"{STUDY}-1" / "capture.dcm")) == [0]
    assert len(listener.waiting) == 0
    assert "an answer of this listener came back" in logged.text


LIMITS = {
    "studies": ({"max_studies": 1}, [0, OUT_OF_RESOURCES, 0], "1 studies wait (--max-studies)"),
    "disk": ({"max_disk": 1100}, [0, OUT_OF_RESOURCES], "1.1 KiB are in use (--max-disk)"),
    "free": ({"min_free": 2**60}, [OUT_OF_RESOURCES] * 2, "are free (--min-free)"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_full_queue_or_disk_refuses_for_now_and_says_so_once(tmp_path, logged, name):
    changes, expected, reason = LIMITS[name]
    listener = prepare(settings(tmp_path, **changes))
    sent = [image(), image("1.2.9", 1), image()]
    assert give(listener, *sent[: len(expected)]) == expected
    assert names(listener.state.incoming) == []
    assert logged.text.count("images are refused (out of resources)") == 1
    assert reason in logged.text
    finish(listener)
    assert names(tmp_path / "out") == ([] if name == "free" else [f"{STUDY}-1"])
    if name != "free":
        assert give(listener, image("1.2.9", 1)) == [0]
        assert "there is room again" in logged.text


def test_a_disk_that_cannot_be_written_refuses_for_now(tmp_path):
    listener = prepare(settings(tmp_path))
    listener.state.incoming.rmdir()
    assert give(listener, image()) == [OUT_OF_RESOURCES]
    listener.state.incoming.mkdir()
    assert give(listener, image()) == [0]


def test_a_study_waits_until_it_is_quiet(tmp_path):
    listener = prepare(settings(tmp_path, quiet=0.2))
    give(listener, image())
    started = time.monotonic()
    while not listener.answer_next():
        assert time.monotonic() - started < 20
    assert time.monotonic() - started > 0.19


def test_a_record_that_somebody_damaged_stops_only_its_study(tmp_path):
    listener = prepare(settings(tmp_path))
    give(listener, image())
    finish(listener)
    (tmp_path / "state" / "answered" / f"{STUDY}-1" / "record.json").write_text("{")
    assert give(listener, image(number=2), image("1.2.9", 1)) == [0, 0]
    finish(listener)
    assert names(tmp_path / "out") == [f"{STUDY}-1", "1.2.9-1"]
    reason = json.loads((tmp_path / "state" / "failed" / f"{STUDY}-2" / "record.json").read_text())["reason"]
    assert "record.json: is not JSON" in reason


@pytest.mark.parametrize(("days", "kept"), [(0.5, []), (2.0, [f"{STUDY}-1"])])
def test_images_are_kept_for_as_long_as_is_said(tmp_path, days, kept):
    answers = iter([write_answer, refuse])
    told = settings(tmp_path, keep=days, keep_failed=days)
    listener = prepare(told, lambda study, output: next(answers)(study, output))
    for study in (STUDY, "1.2.9"):
        give(listener, image(study, 1))
        finish(listener)
    a_day_ago = time.time() - 24 * 3600
    for record in (tmp_path / "state").rglob("record.json"):
        os.utime(record, (a_day_ago, a_day_ago))
    assert remove_old_images(listener.state, told) == (0 if kept else 2)
    found = sorted(path.parent.parent.name for path in (tmp_path / "state").rglob("images/*.dcm"))
    assert found == sorted([*kept, *(["1.2.9-1"] if kept else [])])
    assert len(listener.state.read_records(STUDY)) == 1
