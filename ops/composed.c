/* The derivative of a gradient op by composition. */
#include "composed.h"

#include "../autograd/tape/graph.h"

enum { OPERANDS = 8 };

static wg_tensor view(wg_tensor x)
{
    wg_shape shape = wg_shape_get(x);
    return wg_is_nil(x) ? x : wg_record(&wg__reshape_op, &x, 1, &shape, sizeof shape);
}

/* An operand may depend on another one (a gradient on its value), and only direct dependences count here. So the
 * formula is recorded on fresh views of the operands, on which no operand depends; the result remains differentiable
 * through them.
 *
 * The caller may have gradients switched off. That applies to the result, but gradients must pass the formula
 * itself. */
wg_tensor wg__composed_vjp(const wg_vjp_args *v, int k, wg__formula formula)
{
    wg_tensor fresh[OPERANDS];
    wg_tape *tape = v->grad.tape;
    int no_grad = tape->modes.no_grad;
    if (v->n_in > OPERANDS)
        return wg_fail(v->grad, WG_ERR_GRADIENT, v->op->name, "has %d operands: its derivative supports at most %d",
                       v->n_in, OPERANDS);
    tape->modes.no_grad = 0;
    for (int i = 0; i < v->n_in; i++) fresh[i] = view(v->in[i]);
    wg_tensor result = wg_vjp(formula(fresh, v->n_in, v->attr), fresh[k], v->grad);
    tape->modes.no_grad = no_grad;
    return no_grad ? view(result) : result;
}
