/* wg_cast: conversion to another dtype. A pointwise op, so that it is fused into chains. */
#include "kernels/pointwise/pointwise.h"

#include "internal.h"

static wg_status cast_infer(wg_infer *c)
{
    c->out = c->in[0];
    c->dtype = *(const wg_dtype *)c->attr;
    return WG_OK;
}

static wg_tensor cast_vjp(const wg_vjp_args *v, int k)
{
    wg_dtype from = wg_dtype_get(v->in[k]);
    bool floats = wg_dtype_is_float(from) && wg_dtype_is_float(wg_dtype_get(v->out));
    return floats ? wg_cast(v->grad, from) : WG_NONE;
}

WG__SELECT(cast_select, (wg_kernel)(void (*)(void))wg__cast_get(in[0], out))

const wg_op wg__cast_op = {.struct_size = sizeof(wg_op),
                           .name = "cast",
                           .kind = WG_KIND_POINTWISE,
                           .min_in = 1,
                           .max_in = 1,
                           .flags = WG_OP_SMOOTH,
                           .infer = cast_infer,
                           .vjp = cast_vjp,
                           .select = cast_select};

wg_tensor wg_cast(wg_tensor x, wg_dtype dtype)
{
    if ((unsigned)dtype >= WG_DTYPES) return wg_fail(x, WG_ERR_DTYPE, "cast", "unknown dtype %d", (int)dtype);
    if (!wg_is_nil(x) && wg_dtype_get(x) == dtype) return wg__same(x);
    return wg_record(&wg__cast_op, &x, 1, &dtype, sizeof dtype);
}
