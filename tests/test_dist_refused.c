/* dist/ on a world of one: what is refused, with nothing changed: files of other runs, sets and optimizers that failed,
 * parameters that change under a run, memory that runs out in steps and checkpoints. */
#include "check.h"

#include "../wengert-dist.h"
#include "failing_memory.h"

#include <unistd.h>

enum { SHARDS = 3, N = 6 };

/* ---- a run ---- */

typedef struct setting {
    int64_t n, carried; /* elements of w, of state.h */
    bool adam, frozen, more_carried;
    int axes; /* of another carried buffer, of one element; 0: there is none */
} setting;

typedef struct run {
    wg_world *world;
    wg_params *params;
    wg_param *w;
    wg_buffer *mean, *state;
    wg_optimizer *optimizer;
    wg_tape *tape;
    wg_dist *dist;
    wg_error error;
} run;

static run run_new(setting s, int64_t shards)
{
    run r = {.world = wg_world_open(NULL, NULL, wg_world_defaults(), NULL), .params = wg_params_new(WG_F32)};
    wg_dist_options options = wg_dist_defaults();
    options.shards = shards;
    wg_param *still = wg_param_new(r.params, "still", WG_DIMS(4), wg_init_constant(3));
    wg_param_freeze(still, s.frozen);
    r.w = wg_param_new(r.params, "w", WG_DIMS(s.n ? s.n : N), wg_init_uniform(-1, 1));
    r.mean = wg_buffer_new(r.params, "running_mean", WG_DIMS(1), wg_init_zeros());
    r.state = wg_buffer_new(r.params, "state.h", WG_DIMS(s.carried ? s.carried : 2), wg_init_zeros());
    if (s.more_carried) wg_buffer_new(r.params, "state.more", WG_DIMS(1), wg_init_zeros());
    if (s.axes) {
        wg_shape shape = {.rank = s.axes};
        for (int i = 0; i < s.axes; i++) shape.size[i] = 1;
        wg_buffer_new(r.params, "state.axes", shape, wg_init_zeros());
    }
    wg_sgd_options sgd = wg_sgd_defaults();
    sgd.lr = sgd.momentum = 0.5;
    r.optimizer = s.adam ? wg_adam_new(r.params, wg_adam_defaults()) : wg_sgd_new(r.params, sgd);
    r.tape = wg_tape_new(wg_tape_defaults());
    r.dist = wg_dist_new(r.world, r.params, r.optimizer, options, &r.error);
    return r;
}

static void run_end(run *r)
{
    wg_dist_free(r->dist);
    wg_tape_free(r->tape);
    wg_optimizer_free(r->optimizer);
    wg_params_free(r->params);
    wg_world_close(r->world);
}

/* A step on sum(w c) of each shard, of which each counts once. */
static wg_status step(run *r, uint64_t number)
{
    wg_dist_result result;
    for (int64_t s; (s = wg_dist_next(r->dist, r->tape, number)) >= 0;) {
        const wg_tensor x = wg_arange(r->tape, WG_F32, (double)s, 0.5, wg_param_numel(r->w));
        const wg_tensor loss = wg_sum_all(wg_mul(wg_use(r->tape, r->w), x));
        const double value = 1;
        wg_status status = wg_dist_backward(r->dist, loss, 1);
        if (status == WG_OK) status = wg_dist_add(r->dist, 1, &value);
        (void)wg_tape_reset(r->tape);
        if (status != WG_OK) break;
    }
    return wg_dist_step(r->dist, 0, &result);
}

static char path[] = "/tmp/wengert-dist-XXXXXX";

/* ---- files ---- */

/* The file of another run is refused with this text, and nothing has changed. */
static void expect_no_load(setting s, int64_t shards, const char *file, wg_status status, const char *text)
{
    run r = run_new(s, shards);
    wg_error error = {0};
    wg_checkpoint c = {0};
    const uint64_t before = wg_params_hash(r.params);
    const wg_status got = wg_dist_load(r.dist, file, &c, &error);
    if (got != status || !strstr(error.text, text))
        FAIL("%s: '%s', not '%s'", wg_status_name(got), error.text, text);
    CHECK(wg_params_hash(r.params) == before && step(&r, 0) == WG_OK);
    run_end(&r);
}

static void files_of_other_runs(void)
{
    run r = run_new((setting){0}, SHARDS);
    CHECK(step(&r, 0) == WG_OK);
    CHECK(wg_dist_save(r.dist, path, &(wg_checkpoint){.step = 1}, NULL) == WG_OK);
    wg_error error = {0};
    CHECK(wg_dist_save(r.dist, "/nowhere/x", &(wg_checkpoint){.step = 1}, &error) == WG_ERR_IO);
    CHECK(strstr(error.text, "/nowhere/x") && step(&r, 1) == WG_OK);
    run_end(&r);
    expect_no_load((setting){.adam = true}, SHARDS, path, WG_ERR_FORMAT, "saved with optimizer sgd, not adam");
    expect_no_load((setting){.n = N + 1}, SHARDS, path, WG_ERR_FORMAT, "w");
    expect_no_load((setting){.carried = 3}, SHARDS, path, WG_ERR_FORMAT, "state.h has another shape or dtype");
    expect_no_load((setting){.more_carried = true}, SHARDS, path, WG_ERR_FORMAT, "missing: state.more");
    expect_no_load((setting){0}, SHARDS, "/nowhere/x", WG_ERR_IO, "/nowhere/x");
    expect_no_load((setting){0}, 0, path, WG_ERR_FORMAT, "of a run of 3 shards, not 1");

    r = run_new((setting){0}, 0);
    CHECK(wg_dist_shards(r.dist) == 1);
    const wg_checkpoint plain = {.params = r.params};
    CHECK(wg_checkpoint_save(path, &plain, NULL) == WG_OK);
    run_end(&r);
    expect_no_load((setting){0}, 0, path, WG_ERR_FORMAT, "saved with optimizer none, not sgd");
}

/* A load that fails after the file was opened leaves the optimizer's steps and the caller's checkpoint as they are. */
static void a_load_that_fails_changes_nothing(void)
{
    run a = run_new((setting){0}, SHARDS);
    CHECK(step(&a, 0) == WG_OK && step(&a, 1) == WG_OK);
    CHECK(wg_dist_save(a.dist, path, &(wg_checkpoint){.step = 2}, NULL) == WG_OK);
    run_end(&a);
    run b = run_new((setting){0}, SHARDS);
    wg_params *own = wg_params_new(WG_F32);
    const wg_map_row nonsense = {"w", "w", .row = -1};
    wg_checkpoint c = {.params = own, .optimizer = b.optimizer, .step = 7, .map = &nonsense, .n_map = 1};
    wg_error error = {0};
    CHECK(wg_dist_load(b.dist, path, &c, &error) == WG_ERR_ARGUMENT && strstr(error.text, "a row is negative"));
    CHECK(wg_optimizer_steps(b.optimizer) == 0 && c.step == 7);
    CHECK(c.params == own && c.optimizer == b.optimizer);
    c.n_map = 0;
    error = (wg_error){0};
    CHECK(wg_dist_load(b.dist, path, &c, &error) == WG_OK && wg_optimizer_steps(b.optimizer) == 2 && c.step == 2);
    CHECK(c.params == own && c.optimizer == b.optimizer);
    wg_params_free(own);
    run_end(&b);
}

/* An optimizer that has a part of its state, as that of a rank of several, is not saved or loaded as a whole. */
static void a_part_of_an_optimizer(void)
{
    run whole = run_new((setting){.adam = true, .n = 4096}, 0);
    wg_checkpoint c = {.params = whole.params, .optimizer = whole.optimizer, .step = 1};
    CHECK(step(&whole, 0) == WG_OK && wg_checkpoint_save(path, &c, NULL) == WG_OK);
    run_end(&whole);
    run r = run_new((setting){.adam = true, .n = 4096}, 0);
    const uint64_t before = wg_params_hash(r.params);
    wg_safetensors *file = wg_safetensors_open(path, NULL);
    wg_error error = {0};
    c = (wg_checkpoint){.params = r.params, .optimizer = r.optimizer};
    CHECK(wg_optimizer_own(r.optimizer, r.w, 0, 1) == WG_OK);
    CHECK(wg_checkpoint_load(file, &c, NULL, NULL, &error) == WG_ERR_ARGUMENT);
    CHECK(strstr(error.text, "only a part of the optimizer's state") && wg_params_hash(r.params) == before);
    error = (wg_error){0};
    CHECK(wg_checkpoint_save(path, &c, &error) == WG_ERR_ARGUMENT && strstr(error.text, "only a part"));
    c.optimizer = NULL;
    CHECK(wg_checkpoint_load(file, &c, NULL, NULL, NULL) == WG_OK && c.step == 1);
    wg_safetensors_close(file);
    run_end(&r);
}

static void metadata_is_checked(void)
{
    run r = run_new((setting){0}, SHARDS);
    const wg_pair reserved = {"wengert.step", "3"}, own = {"note", "x"};
    wg_error error = {0};
    CHECK(wg_dist_save(r.dist, path, &(wg_checkpoint){.n_metadata = 1}, &error) == WG_ERR_ARGUMENT);
    CHECK(strstr(error.text, "metadata is NULL"));
    wg_checkpoint c = {.metadata = &reserved, .n_metadata = 1};
    error = (wg_error){0};
    CHECK(wg_dist_save(r.dist, path, &c, &error) == WG_ERR_ARGUMENT && strstr(error.text, "are reserved"));
    c.metadata = &own;
    CHECK(wg_dist_save(r.dist, path, &c, &error) == WG_OK);
    run_end(&r);
}

static void a_carried_buffer_of_eight_axes(void)
{
    run r = run_new((setting){.axes = WG_MAX_RANK}, SHARDS);
    wg_error error = {0};
    CHECK(wg_dist_save(r.dist, path, &(wg_checkpoint){0}, &error) == WG_ERR_SHAPE);
    CHECK(strstr(error.text, "buffer state.axes has no axis left for shards"));
    run_end(&r);
}

/* A parameter that is frozen is the same for all ranks, and goes through a file. */
static void frozen_parameters(void)
{
    run a = run_new((setting){.frozen = true}, SHARDS), b;
    CHECK(step(&a, 0) == WG_OK);
    CHECK(wg_dist_save(a.dist, path, &(wg_checkpoint){.step = 1}, NULL) == WG_OK && step(&a, 1) == WG_OK);
    const uint64_t want = wg_params_hash(a.params);
    run_end(&a);
    wg_checkpoint c = {0};
    b = run_new((setting){.frozen = true}, SHARDS);
    CHECK(wg_dist_load(b.dist, path, &c, NULL) == WG_OK && c.step == 1);
    CHECK(step(&b, 1) == WG_OK && wg_params_hash(b.params) == want);
    run_end(&b);
}

/* ---- a run that is none ---- */

static void a_set_that_changes(void)
{
    run r = run_new((setting){0}, SHARDS);
    wg_dist_result result;
    const double value = 1;
    CHECK(wg_dist_add(r.dist, 1, &value) == WG_ERR_ARGUMENT && strstr(wg_dist_message(r.dist), "no shard to add"));
    CHECK(wg_dist_step(r.dist, 0, &result) == WG_ERR_ARGUMENT);
    CHECK(wg_dist_next(r.dist, r.tape, 0) == 0 && wg_dist_add(r.dist, 1, NULL) == WG_ERR_ARGUMENT);
    CHECK(strstr(wg_dist_message(r.dist), "values are missing") && wg_dist_next(r.dist, r.tape, 0) == -1);
    CHECK(wg_dist_add(r.dist, 1, &value) == WG_ERR_ARGUMENT && wg_dist_backward(r.dist, WG_NONE, 1) != WG_OK);
    CHECK(wg_dist_step(r.dist, 0, &result) == WG_ERR_ARGUMENT && step(&r, 0) == WG_OK);
    wg_param_freeze(r.w, true);
    CHECK(wg_dist_next(r.dist, r.tape, 1) == 0 && wg_dist_add(r.dist, 1, &value) == WG_ERR_ARGUMENT);
    CHECK(strstr(wg_dist_message(r.dist), "added, frozen or unfrozen"));
    CHECK(wg_dist_step(r.dist, 0, &result) == WG_ERR_ARGUMENT);
    wg_param_freeze(r.w, false);
    CHECK(step(&r, 1) == WG_OK);
    run_end(&r);
}

static float first_of(const wg_param *p) { return ((const float *)wg_param_value(p))[0]; }

/* Of one shard, whose buffers the program may also write between steps: a step that is refused gives them back. */
static void a_refused_step_of_one_shard(void)
{
    run r = run_new((setting){0}, 1);
    const double value = 1;
    ((float *)wg_param_write_begin(r.state))[0] = 3;
    wg_param_write_end(r.state);
    for (int try = 0; try < 2; try++) {
        CHECK(wg_dist_next(r.dist, r.tape, 0) == 0);
        wg_assign(r.mean, wg_add_scalar(wg_use(r.tape, r.mean), 1));
        wg_assign(r.state, wg_add_scalar(wg_use(r.tape, r.state), 2));
        const wg_tensor loss = wg_scale(wg_sum_all(wg_use(r.tape, r.w)), try == 0 ? (double)INFINITY : 1);
        CHECK(wg_dist_backward(r.dist, loss, 1) == WG_OK && wg_tape_reset(r.tape) == WG_OK);
        CHECK(first_of(r.mean) == 1 && first_of(r.state) == 5 && wg_dist_add(r.dist, 1, &value) == WG_OK);
        CHECK(wg_dist_step(r.dist, 0, NULL) == (try == 0 ? WG_ERR_NONFINITE : WG_OK));
        CHECK(first_of(r.mean) == (float)try && first_of(r.state) == (float)(3 + 2 * try));
    }
    run_end(&r);
}

static void what_failed_or_began_before(void)
{
    run r = run_new((setting){0}, SHARDS);
    wg_adam_options adam = wg_adam_defaults();
    adam.lr = -1;
    wg_optimizer *bad = wg_adam_new(r.params, adam);
    wg_error error = {0};
    wg_dist_free(r.dist);
    r.dist = wg_dist_new(r.world, r.params, bad, wg_dist_defaults(), &error);
    CHECK(!r.dist && error.status == WG_ERR_ARGUMENT && strstr(error.text, "lr"));
    wg_optimizer_free(bad);
    CHECK(wg_optimizer_step(r.optimizer) == WG_OK);
    error = (wg_error){0};
    r.dist = wg_dist_new(r.world, r.params, r.optimizer, wg_dist_defaults(), &error);
    CHECK(!r.dist && error.status == WG_ERR_ARGUMENT && strstr(error.text, "has taken steps"));
    wg_optimizer_set_steps(r.optimizer, 0);
    CHECK(!wg_param_new(r.params, "w", WG_DIMS(1), wg_init_zeros()));
    error = (wg_error){0};
    r.dist = wg_dist_new(r.world, r.params, r.optimizer, wg_dist_defaults(), &error);
    CHECK(!r.dist && error.status == wg_params_status(r.params) && strstr(error.text, "w"));
    run_end(&r);
}

static void nothing_is_predicted(void)
{
    run r = run_new((setting){0}, SHARDS);
    const wg_dist_options o = wg_dist_defaults();
    wg_dist_options many = o;
    many.shards = WG_DIST_MOST_SHARDS + 1;
    CHECK(wg_dist_predict(NULL, r.optimizer, o, 1).parameters == 0);
    CHECK(wg_dist_predict(r.params, NULL, o, 1).parameters == 0);
    CHECK(wg_dist_predict(r.params, r.optimizer, many, 1).parameters == 0);
    many.shards = 2;
    many.values = -5;
    CHECK(wg_dist_predict(r.params, r.optimizer, many, 1).parameters == 0);
    many.values = o.values;
    CHECK(wg_dist_predict(r.params, r.optimizer, many, 3).parameters == 0);
    CHECK(wg_dist_predict(r.params, r.optimizer, many, 2).parameters > 0);
    CHECK(wg_dist_memory(NULL).parameters == 0 && *wg_dist_message(NULL));
    int64_t end = 0;
    wg_dist_range(r.dist, 0, NULL, &end);
    wg_dist_range(r.dist, 0, NULL, NULL);
    CHECK(end == SHARDS);
    run_end(&r);
}

static void no_world(void)
{
    wg_world_options o = wg_world_defaults();
    wg_error error = {0};
    o.timeout = 0;
    CHECK(!wg_world_open(NULL, NULL, o, &error) && strstr(error.text, "the time limit must be a number > 0"));
    o.timeout = (double)NAN;
    CHECK(!wg_world_open(NULL, NULL, o, NULL));
    CHECK(wg_world_status(NULL) == WG_ERR_ARGUMENT && strcmp(wg_world_message(NULL), "no world") == 0);
    CHECK(strcmp(wg_world_engine(NULL), "none") == 0 && wg_world_count(NULL).messages == 0);
    CHECK(wg_world_fail(NULL, "x"));
    bool all = false;
    for (long k = 0; !all; k++) {
        error = (wg_error){0};
        left_to_fail = k;
        wg_world *w = wg_world_open(NULL, NULL, wg_world_defaults(), &error);
        all = left_to_fail >= 0;
        left_to_fail = -1;
        CHECK(all == (w != NULL) && (w || error.status == WG_ERR_MEMORY));
        wg_world_close(w);
    }
}

/* ---- memory ---- */

/* Each allocation of `what` fails in turn: an error of memory, and what was is still there. */
static void with_faults(wg_status (*what)(run *r), int least)
{
    int failed = 0;
    bool all = false;
    for (long k = 0; !all; k++) {
        run r = run_new((setting){0}, SHARDS);
        CHECK(step(&r, 0) == WG_OK && wg_dist_save(r.dist, path, &(wg_checkpoint){.step = 1}, NULL) == WG_OK);
        const uint64_t before = wg_params_hash(r.params);
        left_to_fail = k;
        const wg_status status = what(&r);
        all = left_to_fail >= 0;
        left_to_fail = -1;
        CHECK(status == WG_OK || (!all && status == WG_ERR_MEMORY && wg_params_hash(r.params) == before));
        failed += status != WG_OK;
        CHECK(step(&r, 1) == WG_OK);
        run_end(&r);
    }
    CHECK(failed >= least);
}

static wg_status save_again(run *r) { return wg_dist_save(r->dist, path, &(wg_checkpoint){.step = 1}, NULL); }
static wg_status load_again(run *r)
{
    wg_checkpoint c = {0};
    return wg_dist_load(r->dist, path, &c, NULL);
}

static void memory_for_files(void)
{
    with_faults(save_again, 3);
    with_faults(load_again, 3);
}

static void begin(void)
{
    strcpy(path + strlen(path) - 6, "XXXXXX");
    close(mkstemp(path));
}
static void end(void) { unlink(path); }

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE_WITH(files_of_other_runs, begin, end),
                                 TEST_CASE_WITH(a_load_that_fails_changes_nothing, begin, end),
                                 TEST_CASE_WITH(a_part_of_an_optimizer, begin, end),
                                 TEST_CASE_WITH(metadata_is_checked, begin, end),
                                 TEST_CASE_WITH(a_carried_buffer_of_eight_axes, begin, end),
                                 TEST_CASE_WITH(frozen_parameters, begin, end),
                                 TEST_CASE(a_set_that_changes),
                                 TEST_CASE(a_refused_step_of_one_shard),
                                 TEST_CASE(what_failed_or_began_before),
                                 TEST_CASE(nothing_is_predicted),
                                 TEST_CASE(no_world),
                                 TEST_CASE_WITH(memory_for_files, begin, end)};
    return RUN_TESTS(tests);
}
