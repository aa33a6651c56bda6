/* The quantized types of GGUF: see gguf.h. q are whole numbers of a few bits, d and m numbers in f16; products and sums
 * in f32 round as ggml's do. */
#include "gguf.h"

#include "convert.h"

static float f16_at(const uint8_t *from) { return (float)wg__f16_at((const char *)from); }

/* ---- 32 elements with one d ---- */

enum { SMALL = 32 };

/* d q: d, then q in 8 bits. */
static void decode_q8_0(const uint8_t *b, float *to)
{
    const float d = f16_at(b);
    for (int i = 0; i < SMALL; i++) to[i] = d * (float)(int8_t)b[2 + i];
}

/* d (q - zero), or d q + m: d, perhaps m, perhaps the fifth bits of all q; the lower four, element i with i + 16. */
static inline void decode_small(const uint8_t *b, bool has_m, bool has_fifth, float *to)
{
    const float d = f16_at(b), m = has_m ? f16_at(b + 2) : 0;
    const int zero = has_m ? 0 : has_fifth ? 16 : 8;
    const uint8_t *fifth = b + (has_m ? 4 : 2), *four = fifth + (has_fifth ? 4 : 0);
    for (int i = 0; i < SMALL; i++) {
        int q = i < SMALL / 2 ? four[i] & 15 : four[i - SMALL / 2] >> 4;
        if (has_fifth) q |= (fifth[i / 8] >> i % 8 & 1) << 4;
        to[i] = has_m ? d * (float)q + m : d * (float)(q - zero);
    }
}

static void decode_q4_0(const uint8_t *b, float *to) { decode_small(b, false, false, to); }
static void decode_q4_1(const uint8_t *b, float *to) { decode_small(b, true, false, to); }
static void decode_q5_0(const uint8_t *b, float *to) { decode_small(b, false, true, to); }
static void decode_q5_1(const uint8_t *b, float *to) { decode_small(b, true, true, to); }

/* ---- 256 elements with a d, and whole scales of parts of them ---- */

enum { LARGE = 256, PART = 32, SCALES = 12 };

/* The scales of d and m of part k of 8, of 6 bits each, in 12 bytes. */
static void scales_of(const uint8_t *s, int k, int *of_d, int *of_m)
{
    *of_d = k < 4 ? s[k] & 63 : (s[k + 4] & 15) | s[k - 4] >> 6 << 4;
    *of_m = k < 4 ? s[k + 4] & 63 : s[k + 4] >> 4 | s[k] >> 6 << 4;
}

/* (d scale) q - m scale: d, m, the scales, perhaps the fifth bits, then the lower four, part k with k + 1. */
static inline void decode_large(const uint8_t *b, bool has_fifth, float *to)
{
    const float d = f16_at(b), m = f16_at(b + 2);
    const uint8_t *fifth = b + 4 + SCALES, *four = fifth + (has_fifth ? PART : 0);
    for (int k = 0; k < LARGE / PART; k++) {
        int of_d, of_m;
        scales_of(b + 4, k, &of_d, &of_m);
        const float unit = d * (float)of_d, least = m * (float)of_m;
        for (int i = 0; i < PART; i++) {
            int q = four[k / 2 * PART + i] >> k % 2 * 4 & 15;
            if (has_fifth) q |= (fifth[i] >> k & 1) << 4;
            to[k * PART + i] = unit * (float)q - least;
        }
    }
}

static void decode_q4_k(const uint8_t *b, float *to) { decode_large(b, false, to); }
static void decode_q5_k(const uint8_t *b, float *to) { decode_large(b, true, to); }

/* (d scale) (q - 32): of each half the lower four bits, then of each half the upper two; 16 scales of 8 bits; d. */
static void decode_q6_k(const uint8_t *b, float *to)
{
    enum { HALF = LARGE / 2, EACH = 16 };
    const uint8_t *upper = b + HALF, *scale = upper + HALF / 2;
    const float d = f16_at(scale + LARGE / EACH);
    for (int i = 0; i < LARGE; i++) {
        const int half = i / HALF, quarter = i % HALF / PART, k = i % PART;
        const int four = b[half * HALF / 2 + quarter % 2 * PART + k] >> quarter / 2 * 4 & 15;
        const int two = upper[half * PART + k] >> 2 * quarter & 3;
        to[i] = d * (float)(int8_t)scale[i / EACH] * (float)((two << 4 | four) - 32);
    }
}

/* ---- the table ---- */

#define PLAIN(name, bytes)                                                                                         \
    {                                                                                                              \
        name, name, 1, bytes, NULL                                                                                 \
    }
#define QUANTIZED(name, block, bytes, decode)                                                                      \
    {                                                                                                              \
        name, "F32", block, bytes, decode                                                                          \
    }
#define UNREAD(name)                                                                                               \
    {                                                                                                              \
        name, NULL, 1, 0, NULL                                                                                     \
    }

static const wg__gguf_type types[] = {
    [0] = PLAIN("F32", 4),
    [1] = PLAIN("F16", 2),
    [2] = QUANTIZED("Q4_0", SMALL, 18, decode_q4_0),
    [3] = QUANTIZED("Q4_1", SMALL, 20, decode_q4_1),
    [6] = QUANTIZED("Q5_0", SMALL, 22, decode_q5_0),
    [7] = QUANTIZED("Q5_1", SMALL, 24, decode_q5_1),
    [8] = QUANTIZED("Q8_0", SMALL, 34, decode_q8_0),
    [9] = UNREAD("Q8_1"),
    [10] = UNREAD("Q2_K"),
    [11] = UNREAD("Q3_K"),
    [12] = QUANTIZED("Q4_K", LARGE, 144, decode_q4_k),
    [13] = QUANTIZED("Q5_K", LARGE, 176, decode_q5_k),
    [14] = QUANTIZED("Q6_K", LARGE, 210, decode_q6_k),
    [15] = UNREAD("Q8_K"),
    [16] = UNREAD("IQ2_XXS"),
    [17] = UNREAD("IQ2_XS"),
    [18] = UNREAD("IQ3_XXS"),
    [19] = UNREAD("IQ1_S"),
    [20] = UNREAD("IQ4_NL"),
    [21] = UNREAD("IQ3_S"),
    [22] = UNREAD("IQ2_S"),
    [23] = UNREAD("IQ4_XS"),
    [24] = PLAIN("I8", 1),
    [25] = PLAIN("I16", 2),
    [26] = PLAIN("I32", 4),
    [27] = PLAIN("I64", 8),
    [28] = PLAIN("F64", 8),
    [29] = UNREAD("IQ1_M"),
    [30] = PLAIN("BF16", 2),
    [34] = UNREAD("TQ1_0"),
    [35] = UNREAD("TQ2_0"),
    [39] = UNREAD("MXFP4"),
};

const wg__gguf_type *wg__gguf_type_at(uint32_t number)
{
    return number < sizeof types / sizeof *types && types[number].name ? &types[number] : NULL;
}
