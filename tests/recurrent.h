/* Small recurrent networks for tests, with the same sizes and inputs. */
#ifndef WG_TEST_RECURRENT_H
#define WG_TEST_RECURRENT_H

#include "tensors.h"

enum { T = 4, B = 3, IN = 2, H = 3 };

static inline wg_tensor input_at(wg_tape *tape, int t)
{
    return random_leaf(tape, WG_DIMS(B, IN), 100 + (unsigned)t);
}

static inline wg_rnn new_rnn(wg_params *set, wg_cell cell, wg_rnn_bias bias)
{
    wg_rnn rnn;
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = cell;
    o.bias = bias;
    CHECK(wg_rnn_init(&rnn, set, "rnn", IN, H, o) == WG_OK);
    return rnn;
}

/* The states h_1 .. h_T, from zeros. */
static inline void run_rnn(const wg_rnn *rnn, wg_tape *tape, wg_tensor *h)
{
    wg_rnn_state state = wg_rnn_zero_state(rnn, tape, B);
    for (int t = 0; t < T; t++) h[t] = wg_rnn_step(rnn, input_at(tape, t), &state);
}

static inline wg_tensor weigh_all(const wg_tensor *y, int n)
{
    wg_tensor sum[16];
    for (int t = 0; t < n; t++) sum[t] = weigh(y[t], 200 + (unsigned)t);
    return wg_add_n(sum, n);
}

#endif
