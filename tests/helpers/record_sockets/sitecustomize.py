"""What a process sends over sockets, in a file: Python runs this at its start where ``PYTHONPATH`` has the folder."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

if folder := os.environ.get("RECORDED_SOCKETS"):
    _send_all: Any = socket.socket.sendall
    _send: Any = socket.socket.send
    _send_parts: Any = socket.socket.sendmsg

    def record(data: Any) -> None:
        """Append to a file of this process."""
        with Path(folder, f"{os.getpid()}.bin").open("ab") as file:
            file.write(memoryview(data))

    def send_all(self: socket.socket, data: Any, *flags: int) -> None:
        """Record what is sent, and send it."""
        record(data)
        _send_all(self, data, *flags)

    def send(self: socket.socket, data: Any, *flags: int) -> int:
        """Send, and record what was sent."""
        sent: int = _send(self, data, *flags)
        record(memoryview(data)[:sent])
        return sent

    def send_parts(self: socket.socket, parts: Any, *options: Any) -> int:
        """Send parts, and record what was sent."""
        whole = b"".join(bytes(part) for part in parts)
        sent: int = _send_parts(self, parts, *options)
        record(whole[:sent])
        return sent

    socket.socket.sendall = send_all  # type: ignore[method-assign]
    socket.socket.send = send  # type: ignore[method-assign]
    socket.socket.sendmsg = send_parts  # type: ignore[method-assign, assignment]
