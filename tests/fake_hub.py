"""A small stand-in for the Hugging Face Hub: serves the files of one data set over HTTP on this machine."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


@dataclass
class FakeHub:
    """Answers ``/datasets/REPO/resolve/REVISION/FILE`` as the Hub does for large files.

    The answer to a HEAD or GET is a redirect that carries the metadata; the bytes come from another host, here
    ``localhost`` in place of ``127.0.0.1``. As on the Hub, the redirect offers the newer transfer protocol too,
    whose servers are out of reach here.
    """

    repo: str
    revision: str
    files: dict[str, bytes]
    cut: set[str] = field(default_factory=set)  # files whose next full download breaks off half-way
    status: int | None = None  # answered to everything
    silent: bool = False  # accept and never answer
    a_hub: bool = True  # False: some web server, e.g. the login page of a hotel
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, file, range
    released: Event = field(default_factory=Event)
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def downloads(self, name: str) -> list[str | None]:
        """Return the Range header of every request for the bytes of a file."""
        return [ranged for method, path, ranged in self.requests if (method, path) == ("GET", f"/cdn/{name}")]

    @contextmanager
    def serving(self) -> Iterator["FakeHub"]:
        handler = type("Handler", (_Handler,), {"hub": self})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            self.port = server.server_port
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                yield self
            finally:
                self.released.set()
                server.shutdown()
                thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def do_HEAD(self) -> None:
        hub = self.hub
        hub.requests.append((self.command, self.path, self.headers["Range"]))
        if hub.silent:
            hub.released.wait()
            self.close_connection = True
        elif hub.status is not None:
            self._answer(hub.status)
        elif not hub.a_hub:
            self._answer(200)
        elif self.path.startswith("/cdn/"):
            self._send_bytes(self.path.removeprefix("/cdn/"))
        else:
            self._redirect(self.path.removeprefix(f"/datasets/{hub.repo}/resolve/{hub.revision}/"))

    do_GET = do_HEAD

    def _redirect(self, name: str) -> None:
        data = self.hub.files.get(name)
        if data is None:
            self._answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self.hub.revision})
            return
        digest = hashlib.sha256(data).hexdigest()
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
        linked |= {"X-Xet-Hash": digest, "X-Xet-Refresh-Route": f"{self.hub.endpoint}/xet"}
        location = f"http://localhost:{self.hub.port}/cdn/{name}"
        self._answer(302, {"Location": location, "X-Repo-Commit": self.hub.revision, **linked})

    def _send_bytes(self, name: str) -> None:
        data = self.hub.files[name]
        start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "bytes=0-")[1])
        headers = {"Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._answer(206 if start else 200, headers, len(data) - start)
        if name in self.hub.cut:
            self.hub.cut.remove(name)
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            self.wfile.write(data[start:])

    def _answer(self, status: int, headers: dict[str, str] | None = None, length: int = 0) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(length)}.items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass
