/* Feeds (io/dataset.h): batches against a loader's indices, with and without the thread, from any step on; errors of a
 * data set's function; augmentation. */
#include "random.h"
#include "test_io.h"

#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 23, SIDE = 4, PIXELS = SIDE * SIDE };

/* ---- a data set: numbers from an array, a code and a random number from a function ---- */

static float numbers[N * 3];

typedef struct maker {
    _Atomic int64_t fails_at; /* a sample; -1: none */
    _Atomic bool silent;      /* without a message */
    _Atomic long calls;
} maker;

static wg_status make(void *context, const wg_sample *sample, void *const *out, wg_error *error)
{
    maker *m = context;
    m->calls++;
    if (sample->index == m->fails_at)
        return m->silent ? WG_ERR_IO
                         : wg_error_set(error, WG_ERR_FORMAT, "sample %d is damaged", (int)sample->index);
    CHECK(((float *)out[0])[2] == numbers[sample->index * 3 + 2]); /* of the array, in place already */
    ((float *)out[0])[2] += (float)sample->epoch;
    *(int32_t *)out[1] = (int32_t)(sample->index * 10 + (int64_t)sample->seed);
    CHECK(((bool *)out[2])[0] == false); /* zeros */
    ((bool *)out[2])[1] = sample->index & 1;
    return WG_OK;
}

static wg_dataset data_of(maker *m)
{
    for (int i = 0; i < N * 3; i++) numbers[i] = (float)(i * 7 % 31);
    m->fails_at = -1;
    wg_dataset data = {.n = N, .n_fields = 3, .make = make, .context = m};
    data.field[0] = (wg_field){WG_F32, WG_DIMS(3), numbers};
    data.field[1] = (wg_field){WG_I32, WG_SCALAR, NULL};
    data.field[2] = (wg_field){WG_BOOL, WG_DIMS(1, 2), NULL};
    return data;
}

static wg_feed_options options_of(int64_t prefetch)
{
    wg_feed_options options = wg_feed_defaults();
    options.order.batch = 5;
    options.order.seed = 3;
    options.prefetch = prefetch;
    return options;
}

static wg_feed *feed_new(const wg_dataset *data, int64_t prefetch)
{
    wg_error error = {0};
    wg_feed *feed = wg_feed_new(data, options_of(prefetch), &error);
    if (!feed) fail_msg("%s", error.text);
    return feed;
}

/* The batch of a step, by the definition. */
static void expect_batch(wg_feed *feed, wg_loader *loader, uint64_t step)
{
    const int64_t *samples;
    wg_error error = {0};
    const int64_t n = wg_loader_batch(loader, step, &samples);
    const wg_batch *b = wg_feed_batch(feed, step, &error);
    if (!CHECK(b && b->n == n)) return;
    const uint64_t epoch = step / (uint64_t)wg_loader_batches(loader);
    const wg_shape shapes[3] = {WG_DIMS(n, 3), WG_DIMS(n), WG_DIMS(n, 1, 2)};
    CHECK(b->epoch == epoch && memcmp(b->samples, samples, (size_t)n * sizeof *samples) == 0);
    for (int f = 0; f < 3; f++) CHECK(wg_shape_equal(&b->field[f].shape, &shapes[f]));
    for (int64_t i = 0; i < n; i++) {
        const float *x = (const float *)b->field[0].data + 3 * i, *of = numbers + 3 * samples[i];
        CHECK(x[0] == of[0] && x[1] == of[1] && x[2] == of[2] + (float)epoch);
        CHECK(((const int32_t *)b->field[1].data)[i] == samples[i] * 10 + 3);
        CHECK(((const bool *)b->field[2].data)[2 * i + 1] == (samples[i] & 1));
    }
}

static wg_loader *loader_new(void) { return wg_loader_new(N, options_of(0).order, NULL); }

/* ---- batches ---- */

static void in_order(void)
{
    for (int64_t prefetch = 0; prefetch < 9; prefetch += 2) {
        maker m = {0};
        const wg_dataset data = data_of(&m);
        wg_feed *feed = feed_new(&data, prefetch);
        wg_loader *loader = loader_new();
        assert_int_equal(wg_feed_batches(feed), 5);
        for (uint64_t step = 0; step < 40; step++) expect_batch(feed, loader, step);
        wg_loader_free(loader);
        wg_feed_free(feed);
    }
}

/* A resumed run, a validation in between, the same batch again, the last step that there is. */
static void one_walk(uint64_t seed)
{
    maker m = {0};
    const wg_dataset data = data_of(&m);
    random_state = seed;
    wg_feed *feed = feed_new(&data, below(5));
    wg_loader *loader = loader_new();
    uint64_t step = (uint64_t)below(20);
    for (int i = 0; i < 60; i++) {
        expect_batch(feed, loader, step);
        step = below(4)   ? step + 1
               : below(3) ? (uint64_t)below(30)
               : below(2) ? step
                          : UINT64_MAX - (uint64_t)below(3);
    }
    wg_loader_free(loader);
    wg_feed_free(feed);
}

static void any_step(void) { check_rounds(200, one_walk); }

/* The thread makes no more than it has room for. */
static void prefetch_is_bounded(void)
{
    maker m = {0};
    const wg_dataset data = data_of(&m);
    wg_feed *feed = feed_new(&data, 3);
    assert_non_null(wg_feed_batch(feed, 0, NULL));
    for (int i = 0; i < 200 && m.calls < 20; i++) usleep(1000);
    usleep(20000);
    assert_int_equal(m.calls, 4 * 5);
    wg_feed_free(feed);
}

static void on_a_tape(void)
{
    maker m = {0};
    const wg_dataset data = data_of(&m);
    wg_feed *feed = feed_new(&data, 2);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    const wg_batch *b = wg_feed_batch(feed, 4, NULL); /* the last of the epoch: 3 samples */
    const wg_tensor x = wg_batch_tensor(b, tape, 0);
    assert_int_equal(wg_size(x, 0), 3);
    assert_int_equal(wg_dtype_get(wg_batch_tensor(b, tape, 2)), WG_BOOL);
    assert_memory_equal(wg_value(x), b->field[0].data, 9 * sizeof(float));
    assert_true(wg_is_nil(wg_batch_tensor(b, tape, 3)));
    ASSERT_HAS(wg_tape_message(tape), "there is no field 3");
    wg_tape_free(tape);
    wg_feed_free(feed);
}

/* ---- errors ---- */

/* At the batch of the sample, not before; the step can be tried again; others are whole. */
static void errors_of_the_function(void)
{
    for (int64_t prefetch = 0; prefetch < 4; prefetch++) {
        maker m = {0};
        const wg_dataset data = data_of(&m);
        wg_loader *loader = loader_new();
        const int64_t *samples;
        wg_feed *feed = feed_new(&data, prefetch);
        wg_loader_batch(loader, 2, &samples);
        m.fails_at = samples[1];
        for (uint64_t step = 0; step < 2; step++) expect_batch(feed, loader, step);
        for (int times = 0; times < 2; times++) {
            wg_error error = {0};
            assert_null(wg_feed_batch(feed, 2, &error));
            assert_int_equal(error.status, WG_ERR_FORMAT);
            ASSERT_HAS(error.text, "is damaged");
        }
        expect_batch(feed, loader, 3);
        wg_error error = {0};
        m.silent = true;
        assert_null(wg_feed_batch(feed, 2, &error));
        assert_int_equal(error.status, WG_ERR_IO);
        ASSERT_HAS(error.text, "the data set's function failed for sample");
        m.fails_at = -1;
        expect_batch(feed, loader, 2);
        wg_loader_free(loader);
        wg_feed_free(feed);
    }
}

static void refused(void)
{
    maker m = {0};
    const wg_dataset good = data_of(&m);
    wg_dataset no_fields = good, many = good, no_data = good, dtype = good, rank = good, huge = good, none = good;
    no_fields.n_fields = 0;
    many.n_fields = WG_MAX_FIELDS + 1;
    no_data.make = NULL;
    dtype.field[0].dtype = WG_BF16;
    rank.field[1].shape = WG_DIMS(1, 1, 1, 1, 1, 1, 1, 1);
    huge.field[1].shape = WG_DIMS((int64_t)1 << 59);
    none.n = 0;
    const struct {
        const wg_dataset *data;
        int64_t prefetch;
        const char *reason;
    } rows[] = {{NULL, 1, "is NULL"},
                {&no_fields, 1, "0 fields"},
                {&many, 1, "9 fields"},
                {&no_data, 1, "field 1: it has no data"},
                {&dtype, 1, "field 0: the dtype"},
                {&rank, 1, "field 1: the shape"},
                {&huge, 1, "field 1: a batch of 5"},
                {&none, 1, "at least one sample"},
                {&good, -1, "prefetch is -1"},
                {&good, 1001, "prefetch is 1001"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_error error = {0};
        assert_null(wg_feed_new(rows[i].data, options_of(rows[i].prefetch), &error));
        assert_int_equal(error.status, WG_ERR_ARGUMENT);
        ASSERT_HAS(error.text, rows[i].reason);
    }
}

static void allocations_fail(void)
{
    maker m = {0};
    const wg_dataset data = data_of(&m);
    long k = 1;
    for (bool done = false; !done; k++) {
        wg_error error = {0};
        fault_begin(0, k, false);
        wg_feed *feed = wg_feed_new(&data, options_of(2), &error);
        done = fault.allocations < k;
        fault_end();
        assert_true(feed ? done : error.status == WG_ERR_MEMORY);
        wg_feed_free(feed);
    }
    assert_true(k > 12);
}

/* A child has no thread: it is told so, and can free what it inherited. */
static void after_fork(void)
{
    maker m = {0};
    const wg_dataset data = data_of(&m);
    wg_feed *feed = feed_new(&data, 2);
    assert_non_null(wg_feed_batch(feed, 0, NULL));
    const pid_t child = fork();
    if (child == 0) {
        wg_error error = {0};
        alarm(20);
        const bool told = !wg_feed_batch(feed, 1, &error) && strstr(error.text, "another process");
        wg_feed_free(feed);
        _exit(told ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_non_null(wg_feed_batch(feed, 1, NULL));
    wg_feed_free(feed);
}

/* ---- augmentation ---- */

static const wg_sample sample = {.index = 7, .epoch = 2, .seed = 5};

static void augment(wg_augment_options o, const wg_sample *s, const float *picture, float *out)
{
    wg_error error = {0};
    if (wg_augment(o, s, picture, 2, SIDE, SIDE, out, &error) != WG_OK) fail_msg("%s", error.text);
}

static void fill(float *picture)
{
    for (int i = 0; i < 2 * PIXELS; i++) picture[i] = (float)(i + 1);
}

/* A function of seed, epoch and sample: the same again, others for another of them. */
static void augmentation_repeats(void)
{
    float picture[2 * PIXELS], a[2 * PIXELS], b[2 * PIXELS];
    const wg_augment_options o = {.shift = 2, .flip = true, .noise = 0.5};
    fill(picture);
    augment(o, &sample, picture, a);
    augment(o, &sample, picture, b);
    assert_memory_equal(a, b, sizeof a);
    const wg_sample others[] = {{8, 2, 5}, {7, 3, 5}, {7, 2, 6}};
    for (int i = 0; i < 3; i++) {
        augment(o, &others[i], picture, b);
        assert_memory_not_equal(a, b, sizeof a);
    }
    augment(wg_augment_defaults(), &sample, picture, b);
    assert_memory_equal(picture, b, sizeof b);
}

/* Whether out is the picture moved by (dy, dx), and mirrored. */
static bool is_moved(const float *picture, const float *out, int side, int dy, int dx, bool flip)
{
    for (int c = 0; c < 2; c++)
        for (int i = 0; i < side; i++)
            for (int j = 0; j < side; j++) {
                const int y = i + dy, x = (flip ? side - 1 - j : j) + dx;
                const bool inside = y >= 0 && y < SIDE && x >= 0 && x < SIDE;
                if (out[c * side * side + i * side + j] != (inside ? picture[c * PIXELS + y * SIDE + x] : 0))
                    return false;
            }
    return true;
}

/* Every shift and both flips occur, as often as chance has it; nothing else does. */
static void shifts_and_flips(void)
{
    enum { ROUNDS = 5000 };
    int found[3][3][2] = {0};
    float picture[2 * PIXELS], out[2 * PIXELS];
    fill(picture);
    for (int round = 0; round < ROUNDS; round++) {
        const wg_sample s = {.index = round};
        augment((wg_augment_options){.shift = 1, .flip = true}, &s, picture, out);
        int fits = 0;
        for (int dy = -1; dy <= 1; dy++)
            for (int dx = -1; dx <= 1; dx++)
                for (int flip = 0; flip < 2; flip++)
                    if (is_moved(picture, out, SIDE, dy, dx, flip)) found[dy + 1][dx + 1][flip]++, fits++;
        assert_int_equal(fits, 1);
    }
    for (int i = 0; i < 18; i++) /* 5 standard deviations */
        assert_true(fabs((&found[0][0][0])[i] - ROUNDS / 18.0) < 5 * sqrt(ROUNDS / 18.0));
}

static void crops(void)
{
    enum { ROUNDS = 2000, CROP = 3 };
    int found[2][2] = {{0}};
    float picture[2 * PIXELS], out[2 * CROP * CROP];
    fill(picture);
    for (int round = 0; round < ROUNDS; round++) {
        const wg_sample s = {.epoch = (uint64_t)round};
        augment((wg_augment_options){.crop_height = CROP, .crop_width = CROP}, &s, picture, out);
        int fits = 0;
        for (int y = 0; y < 2; y++)
            for (int x = 0; x < 2; x++)
                if (is_moved(picture, out, CROP, y, x, false)) found[y][x]++, fits++;
        assert_int_equal(fits, 1);
    }
    for (int i = 0; i < 4; i++) assert_true(fabs((&found[0][0])[i] - ROUNDS / 4.0) < 5 * sqrt(ROUNDS / 4.0));
}

/* Mean 0, deviation 0.25, fourth moment 3 sigma^4, neighbours independent. */
static void noise(void)
{
    enum { WIDE = 100000 };
    float *picture = calloc(WIDE, sizeof *picture), *out = calloc(WIDE, sizeof *out);
    double sum = 0, square = 0, fourth = 0, beside = 0;
    assert_int_equal(wg_augment((wg_augment_options){.noise = 0.25}, &sample, picture, 1, 1, WIDE, out, NULL),
                     WG_OK);
    for (int i = 0; i < WIDE; i++) {
        const double z = out[i] / 0.25;
        sum += z, square += z * z, fourth += z * z * z * z;
        beside += i ? z * out[i - 1] / 0.25 : 0;
    }
    assert_true(fabs(sum / WIDE) < 0.016 && fabs(square / WIDE - 1) < 0.023 && fabs(fourth / WIDE - 3) < 0.16);
    assert_true(fabs(beside / WIDE) < 0.016);
    free(picture);
    free(out);
}

static void augmentation_refused(void)
{
    float x[PIXELS] = {0}, y[PIXELS];
    const wg_augment_options rows[] = {
        {.shift = -1}, {.crop_height = SIDE + 1}, {.crop_width = -1}, {.noise = NAN}, {.noise = -1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_error error = {0};
        assert_int_equal(wg_augment(rows[i], &sample, x, 1, SIDE, SIDE, y, &error), WG_ERR_ARGUMENT);
        ASSERT_HAS(error.text, "augment: ");
    }
    assert_int_equal(wg_augment(wg_augment_defaults(), NULL, x, 1, SIDE, SIDE, y, NULL), WG_ERR_ARGUMENT);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(in_order),
                                 TEST_CASE(any_step),
                                 TEST_CASE(prefetch_is_bounded),
                                 TEST_CASE(on_a_tape),
                                 TEST_CASE(errors_of_the_function),
                                 TEST_CASE(refused),
                                 TEST_CASE(allocations_fail),
                                 TEST_CASE(after_fork),
                                 TEST_CASE(augmentation_repeats),
                                 TEST_CASE(shifts_and_flips),
                                 TEST_CASE(crops),
                                 TEST_CASE(noise),
                                 TEST_CASE(augmentation_refused)};
    return RUN_TESTS(tests);
}
