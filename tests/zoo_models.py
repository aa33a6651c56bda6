#!/usr/bin/env python3
"""Writes what programs of the zoo must refuse, or read. Usage: zoo_models.py FOLDER

six-inputs/, other-shapes/: ONNX models under the names of the zoo's, and a vocabulary whose last line does not end.
sound.wav, slow.wav: 1000 samples of silence, at 16000 Hz and at 1 Hz.
"""
import pathlib
import sys
import wave

FLOAT, INT64 = 1, 7  # element types


def field(number, value):
    """A field of a protocol buffer: an integer below 128, text or bytes."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    value = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2, len(value) % 128 | 128, len(value) // 128]) + value


def node(operator, source, result, attribute=b""):
    return field(1, field(1, source) + field(2, result) + field(4, operator) + attribute)


def values(number, types):
    """Inputs (11) or outputs (12) of any shape, by name."""
    return b"".join(field(number, field(1, name) + field(2, field(1, field(1, kind)))) for name, kind in types.items())


def model(nodes, inputs, outputs):
    graph = b"".join(nodes) + field(2, "g") + values(11, inputs) + values(12, outputs)
    return field(1, 8) + field(7, graph) + field(8, field(2, 17))


def main():
    folder = pathlib.Path(sys.argv[1])
    six, other = folder / "six-inputs", folder / "other-shapes"
    six.mkdir()
    other.mkdir()
    for name in "minilm", "nmp", "silero_vad":
        many = model([node("Identity", "a", "x")], dict.fromkeys("abcdef", FLOAT), {"x": FLOAT})
        (six / f"{name}.onnx").write_bytes(many)
    same = [node("Identity", "a", "x"), node("Identity", "a", "y")]
    (other / "nmp.onnx").write_bytes(model(same, {"a": FLOAT}, {"x": FLOAT, "y": FLOAT}))
    (other / "silero_vad.onnx").write_bytes(
        model(same, {"a": FLOAT, "b": FLOAT, "c": INT64}, {"x": FLOAT, "y": FLOAT}))
    to_float = field(5, field(1, "to") + field(3, FLOAT) + bytes([20 << 3 & 127 | 128, 1, 2]))
    (other / "minilm.onnx").write_bytes(
        model([node("Cast", "a", "x", to_float)], dict.fromkeys("abc", INT64), {"x": FLOAT}))
    (other / "minilm_vocabulary.txt").write_text("[UNK]\n[CLS]\n[SEP]")
    for name, rate in ("sound", 16000), ("slow", 1):
        with wave.open(str(folder / f"{name}.wav"), "wb") as sound:
            sound.setparams((1, 2, rate, 1000, "NONE", None))
            sound.writeframes(bytes(2000))


if __name__ == "__main__":
    main()
