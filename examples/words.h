/* Text as words: lines of words, a dictionary of them, and sequences of numbers. What the programs that read
 * sentences share. Functions end the program through app_fail where a file is no good or memory is out. */
#ifndef WORDS_H
#define WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- lines of words ---- */

typedef struct words {
    char *bytes;       /* all words, each followed by a NUL */
    const char **word; /* [total] in the order of the text */
    size_t *begin;     /* [lines + 1]: line i is word[begin[i]] .. word[begin[i + 1] - 1]; an empty line has none */
    size_t lines, total;
} words;

/* How a line is cut into words: at white space; with more by these flags. */
enum {
    WORDS_LOWER = 1, /* A-Z become a-z */
    WORDS_PUNCTUATION =
        2,           /* each ASCII character that is no letter, digit, apostrophe, hyphen or underscore is a word */
    WORDS_LATIN1 = 4 /* a file that is no UTF-8, and not binary either, is read as ISO-8859-1 */
};

/* A text file, plain or .gz, line by line. A file that is missing, is no text or has no word in it is refused. */
words words_read(const char *path, unsigned flags);
/* A text in memory, size bytes, which may be empty; it is not needed any more afterwards. */
words words_of(const char *text, size_t size, unsigned flags);
void words_fini(words *w);
/* How many words a line has, and its first. */
size_t words_count(const words *w, size_t line);
const char *const *words_line(const words *w, size_t line);
/* The most words that a line has. */
size_t words_longest(const words *w);

/* ---- dictionary: words as numbers ---- */

/* The numbers that are no words of the text. */
enum { WORD_PAD = 0, WORD_UNKNOWN, WORD_START, WORD_END, WORD_FIRST };

typedef struct dictionary {
    int32_t size; /* with the special ones */
    const char *
        *word;      /* [size]: "<pad>", "<unk>", "<start>", "<end>", then by how often they were seen, most first;
                          equally often: by bytes */
    char *bytes;    /* where the words stand */
    int32_t *table; /* [slots]: a number, or -1 */
    uint64_t slots; /* a power of two */
} dictionary;

/* The words that are seen at least `minimum` times in the n texts together; at most `most` of them (0: all). */
dictionary dictionary_of(const words *const *texts, int n, size_t minimum, int32_t most);
void dictionary_fini(dictionary *d);
/* A word's number; WORD_UNKNOWN for one that is not in it. */
int32_t dictionary_find(const dictionary *d, const char *word);
/* A line's words as numbers, at most `room` of them; how many. */
size_t dictionary_encode(const dictionary *d, const words *w, size_t line, int32_t *numbers, size_t room);

/* What a checkpoint keeps: the words but the special ones, one a line; to be freed. */
char *dictionary_text(const dictionary *d);
/* Back from that. A word that is there twice, or is empty, ends the program: `path: not a dictionary`. */
dictionary dictionary_read(const char *text, const char *path);

#endif
