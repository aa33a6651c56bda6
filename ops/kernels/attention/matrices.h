/* Internal. Matrices of a batch, products of them within a task, and sums that skip what is masked. For files compiled
 * per variant. */
#ifndef WG_KERNELS_MATRICES_H
#define WG_KERNELS_MATRICES_H

#include "../base/lanes.h"
#include "../gemm/gemm.h"
#include "attention.h"

typedef wg__matrix matrix;

/* The offset of element n of the leading axes, all but the last `own`. */
static inline int64_t leading_offset(const wg_operand *x, int own, int64_t n)
{
    int64_t offset = 0;
    for (int i = x->rank - own - 1; i >= 0; i--) {
        offset += n % x->size[i] * x->stride[i];
        n /= x->size[i];
    }
    return offset;
}

/* The matrix of problem number n of an operand. */
static inline matrix matrix_of(const wg_operand *x, int64_t n)
{
    return (matrix){(real *)x->data + leading_offset(x, 2, n), x->stride[x->rank - 2], x->stride[x->rank - 1]};
}

static inline real *line_of(matrix m, int64_t i) { return (real *)m.data + i * m.rs; }
static inline matrix lines_from(matrix m, int64_t i) { return (matrix){line_of(m, i), m.rs, m.cs}; }

/* C[m,n] (+)= A[m,k] B[k,n] */
static inline void multiply(bool bf16, int64_t m, int64_t n, int64_t k, matrix c, matrix a, matrix b, bool add,
                            void *scratch)
{
    wg__segment segment;
    if (m == 0 || n == 0) return;
    wg__product p = wg__product_of(WG__T == 32 ? WG_F32 : WG_F64, bf16, m, n, k, c, a, b, add, &segment);
    const wg__product_kernels *kernels = wg__product_get(p.dtype, p.bf16);
    for (int64_t task = 0, tasks = kernels->tasks(&p); task < tasks; task++) kernels->run(&p, task, scratch);
}

/* Whether one of n numbers is NaN: 0 times what is masked, perhaps. */
static inline bool has_nan(const real *x, int64_t n)
{
    real top = row_combine(COMBINE_MAX, x, n);
    return top != top;
}

/* to[c] += w from[c] */
static inline void add_scaled(real *to, real w, const real *from, int64_t step, int64_t n)
{
    for (int64_t c = 0; c < n; c++) to[c] += w * from[c * step];
}

static inline real dot_of(const real *a, int64_t a_step, const real *b, int64_t b_step, int64_t n)
{
    real sum = 0;
    for (int64_t c = 0; c < n; c++) sum += a[c * a_step] * b[c * b_step];
    return sum;
}

#endif
