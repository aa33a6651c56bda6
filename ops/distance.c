/* Norms of vectors, distances, and losses made of them: compositions. The norm's derivative at 0 is 0, of any order. */
#include "internal.h"

/* sqrt(s), s >= 0, whose derivatives at 0 are 0 and not infinite: there the root is of a constant. */
static wg_tensor root(wg_tensor s)
{
    wg_tensor none = wg_equal(s, wg__constant(s, 0));
    wg_tensor r = wg_sqrt(wg_where(none, wg__constant(s, 1), s));
    return wg_where(none, wg__constant(s, 0), r);
}

/* A length in the unit of wg__centered, so that squares neither overflow nor vanish. */
typedef struct measure {
    wg_tensor length, unit;
} measure;

/* Of x in f32 or f64. */
static measure measured(wg_tensor x, wg_axes axes, bool keep, const char *op)
{
    wg_shape shape;
    uint32_t mask;
    const wg_tensor nil = wg__nil_of(x);
    if (!wg__axes_mask(x, axes, op, &shape, &mask)) return (measure){nil, nil};
    const wg_tensor unit = wg__center(x, mask, false, 0).unit;
    const wg_tensor sum = wg_sum(wg_square(wg_mul(x, unit)), axes, keep);
    return (measure){root(sum), wg_reshape(unit, wg_shape_get(sum))};
}

static wg_tensor length(wg_tensor x, wg_axes axes, bool keep, const char *op)
{
    const measure m = measured(x, axes, keep, op);
    return wg_div(m.length, m.unit);
}

/* The length, at least epsilon, in the unit. */
static wg_tensor at_least(measure m, double epsilon)
{
    return wg_maximum(m.length, wg_mul(m.unit, wg__constant(m.unit, epsilon)));
}

wg_tensor wg_norm(wg_tensor x, wg_axes axes, bool keep)
{
    return wg__float(x, "norm") ? length(x, axes, keep, "norm") : wg__nil_of(x);
}

wg_tensor wg_std(wg_tensor x, wg_axes axes, bool keep, int correction)
{
    wg_tensor unit = wg__nil_of(x);
    wg_tensor variance = wg__variance(x, axes, keep, correction, &unit, "std");
    return wg_div(root(variance), unit);
}

/* Whether the axis and epsilon are valid; *axis then counts from 0. */
static bool along(wg_tensor x, int *axis, double epsilon, const char *op)
{
    if (!wg__float(x, op) || !wg__axis(x, axis, op)) return false;
    if (epsilon >= 0) return true;
    wg_fail(x, WG_ERR_ARGUMENT, op, "epsilon = %g: must be 0 or more", epsilon);
    return false;
}

wg_tensor wg_normalize(wg_tensor x, int axis, double epsilon)
{
    if (!along(x, &axis, epsilon, "normalize")) return wg__nil_of(x);
    const measure m = measured(x, WG_AXES(axis), true, "normalize");
    return wg_div(wg_mul(x, m.unit), at_least(m, epsilon));
}

/* Of an axis that counts from the end: 1 if it is before the first one. */
static int64_t size_along(wg_tensor x, int axis) { return -axis <= wg_rank(x) ? wg_size(x, axis) : 1; }

/* x with n elements along such an axis, where it may have one. */
static wg_tensor widened(wg_tensor x, int axis, int64_t n)
{
    if (size_along(x, axis) == n) return x;
    const wg_shape own = wg_shape_get(x);
    wg_shape shape = {.rank = own.rank > -axis ? own.rank : -axis};
    for (int i = 1; i <= shape.rank; i++) shape.size[shape.rank - i] = i <= own.rank ? own.size[own.rank - i] : 1;
    shape.size[shape.rank + axis] = n;
    return wg_expand(x, shape);
}

wg_tensor wg_cosine_similarity(wg_tensor a, wg_tensor b, int axis, double epsilon)
{
    static const char *const op = "cosine_similarity";
    if (!wg__both_set(a, b, op) || !wg__both_float(a, b, op)) return wg__nil_of_both(a, b);
    const wg_tensor longer = wg_rank(a) < wg_rank(b) ? b : a;
    if (wg_is_nil(a) || wg_is_nil(b) || !along(longer, &axis, epsilon, op)) return wg__nil_of(a);
    axis -= wg_rank(longer);
    const int64_t n = size_along(a, axis) == 1 ? size_along(b, axis) : size_along(a, axis);
    a = widened(a, axis, n), b = widened(b, axis, n);
    const wg_axes one = WG_AXES(axis);
    const measure by_a = measured(a, one, true, op), by_b = measured(b, one, true, op);
    wg_tensor dot = wg_sum(wg_mul(wg_mul(a, by_a.unit), wg_mul(b, by_b.unit)), one, true);
    return wg_squeeze(wg_div(wg_div(dot, at_least(by_a, epsilon)), at_least(by_b, epsilon)), axis);
}

wg_tensor wg_cdist(wg_tensor a, wg_tensor b)
{
    if (!wg__both_set(a, b, "cdist") || !wg__both_float(a, b, "cdist")) return wg__nil_of_both(a, b);
    if (wg_is_nil(a) || wg_is_nil(b)) return wg__nil_of(a);
    if (wg_rank(a) < 2 || wg_rank(b) < 2)
        return wg_fail(a, WG_ERR_SHAPE, "cdist", "operands must have 2 axes or more: [..., points, size]");
    return length(wg_sub(wg_unsqueeze(a, -2), wg_unsqueeze(b, -3)), WG_AXES(-1), false, "cdist");
}

/* ---- losses ------------------------------------------------------------------------------------------------------ */

/* Of three operands, the first one's tape takes the error. */
static bool are_floats(wg_tensor a, wg_tensor b, wg_tensor c, const char *op)
{
    return wg__both_set(a, b, op) && wg__both_set(a, c, op) && wg__both_float(a, b, op) && wg__both_float(a, c, op);
}

static bool fits(wg_tensor x, double margin, wg_reduction reduction, const char *op)
{
    if (margin == margin) return wg__is_reduction(x, reduction, op);
    wg_fail(x, WG_ERR_ARGUMENT, op, "the margin is NaN");
    return false;
}

wg_tensor wg_triplet_loss(wg_tensor anchor, wg_tensor positive, wg_tensor negative, double margin,
                          wg_reduction reduction)
{
    const char *op = "triplet_loss";
    if (!are_floats(anchor, positive, negative, op) || !fits(anchor, margin, reduction, op))
        return wg__nil_of(anchor);
    wg_tensor near = length(wg_sub(anchor, positive), WG_AXES(-1), false, op),
              far = length(wg_sub(anchor, negative), WG_AXES(-1), false, op);
    return wg__reduced(wg_relu(wg_add_scalar(wg_sub(near, far), margin)), reduction);
}

wg_tensor wg_margin_ranking_loss(wg_tensor a, wg_tensor b, wg_tensor order, double margin, wg_reduction reduction)
{
    const char *op = "margin_ranking_loss";
    if (!are_floats(a, b, order, op) || !fits(a, margin, reduction, op)) return wg__nil_of(a);
    const wg_tensor lead = wg_sub(b, a);
    const wg_shape shape = wg_shape_get(lead);
    if (wg_is_nil(lead) || !wg__broadcasts_to(order, &shape, "order", op)) return wg__nil_of(a);
    return wg__reduced(wg_relu(wg_add_scalar(wg_mul(order, lead), margin)), reduction);
}

wg_tensor wg_cosine_embedding_loss(wg_tensor a, wg_tensor b, wg_tensor same, double margin, wg_reduction reduction)
{
    const char *op = "cosine_embedding_loss";
    if (!wg__both_set(a, b, op) || !wg__both_set(a, same, op)) return wg__nil_of_both(a, b);
    if (!fits(a, margin, reduction, op)) return wg__nil_of(a);
    wg_tensor cosine = wg_cosine_similarity(a, b, -1, 1e-8);
    const wg_shape shape = wg_shape_get(cosine);
    if (wg_is_nil(cosine) || !wg__broadcasts_to(same, &shape, "same", op)) return wg__nil_of(a);
    wg_tensor apart = wg_relu(wg_add_scalar(cosine, -margin));
    return wg__reduced(wg_where(same, wg_rsub_scalar(1, cosine), apart), reduction);
}
