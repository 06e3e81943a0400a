"""A listener in this process, a PACS that stores, and images to send them; the answers are small real DICOM files."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from medmamba_monai.hospital.listener import Listener, ListenerSettings
from tests.helpers import dicom_files

STUDY = "1.2.826.1"
TITLE = "MEDMAMBA"


def image(study: str = STUDY, number: int = 1, **attributes: object) -> Dataset:
    """One small image of a study, as it is sent."""
    pixels = np.full((6, 8), number, np.uint16)
    told = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.5", "SOPInstanceUID": f"{study}.5.{number}"}
    made = dicom_files.dataset(pixels, **{"PatientID": "secret-id", **told, **attributes})
    return with_meta(made)


def with_meta(made: Dataset) -> Dataset:
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def encode(made: Dataset) -> bytes:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, made, enforce_file_format=True)
    return buffer.getvalue()


def write_answer(study: Path, output: Path) -> list[Path]:
    """Answer a study with one report in a new series, which says how many images there were."""
    first = pydicom.dcmread(min(study.iterdir()))
    made = Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID, made.Modality = ComprehensiveSRStorage, generate_uid(), "SR"
    made.StudyInstanceUID, made.SeriesInstanceUID = first.StudyInstanceUID, generate_uid()
    made.PatientID = first.PatientID
    made.InstanceNumber = sum(1 for _ in study.iterdir())
    return [dicom_files.save(with_meta(made), output / "report.dcm")]


def settings(folder: Path, **changes: Any) -> ListenerSettings:
    given = {"port": 0, "state": folder / "state", "dicom_out": folder / "out", "quiet": 0, "min_free": 1}
    return ListenerSettings(**{**given, "retry": 0.1, **changes})


@contextlib.contextmanager
def listening(
    told: ListenerSettings, answer: Callable[[Path, Path], Sequence[Path]] = write_answer
) -> Iterator[Listener]:
    """A listener that works in a thread of this process until the block ends."""
    listener, stop = Listener(told, answer), threading.Event()
    thread = threading.Thread(target=listener.run, args=(stop,))
    thread.start()
    try:
        assert listener.ready.wait(30)
        yield listener
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def give(listener: Listener, *images: Dataset) -> list[int]:
    """Give images to a listener without a network, and return the status of each."""
    return [listener.intake.take(str(one.SOPInstanceUID), str(one.SOPClassUID), encode(one)) for one in images]


def prepare(told: ListenerSettings, answer: Callable[[Path, Path], Sequence[Path]] = write_answer) -> Listener:
    """A listener that listens to nobody."""
    listener = Listener(told, answer)
    listener.prepare()
    return listener


def finish(listener: Listener) -> None:
    """Answer what there is, and deliver it."""
    while listener.answer_next():
        pass
    listener.delivery.deliver_all(threading.Event())


@contextlib.contextmanager
def associated(port: int, called: str = TITLE, calling: str = "MODALITY", tls: Any = None) -> Iterator[Any]:
    entity = AE(calling)
    for sop_class in (CTImageStorage, DigitalXRayImageStorageForPresentation, ComprehensiveSRStorage):
        entity.add_requested_context(sop_class, ExplicitVRLittleEndian)
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", port, ae_title=called, tls_args=tls)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def send(port: int, *images: Dataset) -> list[int]:
    """Send images and return the status of each."""
    with associated(port) as association:
        assert association.is_established
        return [association.send_c_store(one).Status for one in images]


class Pacs:
    """A PACS that keeps what is stored, one object for each SOP Instance UID.

    Attributes:
        stored: how often each instance came.
        status: what it says to who stores.
    """

    def __init__(self) -> None:
        self.stored: dict[str, int] = {}
        self.status = 0x0000
        self.port = 0

    def _take(self, event: Any) -> int:
        if self.status == 0:
            name = str(event.request.AffectedSOPInstanceUID)
            self.stored[name] = self.stored.get(name, 0) + 1
        return self.status

    @contextlib.contextmanager
    def serving(self, port: int = 0) -> Iterator[Pacs]:
        entity = AE("PACS")
        entity.add_supported_context(ComprehensiveSRStorage)
        server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._take)])
        self.port = server.socket.getsockname()[1]
        try:
            yield self
        finally:
            server.shutdown()


def wait_until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
