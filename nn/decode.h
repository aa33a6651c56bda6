/* Decoding: choosing tokens from logits. Plain functions on arrays that the caller has read from a tape; nothing here
 * is recorded or differentiated.
 *
 *     wg_sampling sampling = wg_sampling_defaults();
 *     sampling.temperature = 0.8;
 *     sampling.top_k = 20;
 *     const float *numbers = wg_value(logits);
 *     int64_t token = wg_choose(numbers, vocabulary, sampling, seed, position); */
#ifndef WG_NN_DECODE_H
#define WG_NN_DECODE_H

#include "../autograd/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- one token ---- */

/* How a token is drawn from logits. */
typedef struct wg_sampling {
    double temperature; /* divides the logits; 0: take the largest logit (greedy); default 1 */
    int64_t top_k;      /* sample from the k largest logits; 0: from all; default 0 */
    double top_p; /* sample from the smallest set of likeliest tokens whose probabilities sum to at least p (nucleus
                     sampling, Holtzman et al. 2020), after temperature and top_k; 1: from all; default 1 */
} wg_sampling;
WG_API wg_sampling wg_sampling_defaults(void);

/* The index of the largest of n logits, the first among equals, ignoring NaN. -1 if n < 1 or all are NaN. */
WG_API int64_t wg_choose_greedy(const float *logits, int64_t n);
/* Samples an index from softmax(logits / temperature), truncated by top_k and top_p. The random number is a function of
 * seed and step alone. A logit of NaN or -inf is never chosen. Returns -1 if n < 1, if there is no valid logit, if an
 * option is out of range (temperature < 0, top_k < 0, top_p not in (0, 1]), or if out of memory. */
WG_API int64_t wg_choose(const float *logits, int64_t n, wg_sampling options, uint64_t seed, uint64_t step);

/* ---- beam search ----
 * Keeps the `beams` likeliest hypotheses (partial sequences). Each step extends every hypothesis by every token and
 * keeps the best. A hypothesis that ends leaves the beam, which narrows by one, as in Sutskever et al. 2014. The search
 * stops when all have ended or have max_length tokens. With one beam it is greedy decoding. The score of a sequence is
 * log-probability / length^length_power; the length includes the end token. */
/* Width, length and score of a beam search. */
typedef struct wg_beam_options {
    int beams;           /* default 4 */
    int64_t max_length;  /* in tokens, including the end token; default 100 */
    int32_t end;         /* the end token; < 0: none; default 0 */
    double length_power; /* 0: the score is the log-probability; 1: its mean over tokens; default 0 */
} wg_beam_options;
WG_API wg_beam_options wg_beam_defaults(void);

/* Scores a step: writes the log-probabilities of the next token of hypothesis b to row b of log_probabilities[beams,
 * classes]. token[b] is its last token (`start` at step 0); parent[b] is the hypothesis of the previous step that it
 * extends, and from whose state it continues. There are always `beams` rows, so that every step records the same
 * program: rows of hypotheses that have ended repeat row 0, and at step 0 all rows are equal. Any status but WG_OK
 * stops the search. */
typedef wg_status (*wg_beam_fn)(void *context, int64_t step, const int32_t *token, const int32_t *parent,
                                float *log_probabilities);

/* A sequence that the search has found. */
typedef struct wg_sequence {
    int32_t *token;         /* [length], without start and end token */
    int64_t length;         /* tokens */
    double log_probability; /* in nats, the end token's included */
    double score;           /* by which sequences are sorted */
    bool ended;             /* false: truncated at max_length */
} wg_sequence;

/* What the search has found. */
typedef struct wg_beam_result {
    int n;                 /* number of sequences, at most beams */
    wg_sequence *sequence; /* [n], best score first */
    int32_t *tokens;       /* the storage of their tokens */
} wg_beam_result;

/* Returns WG_ERR_ARGUMENT if an option is out of range, WG_ERR_MEMORY if out of memory, or the status of `score`;
 * *result is then empty. NaN counts as -inf; a token of log-probability -inf is never chosen. */
WG_CHECKED WG_API wg_status wg_beam_search(wg_beam_fn score, void *context, int32_t start, int32_t classes,
                                           wg_beam_options options, wg_beam_result *result);
WG_API void wg_beam_result_fini(wg_beam_result *result); /* frees the sequences */

#ifdef __cplusplus
}
#endif
#endif
