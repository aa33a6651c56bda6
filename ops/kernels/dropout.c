/* The kernel of dropout's mask: element i is a function of (seed, step, key, i) alone. Sixteen Philox blocks at a
 * time, so that the compiler can use vectors. */
#include "kernels.h"

#include <math.h>

#include "../../autograd/random.h"
#include "along.h"

enum { TOGETHER = 16 };

/* Four numbers for each of the blocks block .. block + TOGETHER - 1: out[4 j ..] are those of block + j. The same
 * numbers as wg__random4. */
static void random_blocks(uint64_t seed, uint64_t step, uint64_t key, uint64_t block, uint32_t *out)
{
    uint32_t c[4][TOGETHER];
    uint64_t mixed = seed ^ (key * 0x9E3779B97F4A7C15u) ^ (key >> 29);
    uint32_t k0 = (uint32_t)mixed, k1 = (uint32_t)(mixed >> 32);
    for (int j = 0; j < TOGETHER; j++) {
        c[0][j] = (uint32_t)(block + (uint64_t)j);
        c[1][j] = (uint32_t)((block + (uint64_t)j) >> 32);
        c[2][j] = (uint32_t)step;
        c[3][j] = (uint32_t)(step >> 32);
    }
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        for (int j = 0; j < TOGETHER; j++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * c[0][j], p1 = (uint64_t)0xCD9E8D57u * c[2][j];
            c[0][j] = (uint32_t)(p1 >> 32) ^ c[1][j] ^ k0;
            c[2][j] = (uint32_t)(p0 >> 32) ^ c[3][j] ^ k1;
            c[1][j] = (uint32_t)p1;
            c[3][j] = (uint32_t)p0;
        }
    }
    for (int j = 0; j < TOGETHER; j++) {
        for (int i = 0; i < 4; i++) out[4 * j + i] = c[i][j];
    }
}

void WG__K(dropout_mask)(const wg_args *args, int64_t task)
{
    const wg__dropout_attr *attr = args->attr;
    uint64_t seed = wg_args_seed(args), step = wg_args_step(args);
    int64_t first = task * WG__ALONG_TASK, stop = first + WG__ALONG_TASK;
    if (stop > args->out.numel) stop = args->out.numel;
    /* An element goes if its uniform number, a multiple of 2^-24, is below p. */
    uint32_t limit = (uint32_t)ceil(attr->p * 0x1p24), number[4 * TOGETHER];
    real scale = attr->p < 1 ? (real)(1 / (1 - attr->p)) : 0, *out = args->out.data;
    for (int64_t i = first; i < stop; i += 4 * TOGETHER) {
        int64_t count = stop - i < 4 * TOGETHER ? stop - i : 4 * TOGETHER;
        random_blocks(seed, step, args->key, (uint64_t)i / 4, number);
        for (int64_t j = 0; j < count; j++) out[i + j] = number[j] >> 8 < limit ? 0 : scale;
    }
}
