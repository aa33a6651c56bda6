/* Internal. The plan cache of a tape, and the packed weights that cached plans share.
 *
 * Room plan: turns a recorded program into a plan. It decides and never runs; of ops it knows the kind, the descriptor
 * and the structural table; it reads no values. passes.h lists the switches, pipeline.c the passes in order. */
#ifndef WG_CACHE_H
#define WG_CACHE_H

#include "plan.h"

typedef struct wg__pack_key { /* a matrix in the memory of a parameter or another source */
    int64_t offset, rs, cs, k, n;
    int64_t int8; /* packed in 8 bits */
} wg__pack_key;

/* A parameter's matrix in the layout of the product kernels, valid for one version of the parameter. */
typedef struct wg__packed {
    wg_param *param;
    uint64_t param_id;
    wg__pack_key key;
    bool filled;
    uint64_t version; /* of the parameter when it was packed */
    void *memory;
    size_t bytes;
    uint32_t plans; /* that use it; 0: the entry is free */
} wg__packed;

enum { WG__EVICTED = 4096 };

/* Plans are kept by bytes, in two classes. A program that was seen once may never return (a structure that the data
 * decide): such plans get a third, and the newest one is evicted first. One that was seen again, in the cache or by its
 * hash after it was evicted, gets the rest; of those, one drawn at random is evicted. Either way some of the programs
 * that come in turn are found even if not all fit; of the least recently used order, none would be. */
typedef struct wg__cache {
    wg__plan *plans; /* most recently used first */
    uint32_t n_plans;
    size_t bytes, once_bytes; /* of all plans and their packed weights; of plans that do not repeat */
    uint64_t *evicted; /* [WG__EVICTED] hashes of plans that did not repeat, at hash % WG__EVICTED; or NULL */
    const wg__plan *last_plan; /* of the last run, for dumps; NULL once evicted */
    wg__packed *packed;        /* entry 0 is reserved */
    uint32_t n_packed, cap_packed;
} wg__cache;

/* The request of a run: these nodes, all kept and assigned values and, if loss != 0, gradients. */
typedef struct wg__wanted {
    const uint32_t *nodes;
    uint32_t n;
    uint32_t loss;
    wg_param *const *only; /* gradients of these parameters; NULL: of all that the loss depends on */
    uint32_t n_only;
} wg__wanted;

/* The plan for it, from the cache or new. Returns NULL with an error on the tape. */
wg__plan *wg__plan_for(wg_tape *tape, const wg__wanted *wanted);
void wg__cache_clear(wg_tape *tape);   /* frees all plans */
void wg__cache_release(wg_tape *tape); /* and the packed weights */

/* The packed weight of a parameter, shared with other plans. Returns 0 if out of memory. */
uint32_t wg__packed_acquire(wg_tape *tape, wg_param *param, const wg__pack_key *key, size_t bytes);
void wg__packed_release(wg_tape *tape, uint32_t packed);
bool wg__packed_is_fresh(const wg_tape *tape, uint32_t packed);
void wg__packed_filled(wg_tape *tape, uint32_t packed);

#endif
