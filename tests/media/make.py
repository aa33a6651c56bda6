#!/usr/bin/env python3
"""Writes the pictures and sounds of tests/test_media.c, and what they hold: NAME.txt has the shape and the numbers as
Pillow and Python's wave read them. Needs Pillow; the files are in the repository.

    tests/media/make.py"""
import os
import struct
import wave
import zlib

from PIL import Image

os.chdir(os.path.dirname(os.path.abspath(__file__)))
W, H = 7, 5
RGB = [tuple((37 * x + 91 * y + 60 * c + x * y * c) % 256 for c in range(3)) for y in range(H) for x in range(W)]


def write_text(name, shape, numbers):
    with open(name + ".txt", "w", encoding="ascii") as out:
        print(*shape, file=out)
        print(*numbers, file=out)


def write_pixels(name, image, mode):
    image = image.convert(mode)
    bands = image.split()
    pixels = [list(band.tobytes()) for band in bands]
    write_text(name, (len(bands), image.height, image.width), sum(pixels, []))


def picture(mode):
    image = Image.new("RGB", (W, H))
    image.putdata(RGB)
    return image.convert(mode)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(name, header, rows, *chunks):
    with open(name, "wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks)
                  + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_interlaced(name):
    """Adam7 (PNG specification, section 8.2)."""
    rows = b""
    passes = (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
    for x0, y0, dx, dy in passes:
        for y in range(y0, H, dy):
            line = b"".join(bytes(RGB[y * W + x]) for x in range(x0, W, dx))
            rows += b"\0" + line if line else b""
    write_png(name, struct.pack(">IIBBBBB", W, H, 8, 2, 0, 0, 1), rows)


def write_16_bits(name):
    """Numbers 257 k are k in 8 bits; so are those up to 128 beside them."""
    rows = b"".join(b"\0" + b"".join(struct.pack(">H", min(257 * RGB[y * W + x][0] + (x - 3) * 40, 65535) if
                                                 RGB[y * W + x][0] else 0) for x in range(W)) for y in range(H))
    write_png(name, struct.pack(">IIBBBBB", W, H, 16, 0, 0, 0, 0), rows)
    write_text(os.path.splitext(name)[0], (1, H, W), [p[0] for p in RGB])


def pictures():
    for name, mode in ("rgb", "RGB"), ("gray", "L"), ("rgba", "RGBA"), ("palette", "P"), ("bits", "1"), ("ga", "LA"):
        image = picture(mode)
        if mode == "RGBA":
            image.putalpha(100)
        image.save(name + ".png", **({"transparency": 3} if mode == "P" else {}))
        write_pixels(name, Image.open(name + ".png"), {"1": "L", "L": "L", "LA": "L"}.get(mode, "RGB"))
    write_pixels("rgb_gray", picture("RGB"), "L")
    write_interlaced("interlaced.png")
    write_pixels("interlaced", Image.open("interlaced.png"), "RGB")
    write_16_bits("sixteen.png")
    big = picture("RGB").resize((19, 21))
    for name, mode in ("color", "RGB"), ("grayscale", "L"), ("progressive", "RGB"):
        big.convert(mode).save(name + ".jpg", quality=90, progressive=name == "progressive")
        write_pixels(name, Image.open(name + ".jpg"), mode)
    big.convert("CMYK").save("cmyk.jpg")


def sounds():
    for name, size, channels in ("u8", 1, 1), ("s16", 2, 2), ("s24", 3, 1), ("s32", 4, 2):
        top = 1 << (8 * size - 1)
        numbers = [(37 * i * i + 11 * i) % (2 * top) - top for i in range(20 * channels)]
        raw = b"".join(struct.pack("B", n + top) if size == 1 else n.to_bytes(size, "little", signed=True)
                       for n in numbers)
        with wave.open(name + ".wav", "wb") as out:
            out.setparams((channels, size, 8000 + size, 0, "NONE", None))
            out.writeframes(raw)
        planes = [numbers[i] / top for c in range(channels) for i in range(c, len(numbers), channels)]
        write_text(name, (channels, 20, 8000 + size), planes)
    floats = [i / 8 - 1 for i in range(16)]
    data = struct.pack("<16f", *floats)
    with open("f32.wav", "wb") as out:
        out.write(b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt "
                  + struct.pack("<IHHIIHH", 16, 3, 2, 44100, 8 * 44100, 8, 32)
                  + b"data" + struct.pack("<I", len(data)) + data)
    write_text("f32", (2, 8, 44100), floats[::2] + floats[1::2])


pictures()
sounds()
