/* Backpropagation through time: how much gradient arrives where, a penalty that keeps it from vanishing, and cuts
 * that leave it unbiased. Compositions of ops, as in nn.h. */
#ifndef WG_BPTT_H
#define WG_BPTT_H

#include "nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* |d loss / d h[t]| for the T states h[t] of a sequence, the norm over all elements, as a tensor [T]. Read backwards
 * it is the gradient against the lag. Tiny gradients do not underflow in their squares. T < 1 and tensors without a
 * gradient are errors on the tape. */
WG_API wg_tensor wg_gradient_flow(wg_tensor loss, const wg_tensor *h, int T);

/* The regulariser of Pascanu, Mikolov, Bengio (2013, eq. 9), a scalar: the sum over t = 0 .. T - 2 of
 *
 *     (|d loss/d h[t+1]  d h[t+1]/d h[t]| / |d loss/d h[t+1]| - 1)^2
 *
 * with norms over the last axis, the mean over the others (the batch); rows with d loss/d h[t+1] = 0 (past their end)
 * count 0. It asks that a gradient keeps its length on its way back. h[t] must be the whole state from which h[t+1]
 * is made: Elman's or a GRU's, not an LSTM's h alone.
 *
 * It can be differentiated as it is, through d loss/d h too (the paper takes only its immediate derivative, with h and
 * d loss/d h held fixed):
 *
 *     wg_backward(wg_add(loss, wg_scale(wg_vanishing_penalty(loss, h, T), 0.5)));
 */
WG_API wg_tensor wg_vanishing_penalty(wg_tensor loss, const wg_tensor *h, int T);

/* Truncation at random that leaves the gradient's mean as it is (Tallec, Ollivier 2017): the n tensors of the state
 * keep their values; of the gradient that comes back through them nothing passes with this probability, else
 * 1 / (1 - probability) of it. One draw for each row of the first axis, shared by the n tensors; called between two
 * steps. The values are as before if they are finite. The variance grows with the probability and the length of the
 * sequence: the paper lets the probability fall with the time since the last cut. A probability outside [0, 1) is an
 * error on the tape (WG_ERR_ARGUMENT).
 *
 *     for (int t = 0; t < T; t++) {
 *         if (t > 0) wg_random_truncation(state, 2, 0.05);
 *         h[t] = step(x[t], state);
 *     }
 */
WG_API void wg_random_truncation(wg_tensor *state, int n, double probability);

#ifdef __cplusplus
}
#endif
#endif
