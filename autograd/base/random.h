/* Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011). A number is a function of a key and
 * a counter, so that no order of evaluation and no number of threads changes it. */
#ifndef WG_RANDOM_H
#define WG_RANDOM_H

#include <stdint.h>

/* out = philox(counter, key). */
static inline void wg__philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Four numbers for block `block` of the stream (seed, step, key). */
static inline void wg__random4(uint64_t seed, uint64_t step, uint64_t key, uint64_t block, uint32_t out[4])
{
    uint64_t mixed = seed ^ (key * 0x9E3779B97F4A7C15u) ^ (key >> 29);
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)step, (uint32_t)(step >> 32)};
    uint32_t k[2] = {(uint32_t)mixed, (uint32_t)(mixed >> 32)};
    wg__philox(counter, k, out);
}

/* Uniform in [0, 1): the top 24 bits, exact in f32 and f64. */
static inline double wg__uniform(uint32_t bits) { return (double)(bits >> 8) * 0x1p-24; }

/* The second four numbers of a block, for f64: from the other half of the blocks, which no element has for its own. */
static inline void wg__random4_more(uint64_t seed, uint64_t step, uint64_t key, uint64_t block, uint32_t out[4])
{
    wg__random4(seed, step, key, block | 1ull << 63, out);
}

/* Uniform in [0, 1) with 53 bits, those that f64 has: the 24 bits of wg__uniform(bits), the other 8, and 21 of `more`.
 */
static inline double wg__uniform_f64(uint32_t bits, uint32_t more)
{
    return wg__uniform(bits) + (double)((bits & 0xff) << 21 | more >> 11) * 0x1p-53;
}

/* A 64-bit hash of bytes (FNV-1a with a final mix): keys from names. */
static inline uint64_t wg__hash_bytes(uint64_t hash, const void *bytes, uint64_t size)
{
    const unsigned char *p = (const unsigned char *)bytes;
    hash ^= 0xcbf29ce484222325u;
    for (uint64_t i = 0; i < size; i++) hash = (hash ^ p[i]) * 0x100000001b3u;
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    return hash ^ (hash >> 32);
}
#endif
