/* Decoding on plain arrays: greedy, temperature, top-k, top-p, and beam search on small Markov chains. */
#include "tensors.h"

/* ---- one token ---- */

enum { N = 5, DRAWS = 20000 };
static const float logits[N] = {0.5f, 2, -1, 1, 1.9f};

static void test_greedy(void)
{
    CHECK(wg_choose_greedy(logits, N) == 1);
    CHECK(wg_choose_greedy((float[]){3, 3}, 2) == 0);
    CHECK(wg_choose_greedy((float[]){NAN, -INFINITY, NAN}, 3) == 1);
    CHECK(wg_choose_greedy((float[]){NAN}, 1) == -1 && wg_choose_greedy(logits, 0) == -1);
    wg_sampling o = wg_sampling_defaults();
    o.temperature = 0;
    for (uint64_t step = 0; step < 20; step++) CHECK(wg_choose(logits, N, o, 1, step) == 1);
}

/* Frequencies against the expected probabilities (exactly, if zero). */
static void frequencies(wg_sampling o, const double p[N], int line)
{
    int count[N] = {0};
    for (uint64_t step = 0; step < DRAWS; step++) {
        int64_t i = wg_choose(logits, N, o, 7, step);
        if (i < 0 || i >= N) {
            FAIL("line %d: drew %lld", line, (long long)i);
            return;
        }
        count[i]++;
    }
    for (int i = 0; i < N; i++) {
        double off = fabs(count[i] - DRAWS * p[i]), deviation = sqrt(DRAWS * p[i] * (1 - p[i]));
        if (off <= 4 * deviation) continue;
        FAIL("line %d: %d was drawn %d times, expected %.0f +- %.0f", line, i, count[i], DRAWS * p[i], deviation);
    }
}

static void softmax_of(double temperature, const bool keep[N], double p[N])
{
    double sum = 0;
    for (int i = 0; i < N; i++) sum += p[i] = keep[i] ? exp((double)logits[i] / temperature) : 0;
    for (int i = 0; i < N; i++) p[i] /= sum;
}

static void test_sampling(void)
{
    const bool all[N] = {true, true, true, true, true}, two[N] = {false, true, false, false, true},
               three[N] = {false, true, false, true, true};
    double p[N];
    wg_sampling o = wg_sampling_defaults();
    softmax_of(1, all, p);
    frequencies(o, p, __LINE__);
    o.temperature = 0.3;
    softmax_of(0.3, all, p);
    frequencies(o, p, __LINE__);
    o.temperature = 3;
    o.top_k = 2;
    softmax_of(3, two, p);
    frequencies(o, p, __LINE__);
    o = wg_sampling_defaults(); /* the probabilities are 0.09, 0.40, 0.02, 0.15, 0.36 */
    o.top_p = 0.7;
    softmax_of(1, two, p);
    frequencies(o, p, __LINE__);
    o.top_p = 0.8;
    softmax_of(1, three, p);
    frequencies(o, p, __LINE__);
    o.top_k = 2; /* among those that top_k leaves: 0.53 and 0.47 */
    o.top_p = 0.5;
    frequencies(o, (double[N]){0, 1, 0, 0, 0}, __LINE__);
    o.top_k = 100;
    o.top_p = 1e-9;
    frequencies(o, (double[N]){0, 1, 0, 0, 0}, __LINE__);
}

static void test_sampling_corners(void)
{
    wg_sampling o = wg_sampling_defaults(), bad;
    for (uint64_t step = 0; step < 200; step++) {
        CHECK(wg_choose((float[]){NAN, -INFINITY, 1, NAN}, 4, o, 3, step) == 2);
        CHECK(wg_choose((float[]){1e38f, -1e38f}, 2, o, 3, step) == 0);
        CHECK(wg_choose((float[]){INFINITY, 5}, 2, o, 3, step) == 0);
    }
    CHECK(wg_choose((float[]){-INFINITY, NAN}, 2, o, 3, 0) == -1);
    CHECK(wg_choose(logits, 0, o, 3, 0) == -1 && wg_choose(logits, -4, o, 3, 0) == -1);
    CHECK(wg_choose(logits, 1, o, 3, 0) == 0);
    for (int i = 0; i < 6; i++) {
        bad = o;
        if (i == 0) bad.temperature = -1;
        if (i == 1) bad.temperature = NAN;
        if (i == 2) bad.top_k = -1;
        if (i == 3) bad.top_p = 0;
        if (i == 4) bad.top_p = 1.5;
        if (i == 5) bad.top_p = NAN;
        CHECK(wg_choose(logits, N, bad, 3, 0) == -1);
    }
    int same = 0, other = 0; /* a function of seed and step */
    for (uint64_t step = 0; step < 100; step++) {
        same += wg_choose(logits, N, o, 3, step) == wg_choose(logits, N, o, 3, step);
        other += wg_choose(logits, N, o, 3, step) == wg_choose(logits, N, o, 4, step);
    }
    CHECK(same == 100 && other < 70);
}

/* ---- beam search on Markov chains ---- */

enum { MOST = 6, END = 0, START = 1 };

/* p[i][j]: the probability of token j after token i. Checks that tokens and parents are consistent. */
typedef struct chain {
    int classes, beams;
    double p[MOST][MOST];
    int64_t calls;
    wg_status fail;
    int64_t fail_at;
} chain;

static wg_status score(void *context, int64_t step, const int32_t *token, const int32_t *parent, float *out)
{
    chain *c = context;
    CHECK(step == c->calls++);
    if (c->fail != WG_OK && step == c->fail_at) return c->fail;
    for (int b = 0; b < c->beams; b++) {
        CHECK(token[b] >= 0 && token[b] < c->classes && parent[b] >= 0 && parent[b] < c->beams);
        CHECK(step > 0 || (token[b] == START && parent[b] == 0));
        for (int j = 0; j < c->classes; j++) out[b * c->classes + j] = (float)log(c->p[token[b]][j]);
    }
    return WG_OK;
}

static wg_beam_result search(chain *c, int beams, int64_t max_length, double power)
{
    wg_beam_options o = wg_beam_defaults();
    wg_beam_result result;
    o.beams = c->beams = beams;
    o.max_length = max_length;
    o.end = END;
    o.length_power = power;
    c->calls = 0;
    CHECK(wg_beam_search(score, c, START, c->classes, o, &result) == WG_OK);
    return result;
}

/* START is followed by 2 (0.6) or 3 (0.4). After 2 everything is unlikely; after 3 comes 4, then the end. */
static chain garden_path(void)
{
    return (chain){.classes = 5,
                   .p = {{1, 0, 0, 0, 0},
                         {0, 0, 0.6, 0.4, 0},
                         {0.3, 0, 0.25, 0.25, 0.2},
                         {0.05, 0, 0, 0.05, 0.9},
                         {0.95, 0, 0.05, 0, 0}}};
}

static bool is(const wg_sequence *s, int64_t n, const int32_t *token)
{
    return s->length == n && memcmp(s->token, token, (size_t)n * sizeof *token) == 0;
}

static void test_beam(void)
{
    chain c = garden_path();
    wg_beam_result greedy = search(&c, 1, 10, 0), beam = search(&c, 2, 10, 0);
    CHECK(greedy.n == 1 && is(&greedy.sequence[0], 1, (int32_t[]){2}) && greedy.sequence[0].ended);
    CHECK(fabs(greedy.sequence[0].log_probability - log(0.6 * 0.3)) < 1e-6);
    CHECK(beam.n == 2 && is(&beam.sequence[0], 2, (int32_t[]){3, 4}) && beam.sequence[0].ended);
    CHECK(fabs(beam.sequence[0].log_probability - log(0.4 * 0.9 * 0.95)) < 1e-6);
    CHECK(beam.sequence[0].score > greedy.sequence[0].score);
    CHECK(is(&beam.sequence[1], 1, (int32_t[]){2}));
    wg_beam_result_fini(&greedy);
    wg_beam_result_fini(&beam);
    CHECK(beam.n == 0 && beam.sequence == NULL);
}

/* A single beam takes the most probable token at every step. */
static void test_one_beam_is_greedy(void)
{
    unsigned seed = 5;
    for (int round = 0; round < 200; round++) {
        chain c = {.classes = MOST};
        for (int i = 0; i < MOST; i++)
            for (int j = 0; j < MOST; j++) {
                seed = seed * 1664525u + 1013904223u;
                c.p[i][j] = j == START ? 0 : (double)(seed >> 8) / (1 << 24) + 0.01;
            }
        int32_t token[12], last = START;
        int64_t n = 0;
        bool ended = false;
        while (n + ended < 12 && !ended) {
            int32_t best = 0;
            for (int32_t j = 1; j < MOST; j++)
                if (c.p[last][j] > c.p[last][best]) best = j;
            ended = best == END;
            if (!ended) token[n++] = last = best;
        }
        wg_beam_result r = search(&c, 1, 12, 1);
        CHECK(r.n == 1 && is(&r.sequence[0], n, token) && r.sequence[0].ended == ended);
        wg_beam_result_fini(&r);
    }
}

/* A beam with room for all sequences finds the best one. */
static void test_wide_beam_is_exact(void)
{
    chain c = garden_path();
    wg_beam_result r = search(&c, 40, 3, 0);
    double best = -INFINITY;
    for (int a = 0; a < 5; a++)
        for (int b = 0; b < 5; b++)
            for (int d = 0; d < 5; d++) {
                double p = c.p[START][a];
                if (a != END) p *= c.p[a][b];
                if (a != END && b != END) p *= c.p[b][d];
                best = fmax(best, log(p));
            }
    CHECK(fabs(r.sequence[0].score - best) < 1e-6);
    for (int i = 1; i < r.n; i++) CHECK(r.sequence[i].score <= r.sequence[i - 1].score);
    wg_beam_result_fini(&r);
}

/* Without a length power short sequences win; with power 1 the mean score decides. */
static void test_length(void)
{
    chain c = {.classes = 4, .p = {{1, 0, 0, 0}, {0.4, 0, 0.6, 0}, {0, 0, 0, 1}, {0.6, 0, 0.4, 0}}};
    wg_beam_result r = search(&c, 2, 20, 0), mean = search(&c, 2, 20, 1);
    CHECK(is(&r.sequence[0], 0, (int32_t[]){0}) && fabs(r.sequence[0].score - log(0.4)) < 1e-6);
    CHECK(is(&mean.sequence[0], 2, (int32_t[]){2, 3}));
    CHECK(fabs(mean.sequence[0].score - log(0.36) / 3) < 1e-6);
    CHECK(fabs(mean.sequence[0].log_probability - log(0.36)) < 1e-6);
    wg_beam_result_fini(&r);
    wg_beam_result_fini(&mean);
    r = search(&c, 2, 2, 0); /* one is cut */
    CHECK(r.n == 2 && !r.sequence[0].ended && is(&r.sequence[0], 2, (int32_t[]){2, 3}) && r.sequence[1].ended);
    wg_beam_result_fini(&r);
}

static void test_corners(void)
{
    chain c = garden_path();
    wg_beam_result r;
    wg_beam_options o = wg_beam_defaults();
    for (int i = 0; i < 4; i++) {
        wg_beam_options bad = o;
        if (i == 0) bad.beams = 0;
        if (i == 1) bad.max_length = 0;
        if (i == 2) bad.length_power = NAN;
        CHECK(wg_beam_search(score, &c, START, i == 3 ? 0 : 5, bad, &r) == WG_ERR_ARGUMENT && r.n == 0);
    }
    c.beams = 4, c.calls = 0, c.fail = WG_ERR_INDEX, c.fail_at = 2;
    CHECK(wg_beam_search(score, &c, START, 5, o, &r) == WG_ERR_INDEX && r.n == 0 && r.sequence == NULL);
    chain dead = {.classes = 3}; /* nothing can follow: log 0 */
    r = search(&dead, 2, 5, 0);
    CHECK(r.n == 0);
    wg_beam_result_fini(&r);
    chain none = {.classes = 3, .p = {{NAN, NAN, NAN}, {NAN, NAN, 1}, {NAN, NAN, 1}}};
    r = search(&none, 2, 3, 0);
    CHECK(r.n == 1 && is(&r.sequence[0], 3, (int32_t[]){2, 2, 2}) && !r.sequence[0].ended);
    wg_beam_result_fini(&r);
    o.beams = c.beams = 1, c.fail = WG_OK, c.calls = 0, o.end = -1, o.max_length = 4; /* nothing ends a sequence */
    CHECK(wg_beam_search(score, &c, START, 5, o, &r) == WG_OK && r.n == 1 && r.sequence[0].length == 4);
    wg_beam_result_fini(&r);
}

int main(int argc, char **argv)
{
    const test tests[] = {TEST_CASE(test_greedy),
                          TEST_CASE(test_sampling),
                          TEST_CASE(test_sampling_corners),
                          TEST_CASE(test_beam),
                          TEST_CASE(test_one_beam_is_greedy),
                          TEST_CASE(test_wide_beam_is_exact),
                          TEST_CASE(test_length),
                          TEST_CASE(test_corners)};
    return RUN_TESTS(tests);
}
