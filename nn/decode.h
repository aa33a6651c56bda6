/* Decoding: choosing tokens from a model's numbers. Plain functions on arrays that were read from a tape, no layers:
 * nothing here is recorded or differentiated. */
#ifndef WG_NN_DECODE_H
#define WG_NN_DECODE_H

#include "../autograd/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- one token ---- */

typedef struct wg_sampling {
    double temperature; /* logits are divided by it; 0: the largest logit (greedy); default 1 */
    int64_t top_k;      /* only the k largest logits; 0: all; default 0 */
    double top_p; /* only the fewest tokens, likeliest first, whose probabilities add up to p (nucleus; Holtzman
                           et al. 2020), after temperature and top_k; 1: all; default 1 */
} wg_sampling;
WG_API wg_sampling wg_sampling_defaults(void);

/* The index of the largest of n numbers, the first of equals; NaN is never it. -1 if n < 1 or all are NaN. */
WG_API int64_t wg_choose_greedy(const float *logits, int64_t n);
/* An index drawn from softmax(logits / temperature), cut by top_k and top_p. The draw is a function of seed and step
 * alone. A logit of NaN or -inf is never drawn. -1: n < 1, nothing can be drawn, options out of range (temperature
 * < 0, top_k < 0, top_p not in (0, 1]), or memory is out. */
WG_API int64_t wg_choose(const float *logits, int64_t n, wg_sampling options, uint64_t seed, uint64_t step);

/* ---- beam search ----
 * Keeps the `beams` likeliest beginnings. At each step every beginning is continued by every token, and the best are
 * kept; one that ends leaves the beam, which is then one narrower, as in Sutskever et al. 2014. Stops when all have
 * ended or have max_length tokens. With one beam it is greedy decoding.
 * The score of a sequence is its log-probability / length^length_power, its end token counted. */
typedef struct wg_beam_options {
    int beams;           /* default 4 */
    int64_t max_length;  /* tokens, the end token counted; default 100 */
    int32_t end;         /* the token that ends a sequence; default 0; < 0: none does */
    double length_power; /* 0: the log-probability itself; 1: its mean over tokens; default 0 */
} wg_beam_options;
WG_API wg_beam_options wg_beam_defaults(void);

/* Scores a step: for every beginning b, row b of log_probabilities[beams, classes] becomes the log-probabilities of
 * what follows. token[b] is its last token (`start` at step 0) and parent[b] the beginning of the step before that it
 * continues, whose state it goes on from. There are always `beams` rows, so that every step is the same program; rows
 * that are no longer live repeat row 0, and at step 0 all are equal. Anything but WG_OK stops the search. */
typedef wg_status (*wg_beam_fn)(void *context, int64_t step, const int32_t *token, const int32_t *parent,
                                float *log_probabilities);

typedef struct wg_sequence {
    int32_t *token; /* without start and end */
    int64_t length;
    double log_probability; /* with the end token's */
    double score;
    bool ended; /* false: cut at max_length */
} wg_sequence;

typedef struct wg_beam_result {
    int n;                 /* at most beams */
    wg_sequence *sequence; /* best score first */
    int32_t *tokens;       /* what they point to */
} wg_beam_result;

/* WG_ERR_ARGUMENT: options out of range; WG_ERR_MEMORY; or what score returned. *result is then empty.
 * A NaN counts as -inf, and what has -inf is never continued. */
WG_CHECKED WG_API wg_status wg_beam_search(wg_beam_fn score, void *context, int32_t start, int32_t classes,
                                           wg_beam_options options, wg_beam_result *result);
WG_API void wg_beam_result_fini(wg_beam_result *result);

#ifdef __cplusplus
}
#endif
#endif
