/* Internal. A product as the loops see it, and its cut into tasks. For files compiled with WG__ISA. */
#ifndef WG_GEMM_CUT_H
#define WG_GEMM_CUT_H

#include "micro.h"
#include "tile.h"
#include "../base/integers.h"

/* Block sizes in the terms of BLIS; kc is BLIS' own (256 without BLIS). Measured with `./run bench --threads 1 --filter
 * matmul`, f32, skx kernels: 1024x1024x1024 runs at 92 GFLOP/s; with MC 96 or 480 at 86 or 88, with NC 256 or 1024 at
 * 92 or 90; smaller products differ by less than the noise. */
enum {
    MC = 240, /* rows of A packed at a time: MC * kc elements stay in the second-level cache */
    NC = 512  /* columns of B in a task: their panels stay in the second-level cache */
};

/* C, or C^T = B^T A^T (transposed), so that the unit stride, if there is one, is along the columns of the result. */
typedef struct wg__problem {
    const wg__product *p;
    bool transposed;
    int64_t m, n, k; /* k: steps of panels */
    int64_t c_rs, c_cs;
    int wide; /* columns of a panel */
    int kc;   /* steps in a block */
} wg__problem;

typedef struct wg__cut {
    int64_t rows, cols;           /* of C in a task */
    int64_t row_tasks, col_tasks; /* for each problem of a batch */
    int64_t batches;              /* problems of a batch in one task; all of them if they share B */
    bool vector;                  /* m is 1: no tiles, nothing packed */
    bool pack_a, pack_b;          /* into the task's scratch */
    const wg__blis *blis;         /* the micro-kernel to use; NULL: ours */
} wg__cut;

wg__problem WG__K(problem)(const wg__product *p);
wg__cut WG__K(cut)(const wg__problem *t);

static inline int64_t steps_of(const wg__segment *s) { return ceil_div(s->k, STEP); }

/* A segment's operand as a side: the narrow one (lines are rows of the result) or the wide one (columns). */
static inline wg__side side_of(const wg__problem *t, const wg__segment *s, int64_t batch, bool wide)
{
    const wg__product *p = t->p;
    const bool b = wide != t->transposed, half = b ? s->b_bf16 : s->a_bf16;
    const int64_t unit = unit_of((wg__side){.half = half});
    const int64_t *offset = b ? p->batch_b : p->batch_a;
    const wg__item *data = b ? s->b : p->each_a ? p->each_a[batch] : s->a;
    if (offset) offset += (s - p->segments) * p->batch_step;
    return (wg__side){.data = offset && data ? data + offset[batch] * unit : data,
                      .line = (b ? s->b_cs : s->a_rs) * unit,
                      .k = (b ? s->b_rs : s->a_cs) * unit,
                      .half = half};
}

#endif
