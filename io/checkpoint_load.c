/* Loading checkpoints, and weights from elsewhere, by name or by a map.
 *
 * Two passes: the first checks everything, the second copies and cannot fail. Each tensor of the file becomes a part of
 * a member; parts are sorted by member and row, so that a load takes O(n log n) for n tensors. */
#include "checkpoint.h"
#include "map.h"
#include "plain.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

wg_status wg__checkpoint_adopt(const char *path, const wg_checkpoint *checkpoint, wg_error *error)
{
    wg_optimizer *optimizer = checkpoint->optimizer;
    if (optimizer && wg_optimizer_params(optimizer) != checkpoint->params)
        return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "the optimizer is of another parameter set", path);
    if (optimizer && !wg_optimizer_is_whole(optimizer))
        return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "this process has only a part of the optimizer's state",
                            path);
    const wg_status status = optimizer ? wg_optimizer_adopt(optimizer) : WG_OK;
    return status == WG_OK ? status
                           : wg_error_set(error, status, WG__AT "%s", path, wg_optimizer_message(optimizer));
}

typedef struct loader {
    const wg_safetensors *file;
    wg_checkpoint *checkpoint;
    wg_tolerate tolerate;
    void *context;
    wg_error *error;
    wg_status status;
    bool copy;       /* in the second pass */
    bool *used;      /* [tensors of the file] by a member or a state, or not wanted by the map */
    wg__part *parts; /* sorted by member, row, tensor */
    size_t n_parts, room;
    size_t *first; /* [members + 1] the first part of a member */
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

/* Stores the reason of an error that nothing tolerates. */
static bool stop(loader *l, wg_status status, const char *format, ...) WG_PRINTF(3, 4);
static bool stop(loader *l, wg_status status, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    l->status = wg_error_set(l->error, status, WG__AT "%s", wg_safetensors_path(l->file), text);
    return false;
}

static bool no_memory(loader *l) { return stop(l, WG_ERR_MEMORY, "out of memory"); }

/* ---- parts: which tensor goes where ---- */

static bool add_part(loader *l, wg__part part)
{
    if (l->n_parts == l->room) {
        const size_t room = l->room ? 2 * l->room : 16;
        wg__part *grown = realloc(l->parts, room * sizeof *grown);
        if (!grown) return no_memory(l);
        l->parts = grown;
        l->room = room;
    }
    l->parts[l->n_parts++] = part;
    return true;
}

/* Adds the part that a tensor becomes by this row of the map, or by its own name. */
static bool place(loader *l, size_t tensor, const wg_map_row *row)
{
    enum { MOST_NAME = 1024 };
    const wg_entry e = wg_safetensors_at(l->file, tensor);
    char to[MOST_NAME];
    if (row) l->used[tensor] = true;
    if (row && !row->to) return true;
    if (row && !wg__map_name(row, e.name, to, sizeof to))
        return stop(l, WG_ERR_FORMAT, "the map makes a name of more than 1023 bytes of %.80s", e.name);
    const wg_param *p = wg_param_find(l->checkpoint->params, row ? to : e.name);
    if (!p && row)
        return differs(l, WG_UNEXPECTED, e.name, "unexpected: %.80s goes to %.80s, which the model lacks", e.name,
                       to);
    if (!p) return true; /* a state's, or unexpected */
    wg__part part = {
        .tensor = tensor, .param = wg_param_index(p), .how = row, .row = row ? row->row : 0, .rows = 1};
    wg__arranged a;
    /* One that cannot be arranged is reported with its member. */
    if (!wg__arrange(row, &e.shape, &a) && a.shape.rank > 0) part.rows = a.shape.size[0];
    l->used[tensor] = true;
    return add_part(l, part);
}

static bool place_tensor(loader *l, size_t tensor)
{
    const wg_checkpoint *c = l->checkpoint;
    const size_t n = c->map ? c->n_map : 0;
    const wg_map_row *row = wg__map_find(c->map, n, wg_safetensors_at(l->file, tensor).name);
    bool ok = place(l, tensor, row);
    while (ok && row && (row = wg__map_next(c->map, n, row))) ok = place(l, tensor, row);
    return ok;
}

static bool is_before(const void *context, const void *a, const void *b)
{
    const wg__part *x = a, *y = b;
    return x->param != y->param ? x->param < y->param : x->row != y->row ? x->row < y->row : x->tensor < y->tensor;
}

/* Finds the parts of all members, and the tensors of the optimizer's state. */
static bool place_all(loader *l)
{
    const wg_checkpoint *c = l->checkpoint;
    const size_t n = wg_params_count(c->params), tensors = wg_safetensors_count(l->file);
    const char *name;
    l->first = calloc(n + 1, sizeof *l->first);
    l->used = calloc(tensors + 1, sizeof *l->used);
    if (!l->first || !l->used) return no_memory(l);
    for (size_t i = 0; i < tensors; i++)
        if (!place_tensor(l, i)) return false;
    if (l->n_parts) wg__sort(l->parts, l->n_parts, sizeof *l->parts, is_before, NULL);
    for (size_t i = 0; i < l->n_parts; i++) l->first[l->parts[i].param + 1] = i + 1;
    for (size_t i = 1; i <= n; i++)
        if (l->first[i] < l->first[i - 1]) l->first[i] = l->first[i - 1];
    for (size_t i = 0; wg_optimizer_state_at(c->optimizer, i, &name, NULL, NULL, NULL); i++)
        l->used[wg__safetensors_index(l->file, name)] = true; /* [tensors]: none */
    return true;
}

/* ---- members ---- */

/* Compares the file's numbers with the model's dtype. *fits: they convert. Returns false to stop. */
static bool compare_dtype(loader *l, const wg_entry *e, wg_dtype dtype, bool buffer, bool *fits)
{
    *fits = false;
    if (e->dtype != dtype && !wg__converter_of(e, dtype, buffer))
        return differs(l, WG_OTHER_DTYPE, e->name, "dtype differs: %.100s is %s in the file, %s in the model",
                       e->name, e->type, wg_dtype_name(dtype));
    if (wg__overflows(e, dtype))
        return differs(l, WG_OTHER_DTYPE, e->name, "dtype differs: %.100s has numbers that do not fit f32",
                       e->name);
    *fits = true;
    return true;
}

/* Reports that shapes differ. */
static bool other_shape(loader *l, const wg_entry *e, const wg_shape *shape)
{
    char ours[64], theirs[64];
    return differs(l, WG_OTHER_SHAPE, e->name, "shape differs: %.100s is %s in the file, %s in the model", e->name,
                   wg_shape_text(&e->shape, theirs, sizeof theirs), wg_shape_text(shape, ours, sizeof ours));
}

/* Whether an arranged tensor fits into rows of a member; one that is not cut must fill it. */
static bool fits_rows(const wg__part *part, const wg__arranged *a, const wg_shape *shape, bool alone)
{
    const bool is_cut = part->how && (part->how->row || part->how->rows || part->how->take || !alone);
    wg_shape rest = *shape;
    if (!is_cut || shape->rank == 0 || a->shape.rank != shape->rank) return wg_shape_equal(&a->shape, shape);
    rest.size[0] = a->shape.size[0];
    return wg_shape_equal(&a->shape, &rest) && part->row <= shape->size[0] &&
           part->rows <= shape->size[0] - part->row;
}

/* Whether the part can be copied. Returns false to stop. */
static bool compare(loader *l, wg__part *part, const wg_param *p, bool alone)
{
    const wg_entry e = wg_safetensors_at(l->file, part->tensor);
    const wg_shape shape = wg_param_shape(p);
    wg__arranged a;
    char ours[64], theirs[64], arranged[64];
    const char *wrong = wg__arrange(part->how, &e.shape, &a);
    if (wrong)
        return differs(l, WG_OTHER_SHAPE, e.name, "shape differs: %.80s is %s in the file, and by the map %s",
                       e.name, wg_shape_text(&e.shape, theirs, sizeof theirs), wrong);
    if (!fits_rows(part, &a, &shape, alone)) {
        if (!part->how) return other_shape(l, &e, &shape);
        return differs(l, WG_OTHER_SHAPE, e.name,
                       "shape differs: %.60s is %s by the map, from row %lld on; %.60s is %s", e.name,
                       wg_shape_text(&a.shape, arranged, sizeof arranged), (long long)part->row, wg_param_name(p),
                       wg_shape_text(&shape, ours, sizeof ours));
    }
    return compare_dtype(l, &e, wg_param_dtype(p), wg_param_is_buffer(p), &part->fits);
}

/* Two parts for the same rows: a tied parameter, which the file has under several names, all with the same values. */
static bool is_tie(loader *l, const wg__part *x, const wg__part *y, const wg_param *p)
{
    const wg_entry a = wg_safetensors_at(l->file, x->tensor), b = wg_safetensors_at(l->file, y->tensor);
    if (x->how != y->how || x->row != y->row || x->rows != y->rows)
        return stop(l, WG_ERR_FORMAT, "%.60s and %.60s both go to rows of %.60s", a.name, b.name, wg_param_name(p));
    if (a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0)) return true;
    return stop(l, WG_ERR_FORMAT, "%.80s and %.80s are tied but differ in the file", a.name, b.name);
}

static bool missing_rows(loader *l, const wg_param *p, int64_t from, int64_t end)
{
    const wg_shape shape = wg_param_shape(p);
    char text[64];
    return differs(l, WG_MISSING, wg_param_name(p), "missing: rows %lld to %lld of %.100s %s", (long long)from,
                   (long long)end - 1, wg_param_name(p), wg_shape_text(&shape, text, sizeof text));
}

/* The parts of a member must fill its rows, each once. */
static bool check_parts(loader *l, const wg_param *p, wg__part *parts, size_t n)
{
    const wg_shape shape = wg_param_shape(p);
    const int64_t rows = shape.rank > 0 ? shape.size[0] : 1;
    int64_t at = 0;
    const wg__part *before = NULL; /* the part that ends at `at` */
    bool all_fit = true;
    for (size_t i = 0; i < n; i++) {
        if (!compare(l, &parts[i], p, n == 1)) return false;
        all_fit = all_fit && parts[i].fits;
        if (!parts[i].fits) continue;
        if (before && parts[i].row < at && !is_tie(l, before, &parts[i], p)) return false;
        if (all_fit && parts[i].row > at && !missing_rows(l, p, at, parts[i].row)) return false;
        if (parts[i].row + parts[i].rows <= at) continue;
        at = parts[i].row + parts[i].rows;
        before = &parts[i];
    }
    return !all_fit || at >= rows || missing_rows(l, p, at, rows);
}

static void copy_parts(loader *l, wg_param *p, const wg__part *parts, size_t n)
{
    const wg_shape shape = wg_param_shape(p);
    const wg_dtype dtype = wg_param_dtype(p);
    const int64_t rows = shape.rank > 0 ? shape.size[0] : 1, columns = rows ? wg_param_numel(p) / rows : 0;
    bool any = false;
    for (size_t i = 0; i < n; i++) any = any || parts[i].fits;
    if (!any) return;
    char *value = wg_param_write_begin(p);
    const wg__plain caller = wg__plain_begin();
    for (size_t i = 0; i < n; i++) {
        const wg_entry e = wg_safetensors_at(l->file, parts[i].tensor);
        wg__arranged a;
        if (!parts[i].fits || wg__arrange(parts[i].how, &e.shape, &a)) continue;
        wg__copy_arranged(&a, wg__converter_of(&e, dtype, true), e.data, dtype,
                          value + (size_t)(parts[i].row * columns) * wg_dtype_size(dtype));
    }
    wg__plain_end(&caller);
    wg_param_write_end(p);
}

static bool load_param(loader *l, size_t index)
{
    wg_param *p = wg_params_at(l->checkpoint->params, index);
    const size_t first = l->first[index], n = l->first[index + 1] - first;
    const wg_shape shape = wg_param_shape(p);
    char text[64];
    if (wg_param_index(p) != index) return true; /* another name of one that has been loaded */
    if (n == 0)
        return differs(l, WG_MISSING, wg_param_name(p), "missing: %.100s %s", wg_param_name(p),
                       wg_shape_text(&shape, text, sizeof text));
    if (!l->copy) return check_parts(l, p, l->parts + first, n);
    copy_parts(l, p, l->parts + first, n);
    return true;
}

/* A step count, the only i32 state, must not be negative. */
static bool check_step_count(loader *l, const wg_entry *e)
{
    int32_t count;
    if (e->dtype != WG_I32 || e->bytes != sizeof count) return true;
    memcpy(&count, e->data, sizeof count);
    if (count >= 0) return true;
    return stop(l, WG_ERR_FORMAT, "%.160s is %d, not a step count", e->name, count);
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
    if (!wg_shape_equal(&e.shape, &shape)) return other_shape(l, &e, &shape);
    if (!compare_dtype(l, &e, dtype, false, &fits)) return false;
    if (!fits) return true;
    if (!l->copy) return check_step_count(l, &e);
    if (e.dtype == WG_I32) { /* a step count, as ours */
        memcpy(data, e.data, e.bytes);
        return true;
    }
    const wg__converter *c = wg__converter_of(&e, dtype, false);
    const wg__plain caller = wg__plain_begin();
    wg__convert(c, e.data, 1, (int64_t)(e.bytes / wg__converter_size(c)), dtype, data);
    wg__plain_end(&caller);
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
    return stop(l, WG_ERR_FORMAT, "%s is \"%.40s\", not an integer", key, text);
}

static bool check_optimizer(loader *l)
{
    const char *theirs = wg_safetensors_metadata(l->file, KEY_OPTIMIZER);
    if (!l->checkpoint->optimizer || !theirs) return true;
    const char *ours = wg_optimizer_name(l->checkpoint->optimizer);
    if (strcmp(ours, theirs) == 0) return true;
    return stop(l, WG_ERR_FORMAT, "saved with optimizer %.40s, not %s", theirs, ours);
}

wg_status wg_checkpoint_load(const wg_safetensors *file, wg_checkpoint *checkpoint, wg_tolerate tolerate,
                             void *context, wg_error *error)
{
    if (!file || !checkpoint || !checkpoint->params)
        return wg_error_set(error, WG_ERR_ARGUMENT, "checkpoint_load: no file or no parameters");
    wg_status status = wg__map_check(checkpoint->map, checkpoint->map ? checkpoint->n_map : 0, error);
    if (status != WG_OK) return status;
    status = wg__checkpoint_adopt(wg_safetensors_path(file), checkpoint, error);
    if (status != WG_OK) return status;
    loader l = {.file = file, .checkpoint = checkpoint, .tolerate = tolerate, .context = context, .error = error};
    uint64_t step, seed, optimizer_steps;
    bool ok = read_number(&l, KEY_STEP, &step) && read_number(&l, KEY_SEED, &seed) &&
              read_number(&l, KEY_OPTIMIZER_STEPS, &optimizer_steps) && check_optimizer(&l);
    ok = ok && place_all(&l);
    ok = ok && pass(&l, false);
    if (ok) pass(&l, true);
    free(l.first);
    free(l.parts);
    free(l.used);
    if (!ok) return l.status;
    checkpoint->step = step;
    checkpoint->seed = seed;
    if (checkpoint->optimizer) wg_optimizer_set_steps(checkpoint->optimizer, optimizer_steps);
    return WG_OK;
}
