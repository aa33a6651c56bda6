#include <stdio.h>
#include <wengert.h>

enum { TRAINED = 800, HELD_OUT = 200, SIDE = 24 };

static float pictures[TRAINED + HELD_OUT][SIDE * SIDE];

typedef struct net {
    const int32_t *shape; /* [rows] */
    wg_conv_layer conv_1, conv_2;
    wg_linear_layer out;
} net;

static wg_tensor classify(const net *n, wg_tensor x) /* x[batch, 1, 24, 24] */
{
    x = wg_max_pool2d(wg_relu(wg_conv_apply(&n->conv_1, x)), wg_pool_square(2)); /* [batch, 8, 10, 10] */
    x = wg_max_pool2d(wg_relu(wg_conv_apply(&n->conv_2, x)), wg_pool_square(2)); /* [batch, 16, 4, 4] */
    return wg_linear_apply(&n->out, wg_flatten(x, 1, -1));                       /* [batch, 3] */
}

static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
{
    const net *n = context;
    wg_tensor x = wg_fit_rows(batch, WG_F32, WG_DIMS(1, SIDE, SIDE), pictures);
    return wg_cross_entropy(classify(n, x), wg_fit_rows(batch, WG_I32, WG_SCALAR, n->shape));
}

int main(void)
{
    wg_error error = {0};
    wg_csv *csv = wg_csv_open("shapes.csv", wg_csv_defaults(), &error);
    const wg_categories *file = wg_csv_categories(csv, "file", NULL, &error);
    const wg_categories *shape = wg_csv_categories(csv, "shape", NULL, &error);
    for (int i = 0; i < TRAINED + HELD_OUT && error.status == WG_OK; i++) {
        wg_picture picture;
        if (wg_picture_read(file->names[file->index[i]], wg_picture_defaults(), &picture, &error) == WG_OK)
            wg_picture_floats(&picture, pictures[i]);
        wg_picture_fini(&picture);
    }
    if (error.status != WG_OK) return fprintf(stderr, "%s\n", error.text), 1;

    net n = {.shape = shape->index};
    wg_params *params = wg_params_new(WG_F32);
    wg_conv_init(&n.conv_1, params, "conv_1", 1, 8, WG_DIMS(5, 5), wg_conv_layer_defaults());
    wg_conv_init(&n.conv_2, params, "conv_2", 8, 16, WG_DIMS(3, 3), wg_conv_layer_defaults());
    wg_linear_init(&n.out, params, "out", 16 * 4 * 4, shape->n, wg_linear_defaults());

    wg_fit_options fit = wg_fit_defaults();
    fit.params = params;
    fit.optimizer = wg_adam_new(params, wg_adam_defaults());
    wg_optimizer_set_lr(fit.optimizer, 3e-3);
    fit.loss = loss_of, fit.context = &n;
    fit.samples = TRAINED, fit.held_out = HELD_OUT, fit.epochs = 10;
    fit.best_path = "shapes.safetensors";
    if (wg_fit(&fit, NULL, &error) != WG_OK) return fprintf(stderr, "%s\n", error.text), 1;

    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_tensor x = wg_data(tape, WG_F32, WG_DIMS(HELD_OUT, 1, SIDE, SIDE), pictures[TRAINED]);
    const int32_t *best = wg_value(wg_argmax(classify(&n, x), -1, false));
    printf("%s is a %s\n", file->names[TRAINED], shape->names[best[0]]);
    printf("accuracy on %d other pictures: %.2f\n", HELD_OUT, wg_accuracy(best, n.shape + TRAINED, HELD_OUT));
    wg_tape_free(tape);
    wg_optimizer_free(fit.optimizer);
    wg_params_free(params);
    wg_csv_close(csv);
}
