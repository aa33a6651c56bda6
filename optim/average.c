/* Running averages of parameters, stored in buffers of their set. */
#include "internal.h"

#include "../autograd/base/fp.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct averaged {
    wg_param *param;
    wg_buffer *average;
} averaged;

struct wg_average {
    wg__heap heap;
    double decay;
    wg_buffer *count; /* scalar: number of updates */
    bool swapped;
    size_t n, bytes; /* number of members; size of this struct including them */
    averaged members[];
};

/* The buffer prefix + name, created if it does not exist. Returns NULL on error; the set stores the error. */
static wg_buffer *buffer_for(wg_params *set, const char *prefix, const char *name, wg_shape shape)
{
    wg__heap heap = {.allocator = wg_params_allocator(set)};
    const size_t size = strlen(prefix) + strlen(name) + 1;
    char *text = wg__heap_alloc(&heap, size);
    if (!text) {
        wg_params_fail(set, WG_ERR_MEMORY, "average: out of memory");
        return NULL;
    }
    snprintf(text, size, "%s%s", prefix, name);
    wg_param *buffer = wg_param_find(set, text);
    const wg_shape found = buffer ? wg_param_shape(buffer) : shape;
    if (!buffer) {
        buffer = wg_buffer_new(set, text, shape, wg_init_zeros());
    } else if (!wg_param_is_buffer(buffer) || !wg_shape_equal(&found, &shape)) {
        wg_params_fail(set, WG_ERR_ARGUMENT, "average: %s exists and is not a buffer of the parameter's shape",
                       text);
        buffer = NULL;
    }
    wg__heap_release(&heap, text, size);
    return buffer;
}

wg_average *wg_average_new(wg_params *set, double decay)
{
    if (!set || wg_params_status(set) != WG_OK) return NULL;
    if (!(decay >= 0 && decay <= 1)) {
        wg_params_fail(set, WG_ERR_ARGUMENT, "average: decay %g is not in [0, 1]", decay);
        return NULL;
    }
    if (wg_params_storage(set) == WG_BF16) {
        wg_params_fail(set, WG_ERR_ARGUMENT, "average: parameters in bf16 are not trained: use a set of f32");
        return NULL;
    }
    const size_t count = wg_params_count(set); /* before the averages are added */
    size_t n = 0;
    for (size_t i = 0; i < count; i++) n += wg__trainable_at(set, i) != NULL;
    wg__heap heap = {.allocator = wg_params_allocator(set)};
    const size_t bytes = sizeof(wg_average) + n * sizeof(averaged);
    wg_average *a = wg__heap_alloc(&heap, bytes);
    if (!a) {
        wg_params_fail(set, WG_ERR_MEMORY, "average: out of memory");
        return NULL;
    }
    *a = (wg_average){.heap = heap, .decay = decay, .bytes = bytes};
    for (size_t i = 0; i < count; i++) {
        wg_param *param = wg__trainable_at(set, i);
        if (param) a->members[a->n++].param = param;
    }
    for (size_t i = 0; i < n; i++)
        a->members[i].average =
            buffer_for(set, "average.", wg_param_name(a->members[i].param), wg_param_shape(a->members[i].param));
    a->count = buffer_for(set, "average_count", "", WG_SCALAR);
    if (wg_params_status(set) == WG_OK) return a;
    wg_average_free(a);
    return NULL;
}

void wg_average_free(wg_average *a)
{
    if (!a) return;
    wg__heap heap = a->heap;
    wg__heap_release(&heap, a, a->bytes);
}

static double update_count(const wg_average *a)
{
    const void *count = wg_param_value(a->count);
    return wg_param_dtype(a->count) == WG_F64 ? *(const double *)count : (double)*(const float *)count;
}

static void set_count(wg_average *a, double value)
{
    void *count = wg_param_write_begin(a->count);
    if (wg_param_dtype(a->count) == WG_F64)
        *(double *)count = value;
    else
        *(float *)count = (float)value;
    wg_param_write_end(a->count);
}

/* a += share (p - a): from the nearer end, so that a share of 1 gives p, and equal numbers stay. */
#define BLEND(name, real)                                                                                          \
    static void name(int64_t n, real *a, const real *p, double share)                                              \
    {                                                                                                              \
        const real of_a = (real)share, of_p = (real)(1 - share);                                                   \
        for (int64_t i = 0; i < n; i++) {                                                                          \
            const real d = p[i] - a[i];                                                                            \
            a[i] = share < 0.5 ? a[i] + of_a * d : p[i] - of_p * d;                                                \
        }                                                                                                          \
    }
BLEND(blend_f32, float)
BLEND(blend_f64, double)

WG__FP_CALLED static void update(wg_average *a)
{
    const double k = update_count(a) + 1, share = a->decay == 1 ? 1 / k : (1 - a->decay) / (1 - pow(a->decay, k));
    for (size_t i = 0; i < a->n; i++) {
        const averaged *m = &a->members[i];
        void *average = wg_param_write_begin(m->average);
        if (wg_param_dtype(m->param) == WG_F64)
            blend_f64(wg_param_numel(m->param), average, wg_param_value(m->param), share);
        else
            blend_f32(wg_param_numel(m->param), average, wg_param_value(m->param), share);
        wg_param_write_end(m->average);
    }
    set_count(a, k);
}

wg_status wg_average_update(wg_average *a)
{
    if (!a || a->swapped) return WG_ERR_ARGUMENT;
    const wg__fp caller = wg__fp_begin();
    update(a);
    wg__fp_end(&caller);
    return WG_OK;
}

void wg_average_swap(wg_average *a)
{
    if (!a) return;
    a->swapped = !a->swapped;
    if (update_count(a) == 0) return;
    for (size_t i = 0; i < a->n; i++) {
        const averaged *m = &a->members[i];
        wg__swap_bytes(wg_param_write_begin(m->param), wg_param_write_begin(m->average),
                       (size_t)wg_param_numel(m->param) * wg_dtype_size(wg_param_dtype(m->param)));
        wg_param_write_end(m->param);
        wg_param_write_end(m->average);
    }
}

bool wg_average_is_swapped(const wg_average *a) { return a && a->swapped; }
