/* Internal. Reverse-mode differentiation on the tape.
 *
 * Room grad: appends gradient nodes, and nodes that rematerialize forward values. It records on the tape as a user does
 * and knows neither plans nor runs. Of ops it knows descriptors and the structural table. */
#ifndef WG_SWEEP_H
#define WG_SWEEP_H

#include "remat.h"

/* Appends gradient nodes of y with respect to the nodes x[n]. dy is the gradient of y; 0: ones. Sets dx[i] to
 * the gradient node, 0 where y does not depend on x[i]. remat says which values are rematerialized; NULL: none. */
wg_status wg__differentiate(wg_tape *tape, uint32_t y, uint32_t dy, const uint32_t *x, uint32_t n, uint32_t *dx,
                            wg__remat *remat);

/* ---- terms.c ---- */

/* Records a constant of this shape. */
wg_tensor wg__record_fill(wg_tape *tape, const wg_shape *shape, wg_dtype dtype, double value);
/* Records a + b; nil is zero. */
wg_tensor wg__record_add(wg_tape *tape, wg_tensor a, wg_tensor b);

/* ---- slices.c ---- */

/* The sum of n gradients of slices (nodes of the op pad) of one tensor. Pads that do not overlap are joined by one
 * concatenation, so that cutting a sequence into T steps costs T, not T times its length. */
wg_tensor wg__sum_pads(wg_tape *tape, const uint32_t *pads, uint32_t n);

#endif
