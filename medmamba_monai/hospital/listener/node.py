"""The DICOM side of a listener: associations, the verification service and the storage service, by pynetdicom."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from pydicom.uid import (
    HTJ2K,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLETransferSyntaxes,
)
from pynetdicom import AE, AllStoragePresentationContexts, VerificationPresentationContexts, build_context, evt
from pynetdicom.dsutils import encode_file_meta
from pynetdicom.presentation import PresentationContext

from medmamba_monai.core.disk import format_size
from medmamba_monai.core.errors import UserError
from medmamba_monai.hospital.listener.faults import describe_failure
from medmamba_monai.hospital.listener.intake import NOT_UNDERSTOOD, Intake
from medmamba_monai.hospital.listener.settings import ListenerSettings, Tls

_ANSWER_SECONDS, _IDLE_SECONDS = 30, 60
_LAST_IMAGES_SECONDS = 5.0
_PLAIN: list[str | UID] = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
]
_IMAGES: list[str | UID] = [
    *(*_PLAIN, *RLETransferSyntaxes, *JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes),
    *(*JPEG2000TransferSyntaxes, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K),
]
_PREAMBLE = bytes(128) + b"DICM"

logger = logging.getLogger(__name__)


class PatientContext(ssl.SSLContext):
    """TLS whose handshake is made in the thread of its connection: who never ends it keeps nobody else waiting."""

    def wrap_socket(self, sock: socket.socket, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """Prepare a connection; the handshake begins when it is first read."""
        sock.settimeout(_ANSWER_SECONDS)
        return super().wrap_socket(sock, *arguments, **{**options, "do_handshake_on_connect": False})


class Node:
    """Listens, and gives each image that is sent to the intake.

    Args:
        settings: where it listens, and whom it lets in.
        intake: what takes images.
    """

    def __init__(self, settings: ListenerSettings, intake: Intake) -> None:
        self._settings = settings
        self._intake = intake
        self._sent: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._server: Any = None

    def start(self) -> int:
        """Begin to listen; returns the port.

        Raises:
            UserError: the address is in use or not this machine's, or a file of the certificate does not fit.
        """
        settings = self._settings
        context = make_server_context(settings.tls) if settings.tls else None
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._take),
            (evt.EVT_DATA_RECV, self._count),
            (evt.EVT_REJECTED, self._tell_rejection),
        ]
        try:
            self._server = _make_entity(settings).start_server(
                (settings.host, settings.port), block=False, ssl_context=context, evt_handlers=handlers
            )
        except OSError as error:
            raise UserError(
                f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}; choose another "
                "--port or --host"
            ) from error
        return int(self._server.socket.getsockname()[1])

    def stop(self) -> None:
        """Listen no longer; who is sending has some seconds to end, then the association is aborted."""
        if self._server is None:
            return
        self._server.shutdown()
        deadline = time.monotonic() + _LAST_IMAGES_SECONDS
        while self._server.active_associations and time.monotonic() < deadline:
            time.sleep(0.05)
        for association in self._server.active_associations:
            association.abort()
        self._server = None

    def _take(self, event: Any) -> int:
        """Take an image as it was sent: no value of it is encoded anew."""
        self._sent[event.assoc] = 0
        try:
            request = event.request
            start = _PREAMBLE + encode_file_meta(event.file_meta)
            content = event.encoded_dataset(include_meta=False)
            return self._intake.take(
                str(request.AffectedSOPInstanceUID), str(request.AffectedSOPClassUID), start, content
            )
        except Exception as error:  # noqa: BLE001 - whatever was sent, the listener goes on
            logger.error("an object was refused: %s", describe_failure(error))
            return NOT_UNDERSTOOD

    def _count(self, event: Any) -> None:
        """End an association that sends more than an image may have, before it fills the memory."""
        association = event.assoc
        self._sent[association] = self._sent.get(association, 0) + len(event.data)
        if self._sent[association] > self._settings.max_object and not association.is_aborted:
            limit = format_size(self._settings.max_object)
            logger.warning("an association was aborted: it sent an object of more than %s (--max-object)", limit)
            self._sent[association] = 0
            threading.Thread(target=association.abort, daemon=True).start()

    def _tell_rejection(self, event: Any) -> None:
        peer = event.assoc.requestor
        request = peer.primitive
        logger.warning(
            "an association from %s was rejected: it calls itself %a and asks for %a; it must be allowed (--allow) and "
            "ask for %s, with %d others at most",
            peer.address,
            request.calling_ae_title,
            request.called_ae_title,
            self._settings.title,
            self._settings.max_connections - 1,
        )


def make_server_context(tls: Tls) -> ssl.SSLContext:
    """Return what a server that has this certificate speaks; with an authority, who connects needs one, too.

    Raises:
        UserError: a file is missing or does not fit.
    """
    context = PatientContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, tls)
    if tls.authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def make_client_context(tls: Tls) -> ssl.SSLContext:
    """Return what a client that has this certificate speaks to a server whose name the authority vouches for.

    Raises:
        UserError: a file is missing or does not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, tls)
    return context


def _load(context: ssl.SSLContext, tls: Tls) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except OSError as error:
        raise UserError(f"--tls-cert {tls.certificate}, --tls-key {tls.key}: do not fit, in PEM ({error})") from error
    if tls.authority is not None:
        try:
            context.load_verify_locations(tls.authority)
        except OSError as error:
            raise UserError(f"--tls-ca {tls.authority}: is no certificate in PEM ({error})") from error


def _make_entity(settings: ListenerSettings) -> AE:
    entity = AE(settings.title)
    entity.require_called_aet = True
    entity.require_calling_aet = list(settings.allow)
    entity.maximum_associations = settings.max_connections
    entity.acse_timeout = entity.dimse_timeout = _ANSWER_SECONDS
    entity.network_timeout = _IDLE_SECONDS
    entity.supported_contexts = [*VerificationPresentationContexts, *_list_storage_contexts()]
    return entity


def _list_storage_contexts() -> Iterator[PresentationContext]:
    """Yield the storage classes; one that is no image comes in to be refused with its reason.

    They are copied for each association, which with all codecs for all classes would take longer than an image.
    """
    for context in AllStoragePresentationContexts:
        name = str(getattr(context.abstract_syntax, "name", ""))
        yield build_context(str(context.abstract_syntax), _IMAGES if "Image" in name else _PLAIN)
