/* Parameters and buffers: named values in slabs that never move. */
#include "../base/bf16.h"
#include "../base/fp.h"
#include "../base/pool.h"
#include "../base/random.h"
#include "graph.h"

#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

typedef struct slab { /* values, and gradients at the same offsets */
    struct slab *next;
    size_t size, used;
    char *values, *grads; /* grads: NULL for buffers and for parameters in bf16 */
} slab;

typedef struct member { /* a name; a tied parameter has several */
    char *name;
    wg_param *param;
} member;

struct wg_param {
    wg_params *set;
    const char *name;
    wg_shape shape;
    int64_t numel;
    wg_dtype dtype; /* of the value in memory */
    void *value, *grad;
    uint64_t id, version;
    uint32_t index; /* of the member of its own name */
    bool buffer, frozen;
    bool open; /* between wg_param_write_begin and wg_param_write_end */
    _Atomic uint8_t grad_state;
};

/* Of a gradient. Nothing was added to it since wg_zero_grad unless it is WRITTEN. The contents of an EMPTY one are
 * undefined: readers, which may be several threads, clear it. Those of a READABLE one are zeros, or what a run that
 * goes on has written. */
enum { GRAD_WRITTEN, GRAD_EMPTY, GRAD_CLEARING, GRAD_READABLE };

struct wg_params {
    wg__heap heap;
    wg_error error;
    const wg__structural *structural;
    wg_dtype dtype;   /* of tensors, gradients and buffers */
    wg_dtype storage; /* of parameters: dtype, or WG_BF16 */
    uint64_t seed;
    bool grad_invalid;
    wg__pool_handle *pool;
    slab *slabs;
    wg__arena names;
    member *members;
    uint32_t n_members, cap_members;
    wg__index by_name; /* name -> index of its member, plus 1 */
};

enum { SLAB_BYTES = 1 << 18 };

static size_t bytes_of(const wg_param *param) { return (size_t)param->numel * wg_dtype_size(param->dtype); }

static _Atomic uint64_t next_id = 1; /* of parameters; unique in the process and, unlike addresses, never reused */

/* ---- the set ---- */

wg_params *wg__params_new(wg_dtype dtype, wg_allocator allocator, uint64_t seed, const wg__structural *structural)
{
    if (!wg_dtype_is_float(dtype) && dtype != WG_BF16) return NULL;
    wg__heap heap = {.allocator = allocator};
    wg_params *set = wg__heap_alloc(&heap, sizeof *set);
    if (!set) return NULL;
    *set = (wg_params){.heap = heap, .structural = structural, .storage = dtype, .seed = seed};
    set->dtype = dtype == WG_BF16 ? WG_F32 : dtype;
    set->names.heap = &set->heap;
    return set;
}

void wg__params_use_pool(wg_params *set, wg_pool *pool)
{
    if (wg__pool_of(set->pool) == pool) return;
    wg__pool_drop(set->pool);
    set->pool = wg__pool_hold(pool);
}

wg_pool *wg_params_pool(const wg_params *set) { return set ? wg__pool_of(set->pool) : NULL; }

void wg_params_free(wg_params *set)
{
    if (!set) return;
    wg__pool_drop(set->pool);
    for (uint32_t i = set->n_members; i-- > 0;) { /* ties before the parameter they name */
        wg_param *param = set->members[i].param;
        if (param->index == i) wg__heap_release(&set->heap, param, sizeof *param);
    }
    for (slab *s = set->slabs; s;) {
        slab *next = s->next;
        wg__heap_release(&set->heap, s->values, s->size);
        wg__heap_release(&set->heap, s->grads, s->size);
        wg__heap_release(&set->heap, s, sizeof *s);
        s = next;
    }
    wg__arena_release(&set->names);
    wg__index_release(&set->heap, &set->by_name);
    wg__heap_release(&set->heap, set->members, set->cap_members * sizeof *set->members);
    wg__heap last = set->heap;
    wg__heap_release(&last, set, sizeof *set);
    assert(last.memory.live == 0);
}

wg_status wg_params_status(const wg_params *set) { return set ? set->error.status : WG_ERR_ARGUMENT; }
const char *wg_params_message(const wg_params *set) { return set ? set->error.text : "no parameter set"; }
void wg_params_clear_error(wg_params *set)
{
    if (set) set->error = (wg_error){0};
}
wg_status wg_params_fail(wg_params *set, wg_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (set) wg_error_setv(&set->error, status, format, arguments);
    va_end(arguments);
    return status;
}
wg_dtype wg_params_dtype(const wg_params *set) { return set ? set->dtype : WG_F32; }
wg_dtype wg_params_storage(const wg_params *set) { return set ? set->storage : WG_F32; }
void wg_params_seed(wg_params *set, uint64_t seed)
{
    if (set) set->seed = seed;
}
wg_memory wg_params_memory(const wg_params *set) { return set ? set->heap.memory : (wg_memory){0}; }
wg_allocator wg_params_allocator(const wg_params *set) { return set ? set->heap.allocator : (wg_allocator){0}; }

/* ---- initial values ---- */

wg_init wg_init_zeros(void) { return (wg_init){.kind = WG_INIT_CONSTANT}; }
wg_init wg_init_constant(double value) { return (wg_init){.kind = WG_INIT_CONSTANT, .a = value}; }
wg_init wg_init_uniform(double low, double high) { return (wg_init){.kind = WG_INIT_UNIFORM, .a = low, .b = high}; }
wg_init wg_init_normal(double mean, double deviation)
{
    return (wg_init){.kind = WG_INIT_NORMAL, .a = mean, .b = deviation};
}
wg_init wg_init_glorot(void) /* sqrt(6 / (in + out)) = sqrt(3) / sqrt(mean of the two) */
{
    return (wg_init){.kind = WG_INIT_UNIFORM, .a = -sqrt(3), .b = sqrt(3), .by_fan = true, .fan = 2};
}
wg_init wg_init_he(void) { return (wg_init){.kind = WG_INIT_NORMAL, .b = sqrt(2), .by_fan = true}; }
wg_init wg_init_fan_in_uniform(void) { return (wg_init){.kind = WG_INIT_UNIFORM, .a = -1, .b = 1, .by_fan = true}; }
wg_init wg_init_orthogonal(double gain) { return (wg_init){.kind = WG_INIT_ORTHOGONAL, .a = gain}; }

static double fan_of(const wg_shape *shape, int which)
{
    double in = 1, out = shape->rank > 0 ? (double)shape->size[0] : 1;
    for (int i = 1; i < shape->rank; i++) in *= (double)shape->size[i];
    if (shape->rank == 1) in = out;
    for (int i = 2; i < shape->rank; i++) out *= (double)shape->size[i];
    double fan = which == 0 ? in : which == 1 ? out : (in + out) / 2;
    return fan > 0 ? fan : 1;
}

/* value: in the set's dtype */
WG__FP_CALLED static void fill(wg_params *set, const wg_param *param, wg_init init, void *value)
{
    uint64_t key = wg__hash_bytes(2, param->name, strlen(param->name));
    double factor = init.by_fan ? 1 / sqrt(fan_of(&param->shape, init.fan)) : 1;
    if (init.kind == WG_INIT_ORTHOGONAL && param->numel > 0 && param->shape.rank > 0) {
        int64_t rows = param->shape.size[0];
        set->structural->orthogonal(set->dtype, init.a, set->seed, key, rows, param->numel / rows, value);
    } else if (init.kind == WG_INIT_UNIFORM || init.kind == WG_INIT_NORMAL) {
        set->structural->fill_random(set->dtype, init.kind, init.a * factor, init.b * factor, set->seed, key,
                                     param->numel, value);
    } else {
        set->structural->from_f64(set->dtype, init.a, param->numel, value);
    }
}

/* Parameters in bf16 are rounded from f32, one after another. Returns false if out of memory. */
static bool fill_value(wg_params *set, const wg_param *param, wg_init init)
{
    const bool narrow = param->dtype == WG_BF16;
    const size_t bytes = (size_t)param->numel * sizeof(float);
    float *wide = narrow ? wg__heap_alloc(&set->heap, bytes) : NULL;
    if (narrow && !wide) return false;
    const wg__fp caller = wg__fp_begin();
    fill(set, param, init, narrow ? wide : param->value);
    wg__fp_end(&caller);
    for (int64_t i = 0; narrow && i < param->numel; i++) ((uint16_t *)param->value)[i] = wg__bf16_of(wide[i]);
    wg__heap_release(&set->heap, wide, bytes);
    return true;
}

/* ---- members ---- */

static bool has_grad(const wg_param *param) { return !param->buffer && param->dtype != WG_BF16; }

static bool place(wg_params *set, wg_param *param, size_t bytes)
{
    size_t room = wg__room_for(bytes);
    slab *s = set->slabs;
    while (s && ((s->grads != NULL) != has_grad(param) || s->size - s->used < room)) s = s->next;
    if (!s) {
        s = wg__heap_alloc(&set->heap, sizeof *s);
        if (!s) return false;
        *s = (slab){.next = set->slabs, .size = room > SLAB_BYTES ? room : SLAB_BYTES};
        s->values = wg__heap_alloc(&set->heap, s->size);
        s->grads = has_grad(param) ? wg__heap_alloc(&set->heap, s->size) : NULL;
        if (!s->values || (has_grad(param) && !s->grads)) {
            wg__heap_release(&set->heap, s->values, s->size);
            wg__heap_release(&set->heap, s->grads, s->size);
            wg__heap_release(&set->heap, s, sizeof *s);
            return false;
        }
        set->slabs = s;
    }
    assert(s->used % 64 == 0 && s->used + room <= s->size);
    param->value = s->values + s->used;
    param->grad = s->grads ? s->grads + s->used : NULL;
    s->used += room;
    return true;
}

static uint64_t hash_name(const char *name) { return wg__hash_bytes(3, name, strlen(name)); }
static uint64_t hash_member(const void *owner, uint32_t id)
{
    return hash_name(((const wg_params *)owner)->members[id - 1].name);
}

/* The entry of a name in the index, or the empty one for it. */
static uint32_t *entry_of(const wg_params *set, const char *name)
{
    const uint32_t mask = set->by_name.size - 1;
    uint32_t at = (uint32_t)hash_name(name) & mask;
    while (set->by_name.table[at] && strcmp(set->members[set->by_name.table[at] - 1].name, name) != 0)
        at = (at + 1) & mask;
    return &set->by_name.table[at];
}

/* Adds a name. Returns its copy, or NULL with an error stored. */
static const char *name_new(wg_params *set, const char *name, wg_param *param)
{
    size_t length = strlen(name) + 1;
    char *copy = wg__arena_alloc(&set->names, length, 1);
    if (!copy || !wg__index_room(&set->heap, &set->by_name, hash_member, set) ||
        !wg__grow(&set->heap, (void **)&set->members, &set->cap_members, set->n_members + 1u, sizeof(member))) {
        wg_error_set(&set->error, WG_ERR_MEMORY, "parameter %s: out of memory", name);
        return NULL;
    }
    memcpy(copy, name, length);
    set->members[set->n_members++] = (member){.name = copy, .param = param};
    *entry_of(set, copy) = set->n_members;
    set->by_name.count++;
    return copy;
}

static bool name_ok(wg_params *set, const char *name)
{
    if (!name || !name[0])
        wg_error_set(&set->error, WG_ERR_ARGUMENT, "the name of a parameter is empty");
    else if (wg_param_find(set, name))
        wg_error_set(&set->error, WG_ERR_ARGUMENT, "parameter %s: the set already has a member of this name", name);
    return set->error.status == WG_OK;
}

static wg_param *member_new(wg_params *set, const char *name, wg_shape shape, wg_init init, bool buffer)
{
    if (!set || set->error.status != WG_OK || !name_ok(set, name)) return NULL;
    const wg_dtype dtype = buffer ? set->dtype : set->storage;
    size_t bytes;
    if (!wg_shape_bytes(&shape, dtype, &bytes)) {
        char text[128];
        wg_error_set(&set->error, WG_ERR_SHAPE, "parameter %s: the size of %s is invalid or too large", name,
                     wg_shape_text(&shape, text, sizeof text));
        return NULL;
    }
    wg_param *param = wg__heap_alloc(&set->heap, sizeof *param);
    if (!param) {
        wg_error_set(&set->error, WG_ERR_MEMORY, "parameter %s: out of memory", name);
        return NULL;
    }
    *param = (wg_param){.set = set, .shape = shape, .dtype = dtype, .buffer = buffer, .version = 1};
    param->grad_state = GRAD_EMPTY;
    param->id = atomic_fetch_add(&next_id, 1);
    param->index = set->n_members;
    wg_shape_numel(&shape, &param->numel);
    assert(bytes_of(param) == bytes);
    param->name = name;
    if (!place(set, param, bytes) || !fill_value(set, param, init))
        wg_error_set(&set->error, WG_ERR_MEMORY, "parameter %s: out of memory for %zu bytes", name, bytes);
    else if ((param->name = name_new(set, name, param)))
        return param;
    wg__heap_release(&set->heap, param, sizeof *param);
    return NULL;
}

wg_param *wg_param_new(wg_params *set, const char *name, wg_shape shape, wg_init init)
{
    return member_new(set, name, shape, init, false);
}

wg_buffer *wg_buffer_new(wg_params *set, const char *name, wg_shape shape, wg_init init)
{
    return member_new(set, name, shape, init, true);
}

wg_param *wg_param_tie(wg_params *set, const char *name, wg_param *param)
{
    if (!set || !param || set->error.status != WG_OK || !name_ok(set, name)) return NULL;
    if (param->set != set) {
        wg_error_set(&set->error, WG_ERR_ARGUMENT, "parameter %s: %s belongs to another set", name, param->name);
        return NULL;
    }
    return name_new(set, name, param) ? param : NULL;
}

wg_param *wg_param_find(const wg_params *set, const char *name)
{
    const uint32_t id = set && name && set->by_name.size ? *entry_of(set, name) : 0;
    return id ? set->members[id - 1].param : NULL;
}

size_t wg_params_count(const wg_params *set) { return set ? set->n_members : 0; }
wg_param *wg_params_at(const wg_params *set, size_t index)
{
    return set && index < set->n_members ? set->members[index].param : NULL;
}
const char *wg_params_name_at(const wg_params *set, size_t index)
{
    return set && index < set->n_members ? set->members[index].name : NULL;
}

int64_t wg_params_trainable(const wg_params *set)
{
    int64_t sum = 0;
    for (uint32_t i = 0; set && i < set->n_members; i++) {
        const wg_param *param = set->members[i].param;
        if (param->index == i && has_grad(param) && !param->frozen) sum += param->numel;
    }
    return sum;
}

const char *wg_param_name(const wg_param *param) { return param ? param->name : "?"; }
size_t wg_param_index(const wg_param *param) { return param ? param->index : 0; }
wg_shape wg_param_shape(const wg_param *param) { return param ? param->shape : wg_shape_of(-1, NULL); }
wg_dtype wg_param_dtype(const wg_param *param) { return param ? param->dtype : WG_F32; }
int64_t wg_param_numel(const wg_param *param) { return param ? param->numel : 0; }
bool wg_param_is_buffer(const wg_param *param) { return param && param->buffer; }
wg_params *wg_param_set(const wg_param *param) { return param ? param->set : NULL; }
void wg_param_freeze(wg_param *param, bool frozen)
{
    if (param) param->frozen = frozen;
}
bool wg_param_is_frozen(const wg_param *param) { return param && param->frozen; }

/* ---- numbers ---- */

const void *wg_param_value(const wg_param *param) { return param ? param->value : NULL; }
uint64_t wg_param_version(const wg_param *param) { return param ? param->version : 0; }

void *wg_param_write_begin(wg_param *param)
{
    if (!param) return NULL;
    param->open = true;
    return param->value;
}
void wg_param_write_end(wg_param *param)
{
    if (!param) return;
    param->open = false;
    param->version++;
}

static void set_grad_state(wg_param *param, uint8_t state)
{
    atomic_store_explicit(&param->grad_state, state, memory_order_relaxed);
}

/* An empty gradient is cleared only when it is read; the first reader does it, others wait. */
static void grad_clear(wg_param *param)
{
    assert(param->grad);
    uint8_t state = GRAD_EMPTY;
    if (atomic_compare_exchange_strong(&param->grad_state, &state, GRAD_CLEARING)) {
        memset(param->grad, 0, bytes_of(param));
        atomic_store(&param->grad_state, GRAD_READABLE);
    }
    while (state == GRAD_CLEARING) {
        sched_yield();
        state = atomic_load(&param->grad_state);
    }
}

const void *wg_param_grad(const wg_param *param)
{
    if (!param || !has_grad(param)) return NULL;
    grad_clear((wg_param *)(uintptr_t)param);
    return param->grad;
}

void *wg_param_grad_write_begin(wg_param *param)
{
    if (!param || !has_grad(param)) return NULL;
    grad_clear(param);
    set_grad_state(param, GRAD_WRITTEN); /* also if the end is forgotten */
    return param->grad;
}

void wg_param_grad_write_end(wg_param *param)
{
    if (param) set_grad_state(param, GRAD_WRITTEN);
}

void wg_zero_grad(wg_params *set)
{
    for (uint32_t i = 0; set && i < set->n_members; i++) {
        wg_param *param = set->members[i].param;
        if (param->grad_state == GRAD_WRITTEN) set_grad_state(param, GRAD_EMPTY);
    }
    if (set) set->grad_invalid = false;
}

bool wg_params_grad_valid(const wg_params *set) { return set && !set->grad_invalid; }

/* ---- for the engine ---- */

uint64_t wg__param_id(const wg_param *param) { return param->id; }
void *wg__param_data(wg_param *param) { return param->value; }
void *wg__param_grad_data(wg_param *param)
{
    assert(has_grad(param));
    return param->grad;
}
bool wg__param_grad_empty(const wg_param *param) { return param->grad_state != GRAD_WRITTEN; }
void wg__param_grad_written(wg_param *param)
{
    assert(has_grad(param));
    set_grad_state(param, GRAD_WRITTEN);
}
void wg__param_grad_final(wg_param *param)
{
    if (param->grad_state == GRAD_EMPTY) set_grad_state(param, GRAD_READABLE);
}
void wg__param_grad_clobbered(wg_param *param)
{
    if (param->grad_state == GRAD_WRITTEN) return;
    set_grad_state(param, GRAD_EMPTY);
    grad_clear(param);
}
void wg__param_grad_invalid(wg_param *param) { param->set->grad_invalid = true; }
void wg__param_written(wg_param *param) { param->version++; }
bool wg__param_is_open(const wg_param *param) { return param->open; }
