/* Matrix products and their compositions. */
#include "internal.h"

/* Rank 2 or more on both sides; leading sizes broadcast. */
static wg_status matmul_infer(wg_infer *c)
{
    const wg_shape *a = &c->in[0], *b = &c->in[1];
    wg_status status = wg__infer_float(c, 0);
    if (status != WG_OK) return status;
    if (c->dtype_in[0] != c->dtype_in[1])
        return wg_infer_fail(c, WG_ERR_DTYPE, "%s and %s differ; there is no promotion, use wg_cast",
                             wg_dtype_name(c->dtype_in[0]), wg_dtype_name(c->dtype_in[1]));
    if (a->rank < 1 || b->rank < 1) return wg_infer_fail(c, WG_ERR_SHAPE, "a scalar is not a matrix (see wg_mul)");
    int64_t inner_a = a->size[a->rank - 1], inner_b = b->size[b->rank > 1 ? b->rank - 2 : 0];
    if (inner_a != inner_b) {
        return wg_infer_fail(c, WG_ERR_SHAPE, "inner sizes %lld and %lld differ%s", (long long)inner_a,
                             (long long)inner_b,
                             inner_a == b->size[b->rank - 1] ? "; is wg_t missing on the second?" : "");
    }
    if (a->rank < 2 || b->rank < 2)
        return wg_infer_fail(c, WG_ERR_SHAPE, "operands must have two axes or more: use wg_matmul");
    wg_shape lead_a = wg_shape_of(a->rank - 2, a->size), lead_b = wg_shape_of(b->rank - 2, b->size);
    if (!wg_shape_broadcast(&lead_a, &lead_b, &c->out))
        return wg_infer_fail(c, WG_ERR_SHAPE, "leading sizes do not broadcast: they must be equal or 1");
    c->out.size[c->out.rank++] = a->size[a->rank - 2];
    c->out.size[c->out.rank++] = b->size[b->rank - 1];
    return wg__infer_size(c);
}

static wg_tensor matmul_vjp(const wg_vjp_args *v, int k)
{
    return k == 0 ? wg_matmul(v->grad, wg_t(v->in[1])) : wg_matmul(wg_t(v->in[0]), v->grad);
}

const wg_op wg__matmul_op = {.struct_size = sizeof(wg_op),
                             .name = "matmul",
                             .kind = WG_KIND_PRODUCT,
                             .min_in = 2,
                             .max_in = 2,
                             .flags = WG_OP_SMOOTH,
                             .infer = matmul_infer,
                             .vjp = matmul_vjp};

static wg_tensor product(wg_tensor a, wg_tensor b)
{
    wg_tensor in[2] = {a, b};
    return wg_record(&wg__matmul_op, in, 2, NULL, 0);
}

/* The shape of [.., m, k] as one matrix, so that a product with a weight is one product, and the weight's gradient one
 * product with a long inner size. False if it is a matrix already, or is empty and its size overflows. */
static bool flat_rows(const wg_shape *a, const wg_shape *b, wg_shape *rows)
{
    int64_t n;
    if (a->rank <= 2 || b->rank != 2) return false;
    wg_shape lead = wg_shape_of(a->rank - 1, a->size);
    if (!wg_shape_numel(&lead, &n)) return false;
    *rows = WG_DIMS(n, a->size[a->rank - 1]);
    return true;
}

wg_tensor wg_matmul(wg_tensor a, wg_tensor b)
{
    wg_shape sa = wg_shape_get(a), sb = wg_shape_get(b), rows;
    if (sa.rank < 1 || sb.rank < 1 || sa.size[sa.rank - 1] != sb.size[sb.rank > 1 ? sb.rank - 2 : 0])
        return product(a, b); /* nil, or an error that shows these shapes */
    if (sa.rank > 1 && sb.rank > 1) {
        if (!flat_rows(&sa, &sb, &rows)) return product(a, b);
        wg_tensor y = product(wg_reshape(a, rows), b);
        sa.size[sa.rank - 1] = sb.size[1];
        return wg_reshape(y, sa);
    }
    /* A vector a is a row, a vector b a column; their axes of size 1 are removed from the result. */
    wg_tensor row = sa.rank == 1 ? wg_reshape(a, WG_DIMS(1, sa.size[0])) : a;
    wg_tensor column = sb.rank == 1 ? wg_reshape(b, WG_DIMS(sb.size[0], 1)) : b;
    wg_tensor y = wg_matmul(row, column);
    if (sb.rank == 1) y = wg_squeeze(y, -1);
    if (sa.rank == 1) y = wg_squeeze(y, sb.rank == 1 ? -1 : -2);
    return y;
}

wg_tensor wg_linear(wg_tensor x, wg_tensor weight, wg_tensor bias)
{
    wg_shape in, w, rows;
    char a[128], b[128];
    if (!wg__both_set(x, weight, "linear")) return wg__nil_of_both(x, weight);
    if (!wg__shape(x, &in, "linear") || !wg__shape(weight, &w, "linear")) return wg__nil_of(x);
    if (in.rank < 1 || w.rank != 2 || in.size[in.rank - 1] != w.size[1]) {
        return wg_fail(x, WG_ERR_SHAPE, "linear", "%s x %s: must be x[..., in] and weight[out, in]",
                       wg_shape_text(&in, a, sizeof a), wg_shape_text(&w, b, sizeof b));
    }
    if (!wg__both_float(x, weight, "linear")) return wg__nil_of(x);
    wg_shape out = in;
    out.size[in.rank - 1] = w.size[0];
    bool flat = flat_rows(&in, &w, &rows);
    wg_tensor y = wg_matmul(flat ? wg_reshape(x, rows) : x, wg_t(weight));
    if (bias.tape) {
        wg_shape have, want = WG_DIMS(w.size[0]);
        if (!wg__shape(bias, &have, "linear")) return wg__nil_of(x);
        if (!wg_shape_equal(&have, &want)) {
            return wg_fail(x, WG_ERR_SHAPE, "linear", "the bias is %s: for the weight %s it must be %s",
                           wg_shape_text(&have, a, sizeof a), wg_shape_text(&w, b, sizeof b),
                           wg_shape_text(&want, (char[64]){0}, 64));
        }
        if (!wg__both_float(x, bias, "linear")) return wg__nil_of(x);
        y = wg_add(y, bias);
    }
    return flat ? wg_reshape(y, out) : y;
}

wg_tensor wg_dot(wg_tensor a, wg_tensor b)
{
    wg_shape sa, sb;
    char ta[128], tb[128];
    if (!wg__both_set(a, b, "dot")) return wg__nil_of_both(a, b);
    if (!wg__shape(a, &sa, "dot") || !wg__shape(b, &sb, "dot")) return wg__nil_of(a);
    if (!wg_shape_equal(&sa, &sb))
        return wg_fail(a, WG_ERR_SHAPE, "dot", "%s, %s: shapes must be equal", wg_shape_text(&sa, ta, sizeof ta),
                       wg_shape_text(&sb, tb, sizeof tb));
    return wg__both_float(a, b, "dot") ? wg_sum_all(wg_mul(a, b)) : wg__nil_of(a);
}

wg_tensor wg_outer(wg_tensor a, wg_tensor b)
{
    wg_shape sa, sb;
    char ta[128], tb[128];
    if (!wg__both_set(a, b, "outer")) return wg__nil_of_both(a, b);
    if (!wg__shape(a, &sa, "outer") || !wg__shape(b, &sb, "outer")) return wg__nil_of(a);
    if (sa.rank != 1 || sb.rank != 1)
        return wg_fail(a, WG_ERR_SHAPE, "outer", "%s, %s: both must have one axis",
                       wg_shape_text(&sa, ta, sizeof ta), wg_shape_text(&sb, tb, sizeof tb));
    return wg__both_float(a, b, "outer") ? product(wg_unsqueeze(a, 1), wg_unsqueeze(b, 0)) : wg__nil_of(a);
}

const wg_op *const wg__matmul_ops[] = {&wg__matmul_op, NULL};
