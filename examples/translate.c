/* Translation: an encoder reads a sentence, a decoder writes its translation, word by word.
 *
 *     translate --model luong
 *     translate --source train.en --target train.de --test-source test.en --test-target test.de --model transformer
 *
 * Without files the task is to translate 1 to 8 digits to German and reverse them: "three one four" becomes "vier eins
 * drei". Expected after 1000 steps, within a minute: all 200 test sentences right (exact 1.0000) with luong, bahdanau
 * and transformer, at least 0.9 of them with plain. The program also tests sentences longer than those of training: of
 * 9 digits more than 0.8 are right with luong and bahdanau, 0.4 to 0.6 with plain, 0.1 to 0.3 with transformer; of 12
 * digits almost none.
 *
 * Models, by --model:
 *     plain        the last state of an LSTM encoder is the first of the LSTM decoder (Sutskever et al. 2014);
 *                  --reverse-input
 *     bahdanau     bidirectional GRU encoder; additive attention with the previous state of the decoder (Bahdanau et
 *                  al. 2015)
 *     luong        LSTM; attention with the current state, input feeding (Luong et al. 2015)
 *     transformer  encoder and decoder with attention only (Vaswani et al. 2017)
 *
 * --picture draws the attention weights of the first test sentence, --weights writes them as numbers: a row for each
 * word of the right translation, a column for each word of the source.
 *
 * Multi30k, English to German, one epoch (--size 256 --steps 450 --beam 1 --tests 0, mean of three seeds, two minutes
 * each): bleu=0.055 with plain, 0.077 with luong, 0.188 with transformer, as in PyTorch (bench/peers/translate.py).
 *
 * Training feeds the words of the translation to the decoder (teacher forcing); --beam 1 translates greedily. BLEU is
 * corpus BLEU-4 without smoothing (metrics/metrics.h), on the words of the files. */
#include "translate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the models ---- */

static bool is(const translator *m, kind k) { return m->kind == k; }

/* Encodes the source: its states, and the initial state of the decoder. source[B, S], lengths[B]. */
typedef struct memory {
    wg_tensor states; /* [B, S, size] */
    wg_tensor mask;   /* [B, S] */
    wg_keys keys;     /* bahdanau, luong */
    wg_rnn_state start;
} memory;

static memory encode_recurrent(const translator *m, wg_tensor source, wg_tensor lengths)
{
    const int S = (int)wg_size(source, 1);
    wg_tensor embedded = wg_embedding_apply(&m->source, source), x[MOST_WORDS], h[MOST_WORDS];
    wg_rnn_state state = wg_rnn_zero_state(&m->encoder, source.tape, wg_size(source, 0));
    for (int t = 0; t < S; t++) x[t] = wg_select(embedded, 1, t);
    wg_rnn_unroll(&m->encoder, x, S, lengths, &state, h);
    memory seen = {.states = wg_stack(h, S, 1), .mask = wg_length_mask(lengths, S), .start = state};
    if (is(m, BAHDANAU)) { /* s_0 = tanh(W h_1 of the reverse direction), for every layer */
        wg_tensor back = state.h[2 * m->encoder.options.layers - 1];
        for (int l = 0; l < m->decoder.options.layers; l++)
            seen.start.h[l] = wg_tanh(wg_linear_apply(&m->bridge, back));
    }
    return seen;
}

static memory encode(const translator *m, wg_tensor source, wg_tensor lengths)
{
    if (!is(m, TRANSFORMER)) {
        memory seen = encode_recurrent(m, source, lengths);
        if (!is(m, PLAIN)) seen.keys = wg_score_keys(&m->score, seen.states, seen.states, seen.mask);
        return seen;
    }
    wg_attention_options self = wg_attention_defaults();
    memory seen = {.mask = wg_length_mask(lengths, wg_size(source, 1))};
    self.mask = wg_key_mask(lengths, wg_size(source, 1));
    wg_tensor x = wg_position_apply(&m->position, wg_embedding_apply(&m->source, source));
    x = wg_dropout(x, m->dropout);
    seen.states = wg_transformer_stack_apply(&m->transformer.encoder, x, self, WG_NONE, wg_attention_defaults());
    return seen;
}

/* Step t of a recurrent decoder: the features of the next word, from the embedded word x[B, size]. feed: luong's input
 * feeding. */
static wg_tensor step(const translator *m, const memory *seen, wg_tensor x, int64_t t, wg_rnn_state *state,
                      wg_tensor *feed, wg_tensor *weights)
{
    const int top = m->decoder.options.layers - 1;
    wg_tensor window = WG_NONE;
    if (m->window >= 0) window = wg_window_mask(x.tape, wg_size(seen->states, 1), t, m->window);
    if (is(m, BAHDANAU)) {
        wg_tensor context = wg_attend(&m->score, state->h[top], &seen->keys, window, weights);
        wg_tensor h = wg_rnn_step(&m->decoder, wg_concat((wg_tensor[]){x, context}, 2, -1), state);
        return wg_tanh(wg_linear_apply(&m->combine, wg_concat((wg_tensor[]){h, context}, 2, -1)));
    }
    if (is(m, LUONG)) {
        wg_tensor h = wg_rnn_step(&m->decoder, wg_concat((wg_tensor[]){x, *feed}, 2, -1), state);
        wg_tensor context = wg_attend(&m->score, h, &seen->keys, window, weights);
        return *feed = wg_tanh(wg_linear_apply(&m->combine, wg_concat((wg_tensor[]){context, h}, 2, -1)));
    }
    return wg_rnn_step(&m->decoder, x, state);
}

/* The mean cross attention of the last layer over all heads: [B, T, S]. */
static wg_tensor decode_with_transformer(const translator *m, const memory *seen, wg_tensor x, wg_tensor *weights)
{
    wg_attention_options self = wg_attention_defaults(), over = wg_attention_defaults();
    const wg_transformer_stack *stack = &m->transformer.decoder;
    self.causal = true;
    over.mask = wg_unsqueeze(wg_unsqueeze(seen->mask, 1), 1);
    x = wg_dropout(wg_position_apply(&m->position, x), m->dropout);
    if (weights) {
        wg_transformer_stack before = *stack;
        before.layers--;
        before.has_norm = false;
        const wg_transformer_layer *last = &stack->layer[before.layers];
        wg_tensor in = wg_transformer_stack_apply(&before, x, self, seen->states, over);
        wg_tensor a = wg_layer_norm_apply(&last->norm1, in);
        wg_tensor q = wg_add(in, wg_mha_apply(&last->self_attn, a, a, a, self, NULL));
        wg_mha_apply(&last->multihead_attn, wg_layer_norm_apply(&last->norm2, q), seen->states, seen->states, over,
                     weights);
        *weights = wg_mean(*weights, WG_AXES(1), false);
    }
    return wg_transformer_stack_apply(stack, x, self, seen->states, over);
}

/* The logits of every word of the translation given the words before it, in[B, T]; weights[B, T, S] unless NULL. */
static wg_tensor translate_given(const translator *m, const memory *seen, wg_tensor in, wg_tensor *weights)
{
    wg_tensor embedded = wg_embedding_apply(&m->target, in), out[MOST_WORDS + 1], looked[MOST_WORDS + 1];
    const int T = (int)wg_size(in, 1);
    if (is(m, TRANSFORMER)) return wg_linear_apply(&m->output, decode_with_transformer(m, seen, embedded, weights));
    wg_rnn_state state = seen->start;
    wg_tensor feed = wg_zeros(in.tape, WG_F32, WG_DIMS(wg_size(in, 0), m->size));
    for (int t = 0; t < T; t++) {
        looked[t] = WG_NONE;
        out[t] = step(m, seen, wg_select(embedded, 1, t), t, &state, &feed, &looked[t]);
    }
    if (weights) *weights = is(m, PLAIN) ? WG_NONE : wg_stack(looked, T, 1);
    return wg_linear_apply(&m->output, wg_dropout(wg_stack(out, T, 1), m->dropout));
}

/* ---- training ---- */

static wg_tensor loss_of(const translator *m, wg_tape *tape, const batch *b)
{
    wg_cross_entropy_options o = wg_cross_entropy_defaults();
    o.ignore_index = WORD_PAD;
    memory seen = encode(m, wg_data(tape, WG_I32, WG_DIMS(b->size, b->S), b->source),
                         wg_data(tape, WG_I32, WG_DIMS(b->size), b->lengths));
    wg_tensor logits = translate_given(m, &seen, wg_data(tape, WG_I32, WG_DIMS(b->size, b->T), b->in), NULL);
    return wg_cross_entropy_with(logits, wg_data(tape, WG_I32, WG_DIMS(b->size, b->T), b->out), o);
}

typedef struct learner {
    run *r;
    batch batch;
} learner;

static wg_tensor batch_loss(void *context, const wg_fit_batch *step)
{
    learner *l = context;
    batch_fill(&l->batch, l->r, (int64_t)step->step);
    return loss_of(&l->r->m, step->tape, &l->batch);
}

static double rate(void *context, uint64_t step, uint64_t steps)
{
    const settings *s = &((learner *)context)->r->s;
    return wg_schedule_warmup(wg_schedule_cosine(s->lr, s->lr / 10, step, steps), step, (uint64_t)s->warmup);
}

wg_fit_result learn(run *r)
{
    learner l = {r, batch_new(&r->s)};
    wg_fit_options fit = wg_fit_defaults();
    fit.params = r->m.params;
    fit.optimizer = wg_adam_new(r->m.params, wg_adam_defaults());
    fit.loss = batch_loss, fit.lr = rate, fit.context = &l;
    fit.steps = r->s.steps, fit.seconds = r->s.seconds;
    fit.clip = 1;
    wg_fit_result end = app_fit(
        fit, r->tape, (wg_progress){.unit = "sentences", .units = (double)r->s.batch, .limit = r->s.seconds});
    batch_free(&l.batch);
    wg_optimizer_free(fit.optimizer);
    return end;
}

/* ---- translation of one sentence by beam search ---- */

/* The state of the decoder between words, in buffers, so that every word is the same program. */
typedef struct decoding {
    const run *r;
    wg_params *scratch;
    int64_t S, beams;
    int32_t length;           /* of the source */
    wg_buffer *states, *keys; /* [1, S, ...] */
    wg_rnn_carry carry;       /* recurrent: [beams, size] */
    wg_buffer *feed;          /* luong */
    wg_kv_cache cache;        /* transformer */
} decoding;

static void decoding_init(decoding *d, const run *r, int64_t S)
{
    const translator *m = &r->m;
    *d = (decoding){.r = r, .scratch = wg_params_new(WG_F32), .S = S, .beams = r->s.beam};
    const int64_t size = is(m, BAHDANAU) ? 2 * m->size : m->size;
    if (is(m, TRANSFORMER)) {
        wg_kv_cache_init(&d->cache, &m->transformer.decoder, d->scratch, "cache", d->beams, r->s.max_words + 1, S);
    } else {
        wg_rnn_carry_init(&d->carry, &m->decoder, d->scratch, "state", d->beams);
        d->states = wg_buffer_new(d->scratch, "states", WG_DIMS(1, S, size), wg_init_zeros());
        d->keys = wg_buffer_new(d->scratch, "keys", WG_DIMS(1, S, m->size), wg_init_zeros());
        d->feed = wg_buffer_new(d->scratch, "feed", WG_DIMS(d->beams, m->size), wg_init_zeros());
    }
    if (wg_params_status(d->scratch) != WG_OK) app_fail("%s", wg_params_message(d->scratch));
}

static void finish(const run *r, wg_status status)
{
    wg_no_grad_end(r->tape);
    if (wg_tape_reset(r->tape) != WG_OK || status != WG_OK) app_fail("%s", wg_tape_message(r->tape));
}

/* Encodes source[S], of which `length` are words. */
static void decoding_begin(decoding *d, const int32_t *source, int32_t length)
{
    const translator *m = &d->r->m;
    wg_tape *tape = d->r->tape;
    d->length = length;
    wg_no_grad_begin(tape);
    memory seen =
        encode(m, wg_data(tape, WG_I32, WG_DIMS(1, d->S), source), wg_data(tape, WG_I32, WG_DIMS(1), &length));
    if (is(m, TRANSFORMER)) {
        wg_kv_cache_begin(&d->cache, wg_expand(seen.states, WG_DIMS(d->beams, d->S, m->size)));
    } else {
        wg_shape shape = WG_DIMS(d->beams, m->size);
        for (int l = 0; l < m->decoder.options.layers; l++) {
            seen.start.h[l] = wg_expand(seen.start.h[l], shape);
            if (!is(m, BAHDANAU)) seen.start.c[l] = wg_expand(seen.start.c[l], shape);
        }
        wg_rnn_carry_end(&d->carry, &seen.start);
        wg_assign(d->states, seen.states);
        if (!is(m, PLAIN)) wg_assign(d->keys, seen.keys.keys);
        wg_assign(d->feed, wg_zeros(tape, WG_F32, shape));
    }
    finish(d->r, wg_eval(&seen.states, 1));
}

static wg_tensor recurrent_step(decoding *d, wg_tensor x, int64_t t, wg_tensor parent)
{
    const translator *m = &d->r->m;
    wg_tape *tape = x.tape;
    memory seen = {.states = wg_use(tape, d->states)};
    seen.mask = wg_length_mask(wg_data(tape, WG_I32, WG_DIMS(1), &d->length), d->S);
    seen.keys = (wg_keys){wg_use(tape, d->keys), seen.states, seen.mask};
    wg_rnn_state state = wg_rnn_carry_begin(&d->carry, tape);
    for (int l = 0; l < m->decoder.options.layers; l++) {
        state.h[l] = wg_index_select(state.h[l], 0, parent);
        if (!is(m, BAHDANAU)) state.c[l] = wg_index_select(state.c[l], 0, parent);
    }
    wg_tensor feed = wg_index_select(wg_use(tape, d->feed), 0, parent);
    wg_tensor out = step(m, &seen, x, t, &state, &feed, NULL);
    wg_rnn_carry_end(&d->carry, &state);
    if (is(m, LUONG)) wg_assign(d->feed, feed);
    return out;
}

static wg_tensor transformer_step(decoding *d, wg_tensor x, int64_t t, wg_tensor parent)
{
    const translator *m = &d->r->m;
    wg_attention_options over = wg_attention_defaults();
    over.mask = wg_key_mask(wg_data(x.tape, WG_I32, WG_DIMS(1), &d->length), d->S);
    wg_tensor at = wg_unsqueeze(wg_scalar(x.tape, WG_I32, (double)t), 0);
    x = wg_squeeze(wg_position_apply_at(&m->position, wg_unsqueeze(x, 1), at), 1);
    return wg_transformer_step(&d->cache, x, t, over, parent);
}

/* A step of the beam search: see wg_beam_fn. */
static wg_status score(void *context, int64_t t, const int32_t *token, const int32_t *parent, float *log_p)
{
    decoding *d = context;
    const translator *m = &d->r->m;
    wg_tape *tape = d->r->tape;
    wg_no_grad_begin(tape);
    wg_tensor x = wg_embedding_apply(&m->target, wg_data(tape, WG_I32, WG_DIMS(d->beams), token));
    wg_tensor from = wg_data(tape, WG_I32, WG_DIMS(d->beams), parent);
    wg_tensor out = is(m, TRANSFORMER) ? transformer_step(d, x, t, from) : recurrent_step(d, x, t, from);
    wg_tensor logits = wg_log_softmax(wg_linear_apply(&m->output, out), -1);
    finish(d->r, wg_read(logits, log_p, (size_t)wg_numel(logits) * sizeof *log_p));
    return WG_OK;
}

/* The best translation of a line as word numbers; returns their count. An empty line has an empty translation. */
static size_t translate_line(decoding *d, const words *source, size_t line, int32_t *out)
{
    const run *r = d->r;
    int32_t numbers[MOST_WORDS] = {0};
    int64_t length = encode_source(r, source, line, numbers);
    if (length == 0) return 0;
    wg_beam_options o = {.beams = (int)r->s.beam, .max_length = r->s.max_words + 1, .end = WORD_END};
    o.length_power = r->s.length_power;
    wg_beam_result result;
    decoding_begin(d, numbers, (int32_t)length);
    if (wg_beam_search(score, d, WORD_START, r->target.size, o, &result) != WG_OK) app_fail("out of memory");
    size_t n = result.n > 0 ? (size_t)result.sequence[0].length : 0;
    if (n > 0) memcpy(out, result.sequence[0].token, n * sizeof *out);
    wg_beam_result_fini(&result);
    return n;
}

quality test(const run *r, const words *source, const words *target, int64_t show)
{
    decoding d;
    quality q = {0};
    int64_t S = (int64_t)words_longest(source);
    decoding_init(&d, r, S < 1 ? 1 : S < r->s.max_words ? S : r->s.max_words);
    wg_set_training(r->tape, false);
    app_watch_sample_begin();
    for (size_t i = 0; i < source->lines && !wg_signal_number(); i++) {
        int32_t out[MOST_WORDS + 1];
        const char *text[MOST_WORDS + 1];
        const size_t n = translate_line(&d, source, i, out), m = words_count(target, i);
        bool exact = n == m;
        for (size_t k = 0; k < n; k++) {
            text[k] = r->target.word[out[k]];
            exact = exact && strcmp(text[k], words_line(target, i)[k]) == 0;
        }
        wg_bleu_add(&q.bleu, text, n, words_line(target, i), m);
        q.exact += exact;
        q.lines++;
        if ((int64_t)i < show) show_pair(source, target, i, text, n);
    }
    app_watch_sample_end(r->s.steps);
    wg_set_training(r->tape, true);
    wg_params_free(d.scratch);
    return q;
}

/* ---- attention weights of a given translation ---- */

void write_weights(const run *r, const words *source, const words *target, size_t line)
{
    batch b = batch_of(r, source, target, line);
    wg_tape *tape = r->tape;
    wg_set_training(tape, false);
    wg_no_grad_begin(tape);
    memory seen = encode(&r->m, wg_data(tape, WG_I32, WG_DIMS(1, b.S), b.source),
                         wg_data(tape, WG_I32, WG_DIMS(1), b.lengths));
    wg_tensor weights;
    translate_given(&r->m, &seen, wg_data(tape, WG_I32, WG_DIMS(1, b.T), b.in), &weights);
    const float *numbers = wg_value(weights);
    if (!numbers) app_fail("%s", wg_tape_message(tape));
    write_matrix(r, source, target, line, &b, numbers);
    finish(r, WG_OK);
    wg_set_training(tape, true);
    batch_free(&b);
}

/* ---- export ---- */

typedef struct exported {
    const translator *m;
    int64_t S, T;
} exported;

/* source [n, S] and their lengths, the words of the translation so far [n, T] -> logits of each next word */
static void record_model(void *context, wg_tape *tape, int64_t n, wg_tensor *x, wg_tensor *y)
{
    const exported *e = context;
    x[0] = app_export_tokens(tape, WG_DIMS(n, e->S), &e->m->source);
    x[1] = app_export_integers(tape, WG_DIMS(n), 1, e->S);
    x[2] = app_export_tokens(tape, WG_DIMS(n, e->T), &e->m->target);
    const memory seen = encode(e->m, x[0], x[1]);
    y[0] = translate_given(e->m, &seen, x[2], NULL);
}

void export_model(run *r, const char *path, int64_t S, int64_t T)
{
    static const char *const in[] = {"source", "lengths", "translation"}, *const out[] = {"logits"};
    exported e = {&r->m, S, T};
    const app_model program = {in, out, 3, 1, record_model, &e};
    app_export(path, r->tape, &program);
}
