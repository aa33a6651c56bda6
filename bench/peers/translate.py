#!/usr/bin/env python3
"""The models of examples/translate.c in PyTorch: the same initial weights, sentences and batches.

    translate --model luong --seed 1 --beam 1 --init-out init.safetensors --order-out order.safetensors
    translate.py --init init.safetensors --order order.safetensors

Settings must be those of translate; which model it is, is seen from its weights. Translates greedily, as translate
does with --beam 1. Without dropout the two programs differ by rounding only, which training makes larger: compare
means over seeds."""
import argparse
import math
import time
from collections import Counter

import torch
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import tensorfile

PAD, UNKNOWN, START, END = range(4)


# ---- models; parameter names are those of translate's files ----


class Translator(torch.nn.Module):
    """Common base. encode reads the source and returns memory and state; decode extends the target by words[B, T] and
    returns the outputs that predict the next words, [B, T, size], and the new state."""

    def __init__(self, init, dropout):
        super().__init__()
        source, size = init["source.weight"].shape
        target = init["target.weight"].shape[0]
        self.size = size
        self.source = torch.nn.Embedding(source, size, padding_idx=PAD)
        self.target = torch.nn.Embedding(target, size, padding_idx=PAD)
        self.output = torch.nn.Linear(size, target)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, source, lengths, words):
        memory, state = self.encode(source, lengths)
        out, _ = self.decode(memory, state, words)
        return self.output(out)

    def read(self, source, lengths):
        """Runs the recurrent encoder."""
        packed = pack_padded_sequence(self.source(source), lengths, batch_first=True, enforce_sorted=False)
        states, last = self.encoder(packed)
        states, _ = pad_packed_sequence(states, batch_first=True, total_length=source.shape[1])
        return states, last


class Plain(Translator):
    def __init__(self, init, layers, heads, dropout):
        super().__init__(init, dropout)
        self.encoder = torch.nn.LSTM(self.size, self.size, layers, batch_first=True, dropout=dropout)
        self.decoder = torch.nn.LSTM(self.size, self.size, layers, batch_first=True, dropout=dropout)

    def encode(self, source, lengths):
        return None, self.read(source, lengths)[1]

    def decode(self, memory, state, words):
        out, state = self.decoder(self.target(words), state)
        return self.dropout(out), state


class Bahdanau(Translator):
    def __init__(self, init, layers, heads, dropout):
        super().__init__(init, dropout)
        n = self.size
        self.encoder = torch.nn.GRU(n, n, layers, batch_first=True, dropout=dropout, bidirectional=True)
        self.decoder = torch.nn.GRU(3 * n, n, layers, batch_first=True, dropout=dropout)
        self.score = torch.nn.ParameterDict({"W": torch.empty(n, n), "U": torch.empty(n, 2 * n), "v": torch.empty(n)})
        self.combine = torch.nn.Linear(3 * n, n)
        self.bridge = torch.nn.Linear(n, n)

    def encode(self, source, lengths):
        states, last = self.read(source, lengths)
        start = self.bridge(last[-1]).tanh().expand(self.decoder.num_layers, -1, -1).contiguous()
        unseen = torch.arange(source.shape[1]) >= lengths[:, None]
        return (states, functional.linear(states, self.score["U"]), unseen), start

    def decode(self, memory, state, words):
        states, keys, unseen = memory
        embedded, out = self.target(words), []
        for t in range(words.shape[1]):
            hidden = (functional.linear(state[-1], self.score["W"])[:, None] + keys).tanh()
            weights = (hidden @ self.score["v"]).masked_fill(unseen, -math.inf).softmax(-1)
            context = (weights[:, None] @ states)[:, 0]
            h, state = self.decoder(torch.cat([embedded[:, t], context], -1)[:, None], state)
            out.append(self.combine(torch.cat([h[:, 0], context], -1)).tanh())
        return self.dropout(torch.stack(out, 1)), state


class Luong(Translator):
    """Luong attention with the general score."""

    def __init__(self, init, layers, heads, dropout):
        super().__init__(init, dropout)
        n = self.size
        self.encoder = torch.nn.LSTM(n, n, layers, batch_first=True, dropout=dropout)
        self.decoder = torch.nn.LSTM(2 * n, n, layers, batch_first=True, dropout=dropout)
        self.score = torch.nn.ParameterDict({"W": torch.empty(n, n)})
        self.combine = torch.nn.Linear(2 * n, n)

    def encode(self, source, lengths):
        states, last = self.read(source, lengths)
        unseen = torch.arange(source.shape[1]) >= lengths[:, None]
        memory = states, functional.linear(states, self.score["W"]), unseen
        return memory, (last, torch.zeros(len(source), self.size))

    def decode(self, memory, state, words):
        states, keys, unseen = memory
        (last, feed), embedded, out = state, self.target(words), []
        for t in range(words.shape[1]):
            h, last = self.decoder(torch.cat([embedded[:, t], feed], -1)[:, None], last)
            weights = (keys @ h[:, 0, :, None])[:, :, 0].masked_fill(unseen, -math.inf).softmax(-1)
            context = (weights[:, None] @ states)[:, 0]
            feed = self.combine(torch.cat([context, h[:, 0]], -1)).tanh()
            out.append(feed)
        return self.dropout(torch.stack(out, 1)), (last, feed)


class Transformer(Translator):
    """The state is the target so far: each step recomputes all positions."""

    def __init__(self, init, layers, heads, dropout):
        super().__init__(init, dropout)
        n, same = self.size, {"norm_first": True, "batch_first": True}
        reads = torch.nn.TransformerEncoderLayer(n, heads, 4 * n, dropout, **same)
        writes = torch.nn.TransformerDecoderLayer(n, heads, 4 * n, dropout, **same)
        self.encoder = torch.nn.TransformerEncoder(reads, layers, torch.nn.LayerNorm(n), enable_nested_tensor=False)
        self.decoder = torch.nn.TransformerDecoder(writes, layers, torch.nn.LayerNorm(n))

    def place(self, x):
        """Adds the sinusoids of the positions."""
        i = torch.arange(0, self.size, 2, dtype=torch.float64)
        angle = torch.arange(x.shape[1])[:, None] * 10000 ** (-i / self.size)
        position = torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, : self.size]
        return self.dropout(x + position.float())

    def encode(self, source, lengths):
        unseen = torch.arange(source.shape[1]) >= lengths[:, None]
        states = self.encoder(self.place(self.source(source)), src_key_padding_mask=unseen)
        return (states, unseen), torch.empty(len(source), 0, dtype=torch.long)

    def decode(self, memory, state, words):
        states, unseen = memory
        so_far = torch.cat([state, words], 1)
        mask = torch.nn.Transformer.generate_square_subsequent_mask(so_far.shape[1])
        x = self.place(self.target(so_far))
        out = self.decoder(x, states, mask, memory_key_padding_mask=unseen, tgt_is_causal=True)
        return out[:, -words.shape[1] :], so_far


# Each model is identified by a weight that the models after it do not have.
KINDS = {
    Transformer: "encoder.norm.weight",
    Bahdanau: "score.U",
    Luong: "score.W",
    Plain: "encoder.weight_ih_l0",
}


def model_of(init, o):
    found = [kind for kind in KINDS if KINDS[kind] in init]
    model = found[0](init, o.layers, o.heads, o.dropout)
    model.load_state_dict({name: init[name] for name in model.state_dict()})
    return model


# ---- sentences ----


def lines_of(data, name):
    return torch.split(data[name].long(), data[name + "_lengths"].tolist())


def batch(source, target, lines):
    """source[B, S], lengths[B], in[B, T], out[B, T], padded with PAD."""
    start, end = torch.tensor([START]), torch.tensor([END])
    pad = torch.nn.utils.rnn.pad_sequence
    lengths = torch.tensor([len(source[i]) for i in lines])
    return (
        pad([source[i] for i in lines], True, PAD),
        lengths,
        pad([torch.cat([start, target[i]]) for i in lines], True, PAD),
        pad([torch.cat([target[i], end]) for i in lines], True, PAD),
    )


# ---- training ----


def rate(o, step, steps):
    """wg_schedule_warmup applied to wg_schedule_cosine."""
    lr = o.lr / 10 + (o.lr - o.lr / 10) * (1 + math.cos(math.pi * step / steps)) / 2
    return lr * min(1, (step + 1) / o.warmup) if o.warmup else lr


def learn(model, data, o):
    """A running mean of the loss over about 50 steps, as in translate."""
    source, target, order = lines_of(data, "source"), lines_of(data, "target"), data["order"].tolist()
    optimizer = torch.optim.Adam(model.parameters())
    smooth = 0
    for step, lines in enumerate(order):
        x, lengths, words, wanted = batch(source, target, lines)
        loss = functional.cross_entropy(model(x, lengths, words).flatten(0, 1), wanted.flatten(), ignore_index=PAD)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.param_groups[0]["lr"] = rate(o, step, len(order))
        optimizer.step()
        smooth += (loss.item() - smooth) / min(step + 1, 50)
    return smooth


# ---- test ----


@torch.no_grad()
def translate(model, lines, most):
    """Greedy decoding: the likeliest word, the first among equals, until END or `most` words."""
    lengths = torch.tensor([len(line) for line in lines])
    memory, state = model.encode(torch.nn.utils.rnn.pad_sequence(lines, True, PAD), lengths)
    words = torch.full([len(lines), 1], START)
    said, done = [], torch.zeros(len(lines), dtype=torch.bool)
    while len(said) < most and not done.all():
        out, state = model.decode(memory, state, words)
        words = model.output(out[:, -1:]).argmax(-1)
        done |= words[:, 0] == END
        said.append(words[:, 0])
    rows = torch.stack(said, 1).tolist()
    return [row[: row.index(END)] if END in row else row for row in rows]


def bleu(pairs):
    """BLEU of translations against references, lists of words: see examples/bleu.h. References are the words of the
    file, so a word outside the vocabulary matches nothing."""
    matches, total, length, reference = [0] * 4, [0] * 4, 0, 0
    for said, wanted in pairs:
        wanted = [None if word == UNKNOWN else word for word in wanted]
        length += len(said)
        reference += len(wanted)
        for n in range(4):
            a = Counter(tuple(said[i : i + n + 1]) for i in range(len(said) - n))
            b = Counter(tuple(wanted[i : i + n + 1]) for i in range(len(wanted) - n))
            matches[n] += (a & b).total()
            total[n] += a.total()
    if 0 in matches:
        return 0.0
    brevity = 1 - reference / length if length < reference else 0
    return math.exp(brevity + sum(math.log(m / t) for m, t in zip(matches, total)) / 4)


def test(model, data, most):
    """The fraction of exact translations, and BLEU. An empty source has an empty translation."""
    model.eval()
    source, wanted = lines_of(data, "test_source"), [line.tolist() for line in lines_of(data, "test_target")]
    said = [[] for _ in source]
    some = sorted((i for i in range(len(source)) if len(source[i]) > 0), key=lambda i: len(source[i]))
    for i in range(0, len(some), 100):
        chunk = some[i : i + 100]
        for line, words in zip(chunk, translate(model, [source[k] for k in chunk], most)):
            said[line] = words
    exact = sum(a == b and UNKNOWN not in b for a, b in zip(said, wanted))
    return exact / len(wanted), bleu(zip(said, wanted))


def main():
    p = argparse.ArgumentParser()
    for name in ["init", "order"]:
        p.add_argument("--" + name, required=True, metavar="FILE")
    for name, value in {"layers": 1, "heads": 4, "warmup": 100, "max-words": 50, "seed": 0, "threads": 1}.items():
        p.add_argument("--" + name, type=int, default=value)
    for name, value in {"lr": 3e-3, "dropout": 0}.items():
        p.add_argument("--" + name, type=float, default=value)
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)  # dropout

    data = tensorfile.read(o.order)
    model = model_of(tensorfile.read(o.init), o)
    begin = time.monotonic()
    loss = learn(model, data, o)
    seconds = time.monotonic() - begin
    exact, score = test(model, data, o.max_words + 1)
    name, n = type(model).__name__.lower(), len(data["test_target_lengths"])
    print(f"final: model {name}, training loss {loss:.4f} nats, exact {exact:.4f}, BLEU {score:.4f}, sentences {n}, "
          f"time {seconds:.1f} s")


if __name__ == "__main__":
    main()
