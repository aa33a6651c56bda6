/* Places in sorted rows, by bisection. Compiled per variant. */
#include "move.h"

#include "../base/integers.h"
#include "../base/kernel.h"

/* The order of sort: NaN is the largest number. */
static inline bool is_less(real a, real b) { return a < b || (b != b && a == a); }

/* The number of elements of x[n] that are less than v; or of those that are not more. */
static int64_t count_before(const real *x, int64_t n, real v, bool right)
{
    int64_t low = 0, high = n;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (right ? !is_less(v, x[middle]) : is_less(x[middle], v))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* in0 sorted rows, or one row for all, in1 values: out[r, i] = the place of in1[r, i] in row r. */
void WG__K(searchsorted)(const wg_args *args, int64_t task)
{
    const wg_operand *sorted = &args->in[0], *values = &args->in[1];
    const bool right = ((const wg__search_attr *)args->attr)->right;
    const int64_t n = sorted->size[sorted->rank - 1], each = WG__BLOCK_BYTES / (int64_t)sizeof(int32_t);
    const int64_t m = sorted->rank == 1 ? max64(1, values->numel) : values->size[values->rank - 1];
    const int64_t first = task * each, stop = min64(first + each, values->numel);
    for (int64_t i = first; i < stop; i++) {
        const real *row = (const real *)sorted->data + i / m * n;
        ((int32_t *)args->out.data)[i] = (int32_t)count_before(row, n, ((const real *)values->data)[i], right);
    }
}
