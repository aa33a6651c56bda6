#!/usr/bin/env python3
"""The peer of `./run bench models --vs jax`: the same steps in JAX, one at a time (process.py), each step one jitted
function whose arguments are given up to it (donated).

    jax_models.py MODEL [--threads N]

Loops over time are jax.lax.scan; sizes come from the file's tensors."""
import argparse
import functools
import os

VOCABULARY = 65


def cross_entropy(logits, targets):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], -1).mean()


def linear(x, p, name):
    return x @ p[name + ".weight"].T + p[name + ".bias"]


# ---- optimizers: (p, g, state, step) -> p, state ----


def rmsprop(p, g, s, k):
    s = 0.95 * s + 0.05 * g * g
    return p - 2e-3 * g / (jnp.sqrt(s) + 1e-8), s


def adam(p, g, s, k, decay=0.0):
    m, v = 0.9 * s[0] + 0.1 * g, 0.999 * s[1] + 0.001 * g * g
    p = p * (1 - 1e-3 * decay * (p.ndim > 1))
    return p - 1e-3 / (1 - 0.9**k) * m / (jnp.sqrt(v / (1 - 0.999**k)) + 1e-8), jnp.stack([m, v])


def sgd(p, g, s, k):
    s = 0.9 * s + g
    return p - 1e-2 * s, s


def nothing(p, g, s, k):
    return p, s


adamw = functools.partial(adam, decay=0.1)


# ---- recurrent ----


def rnn_cell(a, u, state):
    h = jnp.tanh(a + u)
    return h, (h,)


def lstm_cell(a, u, state):
    i, f, g, o = jnp.split(a + u, 4, -1)
    c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return h, (h, c)


def gru_cell(a, u, state):
    (ar, az, an), (ur, uz, un) = jnp.split(a, 3, -1), jnp.split(u, 3, -1)
    r, z = jax.nn.sigmoid(ar + ur), jax.nn.sigmoid(az + uz)
    h = (1 - z) * jnp.tanh(an + r * un) + z * state[0]
    return h, (h,)


CELLS = {"rnn": (rnn_cell, 1), "lstm": (lstm_cell, 2), "gru": (gru_cell, 1)}


def layer(cell, p, name, suffix, x, state=None):
    """x[T, B, in] -> h[T, B, H], last state. The products with x are computed for all steps at once."""
    function, n = CELLS[cell]
    W = p[f"{name}.weight_hh{suffix}"]
    a = x @ p[f"{name}.weight_ih{suffix}"].T + p[f"{name}.bias_ih{suffix}"]
    state = state or (jnp.zeros((x.shape[1], W.shape[1])),) * n

    def step(state, at):
        h, state = function(at, state[0] @ W.T + p[f"{name}.bias_hh{suffix}"], state)
        return state, h

    state, h = jax.lax.scan(step, state, a)
    return h, state


def recurrent(cell, layers):
    def loss(p, d):
        x = jax.nn.one_hot(d["inputs"], VOCABULARY)
        for l in range(layers):
            x, _ = layer(cell, p, "rnn", f"_l{l}", x)
        return cross_entropy(linear(x, p, "decoder"), d["targets"])

    return loss, rmsprop, 5.0


def primitive(p, d):
    B, H = d["inputs"].shape[1], p["U0"].shape[0]

    def step(state, x):
        x, new = jax.nn.one_hot(x, VOCABULARY), []
        for l, (h, c) in enumerate(state):
            x, pair = lstm_cell(x @ p[f"W{l}"] + p[f"b{l}"], h @ p[f"U{l}"], (h, c))
            new.append(pair)
        return tuple(new), x

    zeros = jnp.zeros((B, H))
    _, h = jax.lax.scan(step, ((zeros, zeros),) * 2, d["inputs"])
    return cross_entropy(h @ p["V"] + p["c"], d["targets"])


def bilstm_len(p, d):
    x, T = jax.nn.one_hot(d["inputs"], VOCABULARY), d["inputs"].shape[0]
    t, lengths = jnp.arange(T)[:, None], d["lengths"][None]
    seen = t < lengths
    reversed_index = jnp.where(seen, lengths - 1 - t, t)[..., None]  # each sequence starts at its own end
    forward, _ = layer("lstm", p, "rnn", "_l0", x)
    back, _ = layer("lstm", p, "rnn", "_l0_reverse", jnp.take_along_axis(x, reversed_index, 0))
    logits = linear(jnp.concatenate([forward, jnp.take_along_axis(back, reversed_index, 0)], -1), p, "decoder")
    each = -jnp.take_along_axis(jax.nn.log_softmax(logits), d["targets"].T[..., None], -1)[..., 0]
    return jnp.where(seen, each, 0).sum() / seen.sum()


# ---- attention ----


def seq2seq(p, d):
    h, state = layer("gru", p, "encoder", "_l0", p["source.weight"][d["inputs"]])
    states = h.transpose(1, 0, 2)
    keys = states @ p["score.U"].T

    def step(state, word):
        e = jnp.tanh((state[0] @ p["score.W"].T)[:, None] + keys) @ p["score.v"]
        context = jnp.einsum("bt,bte->be", jax.nn.softmax(e), states)
        a = jnp.concatenate([word, context], -1) @ p["decoder.weight_ih_l0"].T + p["decoder.bias_ih_l0"]
        h, state = gru_cell(a, state[0] @ p["decoder.weight_hh_l0"].T + p["decoder.bias_hh_l0"], state)
        return state, jnp.concatenate([h, context], -1)

    _, h = jax.lax.scan(step, state, p["target.weight"][d["before"]])
    return cross_entropy(linear(h, p, "output"), d["targets"])


def layer_norm(x, p, name):
    x = x - x.mean(-1, keepdims=True)
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * p[name + ".weight"] + p[name + ".bias"]


def gpt(layers, heads):
    def loss(p, d):
        B, T = d["inputs"].shape
        x = p["wte.weight"][d["inputs"]] + p["wpe.weight"][:T]
        E = x.shape[-1]
        for l in range(layers):
            n = f"layers.{l}."
            y = layer_norm(x, p, n + "norm1") @ p[n + "self_attn.in_proj_weight"].T + p[n + "self_attn.in_proj_bias"]
            q, k, v = y.reshape(B, T, 3, heads, E // heads).transpose(2, 0, 1, 3, 4)
            y = jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(B, T, E)
            x = x + linear(y, p, n + "self_attn.out_proj")
            y = jax.nn.gelu(linear(layer_norm(x, p, n + "norm2"), p, n + "linear1"), approximate=False)
            x = x + linear(y, p, n + "linear2")
        return cross_entropy(layer_norm(x, p, "norm") @ p["wte.weight"].T, d["targets"])

    return loss, adamw, 1.0


# ---- images, small ops ----


def conv(x, w, stride=1, padding="VALID"):
    return jax.lax.conv_general_dilated(x, w, (stride, stride), padding)


def max_pool(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def lenet(p, d):
    x = d["inputs"]
    for name in ["conv1", "conv2"]:
        x = max_pool(conv(x, p[name + ".weight"]) + p[name + ".bias"][:, None, None])
    x = jax.nn.relu(linear(x.reshape(len(x), -1), p, "fc3"))
    return cross_entropy(linear(x, p, "fc4"), d["targets"])


def batch_norm(x, p, name):
    x = x - x.mean((0, 2, 3), keepdims=True)
    scale = jax.lax.rsqrt((x * x).mean((0, 2, 3), keepdims=True) + 1e-5)
    return x * scale * p[name + ".weight"][:, None, None] + p[name + ".bias"][:, None, None]


def resnet(p, d):
    x = d["inputs"]

    def block(x, i):
        stride = 2 if i in (2, 4) else 1
        return batch_norm(conv(x, p[f"conv{i}.weight"], stride, ((1, 1), (1, 1))), p, f"norm{i}")

    for i in range(0, 6, 2):
        x = jax.nn.relu(block(x, i))
        x = jax.nn.relu(x + block(x, i + 1))
    return cross_entropy(linear(x.mean((2, 3)), p, "output"), d["targets"])


def mlp(p, d):
    x = jax.nn.relu(linear(d["inputs"], p, "fc1"))
    x = jax.nn.relu(linear(x, p, "fc2"))
    return cross_entropy(linear(x, p, "fc3"), d["targets"])


def tiny(p, d):
    return jax.lax.scan(lambda y, _: (jnp.tanh(y * d["c"]), None), p["x"], None, 1000)[0].sum()


ROWS = {
    "rnn": lambda: recurrent("rnn", 2), "lstm": lambda: recurrent("lstm", 2), "gru": lambda: recurrent("gru", 2),
    "lstm-512": lambda: recurrent("lstm", 2), "lstm-b1": lambda: recurrent("lstm", 1),
    "scaled-lstm": lambda: recurrent("lstm", 1), "lstm-cell": lambda: (primitive, rmsprop, 5.0),
    "bilstm-len": lambda: (bilstm_len, rmsprop, 5.0), "seq2seq-attn": lambda: (seq2seq, adamw, 1.0),
    "lenet": lambda: (lenet, sgd, 0), "resnet-ish": lambda: (resnet, sgd, 0), "gpt-128": lambda: gpt(4, 4),
    "gpt-384": lambda: gpt(6, 6), "mlp": lambda: (mlp, adam, 0), "tiny": lambda: (tiny, nothing, 0),
}  # fmt: skip
NOT_TRAINED = ("inputs", "targets", "before", "lengths", "running_mean", "running_var", "num_batches_tracked")


def make(name, tensors):
    loss_of, update, clip = ROWS[name]()
    tensors.pop("lm_head.weight", None)  # tied to wte.weight
    data = {n: t for n, t in tensors.items() if n.rpartition(".")[2] in NOT_TRAINED or (name, n) == ("tiny", "c")}
    params = {n: jnp.asarray(t.numpy()) for n, t in tensors.items() if n not in data}
    data = {n: jnp.asarray(t.numpy()) for n, t in data.items()}
    is_adam = update is adam or update is adamw
    state = {n: jnp.zeros((2, *p.shape) if is_adam else p.shape) for n, p in params.items()}

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def train(params, state, k, data):
        loss, grads = jax.value_and_grad(loss_of)(params, data)
        if clip:
            norm = jnp.sqrt(sum((g * g).sum() for g in grads.values()))
            grads = {n: g * jnp.minimum(1, clip / (norm + 1e-6)) for n, g in grads.items()}
        new = {n: update(p, grads[n], state[n], k) for n, p in params.items()}
        return loss, {n: p for n, (p, _) in new.items()}, {n: s for n, (_, s) in new.items()}

    now = [params, state, 0]

    def step():
        now[2] += 1
        loss, now[0], now[1] = train(now[0], now[1], jnp.float32(now[2]), data)
        return float(jax.block_until_ready((loss, now[0]))[0])

    return step


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    o = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cpus[: o.threads])  # XLA uses one thread per processor in the affinity mask
    global jax, jnp
    import jax
    import jax.numpy as jnp

    import process
    import tensorfile

    x = jnp.ones((4, 4))
    jax.jit(jax.grad(lambda x: jnp.tanh(x @ x).sum()))(x).block_until_ready()

    def load(path):
        name = o.model.partition(":")[0]
        if name not in ROWS:
            raise ValueError(f"{name} is not written in JAX")
        return make(name, tensorfile.read(path))

    process.serve(jax.__version__, load)


if __name__ == "__main__":
    main()
