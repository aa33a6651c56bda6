/* Attention as an op, and its gradient: in blocks of queries, so that no matrix of all scores is stored. */
#include "composed.h"

#include "kernels/attention/attention.h"
#include "kernels/kernels.h"

/* Operands q, k, v, mask[..., Tq, Tk], checked by wg_attention. */
static wg_status attention_infer(wg_infer *c)
{
    c->out = c->in[0];
    c->out.size[c->out.rank - 1] = c->in[2].size[c->out.rank - 1];
    return wg__infer_size(c);
}

/* The gradients of q, k and v, concatenated. Operands q, k, v, the result's gradient, mask. */
static wg_status grad_infer(wg_infer *c)
{
    int64_t total = 0;
    for (int i = 0; i < 3; i++) {
        int64_t numel;
        if (!wg_shape_numel(&c->in[i], &numel) || __builtin_add_overflow(total, numel, &total))
            return wg_infer_fail(c, WG_ERR_SHAPE, "the operands have too many elements");
    }
    c->out = WG_DIMS(total);
    return wg__infer_size(c);
}

WG__SELECT(attention_select, wg__kernel_get(WG__KERNEL_attention, out))
WG__SELECT(grad_select, wg__kernel_get(WG__KERNEL_attention_grad, out))

static wg_tensor flat(wg_tensor x) { return wg_flatten(x, 0, -1); }

/* The same gradients as a composition, for second derivatives. */
static wg_tensor grad_formula(const wg_tensor *in, int n_in, const void *attr)
{
    wg_tensor q = in[0], k = in[1], v = in[2], g = in[3],
              scale = wg__constant(q, ((const wg__attention_attr *)attr)->scale);
    wg_tensor mask, weights = wg__attention_weights(q, k, n_in > 4 ? in[4] : WG_NONE, attr, &mask);
    wg_tensor dp = wg__masked_dots(g, v, mask), mean = wg_sum(wg_mul(weights, dp), WG_AXES(-1), true);
    wg_tensor ds = wg_mul(wg_mul(weights, wg_sub(dp, mean)), scale), back = mask.tape ? wg_t(mask) : mask;
    wg_tensor parts[3] = {flat(wg__masked_product(ds, k, mask)), flat(wg__masked_product(wg_t(ds), q, back)),
                          flat(wg__masked_product(wg_t(weights), g, back))};
    return wg_concat(parts, 3, 0);
}

static wg_tensor grad_vjp(const wg_vjp_args *v, int k) { return wg__composed_vjp(v, k, grad_formula); }

static const wg_op grad_op = {.struct_size = sizeof(wg_op),
                              .name = "attention_grad",
                              .min_in = 4,
                              .max_in = 5,
                              .flags = WG_OP_STRIDED | WG_OP_SMOOTH,
                              .infer = grad_infer,
                              .vjp = grad_vjp,
                              .select = grad_select,
                              .tasks = wg__attention_grad_tasks,
                              .scratch = wg__attention_grad_scratch};

/* One node computes all three gradients; the gradient of an operand is a slice of it. */
static wg_tensor attention_vjp(const wg_vjp_args *v, int k)
{
    wg_tensor in[5] = {v->in[0], v->in[1], v->in[2], v->grad, v->in[3]};
    if (k > 2) return WG_NONE;
    wg_tensor all = wg_record(&grad_op, in, 5, v->attr, sizeof(wg__attention_attr));
    int64_t start = 0;
    for (int i = 0; i < k; i++) start += wg_numel(v->in[i]);
    return wg_reshape(wg_slice(all, 0, start, start + wg_numel(v->in[k])), wg_shape_get(v->in[k]));
}

const wg_op wg__attention_op = {.struct_size = sizeof(wg_op),
                                .name = "attention",
                                .min_in = 3,
                                .max_in = 4,
                                .flags = WG_OP_STRIDED | WG_OP_SMOOTH,
                                .infer = attention_infer,
                                .vjp = attention_vjp,
                                .select = attention_select,
                                .tasks = wg__attention_tasks,
                                .scratch = wg__attention_scratch};

const wg_op *const wg__attention_ops[] = {&wg__attention_op, &grad_op, NULL};
