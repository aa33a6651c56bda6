#!/usr/bin/env python3
"""Writes the small models of tests/onnx, for tests/test_onnx.c. Needs the pip package onnx.

    tests/onnx_models.py FOLDER

A model has its test inside: initializers that no node uses, "given.NAME" for each input and "wanted.NAME" for each
output, computed by onnx.reference, in NumPy; those of functions by onnxruntime."""
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

rng = np.random.default_rng(7)


def numbers(*shape):
    return rng.normal(0, 0.5, shape).astype(np.float32)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"{op}_{outputs.split()[0]}", **attributes)


def value(name, array, sizes=None):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), sizes or array.shape)


def run_functions(model, inputs):
    """onnx.reference knows no defaults of a function's attributes, onnx.inliner none within branches."""
    import onnxruntime
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)


def write(folder, name, nodes, inputs, outputs, weights, opset=17, sizes=None, functions=(), ir_version=8):
    """inputs and weights: {name: array}; sizes: {input: declared sizes}."""
    tensors = [numpy_helper.from_array(a, n) for n, a in weights.items()]
    graph = helper.make_graph(nodes, name, [value(n, a, (sizes or {}).get(n)) for n, a in inputs.items()],
                              [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs], tensors)
    opsets = [helper.make_opsetid(domain, 1) for domain in sorted({f.domain for f in functions})]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)] + opsets, functions=functions,
                              ir_version=ir_version, producer_name="")
    results = run_functions(model, inputs) if functions else ReferenceEvaluator(model).run(None, inputs)
    graph.initializer.extend(numpy_helper.from_array(a, "given." + n) for n, a in inputs.items())
    graph.initializer.extend(numpy_helper.from_array(a, "wanted." + n) for n, a in zip(outputs, results))
    for output, result in zip(graph.output, results):
        output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, [None] * result.ndim))
    model.graph.CopyFrom(graph)
    onnx.checker.check_model(model)
    onnx.save(model, folder / f"{name}.onnx")
    return model


def i64(*n):
    return np.array(n, np.int64)


def mlp(folder):
    write(folder, "mlp", [
        node("Gemm", "x w1 b1", "a", transB=1), node("Relu", "a", "h"), node("MatMul", "h w2", "m"),
        node("Add", "m b2", "z"), node("LogSoftmax", "z", "y", axis=-1)],
        {"x": numbers(3, 4)}, ["y"],
        {"w1": numbers(5, 4), "b1": numbers(5), "w2": numbers(5, 3), "b2": numbers(3)}, sizes={"x": ["batch", 4]})


def conv(folder):
    write(folder, "conv", [
        node("Conv", "x w b", "c", auto_pad="SAME_LOWER", strides=[2, 1], group=2),
        node("BatchNormalization", "c scale shift mean var", "n"), node("LeakyRelu", "n", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        node("AveragePool", "p", "q", kernel_shape=[2, 2], pads=[1, 0, 0, 1], count_include_pad=1),
        node("GlobalAveragePool", "q", "g"), node("Flatten", "g", "f"), node("Gemm", "f w2 b2", "y", alpha=0.5)],
        {"x": numbers(2, 4, 7, 6)}, ["y"],
        {"w": numbers(4, 2, 3, 2), "b": numbers(4), "scale": numbers(4), "shift": numbers(4), "mean": numbers(4),
         "var": np.abs(numbers(4)) + 1, "w2": numbers(4, 3), "b2": numbers(3)}, sizes={"x": ["batch", 4, 7, 6]})


def recurrent(folder):
    write(folder, "recurrent", [
        node("LSTM", "x w1 r1 b1", "s1 h1 c1", direction="bidirectional", hidden_size=3),
        node("Transpose", "s1", "t1", perm=[0, 2, 1, 3]), node("Reshape", "t1 flat", "u1"),
        node("GRU", "u1 w2 r2 b2", "s2 h2", hidden_size=2, linear_before_reset=1),
        node("Squeeze", "h2 zero", "y")],
        {"x": numbers(4, 2, 3)}, ["y"],
        {"w1": numbers(2, 12, 3), "r1": numbers(2, 12, 3), "b1": numbers(2, 24), "flat": i64(0, 0, -1),
         "w2": numbers(1, 6, 6), "r2": numbers(1, 6, 2), "b2": numbers(1, 12), "zero": i64(0)})


def transformer(folder):
    """Attention as exporters write it: sizes are computed from the shape of the input."""
    def heads(name):
        return [node("MatMul", f"n w{name}", name), node("Reshape", f"{name} split", name + "h"),
                node("Transpose", name + "h", name + "t", perm=[0, 2, 3, 1] if name == "k" else [0, 2, 1, 3])]
    write(folder, "transformer", [
        node("Gather", "table ids", "e"), node("Shape", "ids", "shape"), node("Gather", "shape one", "T"),
        node("Unsqueeze", "T first", "T1"), node("Slice", "positions first T1", "p"), node("Add", "e p", "x"),
        node("LayerNormalization", "x scale shift", "n"),
        node("Gather", "shape nought", "B"), node("Unsqueeze", "B first", "B1"),
        node("Concat", "B1 T1 two two", "split", axis=0), node("Concat", "B1 T1 four", "join", axis=0),
        *heads("q"), *heads("k"), *heads("v"), node("MatMul", "qt kt", "raw"), node("Div", "raw root", "scores"),
        node("Range", "nought T one", "steps"), node("Unsqueeze", "steps one1", "rows"),
        node("GreaterOrEqual", "rows steps", "seen"), node("Where", "seen scores low", "masked"),
        node("Softmax", "masked", "weights"), node("MatMul", "weights vt", "mixed"),
        node("Transpose", "mixed", "back", perm=[0, 2, 1, 3]), node("Reshape", "back join", "flat"),
        node("Add", "x flat", "z"), node("Div", "z root2", "zs"), node("Erf", "zs", "erf"),
        node("Add", "erf unit", "e1"),
        node("Mul", "z e1", "zz"), node("Mul", "zz half", "y")],
        {"ids": np.array([[1, 5, 2], [0, 3, 3]], np.int64)}, ["y"],
        {"table": numbers(6, 4), "positions": numbers(5, 4), "scale": numbers(4) + 1, "shift": numbers(4),
         "wq": numbers(4, 4), "wk": numbers(4, 4), "wv": numbers(4, 4), "first": i64(0), "one1": i64(1), "two": i64(2),
         "four": i64(4), "one": np.array(1, np.int64), "nought": np.array(0, np.int64),
         "root": np.array(2 ** 0.5, np.float32), "root2": np.array(2 ** 0.5, np.float32),
         "low": np.array(-1e9, np.float32), "unit": np.array(1, np.float32), "half": np.array(0.5, np.float32)},
        sizes={"ids": ["batch", "time"]})


def control(folder):
    """A loop of three turns, a branch that its turn chooses, and a scan."""
    info = helper.make_tensor_value_info
    F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
    double = helper.make_graph([node("Mul", "h scale", "big")], "then", [], [info("big", F, None)])
    same = helper.make_graph([node("Identity", "h", "kept")], "else", [], [info("kept", F, None)])
    body = helper.make_graph(
        [node("MatMul", "h_in w", "m"), node("Tanh", "m", "h"), node("Equal", "turn one", "odd"),
         node("If", "odd", "h_out", then_branch=double, else_branch=same), node("Identity", "go", "go_out"),
         node("ReduceSum", "h axis", "slice", keepdims=0)],
        "body", [info("turn", I, []), info("go", B, []), info("h_in", F, None)],
        [info("go_out", B, []), info("h_out", F, None), info("slice", F, None)])
    scan = helper.make_graph([node("Add", "sum step", "next"), node("Sigmoid", "next", "seen")], "scan",
                             [info("sum", F, [3]), info("step", F, [3])], [info("next", F, [3]), info("seen", F, [3])])
    write(folder, "control", [
        node("Loop", "three yes x", "h_last all", body=body),
        node("Scan", "start all", "total y", body=scan, num_scan_inputs=1)],
        {"x": numbers(2, 3)}, ["h_last", "total", "y"],
        {"w": numbers(3, 3), "three": np.array(3, np.int64), "yes": np.array(True), "axis": i64(0),
         "start": numbers(3), "one": np.array(1, np.int64), "scale": numbers(3)})


def widened(folder):
    """Weights of half precision, of integers, and of a Constant."""
    write(folder, "widened", [
        node("Cast", "half", "w1", to=TensorProto.FLOAT), node("MatMul", "x w1", "a"),
        node("DequantizeLinear", "bytes scales zeros", "w2", axis=1), node("MatMul", "a w2", "b"),
        node("Constant", "", "table", value=numpy_helper.from_array(numbers(2))), node("Add", "b table", "y")],
        {"x": numbers(2, 3)}, ["y"],
        {"half": numbers(3, 4).astype(np.float16), "bytes": rng.integers(-128, 128, (4, 2)).astype(np.int8),
         "scales": np.array([0.01, 0.02], np.float32), "zeros": np.array([3, -5], np.int8)}, opset=21)


def external(folder):
    """The weight of mlp's kind in a file beside the model."""
    model = write(folder, "external", [node("MatMul", "x w", "y")], {"x": numbers(2, 3)}, ["y"], {"w": numbers(3, 2)})
    weight = model.graph.initializer[0]
    (folder / "external.bin").write_bytes(b"\0" * 8 + weight.raw_data)
    size = len(weight.raw_data)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, text in ("location", "external.bin"), ("offset", "8"), ("length", str(size)):
        weight.external_data.add(key=key, value=text)
    (folder / "external.onnx").write_bytes(model.SerializeToString())


def branches(folder):
    """Weights in Constants of both branches, under one name; integers with Cast and Mul, whose scale is used again."""
    def branch(name, result):
        weight = numpy_helper.from_array(numbers(3, 4))
        return helper.make_graph([node("Constant", "", "w", value=weight), node("MatMul", "x w", result)], name, [],
                                 [helper.make_tensor_value_info(result, TensorProto.FLOAT, None)])
    write(folder, "branches", [
        node("If", "yes", "a", then_branch=branch("then", "left"), else_branch=branch("else", "right")),
        node("Cast", "bytes", "wide", to=TensorProto.FLOAT), node("Mul", "scale wide", "w2"),
        node("MatMul", "a w2", "b"), node("Add", "b scale", "y")],
        {"x": numbers(2, 3)}, ["y"],
        {"yes": np.array(False), "bytes": rng.integers(-128, 128, (4, 2)).astype(np.int8),
         "scale": np.array([[0.01, 0.02]], np.float32)})


def reference(made, name, to, kind):
    """Sets the attribute of a node to the attribute `to` of its function."""
    made.attribute.append(onnx.AttributeProto(name=name, ref_attr_name=to, type=kind))
    return made


def functions(folder):
    """Functions of the model: calls inside of calls, attributes that are handed on, defaults, an operand that is omitted, two overloads, names of operators, a branch, weights in bodies, sizes by a call."""
    FLOAT, INT = onnx.AttributeProto.FLOAT, onnx.AttributeProto.INT

    def function(name, inputs, outputs, nodes, **more):
        return helper.make_function("local", name, inputs.split(), outputs.split(), nodes,
                                    [helper.make_opsetid("", 21), helper.make_opsetid("local", 1)], **more)

    def call(name, inputs, outputs, **attributes):
        return helper.make_node(name, inputs.split(" "), outputs.split(), name=f"{name}_{outputs.split()[0]}",
                                domain="local", **attributes)
    leaky = function("Leaky", "x", "y", [reference(node("LeakyRelu", "x", "y"), "alpha", "slope", FLOAT)],
                     attribute_protos=[helper.make_attribute("slope", 0.25)])
    plain = function("Leaky", "x", "y", [reference(node("LeakyRelu", "x", "y"), "alpha", "slope", FLOAT)],
                     attributes=["slope"])
    plain.overload = "plain"
    total = function("Total", "x", "y", [node("Constant", "", "last", value_ints=[-1]), node("ReduceSum", "x last", "s"),
                                         reference(node("Softmax", "x", "p"), "axis", "axis", INT),
                                         node("Mul", "s p", "y")], attribute_protos=[helper.make_attribute("axis", 1)])
    shift = numpy_helper.from_array(numbers(4))
    biased = function("Biased", "x bias", "y", [node("Constant", "", "c", value=shift), node("Add", "x c", "a"),
                                                    node("Transpose", "a", "t", perm=[1, 0]),
                                                    node("Gemm", "a t bias", "y")])
    taken = helper.make_graph([call("Leaky", "x", "taken")], "then", [],
                              [helper.make_tensor_value_info("taken", TensorProto.FLOAT, None)])
    other = helper.make_graph([node("Neg", "x", "other")], "else", [],
                              [helper.make_tensor_value_info("other", TensorProto.FLOAT, None)])
    choose = function("If", "x which", "y z", [
        node("If", "which", "b", then_branch=taken, else_branch=other),
        reference(call("Leaky", "b", "y"), "slope", "by", FLOAT), node("Identity", "x", "z")], attributes=["by"])
    rows = function("Rows", "x", "y", [node("Constant", "", "zero", value_ints=[0]),
                                       node("Constant", "", "rest", value_ints=[-1]), node("Shape", "x", "s"),
                                       node("Gather", "s zero", "n"), node("Concat", "n rest", "y", axis=0)])
    bytes_of = function("Loop", "q scale", "w", [node("DequantizeLinear", "q scale", "w")])
    overloaded = call("Leaky", "e", "f", slope=0.5)
    overloaded.overload = "plain"
    write(folder, "functions", [
        node("MatMul", "x w", "a"), call("Leaky", "a", "b", slope=0.125), call("If", "b yes", "c1 c", by=0.75),
        call("Biased", "c ", "d"), call("Biased", "d b1", "e"), overloaded,
        call("Total", "f", "g"), call("Total", "g", "h", axis=0), call("Rows", "x", "shape"),
        node("Reshape", "h shape", "i"), call("Loop", "bytes scale", "w1"), call("Loop", "bytes scale", "w2"),
        node("MatMul", "i w1", "j"), node("MatMul", "j w2", "k"), node("Add", "k c1", "y")],
        {"x": numbers(4, 3)}, ["y"],
        {"w": numbers(3, 4), "yes": np.array(True), "b1": numbers(4), "scale": np.array(0.02, np.float32),
         "bytes": rng.integers(-128, 128, (4, 4)).astype(np.int8)},
        functions=[leaky, plain, total, biased, choose, rows, bytes_of], ir_version=10, opset=21)


def main():
    folder = pathlib.Path(sys.argv[1])
    for make in mlp, conv, recurrent, transformer, control, widened, external, branches, functions:
        make(folder)


if __name__ == "__main__":
    main()
