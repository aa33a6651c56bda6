/* Internal. Running a plan.
 *
 * Room run: binds the addresses of a plan, executes its instructions on the threads of the pool, commits the results
 * and reports errors that depend on values. It makes no decisions: the same plan computes the same bits. */
#ifndef WG_RUN_H
#define WG_RUN_H

#include "../base/fp.h"
#include "../plan/cache.h"

typedef struct wg__profile wg__profile;
typedef struct wg__timeline wg__timeline;

typedef struct wg__run_state { /* memory that runs reuse */
    void *block;               /* values of the running plan */
    size_t block_bytes;
    void *scratch; /* of the threads' tasks */
    size_t scratch_bytes;
    void *staging; /* gradients that will be added to others; values of buffers whose old value is still needed */
    size_t staging_bytes;
    wg__profile *profile;
    wg__timeline *timeline; /* NULL: none was asked for */
} wg__run_state;

/* The state of a run that kernels access through wg_args. */
struct wg_run {
    wg_tape *tape;
    uint64_t seed, step;
    bool drawn; /* a kernel asked for the step */
    /* The first index out of range, of bad_count ones: that of the lowest node and position. Guarded by bad_lock. */
    uint32_t bad_count, bad_node;
    int64_t bad_position, bad_value, bad_limit;
    const wg_op *bad_op;
    int bad_lock;
};

/* Binds addresses, runs the instructions, commits results or reports an error. */
wg_status wg__run(wg_tape *tape, wg__plan *plan);
void wg__run_state_release(wg_tape *tape);

/* Bytes the plan takes while it runs, staging excluded. */
size_t wg__plan_bytes(const wg__plan *plan);

/* ---- bind.c ---- */

/* Allocates the memory of the run and resolves every address of the plan. Returns false if out of memory. */
bool wg__run_bind(wg_tape *tape, wg__plan *plan, int threads);
size_t wg__thread_scratch(const wg__plan *plan); /* bytes */
size_t wg__staging_bytes(wg_tape *tape, const wg__plan *plan);
/* The leaf of a buffer that is about to be assigned; NULL if nothing was recorded from its value. */
wg__leaf *wg__current_leaf(wg_tape *tape, const wg_buffer *buffer);
wg_param *wg__trained(const wg_tape *tape, const wg__output *output); /* the parameter of a gradient */

/* ---- commit.c ---- */

void wg__run_commit(wg_tape *tape, const wg__plan *plan);
void wg__run_discard(const wg_tape *tape, const wg__plan *plan); /* after a failed run */

/* ---- final.c ---- */

/* Gives the tape's callback the gradients that no instruction from `next` on uses; *given of them are done. */
void wg__give_finals(wg_tape *tape, const wg__plan *plan, uint32_t next, uint32_t *given, const wg__fp *caller);
/* Those that the commit has written. */
void wg__give_committed(wg_tape *tape, const wg__plan *plan, const wg__fp *caller);

/* ---- instr.c ---- */

/* Runs one task of an instruction. */
void wg__instr_run(const wg__instr *instr, int64_t task, wg_run *run, void *scratch);
/* Runs all its tasks. */
void wg__instr_run_all(const wg__instr *instr, wg_run *run, void *scratch);

/* k of a product: the sum over its segments. */
int64_t wg__product_depth(const wg__product *product);
/* The name of an interned op; of 0, "leaf". */
const char *wg__op_name(const wg_tape *tape, uint32_t op);

/* ---- nonfinite.c ---- */

/* Before it runs: whether its result may have minus infinity, for it reads one. */
bool wg__reads_minus_infinity(const wg__instr *instr);
/* The first element of its result that is NaN or infinite, except for minus infinity if that may be; -1: none, or it
 * writes a constant. */
int64_t wg__first_bad(const wg_tape *tape, const wg__plan *plan, uint32_t instr, bool minus_infinity);

/* ---- profile.c ---- */

/* Runs the plan on the calling thread and adds up the time of each instruction. */
void wg__profile_walk(wg_tape *tape, wg__plan *plan, wg_run *run, wg__timeline *timeline);
void wg__profile_free(wg_tape *tape);

#endif
