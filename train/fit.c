/* The training loop. Its state is in the checkpoint: the step, and under "fit." what validation has seen. */
#include "fit_data.h"

#include "../autograd/grad.h"
#include "../io/plain.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"

enum { RECENT = 50 }; /* steps */

struct wg_trainer {
    wg_fit_options o;
    wg_fit_result now;
    wg_pool *pool; /* of its own tape */
    wg_tape *tape;
    wg__fit_data data;
    wg_early_stop best;
    wg_early_stop
        due;    /* the same without a validation that was made because the run ended: for a run that goes on */
    double sum; /* of `counted` losses: mean_loss */
    int64_t counted, seen;           /* samples of this run */
    uint64_t validated_at, saved_at; /* steps made then; UINT64_MAX: not in this run */
};

wg_fit_options wg_fit_defaults(void) { return (wg_fit_options){.batch = 32}; }

static void tell(const wg_trainer *t, wg_fit_event event)
{
    if (t->o.watch) t->o.watch(t->o.watched, event, &t->now);
}

/* The run ends with an error. */
static void fail(wg_trainer *t, wg_error *error, wg_status status, const char *text)
{
    wg_error_set(error, status, "%s", text);
    t->now.end = WG_FIT_FAILED;
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

/* What is wrong with the metadata; NULL: nothing. The rest is checked when it is first written. */
static const char *wrong_metadata(const wg_fit_options *o)
{
    if (o->n_metadata && !o->metadata) return "metadata is NULL";
    for (size_t i = 0; i < o->n_metadata; i++) {
        const char *key = o->metadata[i].key;
        if (!key || !o->metadata[i].value || !strncmp(key, "fit.", 4) || !strncmp(key, "wengert.", 8))
            return "a key of metadata is NULL or begins with \"fit.\" or \"wengert.\"";
    }
    return NULL;
}

/* What is wrong with them; NULL: nothing. */
static const char *wrong(const wg_fit_options *o)
{
    const bool negative = o->samples < 0 || o->held_out < 0 || o->epochs < 0 || o->steps < 0 ||
                          o->validate_every < 0 || o->patience < 0 || o->save_every < 0;
    if (!o->params) return "params is NULL";
    if (!o->optimizer) return "optimizer is NULL";
    if (!o->loss) return "loss is NULL";
    if (negative || o->batch < 1) return "a count is negative, or batch is 0";
    if (!(o->seconds >= 0) || !(o->clip >= 0)) return "seconds or clip is negative or NaN";
    if (!o->epochs && !o->steps && !(o->seconds > 0))
        return "no end: one of epochs, steps and seconds must be given";
    if (o->data && (o->samples || o->held_out)) return "both data and samples are given";
    if (o->held_out_data && !o->data) return "held_out_data needs data";
    if (o->epochs && !o->samples && !o->data) return "epochs need samples";
    if (o->held_out && (!o->samples || o->samples > INT64_MAX - o->held_out))
        return "held_out needs samples before it";
    if (wg_optimizer_params(o->optimizer) != o->params) return "the optimizer is of another set than params";
    if (o->path && o->best_path && !strcmp(o->path, o->best_path)) return "path and best_path are the same file";
    return wrong_metadata(o);
}

static uint64_t steps_of(const wg_fit_options *o, int64_t batches)
{
    uint64_t steps = (uint64_t)o->steps;
    if (!o->epochs) return steps;
    const int64_t all = o->epochs > INT64_MAX / batches ? INT64_MAX : o->epochs * batches;
    return steps && steps < (uint64_t)all ? steps : (uint64_t)all;
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

enum { RUN_TEXT = 96 };

/* What the steps depend on. */
static void write_run(const wg_trainer *t, char text[RUN_TEXT])
{
    snprintf(text, RUN_TEXT, "seed %" PRIu64 " batch %" PRId64 " samples %" PRId64, t->o.seed, t->o.batch,
             t->data.samples);
}

/* That, and what validation has seen. */
typedef struct record {
    char run[RUN_TEXT], state[320];
    wg_pair *pairs;
    wg_checkpoint checkpoint;
} record;

static bool record_init(record *r, const wg_trainer *t)
{
    const wg_fit_options *o = &t->o;
    const size_t n = o->n_metadata;
    r->pairs = malloc((n + 2) * sizeof *r->pairs);
    if (!r->pairs) return false;
    write_run(t, r->run);
    const wg__plain caller = wg__plain_begin();
    snprintf(r->state, sizeof r->state, "%a %a %a %" PRIu64 " %" PRId64 " %a %" PRId64 " %a %" PRIu64 " %" PRId64,
             t->now.loss, t->now.validation, t->best.best, t->best.step, t->best.since, t->sum, t->counted,
             t->due.best, t->due.step, t->due.since);
    wg__plain_end(&caller);
    if (n) memcpy(r->pairs, o->metadata, n * sizeof *r->pairs);
    r->pairs[n] = (wg_pair){"fit.run", r->run};
    r->pairs[n + 1] = (wg_pair){"fit.state", r->state};
    r->checkpoint = (wg_checkpoint){.params = o->params,
                                    .optimizer = o->optimizer,
                                    .step = t->now.step,
                                    .seed = o->seed,
                                    .metadata = r->pairs,
                                    .n_metadata = n + 2};
    return true;
}

static void save(wg_trainer *t, wg_error *error)
{
    record r;
    wg_error reason = {0};
    if (!t->o.path || t->saved_at == t->now.step || t->now.end == WG_FIT_FAILED) return;
    if (!record_init(&r, t)) {
        fail(t, error, WG_ERR_MEMORY, "fit: out of memory");
        return;
    }
    const wg_status status = wg_checkpoint_save(t->o.path, &r.checkpoint, &reason);
    free(r.pairs);
    if (status != WG_OK) {
        fail(t, error, status, reason.text);
        return;
    }
    t->saved_at = t->now.step;
    tell(t, WG_FIT_SAVED);
}

static bool read_state(wg_trainer *t, const char *text)
{
    wg_fit_result *now = &t->now;
    const wg__plain caller = wg__plain_begin();
    const int n =
        sscanf(text ? text : "", "%la %la %la %" SCNu64 " %" SCNd64 " %la %" SCNd64 " %la %" SCNu64 " %" SCNd64,
               &now->loss, &now->validation, &t->best.best, &t->best.step, &t->best.since, &t->sum, &t->counted,
               &t->due.best, &t->due.step, &t->due.since);
    wg__plain_end(&caller);
    if (n == 7) t->due = t->best; /* a file from before the two were told apart */
    return (n == 7 || n == 10) && t->best.since >= 0 && t->counted >= 0 && t->due.since >= 0;
}

/* A file that is there but can't be reached is no reason to begin anew, and to replace it in the end. */
static bool is_absent(const char *path) { return access(path, F_OK) != 0 && errno == ENOENT; }

static wg_status resume_from(wg_trainer *t, const wg_safetensors *file, wg_error *error)
{
    char ours[RUN_TEXT];
    write_run(t, ours);
    const char *run = wg_safetensors_metadata(file, "fit.run");
    if (!run || strcmp(run, ours) != 0)
        return wg_error_set(error, WG_ERR_FORMAT, "%s: is of the run \"%.90s\", not \"%s\"", t->o.path,
                            run ? run : "of another program", ours);
    if (!read_state(t, wg_safetensors_metadata(file, "fit.state")))
        return wg_error_set(error, WG_ERR_FORMAT, "%s: \"fit.state\" is wrong", t->o.path);
    /* The last that can fail, for it overwrites parameters. */
    wg_checkpoint c = {.params = t->o.params, .optimizer = t->o.optimizer};
    const wg_status status = wg_checkpoint_load(file, &c, NULL, NULL, error);
    if (status != WG_OK) return status;
    if (t->o.best_path && is_absent(t->o.best_path)) t->due = t->best = wg_early_stop_defaults();
    t->now.step = t->saved_at = t->validated_at = c.step;
    return WG_OK;
}

static wg_status resume(wg_trainer *t, wg_error *error)
{
    if (!t->o.path || !t->o.resume || is_absent(t->o.path)) return WG_OK;
    wg_error reason = {0};
    wg_safetensors *file = wg_safetensors_open(t->o.path, &reason);
    if (!file) return wg_error_set(error, reason.status, "%s", reason.text);
    const wg_status status = resume_from(t, file, error);
    wg_safetensors_close(file);
    return status;
}

/* ---- where the run is -------------------------------------------------------------------------------------------- */

static void update_result(wg_trainer *t)
{
    wg_fit_result *now = &t->now;
    now->epoch = t->data.batches ? now->step / (uint64_t)t->data.batches : 0;
    now->mean_loss = t->counted ? t->sum / (double)t->counted : now->loss;
    now->best = t->best.best;
    now->best_step = t->best.step;
    now->samples_a_second = now->seconds > 0 ? (double)t->seen / now->seconds : 0;
}

static bool is_multiple(uint64_t step, int64_t of) { return of > 0 && step % (uint64_t)of == 0; }

/* The loss of the step that was made: the mean begins anew with an epoch, or is one of about RECENT steps. */
static void add_to_mean(wg_trainer *t, double loss)
{
    if (is_multiple(t->now.step, t->data.batches)) t->sum = 0, t->counted = 0;
    if (!t->data.batches && t->counted == RECENT) t->sum -= t->sum / RECENT, t->counted--;
    t->sum += loss;
    t->counted++;
}

/* All steps are made, in this run or in the one that it resumes. */
static bool is_complete(const wg_trainer *t) { return t->now.steps && t->now.step >= t->now.steps; }

/* ---- making a trainer -------------------------------------------------------------------------------------------- */

static wg_status open_data(wg_trainer *t, wg_error *error)
{
    wg_error reason = {0};
    if (wg__fit_data_init(&t->data, &t->o, &reason) == WG_OK) return WG_OK;
    return wg_error_set(error, reason.status, "fit: %s", reason.text);
}

static wg_status open_tape(wg_trainer *t, wg_error *error)
{
    t->tape = t->o.tape;
    if (t->tape) return WG_OK;
    wg_tape_options options = wg_tape_defaults();
    options.pool = t->pool = wg_pool_new(t->o.threads);
    options.seed = t->o.seed;
    t->tape = t->pool ? wg_tape_new(options) : NULL;
    return t->tape ? WG_OK : wg_error_set(error, WG_ERR_MEMORY, "fit: no memory or threads for a tape");
}

wg_trainer *wg_trainer_new(const wg_fit_options *options, wg_error *error)
{
    const char *reason = options ? wrong(options) : "options is NULL";
    if (reason) {
        wg_error_set(error, WG_ERR_ARGUMENT, "fit: %s", reason);
        return NULL;
    }
    if (wg_params_status(options->params) != WG_OK) {
        wg_error_set(error, wg_params_status(options->params), "%s", wg_params_message(options->params));
        return NULL;
    }
    wg_trainer *t = calloc(1, sizeof *t);
    if (!t) {
        wg_error_set(error, WG_ERR_MEMORY, "fit: out of memory");
        return NULL;
    }
    *t = (wg_trainer){.o = *options, .saved_at = UINT64_MAX, .validated_at = UINT64_MAX};
    t->due = t->best = wg_early_stop_defaults();
    t->now.validation = t->now.loss = NAN;
    if (open_data(t, error) != WG_OK || open_tape(t, error) != WG_OK || resume(t, error) != WG_OK) {
        wg_trainer_free(t);
        return NULL;
    }
    t->now.steps = steps_of(&t->o, t->data.batches);
    if (!is_complete(t)) t->best = t->due;
    t->best.patience = options->patience ? options->patience : INT64_MAX;
    t->best.higher = options->higher;
    t->best.path = options->best_path;
    t->now.lr = wg_optimizer_lr(t->o.optimizer);
    update_result(t);
    tell(t, WG_FIT_BEGIN);
    return t;
}

void wg_trainer_free(wg_trainer *t)
{
    if (!t) return;
    wg__fit_data_fini(&t->data);
    if (t->pool) wg_tape_free(t->tape);
    wg_pool_free(t->pool);
    free(t);
}

const wg_fit_result *wg_trainer_result(const wg_trainer *t) { return t ? &t->now : NULL; }
wg_tape *wg_trainer_tape(const wg_trainer *t) { return t ? t->tape : NULL; }

/* ---- validation -------------------------------------------------------------------------------------------------- */

/* The loss of a batch. Where the tape has no error of its own, what is not one of its tensors is one. */
static wg_tensor record_loss(const wg_trainer *t, const wg_fit_batch *batch, wg_error *error)
{
    const wg_tensor loss = t->o.loss(t->o.context, batch);
    if (wg_tape_status(t->tape) == WG_OK && (loss.tape != t->tape || wg_is_nil(loss)))
        wg_error_set(error, WG_ERR_ARGUMENT, "step %" PRIu64 ": the loss is no tensor of the batch's tape",
                     batch->step + batch->training);
    return loss;
}

/* The mean over the held-out samples. */
static double held_out_loss(wg_trainer *t, wg_error *error)
{
    double sum = 0;
    const int64_t batches = wg__fit_data_held_out_batches(&t->data);
    for (int64_t i = 0; i < batches && wg_tape_status(t->tape) == WG_OK; i++) {
        wg_fit_batch batch = {.tape = t->tape, .step = t->now.step};
        if (wg__fit_data_held_out(&t->data, i, &batch, error) != WG_OK) break;
        wg_no_grad_begin(t->tape);
        const wg_tensor loss = record_loss(t, &batch, error);
        if (error->status == WG_OK) sum += wg_item(loss) * (double)batch.n;
        wg_no_grad_end(t->tape);
        if (error->status != WG_OK) break;
        if (wg_tape_status(t->tape) == WG_OK && wg_tape_reset(t->tape) != WG_OK) break;
    }
    return sum / (double)t->data.held_out;
}

static void validate(wg_trainer *t, wg_error *error)
{
    record r;
    wg_error reason = {0};
    if ((!t->o.validate && !t->data.held_out) || t->validated_at == t->now.step) return;
    tell(t, WG_FIT_VALIDATE);
    const bool training = wg_set_training(t->tape, false);
    t->now.validation = t->o.validate ? t->o.validate(t->o.context, t->tape) : held_out_loss(t, &reason);
    wg_set_training(t->tape, training);
    const wg_status status = wg_tape_reset(t->tape);
    if (status != WG_OK || reason.status != WG_OK) {
        fail(t, error, status != WG_OK ? status : reason.status,
             status != WG_OK ? wg_tape_message(t->tape) : reason.text);
        return;
    }
    t->validated_at = t->now.step;
    if (!record_init(&r, t)) {
        fail(t, error, WG_ERR_MEMORY, "fit: out of memory");
        return;
    }
    const wg_status updated = wg_early_stop_update(&t->best, t->now.validation, &r.checkpoint, &reason);
    free(r.pairs);
    if (updated != WG_OK) {
        fail(t, error, reason.status, reason.text);
        return;
    }
    update_result(t);
    tell(t, WG_FIT_VALIDATED);
}

/* ---- a step ------------------------------------------------------------------------------------------------------ */

static void update_params(wg_trainer *t, wg_error *error)
{
    const wg_fit_options *o = &t->o;
    t->now.norm = 0;
    wg_status status = o->clip > 0 ? wg_clip_grad_norm(o->params, o->clip, &t->now.norm) : WG_OK;
    assert(status == WG_OK); /* the options were checked */
    if (o->lr) {
        char text[128];
        t->now.lr = o->lr(o->context, t->now.step, t->now.steps);
        status = wg_optimizer_set_lr(o->optimizer, t->now.lr);
        if (status != WG_OK) {
            snprintf(text, sizeof text, "step %" PRIu64 ": the learning rate is %g", t->now.step + 1, t->now.lr);
            fail(t, error, status, text);
            return;
        }
    }
    status = wg_optimizer_step(o->optimizer);
    if (status != WG_OK) fail(t, error, status, wg_optimizer_message(o->optimizer));
}

static void make_step(wg_trainer *t, wg_error *error)
{
    const wg_fit_options *o = &t->o;
    wg_fit_batch batch = {.tape = t->tape, .step = t->now.step, .training = true};
    wg_error reason = {0};
    const double before = wg_seconds();
    if (wg__fit_data_step(&t->data, batch.step, &batch, &reason) != WG_OK) {
        fail(t, error, reason.status, reason.text);
        return;
    }
    wg_set_step(t->tape, batch.step);
    const wg_tensor loss = wg_keep(record_loss(t, &batch, &reason));
    if (reason.status != WG_OK) {
        (void)wg_tape_reset(t->tape);
        fail(t, error, reason.status, reason.text);
        return;
    }
    wg_zero_grad(o->params);
    wg_status status = wg_backward(loss);
    const double value = wg_item(loss);
    const wg_status of_tape = wg_tape_reset(t->tape);
    if (of_tape != WG_OK || status != WG_OK) {
        fail(t, error, of_tape != WG_OK ? of_tape : status, wg_tape_message(t->tape));
        return;
    }
    if (!isfinite(value)) {
        char text[64];
        snprintf(text, sizeof text, "step %" PRIu64 ": the loss is %g", batch.step + 1, value);
        fail(t, error, WG_ERR_NONFINITE, text);
        return;
    }
    update_params(t, error);
    if (t->now.end == WG_FIT_FAILED) return;
    t->now.seconds += wg_seconds() - before;
    t->now.loss = value;
    add_to_mean(t, value);
    t->seen += t->data.batches ? batch.n : 1;
    t->now.step++;
    update_result(t);
    tell(t, WG_FIT_STEP);
}

/* Why the run ends after this step. */
static wg_fit_end end_of(const wg_trainer *t)
{
    const wg_fit_options *o = &t->o;
    if (t->now.end == WG_FIT_FAILED) return WG_FIT_FAILED;
    if (is_complete(t)) return WG_FIT_DONE;
    if (o->stop && o->stop(o->context)) return WG_FIT_STOPPED;
    if (o->seconds > 0 && t->now.seconds >= o->seconds) return WG_FIT_TIME;
    return wg_early_stop_due(&t->best) ? WG_FIT_EARLY : WG_FIT_RUNNING;
}

/* What is due after a step. */
static void follow_up(wg_trainer *t, wg_error *error)
{
    const uint64_t step = t->now.step;
    const bool epoch = is_multiple(step, t->data.batches);
    wg_fit_end end = end_of(t);
    const bool ends = end == WG_FIT_DONE || end == WG_FIT_TIME;
    const bool due = t->o.validate_every ? is_multiple(step, t->o.validate_every) : epoch;
    if (ends || due) validate(t, error);
    if (due) t->due = t->best;
    if (t->now.end != WG_FIT_FAILED && epoch) tell(t, WG_FIT_EPOCH);
    if (end == WG_FIT_RUNNING && wg_early_stop_due(&t->best)) end = WG_FIT_EARLY;
    if (end != WG_FIT_RUNNING || due || is_multiple(step, t->o.save_every)) save(t, error);
    if (t->now.end != WG_FIT_FAILED) t->now.end = end;
}

static void finish(wg_trainer *t, wg_error *error)
{
    wg_error reason = {0};
    wg_checkpoint best = {.params = t->o.params};
    if (t->now.end != WG_FIT_FAILED && t->now.end != WG_FIT_STOPPED && t->o.best_path && !isnan(t->best.best) &&
        wg_early_stop_restore(&t->best, &best, &reason) != WG_OK)
        fail(t, error, reason.status, reason.text);
    tell(t, WG_FIT_ENDED);
}

bool wg_trainer_step(wg_trainer *t, wg_error *error)
{
    if (!t || t->now.end != WG_FIT_RUNNING) return false;
    if (!is_complete(t) && !wg_early_stop_due(&t->best)) make_step(t, error);
    if (t->now.end != WG_FIT_FAILED) follow_up(t, error);
    if (t->now.end == WG_FIT_RUNNING) return true;
    finish(t, error);
    return false;
}

wg_status wg_fit(const wg_fit_options *options, wg_fit_result *result, wg_error *error)
{
    wg_error first = {0};
    if (result) *result = (wg_fit_result){.end = WG_FIT_FAILED};
    wg_trainer *t = wg_trainer_new(options, &first);
    while (t && wg_trainer_step(t, &first)) continue;
    if (t && result) *result = t->now;
    wg_trainer_free(t);
    return first.status == WG_OK ? WG_OK : wg_error_set(error, first.status, "%s", first.text);
}
