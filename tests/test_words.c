/* Text as words (examples/words.h): lines, punctuation, the order of the dictionary, encoding, reading it back. */
#include "../examples/words.h"
#include "tensors.h"

#include <unistd.h>

static words of(const char *text, unsigned flags) { return words_of(text, strlen(text), flags); }

/* All words, joined by '_' and with '/' at the end of each line. */
static const char *shown(const words *w)
{
    static char text[256];
    text[0] = 0;
    for (size_t i = 0; i < w->lines; i++) {
        for (size_t k = 0; k < words_count(w, i); k++) strcat(strcat(text, k ? "_" : ""), words_line(w, i)[k]);
        strcat(text, "/");
    }
    return text;
}

static void test_lines(void)
{
    const struct {
        const char *text, *expected;
        unsigned flags;
    } rows[] = {
        {"", "", 0},
        {"a", "a/", 0},
        {"a\n", "a/", 0},
        {"\n", "/", 0},
        {"a\n\nb c", "a//b_c/", 0},
        {"  a \t b\r\nc ", "a_b/c/", 0},
        {"I'm Here, now.", "I'm_Here,_now./", 0},
        {"I'm Here, now.", "i'm_here_,_now_./", WORDS_LOWER | WORDS_PUNCTUATION},
        {"well-known x_1 (\"yes\")", "well-known_x_1_(_\"_yes_\"_)/", WORDS_PUNCTUATION},
        {"\xc3\x89t\xc3\xa9!", "\xc3\x89t\xc3\xa9_!/", WORDS_LOWER | WORDS_PUNCTUATION},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        words w = of(rows[i].text, rows[i].flags);
        if (strcmp(shown(&w), rows[i].expected) != 0) {
            FAIL("'%s': '%s', not '%s'", rows[i].text, shown(&w), rows[i].expected);
        }
        words_fini(&w);
    }
    words w = of("a b\nc d e\n\nf", 0);
    CHECK(words_longest(&w) == 3 && w.lines == 4 && w.total == 6);
    words_fini(&w);
}

/* ISO-8859-1 is converted to UTF-8; UTF-8 is unchanged. */
static void test_latin1(void)
{
    const char *texts[] = {"caf\xe9 \x85 d\xc3\n", "caf\xc3\xa9 x\n"},
               *expected[] = {"caf\xc3\xa9_\xc2\x85_d\xc3\x83/", "caf\xc3\xa9_x/"};
    for (int i = 0; i < 2; i++) {
        char path[] = "/tmp/words-XXXXXX";
        int fd = mkstemp(path);
        CHECK(fd >= 0 && write(fd, texts[i], strlen(texts[i])) == (ssize_t)strlen(texts[i]) && close(fd) == 0);
        words w = words_read(path, WORDS_LATIN1);
        CHECK(strcmp(shown(&w), expected[i]) == 0);
        words_fini(&w);
        unlink(path);
    }
}

static void test_dictionary(void)
{
    words a = of("the cat the dog\na bird", 0), b = of("the cat <unk>", 0);
    dictionary d = dictionary_of((const words *const[]){&a, &b}, 2, 1, 0);
    CHECK(d.size == WORD_FIRST + 5); /* <unk> is there already */
    CHECK(strcmp(d.word[WORD_FIRST], "the") == 0 && strcmp(d.word[WORD_FIRST + 1], "cat") == 0);
    CHECK(strcmp(d.word[WORD_FIRST + 2], "a") == 0 && strcmp(d.word[WORD_FIRST + 4], "dog") == 0);
    CHECK(dictionary_find(&d, "bird") == WORD_FIRST + 3 && dictionary_find(&d, "birds") == WORD_UNKNOWN);
    CHECK(dictionary_find(&d, "<end>") == WORD_END && dictionary_find(&d, "") == WORD_UNKNOWN);
    int32_t ids[4] = {-7, -7, -7, -7};
    CHECK(dictionary_encode(&d, &b, 0, ids, 2) == 2 && ids[0] == WORD_FIRST && ids[1] == WORD_FIRST + 1 &&
          ids[2] == -7);
    CHECK(dictionary_encode(&d, &b, 0, ids, 4) == 3 && ids[2] == WORD_UNKNOWN && ids[3] == -7);
    char *text = dictionary_text(&d);
    CHECK(strcmp(text, "the\ncat\na\nbird\ndog\n") == 0);
    dictionary back = dictionary_read(text, "none");
    CHECK(back.size == d.size);
    for (int32_t i = 0; i < d.size; i++)
        CHECK(strcmp(back.word[i], d.word[i]) == 0 && dictionary_find(&back, d.word[i]) == i);
    free(text);
    dictionary_fini(&back);
    dictionary_fini(&d);
    d = dictionary_of((const words *const[]){&a, &b}, 2, 2, 0); /* seen twice or more */
    CHECK(d.size == WORD_FIRST + 2);
    dictionary_fini(&d);
    d = dictionary_of((const words *const[]){&a, &b}, 2, 1, 1); /* one word at most */
    CHECK(d.size == WORD_FIRST + 1 && dictionary_find(&d, "cat") == WORD_UNKNOWN);
    dictionary_fini(&d);
    words_fini(&a);
    words_fini(&b);
}

/* Many words: every one is found in the hash table. */
static void test_many(void)
{
    enum { N = 5000 };
    char *text = malloc(N * 8);
    size_t size = 0;
    for (int i = 0; i < N; i++) size += (size_t)sprintf(text + size, "w%d ", i * 7919 % 3000);
    words w = words_of(text, size, 0), *all = &w;
    dictionary d = dictionary_of((const words *const *)&all, 1, 1, 0);
    CHECK(d.size == WORD_FIRST + 3000);
    for (int32_t i = 0; i < d.size; i++) CHECK(dictionary_find(&d, d.word[i]) == i);
    CHECK(dictionary_find(&d, "w3000") == WORD_UNKNOWN);
    dictionary_fini(&d);
    words_fini(&w);
    free(text);
}

int main(int argc, char **argv)
{
    const test tests[] = {TEST_CASE(test_lines), TEST_CASE(test_latin1), TEST_CASE(test_dictionary),
                          TEST_CASE(test_many)};
    return RUN_TESTS(tests);
}
