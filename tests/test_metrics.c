/* Metrics (metrics/metrics.h) against scores computed by hand, and against counts by the definition. */
#include "../examples/words.h"
#include "check.h"
#include "random.h"
#include "wengert.h"

static void add(wg_bleu *b, const char *text, const char *reference)
{
    words x = words_of(text, strlen(text), 0), y = words_of(reference, strlen(reference), 0);
    wg_bleu_add(b, x.word, x.total, y.word, y.total);
    words_fini(&x);
    words_fini(&y);
}

static void expect(const char *text, const char *reference, double score)
{
    wg_bleu b = {0};
    add(&b, text, reference);
    if (!(fabs(wg_bleu_score(&b) - score) < 1e-12))
        FAIL("'%s', '%s': %.12f, not %.12f", text, reference, wg_bleu_score(&b), score);
}

static void sentences(void)
{
    expect("the cat is on the mat", "the cat is on the mat", 1);
    expect("the the the the the the the", "the cat is on the mat", 0); /* p_1 = 2/7, no pair */
    expect("", "a b c d", 0);
    expect("a b c", "a b c", 0); /* no 4-gram */
    /* p = 5/6, 3/5, 2/4, 1/3 */
    expect("the cat sat on the mat", "the cat sat on a mat", pow(5.0 / 6 * 3 / 5 * 2 / 4 * 1 / 3, 0.25));
    /* four of five words, all n-grams right: e^(1 - 5/4) */
    expect("a b c d", "a b c d e", exp(-0.25));
    /* longer than the reference: p = 5/6, 4/5, 3/4, 2/3, no brevity */
    expect("a b c d e f", "a b c d e", pow(5.0 / 6 * 4 / 5 * 3 / 4 * 2 / 3, 0.25));
}

/* "a" occurs four times and counts twice: p = 3/5, 2/4 (aa, ab), 1/3 (aab), then none. */
static void counts_are_clipped(void)
{
    wg_bleu b = {0};
    add(&b, "a a a a b", "a a b c d");
    const uint64_t matches[] = {3, 2, 1, 0}, total[] = {5, 4, 3, 2};
    if (memcmp(b.matches, matches, sizeof matches) != 0 || memcmp(b.total, total, sizeof total) != 0)
        FAIL("counts: %d %d %d %d", (int)b.matches[0], (int)b.matches[1], (int)b.matches[2], (int)b.matches[3]);
}

/* Counts are added, scores are not averaged. */
static void a_corpus(void)
{
    wg_bleu b = {0};
    add(&b, "a b c d", "a b c d");
    add(&b, "x", "y z");
    double expected = exp(1 - 6.0 / 5) * pow(4.0 / 5, 0.25);
    if (!(fabs(wg_bleu_score(&b) - expected) <= 1e-12)) FAIL("%g", wg_bleu_score(&b));
}

/* ---- classification ---- */

static bool near(double a, double b) { return fabs(a - b) < 1e-12; }

/* Three classes and one that never occurs. Rows are the truth: 2 1 0, 0 1 1, 1 0 3. */
static void confusion_by_hand(void)
{
    const int32_t truth[] = {0, 0, 0, 1, 1, 2, 2, 2, 2}, predicted[] = {0, 0, 1, 1, 2, 0, 2, 2, 2};
    wg_error error = {0};
    wg_confusion *c = wg_confusion_new(4, &error);
    assert_int_equal(wg_confusion_add(c, predicted, truth, 5, &error), WG_OK);
    assert_int_equal(wg_confusion_add(c, predicted + 5, truth + 5, 4, &error), WG_OK);
    CHECK(wg_confusion_classes(c) == 4 && wg_confusion_count(c, 2, 2) == 3 && wg_confusion_count(c, 1, 2) == 1);
    CHECK(wg_confusion_count(c, 2, 1) == 0 && wg_confusion_count(c, 4, 0) == 0 &&
          wg_confusion_count(c, 0, -1) == 0);
    CHECK(near(wg_confusion_accuracy(c), 6.0 / 9) && near(wg_accuracy(predicted, truth, 9), 6.0 / 9));
    const wg_scores two = wg_confusion_scores(c, 2), none = wg_confusion_scores(c, 3), all = wg_confusion_macro(c);
    CHECK(near(two.precision, 3.0 / 4) && near(two.recall, 3.0 / 4) && near(two.f1, 3.0 / 4) && two.support == 4);
    CHECK(near(wg_confusion_scores(c, 0).precision, 2.0 / 3) && near(wg_confusion_scores(c, 1).recall, 1.0 / 2));
    CHECK(none.precision == 0 && none.recall == 0 && none.f1 == 0 && none.support == 0);
    CHECK(near(all.precision, (2.0 / 3 + 1.0 / 2 + 3.0 / 4) / 3) &&
          near(all.recall, (2.0 / 3 + 1.0 / 2 + 3.0 / 4) / 3));
    CHECK(near(all.f1, (2.0 / 3 + 1.0 / 2 + 3.0 / 4) / 3) && all.support == 9);
    wg_confusion_free(c);
}

/* Precision is not recall: one class is predicted too often. */
static void precision_and_recall(void)
{
    const int32_t truth[] = {0, 0, 0, 1}, predicted[] = {0, 1, 1, 1};
    wg_confusion *c = wg_confusion_new(2, NULL);
    assert_int_equal(wg_confusion_add(c, predicted, truth, 4, NULL), WG_OK);
    const wg_scores zero = wg_confusion_scores(c, 0), one = wg_confusion_scores(c, 1);
    CHECK(near(zero.precision, 1) && near(zero.recall, 1.0 / 3) && near(zero.f1, 1.0 / 2));
    CHECK(near(one.precision, 1.0 / 3) && near(one.recall, 1) && near(one.f1, 1.0 / 2));
    CHECK(near(wg_confusion_macro(c).precision, 2.0 / 3));
    wg_confusion_free(c);
}

/* By the definition, pair by pair. */
static void one_confusion(uint64_t seed)
{
    enum { N = 200 };
    int32_t truth[N], predicted[N];
    random_state = seed;
    const int64_t classes = 1 + below(9), n = below(N + 1);
    wg_confusion *c = wg_confusion_new(classes, NULL);
    for (int i = 0; i < n; i++) truth[i] = (int32_t)below(classes), predicted[i] = (int32_t)below(classes);
    CHECK(wg_confusion_add(c, predicted, truth, n, NULL) == WG_OK);
    double f1 = 0, seen = 0;
    for (int64_t k = 0; k < classes; k++) {
        double both = 0, said = 0, is = 0;
        for (int i = 0; i < n; i++)
            both += truth[i] == k && predicted[i] == k, said += predicted[i] == k, is += truth[i] == k;
        const wg_scores s = wg_confusion_scores(c, k);
        const double p = said ? both / said : 0, r = is ? both / is : 0, f = p + r > 0 ? 2 * p * r / (p + r) : 0;
        CHECK(near(s.precision, p) && near(s.recall, r) && near(s.f1, f) && (double)s.support == is);
        f1 += f, seen += said + is > 0;
    }
    CHECK(near(wg_confusion_macro(c).f1, seen ? f1 / seen : 0));
    wg_confusion_free(c);
}

static void random_confusions(void) { check_rounds(500, one_confusion); }

static void refused(void)
{
    wg_error error = {0};
    assert_null(wg_confusion_new(0, &error));
    assert_null(wg_confusion_new(65537, NULL));
    CHECK(error.status == WG_ERR_ARGUMENT && strstr(error.text, "0 classes"));
    wg_confusion *c = wg_confusion_new(3, NULL);
    const int32_t good[] = {0, 1, 2}, bad[] = {0, 3, 1}, negative[] = {0, 1, -1};
    error = (wg_error){0};
    CHECK(wg_confusion_add(c, bad, good, 3, &error) == WG_ERR_INDEX);
    CHECK(strstr(error.text, "pair 1: truth 1, prediction 3, of 3 classes"));
    CHECK(wg_confusion_add(c, good, negative, 3, NULL) == WG_ERR_INDEX);
    CHECK(wg_confusion_count(c, 0, 0) == 0); /* nothing was added */
    CHECK(wg_confusion_add(c, NULL, good, 3, NULL) == WG_ERR_ARGUMENT);
    CHECK(wg_confusion_accuracy(c) == 0 && wg_confusion_macro(c).f1 == 0 && wg_accuracy(good, good, 0) == 0);
    wg_confusion_free(c);
}

/* ---- perplexity ---- */

/* Two tokens of probability 1/4, six of 1/2: 2^((2 * 2 + 6 * 1) / 8). */
static void perplexity(void)
{
    wg_perplexity p = {0};
    CHECK(isnan(wg_perplexity_score(&p)));
    wg_perplexity_add(&p, log(4), 2);
    wg_perplexity_add(&p, log(2), 6);
    wg_perplexity_add(&p, 100, 0);
    CHECK(near(wg_perplexity_score(&p), pow(2, 10.0 / 8)));
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(sentences),
                                 TEST_CASE(counts_are_clipped),
                                 TEST_CASE(a_corpus),
                                 TEST_CASE(confusion_by_hand),
                                 TEST_CASE(precision_and_recall),
                                 TEST_CASE(random_confusions),
                                 TEST_CASE(refused),
                                 TEST_CASE(perplexity)};
    return RUN_TESTS(tests);
}
