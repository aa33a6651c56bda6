/* The sum of several tensors, by composition. */
#include "internal.h"

wg_tensor wg_add_n(const wg_tensor *x, int n)
{
    if (n < 1 || !x) return wg_fail(WG_NONE, WG_ERR_ARGUMENT, "add_n", "needs at least one tensor");
    wg_tensor sum = wg__same(x[0]);
    for (int i = 1; i < n; i++) sum = wg_add(sum, x[i]);
    return sum;
}
