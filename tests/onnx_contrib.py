#!/usr/bin/env python3
"""Operators of ONNX Runtime's domain com.microsoft: models of one node, whose results onnxruntime computes, for
tests/onnx_run.c.

    tests/onnx_contrib.py PROGRAM [--gradients | --faults]

Fails if a test failed or was refused. Exit code 77, skipped, without the pip packages onnx and onnxruntime."""
import pathlib
import sys
import tempfile

from onnx_nodes import run

CASES = []


def case(op, inputs, known=(), outputs=1, **attributes):
    """inputs: arrays; None is omitted; those of the numbers in `known` are initializers."""
    CASES.append((op, inputs, known, outputs, attributes))


def cases(np):
    rng = np.random.default_rng(3)

    def x(*shape):
        return rng.normal(0, 0.7, shape).astype(np.float32)

    def ids(most, *shape):
        return rng.integers(0, most, shape).astype(np.int32)

    def i32(*n):
        return np.array(n, np.int32)

    case("FusedMatMul", [x(2, 3, 4), x(2, 4, 5)], alpha=0.5)
    case("FusedMatMul", [x(2, 4, 3), x(2, 5, 4)], alpha=2.0, transA=1, transB=1)
    case("FusedMatMul", [x(2, 3, 4), x(5, 4)], transB=1)
    case("FusedMatMul", [x(2, 3, 4), x(3, 4, 5)], transBatchA=1)
    case("FusedMatMul", [x(4, 2, 3, 5), x(4, 2, 3, 6)], transA=1, transBatchA=1, transBatchB=1)
    case("TransposeMatMul", [x(4, 3), x(4, 5)], transA=1)
    for activation, more in (("Relu", {}), ("Tanh", {}), ("Sigmoid", {}), ("LeakyRelu", {"activation_alpha": 0.2}),
                             ("Elu", {"activation_alpha": 0.7}), ("Softsign", {}),
                             ("HardSigmoid", {"activation_alpha": 0.3, "activation_beta": 0.4})):
        case("FusedGemm", [x(3, 4), x(4, 5), x(5)], activation=activation, alpha=1.5, beta=0.5, **more)
    case("FusedGemm", [x(4, 3), x(5, 4)], activation="Relu", transA=1, transB=1)
    for activation, params in (("Relu", None), ("Tanh", None), ("Sigmoid", None), ("LeakyRelu", [0.2]),
                               ("Clip", [-0.5, 0.75]), ("HardSigmoid", [0.25, 0.5])):
        more = {"activation_params": params} if params else {}
        case("FusedConv", [x(1, 2, 5, 4), x(3, 2, 3, 2), x(3)], activation=activation, pads=[1, 0, 1, 1], **more)
    case("FusedConv", [x(2, 4, 5, 4), x(4, 2, 3, 3), x(4), x(2, 4, 3, 2)], activation="Relu", group=2)
    case("Gelu", [x(2, 5)])
    case("BiasGelu", [x(2, 3, 5), x(5)])
    case("FastGelu", [x(2, 5)])
    case("FastGelu", [x(2, 3, 5), x(5)])
    case("QuickGelu", [x(2, 5)])
    case("QuickGelu", [x(2, 5)], alpha=1.25)

    case(":LayerNormalization", [x(2, 3, 4), x(4), x(4)], axis=-1, epsilon=1e-5)
    case(":SimplifiedLayerNormalization", [x(2, 3, 4), x(4)], axis=-1, epsilon=1e-5, stash_type=1, outputs=2)
    case("SkipLayerNormalization", [x(2, 3, 4), x(2, 3, 4), x(4), x(4), x(4)], epsilon=1e-5)
    case("SkipLayerNormalization", [x(2, 3, 4), x(3, 4), x(4), None, x(4)], outputs=[0, 3], epsilon=1e-5)
    case("SkipLayerNormalization", [x(2, 3, 4), x(1, 3, 4), x(4), x(4)], epsilon=1e-2)
    case("SkipSimplifiedLayerNormalization", [x(2, 3, 4), x(2, 3, 4), x(4), x(4)], outputs=[0, 3], epsilon=1e-5)
    case("SkipSimplifiedLayerNormalization", [x(2, 3, 4), x(2, 3, 4), x(4)], epsilon=1e-5)
    case("SkipLayerNormalization", [x(2, 3, 4), x(2, 3, 4), x(4), x(4)], outputs=4, epsilon=1e-5)
    case("SkipSimplifiedLayerNormalization", [x(2, 3, 4), x(2, 3, 4), x(4)], outputs=4, epsilon=1e-5)
    for functions, more in ((["Sigmoid", "LeakyRelu"], {"activation_alpha": [0.3]}),
                            (["HardSigmoid", "Elu"], {"activation_alpha": [0.3, 0.5], "activation_beta": [0.4]})):
        case(":GRU", [x(3, 1, 2), x(1, 6, 2), x(1, 6, 2)], hidden_size=2, activations=functions, **more)
    case("EmbedLayerNormalization", [ids(9, 2, 5), ids(2, 2, 5), x(9, 4), x(6, 4), x(2, 4), x(4), x(4),
                                     np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)], outputs=3, epsilon=1e-5)
    case("EmbedLayerNormalization", [ids(9, 2, 5), None, x(9, 4), x(6, 4), None, x(4), x(4), None, ids(6, 2, 5)],
         outputs=[0, 2], epsilon=1e-5)

    weights, bias = x(6, 24), x(24)
    some = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 0]], np.int32)
    case("Attention", [x(2, 5, 6), weights, bias], num_heads=2)
    case("Attention", [x(2, 5, 6), weights, bias, some], num_heads=4, mask_filter_value=-3.0)
    case("Attention", [x(2, 5, 6), weights, bias, i32(3, 5)], num_heads=2)
    case("Attention", [x(2, 5, 6), weights, bias, i32(3, 5, 1, 0)], num_heads=2)
    case("Attention", [x(2, 5, 6), weights, bias, ids(2, 2, 5, 5)], num_heads=2, scale=0.4)
    case("Attention", [x(2, 5, 6), weights, bias, None, None, x(2, 2, 5, 5)], num_heads=2, unidirectional=1)
    case("Attention", [x(2, 3, 6), weights, bias, None, x(2, 2, 2, 2, 4)], num_heads=2, unidirectional=1, outputs=2)
    case("Attention", [x(2, 5, 6), x(6, 20), x(20)], num_heads=2, qkv_hidden_sizes=[8, 8, 4])
    q, k, v = x(2, 3, 8), x(2, 5, 8), x(2, 5, 4)
    case("MultiHeadAttention", [q, k, v], num_heads=2)
    case("MultiHeadAttention", [q, k, v, x(20)], num_heads=2, scale=0.3)
    case("MultiHeadAttention", [q, k, v, None, some, x(2, 2, 3, 5)], num_heads=2, mask_filter_value=-2.0)
    case("MultiHeadAttention", [q, k, v, None, None, x(1, 2, 3, 5)], num_heads=2)
    case("MultiHeadAttention", [q, x(2, 2, 5, 4), x(2, 2, 5, 4)], num_heads=2)
    case("MultiHeadAttention", [q, x(2, 3, 8), x(2, 3, 8), None, None, None, x(2, 2, 4, 4), x(2, 2, 4, 4)],
         num_heads=2, unidirectional=1, outputs=3)
    cosine, sine = np.cos(x(8, 4)), np.sin(x(8, 4))
    case("RotaryEmbedding", [x(2, 3, 16), np.array([[0, 1, 2], [3, 4, 5]]), cosine, sine], [1])
    case("RotaryEmbedding", [x(2, 2, 3, 8), np.array([2]), cosine, sine], [1], interleaved=1)
    case("RotaryEmbedding", [x(2, 3, 24), np.array([1]), cosine, sine], [1], num_heads=2, rotary_embedding_dim=8)
    # onnxruntime wants heads of a multiple of 16 elements here.
    angles = x(8, 8)

    def queries(time, past):
        return [x(2, time, 64), x(2, time, 32), x(2, time, 32), x(2, 2, past, 16), x(2, 2, past, 16),
                i32(past + time - 1, past + time - 1), np.array(past + time, np.int32), np.cos(angles), np.sin(angles)]
    for more in ({}, {"do_rotary": 1}, {"do_rotary": 1, "rotary_interleaved": 1, "scale": 0.25},
                 {"local_window_size": 2}):
        case("GroupQueryAttention", queries(4, 0), [3, 4, 5, 6], outputs=3, num_heads=4, kv_num_heads=2, **more)
    case("GroupQueryAttention", queries(1, 3), [5, 6], outputs=3, num_heads=4, kv_num_heads=2, do_rotary=1)


def write(folder, number, onnx, runtime, op, inputs, known, outputs, attributes):
    """The model and its data; returns a task of onnx_run."""
    from onnx import helper, numpy_helper
    where = folder / f"{number:02d}_{op.strip(':')}"
    (where / "data").mkdir(parents=True)
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(inputs)]
    wanted = outputs if isinstance(outputs, list) else list(range(outputs))
    domain = "" if op.startswith(":") else "com.microsoft"
    results = [f"y{i}" if i in wanted else "" for i in range(max(wanted) + 1)]
    node = helper.make_node(op.strip(":"), names, results, domain=domain, **attributes)
    kind = helper.np_dtype_to_tensor_dtype
    given = [(n, a) for i, (n, a) in enumerate(zip(names, inputs)) if a is not None and i not in known]
    graph = helper.make_graph(
        [node], "one", [helper.make_tensor_value_info(n, kind(a.dtype), a.shape) for n, a in given],
        [helper.make_tensor_value_info(n, onnx.TensorProto.UNDEFINED, None) for n in results if n],
        [numpy_helper.from_array(inputs[i], names[i]) for i in known])
    opsets = [helper.make_opsetid("", 14), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    for o in graph.output:
        o.type.Clear()
    for o in model.graph.output:
        o.type.Clear()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    got = runtime.InferenceSession(model.SerializeToString(), options).run(None, dict(given))
    for o, array in zip(model.graph.output, got):
        o.CopyFrom(helper.make_tensor_value_info(o.name, kind(array.dtype), array.shape))
    onnx.save(model, where / "model.onnx")
    for prefix, arrays in ("input", [a for _, a in given]), ("output", got):
        for i, array in enumerate(arrays):
            (where / "data" / f"{prefix}_{i}.pb").write_bytes(numpy_helper.from_array(array).SerializeToString())
    return where.name, [op], where / "model.onnx", where / "data", 1e-4, 1e-5


def main():
    try:
        import numpy
        import onnx
        import onnxruntime
    except ImportError as error:
        print(f"skipped: {error}")
        return 77
    cases(numpy)
    with tempfile.TemporaryDirectory() as scratch:
        tasks = [write(pathlib.Path(scratch), i, onnx, onnxruntime, *c) for i, c in enumerate(CASES)]
        results = run(sys.argv[1:], tasks)
    for (name, *_), result in zip(tasks, results):
        if result.split(":")[0] not in ("passed", "none"):
            print(f"{name}: {result}")
    good = sum(r.split(":")[0] in ("passed", "none") for r in results)
    print(f"onnxruntime {onnxruntime.__version__}: {good} of {len(results)} agree")
    return 0 if results and good == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
