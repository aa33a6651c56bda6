/* Along one axis: cumulative sums, sorting, the k largest. Sorted values are gathered by their indices, which gives
 * them the gradient of a gather. */
#include "internal.h"

#include "kernels/reduce/reduce.h"
#include "kernels/kernels.h"

WG__SELECT(cumsum_select, wg__kernel_get(WG__KERNEL_cumsum, in[0]))
WG__SELECT(argsort_select, wg__kernel_get(WG__KERNEL_argsort, in[0]))

static wg_status infer_cumsum(wg_infer *c)
{
    c->out = c->in[0];
    return wg__infer_float(c, 0);
}

static wg_status infer_argsort(wg_infer *c)
{
    const wg__scan_attr *attr = c->attr;
    wg_status status = wg__infer_float(c, 0);
    if (status) return status;
    if (c->in[0].size[attr->axis] > INT32_MAX)
        return wg_infer_fail(c, WG_ERR_SHAPE, "an index does not fit into i32");
    c->out = c->in[0];
    c->out.size[attr->axis] = attr->count;
    c->dtype = WG_I32;
    return WG_OK;
}

static wg__extents geometry(const wg_args *args)
{
    const wg__scan_attr *attr = args->attr;
    return wg__extents_of_mask(&args->in[0], 1u << attr->axis);
}

static int64_t tasks(const wg_args *args) { return wg__reduce_tasks(geometry(args)); }

/* Two buffers of (key, index); a key is as large as an element. */
static size_t argsort_scratch(const wg_args *args)
{
    size_t item = wg_dtype_size(args->in[0].dtype) == 8 ? 16 : 8;
    return 2 * (size_t)geometry(args).n * item;
}

/* The gradient of a cumulative sum is one from the other end. */
static wg_tensor cumsum_vjp(const wg_vjp_args *v, int k)
{
    wg__scan_attr attr = *(const wg__scan_attr *)v->attr;
    attr.reverse = !attr.reverse;
    return wg_record(v->op, &v->grad, 1, &attr, sizeof attr);
}

static const wg_op cumsum = {.struct_size = sizeof(wg_op),
                             .name = "cumsum",
                             .min_in = 1,
                             .max_in = 1,
                             .flags = WG_OP_SMOOTH,
                             .infer = infer_cumsum,
                             .vjp = cumsum_vjp,
                             .select = cumsum_select,
                             .tasks = tasks};

static const wg_op argsort = {.struct_size = sizeof(wg_op),
                              .name = "argsort",
                              .min_in = 1,
                              .max_in = 1,
                              .flags = WG_OP_NO_GRADIENT,
                              .infer = infer_argsort,
                              .select = argsort_select,
                              .tasks = tasks,
                              .scratch = argsort_scratch};

const wg_op *const wg__scan_ops[] = {&cumsum, &argsort, NULL};

/* ---- public functions ---------------------------------------------------------------------------- */

wg_tensor wg_cumsum(wg_tensor x, int axis)
{
    if (!wg__axis(x, &axis, "cumsum")) return wg__nil_of(x);
    wg__scan_attr attr = {.axis = axis};
    return wg_record(&cumsum, &x, 1, &attr, sizeof attr);
}

/* The indices of the first k elements in order. */
static wg_tensor order(wg_tensor x, int axis, bool descending, int64_t k)
{
    wg__scan_attr attr = {.axis = axis, .reverse = descending, .count = k};
    return wg_record(&argsort, &x, 1, &attr, sizeof attr);
}

wg_tensor wg_argsort(wg_tensor x, int axis, bool descending)
{
    if (!wg__axis(x, &axis, "argsort")) return wg__nil_of(x);
    return order(x, axis, descending, wg_size(x, axis));
}

wg_tensor wg_sort(wg_tensor x, int axis, bool descending)
{
    if (!wg__axis(x, &axis, "sort") || !wg__float(x, "sort")) return wg__nil_of(x);
    return wg_gather(x, axis, order(x, axis, descending, wg_size(x, axis)));
}

wg_tensor wg_topk(wg_tensor x, int k, int axis, bool largest, wg_tensor *indices)
{
    wg_tensor index = wg__nil_of(x);
    if (wg__axis(x, &axis, "topk") && wg__float(x, "topk")) {
        int64_t size = wg_size(x, axis);
        index = k < 0 || k > size ? wg_fail(x, WG_ERR_ARGUMENT, "topk",
                                            "k = %d is not in 0 .. %lld, the size of the axis", k, (long long)size)
                                  : order(x, axis, largest, k);
    }
    if (indices) *indices = index;
    return wg_is_nil(index) ? index : wg_gather(x, axis, index);
}
