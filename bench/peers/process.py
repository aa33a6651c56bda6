"""Shared by the peers' programs: the command loop and memory measurement."""
import ctypes
import gc
import json
import sys
import time


def process_bytes(name):
    """VmRSS or VmHWM of this process."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name + ":"))


def release():
    """Returns freed memory to the system and resets VmHWM to the current resident memory."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def serve(version, load):
    """Answers each command with a line of JSON, so that the caller can interleave its own steps. load(path) reads
    weights and data from a safetensors file and returns a function that runs one step and returns the loss.

    load FILE                                                          {"ok": true, "version": "2.13.0+cpu"}
    step        run one step, timed here                               {"ms": 21.3, "loss": 4.17}
    memory      peak resident memory since load, over an idle process  {"bytes": 1234}
    quit"""
    release()
    idle, step = process_bytes("VmRSS"), None
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        try:
            if command == "load":
                step = load(argument)
                release()
                answer = {"ok": True, "version": version}
            elif command == "step" and step:
                began = time.perf_counter()
                loss = step()
                answer = {"ms": (time.perf_counter() - began) * 1e3, "loss": loss}
            elif command == "memory":
                answer = {"bytes": process_bytes("VmHWM") - idle}
            elif command == "quit":
                break
            else:
                answer = {"error": f"unknown command: {line.strip()}"}
        except Exception as error:  # report any error to the caller
            text = f"{type(error).__name__}: {error}".partition("\n")[0].replace('"', "'")
            answer = {"error": text[:180]}
        print(json.dumps(answer), flush=True)
