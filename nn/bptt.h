/* Backpropagation through time: gradient norms against the lag, a penalty against vanishing gradients, and unbiased
 * random truncation. Compositions of ops, as in nn.h. */
#ifndef WG_BPTT_H
#define WG_BPTT_H

#include "nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The norms |d loss / d h[t]| of the T states h[t] of a sequence, over all elements, as a tensor [T]. In reverse order
 * this is the gradient norm against the lag. The squares of tiny gradients do not underflow. T < 1 and tensors without
 * a gradient are errors on the tape. */
WG_API wg_tensor wg_gradient_flow(wg_tensor loss, const wg_tensor *h, int T);

/* The regularizer of Pascanu, Mikolov, Bengio (2013, eq. 9), a scalar: the sum over t = 0 .. T - 2 of
 *
 *     (|d loss/d h[t+1]  d h[t+1]/d h[t]| / |d loss/d h[t+1]| - 1)^2
 *
 * with norms over the last axis and the mean over the others (the batch). Rows with d loss/d h[t+1] = 0, such as those
 * past the end of a sequence, contribute 0. The penalty is small if each backward step preserves the gradient's norm.
 * h[t] must be the whole state that h[t+1] depends on: that of an Elman network or a GRU, not an LSTM's h alone.
 *
 * The penalty is differentiable, including through d loss/d h (the paper uses only its immediate derivative, with h and
 * d loss/d h fixed):
 *
 *     wg_backward(wg_add(loss, wg_scale(wg_vanishing_penalty(loss, h, T), 0.5)));
 */
WG_API wg_tensor wg_vanishing_penalty(wg_tensor loss, const wg_tensor *h, int T);

/* Random truncation with an unbiased gradient (Tallec, Ollivier 2017). Call it between two steps. The n tensors of the
 * state keep their values, if these are finite; the gradient through them is multiplied by 0 with this probability,
 * else by 1 / (1 - probability). There is one draw per row of the first axis, shared by the n tensors. The variance of
 * the gradient grows with the probability and the length of the sequence; the paper decreases the probability with the
 * time since the last truncation. A probability outside [0, 1) is an error on the tape (WG_ERR_ARGUMENT).
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
