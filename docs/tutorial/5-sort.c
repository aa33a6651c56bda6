#include <stdio.h>
#include <string.h>
#include <wengert.h>

/* A line is N digits, an arrow and the same digits in order: 5 0 3 -> 0 3 5. Digits are the tokens 0 to 9. */
enum { N = 6, ARROW = 10, TOKENS = 11, LENGTH = 2 * N, TRAINED = 4000, HELD_OUT = 200 };

static int32_t line[TRAINED + HELD_OUT][LENGTH + 1], label[TRAINED + HELD_OUT][LENGTH];

static void make_lines(void)
{
    uint32_t state = 1;
    for (int i = 0; i < TRAINED + HELD_OUT; i++) {
        int count[10] = {0}, at = N + 1;
        for (int k = 0; k < N; k++) {
            state = state * 1664525 + 1013904223;
            line[i][k] = (int32_t)((state >> 8) % 10);
            count[line[i][k]]++;
        }
        line[i][N] = ARROW;
        for (int digit = 0; digit < 10; digit++)
            while (count[digit]-- > 0) line[i][at++] = digit;
        for (int k = 0; k < LENGTH; k++) label[i][k] = k < N ? -100 : line[i][k + 1]; /* -100: no loss */
    }
}

static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
{
    int32_t tokens[LENGTH * 64];
    for (int64_t i = 0; i < batch->n; i++)
        memcpy(tokens + i * LENGTH, line[batch->sample[i]], LENGTH * sizeof *tokens);
    wg_tensor logits = wg_lm_apply(context, wg_data(batch->tape, WG_I32, WG_DIMS(batch->n, LENGTH), tokens));
    return wg_cross_entropy(logits, wg_fit_rows(batch, WG_I32, WG_DIMS(LENGTH), label));
}

/* Writes the rest of a line behind its arrow, one token at a time: the likeliest. */
static void sort(const wg_lm *model, wg_tape *tape, int32_t *tokens)
{
    for (int k = N; k < LENGTH; k++) {
        wg_tensor logits = wg_lm_apply(model, wg_data(tape, WG_I32, WG_DIMS(k + 1), tokens)); /* [k + 1, TOKENS] */
        const float *last = wg_value(wg_select(logits, 0, k));
        tokens[k + 1] = (int32_t)wg_choose_greedy(last, TOKENS);
        if (wg_tape_reset(tape) != WG_OK) fprintf(stderr, "%s\n", wg_tape_message(tape));
    }
}

int main(void)
{
    wg_error error = {0};
    wg_params *params = wg_params_new(WG_F32);
    wg_lm model;
    wg_lm_options options = wg_lm_defaults();
    options.layer.heads = 4;
    wg_lm_init(&model, params, "sorter", TOKENS, LENGTH, 64, 2, options);
    if (wg_params_status(params) != WG_OK) return fprintf(stderr, "%s\n", wg_params_message(params)), 1;

    make_lines();
    wg_fit_options fit = wg_fit_defaults();
    wg_fit_result end;
    fit.params = params;
    fit.optimizer = wg_adamw_new(params, (wg_adam_options){3e-3, 0.9, 0.99, 1e-8, 0.01});
    fit.loss = loss_of, fit.context = &model;
    fit.samples = TRAINED, fit.held_out = HELD_OUT, fit.batch = 64, fit.epochs = 15, fit.clip = 1;
    fit.path = "sorter.safetensors";
    if (wg_fit(&fit, &end, &error) != WG_OK) return fprintf(stderr, "%s\n", error.text), 1;
    printf("steps %llu, validation loss %.2f\n", (unsigned long long)end.step, end.validation);

    int right = 0;
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_set_training(tape, false);
    for (int i = TRAINED; i < TRAINED + HELD_OUT; i++) {
        int32_t tokens[LENGTH + 1];
        memcpy(tokens, line[i], sizeof tokens);
        sort(&model, tape, tokens);
        right += memcmp(tokens, line[i], sizeof tokens) == 0;
        if (i >= TRAINED + 3) continue;
        for (int k = 0; k <= LENGTH; k++) printf(tokens[k] == ARROW ? "-> " : "%d ", tokens[k]);
        printf("\n");
    }
    printf("%d of %d lines sorted\n", right, HELD_OUT);
    wg_tape_free(tape);
    wg_optimizer_free(fit.optimizer);
    wg_params_free(params);
}
