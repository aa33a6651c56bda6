/* Batch norm over all axes but 1, by composition: with given statistics, and with those of the batch. */
#include "internal.h"

static bool check(wg_tensor x, wg_shape *shape, wg_tensor *weight, wg_tensor *bias, double epsilon, const char *op)
{
    const wg_tensor other = weight->tape ? *weight : *bias;
    if (!x.tape && other.tape) return wg_fail(other, WG_ERR_ARGUMENT, op, "operand 1 was never set"), false;
    if (!wg__shape(x, shape, op) || !wg__float(x, op)) return false;
    if (!(epsilon >= 0)) return wg_fail(x, WG_ERR_ARGUMENT, op, "epsilon = %g: must be 0 or more", epsilon), false;
    if (shape->rank < 2) return wg__refuse(x, WG_ERR_SHAPE, op, "x must be [N, C] or [N, C, ...]"), false;
    return wg__per_channel(x, shape, weight, "weight", false, op) &&
           wg__per_channel(x, shape, bias, "bias", false, op);
}

/* centered scale weight + bias */
static wg_tensor scaled(wg_tensor centered, wg_tensor scale, wg_tensor weight, wg_tensor bias)
{
    wg_tensor y = wg_mul(centered, weight.tape ? wg_mul(scale, weight) : scale);
    return bias.tape ? wg_add(y, bias) : y;
}

wg_tensor wg_batch_norm(wg_tensor x, wg_tensor weight, wg_tensor bias, wg_tensor mean, wg_tensor var,
                        double epsilon)
{
    wg_shape shape;
    if (!x.tape && mean.tape) return wg_fail(mean, WG_ERR_ARGUMENT, "batch_norm", "operand 1 was never set");
    if (!check(x, &shape, &weight, &bias, epsilon, "batch_norm") ||
        !wg__per_channel(x, &shape, &mean, "mean", true, "batch_norm") ||
        !wg__per_channel(x, &shape, &var, "variance", true, "batch_norm"))
        return wg__nil_of(x);
    return scaled(wg_sub(x, mean), wg_rsqrt(wg_add(var, wg__constant(var, epsilon))), weight, bias);
}

wg_tensor wg_batch_norm_train(wg_tensor x, wg_tensor weight, wg_tensor bias, double epsilon, wg_tensor *mean,
                              wg_tensor *var)
{
    wg_shape shape;
    uint32_t over = 0;
    bool empty = false, several = false;
    if (mean) *mean = wg__nil_of(x);
    if (var) *var = wg__nil_of(x);
    if (!check(x, &shape, &weight, &bias, epsilon, "batch_norm_train")) return wg__nil_of(x);
    for (int i = 0; i < shape.rank; i++) {
        if (i == 1) continue;
        over |= 1u << i;
        empty |= shape.size[i] == 0;
        several |= shape.size[i] > 1;
    }
    if (empty || !several)
        return wg__refuse(x, WG_ERR_SHAPE, "batch_norm_train",
                          "a batch needs more than one value per channel (axis 1)");
    wg__centered c = wg__center(x, over, true, epsilon);
    if (mean) *mean = wg_reshape(c.mean, WG_DIMS(shape.size[1]));
    if (var) *var = wg_reshape(wg_div(wg_div(c.variance, c.unit), c.unit), WG_DIMS(shape.size[1]));
    return scaled(c.x, wg__center_scale(&c, epsilon), weight, bias);
}
