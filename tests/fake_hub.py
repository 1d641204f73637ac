"""A small stand-in for the Hugging Face Hub: serves the files of one data set over HTTP on this machine."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pytest


def use_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the library of the Hub keep its files in a folder; it reads its environment once, when it is imported."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("NO_PROXY", "*")
    huggingface_hub.close_session()


@dataclass
class FakeHub:
    """Answers ``/datasets/REPO/resolve/COMMIT/FILE`` and ``/api/datasets/REPO/revision/REVISION`` as the Hub does.

    The answer to a HEAD or GET of a large file is a redirect that carries the metadata; the bytes come from another
    host, here ``localhost`` in place of ``127.0.0.1``. As on the Hub, the redirect offers the newer transfer protocol
    too, whose servers are out of reach here. Of a set that does not exist the Hub says to strangers what it says of
    private ones, 401.
    """

    repo: str
    revision: str
    files: dict[str, bytes]
    cut: set[str] = field(default_factory=set)  # files whose next full download breaks off half-way
    status: int | None = None  # answered to everything
    silent: bool = False  # accept and never answer
    a_hub: bool = True  # False: some web server, e.g. the login page of a hotel
    gated: bool = False  # what the set holds is told to everybody, its files are given to few
    branches: dict[str, str] = field(default_factory=dict)  # commits of branches and tags
    history: dict[str, dict[str, bytes]] = field(default_factory=dict)  # files of other commits than the revision
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, file, range
    released: Event = field(default_factory=Event)
    port: int = 0

    def commit(self, number: int, files: dict[str, bytes], branch: str = "main") -> str:
        """Add a commit that a branch stands at from now on; return it."""
        commit = f"{number:040x}"
        self.history[commit] = files
        self.branches[branch] = commit
        return commit

    def files_of(self, commit: str) -> dict[str, bytes] | None:
        return self.files if commit == self.revision else self.history.get(commit)

    @property
    def asked(self) -> list[str]:
        """The requests for anything but the bytes of files."""
        return [unquote(path) for _, path, _ in self.requests if not path.startswith("/cdn/")]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def downloads(self, name: str) -> list[str | None]:
        """Return the Range header of every request for the bytes of a file."""
        return [
            ranged
            for method, path, ranged in self.requests
            if (method, path) == ("GET", f"/cdn/{self.revision}/{name}")
        ]

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
        elif match := re.fullmatch(r"/api/datasets/(.+?)(?:/revision/([^/]+))?", urlsplit(self.path).path):
            self._describe(match[1], unquote(match[2] or "main"))
        else:
            self._redirect(self.path.removeprefix(f"/datasets/{hub.repo}/resolve/"))

    do_GET = do_HEAD

    def _describe(self, repo: str, revision: str) -> None:
        hub = self.hub
        if repo != hub.repo:
            self._answer(401, {"X-Error-Message": "Invalid username or password."})
            return
        commit = hub.branches.get(revision, revision)
        files = hub.files_of(commit)
        if files is None:
            message = f"Invalid rev id: {revision}"
            self._answer(404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": message})
            return
        siblings = [{"rfilename": name} for name in files]
        content = json.dumps({"id": repo, "sha": commit, "siblings": siblings, "gated": hub.gated}).encode()
        self._answer(200, {"Content-Type": "application/json"}, len(content))
        self.wfile.write(content)

    def _redirect(self, path: str) -> None:
        commit, _, name = path.partition("/")
        data = (self.hub.files_of(commit) or {}).get(unquote(name))
        if data is None:
            self._answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        if self.hub.gated:
            self._answer(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
            return
        digest = hashlib.sha256(data).hexdigest()
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
        linked |= {"X-Xet-Hash": digest, "X-Xet-Refresh-Route": f"{self.hub.endpoint}/xet"}
        location = f"http://localhost:{self.hub.port}/cdn/{path}"
        self._answer(302, {"Location": location, "X-Repo-Commit": commit, **linked})

    def _send_bytes(self, path: str) -> None:
        commit, _, name = unquote(path).partition("/")
        data = (self.hub.files_of(commit) or {})[name]
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
