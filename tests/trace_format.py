#!/usr/bin/env python3
"""A trace by wg_dump_trace follows the Trace Event Format (Nduca, Sinclair 2016), which Perfetto reads.

    trace_format.py PROGRAM OPTIONS...       # a program with --logdir, such as digits

Runs the program, checks its trace.json, and that the checks refuse a trace in which one thing is wrong."""
import copy
import json
import os
import subprocess
import sys
import tempfile

METADATA = {"process_name": ("name", str), "thread_name": ("name", str), "process_labels": ("labels", str),
            "process_sort_index": ("sort_index", int), "thread_sort_index": ("sort_index", int)}
ROUNDED = 1e-3  # microseconds: times have three digits after the point


class Wrong(Exception):
    """Where a trace breaks a rule."""


def need(holds, rule, event):
    if not holds:
        raise Wrong(f"{rule}: {event}")


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")


def check_event(event):
    """The rules for one event, which is complete (X, with a duration) or metadata (M)."""
    need(isinstance(event, dict), "an event is an object", event)
    need(isinstance(event.get("name"), str) and event["name"], "name is a string", event)
    need(event.get("ph") in ("X", "M"), "ph is a phase that is written", event)
    need(all(type(event.get(key)) is int for key in ("pid", "tid")), "pid and tid are whole numbers", event)
    need(isinstance(event.get("args", {}), dict), "args is an object", event)
    if event["ph"] == "M":
        key, kind = METADATA.get(event["name"], (None, None))
        need(key and type(event.get("args", {}).get(key)) is kind, "metadata has its argument", event)
        return
    need(number(event.get("ts")), "ts is a time in microseconds", event)
    need(number(event.get("dur")), "dur is a time in microseconds", event)
    need(isinstance(event.get("cat"), str) and event["cat"], "cat is a string", event)
    extra = set(event) - {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"}
    need(not extra, "no key that the format does not know", event)


def check_lanes(slices):
    """Events of a lane nest: one begins after another has ended, or ends no later."""
    ends = {}
    for event in slices:
        stack = ends.setdefault((event["pid"], event["tid"]), [])
        while stack and stack[-1] <= event["ts"] + ROUNDED:
            stack.pop()
        need(not stack or event["ts"] + event["dur"] <= stack[-1] + 2 * ROUNDED, "events nest", event)
        stack.append(event["ts"] + event["dur"])


def check_format(text):
    """Returns the metadata and the complete events."""
    trace = json.loads(text, parse_constant=lambda name: need(False, "numbers are finite", name))
    need(isinstance(trace, dict) and isinstance(trace.get("traceEvents"), list), "an object with traceEvents", trace)
    need(trace.get("displayTimeUnit", "ms") in ("ms", "ns"), "displayTimeUnit is ms or ns", "")
    for event in trace["traceEvents"]:
        check_event(event)
    metadata = [event for event in trace["traceEvents"] if event["ph"] == "M"]
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    check_lanes(sorted(slices, key=lambda event: (event["ts"], -event["dur"])))
    return metadata, slices


def check_trace(text, runs):
    """That, and what trace.h promises: sorted by start, a name for each lane, the tasks inside of a run."""
    metadata, slices = check_format(text)
    names = {event["tid"]: event["args"]["name"] for event in metadata if event["name"] == "thread_name"}
    need([event["ts"] for event in slices] == sorted(event["ts"] for event in slices), "sorted by start", "")
    need(len(slices) > 50, "has events", len(slices))
    for event in slices:
        need(event["pid"] == 1 and event["tid"] in names, "each lane has a name", event)
        need(event["tid"] != 0, "no thread 0, which Perfetto would take for the main thread", event)
        need(event["name"] != "run" or event["tid"] == event["pid"], "a run is in the lane of the main thread", event)
    whole = [event for event in slices if event["name"] == "run"]
    need(len(whole) == runs, f"{runs} runs", len(whole))
    for event in slices:
        need(any(run["ts"] <= event["ts"] + ROUNDED and
                 event["ts"] + event["dur"] <= run["ts"] + run["dur"] + 2 * ROUNDED for run in whole),
             "a task is inside of a run", event)


def mutants(trace):
    """Traces with one thing wrong."""
    task = next(i for i, event in enumerate(trace["traceEvents"]) if event["ph"] == "X" and event["name"] != "run")
    changes = [("name", 7), ("ph", "Z"), ("ts", -1), ("ts", "0"), ("ts", 1e12), ("dur", None), ("dur", 1e12),
               ("pid", "1"), ("tid", 1.5), ("tid", 0), ("tid", 99), ("cat", 0), ("args", []), ("unknown", 1)]
    for key, value in changes:
        other = copy.deepcopy(trace)
        other["traceEvents"][task][key] = value
        yield f"{key} = {value}", other
    for what, change in {"no events": {"traceEvents": []}, "a list": [], "a unit": {**trace, "displayTimeUnit": "s"},
                         "no names": {"traceEvents": trace["traceEvents"][1:2] + trace["traceEvents"][task:]},
                         "a name without text": {"traceEvents": [
                             {"name": "thread_name", "ph": "M", "pid": 1, "tid": 0}]}}.items():
        yield what, change


def main():
    with tempfile.TemporaryDirectory() as folder:
        command = [os.path.abspath(sys.argv[1]), *sys.argv[2:], "--logdir", folder]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(os.path.join(folder, "trace.json"), encoding="utf-8") as file:
            text = file.read()
    check_trace(text, 5)
    refused = 0
    for what, trace in mutants(json.loads(text)):
        try:
            check_trace(json.dumps(trace), 5)
        except Wrong:
            refused += 1
        else:
            sys.exit(f"a trace with {what} is accepted")
    print(f"the trace is in the format; {refused} wrong ones are refused")


if __name__ == "__main__":
    main()
