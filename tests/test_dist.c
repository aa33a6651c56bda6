/* dist/ without other ranks: the tree and flat arrays against plain loops, a run of several shards on a world of one
 * against its formula, refusals, failing allocations. tests/dist.py has the same on several ranks. */
#include "check.h"

#include "../dist/flat.h"
#include "../dist/tree.h"
#include "../wengert-dist.h"
#include "failing_memory.h"

#include <unistd.h>

/* ---- the tree ---- */

/* The sum as the definition says: split in the middle. */
static float sum_of(const float *x, int64_t lo, int64_t hi)
{
    const int64_t middle = lo + (hi - lo) / 2;
    return hi - lo == 1 ? x[lo] : sum_of(x, lo, middle) + sum_of(x, middle, hi);
}

/* The roots of all ranks, added where they are siblings, are the sum over all shards. */
static void tree_for(int64_t shards, int ranks)
{
    wg__node node[256], roots[WG__DEPTH];
    float x[64], sum[256];
    int n = 0;
    int64_t at = 0;
    for (int64_t s = 0; s < shards; s++) x[s] = 1 / (float)(3 + 7 * s % 11);
    for (int r = 0; r < ranks; r++) {
        int depth;
        const int64_t lo = wg__first_shard(shards, ranks, r), hi = wg__first_shard(shards, ranks, r + 1);
        const int n_roots = wg__roots(shards, lo, hi, roots, &depth);
        CHECK(lo < hi && n_roots <= depth && depth <= WG__DEPTH);
        if (wg__is_power(ranks) && shards % ranks == 0) CHECK(n_roots == 1);
        for (int i = 0; i < n_roots; i++, n++) {
            CHECK(roots[i].lo == at);
            at = roots[i].hi;
            node[n] = roots[i];
            sum[n] = sum_of(x, roots[i].lo, roots[i].hi);
            for (; n > 0 && wg__siblings(shards, node[n - 1], node[n]); n--) {
                sum[n - 1] += sum[n];
                node[n - 1].hi = node[n].hi;
            }
        }
    }
    CHECK(at == shards && n == 1 && sum[0] == sum_of(x, 0, shards));
}

static void sums_along_the_tree(void)
{
    for (int64_t shards = 1; shards <= 40; shards++)
        for (int ranks = 1; ranks <= shards; ranks++) tree_for(shards, ranks);
    for (int ranks = 1; ranks <= 64; ranks++)
        for (int r = 0; r < ranks; r++)
            CHECK(wg__place(ranks, r) >= 0 && wg__place(ranks, r) < ranks &&
                  wg__place(ranks, wg__place(ranks, r)) == r);
}

static void flat_arrays(void)
{
    float a[5] = {0, 1, 2, 3, 4}, b[1] = {5}, c[3] = {6, 7, 8}, none[1], out[9], add[9];
    const int64_t begin[] = {0, 5, 5, 6, 9};
    char *const memory[] = {(char *)a, (char *)none, (char *)b, (char *)c};
    const wg__flat flat = {.size = sizeof(float), .numel = 9, .n = 4, .begin = begin, .memory = memory};
    for (int64_t i = 0; i < 9; i++) add[i] = (float)(100 * i);
    for (int64_t lo = 0; lo <= 9; lo++)
        for (int64_t hi = lo; hi <= 9; hi++) {
            const wg__range range = {lo, hi};
            memset(out, 0, sizeof out);
            wg__flat_read(&flat, range, out);
            for (int64_t i = lo; i < hi; i++) CHECK(out[i - lo] == (float)i);
            wg__flat_add(&flat, range, add);
            for (int64_t i = lo; i < hi; i++) out[i - lo] += add[i - lo];
            float now[9];
            wg__flat_read(&flat, range, now);
            CHECK(memcmp(now, out, (size_t)(hi - lo) * sizeof *now) == 0);
            for (int64_t i = lo; i < hi; i++) out[i - lo] = (float)i;
            wg__flat_write(&flat, range, out);
        }
    CHECK(wg__flat_find(&flat, 4) == 0 && wg__flat_find(&flat, 5) == 2 && wg__flat_find(&flat, 8) == 3);
}

/* ---- a run on a world of one ---- */

enum { SHARDS = 5, N = 700 };

typedef struct run {
    wg_world *world;
    wg_params *params;
    wg_param *w;
    wg_buffer *mean, *state, *other;
    wg_optimizer *optimizer;
    wg_tape *tape;
    wg_dist *dist;
    wg_error error;
} run;

static void run_begin_with(run *r, wg_dist_options options)
{
    *r = (run){.world = wg_world_open(NULL, NULL, wg_world_defaults(), NULL)};
    r->params = wg_params_new(WG_F32);
    r->w = wg_param_new(r->params, "w", WG_DIMS(N), wg_init_uniform(-1, 1));
    r->mean = wg_buffer_new(r->params, "norm.running_mean", WG_DIMS(2), wg_init_constant(4));
    r->state = wg_buffer_new(r->params, "state.h", WG_DIMS(2), wg_init_zeros());
    r->other = wg_buffer_new(r->params, "other", WG_DIMS(2), wg_init_zeros());
    wg_sgd_options sgd = wg_sgd_defaults();
    sgd.lr = 0.5;
    sgd.momentum = 0.5;
    r->optimizer = wg_sgd_new(r->params, sgd);
    r->tape = wg_tape_new(wg_tape_defaults());
    r->dist = wg_dist_new(r->world, r->params, r->optimizer, options, &r->error);
}

static void run_begin(run *r, int64_t shards)
{
    wg_dist_options options = wg_dist_defaults();
    options.shards = shards;
    run_begin_with(r, options);
}

static void run_end(run *r)
{
    wg_dist_free(r->dist);
    wg_tape_free(r->tape);
    wg_optimizer_free(r->optimizer);
    wg_params_free(r->params);
    wg_world_close(r->world);
}

static double count_of(int64_t shard) { return (double)(shard * 2 % 5); } /* shard 0 has no samples */

/* The loss of a shard: the mean of x w, with x a function of the shard; writes the buffers. */
static double x_of(int64_t shard, int64_t i)
{
    return (double)(float)(1.0 / (double)(1 + (shard * 31 + i * 7) % 13));
}

static float first_of(const wg_param *p) { return ((const float *)wg_param_value(p))[0]; }

static void record(run *r, int64_t shard, double factor)
{
    float x[N];
    for (int64_t i = 0; i < N; i++) x[i] = (float)(factor * x_of(shard, i));
    wg_tensor loss = wg_sum_all(wg_mul(wg_data(r->tape, WG_F32, WG_DIMS(N), x), wg_use(r->tape, r->w)));
    wg_assign(r->mean, wg_add_scalar(wg_use(r->tape, r->mean), (double)shard));
    wg_assign(r->state, wg_add_scalar(wg_use(r->tape, r->state), (double)(1 + shard)));
    CHECK(wg_dist_backward(r->dist, loss, count_of(shard)) == WG_OK && wg_tape_reset(r->tape) == WG_OK);
}

static wg_status step(run *r, uint64_t number, double factor, wg_dist_result *result)
{
    for (int64_t shard; (shard = wg_dist_next(r->dist, r->tape, number)) >= 0;) {
        const double value = (double)shard + 0.5, count = count_of(shard);
        if (count > 0) record(r, shard, factor);
        if (wg_dist_add(r->dist, count, count > 0 ? &value : NULL) != WG_OK) break;
    }
    return wg_dist_step(r->dist, 7, result);
}

/* count g, added along the tree, divided by all counts; then SGD. */
static float oracle_gradient(int64_t i)
{
    float g[SHARDS];
    double counts = 0;
    for (int64_t s = 0; s < SHARDS; s++) {
        g[s] = count_of(s) > 0 ? (float)((double)(float)x_of(s, i) * count_of(s)) : 0;
        counts += count_of(s);
    }
    return (float)((double)sum_of(g, 0, SHARDS) / counts);
}

static void shards_are_added_along_the_tree(void)
{
    run r;
    run_begin(&r, SHARDS);
    assert_non_null(r.dist);
    float before[N];
    wg_dist_result result;
    memcpy(before, wg_param_value(r.w), sizeof before);
    CHECK(step(&r, 0, 1, &result) == WG_OK);
    double norm = 0, values = 0, counts = 0, shards = 0;
    for (int64_t i = 0; i < N; i++) {
        const float g = oracle_gradient(i);
        norm += (double)g * (double)g;
        CHECK(((const float *)wg_param_value(r.w))[i] == before[i] - 0.5f * g);
    }
    for (int64_t s = 0; s < SHARDS; s++) {
        counts += count_of(s);
        values += count_of(s) * ((double)s + 0.5);
        shards += count_of(s) * (double)s;
    }
    CHECK(fabs(result.norm - sqrt(norm)) < 1e-12 && result.values[0] == values / counts && result.stop == 7);
    CHECK(fabs(first_of(r.mean) - (4 + shards / counts)) < 1e-6);
    CHECK(step(&r, 1, 1, &result) == WG_OK);
    while (wg_dist_next(r.dist, r.tape, 2) == 0 && wg_dist_add(r.dist, 0, NULL) == WG_OK) {}
    CHECK(((const float *)wg_param_value(r.state))[1] == 2 * 2); /* shard 1 has carried 2 on, twice */
    run_end(&r);
}

/* A step that is refused changes nothing, and can be tried again. */
static void refused_steps(void)
{
    run r;
    run_begin(&r, SHARDS);
    wg_dist_result result;
    CHECK(step(&r, 0, 1, &result) == WG_OK);
    const uint64_t hash = wg_params_hash(r.params);
    const float mean = first_of(r.mean), state = first_of(r.state);
    const double value = 1;
    CHECK(step(&r, 1, 1e39, &result) == WG_ERR_NONFINITE);
    CHECK(first_of(r.mean) == mean && first_of(r.state) == state && state == SHARDS);
    CHECK(strcmp(wg_dist_message(r.dist), "dist: gradient of w is not finite at element 0") == 0);
    CHECK(wg_dist_step(r.dist, 0, NULL) == WG_ERR_ARGUMENT && strstr(wg_dist_message(r.dist), "was not added"));
    CHECK(wg_dist_next(r.dist, r.tape, 1) == 0 && wg_dist_next(r.dist, r.tape, 1) == -1);
    CHECK(wg_dist_step(r.dist, 0, NULL) == WG_ERR_ARGUMENT);
    CHECK(wg_dist_next(r.dist, r.tape, 1) == 0 && wg_dist_add(r.dist, -1, NULL) == WG_ERR_ARGUMENT);
    CHECK(wg_dist_add(r.dist, 0, NULL) == WG_ERR_ARGUMENT && wg_dist_step(r.dist, 0, NULL) == WG_ERR_ARGUMENT);
    const wg_tensor loss = wg_sum_all(wg_use(r.tape, r.w)); /* with one rank, a backward pass as any other */
    CHECK(wg_dist_backward(r.dist, loss, 1) == WG_ERR_ARGUMENT && strstr(wg_dist_message(r.dist), "wg_dist_next"));
    CHECK(wg_dist_step(r.dist, 0, NULL) == WG_ERR_ARGUMENT && wg_dist_next(r.dist, r.tape, 1) == 0);
    CHECK(wg_dist_backward(r.dist, loss, (double)NAN) == WG_ERR_ARGUMENT);
    CHECK(wg_dist_step(r.dist, 0, NULL) == WG_ERR_ARGUMENT && wg_dist_next(r.dist, r.tape, 1) == 0);
    CHECK(wg_dist_backward(r.dist, loss, 2) == WG_OK && wg_dist_backward(r.dist, loss, 2) == WG_ERR_ARGUMENT);
    CHECK(wg_dist_step(r.dist, 0, NULL) == WG_ERR_ARGUMENT && wg_dist_next(r.dist, r.tape, 1) == 0);
    CHECK(wg_dist_backward(r.dist, loss, 2) == WG_OK && wg_dist_add(r.dist, 1, &value) == WG_ERR_ARGUMENT);
    CHECK(strstr(wg_dist_message(r.dist), "not the one that wg_dist_backward"));
    CHECK(wg_dist_step(r.dist, 0, NULL) == WG_ERR_ARGUMENT && wg_tape_reset(r.tape) == WG_OK);
    CHECK(wg_dist_next(r.dist, r.tape, 1) == 0);
    wg_param_write_begin(r.other);
    wg_param_write_end(r.other);
    CHECK(wg_dist_add(r.dist, 0, NULL) == WG_ERR_ARGUMENT && strstr(wg_dist_message(r.dist), "buffer other"));
    CHECK(wg_dist_step(r.dist, 0, NULL) == WG_ERR_ARGUMENT);
    for (int s = 0; s < SHARDS; s++)
        CHECK(wg_dist_next(r.dist, r.tape, 1) == s && wg_dist_add(r.dist, 0, NULL) == WG_OK);
    CHECK(wg_dist_next(r.dist, r.tape, 1) == -1 && wg_dist_step(r.dist, 0, NULL) == WG_ERR_ARGUMENT);
    CHECK(wg_params_hash(r.params) == hash && first_of(r.mean) == mean && first_of(r.state) == state);
    CHECK(step(&r, 1, 1, &result) == WG_OK && wg_params_hash(r.params) != hash);
    CHECK(first_of(r.state) == 2 * state); /* carried on by two steps, not by those that were refused */
    run_end(&r);
}

/* f64, with gradients whose squares overflow, and others whose squares vanish. */
static void norms_of_f64(void)
{
    static const double sizes[] = {1, 1e200, 1e-200};
    for (int k = 0; k < 3; k++) {
        wg_world *world = wg_world_open(NULL, NULL, wg_world_defaults(), NULL);
        wg_params *set = wg_params_new(WG_F64);
        wg_param *p = wg_param_new(set, "p", WG_DIMS(N), wg_init_zeros());
        wg_optimizer *sgd = wg_sgd_new(set, wg_sgd_defaults());
        wg_tape *tape = wg_tape_new(wg_tape_defaults());
        wg_dist_options o = wg_dist_defaults();
        o.shards = 3;
        o.clip_norm = sizes[k] / 8;
        wg_dist *d = wg_dist_new(world, set, sgd, o, NULL);
        wg_optimizer_set_lr(sgd, 0.25);
        while (wg_dist_next(d, tape, 0) >= 0) {
            double *g = wg_param_grad_write_begin(p);
            for (int i = 0; i < N; i++) g[i] = sizes[k] * (i % 2 ? 1 : -1);
            wg_param_grad_write_end(p);
            CHECK(wg_dist_add(d, 2, (const double[]){1}) == WG_OK);
        }
        wg_dist_result result;
        CHECK(wg_dist_step(d, 0, &result) == WG_OK && fabs(result.norm / sizes[k] / sqrt(N) - 1) < 1e-12);
        const double want = sizes[k] > 1e-100 ? -0.25 / 8 / sqrt(N) * sizes[k] : 0; /* 1e-6 is added to the norm */
        CHECK(fabs(((const double *)wg_param_value(p))[1] - want) <= 2e-6 * sizes[k]);
        wg_dist_free(d);
        wg_tape_free(tape);
        wg_optimizer_free(sgd);
        wg_params_free(set);
        wg_world_close(world);
    }
}

static void expect_refusal(wg_dist_options options, const char *text)
{
    run r;
    run_begin_with(&r, options);
    CHECK(!r.dist && r.error.status == WG_ERR_ARGUMENT && strstr(r.error.text, text));
    run_end(&r);
}

static void wrong_arguments(void)
{
    wg_dist_options o = wg_dist_defaults();
    o.shards = -1;
    expect_refusal(o, "shards must be");
    o = wg_dist_defaults();
    o.values = 9;
    expect_refusal(o, "values must be");
    o = wg_dist_defaults();
    o.clip_norm = (double)NAN;
    expect_refusal(o, "clip_norm must be");
    wg_error error = {0};
    run r;
    run_begin(&r, 3);
    CHECK(!wg_world_open(NULL, NULL, wg_world_defaults(), &error) && strstr(error.text, "there is one already"));
    CHECK(!wg_dist_new(NULL, r.params, r.optimizer, o, NULL) && !wg_dist_new(r.world, NULL, r.optimizer, o, NULL));
    CHECK(!wg_dist_new(r.world, r.params, NULL, o, NULL));
    CHECK(wg_dist_next(NULL, r.tape, 0) == -1 && wg_dist_add(NULL, 1, NULL) != WG_OK);
    CHECK(wg_dist_backward(NULL, WG_NONE, 1) != WG_OK);
    CHECK(wg_dist_step(NULL, 0, NULL) != WG_OK && wg_dist_save(NULL, "x", &(wg_checkpoint){0}, NULL) != WG_OK);
    CHECK(wg_dist_save(r.dist, "x", NULL, NULL) != WG_OK && wg_dist_load(r.dist, "x", NULL, NULL) != WG_OK);
    CHECK(wg_dist_shards(NULL) == 0 && wg_dist_shards(r.dist) == 3 && wg_dist_saved_shards(NULL) == 0);
    CHECK(wg_world_size(NULL) == 1 && wg_world_rank(NULL) == 0 && wg_world_barrier(NULL) != WG_OK);
    CHECK(wg_world_barrier(r.world) == WG_OK && wg_world_fail(r.world, "x") && wg_world_speaks(NULL));
    wg_dist_free(NULL);
    wg_world_close(NULL);
    CHECK(wg_dist_predict(r.params, r.optimizer, wg_dist_defaults(), 0).parameters == 0);
    run_end(&r);
}

/* ---- data ---- */

static wg_status make_row(void *context, const wg_sample *sample, void *const *out, wg_error *error)
{
    *(float *)out[0] = (float)(10 * sample->index);
    if (sample->index == 8) return wg_error_set(error, WG_ERR_IO, "row 8: cannot read");
    return WG_OK;
}

/* Each shard gets the rows that wg_loader_shard gives it. */
static void batches_of_shards(void)
{
    const int32_t labels[] = {5, 6, 7, 8, 9, 10, 11, 12, 13};
    wg_dataset data = {.n = 8, .n_fields = 2, .make = make_row};
    data.field[0] = (wg_field){WG_F32, WG_DIMS(1, 1), NULL};
    data.field[1] = (wg_field){WG_I32, WG_SCALAR, labels};
    wg_feed_options options = wg_feed_defaults();
    options.order.batch = 7;
    wg_error error = {0};
    run r;
    run_begin(&r, SHARDS);
    CHECK(!wg_dist_batch(r.dist, 0) && !wg_dist_batch(NULL, 0));
    CHECK(wg_dist_scatter(r.dist, NULL, 0, &error) == WG_ERR_ARGUMENT && strstr(error.text, "feed: it is NULL"));
    CHECK(wg_dist_scatter(NULL, NULL, 0, NULL) == WG_ERR_ARGUMENT);
    wg_feed *feed = wg_feed_new(&data, options, NULL);
    wg_loader *loader = wg_loader_new(8, options.order, NULL);
    for (uint64_t number = 0; number < 4; number++) { /* 7 samples, then 1 */
        CHECK(wg_dist_scatter(r.dist, feed, number, &error) == WG_OK);
        for (int64_t shard = 0; shard < SHARDS; shard++) {
            const int64_t *want, n = wg_loader_shard(loader, number, shard, SHARDS, &want);
            const wg_batch *have = wg_dist_batch(r.dist, shard);
            assert_non_null(have);
            CHECK(have->n == n && have->field[0].shape.size[0] == n && have->field[0].shape.rank == 3);
            CHECK(have->epoch == number / 2 && have->n_fields == 2 && have->field[1].shape.rank == 1);
            for (int64_t i = 0; i < n; i++) {
                CHECK(have->samples[i] == want[i]);
                CHECK(((const float *)have->field[0].data)[i] == (float)(10 * want[i]));
                CHECK(((const int32_t *)have->field[1].data)[i] == labels[want[i]]);
            }
        }
        CHECK(!wg_dist_batch(r.dist, -1) && !wg_dist_batch(r.dist, SHARDS));
    }
    wg_feed_free(feed);
    data.n = 9;
    options.order.batch = 9;
    feed = wg_feed_new(&data, options, NULL);
    error = (wg_error){0};
    CHECK(wg_dist_scatter(r.dist, feed, 0, &error) == WG_ERR_IO && strcmp(error.text, "row 8: cannot read") == 0);
    CHECK(!wg_dist_batch(r.dist, 0));
    wg_feed_free(feed);
    wg_loader_free(loader);
    run_end(&r);
}

static void files_of_rank_0(void)
{
    char path[] = "/tmp/wengert-dist-XXXXXX", byte = 3;
    close(mkstemp(path));
    wg_world *w = wg_world_open(NULL, NULL, wg_world_defaults(), NULL);
    wg_error error = {0};
    wg_text text;
    wg_idx idx;
    CHECK(wg_file_write(path, "some text", 9, NULL) == WG_OK);
    CHECK(wg_world_read_text(w, path, 0, &text, &error) == WG_OK && text.size == 9);
    CHECK(strcmp(text.bytes, "some text") == 0);
    wg_text_fini(&text);
    CHECK(wg_world_read_text(w, path, 8, &text, &error) == WG_ERR_FORMAT && !text.bytes &&
          strstr(error.text, path));
    CHECK(wg_world_read_text(w, path, 0, NULL, NULL) == WG_ERR_ARGUMENT);
    CHECK(wg_world_read_text(NULL, path, 0, &text, NULL) == WG_ERR_ARGUMENT && !text.bytes);
    CHECK(wg_world_read_text(w, NULL, 0, &text, NULL) == WG_ERR_ARGUMENT && !text.bytes);
    CHECK(wg_world_read_idx(w, path, WG_F32, 1, &idx, NULL) == WG_ERR_FORMAT && !idx.data);
    CHECK(wg_world_read_idx(w, path, WG_F32, 1, NULL, NULL) == WG_ERR_ARGUMENT);
    CHECK(wg_world_read_idx(NULL, path, WG_F32, 1, &idx, NULL) == WG_ERR_ARGUMENT && !idx.data);
    CHECK(wg_world_share(w, &byte, 1, NULL) == WG_OK && byte == 3 && wg_world_share(w, NULL, 0, NULL) == WG_OK);
    CHECK(wg_world_share(w, NULL, 1, NULL) == WG_ERR_ARGUMENT && wg_world_share(NULL, &byte, 1, NULL) != WG_OK);
    error = (wg_error){0};
    CHECK(wg_world_agree(w, &error) == WG_OK && wg_world_agree(w, NULL) == WG_ERR_ARGUMENT);
    CHECK(wg_error_set(&error, WG_ERR_IO, "x") == wg_world_agree(w, &error) &&
          wg_world_agree(NULL, &error) != WG_OK);
    wg_world_close(w);
    unlink(path);
}

/* ---- checkpoints, memory ---- */

static void checkpoints(void)
{
    char path[] = "/tmp/wengert-dist-XXXXXX";
    close(mkstemp(path));
    wg_error error = {0};
    wg_dist_result result;
    run a, b;
    run_begin(&a, SHARDS);
    for (uint64_t i = 0; i < 3; i++) CHECK(step(&a, i, 1, &result) == WG_OK);
    CHECK(wg_dist_save(a.dist, path, &(wg_checkpoint){.step = 3, .seed = 9}, &error) == WG_OK);
    CHECK(step(&a, 3, 1, &result) == WG_OK);
    const uint64_t want = wg_params_hash(a.params);
    const float state = first_of(a.state);
    run_end(&a);
    wg_checkpoint c = {0};
    run_begin(&b, SHARDS);
    CHECK(wg_dist_load(b.dist, path, &c, &error) == WG_OK && c.step == 3 && c.seed == 9);
    CHECK(step(&b, 3, 1, &result) == WG_OK && wg_params_hash(b.params) == want);
    CHECK(first_of(b.state) == state);
    run_end(&b);
    run_begin(&b, SHARDS - 1);
    CHECK(wg_dist_load(b.dist, path, &c, &error) == WG_ERR_FORMAT &&
          strstr(error.text, "of a run of 5 shards, not 4"));
    run_end(&b);
    unlink(path);
}

/* Within 5 %. */
static bool is_near(size_t have, size_t want) { return fabs((double)have - (double)want) <= 0.05 * (double)want; }

static void memory_is_as_predicted(void)
{
    for (int64_t shards = 1; shards < 9; shards++) {
        wg_dist_options o = wg_dist_defaults();
        o.shards = shards;
        run r;
        run_begin_with(&r, o);
        wg_params *large = wg_params_new(WG_F32);
        wg_param_new(large, "w", WG_DIMS(1000, 400), wg_init_zeros());
        wg_optimizer *adam = wg_adam_new(large, wg_adam_defaults());
        wg_dist *d = wg_dist_new(r.world, large, adam, o, NULL);
        const wg_dist_bytes want = wg_dist_predict(large, adam, o, 1), have = wg_dist_memory(d);
        CHECK(have.parameters == want.parameters && have.messages == 0 && want.messages == 0);
        CHECK(is_near(have.partials, want.partials) && is_near(have.state, want.state));
        CHECK(have.partials / 1600000 == (size_t)(shards > 4 ? 3 : shards > 2 ? 2 : shards > 1));
        wg_dist_free(d);
        wg_optimizer_free(adam);
        wg_params_free(large);
        run_end(&r);
    }
}

static void failing_allocations(void)
{
    bool done = false;
    int refused = 0;
    for (long k = 0; !done && k < 200; k++) {
        wg_dist_options o = wg_dist_defaults();
        o.shards = SHARDS;
        run r;
        run_begin_with(&r, o);
        wg_dist_free(r.dist);
        left_to_fail = k;
        wg_error error = {0};
        r.dist = wg_dist_new(r.world, r.params, r.optimizer, o, &error);
        done = left_to_fail >= 0;
        left_to_fail = -1;
        CHECK(r.dist || (!done && error.status == WG_ERR_MEMORY)); /* BLIS can do without some of its own */
        refused += !r.dist;
        run_end(&r);
    }
    CHECK(done && refused > 10);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(sums_along_the_tree),
                                 TEST_CASE(flat_arrays),
                                 TEST_CASE(shards_are_added_along_the_tree),
                                 TEST_CASE(refused_steps),
                                 TEST_CASE(norms_of_f64),
                                 TEST_CASE(wrong_arguments),
                                 TEST_CASE(batches_of_shards),
                                 TEST_CASE(files_of_rank_0),
                                 TEST_CASE(checkpoints),
                                 TEST_CASE(memory_is_as_predicted),
                                 TEST_CASE(failing_allocations)};
    return RUN_TESTS(tests);
}
