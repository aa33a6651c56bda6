/* The derivative of a gradient op by composition. */
#include "composed.h"

#include <assert.h>
#include <string.h>

#include "../autograd/graph.h"

enum { OPERANDS = 8, ATTR_BYTES = 64 };

static wg_tensor view(wg_tensor x)
{
    wg_shape shape = wg_shape_get(x);
    return wg_is_nil(x) ? x : wg_record(wg__structural_ops.reshape, &x, 1, &shape, sizeof shape);
}

/* One operand may depend on another (a gradient on the value that it belongs to), and only the direct dependence
 * counts here. So the formula is recorded on fresh views of the operands, which no operand depends on; through
 * them the result can be differentiated again.
 *
 * The caller may be differentiating where no gradient shall flow on. That holds for the result, but the formula
 * itself must let gradients through. */
wg_tensor wg__composed_vjp(const wg_vjp_args *v, int k, wg__formula formula, size_t attr_size)
{
    wg_tensor fresh[OPERANDS];
    double attr[ATTR_BYTES / sizeof(double)]; /* a copy: recording may move the attributes */
    wg_tape *tape = v->grad.tape;
    int no_grad = tape->no_grad;
    assert(v->n_in <= OPERANDS && attr_size <= ATTR_BYTES);
    if (attr_size) memcpy(attr, v->attr, attr_size);
    tape->no_grad = 0;
    for (int i = 0; i < v->n_in; i++) fresh[i] = view(v->in[i]);
    wg_tensor result = wg_vjp(formula(fresh, v->n_in, attr), fresh[k], v->grad);
    tape->no_grad = no_grad;
    return no_grad ? view(result) : result;
}
