#include <stdio.h>
#include <wengert.h>

enum { TRAINED = 273, HELD_OUT = 60 };

typedef struct net {
    const float *x;   /* [rows, 4] */
    const int32_t *y; /* [rows] */
    wg_batch_norm_layer norm;
    wg_linear_layer hidden, out;
} net;

static wg_tensor classify(const net *n, wg_tensor x)
{
    x = wg_batch_norm_apply(&n->norm, x);
    return wg_linear_apply(&n->out, wg_relu(wg_linear_apply(&n->hidden, x)));
}

static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
{
    const net *n = context;
    wg_tensor x = wg_fit_rows(batch, WG_F32, WG_DIMS(4), n->x);
    wg_tensor y = wg_fit_rows(batch, WG_I32, WG_SCALAR, n->y);
    return wg_cross_entropy(classify(n, x), y);
}

int main(void)
{
    wg_error error = {0};
    wg_csv *csv = wg_csv_open("complete.csv", wg_csv_defaults(), &error);
    const wg_categories *species = wg_csv_categories(csv, "species", NULL, &error);
    net n = {.x = wg_csv_numbers(csv, "bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g", &error)};
    if (error.status != WG_OK) return fprintf(stderr, "%s\n", error.text), 1;
    n.y = species->index;

    wg_params *params = wg_params_new(WG_F32);
    wg_batch_norm_init(&n.norm, params, "norm", 4);
    wg_linear_init(&n.hidden, params, "hidden", 4, 32, wg_linear_defaults());
    wg_linear_init(&n.out, params, "out", 32, species->n, wg_linear_defaults());

    wg_fit_options fit = wg_fit_defaults();
    wg_fit_result end;
    fit.params = params;
    fit.optimizer = wg_adam_new(params, wg_adam_defaults());
    fit.loss = loss_of, fit.context = &n;
    fit.samples = TRAINED, fit.held_out = HELD_OUT, fit.epochs = 30;
    fit.path = "penguins.safetensors";
    if (wg_fit(&fit, &end, &error) != WG_OK) return fprintf(stderr, "%s\n", error.text), 1;
    printf("steps %llu, validation loss %.2f\n", (unsigned long long)end.step, end.validation);

    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_set_training(tape, false);
    wg_tensor x = wg_data(tape, WG_F32, WG_DIMS(HELD_OUT, 4), n.x + TRAINED * 4);
    wg_tensor best = wg_argmax(classify(&n, x), -1, false);
    printf("accuracy on %d other penguins: %.2f\n", HELD_OUT, wg_accuracy(wg_value(best), n.y + TRAINED, HELD_OUT));
    wg_tape_free(tape);
    wg_optimizer_free(fit.optimizer);
    wg_params_free(params);
    wg_csv_close(csv);
}
