/* Runs of wg_fit that are refused, or end by an error: wrong options, a step that fails, files of other runs, failing
 * allocations. What is kept stays whole. */
#include "learner.h"
#include "tensors.h"
#include "test_io.h"

#include <unistd.h>

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

/* A set that failed while the model was built. */
static void params_that_failed(void)
{
    learner l = learner_new();
    CHECK(!wg_param_new(l.params, "w", WG_DIMS(2), wg_init_zeros()));
    REFUSES((void)o, wg_params_status(l.params), "w");
    learner_fini(&l);
}

/* ---- steps that fail ---- */

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

static double negative_rate(void *context, uint64_t step, uint64_t steps) { return step < 2 ? 0.1 : -1; }

static void a_learning_rate_that_is_none_ends_the_run(void)
{
    learner l = learner_new();
    REFUSES(o.lr = negative_rate, WG_ERR_ARGUMENT, "step 3: the learning rate is -1");
    CHECK(l.steps == 3);
    learner_fini(&l);
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

/* ---- files ---- */

static wg_tensor no_loss(void *context, const wg_fit_batch *batch) { return WG_NONE; }

static wg_tensor no_held_out_loss(void *context, const wg_fit_batch *batch)
{
    return batch->training ? options_of(context).loss(context, batch) : WG_NONE;
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

/* A file of the run whose state was spoiled: the parameters stay as they are. */
static void a_state_that_is_none_is_not_resumed(void)
{
    learner l = learner_new();
    const wg_pair state[] = {{"fit.run", "seed 5 batch 5 samples 23"}, {"fit.state", "0x1p+0 nan nothing"}};
    const wg_checkpoint c = {.params = l.params, .optimizer = l.optimizer, .metadata = state, .n_metadata = 2};
    CHECK(wg_checkpoint_save(path, &c, NULL) == WG_OK);
    wg_param *p = wg_params_at(l.params, 0);
    ((float *)wg_param_write_begin(p))[0] += 1;
    wg_param_write_end(p);
    const uint64_t hash = set_hash(l.params, false);
    REFUSES((o.path = path, o.resume = true), WG_ERR_FORMAT, "\"fit.state\" is wrong");
    CHECK(set_hash(l.params, false) == hash);
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

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(options_are_checked),
                                 TEST_CASE(params_that_failed),
                                 TEST_CASE(a_step_that_fails_ends_the_run),
                                 TEST_CASE(a_learning_rate_that_is_none_ends_the_run),
                                 TEST_CASE(a_loss_that_is_none_ends_the_run),
                                 TEST_CASE(a_sample_that_cannot_be_made_ends_the_run),
                                 TEST_CASE_WITH(another_run_is_not_resumed, begin_files, end_files),
                                 TEST_CASE_WITH(a_checkpoint_out_of_reach_is_an_error, begin_files, end_files),
                                 TEST_CASE_WITH(a_state_that_is_none_is_not_resumed, begin_files, end_files),
                                 TEST_CASE_WITH(memory_runs_out, begin_files, end_files)};
    make_folder();
    int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
