/* RMS norm over the last axis, by composition. */
#include "internal.h"

wg_tensor wg_rms_norm(wg_tensor x, wg_tensor weight, double epsilon)
{
    wg_shape shape, have;
    char text[128];
    if (!x.tape && weight.tape) return wg_fail(weight, WG_ERR_ARGUMENT, "rms_norm", "operand 1 was never set");
    if (!wg__shape(x, &shape, "rms_norm") || !wg__both_float(x, x, "rms_norm")) return wg__nil_of(x);
    if (!(epsilon >= 0)) return wg_fail(x, WG_ERR_ARGUMENT, "rms_norm", "epsilon = %g is negative", epsilon);
    if (shape.rank == 0 || shape.size[shape.rank - 1] == 0)
        return wg__refuse(x, WG_ERR_SHAPE, "rms_norm", "the last axis must have elements");
    if (weight.tape) {
        if (!wg__shape(weight, &have, "rms_norm")) return wg__nil_of(x);
        if (have.rank != 1 || have.size[0] != shape.size[shape.rank - 1])
            return wg__refuse(x, WG_ERR_SHAPE, "rms_norm", "the weight is %s: must be [%lld], the last size of x",
                              wg_shape_text(&have, text, sizeof text), (long long)shape.size[shape.rank - 1]);
        if (!wg__both_float(x, weight, "rms_norm")) return wg__nil_of(x);
    }
    wg_tensor square = wg_mean(wg_square(x), WG_AXES(-1), true);
    wg_tensor y = wg_mul(x, wg_rsqrt(wg_add(square, wg__constant(x, epsilon))));
    return weight.tape ? wg_mul(y, weight) : y;
}
