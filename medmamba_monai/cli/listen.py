"""``medmamba-monai listen``: a DICOM node that answers studies with a package."""

from __future__ import annotations

import logging
import threading
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

_STATE = "Folder for images that wait and for what became of them: disk of this machine, backed up by nobody else."
_SEND_TO = "PACS that gets the answers, by C-STORE, again and again until they arrived."
_HOST = "Address to listen on; for another than this machine's own, --allow is needed."
_ALLOW = "AE titles that may call; by default any, which only this machine can."
_TITLE = "Own AE title, which callers must ask for."
_QUIET = "Seconds without an image until a study is answered."
_STUDIES = "Studies that may wait for their answer or its delivery; images of others are refused for now."
_DISK = "GiB that the state may take; above, images are refused for now."
_FREE = "GiB of the disk that stay free; below, images are refused for now."
_OBJECT = "MiB that one image may have."
_KEEP = "Days that images are kept after their answer was delivered; 0 removes them at once."
_KEEP_FAILED = "Days that images of studies without an answer are kept."
_RETRY = "Seconds until an answer that did not arrive is sent again; each time twice as long, up to five minutes."
_CA = "Who signs the certificates (PEM); callers must then have one."
_SEND_TLS = "Send answers by TLS, too, with the same certificate."


def listen(
    package: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder that the command package wrote.")],
    port: Annotated[int, typer.Option(help="Port to listen on.")],
    dicom_out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Folder for answers.")] = None,
    send_to: Annotated[str | None, typer.Option(metavar="AET@HOST:PORT", help=_SEND_TO)] = None,
    state: Annotated[Path, typer.Option(metavar="FOLDER", help=_STATE)] = Path("listener"),
    host: Annotated[str, typer.Option(help=_HOST)] = "127.0.0.1",
    aet: Annotated[str, typer.Option(metavar="TITLE", help=_TITLE)] = "MEDMAMBA",
    allow: Annotated[list[str] | None, typer.Option(metavar="TITLE", help=_ALLOW)] = None,
    quiet: Annotated[float, typer.Option(help=_QUIET)] = 30.0,
    max_studies: Annotated[int, typer.Option(help=_STUDIES)] = 1000,
    max_disk: Annotated[float, typer.Option(metavar="GIB", help=_DISK)] = 20.0,
    min_free: Annotated[float, typer.Option(metavar="GIB", help=_FREE)] = 2.0,
    max_object: Annotated[float, typer.Option(metavar="MIB", help=_OBJECT)] = 1024.0,
    max_connections: Annotated[int, typer.Option(help="Associations at a time.")] = 10,
    keep: Annotated[float, typer.Option(metavar="DAYS", help=_KEEP)] = 0.0,
    keep_failed: Annotated[float, typer.Option(metavar="DAYS", help=_KEEP_FAILED)] = 7.0,
    retry: Annotated[float, typer.Option(metavar="SECONDS", help=_RETRY)] = 5.0,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Own certificate (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key (PEM).")] = None,
    tls_ca: Annotated[Path | None, typer.Option(metavar="FILE", help=_CA)] = None,
    send_tls: Annotated[bool, typer.Option("--send-tls", help=_SEND_TLS)] = False,
    device: Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda or cuda:0.")] = "auto",
) -> None:
    """Receive studies by DICOM and answer each with a package.

    It runs until it gets a signal to end (Ctrl-C, SIGTERM): the study at hand is answered, the rest goes on at the next
    start.
    """
    listener = _import_listener()
    from medmamba_monai.core.signals import STOP_SIGNALS, catch_signals
    from medmamba_monai.hospital import answer_study
    from medmamba_monai.package import Package

    opened = Package.open(package, device)
    settings = listener.ListenerSettings(
        port=port,
        state=state,
        dicom_out=dicom_out,
        send_to=None if send_to is None else listener.Peer.parse(send_to),
        host=host,
        title=aet,
        allow=tuple(allow or ()),
        quiet=quiet,
        max_studies=max_studies,
        max_disk=max_disk * listener.GIB,
        min_free=min_free * listener.GIB,
        max_object=max_object * listener.MIB,
        max_connections=max_connections,
        keep=keep,
        keep_failed=keep_failed,
        retry=retry,
        send_tls=send_tls,
        tls=listener.Tls.of(tls_cert, tls_key, tls_ca),
        whole_series=opened.card.spatial_dims == 3,
    )
    _log_without_names()
    stop = threading.Event()
    with catch_signals(STOP_SIGNALS, lambda *_: stop.set()):
        listener.Listener(settings, lambda study, output: answer_study(opened, study, output)).run(stop)


def _import_listener() -> Any:
    from medmamba_monai.core.errors import UserError

    try:
        from medmamba_monai.hospital import listener
    except ModuleNotFoundError as error:
        raise UserError(f'{error.name} is not installed: pip install "medmamba-monai[hospital]"') from error
    return listener


def _log_without_names() -> None:
    """Log lines with their time, and nothing of libraries that quote what is in a file."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", force=True)
    logging.getLogger("medmamba_monai").setLevel(logging.INFO)
    logging.captureWarnings(True)
    for name in ("highdicom", "pydicom", "pynetdicom", "py.warnings"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"pydicom\.")
