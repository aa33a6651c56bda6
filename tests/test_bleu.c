/* BLEU (metrics/metrics.h) against scores computed by hand. */
#include "../examples/words.h"
#include "check.h"
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

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(sentences), TEST_CASE(counts_are_clipped), TEST_CASE(a_corpus)};
    return RUN_TESTS(tests);
}
