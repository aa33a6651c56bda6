#!/usr/bin/env python3
"""Makes the reference files that tests/test_golden*.c compare with, by PyTorch (2.13): python3 make_golden.py

All numbers are f64; the test rounds them for its run in f32. A tensor's name is "<case>/<what>"; "grad.x" is the
gradient of x. The loss that is differentiated is the sum of each output times a random tensor "r.<output>", so that
no gradient is zero for a trivial reason."""
import os
import sys

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "bench", "peers"))
import tensorfile

torch.set_default_dtype(torch.float64)
torch.use_deterministic_algorithms(True)


def weighted(case, out, outputs):
    """Stores the outputs and their random factors; returns the loss."""
    loss = 0
    for name, value in outputs.items():
        factor = torch.randn_like(value)
        out[f"{case}/{name}"] = value
        out[f"{case}/r.{name}"] = factor
        loss = loss + (value * factor).sum()
    return loss


def recurrent():
    """<cell>_<layers>_<uni|bi>[_len]: x[T,B,in], h0 and c0 [cells,B,H], lengths[B]; out, hn, cn; gradients."""
    out, time, batch, inputs, hidden = {}, 5, 3, 4, 5
    cells = {
        "tanh": lambda **k: torch.nn.RNN(inputs, hidden, nonlinearity="tanh", **k),
        "relu": lambda **k: torch.nn.RNN(inputs, hidden, nonlinearity="relu", **k),
        "lstm": lambda **k: torch.nn.LSTM(inputs, hidden, **k),
        "gru": lambda **k: torch.nn.GRU(inputs, hidden, **k),
    }
    cases = [(c, n, bi, False) for c in cells for n in (1, 2) for bi in (False, True)]
    cases += [(c, 2, bi, True) for c in ("lstm", "gru") for bi in (False, True)]
    for number, (cell, layers, both, with_lengths) in enumerate(cases):
        torch.manual_seed(100 + number)
        case = f"{cell}_{layers}_{'bi' if both else 'uni'}{'_len' if with_lengths else ''}"
        model = cells[cell](num_layers=layers, bidirectional=both)
        x = torch.randn(time, batch, inputs, requires_grad=True)
        shape = (layers * (2 if both else 1), batch, hidden)
        h0, c0 = (torch.randn(shape, requires_grad=True) for _ in range(2))
        lengths = torch.tensor([5, 2, 4], dtype=torch.int32)
        state = (h0, c0) if cell == "lstm" else h0
        if with_lengths:
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths.long(), enforce_sorted=False)
            y, final = model(packed, state)
            y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=time)
            out[f"{case}/lengths"] = lengths
        else:
            y, final = model(x, state)
        outputs = {"out": y, "hn": final[0], "cn": final[1]} if cell == "lstm" else {"out": y, "hn": final}
        weighted(case, out, outputs).backward()
        named = dict(model.named_parameters()) | {"x": x, "h0": h0} | ({"c0": c0} if cell == "lstm" else {})
        for name, value in named.items():
            out[f"{case}/{name}"] = value
            out[f"{case}/grad.{name}"] = value.grad
    return out


def optimizers():
    """<variant>: p<k> at the start, g<k>[20, ...] the gradients of a small network as it is trained, end<k>; "groups"
    has no decay and twice the learning rate on biases. clip: g<k>, norm, clipped<k>."""
    sgd, rms = torch.optim.SGD, torch.optim.RMSprop
    variants = {
        "sgd": lambda p: sgd(p, lr=0.1),
        "sgd_decay": lambda p: sgd(p, lr=0.1, weight_decay=0.01),
        "sgd_momentum": lambda p: sgd(p, lr=0.05, momentum=0.9),
        "sgd_dampening": lambda p: sgd(p, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.01),
        "sgd_nesterov": lambda p: sgd(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
        "rmsprop": lambda p: rms(p, lr=0.01),
        "rmsprop_decay": lambda p: rms(p, lr=0.002, alpha=0.95, eps=1e-6, weight_decay=0.01),
        "rmsprop_momentum": lambda p: rms(p, lr=0.005, momentum=0.9),
        "rmsprop_centered": lambda p: rms(p, lr=0.01, centered=True),
        "rmsprop_all": lambda p: rms(p, lr=0.005, alpha=0.9, momentum=0.8, centered=True, weight_decay=0.01),
        "adam": lambda p: torch.optim.Adam(p, lr=0.01),
        "adam_decay": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
        "groups": lambda p: torch.optim.AdamW(
            [{"params": [q for q in p if q.dim() > 1]},
             {"params": [q for q in p if q.dim() <= 1], "weight_decay": 0, "lr": 0.02}], lr=0.01, weight_decay=0.1),
    }
    out = {}
    torch.manual_seed(7)
    start = [torch.randn(5, 3), torch.randn(5), torch.randn(2, 5), torch.randn(2)]
    data, target = torch.randn(20, 8, 3), torch.randn(20, 8, 2)
    for case, make in variants.items():
        params = [p.clone().requires_grad_() for p in start]
        optimizer, gradients = make(params), []
        for step in range(20):
            optimizer.zero_grad()
            h = torch.tanh(data[step] @ params[0].T + params[1])
            ((h @ params[2].T + params[3] - target[step]) ** 2).mean().backward()
            gradients.append([p.grad.clone() for p in params])
            optimizer.step()
        for k, p in enumerate(params):
            out[f"{case}/p{k}"] = start[k]
            out[f"{case}/g{k}"] = torch.stack([g[k] for g in gradients])
            out[f"{case}/end{k}"] = p
    params = [p.clone() for p in start]
    for k, p in enumerate(params):
        p.grad = torch.randn_like(p)
        out[f"clip/g{k}"] = p.grad.clone()
    out["clip/norm"] = torch.nn.utils.clip_grad_norm_(params, 1.5)
    for k, p in enumerate(params):
        out[f"clip/clipped{k}"] = p.grad
    return out


def losses():
    """ce_*: logits, labels (i32 or probabilities), weights; loss; grad.logits. layer_norm: x, w, b; out; gradients."""
    out = {}
    cross_entropy = torch.nn.functional.cross_entropy
    torch.manual_seed(9)
    labels, soft = torch.tensor([2, 0, -100, 4, 2, 3]), torch.softmax(torch.randn(6, 5), 1)
    weights = torch.rand(5) + 0.5
    cases = {
        "ce_mean": (labels, {}),
        "ce_sum": (labels, {"reduction": "sum"}),
        "ce_each": (labels, {"reduction": "none"}),
        "ce_weights": (labels, {"weight": weights}),
        "ce_ignore": (labels.clamp(min=0), {"ignore_index": 2}),
        "ce_smooth": (labels, {"label_smoothing": 0.1}),
        "ce_smooth_weights": (labels, {"label_smoothing": 0.1, "weight": weights}),
        "ce_soft": (soft, {}),
        "ce_soft_smooth": (soft, {"label_smoothing": 0.2}),
        "ce_soft_weights": (soft, {"weight": weights}),
    }
    for case, (target, options) in cases.items():
        logits = (3 * torch.randn(6, 5)).requires_grad_()
        weighted(case, out, {"loss": cross_entropy(logits, target, **options)}).backward()
        out[f"{case}/logits"], out[f"{case}/grad.logits"] = logits, logits.grad
        out[f"{case}/labels"] = target if target.is_floating_point() else target.to(torch.int32)
        if "weight" in options:
            out[f"{case}/weights"] = weights
    x, w, b = (t.requires_grad_() for t in (torch.randn(4, 3, 7), torch.randn(7), torch.randn(7)))
    weighted("layer_norm", out, {"out": torch.nn.functional.layer_norm(x, (7,), w, b, 1e-5)}).backward()
    for name, value in {"x": x, "w": w, "b": b}.items():
        out[f"layer_norm/{name}"], out[f"layer_norm/grad.{name}"] = value, value.grad
    return out


def norms():
    """batch_norm_<1d|2d|cumulative>: w, b, x<k>; out<k>, gradients of x<k>, and w<k>, b<k> of each of three batches in
    train mode, mean<k>, var<k> the running statistics after it; eval: x0 in eval mode then. cumulative: the momentum is
    None, the numbers are small, so that what is left of the first running variance, 1, is seen. rms_norm: x, w; out;
    gradients."""
    out = {}
    cases = {"batch_norm_1d": ((5, 3), 0.1, 1), "batch_norm_2d": ((4, 3, 5, 2), 0.1, 1),
             "batch_norm_cumulative": ((5, 3, 2, 2), None, 1e-3)}
    for case, (shape, momentum, scale) in cases.items():
        torch.manual_seed(11 + len(shape))
        layer = (torch.nn.BatchNorm1d if len(shape) == 2 else torch.nn.BatchNorm2d)(3, momentum=momentum)
        w, b = layer.weight, layer.bias
        w.data, b.data = torch.randn(3), torch.randn(3)
        out[f"{case}/w"], out[f"{case}/b"] = w, b
        for k in range(4):
            name = str(k) if k < 3 else "_eval"
            layer.train(k < 3)
            x = 2 * torch.randn(shape) + torch.randn(3)[(slice(None), *[None] * (len(shape) - 2))]
            x = (scale * x).requires_grad_()
            w.grad = b.grad = None
            weighted(case, out, {f"out{name}": layer(x)}).backward()
            out[f"{case}/x{name}"], out[f"{case}/grad.x{name}"] = x, x.grad
            out[f"{case}/grad.w{name}"], out[f"{case}/grad.b{name}"] = w.grad, b.grad
            out[f"{case}/mean{name}"], out[f"{case}/var{name}"] = layer.running_mean.clone(), layer.running_var.clone()
    torch.manual_seed(17)
    x, w = (t.requires_grad_() for t in (torch.randn(4, 3, 7), torch.randn(7)))
    weighted("rms_norm", out, {"out": torch.nn.functional.rms_norm(x, (7,), w, 1e-5)}).backward()
    for name, value in {"x": x, "w": w}.items():
        out[f"rms_norm/{name}"], out[f"rms_norm/grad.{name}"] = value, value.grad
    return out


def ctc():
    """ctc_<reduction>: logits[T, B, C], targets[B, S] (repeated labels; an empty one), lengths; loss; grad.logits.
    ctc_blank: another blank. ctc_zero: one that does not fit, PyTorch's zero_infinity."""
    out = {}
    cases = {"ctc_mean": ("mean", 0, False), "ctc_sum": ("sum", 0, False), "ctc_each": ("none", 0, False),
             "ctc_blank": ("none", 3, False), "ctc_zero": ("none", 0, True)}
    for number, (case, (reduction, blank, zero)) in enumerate(cases.items()):
        torch.manual_seed(50 + number)
        logits = (2 * torch.randn(7, 5, 6)).requires_grad_()
        labels = torch.tensor([[1, 2, 2, 4], [5, 5, 5, 1], [2, 1, 1, 1], [4, 1, 4, 2], [1, 1, 1, 1]])
        labels = torch.where(labels == blank, torch.tensor(3 if blank == 0 else 2), labels)
        steps, sizes = torch.tensor([7, 6, 3, 4, 7 if not zero else 6]), torch.tensor([4, 3, 0, 1, 4])
        loss = torch.nn.functional.ctc_loss(torch.log_softmax(logits, 2), labels, steps, sizes, blank=blank,
                                            reduction=reduction, zero_infinity=zero)
        weighted(case, out, {"loss": loss}).backward()
        out[f"{case}/logits"], out[f"{case}/grad.logits"] = logits, logits.grad
        for name, value in {"targets": labels, "steps": steps, "sizes": sizes}.items():
            out[f"{case}/{name}"] = value.to(torch.int32)
    return out


def convolutions():
    """<n>_<kind>: options (i32: kind 0 conv, 1 transposed, 2 max pool, 3 avg pool; axes; groups; count_padding; then
    stride, dilation, padding, extra, kernel, three each); x, w, b; out; gradients."""
    out, F = {}, torch.nn.functional
    convs = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
    back = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
    largest = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
    means = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
    CEIL = (1,)  # of a pool, instead of extra: ceil_mode
    # kind, images, in, out, size, kernel, stride, dilation, padding, groups, extra
    cases = [
        (0, 2, 3, 4, (9,), (3,), (1,), (1,), (0,), 1, ()),
        (0, 2, 4, 6, (12,), (4,), (2,), (2,), (3,), 2, ()),
        (0, 3, 1, 2, (37,), (5,), (3,), (1,), (1,), 1, ()),
        (0, 2, 3, 5, (8, 9), (3, 3), (1, 1), (1, 1), (0, 0), 1, ()),
        (0, 2, 3, 40, (13, 17), (3, 5), (1, 1), (1, 1), (1, 2), 1, ()),
        (0, 2, 4, 4, (11, 10), (3, 2), (2, 3), (1, 1), (1, 0), 4, ()),
        (0, 2, 4, 6, (12, 12), (3, 3), (1, 2), (2, 3), (2, 1), 2, ()),
        (0, 1, 5, 3, (7, 6), (1, 1), (1, 1), (1, 1), (0, 0), 1, ()),
        (0, 17, 2, 3, (6, 6), (5, 5), (1, 1), (1, 1), (2, 2), 1, ()),
        (0, 1, 2, 3, (4, 5, 6), (2, 3, 2), (1, 2, 1), (1, 1, 2), (1, 0, 1), 1, ()),
        (1, 2, 3, 4, (5,), (3,), (2,), (1,), (1,), 1, (1,)),
        (1, 2, 4, 6, (5,), (3,), (1,), (2,), (0,), 2, (0,)),
        (1, 2, 3, 4, (5, 6), (3, 4), (2, 3), (1, 1), (1, 2), 1, (1, 2)),
        (1, 2, 4, 2, (4, 4), (2, 3), (1, 2), (3, 2), (1, 1), 2, (0, 1)),
        (1, 1, 2, 2, (2, 3, 2), (2, 2, 2), (2, 1, 2), (1, 1, 1), (0, 1, 0), 1, (1, 0, 0)),
        (2, 2, 3, 0, (11,), (3,), (2,), (1,), (1,), 1, ()),
        (2, 2, 3, 0, (8, 8), (2, 2), (2, 2), (1, 1), (0, 0), 1, ()),
        (2, 2, 3, 0, (9, 70), (3, 3), (1, 1), (2, 3), (1, 1), 1, ()),
        (2, 1, 2, 0, (4, 5, 6), (2, 3, 2), (2, 1, 2), (1, 1, 1), (1, 1, 0), 1, ()),
        (3, 2, 3, 0, (11,), (3,), (2,), (1,), (1,), 1, ()),
        (3, 2, 3, 0, (8, 8), (2, 2), (2, 2), (1, 1), (0, 0), 1, ()),
        (3, 2, 3, 0, (9, 7), (3, 2), (2, 1), (1, 1), (1, 1), 1, ()),
        (3, 2, 3, 0, (9, 7), (3, 2), (2, 1), (1, 1), (1, 1), 0, ()),
        (3, 1, 2, 0, (4, 5, 6), (2, 3, 2), (2, 1, 2), (1, 1, 1), (1, 1, 0), 1, ()),
        (2, 2, 3, 0, (6,), (3,), (2,), (1,), (1,), 1, CEIL),
        (2, 2, 3, 0, (6, 7), (3, 4), (2, 3), (1, 1), (1, 2), 1, CEIL),
        (2, 1, 2, 0, (10, 75), (3, 3), (3, 2), (2, 1), (1, 1), 1, CEIL),
        (2, 1, 2, 0, (4, 5, 6), (2, 3, 3), (3, 2, 2), (1, 1, 1), (1, 1, 0), 1, CEIL),
        (3, 2, 3, 0, (6,), (3,), (2,), (1,), (1,), 1, CEIL),
        (3, 2, 3, 0, (6,), (3,), (2,), (1,), (1,), 0, CEIL),
        (3, 2, 3, 0, (6, 7), (3, 4), (2, 3), (1, 1), (1, 2), 1, CEIL),
        (3, 2, 3, 0, (6, 7), (3, 4), (2, 3), (1, 1), (1, 2), 0, CEIL),
        (3, 1, 2, 0, (9, 6), (2, 3), (4, 2), (1, 1), (0, 0), 1, CEIL),
        (3, 1, 2, 0, (4, 5, 6), (2, 3, 3), (3, 2, 2), (1, 1, 1), (1, 1, 0), 1, CEIL),
    ]
    for number, (kind, images, channels, outs, size, kernel, stride, dilation, padding, groups, extra) in enumerate(cases):
        torch.manual_seed(300 + number)
        case, axes = f"{number}_{('conv', 'transposed', 'max', 'avg')[kind]}", len(size)
        x = torch.randn(images, channels, *size, requires_grad=True)
        named = {"x": x}
        if kind < 2:
            shape = (outs, channels // groups) if kind == 0 else (channels, outs // groups)
            named |= {"w": torch.randn(*shape, *kernel, requires_grad=True), "b": torch.randn(outs, requires_grad=True)}
        if kind == 0:
            y = convs[axes](x, named["w"], named["b"], stride, padding, dilation, groups)
        elif kind == 1:
            y = back[axes](x, named["w"], named["b"], stride, padding, extra, groups, dilation)
        elif kind == 2:
            y = largest[axes](x, kernel, stride, padding, dilation, ceil_mode=bool(extra))
        else:
            y = means[axes](x, kernel, stride, padding, ceil_mode=bool(extra), count_include_pad=bool(groups))
        weighted(case, out, {"out": y}).backward()
        triples = [tuple(t) + (0,) * (3 - len(t)) for t in (stride, dilation, padding, extra, kernel)]
        out[f"{case}/options"] = torch.tensor([kind, axes, max(groups, 1), groups] + [i for t in triples for i in t],
                                              dtype=torch.int32)
        for name, value in named.items():
            out[f"{case}/{name}"], out[f"{case}/grad.{name}"] = value, value.grad
    return out


def attention():
    """mha_*: q, k, v, lengths (of keys), weights (per head); encoder_*, decoder_*, model_*: x, memory or source, lengths
    (of the memory or source); out; parameters by PyTorch's names; gradients. Causal where the name says so."""
    out, batch, time, keys, size, heads = {}, 2, 4, 5, 6, 2
    lengths = torch.tensor([5, 3], dtype=torch.int32)
    padding = torch.arange(keys) >= lengths[:, None]

    def case_of(case, model, inputs, outputs):
        weighted(case, out, outputs).backward()
        for name, value in (dict(model.named_parameters()) | inputs).items():
            out[f"{case}/{name}"] = value
            out[f"{case}/grad.{name}"] = value.grad

    def shake(model):
        """Biases and norms start as zeros and ones: other numbers show more."""
        with torch.no_grad():
            for p in model.parameters():
                if p.dim() == 1:
                    p.add_(0.3 * torch.randn_like(p))
        return model

    def tensor(*shape):
        return torch.randn(*shape, requires_grad=True)

    torch.manual_seed(11)
    future = torch.ones(keys, keys).triu(1).bool()
    mha_cases = {"mha_self": {}, "mha_causal": {}, "mha_cross": {}, "mha_padding": {}, "mha_both": {},
                 "mha_sizes": {"kdim": 3, "vdim": 4}, "mha_no_bias": {"bias": False}}
    for case, options in mha_cases.items():
        model = shake(torch.nn.MultiheadAttention(size, heads, batch_first=True, **options))
        inputs = {"q": tensor(batch, keys, size)}
        if case in ("mha_cross", "mha_padding"):
            inputs = {"q": tensor(batch, time, size), "k": tensor(batch, keys, size), "v": tensor(batch, keys, size)}
        if case == "mha_sizes":
            inputs = {"q": tensor(batch, time, size), "k": tensor(batch, keys, 3), "v": tensor(batch, keys, 4)}
        causal, padded = case in ("mha_causal", "mha_both"), case in ("mha_padding", "mha_both")
        q = inputs["q"]
        y, w = model(q, inputs.get("k", q), inputs.get("v", q), average_attn_weights=False,
                     attn_mask=future if causal else None, key_padding_mask=padding if padded else None)
        if padded:
            out[f"{case}/lengths"] = lengths
        case_of(case, model, inputs, {"out": y, "weights": w})
    for first in (False, True):
        for activation in ("relu", "gelu"):
            options = {"dim_feedforward": 7, "dropout": 0.0, "activation": activation, "norm_first": first,
                       "batch_first": True}
            case = f"{activation}_{'first' if first else 'after'}"
            encoder = shake(torch.nn.TransformerEncoderLayer(size, heads, **options))
            x = tensor(batch, keys, size)
            case_of(f"encoder_{case}", encoder, {"x": x}, {"out": encoder(x, src_key_padding_mask=padding)})
            out[f"encoder_{case}/lengths"] = lengths
            decoder = shake(torch.nn.TransformerDecoderLayer(size, heads, **options))
            x, memory = tensor(batch, time, size), tensor(batch, keys, size)
            y = decoder(x, memory, tgt_mask=future[:time, :time], tgt_is_causal=True, memory_key_padding_mask=padding)
            case_of(f"decoder_{case}", decoder, {"x": x, "memory": memory}, {"out": y})
            out[f"decoder_{case}/lengths"] = lengths
        options = {"num_encoder_layers": 2, "num_decoder_layers": 2} | options
        case = f"model_{'first' if first else 'after'}"
        model = shake(torch.nn.Transformer(size, heads, **options))
        x, source = tensor(batch, time, size), tensor(batch, keys, size)
        y = model(source, x, tgt_mask=future[:time, :time], tgt_is_causal=True, src_key_padding_mask=padding,
                  memory_key_padding_mask=padding)
        case_of(case, model, {"x": x, "source": source}, {"out": y})
        out[f"{case}/lengths"] = lengths
    return out


if __name__ == "__main__":
    for make in (recurrent, optimizers, losses, norms, ctc, convolutions, attention):
        path = os.path.join(HERE, make.__name__ + ".safetensors")
        tensorfile.write(path, make())
        print(path, os.path.getsize(path))
