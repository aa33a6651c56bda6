/* Sequences of word numbers. */
#include "sequences.h"

#include "app.h"

#include <stdlib.h>
#include <string.h>

sequences sequences_new(int64_t n, int64_t width)
{
    sequences s = {.n = n, .width = width};
    s.tokens = app_room(n * width, sizeof *s.tokens); /* zeros: WORD_PAD */
    s.lengths = app_room(n, sizeof *s.lengths);
    return s;
}

void sequences_fini(sequences *s)
{
    free(s->tokens);
    free(s->lengths);
    *s = (sequences){0};
}

void sequences_set(sequences *s, int64_t i, const int32_t *tokens, int32_t length)
{
    memcpy(s->tokens + i * s->width, tokens, (size_t)length * sizeof *tokens);
    s->lengths[i] = length;
}

int64_t sequences_longest(const sequences *s)
{
    int64_t longest = 0;
    for (int64_t i = 0; i < s->n; i++)
        if (s->lengths[i] > longest) longest = s->lengths[i];
    return longest;
}

int sequences_compare(const sequences *s, int64_t i, int64_t j)
{
    if (s->lengths[i] != s->lengths[j]) return s->lengths[i] < s->lengths[j] ? -1 : 1;
    return memcmp(s->tokens + i * s->width, s->tokens + j * s->width, (size_t)s->lengths[i] * sizeof *s->tokens);
}

sequence_batch sequences_batch(const sequences *s, wg_tape *tape, const int64_t *sample, int64_t n, int64_t padding)
{
    sequence_batch b = {.n = n};
    int32_t *lengths = app_room(n, sizeof *lengths);
    for (int64_t i = 0; i < n; i++) {
        lengths[i] = s->lengths[sample[i]];
        if (lengths[i] > b.T) b.T = lengths[i];
    }
    b.T = (b.T + 3) / 4 * 4 + padding;
    int32_t *tokens = app_room(n * b.T, sizeof *tokens);
    for (int64_t i = 0; i < n; i++)
        memcpy(tokens + i * b.T, s->tokens + sample[i] * s->width, (size_t)lengths[i] * sizeof *tokens);
    b.tokens = wg_data(tape, WG_I32, WG_DIMS(n, b.T), tokens);
    b.lengths = wg_data(tape, WG_I32, WG_DIMS(n), lengths);
    free(tokens);
    free(lengths);
    return b;
}

sequence_batch sequences_export(wg_tape *tape, int64_t n, int64_t T, const wg_embedding_layer *embedding,
                                wg_tensor *x)
{
    x[0] = app_export_tokens(tape, WG_DIMS(n, T), embedding);
    x[1] = app_export_integers(tape, WG_DIMS(n), 1, T);
    return (sequence_batch){x[0], x[1], n, T};
}
