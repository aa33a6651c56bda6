/* Beginning a run: its parameters in their flat order, their parts, memory; whether all ranks mean the same run. */
#include "internal.h"

#include "../autograd/base/pattern.h"
#include "../autograd/base/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

wg_dist_options wg_dist_defaults(void)
{
    return (wg_dist_options){.values = 1,
                             .overlap = true,
                             .means = "*running_mean *running_var *num_batches_tracked",
                             .carried = "state.*"};
}

void wg_dist_free(wg_dist *d)
{
    if (!d) return;
    wg__release(d);
    free(d->dealt.memory);
    free(d);
}

/* ---- parameters and buffers ---- */

static size_t value_bytes(const wg_param *p)
{
    return (size_t)wg_param_numel(p) * wg_dtype_size(wg_param_dtype(p));
}

/* Whether this index is that of the parameter's own name, and not of a tied one. */
static bool is_own_name(const wg_params *set, size_t i) { return wg_param_index(wg_params_at(set, i)) == i; }

static bool list_members(wg_dist *d)
{
    const size_t n = wg_params_count(d->params);
    d->trained = wg__take(d, n, sizeof *d->trained);
    d->means = wg__take(d, n, sizeof *d->means);
    d->carried = wg__take(d, n, sizeof *d->carried);
    d->others = wg__take(d, n, sizeof *d->others);
    d->trained_at = wg__take(d, n, sizeof *d->trained_at);
    if (!d->trained_at || !d->trained || !d->means || !d->carried || !d->others) return false;
    d->n_listed = n;
    for (size_t i = 0; i < n; i++) {
        wg_param *p = wg_params_at(d->params, i);
        const wg__kept kept = {.buffer = p, .bytes = value_bytes(p)};
        d->trained_at[i] = -1;
        if (!is_own_name(d->params, i)) continue;
        if (!wg_param_is_buffer(p)) {
            if (wg_param_is_frozen(p) || wg_param_dtype(p) == WG_BF16) continue;
            d->trained_at[i] = (int32_t)d->n_trained;
            d->trained[d->n_trained++] = p;
        } else if (wg__matches_any(d->options.carried, wg_param_name(p))) {
            d->carried[d->n_carried++] = kept;
        } else if (wg__matches_any(d->options.means, wg_param_name(p))) {
            d->means[d->n_means++] = kept;
        } else {
            d->others[d->n_others++] = kept;
        }
    }
    return true;
}

/* Memory that is written to by its owner only; it never moves. */
static char *value_of(const wg_param *p) { return (char *)(uintptr_t)wg_param_value(p); }

static bool make_flat(wg_dist *d)
{
    const size_t n = d->n_trained + d->n_means;
    int64_t *begin = wg__take(d, n + 1, sizeof *begin);
    char **grads = wg__take(d, n, sizeof *grads), **values = wg__take(d, n, sizeof *values);
    if (!begin || !grads || !values) return false;
    for (size_t i = 0; i < n; i++) {
        const bool is_mean = i >= d->n_trained;
        wg_param *p = is_mean ? d->means[i - d->n_trained].buffer : d->trained[i];
        begin[i + 1] = begin[i] + wg_param_numel(p);
        values[i] = value_of(p);
        grads[i] = is_mean ? values[i] : (char *)(uintptr_t)wg_param_grad(p);
    }
    d->n_elements = begin[d->n_trained];
    d->grads = (wg__flat){wg_dtype_size(wg_params_dtype(d->params)), begin[n], NULL, n, begin, grads};
    d->values = d->grads;
    d->values.memory = values;
    return true;
}

bool wg__list(wg_dist *d) { return list_members(d) && make_flat(d); }

/* The optimizer's elements: those of this rank's part. */
static wg_status own_part(wg_dist *d)
{
    const wg__range part = wg__part(d, d->place);
    for (size_t i = 0; i < d->n_trained; i++) {
        const int64_t begin = d->grads.begin[i];
        wg__range own = wg__common(part, (wg__range){begin, d->grads.begin[i + 1]});
        if (own.begin == own.end) own = (wg__range){begin, begin};
        if (wg_optimizer_own(d->optimizer, d->trained[i], own.begin - begin, own.end - begin) != WG_OK)
            return wg_error_set(&d->error, WG_ERR_ARGUMENT, "dist: %s", wg_optimizer_message(d->optimizer));
    }
    return WG_OK;
}

/* ---- memory ---- */

static bool take_sums(wg_dist *d)
{
    const int ranks = wg_world_size(d->world);
    wg__node roots[WG__DEPTH];
    int depth = 0;
    wg__roots(d->shards, d->first, d->end, roots, &depth);
    for (; d->n_slabs < depth - 1; d->n_slabs++) {
        d->slabs[d->n_slabs] = wg__take(d, (size_t)d->grads.numel, d->grads.size);
        if (!d->slabs[d->n_slabs]) return false;
    }
    if (ranks == 1 || wg__halves(d->shards, ranks)) return true;
    const wg__range part = wg__part(d, d->place);
    d->n_inbox = (int)wg__count_roots(d->shards, ranks);
    d->inbox = wg__take(d, (size_t)d->n_inbox * (size_t)(part.end - part.begin), d->grads.size);
    return d->inbox != NULL;
}

static bool take_buffers(wg_dist *d)
{
    for (size_t i = 0; i < d->n_means; i++) {
        d->means[i].values = wg__take(d, d->means[i].bytes, 1);
        if (!d->means[i].values) return false;
    }
    for (size_t i = 0; i < d->n_carried; i++) {
        wg__kept *k = &d->carried[i];
        k->values = wg__take(d, k->bytes * (size_t)(d->end - d->first), 1);
        if (d->shards > 1) k->after = wg__take(d, k->bytes * (size_t)(d->end - d->first), 1);
        if (!k->values || (d->shards > 1 && !k->after)) return false;
        for (int64_t s = 0; s < d->end - d->first; s++)
            memcpy(k->values + (size_t)s * k->bytes, wg_param_value(k->buffer), k->bytes);
    }
    return true;
}

static bool take_tables(wg_dist *d)
{
    const int ranks = wg_world_size(d->world);
    const int64_t row = 1 + d->options.values;
    const size_t blocks = (size_t)((d->n_elements + WG__BLOCK - 1) / WG__BLOCK);
    d->told = wg__take(d, (size_t)(ranks * WG__HEAD + d->shards * row), sizeof *d->told);
    d->table = wg__take(d, (size_t)(d->shards * row), sizeof *d->table);
    d->told_cut = wg__take(d, (size_t)ranks + 1, sizeof *d->told_cut);
    d->squares = wg__take(d, blocks, sizeof *d->squares);
    d->square_cut = wg__take(d, (size_t)ranks + 1, sizeof *d->square_cut);
    if (!d->told || !d->table || !d->told_cut || !d->squares || !d->square_cut) return false;
    for (int place = 0; place < ranks; place++) {
        const int r = wg__place(ranks, place);
        const int64_t n = wg__first_shard(d->shards, ranks, r + 1) - wg__first_shard(d->shards, ranks, r);
        const int64_t end = d->cut[place + 1] < d->n_elements ? d->cut[place + 1] : d->n_elements;
        d->told_cut[place + 1] = d->told_cut[place] + WG__HEAD + n * row;
        d->square_cut[place + 1] = (end + WG__BLOCK - 1) / WG__BLOCK;
    }
    d->own = d->told + d->told_cut[d->place];
    return true;
}

/* ---- do all ranks mean the same? ---- */

uint64_t wg_params_hash(const wg_params *set)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < wg_params_count(set); i++) {
        const wg_param *p = wg_params_at(set, i);
        if (!wg_param_is_buffer(p) && is_own_name(set, i))
            hash = wg__hash_bytes(hash, wg_param_value(p), value_bytes(p));
    }
    return hash;
}

/* What must be equal, and what to say if it is not. */
static const char *const differs[] = {"another version of Wengert",
                                      "another build or instruction set",
                                      "other options",
                                      "another model",
                                      "another optimizer",
                                      "other initial values"};
enum { FACTS = sizeof differs / sizeof *differs };

static wg_status facts_of(const wg_dist *d, uint64_t fact[FACTS])
{
    const char *version = wg_version();
    const wg_dist_options *o = &d->options;
    const char *patterns[] = {o->means ? o->means : "", o->carried ? o->carried : ""};
    const int64_t numbers[] = {d->shards, o->values, o->overlap, (int64_t)o->seed, wg_params_dtype(d->params)};
    memset(fact, 0, FACTS * sizeof *fact);
    fact[0] = wg__hash_bytes(0, version, strlen(version));
    fact[2] = wg__hash_bytes(wg__hash_bytes(0, numbers, sizeof numbers), &o->clip_norm, sizeof o->clip_norm);
    for (int i = 0; i < 2; i++) fact[2] = wg__hash_bytes(fact[2], patterns[i], strlen(patterns[i]) + 1);
    for (size_t i = 0; i < wg_params_count(d->params); i++) {
        const wg_param *p = wg_params_at(d->params, i);
        const char *name = wg_params_name_at(d->params, i);
        const wg_shape shape = wg_param_shape(p);
        const int64_t kind = wg_param_is_buffer(p) + 2 * wg_param_is_frozen(p);
        fact[3] = wg__hash_bytes(fact[3], name, strlen(name));
        fact[3] = wg__hash_bytes(fact[3], shape.size, (size_t)shape.rank * sizeof *shape.size);
        fact[3] = wg__hash_bytes(fact[3], &kind, sizeof kind);
    }
    fact[4] = wg_optimizer_hash(d->optimizer);
    fact[5] = wg_params_hash(d->params);
    return wg__probe(&fact[1]);
}

/* Compares with rank 0; the lowest rank that differs says so to all. */
static wg_status compare_ranks(wg_dist *d)
{
    uint64_t ours[FACTS], theirs[FACTS];
    if (facts_of(d, ours) != WG_OK)
        wg_error_set(&d->error, WG_ERR_MEMORY, "dist: out of memory for a comparison of ranks");
    memcpy(theirs, ours, sizeof ours);
    const wg_status status = wg__broadcast(d->world, 0, theirs, sizeof theirs);
    if (status != WG_OK) return status;
    for (int i = 0; i < FACTS; i++)
        if (ours[i] != theirs[i])
            wg_error_set(&d->error, WG_ERR_ARGUMENT, "dist: rank %d has %s than rank 0", wg_world_rank(d->world),
                         differs[i]);
    return WG_OK;
}

/* ---- making it ---- */

const char *wg__dist_invalid(const wg_dist_options *o, int ranks, char text[120])
{
    if (o->shards < 0 || o->shards > WG_DIST_MOST_SHARDS) return "shards must be from 1 to 1048576; 0: one a rank";
    if (o->values < 1 || o->values > WG_DIST_VALUES) return "values must be from 1 to 8";
    if (!(o->clip_norm >= 0)) return "clip_norm must be a number >= 0; 0: any norm";
    if (o->shards == 0 || o->shards >= ranks) return NULL;
    snprintf(text, 120, "%d ranks, but only %lld shard%s: start at most as many ranks as there are shards", ranks,
             (long long)o->shards, o->shards == 1 ? "" : "s");
    return text;
}

/* Fills d, as far as it can without the others. */
static wg_status prepare(wg_dist *d)
{
    char text[120];
    const int ranks = wg_world_size(d->world), rank = wg_world_rank(d->world);
    const char *reason = wg__dist_invalid(&d->options, ranks, text);
    if (reason) return wg_error_set(&d->error, WG_ERR_ARGUMENT, "dist: %s", reason);
    if (wg_optimizer_status(d->optimizer) != WG_OK)
        return wg_error_set(&d->error, WG_ERR_ARGUMENT, "dist: %s", wg_optimizer_message(d->optimizer));
    if (wg_optimizer_steps(d->optimizer) > 0)
        return wg_error_set(&d->error, WG_ERR_ARGUMENT, "dist: the optimizer has taken steps already");
    if (wg_params_status(d->params) != WG_OK)
        return wg_error_set(&d->error, wg_params_status(d->params), "dist: %s", wg_params_message(d->params));
    d->shards = d->options.shards ? d->options.shards : ranks;
    d->first = wg__first_shard(d->shards, ranks, rank);
    d->end = wg__first_shard(d->shards, ranks, rank + 1);
    d->next = d->first;
    d->place = wg__place(ranks, rank);
    d->cut = wg__take(d, (size_t)ranks + 1, sizeof *d->cut);
    if (!d->cut || !wg__list(d)) return wg_error_set(&d->error, WG_ERR_MEMORY, "dist: out of memory");
    wg__cut(d->grads.numel, ranks, d->cut);
    if (!wg__halving_new(d) || !take_sums(d) || !take_buffers(d) || !take_tables(d))
        return wg_error_set(&d->error, WG_ERR_MEMORY, "dist: out of memory for sums of gradients");
    if (own_part(d) != WG_OK) return d->error.status;
    if (wg_optimizer_adopt(d->optimizer) == WG_OK) return WG_OK;
    return wg_error_set(&d->error, WG_ERR_MEMORY, "dist: %s", wg_optimizer_message(d->optimizer));
}

wg_dist *wg_dist_new(wg_world *world, wg_params *params, wg_optimizer *optimizer, wg_dist_options options,
                     wg_error *error)
{
    if (!world || !params || !optimizer) {
        wg_error_set(error, WG_ERR_ARGUMENT, "dist: no %s",
                     !world    ? "world"
                     : !params ? "parameters"
                               : "optimizer");
        return NULL;
    }
    wg_dist *d = calloc(1, sizeof *d), none = {.world = world};
    wg_dist *made = d ? d : &none;
    *made = (wg_dist){.world = world, .params = params, .optimizer = optimizer, .options = options};
    if (d)
        prepare(d);
    else
        wg_error_set(&none.error, WG_ERR_MEMORY, "dist: out of memory");
    wg_status status = wg__agree(world, &made->error);
    if (status == WG_OK) status = compare_ranks(made);
    if (status == WG_OK) status = wg__agree(world, &made->error);
    if (status == WG_OK) return d;
    wg_error_set(error, status, "%s", wg_world_status(world) != WG_OK ? wg_world_message(world) : made->error.text);
    wg_dist_free(d);
    return NULL;
}

int64_t wg_dist_shards(const wg_dist *d) { return d ? d->shards : 0; }

void wg_dist_range(const wg_dist *d, int rank, int64_t *first, int64_t *end)
{
    const bool ok = d && rank >= 0 && rank < wg_world_size(d->world);
    if (first) *first = ok ? wg__first_shard(d->shards, wg_world_size(d->world), rank) : 0;
    if (end) *end = ok ? wg__first_shard(d->shards, wg_world_size(d->world), rank + 1) : 0;
}
