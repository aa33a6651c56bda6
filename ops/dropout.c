/* Dropout: x times a random mask. The mask is an op without operands, so that the gradient uses the same mask and the
 * product can be fused into chains. */
#include "internal.h"

#include <string.h>

#include "kernels/random/random.h"
#include "kernels/kernels.h"

static wg_status infer(wg_infer *c)
{
    const wg__dropout_attr *attr = c->attr;
    c->out = attr->shape;
    c->dtype = (wg_dtype)attr->dtype;
    return WG_OK;
}

WG__SELECT(select, wg__kernel_get(WG__KERNEL_dropout_mask, out))

static const wg_op mask = {.struct_size = sizeof(wg_op),
                           .name = "dropout_mask",
                           .max_in = 0,
                           .flags = WG_OP_RANDOM | WG_OP_NO_GRADIENT,
                           .infer = infer,
                           .select = select,
                           .tasks = wg__random_tasks};

const wg_op *const wg__dropout_ops[] = {&mask, NULL};

wg_tensor wg_dropout(wg_tensor x, double p)
{
    wg__dropout_attr attr;
    memset(&attr, 0, sizeof attr);
    if (!wg__shape(x, &attr.shape, "dropout")) return wg__nil_of(x);
    if (!(p >= 0 && p <= 1)) return wg_fail(x, WG_ERR_ARGUMENT, "dropout", "p = %g is not in [0, 1]", p);
    if (!wg__float(x, "dropout")) return wg__nil_of(x);
    if (p == 0 || !wg_is_training(x.tape)) return wg__same(x);
    attr.dtype = (int32_t)wg_dtype_get(x);
    attr.p = p;
    return wg_mul(x, wg_record_on(x.tape, &mask, NULL, 0, &attr, sizeof attr));
}
