/* Gradient clipping, and the global norm. */
#include "internal.h"

#include "../autograd/base/fp.h"

#include <math.h>

/* The parameter at this index if a step would update it, else NULL. */
static wg_param *updated_at(const wg_params *set, size_t index)
{
    wg_param *param = wg__trainable_at(set, index);
    return wg_param_is_frozen(param) ? NULL : param;
}

static double sum_squares(const wg_params *set, double unit)
{
    const wg__update_kernels *kernels = wg__update_get(wg_params_dtype(set));
    double sum = 0;
    for (size_t i = 0, n = wg_params_count(set); i < n; i++) {
        wg_param *param = updated_at(set, i);
        if (param) sum += kernels->sum_squares(wg_param_numel(param), wg_param_grad(param), unit);
    }
    return sum;
}

/* In another unit, a power of two, if squares overflow or vanish; those of f32 do neither. */
WG__FP_CALLED static double global_norm(const wg_params *set)
{
    double sum = sum_squares(set, 1), unit = sum > 1 ? 0x1p-600 : 0x1p600;
    if ((sum > 0x1p-900 && sum < INFINITY) || wg_params_dtype(set) == WG_F32) return sqrt(sum);
    return sqrt(sum_squares(set, unit)) / unit;
}

static void for_each_gradient(wg_params *set, void (*loop)(int64_t n, void *g, double number), double number)
{
    for (size_t i = 0, n = wg_params_count(set); i < n; i++) {
        wg_param *param = updated_at(set, i);
        void *gradient = wg_param_grad_write_begin(param);
        if (!gradient) continue;
        loop(wg_param_numel(param), gradient, number);
        wg_param_grad_write_end(param);
    }
}

WG__FP_CALLED static double clip_norm(wg_params *set, double max_norm)
{
    const double norm = global_norm(set),
                 unit = norm > 0x1p900 ? 0x1p-512 : 1; /* in which the factor is no denormal */
    void (*scale)(int64_t n, void *g, double factor) = wg__update_get(wg_params_dtype(set))->scale;
    if (!(norm > max_norm) || !isfinite(norm)) return norm;
    if (unit < 1) for_each_gradient(set, scale, unit);
    for_each_gradient(set, scale, max_norm / (norm * unit + 1e-6 * unit));
    return norm;
}

wg_status wg_clip_grad_norm(wg_params *set, double max_norm, double *norm_before)
{
    if (norm_before) *norm_before = 0;
    if (!set || !(max_norm >= 0)) return WG_ERR_ARGUMENT;
    const wg__fp caller = wg__fp_begin();
    double norm = clip_norm(set, max_norm);
    wg__fp_end(&caller);
    if (norm_before) *norm_before = norm;
    return WG_OK;
}

wg_status wg_clip_grad_value(wg_params *set, double limit, double *norm_before)
{
    if (norm_before) *norm_before = 0;
    if (!set || !(limit >= 0)) return WG_ERR_ARGUMENT;
    const wg__fp caller = wg__fp_begin();
    if (norm_before) *norm_before = global_norm(set);
    for_each_gradient(set, wg__update_get(wg_params_dtype(set))->clamp, limit);
    wg__fp_end(&caller);
    return WG_OK;
}
