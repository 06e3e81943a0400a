"""Servers that are no MLflow: one answers 200 with something else, one sends a byte from time to time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def serve(body: bytes, seconds_per_byte: float = 0.0) -> Iterator[str]:
    """Answer every request with 200 and a body; yields the address.

    Args:
        body: what to answer.
        seconds_per_byte: how long each byte takes, until the block ends.
    """
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                if not seconds_per_byte:
                    self.wfile.write(body)
                for index in range(len(body) if seconds_per_byte else 0):
                    if ended.wait(seconds_per_byte):
                        return
                    self.wfile.write(body[index : index + 1])

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
