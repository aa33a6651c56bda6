/* Checkpoints: a parameter set, an optimizer's state, step and seed in one safetensors file.
 *
 * Loading makes two passes: the first checks everything, the second copies and cannot fail. Each name is looked up by
 * hash in the set and by bisection in the file, so that a load takes O(n log n). */
#include "safetensors.h"

#include "../optim/optim.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_STEP            WG__RESERVED "step"
#define KEY_SEED            WG__RESERVED "seed"
#define KEY_VERSION         WG__RESERVED "version"
#define KEY_OPTIMIZER       WG__RESERVED "optimizer"
#define KEY_OPTIMIZER_STEPS WG__RESERVED "optimizer_steps"
#define STATE_PREFIX        "optim."

/* The optimizer's arrays exist for every parameter that it trains. */
static wg_status adopt(const char *path, wg_optimizer *optimizer, wg_error *error)
{
    const wg_status status = optimizer ? wg_optimizer_adopt(optimizer) : WG_OK;
    return status == WG_OK ? status
                           : wg_error_set(error, status, WG__AT "%s", path, wg_optimizer_message(optimizer));
}

/* ---- saving ---- */

static wg_status check_to_save(const char *path, const wg_checkpoint *c, wg_error *error)
{
    if (!c || !c->params) return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "no parameters to save", path);
    if (wg_params_status(c->params) != WG_OK)
        return wg_error_set(error, wg_params_status(c->params), "%s", wg_params_message(c->params));
    for (size_t i = 0; i < c->n_metadata; i++)
        if (c->metadata[i].key && strncmp(c->metadata[i].key, WG__RESERVED, sizeof WG__RESERVED - 1) == 0)
            return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "%.80s: keys that begin with \"%s\" are reserved",
                                path, c->metadata[i].key, WG__RESERVED);
    if (c->saved_as != WG_F32 && c->saved_as != WG_BF16)
        return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "parameters are saved as WG_F32 or WG_BF16, not %s",
                            path, wg_dtype_name(c->saved_as));
    if (c->saved_as == WG_BF16 && wg_params_dtype(c->params) != WG_F32)
        return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "only parameters of f32 are saved as bf16, not of %s",
                            path, wg_dtype_name(wg_params_dtype(c->params)));
    if (c->optimizer && !wg_optimizer_is_whole(c->optimizer))
        return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "this process has only a part of the optimizer's state",
                            path);
    return adopt(path, c->optimizer, error);
}

static bool is_rounded(const wg_checkpoint *c, const wg_param *p)
{
    return c->saved_as == WG_BF16 && !wg_param_is_buffer(p);
}

/* To nearest, ties to even; NaN stays NaN. */
static uint16_t bf16_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((isnan(x) ? bits | 0x00400000u : bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

/* Memory for the rounded parameters; one more number, so that it is not of size 0. */
static uint16_t *rounded_new(const wg_checkpoint *c)
{
    size_t n = 1;
    for (size_t i = 0; i < wg_params_count(c->params); i++) {
        const wg_param *p = wg_params_at(c->params, i);
        if (is_rounded(c, p)) n += (size_t)wg_param_numel(p);
    }
    return malloc(n * sizeof(uint16_t));
}

/* Rounds the parameters among the entries. */
static void round_entries(const wg_checkpoint *c, size_t n_params, wg_entry *entries, uint16_t *rounded)
{
    for (size_t i = 0; i < n_params; i++) {
        const wg_param *p = wg_params_at(c->params, i);
        if (!is_rounded(c, p)) continue;
        const float *from = entries[i].data;
        entries[i].dtype = WG_BF16;
        entries[i].data = rounded;
        for (int64_t k = 0; k < wg_param_numel(p); k++) *rounded++ = bf16_of(from[k]);
    }
}

/* The file's tensors: the set's members under all their names, then the optimizer's state. */
static void fill_entries(const wg_checkpoint *c, size_t n_params, size_t n_states, wg_entry *entries)
{
    for (size_t i = 0; i < n_params; i++) {
        wg_param *p = wg_params_at(c->params, i);
        entries[i] = (wg_entry){.name = wg_params_name_at(c->params, i),
                                .dtype = wg_param_dtype(p),
                                .shape = wg_param_shape(p),
                                .data = wg_param_value(p)};
    }
    for (size_t i = 0; i < n_states; i++) {
        wg_entry *e = &entries[n_params + i];
        void *data = NULL;
        *e = (wg_entry){0};
        wg_optimizer_state_at(c->optimizer, i, &e->name, &e->dtype, &e->shape, &data);
        e->data = data;
    }
}

wg_status wg_checkpoint_save(const char *path, const wg_checkpoint *c, wg_error *error)
{
    wg_status status = check_to_save(path ? path : "", c, error);
    if (status != WG_OK) return status;
    size_t n_params = wg_params_count(c->params),
           n_states = c->optimizer ? wg_optimizer_state_count(c->optimizer) : 0;
    wg_entry *entries = malloc((n_params + n_states + 1) * sizeof *entries);
    wg_pair *pairs = malloc((c->n_metadata + 5) * sizeof *pairs);
    uint16_t *rounded = rounded_new(c);
    if (entries && pairs && rounded) {
        char step[24], seed[24], steps[24];
        uint64_t taken = c->optimizer ? wg_optimizer_steps(c->optimizer) : 0;
        snprintf(step, sizeof step, "%" PRIu64, c->step);
        snprintf(seed, sizeof seed, "%" PRIu64, c->seed);
        snprintf(steps, sizeof steps, "%" PRIu64, taken);
        size_t n = 0;
        pairs[n++] = (wg_pair){KEY_VERSION, wg_version()};
        pairs[n++] = (wg_pair){KEY_STEP, step};
        pairs[n++] = (wg_pair){KEY_SEED, seed};
        if (c->optimizer) {
            pairs[n++] = (wg_pair){KEY_OPTIMIZER, wg_optimizer_name(c->optimizer)};
            pairs[n++] = (wg_pair){KEY_OPTIMIZER_STEPS, steps};
        }
        for (size_t i = 0; i < c->n_metadata; i++) pairs[n++] = c->metadata[i];
        fill_entries(c, n_params, n_states, entries);
        round_entries(c, n_params, entries, rounded);
        status = wg_safetensors_write(path, entries, n_params + n_states, pairs, n, error);
    } else {
        status = wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", path ? path : "");
    }
    free(entries);
    free(pairs);
    free(rounded);
    return status;
}

/* ---- loading ---- */

typedef struct loader {
    const wg_safetensors *file;
    wg_checkpoint *checkpoint;
    wg_tolerate tolerate;
    void *context;
    wg_error *error;
    wg_status status;
    bool copy; /* in the second pass */
    size_t
        *first; /* [members] of a parameter, at its own index: 1 + the file's tensor of the first of its names; 0 */
    bool *used; /* [tensors of the file] has the name of a member or a state */
} loader;

bool wg_tolerate_all(void *context, const wg_difference *difference) { return true; }

/* Reports a difference. Returns false, with the status set, if it is not tolerated. */
static bool differs(loader *l, wg_difference_kind kind, const char *name, const char *format, ...) WG_PRINTF(4, 5);
static bool differs(loader *l, wg_difference_kind kind, const char *name, const char *format, ...)
{
    if (l->copy) return true; /* the first pass has reported it */
    char raw[256], text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    wg_printable(raw, text, sizeof text);
    wg_difference difference = {kind, name, text};
    if (l->tolerate && l->tolerate(l->context, &difference)) return true;
    l->status = wg_error_set(l->error, WG_ERR_FORMAT, WG__AT "%.160s", wg_safetensors_path(l->file), text);
    return false;
}

/* Notes which tensors of the file the model has, under which names. False if out of memory. */
static bool match(loader *l)
{
    const wg_checkpoint *c = l->checkpoint;
    const size_t n = wg_params_count(c->params), tensors = wg_safetensors_count(l->file);
    const char *name;
    l->first = calloc(n + 1, sizeof *l->first);
    l->used = calloc(tensors + 1, sizeof *l->used);
    if (!l->first || !l->used) return false;
    for (size_t i = 0; i < n; i++) {
        const size_t at = wg__safetensors_index(l->file, wg_params_name_at(c->params, i));
        size_t *first = &l->first[wg_param_index(wg_params_at(c->params, i))];
        l->used[at] = true; /* [tensors]: none */
        if (*first == 0 && at < tensors) *first = at + 1;
    }
    for (size_t i = 0; wg_optimizer_state_at(c->optimizer, i, &name, NULL, NULL, NULL); i++)
        l->used[wg__safetensors_index(l->file, name)] = true;
    return true;
}

/* Finds the parameter in the file under any of its names, in the set's order. */
static bool find_any_name(const loader *l, const wg_param *p, wg_entry *e)
{
    const size_t first = l->first[wg_param_index(p)];
    if (first) *e = wg_safetensors_at(l->file, first - 1);
    return first > 0;
}

/* ---- numbers of other types ---- */

static double f32_at(const char *from)
{
    float x;
    return memcpy(&x, from, sizeof x), (double)x;
}

static double f64_at(const char *from)
{
    double x;
    return memcpy(&x, from, sizeof x), x;
}

/* The upper half of an f32. */
static double bf16_at(const char *from)
{
    uint16_t half;
    memcpy(&half, from, sizeof half);
    const uint32_t bits = (uint32_t)half << 16;
    return f32_at((const char *)&bits);
}

/* A sign, 5 bits of an exponent with bias 15, 10 bits of a fraction. */
static double f16_at(const char *from)
{
    uint16_t half;
    memcpy(&half, from, sizeof half);
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double size = exponent == 31 ? (fraction ? NAN : INFINITY)
                        : exponent     ? ldexp(1024 + fraction, exponent - 25)
                                       : ldexp(fraction, -24);
    return half >> 15 ? -size : size;
}

static double i64_at(const char *from)
{
    int64_t x;
    return memcpy(&x, from, sizeof x), (double)x;
}

/* The types that convert to floats. Counters such as batch norm's num_batches_tracked are 64-bit integers in PyTorch's
 * files, floats in our buffers. */
typedef struct converter {
    const char *type;
    size_t size;
    double (*at)(const char *from);
    bool buffers; /* for buffers only */
} converter;

static const converter *converter_of(const wg_entry *e, wg_dtype dtype, bool buffer)
{
    static const converter converters[] = {{"F32", 4, f32_at, false},
                                           {"F64", 8, f64_at, false},
                                           {"BF16", 2, bf16_at, false},
                                           {"F16", 2, f16_at, false},
                                           {"I64", 8, i64_at, true}};
    for (size_t i = 0; i < sizeof converters / sizeof *converters; i++)
        if (!strcmp(e->type, converters[i].type))
            return wg_dtype_is_float(dtype) && (buffer || !converters[i].buffers) ? &converters[i] : NULL;
    return NULL;
}

/* Whether a finite number would become infinite. */
static bool overflows(const wg_entry *e, wg_dtype dtype)
{
    if (e->dtype != WG_F64 || dtype != WG_F32) return false;
    for (size_t i = 0; i < e->bytes / sizeof(double); i++) {
        const double number = f64_at((const char *)e->data + 8 * i);
        if (isfinite(number) && isinf((float)number)) return true;
    }
    return false;
}

/* Rounds to nearest. */
static void copy_numbers(const wg_entry *e, wg_dtype dtype, void *to)
{
    if (e->dtype == dtype) {
        if (e->bytes) memcpy(to, e->data, e->bytes);
        return;
    }
    const converter *from = converter_of(e, dtype, true);
    assert(from && e->bytes % from->size == 0);
    for (size_t i = 0; i < e->bytes / from->size; i++) {
        const double number = from->at((const char *)e->data + i * from->size);
        if (dtype == WG_F32)
            ((float *)to)[i] = (float)number;
        else
            ((double *)to)[i] = number;
    }
}

/* ---- members and states ---- */

/* Compares the file's tensor with the model's shape and dtype. *fits: it can be copied. Returns false to stop. */
static bool compare(loader *l, const wg_entry *e, wg_dtype dtype, bool buffer, const wg_shape *shape, bool *fits)
{
    char ours[64], theirs[64];
    wg_shape_text(shape, ours, sizeof ours);
    wg_shape_text(&e->shape, theirs, sizeof theirs);
    *fits = false;
    if (!wg_shape_equal(&e->shape, shape))
        return differs(l, WG_OTHER_SHAPE, e->name, "shape differs: %.100s is %s in the file, %s in the model",
                       e->name, theirs, ours);
    if (e->dtype != dtype && !converter_of(e, dtype, buffer))
        return differs(l, WG_OTHER_DTYPE, e->name, "dtype differs: %.100s is %s in the file, %s in the model",
                       e->name, e->type, wg_dtype_name(dtype));
    if (overflows(e, dtype))
        return differs(l, WG_OTHER_DTYPE, e->name, "dtype differs: %.100s has numbers that do not fit f32",
                       e->name);
    *fits = true;
    return true;
}

/* All names of a tied parameter must have the same values in the file. */
static bool ties_agree(loader *l, const wg_entry *e, const wg_param *p)
{
    wg_entry first;
    if (!find_any_name(l, p, &first) || strcmp(e->name, first.name) == 0) return true;
    if (first.bytes == e->bytes && memcmp(first.data, e->data, e->bytes) == 0) return true;
    l->status = wg_error_set(l->error, WG_ERR_FORMAT, WG__AT "%.80s and %.80s are tied but differ in the file",
                             wg_safetensors_path(l->file), first.name, e->name);
    return false;
}

static bool load_param(loader *l, size_t index)
{
    wg_param *p = wg_params_at(l->checkpoint->params, index);
    const char *name = wg_params_name_at(l->checkpoint->params, index);
    wg_shape shape = wg_param_shape(p);
    wg_entry e;
    bool fits;
    if (!wg_safetensors_find(l->file, name, &e)) {
        char text[64];
        if (find_any_name(l, p, &e)) return true;
        return differs(l, WG_MISSING, name, "missing: %.100s %s", name, wg_shape_text(&shape, text, sizeof text));
    }
    if (!compare(l, &e, wg_param_dtype(p), wg_param_is_buffer(p), &shape, &fits)) return false;
    if (!fits) return true;
    if (!l->copy) return ties_agree(l, &e, p);
    copy_numbers(&e, wg_param_dtype(p), wg_param_write_begin(p));
    wg_param_write_end(p);
    return true;
}

/* A step count, the only i32 state, must not be negative. */
static bool check_step_count(loader *l, const wg_entry *e)
{
    int32_t count;
    if (e->dtype != WG_I32 || e->bytes != sizeof count) return true;
    memcpy(&count, e->data, sizeof count);
    if (count >= 0) return true;
    l->status = wg_error_set(l->error, WG_ERR_FORMAT, WG__AT "%.160s is %d, not a step count",
                             wg_safetensors_path(l->file), e->name, count);
    return false;
}

static bool load_state(loader *l, size_t index)
{
    const char *name;
    wg_dtype dtype;
    wg_shape shape;
    void *data;
    wg_entry e;
    bool fits;
    if (!wg_optimizer_state_at(l->checkpoint->optimizer, index, &name, &dtype, &shape, &data)) return true;
    if (!wg_safetensors_find(l->file, name, &e)) return differs(l, WG_MISSING, name, "missing: %.100s", name);
    if (!compare(l, &e, dtype, false, &shape, &fits)) return false;
    if (!fits) return true;
    if (!l->copy) return check_step_count(l, &e);
    copy_numbers(&e, dtype, data);
    return true;
}

/* Reports a tensor of the file that the model does not have. */
static bool check_unexpected(loader *l, const wg_entry *e)
{
    if (!l->checkpoint->optimizer && strncmp(e->name, STATE_PREFIX, sizeof STATE_PREFIX - 1) == 0) return true;
    char text[64];
    return differs(l, WG_UNEXPECTED, e->name, "unexpected: %.100s %s", e->name,
                   wg_shape_text(&e->shape, text, sizeof text));
}

/* One pass. Returns false, with the status set, if it stops early. */
static bool pass(loader *l, bool copy)
{
    const wg_checkpoint *c = l->checkpoint;
    l->copy = copy;
    for (size_t i = 0; i < wg_params_count(c->params); i++)
        if (!load_param(l, i)) return false;
    const size_t n_states = wg_optimizer_state_count(c->optimizer);
    for (size_t i = 0; i < n_states; i++)
        if (!load_state(l, i)) return false;
    for (size_t i = 0; i < wg_safetensors_count(l->file) && !copy; i++) {
        if (l->used[i]) continue;
        wg_entry e = wg_safetensors_at(l->file, i);
        if (!check_unexpected(l, &e)) return false;
    }
    return true;
}

/* An unsigned integer from the metadata; 0 if the key is missing. */
static bool read_number(loader *l, const char *key, uint64_t *number)
{
    const char *text = wg_safetensors_metadata(l->file, key);
    char *end;
    *number = 0;
    if (!text) return true;
    errno = 0;
    *number = strtoull(text, &end, 10);
    if (errno == 0 && *text >= '0' && *text <= '9' && !*end) return true;
    l->status = wg_error_set(l->error, WG_ERR_FORMAT, WG__AT "%s is \"%.40s\", not an integer",
                             wg_safetensors_path(l->file), key, text);
    return false;
}

static bool check_optimizer(loader *l)
{
    const char *theirs = wg_safetensors_metadata(l->file, KEY_OPTIMIZER);
    if (!l->checkpoint->optimizer || !theirs) return true;
    const char *ours = wg_optimizer_name(l->checkpoint->optimizer);
    if (strcmp(ours, theirs) == 0) return true;
    l->status = wg_error_set(l->error, WG_ERR_FORMAT, WG__AT "saved with optimizer %.40s, not %s",
                             wg_safetensors_path(l->file), theirs, ours);
    return false;
}

wg_status wg_checkpoint_load(const wg_safetensors *file, wg_checkpoint *checkpoint, wg_tolerate tolerate,
                             void *context, wg_error *error)
{
    if (!file || !checkpoint || !checkpoint->params)
        return wg_error_set(error, WG_ERR_ARGUMENT, "checkpoint_load: no file or no parameters");
    const wg_status adopted = adopt(wg_safetensors_path(file), checkpoint->optimizer, error);
    if (adopted != WG_OK) return adopted;
    loader l = {.file = file, .checkpoint = checkpoint, .tolerate = tolerate, .context = context, .error = error};
    uint64_t step, seed, optimizer_steps;
    bool ok = read_number(&l, KEY_STEP, &step) && read_number(&l, KEY_SEED, &seed) &&
              read_number(&l, KEY_OPTIMIZER_STEPS, &optimizer_steps) && check_optimizer(&l);
    if (ok && !match(&l)) {
        l.status = wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", wg_safetensors_path(file));
        ok = false;
    }
    ok = ok && pass(&l, false);
    if (ok) pass(&l, true);
    free(l.first);
    free(l.used);
    if (!ok) return l.status;
    checkpoint->step = step;
    checkpoint->seed = seed;
    if (checkpoint->optimizer) wg_optimizer_set_steps(checkpoint->optimizer, optimizer_steps);
    return WG_OK;
}
