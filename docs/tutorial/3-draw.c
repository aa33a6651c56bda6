/* Draws 1000 pictures of 24 x 24 pixels, shapes/0000.png and so on, and a list of them, shapes.csv. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { PICTURES = 1000, SIDE = 24, ROW = SIDE + 1, RAW = SIDE * ROW };

static uint32_t state = 1;

static int below(int n) /* a random number 0 .. n - 1 */
{
    state = state * 1664525 + 1013904223;
    return (int)((state >> 8) % (uint32_t)n);
}

static int absolute(int x) { return x < 0 ? -x : x; }

static void draw(int shape, uint8_t raw[RAW]) /* each row of a PNG begins with the number of its filter, 0 */
{
    const int x0 = 8 + below(8), y0 = 8 + below(8), r = 5 + below(3);
    for (int y = 0; y < SIDE; y++) {
        raw[y * ROW] = 0;
        for (int x = 0; x < SIDE; x++) {
            const int dx = absolute(x - x0), dy = absolute(y - y0);
            const int square = dx <= r && dy <= r, disc = dx * dx + dy * dy <= r * r;
            const int cross = (dx <= 1 && dy <= r) || (dy <= 1 && dx <= r);
            const int inside = shape == 0 ? cross : shape == 1 ? disc : square;
            raw[y * ROW + 1 + x] = (uint8_t)(inside * 155 + below(100));
        }
    }
}

static void put_number(FILE *out, uint32_t x)
{
    for (int shift = 24; shift >= 0; shift -= 8) putc((int)(x >> shift & 255), out);
}

static void put_chunk(FILE *out, const char *type, const uint8_t *bytes, uint32_t n)
{
    uint32_t crc = ~0U;
    put_number(out, n);
    for (uint32_t i = 0; i < n + 4; i++) {
        const uint8_t byte = i < 4 ? (uint8_t)type[i] : bytes[i - 4];
        putc(byte, out);
        crc ^= byte;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320U : 0);
    }
    put_number(out, ~crc);
}

static void write_png(const char *path, const uint8_t raw[RAW])
{
    static const uint8_t header[13] = {0, 0, 0, SIDE, 0, 0, 0, SIDE, 8};                     /* 8 bits, gray */
    uint8_t data[RAW + 11] = {0x78, 1, 1, RAW & 255, RAW >> 8, ~RAW & 255, ~RAW >> 8 & 255}; /* not compressed */
    uint32_t a = 1, b = 0;
    for (int i = 0; i < RAW; i++) {
        data[7 + i] = raw[i];
        a = (a + raw[i]) % 65521, b = (b + a) % 65521;
    }
    for (int i = 0; i < 4; i++) data[7 + RAW + i] = (uint8_t)((b << 16 | a) >> (24 - 8 * i));
    FILE *out = fopen(path, "wb");
    if (!out) exit(1);
    fwrite("\x89PNG\r\n\x1a\n", 1, 8, out);
    put_chunk(out, "IHDR", header, sizeof header);
    put_chunk(out, "IDAT", data, sizeof data);
    put_chunk(out, "IEND", data, 0);
    fclose(out);
}

int main(void)
{
    static const char *const names[] = {"cross", "disc", "square"};
    mkdir("shapes", 0777);
    FILE *list = fopen("shapes.csv", "w");
    if (!list) return 1;
    fprintf(list, "file,shape\n");
    for (int i = 0; i < PICTURES; i++) {
        char path[32];
        uint8_t raw[RAW];
        const int shape = below(3);
        draw(shape, raw);
        snprintf(path, sizeof path, "shapes/%04d.png", i);
        write_png(path, raw);
        fprintf(list, "%s,%s\n", path, names[shape]);
    }
    fclose(list);
}
