"""The models of bench/models*.c in idiomatic PyTorch. Parameter names and layouts are the same, so that both load the
same file; a row's function builds the model from the file's tensors."""
import dataclasses
import typing

import torch
from torch import nn
from torch.nn import functional as F

from charlm_torch import CharLM

VOCABULARY = 65


@dataclasses.dataclass
class Row:
    loss: typing.Callable
    parameters: list  # empty: the step does not train
    optimizer: typing.Optional[torch.optim.Optimizer] = None
    clip: float = 0


def take(module, tensors):
    """The module with the file's weights."""
    module.load_state_dict({name: tensors[name] for name in module.state_dict()}, strict=True)
    return module


def rmsprop(loss, parameters):
    parameters = list(parameters)
    return Row(loss, parameters, torch.optim.RMSprop(parameters, lr=2e-3, alpha=0.95), 5.0)


def adamw(loss, module):
    """AdamW without weight decay on biases and norms."""
    matrices = [p for p in module.parameters() if p.dim() > 1]
    vectors = [p for p in module.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return Row(loss, list(module.parameters()), torch.optim.AdamW(groups, lr=1e-3), 1.0)


def sgd(loss, module):
    return Row(loss, list(module.parameters()), torch.optim.SGD(module.parameters(), lr=1e-2, momentum=0.9))


def one_hot(index):
    return F.one_hot(index, VOCABULARY).float()


def layers_of(tensors):
    return sum(name.startswith("rnn.weight_ih_l") and not name.endswith("reverse") for name in tensors)


# ---- recurrent ----


def recurrent(cell):
    def make(tensors):
        model = take(CharLM(cell, VOCABULARY, tensors["decoder.weight"].shape[1], layers_of(tensors)), tensors)
        inputs, targets = tensors["inputs"].long(), tensors["targets"].long()

        def loss():
            return F.cross_entropy(model(inputs, None)[0].flatten(0, 1), targets.flatten())

        return rmsprop(loss, model.parameters())

    return make


def lstm_cell(tensors):
    p = {n: tensors[n].requires_grad_() for n in ["W0", "U0", "b0", "W1", "U1", "b1", "V", "c"]}
    inputs, targets = tensors["inputs"].long(), tensors["targets"].long()

    def cell(layer, x, h, c):
        a = x @ p[f"W{layer}"] + h @ p[f"U{layer}"] + p[f"b{layer}"]
        i, f, g, o = a.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def loss():
        state = [[torch.zeros(inputs.shape[1], p["U0"].shape[0])] * 2 for _ in range(2)]
        outputs = []
        for x in one_hot(inputs):
            for layer in range(2):
                state[layer] = cell(layer, x, *state[layer])
                x = state[layer][0]
            outputs.append(x)
        logits = torch.stack(outputs) @ p["V"] + p["c"]
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    return rmsprop(loss, p.values())


def bilstm_len(tensors):
    class Tagger(nn.Module):
        def __init__(self, hidden):
            super().__init__()
            self.rnn = nn.LSTM(VOCABULARY, hidden, bidirectional=True)
            self.decoder = nn.Linear(2 * hidden, VOCABULARY)

        def forward(self, inputs, lengths):
            x = nn.utils.rnn.pack_padded_sequence(one_hot(inputs), lengths, enforce_sorted=False)
            h, _ = nn.utils.rnn.pad_packed_sequence(self.rnn(x)[0], batch_first=True)
            return self.decoder(h)

    model = take(Tagger(tensors["rnn.weight_hh_l0"].shape[1]), tensors)
    inputs, targets, lengths = (tensors[n].long() for n in ["inputs", "targets", "lengths"])
    seen = torch.arange(targets.shape[1]) < lengths[:, None]
    targets = torch.where(seen, targets, -100)

    def loss():
        return F.cross_entropy(model(inputs, lengths).flatten(0, 1), targets.flatten())

    return rmsprop(loss, model.parameters())


# ---- attention ----


class Additive(nn.Module):
    """v^T tanh(W q + U k)."""

    def __init__(self, size):
        super().__init__()
        self.W, self.U = (nn.Parameter(torch.empty(size, size)) for _ in range(2))
        self.v = nn.Parameter(torch.empty(size))

    def keys(self, states):
        return F.linear(states, self.U)

    def forward(self, query, keys, states):
        e = torch.tanh(F.linear(query, self.W)[:, None] + keys) @ self.v
        return torch.bmm(torch.softmax(e, -1)[:, None], states)[:, 0]


def seq2seq(tensors):
    class Translator(nn.Module):
        def __init__(self, words, size):
            super().__init__()
            self.source, self.target = nn.Embedding(words, size), nn.Embedding(words, size)
            self.encoder = nn.GRU(size, size)
            self.decoder = nn.GRUCell(2 * size, size)
            self.score = Additive(size)
            self.output = nn.Linear(2 * size, words)

        def forward(self, inputs, before):
            states, h = self.encoder(self.source(inputs))
            states, h = states.transpose(0, 1).contiguous(), h[0]
            keys, words, outputs = self.score.keys(states), self.target(before), []
            for word in words:
                context = self.score(h, keys, states)
                h = self.decoder(torch.cat([word, context], -1), h)
                outputs.append(torch.cat([h, context], -1))
            return self.output(torch.stack(outputs))

    for name in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]:
        tensors[f"decoder.{name}"] = tensors[f"decoder.{name}_l0"]
    model = take(Translator(*tensors["source.weight"].shape), tensors)
    inputs, before, targets = (tensors[n].long() for n in ["inputs", "before", "targets"])

    def loss():
        return F.cross_entropy(model(inputs, before).flatten(0, 1), targets.flatten())

    return adamw(loss, model)


class Attention(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * size, size))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * size))
        self.out_proj = nn.Linear(size, size)

    def split(self, x):
        """q, k, v: [B, heads, T, d]."""
        B, T, E = x.shape
        y = F.linear(x, self.in_proj_weight, self.in_proj_bias).view(B, T, 3, self.heads, E // self.heads)
        return y.permute(2, 0, 3, 1, 4).unbind(0)

    def forward(self, x):
        y = F.scaled_dot_product_attention(*self.split(x), is_causal=True)
        return self.out_proj(y.transpose(1, 2).reshape(x.shape))

    def step(self, x, cache, t):
        """x[B, 1, E] at position t; cache: keys and values [2, B, heads, length, d]."""
        q, k, v = self.split(x)
        cache[0, :, :, t], cache[1, :, :, t] = k[:, :, 0], v[:, :, 0]
        y = F.scaled_dot_product_attention(q, cache[0, :, :, : t + 1], cache[1, :, :, : t + 1])
        return self.out_proj(y.transpose(1, 2).reshape(x.shape))


class Block(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.self_attn = Attention(size, heads)
        self.linear1, self.linear2 = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)

    def rest(self, x):
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))

    def forward(self, x):
        return self.rest(x + self.self_attn(self.norm1(x)))

    def step(self, x, cache, t):
        return self.rest(x + self.self_attn.step(self.norm1(x), cache, t))


class GPT(nn.Module):
    def __init__(self, vocabulary, context, size, layers, heads):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, size), nn.Embedding(context, size)
        self.layers = nn.ModuleList(Block(size, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(size)

    def forward(self, token):
        x = self.wte(token) + self.wpe.weight[: token.shape[1]]
        for layer in self.layers:
            x = layer(x)
        return F.linear(self.norm(x), self.wte.weight)

    def step(self, token, caches, t):
        x = self.wte(token) + self.wpe.weight[t]
        for layer, cache in zip(self.layers, caches):
            x = layer.step(x, cache, t)
        return F.linear(self.norm(x), self.wte.weight)


def make_gpt(layers, heads, tensors):
    (vocabulary, size), context = tensors["wte.weight"].shape, tensors["wpe.weight"].shape[0]
    return take(GPT(vocabulary, context, size, layers, heads), tensors)


def gpt(layers, heads):
    def make(tensors):
        model = make_gpt(layers, heads, tensors)
        inputs, targets = tensors["inputs"].long(), tensors["targets"].long()

        def loss():
            return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())

        return adamw(loss, model)

    return make


# ---- images ----


def lenet(tensors):
    class LeNet(nn.Module):
        def __init__(self, n1, n2, n3):
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, n1, 5), nn.Conv2d(n1, n2, 5)
            self.fc3, self.fc4 = nn.Linear(16 * n2, n3), nn.Linear(n3, 10)

        def forward(self, x):
            x = F.max_pool2d(self.conv1(x), 2)
            x = F.max_pool2d(self.conv2(x), 2)
            return self.fc4(F.relu(self.fc3(x.flatten(1))))

    model = take(LeNet(*(tensors[n].shape[0] for n in ["conv1.weight", "conv2.weight", "fc3.weight"])), tensors)
    return classifier(model, tensors, sgd)


def resnet(tensors):
    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            channels = 3
            for i in range(6):
                out, stride = 32 << i // 2, 2 if i in (2, 4) else 1
                setattr(self, f"conv{i}", nn.Conv2d(channels, out, 3, stride, 1, bias=False))
                setattr(self, f"norm{i}", nn.BatchNorm2d(out))
                channels = out
            self.output = nn.Linear(channels, 10)

        def forward(self, x):
            for i in range(0, 6, 2):
                x = F.relu(getattr(self, f"norm{i}")(getattr(self, f"conv{i}")(x)))
                x = F.relu(x + getattr(self, f"norm{i + 1}")(getattr(self, f"conv{i + 1}")(x)))
            return self.output(x.mean((2, 3)))

    return classifier(take(ResNet(), tensors), tensors, sgd)


def mlp(tensors):
    class MLP(nn.Module):
        def __init__(self, pixels, hidden):
            super().__init__()
            self.fc1, self.fc2, self.fc3 = nn.Linear(pixels, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 10)

        def forward(self, x):
            return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))

    model = take(MLP(tensors["inputs"].shape[1], tensors["fc2.weight"].shape[0]), tensors)
    return classifier(model, tensors, lambda loss, m: Row(loss, list(m.parameters()), torch.optim.Adam(m.parameters())))


def classifier(model, tensors, optimize):
    inputs, targets = tensors["inputs"], tensors["targets"].long()
    return optimize(lambda: F.cross_entropy(model(inputs), targets), model)


# ---- small ops; generation ----


def tiny(tensors):
    x, c = tensors["x"].requires_grad_(), tensors["c"]

    def loss():
        y = x
        for _ in range(1000):
            y = torch.tanh(y * c)
        return y.sum()

    return Row(loss, [x])


def draw(logits, u):
    """The first token at which the cumulative probability exceeds u, and -log of its probability."""
    p = torch.softmax(logits, -1)
    token = torch.clamp((torch.cumsum(p, -1) <= u).sum(), max=len(p) - 1)
    return token, -torch.log(p[token])


def generate_lstm(tensors):
    model = take(CharLM("lstm", VOCABULARY, tensors["decoder.weight"].shape[1], layers_of(tensors)), tensors)
    uniform = tensors["uniform"]

    def loss():
        token, state, total = torch.tensor(0), None, 0.0
        for u in uniform:
            logits, state = model(token.view(1, 1), state)
            token, nll = draw(logits[0, 0], u)
            total += nll
        return total / len(uniform)

    return Row(loss, [])


def generate_gpt(tensors):
    model, uniform = make_gpt(6, 6, tensors).eval(), tensors["uniform"]
    d = model.wte.weight.shape[1] // 6
    caches = [torch.zeros(2, 1, 6, model.wpe.weight.shape[0], d) for _ in model.layers]

    def loss():
        token, total = torch.tensor(0), 0.0
        for t, u in enumerate(uniform):
            token, nll = draw(model.step(token.view(1, 1), caches, t)[0, 0], u)
            total += nll
        return total / len(uniform)

    return Row(loss, [])


ROWS = {
    "rnn": recurrent("rnn"), "lstm": recurrent("lstm"), "gru": recurrent("gru"), "lstm-512": recurrent("lstm"),
    "lstm-b1": recurrent("lstm"), "scaled-lstm": recurrent("lstm"), "lstm-cell": lstm_cell, "bilstm-len": bilstm_len,
    "seq2seq-attn": seq2seq, "lenet": lenet, "resnet-ish": resnet, "gpt-128": gpt(4, 4), "gpt-384": gpt(6, 6),
    "mlp": mlp, "tiny": tiny, "generate-lstm": generate_lstm, "generate-gpt": generate_gpt,
}  # fmt: skip
