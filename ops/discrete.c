/* Discrete choices with a gradient, by composition. */
#include "internal.h"

wg_tensor wg_hardmax(wg_tensor x, int axis)
{
    wg_shape shape;
    if (!wg__shape(x, &shape, "hardmax")) return wg__nil_of(x);
    if (!wg__float(x, "hardmax") || !wg__axis(x, &axis, "hardmax")) return wg__nil_of(x);
    if (shape.size[axis] == 0) return wg__refuse(x, WG_ERR_SHAPE, "hardmax", "axis %d has no elements", axis);
    wg_tensor last = wg_transpose(x, axis, -1);
    return wg_transpose(wg_one_hot(wg_argmax(last, -1, false), shape.size[axis], wg_dtype_get(x)), axis, -1);
}

/* soft - detach(soft) is exactly 0, so the value equals hard bit by bit. */
wg_tensor wg_straight_through(wg_tensor hard, wg_tensor soft)
{
    wg_shape a, b;
    char text_a[128], text_b[128];
    if (!wg__both_set(hard, soft, "straight_through")) return wg__nil_of_both(hard, soft);
    if (!wg__shape(hard, &a, "straight_through") || !wg__shape(soft, &b, "straight_through"))
        return wg__nil_of(hard);
    if (!wg_shape_equal(&a, &b))
        return wg_fail(hard, WG_ERR_SHAPE, "straight_through", "%s, %s: hard and soft must have equal shapes",
                       wg_shape_text(&a, text_a, sizeof text_a), wg_shape_text(&b, text_b, sizeof text_b));
    if (!wg__both_float(hard, soft, "straight_through")) return wg__nil_of(hard);
    return wg_add(wg_detach(hard), wg_sub(soft, wg_detach(soft)));
}

wg_tensor wg_gumbel_softmax(wg_tensor logits, double tau, bool hard, int axis)
{
    wg_shape shape;
    if (!wg__shape(logits, &shape, "gumbel_softmax") || !wg__float(logits, "gumbel_softmax"))
        return wg__nil_of(logits);
    if (!(tau > 0)) return wg_fail(logits, WG_ERR_ARGUMENT, "gumbel_softmax", "tau = %g: must be more than 0", tau);
    if (!wg__axis(logits, &axis, "gumbel_softmax")) return wg__nil_of(logits);
    /* Uniform numbers are at most 1 - 2^-24 in f32, 1 - 2^-53 in f64. With 2^-25 for 0 both logarithms are finite. */
    wg_tensor uniform = wg_uniform(logits.tape, wg_dtype_get(logits), shape, 0x1p-25, 1);
    wg_tensor gumbel = wg_neg(wg_log(wg_neg(wg_log(uniform))));
    wg_tensor soft = wg_softmax(wg_div_scalar(wg_add(logits, gumbel), tau), axis);
    return hard ? wg_straight_through(wg_hardmax(soft, axis), soft) : soft;
}
