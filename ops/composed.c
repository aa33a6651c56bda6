/* The derivative of a gradient op by composition. */
#include "composed.h"

#include "../autograd/tape/graph.h"

enum { OPERANDS = 8 };

/* A view that is no other node, even if an equal one was recorded. */
static wg_tensor fresh_view(wg_tensor x)
{
    if (wg_is_nil(x)) return x;
    wg_shape shape = wg_shape_get(x);
    const bool outer = x.tape->modes.distinct;
    x.tape->modes.distinct = true;
    wg_tensor result = wg_record(&wg__reshape_op, &x, 1, &shape, sizeof shape);
    x.tape->modes.distinct = outer;
    return result;
}

/* An operand may be equal to another one or depend on it (a gradient on its value), and only direct dependences count
 * here. So the formula is recorded on fresh views of the operands, on which nothing else depends; the result remains
 * differentiable through them.
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
    for (int i = 0; i < v->n_in; i++) fresh[i] = fresh_view(v->in[i]);
    wg_tensor result = wg_vjp(formula(fresh, v->n_in, v->attr), fresh[k], v->grad);
    tape->modes.no_grad = no_grad;
    return no_grad ? fresh_view(result) : result;
}
