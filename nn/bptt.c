/* Gradients through time: their norms, a penalty against vanishing, random truncation. */
#include "bptt.h"

#include <stdlib.h>

/* x divided by its largest absolute value, of each row if by_row, so that squares neither overflow nor underflow.
 * *scale is the divisor, 1 for zeros. No gradient flows through it. */
static wg_tensor normalize(wg_tensor x, bool by_row, wg_tensor *scale)
{
    wg_tensor largest = wg_max(wg_abs(wg_detach(x)), by_row ? WG_AXES(-1) : WG_ALL_AXES, by_row);
    wg_tensor is_zero = wg_equal(largest, wg_zeros_like(largest));
    *scale = wg_masked_fill(largest, is_zero, 1);
    return wg_div(x, *scale);
}

/* d loss / d h[t] for t < T, to be freed by the caller. Returns NULL on error, and the nil tensor in *failed. */
static wg_tensor *gradients(wg_tensor loss, const wg_tensor *h, int T, const char *op, wg_tensor *failed)
{
    wg_tensor *g = T > 0 && h ? malloc((size_t)T * sizeof *g) : NULL;
    if (g)
        wg_grad(loss, h, T, WG_NONE, g);
    else
        *failed = !h      ? wg_fail(loss, WG_ERR_ARGUMENT, op, "the states are NULL")
                  : T > 0 ? wg_fail(loss, WG_ERR_MEMORY, op, "out of memory for %d steps", T)
                          : wg_fail(loss, WG_ERR_ARGUMENT, op, "%d steps; at least 1 is required", T);
    return g;
}

wg_tensor wg_gradient_flow(wg_tensor loss, const wg_tensor *h, int T)
{
    wg_tensor failed, *g = gradients(loss, h, T, "gradient_flow", &failed);
    if (!g) return failed;
    for (int t = 0; t < T; t++) {
        wg_tensor scale, unit = normalize(g[t], false, &scale);
        g[t] = wg_mul(scale, wg_sqrt(wg_sum_all(wg_square(unit))));
    }
    wg_tensor norms = wg_stack(g, T, 0);
    free(g);
    return norms;
}

/* (|u J| / |u| - 1)^2 for each row, with J = d next / d h; 0 for rows with u = 0. */
static wg_tensor norm_change(wg_tensor next, wg_tensor h, wg_tensor u)
{
    const double tiny = 1e-16;                          /* makes the root differentiable where the product is 0 */
    wg_tensor scale, unit = normalize(u, true, &scale); /* the ratio does not depend on the norm of u */
    wg_tensor before = wg_sum(wg_square(unit), WG_AXES(-1), false);
    wg_tensor after = wg_sum(wg_square(wg_vjp(next, h, unit)), WG_AXES(-1), false);
    wg_tensor is_zero = wg_equal(before, wg_zeros_like(before));
    wg_tensor ratio = wg_sqrt(wg_add_scalar(wg_div(after, wg_masked_fill(before, is_zero, 1)), tiny));
    return wg_masked_fill(wg_square(wg_sub_scalar(ratio, 1)), is_zero, 0);
}

wg_tensor wg_vanishing_penalty(wg_tensor loss, const wg_tensor *h, int T)
{
    wg_tensor failed, *g = gradients(loss, h, T, "vanishing_penalty", &failed);
    if (!g) return failed;
    wg_tensor sum = wg_zeros(loss.tape, wg_dtype_get(loss), WG_SCALAR);
    for (int t = 0; t + 1 < T; t++) sum = wg_add(sum, wg_mean_all(norm_change(h[t + 1], h[t], g[t + 1])));
    free(g);
    return sum;
}

void wg_random_truncation(wg_tensor *state, int n, double probability)
{
    if (n < 1 || !state) return;
    if (!(probability >= 0 && probability < 1)) {
        wg_tensor failed =
            wg_fail(state[0], WG_ERR_ARGUMENT, "random_truncation", "probability %g is not in [0, 1)", probability);
        for (int k = 0; k < n; k++) state[k] = failed;
        return;
    }
    wg_shape rows = wg_shape_get(state[0]);
    for (int i = 1; i < rows.rank; i++) rows.size[i] = 1;
    wg_tensor passes = wg_bernoulli(state[0].tape, rows, 1 - probability);
    wg_tensor factor = wg_scale(wg_cast(passes, wg_dtype_get(state[0])), 1 / (1 - probability));
    for (int k = 0; k < n; k++) {
        wg_tensor value = wg_detach(state[k]);
        rows.rank = wg_rank(state[k]);
        for (int i = 1; i < rows.rank; i++) rows.size[i] = 1;
        state[k] = wg_add(value, wg_mul(wg_sub(state[k], value), wg_reshape(factor, rows)));
    }
}
