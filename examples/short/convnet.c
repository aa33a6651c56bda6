/* A ConvNet on pictures: cross, disc or square. Learns the files that shapes.csv lists, of which the last 200 are for
 * validation; saves the best net as convnet.safetensors. See docs/tutorial/3-pictures.md for the files. */
#include <stdio.h>
#include <wengert.h>

static float pictures[1000][24 * 24];
static const wg_categories *file, *shape;
static wg_conv_layer conv_1, conv_2;
static wg_linear_layer out;

static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
{
    wg_tensor x = wg_fit_rows(batch, WG_F32, WG_DIMS(1, 24, 24), pictures);
    x = wg_max_pool2d(wg_relu(wg_conv_apply(&conv_1, x)), wg_pool_square(2));
    x = wg_max_pool2d(wg_relu(wg_conv_apply(&conv_2, x)), wg_pool_square(2));
    x = wg_linear_apply(&out, wg_flatten(x, 1, -1));
    return wg_cross_entropy(x, wg_fit_rows(batch, WG_I32, WG_SCALAR, shape->index));
}

int main(void)
{
    wg_error error = {0};
    wg_csv *csv = wg_csv_open("shapes.csv", wg_csv_defaults(), &error);
    file = wg_csv_categories(csv, "file", NULL, &error);
    shape = wg_csv_categories(csv, "shape", NULL, &error);
    for (int i = 0; i < 1000 && error.status == WG_OK; i++) {
        wg_picture picture;
        if (wg_picture_read(file->names[file->index[i]], wg_picture_defaults(), &picture, &error) == WG_OK)
            wg_picture_floats(&picture, pictures[i]);
        wg_picture_fini(&picture);
    }
    wg_params *params = wg_params_new(WG_F32);
    wg_conv_init(&conv_1, params, "conv_1", 1, 8, WG_DIMS(5, 5), wg_conv_layer_defaults());
    wg_conv_init(&conv_2, params, "conv_2", 8, 16, WG_DIMS(3, 3), wg_conv_layer_defaults());
    wg_linear_init(&out, params, "out", 16 * 4 * 4, 3, wg_linear_defaults());
    wg_fit_options fit = wg_fit_defaults();
    fit.params = params, fit.optimizer = wg_adam_new(params, wg_adam_defaults()), fit.loss = loss_of;
    wg_optimizer_set_lr(fit.optimizer, 3e-3);
    fit.samples = 800, fit.held_out = 200, fit.epochs = 10, fit.best_path = "convnet.safetensors";
    fit.watch = wg_fit_progress, fit.watched = &(wg_progress){0};
    if (error.status != WG_OK || wg_fit(&fit, NULL, &error) != WG_OK) return fprintf(stderr, "%s\n", error.text), 1;
}
