"""The originals of the zoo's models, for check.py: each a function (folder, arrays, ...) -> run.

folder: the models. arrays: a folder for a run's inputs: of an ONNX model, the program writes in0.npy, ... there; of
others, the function writes in.npz. run() computes the outputs, a list. A package that is missing is an ImportError.
"""
import json
import os

THREADS = 2
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(THREADS)
os.environ["OMP_WAIT_POLICY"] = "passive"  # threads that spin between two runs would take the other side's time
import numpy  # noqa: E402

TEXT = "It is a truth universally acknowledged, that a single man in possession of a good fortune"
WORDS = ("wengert activation banana phoneme gradient tapestry quixotic zoo machine learning unrolled recurrent "
         "xylophone mnemonic through yacht").split()


def onnx(folder, arrays, model):
    """ONNX Runtime, whose threads do not spin, either."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(folder / model, options, providers=["CPUExecutionProvider"])
    types = {"tensor(int64)": numpy.int64, "tensor(int32)": numpy.int32, "tensor(float)": numpy.float32}
    feed = {}

    def run():
        if not feed:
            for i, value in enumerate(session.get_inputs()):
                feed[value.name] = numpy.load(arrays / f"in{i}.npy").astype(types[value.type])
        return session.run(None, feed)
    return run


def phonemes(folder, arrays):
    """g2p_en 2.1.0: its grucell, gru and predict, with the logits of each step."""
    weights = numpy.load(folder / "g2p_en.npz")
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
        return [out]
    numpy.savez(arrays / "in.npz", letters=letters, lengths=lengths)
    return run


def pytorch():
    import torch
    torch.set_num_threads(THREADS)
    return torch


def keras_kernel(kernel):
    """CuDNNLSTM's kernel [in, 4 H] as PyTorch's [4 H, in]: keras 2.1's _convert_rnn_weights, then transposed."""
    gates = numpy.hsplit(kernel, 4)
    return numpy.concatenate([gate.T.reshape(gate.shape, order="F").T for gate in gates])


def textgen(folder, arrays, batch):
    """textgenrnn 2.0.0 as PyTorch modules."""
    import h5py
    torch, w = pytorch(), {}

    def take(name, item):
        if isinstance(item, h5py.Dataset):
            w[name.partition("/")[2]] = item[()]

    with h5py.File(folder / "textgenrnn.hdf5") as file:
        file.visititems(take)
    rnn = []
    for name, size in (("rnn_1", 100), ("rnn_2", 128)):
        lstm = torch.nn.LSTM(size, 128)
        bias = torch.tensor(w[f"{name}/bias:0"])
        lstm.load_state_dict({"weight_ih_l0": torch.tensor(keras_kernel(w[f"{name}/kernel:0"])),
                              "weight_hh_l0": torch.tensor(keras_kernel(w[f"{name}/recurrent_kernel:0"])),
                              "bias_ih_l0": bias[:512], "bias_hh_l0": bias[512:]})
        rnn.append(lstm)
    embedding, attention, kernel, bias = (torch.tensor(w[name]) for name in (
        "embedding/embeddings:0", "attention/attention_W:0", "output/kernel:0", "output/bias:0"))
    numbers = json.loads((folder / "textgenrnn_vocab.json").read_text())
    x = numpy.array([[numbers[c] for c in TEXT[i:i + 40]] for i in range(batch)], "i4").T.copy()

    def run():
        with torch.no_grad():
            e = torch.nn.functional.embedding(torch.tensor(x), embedding)
            a = rnn[0](e)[0]
            h = torch.cat([e, a, rnn[1](a)[0]], 2)
            h = (h * torch.softmax(h @ attention, 0)).sum(0)
            return [torch.softmax(h @ kernel + bias, 1).numpy()]
    numpy.savez(arrays / "in.npz", x=x)
    return run


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


def speaker(folder, arrays, batch):
    """Resemblyzer 0.1.4's VoiceEncoder: an LSTM, a linear layer, relu, and the norm. Batch 0: its embed_utterance."""
    torch, random = pytorch(), numpy.random.default_rng(3)
    state = torch.load(folder / "resemblyzer.pt", map_location="cpu", weights_only=True)["model_state"]
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
        return mean[None] / numpy.linalg.norm(mean)

    if batch == 0:
        t = numpy.arange(70000) / 16000
        samples = (0.05 * numpy.sign(numpy.sin(2 * numpy.pi * (120 + 10 * numpy.sin(3 * t)) * t))
                   + 0.01 * random.normal(size=t.shape)).astype("f4")
        numpy.savez(arrays / "in.npz", samples=samples)
        return lambda: [embed_utterance()]
    x = (random.random((160, batch, 40)) ** 4).astype("f4")
    numpy.savez(arrays / "in.npz", x=x)
    return lambda: [embed(x)]
