/* Saving checkpoints: a parameter set, an optimizer's state, step and seed in one safetensors file. */
#include "checkpoint.h"

#include "../autograd/base/bf16.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static wg_status check_to_save(const char *path, const wg_checkpoint *c, wg_error *error)
{
    if (!c || !c->params) return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "no parameters to save", path);
    if (wg_params_status(c->params) != WG_OK)
        return wg_error_set(error, wg_params_status(c->params), "%s", wg_params_message(c->params));
    const wg_status status = wg__checkpoint_check_metadata(path, c, error);
    if (status != WG_OK) return status;
    if (c->saved_as != WG_F32 && c->saved_as != WG_BF16)
        return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "parameters are saved as WG_F32 or WG_BF16, not %s",
                            path, wg_dtype_name(c->saved_as));
    if (c->saved_as == WG_BF16 && wg_params_dtype(c->params) != WG_F32)
        return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "only parameters of f32 are saved as bf16, not of %s",
                            path, wg_dtype_name(wg_params_dtype(c->params)));
    return wg__checkpoint_adopt(path, c, error);
}

static bool is_rounded(const wg_checkpoint *c, const wg_param *p)
{
    return c->saved_as == WG_BF16 && !wg_param_is_buffer(p) && wg_param_dtype(p) == WG_F32;
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
        for (int64_t k = 0; k < wg_param_numel(p); k++) *rounded++ = wg__bf16_of(from[k]);
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
