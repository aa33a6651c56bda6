/* The derivative of a gradient op by composition. */
#include "composed.h"

#include "../autograd/tape/graph.h"

enum { OPERANDS = 8 };

static wg_tensor view(wg_tensor x)
{
    wg_shape shape = wg_shape_get(x);
    return wg_is_nil(x) ? x : wg_record(&wg__reshape_op, &x, 1, &shape, sizeof shape);
}

/* One operand may depend on another (a gradient on the value that it belongs to), and only the direct dependence
 * counts here. So the formula is recorded on fresh views of the operands, which no operand depends on; through
 * them the result can be differentiated again.
 *
 * The caller may be differentiating where no gradient shall flow on. That holds for the result, but the formula
 * itself must let gradients through. */
wg_tensor wg__composed_vjp(const wg_vjp_args *v, int k, wg__formula formula)
{
    wg_tensor fresh[OPERANDS];
    wg_tape *tape = v->grad.tape;
    int no_grad = tape->modes.no_grad;
    if (v->n_in > OPERANDS)
        return wg_fail(v->grad, WG_ERR_GRADIENT, v->op->name, "has %d operands, its derivative takes %d", v->n_in,
                       OPERANDS);
    tape->modes.no_grad = 0;
    for (int i = 0; i < v->n_in; i++) fresh[i] = view(v->in[i]);
    wg_tensor result = wg_vjp(formula(fresh, v->n_in, v->attr), fresh[k], v->grad);
    tape->modes.no_grad = no_grad;
    return no_grad ? view(result) : result;
}
