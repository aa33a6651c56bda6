#include <stdio.h>
#include <stdlib.h>
#include <wengert.h>

enum { ASCII = 128, T = 50, HIDDEN = 128 };

typedef struct net {
    int32_t *text; /* characters as numbers */
    wg_embedding_layer in;
    wg_rnn rnn;
    wg_linear_layer out;
} net;

static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
{
    const net *n = context;
    wg_tensor x[T], h[T];
    wg_rnn_state state = wg_rnn_zero_state(&n->rnn, batch->tape, batch->n);
    wg_split(wg_fit_rows(batch, WG_I32, WG_DIMS(T), n->text), 1, T, x); /* x[t] is [batch, 1] */
    for (int t = 0; t < T; t++) {
        wg_tensor vector = wg_embedding_apply(&n->in, wg_squeeze(x[t], 1)); /* [batch, HIDDEN] */
        h[t] = wg_rnn_step(&n->rnn, vector, &state);
    }
    wg_tensor logits = wg_linear_apply(&n->out, wg_stack(h, T, 1)); /* [batch, T, ASCII] */
    return wg_cross_entropy(logits, wg_fit_rows(batch, WG_I32, WG_DIMS(T), n->text + 1));
}

static void write_text(const net *n, int length)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_params *memory = wg_params_new(WG_F32);
    wg_sampling sampling = {.temperature = 0.7, .top_p = 1};
    wg_rnn_carry carry;
    wg_rnn_carry_init(&carry, &n->rnn, memory, "memory", 1);
    int32_t c = '\n';
    for (int i = 0; i < length && c >= 0; i++) {
        wg_rnn_state state = wg_rnn_carry_begin(&carry, tape);
        wg_tensor x = wg_embedding_apply(&n->in, wg_data(tape, WG_I32, WG_DIMS(1), &c));
        wg_tensor logits = wg_linear_apply(&n->out, wg_rnn_step(&n->rnn, x, &state));
        wg_rnn_carry_end(&carry, &state);
        c = (int32_t)wg_choose(wg_value(logits), ASCII, sampling, 1, (uint64_t)i);
        if (wg_tape_reset(tape) == WG_OK) putchar(c);
    }
    putchar('\n');
    wg_params_free(memory);
    wg_tape_free(tape);
}

int main(void)
{
    wg_error error = {0};
    wg_text text;
    if (wg_text_read("text.txt", &text, &error) != WG_OK) return fprintf(stderr, "%s\n", error.text), 1;
    net n = {.text = malloc(text.size * sizeof *n.text)};
    for (size_t i = 0; i < text.size; i++) n.text[i] = text.bytes[i] & 127;

    wg_params *params = wg_params_new(WG_F32);
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = WG_LSTM;
    wg_embedding_init(&n.in, params, "in", ASCII, HIDDEN, -1);
    wg_rnn_init(&n.rnn, params, "rnn", HIDDEN, HIDDEN, options);
    wg_linear_init(&n.out, params, "out", HIDDEN, ASCII, wg_linear_defaults());

    const int64_t windows = ((int64_t)text.size - 1) / T, held_out = windows / 10;
    wg_fit_options fit = wg_fit_defaults();
    wg_progress bar = {0};
    wg_fit_result end;
    fit.params = params;
    fit.optimizer = wg_adam_new(params, (wg_adam_options){3e-3, 0.9, 0.999, 1e-8, 0});
    fit.loss = loss_of, fit.context = &n;
    fit.samples = windows - held_out, fit.held_out = held_out, fit.epochs = 8, fit.clip = 1;
    fit.path = "lstm.safetensors", fit.resume = true;
    fit.watch = wg_fit_progress, fit.watched = &bar;
    wg_signal_catch();
    fit.stop = wg_signal_noted;
    if (wg_fit(&fit, &end, &error) != WG_OK) return fprintf(stderr, "%s\n", error.text), 1;
    printf("validation loss %.2f\n", end.validation);
    write_text(&n, 300);
    wg_optimizer_free(fit.optimizer);
    wg_params_free(params);
    wg_text_fini(&text);
    free(n.text);
}
