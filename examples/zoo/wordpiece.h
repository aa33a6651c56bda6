/* Text into the tokens of a BERT model (WordPiece): words in lower case, punctuation apart, each word the longest
 * pieces of the vocabulary. Letters beyond ASCII are looked up as they stand, with their accents. */
#ifndef WORDPIECE_H
#define WORDPIECE_H

#include <stdint.h>

typedef struct wordpiece wordpiece;

/* Reads a vocabulary, a token a line, the first of number 0. A bad file ends the program. */
wordpiece *wordpiece_open(const char *path);
void wordpiece_close(wordpiece *words);
/* Writes [CLS], the tokens of the text, [SEP]; the last are left out beyond `most`, which is 2 or more. Returns how
 * many. */
int wordpiece_tokens(const wordpiece *words, const char *text, int32_t *tokens, int most);

#endif
