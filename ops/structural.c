/* The closed set of ops that the engine itself records, and the table through which it reaches them and the kernels of
 * its instructions. */
#include "../autograd/plan/rewrite.h"
#include "internal.h"

#include "kernels/gemm/gemm.h"
#include "kernels/kernels.h"
#include "kernels/move/move.h"
#include "kernels/pointwise/pointwise.h"
#include "kernels/random/random.h"
#include "kernels/reduce/reduce.h"
#include "pointwise_rows.h"

/* ---- fill -------------------------------------------------------------------------------------------- */

static wg_status fill_infer(wg_infer *c)
{
    const wg__fill_attr *attr = c->attr;
    c->out = attr->shape;
    c->dtype = attr->dtype;
    return wg__infer_size(c);
}

WG__SELECT(fill_select, wg__fill_kernel)

const wg_op wg__fill_op = {
    .struct_size = sizeof(wg_op), .name = "fill", .infer = fill_infer, .select = fill_select};

/* ---- copy -------------------------------------------------------------------------------------------- */

static wg_status copy_infer(wg_infer *c)
{
    c->out = c->in[0];
    return WG_OK;
}

static wg_tensor copy_vjp(const wg_vjp_args *v, int k) { return v->grad; }

WG__SELECT(copy_select, wg__copy_kernel)

static const wg_op copy_op = {.struct_size = sizeof(wg_op),
                              .name = "copy",
                              .min_in = 1,
                              .max_in = 1,
                              .flags = WG_OP_STRIDED | WG_OP_SMOOTH,
                              .infer = copy_infer,
                              .vjp = copy_vjp,
                              .select = copy_select,
                              .tasks = wg__copy_tasks};

/* ---- sum --------------------------------------------------------------------------------------------- */

static wg_status sum_infer(wg_infer *c)
{
    wg_shape both;
    c->out = *(const wg_shape *)c->attr;
    if (wg_shape_broadcast(&c->in[0], &c->out, &both) && wg_shape_equal(&both, &c->in[0])) return WG_OK;
    char text[128];
    return wg_infer_fail(c, WG_ERR_SHAPE, "%s does not broadcast to it, so it cannot be summed to that",
                         wg_shape_text(&c->out, text, sizeof text));
}

static wg_tensor sum_vjp(const wg_vjp_args *v, int k) { return wg_expand(v->grad, wg_shape_get(v->in[k])); }

WG__SELECT(sum_select, wg__kernel_get(WG__KERNEL_sum, out))

const wg_op wg__sum_op = {.struct_size = sizeof(wg_op),
                          .name = "sum",
                          .min_in = 1,
                          .max_in = 1,
                          .flags = WG_OP_STRIDED | WG_OP_SMOOTH,
                          .infer = sum_infer,
                          .vjp = sum_vjp,
                          .select = sum_select,
                          .tasks = wg__sum_tasks};

/* ---- widen ------------------------------------------------------------------------------------------- */

static wg_status widen_infer(wg_infer *c)
{
    c->out = c->in[0];
    c->dtype = WG_F32;
    return WG_OK;
}

static bool widen_view(const wg_shape *in, const wg_layout *from, const wg_shape *out, const void *attr,
                       wg_layout *to)
{
    *to = *from;
    return true;
}

/* Recorded by wg_use alone, of parameters in bf16, which have no gradient; so it has no derivative and no row. */
static const wg_op widen_op = {.struct_size = sizeof(wg_op),
                               .name = "widen",
                               .kind = WG_KIND_VIEW,
                               .min_in = 1,
                               .max_in = 1,
                               .infer = widen_infer,
                               .view = widen_view};

const wg_op *const wg__structural_list[] = {&wg__fill_op, &copy_op, &wg__sum_op, NULL};

/* ---- the table --------------------------------------------------------------------------------------- */

static const wg__rule rules[] = {{&wg__softmax_op, WG__PASS_ATTENTION, true, wg__attention_recognise},
                                 {&wg__matmul_op, WG__PASS_LOOKUP, false, wg__one_hot_recognise},
                                 {0}};

static const wg__product_kernels *product_kernels(const wg__product *p)
{
    return p->int8_b ? wg__product_get_int8() : wg__product_get(p->dtype, p->bf16);
}

const wg__structural wg__structural_ops = {
    .add = &wg__pointwise_ops[ROW_add],
    .fill = &wg__fill_op,
    .copy = &copy_op,
    .sum = &wg__sum_op,
    .expand = &wg__expand_op,
    .reshape = &wg__reshape_op,
    .pad = &wg__pad_op,
    .concat = &wg__concat_op,
    .matmul = &wg__matmul_op,
    .widen = &widen_op,
    .rules = rules,
    .chain = wg__chain_run,
    .chain_scratch = wg__chain_scratch,
    .identity = wg__identity,
    .widened = wg__widened,
    .line_sums = wg__line_sums_get,
    .product = product_kernels,
    .to_f64 = wg__to_f64,
    .from_f64 = wg__from_f64,
    .first_nonfinite = wg__first_nonfinite,
    .fill_random = wg__fill_random,
    .orthogonal = wg__orthogonal,
};
