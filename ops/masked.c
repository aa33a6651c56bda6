/* Products of attention in which masked pairs of query and key are not read. Their derivatives are such products, too,
 * so that what is masked may be NaN in derivatives of any order. */
#include <assert.h>

#include "internal.h"

#include "kernels/attention/attention.h"
#include "kernels/kernels.h"

/* Operands a, b, mask, checked by the functions of ops.h that use them: equal dtypes, leading sizes that broadcast. */
static wg_status product_infer(wg_infer *c)
{
    assert(c->dtype_in[0] == c->dtype_in[1]);
    const bool transposed = ((const wg__masked_attr *)c->attr)->transposed;
    c->out = c->in[0];
    c->out.size[c->out.rank - (transposed ? 1 : 2)] = c->in[0].size[c->out.rank - 2];
    c->out.size[c->out.rank - (transposed ? 2 : 1)] = c->in[1].size[c->out.rank - 1];
    return wg__infer_size(c);
}

static wg_status dots_infer(wg_infer *c)
{
    assert(c->dtype_in[0] == c->dtype_in[1]);
    c->out = c->in[2];
    return wg__infer_size(c);
}

WG__SELECT(product_select, wg__kernel_get(WG__KERNEL_masked_product, out))
WG__SELECT(dots_select, wg__kernel_get(WG__KERNEL_masked_dots, out))

static wg_tensor product_vjp(const wg_vjp_args *v, int k);
static wg_tensor dots_vjp(const wg_vjp_args *v, int k);

#define MASKED(text, rule, gradient, choose, bytes)                                                                \
    {                                                                                                              \
        .struct_size = sizeof(wg_op), .name = text, .min_in = 3, .max_in = 3,                                      \
        .flags = WG_OP_STRIDED | WG_OP_SMOOTH, .infer = (rule), .vjp = (gradient), .select = (choose),             \
        .tasks = wg__masked_tasks, .scratch = (bytes)                                                              \
    }
static const wg_op product_op =
    MASKED("masked_product", product_infer, product_vjp, product_select, wg__masked_product_scratch);
static const wg_op dots_op = MASKED("masked_dots", dots_infer, dots_vjp, dots_select, wg__masked_dots_scratch);

static wg_tensor product(wg_tensor a, wg_tensor b, wg_tensor mask)
{
    const wg__masked_attr attr = {.transposed = false};
    return wg_record(&product_op, (wg_tensor[]){a, b, mask}, 3, &attr, sizeof attr);
}

/* a^T b. The result is computed and stored as its transpose, which is faster where b has few columns. */
static wg_tensor transposed_product(wg_tensor a, wg_tensor b, wg_tensor mask)
{
    const wg__masked_attr attr = {.transposed = true};
    return wg_t(wg_record(&product_op, (wg_tensor[]){wg_t(a), b, wg_t(mask)}, 3, &attr, sizeof attr));
}

static wg_tensor dots(wg_tensor a, wg_tensor b, wg_tensor mask)
{
    return wg_record(&dots_op, (wg_tensor[]){a, b, mask}, 3, NULL, 0);
}

/* out = a b: da = g b^T where a is read, db = a^T g. */
static wg_tensor product_vjp(const wg_vjp_args *v, int k)
{
    const bool transposed = ((const wg__masked_attr *)v->attr)->transposed;
    wg_tensor g = transposed ? wg_t(v->grad) : v->grad;
    if (k == 0) return dots(g, v->in[1], v->in[2]);
    return k == 1 ? product(wg_t(v->in[0]), g, wg_t(v->in[2])) : WG_NONE;
}

/* out = a b^T: da = g b, db = g^T a. */
static wg_tensor dots_vjp(const wg_vjp_args *v, int k)
{
    if (k == 0) return product(v->grad, v->in[1], v->in[2]);
    return k == 1 ? transposed_product(v->grad, v->in[0], v->in[2]) : WG_NONE;
}

const wg_op *const wg__masked_ops[] = {&product_op, &dots_op, NULL};

/* x with the leading sizes of like. */
static wg_tensor lead_as(wg_tensor x, const wg_shape *like)
{
    wg_shape own = wg_shape_get(x), shape = *like;
    if (own.rank < 2) return x; /* nil */
    for (int i = 1; i <= 2; i++) shape.size[shape.rank - i] = own.size[own.rank - i];
    return wg_shape_equal(&own, &shape) ? x : wg_expand(x, shape);
}

/* The common leading sizes of a and b, with room for two more. */
static bool common_lead(wg_tensor a, wg_tensor b, wg_shape *lead)
{
    wg_shape sa = wg_shape_get(a), sb = wg_shape_get(b);
    sa.rank -= 2, sb.rank -= 2;
    if (sa.rank < 0 || sb.rank < 0 || !wg_shape_broadcast(&sa, &sb, lead)) return false; /* nil */
    lead->rank += 2;
    return true;
}

wg_tensor wg__masked_product(wg_tensor a, wg_tensor b, wg_tensor mask)
{
    wg_shape lead;
    if (!mask.tape) return wg_matmul(a, b);
    if (!common_lead(a, b, &lead)) return wg__nil_of(a);
    wg_tensor whole = lead_as(a, &lead);
    return product(whole, lead_as(b, &lead), wg_expand(mask, wg_shape_get(whole)));
}

wg_tensor wg__masked_dots(wg_tensor a, wg_tensor b, wg_tensor mask)
{
    wg_shape lead;
    if (!mask.tape) return wg_matmul(a, wg_t(b));
    if (!common_lead(a, b, &lead)) return wg__nil_of(a);
    lead.size[lead.rank - 2] = wg_size(a, -2);
    lead.size[lead.rank - 1] = wg_size(b, -2);
    return dots(lead_as(a, &lead), lead_as(b, &lead), wg_expand(mask, lead));
}
