"""A supervised child process that is asked by messages and may die without taking us along.

Messages are JSON, with bytes beside them where needed, over a socket; nothing is unpickled. Tiles go
through shared memory. A child dies with its parent, dumps no core and leaves Ctrl-C to its parent.
"""

import contextlib
import ctypes
import itertools
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from wsi.errors import ChildError, CrashError, MemoryExceeded, TimeoutExceeded, WsiError, from_code

Message = dict[str, Any]
_PR_SET_PDEATHSIG = 1


class Child:
    """One child process running a module as `python -m` does; start it by asking, end it by `stop`."""

    def __init__(self, module: str, *, memory_bytes: int | None = None, shared: tuple[int, ...] = ()) -> None:
        self._module = module
        self._memory = memory_bytes
        self._shared = shared
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process if it doesn't run."""
        if self.running:
            return
        self.stop()
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [str(theirs.fileno()), str(self._memory or 0), str(os.getpid()), *map(str, self._shared)]
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-X", "faulthandler=0", "-m", "wsi.engine.start", self._module, *arguments],
                env={"OPENBLAS_NUM_THREADS": "1", **os.environ},  # NumPy's: small products only wait for other threads
                pass_fds=(theirs.fileno(), *self._shared),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if os.environ.get("WSI_DEBUG") else subprocess.DEVNULL,
            )
        self._pipe = Connection(ours.detach())
        self._poll = select.poll()
        self._poll.register(self._pipe.fileno(), select.POLLIN)

    def fileno(self) -> int:
        """The socket to wait on; only while the child runs."""
        assert self._pipe is not None
        return self._pipe.fileno()

    def send(self, message: Message, *blobs: bytes) -> None:
        """Send a message and the bytes that belong to it; CrashError when the child is gone."""
        self.start()
        assert self._pipe is not None
        try:
            send(self._pipe, message, *blobs)
        except OSError as error:
            raise self._death() from error

    def receive(self, timeout_s: float, *, alive: Callable[[], object] | None = None) -> tuple[Message, list[bytes]]:
        """Return the next message and its bytes.

        Args:
            timeout_s: seconds without progress after which the child is stopped.
            alive: returns a value that changes while the child makes progress; None: no such sign.

        Raises:
            TimeoutExceeded, CrashError, MemoryExceeded: the child was stopped, or died.
            WsiError: the child reported this error.
        """
        assert self._pipe is not None
        deadline, sign = time.monotonic() + timeout_s, alive() if alive else None
        try:
            while not self._poll.poll(1000 * min(1.0, timeout_s)):
                if not self.running and not self._poll.poll(0):
                    raise self._death()
                if alive and (now := alive()) != sign:
                    deadline, sign = time.monotonic() + timeout_s, now
                if time.monotonic() > deadline:
                    self.stop()
                    raise TimeoutExceeded(f"no progress in {timeout_s:.0f} s; the process was stopped")
            message, blobs = receive(self._pipe)
        except (EOFError, ConnectionError) as error:
            raise self._death() from error
        if "error" in message:
            raise from_code(message["error"], message["message"])
        return message, blobs

    def _death(self) -> ChildError:
        process, code = self._process, None
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(2)
        self.stop()
        if code is not None and code < 0:
            return CrashError(f"the process died of {signal.Signals(-code).name}")
        return CrashError(f"the process ended unexpectedly (exit status {code})")

    def stop(self, *, wait_s: float = 0.0) -> None:
        """End the process, by force after `wait_s`; nothing happens when none runs.

        A child whose pipe is closed ends by itself, and so gets to stop its own children.
        """
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(wait_s)
            self._process.kill()
            self._process.wait()
            self._process = None


def send(pipe: Connection, message: Message, *blobs: bytes) -> None:
    """Write one message and its bytes to a pipe, at once: each call of the system lets other threads go first."""
    told = json.dumps({**message, "blobs": [len(blob) for blob in blobs]}).encode()
    pipe.send_bytes(b"".join((len(told).to_bytes(4), told, *blobs)))


def receive(pipe: Connection) -> tuple[Message, list[bytes]]:
    """Read one message and its bytes from a pipe; EOFError when the other side is gone."""
    content = pipe.recv_bytes()
    end = 4 + int.from_bytes(content[:4])
    message: Message = json.loads(content[4:end])
    ends = list(itertools.accumulate(message.pop("blobs"), initial=end))
    return message, [content[start:stop] for start, stop in itertools.pairwise(ends)]


def serve(answer: Callable[[Connection, Message, list[bytes]], None]) -> None:
    """Be the child: answer messages until the parent is gone. Errors of this tool go back as code and text."""
    pipe = _settle_in()
    while True:
        try:
            message, blobs = receive(pipe)
        except (EOFError, ConnectionError):
            return
        try:
            answer(pipe, message, blobs)
        except WsiError as error:
            send(pipe, {"error": error.code, "message": str(error)})
        except MemoryError:
            send(pipe, {"error": MemoryExceeded.code, "message": "the slide needs more memory than it may take"})


def _settle_in() -> Connection:
    descriptor, memory, parent = (int(a) for a in sys.argv[1:4])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if memory:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    if os.getppid() != parent:
        raise SystemExit(1)
    return Connection(descriptor)
