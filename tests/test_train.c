/* wg_fit against a loop written by hand: the same bits; resuming, early stopping, limits, events, errors. */
#include "tensors.h"
#include "test_io.h"

#include <unistd.h>

enum { SAMPLES = 23, HELD_OUT = 7, BATCH = 5, STEPS_OF_EPOCH = 5, IN = 3 };

static char path[128], best_path[128];

static void begin(void)
{
    snprintf(path, sizeof path, "%s", in_folder("run.safetensors"));
    snprintf(best_path, sizeof best_path, "%s", in_folder("best.safetensors"));
}

static void end(void)
{
    unlink(path);
    unlink(best_path);
    CHECK(count_files() == 0);
}

/* ---- something to learn: y = w x with dropout on x, of f32 ---- */

typedef struct learner {
    wg_params *params;
    wg_optimizer *optimizer;
    int64_t steps, validated; /* calls so far */
    int64_t stop_at;          /* asks to stop once so many steps are made; 0: never */
    int64_t spoil_at;         /* the loss of this step is NaN; < 0: of none */
    bool mistaken;            /* shapes that do not fit */
    char events[400];
} learner;

static learner learner_new(void)
{
    learner l = {.params = wg_params_new(WG_F32), .spoil_at = -1};
    wg_param_new(l.params, "w", WG_DIMS(IN, 1), wg_init_uniform(-1, 1));
    l.optimizer = wg_adam_new(l.params, wg_adam_defaults());
    return l;
}

static void learner_fini(learner *l)
{
    wg_optimizer_free(l->optimizer);
    wg_params_free(l->params);
}

static float input(int64_t sample, int i) { return (float)((sample * 7 + i * 5) % 11) / 11 - 0.5f; }

static wg_tensor record(const learner *l, wg_tape *tape, const int64_t *sample, int64_t n)
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

static bool stops(void *context)
{
    const learner *l = context;
    return l->stop_at && l->steps >= l->stop_at;
}

static void note_event(void *context, wg_fit_event event, const wg_fit_result *now)
{
    learner *l = context;
    const size_t n = strlen(l->events);
    CHECK(now->step <= now->steps || !now->steps);
    if (n + 1 < sizeof l->events) l->events[n] = "BsvVESN"[event];
}

static wg_fit_options options_of(learner *l)
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

static bool same_params(const learner *a, const learner *b)
{
    return set_hash(a->params, false) == set_hash(b->params, false);
}

static wg_fit_result fit(const wg_fit_options *o)
{
    wg_fit_result result;
    wg_error error = {0};
    if (wg_fit(o, &result, &error) != WG_OK) FAIL("%s", error.text);
    return result;
}

/* ---- the same as by hand ---- */

typedef struct by_hand {
    double loss, mean, validation;
} by_hand;

static by_hand train_by_hand(learner *l, int epochs, double clip)
{
    wg_tape_options options = wg_tape_defaults();
    options.seed = 5;
    wg_tape *tape = wg_tape_new(options);
    wg_loader_options order = wg_loader_defaults();
    order.batch = BATCH, order.seed = 5;
    wg_loader *loader = wg_loader_new(SAMPLES, order, NULL);
    by_hand r = {0};
    for (int step = 0; step < epochs * STEPS_OF_EPOCH; step++) {
        const int64_t *sample;
        const int64_t n = wg_loader_batch(loader, (uint64_t)step, &sample);
        if (step % STEPS_OF_EPOCH == 0) r.mean = 0;
        wg_set_step(tape, (uint64_t)step);
        wg_tensor loss = wg_keep(record(l, tape, sample, n));
        wg_zero_grad(l->params);
        CHECK(wg_backward(loss) == WG_OK);
        r.mean += r.loss = wg_item(loss);
        CHECK(wg_tape_reset(tape) == WG_OK);
        if (clip > 0) CHECK(wg_clip_grad_norm(l->params, clip, NULL) == WG_OK);
        CHECK(wg_optimizer_step(l->optimizer) == WG_OK);
    }
    r.mean /= STEPS_OF_EPOCH;
    const int64_t held[2][BATCH] = {{23, 24, 25, 26, 27}, {28, 29}};
    wg_set_training(tape, false);
    for (int i = 0; i < 2; i++)
        r.validation += wg_item(record(l, tape, held[i], i ? 2 : 5)) * (i ? 2 : 5) / HELD_OUT;
    wg_loader_free(loader);
    wg_tape_free(tape);
    return r;
}

static void equals_a_loop_by_hand(void)
{
    for (int clipped = 0; clipped < 2; clipped++) {
        learner a = learner_new(), b = learner_new();
        wg_fit_options o = options_of(&a);
        o.clip = clipped ? 0.1 : 0;
        const wg_fit_result end = fit(&o);
        const by_hand want = train_by_hand(&b, 3, o.clip);
        CHECK(same_params(&a, &b));
        CHECK(end.loss == want.loss && fabs(end.mean_loss - want.mean) < 1e-12);
        CHECK(fabs(end.validation - want.validation) < 1e-6 && end.best <= end.validation);
        CHECK(end.end == WG_FIT_DONE && end.step == 15 && end.steps == 15 && end.epoch == 3);
        CHECK(clipped ? end.norm > 0.1 : end.norm == 0);
        CHECK(!strcmp(a.events, "BsssssvVEsssssvVEsssssvVEN"));
        learner_fini(&a);
        learner_fini(&b);
    }
}

/* A trainer that is driven by hand is the same loop. */
static void a_trainer_can_be_driven(void)
{
    learner a = learner_new(), b = learner_new();
    wg_fit_options o = options_of(&a), p = options_of(&b);
    wg_error error = {0};
    wg_trainer *t = wg_trainer_new(&p, &error);
    uint64_t steps = 0;
    fit(&o);
    CHECK(wg_trainer_tape(t) && wg_trainer_result(t)->step == 0);
    while (wg_trainer_step(t, &error)) CHECK(wg_trainer_result(t)->step == ++steps);
    CHECK(error.status == WG_OK && steps == 14 && wg_trainer_result(t)->end == WG_FIT_DONE);
    CHECK(!wg_trainer_step(t, &error) && b.steps == 15); /* it has ended */
    wg_trainer_free(t);
    CHECK(same_params(&a, &b));
    learner_fini(&a);
    learner_fini(&b);
}

/* ---- data sets ---- */

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

static wg_dataset dataset_of(int64_t n, int64_t *first)
{
    wg_dataset set = {.n = n, .n_fields = 2, .make = make_sample, .context = first};
    set.field[0] = (wg_field){WG_F32, WG_DIMS(IN), NULL};
    set.field[1] = (wg_field){WG_F32, WG_DIMS(1), NULL};
    return set;
}

static wg_tensor loss_of_data(void *context, const wg_fit_batch *batch)
{
    const learner *l = context;
    wg_tensor x = wg_dropout(wg_batch_tensor(batch->data, batch->tape, 0), 0.2);
    wg_tensor out = wg_matmul(x, wg_use(batch->tape, wg_params_at(l->params, 0)));
    return wg_mse(out, wg_batch_tensor(batch->data, batch->tape, 1), WG_MEAN);
}

static void data_sets_are_the_same_samples(void)
{
    int64_t first[] = {0, SAMPLES};
    const wg_dataset training = dataset_of(SAMPLES, &first[0]), validation = dataset_of(HELD_OUT, &first[1]);
    learner a = learner_new(), b = learner_new();
    wg_fit_options o = options_of(&a), p = options_of(&b);
    p.samples = p.held_out = 0;
    p.data = &training, p.held_out_data = &validation;
    p.loss = loss_of_data;
    const wg_fit_result want = fit(&o), got = fit(&p);
    CHECK(same_params(&a, &b) && got.validation == want.validation && got.mean_loss == want.mean_loss);
    learner_fini(&a);
    learner_fini(&b);
}

static void a_sample_that_cannot_be_made_ends_the_run(void)
{
    for (int held_out = 0; held_out < 2; held_out++) {
        int64_t first[] = {held_out ? 0 : HELD_OUT + 5, held_out ? SAMPLES + 3 : 0};
        const wg_dataset training = dataset_of(SAMPLES, &first[0]), validation = dataset_of(HELD_OUT, &first[1]);
        learner l = learner_new();
        wg_fit_options o = options_of(&l);
        wg_error error = {0};
        o.samples = o.held_out = 0;
        o.data = &training, o.held_out_data = &validation;
        o.loss = loss_of_data;
        CHECK(wg_fit(&o, NULL, &error) == WG_ERR_FORMAT && strstr(error.text, "is missing"));
        learner_fini(&l);
    }
}

/* ---- resuming ---- */

static double falling(void *context, wg_tape *tape)
{
    static const double numbers[] = {5, 3, 2, 4, 4, 1, 4, 4, 4, 4};
    learner *l = context;
    CHECK(!wg_is_training(tape));
    return numbers[l->validated++ % 10];
}

/* A run that is stopped after any step and resumed is the run that was not. */
static void a_resumed_run_is_the_same_run(void)
{
    learner whole = learner_new();
    wg_fit_options o = options_of(&whole);
    const wg_fit_result want = fit(&o);
    for (int stop = 1; stop <= 15; stop++) {
        learner part = learner_new();
        wg_fit_options p = options_of(&part);
        p.path = path, p.stop = stops;
        part.stop_at = stop;
        wg_fit_result got = fit(&p);
        CHECK(got.end == (stop < 15 ? WG_FIT_STOPPED : WG_FIT_DONE) && got.step == (uint64_t)stop);
        learner_fini(&part);
        part = learner_new(); /* as a new process */
        p = options_of(&part);
        p.path = path, p.resume = true;
        got = fit(&p);
        CHECK(same_params(&part, &whole) && part.steps == 15 - stop);
        CHECK(got.end == WG_FIT_DONE && got.step == 15 && got.loss == want.loss && got.mean_loss == want.mean_loss);
        CHECK(got.validation == want.validation && got.best == want.best && got.best_step == want.best_step);
        learner_fini(&part);
        unlink(path);
    }
    learner_fini(&whole);
}

static void early_stopping_keeps_the_best(void)
{
    learner l = learner_new(), third = learner_new();
    wg_fit_options o = options_of(&l);
    o.epochs = 10;
    o.validate = falling, o.patience = 2, o.best_path = best_path;
    const wg_fit_result end = fit(&o);
    CHECK(end.end == WG_FIT_EARLY && end.epoch == 5 && end.best == 2 && end.best_step == 15 && l.validated == 5);
    train_by_hand(&third, 3, 0);
    CHECK(same_params(&l, &third));
    learner_fini(&l);
    learner_fini(&third);
}

/* Higher is better; patience 0 never ends; every second step. */
static void validation_as_asked(void)
{
    learner l = learner_new();
    wg_fit_options o = options_of(&l);
    o.validate = falling, o.higher = true, o.validate_every = 2, o.epochs = 0, o.steps = 9;
    const wg_fit_result end = fit(&o);
    CHECK(end.end == WG_FIT_DONE && end.best == 5 && end.best_step == 2 &&
          l.validated == 5); /* 2, 4, 6, 8 and the last */
    learner_fini(&l);
}

/* ---- limits ---- */

static wg_tensor loss_by_step(void *context, const wg_fit_batch *batch)
{
    learner *l = context;
    const int64_t sample[] = {(int64_t)batch->step, (int64_t)batch->step + 1};
    CHECK(!batch->sample && batch->n == 0);
    l->steps++;
    return record(l, batch->tape, sample, 2);
}

static double halved(void *context, uint64_t step, uint64_t steps)
{
    CHECK(steps == 7);
    return 0.1 / (double)(1 + step);
}

static void without_samples(void)
{
    learner l = learner_new();
    wg_fit_options o = options_of(&l);
    o.samples = o.held_out = o.epochs = 0, o.steps = 7;
    o.loss = loss_by_step, o.lr = halved;
    const wg_fit_result end = fit(&o);
    CHECK(end.step == 7 && l.steps == 7 && end.epoch == 0 && isnan(end.validation) && end.lr == 0.1 / 7);
    CHECK(!strcmp(l.events, "BsssssssN"));
    learner_fini(&l);
}

static void a_time_limit_ends(void)
{
    learner l = learner_new();
    wg_fit_options o = options_of(&l);
    o.epochs = 0, o.seconds = 1e-9;
    const wg_fit_result end = fit(&o);
    CHECK(end.end == WG_FIT_TIME && end.step == 1 && end.steps == 0 && !isnan(end.validation));
    learner_fini(&l);
}

static void a_complete_run_is_resumed(void)
{
    for (int twice = 0; twice < 2; twice++) {
        learner l = learner_new();
        wg_fit_options o = options_of(&l);
        o.path = path, o.resume = true;
        const wg_fit_result end = fit(&o);
        CHECK(end.end == WG_FIT_DONE && end.step == 15 && l.steps == (twice ? 0 : 15));
        learner_fini(&l);
    }
}

/* ---- errors ---- */

static void expect_refusal(const wg_fit_options *o, wg_status status, const char *words, int line)
{
    wg_error error = {0};
    wg_fit_result result;
    if (wg_fit(o, &result, &error) != status || !strstr(error.text, words))
        FAIL("line %d: %s: '%s' has no '%s'", line, wg_status_name(error.status), error.text, words);
    CHECK(result.end == WG_FIT_FAILED);
}
#define REFUSES(change, status, words)                                                                             \
    do {                                                                                                           \
        wg_fit_options o = options_of(&l);                                                                         \
        change;                                                                                                    \
        expect_refusal(&o, status, words, __LINE__);                                                               \
    } while (0)

/* The file of the best is wanted only after the run was interrupted: the best that it can have counts. */
static void a_best_that_was_not_saved(void)
{
    learner l = learner_new();
    wg_fit_options o = options_of(&l);
    o.path = path, o.resume = true, o.validate = falling, o.epochs = 4;
    CHECK(fit(&o).best == 2);
    o.best_path = best_path, o.epochs = 5;
    const wg_fit_result end = fit(&o);
    CHECK(end.end == WG_FIT_DONE && end.best_step == 25 && access(best_path, F_OK) == 0);
    learner_fini(&l);
}

static void options_are_checked(void)
{
    learner l = learner_new();
    learner other = learner_new();
    const wg_pair reserved = {"fit.state", "x"}, engine = {"wengert.x", "x"};
    REFUSES(o.params = NULL, WG_ERR_ARGUMENT, "fit: params is NULL");
    REFUSES(o.optimizer = NULL, WG_ERR_ARGUMENT, "fit: optimizer is NULL");
    REFUSES(o.loss = NULL, WG_ERR_ARGUMENT, "fit: loss is NULL");
    REFUSES(o.epochs = 0, WG_ERR_ARGUMENT, "no end");
    REFUSES(o.samples = 0, WG_ERR_ARGUMENT, "epochs need samples");
    REFUSES(o.batch = 0, WG_ERR_ARGUMENT, "batch is 0");
    REFUSES(o.data = &(const wg_dataset){0}, WG_ERR_ARGUMENT, "both data and samples");
    REFUSES((o.samples = o.held_out = 0, o.data = &(const wg_dataset){0}), WG_ERR_ARGUMENT, "fit: ");
    REFUSES(o.held_out = -1, WG_ERR_ARGUMENT, "negative");
    REFUSES(o.held_out = INT64_MAX, WG_ERR_ARGUMENT, "held_out");
    REFUSES(o.clip = NAN, WG_ERR_ARGUMENT, "NaN");
    REFUSES((o.metadata = &reserved, o.n_metadata = 1), WG_ERR_ARGUMENT, "fit.");
    REFUSES((o.metadata = &engine, o.n_metadata = 1), WG_ERR_ARGUMENT, "wengert.");
    REFUSES(o.n_metadata = 1, WG_ERR_ARGUMENT, "metadata is NULL");
    REFUSES(o.optimizer = other.optimizer, WG_ERR_ARGUMENT, "the optimizer is of another set");
    REFUSES(o.path = o.best_path = "x", WG_ERR_ARGUMENT, "path and best_path are the same file");
    REFUSES(o.samples = -1, WG_ERR_ARGUMENT, "negative");
    REFUSES(o.epochs = -1, WG_ERR_ARGUMENT, "negative");
    REFUSES(o.steps = -1, WG_ERR_ARGUMENT, "negative");
    REFUSES(o.validate_every = -1, WG_ERR_ARGUMENT, "negative");
    REFUSES(o.patience = -1, WG_ERR_ARGUMENT, "negative");
    REFUSES(o.save_every = -1, WG_ERR_ARGUMENT, "negative");
    REFUSES(o.seconds = NAN, WG_ERR_ARGUMENT, "NaN");
    REFUSES(o.held_out_data = &(const wg_dataset){0}, WG_ERR_ARGUMENT, "held_out_data needs data");
    REFUSES((o.samples = o.epochs = 0, o.steps = 1), WG_ERR_ARGUMENT, "held_out needs samples");
    const wg_pair nameless = {NULL, "x"}, empty = {"x", NULL};
    REFUSES((o.metadata = &nameless, o.n_metadata = 1), WG_ERR_ARGUMENT, "a key of metadata is NULL");
    REFUSES((o.metadata = &empty, o.n_metadata = 1), WG_ERR_ARGUMENT, "a key of metadata is NULL");
    REFUSES(o.path = "/nowhere/x", WG_ERR_IO, "/nowhere/x");
    REFUSES(o.best_path = "/nowhere/y", WG_ERR_IO, "/nowhere/y");
    wg_error error = {0};
    CHECK(!wg_trainer_new(NULL, &error) && strstr(error.text, "options is NULL"));
    CHECK(!wg_trainer_step(NULL, NULL) && !wg_trainer_result(NULL) && !wg_trainer_tape(NULL));
    learner_fini(&l);
    learner_fini(&other);
}

/* Nothing is lost: the parameters are those of the step before, and the last checkpoint is good. */
static void a_step_that_fails_ends_the_run(void)
{
    learner l = learner_new(), four = learner_new();
    wg_fit_options p = options_of(&four);
    p.epochs = 0, p.steps = 4;
    fit(&p);
    l.spoil_at = 4;
    REFUSES(o.save_every = 2, WG_ERR_NONFINITE, "step 5: the loss is nan");
    CHECK(same_params(&l, &four));
    l.spoil_at = -1, l.mistaken = true;
    REFUSES(o.epochs = 1, WG_ERR_DTYPE, "add");
    CHECK(same_params(&l, &four));
    learner_fini(&l);
    learner_fini(&four);
}

static wg_tensor no_loss(void *context, const wg_fit_batch *batch) { return WG_NONE; }

static wg_tensor no_held_out_loss(void *context, const wg_fit_batch *batch)
{
    return batch->training ? loss_of(context, batch) : WG_NONE;
}

static wg_tensor foreign_loss(void *context, const wg_fit_batch *batch) { return wg_scalar(context, WG_F32, 1); }

/* A loss that is omitted or on another tape is an error with a text, of training and of held-out samples. */
static void a_loss_that_is_none_ends_the_run(void)
{
    learner l = learner_new();
    const uint64_t hash = set_hash(l.params, false);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    REFUSES(o.loss = no_loss, WG_ERR_ARGUMENT, "step 1: the loss is no tensor");
    REFUSES((o.loss = foreign_loss, o.context = tape), WG_ERR_ARGUMENT, "step 1: the loss is no tensor");
    CHECK(set_hash(l.params, false) == hash);
    REFUSES(o.loss = no_held_out_loss, WG_ERR_ARGUMENT, "step 5: the loss is no tensor");
    wg_tape_free(tape);
    learner_fini(&l);
}

static void another_run_is_not_resumed(void)
{
    learner l = learner_new();
    wg_fit_options first = options_of(&l);
    first.path = path;
    fit(&first);
    const uint64_t hash = set_hash(l.params, false);
    REFUSES((o.path = path, o.resume = true, o.seed = 6), WG_ERR_FORMAT, "seed 5 batch 5 samples 23");
    REFUSES((o.path = path, o.resume = true, o.batch = 4), WG_ERR_FORMAT, "batch 4");
    const wg_checkpoint foreign = {.params = l.params};
    CHECK(wg_checkpoint_save(path, &foreign, NULL) == WG_OK);
    REFUSES((o.path = path, o.resume = true), WG_ERR_FORMAT, "of another program");
    CHECK(wg_file_write(path, "no model", 8, NULL) == WG_OK);
    REFUSES((o.path = path, o.resume = true), WG_ERR_FORMAT, path);
    CHECK(set_hash(l.params, false) == hash);
    learner_fini(&l);
}

/* A run that began anew would replace the checkpoint in the end. */
static void a_checkpoint_out_of_reach_is_an_error(void)
{
    learner l = learner_new();
    CHECK(symlink(path, path) == 0);
    REFUSES((o.path = path, o.resume = true), WG_ERR_IO, path);
    CHECK(l.steps == 0);
    learner_fini(&l);
}

/* A file of the run whose state was spoiled. */
static void a_state_that_is_none_is_not_resumed(void)
{
    learner l = learner_new();
    const wg_pair state[] = {{"fit.run", "seed 5 batch 5 samples 23"}, {"fit.state", "0x1p+0 nan nothing"}};
    const wg_checkpoint c = {.params = l.params, .optimizer = l.optimizer, .metadata = state, .n_metadata = 2};
    CHECK(wg_checkpoint_save(path, &c, NULL) == WG_OK);
    REFUSES((o.path = path, o.resume = true), WG_ERR_FORMAT, "\"fit.state\" is wrong");
    learner_fini(&l);
}

static double negative_rate(void *context, uint64_t step, uint64_t steps) { return step < 2 ? 0.1 : -1; }

static void a_learning_rate_that_is_none_ends_the_run(void)
{
    learner l = learner_new();
    REFUSES(o.lr = negative_rate, WG_ERR_ARGUMENT, "step 3: the learning rate is -1");
    CHECK(l.steps == 3);
    learner_fini(&l);
}

/* The smaller one of both limits. */
static void epochs_and_steps(void)
{
    for (int64_t steps = 1; steps < 20; steps += 6) {
        learner l = learner_new();
        wg_fit_options o = options_of(&l);
        o.epochs = 2, o.steps = steps;
        CHECK(fit(&o).step == (uint64_t)(steps < 10 ? steps : 10));
        learner_fini(&l);
    }
}

/* A set that failed while the model was built. */
static void params_that_failed(void)
{
    learner l = learner_new();
    CHECK(!wg_param_new(l.params, "w", WG_DIMS(2), wg_init_zeros()));
    REFUSES((void)o, wg_params_status(l.params), "w");
    learner_fini(&l);
}

/* Each allocation of a run fails in turn: an error that says so, and no file that does not load. */
static void memory_runs_out(void)
{
    wg_status status = WG_ERR_MEMORY;
    long k = 1, failed = 0;
    for (bool reached = true; reached; k++) {
        learner l = learner_new();
        wg_fit_options o = options_of(&l);
        wg_error error = {0};
        o.epochs = 1, o.path = path, o.best_path = best_path, o.watch = NULL;
        fault_begin(0, k, false);
        status = wg_fit(&o, NULL, &error);
        reached = fault.allocations >= k;
        fault_end();
        if (status != WG_OK && (status != WG_ERR_MEMORY || !strstr(error.text, "memory")))
            FAIL("allocation %ld: %s", k, error.text);
        failed += status != WG_OK;
        wg_safetensors *file = access(path, F_OK) ? NULL : wg_safetensors_open(path, NULL);
        CHECK(file || access(path, F_OK) != 0);
        wg_safetensors_close(file);
        learner_fini(&l);
        unlink(path);
    }
    CHECK(status == WG_OK && failed > 20);
}

/* wg_fit_rows picks rows of an array; what is wrong is an error of the tape. */
static void rows_are_those_of_the_samples(void)
{
    const float table[4][2] = {{0, 1}, {10, 11}, {20, 21}, {30, 31}};
    const int32_t labels[4] = {5, 6, 7, 8};
    const int64_t sample[3] = {3, 0, 3};
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_fit_batch b = {.tape = tape, .sample = sample, .n = 3};
    const wg_tensor x = wg_fit_rows(&b, WG_F32, WG_DIMS(2), table), y = wg_fit_rows(&b, WG_I32, WG_SCALAR, labels);
    const float *rows = wg_value(x);
    const int32_t *picked = wg_value(y);
    const wg_shape shape_x = wg_shape_get(x), shape_y = wg_shape_get(y), want_x = WG_DIMS(3, 2),
                   want_y = WG_DIMS(3);
    CHECK(rows && picked && wg_shape_equal(&shape_x, &want_x) && wg_shape_equal(&shape_y, &want_y));
    for (int i = 0; i < 3; i++)
        CHECK(rows[2 * i] == table[sample[i]][0] && rows[2 * i + 1] == table[sample[i]][1] &&
              picked[i] == labels[sample[i]]);
    CHECK(wg_tape_reset(tape) == WG_OK);
    b.sample = NULL;
    CHECK(wg_is_nil(wg_fit_rows(&b, WG_F32, WG_DIMS(2), table)));
    CHECK(strstr(wg_tape_message(tape), "fit_rows") && wg_tape_reset(tape) == WG_ERR_ARGUMENT);
    b.sample = sample;
    CHECK(wg_is_nil(wg_fit_rows(&b, WG_F32, WG_DIMS(1, 1, 1, 1, 1, 1, 1, 1), table)));
    CHECK(strstr(wg_tape_message(tape), "rank 0 to 7") && wg_tape_reset(tape) == WG_ERR_ARGUMENT);
    CHECK(wg_is_nil(wg_fit_rows(&b, WG_F32, WG_DIMS(1ll << 59), table)));
    CHECK(strstr(wg_tape_message(tape), "too large") && wg_tape_reset(tape) == WG_ERR_ARGUMENT);
    b.tape = NULL;
    CHECK(wg_is_nil(wg_fit_rows(&b, WG_F32, WG_DIMS(2), table)));
    b.tape = tape;
    const wg_shape none = wg_shape_get(wg_fit_rows(&b, WG_F32, WG_DIMS(0), table)), want_none = WG_DIMS(3, 0);
    CHECK(wg_shape_equal(&none, &want_none));
    CHECK(wg_is_nil(wg_fit_rows(NULL, WG_F32, WG_DIMS(2), table)));
    wg_tape_free(tape);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(equals_a_loop_by_hand),
                                 TEST_CASE(a_trainer_can_be_driven),
                                 TEST_CASE(data_sets_are_the_same_samples),
                                 TEST_CASE(a_sample_that_cannot_be_made_ends_the_run),
                                 TEST_CASE_WITH(a_resumed_run_is_the_same_run, begin, end),
                                 TEST_CASE_WITH(early_stopping_keeps_the_best, begin, end),
                                 TEST_CASE(validation_as_asked),
                                 TEST_CASE(without_samples),
                                 TEST_CASE(a_time_limit_ends),
                                 TEST_CASE(epochs_and_steps),
                                 TEST_CASE_WITH(a_complete_run_is_resumed, begin, end),
                                 TEST_CASE(options_are_checked),
                                 TEST_CASE(params_that_failed),
                                 TEST_CASE(rows_are_those_of_the_samples),
                                 TEST_CASE(a_step_that_fails_ends_the_run),
                                 TEST_CASE(a_learning_rate_that_is_none_ends_the_run),
                                 TEST_CASE(a_loss_that_is_none_ends_the_run),
                                 TEST_CASE_WITH(a_best_that_was_not_saved, begin, end),
                                 TEST_CASE_WITH(another_run_is_not_resumed, begin, end),
                                 TEST_CASE_WITH(a_state_that_is_none_is_not_resumed, begin, end),
                                 TEST_CASE_WITH(a_checkpoint_out_of_reach_is_an_error, begin, end),
                                 TEST_CASE_WITH(memory_runs_out, begin, end)};
    make_folder();
    int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
