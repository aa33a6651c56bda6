/* Gradient clipping, and the global norm. */
#include "internal.h"

#include "../autograd/base/fp.h"

#include <math.h>

enum { PARAMS_AT_ONCE = 256 };

/* The parameter at this index if a step would update it, else NULL. */
static wg_param *updated_at(const wg_params *set, size_t index)
{
    wg_param *param = wg__trainable_at(set, index);
    return wg_param_is_frozen(param) ? NULL : param;
}

/* Of a loop over the gradients of parameters from `first` on. */
typedef struct loop {
    wg_params *set;
    size_t first;
    double number; /* of the loop */
    void (*change)(int64_t n, void *g, double number);
    double sum[PARAMS_AT_ONCE]; /* of each parameter */
} loop;

static int64_t numel_of(const void *context, size_t i)
{
    const loop *l = context;
    const wg_param *param = updated_at(l->set, l->first + i);
    return param ? wg_param_numel(param) : 0;
}

static void square(void *context, size_t i, int64_t at, int64_t n)
{
    loop *l = context;
    l->sum[i] = wg__update_get(wg_params_dtype(l->set))
                    ->sum_squares(n, wg_param_grad(updated_at(l->set, l->first + i)), l->number);
}

/* Whole parameters, since the order of additions depends on n. */
static double sum_squares(wg_params *set, double unit)
{
    double sum = 0;
    for (size_t first = 0, n = wg_params_count(set); first < n; first += PARAMS_AT_ONCE) {
        loop l = {.set = set, .first = first, .number = unit};
        const size_t some = n - first < PARAMS_AT_ONCE ? n - first : PARAMS_AT_ONCE;
        wg__pieces_run(set, &(wg__pieces){some, WG__WHOLE, numel_of, square, &l});
        for (size_t i = 0; i < some; i++) sum += l.sum[i];
    }
    return sum;
}

/* In another unit, a power of two, if squares overflow or vanish; those of f32 do neither. */
WG__FP_CALLED static double global_norm(wg_params *set)
{
    double sum = sum_squares(set, 1), unit = sum > 1 ? 0x1p-600 : 0x1p600;
    if ((sum > 0x1p-900 && sum < INFINITY) || wg_params_dtype(set) == WG_F32) return sqrt(sum);
    return sqrt(sum_squares(set, unit)) / unit;
}

static void change(void *context, size_t i, int64_t at, int64_t n)
{
    const loop *l = context;
    char *gradient = (char *)(uintptr_t)wg_param_grad(updated_at(l->set, i));
    l->change(n, gradient + (size_t)at * wg_dtype_size(wg_params_dtype(l->set)), l->number);
}

static void for_each_gradient(wg_params *set, void (*kernel)(int64_t n, void *g, double number), double number)
{
    loop l = {.set = set, .number = number, .change = kernel};
    const size_t n = wg_params_count(set);
    for (size_t i = 0; i < n; i++) wg_param_grad_write_begin(updated_at(set, i));
    wg__pieces_run(set, &(wg__pieces){n, WG__PIECE, numel_of, change, &l});
    for (size_t i = 0; i < n; i++) wg_param_grad_write_end(updated_at(set, i));
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
