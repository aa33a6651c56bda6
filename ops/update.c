/* A slice replaced at a position that is a value, so that the plan serves every position. */
#include "internal.h"

#include "kernels/move/move.h"

static wg_status update_infer(wg_infer *c)
{
    const int64_t axis = ((const wg__axis_attr *)c->attr)->axis;
    const wg_shape *slice = &c->in[1], *base = &c->in[2];
    int64_t starts;
    if (c->dtype_in[0] != WG_I32 || !wg_shape_numel(&c->in[0], &starts) || starts != 1)
        return wg_infer_fail(c, WG_ERR_DTYPE, "start must be one i32");
    if (c->dtype_in[1] != c->dtype_in[2])
        return wg_infer_fail(c, WG_ERR_DTYPE, "%s and %s differ; there is no promotion, use wg_cast",
                             wg_dtype_name(c->dtype_in[1]), wg_dtype_name(c->dtype_in[2]));
    wg_shape same = *slice;
    if (same.rank == base->rank) same.size[axis] = base->size[axis];
    if (!wg_shape_equal(&same, base) || slice->size[axis] > base->size[axis])
        return wg_infer_fail(c, WG_ERR_SHAPE, "the slice must fit into x, with x's sizes except along axis %lld",
                             (long long)axis);
    c->out = *base;
    c->dtype = c->dtype_in[2];
    return WG_OK;
}

/* The indices of the slice: start, start + 1, ..., as far back as they must be to fit. */
static wg_tensor indices(wg_tensor start, int64_t n, int64_t size)
{
    wg_tensor first = wg_minimum(wg_reshape(start, WG_SCALAR), wg__constant(start, (double)(size - n)));
    first = wg_maximum(first, wg__constant(start, 0));
    return wg_add(wg_arange(start.tape, WG_I32, 0, 1, n), first);
}

static wg_tensor update_vjp(const wg_vjp_args *v, int k)
{
    const int axis = (int)((const wg__axis_attr *)v->attr)->axis;
    if (k == 0) return WG_NONE;
    if (k == 2) return wg_update_slice(v->grad, axis, v->in[0], wg_zeros_like(v->in[1]));
    return wg_index_select(v->grad, axis, indices(v->in[0], wg_size(v->in[1], axis), wg_size(v->in[2], axis)));
}

WG__SELECT(update_select, wg__update_kernel)

static const wg_op update_slice = {.struct_size = sizeof(wg_op),
                                   .name = "update_slice",
                                   .min_in = 3,
                                   .max_in = 3,
                                   .flags = WG_OP_SMOOTH | WG_OP_UPDATES,
                                   .infer = update_infer,
                                   .vjp = update_vjp,
                                   .select = update_select,
                                   .tasks = wg__update_tasks};

const wg_op *const wg__update_ops[] = {&update_slice, NULL};

wg_tensor wg_update_slice(wg_tensor x, int axis, wg_tensor start, wg_tensor slice)
{
    if (!wg__both_set(x, start, "update_slice") || !wg__axis(x, &axis, "update_slice"))
        return wg__nil_of_both(x, start);
    const wg_tensor in[3] = {start, slice, x};
    const wg__axis_attr attr = {.axis = axis};
    return wg_record(&update_slice, in, 3, &attr, sizeof attr);
}
