/* Patterns of names against their definition, written out as a recursion. */
#include "../autograd/base/pattern.h"

#include "check.h"
#include "random.h"

enum { LONGEST = 9 };

static bool defined_to_match(const char *pattern, const char *name)
{
    if (!*pattern) return !*name;
    if (*pattern != '*') return *pattern == *name && defined_to_match(pattern + 1, name + 1);
    return defined_to_match(pattern + 1, name) || (*name && defined_to_match(pattern, name + 1));
}

/* The pattern with its stars replaced. */
static void put_together(const char *pattern, const wg__star *star, char *text)
{
    for (; *pattern; pattern++) {
        const char *c = *pattern == '*' ? star->begin : pattern;
        const char *end = *pattern == '*' ? star++->end : pattern + 1;
        while (c < end) *text++ = *c++;
    }
    *text = 0;
}

static void random_word(const char *letters, char text[LONGEST])
{
    const int64_t n = below(LONGEST);
    for (int64_t i = 0; i < n; i++) text[i] = letters[below((int64_t)strlen(letters))];
    text[n] = 0;
}

static void round_of(uint64_t seed)
{
    char pattern[LONGEST], name[LONGEST], again[LONGEST];
    wg__star stars[LONGEST];
    random_state = seed;
    for (int i = 0; i < 1000; i++) {
        random_word("ab**", pattern);
        random_word("ab", name);
        const bool wanted = defined_to_match(pattern, name);
        if (wg__matches(pattern, strlen(pattern), name, NULL) != wanted ||
            wg__matches(pattern, strlen(pattern), name, stars) != wanted)
            FAIL("'%s', '%s': must %smatch", pattern, name, wanted ? "" : "not ");
        if (!wanted) continue;
        put_together(pattern, stars, again);
        if (strcmp(again, name) != 0) FAIL("'%s', '%s': the stars make '%s'", pattern, name, again);
    }
}

static void test_random(void) { check_rounds(100, round_of); }

/* All but the last one as short as possible. */
static void test_stars(void)
{
    const char *name = "a.b.c.d";
    wg__star stars[2];
    assert_true(wg__matches("*.*", 3, name, stars));
    assert_true(stars[0].begin == name && stars[0].end == name + 1);
    assert_true(stars[1].begin == name + 2 && stars[1].end == name + 7);
}

/* Only the first n characters count. */
static void test_length(void)
{
    assert_true(wg__matches("a*b", 2, "axyz", NULL));
    assert_false(wg__matches("a*b", 3, "axyz", NULL));
    assert_false(wg__matches("ab", 1, "ab", NULL));
}

/* A search that went back to every star would take longer than the universe has. */
static void test_many_stars(void)
{
    char pattern[200], name[4000];
    for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = i % 2 ? '*' : 'a';
    pattern[sizeof pattern - 2] = 'b';
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = 0;
    assert_false(wg__matches(pattern, sizeof pattern - 1, name, NULL));
}

static void test_lists(void)
{
    static const struct {
        const char *list, *name;
        bool match;
    } row[] = {
        {NULL, "a", false},
        {"", "a", false},
        {"  ", "", false},
        {"*", "", true},
        {"*mean *var", "bn.running_var", true},
        {" *mean  *var ", "bn.running_mean", true},
        {"*mean *var", "bn.variance", false},
        {"a b", "a b", false},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (wg__matches_any(row[i].list, row[i].name) != row[i].match) FAIL("row %zu", i);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(test_random), TEST_CASE(test_stars), TEST_CASE(test_length),
                                 TEST_CASE(test_many_stars), TEST_CASE(test_lists)};
    return RUN_TESTS(tests);
}
