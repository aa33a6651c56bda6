/* Image models: LeNet, a small residual network, a multilayer perceptron. */
#include "models.h"

enum { CLASSES = 10 };

/* Counts the products of a convolution with a square kernel. */
static void count_conv(model *m, int64_t positions, int64_t in, int64_t out, int64_t kernel, bool first)
{
    model_count(m, (double)(m->kind.batch * positions), (double)(in * kernel * kernel), (double)out, first);
}

static void use_sgd(model *m)
{
    wg_sgd_options sgd = wg_sgd_defaults();
    sgd.lr = 1e-2;
    sgd.momentum = 0.9;
    model_optimize(m, wg_sgd_new(m->set, sgd), 0);
}

/* ---- lenet: 28 x 28; twice a convolution 5 x 5 and pooling, then two fully connected layers; without dropout, so that
 * losses can be compared -------------------------------------------------------------------------------- */

enum { N1 = 32, N2 = 64, N3 = 128 };

typedef struct lenet {
    wg_conv_layer conv1, conv2;
    wg_linear_layer fc3, fc4;
} lenet;

void lenet_init(model *m)
{
    lenet *net = m->net = app_room(1, sizeof *net);
    const int64_t B = m->kind.batch;
    wg_conv_init(&net->conv1, m->set, "conv1", 1, N1, WG_DIMS(5, 5), wg_conv_layer_defaults());
    wg_conv_init(&net->conv2, m->set, "conv2", N1, N2, WG_DIMS(5, 5), wg_conv_layer_defaults());
    wg_linear_init(&net->fc3, m->set, "fc3", 4 * 4 * N2, N3, wg_linear_defaults());
    wg_linear_init(&net->fc4, m->set, "fc4", N3, CLASSES, wg_linear_defaults());
    model_reals(m, "inputs", WG_DIMS(B, 1, 28, 28));
    model_integers(m, "targets", WG_DIMS(B), 0, CLASSES);
    use_sgd(m);
    count_conv(m, 24 * 24, 1, N1, 5, true);
    count_conv(m, 8 * 8, N1, N2, 5, false);
    model_count(m, (double)B, 4 * 4 * N2, N3, false);
    model_count(m, (double)B, N3, CLASSES, false);
}

wg_tensor lenet_loss(model *m)
{
    const lenet *net = m->net;
    wg_tensor x = wg_max_pool2d(wg_conv_apply(&net->conv1, model_data(m, "inputs", -1)), wg_pool_square(2));
    x = wg_max_pool2d(wg_conv_apply(&net->conv2, x), wg_pool_square(2));
    x = wg_relu(wg_linear_apply(&net->fc3, wg_flatten(x, 1, -1)));
    return wg_cross_entropy(wg_linear_apply(&net->fc4, x), model_data(m, "targets", -1));
}

/* ---- resnet-ish: three stages of two convolutions (He et al. 2016). The first of a stage increases the width and
 * halves the size, the second has a residual connection; batch norm after each. Then the mean over positions and a
 * linear layer. */

enum { STAGES = 3, SIDE = 32 };

typedef struct resnet {
    wg_conv_layer conv[2 * STAGES];
    wg_batch_norm_layer norm[2 * STAGES];
    wg_linear_layer output;
} resnet;

void resnet_init(model *m)
{
    static const char *const convs[] = {"conv0", "conv1", "conv2", "conv3", "conv4", "conv5"};
    static const char *const norms[] = {"norm0", "norm1", "norm2", "norm3", "norm4", "norm5"};
    resnet *net = m->net = app_room(1, sizeof *net);
    int64_t channels = 3, positions = SIDE * SIDE;
    for (int i = 0; i < 2 * STAGES; i++) {
        const int64_t out = 32 << i / 2, stride = i % 2 == 0 && i > 0 ? 2 : 1;
        wg_conv_layer_options options = wg_conv_layer_defaults();
        options.conv = wg_conv_square(stride, 1);
        options.conv.floor = true;
        options.bias = false;
        wg_conv_init(&net->conv[i], m->set, convs[i], channels, out, WG_DIMS(3, 3), options);
        wg_batch_norm_init(&net->norm[i], m->set, norms[i], out);
        positions /= stride * stride;
        count_conv(m, positions, channels, out, 3, i == 0);
        channels = out;
    }
    wg_linear_init(&net->output, m->set, "output", channels, CLASSES, wg_linear_defaults());
    model_count(m, (double)m->kind.batch, (double)channels, CLASSES, false);
    model_reals(m, "inputs", WG_DIMS(m->kind.batch, 3, SIDE, SIDE));
    model_integers(m, "targets", WG_DIMS(m->kind.batch), 0, CLASSES);
    use_sgd(m);
}

wg_tensor resnet_loss(model *m)
{
    const resnet *net = m->net;
    wg_tensor x = model_data(m, "inputs", -1);
    for (int i = 0; i < 2 * STAGES; i += 2) {
        x = wg_relu(wg_batch_norm_apply(&net->norm[i], wg_conv_apply(&net->conv[i], x)));
        wg_tensor y = wg_batch_norm_apply(&net->norm[i + 1], wg_conv_apply(&net->conv[i + 1], x));
        x = wg_relu(wg_add(x, y));
    }
    wg_tensor mean = wg_mean(x, WG_AXES(2, 3), false);
    return wg_cross_entropy(wg_linear_apply(&net->output, mean), model_data(m, "targets", -1));
}

/* ---- mlp ----------------------------------------------------------------------------------------------- */

enum { PIXELS = 784 };

typedef struct mlp {
    wg_linear_layer fc1, fc2, fc3;
} mlp;

void mlp_init(model *m)
{
    mlp *net = m->net = app_room(1, sizeof *net);
    const int64_t B = m->kind.batch, H = m->kind.size;
    wg_linear_init(&net->fc1, m->set, "fc1", PIXELS, H, wg_linear_defaults());
    wg_linear_init(&net->fc2, m->set, "fc2", H, H, wg_linear_defaults());
    wg_linear_init(&net->fc3, m->set, "fc3", H, CLASSES, wg_linear_defaults());
    model_reals(m, "inputs", WG_DIMS(B, PIXELS));
    model_integers(m, "targets", WG_DIMS(B), 0, CLASSES);
    model_optimize(m, wg_adam_new(m->set, wg_adam_defaults()), 0);
    model_count(m, (double)B, PIXELS, (double)H, true);
    model_count(m, (double)B, (double)H, (double)H, false);
    model_count(m, (double)B, (double)H, CLASSES, false);
}

wg_tensor mlp_loss(model *m)
{
    const mlp *net = m->net;
    wg_tensor x = wg_relu(wg_linear_apply(&net->fc1, model_data(m, "inputs", -1)));
    x = wg_relu(wg_linear_apply(&net->fc2, x));
    return wg_cross_entropy(wg_linear_apply(&net->fc3, x), model_data(m, "targets", -1));
}
