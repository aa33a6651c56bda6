/* Dropout's mask: element i is a function of (seed, step, key, i) alone. */
#include "random.h"

#include <math.h>

#include "../../../autograd/base/random.h"
#include "../base/integers.h"
#include "../base/vector.h"

/* 32-bit words in 64-bit lanes whose upper halves are undefined. */
typedef uint64_t words __attribute__((vector_size(VBYTES)));
enum { WORDS = VBYTES / 8, BLOCKS = 16, VECTORS = BLOCKS / WORDS };

/* The 64-bit product of the lower halves. */
VINLINE words product(words a, uint32_t b)
{
#if defined __AVX512F__
    return (words)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
#elif defined __AVX2__
    return (words)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
#elif defined __SSE2__
    return (words)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(b));
#else
    return (a & 0xffffffffu) * b;
#endif
}

/* The four numbers of wg__random4 for each of BLOCKS blocks from `block` on, in order. */
static void random_blocks(uint64_t seed, uint64_t step, uint64_t key, uint64_t block, uint32_t *out)
{
    words c[4][VECTORS];
    uint64_t mixed = seed ^ (key * 0x9E3779B97F4A7C15u) ^ (key >> 29);
    uint32_t k0 = (uint32_t)mixed, k1 = (uint32_t)(mixed >> 32);
    for (int v = 0; v < VECTORS; v++) {
        for (int j = 0; j < WORDS; j++) c[0][v][j] = block + (uint64_t)(v * WORDS + j);
        c[1][v] = c[0][v] >> 32;
        c[2][v] = (words){0} + (step & 0xffffffffu);
        c[3][v] = (words){0} + (step >> 32);
    }
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        for (int v = 0; v < VECTORS; v++) {
            words p0 = product(c[0][v], 0xD2511F53u), p1 = product(c[2][v], 0xCD9E8D57u);
            c[0][v] = (p1 >> 32) ^ c[1][v] ^ k0;
            c[2][v] = (p0 >> 32) ^ c[3][v] ^ k1;
            c[1][v] = p1;
            c[3][v] = p0;
        }
    }
    for (int j = 0; j < BLOCKS; j++) {
        for (int i = 0; i < 4; i++) out[4 * j + i] = (uint32_t)((const uint64_t *)c[i])[j];
    }
}

/* Whether the uniform number of element i is below p, with all its bits. */
static bool is_below(double p, uint64_t seed, uint64_t step, uint64_t key, int64_t i)
{
    uint32_t bits[4], more[4];
    wg__random4(seed, step, key, (uint64_t)i / 4, bits);
    wg__random4_more(seed, step, key, (uint64_t)i / 4, more);
    return wg__uniform_f64(bits[i % 4], more[i % 4]) < p;
}

void WG__K(dropout_mask)(const wg_args *args, int64_t task)
{
    const wg__dropout_attr *attr = args->attr;
    uint64_t seed = wg_args_seed(args), step = wg_args_step(args);
    int64_t first = task * WG__RANDOM_TASK, stop = min64(first + WG__RANDOM_TASK, args->out.numel);
    /* An element is dropped if its uniform number is below p. Of f32 that is a multiple of 2^-24; of f64 there are more
     * bits, which matter only if the first 24 are those of p. */
    uint32_t limit = (uint32_t)ceil(attr->p * 0x1p24), number[4 * BLOCKS];
    bool more = sizeof(real) == sizeof(double) && attr->p * 0x1p24 != (double)limit;
    real scale = attr->p < 1 ? (real)(1 / (1 - attr->p)) : 0, *out = args->out.data;
    for (int64_t i = first; i < stop; i += 4 * BLOCKS) {
        int64_t count = min64(stop - i, 4 * BLOCKS);
        random_blocks(seed, step, args->key, (uint64_t)i / 4, number);
        for (int64_t j = 0; j < count; j++) out[i + j] = number[j] >> 8 < limit ? 0 : scale;
        for (int64_t j = 0; j < count && more; j++)
            if (number[j] >> 8 == limit - 1 && !is_below(attr->p, seed, step, args->key, i + j)) out[i + j] = scale;
    }
}
