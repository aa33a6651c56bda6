/* Text as words: lines of words, and dictionaries, for examples that read sentences. An invalid file, or running out of
 * memory, ends the program. */
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

/* Lines are split into words at white space; flags change that. */
enum {
    WORDS_LOWER = 1, /* A-Z become a-z */
    WORDS_PUNCTUATION =
        2,           /* each ASCII character except letters, digits, apostrophe, hyphen, underscore is a word */
    WORDS_LATIN1 = 4 /* a file that is neither UTF-8 nor binary is read as ISO-8859-1 */
};

/* Reads a text file, plain or .gz. A file that is missing, is not text, or has no word is an error. */
words words_read(const char *path, unsigned flags);
/* Copies the words of a text in memory, which may be empty. */
words words_of(const char *text, size_t size, unsigned flags);
void words_fini(words *w);
/* The number of words of a line; its words. */
size_t words_count(const words *w, size_t line);
const char *const *words_line(const words *w, size_t line);
/* The length of the longest line. */
size_t words_longest(const words *w);

/* ---- dictionary: words as numbers ---- */

/* Special numbers. */
enum { WORD_PAD = 0, WORD_UNKNOWN, WORD_START, WORD_END, WORD_FIRST };

typedef struct dictionary {
    int32_t size; /* including the special ones */
    const char *
        *word;      /* [size]: "<pad>", "<unk>", "<start>", "<end>", then by how often they were seen, most first;
                          equally often: by bytes */
    char *bytes;    /* of the words */
    int32_t *table; /* [slots]: a number, or -1 */
    uint64_t slots; /* a power of two */
} dictionary;

/* The words that occur at least `minimum` times in all n texts; the `most` most frequent ones (0: all). */
dictionary dictionary_of(const words *const *texts, int n, size_t minimum, int32_t most);
void dictionary_fini(dictionary *d);
/* The number of a word; WORD_UNKNOWN if it is not in the dictionary. */
int32_t dictionary_find(const dictionary *d, const char *word);
/* The words of a line as numbers, at most `room`; returns their count. */
size_t dictionary_encode(const dictionary *d, const words *w, size_t line, int32_t *numbers, size_t room);

/* The words without the special ones, one per line, for checkpoints; the caller frees the text. */
char *dictionary_text(const dictionary *d);
/* Reads such a text. A duplicate or empty word ends the program: `path: not a dictionary`. */
dictionary dictionary_read(const char *text, const char *path);

#endif
