"""A child process for tests of `wsi.engine.child`: it answers, fails, dies or hangs as it is asked to."""

import os
import signal
import time
from multiprocessing.connection import Connection

from wsi.engine.child import Message, send, serve
from wsi.errors import ModalityError


def _answer(pipe: Connection, message: Message, blobs: list[bytes]) -> None:
    match message["do"]:
        case "echo":
            send(pipe, message, *[blob[::-1] for blob in blobs])
        case "refuse":
            raise ModalityError("no brightfield here")
        case "die":
            os.kill(os.getpid(), signal.Signals[message["signal"]])
        case "exit":
            os._exit(message["status"])
        case "hang":
            time.sleep(3600)
        case "take":
            held = bytearray(message["bytes"])
            send(pipe, {"held": len(held)})
        case "state":
            send(pipe, {"pid": os.getpid(), "core": signal.getsignal(signal.SIGINT) == signal.SIG_IGN})


if __name__ == "__main__":
    serve(_answer)
