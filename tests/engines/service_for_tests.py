"""A service that does as it is told."""

import ctypes
import os
import time
from pathlib import Path

from selfplay.errors import ModelDamaged, UsageError


def make(settings):
    return Obedient(settings["name"], settings.get("out"))


class Obedient:
    def __init__(self, name, out):
        self.name, self.out = name, out
        self.is_finishing = False

    def finish(self):
        self.is_finishing = True

    def handle(self, message):
        match message["do"]:
            case "count":
                for n in range(message["to"]):
                    yield {"n": n, "name": self.name}
                    yield None
            case "copy":
                os.makedirs(self.out, exist_ok=True)
                with open(message["model"]) as source, open(f"{self.out}/copy", "w") as target:
                    target.write(source.read())
                yield {"file": "copy", "saw": message["model"], "wrote": self.out}
            case "damaged":
                raise ModelDamaged(Path(message["model"]), f"{message['model']}: torn")
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
