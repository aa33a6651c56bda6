/* The smallest recurrent net: learns to spell HELLO, letter by letter.
 *
 * * hello
 *
 * * The input is a one-hot letter, the output the next letter: an Elman layer of 3 units (with one bias, like Keras'
 * SimpleRNN) and a linear layer, 24 + 16 = 40 parameters. The first L is followed by L, the second by O: only the state
 * distinguishes them. A second net is trained with its recurrent weights fixed at zero. It has the same output after
 * both L's, and cannot exceed a probability of one half.
 *
 * * Expected (default settings, any seed from 0 to 9): spells HELLO within 40 steps; at the end the probability of each
 * target is > 0.9, the smallest one without recurrence is <= 0.5. */
#include "app.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_LETTERS = 64 };

typedef struct net {
    wg_params *params;
    wg_rnn rnn;
    wg_linear_layer dense;
    wg_optimizer *optimizer;
    const char *word;
    char letters[MOST_LETTERS]; /* the distinct ones, sorted: "EHLO" */
    int n_letters, length;
} net;

/* ---- the model ---- */

static net net_new(const char *word, int64_t hidden, double lr, int64_t seed, bool recurrent)
{
    net m = {.params = wg_params_new_with(WG_F32, (wg_allocator){0}, (uint64_t)seed), .word = word};
    for (int c = 1; c < 256; c++)
        if (strchr(word, c)) m.letters[m.n_letters++] = (char)c;
    m.length = (int)strlen(word);
    wg_rnn_options options = wg_rnn_defaults();
    options.bias = WG_RNN_BIAS_ONE;
    wg_init zeros = wg_init_zeros();
    if (!recurrent) options.hh_init = &zeros;
    wg_rnn_init(&m.rnn, m.params, "simple_rnn", m.n_letters, hidden, options);
    wg_linear_init(&m.dense, m.params, "dense", hidden, m.n_letters, wg_linear_defaults());
    if (!recurrent) wg_param_freeze(m.rnn.cell[0].weight_hh, true);
    wg_adam_options adam = wg_adam_defaults();
    adam.lr = lr;
    m.optimizer = wg_adam_new(m.params, adam);
    if (!m.optimizer || wg_params_status(m.params) != WG_OK) app_fail("%s", wg_params_message(m.params));
    return m;
}

static void net_free(net *m)
{
    wg_optimizer_free(m->optimizer);
    wg_params_free(m->params);
}

static int32_t number_of(const net *m, char letter)
{
    return (int32_t)((const char *)memchr(m->letters, letter, (size_t)m->n_letters) - m->letters);
}

/* The logits [n, letters] of the letters after `number`, i32 [n]; advances the state. */
static wg_tensor logits_of(const net *m, wg_tensor number, wg_rnn_state *state)
{
    return wg_linear_apply(&m->dense, wg_rnn_step(&m->rnn, wg_one_hot(number, m->n_letters, WG_F32), state));
}

/* The logits [1, letters] of the next letter; advances the state. */
static wg_tensor predict(const net *m, wg_tape *tape, char letter, wg_rnn_state *state)
{
    int32_t number = number_of(m, letter);
    return logits_of(m, wg_data(tape, WG_I32, WG_DIMS(1), &number), state);
}

static void record_model(void *context, wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    const net *m = context;
    wg_rnn_state state = {0};
    x[0] = app_export_integers(tape, WG_DIMS(batch), 0, m->n_letters - 1);
    state.h[0] = x[1] = app_export_floats(tape, WG_DIMS(batch, m->rnn.hidden));
    y[0] = logits_of(m, x[0], &state);
    y[1] = state.h[0];
}

static void export_model(net *m, const char *path, wg_tape *tape)
{
    static const char *const in[] = {"letter", "h"}, *const out[] = {"logits", "h_next"};
    const app_model program = {in, out, 2, 2, record_model, m};
    app_export(path, tape, &program);
}

/* ---- training ---- */

/* One step on the whole word; returns the mean cross entropy before it. */
static double train_step(net *m, wg_tape *tape)
{
    wg_rnn_state state = wg_rnn_zero_state(&m->rnn, tape, 1);
    wg_tensor loss = wg_scalar(tape, WG_F32, 0);
    for (int t = 0; t + 1 < m->length; t++) {
        int32_t next = number_of(m, m->word[t + 1]);
        wg_tensor logits = predict(m, tape, m->word[t], &state);
        loss = wg_add(loss, wg_cross_entropy(logits, wg_data(tape, WG_I32, WG_DIMS(1), &next)));
    }
    loss = wg_keep(wg_scale(loss, 1.0 / (m->length - 1)));
    wg_zero_grad(m->params);
    wg_backward(loss);
    double value = wg_item(loss);
    app_end_step(tape);
    if (wg_optimizer_step(m->optimizer) != WG_OK) app_fail("%s", wg_optimizer_message(m->optimizer));
    return value;
}

/* Spells a word from the first letter on, with the most probable letter each time. */
static void spell(const net *m, wg_tape *tape, char *out)
{
    wg_rnn_state state = wg_rnn_zero_state(&m->rnn, tape, 1);
    out[0] = m->word[0];
    for (int t = 0; t + 1 < m->length; t++) {
        wg_tensor logits = predict(m, tape, out[t], &state);
        const int32_t *best = wg_value(wg_argmax(logits, -1, false));
        out[t + 1] = m->letters[best ? *best : 0];
    }
    out[m->length] = 0;
    app_end_step(tape);
}

/* p[t]: the probability of the right letter after the first t + 1 letters. Returns the smallest. */
static double probabilities(const net *m, wg_tape *tape, double *p)
{
    double least = 1;
    wg_rnn_state state = wg_rnn_zero_state(&m->rnn, tape, 1);
    for (int t = 0; t + 1 < m->length; t++) {
        wg_tensor all = wg_softmax(predict(m, tape, m->word[t], &state), -1);
        p[t] = wg_item(wg_slice(all, -1, number_of(m, m->word[t + 1]), number_of(m, m->word[t + 1]) + 1));
        least = fmin(least, p[t]);
    }
    app_end_step(tape);
    return least;
}

/* ---- the program ---- */

static void print_parameters(const net *m)
{
    char text[2048];
    wg_summary(m->params, text, sizeof text);
    fputs(text, stdout);
    int64_t dense = wg_param_numel(m->dense.weight) + wg_param_numel(m->dense.bias),
            all = wg_params_trainable(m->params);
    printf("simple_rnn %lld, dense %lld, in all %lld\n\n", (long long)(all - dense), (long long)dense,
           (long long)all);
}

static void check_word(const char *word)
{
    size_t length = strlen(word);
    if (length < 2 || length > MOST_LETTERS) app_usage("--word: 2 to %d letters", MOST_LETTERS);
    if (strspn(word, (char[]){word[0], 0}) == length) app_usage("--word: all letters are the same");
}

int main(int argc, char **argv)
{
    const char *word = "HELLO", *export = NULL;
    int64_t hidden = 3, steps = 300, seed = 0, threads = 1;
    double lr = 0.03;
    bool tiny = false;
    app_option options[] = {{APP_TEXT, "word", &word, "WORD", "what to learn"},
                            {APP_INT, "hidden", &hidden, "N", "units of the recurrent layer", 1, 1024},
                            {APP_INT, "steps", &steps, "N", "steps of training", 1, 1e6},
                            {APP_REAL, "lr", &lr, "X", "Adam's learning rate", 0, 10},
                            APP_EXPORT(&export),
                            {APP_INT, "seed", &seed, "N", "of the initial weights", 0, 9e18},
                            APP_THREADS(&threads),
                            {APP_FLAG, "tiny", &tiny, NULL, "the same: it takes less than a second"},
                            {APP_END}};
    app_name("hello");
    app_parse(argc, argv, "hello [options]",
              "Learns to spell a word with a recurrent net of 40 parameters, and cannot without recurrence.\n"
              "Expected: HELLO within 40 steps, each letter with a probability > 0.9; without recurrence one is at "
              "most 0.5.",
              options);
    check_word(word);
    if (export) app_check_place(export);
    wg_pool *pool;
    wg_tape *tape = app_tape_new(threads, seed, NULL, &pool);

    net m = net_new(word, hidden, lr, seed, true), without = net_new(word, hidden, lr, seed, false);
    char text[MOST_LETTERS + 1];
    double p[MOST_LETTERS], p_without[MOST_LETTERS], loss = 0, before = INFINITY;
    int64_t spelled = -1, rises = 0;
    print_parameters(&m);
    for (int64_t step = 1; step <= steps; step++) {
        loss = train_step(&m, tape);
        train_step(&without, tape);
        rises += loss > before;
        before = loss;
        if (spelled >= 0 && step > 10) continue;
        spell(&m, tape, text);
        if (spelled < 0 && strcmp(text, word) == 0) spelled = step;
        if (step <= 10 || spelled == step) printf("step %3lld  loss %.4f  %s\n", (long long)step, loss, text);
    }
    spell(&m, tape, text);
    double least = probabilities(&m, tape, p), least_without = probabilities(&without, tape, p_without);
    printf("\nafter %lld steps it spells %s\nprobability of the next letter, with and without recurrent weights\n",
           (long long)steps, text);
    for (int t = 0; t + 1 < m.length; t++)
        printf("%c after %-*.*s  %.3f  %.3f\n", word[t + 1], m.length - 1, t + 1, word, p[t], p_without[t]);
    app_result("parameters: %lld, loss: %.4f nats, rises of the loss: %lld, spelled at step: %lld, "
               "smallest probability: %.3f, without recurrence: %.3f",
               (long long)wg_params_trainable(m.params), loss, (long long)rises, (long long)spelled, least,
               least_without);
    if (export) export_model(&m, export, tape);
    net_free(&m);
    net_free(&without);
    wg_tape_free(tape);
    wg_pool_free(pool);
    return app_end();
}
