#!/usr/bin/env python3
"""The programs of the zoo whose model is C code, against the originals: outputs, and time with 2 threads.

    examples/zoo/check_own.py FOLDER [NAME ...]

FOLDER has the programs (build/examples/zoo); the weights are where fetch.py puts them ($WG_ZOO). Each program runs on
random inputs, and so does the original: g2p_en's own functions, on NumPy; PyTorch modules with the weights that h5py or
torch.load reads. A run of one and a run of the other alternate. Exit status: 0 if all outputs agree to 1e-4; 77 if a
package or all weights are missing.
"""
import os
import pathlib
import statistics
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
WORDS = ("wengert activation banana phoneme gradient tapestry quixotic zoo machine learning unrolled recurrent "
         "xylophone mnemonic through yacht").split()


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
    x = random.integers(0, 465, (40, batch)).astype("i4")

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


def speaker(batch):
    """Resemblyzer 0.1.4's VoiceEncoder: an LSTM, a linear layer, relu, and the norm."""
    state = torch.load(ZOO / "resemblyzer.pt", map_location="cpu", weights_only=True)["model_state"]
    lstm, linear = torch.nn.LSTM(40, 256, 3), torch.nn.Linear(256, 256)
    for module, name in ((lstm, "lstm."), (linear, "linear.")):
        module.load_state_dict({key.removeprefix(name): value for key, value in state.items() if key.startswith(name)})
    x = (random.random((160, batch, 40)) ** 4).astype("f4")

    def run():
        with torch.no_grad():
            raw = torch.relu(linear(lstm(torch.tensor(x))[1][0][-1]))
            return (raw / torch.norm(raw, dim=1, keepdim=True)).numpy()
    return f"PyTorch, batch {batch}", {"x": x}, run


MODELS = [("phonemes", "g2p_en.npz", phonemes), ("textgen", "textgenrnn.hdf5", lambda: textgen(1)),
          ("textgen", "textgenrnn.hdf5", lambda: textgen(32)), ("speaker", "resemblyzer.pt", lambda: speaker(1)),
          ("speaker", "resemblyzer.pt", lambda: speaker(8))]


def compare(program, inputs, run, folder):
    """The largest difference of outputs, and the medians of both times."""
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
    return error, statistics.median(times[0]), statistics.median(times[1])


def main():
    programs, wanted, compared, good = pathlib.Path(sys.argv[1]), sys.argv[2:], 0, True
    for name, file, make in MODELS:
        if (wanted and name not in wanted) or not (ZOO / file).exists():
            continue
        original, inputs, run = make()
        with tempfile.TemporaryDirectory() as folder:
            error, ours, theirs = compare(programs / name, inputs, run, pathlib.Path(folder))
        good, compared = good and error <= 1e-4, compared + 1
        print(f"{name}: error {error:.1e}, {1e3 * ours:.2f} ms; {original}: {1e3 * theirs:.2f} ms, ratio {theirs / ours:.2f}")
    if not compared:
        print(f"skipped: no weights in {ZOO} (examples/zoo/fetch.py)")
        sys.exit(77)
    sys.exit(not good)


if __name__ == "__main__":
    main()
