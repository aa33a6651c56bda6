#!/usr/bin/env python3
"""What examples leave with --logdir, read by the programs that it is for.

    watched.py CHARLM DIGITS

TensorBoard's own data provider returns the scalars, histograms, pictures and texts that were logged, also after a run was
killed and resumed; trace.json is a Chrome trace; report.html parses and loads nothing. Exit code 77 (skipped) where the
pip package tensorboard is missing."""
import html.parser
import io
import math
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from trace_format import check_trace

try:
    import PIL.Image
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.context import RequestContext
except ImportError as error:
    print(f"skipped: {error} (pip install tensorboard)")
    sys.exit(77)


def run(program, *arguments):
    done = subprocess.run([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{program} {arguments}: {done.stdout}"
    return done.stdout


class Logs:
    """A folder of runs as TensorBoard's plugins see it."""

    def __init__(self, folder):
        multiplexer = plugin_event_multiplexer.EventMultiplexer(tensor_size_guidance={name: 0 for name in (
            "scalars", "histograms", "images", "text")})
        multiplexer.AddRunsFromDirectory(folder)
        multiplexer.Reload()
        self.provider = data_provider.MultiplexerDataProvider(multiplexer, folder)
        self.common = {"ctx": RequestContext(), "experiment_id": ""}

    def scalars(self, name):
        read = self.provider.read_scalars(**self.common, plugin_name="scalars", downsample=100000)
        return {tag: [(point.step, point.value) for point in points] for tag, points in read[name].items()}

    def tensors(self, name, plugin):
        read = self.provider.read_tensors(**self.common, plugin_name=plugin, downsample=100000)
        return {tag: [(point.step, point.numpy) for point in points] for tag, points in read[name].items()}

    def images(self, name):
        """{tag: the first picture}"""
        read = self.provider.read_blob_sequences(**self.common, plugin_name="images", downsample=1000)
        pictures = {}
        for tag, points in read[name].items():
            width, height, *files = [self.provider.read_blob(ctx=self.common["ctx"], blob_key=blob.blob_key)
                                     for blob in points[0].values]
            pictures[tag] = (int(width), int(height), PIL.Image.open(io.BytesIO(files[0])))
        return pictures


def check_charlm(program, logs, folder):
    """A run whose last sixty steps were lost with the machine: TensorBoard shows each step once, as in --losses."""
    model, losses = os.path.join(folder, "m.safetensors"), os.path.join(folder, "losses")
    common = ["train", "--tiny", "--out", model, "--losses", losses, "--logdir", os.path.join(logs, "charlm"),
              "--threads", "2", "--sample-every", "50"]
    run(program, *common, "--steps", "60")
    shutil.copy(model, model + ".60")
    run(program, *common, "--steps", "120", "--resume")
    shutil.copy(model + ".60", model)
    run(program, *common, "--steps", "150", "--resume")
    page = check_report(os.path.join(logs, "charlm", "report.html"), "polyline", "pre", "dl")
    assert page.tags.count("circle") == 5  # steps 50 and 60 of the first run; 100, 150 and the end of the last
    log = Logs(logs)
    scalars, wanted = log.scalars("charlm"), [float(line) for line in open(losses, encoding="ascii")]
    assert [step for step, _ in scalars["loss/training"]] == list(range(1, 151))
    assert all(math.isclose(got, want, rel_tol=1e-6) for (_, got), want in zip(scalars["loss/training"], wanted))
    assert {50, 60, 100, 150} <= {step for step, _ in scalars["loss/validation"]}, scalars["loss/validation"]
    texts = log.tensors("charlm", "text")["Samples"]
    assert [step for step, _ in texts] == [50, 100, 150] and all(len(text[0]) > 150 for _, text in texts)
    assert all(line.startswith(b"    ") for _, text in texts for line in text[0].split(b"\n"))  # Markdown: as it is
    assert b"\n" in texts[-1][1][0] and b"\\x0a" not in texts[-1][1][0]
    histograms = log.tensors("charlm", "histograms")
    assert "values/rnn.weight_ih_l0" in histograms and "gradients/decoder.bias" in histograms
    _, rows = histograms["gradients/rnn.weight_hh_l0"][-1]
    assert rows.shape[1] == 3 and rows[:, 2].sum() == 4 * 32 * 32
    assert all(left <= right for left, right, _ in rows)


def check_digits(program, logs):
    out = run(program, "--tiny", "--logdir", os.path.join(logs, "digits"), "--threads", "2")
    log = Logs(logs)
    accuracy = log.scalars("digits")["accuracy/held out"]
    assert f"final: accuracy {accuracy[-1][1]:.2f} %," in out and len(accuracy) == 4
    pictures = log.images("digits")
    assert pictures and all(tag.startswith("Wrong answers/") for tag in pictures)
    for width, height, picture in pictures.values():
        assert (width, height) == picture.size == (28, 28) and picture.mode == "L"
        assert len(set(picture.tobytes())) > 20


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        for name, value in attrs:
            assert name not in ("src", "href") or value.startswith("data:"), value
            assert not name.startswith("on") and tag not in ("script", "link", "iframe", "object")

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


def check_report(path, *wanted):
    page = Page()
    with open(path, encoding="utf-8") as file:
        page.feed(file.read())
    assert not page.open
    for tag in wanted:
        assert tag in page.tags, tag
    return page


def main():
    charlm, digits = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        logs = os.path.join(folder, "logs")
        check_charlm(charlm, logs, folder)
        check_digits(digits, logs)
        check_report(os.path.join(logs, "digits", "report.html"), "img", "table", "circle")
        for name in ("charlm", "digits"):
            with open(os.path.join(logs, name, "trace.json"), encoding="utf-8") as file:
                check_trace(file.read(), 5)
    print("scalars, histograms, pictures, texts, traces and reports are what was logged")


if __name__ == "__main__":
    main()
