/* Cases with reference numbers: see golden.h. */
#include "golden.h"

/* ---- reference numbers ---- */

bool find(const run *r, const char *what, wg_entry *entry)
{
    char name[128];
    snprintf(name, sizeof name, "%s/%s", r->name, what);
    return wg_safetensors_find(r->file, name, entry);
}

wg_entry need(run *r, const char *what)
{
    wg_entry entry;
    if (!find(r, what, &entry)) fail_msg("%s/%s is not in the file", r->name, what);
    return entry;
}

static int64_t numel(const wg_entry *entry)
{
    int64_t n = 0;
    wg_shape_numel(&entry->shape, &n);
    return n;
}

static double reference(const wg_entry *entry, int64_t i)
{
    double value;
    memcpy(&value, (const char *)entry->data + i * 8, 8);
    return value;
}

double number(wg_dtype dtype, const void *data, int64_t i)
{
    return dtype == WG_F64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
}

void copy_out(const run *r, const wg_entry *entry, int64_t first, int64_t n, void *out)
{
    for (int64_t i = 0; i < n; i++) {
        double value = reference(entry, first + i);
        if (r->dtype == WG_F64)
            ((double *)out)[i] = value;
        else
            ((float *)out)[i] = (float)value;
    }
}

wg_tensor constant(run *r, const char *what)
{
    wg_entry entry = need(r, what);
    if (entry.dtype == WG_I32) return wg_data(r->tape, WG_I32, entry.shape, entry.data);
    void *numbers = malloc((size_t)numel(&entry) * 8 + 8);
    copy_out(r, &entry, 0, numel(&entry), numbers);
    wg_tensor tensor = wg_data(r->tape, r->dtype, entry.shape, numbers);
    free(numbers);
    return tensor;
}

void set_param(run *r, wg_param *param, const char *what)
{
    wg_entry entry = need(r, what);
    if (wg_param_numel(param) != numel(&entry))
        fail_msg("%s/%s: %lld numbers, the layer has %lld", r->name, what, (long long)numel(&entry),
                 (long long)wg_param_numel(param));
    copy_out(r, &entry, 0, numel(&entry), wg_param_write_begin(param));
    wg_param_write_end(param);
}

wg_param *input(run *r, const char *what)
{
    wg_param *param = wg_param_new(r->set, what, need(r, what).shape, wg_init_zeros());
    set_param(r, param, what);
    return param;
}

/* ---- comparisons ---- */

void compare(run *r, const char *what, const void *have)
{
    wg_entry entry = need(r, what);
    int64_t n = numel(&entry), worst = -1;
    double largest = 0, error = 0, limit = r->dtype == WG_F64 ? 1e-10 : 2e-5;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(reference(&entry, i)));
    for (int64_t i = 0; have && i < n; i++) {
        double e = fabs(number(r->dtype, have, i) - reference(&entry, i)) / largest;
        if (e > error || isnan(e)) error = e, worst = i;
        if (isnan(e)) break;
    }
    if (have && error <= limit) return;
    if (have)
        FAIL("%s/%s %s: element %lld is %.17g, PyTorch's %.17g (off by %.2g of the largest, allowed %.0e)", r->name,
             what, wg_dtype_name(r->dtype), (long long)worst, number(r->dtype, have, worst),
             reference(&entry, worst), error, limit);
    else
        FAIL("%s/%s %s: no value: %s", r->name, what, wg_dtype_name(r->dtype), wg_tape_message(r->tape));
}

void compare_grad(run *r, const char *what, const wg_param *param)
{
    char name[128];
    snprintf(name, sizeof name, "grad.%s", what);
    compare(r, name, wg_param_grad(param));
}

wg_tensor weighted(run *r, const char *what, wg_tensor y)
{
    char name[128];
    snprintf(name, sizeof name, "r.%s", what);
    return wg_sum_all(wg_mul(wg_keep(y), constant(r, name)));
}

void backward(run *r, wg_tensor loss)
{
    if (wg_backward(loss) == WG_OK) return;
    FAIL("%s %s: %s", r->name, wg_dtype_name(r->dtype), wg_tape_message(r->tape));
}

/* ---- running ---- */

wg_safetensors *golden_open(const char *name)
{
    char path[1024];
    wg_error error = {0};
    snprintf(path, sizeof path, "%s/%s.safetensors", GOLDEN_FOLDER, name);
    wg_safetensors *file = wg_safetensors_open(path, &error);
    if (!file) fail_msg("%s", error.text);
    return file;
}

void both(const wg_safetensors *file, const char *name, const void *options,
          void (*body)(run *r, const void *options))
{
    if (!check_wants(name)) return;
    for (int i = 0; i < 2; i++) {
        run r = {.file = file, .name = name, .dtype = i ? WG_F32 : WG_F64};
        r.tape = wg_tape_new(wg_tape_defaults());
        r.set = wg_params_new(r.dtype);
        body(&r, options);
        wg_status status = wg_tape_reset(r.tape);
        if (status != WG_OK || wg_params_status(r.set) != WG_OK)
            FAIL("%s: %s; %s", name, wg_tape_message(r.tape), wg_params_message(r.set));
        wg_tape_free(r.tape);
        wg_params_free(r.set);
    }
}
