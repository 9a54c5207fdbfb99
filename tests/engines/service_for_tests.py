"""A service that does as it is told."""

import ctypes
import os
import time

from selfplay.errors import UsageError


def make(settings):
    return Obedient(settings["name"])


class Obedient:
    def __init__(self, name):
        self.name = name
        self.is_finishing = False

    def finish(self):
        self.is_finishing = True

    def handle(self, message):
        match message["do"]:
            case "count":
                for n in range(message["to"]):
                    yield {"n": n, "name": self.name}
                    yield None
            case "fail":
                raise UsageError("as asked")
            case "crash":
                raise RuntimeError("out of the blue")
            case "pid":
                yield {"pid": os.getpid()}
            case "stuck":
                time.sleep(600)
            case "hold Python's lock":
                ctypes.PyDLL(None).sleep(600)
            case "loop":
                while True:
                    pass
            case "until asked to finish":
                while not self.is_finishing:
                    time.sleep(0.01)
                    yield None
                yield {"finished": True}
            case "forever":
                while True:
                    time.sleep(0.01)
                    yield None
