/* Parts of a training loop: the loader of batches, early stopping, averages of weights. */
#include "tensors.h"

#include <unistd.h>

/* ---- the loader ---- */

/* Each sample once in an epoch. */
static void check_epoch(wg_loader *l, int64_t n, uint64_t epoch, int64_t wanted)
{
    char seen[200] = {0};
    int64_t batches = wg_loader_batches(l), total = 0;
    for (int64_t i = 0; i < batches; i++) {
        const int64_t *samples;
        int64_t size = wg_loader_batch(l, epoch * (uint64_t)batches + (uint64_t)i, &samples);
        for (int64_t k = 0; k < size; k++) {
            CHECK(samples[k] >= 0 && samples[k] < n && !seen[samples[k]]);
            seen[samples[k]] = 1;
        }
        total += size;
    }
    CHECK(total == wanted);
}

static void loader_gives_each_sample_once_an_epoch(void)
{
    enum { N = 103 };
    int32_t lengths[N];
    for (int i = 0; i < N; i++) lengths[i] = 1 + i * 37 % 50;
    for (int kind = 0; kind < 16; kind++) {
        wg_loader_options o = wg_loader_defaults();
        o.batch = kind & 1 ? 10 : 1 + kind;
        o.shuffle = (kind & 2) != 0;
        o.drop_last = (kind & 4) != 0;
        o.lengths = kind & 8 ? lengths : NULL;
        o.bucket = 3;
        o.seed = (uint64_t)kind;
        wg_loader *l = wg_loader_new(N, o, NULL);
        CHECK(l && wg_loader_batches(l) == (o.drop_last ? N / o.batch : (N + o.batch - 1) / o.batch));
        for (uint64_t epoch = 0; epoch < 3; epoch++) check_epoch(l, N, epoch, o.drop_last ? N - N % o.batch : N);
        const int64_t *samples;
        CHECK(wg_loader_batch(l, 0, &samples) == o.batch);
        if (!o.shuffle && !o.lengths) CHECK(samples[0] == 0 && samples[o.batch - 1] == o.batch - 1);
        wg_loader_free(l);
    }
}

/* The shards of a batch are the batch, cut in order; some may be empty. */
static void loader_cuts_batches_into_shards(void)
{
    wg_loader_options o = wg_loader_defaults();
    o.batch = 10;
    wg_loader *l = wg_loader_new(43, o, NULL);
    for (uint64_t step = 0; step < 10; step++)
        for (int64_t shards = 1; shards < 14; shards++) {
            const int64_t *batch, *samples;
            const int64_t n = wg_loader_batch(l, step, &batch);
            int64_t at = 0;
            for (int64_t shard = 0; shard < shards; shard++) {
                const int64_t some = wg_loader_shard(l, step, shard, shards, &samples);
                CHECK(samples == batch + at && (some == n / shards || some == n / shards + 1));
                at += some;
            }
            CHECK(at == n && wg_loader_shard(l, step, shards, shards, &samples) == 0 && !samples);
            CHECK(wg_loader_shard(l, step, -1, shards, &samples) == 0);
        }
    wg_loader_free(l);
}

/* The order is a function of seed and step: equal in a resumed run, different in the next epoch. */
static void loader_resumes_from_a_step(void)
{
    wg_loader_options o = wg_loader_defaults();
    int32_t lengths[100];
    for (int i = 0; i < 100; i++) lengths[i] = i % 13;
    o.batch = 7;
    o.lengths = lengths;
    o.bucket = 2;
    wg_loader *a = wg_loader_new(100, o, NULL), *b = wg_loader_new(100, o, NULL);
    int64_t all[40][7], repeats = 0;
    const int64_t *samples;
    for (uint64_t step = 0; step < 40; step++) {
        int64_t n = wg_loader_batch(a, step, &samples);
        memcpy(all[step], samples, (size_t)n * sizeof *samples);
    }
    for (uint64_t i = 0; i < 40; i++) { /* in any order */
        uint64_t step = i * 17 % 40;
        int64_t n = wg_loader_batch(b, step, &samples);
        CHECK(memcmp(all[step], samples, (size_t)n * sizeof *samples) == 0);
    }
    for (int k = 0; k < 7; k++) repeats += all[0][k] == all[15][k]; /* 15 batches in an epoch */
    CHECK(repeats < 7);
    o.seed = 1;
    wg_loader *c = wg_loader_new(100, o, NULL);
    wg_loader_batch(c, 0, &samples);
    CHECK(memcmp(all[0], samples, sizeof all[0]) != 0);
    wg_loader_free(a);
    wg_loader_free(b);
    wg_loader_free(c);
}

/* The first samples of many epochs are uniformly distributed (chi squared). */
/* Every step is legal, also the largest, on a loader that has made no epoch yet. */
static void case_loader_last_step(void)
{
    const uint64_t steps[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2, 0};
    for (int64_t n = 1; n <= 9; n += 4)
        for (int i = 0; i < 4; i++) {
            wg_loader_options o = wg_loader_defaults();
            o.batch = 4;
            wg_loader *fresh = wg_loader_new(n, o, NULL), *used = wg_loader_new(n, o, NULL);
            const int64_t *a, *b;
            wg_loader_batch(used, 5, &b);
            int64_t size = wg_loader_batch(fresh, steps[i], &a);
            CHECK(size == wg_loader_batch(used, steps[i], &b) && size >= 1 && size <= 4);
            for (int64_t k = 0; k < size; k++) CHECK(a[k] == b[k] && a[k] >= 0 && a[k] < n);
            wg_loader_free(fresh);
            wg_loader_free(used);
        }
}

static void loader_shuffles_evenly(void)
{
    enum { N = 10, EPOCHS = 5000 };
    wg_loader *l = wg_loader_new(N, wg_loader_defaults(), NULL);
    int count[N][N] = {{0}};
    double chi = 0;
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++)
        for (uint64_t i = 0; i < N; i++) {
            const int64_t *samples;
            wg_loader_batch(l, epoch * N + i, &samples);
            count[i][samples[0]]++;
        }
    for (int i = 0; i < N * N; i++) chi += pow(count[i / N][i % N] - EPOCHS / N, 2) / (EPOCHS / N);
    CHECK(chi > 40 && chi < 140); /* 81 degrees of freedom: 81 +- 13 */
    wg_loader_free(l);
}

static void loader_buckets_by_length(void)
{
    enum { N = 4000, BATCH = 20 };
    static int32_t lengths[N];
    double r[N];
    fill(r, N, 70);
    for (int i = 0; i < N; i++) lengths[i] = (int32_t)(50 + 49 * r[i]);
    double padding[2] = {0}, previous = 0, rising = 0;
    for (int bucketed = 0; bucketed < 2; bucketed++) {
        wg_loader_options o = wg_loader_defaults();
        o.batch = BATCH;
        o.lengths = bucketed ? lengths : NULL;
        wg_loader *l = wg_loader_new(N, o, NULL);
        for (uint64_t step = 0; step < N / BATCH; step++) {
            const int64_t *samples;
            int64_t n = wg_loader_batch(l, step, &samples);
            int32_t longest = 0;
            for (int64_t k = 0; k < n; k++) longest = lengths[samples[k]] > longest ? lengths[samples[k]] : longest;
            for (int64_t k = 0; k < n; k++) padding[bucketed] += longest - lengths[samples[k]];
            if (bucketed) rising += longest > previous, previous = longest;
        }
        wg_loader_free(l);
    }
    CHECK(padding[1] < padding[0] / 15);
    CHECK(rising > 0.35 * N / BATCH && rising < 0.65 * N / BATCH); /* short and long batches are mixed */
}

/* A batch larger than the data has all samples. */
static void loader_of_one_small_batch(void)
{
    const int32_t lengths[3] = {5, 4, 6};
    for (int kind = 0; kind < 4; kind++) {
        wg_loader_options o = wg_loader_defaults();
        o.batch = kind & 1 ? INT64_MAX : 4;
        o.lengths = kind & 2 ? lengths : NULL;
        wg_loader *l = wg_loader_new(3, o, NULL);
        const int64_t *samples;
        CHECK(l && wg_loader_batches(l) == 1);
        for (uint64_t epoch = 0; l && epoch < 3; epoch++) check_epoch(l, 3, epoch, 3);
        CHECK(wg_loader_batch(l, 7, &samples) == 3);
        if (kind & 2) CHECK(samples[0] == 1 && samples[1] == 0 && samples[2] == 2);
        wg_loader_free(l);
    }
}

static void loader_refuses(void)
{
    wg_loader_options o = wg_loader_defaults();
    wg_error error = {0};
    CHECK(!wg_loader_new(0, o, &error) && error.status == WG_ERR_ARGUMENT &&
          strstr(error.text, "at least one sample"));
    for (int64_t batch = 0; batch < 7; batch += 6) {
        error = (wg_error){0};
        o.batch = batch;
        o.drop_last = batch > 0;
        CHECK(!wg_loader_new(5, o, &error) &&
              strstr(error.text, batch ? "too few samples to fill a batch (5 samples, batches of 6)"
                                       : "a batch must have at least 1 sample"));
    }
    error = (wg_error){0};
    o = (wg_loader_options){.batch = 1, .lengths = (const int32_t[]){1, 2}};
    CHECK(!wg_loader_new(2, o, &error) && strstr(error.text, "bucket must be at least 1"));
    CHECK(wg_loader_batches(NULL) == 0);
    wg_loader_free(NULL);
}

/* ---- early stopping ---- */

static void early_stop_keeps_the_best(void)
{
    const double losses[] = {3, 2, 2.5, NAN, 1.5, 1.49, 1.6, 1.7, 9};
    char path[] = "/tmp/wengert-best-XXXXXX";
    CHECK(close(mkstemp(path)) == 0);
    wg_params *set = wg_params_new(WG_F64);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(2), wg_init_zeros());
    wg_checkpoint checkpoint = {.params = set, .seed = 5};
    wg_early_stop stop = wg_early_stop_defaults();
    wg_error error = {0};
    stop.patience = 3;
    stop.min_delta = 0.1;
    stop.path = path;
    CHECK(wg_early_stop_restore(&stop, &checkpoint, &error) == WG_ERR_ARGUMENT &&
          strstr(error.text, "no best checkpoint"));
    int steps = 0;
    for (; steps < 9 && !wg_early_stop_due(&stop); steps++) {
        set_param(w, (double[]){steps, -steps});
        checkpoint.step = (uint64_t)(10 * steps);
        CHECK(wg_early_stop_update(&stop, losses[steps], &checkpoint, &error) == WG_OK);
    }
    CHECK(steps == 8 && stop.best == 1.5 && stop.step == 40 &&
          stop.since == 3); /* 1.49 is better by less than 0.1 */
    error = (wg_error){0};
    CHECK(wg_early_stop_restore(&stop, &checkpoint, &error) == WG_OK && checkpoint.step == 40);
    CHECK(((const double *)wg_param_value(w))[0] == 4 && ((const double *)wg_param_value(w))[1] == -4);
    wg_early_stop accuracy = wg_early_stop_defaults();
    accuracy.higher = true;
    accuracy.path = "/nowhere/at/all";
    CHECK(wg_early_stop_update(&accuracy, 0.5, &checkpoint, &error) == WG_ERR_IO && isnan(accuracy.best));
    accuracy.path = NULL;
    CHECK(wg_early_stop_update(&accuracy, 0.5, NULL, NULL) == WG_OK);
    CHECK(wg_early_stop_update(&accuracy, 0.4, NULL, NULL) == WG_OK && accuracy.best == 0.5 && accuracy.since == 1);
    CHECK(wg_early_stop_update(&accuracy, 0.6, NULL, NULL) == WG_OK && accuracy.best == 0.6 && accuracy.since == 0);
    accuracy.min_delta = 0.1;
    CHECK(wg_early_stop_update(&accuracy, 0.65, NULL, NULL) == WG_OK && accuracy.best == 0.6 &&
          accuracy.since == 1);
    CHECK(wg_early_stop_update(&accuracy, 0.75, NULL, NULL) == WG_OK && accuracy.best == 0.75);
    unlink(path);
    wg_params_free(set);
}

/* ---- averages of weights ---- */

static void averages_of_long_names(void)
{
    char name[1001];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    wg_params *set = wg_params_new(WG_F32);
    wg_param_new(set, name, WG_DIMS(2), wg_init_constant(3));
    wg_average *average = wg_average_new(set, 1);
    CHECK(average && wg_average_update(average) == WG_OK && wg_params_status(set) == WG_OK);
    wg_average_free(average);
    wg_params_free(set);
}

/* m_k = d m_{k-1} + (1 - d) p_k, divided by 1 - d^k; with decay 1 the mean. Swapping in and out is exact. */
static void averages_of_weights(void)
{
    const double decays[] = {0.9, 1, 0};
    for (int kind = 0; kind < 6; kind++) {
        const double decay = decays[kind % 3];
        const bool f64 = kind < 3;
        wg_params *set = wg_params_new(f64 ? WG_F64 : WG_F32);
        wg_param *w = wg_param_new(set, "w", WG_DIMS(3, 700), wg_init_zeros());
        wg_param_tie(set, "tied", w);
        wg_param *count = wg_param_new(set, "count", WG_SCALAR, wg_init_zeros());
        wg_average *average = wg_average_new(set, decay);
        CHECK(average && wg_params_count(set) == 6 && !wg_param_find(set, "average.tied"));
        wg_average_swap(average); /* before the first update: nothing to swap */
        CHECK(wg_average_is_swapped(average) && wg_average_update(average) == WG_ERR_ARGUMENT);
        wg_average_swap(average);
        static double p[2100], m[2100], mean[2100];
        memset(m, 0, sizeof m);
        memset(mean, 0, sizeof mean);
        for (int k = 1; k <= 7; k++) {
            fill(p, 2100, 80 + (unsigned)k);
            void *value = wg_param_write_begin(w);
            for (int i = 0; i < 2100; i++) {
                if (f64)
                    ((double *)value)[i] = p[i];
                else
                    ((float *)value)[i] = (float)p[i];
                m[i] = decay * m[i] + (1 - decay) * p[i];
                mean[i] += p[i] / 7;
            }
            wg_param_write_end(w);
            CHECK(wg_average_update(average) == WG_OK);
        }
        uint64_t version = wg_param_version(w);
        wg_average_swap(average);
        CHECK(wg_param_version(w) > version && wg_average_is_swapped(average));
        double worst = 0;
        for (int i = 0; i < 2100; i++) {
            const void *value = wg_param_value(w);
            double have = f64 ? ((const double *)value)[i] : ((const float *)value)[i];
            worst = fmax(worst, fabs(have - (decay == 1 ? mean[i] : m[i] / (1 - pow(decay, 7)))));
        }
        CHECK(worst < (f64 ? 1e-14 : 1e-6));
        wg_average_swap(average);
        const void *value = wg_param_value(w);
        for (int i = 0; i < 2100; i++)
            CHECK(f64 ? ((const double *)value)[i] == p[i] : ((const float *)value)[i] == (float)p[i]);
        CHECK(wg_param_numel(count) == 1);
        wg_average_free(average);
        average = wg_average_new(set, decay); /* starts from the current values */
        CHECK(average && wg_params_count(set) == 6 && wg_average_update(average) == WG_OK);
        const void *updates = wg_param_value(wg_param_find(set, "average_count"));
        CHECK((f64 ? *(const double *)updates : *(const float *)updates) == 8);
        wg_average_free(average);
        wg_params_free(set);
    }
}

/* A run resumed from a checkpoint has the same averages, bit for bit. */
static void averages_are_in_checkpoints(void)
{
    char path[] = "/tmp/wengert-average-XXXXXX";
    double ends[2][5];
    CHECK(close(mkstemp(path)) == 0);
    for (int resumed = 0; resumed < 2; resumed++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_param *w = wg_param_new(set, "w", WG_DIMS(5), wg_init_zeros());
        wg_average *average = wg_average_new(set, 0.8);
        wg_checkpoint checkpoint = {.params = set};
        wg_error error = {0};
        int step = 0;
        if (resumed) {
            wg_safetensors *file = wg_safetensors_open(path, &error);
            CHECK(file && wg_checkpoint_load(file, &checkpoint, NULL, NULL, &error) == WG_OK);
            wg_safetensors_close(file);
            step = (int)checkpoint.step;
            CHECK(step == 3);
        }
        for (; step < 6; step++) {
            double p[5];
            checkpoint.step = (uint64_t)step;
            if (step == 3 && !resumed) CHECK(wg_checkpoint_save(path, &checkpoint, &error) == WG_OK);
            fill(p, 5, 90 + (unsigned)step);
            set_param(w, p);
            CHECK(wg_average_update(average) == WG_OK);
        }
        wg_average_swap(average);
        memcpy(ends[resumed], wg_param_value(w), sizeof ends[resumed]);
        wg_average_free(average);
        wg_params_free(set);
    }
    CHECK(memcmp(ends[0], ends[1], sizeof ends[0]) == 0);
    unlink(path);
}

static void averages_refuse(void)
{
    wg_params *set = wg_params_new(WG_F32);
    CHECK(!wg_average_new(NULL, 0.9) && !wg_average_new(set, 1.5) && strstr(wg_params_message(set), "decay 1.5"));
    wg_params_clear_error(set);
    CHECK(!wg_average_new(set, NAN));
    wg_params_clear_error(set);
    wg_param_new(set, "w", WG_DIMS(3), wg_init_zeros());
    wg_param_new(set, "average.w", WG_DIMS(3), wg_init_zeros()); /* no buffer */
    CHECK(!wg_average_new(set, 0.9) && strstr(wg_params_message(set), "average.w exists and is not a buffer"));
    CHECK(wg_average_update(NULL) == WG_ERR_ARGUMENT && !wg_average_is_swapped(NULL));
    wg_average_swap(NULL);
    wg_average_free(NULL);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(loader_gives_each_sample_once_an_epoch),
                                 TEST_CASE(loader_cuts_batches_into_shards),
                                 TEST_CASE(loader_resumes_from_a_step),
                                 TEST_CASE(case_loader_last_step),
                                 TEST_CASE(loader_shuffles_evenly),
                                 TEST_CASE(loader_buckets_by_length),
                                 TEST_CASE(loader_of_one_small_batch),
                                 TEST_CASE(loader_refuses),
                                 TEST_CASE(early_stop_keeps_the_best),
                                 TEST_CASE(averages_of_weights),
                                 TEST_CASE(averages_of_long_names),
                                 TEST_CASE(averages_are_in_checkpoints),
                                 TEST_CASE(averages_refuse)};
    return RUN_TESTS(tests);
}
