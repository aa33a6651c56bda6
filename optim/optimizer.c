/* An optimizer: its parameters, their settings and state, and the step. It knows no formula: see kinds.c. */
#include "internal.h"

#include "../autograd/base/fp.h"
#include "../autograd/base/isa.h"
#include "../autograd/base/pattern.h"
#include "../autograd/base/random.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* A trainable parameter. Its state is one block of memory: the arrays, the step count, the names. */
typedef struct member {
    wg_param *param;
    int64_t first, numel; /* the elements that are updated: all, unless wg_optimizer_own says otherwise */
    double lr_scale;
    double weight_decay;          /* < 0: that of the optimizer */
    void *slot[WG__UPDATE_SLOTS]; /* of these elements */
    int32_t *steps;               /* NULL: no state yet (the parameter is new, or has always been frozen) */
    void *value;                  /* during a step */
    double c[WG__COEFFICIENTS];
    char *names; /* of the arrays, NUL-terminated, `name_size` bytes apart */
    size_t name_size;
    void *memory;
    size_t memory_size;
} member;

typedef struct group {
    wg_group group;
    char *pattern; /* owned copy; NULL: none */
    size_t pattern_size;
} group;

struct wg_optimizer {
    wg_params *set;
    const wg__optimizer_kind *kind;
    wg__optimizer_options options;
    double lr, weight_decay;
    uint64_t steps, refused;
    wg_status options_status;
    wg_error error;
    wg__heap heap;
    size_t scanned; /* number of members of the set already in `members` or skipped */
    member *members;
    uint32_t n_members, cap_members;
    uint32_t *with_state; /* indices of the members that have state, in the order of its creation */
    uint32_t n_with_state, cap_with_state;
    group *groups;
    uint32_t n_groups, cap_groups;
};

static wg_status fail(wg_optimizer *o, wg_status status, const char *text)
{
    o->error = (wg_error){0};
    return wg_error_set(&o->error, status, "%s: %s", o->kind->name, text);
}

/* ---- selecting parameters ---- */

wg_param *wg__trainable_at(const wg_params *set, size_t index)
{
    wg_param *param = wg_params_at(set, index);
    if (!param || wg_param_is_buffer(param) || wg_param_dtype(param) == WG_BF16) return NULL;
    /* The set lists a tied parameter under each of its names; the parameter's own name is the first. */
    return wg_param_index(param) == index ? param : NULL;
}

static void apply_group(const group *g, member *m)
{
    if (g->pattern && !wg__matches_any(g->pattern, wg_param_name(m->param))) return;
    if (g->group.match && !g->group.match(m->param, g->group.context)) return;
    if (g->group.lr_scale >= 0) m->lr_scale = g->group.lr_scale;
    if (g->group.weight_decay >= 0) m->weight_decay = g->group.weight_decay;
}

/* ---- state ---- */

static int count_slots(const wg__optimizer_kind *kind)
{
    int n = 0;
    while (n < WG__UPDATE_SLOTS && kind->slots[n]) n++;
    return n;
}

/* The number of state arrays of a member, including the step count. */
static int count_arrays(const wg__optimizer_kind *kind) { return count_slots(kind) + kind->counts_steps; }

static const char *array_name(const wg__optimizer_kind *kind, int array)
{
    return array < count_slots(kind) ? kind->slots[array] : "step";
}

/* Gives the member a block for its state, all zeros, in place of the one that it may have. */
static bool make_block(wg_optimizer *o, member *m)
{
    const char *name = wg_param_name(m->param);
    const int slots = count_slots(o->kind), arrays = count_arrays(o->kind);
    const size_t array_size = wg__room_for((size_t)m->numel * wg_dtype_size(wg_params_dtype(o->set)));
    const size_t name_size = strlen("optim..") + 32 + strlen(name) + 1;
    const size_t size = array_size * (size_t)slots + 64 + name_size * (size_t)arrays;
    char *at = wg__heap_alloc(&o->heap, size);
    if (!at) return false;
    wg__heap_release(&o->heap, m->memory, m->memory_size);
    m->memory = memset(at, 0, size);
    m->memory_size = size;
    m->name_size = name_size;
    for (int i = 0; i < slots; i++, at += array_size) m->slot[i] = at;
    m->steps = (int32_t *)at;
    m->names = at + 64;
    for (int i = 0; i < arrays; i++)
        snprintf(m->names + name_size * (size_t)i, name_size, "optim.%s.%s", array_name(o->kind, i), name);
    return true;
}

/* Creates the member's state. */
static bool create_state(wg_optimizer *o, uint32_t index)
{
    if (!wg__grow(&o->heap, (void **)&o->with_state, &o->cap_with_state, o->n_with_state + 1u,
                  sizeof *o->with_state))
        return false;
    if (!make_block(o, &o->members[index])) return false;
    o->with_state[o->n_with_state++] = index;
    return true;
}

/* Adds parameters that were created since the last call. Returns false if out of memory. */
static bool scan_members(wg_optimizer *o)
{
    for (size_t count = wg_params_count(o->set); o->scanned < count; o->scanned++) {
        wg_param *param = wg__trainable_at(o->set, o->scanned);
        if (!param) continue;
        if (!wg__grow(&o->heap, (void **)&o->members, &o->cap_members, o->n_members + 1u, sizeof *o->members))
            return false;
        member *m = &o->members[o->n_members++];
        *m = (member){.param = param, .numel = wg_param_numel(param), .lr_scale = 1, .weight_decay = -1};
        for (uint32_t i = 0; i < o->n_groups; i++) apply_group(&o->groups[i], m);
    }
    return true;
}

/* The same, with the state of those that were created or unfrozen. */
static bool update_members(wg_optimizer *o)
{
    if (!scan_members(o)) return false;
    for (uint32_t i = 0; o->n_with_state < o->n_members && i < o->n_members; i++)
        if (!o->members[i].steps && !wg_param_is_frozen(o->members[i].param) && !create_state(o, i)) return false;
    return true;
}

static size_t state_count(const wg_optimizer *o) { return (size_t)o->n_with_state * (size_t)count_arrays(o->kind); }

size_t wg_optimizer_state_count(const wg_optimizer *o) { return o ? state_count(o) : 0; }

bool wg_optimizer_state_at(wg_optimizer *o, size_t index, const char **name, wg_dtype *dtype, wg_shape *shape,
                           void **data)
{
    if (!o || index >= state_count(o)) return false;
    size_t arrays = (size_t)count_arrays(o->kind);
    const member *m = &o->members[o->with_state[index / arrays]];
    int array = (int)(index % arrays);
    bool is_step = array >= count_slots(o->kind);
    if (name) *name = m->names + m->name_size * (size_t)array;
    if (dtype) *dtype = is_step ? WG_I32 : wg_params_dtype(o->set);
    if (shape) *shape = is_step ? WG_SCALAR : wg_param_shape(m->param);
    if (data) *data = is_step ? m->steps : m->slot[array];
    return true;
}

/* ---- a part of the elements ---- */

/* Members are in the order of the set. */
static member *member_of(wg_optimizer *o, const wg_param *param)
{
    const size_t index = wg_param_index(param);
    uint32_t low = 0, high = o->n_members;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (wg_param_index(o->members[middle].param) < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low < o->n_members && o->members[low].param == param ? &o->members[low] : NULL;
}

wg_status wg_optimizer_own(wg_optimizer *o, const wg_param *param, int64_t begin, int64_t end)
{
    if (!o || !param) return WG_ERR_ARGUMENT;
    if (!scan_members(o)) return fail(o, WG_ERR_MEMORY, "out of memory for new parameters");
    member *m = member_of(o, param);
    if (!m) return fail(o, WG_ERR_ARGUMENT, "own: not a parameter of the optimizer's set");
    if (begin < 0 || end < begin || end > wg_param_numel(param))
        return fail(o, WG_ERR_ARGUMENT, "own: the range is not inside of the parameter");
    const member old = *m;
    if (old.first == begin && old.numel == end - begin) return WG_OK;
    if (o->steps > 0 || (m->steps && *m->steps > 0))
        return fail(o, WG_ERR_ARGUMENT, "own: the optimizer has taken steps already");
    m->first = begin;
    m->numel = end - begin;
    if (!m->steps || make_block(o, m)) return WG_OK;
    *m = old;
    return fail(o, WG_ERR_MEMORY, "out of memory for the state of a part");
}

bool wg_optimizer_is_whole(const wg_optimizer *o)
{
    for (uint32_t i = 0; o && i < o->n_members; i++)
        if (o->members[i].numel != wg_param_numel(o->members[i].param)) return false;
    return o != NULL;
}

int wg_optimizer_slots(const wg_optimizer *o) { return o ? count_slots(o->kind) : 0; }

/* ---- creating and freeing ---- */

wg_optimizer *wg__optimizer_new(wg_params *set, const wg__optimizer_kind *kind,
                                const wg__optimizer_options *options, double lr, double weight_decay,
                                const char *invalid)
{
    if (!set) return NULL;
    wg__heap heap = {.allocator = wg_params_allocator(set)};
    wg_optimizer *o = wg__heap_alloc(&heap, sizeof *o);
    if (!o) return NULL;
    *o = (wg_optimizer){.set = set, .kind = kind, .options = *options, .lr = lr, .weight_decay = weight_decay};
    o->heap = heap;
    if (wg_params_storage(set) == WG_BF16) invalid = "parameters in bf16 are not trained: use a set of f32";
    if (invalid) o->options_status = wg_error_set(&o->error, WG_ERR_ARGUMENT, "%s: %s", kind->name, invalid);
    if (!update_members(o)) {
        wg_optimizer_free(o);
        return NULL;
    }
    return o;
}

void wg_optimizer_free(wg_optimizer *o)
{
    if (!o) return;
    wg__heap heap = o->heap;
    for (uint32_t i = 0; i < o->n_members; i++)
        wg__heap_release(&heap, o->members[i].memory, o->members[i].memory_size);
    for (uint32_t i = 0; i < o->n_groups; i++)
        wg__heap_release(&heap, o->groups[i].pattern, o->groups[i].pattern_size);
    wg__heap_release(&heap, o->members, o->cap_members * sizeof *o->members);
    wg__heap_release(&heap, o->with_state, o->cap_with_state * sizeof *o->with_state);
    wg__heap_release(&heap, o->groups, o->cap_groups * sizeof *o->groups);
    wg__heap_release(&heap, o, sizeof *o);
}

/* ---- groups ---- */

wg_group wg_group_defaults(void) { return (wg_group){.lr_scale = -1, .weight_decay = -1}; }

wg_status wg_optimizer_group(wg_optimizer *o, wg_group options)
{
    if (!o) return WG_ERR_ARGUMENT;
    if (!isfinite(options.lr_scale) || !isfinite(options.weight_decay))
        return fail(o, WG_ERR_ARGUMENT, "a group's lr_scale and weight_decay must be numbers; < 0: not set");
    group g = {.group = options};
    if (options.pattern) {
        g.pattern_size = strlen(options.pattern) + 1;
        g.pattern = wg__heap_alloc(&o->heap, g.pattern_size);
        if (!g.pattern) return fail(o, WG_ERR_MEMORY, "out of memory for a group");
        memcpy(g.pattern, options.pattern, g.pattern_size);
    }
    if (!wg__grow(&o->heap, (void **)&o->groups, &o->cap_groups, o->n_groups + 1u, sizeof *o->groups)) {
        wg__heap_release(&o->heap, g.pattern, g.pattern_size);
        return fail(o, WG_ERR_MEMORY, "out of memory for a group");
    }
    o->groups[o->n_groups++] = g;
    for (uint32_t i = 0; i < o->n_members; i++) apply_group(&g, &o->members[i]);
    return WG_OK;
}

bool wg_param_is_vector(const wg_param *param, void *context) { return wg_param_shape(param).rank <= 1; }

wg_status wg_optimizer_no_decay(wg_optimizer *o)
{
    wg_group g = wg_group_defaults();
    g.match = wg_param_is_vector;
    g.weight_decay = 0;
    return wg_optimizer_group(o, g);
}

/* ---- a step ---- */

const wg__update_kernels *wg__update_get(wg_dtype dtype)
{
    bool f64 = dtype == WG_F64;
#if defined(__x86_64__) && !defined WG__ONE_ISA
    if (wg__isa_get() == WG__ISA_avx512) return f64 ? &wg__update_f64_avx512 : &wg__update_f32_avx512;
    if (wg__isa_get() == WG__ISA_avx2) return f64 ? &wg__update_f64_avx2 : &wg__update_f32_avx2;
#endif
    return f64 ? &wg__update_f64_baseline : &wg__update_f32_baseline;
}

/* Of a loop over the members that are trained. */
typedef struct loop {
    wg_optimizer *o;
    const wg__update_kernels *kernels;
    _Atomic int64_t wrong; /* the first member whose gradient is not finite */
} loop;

static int64_t numel_of(const void *context, size_t i)
{
    const member *m = &((const loop *)context)->o->members[i];
    return wg_param_is_frozen(m->param) ? 0 : m->numel;
}

static void run_loop(loop *l, void (*run)(void *context, size_t i, int64_t at, int64_t n))
{
    wg__pieces_run(l->o->set, &(wg__pieces){l->o->n_members, WG__PIECE, numel_of, run, l});
}

static const char *gradient_at(const loop *l, const member *m, int64_t at)
{
    return (const char *)wg_param_grad(m->param) +
           (size_t)(m->first + at) * wg_dtype_size(wg_params_dtype(l->o->set));
}

static void search(void *context, size_t i, int64_t at, int64_t n)
{
    loop *l = context;
    if (l->kernels->first_nonfinite(n, gradient_at(l, &l->o->members[i], at)) < 0) return;
    int64_t first = l->wrong;
    while ((int64_t)i < first && !atomic_compare_exchange_weak(&l->wrong, &first, (int64_t)i)) {}
}

static wg_status check_gradients(wg_optimizer *o, const wg__update_kernels *kernels)
{
    loop l = {.o = o, .kernels = kernels, .wrong = o->n_members};
    run_loop(&l, search);
    if (l.wrong == o->n_members) return WG_OK;
    const member *m = &o->members[l.wrong];
    o->error = (wg_error){0};
    return wg_error_set(&o->error, WG_ERR_NONFINITE, "%s: gradient of %s is not finite at element %lld",
                        o->kind->name, wg_param_name(m->param),
                        (long long)(m->first + kernels->first_nonfinite(m->numel, gradient_at(&l, m, 0))));
}

wg_status wg_optimizer_adopt(wg_optimizer *o)
{
    if (!o) return WG_ERR_ARGUMENT;
    if (update_members(o)) return WG_OK;
    return fail(o, WG_ERR_MEMORY, "out of memory for the state of new parameters");
}

/* WG_OK if the step can be taken, as far as that depends on no number. */
static wg_status check(wg_optimizer *o)
{
    if (o->options_status != WG_OK) return o->options_status;
    const wg_status status = wg_optimizer_adopt(o);
    if (status != WG_OK) return status;
    if (!wg_params_grad_valid(o->set))
        return fail(o, WG_ERR_GRADIENT, "the gradients are invalid because their run failed");
    return WG_OK;
}

static void update_piece(void *context, size_t i, int64_t at, int64_t n)
{
    const loop *l = context;
    const member *m = &l->o->members[i];
    const size_t size = wg_dtype_size(wg_params_dtype(l->o->set)), bytes = (size_t)at * size;
    void *slot[WG__UPDATE_SLOTS];
    for (int k = 0; k < WG__UPDATE_SLOTS; k++) slot[k] = m->slot[k] ? (char *)m->slot[k] + bytes : NULL;
    const wg__update_fn update = *(const wg__update_fn *)((const char *)l->kernels + l->o->kind->update);
    update(n, (char *)m->value + (size_t)m->first * size + bytes, gradient_at(l, m, at), slot, m->c);
}

static double lr_of(const wg_optimizer *o, const member *m) { return o->lr * m->lr_scale; }

static double decay_of(const wg_optimizer *o, const member *m)
{
    return m->weight_decay >= 0 ? m->weight_decay : o->weight_decay;
}

static void update(wg_optimizer *o, const wg__update_kernels *kernels)
{
    double c[WG__COEFFICIENTS] = {0}, last_lr = -1, last_decay = -1; /* arguments that c was computed from */
    int32_t last_steps = -1;
    for (uint32_t i = 0; i < o->n_members; i++) {
        member *m = &o->members[i];
        if (wg_param_is_frozen(m->param)) continue;
        double lr = lr_of(o, m), decay = decay_of(o, m);
        if (*m->steps < INT32_MAX) ++*m->steps;
        if (lr != last_lr || decay != last_decay || *m->steps != last_steps) {
            o->kind->coefficients(&o->options, lr, decay, *m->steps, c);
            last_lr = lr;
            last_decay = decay;
            last_steps = *m->steps;
        }
        memcpy(m->c, c, sizeof c);
        m->value = wg_param_write_begin(m->param);
    }
    run_loop(&(loop){.o = o, .kernels = kernels}, update_piece);
    for (uint32_t i = 0; i < o->n_members; i++)
        if (!wg_param_is_frozen(o->members[i].param)) wg_param_write_end(o->members[i].param);
}

wg_status wg_optimizer_step(wg_optimizer *o)
{
    if (!o) return WG_ERR_ARGUMENT;
    const wg__update_kernels *kernels = wg__update_get(wg_params_dtype(o->set));
    wg_status status = check(o);
    if (status == WG_OK) {
        const wg__fp caller = wg__fp_begin();
        status = check_gradients(o, kernels);
        if (status == WG_OK) update(o, kernels);
        wg__fp_end(&caller);
    }
    *(status == WG_OK ? &o->steps : &o->refused) += 1;
    return status;
}

/* Options are known by the coefficients that they give: in first steps some do not count, such as SGD's momentum. */
uint64_t wg_optimizer_hash(const wg_optimizer *o)
{
    static const int32_t steps[] = {1, 2, 1000};
    if (!o) return 0;
    const wg__fp caller = wg__fp_begin();
    uint64_t hash = wg__hash_bytes(0, o->kind->name, strlen(o->kind->name));
    hash = wg__hash_bytes(hash, &o->kind->update, sizeof o->kind->update);
    for (uint32_t i = 0; i < o->n_members; i++)
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            double c[WG__COEFFICIENTS] = {0};
            o->kind->coefficients(&o->options, lr_of(o, &o->members[i]), decay_of(o, &o->members[i]), steps[k], c);
            hash = wg__hash_bytes(hash, c, sizeof c);
        }
    wg__fp_end(&caller);
    return hash;
}

/* ---- reading and setting ---- */

wg_status wg_optimizer_status(const wg_optimizer *o) { return o ? o->options_status : WG_ERR_ARGUMENT; }
const char *wg_optimizer_message(const wg_optimizer *o) { return o ? o->error.text : "no optimizer"; }
uint64_t wg_optimizer_refused(const wg_optimizer *o) { return o ? o->refused : 0; }
uint64_t wg_optimizer_steps(const wg_optimizer *o) { return o ? o->steps : 0; }
double wg_optimizer_lr(const wg_optimizer *o) { return o ? o->lr : 0; }
const char *wg_optimizer_name(const wg_optimizer *o) { return o ? o->kind->name : ""; }
wg_params *wg_optimizer_params(const wg_optimizer *o) { return o ? o->set : NULL; }
wg_memory wg_optimizer_memory(const wg_optimizer *o) { return o ? o->heap.memory : (wg_memory){0}; }

void wg_optimizer_set_steps(wg_optimizer *o, uint64_t steps)
{
    if (o) o->steps = steps;
}

wg_status wg_optimizer_set_lr(wg_optimizer *o, double lr)
{
    if (!o) return WG_ERR_ARGUMENT;
    if (!(lr >= 0 && isfinite(lr))) return fail(o, WG_ERR_ARGUMENT, "lr must be a number >= 0");
    o->lr = lr;
    return WG_OK;
}
