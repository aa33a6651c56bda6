/* See learner.h. */
#include "learner.h"
#include "tensors.h"
#include "test_io.h"

#include <unistd.h>

char path[128], best_path[128];

void begin_files(void)
{
    snprintf(path, sizeof path, "%s", in_folder("run.safetensors"));
    snprintf(best_path, sizeof best_path, "%s", in_folder("best.safetensors"));
}

void end_files(void)
{
    unlink(path);
    unlink(best_path);
    CHECK(count_files() == 0);
}

learner learner_new(void)
{
    learner l = {.params = wg_params_new(WG_F32), .spoil_at = -1};
    wg_param_new(l.params, "w", WG_DIMS(IN, 1), wg_init_uniform(-1, 1));
    l.optimizer = wg_adam_new(l.params, wg_adam_defaults());
    return l;
}

void learner_fini(learner *l)
{
    wg_optimizer_free(l->optimizer);
    wg_params_free(l->params);
}

static float input(int64_t sample, int i) { return (float)((sample * 7 + i * 5) % 11) / 11 - 0.5f; }

wg_tensor record(const learner *l, wg_tape *tape, const int64_t *sample, int64_t n)
{
    float x[BATCH * IN], y[BATCH];
    for (int64_t k = 0; k < n; k++) {
        y[k] = 0;
        for (int i = 0; i < IN; i++) y[k] += (float)(i + 1) * (x[k * IN + i] = input(sample[k], i));
    }
    wg_tensor in = wg_dropout(wg_data(tape, WG_F32, WG_DIMS(n, IN), x), 0.2);
    wg_tensor out = wg_matmul(in, wg_use(tape, wg_params_at(l->params, 0)));
    return wg_mse(out, wg_data(tape, WG_F32, WG_DIMS(n, 1), y), WG_MEAN);
}

static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
{
    learner *l = context;
    if (batch->training) l->steps++;
    wg_tensor loss = record(l, batch->tape, batch->sample, batch->n);
    if (l->mistaken) loss = wg_add(loss, wg_zeros(batch->tape, WG_F64, WG_SCALAR));
    return (int64_t)batch->step == l->spoil_at ? wg_scale(loss, NAN) : loss;
}

static void note_event(void *context, wg_fit_event event, const wg_fit_result *now)
{
    learner *l = context;
    const size_t n = strlen(l->events);
    CHECK(now->step <= now->steps || !now->steps);
    if (n + 1 < sizeof l->events) l->events[n] = "BsvVESN"[event];
}

wg_fit_options options_of(learner *l)
{
    wg_fit_options o = wg_fit_defaults();
    o.params = l->params;
    o.optimizer = l->optimizer;
    o.loss = loss_of, o.context = l;
    o.samples = SAMPLES, o.held_out = HELD_OUT, o.batch = BATCH;
    o.epochs = 3;
    o.seed = 5;
    o.threads = 1;
    o.watch = note_event, o.watched = l;
    return o;
}

bool same_params(const learner *a, const learner *b)
{
    return set_hash(a->params, false) == set_hash(b->params, false);
}

wg_fit_result fit(const wg_fit_options *o)
{
    wg_fit_result result;
    wg_error error = {0};
    if (wg_fit(o, &result, &error) != WG_OK) FAIL("%s", error.text);
    return result;
}

static wg_status make_sample(void *context, const wg_sample *sample, void *const *out, wg_error *error)
{
    const int64_t number = sample->index + *(const int64_t *)context;
    float *x = out[0], *y = out[1];
    if (number >= SAMPLES + HELD_OUT)
        return wg_error_set(error, WG_ERR_FORMAT, "sample %d is missing", (int)number);
    *y = 0;
    for (int i = 0; i < IN; i++) *y += (float)(i + 1) * (x[i] = input(number, i));
    return WG_OK;
}

wg_dataset dataset_of(int64_t n, int64_t *first)
{
    wg_dataset set = {.n = n, .n_fields = 2, .make = make_sample, .context = first};
    set.field[0] = (wg_field){WG_F32, WG_DIMS(IN), NULL};
    set.field[1] = (wg_field){WG_F32, WG_DIMS(1), NULL};
    return set;
}

wg_tensor loss_of_data(void *context, const wg_fit_batch *batch)
{
    const learner *l = context;
    wg_tensor x = wg_dropout(wg_batch_tensor(batch->data, batch->tape, 0), 0.2);
    wg_tensor out = wg_matmul(x, wg_use(batch->tape, wg_params_at(l->params, 0)));
    return wg_mse(out, wg_batch_tensor(batch->data, batch->tape, 1), WG_MEAN);
}
