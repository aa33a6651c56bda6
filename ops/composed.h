/* Internal. The derivative of a gradient op by composition: its formula is written in other ops, which the engine
 * differentiates. For second derivatives, which are not worth kernels of their own. */
#ifndef WG_OPS_COMPOSED_H
#define WG_OPS_COMPOSED_H

#include "internal.h"

/* An op's formula in other ops. in: n_in operands; optional ones may be WG_NONE. */
typedef wg_tensor (*wg__formula)(const wg_tensor *in, int n_in, const void *attr);

/* (d formula / d in[k])^T v->grad: what a vjp returns. At most 8 operands. */
wg_tensor wg__composed_vjp(const wg_vjp_args *v, int k, wg__formula formula);

#endif
