#!/usr/bin/env python3
"""The programs of the zoo whose model is C code, against the originals: outputs, and time with 2 threads.

    examples/zoo/check_own.py [--tune] [--programs DIR] [NAME ...]

DIR has the programs (build/examples/zoo); the weights are where fetch.py puts them ($WG_ZOO). Each program runs on the
same inputs as the original: g2p_en's own functions, on NumPy; PyTorch modules with the weights that h5py or torch.load
reads. A run of one and a run of the other alternate; times are the shortest. With --tune each is trained further, which
must improve it. Exit status: 0 if all outputs agree to 1e-4; 77 if a package or all weights are missing.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "2"
try:
    import h5py
    import numpy
    import torch
except ImportError as error:
    print(f"skipped: {error} (pip install h5py numpy torch)")
    sys.exit(77)

torch.set_num_threads(2)
ZOO = pathlib.Path(os.environ.get("WG_ZOO") or pathlib.Path.home() / ".cache" / "wengert-zoo")
random = numpy.random.default_rng(3)
# What --tune prints before and after.
TUNED = {"phonemes": r"loss before ([\d.]+).*loss after ([\d.]+)",
         "textgen": r"loss before ([\d.]+).*loss after ([\d.]+)",
         "speaker": r"loss of a linear layer ([\d.]+).*loss of all ([\d.]+)"}
WORDS = ("wengert activation banana phoneme gradient tapestry quixotic zoo machine learning unrolled recurrent "
         "xylophone mnemonic through yacht").split()
TEXT = "It is a truth universally acknowledged, that a single man in possession of a good fortune"


def phonemes():
    """g2p_en 2.1.0: its grucell, gru and predict, with the logits of each step."""
    weights = numpy.load(ZOO / "g2p_en.npz")
    v = {name: weights[name] for name in weights.files}

    def sigmoid(x):
        return 1 / (1 + numpy.exp(-x))

    def grucell(x, h, side):
        rzn_ih = numpy.matmul(x, v[side + "_w_ih"].T) + v[side + "_b_ih"]
        rzn_hh = numpy.matmul(h, v[side + "_w_hh"].T) + v[side + "_b_hh"]
        rz = sigmoid(rzn_ih[:, :512] + rzn_hh[:, :512])
        r, z = numpy.split(rz, 2, -1)
        n = numpy.tanh(rzn_ih[:, 512:] + r * rzn_hh[:, 512:])
        return (1 - z) * n + z * h

    lengths = numpy.array([len(word) + 1 for word in WORDS], "i4")
    letters = numpy.zeros((len(WORDS), lengths.max()), "i4")
    for i, word in enumerate(WORDS):
        letters[i, :lengths[i]] = [3 + ord(c) - ord("a") for c in word] + [2]

    def run():
        out = numpy.zeros((len(WORDS), 20, 74), "f4")
        for i, n in enumerate(lengths):
            h = numpy.zeros((1, 256), "f4")
            for x in v["enc_emb"][letters[i, :n]]:
                h = grucell(x[None], h, "enc")
            last = 2
            for t in range(20):
                h = grucell(v["dec_emb"][[last]], h, "dec")
                logits = numpy.matmul(h, v["fc_w"].T) + v["fc_b"]
                out[i, t] = logits[0]
                last = int(logits.argmax())
                if last == 3:
                    break
        return out
    return "g2p_en (NumPy)", {"letters": letters, "lengths": lengths}, run


def keras_kernel(kernel):
    """CuDNNLSTM's kernel [in, 4 H] as PyTorch's [4 H, in]: keras 2.1's _convert_rnn_weights, then transposed."""
    gates = numpy.hsplit(kernel, 4)
    return torch.tensor(numpy.concatenate([gate.T.reshape(gate.shape, order="F").T for gate in gates]))


def textgen(batch):
    """textgenrnn 2.0.0 as PyTorch modules."""
    with h5py.File(ZOO / "textgenrnn.hdf5") as file:
        w = {"/".join(name.split("/")[1:]): item[()] for name, item in
             ((name, file[name]) for name in names(file))}
    rnn = []
    for name, size in (("rnn_1", 100), ("rnn_2", 128)):
        lstm = torch.nn.LSTM(size, 128)
        bias = torch.tensor(w[f"{name}/bias:0"])
        lstm.load_state_dict({"weight_ih_l0": keras_kernel(w[f"{name}/kernel:0"]),
                              "weight_hh_l0": keras_kernel(w[f"{name}/recurrent_kernel:0"]),
                              "bias_ih_l0": bias[:512], "bias_hh_l0": bias[512:]})
        rnn.append(lstm)
    embedding, attention, kernel, bias = (torch.tensor(w[name]) for name in (
        "embedding/embeddings:0", "attention/attention_W:0", "output/kernel:0", "output/bias:0"))
    numbers = json.loads((ZOO / "textgenrnn_vocab.json").read_text())
    x = numpy.array([[numbers[c] for c in TEXT[i:i + 40]] for i in range(batch)], "i4").T.copy()

    def run():
        with torch.no_grad():
            e = torch.nn.functional.embedding(torch.tensor(x), embedding)
            a = rnn[0](e)[0]
            h = torch.cat([e, a, rnn[1](a)[0]], 2)
            h = (h * torch.softmax(h @ attention, 0)).sum(0)
            return torch.softmax(h @ kernel + bias, 1).numpy()
    return f"PyTorch, batch {batch}", {"x": x}, run


def names(file):
    found = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return found


def mel_bands(samples):
    """librosa.feature.melspectrogram(y=samples, sr=16000, n_fft=400, hop_length=160, n_mels=40).T, from its manual."""
    padded = numpy.pad(samples.astype("f8"), 200)
    frames = numpy.lib.stride_tricks.sliding_window_view(padded, 400)[::160]
    power = numpy.abs(numpy.fft.rfft(frames * (0.5 - 0.5 * numpy.cos(2 * numpy.pi * numpy.arange(400) / 400)))) ** 2
    mels = numpy.linspace(0, 15 + numpy.log(8) * 27 / numpy.log(6.4), 42)
    edges = numpy.where(mels < 15, mels * 200 / 3, 1000 * numpy.exp((mels - 15) * numpy.log(6.4) / 27))
    ramps = edges[:, None] - numpy.fft.rfftfreq(400, 1 / 16000)[None]
    lower, upper = -ramps[:-2] / numpy.diff(edges)[:-1, None], ramps[2:] / numpy.diff(edges)[1:, None]
    bands = numpy.maximum(0, numpy.minimum(lower, upper)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return (power @ bands.T).astype("f4")


def speaker(batch):
    """Resemblyzer 0.1.4's VoiceEncoder: an LSTM, a linear layer, relu, and the norm. Batch 0: its embed_utterance."""
    state = torch.load(ZOO / "resemblyzer.pt", map_location="cpu", weights_only=True)["model_state"]
    lstm, linear = torch.nn.LSTM(40, 256, 3), torch.nn.Linear(256, 256)
    for module, name in ((lstm, "lstm."), (linear, "linear.")):
        module.load_state_dict({key.removeprefix(name): value for key, value in state.items() if key.startswith(name)})

    def embed(x):
        with torch.no_grad():
            raw = torch.relu(linear(lstm(torch.tensor(x))[1][0][-1]))
            return (raw / torch.norm(raw, dim=1, keepdim=True)).numpy()

    def embed_utterance():
        starts = list(range(0, max(1, -(-(len(samples) + 1) // 160) - 160 + 77 + 1), 77))
        mel = mel_bands(numpy.pad(samples, (0, max(0, (starts[-1] + 160) * 160 - len(samples)))))
        if (len(samples) - starts[-1] * 160) / (160 * 160) < 0.75 and len(starts) > 1:
            starts.pop()
        mean = embed(numpy.stack([mel[i:i + 160] for i in starts], 1)).mean(0)
        return mean / numpy.linalg.norm(mean)

    if batch == 0:
        t = numpy.arange(70000) / 16000
        samples = (0.05 * numpy.sign(numpy.sin(2 * numpy.pi * (120 + 10 * numpy.sin(3 * t)) * t))
                   + 0.01 * random.normal(size=t.shape)).astype("f4")
        return "PyTorch, a recording of 4.4 s", {"samples": samples}, embed_utterance
    x = (random.random((160, batch, 40)) ** 4).astype("f4")
    return f"PyTorch, batch {batch}", {"x": x}, lambda: embed(x)


MODELS = [("phonemes", "g2p_en.npz", phonemes), ("textgen", "textgenrnn.hdf5", lambda: textgen(1)),
          ("textgen", "textgenrnn.hdf5", lambda: textgen(32)), ("speaker", "resemblyzer.pt", lambda: speaker(1)),
          ("speaker", "resemblyzer.pt", lambda: speaker(8)),
          ("speaker", "resemblyzer.pt", lambda: speaker(0))]


def compare(program, inputs, run, folder):
    """The largest difference of outputs, and the shortest times of both."""
    numpy.savez(folder / "in.npz", **inputs)
    with subprocess.Popen([program, "--threads", "2", "--serve", folder / "in.npz", "--out", folder / "out.npy"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ours:
        if ours.stdout.readline() != "ready\n":
            sys.exit(f"check_own.py: {program} failed")
        error = float(numpy.abs(numpy.load(folder / "out.npy") - run()).max())
        times = ([], [])
        while len(times[0]) < 9 or (sum(times[0]) + sum(times[1]) < 3 and len(times[0]) < 200):
            ours.stdin.write("\n")
            ours.stdin.flush()
            times[0].append(float(ours.stdout.readline()))
            begin = time.perf_counter()
            run()
            times[1].append(time.perf_counter() - begin)
    return error, min(times[0]), min(times[1])


def tune(program, name):
    """Whether training it further lowers the loss."""
    run = subprocess.run([program, "--threads", "2", "--tune"], capture_output=True, text=True, check=False)
    last = run.stdout.strip().splitlines()[-1:]
    found = re.search(TUNED[name], last[0]) if last else None
    print(*last)
    return run.returncode == 0 and found is not None and float(found[2]) < float(found[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--programs", type=pathlib.Path, default=pathlib.Path("build/examples/zoo"))
    parser.add_argument("--tune", action="store_true")
    options = parser.parse_args()
    compared, good = set(), True
    for name, file, make in MODELS:
        if (options.names and name not in options.names) or not (ZOO / file).exists():
            continue
        original, inputs, run = make()
        with tempfile.TemporaryDirectory() as folder:
            error, ours, theirs = compare(options.programs / name, inputs, run, pathlib.Path(folder))
        good = good and error <= 1e-4
        print(f"{name}: error {error:.1e}, {1e3 * ours:.2f} ms; {original}: {1e3 * theirs:.2f} ms, "
              f"ratio {ours / theirs:.2f}", flush=True)
        if options.tune and name not in compared:
            good = tune(options.programs / name, name) and good
        compared.add(name)
    if not compared:
        print(f"skipped: no weights in {ZOO} (examples/zoo/fetch.py)")
        sys.exit(77)
    sys.exit(not good)


if __name__ == "__main__":
    main()
