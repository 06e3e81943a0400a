"""Load on the DICOM node: ``python -m benchmarks.listener --package FOLDER``.

The real command listens on loopback with a real package. DCMTK's ``dcmsend`` sends studies of a few generated images,
a number of studies an association, without a pause: more than a hospital's hour of them. Measured are images received
and studies answered a minute, and the memory of the process: at its start, at its peak, and when half and all of the
studies are answered, where a leak would show.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any, NamedTuple

import numpy as np
import psutil
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from benchmarks.report import add_common_options, markdown_table, measured_on, megabytes, new_result, save_result
from medmamba_monai.core.errors import UserError, ends_with_user_errors

TITLE = "MEDMAMBA"
_START_SECONDS, _LOOK_SECONDS = 120.0, 0.2


class Sample(NamedTuple):
    """The listener at one moment.

    Attributes:
        seconds: since the first image was sent.
        answered: studies so far.
        memory: bytes, resident.
    """

    seconds: float
    answered: int
    memory: int


class Running(NamedTuple):
    """A listener in a process of its own, and the folder where it answers."""

    process: psutil.Process
    port: int
    answered: Path


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.listener", description=__doc__)
    parser.add_argument("--package", type=Path, required=True, metavar="FOLDER", help="what answers; for 2D images")
    parser.add_argument("--studies", type=int, help="(default 600, quick 20)")
    parser.add_argument("--images", type=int, default=3, help="of a study")
    parser.add_argument("--image-size", type=int, default=64, help="edge of an image")
    parser.add_argument("--in-association", type=int, default=20, help="studies that are sent in one association")
    parser.add_argument("--limit", type=float, default=280.0, help="seconds until it is given up")
    add_common_options(parser)
    options = parser.parse_args(arguments)
    options.studies = options.studies or (20 if options.quick else 600)
    if which("dcmsend") is None:
        raise UserError("dcmsend is not installed: it is in the package dcmtk of Debian and others")
    chosen = {key: value for key, value in vars(options).items() if key not in ("json", "package")}
    result = new_result("listener", chosen)
    with tempfile.TemporaryDirectory() as folder:
        result |= measure(options, Path(folder))
    print(table(result))
    save_result(result, options.json)
    return 0


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Send the studies and wait until all are answered.

    Raises:
        UserError: an image was refused, or the time is over.
    """
    batches = list(write_batches(folder / "sent", options))
    with listening(options.package, folder) as running:
        start = time.monotonic()
        samples = [take_sample(running, start)]
        sent = 0.0
        for batch in batches:
            send(batch, running.port)
            sent = time.monotonic() - start
            samples.append(take_sample(running, start))
        while samples[-1].answered < options.studies:
            if samples[-1].seconds > options.limit:
                raise UserError(f"--limit {options.limit:g}: {samples[-1].answered} studies were answered by then")
            time.sleep(_LOOK_SECONDS)
            samples.append(take_sample(running, start))
    return summarize(samples, options.studies, options.images, sent)


def summarize(samples: Sequence[Sample], studies: int, images: int, sent: float) -> dict[str, Any]:
    """Make the figures of the samples.

    Args:
        samples: in their order.
        studies: how many were sent.
        images: of each.
        sent: seconds until the last image was received.
    """
    half = next(sample for sample in samples if sample.answered >= studies / 2)
    return {
        "images_a_minute": 60 * studies * images / sent,
        "studies_a_minute": 60 * studies / samples[-1].seconds,
        "seconds": samples[-1].seconds,
        "memory": {
            "start": samples[0].memory,
            "half": half.memory,
            "end": samples[-1].memory,
            "peak": max(sample.memory for sample in samples),
        },
    }


def take_sample(running: Running, start: float) -> Sample:
    """Look at the listener."""
    answered = sum(1 for _ in running.answered.iterdir())
    return Sample(time.monotonic() - start, answered, running.process.memory_info().rss)


def write_batches(folder: Path, options: argparse.Namespace) -> Iterator[Path]:
    """Write the images of some studies into a folder each, and yield it."""
    generator = np.random.default_rng(0)
    for first in range(0, options.studies, options.in_association):
        batch = folder / str(first)
        batch.mkdir(parents=True)
        for study in range(first, min(first + options.in_association, options.studies)):
            for number in range(options.images):
                made = make_image(study, number, options.image_size, generator)
                made.save_as(batch / f"{study}-{number}.dcm", enforce_file_format=True)
        yield batch


def make_image(study: int, number: int, size: int, generator: np.random.Generator) -> Dataset:
    """Make an X-ray of noise; its UIDs follow from the numbers of study and image."""
    made = Dataset()
    made.SOPClassUID, made.Modality = DigitalXRayImageStorageForPresentation, "DX"
    made.StudyInstanceUID = generate_uid(entropy_srcs=["benchmark", str(study)])
    made.SeriesInstanceUID = generate_uid(entropy_srcs=["benchmark", str(study), "series"])
    made.SOPInstanceUID = generate_uid(entropy_srcs=["benchmark", str(study), str(number)])
    made.PatientID, made.PatientName = str(study), "Generated"
    made.SeriesNumber, made.InstanceNumber = 1, number + 1
    made.Rows = made.Columns = size
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit = 7
    made.PixelData = generator.integers(0, 256, (size, size), dtype=np.uint8).tobytes()
    made["PixelData"].VR = "OB"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


@contextmanager
def listening(package: Path, folder: Path) -> Iterator[Running]:
    """Run the command until the block ends."""
    printed = folder / "log.txt"
    options = ["--port", "0", "--state", str(folder / "state"), "--dicom-out", str(folder / "out"), "--quiet", "1"]
    options += ["--min-free", "0.001", "--device", "cpu", "--package", str(package)]
    with printed.open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "medmamba_monai", "listen", *options], stdout=log, stderr=log)
    try:
        port = wait_for_port(printed, process)
        yield Running(psutil.Process(process.pid), port, folder / "state" / "answered")
    finally:
        process.terminate()
        process.wait(_START_SECONDS)


def wait_for_port(printed: Path, process: subprocess.Popen[bytes]) -> int:
    """Wait until the listener says where it listens.

    Raises:
        UserError: it ended.
    """
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"listening: .* port (\d+)", printed.read_text()):
            return int(found[1])
        time.sleep(_LOOK_SECONDS)
    raise UserError(f"the listener did not start: {printed.read_text().strip()}")


def send(folder: Path, port: int) -> None:
    """Send the images in a folder in one association.

    Raises:
        UserError: one was refused.
    """
    command = ["dcmsend", "--scan-directories", "-aet", "BENCHMARK", "-aec", TITLE, "127.0.0.1", str(port), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"dcmsend ended with {done.returncode}: {done.stderr.strip()}")


def table(result: dict[str, Any]) -> str:
    """Write the figures as a table in Markdown."""
    memory = result["memory"]
    titles = ["images received a minute", "studies answered a minute", *(f"memory, {moment}" for moment in memory)]
    figures = [f"{result['images_a_minute']:,.0f}", f"{result['studies_a_minute']:,.0f}"]
    return markdown_table(titles, [[*figures, *map(megabytes, memory.values())]])


def listener_part(result: dict[str, Any]) -> str:
    """Write the documents' table and what was measured."""
    options = result["options"]
    note = (
        f"{options['studies']} studies of {options['images']} images of {options['image_size']} pixels, "
        f"{options['in_association']} studies an association, in {result['seconds']:.0f} s without a pause, with a "
        f"small package; memory is that of the whole process. {measured_on(result)}"
    )
    return f"{table(result)}\n\n{note}"


if __name__ == "__main__":
    sys.exit(main())
