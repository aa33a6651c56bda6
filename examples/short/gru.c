/* A character-level language model: a GRU learns text.txt, of which the last tenth is for validation, saves
 * gru.safetensors, goes on from there the next time, and writes 300 characters. */
#include <stdio.h>
#include <stdlib.h>
#include <wengert.h>

enum { ASCII = 128, T = 50, HIDDEN = 128 };

static int32_t *characters;
static wg_embedding_layer in;
static wg_rnn rnn;
static wg_linear_layer out;

static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
{
    wg_tensor x[T], h[T];
    wg_rnn_state state = wg_rnn_zero_state(&rnn, batch->tape, batch->n);
    wg_split(wg_embedding_apply(&in, wg_fit_rows(batch, WG_I32, WG_DIMS(T), characters)), 1, T, x);
    for (int t = 0; t < T; t++) h[t] = wg_rnn_step(&rnn, wg_squeeze(x[t], 1), &state);
    return wg_cross_entropy(wg_linear_apply(&out, wg_stack(h, T, 1)),
                            wg_fit_rows(batch, WG_I32, WG_DIMS(T), characters + 1));
}

int main(void)
{
    wg_error error = {0};
    wg_text text;
    if (wg_text_read("text.txt", &text, &error) != WG_OK) return fprintf(stderr, "%s\n", error.text), 1;
    characters = malloc(text.size * sizeof *characters);
    for (size_t i = 0; i < text.size; i++) characters[i] = text.bytes[i] & 127;
    const int64_t windows = ((int64_t)text.size - 1) / T;
    wg_params *params = wg_params_new(WG_F32);
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = WG_GRU;
    wg_embedding_init(&in, params, "in", ASCII, HIDDEN, -1);
    wg_rnn_init(&rnn, params, "rnn", HIDDEN, HIDDEN, options);
    wg_linear_init(&out, params, "out", HIDDEN, ASCII, wg_linear_defaults());
    wg_fit_options fit = wg_fit_defaults();
    fit.params = params, fit.optimizer = wg_adam_new(params, wg_adam_defaults()), fit.loss = loss_of, fit.clip = 1;
    fit.samples = windows - windows / 10, fit.held_out = windows / 10, fit.epochs = 8;
    fit.path = "gru.safetensors", fit.resume = true;
    fit.watch = wg_fit_progress, fit.watched = &(wg_progress){0};
    if (wg_fit(&fit, NULL, &error) != WG_OK) return fprintf(stderr, "%s\n", error.text), 1;
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_rnn_carry carry;
    wg_rnn_carry_init(&carry, &rnn, params, "memory", 1);
    for (int32_t i = 0, c = '\n'; i < 300 && c >= 0; i++) {
        wg_rnn_state state = wg_rnn_carry_begin(&carry, tape);
        wg_tensor x = wg_embedding_apply(&in, wg_data(tape, WG_I32, WG_DIMS(1), &c));
        wg_tensor logits = wg_linear_apply(&out, wg_rnn_step(&rnn, x, &state));
        wg_rnn_carry_end(&carry, &state);
        c = (int32_t)wg_choose(wg_value(logits), ASCII, wg_sampling_defaults(), 1, (uint64_t)i);
        if (wg_tape_reset(tape) == WG_OK) putchar(c);
    }
}
