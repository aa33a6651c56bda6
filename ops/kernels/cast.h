/* Internal. Casts between all dtypes. */
#ifndef WG_KERNELS_CAST_H
#define WG_KERNELS_CAST_H

#include "../../autograd/exec.h"

/* y[i] = x[i] in another dtype. Float to i32 cuts towards zero; what is out of range becomes the nearest i32,
 * NaN 0. To bool is x != 0. */
wg_pointwise wg__cast_get(wg_dtype from, wg_dtype to);

extern const wg_op wg__cast_op;

#endif
