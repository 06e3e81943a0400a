"""What a listener is told: where it listens, whom it lets in, how much it holds, where its answers go."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from typing_extensions import Self

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.options import Expects, NumberFrom0, Options, WholeFrom1

_TITLE = re.compile(r"(?! )[ -\[\]-~]{1,16}(?<! )")
_PEER = re.compile(r"(?P<title>[^@]+)@(?P<host>\[[0-9A-Fa-f:]+\]|[^:@\s]+):(?P<port>\d{1,5})")
_LAST_PORT = 2**16 - 1
MIB, GIB = 2**20, 2**30


def check_title(title: str) -> str:
    r"""Return an application entity title: 1 to 16 printable ASCII characters, no backslash, no blank at an end.

    Raises:
        UserError: it is none.
    """
    if not _TITLE.fullmatch(title):
        raise UserError(f"{title!r} is no AE title: give 1 to 16 letters, digits or signs, without a backslash")
    return title


@dataclass(frozen=True)
class Peer:
    """Another node: the PACS that answers are sent to."""

    title: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Peer:
        """Read ``TITLE@host:port``.

        Raises:
            UserError: it is something else.

        Example:
            >>> Peer.parse("PACS@pacs.example.org:104")
            Peer(title='PACS', host='pacs.example.org', port=104)
        """
        match = _PEER.fullmatch(text)
        if match is None or not 1 <= int(match["port"]) <= _LAST_PORT:
            raise UserError(f"--send-to {text!r}: give the title, host and port of the PACS, such as PACS@10.0.0.5:104")
        return cls(check_title(match["title"]), match["host"].strip("[]"), int(match["port"]))

    def __str__(self) -> str:
        return f"{self.title}@{self.host}:{self.port}"


@dataclass(frozen=True)
class Tls:
    """Files of a certificate.

    Attributes:
        certificate: PEM, with what it is signed by.
        key: PEM.
        authority: PEM; who connects must have a certificate that it signed; None lets in whoever speaks TLS.
    """

    certificate: Path
    key: Path
    authority: Path | None = None

    @classmethod
    def of(cls, certificate: Path | None, key: Path | None, authority: Path | None) -> Tls | None:
        """Return what options say; None where there is none.

        Raises:
            UserError: one of the files is missing.
        """
        options = {"--tls-cert": certificate, "--tls-key": key, "--tls-ca": authority}
        given = [f"{option} {path}" for option, path in options.items() if path is not None]
        if not given:
            return None
        if certificate is None or key is None:
            missing = [f"{option} FILE" for option in ("--tls-cert", "--tls-key") if options[option] is None]
            raise UserError(f"{', '.join(given)}: TLS needs {' and '.join(missing)}, too")
        return cls(certificate, key, authority)


Port = Annotated[int, Field(ge=0, le=_LAST_PORT), Expects(f"a port from 1 to {_LAST_PORT}")]
Title = Annotated[str, AfterValidator(check_title), Expects("an AE title of 1 to 16 characters")]
Bytes = Annotated[int, BeforeValidator(int), Field(gt=0), Expects("a number above 0")]


class ListenerSettings(Options):
    """What a listener is told.

    Raises:
        UserError: a value does not fit, or answers go nowhere, or everybody on a network would be let in.
    """

    port: Annotated[Port, Field(description="to listen on; 0 takes a free one")]
    state: Annotated[Path, Field(description="folder for what was received and what became of it")]
    dicom_out: Annotated[Path | None, Field(description="folder for answers")] = None
    send_to: Annotated[Peer | None, Field(description="PACS that gets the answers")] = None
    host: Annotated[str, Field(description="address to listen on")] = "127.0.0.1"
    title: Annotated[Title, Field(description="own AE title, which callers must ask for")] = "MEDMAMBA"
    allow: Annotated[tuple[Title, ...], Field(description="AE titles that may call; none: any, on this machine")] = ()
    quiet: Annotated[NumberFrom0, Field(description="seconds without an image until a study is answered")] = 30.0
    max_studies: Annotated[WholeFrom1, Field(description="studies that may wait; more are refused for now")] = 1000
    max_disk: Annotated[Bytes, Field(description="bytes that the state folder may take")] = 20 * GIB
    min_free: Annotated[Bytes, Field(description="bytes of the disk that stay free")] = 2 * GIB
    max_object: Annotated[Bytes, Field(description="bytes that one image may have")] = GIB
    max_connections: Annotated[WholeFrom1, Field(description="associations at a time")] = 10
    keep: Annotated[NumberFrom0, Field(description="days that images are kept after the answer was delivered")] = 0.0
    keep_failed: Annotated[NumberFrom0, Field(description="days that images without an answer are kept")] = 7.0
    retry: Annotated[NumberFrom0, Field(description="seconds until an answer is sent again; doubles each time")] = 5.0
    tls: Annotated[Tls | None, Field(description="certificate, for connections from others")] = None
    send_tls: Annotated[bool, Field(description="whether answers are sent by TLS, too")] = False
    whole_series: Annotated[bool, Field(description="whether a series is one image: some of its slices are none")] = (
        False
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.dicom_out is None and self.send_to is None:
            raise UserError("answers would go nowhere: give --dicom-out FOLDER, --send-to TITLE@host:port or both")
        if not self.allow and not _is_loopback(self.host):
            raise UserError(
                f"--host {self.host}: others could connect, so name those who may with --allow, the AE titles of the "
                "PACS and of the modalities"
            )
        if self.send_tls and (self.send_to is None or self.tls is None or self.tls.authority is None):
            raise UserError("--send-tls: needs --send-to, --tls-cert, --tls-key, and in --tls-ca who signs the PACS's")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
