/* Unrolls a step over time, with sequences of different lengths. */
#include "nn.h"

#include "../ops/indexing.h"

#include <string.h>

wg_unroll_options wg_unroll_defaults(void) { return (wg_unroll_options){.reverse = false}; }

/* [B, 1] reshaped to [B], [B, 1, 1], ...: broadcasts against x. */
static wg_tensor match_rank(wg_tensor mask, wg_tensor x)
{
    int rank = wg_rank(x);
    if (rank == 2 || rank < 1) return mask;
    wg_shape shape = {.rank = rank};
    for (int i = 0; i < rank; i++) shape.size[i] = 1;
    shape.size[0] = wg_size(mask, 0);
    return wg_reshape(mask, shape);
}

/* mask ? x : 0. A NaN where the mask is false reaches neither the result nor the gradient. */
static wg_tensor zero_outside(wg_tensor mask, wg_tensor x)
{
    return wg_where(match_rank(mask, x), x, wg_zeros(x.tape, wg_dtype_get(x), WG_SCALAR));
}

void wg_unroll(wg_step_fn step, void *context, const wg_tensor *x, int T, wg_tensor *state, int n,
               wg_unroll_options options, wg_tensor *out)
{
    if (T <= 0) return;
    const bool null = !step || !x || !out || (!state && n > 0);
    if (null || n < 0 || n > WG_UNROLL_MAX_STATE) {
        const wg_tensor on = x ? x[0] : WG_NONE;
        wg_tensor failed =
            null ? wg_fail(on, WG_ERR_ARGUMENT, "unroll", "step, x, state or out is NULL")
                 : wg_fail(on, WG_ERR_ARGUMENT, "unroll", "%d state tensors; at most %d", n, WG_UNROLL_MAX_STATE);
        for (int t = 0; t < T && out; t++) out[t] = failed;
        return;
    }
    bool masked = options.lengths.tape != NULL;
    wg_tensor valid = masked ? wg_length_mask(options.lengths, T) : WG_NONE;
    for (int i = 0; i < T; i++) {
        int t = options.reverse ? T - 1 - i : i;
        if (!masked) {
            out[t] = step(context, x[t], state, n);
            continue;
        }
        wg_tensor mask = wg_slice(valid, 1, t, t + 1), before[WG_UNROLL_MAX_STATE];
        for (int k = 0; k < n; k++) before[k] = state[k];
        out[t] = zero_outside(mask, step(context, zero_outside(mask, x[t]), state, n));
        for (int k = 0; k < n; k++) state[k] = wg_where(match_rank(mask, state[k]), state[k], before[k]);
    }
}
