/* Scans by doubling (Hillis, Steele 1986): after step k, element i holds the combination of the 2^k elements up to i.
 * Compositions with log2 n steps, which the engine differentiates: exact where elements are 0 or infinite. */
#include "internal.h"

#include <math.h>

typedef wg_tensor (*combine_fn)(wg_tensor earlier, wg_tensor x);

static wg_tensor scan(wg_tensor x, int axis, combine_fn combine, double identity, const char *op)
{
    if (!wg__float(x, op) || !wg__axis(x, &axis, op)) return wg__nil_of(x);
    const int64_t n = wg_size(x, axis);
    if (n <= 1) return wg__same(x);
    for (int64_t distance = 1; distance < n; distance *= 2)
        x = combine(wg_pad_value(wg_slice(x, axis, 0, n - distance), axis, distance, 0, identity), x);
    return x;
}

wg_tensor wg_cumprod(wg_tensor x, int axis) { return scan(x, axis, wg_mul, 1, "cumprod"); }
wg_tensor wg_cummax(wg_tensor x, int axis) { return scan(x, axis, wg_maximum, -INFINITY, "cummax"); }
wg_tensor wg_cummin(wg_tensor x, int axis) { return scan(x, axis, wg_minimum, INFINITY, "cummin"); }
wg_tensor wg_logcumsumexp(wg_tensor x, int axis) { return scan(x, axis, wg_logaddexp, -INFINITY, "logcumsumexp"); }
