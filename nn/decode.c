/* Choosing tokens from logits: greedy, sampling, beam search. Works on plain arrays, after a run. */
#include "decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../autograd/base/fp.h"
#include "../autograd/base/random.h"

/* ---- one token ---- */

wg_sampling wg_sampling_defaults(void) { return (wg_sampling){.temperature = 1, .top_p = 1}; }

int64_t wg_choose_greedy(const float *logits, int64_t n)
{
    int64_t best = -1;
    for (int64_t i = 0; i < n && logits; i++)
        if (!isnan(logits[i]) && (best < 0 || logits[i] > logits[best])) best = i;
    return best;
}

typedef struct candidate_token {
    int64_t index;
    double weight; /* the logit; after weigh, proportional to the probability */
} candidate_token;

static int likeliest_first(const void *a, const void *b)
{
    const candidate_token *x = a, *y = b;
    if (x->weight != y->weight) return x->weight < y->weight ? 1 : -1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static double uniform(uint64_t seed, uint64_t step)
{
    uint32_t bits[4];
    wg__random4(seed, step, 0, 0, bits);
    return ((double)bits[0] * 0x1p32 + (double)bits[1]) * 0x1p-64;
}

/* The number of leading tokens, likeliest first, whose weights sum to at least p of the total. */
static int64_t nucleus(const candidate_token *tokens, int64_t n, double p)
{
    double total = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) total += tokens[i].weight;
    for (int64_t i = 0; i < n; i++) {
        sum += tokens[i].weight;
        if (sum >= p * total) return i + 1;
    }
    return n;
}

/* The token at quantile u in [0, 1). */
static int64_t sample(const candidate_token *tokens, int64_t n, double u)
{
    double total = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) total += tokens[i].weight;
    for (int64_t i = 0; i < n; i++) {
        sum += tokens[i].weight;
        if (u * total < sum) return tokens[i].index;
    }
    return tokens[0].index; /* only by rounding */
}

/* Writes the valid logits' tokens, likeliest first, with weights relative to the largest, which is 1. Returns their
 * number. */
static int64_t weigh(const float *logits, int64_t n, double temperature, candidate_token *tokens)
{
    int64_t valid = 0;
    for (int64_t i = 0; i < n; i++)
        if (!isnan(logits[i]) && logits[i] != -INFINITY) tokens[valid++] = (candidate_token){i, logits[i]};
    qsort(tokens, (size_t)valid, sizeof *tokens, likeliest_first);
    const double largest = valid > 0 ? tokens[0].weight : 0;
    for (int64_t i = 0; i < valid; i++)
        tokens[i].weight = tokens[i].weight == largest ? 1 : exp((tokens[i].weight - largest) / temperature);
    return valid;
}

WG__FP_CALLED static int64_t choose(const float *logits, int64_t n, const wg_sampling *o, uint64_t seed,
                                    uint64_t step, candidate_token *tokens)
{
    int64_t count = weigh(logits, n, o->temperature, tokens);
    if (o->top_k > 0 && count > o->top_k) count = o->top_k;
    if (o->top_p < 1) count = nucleus(tokens, count, o->top_p);
    return count > 0 ? sample(tokens, count, uniform(seed, step)) : -1;
}

int64_t wg_choose(const float *logits, int64_t n, wg_sampling options, uint64_t seed, uint64_t step)
{
    if (!(options.temperature >= 0) || options.top_k < 0 || !(options.top_p > 0 && options.top_p <= 1)) return -1;
    if (options.temperature == 0) return wg_choose_greedy(logits, n);
    if (n < 1 || !logits || (uint64_t)n > SIZE_MAX / sizeof(candidate_token)) return -1;
    candidate_token *tokens = malloc((size_t)n * sizeof *tokens);
    if (!tokens) return -1;
    const wg__fp caller = wg__fp_begin();
    int64_t chosen = choose(logits, n, &options, seed, step, tokens);
    wg__fp_end(&caller);
    free(tokens);
    return chosen;
}

/* ---- beam search ---- */

wg_beam_options wg_beam_defaults(void) { return (wg_beam_options){.beams = 4, .max_length = 100}; }

typedef struct hypothesis {
    double log_probability;
    int32_t *token; /* [max_length] */
} hypothesis;

/* A hypothesis of the current step extended by a token. */
typedef struct extension {
    double log_probability;
    int32_t from, token;
} extension;

typedef struct search {
    wg_beam_options o;
    int32_t classes;
    int live;                   /* number of hypotheses in current */
    hypothesis *current, *next; /* [beams] */
    extension *best;            /* [beams], best first */
    int32_t *token, *parent;    /* [beams] for the caller's function */
    float *log_probabilities;   /* [beams, classes] */
    int32_t *tokens;            /* of current and next, [2 beams, max_length] */
    wg_beam_result *result;
} search;

static void search_fini(search *s)
{
    free(s->current);
    free(s->next);
    free(s->best);
    free(s->token);
    free(s->parent);
    free(s->log_probabilities);
    free(s->tokens);
}

static bool search_init(search *s, wg_beam_result *result)
{
    const size_t beams = (size_t)s->o.beams, length = (size_t)s->o.max_length, classes = (size_t)s->classes;
    if (length > SIZE_MAX / 64 / beams || classes > SIZE_MAX / 64 / beams) return false;
    s->result = result;
    s->current = calloc(beams, sizeof *s->current);
    s->next = calloc(beams, sizeof *s->next);
    s->best = calloc(beams, sizeof *s->best);
    s->token = calloc(beams, sizeof *s->token);
    s->parent = calloc(beams, sizeof *s->parent);
    s->log_probabilities = calloc(beams * classes, sizeof *s->log_probabilities);
    s->tokens = calloc(2 * beams * length, sizeof *s->tokens);
    result->sequence = calloc(beams, sizeof *result->sequence);
    result->tokens = calloc(beams * length, sizeof *result->tokens);
    if (!s->current || !s->next || !s->best || !s->token || !s->parent || !s->log_probabilities || !s->tokens ||
        !result->sequence || !result->tokens)
        return false;
    for (size_t b = 0; b < beams; b++) {
        s->current[b].token = s->tokens + b * length;
        s->next[b].token = s->tokens + (beams + b) * length;
        result->sequence[b].token = result->tokens + b * length;
    }
    return true;
}

/* Inserts e into the n best, which are sorted and at most `limit`; returns the new n. Among equals the first stays
 * first. */
static int insert(extension *best, int n, int limit, extension e)
{
    if (n == limit && e.log_probability <= best[n - 1].log_probability) return n;
    int i = n < limit ? n++ : n - 1;
    for (; i > 0 && best[i - 1].log_probability < e.log_probability; i--) best[i] = best[i - 1];
    best[i] = e;
    return n;
}

static int find_best(search *s)
{
    const int limit = s->o.beams - s->result->n;
    int n = 0;
    for (int b = 0; b < s->live; b++)
        for (int32_t c = 0; c < s->classes; c++) {
            double p = (double)s->log_probabilities[(size_t)b * (size_t)s->classes + (size_t)c];
            if (isnan(p) || p == -INFINITY) continue;
            n = insert(s->best, n, limit, (extension){s->current[b].log_probability + p, b, c});
        }
    return n;
}

/* Adds a sequence of these tokens to the result. Its score counts the end token, if there is one. */
static void finish(search *s, const int32_t *token, int64_t length, double log_probability, bool ended)
{
    const double counted = (double)(length + (ended ? 1 : 0));
    wg_sequence *done = &s->result->sequence[s->result->n++];
    memcpy(done->token, token, (size_t)length * sizeof *token);
    done->length = length;
    done->log_probability = log_probability;
    done->score = log_probability / pow(counted > 0 ? counted : 1, s->o.length_power);
    done->ended = ended;
}

/* Moves the n best extensions to the result, if they end, or to the hypotheses of the next step. */
static void advance(search *s, int n, int64_t step)
{
    int live = 0;
    for (int i = 0; i < n; i++) {
        const extension *e = &s->best[i];
        const hypothesis *from = &s->current[e->from];
        if (e->token == s->o.end) {
            finish(s, from->token, step, e->log_probability, true);
            continue;
        }
        hypothesis *to = &s->next[live];
        memcpy(to->token, from->token, (size_t)step * sizeof *to->token);
        to->token[step] = e->token;
        to->log_probability = e->log_probability;
        s->token[live] = e->token;
        s->parent[live++] = e->from;
    }
    for (int b = live; b < s->o.beams; b++) {
        s->token[b] = live > 0 ? s->token[0] : 0;
        s->parent[b] = live > 0 ? s->parent[0] : 0;
    }
    hypothesis *previous = s->current;
    s->current = s->next;
    s->next = previous;
    s->live = live;
}

static int best_score_first(const void *a, const void *b)
{
    const wg_sequence *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return x->token < y->token ? -1 : x->token > y->token; /* in the order in which they ended */
}

static wg_status run(search *s, wg_beam_fn score, void *context, int32_t start)
{
    s->live = 1;
    for (int b = 0; b < s->o.beams; b++) s->token[b] = start;
    for (int64_t step = 0; step < s->o.max_length && s->live > 0; step++) {
        wg_status status = score(context, step, s->token, s->parent, s->log_probabilities);
        if (status != WG_OK) return status;
        const wg__fp caller = wg__fp_begin();
        advance(s, find_best(s), step);
        wg__fp_end(&caller);
    }
    const wg__fp caller = wg__fp_begin();
    for (int b = 0; b < s->live; b++)
        finish(s, s->current[b].token, s->o.max_length, s->current[b].log_probability, false);
    wg__fp_end(&caller);
    qsort(s->result->sequence, (size_t)s->result->n, sizeof *s->result->sequence, best_score_first);
    return WG_OK;
}

wg_status wg_beam_search(wg_beam_fn score, void *context, int32_t start, int32_t classes, wg_beam_options options,
                         wg_beam_result *result)
{
    if (result) *result = (wg_beam_result){0};
    if (!score || !result || options.beams < 1 || options.max_length < 1 || classes < 1 ||
        !isfinite(options.length_power))
        return WG_ERR_ARGUMENT;
    search s = {.o = options, .classes = classes};
    wg_status status = search_init(&s, result) ? run(&s, score, context, start) : WG_ERR_MEMORY;
    search_fini(&s);
    if (status != WG_OK) wg_beam_result_fini(result);
    return status;
}

void wg_beam_result_fini(wg_beam_result *result)
{
    if (!result) return;
    free(result->sequence);
    free(result->tokens);
    *result = (wg_beam_result){0};
}
