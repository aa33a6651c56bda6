/* A net from a table: the species of a penguin by the length and the depth of its bill. Learns complete.csv, of which
 * the last 60 rows are for validation; saves mlp.safetensors. See docs/tutorial/2-csv.md for the file. */
#include <stdio.h>
#include <wengert.h>

static const float *bill;
static const wg_categories *kind;
static wg_linear_layer hidden, out;

static wg_tensor loss_of(void *context, const wg_fit_batch *b)
{
    wg_tensor x = wg_fit_rows(b, WG_F32, WG_DIMS(2), bill), y = wg_fit_rows(b, WG_I32, WG_SCALAR, kind->index);
    return wg_cross_entropy(wg_linear_apply(&out, wg_relu(wg_linear_apply(&hidden, x))), y);
}

int main(void)
{
    wg_error error = {0};
    wg_csv *csv = wg_csv_open("complete.csv", wg_csv_defaults(), &error);
    bill = wg_csv_numbers(csv, "bill_length_mm,bill_depth_mm", &error);
    kind = wg_csv_categories(csv, "species", NULL, &error);
    wg_params *params = wg_params_new(WG_F32);
    wg_linear_init(&hidden, params, "hidden", 2, 64, wg_linear_defaults());
    wg_linear_init(&out, params, "out", 64, 3, wg_linear_defaults());
    wg_fit_options fit = wg_fit_defaults();
    fit.params = params, fit.optimizer = wg_adam_new(params, wg_adam_defaults()), fit.loss = loss_of;
    fit.samples = 273, fit.held_out = 60, fit.epochs = 100, fit.path = "mlp.safetensors";
    fit.watch = wg_fit_progress, fit.watched = &(wg_progress){0};
    if (error.status != WG_OK || wg_fit(&fit, NULL, &error) != WG_OK) return fprintf(stderr, "%s\n", error.text), 1;
}
