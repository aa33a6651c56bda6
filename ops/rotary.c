/* Parts of transformers: compositions. */
#include "internal.h"

#include <math.h>

wg_tensor wg_swiglu(wg_tensor gate, wg_tensor x)
{
    if (!wg__both_set(gate, x, "swiglu") || !wg__both_float(gate, x, "swiglu")) return wg__nil_of_both(gate, x);
    return wg_mul(wg_silu(gate), x);
}

/* The angles [..., T, d / 2], computed in f64, since one may be thousands of turns. */
static wg_tensor angles(wg_tensor position, int64_t pairs, double base)
{
    wg_tensor i = wg_arange(position.tape, WG_F64, 0, 1, pairs);
    wg_tensor frequency = wg_exp(wg_scale(i, -log(base) / (double)pairs));
    return wg_mul(wg_unsqueeze(wg_cast(position, WG_F64), -1), frequency);
}

wg_tensor wg_rotary(wg_tensor x, wg_tensor position, double base, bool interleaved)
{
    wg_shape shape;
    if (!wg__both_set(x, position, "rotary") || !wg__shape(x, &shape, "rotary"))
        return wg__nil_of_both(x, position);
    if (!wg__float(x, "rotary")) return wg__nil_of(x);
    if (shape.rank < 2 || shape.size[shape.rank - 1] % 2 || shape.size[shape.rank - 1] < 2)
        return wg__refuse(x, WG_ERR_SHAPE, "rotary", "must be [..., T, d] with an even d");
    if (!(base > 0) || isinf(base))
        return wg_fail(x, WG_ERR_ARGUMENT, "rotary", "base = %g: must be a finite number more than 0", base);
    const int64_t d = shape.size[shape.rank - 1];
    const wg_dtype dtype = wg_dtype_get(x);
    wg_tensor angle = angles(position, d / 2, base), c = wg_cast(wg_cos(angle), dtype),
              s = wg_cast(wg_sin(angle), dtype);
    wg_tensor a = interleaved ? wg_slice_step(x, -1, 0, d, 2) : wg_slice(x, -1, 0, d / 2),
              b = interleaved ? wg_slice_step(x, -1, 1, d, 2) : wg_slice(x, -1, d / 2, d);
    wg_tensor turned[] = {wg_sub(wg_mul(a, c), wg_mul(b, s)), wg_add(wg_mul(a, s), wg_mul(b, c))};
    return interleaved ? wg_flatten(wg_stack(turned, 2, -1), -2, -1) : wg_concat(turned, 2, -1);
}

wg_tensor wg_repeat_heads(wg_tensor x, int64_t times)
{
    wg_shape shape;
    if (!wg__shape(x, &shape, "repeat_heads")) return wg__nil_of(x);
    if (shape.rank < 3 || shape.rank == WG_MAX_RANK)
        return wg__refuse(x, WG_ERR_SHAPE, "repeat_heads", "must be [..., heads, T, d]");
    if (times < 1) return wg__refuse(x, WG_ERR_ARGUMENT, "repeat_heads", "%lld times", (long long)times);
    const int heads = shape.rank - 3;
    wg_shape several = shape;
    several.rank++;
    for (int d = heads + 1; d < several.rank; d++) several.size[d] = d == heads + 1 ? times : shape.size[d - 1];
    return wg_flatten(wg_expand(wg_unsqueeze(x, heads + 1), several), heads, heads + 1);
}
