/* wg_fit against a loop written by hand: the same bits; data sets, resuming, early stopping, limits, events. */
#include "learner.h"
#include "test_io.h"

#include <unistd.h>

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

/* ---- samples ---- */

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

/* ---- resuming ---- */

static bool stops(void *context)
{
    const learner *l = context;
    return l->stop_at && l->steps >= l->stop_at;
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

static double rising(void *context, wg_tape *tape) { return 1 + ((learner *)context)->validated++; }

/* A run in pieces validates at the end of each; that ends it no earlier. */
static void pieces_are_the_same_run(void)
{
    learner whole = learner_new(), part = learner_new();
    wg_fit_options o = options_of(&whole), p = options_of(&part);
    o.epochs = p.epochs = 0, o.validate = p.validate = rising, o.validate_every = p.validate_every = 4;
    o.patience = p.patience = 2, o.steps = 40;
    const wg_fit_result want = fit(&o);
    CHECK(want.end == WG_FIT_EARLY && want.step == 12 && want.best_step == 4);
    static const int64_t steps[] = {1, 5, 7, 9, 40};
    p.path = path, p.resume = true;
    for (int i = 0; i < 5; i++) {
        p.steps = steps[i];
        const wg_fit_result got = fit(&p);
        CHECK(got.end == (i < 4 ? WG_FIT_DONE : WG_FIT_EARLY) && got.step == (i < 4 ? (uint64_t)steps[i] : 12));
    }
    CHECK(same_params(&part, &whole));
    learner_fini(&part);
    learner_fini(&whole);
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

/* ---- validation ---- */

static double falling(void *context, wg_tape *tape)
{
    static const double numbers[] = {5, 3, 2, 4, 4, 1, 4, 4, 4, 4};
    learner *l = context;
    CHECK(!wg_is_training(tape));
    return numbers[l->validated++ % 10];
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

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(equals_a_loop_by_hand),
                                 TEST_CASE(a_trainer_can_be_driven),
                                 TEST_CASE(data_sets_are_the_same_samples),
                                 TEST_CASE(rows_are_those_of_the_samples),
                                 TEST_CASE_WITH(a_resumed_run_is_the_same_run, begin_files, end_files),
                                 TEST_CASE_WITH(pieces_are_the_same_run, begin_files, end_files),
                                 TEST_CASE_WITH(a_complete_run_is_resumed, begin_files, end_files),
                                 TEST_CASE_WITH(early_stopping_keeps_the_best, begin_files, end_files),
                                 TEST_CASE_WITH(a_best_that_was_not_saved, begin_files, end_files),
                                 TEST_CASE(validation_as_asked),
                                 TEST_CASE(without_samples),
                                 TEST_CASE(a_time_limit_ends),
                                 TEST_CASE(epochs_and_steps)};
    make_folder();
    int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
