/* Scans by doubling (Hillis, Steele 1986): after step k, element i holds the combination of the 2^k elements up to i.
 * Compositions with log2 n steps, which the engine differentiates: exact where elements are 0 or infinite. */
#include "internal.h"

typedef wg_tensor (*combine_fn)(wg_tensor earlier, wg_tensor x);

/* The first elements of a step are as they are: combined with an identity, which may equal them, they would share their
 * gradient with it. */
static wg_tensor scan(wg_tensor x, int axis, combine_fn combine, const char *op)
{
    if (!wg__float(x, op) || !wg__axis(x, &axis, op)) return wg__nil_of(x);
    const int64_t n = wg_size(x, axis);
    if (n <= 1) return wg__same(x);
    for (int64_t distance = 1; distance < n; distance *= 2) {
        wg_tensor rest = combine(wg_slice(x, axis, 0, n - distance), wg_slice(x, axis, distance, n));
        x = wg_concat((wg_tensor[]){wg_slice(x, axis, 0, distance), rest}, 2, axis);
    }
    return x;
}

wg_tensor wg_cumprod(wg_tensor x, int axis) { return scan(x, axis, wg_mul, "cumprod"); }
wg_tensor wg_cummax(wg_tensor x, int axis) { return scan(x, axis, wg_maximum, "cummax"); }
wg_tensor wg_cummin(wg_tensor x, int axis) { return scan(x, axis, wg_minimum, "cummin"); }
wg_tensor wg_logcumsumexp(wg_tensor x, int axis) { return scan(x, axis, wg_logaddexp, "logcumsumexp"); }
