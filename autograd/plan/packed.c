/* Packed weights: parameters in the layout of the product kernels, shared by all cached plans of a tape. An entry is
 * valid for one version of its parameter. */
#include "cache.h"

#include <string.h>

uint32_t wg__packed_acquire(wg_tape *tape, wg_param *param, const wg__pack_key *key, size_t bytes)
{
    wg__cache *cache = tape->cache;
    const uint64_t id = wg__param_id(param);
    if (!cache->n_packed) cache->n_packed = 1;
    uint32_t at = cache->n_packed;
    for (uint32_t i = 1; i < cache->n_packed; i++) {
        wg__packed *packed = &cache->packed[i];
        if (packed->plans && packed->param_id == id && !memcmp(&packed->key, key, sizeof *key)) {
            assert(packed->param == param && packed->bytes == bytes);
            packed->plans++;
            return i;
        }
        if (!packed->plans) at = i;
    }
    if (!wg__grow(&tape->heap, (void **)&cache->packed, &cache->cap_packed, at + 1u, sizeof *cache->packed))
        return 0;
    void *memory = wg__heap_alloc(&tape->heap, bytes);
    if (!memory) return 0;
    cache->packed[at] =
        (wg__packed){.param = param, .param_id = id, .key = *key, .memory = memory, .bytes = bytes, .plans = 1};
    if (at == cache->n_packed) cache->n_packed++;
    cache->bytes += bytes;
    return at;
}

void wg__packed_release(wg_tape *tape, uint32_t id)
{
    wg__packed *packed = &tape->cache->packed[id];
    assert(id && id < tape->cache->n_packed && packed->plans > 0);
    if (--packed->plans) return;
    wg__heap_release(&tape->heap, packed->memory, packed->bytes);
    tape->cache->bytes -= packed->bytes;
    *packed = (wg__packed){0};
}

bool wg__packed_is_fresh(const wg_tape *tape, uint32_t id)
{
    const wg__packed *packed = &tape->cache->packed[id];
    assert(id && id < tape->cache->n_packed && packed->plans > 0);
    assert(packed->param_id == wg__param_id(packed->param));
    assert(!packed->filled || packed->version <= wg_param_version(packed->param));
    return packed->filled && packed->version == wg_param_version(packed->param) &&
           !wg__param_is_open(packed->param);
}

void wg__packed_filled(wg_tape *tape, uint32_t id)
{
    wg__packed *packed = &tape->cache->packed[id];
    assert(id && id < tape->cache->n_packed && packed->param_id == wg__param_id(packed->param));
    packed->filled = true;
    packed->version = wg_param_version(packed->param);
}
