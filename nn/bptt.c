/* Gradients through time: measured, kept from vanishing, cut at random. */
#include "bptt.h"

#include <stdlib.h>

/* x times a number (one for each row if rows) that makes its largest element 1 in size; rows of zeros stay. *size is
 * that largest element, or 1. No gradient flows through the number. */
static wg_tensor to_unit_size(wg_tensor x, bool rows, wg_tensor *size)
{
    wg_tensor largest = wg_max(wg_abs(wg_detach(x)), rows ? WG_AXES(-1) : WG_ALL_AXES, rows);
    wg_tensor is_zero = wg_equal(largest, wg_zeros_like(largest));
    *size = wg_masked_fill(largest, is_zero, 1);
    return wg_div(x, *size);
}

/* d loss / d h[t], t < T, to be freed; NULL on error, and *failed is then what to return. */
static wg_tensor *gradients(wg_tensor loss, const wg_tensor *h, int T, const char *what, wg_tensor *failed)
{
    wg_tensor *g = T > 0 ? malloc((size_t)T * sizeof *g) : NULL;
    if (g)
        wg_grad(loss, h, T, WG_NONE, g);
    else
        *failed = T > 0 ? wg_fail(loss, WG_ERR_MEMORY, what, "out of memory for %d steps", T)
                        : wg_fail(loss, WG_ERR_ARGUMENT, what, "%d steps: at least 1", T);
    return g;
}

wg_tensor wg_gradient_flow(wg_tensor loss, const wg_tensor *h, int T)
{
    wg_tensor failed, *g = gradients(loss, h, T, "gradient_flow", &failed);
    if (!g) return failed;
    for (int t = 0; t < T; t++) {
        wg_tensor size, unit = to_unit_size(g[t], false, &size);
        g[t] = wg_mul(size, wg_sqrt(wg_sum_all(wg_square(unit))));
    }
    wg_tensor norms = wg_stack(g, T, 0);
    free(g);
    return norms;
}

/* (|u J| / |u| - 1)^2, J = d next / d h, for each row; 0 where u is. */
static wg_tensor change_of_length(wg_tensor next, wg_tensor h, wg_tensor u)
{
    const double tiny = 1e-16; /* so that the root has a derivative where nothing arrives */
    wg_tensor size, unit = to_unit_size(u, true, &size); /* the ratio does not depend on the length of u */
    wg_tensor before = wg_sum(wg_square(unit), WG_AXES(-1), false);
    wg_tensor after = wg_sum(wg_square(wg_vjp(next, h, unit)), WG_AXES(-1), false);
    wg_tensor none = wg_equal(before, wg_zeros_like(before));
    wg_tensor ratio = wg_sqrt(wg_add_scalar(wg_div(after, wg_masked_fill(before, none, 1)), tiny));
    return wg_masked_fill(wg_square(wg_sub_scalar(ratio, 1)), none, 0);
}

wg_tensor wg_vanishing_penalty(wg_tensor loss, const wg_tensor *h, int T)
{
    wg_tensor failed, *g = gradients(loss, h, T, "vanishing_penalty", &failed);
    if (!g) return failed;
    wg_tensor sum = wg_zeros(loss.tape, wg_dtype_get(loss), WG_SCALAR);
    for (int t = 0; t + 1 < T; t++) sum = wg_add(sum, wg_mean_all(change_of_length(h[t + 1], h[t], g[t + 1])));
    free(g);
    return sum;
}

void wg_random_truncation(wg_tensor *state, int n, double probability)
{
    if (n < 1) return;
    if (!(probability >= 0 && probability < 1)) {
        wg_tensor failed =
            wg_fail(state[0], WG_ERR_ARGUMENT, "random_truncation", "probability %g is not in [0, 1)", probability);
        for (int k = 0; k < n; k++) state[k] = failed;
        return;
    }
    wg_shape rows = wg_shape_get(state[0]);
    for (int i = 1; i < rows.rank; i++) rows.size[i] = 1;
    wg_tensor pass = wg_bernoulli(state[0].tape, rows, 1 - probability);
    wg_tensor share = wg_scale(wg_cast(pass, wg_dtype_get(state[0])), 1 / (1 - probability));
    for (int k = 0; k < n; k++) {
        wg_tensor value = wg_detach(state[k]);
        rows.rank = wg_rank(state[k]);
        for (int i = 1; i < rows.rank; i++) rows.size[i] = 1;
        state[k] = wg_add(value, wg_mul(wg_sub(state[k], value), wg_reshape(share, rows)));
    }
}
