/* The derivative of a gradient op by composition. */
#include "composed.h"

#include <assert.h>
#include <string.h>

enum { OPERANDS = 8, ATTR_BYTES = 64 };

/* One operand may depend on another (a gradient on the value that it belongs to), and only the direct dependence
 * counts here. So the formula is recorded on fresh views of the operands, which no operand depends on; through
 * them the result can be differentiated again. */
wg_tensor wg__composed_vjp(const wg_vjp_args *v, int k, wg__formula formula, size_t attr_size)
{
    wg_tensor fresh[OPERANDS];
    double attr[ATTR_BYTES / sizeof(double)]; /* a copy: recording may move the attributes */
    assert(v->n_in <= OPERANDS && attr_size <= ATTR_BYTES);
    if (attr_size) memcpy(attr, v->attr, attr_size);
    for (int i = 0; i < v->n_in; i++) {
        wg_shape shape = wg_shape_get(v->in[i]);
        fresh[i] = v->in[i];
        if (!wg_is_nil(v->in[i]))
            fresh[i] = wg_record(wg__structural_ops.reshape, &v->in[i], 1, &shape, sizeof shape);
    }
    return wg_vjp(formula(fresh, v->n_in, attr), fresh[k], v->grad);
}
